"""Evaluation: systems, runs over clips, scores, statistics and reports."""
