"""Words as they come: each once, when it has ended, and never taken back."""

from __future__ import annotations

import numpy as np

from ..decoding import DecodedFrames, GrammarDecoder, Word, WordReader, best_path
from ..grammar import TextUnits


SETTLED_FRAMES = 8  # a word counts once it ended so many frames ago: later frames hardly change it
PAUSE_FRAMES = 25  # after so many frames without a word, a sentence and a word of characters have ended
MOST_FRAMES = 250  # that are read at a time; a sentence of a grammar may last as long
CERTAIN = -30.0  # log probability of the other classes in frames whose words have been told


class _OpenEnd(GrammarDecoder):
    """A grammar of which the sentence may go on behind the last frame; it keeps what it last decoded."""

    def __init__(self, decoder: GrammarDecoder) -> None:
        vars(self).update(vars(decoder))
        self.decoded: DecodedFrames | None = None

    def decode(self, log_probabilities: np.ndarray, is_open: bool = True) -> DecodedFrames:
        self.decoded = super().decode(log_probabilities, is_open)
        return self.decoded


class LiveWords:
    """
    Reads words off the text head of a stream.

    Args:
        units ([`TextUnits`]), frame_rate (`float`), change_penalty (`float`): as for [`WordReader`].
        decoder ([`GrammarDecoder`], *optional*): the sentences that may be said; without one, any words in any order.
    """

    def __init__(
        self, units: TextUnits, frame_rate: float, change_penalty: float, decoder: GrammarDecoder | None = None
    ) -> None:
        self.units, self.frame_rate, self.change_penalty, self.decoder = units, frame_rate, change_penalty, decoder
        self._frames = np.empty((0, len(units.vocabulary) + 1), np.float32)
        self._first = 0  # of these frames, in the stream
        self._told = 0  # of these frames, how many belong to words that have been told

    def push(self, log_probabilities: np.ndarray, is_last: bool = False) -> list[Word]:
        """Words that have ended, of the next frames `(frames, classes)`; times in seconds since the beginning."""
        self._frames = np.concatenate([self._frames, log_probabilities])
        if not len(self._frames):
            return []
        path, words, beginning = self._read()
        length = len(path)
        pause = length - 1 - int(np.max(np.flatnonzero(self._spoken(path)), initial=-1))
        is_over = is_last or pause >= PAUSE_FRAMES or length >= MOST_FRAMES
        found: list[Word] = []
        start = self._first / self.frame_rate
        for word in words:
            begin, end = round(word["start"] * self.frame_rate), round(word["end"] * self.frame_rate)
            if begin < self._told:
                continue
            if not (is_last or (end <= length - SETTLED_FRAMES and (is_over or self._has_ended(path[end:])))):
                break
            self._told = end
            found.append(word | {"start": start + word["start"], "end": start + word["end"]})
        if is_over or self.decoder is None:
            kept = PAUSE_FRAMES if pause >= PAUSE_FRAMES else MOST_FRAMES // 2
            self._cut(max(self._told, length - kept if is_over else 0))
        elif self._told:
            others = np.arange(self._frames.shape[1]) != path[: self._told, None]
            self._frames[: self._told] = np.where(others, CERTAIN, 0.0)
            if beginning > self._told:  # of another sentence, and all before it has been told
                self._cut(self._told)
        return found

    def _read(self) -> tuple[np.ndarray, list[Word], int]:
        """The class of each frame, the words with times within these frames, and where the last sentence begins."""
        grammar = None if self.decoder is None else _OpenEnd(self.decoder)
        reader = WordReader(self.units, self.frame_rate, self.change_penalty, grammar)
        reader.push(self._frames)
        words = reader.finish()
        if grammar is None or grammar.decoded is None:
            return best_path(self._frames, self.change_penalty), words, 0
        return grammar.decoded.classes, words, max(grammar.decoded.beginnings, default=0)

    def _spoken(self, path: np.ndarray) -> np.ndarray:
        """In which frames something is said."""
        return (path != 0) & (path != self.units.delimiter) if self.units.is_open else path != 0

    def _has_ended(self, after: np.ndarray) -> bool:
        """Whether a word is over, given the classes after it: one of characters might go on."""
        return not self.units.is_open or bool((after == self.units.delimiter).any())

    def _cut(self, frames: int) -> None:
        """Forget the oldest frames."""
        self._frames, self._first, self._told = self._frames[frames:], self._first + frames, 0


__all__ = ["LiveWords"]
