"""From the frames of a text head to words: the best sentence of a grammar, a beam search, the likeliest classes."""

from __future__ import annotations

import dataclasses
import heapq
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np

from .errors import counted
from .grammar import UNKNOWN, WORD_DELIMITER, Grammar, GrammarError, TextUnits


if TYPE_CHECKING:
    import torch


NGRAM_FILE = "ngram.arpa"  # beside a model's weights
PASSAGE_SECONDS = 60.0  # long clips are read in passages of about this length
LN_10 = math.log(10)  # ARPA files have decimal logarithms


@dataclass(frozen=True)
class DecodingOptions:
    """
    How sentences are matched to frames. All are our choices.

    Attributes:
        change_penalty (`float`): what each beginning of a word or pause costs, in nats.
        sentence_penalty (`float`): what a further sentence in the same video costs, in nats; it follows a pause.
    """

    change_penalty: float = 1.0
    sentence_penalty: float = 10.0


@dataclass(frozen=True)
class DecodedFrames:
    """
    What a grammar makes of a clip.

    Attributes:
        classes (`np.ndarray` of shape `(frames,)`): the class of each frame on the best path; 0 is a pause.
        words (`list[tuple[str, int, int]]`): each word with its first frame and the one after its last.
        score (`float`): log probability of the best path, penalties included; `-inf` where no sentence fits in.
        beginnings (`list[int]`, *optional*): the first frame of each sentence, as far as they are told apart.
    """

    classes: np.ndarray
    words: list[tuple[str, int, int]]
    score: float
    beginnings: list[int] = field(default_factory=list)


class Piece(NamedTuple):
    """
    Neighbouring frames of one class other than the blank.

    Attributes:
        unit (`int`): the class.
        start (`int`), end (`int`): first frame, and the one after the last.
        begins (`bool`): whether a sentence begins here.
    """

    unit: int
    start: int
    end: int
    begins: bool = False


def join_units(pieces: Iterable[Piece], units: TextUnits) -> list[tuple[str, int, int]]:
    """The words of pieces: each with its first frame and the one after its last."""
    words: list[list[Piece]] = []
    is_open = False
    for piece in pieces:
        if piece.unit == units.delimiter:
            is_open = False
            continue
        if not is_open or piece.begins:
            words.append([])
        words[-1].append(piece)
        is_open = units.is_open
    return [(units.text(piece.unit for piece in word), word[0].start, word[-1].end) for word in words]


