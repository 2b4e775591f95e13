"""From the frames of a text head to words: the best sentence of a grammar, or the likeliest classes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np

from .grammar import WORD_DELIMITER, Grammar, GrammarError, TextUnits


if TYPE_CHECKING:
    import torch


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
    """

    classes: np.ndarray
    words: list[tuple[str, int, int]]
    score: float


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
                f"the grammar has {len(unknown)} word(s) that this model does not know, e.g. {unknown[0]!r}. It knows"
                f" {len(known)} {units.kind}, e.g. {', '.join(known[:5])}. Train or adapt a model with these words."
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

    def _forward(self, log_probabilities: np.ndarray, reduce: np.ufunc) -> tuple[np.ndarray, np.ndarray]:
        """Scores of all beginnings that end in each edge `(frames, edges)` and in each pause `(frames, states)`."""
        frames, penalty = len(log_probabilities), self.options.change_penalty
        spoken = log_probabilities[:, self.edge_classes]
        edges = np.full((frames, len(self.sources)), -np.inf)
        pauses = np.full((frames, self.num_states), -np.inf)
        edges[0, self.sources == 0] = spoken[0, self.sources == 0]
        pauses[0, 0] = log_probabilities[0, 0]
        for frame in range(1, frames):
            arrived, by_edge = self._arrivals(edges[frame - 1], pauses[frame - 1], reduce)
            edges[frame] = reduce(edges[frame - 1], arrived[self.sources] - penalty) + spoken[frame]
            pauses[frame] = reduce(pauses[frame - 1], by_edge - penalty) + log_probabilities[frame, 0]
        return edges, pauses

    def decode(self, log_probabilities: np.ndarray) -> DecodedFrames:
        """
        The best sentence.

        Args:
            log_probabilities (`np.ndarray` of shape `(frames, classes)`): of the text head.
        """
        frames = len(log_probabilities)
        nothing = DecodedFrames(np.zeros(frames, np.int64), [], -np.inf)
        if not frames:
            return nothing
        edges, pauses = self._forward(log_probabilities.astype(np.float64), np.maximum)
        arrived, _ = self._arrivals(edges[-1], pauses[-1], np.maximum)
        last = int(self.finals[np.argmax(arrived[self.finals])])
        if not np.isfinite(arrived[last]):
            return nothing
        path = self._trace(edges, pauses, last)
        classes = np.array([self.edge_classes[edge] if edge >= 0 else 0 for edge, _ in path])
        pieces, begin = [], 0
        for frame in range(1, frames + 1):
            if frame < frames and path[frame] == path[begin]:
                continue
            edge = path[begin][0]
            if edge >= 0:
                pieces.append(Piece(int(self.edge_classes[edge]), begin, frame, self.sources[edge] == 0))
            begin = frame
        return DecodedFrames(classes, join_units(pieces, self.units), float(arrived[last]))

    def _trace(self, edges: np.ndarray, pauses: np.ndarray, state: int) -> list[tuple[int, int]]:
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
                arrived, _ = self._arrivals(edges[frame], pauses[frame], np.maximum)
                if edges[frame, edge] < arrived[source] - options.change_penalty:
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
        edges, pauses = self._forward(scores, np.logaddexp)
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
    decoder: GrammarDecoder | None = None,
) -> list[Word]:
    """
    The words of a clip with their times.

    Args:
        log_probabilities (`np.ndarray` of shape `(frames, classes)`): of the text head.
        units ([`TextUnits`]): what the classes stand for.
        frame_rate (`float`): in frames/s.
        change_penalty (`float`): see [`best_path`], which is taken where there is no grammar.
        decoder ([`GrammarDecoder`], *optional*): finds the best sentence of a grammar instead.

    Returns:
        `list[Word]`: the confidence is the text head's own mean probability over the frames of a word, or of its
        characters, with a grammar too. A word of characters lasts from its first to its last one.
    """
    if decoder is not None:
        decoded = decoder.decode(log_probabilities)
        path, words = decoded.classes, decoded.words
    else:
        path = best_path(log_probabilities, change_penalty)
        edges = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]
        pieces = [Piece(int(path[start]), start, end) for start, end in pairwise(edges) if start < end and path[start]]
        words = join_units(pieces, units)
    probabilities, spoken = np.exp(log_probabilities[np.arange(len(path)), path]), path != 0
    return [
        {
            "word": word,
            "start": start / frame_rate,
            "end": end / frame_rate,
            "confidence": float(probabilities[start:end][spoken[start:end]].mean()),
        }
        for word, start, end in words
    ]


def decode_words(
    text_logits: torch.Tensor,
    frame_mask: torch.Tensor | None,
    config: Any,
    grammar: GrammarDecoder | None = None,
) -> list[list[Word]]:
    """Words with their times, see [`Lip2WavPreTrainedModel.decode_text`]; `config` gives units and rates."""
    return [
        read_words(scores, config.units, config.frame_rate, config.change_penalty, grammar)
        for scores in clip_scores(text_logits, frame_mask)
    ]


def clip_scores(text_logits: torch.Tensor, frame_mask: torch.Tensor | None) -> list[np.ndarray]:
    """Log probabilities `(frames, classes)` of each clip of a batch, without its padding."""
    scores = text_logits.detach().float().log_softmax(-1).cpu().numpy()
    lengths = [scores.shape[1]] * len(scores) if frame_mask is None else frame_mask.sum(1).int().tolist()
    return [clip[:length] for clip, length in zip(scores, lengths, strict=True)]


__all__ = [
    "DecodedFrames",
    "DecodingOptions",
    "GrammarDecoder",
    "Piece",
    "Word",
    "best_path",
    "clip_scores",
    "decode_words",
    "join_units",
    "read_words",
]
