"""A synthetic talking head that speaks GRID sentences: voice, face, clips and whole GRID-shaped corpora.

Real recordings may not travel with the package, so its sample clip and the corpus of its tests are made here. The
voice is eSpeak NG (`espeakng-loader`), which also tells when each phoneme begins; a small renderer (numpy and OpenCV)
shades a head from a height map and moves lips, teeth, tongue, jaw, eyelids and brows with those times. Everything
follows from a seed: the same arguments give the same clip.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import json
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from tqdm.auto import tqdm

from ..errors import Lip2WavError
from ..grammar import GRAMMAR
from ..grid.corpus import sentence_words


SAMPLING_RATE = 16_000  # Hz
FRAME_RATE = 25.0  # frames/s
CLIP_FRAMES = 75
CLIP_SAMPLES = 48_000
FRAME_HEIGHT, FRAME_WIDTH = 288, 360


class SyntheticError(Lip2WavError):
    """A speaker, sentence or request that cannot be synthesized."""


# --------------------------------------------------------------------------------------------------------------------
# Speakers
# --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Voice:
    """An eSpeak NG voice: variant name (`voices/!v`), pitch and pitch range (eSpeak units, 0 to 100)."""

    variant: str
    pitch: int = 50
    pitch_range: int = 50


@dataclass(frozen=True)
class Face:
    """Looks of a speaker. Colours are RGB of 0 to 255; one pupil distance is about 63 mm.

    Args:
        scale (`float`): pixels of the frame between the pupils.
        skin, lip, hair, iris (`tuple[int, int, int]`): colours.
        width (`float`): breadth of the head, 1 is average; `jaw` that of the lower face.
        length (`float`): distance from the eyes to the chin, 1 is average.
        hair_style (`str`): "short", "cropped", "bob" or "long".
        brow (`float`): thickness of the brows, 1 is average.
        lips (`float`): thickness of the lips; `mouth` their breadth; 1 is average.
        nose (`float`): breadth of the nose, 1 is average.
        beard (`float`): shadow of a beard, 0 to 1.
        eye (`float`): opening of the eyes, 1 is average.
        wall, cloth (`tuple[int, int, int]`): colours of background and clothes.
        collar (`str`): "crew", "v" or "roll".
        light (`tuple[float, float, float]`): direction to the lamp: right, down, towards the camera.
    """

    scale: float
    skin: tuple[int, int, int]
    lip: tuple[int, int, int]
    hair: tuple[int, int, int]
    iris: tuple[int, int, int]
    width: float
    jaw: float
    length: float
    hair_style: str
    brow: float
    lips: float
    mouth: float
    nose: float
    beard: float
    eye: float
    wall: tuple[int, int, int]
    cloth: tuple[int, int, int]
    collar: str
    light: tuple[float, float, float]


@dataclass(frozen=True)
class Speaker:
    """A synthetic speaker: a voice and a face."""

    voice: Voice
    face: Face


# fmt: off
SPEAKERS: dict[str, Speaker] = {
    "synthetic1": Speaker(
        voice=Voice("m5", pitch=42),
        face=Face(
            scale=50, skin=(219, 168, 140), lip=(168, 84, 82), hair=(62, 42, 30), iris=(86, 110, 128), width=1.0,
            jaw=1.04, length=1.0, hair_style="short", brow=1.15, lips=1.0, mouth=1.0, nose=1.05, beard=0.45, eye=0.95,
            wall=(38, 150, 196), cloth=(70, 84, 108), collar="crew", light=(-0.45, -0.5, 0.75),
        ),
    ),
    "synthetic2": Speaker(
        voice=Voice("f2", pitch=54),
        face=Face(
            scale=48, skin=(232, 188, 166), lip=(190, 88, 96), hair=(150, 104, 58), iris=(92, 122, 84), width=0.97,
            jaw=0.93,
            length=0.97, hair_style="long", brow=0.8, lips=1.12, mouth=0.96, nose=0.9, beard=0.0, eye=1.12,
            wall=(52, 140, 180), cloth=(104, 150, 92), collar="roll", light=(0.4, -0.55, 0.75),
        ),
    ),
    "synthetic3": Speaker(
        voice=Voice("edward", pitch=36),
        face=Face(
            scale=51, skin=(142, 95, 69), lip=(138, 74, 70), hair=(26, 21, 19), iris=(62, 40, 26), width=1.02,
            jaw=1.06,
            length=1.02, hair_style="cropped", brow=1.05, lips=1.3, mouth=1.06, nose=1.25, beard=0.3, eye=1.0,
            wall=(126, 134, 142), cloth=(150, 60, 52), collar="v", light=(-0.35, -0.6, 0.75),
        ),
    ),
    "synthetic4": Speaker(
        voice=Voice("f5", pitch=50),
        face=Face(
            scale=47, skin=(206, 154, 118), lip=(164, 78, 76), hair=(34, 26, 26), iris=(74, 48, 30), width=1.0,
            jaw=0.96,
            length=0.98, hair_style="bob", brow=0.95, lips=1.05, mouth=0.98, nose=1.0, beard=0.0, eye=1.0,
            wall=(178, 164, 140), cloth=(48, 52, 76), collar="crew", light=(0.5, -0.45, 0.75),
        ),
    ),
}
# fmt: on
"""Named speakers: two with a man's voice, two with a woman's."""


# --------------------------------------------------------------------------------------------------------------------
# Speech
# --------------------------------------------------------------------------------------------------------------------

# Words that eSpeak would read otherwise inside a sentence ("a" as the article, "one" with another vowel).
PRONUNCIATIONS = {"a": "[['eI]]", "i": "[['aI]]", "one": "[[w'Vn]]"}
PLOSIVES = frozenset("p b t d k g tS dZ".split())


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


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


_EVENT_END_OF_LIST, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
_AUDIO_OUTPUT_SYNCHRONOUS, _INITIALIZE_PHONEME_EVENTS = 2, 1
_CHARS_UTF8, _TEXT_WITH_PHONEMES = 1, 0x100
_PARAMETER_RATE, _PARAMETER_VOLUME, _PARAMETER_PITCH, _PARAMETER_RANGE, _PARAMETER_WORD_GAP = 1, 2, 3, 4, 7
_SYNTH_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Espeak:
    """A private copy of the eSpeak NG library of `espeakng-loader`.

    The library keeps state from one utterance to the next, so that what it says depends on what it said before; a
    fresh copy for each clip makes the clip follow from its seed alone.
    """

    def __init__(self):
        try:
            import espeakng_loader
        except ImportError as error:
            raise ImportError(
                'The synthetic voice needs eSpeak NG: install it with `pip install "lip2wav_hf[dev]"` '
                "(package espeakng-loader)."
            ) from error
        source = Path(espeakng_loader.get_library_path())
        self.folder = tempfile.TemporaryDirectory(prefix="espeak-", ignore_cleanup_errors=True)
        self.library = ctypes.CDLL(shutil.copy(source.resolve(), Path(self.folder.name) / source.name))
        self.library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        data = espeakng_loader.get_data_path().encode()
        self.sampling_rate = self.library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _INITIALIZE_PHONEME_EVENTS
        )
        if self.sampling_rate <= 0:
            raise SyntheticError("eSpeak NG could not load its data: reinstall the package espeakng-loader.")
        self._pcm: list[bytes] = []
        self._events: list[tuple[int, int, str]] = []
        self._callback = _SYNTH_CALLBACK(self._collect)  # kept alive: the library holds only its address
        self.library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples, count, events) -> int:
        if samples and count > 0:
            self._pcm.append(ctypes.string_at(samples, 2 * count))
        position = 0
        while events[position].type != _EVENT_END_OF_LIST:
            event = events[position]
            if event.type == _EVENT_WORD:
                self._events.append((event.type, event.sample, ""))
            elif event.type == _EVENT_PHONEME:
                self._events.append((event.type, event.sample, bytes(event.id).decode("utf-8", "ignore")))
            position += 1
        return 0

    def speak(self, text: str, voice: Voice, rate: int, pitch: int) -> tuple[np.ndarray, list[tuple[int, int, str]]]:
        """Samples (int16, at `self.sampling_rate`) and events (type, sample, phoneme) of a text."""
        self._pcm.clear()
        self._events.clear()
        name = f"en+{voice.variant}"
        if self.library.espeak_SetVoiceByName(name.encode()) != 0:
            raise SyntheticError(f"eSpeak NG has no voice {name!r}: choose a variant from its voices/!v folder.")
        self.library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        for parameter, value in (
            (_PARAMETER_RATE, rate),
            (_PARAMETER_VOLUME, 100),
            (_PARAMETER_PITCH, pitch),
            (_PARAMETER_RANGE, voice.pitch_range),
            (_PARAMETER_WORD_GAP, 0),
        ):
            self.library.espeak_SetParameter(parameter, value, 0)
        encoded = text.encode()
        self.library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _CHARS_UTF8 | _TEXT_WITH_PHONEMES, None, None)
        return np.frombuffer(b"".join(self._pcm), np.int16), list(self._events)

    def close(self) -> None:
        """Free the library's memory and its copy on disk."""
        self.library.espeak_Terminate()
        self.folder.cleanup()


