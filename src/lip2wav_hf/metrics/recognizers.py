"""Recognisers that judge speech: pocketsphinx with a grammar or with its language model, and those of transformers.

Each clip is heard whole and afresh, so that a transcript does not depend on the clips before it. Nothing that is heard
here ever trains a network: `tests/test_architecture.py` holds the training to that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from lip2wav_hf.errors import missing_extra, one_line
from lip2wav_hf.grammar import GRAMMAR, Grammar, NormalizationError, TextNormalizer
from lip2wav_hf.metrics.judge import Judge, JudgeError
from lip2wav_hf.metrics.pronunciation import ENGLISH, pronounce
from lip2wav_hf.metrics.waveforms import check_waveform, resample


EXTRA = "evaluate"
SAMPLING_RATE = 16000  # Hz, of pocketsphinx' acoustic model
MIN_SECONDS = 0.1  # anything shorter holds no word
LONG_SECONDS = 30.0  # longer speech is given to a model of transformers in parts of this length
LETTER = "letter_"  # the dictionary's "a" is also the article: letters are words of their own
LETTER_PRONUNCIATIONS = {"a": "EY"}  # where the dictionary's first pronunciation is not the letter's name
BRITISH_ZED = "Z EH D"
# Wide enough that no sentence of a small grammar is given up before it ends, and the best path of the search itself:
# that of the lattice need not be a whole sentence.
WHOLE_SEARCH = {"beam": 1e-120, "pbeam": 1e-120, "wbeam": 1e-120, "bestpath": False}
WORD = "word_"  # words of a grammar by their number: in any script, and with the pronunciations of this grammar


class Recognizer(Protocol):
    """What hears words in speech."""

    def transcribe(self, waveform: ArrayLike, sampling_rate: int, name: str = ...) -> str:
        """The words heard in a waveform, in lower case, without punctuation; empty for silence."""


def _sphinx(**options: Any) -> Any:
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise missing_extra(EXTRA, "pocketsphinx", "the judge of words") from error
    return Decoder(loglevel="FATAL", samprate=float(SAMPLING_RATE), **options)


def _audible(waveform: ArrayLike, sampling_rate: int, new_rate: int, name: str) -> np.ndarray | None:
    """A checked waveform at another rate; `None` for silence and for what is too short to hold a word."""
    samples = resample(check_waveform(waveform, name, min_samples=0), sampling_rate, new_rate)
    return None if len(samples) < MIN_SECONDS * new_rate or np.ptp(samples) == 0 else samples


class SphinxRecognizer:
    """
    Pocketsphinx with its US English acoustic model. One instance can hear any number of clips; each is heard afresh.

    Args:
        decoder (`pocketsphinx.Decoder`): with its search activated.
    """

    def __init__(self, decoder: Any) -> None:
        self.decoder = decoder

    def transcribe(self, waveform: ArrayLike, sampling_rate: int, name: str = "the waveform") -> str:
        """The words heard.

        Args:
            waveform (array, shape `(samples,)`): floats with full scale at 1 (what is beyond is clipped), or integer
                PCM.
            sampling_rate (`int`): its rate, in Hz.
            name (`str`, *optional*): what to call it in an error.

        Returns:
            `str`: the words heard; empty for silence, for less than 0.1 s, and where nothing fits the grammar.

        Raises:
            WaveformError: for more than one channel, or NaN or infinite samples.
        """
        audible = _audible(waveform, sampling_rate, SAMPLING_RATE, name)
        if audible is None:
            return ""
        samples = np.clip(np.round(audible * 32768), -32768, 32767).astype(np.int16)
        self.decoder.reinit_feat()  # forget the noise and channel estimates of the clip before
        self.decoder.start_utt()
        self.decoder.process_raw(samples.tobytes(), no_search=False, full_utt=True)
        self.decoder.end_utt()
        hypothesis = self.decoder.hyp()
        return self._words(hypothesis.hypstr) if hypothesis else ""

    def _words(self, heard: str) -> str:
        return heard


class GridRecognizer(SphinxRecognizer):
    """Pocketsphinx with GRID's grammar."""

    def __init__(self) -> None:
        super().__init__(_sphinx(lm=None))
        for letter in GRAMMAR["letter"]:
            pronunciation = LETTER_PRONUNCIATIONS.get(letter) or self.decoder.lookup_word(letter)
            self.decoder.add_word(f"{LETTER}{letter}", pronunciation, True)
        self.decoder.add_word(f"{LETTER}z(2)", BRITISH_ZED, True)
        self.decoder.add_jsgf_string("grid", grid_jsgf())
        self.decoder.activate_search("grid")

    def _words(self, heard: str) -> str:
        return heard.replace(LETTER, "")


def grid_jsgf() -> str:
    """GRID's sentences as a JSGF grammar; letters carry the prefix `letter_`."""
    slots = [
        " | ".join(f"{LETTER}{word}" if slot == "letter" else word for word in words)
        for slot, words in GRAMMAR.items()
    ]
    return "#JSGF V1.0;\ngrammar grid;\npublic <sentence> = " + " ".join(f"({slot})" for slot in slots) + ";\n"


