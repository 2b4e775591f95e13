"""When each word of a transcript is said: CTC forced alignment with the scores of a text head.

The boundaries are finer than the text head's frames: a speech encoder hears each clip several times, each time moved
by a spectrogram frame, and the scores are put together in the order of the times at which their windows are centred.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..generator import LogMelSpectrogram
from ..grammar import TextUnits
from ..modeling_critic import Lip2WavSpeechEncoder
from ..models import load_network
from .clips import CorpusError, TimedWord


DOUBTFUL = 0.5
"""Score below which a word is probably another one, or not where it was found; our choice, see docs/own-corpus.md."""


UNLIKELY = -6.0
"""Log-likelihood ratio per word, against that which is usual for a person, below which a transcript is doubted."""

LEAST_USUAL, FEWEST = -3.0, 5
"""The worst that is taken for usual, and clips from which on there is something usual."""


class AlignmentError(CorpusError):
    """A clip that cannot be aligned with its transcript."""


@dataclass(frozen=True)
class Alignment:
    """
    When the words of a clip are said.

    Attributes:
        words (`tuple[TimedWord, ...]`): start and end in seconds from the beginning of the clip, and the word.
        scores (`tuple[float, ...]`): for each word how its probability compares with that of the likeliest class, in
            the mean of its frames: 1 where the text head hears nothing else, near 0 where it hears something else.
            Unlike the probability itself, this does not depend on how sure a text head is in general.
    """

    words: tuple[TimedWord, ...]
    scores: tuple[float, ...]

    @property
    def score(self) -> float:
        """That of the most doubtful word."""
        return min(self.scores)

    @property
    def doubtful(self) -> bool:
        """Whether a word's score is below [`DOUBTFUL`]."""
        return self.score < DOUBTFUL


@dataclass(frozen=True)
class FrameTimes:
    """
    When the frames of a text head are: frame `i` is centred `first + i * step` after the beginning of the clip.

    Attributes:
        step (`float`), first (`float`): in seconds.
        duration (`float`): of the clip, in seconds; no word begins before 0 or ends later.
    """

    step: float
    first: float
    duration: float

    def between(self, start: float, end: float) -> tuple[float, float]:
        """Beginning of frame `start` and end of frame `end - 1`, in seconds."""
        edges = [self.first + (frame - 0.5) * self.step for frame in (start, end)]
        begin, stop = (min(max(edge, 0.0), self.duration) for edge in edges)
        return begin, stop


def forced_path(log_probabilities: np.ndarray, units: Sequence[int] | np.ndarray) -> np.ndarray:
    """
    The likeliest path through the units of a sentence, as CTC allows it (Graves et al. 2006): each unit lasts a frame
    or more, blanks may lie between, and must between equal ones (found as by Viterbi 1967).

    Args:
        log_probabilities (`np.ndarray` of shape `(frames, classes)`): of a text head; class 0 is the blank.
        units (`Sequence[int]` or `np.ndarray`): classes, at least one.

    Returns:
        `np.ndarray` of shape `(frames,)`: int64, the number of the unit in each frame, -1 for a blank.

    Raises:
        AlignmentError: if there are too few frames for the units.
    """
    classes = np.zeros(2 * len(units) + 1, np.int64)
    classes[1::2] = units
    skips = (
        np.flatnonzero((classes[2:] != 0) & (classes[2:] != classes[:-2])) + 2
    )  # states that follow without a blank
    scores = log_probabilities.astype(np.float64)[:, classes]
    if len(scores) < len(classes) - 2 - len(skips):
        raise AlignmentError(f"it has {len(scores)} frames, too few for its {len(units)} words or characters.")
    total = np.full(len(classes), -np.inf)
    total[:2] = scores[0, :2]
    moves = np.zeros(scores.shape, np.int8)
    ways = np.full((3, len(classes)), -np.inf)  # from the same state, the one before, the one before that
    for frame in range(1, len(scores)):
        ways[0], ways[1, 1:], ways[2, skips] = total, total[:-1], total[skips - 2]
        moves[frame] = ways.argmax(0)
        total = ways.max(0) + scores[frame]
    state = len(classes) - 1 if total[-1] > total[-2] else len(classes) - 2
    path = np.empty(len(scores), np.int64)
    for frame in range(len(scores) - 1, -1, -1):
        path[frame] = state // 2 if state % 2 else -1
        state -= moves[frame, state]
    return path


