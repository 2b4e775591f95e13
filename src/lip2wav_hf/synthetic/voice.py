"""The synthetic voice: eSpeak NG, of the package `espeakng-loader`, which also says when each phoneme begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..corpora.clips import TimedWord
from ..corpora.espeak import EVENT_PHONEME, EVENT_WORD, Espeak, SpeechEvent
from ..errors import require_packages
from ..grammar import VOCABULARY
from .speakers import SyntheticError, Voice, find_speaker, seeded


SAMPLING_RATE = 16_000  # Hz
CLIP_SAMPLES = 48_000
EXTRA, PURPOSE = "synthetic", "The synthetic voice"

# Words that eSpeak would read otherwise inside a sentence ("a" as the article, "one" with another vowel).
PRONUNCIATIONS = {"a": "[['eI]]", "i": "[['aI]]", "one": "[[w'Vn]]"}


@dataclass
class SyntheticSpeech:
    """Speech of one clip with the times of its phonemes and words.

    Args:
        waveform (`np.ndarray` of shape `(samples,)`): float32 in [-1, 1]; 48000 samples, 3 s.
        sampling_rate (`int`): in Hz; 16000.
        phonemes (`list[tuple[float, float, str]]`): start and end in seconds and eSpeak's symbol, without stress
            marks. A plosive at the beginning of a word starts with its closure.
        word_times (`list[tuple[float, float, str]]`): start and end in seconds and the word.
    """

    waveform: np.ndarray
    sampling_rate: int
    phonemes: list[tuple[float, float, str]]
    word_times: list[tuple[float, float, str]]


def check_voice() -> None:
    """Look whether there is a voice, before any work is done.

    Raises:
        MissingExtraError: if the package `espeakng-loader` is not installed.
    """
    require_packages(EXTRA, PURPOSE, "espeakng_loader")


def resample(waveform: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """Band-limited resampling of a short clip through its spectrum; silence at both ends keeps it from wrapping."""
    divisor = np.gcd(source_rate, target_rate)
    block = source_rate // divisor
    padded = np.pad(waveform, (block, block + (-len(waveform)) % block))
    length = len(padded) // block * (target_rate // divisor)
    spectrum = np.fft.rfft(padded)[: length // 2 + 1]
    resampled = np.fft.irfft(spectrum, length) * (length / len(padded))
    return resampled[target_rate // divisor :]


def _phonemes_and_words(
    events: Sequence[SpeechEvent], words: Sequence[str], samples: int, sampling_rate: int
) -> tuple[list[TimedWord], list[TimedWord]]:
    """Phoneme and word times (s) from eSpeak's events; a plosive takes the closure that lies before its event."""
    starts: list[tuple[int, str, int]] = []  # sample, symbol, word number
    word_number, word_start = -1, 0
    for kind, sample, symbol in events:
        if kind == EVENT_WORD:
            word_number, word_start = word_number + 1, sample
        elif not symbol.startswith("_") and symbol:
            first_of_word = not starts or starts[-1][2] != word_number
            first = min(sample, word_start) if first_of_word else sample
            starts.append((first, symbol.strip("',%="), word_number))
    if word_number + 1 != len(words):
        raise SyntheticError(f"eSpeak NG read {word_number + 1} words in {' '.join(words)!r}, not {len(words)}.")
    silence = [sample for kind, sample, symbol in events if kind == EVENT_PHONEME and symbol.startswith("_")]
    last = min([sample for sample in silence if sample > starts[-1][0]], default=samples)
    ends = [start for start, _, _ in starts[1:]] + [last]
    phonemes = [
        (start / sampling_rate, end / sampling_rate, symbol)
        for (start, symbol, _), end in zip(starts, ends, strict=True)
    ]
    word_times = []
    for number, word in enumerate(words):
        members = [phoneme for phoneme, (_, _, owner) in zip(phonemes, starts, strict=True) if owner == number]
        word_times.append((members[0][0], members[-1][1], word))
    return phonemes, word_times


