"""A model of one's own: from a starting model and a few recordings of a person to one that reads and speaks them."""
