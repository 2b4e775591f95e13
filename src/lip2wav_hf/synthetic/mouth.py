"""How the mouth moves: from phonemes and their times to the mouth parameters of each picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..corpora.clips import TimedWord
from .voice import SyntheticSpeech


MOUTH_PARAMETERS = ("jaw", "opening", "spread", "rounding", "tuck", "press", "tongue_up", "tongue_out")


_Viseme = tuple[np.ndarray, np.ndarray]  # target and strength of each of the MOUTH_PARAMETERS


def _viseme(
    jaw: float,
    opening: float,
    spread: float = 1.0,
    rounding: float = 0.0,
    tuck: float = 0.0,
    press: float = 0.0,
    tongue_up: float = 0.0,
    tongue_out: float = 0.0,
    weight: float = 1.0,
    weights: Mapping[str, float] | None = None,
) -> _Viseme:
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


def _keys(phonemes: list[TimedWord]) -> list[tuple[float, float, np.ndarray, np.ndarray]]:
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


__all__ = ["BILABIALS", "MOUTH_PARAMETERS", "PHONEME_VISEMES", "VISEMES", "mouth_track"]
