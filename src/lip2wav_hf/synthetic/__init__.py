"""A synthetic talking head that speaks GRID sentences: voice, face, clips and whole GRID-shaped corpora."""
