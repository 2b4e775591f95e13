"""The `evaluate` module folder `speaker_similarity`."""
