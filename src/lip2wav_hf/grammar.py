"""Which sentences may be spoken (GRID's grammar, JSGF, lists of phrases), and which of them a text head has read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TypedDict

import numpy as np

from .errors import Lip2WavError


GRAMMAR: dict[str, list[str]] = {
    "command": ["bin", "lay", "place", "set"],
    "colour": ["blue", "green", "red", "white"],
    "preposition": ["at", "by", "in", "with"],
    "letter": list("abcdefghijklmnopqrstuvxyz"),
    "digit": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    "adverb": ["again", "now", "please", "soon"],
}
"""The words of each slot of a GRID sentence, in order of speaking. "w" is not among the letters."""

VOCABULARY: list[str] = [word for words in GRAMMAR.values() for word in words]
"""The 51 distinct words of GRID."""

MAX_STATES = 200_000

_TOKEN = re.compile(
    r"\s+|//[^\n]*|/\*.*?\*/|(?P<rule><[^<>]+>)|(?P<quoted>\"(?:\\.|[^\"\\])*\")|(?P<tag>\{(?:\\.|[^}\\])*\})"
    r"|(?P<weight>/[\d.eE+-]+/)|(?P<sign>[=;|()\[\]*+])|(?P<word>[^\s<>=;|()\[\]*+{}/\"]+)",
    re.DOTALL,
)


class GrammarError(Lip2WavError):
    """A grammar or list of phrases that cannot be used."""


@dataclass(frozen=True)
class Grammar:
    """
    Sentences that may be spoken, as a deterministic automaton over words: state 0 is the beginning.

    Make one with [`Grammar.from_phrases`], [`Grammar.from_jsgf`], [`Grammar.from_slots`], or, from any of their
    arguments, with [`Grammar.of`].

    Attributes:
        edges (`tuple[tuple[int, str, int], ...]`): (state, word, next state), sorted by next state.
        finals (`frozenset[int]`): states in which a sentence may end.
    """

    edges: tuple[tuple[int, str, int], ...]
    finals: frozenset[int] = field(default_factory=frozenset)

    @classmethod
    def of(cls, grammar: Grammar | str | os.PathLike | Sequence[str] | Mapping[str, Sequence[str]]) -> Grammar:
        """
        A grammar from what a user has.

        Args:
            grammar: a `Grammar`; a list of sentences; a mapping of slots to words; the text of a JSGF grammar; or the
                path of a file: `.jsgf`, `.gram` (JSGF), or of any other text file with a sentence on each line.

        Raises:
            GrammarError: if it is none of these.
        """
        if isinstance(grammar, Grammar):
            return grammar
        if isinstance(grammar, Mapping):
            return cls.from_slots(grammar)
        if isinstance(grammar, str) and ("#JSGF" in grammar or "\n" in grammar or ";" in grammar):
            return cls.from_jsgf(grammar) if "=" in grammar else cls.from_phrases(grammar.splitlines())
        if isinstance(grammar, (str, os.PathLike)):
            return cls._from_file(Path(grammar).expanduser())
        if isinstance(grammar, Iterable):
            return cls.from_phrases(grammar)
        raise GrammarError(f"{grammar!r} is no grammar: pass a list of sentences, JSGF, or the path of a file.")

    @classmethod
    def _from_file(cls, path: Path) -> Grammar:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise GrammarError(
                f"grammar {path}: it cannot be read as text ({error}). Pass a .jsgf file, or one with a sentence on"
                " each line."
            ) from error
        if path.suffix.lower() in (".jsgf", ".gram") or "#JSGF" in text:
            return cls.from_jsgf(text, str(path))
        return cls.from_phrases(text.splitlines(), str(path))

    @classmethod
    def from_phrases(cls, phrases: Iterable[str], name: str = "the list of phrases") -> Grammar:
        """The grammar of exactly these sentences, words separated by white space; empty ones are ignored."""
        if isinstance(phrases, (str, bytes)):
            raise GrammarError(f"{name}: pass a list of sentences, not one string.")
        sentences = []
        for phrase in phrases:
            if not isinstance(phrase, str):
                raise GrammarError(f"{name}: {phrase!r} is no sentence but a {type(phrase).__name__}.")
            sentences.append(phrase.split())
        machine = _Machine()
        start, end = machine.state(), machine.state()
        for words in filter(None, sentences):
            state = start
            for word in words[:-1]:
                state = machine.step(state, word, machine.state())
            machine.step(state, words[-1], end)
        return machine.grammar(start, end, name)

    @classmethod
    def from_slots(cls, slots: Mapping[str, Sequence[str]]) -> Grammar:
        """The grammar of sentences with one word of each slot, in order, such as `GRAMMAR` of GRID."""
        machine = _Machine()
        state = start = machine.state()
        for words in slots.values():
            following = machine.state()
            for word in words:
                machine.step(state, word, following)
            state = following
        return machine.grammar(start, state, "the slots")

    @classmethod
    def from_jsgf(cls, text: str, name: str = "the grammar") -> Grammar:
        """
        The grammar of a text in the Java Speech Grammar Format: rules, alternatives, groups, optional parts, `*` and
        `+`. Tags are ignored; weights, imports and rules that contain themselves are refused. The public rule is the
        sentence; if there are several, any of them.
        """
        return _JSGF(text, name).grammar()

    @property
    def num_states(self) -> int:
        """States of the automaton, numbered from 0."""
        return 1 + max((max(source, target) for source, _, target in self.edges), default=0)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The distinct words, in the order of their first appearance."""
        return tuple(dict.fromkeys(word for _, word, _ in sorted(self.edges, key=lambda edge: edge[0])))

    @cached_property
    def _next(self) -> dict[tuple[int, str], int]:
        return {(source, word): target for source, word, target in self.edges}

    def accepts(self, sentence: str) -> bool:
        """Whether a sentence is allowed."""
        state: int | None = 0
        for word in sentence.split():
            state = self._next.get((state, word)) if state is not None else None
        return state in self.finals

    def count(self) -> float:
        """How many sentences there are; `inf` if some part may be repeated without end."""
        following: dict[int, list[int]] = {}
        for source, _, target in self.edges:
            following.setdefault(source, []).append(target)
        counts: dict[int, float] = {}
        stack: list[tuple[int, bool]] = [(0, False)]
        open_states: set[int] = set()
        while stack:
            state, done = stack.pop()
            if done:
                open_states.discard(state)
                counts[state] = (state in self.finals) + sum(counts[other] for other in following.get(state, ()))
            elif state in open_states:
                return float("inf")
            elif state not in counts:
                open_states.add(state)
                stack.append((state, True))
                stack += [(other, False) for other in following.get(state, ())]
        return counts[0]

    def to_jsgf(self, name: str = "sentences") -> str:
        """The same sentences in JSGF, a rule for each state; the automaton must have no loop."""
        rules: dict[int, list[str]] = {}
        for source, word, target in self.edges:
            rest = f" <s{target}>" if any(edge[0] == target for edge in self.edges) else ""
            rules.setdefault(source, []).append(word + rest)
        lines = [f"#JSGF V1.0;\ngrammar {name};"]
        for state, choices in sorted(rules.items()):
            body = " | ".join(choices)
            lines.append(f"{'public ' * (state == 0)}<s{state}> = {f'[{body}]' if state in self.finals else body};")
        return "\n".join(lines) + "\n"


