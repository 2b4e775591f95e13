"""Systems side by side: the gallery of their videos, and one table of their numbers."""