def align_words(log_probabilities: np.ndarray, words: Sequence[str], units: TextUnits, times: FrameTimes) -> Alignment:
    """
    When words are said, by the scores of any text head: that of a speech encoder, which hears them, or that of a
    generator, which reads them from lips.

    A word of characters lasts from its first to its last one. The delimiter between words counts as a pause.

    Args:
        log_probabilities (`np.ndarray` of shape `(frames, classes)`): of the text head; class 0 is the blank.
        words (`Sequence[str]`): what is said.
        units ([`TextUnits`]): of the text head.
        times ([`FrameTimes`]): of the frames.

    Raises:
        AlignmentError: if there are no words, the text head does not know one, or they cannot be said in that time.
    """
    unknown = units.unknown(words)
    if unknown or not words:
        raise AlignmentError(f"unknown words: {', '.join(unknown)}." if unknown else "it has no words.")
    if units.delimiter is not None:
        log_probabilities = log_probabilities.copy()
        pauses = log_probabilities[:, [0, units.delimiter]]
        log_probabilities[:, 0] = np.logaddexp.reduce(pauses, axis=1)
    spelt = [[units.classes[unit] for unit in units.spell(word)] for word in words]
    sentence = np.array([unit for word in spelt for unit in word])
    owners = np.repeat(np.arange(len(words)), [len(word) for word in spelt])
    path = forced_path(log_probabilities, sentence)
    spoken = np.flatnonzero(path >= 0)
    heard, said = log_probabilities[spoken], owners[path[spoken]]
    likeness = np.exp(heard[np.arange(len(spoken)), sentence[path[spoken]]] - heard.max(1))
    spans = [spoken[said == number][[0, -1]] + (0, 1) for number in range(len(words))]
    timed = [(*times.between(start, end), word) for (start, end), word in zip(spans, words, strict=True)]
    scores = tuple(float(likeness[said == number].mean()) for number in range(len(words)))
    return Alignment(tuple(timed), scores)


def evidence_of(log_probabilities: np.ndarray, words: Sequence[str], units: TextUnits, passes: int = 1) -> float:
    """
    How a transcript compares with what is heard without one: the log-likelihood ratio of the two per word. A word that
    was not said costs 30 nats and more; see docs/adapt.md for what it is worth.

    Args:
        log_probabilities (`np.ndarray` of shape `(frames, classes)`): of a text head; class 0 is the blank.
        words (`Sequence[str]`): the transcript, of words that the text head knows.
        units ([`TextUnits`]): of the text head.
        passes (`int`, *optional*, defaults to 1): how many times the clip was heard; their frames take turns.

    Returns:
        `float`: in nats per word; about 0 where the words were said.
    """
    target = torch.tensor([units.encode(list(words))])
    ratios = []
    for number in range(passes):
        heard = torch.from_numpy(np.ascontiguousarray(log_probabilities[number::passes], np.float32))
        frames, length = torch.tensor([len(heard)]), torch.tensor([target.shape[1]])
        loss = torch.nn.functional.ctc_loss(heard[:, None], target, frames, length, reduction="sum")
        ratios.append(-float(loss) - float(heard.max(1).values.sum()))
    return float(np.mean(ratios)) / max(len(words), 1)