class _Machine:
    """A nondeterministic automaton under construction; `None` stands for a step without a word."""

    def __init__(self) -> None:
        self.steps: list[dict[str | None, list[int]]] = []

    def state(self) -> int:
        self.steps.append({})
        if len(self.steps) > MAX_STATES:
            raise GrammarError(f"the grammar is too large: more than {MAX_STATES} states.")
        return len(self.steps) - 1

    def step(self, state: int, word: str | None, target: int) -> int:
        self.steps[state].setdefault(word, []).append(target)
        return target

    def _reach(self, states: Iterable[int]) -> frozenset[int]:
        found, stack = set(states), list(states)
        while stack:
            for target in self.steps[stack.pop()].get(None, ()):
                if target not in found:
                    found.add(target)
                    stack.append(target)
        return frozenset(found)

    def grammar(self, start: int, end: int, name: str) -> Grammar:
        """The deterministic automaton, by subset construction; sentences that begin alike share their beginning."""
        first = self._reach([start])
        numbers, queue, edges = {first: 0}, [first], []
        for states in queue:
            choices: dict[str, list[int]] = {}
            for state in sorted(states):
                for word, targets in self.steps[state].items():
                    if word is not None:
                        choices.setdefault(word, []).extend(targets)
            for word, targets in choices.items():
                reached = self._reach(targets)
                if reached not in numbers:
                    numbers[reached] = len(numbers)
                    queue.append(reached)
                    if len(numbers) > MAX_STATES:
                        raise GrammarError(f"{name}: it is too large, with more than {MAX_STATES} states.")
                edges.append((numbers[states], word, numbers[reached]))
        if not edges:
            raise GrammarError(f"{name}: there is no sentence in it.")
        finals = frozenset(number for states, number in numbers.items() if end in states)
        return Grammar(tuple(sorted(edges, key=lambda edge: edge[2])), finals)


