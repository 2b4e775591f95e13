"""The judge of words: which recogniser hears speech, and which sentences it is told to expect.

A judge is a plain record, so that it can be handed to other processes; `recognizers.py` makes the recogniser of it.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from lip2wav_hf.errors import Lip2WavError
from lip2wav_hf.grammar import Grammar, GrammarError, TextNormalizer
from lip2wav_hf.metrics.pronunciation import ENGLISH, language_of
from lip2wav_hf.metrics.words import CHANCE_WER, is_grid_sentence, word_errors


MAX_PHRASES = 1000  # of a list of sentences; a grammar with more has no phrases to be counted right or wrong
MAX_COMPARED = 100  # phrases that every sentence is compared with, for the word error rate of guessing
Kind = Literal["grid", "sentences", "grammar", "open", "model"]
OPEN = "open"
NAMED_KINDS = ("grid", "sentences", "open")
"""What `Judge.named` and `--judge` take beside the name of a model."""


class JudgeError(Lip2WavError):
    """A judge that cannot be had, or that cannot be told what it was asked to be told."""


@dataclass(frozen=True)
class Judge:
    """
    A recogniser of words, independent of the systems that it judges.

    Attributes:
        kind (`str`): `"grid"`, pocketsphinx with the grammar of GRID; `"sentences"`, with the sentences of a corpus;
            `"grammar"`, with a grammar; `"open"`, with its own language model of English; `"model"`, a speech
            recogniser of transformers.
        grammar ([`Grammar`], *optional*): of `"sentences"` and `"grammar"`, in normalised words.
        name (`str`): of the model, or of the grammar's file.
        language (`str`): whose eSpeak NG voice pronounces words that the dictionary lacks.
    """

    kind: Kind = "grid"
    grammar: Grammar | None = None
    name: str = ""
    language: str = ENGLISH

    @classmethod
    def of_sentences(cls, sentences: Iterable[str], language: str | None = None) -> Judge:
        """
        The judge that knows a list of sentences.

        Args:
            sentences (iterable of `str`): the sentences; those that differ in case or punctuation only are one.
            language (`str`, *optional*): see [`Judge`]; by their script by default.

        Raises:
            GrammarError: if there is none.
        """
        grammar = normalized_grammar(Grammar.from_phrases(sorted(set(sentences)), "the sentences of the corpus"))
        return cls("sentences", grammar, language=language or language_of(grammar.words))

    @classmethod
    def of_grammar(cls, grammar: Any, language: str | None = None) -> Judge:
        """
        The judge that knows a grammar.

        Args:
            grammar: as [`Grammar.of`] takes it: the path of a `.jsgf` file or of a list of phrases, sentences, ….
            language (`str`, *optional*): see [`Judge`]; by the script of its words by default.

        Raises:
            GrammarError: if it cannot be read.
            JudgeError: if it has something that is no word.
        """
        found = normalized_grammar(Grammar.of(grammar))
        is_file = isinstance(grammar, os.PathLike) or (isinstance(grammar, str) and "\n" not in grammar)
        name = Path(grammar).name if is_file else ""
        return cls("grammar", found, name, language or language_of(found.words))

    @classmethod
    def named(cls, name: str, sentences: Sequence[str] = (), language: str | None = None) -> Judge:
        """
        A judge by its name.

        Args:
            name (`str`): `"grid"`, `"sentences"`, `"open"`, or a speech recogniser of transformers: a folder, or a
                repository on the Hub.
            sentences (sequence of `str`, *optional*): of the corpus, for `"sentences"`.
            language (`str`, *optional*): see [`Judge`].

        Raises:
            JudgeError: if it is `"sentences"`, and there are none or too many.
        """
        if name == "sentences":
            distinct = len(set(sentences))
            if not 0 < distinct <= MAX_PHRASES:
                advice = "choose another judge: open, the name of a model, or a grammar."
                raise JudgeError(f"the judge of sentences needs 1 to {MAX_PHRASES}, not {distinct}: {advice}")
            return cls.of_sentences(sentences, language)
        if name == "grid":
            return GRID_JUDGE
        language = language or language_of(sentences)
        return cls(OPEN, language=language) if name == OPEN else cls("model", name=name, language=language)

    @property
    def is_sphinx(self) -> bool:
        """Whether it is pocketsphinx."""
        return self.kind != "model"

    @cached_property
    def phrases(self) -> tuple[str, ...] | None:
        """The sentences it knows, where they are a short list."""
        if self.grammar is None or self.grammar.count() > MAX_PHRASES:
            return None
        return tuple(sorted(self.grammar.sentences()))

    def accepts(self, sentence: str) -> bool:
        """Whether it can hear a sentence at all."""
        if self.kind == "grid":
            return is_grid_sentence(sentence)
        return self.grammar is None or self.grammar.accepts(sentence)

    def describe(self) -> str:
        """What it is, for reports."""
        if self.kind == "grid":
            return "pocketsphinx with the GRID grammar and British 'zed'"
        if self.kind == "model":
            return f"the speech recogniser {self.name} (transformers)"
        if self.grammar is None:
            return "pocketsphinx with its language model of English"
        count = self.grammar.count()
        some = "one sentence" if count == 1 else f"{count:.0f} sentences" if count < float("inf") else "any sentences"
        known = f"the {some} of the corpus" if self.kind == "sentences" else f"{self.name or 'a grammar'}, {some}"
        foreign = "" if self.language.startswith("en") else f", pronounced by eSpeak NG's voice {self.language!r}"
        return f"pocketsphinx with {known}{foreign}"

    def settings(self) -> dict[str, Any]:
        """What an evaluation must have in common with one that it goes on with; nothing for the judge of GRID."""
        if self.kind == "grid":
            return {}
        settings = {"judge": self.describe(), "judge_language": self.language}
        if self.grammar is not None:
            settings["judge_grammar_sha256"] = hashlib.sha256(repr(self.grammar.edges).encode()).hexdigest()
        return settings

    def chance_wer(self, sentences: Sequence[str]) -> float | None:
        """
        The word error rate of saying any sentence that it knows, each as often.

        Args:
            sentences (sequence of `str`): those spoken.

        Returns:
            `float`, *optional*: `None` where it does not know a short list of sentences.
        """
        if self.kind == "grid":
            return CHANCE_WER
        words = sum(len(sentence.split()) for sentence in sentences)
        if self.phrases is None or len(self.phrases) > MAX_COMPARED or not words:
            return None
        errors = sum(
            clips * sum(word_errors(sentence, phrase) for phrase in self.phrases)
            for sentence, clips in Counter(sentences).items()
        )
        return errors / len(self.phrases) / words


GRID_JUDGE = Judge()
"""The judge of GRID's sentences."""


