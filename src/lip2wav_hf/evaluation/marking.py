"""The words that were heard in a clip, as pages show them."""

from __future__ import annotations

from ..metrics.words import correct_words


HEARD_TITLES = {"judge": "judge hears", "floor": "judge hears in the original", "text": "text head"}
"""What pages call the recognisers of [`HEARD`]."""


def marked_words(sentence: str | None, text: str) -> list[tuple[str, bool]]:
    """
    The words of a text, and whether each is right.

    Args:
        sentence (`str`, *optional*): the words spoken.
        text (`str`): the words recognised.

    Returns:
        `list[tuple[str, bool]]`: one for each word of the text.
    """
    return list(zip(text.split(), correct_words(sentence or "", text), strict=True))


__all__ = ["HEARD_TITLES", "marked_words"]
