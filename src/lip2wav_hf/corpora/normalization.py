"""From text as people write it to the words that a network learns, and back."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from ..errors import Lip2WavError, require_packages


CASES, PUNCTUATION, UNICODE_FORMS = ("lower", "keep"), ("drop", "keep"), ("NFC", "NFKC", "NFD", "NFKD")
APOSTROPHES = "'\u2019\u02bc"
JOINERS = "\u200c\u200d"  # inside words of Persian and of Indic scripts
ZERO_WIDTH_SPACE = "\u200b"  # between words of Thai and Khmer

_NUMBER = re.compile(r"(\d+(?:[.,]\d+)*)")


class NormalizationError(Lip2WavError):
    """A rule of normalisation that does not exist, or a text that it cannot be applied to."""


@dataclass(frozen=True)
class NormalizedText:
    """
    The words of a text, and where each came from.

    Attributes:
        original (`str`): the text as it was written.
        words (`tuple[str, ...]`): normalised.
        spans (`tuple[tuple[int, int], ...]`): for each word, the characters of `original` that it stands for. The
            words of a number that was spelt out share one span.
    """

    original: str
    words: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]

    def restore(self, first: int = 0, last: int | None = None) -> str:
        """The original text of words `first` to `last` (exclusive), punctuation between them included."""
        spans = self.spans[first:last]
        return self.original[spans[0][0] : spans[-1][1]] if spans else ""


@dataclass(frozen=True)
class TextNormalizer:
    """
    Rules that make words of text.

    Attributes:
        case (`str`): `"lower"` or `"keep"`.
        punctuation (`str`): `"drop"` (apostrophes inside a word stay) or `"keep"` (with the word that it touches).
        numbers (`str`): `"keep"`, or a language of `num2words` such as `"en"` or `"de"`, in which they are spelt out.
        unicode (`str`): `"NFC"`, `"NFKC"`, `"NFD"` or `"NFKD"`.
    """

    case: str = "lower"
    punctuation: str = "drop"
    numbers: str = "keep"
    unicode: str = "NFKC"

    def __post_init__(self) -> None:
        for name, choices in (("case", CASES), ("punctuation", PUNCTUATION), ("unicode", UNICODE_FORMS)):
            if getattr(self, name) not in choices:
                raise NormalizationError(f"{name}={getattr(self, name)!r}: there are {', '.join(choices)}.")

    def to_dict(self) -> dict[str, Any]:
        """The rules as plain data."""
        return asdict(self)

    def __call__(self, text: str) -> NormalizedText:
        """The words of a text, see [`NormalizedText`]."""
        words: list[str] = []
        spans: list[tuple[int, int]] = []
        position = 0
        for piece in text.split():
            start = text.index(piece, position)
            position = start + len(piece)
            for word in self._words(piece):
                words.append(word)
                spans.append((start, position))
        return NormalizedText(text, tuple(words), tuple(spans))

    def _normalize(self, piece: str) -> str:
        return unicodedata.normalize(cast(Literal["NFC", "NFKC", "NFD", "NFKD"], self.unicode), piece)

    def _words(self, piece: str) -> list[str]:
        piece = self._normalize(piece)
        if self.case == "lower":
            piece = self._normalize(piece.lower())
        if self.numbers != "keep" and any(character.isdigit() for character in piece):
            return [word for part in self._spell(piece) for word in self._strip(part)]
        return self._strip(piece)

    def _strip(self, piece: str) -> list[str]:
        if self.punctuation == "keep":
            return piece.split()
        characters = []
        for index, character in enumerate(piece):
            inside = 0 < index < len(piece) - 1 and piece[index - 1].isalnum() and piece[index + 1].isalnum()
            if character in APOSTROPHES:
                characters.append("'" if inside else "")
            elif character in JOINERS:
                characters.append(character if inside else "")
            elif unicodedata.category(character) == "Cf" and character != ZERO_WIDTH_SPACE:
                continue  # marks of the writing direction, soft hyphens
            elif unicodedata.category(character)[0] in "PSC":
                characters.append(" ")  # so that "well-known" is two words
            else:
                characters.append(character)
        return "".join(characters).split()

    def _spell(self, piece: str) -> list[str]:
        """A piece of text with its numbers spelt out, each apart from what it touches."""
        parts = [part for part in _NUMBER.split(piece) if part]
        return [word for part in parts for word in (self._spell_number(part) if _NUMBER.match(part) else [part])]

    def _spell_number(self, number: str) -> list[str]:
        require_packages("train", "spelling out numbers", "num2words")
        from num2words import num2words  # noqa: PLC0415  of an extra

        plain = number.replace(",", "")
        try:
            spelt = num2words(float(plain) if "." in plain else int(plain), lang=self.numbers)
        except (ValueError, NotImplementedError, OverflowError) as error:
            raise NormalizationError(
                f"the number {number!r} cannot be spelt out in {self.numbers!r} ({error}): write it in words."
            ) from error
        return spelt.split()


__all__ = ["NormalizationError", "NormalizedText", "TextNormalizer"]