class GrammarRecognizer(SphinxRecognizer):
    """
    Pocketsphinx with any grammar, of words in any script.

    Words that its dictionary has keep all their pronunciations; the others are pronounced by eSpeak NG.

    Args:
        grammar ([`Grammar`]): the sentences; where they have an end, each is as likely as any other.
        language (`str`, *optional*, defaults to `"en-us"`): of the words that the dictionary lacks.

    Raises:
        PronunciationError: if a word cannot be pronounced.
        EspeakError: if eSpeak NG does not speak the language.
    """

    def __init__(self, grammar: Grammar, language: str = ENGLISH) -> None:
        super().__init__(_sphinx(lm=None, **WHOLE_SEARCH))
        self.words = grammar.words
        tokens = {word: f"{WORD}{number}" for number, word in enumerate(self.words)}
        for word, token in tokens.items():
            for number, phones in enumerate(self.pronunciations(word, language), 1):
                self.decoder.add_word(token if number == 1 else f"{token}({number})", phones, False)
        transitions, final = _transitions(grammar, tokens)
        fsg = self.decoder.create_fsg("judge", start_state=0, final_state=final, transitions=transitions)
        self.decoder.add_fsg("judge", fsg)
        self.decoder.activate_search("judge")

    def pronunciations(self, word: str, language: str = ENGLISH) -> list[str]:
        """The pronunciations of a word: all of the dictionary, if it is English and there; else that of eSpeak NG."""
        found = []
        if language.startswith("en"):
            found = [self.decoder.lookup_word(word.lower())]
            while found[-1] is not None:
                found.append(self.decoder.lookup_word(f"{word.lower()}({len(found) + 1})"))
        return found[:-1] or [pronounce(word, language)]

    def _words(self, heard: str) -> str:
        return " ".join(self.words[int(token.removeprefix(WORD))] for token in heard.split())


def _transitions(grammar: Grammar, tokens: dict[str, str]) -> tuple[list[tuple], int]:
    """The steps of a grammar for pocketsphinx, with their probabilities, and the one state in which sentences end."""
    end = grammar.num_states
    counts = grammar.counts
    leaving: dict[int, int] = {}
    for source, _, _ in grammar.edges:
        leaving[source] = leaving.get(source, int(source in grammar.finals)) + 1

    def share(source: int, target: int | None) -> float:
        """Of the sentences that go on from a state, or, where they are without number, of the ways to go on."""
        if counts is None:
            return 1 / max(leaving.get(source, 1), 1)
        return (1 if target is None else counts[target]) / counts[source]

    steps: list[tuple] = [
        (source, target, share(source, target), tokens[word]) for source, word, target in grammar.edges
    ]
    return steps + [(state, end, share(state, None)) for state in sorted(grammar.finals)], end


class OpenRecognizer(SphinxRecognizer):
    """Pocketsphinx with the language model of English that comes with it."""

    def __init__(self) -> None:
        super().__init__(_sphinx())


class ModelRecognizer:
    """
    A speech recogniser of transformers, such as a Wav2Vec2 or Whisper.

    Args:
        name (`str`): a folder, or a repository on the Hub, with weights in safetensors.
        language (`str`, *optional*, defaults to `"en-us"`): in which numbers that it writes in digits are spelt out.

    Raises:
        JudgeError: if it cannot be loaded.
    """

    def __init__(self, name: str, language: str = ENGLISH) -> None:
        self.name = name
        self.pipe = _load_pipeline(name)
        self.sampling_rate = int(self.pipe.feature_extractor.sampling_rate)
        self.normalize = TextNormalizer(numbers=language.partition("-")[0])

    def transcribe(self, waveform: ArrayLike, sampling_rate: int, name: str = "the waveform") -> str:
        """The words heard; see [`SphinxRecognizer.transcribe`]. Case and punctuation are dropped, numbers spelt out.

        Raises:
            WaveformError: for more than one channel, or NaN or infinite samples.
            JudgeError: if the model fails.
        """
        audible = _audible(waveform, sampling_rate, self.sampling_rate, name)
        if audible is None:
            return ""
        options = {"chunk_length_s": LONG_SECONDS} if len(audible) > LONG_SECONDS * self.sampling_rate else {}
        sound = {"raw": audible.astype(np.float32), "sampling_rate": self.sampling_rate}
        try:
            text = self.pipe(sound, **options)["text"]
        except (ValueError, RuntimeError, OSError, KeyError, IndexError, TypeError) as error:
            raise JudgeError(f"the judge {self.name} fails on {name}: {one_line(error)}") from error
        try:
            return " ".join(self.normalize(text).words)
        except NormalizationError:  # digits that are no number, as a recogniser may make of noise
            return " ".join(TextNormalizer()(text).words)


def _load_pipeline(name: str) -> Any:
    from transformers import pipeline

    from lip2wav_hf.modeling_lip2wav import without_bars

    try:
        with without_bars():
            return pipeline("automatic-speech-recognition", model=name, model_kwargs={"use_safetensors": True})
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, AttributeError, TypeError) as error:
        raise JudgeError(
            f"the judge {name!r} cannot be loaded: {one_line(error)} Name a speech recogniser of transformers with"
            " weights in safetensors, a folder or a repository on the Hub; or grid, sentences or open."
        ) from error


_MAKERS: dict[str, Callable[[Judge], Recognizer]] = {
    "grid": lambda judge: GridRecognizer(),
    "open": lambda judge: OpenRecognizer(),
    "model": lambda judge: ModelRecognizer(judge.name, judge.language),
}


@lru_cache(maxsize=4)
def recognizer(judge: Judge) -> Recognizer:
    """
    The recogniser of a judge, made once in each process.

    Raises:
        JudgeError: if it cannot be had.
        MissingExtraError: if a package is not installed.
    """
    if judge.grammar is not None:
        return GrammarRecognizer(judge.grammar, judge.language)
    return _MAKERS[judge.kind](judge)


__all__ = [
    "GrammarRecognizer",
    "GridRecognizer",
    "ModelRecognizer",
    "OpenRecognizer",
    "Recognizer",
    "SphinxRecognizer",
    "grid_jsgf",
    "recognizer",
]