class _JSGF:
    """Recursive descent over the tokens of a JSGF text."""

    def __init__(self, text: str, name: str):
        self.name, self.machine, self.open_rules = name, _Machine(), []
        self.rules: dict[str, list[str]] = {}
        self.public: list[str] = []
        self._read_rules(self._tokens(re.sub(r"\A\ufeff?\s*#JSGF[^;\n]*;?", "", text)))

    def _error(self, problem: str) -> GrammarError:
        return GrammarError(f"{self.name}: {problem} in the JSGF grammar.")

    def _tokens(self, text: str) -> list[str]:
        tokens, position = [], 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise self._error(f"line {text.count(chr(10), 0, position) + 1} has an unexpected {text[position]!r}")
            position = match.end()
            if match.lastgroup == "weight":
                raise self._error(f"the weight {match[0]} is not supported: remove it")
            if match.lastgroup in ("rule", "quoted", "sign", "word"):
                tokens.append(match[0])
        return tokens

    def _read_rules(self, tokens: list[str]) -> None:
        statement: list[str] = []
        for token in tokens:
            if token != ";":
                statement.append(token)
                continue
            self._read_statement(statement)
            statement = []
        if statement:
            raise self._error(f"a semicolon is missing after {' '.join(statement[:6])!r}")
        if not self.rules:
            raise self._error("there is no rule, such as `public <sentence> = yes | no;`,")

    def _read_statement(self, statement: list[str]) -> None:
        if not statement or statement[0] == "grammar":
            return
        if statement[0] == "import":
            raise self._error("`import` is not supported")
        is_public = statement[0] == "public"
        head, *body = statement[is_public:]
        if not head.startswith("<") or body[:1] != ["="] or len(body) < 2:
            raise self._error(f"no rule begins with {' '.join(statement[:4])!r}")
        if head in self.rules:
            raise self._error(f"the rule {head} is there twice")
        self.rules[head] = body[1:]
        if is_public:
            self.public.append(head)

    def grammar(self) -> Grammar:
        start, end = self.machine.state(), self.machine.state()
        for rule in self.public or list(self.rules)[:1]:
            first, last = self._rule(rule)
            self.machine.step(start, None, first)
            self.machine.step(last, None, end)
        return self.machine.grammar(start, end, self.name)

    def _rule(self, name: str) -> tuple[int, int]:
        if name in ("<NULL>", "<VOID>"):
            first, last = self.machine.state(), self.machine.state()
            if name == "<NULL>":
                self.machine.step(first, None, last)
            return first, last
        if name not in self.rules:
            raise self._error(f"the rule {name} is used but not there")
        if name in self.open_rules:
            raise self._error(f"the rule {name} contains itself, which is not supported: use * or +,")
        self.open_rules.append(name)
        body, position = self.rules[name], 0
        fragment, position = self._choice(body, position)
        if position != len(body):
            raise self._error(f"the rule {name} has a {body[position]!r} too many")
        self.open_rules.pop()
        return fragment

    def _choice(self, body: list[str], position: int) -> tuple[tuple[int, int], int]:
        first, last = self.machine.state(), self.machine.state()
        while True:
            (begin, finish), position = self._sequence(body, position)
            self.machine.step(first, None, begin)
            self.machine.step(finish, None, last)
            if position >= len(body) or body[position] != "|":
                return (first, last), position
            position += 1

    def _sequence(self, body: list[str], position: int) -> tuple[tuple[int, int], int]:
        first = last = self.machine.state()
        empty = True
        while position < len(body) and body[position] not in ("|", ")", "]"):
            (begin, finish), position = self._item(body, position)
            if position < len(body) and body[position] in ("*", "+"):
                self.machine.step(finish, None, begin)
                if body[position] == "*":
                    self.machine.step(begin, None, finish)
                position += 1
            self.machine.step(last, None, begin)
            last, empty = finish, False
        if empty:
            raise self._error("an alternative is empty: use [ ] for what may be left out,")
        return (first, last), position

    def _item(self, body: list[str], position: int) -> tuple[tuple[int, int], int]:
        token = body[position]
        if token in ("(", "["):
            (first, last), end = self._choice(body, position + 1)
            closing = {"(": ")", "[": "]"}[token]
            if end >= len(body) or body[end] != closing:
                raise self._error(f"a {closing!r} is missing")
            if token == "[":
                self.machine.step(first, None, last)
            return (first, last), end + 1
        if token in ("*", "+", "="):
            raise self._error(f"a {token!r} is in a wrong place")
        if token.startswith("<"):
            return self._rule(token), position + 1
        first = last = self.machine.state()
        words = re.sub(r"\\(.)", r"\1", token[1:-1]).split() if token.startswith('"') else [token]
        for word in words:
            last = self.machine.step(last, word, self.machine.state())
        return (first, last), position + 1


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


