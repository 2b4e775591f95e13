"""Which unit of the text head belongs to each frame, of clips whose words have times."""

from __future__ import annotations

import numpy as np

from ..grammar import WORD_DELIMITER, TextUnits
from .variation import UNKNOWN_TIMES, ClipContent


SILENCE = -1  # in `ClipContent.frame_words`


def spell_clip(clip: ClipContent, units: TextUnits) -> ClipContent:
    """
    A clip whose `words` are the units of the sentence, and whose `frame_words` number these.

    Word units change nothing. The characters of a word share its time evenly, as in the flat start of hidden Markov
    models (Young et al. 2002, "The HTK Book"): our choice. The delimiter takes the frame before a word, and a frame of
    silence parts a character from the same one. A word that is too short for this takes frames of what follows; a clip
    that is too short counts as one without times.
    """
    if not units.is_open:
        return clip
    if (clip.frame_words == UNKNOWN_TIMES).any():
        return clip._replace(words=_sentence(clip.words, units))
    numbers = np.unique(clip.frame_words[clip.frame_words >= 0])
    said = tuple(clip.words[number] for number in numbers)
    spans = [np.flatnonzero(clip.frame_words == number)[[0, -1]] + (0, 1) for number in numbers]
    frame_units = _place(_marks(said, spans, units), len(clip.frame_words))
    return clip._replace(words=_sentence(said, units), frame_words=frame_units)


def _sentence(words: tuple[str, ...], units: TextUnits) -> tuple[str, ...]:
    return tuple(units.vocabulary[number - 1] for number in units.encode(words))


def _marks(words: tuple[str, ...], spans: list[np.ndarray], units: TextUnits) -> list[tuple[int, float]]:
    """What begins where: the number of a unit, or silence, and the frame at which it would best begin."""
    marks: list[tuple[int, float]] = []
    number, end = 0, 0
    for word, (first, last) in zip(words, spans, strict=True):
        if marks:
            if first - end > 1:
                marks.append((SILENCE, end))
            marks.append((number, first - 1.0))
            number += 1
        inner: list[int] = []
        for unit, before in zip(units.spell(word), (WORD_DELIMITER, *units.spell(word)), strict=False):
            inner += [SILENCE, number] if unit == before else [number]
            number += 1
        marks += [(mark, first + place * (last - first) / len(inner)) for place, mark in enumerate(inner)]
        end = last
    return [*marks, (SILENCE, end)]


def _place(marks: list[tuple[int, float]], frames: int) -> np.ndarray:
    """The unit of each frame `(frames,)`, int16: each mark gets one frame or more, in order, near where it belongs."""
    if len(marks) - 1 > frames:
        return np.full(frames, UNKNOWN_TIMES, np.int16)
    starts = [round(place) for _, place in marks]
    for index in range(1, len(starts)):
        starts[index] = max(starts[index], starts[index - 1] + 1)
    limit = frames  # of the silence at the end, which may have no frame
    for index in range(len(starts) - 1, -1, -1):
        starts[index] = limit = min(starts[index], limit)
        limit -= 1
    result = np.full(frames, SILENCE, np.int16)
    for (mark, _), start, end in zip(marks, starts, [*starts[1:], frames], strict=True):
        result[start:end] = mark
    return result


__all__ = ["spell_clip"]
