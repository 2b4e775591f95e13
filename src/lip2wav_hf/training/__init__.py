"""Training: arguments, data, objectives, the loop, and what is kept of a run."""
