"""The synthetic speakers, and the random numbers that follow from their names."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from ..errors import Lip2WavError


class SyntheticError(Lip2WavError):
    """A speaker, sentence or request that cannot be synthesized."""


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


def find_speaker(name: str) -> Speaker:
    """The speaker of a name.

    Raises:
        SyntheticError: if there is none.
    """
    try:
        return SPEAKERS[name]
    except KeyError:
        raise SyntheticError(f"unknown speaker {name!r}: choose one of {', '.join(SPEAKERS)}.") from None


def seeded(*keys: object) -> np.random.Generator:
    """Random numbers that follow from the keys alone (text and numbers), on any machine."""
    return np.random.default_rng(zlib.crc32("|".join(map(str, keys)).encode()))


__all__ = ["SPEAKERS", "Face", "Speaker", "SyntheticError", "Voice", "find_speaker", "seeded"]
