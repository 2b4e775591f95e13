"""Text: how what people write becomes words, the units that spell them, and the sentences that may be spoken."""

from __future__ import annotations

import importlib
import os
import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

from .errors import Lip2WavError, one_line, require_packages, with_article
from .files import read_text


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
        # By name: what remote code imports, transformers wants to see installed.
        num2words = importlib.import_module("num2words").num2words
        plain = number.replace(",", "")
        try:
            spelt = num2words(float(plain) if "." in plain else int(plain), lang=self.numbers)
        except (ValueError, NotImplementedError, OverflowError) as error:
            raise NormalizationError(
                f"the number {number!r} cannot be spelt out in {self.numbers!r} ({error}): write it in words."
            ) from error
        return spelt.split()


UNIT_KINDS = ("words", "characters")
WORD_DELIMITER = "|"
"""The character unit that stands between two words, as in other CTC models."""
BLANK, UNKNOWN = "<pad>", "<unk>"
"""What a tokenizer calls class 0, and what is not in the vocabulary."""


@dataclass(frozen=True)
class TextUnits:
    """
    What the classes of a text head stand for. Class 0 is the CTC blank, unit `i` of the vocabulary is class `i + 1`.

    Attributes:
        kind (`str`): `"words"`, a closed vocabulary; or `"characters"`, Unicode code points with [`WORD_DELIMITER`]
            between words, which spell any word of their script.
        vocabulary (`tuple[str, ...]`): the units.
    """

    kind: str
    vocabulary: tuple[str, ...]

    @classmethod
    def collect(cls, kind: str, words: Iterable[str]) -> TextUnits:
        """The units that spell some words, sorted; the delimiter comes first."""
        if kind == "words":
            return cls(kind, tuple(sorted(set(words))))
        return cls(kind, (WORD_DELIMITER, *sorted({character for word in words for character in word})))

    @cached_property
    def classes(self) -> dict[str, int]:
        """Class of each unit."""
        return {unit: number for number, unit in enumerate(self.vocabulary, 1)}

    @property
    def is_open(self) -> bool:
        """Whether words are spelt, and not listed."""
        return self.kind == "characters"

    @property
    def delimiter(self) -> int | None:
        """Class that stands between two words; `None` where each unit is a word."""
        return self.classes[WORD_DELIMITER] if self.is_open else None

    def spell(self, word: str) -> tuple[str, ...]:
        """The units of one word."""
        return tuple(word) if self.is_open else (word,)

    def knows(self, word: str) -> bool:
        """Whether a word can be said with these units."""
        return all(unit in self.classes and unit != WORD_DELIMITER for unit in self.spell(word))

    def unknown(self, words: Iterable[str]) -> list[str]:
        """The distinct words of some that cannot be said, sorted."""
        return sorted({word for word in words if not self.knows(word)})

    def encode(self, words: Iterable[str]) -> list[int]:
        """
        The classes of a sentence.

        Raises:
            KeyError: for a word that cannot be said.
        """
        classes: list[int] = []
        for word in words:
            if classes and self.delimiter is not None:
                classes.append(self.delimiter)
            classes += [self.classes[unit] for unit in self.spell(word)]
        return classes

    def text(self, classes: Iterable[int]) -> str:
        """The sentence that classes spell, its words separated by single spaces."""
        units = [self.vocabulary[number - 1] for number in classes]
        if not self.is_open:
            return " ".join(units)
        return " ".join("".join(units).replace(WORD_DELIMITER, " ").split())

    def tokenizer_files(self, normalizer: TextNormalizer) -> dict[str, dict[str, Any]]:
        """
        The tokenizer that `AutoTokenizer` loads, as contents of JSON files by name. Its ids are the classes.

        Characters have a `Wav2Vec2CTCTokenizer`. Words have a `PreTrainedTokenizerFast` of whole words, because the
        former joins words without spaces. It applies the case and the Unicode form of the normalisation itself.
        """
        ids = {BLANK: 0} | self.classes
        ids.setdefault(UNKNOWN, len(ids))
        settings: dict[str, Any] = {"pad_token": BLANK, "unk_token": UNKNOWN, "clean_up_tokenization_spaces": False}
        if self.is_open:
            settings |= {"tokenizer_class": "Wav2Vec2CTCTokenizer", "word_delimiter_token": WORD_DELIMITER}
            settings |= {"bos_token": None, "eos_token": None, "do_lower_case": False}
            return {"vocab.json": ids, "tokenizer_config.json": settings}
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        steps = [{"type": normalizer.unicode}, *([{"type": "Lowercase"}] if normalizer.case == "lower" else [])]
        decoders = [
            {"type": "CTC", "pad_token": BLANK, "word_delimiter_token": " ", "cleanup": False},
            {"type": "Replace", "pattern": {"Regex": "$"}, "content": " "},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 0, "stop": 1},
        ]
        tokenizer = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [],
            "normalizer": {"type": "Sequence", "normalizers": steps},
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": None,
            "decoder": {"type": "Sequence", "decoders": decoders},
            "model": {"type": "WordLevel", "vocab": ids, "unk_token": UNKNOWN},
        }
        return {"tokenizer.json": tokenizer, "tokenizer_config.json": settings}


TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json")
"""What [`TextUnits.tokenizer_files`] may be called."""


def written_text(text: str, sentences: Mapping[str, str], forms: Mapping[str, str]) -> str:
    """A normalised text as it is written: sentence by sentence as far as it begins with known ones, then by words."""
    longest = max((len(sentence.split()) for sentence in sentences), default=0)
    words, parts = text.split(), list[str]()
    while words:
        counts = range(min(longest, len(words)), 0, -1)
        said = next((said for count in counts if (said := " ".join(words[:count])) in sentences), None)
        if said is None:
            return " ".join([*parts, *(forms.get(word, word) for word in words)])
        parts.append(sentences[said])
        words = words[len(said.split()) :]
    return " ".join(parts)


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
        written (`tuple[tuple[str, str], ...]`): sentences, and how they were written where that differs.
    """

    edges: tuple[tuple[int, str, int], ...]
    finals: frozenset[int] = field(default_factory=frozenset)
    written: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(
        cls,
        grammar: Grammar | str | os.PathLike | Sequence[str] | Mapping[str, Sequence[str]],
        normalizer: TextNormalizer | None = None,
    ) -> Grammar:
        """
        A grammar from what a user has.

        Args:
            grammar: a `Grammar`; a list of sentences; a mapping of slots to words; the text of a JSGF grammar; or the
                path of a file: `.jsgf`, `.gram` (JSGF), or of any other text file with a sentence on each line.
            normalizer ([`TextNormalizer`], *optional*): what makes the words of sentences in a list or a file; by
                default they are what white space separates.

        Raises:
            GrammarError: if it is none of these.
        """
        if isinstance(grammar, Grammar):
            return grammar
        if isinstance(grammar, Mapping):
            return cls.from_slots(grammar)
        if isinstance(grammar, str) and ("#JSGF" in grammar or "\n" in grammar or ";" in grammar):
            lines = grammar.splitlines()
            return cls.from_jsgf(grammar) if "=" in grammar else cls.from_phrases(lines, normalizer=normalizer)
        if isinstance(grammar, str) and not grammar.strip():
            raise GrammarError("the grammar is an empty text: pass sentences, JSGF or a file; or None for any words.")
        if isinstance(grammar, (str, os.PathLike)):
            return cls._from_file(Path(grammar).expanduser(), normalizer)
        if isinstance(grammar, Iterable):
            return cls.from_phrases(grammar, normalizer=normalizer)
        raise GrammarError(f"{grammar!r} is no grammar: pass a list of sentences, JSGF, or the path of a file.")

    @classmethod
    def _from_file(cls, path: Path, normalizer: TextNormalizer | None) -> Grammar:
        try:
            text = read_text(path)
        except (OSError, UnicodeDecodeError) as error:
            reason = f"it cannot be read as text ({one_line(error)})" if path.exists() else "there is no such file"
            raise GrammarError(
                f"grammar {path}: {reason}. Name a .jsgf file, or one with a sentence on each line, in UTF-8; or give"
                " none for any words. In Python, a list of sentences and None will do."
            ) from error
        if path.suffix.lower() in (".jsgf", ".gram") or "#JSGF" in text:
            return cls.from_jsgf(text, str(path))
        return cls.from_phrases(text.splitlines(), str(path), normalizer)

    @classmethod
    def from_phrases(
        cls, phrases: Iterable[str], name: str = "the list of phrases", normalizer: TextNormalizer | None = None
    ) -> Grammar:
        """
        The grammar of exactly these sentences; empty ones are ignored. White space separates their words, or a
        normaliser makes them: then it is kept how they were written.
        """
        if isinstance(phrases, (str, bytes)):
            raise GrammarError(f"{name}: pass a list of sentences, not one string.")
        sentences, written = [], {}
        for phrase in phrases:
            if not isinstance(phrase, str):
                raise GrammarError(f"{name}: {phrase!r} is no sentence but {with_article(type(phrase).__name__)}.")
            words = phrase.split() if normalizer is None else list(normalizer(phrase).words)
            sentences.append(words)
            written.setdefault(" ".join(words), " ".join(phrase.split()))
        machine = _Machine()
        start, end = machine.state(), machine.state()
        for words in filter(None, sentences):
            state = start
            for word in words[:-1]:
                state = machine.step(state, word, machine.state())
            machine.step(state, words[-1], end)
        forms = tuple((words, form) for words, form in written.items() if form != words)
        return replace(machine.grammar(start, end, name), written=forms)

    @classmethod
    def from_slots(cls, slots: Mapping[str, Sequence[str]]) -> Grammar:
        """The grammar of sentences with one word of each slot, in order, such as `GRAMMAR` of GRID."""
        machine = _Machine()
        state = start = machine.state()
        for slot, words in slots.items():
            following = machine.state()
            if isinstance(words, str | bytes) or not all(isinstance(word, str) for word in words):
                raise GrammarError(f"the slot {slot!r} holds {words!r}: pass a list of its words.")
            for word in words:
                if len(word.split()) != 1:
                    raise GrammarError(
                        f"the slot {slot!r} holds {word!r}, which is not one word: write a JSGF grammar."
                    )
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

    def spelled(self) -> Grammar:
        """The same sentences in characters, with [`WORD_DELIMITER`] between words."""
        machine = _Machine()
        before = [machine.state() for _ in range(self.num_states)]  # where a word may begin
        after = [machine.state() for _ in range(self.num_states)]  # where one has just ended
        end = machine.state()
        for source, word, target in self.edges:
            state = before[source]
            for character in word[:-1]:
                state = machine.step(state, character, machine.state())
            machine.step(state, word[-1], after[target])
        for state in range(self.num_states):
            machine.step(after[state], WORD_DELIMITER, before[state])
        for state in self.finals:
            machine.step(after[state], None, end)
        return machine.grammar(before[0], end, "the grammar, spelt out,")

    @cached_property
    def counts(self) -> dict[int, int] | None:
        """How many ways lead from each state to the end of a sentence; `None` if some part may be repeated without
        end."""
        following: dict[int, list[int]] = {}
        for source, _, target in self.edges:
            following.setdefault(source, []).append(target)
        counts: dict[int, int] = {}
        stack: list[tuple[int, bool]] = [(0, False)]
        open_states: set[int] = set()
        while stack:
            state, done = stack.pop()
            if done:
                open_states.discard(state)
                counts[state] = (state in self.finals) + sum(counts[other] for other in following.get(state, ()))
            elif state in open_states:
                return None
            elif state not in counts:
                open_states.add(state)
                stack.append((state, True))
                stack += [(other, False) for other in following.get(state, ())]
        return counts

    def count(self) -> float:
        """How many sentences there are; `inf` if some part may be repeated without end."""
        return float("inf") if self.counts is None else self.counts[0]

    def sentences(self) -> Iterator[str]:
        """All sentences, one after the other; without end if some part may be repeated without end."""
        following: dict[int, list[tuple[str, int]]] = {}
        for source, word, target in self.edges:
            following.setdefault(source, []).append((word, target))
        waiting: deque[tuple[int, tuple[str, ...]]] = deque([(0, ())])
        while waiting:
            state, words = waiting.popleft()
            if state in self.finals:
                yield " ".join(words)
            waiting += [(target, (*words, word)) for word, target in following.get(state, ())]

    def to_jsgf(self, name: str = "sentences") -> str:
        """The same sentences in JSGF, a rule for each state; the automaton must have no loop."""
        choices: dict[int, dict[int, list[str]]] = {}
        for source, word, target in self.edges:
            choices.setdefault(source, {}).setdefault(target, []).append(word)
        lines = [f"#JSGF V1.0;\ngrammar {name};"]
        for state, targets in sorted(choices.items()):
            # Words that lead to the same state share its rule, which a reader writes out wherever it is named.
            body = " | ".join(
                f"({' | '.join(words)})" + f" <s{target}>" * (target in choices) for target, words in targets.items()
            )
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


__all__ = [
    "BLANK",
    "GRAMMAR",
    "TOKENIZER_FILES",
    "UNIT_KINDS",
    "UNKNOWN",
    "VOCABULARY",
    "WORD_DELIMITER",
    "Grammar",
    "GrammarError",
    "NormalizationError",
    "NormalizedText",
    "TextNormalizer",
    "TextUnits",
    "written_text",
]