def doubtful_transcripts(evidence: Mapping[Any, float]) -> set[Any]:
    """
    The clips of one person in which something else than the transcript seems to be said.

    Args:
        evidence (mapping to `float`): by clip, see [`evidence_of`]. Whoever is heard badly in general is compared with
            the median of the own clips.

    Returns:
        `set`: of the keys.
    """
    usual = float(np.clip(np.median(list(evidence.values())), LEAST_USUAL, 0.0)) if len(evidence) >= FEWEST else 0.0
    return {key for key, value in evidence.items() if value - usual < UNLIKELY}


class WordAligner:
    """
    Finds when words are said with a speech encoder.

    Args:
        encoder ([`Lip2WavSpeechEncoder`]): trained on speech with these words.
    """

    def __init__(self, encoder: Lip2WavSpeechEncoder) -> None:
        self.encoder, self.config = encoder.eval(), encoder.config
        self.log_mel = LogMelSpectrogram(encoder.config).eval()

    @classmethod
    def load(cls, model: str | os.PathLike) -> WordAligner:
        """
        With the speech encoder of a folder, a Hub repository or a bundled model, see [`load_network`].

        Raises:
            ModelError, OSError, ValueError: if there is none.
        """
        return cls(load_network(model, "lip2wav_speech_encoder"))

    def unknown(self, words: Sequence[str]) -> list[str]:
        """The distinct words that the speech encoder cannot hear, sorted."""
        return self.config.units.unknown(words)

    @torch.no_grad()
    def log_probabilities(self, waveform: np.ndarray) -> tuple[np.ndarray, FrameTimes]:
        """
        What the text head hears, once for each spectrogram frame, and when.

        Args:
            waveform (`np.ndarray` of shape `(samples,)`): at the sampling rate of the speech encoder, full scale 1.

        Returns:
            `np.ndarray` of shape `(times, classes)`: log probabilities; and their [`FrameTimes`].
        """
        config, factor = self.config, self.encoder.factor
        mel = self.log_mel.standardised(torch.from_numpy(np.ascontiguousarray(waveform, np.float32))[None])[0]
        frames = -(-(len(mel) + factor - 1) // factor)
        heard = mel.new_empty(factor, frames * factor, mel.shape[1])
        for late in range(factor):  # the clip, `late` spectrogram frames later
            before, after = mel[:1].expand(late, -1), mel[-1:].expand(frames * factor - late - len(mel), -1)
            heard[late] = torch.cat([before, mel, after])
        scores = self.encoder(heard).text_logits.float().log_softmax(-1)  # (late, frames, classes)
        step = config.hop_length / config.sampling_rate
        times = FrameTimes(step, (1 - factor / 2) * step, len(waveform) / config.sampling_rate)
        return scores.flip(0).transpose(0, 1).flatten(0, 1).numpy(), times

    def align(self, waveform: np.ndarray, words: Sequence[str]) -> Alignment:
        """
        When words are said in a clip.

        Args:
            waveform (`np.ndarray` of shape `(samples,)`): at the sampling rate of the speech encoder, full scale 1.
            words (`Sequence[str]`): the transcript.

        Raises:
            AlignmentError: as [`align_words`], and if there is no sound.
        """
        if not len(waveform):
            raise AlignmentError("it has no sound.")
        scores, times = self.log_probabilities(waveform)
        return align_words(scores, words, self.config.units, times)

    def evidence(self, waveform: np.ndarray, words: Sequence[str]) -> float | None:
        """
        What a clip says for its transcript, see [`evidence_of`]; `None` where this speech encoder cannot tell: it does
        not know a word, spells instead of knowing words, or there is no sound or no transcript.
        """
        if self.config.units.is_open or not words or not len(waveform) or self.unknown(words):
            return None
        scores, _ = self.log_probabilities(waveform)
        return evidence_of(scores, words, self.config.units, self.encoder.factor)


__all__ = [
    "DOUBTFUL",
    "Alignment",
    "AlignmentError",
    "FrameTimes",
    "WordAligner",
    "align_words",
    "doubtful_transcripts",
    "evidence_of",
    "forced_path",
]
