"""Words as they come: each once, when it has ended."""

from __future__ import annotations

import numpy as np

from ..decoding import Word, WordReader
from ..grammar import TextUnits


SETTLED_FRAMES = 8  # a word counts once it ended so many frames ago: later frames hardly change it
MOST_FRAMES = 250  # that are read at a time


class LiveWords:
    """
    Reads words off the text head of a stream; any words in any order.

    Args:
        units ([`TextUnits`]), frame_rate (`float`), change_penalty (`float`): as for [`WordReader`].
    """

    def __init__(self, units: TextUnits, frame_rate: float, change_penalty: float) -> None:
        self.units, self.frame_rate, self.change_penalty = units, frame_rate, change_penalty
        self._frames = np.empty((0, len(units.vocabulary) + 1), np.float32)
        self._first = 0

    def push(self, log_probabilities: np.ndarray, is_last: bool = False) -> list[Word]:
        """Words that have ended, of the next frames `(frames, classes)`; times in seconds since the beginning."""
        self._frames = np.concatenate([self._frames, log_probabilities])
        reader = WordReader(self.units, self.frame_rate, self.change_penalty)
        reader.push(self._frames)
        found, end = [], len(self._frames) if is_last else len(self._frames) - SETTLED_FRAMES
        cut = max(len(self._frames) - MOST_FRAMES, 0)
        for word in reader.finish():
            last = round(word["end"] * self.frame_rate)
            if last <= end:
                cut, start = max(cut, last), self._first / self.frame_rate
                found.append(word | {"start": start + word["start"], "end": start + word["end"]})
        self._frames, self._first = self._frames[cut:], self._first + cut
        return found


__all__ = ["LiveWords"]
