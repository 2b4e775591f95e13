"""How the words of a stream are written: "Good morning!" for "good", "morning", once the sentence is over."""

from __future__ import annotations

from collections.abc import Sequence

from ..configuration_lip2wav import Lip2WavTextConfig
from ..decoding import GrammarDecoder, Word
from ..grammar import written_text
from ..speaking import written_sentences
from .words import PAUSE_FRAMES


class WrittenWords:
    """
    Follows the words of a stream, and says how they are written.

    Args:
        config ([`Lip2WavTextConfig`]): of the model.
        decoder ([`GrammarDecoder`], *optional*): the sentences that may be said; without one, any words in any order,
            of which a sentence is known only if it begins behind another one, or behind a pause.
    """

    def __init__(self, config: Lip2WavTextConfig, decoder: GrammarDecoder | None = None) -> None:
        self._sentences, self._forms = written_sentences(config, decoder), config.written_words or {}
        said = [tuple(sentence.split()) for sentence in self._sentences]
        self._beginnings = {words[:length] for words in said for length in range(1, len(words) + 1)}
        self._pause, self._is_certain = PAUSE_FRAMES / config.frame_rate, decoder is not None
        self._open: list[str] = []  # words of the sentence that may go on
        self._end = 0.0  # of the newest word, in seconds
        self._is_lost = False  # in a sentence that is not known

    def push(self, words: Sequence[Word]) -> list[str]:
        """
        How the newest words are written, one text each: these, and before them those that another word may still have
        changed. Where words and what is written for them are not as many, the first has all of it.
        """
        if not words:
            return []
        written: list[str] = []
        for word in words:
            paused = word["start"] - self._end >= self._pause
            if paused or (*self._open, word["word"]) not in self._beginnings:
                written += self._write()
                is_over = not self._open or " ".join(self._open) in self._sentences
                self._is_lost = not (paused or self._is_certain or is_over and not self._is_lost)
                self._open = []
            self._open.append(word["word"])
            self._end = word["end"]
        return written + self._write()

    def _write(self) -> list[str]:
        """The open words as a whole text would have them: a sentence that is known, or else the form of each word."""
        pieces = written_text(" ".join(self._open), {} if self._is_lost else self._sentences, self._forms).split()
        return pieces if len(pieces) == len(self._open) else [" ".join(pieces), *[""] * (len(self._open) - 1)]


__all__ = ["WrittenWords"]