def synthesize_speech(words: Sequence[str], speaker: str, seed: int = 0) -> SyntheticSpeech:
    """Voice of a speaker reading a GRID sentence inside a clip of 3 s.

    Args:
        words (`Sequence[str]`): the words, such as `sentence_words("bbaf2n")`.
        speaker (`str`): a name of `SPEAKERS`.
        seed (`int`, *optional*, defaults to 0): varies rate, pitch, place in the clip and room noise.

    Returns:
        `SyntheticSpeech`: 48000 samples at 16 kHz with phoneme and word times in seconds.

    Raises:
        SyntheticError: if the speaker is unknown or a word is not of the GRID vocabulary.
        MissingExtraError: if `espeakng-loader` is not installed.
    """
    voice = find_speaker(speaker).voice
    strangers = [word for word in words if word not in VOCABULARY]
    if strangers or not words:
        raise SyntheticError(
            f"not GRID words: {strangers or 'an empty sentence'}; sentence_words('bbaf2n') gives some."
        )
    rng = seeded("speech", speaker, " ".join(words), seed)
    utterance = _speak(words, voice, rng)
    duration = utterance.phonemes[-1][1] - utterance.phonemes[0][0]
    onset = rng.uniform(0.35, 0.6)
    onset = min(onset, CLIP_SAMPLES / SAMPLING_RATE - 0.3 - duration)
    first = int(round((onset - utterance.phonemes[0][0]) * SAMPLING_RATE))
    shift = first / SAMPLING_RATE
    return SyntheticSpeech(
        waveform=_place_in_clip(utterance.waveform, first, rng),
        sampling_rate=SAMPLING_RATE,
        phonemes=[(start + shift, end + shift, symbol) for start, end, symbol in utterance.phonemes],
        word_times=[(start + shift, end + shift, word) for start, end, word in utterance.word_times],
    )


def _speak(words: Sequence[str], voice: Voice, rng: np.random.Generator) -> SyntheticSpeech:
    """The sentence by itself, from its own beginning on, at about the wanted speed."""
    text = " ".join(PRONUNCIATIONS.get(word, word.upper() if len(word) == 1 else word) for word in words)
    espeak = Espeak(EXTRA, PURPOSE)
    pitch = int(round(voice.pitch + rng.uniform(-4, 4)))
    target = rng.uniform(1.9, 2.3)  # s of speech
    rate = 150
    try:
        for _ in range(3):  # eSpeak's rate is in words/min of running text: approach the wanted duration
            espeak.set_voice(f"en+{voice.variant}")
            pcm, events = espeak.speak(text, rate, pitch, voice.pitch_range)
            phonemes, word_times = _phonemes_and_words(events, words, len(pcm), espeak.sampling_rate)
            duration = phonemes[-1][1] - phonemes[0][0]
            if abs(duration - target) < 0.06:
                break
            rate = int(np.clip(round(rate * duration / target), 80, 300))
    finally:
        espeak.close()
    waveform = resample(pcm / 32768.0, espeak.sampling_rate, SAMPLING_RATE)
    return SyntheticSpeech(waveform, SAMPLING_RATE, phonemes, word_times)


def _place_in_clip(voiced: np.ndarray, first: int, rng: np.random.Generator) -> np.ndarray:
    """Speech that begins at sample `first` of a clip of 3 s, at a random loudness, with the noise of a room."""
    waveform = np.zeros(CLIP_SAMPLES)
    source_start = max(0, -first)
    piece = voiced[source_start : source_start + CLIP_SAMPLES - max(0, first)]
    waveform[max(0, first) : max(0, first) + len(piece)] = piece
    waveform *= rng.uniform(0.45, 0.6) / max(np.abs(waveform).max(), 1e-6)
    waveform += rng.normal(scale=4e-4, size=CLIP_SAMPLES)
    return waveform.astype(np.float32)


__all__ = ["CLIP_SAMPLES", "SAMPLING_RATE", "SyntheticSpeech", "check_voice", "resample", "synthesize_speech"]