def normalized_grammar(grammar: Grammar) -> Grammar:
    """
    A grammar in lower case and without punctuation, as transcripts are read.

    Args:
        grammar ([`Grammar`]): as somebody wrote it.

    Raises:
        JudgeError: if a part of it is no word.
        GrammarError: if nothing is left of it.
    """
    normalize = TextNormalizer()
    if grammar.count() <= MAX_PHRASES:
        return Grammar.from_phrases(" ".join(normalize(sentence).words) for sentence in grammar.sentences())
    edges, states = [], grammar.num_states
    for source, word, target in grammar.edges:
        words = normalize(word).words
        if not words:
            raise JudgeError(f"the grammar's {word!r} is no word: write what is spoken.")
        between = list(range(states, states + len(words) - 1))
        states += len(between)
        edges += list(zip([source, *between], words, [*between, target], strict=True))
    return Grammar(tuple(edges), grammar.finals)


def choose_judge(
    sentences: Sequence[str], corpus: Sequence[str] | None = None, language: str | None = None
) -> Judge | None:
    """
    The judge that fits what is said: that of GRID, that of the corpus' sentences where they are few and repeat, that
    of open English where they are written in Latin letters and no other language is named.

    Args:
        sentences (sequence of `str`): those to be judged.
        corpus (sequence of `str`, *optional*): those of the whole corpus, one for each of its clips; those to be
            judged by default.
        language (`str`, *optional*): see [`Judge`].

    Returns:
        [`Judge`], *optional*: `None` where none fits.
    """
    if sentences and all(is_grid_sentence(sentence) for sentence in sentences):
        return GRID_JUDGE
    corpus = sentences if corpus is None else corpus
    distinct = len(set(corpus))
    if 0 < distinct <= MAX_PHRASES and len(corpus) >= 2 * distinct:
        return Judge.of_sentences(corpus, language)
    language = language or language_of(sentences)
    return Judge(OPEN, language=language) if sentences and language.startswith("en") else None


__all__ = [
    "GRID_JUDGE",
    "MAX_PHRASES",
    "NAMED_KINDS",
    "GrammarError",
    "Judge",
    "JudgeError",
    "choose_judge",
    "normalized_grammar",
]