class GrammarDecoder:
    """
    Viterbi and forward-backward over a grammar (Rabiner 1989), with a pause between any two words.

    Args:
        grammar ([`Grammar`]): the sentences.
        classes (`Mapping[str, int]`): class of each word in the text head; class 0 is the pause.
        options ([`DecodingOptions`], *optional*): how to match.

    Raises:
        GrammarError: if the grammar has words that the text head does not know.
    """

    def __init__(self, grammar: Grammar, classes: Mapping[str, int], options: DecodingOptions | None = None):
        unknown = [word for word in grammar.words if word not in classes]
        if unknown:
            raise GrammarError(
                f"the grammar has {len(unknown)} word(s) that this model does not know, e.g. {unknown[0]!r}. It knows"
                f" {len(classes)}, e.g. {', '.join(list(classes)[:5])}. Train or adapt a model with these words."
            )
        self.grammar, self.options = grammar, options or DecodingOptions()
        sources, words, targets = zip(*grammar.edges, strict=True)
        self.sources, self.targets = np.array(sources), np.array(targets)
        self.words = words
        self.edge_classes = np.array([classes[word] for word in words])
        self.num_states = grammar.num_states
        self.finals = np.array(sorted(grammar.finals))
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
        words, begin = [], 0
        for frame in range(1, frames + 1):
            if frame < frames and path[frame] == path[begin]:
                continue
            if path[begin][0] >= 0:
                words.append((self.words[path[begin][0]], begin, frame))
            begin = frame
        return DecodedFrames(classes, words, float(arrived[last]))

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
    vocabulary: Sequence[str],
    frame_rate: float,
    change_penalty: float,
    decoder: GrammarDecoder | None = None,
) -> list[Word]:
    """
    The words of a clip with their times.

    Args:
        log_probabilities (`np.ndarray` of shape `(frames, classes)`): of the text head.
        vocabulary (`Sequence[str]`): word `i` is class `i + 1`; class 0 is none.
        frame_rate (`float`): in frames/s.
        change_penalty (`float`): see [`best_path`], which is taken where there is no grammar.
        decoder ([`GrammarDecoder`], *optional*): finds the best sentence of a grammar instead.

    Returns:
        `list[Word]`: the confidence is the text head's own mean probability over a word's frames, with a grammar too.
    """
    if decoder is not None:
        decoded = decoder.decode(log_probabilities)
        path, pieces = decoded.classes, [(start, end) for _, start, end in decoded.words]
    else:
        path = best_path(log_probabilities, change_penalty)
        edges = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]
        pieces = [(start, end) for start, end in pairwise(edges) if start < end and path[start] != 0]
    probabilities = np.exp(log_probabilities[np.arange(len(path)), path])
    return [
        {
            "word": vocabulary[path[start] - 1],
            "start": start / frame_rate,
            "end": end / frame_rate,
            "confidence": float(probabilities[start:end].mean()),
        }
        for start, end in pieces
    ]


__all__ = [
    "GRAMMAR",
    "VOCABULARY",
    "DecodedFrames",
    "DecodingOptions",
    "Grammar",
    "GrammarDecoder",
    "GrammarError",
    "Word",
    "best_path",
    "read_words",
]
