"""Which phrases are recorded: GRID sentences, digits, or a list of one's own."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import Lip2WavError
from ..grammar import GRAMMAR, VOCABULARY, TextNormalizer
from ..grid.corpus import sentence_words
from ..synthetic.corpus import sample_sentences


MOST_PHRASES = 500
MOST_WORDS = 25
MOST_CHARACTERS = 200
MOST_SENTENCES = 200  # of GRID

SIGNS = frozenset("#%&*/@\\")  # that Unicode counts as punctuation, and people read aloud

ALL_WORDS = max(len(words) for words in GRAMMAR.values())
"""Sentences of GRID that hold all of its words: as many as there are letters."""


class PhraseError(Lip2WavError):
    """A list of phrases that cannot be recorded; the message says which line, and why."""


@dataclass(frozen=True)
class PhraseCheck:
    """
    What a text holds, as a list of phrases.

    Attributes:
        phrases (`tuple[str, ...]`): one for each line that can be used, in order, without repetitions.
        problems (`tuple[str, ...]`): what must be changed before they can be recorded.
        notes (`tuple[str, ...]`): what was left out, which is no fault.
    """

    phrases: tuple[str, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def grid_phrases(count: int = ALL_WORDS, seed: int = 0) -> list[str]:
    """
    Sentences of GRID in which the words of each slot come up equally often; with 25 or more, all 51 words do.

    Args:
        count (`int`, *optional*, defaults to 25): how many, from 1 to 200.
        seed (`int`, *optional*, defaults to 0): of the choice.

    Raises:
        PhraseError: if the count is out of range.
    """
    if not 1 <= count <= MOST_SENTENCES:
        raise PhraseError(f"{count} sentences: choose a number from 1 to {MOST_SENTENCES}.")
    return [" ".join(sentence_words(name)) for name in sample_sentences(count, seed)]


def covered_words(phrases: Sequence[str]) -> int:
    """How many of GRID's 51 words are in some sentences."""
    return len(set(VOCABULARY) & {word for phrase in phrases for word in phrase.split()})


def digit_phrases() -> list[str]:
    """The ten digits, from "zero" to "nine"."""
    return list(GRAMMAR["digit"])


def check_phrases(text: str) -> PhraseCheck:
    """
    Read a text with one phrase on each line, in any script.

    Args:
        text (`str`): pasted, or of a file. White space is evened out, empty lines are passed over, and a line with the
            words of an earlier one is left out with a note.

    Returns:
        [`PhraseCheck`]: the phrases, and what is wrong with the others.
    """
    normalizer = TextNormalizer()
    phrases: list[str] = []
    problems: list[str] = []
    notes: list[str] = []
    first: dict[tuple[str, ...], tuple[int, str]] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        phrase = " ".join(_printable(line).split())
        if not phrase:
            continue
        words = normalizer(phrase).words
        fault = _fault(phrase, words)
        if fault:
            problems.append(f"line {number}: {fault}")
        elif words in first:
            notes.append(_repetition((number, phrase), first[words], words))
        else:
            first[words] = number, phrase
            phrases.append(phrase)
    if len(phrases) > MOST_PHRASES:
        problems.append(f"{len(phrases)} phrases are too many: {MOST_PHRASES} can be recorded. Shorten the list.")
    if not phrases and not problems:
        problems.append("there is no phrase yet. Write one on each line.")
    return PhraseCheck(tuple(phrases), tuple(problems), tuple(notes))


def _repetition(line: tuple[int, str], earlier: tuple[int, str], words: Sequence[str]) -> str:
    """Why a line is left out: it repeats an earlier one, or differs from it in symbols only, which are not read."""
    (number, phrase), (before, first) = line, earlier
    differing = [*(_symbols(phrase) - _symbols(first)), *(_symbols(first) - _symbols(phrase))]
    if not differing:
        return f"line {number} repeats line {before} and is left out."
    same = _short(" ".join(words))
    return (
        f"line {number} reads as the same words as line {before}, “{same}”, and is left out: symbols such as"
        f" “{differing[0]}” are not read. Write them as words, as in “C plus plus”."
    )


def _symbols(phrase: str) -> Counter[str]:
    """What a phrase has besides words and punctuation."""
    text = unicodedata.normalize("NFKC", phrase)
    return Counter(character for character in text if character in SIGNS or unicodedata.category(character)[0] == "S")


def _fault(phrase: str, words: Sequence[str]) -> str | None:
    if "\ufffd" in phrase or "\0" in phrase:
        return "it is not readable text. Save the file as UTF-8."
    if not words:
        return f"there is no word in “{_short(phrase)}”."
    if len(words) > MOST_WORDS or len(phrase) > MOST_CHARACTERS:
        return (
            f"“{_short(phrase)}” is too long: a phrase has up to {MOST_WORDS} words and {MOST_CHARACTERS} characters."
            " Break it into several."
        )
    return None


def _short(phrase: str) -> str:
    return phrase if len(phrase) <= 40 else phrase[:39] + "…"


def _printable(line: str) -> str:
    """Without control characters, but NUL, which shows that this is no text."""
    return "".join(
        " " if unicodedata.category(character) == "Cc" and character != "\0" else character for character in line
    )


__all__ = [
    "ALL_WORDS",
    "PhraseCheck",
    "PhraseError",
    "check_phrases",
    "covered_words",
    "digit_phrases",
    "grid_phrases",
]
