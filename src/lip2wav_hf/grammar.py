"""The closed grammar of GRID sentences: six slots, 51 words."""

GRAMMAR: dict[str, list[str]] = {
    "command": ["bin", "lay", "place", "set"],
    "colour": ["blue", "green", "red", "white"],
    "preposition": ["at", "by", "in", "with"],
    "letter": list("abcdefghijklmnopqrstuvxyz"),
    "digit": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    "adverb": ["again", "now", "please", "soon"],
}
"""The words of each slot, in order of speaking. "w" is not among the letters."""

VOCABULARY: list[str] = [word for words in GRAMMAR.values() for word in words]
"""The 51 distinct words."""