class GrammarDecoder:
    """
    Viterbi and forward-backward over a grammar (Rabiner 1989), with a pause between any two words or characters.

    Args:
        grammar ([`Grammar`]): the sentences.
        units ([`TextUnits`]): of the text head, which spell the words; class 0 is the pause.
        options ([`DecodingOptions`], *optional*): how to match.

    Raises:
        GrammarError: if the grammar has words that the text head does not know.
    """

    def __init__(self, grammar: Grammar, units: TextUnits, options: DecodingOptions | None = None):
        unknown = units.unknown(grammar.words)
        if unknown:
            known = [unit for unit in units.vocabulary if unit != WORD_DELIMITER]
            raise GrammarError(
                f"the grammar has {counted(len(unknown), 'word')} that this model does not know, e.g. {unknown[0]!r}."
                f" It knows {len(known)} {units.kind}, e.g. {', '.join(known[:5])}."
                " Train or adapt a model with these words."
            )
        self.grammar, self.units, self.options = grammar, units, options or DecodingOptions()
        said = grammar.spelled() if units.is_open else grammar
        sources, symbols, targets = zip(*said.edges, strict=True)
        self.sources, self.targets = np.array(sources), np.array(targets)
        self.edge_classes = np.array([units.classes[symbol] for symbol in symbols])
        self.num_states = said.num_states
        self.finals = np.array(sorted(said.finals))
        self.entered, self.starts = np.unique(self.targets, return_index=True)  # edges are sorted by target

    def _arrivals(self, edges: np.ndarray, pauses: np.ndarray, reduce: np.ufunc) -> tuple[np.ndarray, np.ndarray]:
        """Scores of having come to each state, after its pause or not; and by an edge alone."""
        by_edge = np.full(self.num_states, -np.inf)
        by_edge[self.entered] = reduce.reduceat(edges, self.starts)
        arrived = reduce(by_edge, pauses)
        restart = reduce.reduce(pauses[self.finals]) - self.options.sentence_penalty
        arrived[0] = reduce(arrived[0], restart)
        return arrived, by_edge

    def _forward(self, log_probabilities: np.ndarray, reduce: np.ufunc) -> tuple[np.ndarray, ...]:
        """Scores of all beginnings that end in each edge `(frames, edges)`, in each pause `(frames, states)`, and that
        have come to each state `(frames - 1, states)`: the last frame's nobody needs."""
        frames, penalty = len(log_probabilities), self.options.change_penalty
        spoken = log_probabilities[:, self.edge_classes]
        edges = np.full((frames, len(self.sources)), -np.inf)
        pauses = np.full((frames, self.num_states), -np.inf)
        edges[0, self.sources == 0] = spoken[0, self.sources == 0]
        pauses[0, 0] = log_probabilities[0, 0]
        arrivals = np.empty((frames - 1, self.num_states))
        for frame in range(1, frames):
            arrived, by_edge = self._arrivals(edges[frame - 1], pauses[frame - 1], reduce)
            arrivals[frame - 1] = arrived
            edges[frame] = reduce(edges[frame - 1], arrived[self.sources] - penalty) + spoken[frame]
            pauses[frame] = reduce(pauses[frame - 1], by_edge - penalty) + log_probabilities[frame, 0]
        return edges, pauses, arrivals

    def decode(self, log_probabilities: np.ndarray, is_open: bool = False) -> DecodedFrames:
        """
        The best sentence.

        Args:
            log_probabilities (`np.ndarray` of shape `(frames, classes)`): of the text head.
            is_open (`bool`, *optional*, defaults to `False`): whether the last sentence may go on behind these frames.
        """
        frames = len(log_probabilities)
        nothing = DecodedFrames(np.zeros(frames, np.int64), [], -np.inf)
        if not frames:
            return nothing
        edges, pauses, arrivals = self._forward(log_probabilities.astype(np.float64), np.maximum)
        arrived, _ = self._arrivals(edges[-1], pauses[-1], np.maximum)
        last = int(np.argmax(arrived)) if is_open else int(self.finals[np.argmax(arrived[self.finals])])
        if not np.isfinite(arrived[last]):
            return nothing
        path = self._trace(edges, pauses, arrivals, last)
        classes = np.array([self.edge_classes[edge] if edge >= 0 else 0 for edge, _ in path])
        pieces, begin = [], 0
        for frame in range(1, frames + 1):
            if frame < frames and path[frame] == path[begin]:
                continue
            edge = path[begin][0]
            if edge >= 0:
                pieces.append(Piece(int(self.edge_classes[edge]), begin, frame, self.sources[edge] == 0))
            begin = frame
        beginnings = [piece.start for piece in pieces if piece.begins]
        return DecodedFrames(classes, join_units(pieces, self.units), float(arrived[last]), beginnings)

    def _trace(self, edges: np.ndarray, pauses: np.ndarray, arrivals: np.ndarray, state: int) -> list[tuple[int, int]]:
        """
        The best path backwards from the end: (edge, visit) of each frame, edge -1 - state for a pause. `visit` tells
        one visit of an edge from the next.
        """
        options, frame, visit = self.options, len(edges) - 1, 0
        path: list[tuple[int, int]] = []
        edge, state = self._best_arrival(edges[frame], pauses[frame], state)
        while True:
            path.append((edge if edge >= 0 else -1 - state, visit))
            if frame == 0:
                return path[::-1]
            frame -= 1
            if edge >= 0:
                source = int(self.sources[edge])
                if edges[frame, edge] < arrivals[frame, source] - options.change_penalty:
                    visit += 1
                    edge, state = self._best_arrival(edges[frame], pauses[frame], source)
            else:
                incoming = np.flatnonzero(self.targets == state)
                best = incoming[np.argmax(edges[frame, incoming])] if len(incoming) else -1
                if best >= 0 and pauses[frame, state] < edges[frame, best] - options.change_penalty:
                    visit += 1
                    edge = int(best)

    def _best_arrival(self, edges: np.ndarray, pauses: np.ndarray, state: int) -> tuple[int, int]:
        """By which edge, or (-1) in the pause of which state, the best path comes to a state."""
        incoming = np.flatnonzero(self.targets == state)
        best = int(incoming[np.argmax(edges[incoming])]) if len(incoming) else -1
        score = edges[best] if best >= 0 else -np.inf
        if state == 0:
            final = int(self.finals[np.argmax(pauses[self.finals])])
            if pauses[final] - self.options.sentence_penalty > max(score, pauses[0]):
                return -1, final
        return (best, state) if score > pauses[state] else (-1, state)

    def posteriors(self, log_probabilities: np.ndarray) -> np.ndarray:
        """
        How likely each class is in each frame, given that a sentence of the grammar is spoken.

        Args:
            log_probabilities (`np.ndarray` of shape `(frames, classes)`): of the text head.

        Returns:
            `np.ndarray` of shape `(frames, classes)`: probabilities; those of the text head where no sentence fits in.
        """
        scores = log_probabilities.astype(np.float64)
        if not len(scores):
            return np.exp(scores)
        edges, pauses, _ = self._forward(scores, np.logaddexp)
        back_edges, back_pauses = self._backward(scores)
        edges, pauses = edges + back_edges, pauses + back_pauses
        total = np.logaddexp(np.logaddexp.reduce(edges[0]), np.logaddexp.reduce(pauses[0]))
        if not np.isfinite(total):
            return np.exp(scores)
        result = np.zeros_like(scores)
        result[:, 0] = np.exp(pauses - total).sum(1)
        np.add.at(result.T, self.edge_classes, np.exp(edges - total).T)
        return result / result.sum(1, keepdims=True)

    def _backward(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores of all ends that follow each edge and each pause, its own frame not counted."""
        frames, penalty = len(scores), self.options.change_penalty
        spoken = scores[:, self.edge_classes]
        edges = np.full((frames, len(self.sources)), -np.inf)
        pauses = np.full((frames, self.num_states), -np.inf)
        ended = np.full(self.num_states, -np.inf)
        ended[self.finals] = 0.0
        edges[-1], pauses[-1] = ended[self.targets], ended
        order = np.argsort(self.sources, kind="stable")
        left, starts = np.unique(self.sources[order], return_index=True)
        for frame in range(frames - 2, -1, -1):
            ahead = edges[frame + 1] + spoken[frame + 1]
            pause = pauses[frame + 1] + scores[frame + 1, 0]
            onward = np.full(self.num_states, -np.inf)  # by an edge that begins in the next frame
            onward[left] = np.logaddexp.reduceat(ahead[order], starts) - penalty
            edges[frame] = np.logaddexp(ahead, np.logaddexp(onward[self.targets], (pause - penalty)[self.targets]))
            pauses[frame] = np.logaddexp(pause, onward)
            restart = onward[0] - self.options.sentence_penalty
            pauses[frame, self.finals] = np.logaddexp(pauses[frame, self.finals], restart)
        return edges, pauses


class NGram:
    """
    How likely each word is after others: a back-off model, as files in the ARPA format hold it.

    Args:
        scores (mapping of `tuple[str, ...]` to `float`): natural logarithm of the probability of the last word of each
            n-gram, given those before it. `"<s>"` and `"</s>"` are the ends of a sentence, `"<unk>"` any other word.
        backoffs (mapping of `tuple[str, ...]` to `float`): natural logarithm of a history's back-off weight. A history
            is an n-gram itself.

    Raises:
        GrammarError: if there are no single words in it, or no `"<unk>"`.
    """

    def __init__(self, scores: Mapping[tuple[str, ...], float], backoffs: Mapping[tuple[str, ...], float]):
        self.scores, self.backoffs = dict(scores), dict(backoffs)
        self.order = max(map(len, self.scores), default=0)
        if (UNKNOWN,) not in self.scores:
            raise GrammarError(f"the n-gram has no {UNKNOWN}, which stands for words that it does not list.")

    def log_probability(self, history: tuple[str, ...], word: str) -> float:
        """Natural logarithm of the probability of a word after others, the nearest of which count."""
        word = word if (word,) in self.scores else UNKNOWN
        total, history = 0.0, history[max(len(history) - self.order + 1, 0) :]
        while (*history, word) not in self.scores:
            total += self.backoffs.get(history, 0.0)
            history = history[1:]
        return total + self.scores[*history, word]

    @classmethod
    def from_arpa(cls, path: str | os.PathLike) -> NGram:
        """
        Read an ARPA file.

        Raises:
            GrammarError: if it cannot be read as one.
        """
        scores, backoffs, order = {}, {}, 0
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
            for line in lines:
                if line.startswith("\\"):
                    order = int(line[1:].split("-")[0]) if line.endswith("-grams:") else 0
                elif order and line:
                    score, words, *backoff = line.split("\t")
                    key = tuple(words.split(" "))
                    if len(key) != order:
                        raise ValueError(f"{words!r} is not of order {order}")
                    scores[key] = float(score) * LN_10
                    if backoff:
                        backoffs[key] = float(backoff[0]) * LN_10
            return cls(scores, backoffs)
        except (OSError, ValueError) as error:
            raise GrammarError(f"{path}: this is no n-gram in the ARPA format ({error}).") from error

    def to_arpa(self) -> str:
        """The text of an ARPA file."""
        groups = [sorted(key for key in self.scores if len(key) == order) for order in range(1, self.order + 1)]
        lines = ["\\data\\", *(f"ngram {order}={len(keys)}" for order, keys in enumerate(groups, 1)), ""]
        for order, keys in enumerate(groups, 1):
            lines.append(f"\\{order}-grams:")
            for key in keys:
                backoff = f"\t{self.backoffs[key] / LN_10:.7g}" if key in self.backoffs else ""
                lines.append(f"{self.scores[key] / LN_10:.7g}\t{' '.join(key)}{backoff}")
            lines.append("")
        return "\n".join([*lines, "\\end\\", ""])


@dataclass(frozen=True)
class BeamOptions:
    """
    How a beam search weighs and prunes. All are our choices.

    Attributes:
        width (`int`): how many beginnings of sentences are kept from frame to frame.
        ngram_weight (`float`): weight of the n-gram's log probabilities.
        word_bonus (`float`): what each word earns, in nats.
        least (`float`): units of a smaller log probability in a frame are not looked at there.
    """

    width: int = 16
    ngram_weight: float = 0.5
    word_bonus: float = 0.0
    least: float = -10.0


class _Prefix:
    """A beginning of a sentence; those that go on with the same unit are one object."""

    __slots__ = ("bonus", "children", "parent", "spelling", "unit", "words")

    def __init__(self, parent: _Prefix | None, unit: int, words: tuple[str, ...], spelling: tuple[int, ...]):
        self.parent, self.unit, self.words, self.spelling = parent, unit, words, spelling
        self.children: dict[int, _Prefix] = {}
        self.bonus = 0.0


class BeamDecoder:
    """
    Prefix beam search over the sums of CTC paths (Graves 2012; Hannun et al. 2014), with an n-gram of words.

    What is maximised is `log P(units) + ngram_weight log P(words) + word_bonus (number of words)`. The frames of the
    words are those of the best path of the sentence that was found.

    Args:
        units ([`TextUnits`]): of the text head.
        options ([`BeamOptions`], *optional*): how to search.
        ngram ([`NGram`], *optional*): none by default.
        change_penalty (`float`, *optional*, defaults to 0): in finding the frames, see [`DecodingOptions`].
    """

    def __init__(
        self,
        units: TextUnits,
        options: BeamOptions | None = None,
        ngram: NGram | None = None,
        change_penalty: float = 0.0,
    ):
        self.units, self.options, self.ngram = units, options or BeamOptions(), ngram
        self.times = DecodingOptions(change_penalty, math.inf)

    def decode(self, log_probabilities: np.ndarray) -> DecodedFrames:
        """The best sentence; see [`GrammarDecoder.decode`]."""
        sentence, score = self.search(log_probabilities)
        if not sentence:
            return DecodedFrames(np.zeros(len(log_probabilities), np.int64), [], score)
        return dataclasses.replace(self._only(sentence).decode(log_probabilities), score=score)

    def posteriors(self, log_probabilities: np.ndarray) -> np.ndarray:
        """How likely each class is in each frame, given the best sentence; see [`GrammarDecoder.posteriors`]."""
        sentence, _ = self.search(log_probabilities)
        return self._only(sentence).posteriors(log_probabilities) if sentence else np.exp(log_probabilities)

    def _only(self, sentence: tuple[str, ...]) -> GrammarDecoder:
        return GrammarDecoder(Grammar.from_phrases([" ".join(sentence)]), self.units, self.times)

    def search(self, log_probabilities: np.ndarray) -> tuple[tuple[str, ...], float]:
        """
        The words of the best sentence, and its score.

        Args:
            log_probabilities (`np.ndarray` of shape `(frames, classes)`): of the text head.
        """
        beam: dict[_Prefix, list[float]] = {_Prefix(None, 0, (), ()): [0.0, -math.inf]}
        for scores in log_probabilities.astype(np.float64):
            beam = self._step(beam, scores)
        ended = [(_add(*ends) + prefix.bonus + self._end(prefix), prefix) for prefix, ends in beam.items()]
        score, best = max(ended, key=lambda entry: entry[0])
        return self._finished(best), float(score)

    def _step(self, beam: dict[_Prefix, list[float]], scores: np.ndarray) -> dict[_Prefix, list[float]]:
        """The best beginnings up to the next frame: log probabilities of ending in a blank, and in a unit."""
        candidates = [int(unit) for unit in np.flatnonzero(scores >= self.options.least) if unit]
        found: dict[_Prefix, list[float]] = {}
        values = scores.tolist()
        for prefix, (blank, unit_end) in beam.items():
            total = _add(blank, unit_end)
            ends = found.setdefault(prefix, [-math.inf, -math.inf])
            ends[0] = _add(ends[0], total + values[0])
            if prefix.unit:
                ends[1] = _add(ends[1], unit_end + values[prefix.unit])
            for unit in candidates:
                before = blank if unit == prefix.unit else total
                if before > -math.inf:
                    ends = found.setdefault(self._extend(prefix, unit), [-math.inf, -math.inf])
                    ends[1] = _add(ends[1], before + values[unit])
        if len(found) <= self.options.width:
            return found
        best = heapq.nlargest(self.options.width, found, key=lambda prefix: _add(*found[prefix]) + prefix.bonus)
        return {prefix: found[prefix] for prefix in best}

    def _extend(self, prefix: _Prefix, unit: int) -> _Prefix:
        if unit in prefix.children:
            return prefix.children[unit]
        words, spelling = prefix.words, (*prefix.spelling, unit)
        if not self.units.is_open or unit == self.units.delimiter:
            word = self.units.text(spelling)
            words, spelling = ((*words, word) if word else words), ()
        child = prefix.children[unit] = _Prefix(prefix, unit, words, spelling)
        child.bonus = prefix.bonus
        if len(words) > len(prefix.words):
            child.bonus += self._word(prefix.words, words[-1])
        return child

    def _word(self, history: tuple[str, ...], word: str) -> float:
        """What a word adds to the score of those before it."""
        if self.ngram is None:
            return self.options.word_bonus
        return self.options.word_bonus + self._ngram(history, word)

    def _ngram(self, history: tuple[str, ...], word: str) -> float:
        return self.options.ngram_weight * self.ngram.log_probability(("<s>", *history), word) if self.ngram else 0.0

    def _finished(self, prefix: _Prefix) -> tuple[str, ...]:
        """All words of a beginning; the last one may have no delimiter behind it."""
        return (*prefix.words, *self.units.text(prefix.spelling).split())

    def _end(self, prefix: _Prefix) -> float:
        """What it adds to a score that the sentence ends here."""
        words = self._finished(prefix)
        last = self._word(prefix.words, words[-1]) if len(words) > len(prefix.words) else 0.0
        return last + self._ngram(words, "</s>")


def _add(first: float, second: float) -> float:
    """Logarithm of the sum of two probabilities, from theirs."""
    high, low = (first, second) if first > second else (second, first)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


TextDecoder = GrammarDecoder | BeamDecoder
"""What finds the words of a clip in the frames of its text head, other than frame by frame."""


class Word(TypedDict):
    """A recognised word: `start` and `end` in seconds from the first frame, `confidence` from 0 to 1."""

    word: str
    start: float
    end: float
    confidence: float


def best_path(scores: np.ndarray, change_penalty: float) -> np.ndarray:
    """
    The classes of the frames with the highest sum of scores, each change of class costing a penalty (Viterbi 1967).

    Args:
        scores (`np.ndarray` of shape `(frames, classes)`): log probabilities.
        change_penalty (`float`): taken off where the class differs from the frame before; with 0 each frame has its
            best class.

    Returns:
        `np.ndarray` of shape `(frames,)`: int64.
    """
    total, previous = scores[:1].sum(0), []
    for frame in scores[1:]:
        best = total.argmax()
        changes = total[best] - change_penalty > total
        previous.append(np.where(changes, best, np.arange(len(total))))
        total = np.where(changes, total[best] - change_penalty, total) + frame
    path = [total.argmax()] if len(scores) else []
    for origin in reversed(previous):
        path.append(origin[path[-1]])
    return np.array(path[::-1], dtype=np.int64)


def read_words(
    log_probabilities: np.ndarray,
    units: TextUnits,
    frame_rate: float,
    change_penalty: float,
    decoder: TextDecoder | None = None,
) -> list[Word]:
    """
    The words of a clip with their times.

    Args:
        log_probabilities (`np.ndarray` of shape `(frames, classes)`): of the text head.
        units ([`TextUnits`]): what the classes stand for.
        frame_rate (`float`): in frames/s.
        change_penalty (`float`): see [`best_path`], which is taken where there is no decoder.
        decoder ([`GrammarDecoder`] or [`BeamDecoder`], *optional*): finds the best sentence instead.

    Returns:
        `list[Word]`: the confidence is the text head's own mean probability over the frames of a word, or of its
        characters, with a grammar too. A word of characters lasts from its first to its last one.
    """
    reader = WordReader(units, frame_rate, change_penalty, decoder)
    reader.push(log_probabilities)
    return reader.finish()


class WordReader:
    """
    As [`read_words`], of frames that come block by block, in bounded memory: two minutes are read at a time. They are
    cut where a sentence of the grammar has ended, else where the text head is surest of a pause.

    Args:
        units, frame_rate, change_penalty, decoder: as for [`read_words`].
    """

    def __init__(self, units: TextUnits, frame_rate: float, change_penalty: float, decoder: TextDecoder | None = None):
        self.units, self.frame_rate, self.change_penalty, self.decoder = units, frame_rate, change_penalty, decoder
        self.words: list[Word] = []
        self._waiting: list[np.ndarray] = []
        self._first = 0  # frame of those waiting
        self._longest = 2 * round(PASSAGE_SECONDS * frame_rate)

    def push(self, log_probabilities: np.ndarray) -> None:
        """Take the next frames, `(frames, classes)`."""
        for start in range(0, len(log_probabilities), self._longest):
            self._waiting.append(log_probabilities[start : start + self._longest])
            while sum(map(len, self._waiting)) > self._longest:
                frames = np.concatenate(self._waiting)
                self._waiting = [frames[self._read(frames, is_last=False) :]]

    def finish(self) -> list[Word]:
        """Read what is left; all words of the clip."""
        if self._waiting:
            self._read(np.concatenate(self._waiting), is_last=True)
            self._waiting = []
        return self.words

    def _read(self, frames: np.ndarray, is_last: bool) -> int:
        """Add the words of frames, unless they are the last, up to a frame that is chosen and returned."""
        path, words, beginnings = self._decode(frames)
        cut = len(frames)
        if not is_last:
            third = len(frames) // 3
            later = [start for start in beginnings if third < start < 2 * third]
            if later:
                ended = max((end for _, _, end in words if end <= later[-1]), default=0)
                cut = (ended + later[-1] + 1) // 2
            else:
                cut = third + int(np.argmax(frames[third : 2 * third, 0]))
                path, words, _ = self._decode(frames[:cut])
        probabilities, spoken = np.exp(frames[np.arange(len(path)), path]), path != 0
        self.words += [
            {
                "word": word,
                "start": (self._first + start) / self.frame_rate,
                "end": (self._first + end) / self.frame_rate,
                "confidence": float(probabilities[start:end][spoken[start:end]].mean()),
            }
            for word, start, end in words
            if end <= cut
        ]
        self._first += cut
        return cut

    def _decode(self, frames: np.ndarray) -> tuple[np.ndarray, list[tuple[str, int, int]], list[int]]:
        """The class of each frame, the words with their frames, and where sentences begin if that is known."""
        if self.decoder is not None:
            decoded = self.decoder.decode(frames)
            return decoded.classes, decoded.words, decoded.beginnings
        path = best_path(frames, self.change_penalty)
        edges = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]
        pieces = [Piece(int(path[start]), start, end) for start, end in pairwise(edges) if start < end and path[start]]
        return path, join_units(pieces, self.units), []


class PosteriorReader:
    """
    How likely each class is in each frame, given a grammar, of frames that come block by block; in bounded memory.

    Args:
        decoder ([`GrammarDecoder`] or [`BeamDecoder`]): knows the grammar.
        reach (`int`): frames to either side that count.
    """

    def __init__(self, decoder: TextDecoder, reach: int):
        self.decoder, self.reach = decoder, reach
        self._kept: np.ndarray | None = None
        self._first = 0  # frame of those kept

    def push(self, log_probabilities: np.ndarray) -> None:
        """Take the next frames, `(frames, classes)`."""
        kept = [log_probabilities] if self._kept is None else [self._kept, log_probabilities]
        self._kept = np.concatenate(kept)

    def knows(self, end: int) -> bool:
        """Whether all that counts for the frames before `end` has come, unless the clip ends before."""
        return self._kept is not None and self._first + len(self._kept) >= end + self.reach

    def read(self, begin: int, end: int) -> np.ndarray:
        """Probabilities `(frames, classes)` of frames `begin` to `end`; those asked for later begin no earlier."""
        assert self._kept is not None
        low = max(begin - self.reach - self._first, 0)
        self._kept, self._first = self._kept[low:], self._first + low
        around = self._kept[: end + self.reach - self._first]
        return self.decoder.posteriors(around)[begin - self._first : end - self._first]


class Window(NamedTuple):
    """A chunk of a video with its context: what a generator takes. Its frames `start` to `end` are to be kept."""

    pixel_values_videos: Any
    frame_mask: Any | None
    start: int = 0
    end: int = 0
    words: Any | None = None
    encoded: Any = None  # what `encode` returns, if the lips have been read

    @property
    def text_logits(self) -> Any:
        """Of the frames to be kept, `(batch, frames, classes)`, once the lips have been read."""
        return self.encoded[1][:, self.start : self.end]


def decode_words(
    text_logits: torch.Tensor | np.ndarray,
    frame_mask: torch.Tensor | np.ndarray | None,
    config: Any,
    grammar: TextDecoder | None = None,
) -> list[list[Word]]:
    """Words with their times, see [`Lip2WavPreTrainedModel.decode_text`]; `config` gives units and rates."""
    return [
        read_words(scores, config.units, config.frame_rate, config.change_penalty, grammar)
        for scores in clip_scores(text_logits, frame_mask)
    ]


def clip_scores(
    text_logits: torch.Tensor | np.ndarray, frame_mask: torch.Tensor | np.ndarray | None
) -> list[np.ndarray]:
    """Log probabilities `(frames, classes)` of each clip of a batch, without its padding."""
    if isinstance(text_logits, np.ndarray):
        scores = text_logits - text_logits.max(-1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    else:
        scores = text_logits.detach().float().log_softmax(-1).cpu().numpy()
    lengths = [scores.shape[1]] * len(scores) if frame_mask is None else frame_mask.sum(1).tolist()
    return [clip[: int(length)] for clip, length in zip(scores, lengths, strict=True)]


__all__ = [
    "NGRAM_FILE",
    "BeamDecoder",
    "BeamOptions",
    "DecodedFrames",
    "DecodingOptions",
    "GrammarDecoder",
    "NGram",
    "Piece",
    "PosteriorReader",
    "TextDecoder",
    "Window",
    "Word",
    "WordReader",
    "best_path",
    "clip_scores",
    "decode_words",
    "join_units",
    "read_words",
]