def _resample(waveform: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """Band-limited resampling of a short clip through its spectrum; silence at both ends keeps it from wrapping."""
    divisor = np.gcd(source_rate, target_rate)
    block = source_rate // divisor
    padded = np.pad(waveform, (block, block + (-len(waveform)) % block))
    length = len(padded) // block * (target_rate // divisor)
    spectrum = np.fft.rfft(padded)[: length // 2 + 1]
    resampled = np.fft.irfft(spectrum, length) * (length / len(padded))
    return resampled[target_rate // divisor :]


def _phonemes_and_words(events, words, samples: int, sampling_rate: int):
    """Phoneme and word times (s) from eSpeak's events; a plosive takes the closure that lies before its event."""
    starts: list[list] = []  # [sample, symbol, word number]
    word_number, word_start = -1, 0
    for kind, sample, symbol in events:
        if kind == _EVENT_WORD:
            word_number, word_start = word_number + 1, sample
        elif not symbol.startswith("_") and symbol:
            first_of_word = not starts or starts[-1][2] != word_number
            starts.append([min(sample, word_start) if first_of_word else sample, symbol.strip("',%="), word_number])
    if word_number + 1 != len(words):
        raise SyntheticError(f"eSpeak NG read {word_number + 1} words in {' '.join(words)!r}, not {len(words)}.")
    silence = [sample for kind, sample, symbol in events if kind == _EVENT_PHONEME and symbol.startswith("_")]
    last = min([sample for sample in silence if sample > starts[-1][0]], default=samples)
    ends = [start for start, _, _ in starts[1:]] + [last]
    phonemes = [(start / sampling_rate, end / sampling_rate, symbol) for (start, symbol, _), end in zip(starts, ends)]
    word_times = []
    for number, word in enumerate(words):
        members = [phoneme for phoneme, (_, _, owner) in zip(phonemes, starts) if owner == number]
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
        ImportError: if `espeakng-loader` is not installed.
    """
    voice = _speaker(speaker).voice
    vocabulary = {word for choices in GRAMMAR.values() for word in choices}
    strangers = [word for word in words if word not in vocabulary]
    if strangers or not words:
        raise SyntheticError(
            f"not GRID words: {strangers or 'an empty sentence'}; sentence_words('bbaf2n') gives some."
        )
    rng = _generator("speech", speaker, " ".join(words), seed)
    text = " ".join(PRONUNCIATIONS.get(word, word.upper() if len(word) == 1 else word) for word in words)
    espeak = _Espeak()
    pitch = int(round(voice.pitch + rng.uniform(-4, 4)))
    target = rng.uniform(1.9, 2.3)  # s of speech
    rate = 150
    try:
        for _ in range(3):  # eSpeak's rate is in words/min of running text: approach the wanted duration
            pcm, events = espeak.speak(text, voice, rate, pitch)
            phonemes, word_times = _phonemes_and_words(events, words, len(pcm), espeak.sampling_rate)
            duration = phonemes[-1][1] - phonemes[0][0]
            if abs(duration - target) < 0.06:
                break
            rate = int(np.clip(round(rate * duration / target), 80, 300))
    finally:
        espeak.close()
    onset = rng.uniform(0.35, 0.6)
    onset = min(onset, CLIP_SAMPLES / SAMPLING_RATE - 0.3 - duration)
    first = int(round((onset - phonemes[0][0]) * SAMPLING_RATE))
    voiced = _resample(pcm / 32768.0, espeak.sampling_rate, SAMPLING_RATE)
    waveform = np.zeros(CLIP_SAMPLES)
    source_start = max(0, -first)
    piece = voiced[source_start : source_start + CLIP_SAMPLES - max(0, first)]
    waveform[max(0, first) : max(0, first) + len(piece)] = piece
    waveform *= rng.uniform(0.45, 0.6) / max(np.abs(waveform).max(), 1e-6)
    waveform += rng.normal(scale=4e-4, size=CLIP_SAMPLES)
    shift = first / SAMPLING_RATE
    return SyntheticSpeech(
        waveform=waveform.astype(np.float32),
        sampling_rate=SAMPLING_RATE,
        phonemes=[(start + shift, end + shift, symbol) for start, end, symbol in phonemes],
        word_times=[(start + shift, end + shift, word) for start, end, word in word_times],
    )


def _generator(*keys) -> np.random.Generator:
    """Random numbers that follow from the keys alone (text and numbers), on any machine."""
    return np.random.default_rng(zlib.crc32("|".join(map(str, keys)).encode()))


def _speaker(name: str) -> Speaker:
    try:
        return SPEAKERS[name]
    except KeyError:
        raise SyntheticError(f"unknown speaker {name!r}: choose one of {', '.join(SPEAKERS)}.") from None


# --------------------------------------------------------------------------------------------------------------------
# Mouth movement
# --------------------------------------------------------------------------------------------------------------------

MOUTH_PARAMETERS = ("jaw", "opening", "spread", "rounding", "tuck", "press", "tongue_up", "tongue_out")


def _viseme(
    jaw,
    opening,
    spread=1.0,
    rounding=0.0,
    tuck=0.0,
    press=0.0,
    tongue_up=0.0,
    tongue_out=0.0,
    weight=1.0,
    weights=None,
):
    """Mouth parameters of a sound, and how strongly it imposes each on its neighbours (`weights` by name)."""
    target = np.array([jaw, opening, spread, rounding, tuck, press, tongue_up, tongue_out])
    strength = np.array([(weights or {}).get(name, weight) for name in MOUTH_PARAMETERS])
    return target, strength


# Jaw and opening (of the inner lips) are in distances between the pupils, the spread is relative to the mouth at rest.
VISEMES = {
    "rest": _viseme(0.0, 0.0, press=0.15),
    "i:": _viseme(0.05, 0.135, 1.2),
    "I": _viseme(0.08, 0.15, 1.09),
    "E": _viseme(0.13, 0.225, 1.07),
    "a": _viseme(0.18, 0.30, 1.06),
    "A": _viseme(0.22, 0.36, 0.95),
    "V": _viseme(0.15, 0.26, 0.97),
    "@": _viseme(0.07, 0.13, 0.98, weight=0.6),
    "O": _viseme(0.15, 0.24, 0.72, 0.75),
    "U": _viseme(0.06, 0.12, 0.68, 0.85),
    "u:": _viseme(0.04, 0.085, 0.6, 1.0, weight=1.4),
    "p": _viseme(0.01, 0.0, press=1.0, weight=1.2, weights={"opening": 4.0, "spread": 0.3, "rounding": 0.3}),
    "f": _viseme(0.02, 0.10, 1.03, tuck=1.0, weight=1.6, weights={"tuck": 4.0, "spread": 0.5, "rounding": 0.6}),
    "T": _viseme(
        0.09, 0.20, 1.03, tongue_out=1.0, weight=1.5, weights={"tongue_out": 3.0, "spread": 0.5, "rounding": 0.4}
    ),
    "t": _viseme(0.04, 0.125, 1.04, tongue_up=0.7, weight=0.8, weights={"spread": 0.25, "rounding": 0.25}),
    "l": _viseme(0.11, 0.22, 1.0, tongue_up=1.0, weights={"tongue_up": 2.0, "spread": 0.25, "rounding": 0.25}),
    "s": _viseme(0.0, 0.12, 1.1, weight=1.4, weights={"spread": 0.6, "rounding": 0.5}),
    "S": _viseme(0.01, 0.18, 0.74, 0.65, weight=1.6),
    "k": _viseme(0.08, 0.15, 1.0, weight=0.6, weights={"spread": 0.2, "rounding": 0.2}),
    "r": _viseme(0.05, 0.10, 0.78, 0.6, weight=0.9),
    "w": _viseme(0.03, 0.055, 0.54, 1.1, weight=1.8),
    "j": _viseme(0.05, 0.13, 1.1, weight=0.6),
}

# eSpeak's symbols: one viseme, or the places (fraction of the sound) and visemes of a glide.
# fmt: off
PHONEME_VISEMES = {
    **{symbol: ((0.5, symbol),) for symbol in "i: I E a V @ U T l s S k r w j".split()},
    "u:": ((0.5, "u:"),), "A@": ((0.5, "A"),), "A:": ((0.5, "A"),), "0": ((0.5, "O"),), "O:": ((0.5, "O"),),
    "o@": ((0.5, "O"),), "3:": ((0.5, "@"),), "a#": ((0.5, "@"),), "i": ((0.5, "i:"),),
    "eI": ((0.3, "E"), (0.8, "i:")), "aI": ((0.3, "a"), (0.85, "I")), "aU": ((0.3, "a"), (0.85, "u:")),
    "oU": ((0.25, "O"), (0.75, "u:")), "OI": ((0.3, "O"), (0.8, "I")), "i@": ((0.3, "I"), (0.8, "@")),
    "e@": ((0.5, "E"),), "p": ((0.3, "p"),), "b": ((0.3, "p"),), "m": ((0.5, "p"),), "f": ((0.5, "f"),),
    "v": ((0.5, "f"),),
    "D": ((0.5, "T"),), "t": ((0.4, "t"),), "d": ((0.4, "t"),), "n": ((0.5, "t"),), "z": ((0.5, "s"),),
    "tS": ((0.5, "S"),), "dZ": ((0.5, "S"),), "Z": ((0.5, "S"),), "g": ((0.5, "k"),),
    "N": ((0.5, "k"),), "h": ((0.5, "@"),),
}
# fmt: on
BILABIALS = frozenset("pbm")
_CLOSURE = 0.026  # s that lips stay shut at least, to either side of a bilabial's middle: more than a frame in all


def _keys(phonemes):
    """Time, width (s), target and strength of each mouth position, with rest before and after."""
    keys = []
    for start, end, symbol in phonemes:
        for place, viseme in PHONEME_VISEMES.get(symbol, ((0.5, "@"),)):
            duration = end - start
            count = len(PHONEME_VISEMES.get(symbol, ((0.5, "@"),)))
            keys.append((start + place * duration, 0.03 + 0.45 * duration / count, *VISEMES[viseme]))
    first, last = phonemes[0][0], phonemes[-1][1]
    rest, strength = VISEMES["rest"]
    keys.insert(0, (first - 0.24, 0.12, rest, 2 * strength))
    keys.append((last + 0.24, 0.12, rest, 2 * strength))
    return keys


def mouth_track(speech: SyntheticSpeech, times: np.ndarray) -> np.ndarray:
    """Mouth parameters at some times: dominance functions (after Cohen and Massaro, 1993) blend neighbouring sounds.

    Args:
        speech (`SyntheticSpeech`): the speech, with phoneme times.
        times (`np.ndarray` of shape `(frames,)`): in seconds.

    Returns:
        `np.ndarray` of shape `(frames, 8)`: the `MOUTH_PARAMETERS`. "opening" (distance of the inner lips) and "jaw"
        (how far the chin is lowered) are in distances between the pupils, "spread" is relative to the mouth at rest;
        the others go from 0 to 1.
    """
    keys = _keys(speech.phonemes)
    centres, widths = np.array([key[0] for key in keys]), np.array([key[1] for key in keys])
    targets, strengths = np.stack([key[2] for key in keys]), np.stack([key[3] for key in keys])
    distance = np.abs(times[:, None] - centres) / widths
    dominance = np.exp(-(distance**1.6))[:, :, None] * strengths + 1e-9  # (frames, keys, parameters)
    track = (dominance * targets).sum(1) / dominance.sum(1)
    outside = (times < centres[0]) | (times > centres[-1])
    track[outside] = VISEMES["rest"][0]
    names = MOUTH_PARAMETERS.index
    for start, end, symbol in speech.phonemes:
        if symbol in BILABIALS:
            away = np.abs(times - _closure_time(start, end, symbol)) - _CLOSURE
            shut = np.where(away <= 0, 1.0, 0.5 + 0.5 * np.cos(np.pi * np.clip(away / 0.055, 0, 1)))
            track[:, names("opening")] *= 1 - shut
            track[:, names("press")] = np.maximum(track[:, names("press")], shut)
    return track


def _closure_time(start: float, end: float, symbol: str) -> float:
    """Middle of a bilabial's closure in seconds: a plosive's lies at its beginning."""
    return 0.5 * (start + end) if symbol == "m" else start + min(0.02, 0.4 * (end - start))


# --------------------------------------------------------------------------------------------------------------------
# Picture. The head is painted at twice the frame's size on a plane whose unit is the distance between the pupils, x to
# the right, y down, origin between the eyes; a height map z over it (towards the camera) gives shading and parallax.
# --------------------------------------------------------------------------------------------------------------------

SUPERSAMPLING = 2
_HEAD_X, _HEAD_Y = (-1.9, 1.9), (-2.35, 2.6)
_PATCH_X, _PATCH_Y = (-1.3, 1.3), (0.35, 2.4)  # what jaw and lips move
_MOUTH_X, _MOUTH_Y = (-0.75, 0.75), (0.72, 1.8)
_EYE_X, _EYE_Y = (0.12, 0.88), (-0.36, 0.30)
_MOUTH_LINE = 1.12
_EYE_LEVEL = 126.0  # pixels from the top of the frame


def _plane(x_range, y_range, pixels):
    """Coordinates of the pixels of a rectangle of the plane, each `(height, width)`."""
    x = np.arange(int(round((x_range[1] - x_range[0]) * pixels))) / pixels + x_range[0]
    y = np.arange(int(round((y_range[1] - y_range[0]) * pixels))) / pixels + y_range[0]
    return [grid.astype(np.float32) for grid in np.meshgrid(x, y)]


def _bump(x, y, x0, y0, sx, sy):
    return np.exp(-(((x - x0) / sx) ** 2) - ((y - y0) / sy) ** 2)


def _pair(x, y, x0, y0, sx, sy):
    """A bump on either side of the face."""
    return _bump(np.abs(x), y, x0, y0, sx, sy)


def _step(value, low, high):
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _smooth_curve(points, positions, smoothing):
    """Values at positions of a curve through (position, value) points, rounded off."""
    fine = np.linspace(points[0][0], points[-1][0], 400)
    values = np.interp(fine, *zip(*points))
    kernel = np.hanning(2 * smoothing + 3)
    padded = np.pad(values, smoothing + 1, mode="reflect", reflect_type="odd")
    return np.interp(positions, fine, np.convolve(padded, kernel / kernel.sum(), "valid"))


def _blur(image, sigma):
    return cv2.GaussianBlur(image, (0, 0), sigma)


def _mix(image, colour, mask):
    """Paint a colour (or an image) over another by a mask."""
    image += (np.asarray(colour, np.float32) - image) * mask[..., None].astype(np.float32)


class _Painter:
    """Pictures of one speaker: static layers, painted once, and what moves over them."""

    def __init__(self, name: str):
        self.face = face = _speaker(name).face
        self.rng = _generator("face", name)
        self.unit = face.scale * SUPERSAMPLING  # pixels of the painting to a unit
        self.light = np.array(face.light) / np.linalg.norm(face.light)
        self.x, self.y = _plane(_HEAD_X, _HEAD_Y, self.unit)
        self.outline = self._outline()
        self.height = self._height_map()
        head, alpha = self._paint_head()
        self.head = np.dstack([head, alpha * 255]).round().clip(0, 255).astype(np.uint8)
        self.backdrop = self._paint_backdrop().round().clip(0, 255).astype(np.uint8)
        self.grain = [
            np.clip(
                _blur(self.rng.normal(scale=4.0, size=(FRAME_HEIGHT, FRAME_WIDTH, 3)).astype(np.float32), 0.6), -9, 9
            )
            .round()
            .astype(np.int16)
            for _ in range(6)
        ]
        self._prepare_motion()

    # ---- static layers

    def _outline(self):
        """Contour of the bare head as `(points, 2)`."""
        f = self.face
        chin = 1.86 * f.length
        # fmt: off
        widths = [(-1.82, 0.0), (-1.79, 0.3), (-1.7, 0.55), (-1.45, 0.83), (-1.0, 1.06), (-0.5, 1.13), (0.0, 1.12),
                  (0.45, 1.07)]
        lower = [(0.52, 0.97), (0.66, 0.84), (0.8, 0.645), (0.9, 0.455), (0.965, 0.28), (0.99, 0.17), (1.0, 0.0)]
        # fmt: on
        points = [(y, w * f.width) for y, w in widths] + [(y * chin, w * f.width * f.jaw) for y, w in lower]
        crown, middle = np.linspace(-1.82, -1.6, 60), np.linspace(-1.6, chin - 0.25, 120)
        y = np.concatenate([crown, middle, np.linspace(chin - 0.25, chin, 60)])
        x = np.maximum(_smooth_curve(points, y, 9), 0)
        x[0] = x[-1] = 0
        return np.concatenate([np.stack([x, y], 1), np.stack([-x[::-1], y[::-1]], 1)])

    def _polygon(self, points, soft=0.0):
        """Mask of a polygon on the head's plane, anti-aliased, optionally soft (in units)."""
        pixels = ((np.asarray(points) - (_HEAD_X[0], _HEAD_Y[0])) * self.unit * 16).round().astype(np.int32)
        mask = np.zeros(self.x.shape, np.uint8)
        cv2.fillPoly(mask, [pixels], 255, cv2.LINE_AA, 4)
        mask = mask.astype(np.float32) / 255
        return _blur(mask, soft * self.unit) if soft else mask

    def _height_map(self):
        x, y, f = self.x, self.y, self.face
        self.head_mask = self._polygon(self.outline)
        inside = cv2.distanceTransform((self.head_mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5) / self.unit
        dome = 1.0 * np.sqrt(np.clip(1 - (1 - np.clip(inside / 1.08, 0, 1)) ** 2, 0, 1))
        z = _blur(dome.astype(np.float32), 0.07 * self.unit)
        n = f.nose
        along = _step(y, -0.2, 0.62)  # from the bridge to the tip
        below = 1 - _step(y, 0.58, 0.84)
        z += (
            0.31
            * (0.22 + 0.78 * along)
            * _step(y, -0.45, -0.1)
            * below
            * np.exp(-((x / (n * (0.13 + 0.08 * along))) ** 2))
        )
        z += 0.10 * _bump(x, y, 0, 0.56, 0.14 * n, 0.13) + 0.12 * _pair(x, y, 0.19 * n, 0.62, 0.09 * n, 0.09)
        z += 0.06 * _pair(x, y, 0.42, -0.36, 0.36, 0.11) - 0.11 * _pair(x, y, 0.5, -0.06, 0.27, 0.17)
        z -= 0.05 * _pair(x, y, 0.24, -0.03, 0.09, 0.12)
        z += 0.08 * _pair(x, y, 0.5, 0.0, 0.22, 0.14) + 0.10 * _pair(x, y, 0.68, 0.42, 0.28, 0.26)
        z += 0.12 * _bump(x, y, 0, 1.1, 0.42, 0.3) - 0.02 * _bump(x, y, 0, 0.9, 0.05, 0.09)
        z -= 0.07 * _bump(x, y, 0, 1.42, 0.32, 0.075) + 0.05 * _pair(x, y, 0.82, 0.95, 0.22, 0.3)
        z += 0.11 * _bump(x, y, 0, 1.64, 0.26, 0.16)
        return _blur(z.astype(np.float32), 0.012 * self.unit)

    def _shading(self, z):
        """Lambert shading (about 0.3 to 1.1), a warm version for red light under the skin, and a highlight."""
        gy, gx = np.gradient(z, 1 / self.unit)
        norm = np.sqrt(gx**2 + gy**2 + 1)
        toward = (-gx * self.light[0] - gy * self.light[1] + self.light[2]) / norm
        fill = (gx * self.light[0] + 1) / norm  # a weak lamp from the other side
        diffuse = np.clip((toward + 0.25) / 1.25, 0, 1)
        soft = np.clip((_blur(toward, 0.05 * self.unit) + 0.5) / 1.5, 0, 1)
        half = self.light + np.array([0, 0, 1.0])
        half /= np.linalg.norm(half)
        shine = np.clip((-gx * half[0] - gy * half[1] + half[2]) / norm, 0, 1) ** 22
        cavity = np.clip((z - _blur(z, 0.12 * self.unit)) * 1.3, -0.22, 0.1)
        base = 0.34 + 0.10 * np.clip(fill, 0, 1) + cavity
        return base + 0.66 * diffuse, base + 0.66 * soft, shine

    def _noise(self, shape, sigma, scale):
        noise = _blur(self.rng.normal(size=shape).astype(np.float32), sigma)
        return noise * (scale / noise.std())

    def _skin(self, tint=1.0):
        x, y, f = self.x, self.y, self.face
        skin = np.ones((*x.shape, 3), np.float32) * np.asarray(f.skin, np.float32) * tint
        red = 0.55 * _pair(x, y, 0.62, 0.5, 0.34, 0.26) + 0.5 * _bump(x, y, 0, 0.55, 0.2, 0.2)
        red += 0.25 * _bump(x, y, 0, 1.6, 0.3, 0.2)
        skin *= 1 - red[..., None] * np.array([0.0, 0.13, 0.13])
        skin *= 1 - 0.10 * _pair(x, y, 0.48, 0.2, 0.26, 0.09)[..., None] * np.array([0.8, 1.0, 0.8])
        if f.beard:
            zone = _step(y, 0.72, 1.0) * (1 - 0.9 * _pair(x, y, 0.5, 0.75, 0.22, 0.28))
            zone += 0.9 * _pair(x, y, 1.0, 0.75, 0.22, 0.5)
            zone = np.clip(zone, 0, 1) * f.beard * (1 + self._noise(x.shape, 0.6, 0.12))
            _mix(skin, np.asarray(f.hair) * 0.6 + np.array([60, 62, 66]) * 0.4, np.clip(0.42 * zone, 0, 1))
        skin *= (
            1 + self._noise(x.shape, 0.16 * self.unit, 0.018)[..., None] + self._noise(x.shape, 0.8, 0.014)[..., None]
        )
        return skin

    def _paint_head(self):
        f = self.face
        diffuse, soft, shine = self._shading(self.height)
        light = np.dstack([0.6 * diffuse + 0.4 * soft + 0.02, 0.85 * diffuse + 0.15 * soft, diffuse])
        head = self._skin() * light + 34 * (shine * (1 - 0.4 * bool(f.beard)))[..., None]
        alpha = self.head_mask.copy()
        self._paint_ears(head, alpha)
        self._paint_nose_and_folds(head)
        self._paint_brows(head)
        self._paint_hair(head, alpha)
        return head, alpha

    def _paint_ears(self, head, alpha):
        x, y, f = self.x, self.y, self.face
        centre = 1.15 * f.width
        for side in (-1, 1):
            u = (side * x - centre + 0.05 * (y - 0.12)) / 0.15
            v = (y - 0.2) / (0.36 - 0.06 * _step(y, 0.2, 0.5))
            radius = np.sqrt(u**2 + v**2)
            mask = _step(1 - radius, -0.06, 0.06) * (1 - self.head_mask)
            lit = (
                0.80
                + 0.16 * side * self.light[0]
                - 0.34 * np.exp(-(((radius - 0.62) / 0.16) ** 2))
                + 0.10 * (radius > 0.75)
            )
            ear = np.asarray(f.skin, np.float32) * np.array([1.0, 0.86, 0.84]) * lit[..., None]
            _mix(head, ear, mask)
            np.maximum(alpha, mask, out=alpha)

    def _strokes(self, curves, width):
        """Soft lines: mask of polylines `(points, 2)` of the head's plane."""
        mask = np.zeros(self.x.shape, np.uint8)
        for curve in curves:
            pixels = ((np.asarray(curve) - (_HEAD_X[0], _HEAD_Y[0])) * self.unit * 16).round().astype(np.int32)
            cv2.polylines(mask, [pixels], False, 255, max(1, int(round(width * self.unit))), cv2.LINE_AA, 4)
        return mask.astype(np.float32) / 255

    def _paint_nose_and_folds(self, head):
        x, y, f = self.x, self.y, self.face
        n = f.nose
        dark = np.zeros(x.shape, np.float32)
        dark += 0.16 * _bump(x, y, 0, 0.745, 0.2 * n, 0.05)
        wing = [
            [(s * n * a, b) for a, b in ((0.245, 0.49), (0.29, 0.57), (0.295, 0.65), (0.25, 0.705))] for s in (-1, 1)
        ]
        dark += 0.30 * _blur(self._strokes(wing, 0.03), 0.022 * self.unit)
        fold = [[(s * a, b) for a, b in ((0.31 * n, 0.62), (0.42, 0.74), (0.51, 0.92), (0.56, 1.08))] for s in (-1, 1)]
        dark += 0.20 * _blur(self._strokes(fold, 0.05), 0.04 * self.unit)
        nostril = _pair(x, y, 0.115 * n, 0.69, 0.062 * n, 0.026)
        head *= (1 - np.clip(dark, 0, 0.8))[..., None] ** np.array([0.8, 1.05, 1.1])
        _mix(head, np.asarray(f.skin) * np.array([0.22, 0.14, 0.12]), np.clip(1.2 * nostril, 0, 0.9))

    def _paint_brows(self, head):
        f = self.face
        t = np.linspace(0, 1, 90)
        strokes = np.zeros(self.x.shape, np.float32)
        for side in (-1, 1):
            hairs = []
            for position in np.repeat(t, 3):
                thick = f.brow * 0.058 * (0.55 + 0.9 * position) * (1 - 0.75 * position**3)
                base_x = 0.22 + 0.62 * position
                base_y = -0.34 - 0.13 * np.sin(np.pi * min(position * 0.80 + 0.02, 1)) + 0.05 * position
                offset = self.rng.uniform(-1, 1) * thick
                lean = 0.9 - 1.1 * position + self.rng.normal(scale=0.12)
                length = 0.075 * (0.8 + 0.4 * self.rng.random())
                x0, y0 = base_x, base_y + offset
                hairs.append(
                    [(side * x0, y0), (side * (x0 + length * np.cos(lean)), y0 - length * 0.7 * np.sin(lean))]
                )
            strokes += self._strokes(hairs, 0.012)
        density = np.clip(_blur(np.clip(strokes, 0, 1), 0.012 * self.unit) * 1.1, 0, 0.82)
        _mix(head, np.asarray(f.hair) * 0.7 + np.asarray(f.skin) * 0.06, density)

    def _hair_masks(self):
        """Hair in front of the head, by style."""
        f = self.face
        w = f.width
        # fmt: off
        if f.hair_style in ("short", "cropped"):
            lift = 0.2 if f.hair_style == "short" else 0.06
            side = 0.09 if f.hair_style == "short" else 0.025
            outer = [(-(1.10 + side) * w, 0.1), (-(1.16 + side) * w, -0.5), (-(1.08 + side) * w, -1.1),
                     (-0.86 * w, -1.56 - lift / 2), (-0.45 * w, -1.80 - lift), (0.05, -1.84 - lift),
                     (0.5 * w, -1.78 - lift), (0.88 * w, -1.54 - lift / 2), ((1.08 + side) * w, -1.1),
                     ((1.16 + side) * w, -0.5), ((1.10 + side) * w, 0.1)]
            line = -1.02 if f.hair_style == "short" else -1.16
            inner = [(1.03 * w, 0.12), (1.04 * w, -0.35), (0.93 * w, -0.62), (0.86 * w, line + 0.12),
                     (0.5 * w, line - 0.06), (0.1, line), (-0.3 * w, line - 0.05), (-0.62 * w, line + 0.02),
                     (-0.86 * w, line + 0.16), (-0.93 * w, -0.62), (-1.04 * w, -0.35), (-1.03 * w, 0.12)]
        else:
            end = 2.55 if f.hair_style == "long" else 1.35
            flare = 1.5 if f.hair_style == "long" else 1.34
            outer = [(-flare * w, end), (-1.48 * w, 0.9), (-1.42 * w, 0.1), (-1.33 * w, -0.7), (-1.08 * w, -1.45),
                     (-0.6 * w, -1.92), (0, -2.05), (0.6 * w, -1.92), (1.08 * w, -1.45), (1.33 * w, -0.7),
                     (1.42 * w, 0.1), (1.48 * w, 0.9), (flare * w, end)]
            inner = [(1.12 * w, end), (1.06 * w, 1.0), (1.04 * w, 0.3), (1.0 * w, -0.3), (0.84 * w, -0.78),
                     (0.45 * w, -1.12), (0.12, -1.34), (-0.2 * w, -1.2), (-0.6 * w, -0.95), (-0.9 * w, -0.6),
                     (-1.0 * w, -0.2), (-1.04 * w, 0.3), (-1.06 * w, 1.0), (-1.12 * w, end)]
        # fmt: on
        return _rounded(outer), _rounded(inner)

    def _paint_hair(self, head, alpha):
        x, y, f = self.x, self.y, self.face
        outer, inner = self._hair_masks()
        # Strands: noise drawn out along lines that leave the crown (short) or fall beside the face (long).
        if f.hair_style in ("short", "cropped"):
            crown = (0.25, -1.9)
            across, along = np.arctan2(y - crown[1] + 0.6, x - crown[0]), np.hypot(x - crown[0], y - crown[1])
        else:
            fall = _step(y, -1.1, 0.5)
            across = (
                (1 - fall) * np.arctan2(x - 0.12, np.maximum(0.35 - y, 0.05))
                + fall * x
                + 0.06 * np.sin(2.2 * y + 2 * x)
            )
            along = y + 0.4 * np.abs(x)
        bank = self.rng.normal(size=(64, 1024)).astype(np.float32)
        bank = cv2.GaussianBlur(bank, (0, 0), sigmaX=0.9, sigmaY=5)
        bank /= bank.std()
        strands = cv2.remap(
            bank, ((across * 130) % 1023).astype(np.float32), ((along * 14) % 63).astype(np.float32), cv2.INTER_LINEAR
        )
        # A ragged edge: the strands decide where the softened outline ends.
        soft = {"cropped": 0.05, "short": 0.055}.get(f.hair_style, 0.03)
        ragged = {"cropped": 0.05, "short": 0.17}.get(f.hair_style, 0.12)
        mask = _blur(self._polygon(np.concatenate([outer, inner])), soft * self.unit)
        sharp = 0.4 if f.hair_style == "cropped" else 0.16
        mask = _step(
            mask + ragged * np.clip(_blur(strands, 0.8), -2, 2) * _step(mask, 0.02, 0.3), 0.5 - sharp, 0.5 + sharp
        )
        mask *= 1 - _step(y, 0.02, 0.2) if f.hair_style in ("short", "cropped") else 1.0
        volume = _blur(self._polygon(outer), 0.16 * self.unit)
        z = 1.1 * np.sqrt(np.clip(volume, 0, 1)) + 0.012 * _blur(strands, 1.0)
        gy, gx = np.gradient(_blur(z, 0.03 * self.unit), 1 / self.unit)
        norm = np.sqrt(gx**2 + gy**2 + 1)
        toward = np.clip((-gx * self.light[0] - gy * self.light[1] + self.light[2]) / norm, 0, 1)
        lit = 0.42 + 0.62 * toward + 0.13 * strands * (0.5 + toward)
        lit += (
            0.25
            * np.exp(-(((y + 1.45 + 0.25 * np.abs(x)) / 0.2) ** 2))
            * (0.6 + 0.4 * strands)
            * (f.hair_style != "cropped")
        )
        if f.hair_style in ("long", "bob"):
            lit *= 1 - 0.45 * _step(y, 0.2, 1.4) * (1 - _step(np.abs(x), 1.02, 1.3))
        hair = np.asarray(f.hair, np.float32) * np.clip(lit, 0.2, 2.2)[..., None]
        shadow = _blur(mask, 0.06 * self.unit) * self.head_mask
        head *= (1 - 0.28 * shadow * (1 - mask))[..., None]
        _mix(head, hair, np.clip(mask, 0, 1) * (0.85 if f.hair_style == "cropped" else 1.0))
        np.maximum(alpha, mask, out=alpha)

    def _paint_backdrop(self):
        """Wall, hair behind the neck, neck and shoulders at twice the frame's size, `(576, 720, 3)`."""
        f = self.face
        height, width = FRAME_HEIGHT * SUPERSAMPLING, FRAME_WIDTH * SUPERSAMPLING
        rows, columns = np.indices((height, width), np.float32)
        x, y = (columns - width / 2) / self.unit, (rows - _EYE_LEVEL * SUPERSAMPLING) / self.unit
        glow = np.exp(-((x - 2.0 * self.light[0]) ** 2 / 9 + (y + 1.2) ** 2 / 8))
        picture = np.asarray(f.wall, np.float32) * (0.72 + 0.38 * glow)[..., None] + 20 * glow[..., None]
        picture *= 1 - 0.05 * ((x / 3.6) ** 4)[..., None]
        if f.hair_style in ("long", "bob"):
            end = 2.5 if f.hair_style == "long" else 1.4
            behind = (1 - _step(np.abs(x), 1.1, 1.2)) * _step(y, -0.5, 0) * (1 - _step(y, end - 0.35, end + 0.05))
            _mix(picture, np.asarray(f.hair) * 0.3, behind)
        half = (0.74 if f.jaw > 1 else 0.62) * f.width
        neck_width = half * (1 + 0.05 * (y - 1.7) ** 2 + 0.9 * _step(y, 1.9, 2.8) ** 2)
        across = np.clip(x / neck_width, -1, 1)
        neck = _step(neck_width - np.abs(x), -0.012, 0.012) * _step(y, 0.5, 0.9)
        lit = 0.40 + 0.52 * np.clip(across * self.light[0] + np.sqrt(1 - across**2) * self.light[2] + 0.1, 0, 1)
        lit *= 1 - 0.40 * (1 - _step(y, 1.75 * f.length, 2.2 * f.length))  # shadow of the chin
        lit -= 0.07 * np.exp(-(((np.abs(x) - 0.34 + 0.1 * (y - 2)) / 0.07) ** 2)) * _step(y, 1.9, 2.4)
        warm = np.asarray(f.skin, np.float32) * np.array([1.0, 0.94, 0.92])
        _mix(picture, warm * lit[..., None], neck)
        slope = 1.98 + 0.26 * np.abs(x) + 0.045 * np.abs(x) ** 2.6 + 0.9 * _step(np.abs(x), 2.1, 3.3)
        neckline = {
            "crew": 2.30 - 0.40 * np.abs(x) ** 2,
            "v": 2.88 - 0.98 * np.abs(x),
            "roll": 2.0 + 0.14 * np.abs(x) ** 2,
        }[f.collar]
        top = np.where(
            np.abs(x) < 0.95, np.maximum(slope, neckline) if f.collar != "roll" else np.minimum(slope, neckline), slope
        )
        if f.collar == "roll":
            top = np.where(np.abs(x) < neck_width + 0.06, neckline, slope)
        cloth = _step(y - top, -0.012, 0.012)
        folds = _blur(self.rng.normal(size=x.shape).astype(np.float32), 0.22 * self.unit)
        folds *= 0.05 / folds.std()
        weave = self.rng.normal(scale=0.02, size=x.shape)
        lit = 0.80 + 0.16 * np.tanh(x * 0.8) * self.light[0] * 1.6 + folds + weave
        lit -= 0.22 * _step(y, 2.3, 3.6) + 0.22 * np.exp(-np.clip(y - top, 0, None) / 0.05) * (np.abs(x) < 1.0)
        if f.collar == "roll":
            lit += 0.05 * np.sin(x * 55) * (y < 2.42) * (np.abs(x) < neck_width + 0.06)
        _mix(picture, np.asarray(f.cloth, np.float32) * np.clip(lit, 0.2, 1.3)[..., None], cloth)
        return picture

    # ---- what moves

    def _window(self, x_range, y_range):
        left, top = (
            int(round((x_range[0] - _HEAD_X[0]) * self.unit)),
            int(round((y_range[0] - _HEAD_Y[0]) * self.unit)),
        )
        height, width = (
            int(round((y_range[1] - y_range[0]) * self.unit)),
            int(round((x_range[1] - x_range[0]) * self.unit)),
        )
        return slice(top, top + height), slice(left, left + width)

    def _prepare_motion(self):
        self.patch = self._window(_PATCH_X, _PATCH_Y)
        x, y = self.x[self.patch], self.y[self.patch]
        chin = 1.86 * self.face.length
        beside = 1 - _step(np.abs(x), 0.75, 1.2)
        self.jaw_field = _step(y, _MOUTH_LINE + 0.02, 1.42) * beside * self.unit
        self.jaw_field += (
            0.25
            * self.unit
            * _step(y, 0.6, _MOUTH_LINE)
            * (1 - _step(y, _MOUTH_LINE, 1.42))
            * _pair(x, y, 0.8, 1.1, 0.3, 0.5)
        )
        self.jaw_field *= 1 - 0.6 * _step(y, chin + 0.05, chin + 0.5)
        self.narrow_field = np.sign(x) * _pair(x, y, 0.9, 1.2, 0.3, 0.45) * self.unit  # cheeks drawn in by an open jaw
        self.corner_field = np.sign(x) * _pair(x, y, 0.46, 1.1, 0.26, 0.3) * self.unit
        rows, columns = np.indices(x.shape, np.float32)
        self.patch_grid = columns, rows
        self.mouth = self._window(_MOUTH_X, _MOUTH_Y)
        self.mouth_x, self.mouth_y = self.x[self.mouth], self.y[self.mouth]
        self.lip_grain = _blur(self.rng.normal(size=(1, 400)).astype(np.float32), 1.2)[0]
        self.lip_grain /= np.abs(self.lip_grain).max()
        self.eyes = []
        for side in (-1, 1):
            x_range = (_EYE_X[0], _EYE_X[1]) if side == 1 else (-_EYE_X[1], -_EYE_X[0])
            window = self._window(x_range, _EYE_Y)
            self.eyes.append((side, window, side * self.x[window] - 0.5, self.y[window]))
        self.brow_field = _pair(self.x, self.y, 0.5, -0.42, 0.5, 0.24) * self.unit

    def _move_skin(self, mouth):
        jaw, _, spread, rounding = mouth[:4]
        columns, rows = self.patch_grid
        map_x = columns - self.corner_field * (0.22 * (spread - 1)) + self.narrow_field * (0.22 * jaw)
        map_y = rows - self.jaw_field * jaw
        return cv2.remap(
            self.head[self.patch],
            map_x.astype(np.float32),
            map_y.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def mouth_shape(self, mouth):
        """Half width of the mouth, how far each lip is from where lips meet, and how thick each is, in units."""
        jaw, opening, spread, rounding, tuck, press = mouth[:6]
        f = self.face
        half = 0.405 * f.mouth * spread
        up = opening * (0.38 + 0.12 * tuck)
        low = opening - up
        upper = 0.105 * f.lips * (1 - 0.3 * press) * (1 + 0.3 * rounding) * (1 - 0.15 * min(opening / 0.3, 1))
        lower = 0.155 * f.lips * (1 - 0.25 * press) * (1 + 0.22 * rounding) * (1 - 0.45 * tuck)
        return half, up, low, upper, lower

    def _paint_mouth(self, image, mouth):
        """Paint lips, teeth, tongue and the dark between them over the moved skin (float, `(height, width, 3)`)."""
        jaw, opening, spread, rounding, tuck, press, tongue_up, tongue_out = mouth
        f, x, y = self.face, self.mouth_x, self.mouth_y
        half, up, low, upper, lower = self.mouth_shape(mouth)
        pixel = 1 / self.unit
        s = np.clip(x[0] / half, -1, 1)
        q = 1 - s**2
        drop = 0.30 * jaw  # of the corners
        line = _MOUTH_LINE + 0.018 * s**2 + 0.012 * np.exp(-((s / 0.2) ** 2)) + drop
        inner_up = line - (up + drop) * q ** (0.85 - 0.35 * np.clip(rounding, 0, 1))
        inner_low = line + (low - drop) * q ** (0.75 - 0.25 * np.clip(rounding, 0, 1))
        inner_low = np.maximum(inner_low, inner_up)
        bow = (
            1
            - 0.20 * (1 - 0.5 * rounding) * np.exp(-((s / 0.13) ** 2))
            + 0.08 * np.exp(-(((np.abs(s) - 0.3) / 0.15) ** 2))
        )
        thick_up = upper * (1 - np.abs(s) ** 2.2) ** 0.85 * bow + 1e-4
        thick_low = lower * q**0.7 + 1e-4
        outer_up, outer_low = inner_up - thick_up, inner_low + thick_low

        def cover(distance, softness=1.0):
            return np.clip(distance / (pixel * softness) + 0.5, 0, 1)

        inside_x = cover(half - np.abs(x), 2)
        lips = cover(y - outer_up, 3.2) * cover(outer_low - y, 4.0) * inside_x
        hole = cover(y - inner_up, 1.6) * cover(inner_low - y, 1.6) * inside_x

        # Skin around: shadow under the lower lip, dimples at the corners.
        below = 0.20 * np.exp(-(((y - outer_low - 0.07) / 0.06) ** 2)) * (q**0.6) * (1 - 0.4 * tuck)
        corners = 0.30 * np.exp(
            -(((np.abs(x) - half - 0.005) / 0.045) ** 2) - ((y - _MOUTH_LINE - drop - 0.01) / 0.045) ** 2
        )
        ring = (
            0.10
            * rounding
            * np.exp(-((((np.hypot(x / (half + 0.12), (y - _MOUTH_LINE - 0.02) / 0.34)) - 1) / 0.2) ** 2))
        )
        image *= (1 - np.clip(below + corners + ring, 0, 0.6))[..., None] ** np.array([0.8, 1.05, 1.1], np.float32)

        # Lips: two cylinders under the lamp.
        v_up, v_low = (y - outer_up) / thick_up, (y - inner_low) / thick_low
        grain = 0.05 * np.interp((s + 1) * 199, np.arange(400), self.lip_grain)
        side = 0.10 * self.light[0] * s
        shade_up = 0.86 - 0.20 * _step(v_up, 0.2, 1.0) + 0.10 * (1 - _step(v_up, 0.0, 0.35))
        shade_low = (
            0.98
            + 0.16 * np.exp(-(((v_low - 0.38) / 0.3) ** 2))
            - 0.30 * _step(v_low, 0.55, 1.1)
            - 0.3 * (1 - _step(v_low, -0.15, 0.16))
        )
        is_low = y > 0.5 * (inner_up + inner_low)
        shade = np.where(is_low, shade_low, shade_up) * (1 + grain) + side
        rose = np.asarray(f.lip, np.float32) * shade[..., None]
        gloss = (
            np.exp(-(((v_low - 0.36) / 0.14) ** 2) - ((s - 0.25 * self.light[0]) / 0.38) ** 2)
            * is_low
            * (1 - 0.7 * tuck)
        )
        rose += (26 * gloss * (1 + 0.6 * grain / 0.05))[..., None]
        _mix(image, rose, lips * 0.93)

        # Behind the lips. Upper teeth stay with the skull, lower teeth and tongue go with the jaw.
        edge_up = _MOUTH_LINE + 0.050 - 0.10 * x**2 - 0.010 * np.abs(np.sin(np.pi * x / 0.105))
        edge_low = _MOUTH_LINE + 0.062 + jaw + 0.06 * x**2 + 0.006 * np.abs(np.sin(np.pi * x / 0.075))
        dark = np.array([46, 15, 15], np.float32) * (0.55 + 0.45 * np.clip((y - inner_up) / 0.25, 0, 1))[..., None]
        mouth_inside = dark * np.ones((*x.shape, 3), np.float32)
        arch = np.clip(1 - 0.85 * (np.abs(x) / 0.42) ** 2, 0.12, 1)
        lip_shadow = 1 - 0.45 * np.exp(-np.clip(y - inner_up, 0, None) / 0.035)
        gaps_up = 1 - 0.16 * np.exp(-((np.minimum((x / 0.105) % 1, 1 - (x / 0.105) % 1) / 0.08) ** 2))
        gaps_low = 1 - 0.18 * np.exp(-((np.minimum((x / 0.075 + 0.5) % 1, 1 - (x / 0.075 + 0.5) % 1) / 0.1) ** 2))
        tongue_edge = edge_low - 0.06 + 0.35 * x**2
        tongue_edge = tongue_edge + (edge_up + 0.012 + 0.9 * x**2 - tongue_edge) * min(tongue_up, 1)
        flesh = np.array([170, 82, 80], np.float32) * (0.55 + 0.4 * np.clip((y - tongue_edge) / 0.08, 0, 1))[..., None]
        _mix(mouth_inside, flesh * arch[..., None], cover(y - tongue_edge, 3) * cover(0.27 - np.abs(x), 6))
        ivory = np.array([232, 222, 206], np.float32)
        recess = 1 - 0.72 * np.clip(rounding, 0, 1)
        _mix(
            mouth_inside,
            ivory * (0.74 * recess * arch * lip_shadow * gaps_low)[..., None],
            cover(y - edge_low, 2) * cover(0.27 - np.abs(x), 8),
        )
        _mix(
            mouth_inside,
            ivory * (0.90 * recess * arch * lip_shadow * gaps_up)[..., None],
            cover(edge_up - y, 2) * cover(0.36 - np.abs(x), 8),
        )
        if tongue_out > 0.05:
            tip = edge_up + 0.006 + 0.7 * x**2
            flesh = (
                np.array([196, 104, 100], np.float32)
                * (0.8 + 0.25 * np.exp(-(((y - tip - 0.05) / 0.04) ** 2)))[..., None]
            )
            _mix(mouth_inside, flesh, tongue_out * cover(y - tip, 3) * cover(0.2 - np.abs(x), 8))
        _mix(image, mouth_inside, hole)
        # The seam of closed lips.
        seam = (
            np.exp(-(((y - 0.5 * (inner_up + inner_low)) / 0.014) ** 2))
            * (1 - _step(inner_low - inner_up, 0.0, 0.04))
            * inside_x
        )
        image *= (1 - 0.55 * seam)[..., None]

    def _paint_eye(self, image, x, y, side, opening, gaze):
        """Paint an eye; x is towards the temple from the pupil's place, opening 0 (shut) to 1."""
        f = self.face
        pixel = 1 / self.unit
        s = np.clip((x[0] + 0.005) / 0.255, -1, 1)
        q = 1 - s**2
        low_line = 0.012 - 0.018 * s + 0.072 * q**0.75
        open_line = 0.012 - 0.018 * s - 0.122 * f.eye * (q**0.62) * (1 + 0.10 * s)
        lid = low_line - 0.006 + (open_line - low_line) * opening

        def cover(distance, softness=1.0):
            return np.clip(distance / (pixel * softness) + 0.5, 0, 1)

        ball = cover(y - lid, 1.5) * cover(low_line - y, 2) * cover(0.255 - np.abs(x + 0.005), 2)
        white = (
            np.array([226, 218, 212], np.float32)
            * (0.80 - 0.25 * s**2 - 0.42 * np.exp(-np.clip(y - lid, 0, None) / 0.035))[..., None]
        )
        radius = np.hypot(x - side * gaze[0], y + 0.025 - gaze[1])
        iris_lit = (
            0.75
            + 0.55 * _step(y + 0.025, -0.06, 0.1)
            - 0.5 * _step(radius, 0.085, 0.115)
            - 0.3 * np.exp(-np.clip(y - lid, 0, None) / 0.03)
        )
        angle = np.arctan2(y + 0.025, x)
        iris = (
            np.asarray(f.iris, np.float32)
            * np.clip(iris_lit + 0.10 * np.sin(17 * angle) * np.sin(9 * angle), 0.1, 1.6)[..., None]
        )
        eyeball = white * np.ones((*x.shape, 3), np.float32)
        _mix(eyeball, iris, cover(0.112 - radius, 2.5))
        _mix(eyeball, (12, 10, 10), cover(0.047 - radius, 2))
        spark = np.exp(-(((x - side * (0.036 * self.light[0] + gaze[0])) / 0.022) ** 2) - ((y + 0.068) / 0.02) ** 2)
        eyeball += (200 * spark)[..., None]
        eyeball *= np.array([1.0, 0.97, 0.95], np.float32)
        # Lid: a fold above, shadow on closing, lashes.
        crease = open_line - 0.055 + 0.02 * (1 - opening)
        wide = cover(0.30 - np.abs(x), 10)
        image *= (1 - 0.30 * np.exp(-(((y - crease) / 0.016) ** 2)) * wide * (q**0.3))[..., None] ** np.array(
            [0.8, 1, 1.05], np.float32
        )
        image *= (1 - 0.14 * np.exp(-(((y - low_line - 0.05) / 0.025) ** 2)) * wide)[..., None]
        _mix(image, eyeball, ball)
        lash = np.exp(-(((y - lid + 0.004) / (0.017 + 0.004 * (1 - opening))) ** 2)) * cover(0.275 - np.abs(x), 5)
        _mix(image, np.asarray(f.hair) * 0.18 + np.array([14, 8, 8]), 0.88 * lash)
        rim = np.exp(-(((y - low_line) / 0.012) ** 2)) * cover(0.25 - np.abs(x), 5)
        _mix(image, np.asarray(f.skin) * np.array([0.62, 0.45, 0.42]), 0.5 * rim)
        corner = _bump(x, y, -0.25, 0.03, 0.03, 0.02)
        _mix(image, np.asarray(f.skin) * np.array([0.8, 0.5, 0.48]), 0.6 * corner)

    def frame(self, mouth, pose, eye_opening, gaze, brow, gain, grain):
        """One picture.

        Args:
            mouth: the `MOUTH_PARAMETERS`.
            pose: x and y (pixels of the frame), tilt (radians), yaw and pitch (sine), size (1 is average).
            eye_opening: 0 to 1; gaze: of the pupils, in units; brow: how far the brows are raised, in units.
            gain: brightness; grain: number of the film's noise and its offset.
        """
        head = self.head.copy()
        head[self.patch] = self._move_skin(mouth)
        rows, columns = self.mouth
        colours = head[rows, columns, :3].astype(np.float32)
        self._paint_mouth(colours, mouth)
        head[rows, columns, :3] = np.clip(colours, 0, 255)
        for side, (rows, columns), x, y in self.eyes:
            colours = head[rows, columns, :3].astype(np.float32)
            self._paint_eye(colours, x, y, side, eye_opening, gaze)
            head[rows, columns, :3] = np.clip(colours, 0, 255)
        canvas = self.backdrop.copy()
        self._place(canvas, head, pose, brow)
        small = cv2.resize(canvas, (FRAME_WIDTH, FRAME_HEIGHT), interpolation=cv2.INTER_AREA)
        noisy = small * np.float32(gain) + np.roll(self.grain[grain[0]], grain[1], axis=1)
        return np.clip(noisy, 0, 255).astype(np.uint8)

    def _place(self, canvas, head, pose, brow):
        """Draw the head into the canvas, turned, nodded and tilted."""
        shift_x, shift_y, tilt, yaw, pitch, size = pose
        unit = self.unit
        centre_x = canvas.shape[1] / 2 + shift_x * SUPERSAMPLING
        centre_y = _EYE_LEVEL * SUPERSAMPLING + shift_y * SUPERSAMPLING
        left, top = (
            max(0, int(centre_x + (_HEAD_X[0] + 0.1) * unit)),
            max(0, int(centre_y + (_HEAD_Y[0] + 0.1) * unit)),
        )
        right, bottom = (
            min(canvas.shape[1], int(centre_x + (_HEAD_X[1] - 0.1) * unit)),
            min(canvas.shape[0], int(centre_y + (_HEAD_Y[1] - 0.1) * unit)),
        )
        columns = np.arange(left, right, dtype=np.float32)[None] - centre_x
        rows = np.arange(top, bottom, dtype=np.float32)[:, None] - centre_y
        pivot = 1.9 * unit  # the neck: the head tilts about it
        cosine, sine = np.cos(tilt) / size, np.sin(tilt) / size
        rows = rows - pivot
        map_x = cosine * columns + sine * rows - _HEAD_X[0] * unit
        map_y = cosine * rows - sine * columns + pivot - _HEAD_Y[0] * unit
        map_x, map_y = map_x.astype(np.float32), map_y.astype(np.float32)
        depth = cv2.remap(self.parallax, map_x, map_y, cv2.INTER_LINEAR)
        lifted = cv2.remap(self.brow_field, map_x, map_y, cv2.INTER_LINEAR) if brow else 0.0
        turned = cv2.remap(
            head,
            map_x - np.float32(yaw) * depth,
            map_y - np.float32(pitch) * depth + np.float32(brow) * lifted,
            cv2.INTER_LINEAR,
        )
        weight = turned[:, :, 3].astype(np.float32) * np.float32(1 / 255)
        area = canvas[top:bottom, left:right]
        area[:] = cv2.blendLinear(
            np.ascontiguousarray(turned[:, :, :3]), np.ascontiguousarray(area), weight, 1 - weight
        )

    @functools.cached_property
    def parallax(self):
        """How far a point moves (pixels of the painting) when the head turns by an angle of sine 1."""
        return ((_blur(self.height, 0.03 * self.unit) - 0.5) * self.unit).astype(np.float32)


def _rounded(points, rounds=3):
    """Chaikin's corner cutting of an open polyline."""
    points = np.asarray(points, float)
    for _ in range(rounds):
        near, far = 0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]
        points = np.concatenate([points[:1], np.stack([near, far], 1).reshape(-1, 2), points[-1:]])
    return points


@functools.lru_cache(maxsize=8)
def _painter(name: str) -> _Painter:
    return _Painter(name)


def _wander(rng, times, amplitude):
    """Slow smooth motion about zero."""
    return sum(
        amplitude / (k + 1) * np.sin(2 * np.pi * rng.uniform(0.12, 0.35) * (k + 1) * times + rng.uniform(0, 2 * np.pi))
        for k in range(3)
    )


def _blinks(rng, times):
    """Opening of the eyes, 0 to 1, with up to two blinks."""
    opening = np.full(len(times), 1.0) + _wander(rng, times, 0.02)
    start = rng.uniform(0.1, 2.4)
    for _ in range(rng.integers(0, 3)):
        since = times - start
        closing, opened = np.clip(since / 0.09, 0, 1), np.clip((since - 0.13) / 0.16, 0, 1)
        opening *= 1 - (closing * closing * (3 - 2 * closing)) * (1 - opened * opened * (3 - 2 * opened)) * (since > 0)
        start += rng.uniform(0.9, 2.2)
    return np.clip(opening, 0.0, 1.05)


def render_frames(speech: SyntheticSpeech, speaker: str, seed: int = 0) -> Iterator[np.ndarray]:
    """Pictures of a speaker saying something.

    Args:
        speech (`SyntheticSpeech`): from [`synthesize_speech`].
        speaker (`str`): a name of `SPEAKERS`; another than the voice's may be given.
        seed (`int`, *optional*, defaults to 0): varies head motion, blinks, gaze, brows and film grain.

    Yields:
        `np.ndarray` of shape `(288, 360, 3)`: uint8 RGB, 75 pictures at 25 frames/s.

    Raises:
        SyntheticError: if the speaker is unknown.
    """
    painter = _painter(speaker)
    rng = _generator("picture", speaker, seed, [word for _, _, word in speech.word_times])
    times = (np.arange(CLIP_FRAMES) + 0.5) / FRAME_RATE
    mouths = mouth_track(speech, times)
    mouths[:, :2] *= rng.uniform(0.92, 1.08)  # how widely one articulates today
    place = rng.uniform(-4, 4), rng.uniform(-3, 3)
    poses = np.stack(
        [
            place[0] + _wander(rng, times, 1.4),
            place[1] + _wander(rng, times, 0.9),
            rng.normal(scale=0.012) + _wander(rng, times, 0.012),
            rng.normal(scale=0.03) + _wander(rng, times, 0.035),
            rng.normal(scale=0.02) + _wander(rng, times, 0.025),
            rng.uniform(0.97, 1.03) * np.ones(CLIP_FRAMES),
        ],
        axis=1,
    )
    for start, end, _ in speech.word_times[::2]:  # a little nod on some words
        poses[:, 4] += rng.uniform(0, 0.03) * np.exp(-(((times - 0.5 * (start + end)) / 0.12) ** 2))
    brows = np.clip(_wander(rng, times, 0.03), -0.02, 0.06)
    eyes = _blinks(rng, times)
    gaze = rng.normal(scale=(0.008, 0.004), size=2)
    gain = rng.uniform(0.96, 1.04)
    for index in range(CLIP_FRAMES):
        grain = int(rng.integers(len(painter.grain))), int(rng.integers(FRAME_WIDTH))
        yield painter.frame(mouths[index], poses[index], eyes[index], gaze, brows[index], gain, grain)


# --------------------------------------------------------------------------------------------------------------------
# Clips and corpora
# --------------------------------------------------------------------------------------------------------------------

# Video codec, pixel format, audio codec and audio rate (Hz) by suffix.
_CONTAINERS = {
    ".mkv": ("libx264", "yuv420p", "flac", SAMPLING_RATE),
    ".mp4": ("libx264", "yuv420p", "aac", SAMPLING_RATE),
    ".mpg": ("mpeg1video", "yuv420p", "mp2", 44_100),
}


def _write_video(path: Path, frames: Iterable[np.ndarray], waveform: np.ndarray | None) -> None:
    """Encode frames, and sound where given, into a file that appears only when complete."""
    codec, pixel_format, audio_codec, audio_rate = _CONTAINERS[path.suffix]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with av.open(str(partial), "w") as container:
            video = container.add_stream(codec, rate=int(FRAME_RATE))
            video.width, video.height, video.pix_fmt = FRAME_WIDTH, FRAME_HEIGHT, pixel_format
            video.thread_count = 1
            if codec == "libx264":
                video.options = {"crf": "18", "preset": "veryfast", "threads": "1"}
            else:
                video.bit_rate = 1_200_000
            audio = None
            if waveform is not None:
                audio = container.add_stream(audio_codec, rate=audio_rate, layout="mono")
            for number, picture in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, int(FRAME_RATE))
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
            if audio is not None:
                if audio_rate != SAMPLING_RATE:
                    waveform = _resample(waveform, SAMPLING_RATE, audio_rate)
                pcm = (np.clip(waveform, -1, 1) * 32767).round().astype(np.int16)[None]
                sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm), format="s16", layout="mono")
                sound.sample_rate, sound.pts, sound.time_base = audio_rate, 0, Fraction(1, audio_rate)
                resampler = av.AudioResampler(audio.format, audio.layout, audio_rate, audio.frame_size or None)
                for piece in [*resampler.resample(sound), *resampler.resample(None)]:
                    container.mux(audio.encode(piece))
                container.mux(audio.encode(None))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_clip(
    path: str | os.PathLike, name: str, speaker: str = "synthetic1", seed: int = 0, sound: bool = True
) -> SyntheticSpeech:
    """Write a clip of a speaker saying a GRID sentence: 3 s, 75 pictures of 360x288 at 25 frames/s.

    Args:
        path (`str` or `os.PathLike`): the file: `.mkv` (H.264, FLAC at 16 kHz), `.mp4` (H.264, AAC at 16 kHz) or
            `.mpg` (MPEG-1, MP2 at 44.1 kHz). It appears only when complete.
        name (`str`): the sentence's name, such as `"bbaf2n"`.
        speaker (`str`, *optional*, defaults to `"synthetic1"`): a name of `SPEAKERS`.
        seed (`int`, *optional*, defaults to 0): varies voice and motion.
        sound (`bool`, *optional*, defaults to `True`): whether the file has an audio track.

    Returns:
        `SyntheticSpeech`: what is said and when, whether or not the file has sound.

    Raises:
        SyntheticError: if the suffix, the speaker or the sentence is unknown.
    """
    path = Path(path)
    if path.suffix not in _CONTAINERS:
        raise SyntheticError(
            f"{path}: cannot write {path.suffix or 'a file without suffix'}; use {', '.join(_CONTAINERS)}."
        )
    speech = synthesize_speech(sentence_words(name), speaker, seed)
    _write_video(path, render_frames(speech, speaker, seed), speech.waveform if sound else None)
    return speech


def sample_sentences(count: int, seed: int = 0, exclude: Iterable[str] = ()) -> list[str]:
    """Names of GRID sentences without repetition, in which each slot's words come up equally often (within one).

    Args:
        count (`int`): how many.
        seed (`int`, *optional*, defaults to 0): of the choice.
        exclude (`Iterable[str]`, *optional*): names never to return.

    Raises:
        SyntheticError: if the count is negative or above what can be told apart (10 000).
    """
    if not 0 <= count <= 10_000:
        raise SyntheticError(f"{count} sentences: ask for 0 to 10000.")
    rng = _generator("sentences", seed)
    slots = [[_initial(word) for word in choices] for choices in GRAMMAR.values()]
    taken, names = set(exclude), []
    while len(names) < count:
        wanted = count - len(names)
        columns = [_balanced(slot, wanted, rng) for slot in slots]
        for name in map("".join, zip(*columns)):
            if name not in taken:
                taken.add(name)
                names.append(name)
    return names


def _initial(word: str) -> str:
    """A word's character in a clip's name."""
    digits = GRAMMAR["digit"]
    return "z123456789"[digits.index(word)] if word in digits else word[0]


def _balanced(choices, count, rng):
    """`count` picks that use each choice equally often, in random order."""
    picks: list = []
    while len(picks) < count:
        picks += [choices[index] for index in rng.permutation(len(choices))]
    picks = picks[:count]
    return [picks[index] for index in rng.permutation(count)]


def _write_alignment(path: Path, speech: SyntheticSpeech) -> None:
    """Word times as GRID writes them: `start end word` in 1/25000 s, silence before and after."""
    total = int(round(CLIP_SAMPLES / SAMPLING_RATE * 25_000))
    entries, last = [], 0
    for start, end, word in speech.word_times:
        first, stop = int(round(start * 25_000)), int(round(end * 25_000))
        if first > last:
            entries.append((last, first, "sil" if not entries else "sp"))
        entries.append((first, stop, word))
        last = stop
    entries.append((last, total, "sil"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{start} {end} {word}\n" for start, end, word in entries), encoding="utf-8")


def write_corpus(
    folder: str | os.PathLike,
    speakers: Sequence[str] = tuple(SPEAKERS),
    sentences_per_speaker: int = 20,
    seed: int = 0,
    exclude: Iterable[str] = (),
    validation_per_speaker: int | None = None,
    progress: bool = False,
) -> dict[str, dict[str, list[str]]]:
    """Write a corpus of synthetic clips, laid out as GRID.

    `folder/video/SPEAKER/NAME.mkv`, `folder/alignments/SPEAKER/NAME.align` and `folder/splits.json`.

    Args:
        folder (`str` or `os.PathLike`): where to; made if missing. Files of the same names are replaced.
        speakers (`Sequence[str]`, *optional*): names of `SPEAKERS`; all by default.
        sentences_per_speaker (`int`, *optional*, defaults to 20): clips a speaker.
        seed (`int`, *optional*, defaults to 0): of sentences, voices and motion.
        exclude (`Iterable[str]`, *optional*): names of sentences to keep out.
        validation_per_speaker (`int`, *optional*): how many of them go to validation; by default a tenth, but
            at least one.
        progress (`bool`, *optional*, defaults to `False`): whether to show a progress bar.

    Returns:
        `dict`: the splits as written: "train", "validation" and "unseen_validation", each speaker to names.

    Raises:
        SyntheticError: if a speaker is unknown or the numbers do not fit together.
    """
    folder = Path(folder)
    if validation_per_speaker is None:
        validation_per_speaker = max(1, sentences_per_speaker // 10)
    if not 0 <= validation_per_speaker < sentences_per_speaker:
        raise SyntheticError(
            f"{validation_per_speaker} validation clips of {sentences_per_speaker} a speaker leave none for training: "
            "ask for fewer."
        )
    for speaker in speakers:
        _speaker(speaker)
    names = sample_sentences(sentences_per_speaker * len(speakers), seed, exclude)
    splits: dict[str, dict[str, list[str]]] = {"train": {}, "validation": {}, "unseen_validation": {}}
    with tqdm(total=len(names), desc="synthetic clips", disable=not progress, unit="clip") as bar:
        for number, speaker in enumerate(speakers):
            own = names[number :: len(speakers)]
            splits["validation"][speaker] = sorted(own[:validation_per_speaker])
            splits["train"][speaker] = sorted(own[validation_per_speaker:])
            for name in own:
                speech = write_clip(folder / "video" / speaker / f"{name}.mkv", name, speaker, seed)
                _write_alignment(folder / "alignments" / speaker / f"{name}.align", speech)
                bar.update()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "splits.json").write_text(json.dumps(splits, indent=1) + "\n", encoding="utf-8")
    return splits


# --------------------------------------------------------------------------------------------------------------------
# Command line
# --------------------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m lip2wav_hf.synthetic`: exit status 0, or 2 with one line on stderr if the request cannot be met."""
    parser = argparse.ArgumentParser(
        prog="python -m lip2wav_hf.synthetic", description="Synthetic talking heads that say GRID sentences."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    clip = commands.add_parser("clip", help="one clip of 3 s")
    clip.add_argument("name", help="the sentence, six letters: bbaf2n is 'bin blue at f two now'")
    clip.add_argument("-o", "--output", required=True, help="the file: .mp4, .mkv or .mpg")
    clip.add_argument("--speaker", default="synthetic1", help=f"one of {', '.join(SPEAKERS)}")
    clip.add_argument("--silent", action="store_true", help="leave out the sound")
    corpus = commands.add_parser("corpus", help="a folder of clips with alignments, laid out as GRID")
    corpus.add_argument("folder")
    corpus.add_argument("--speakers", nargs="+", default=list(SPEAKERS), help="default: all")
    corpus.add_argument("--sentences", type=int, default=20, help="clips a speaker (default: 20)")
    corpus.add_argument("--exclude", nargs="*", default=[], help="sentences to keep out")
    for command in (clip, corpus):
        command.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        if options.command == "clip":
            write_clip(options.output, options.name, options.speaker, options.seed, sound=not options.silent)
        else:
            write_corpus(
                options.folder, options.speakers, options.sentences, options.seed, options.exclude, progress=True
            )
    except (ValueError, ImportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
