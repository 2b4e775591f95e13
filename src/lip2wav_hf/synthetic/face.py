"""Pictures of a synthetic speaker saying something: static layers, painted once, and what moves over them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from .backdrop import paint_backdrop
from .eyes import Eye
from .head import paint_head
from .lips import MOUTH_LINE, MouthPainter
from .mouth import mouth_track
from .plane import EYE_LEVEL, FRAME_HEIGHT, FRAME_WIDTH, HEAD_X, HEAD_Y, SUPERSAMPLING, Plane, Range, blur, pair, step
from .speakers import find_speaker, seeded
from .voice import SyntheticSpeech


FRAME_RATE = 25.0  # frames/s
CLIP_FRAMES = 75

_PATCH_X: Range = (-1.3, 1.3)  # what jaw and lips move
_PATCH_Y: Range = (0.35, 2.4)


@dataclass(frozen=True)
class Motion:
    """What moves from one picture to the next, in one picture.

    Attributes:
        mouth (`np.ndarray` of shape `(8,)`): the `MOUTH_PARAMETERS`.
        pose (`np.ndarray` of shape `(6,)`): x and y (pixels of the frame), tilt (radians), yaw and pitch (sine), size
            (1 is average).
        eyes (`float`): opening of the eyes, 0 to 1.
        gaze (`np.ndarray` of shape `(2,)`): of the pupils, in units.
        brow (`float`): how far the brows are raised, in units.
        gain (`float`): brightness.
        grain (`tuple[int, int]`): number of the film's noise, and its offset in pixels.
    """

    mouth: np.ndarray
    pose: np.ndarray
    eyes: float
    gaze: np.ndarray
    brow: float
    gain: float
    grain: tuple[int, int]


class Painter:
    """Pictures of one speaker.

    Args:
        name (`str`): of the speaker, one of `SPEAKERS`.

    Raises:
        SyntheticError: if the speaker is unknown.
    """

    def __init__(self, name: str) -> None:
        self.plane = plane = Plane.of_face(find_speaker(name).face, seeded("face", name))
        head = paint_head(plane)
        self.head = head.picture
        self.backdrop = paint_backdrop(plane)
        self.grain = [self._film_grain() for _ in range(6)]
        self.skin = SkinMover(plane)
        self.mouth = MouthPainter(plane)
        self.eyes = [Eye.on_side(plane, side) for side in (-1, 1)]
        self.brow_field = pair(plane.x, plane.y, 0.5, -0.42, 0.5, 0.24) * plane.unit
        # How far a point moves (pixels of the painting) when the head turns by an angle of sine 1.
        self.parallax = ((blur(head.height, 0.03 * plane.unit) - 0.5) * plane.unit).astype(np.float32)

    def _film_grain(self) -> np.ndarray:
        noise = self.plane.rng.normal(scale=4.0, size=(FRAME_HEIGHT, FRAME_WIDTH, 3)).astype(np.float32)
        return np.clip(blur(noise, 0.6), -9, 9).round().astype(np.int16)

    def frame(self, motion: Motion) -> np.ndarray:
        """One picture, uint8 RGB `(288, 360, 3)`."""
        head = self.head.copy()
        head[self.skin.window] = self.skin.move(head[self.skin.window], motion.mouth)
        rows, columns = self.mouth.window
        colours = head[rows, columns, :3].astype(np.float32)
        self.mouth.paint(colours, motion.mouth)
        head[rows, columns, :3] = np.clip(colours, 0, 255)
        for eye in self.eyes:
            rows, columns = eye.window
            colours = head[rows, columns, :3].astype(np.float32)
            eye.paint(colours, motion.eyes, motion.gaze)
            head[rows, columns, :3] = np.clip(colours, 0, 255)
        canvas = self.backdrop.copy()
        self._place(canvas, head, motion.pose, motion.brow)
        small = cv2.resize(canvas, (FRAME_WIDTH, FRAME_HEIGHT), interpolation=cv2.INTER_AREA)
        number, offset = motion.grain
        noisy = small * np.float32(motion.gain) + np.roll(self.grain[number], offset, axis=1)
        return np.clip(noisy, 0, 255).astype(np.uint8)

    def _place(self, canvas: np.ndarray, head: np.ndarray, pose: np.ndarray, brow: float) -> None:
        """Draw the head into the canvas, turned, nodded and tilted."""
        shift_x, shift_y, tilt, yaw, pitch, size = pose
        unit = self.plane.unit
        centre_x = canvas.shape[1] / 2 + shift_x * SUPERSAMPLING
        centre_y = EYE_LEVEL * SUPERSAMPLING + shift_y * SUPERSAMPLING
        left = max(0, int(centre_x + (HEAD_X[0] + 0.1) * unit))
        top = max(0, int(centre_y + (HEAD_Y[0] + 0.1) * unit))
        right = min(canvas.shape[1], int(centre_x + (HEAD_X[1] - 0.1) * unit))
        bottom = min(canvas.shape[0], int(centre_y + (HEAD_Y[1] - 0.1) * unit))
        columns = np.arange(left, right, dtype=np.float32)[None] - centre_x
        rows = np.arange(top, bottom, dtype=np.float32)[:, None] - centre_y
        pivot = 1.9 * unit  # the neck: the head tilts about it
        cosine, sine = np.cos(tilt) / size, np.sin(tilt) / size
        rows = rows - pivot
        map_x = cosine * columns + sine * rows - HEAD_X[0] * unit
        map_y = cosine * rows - sine * columns + pivot - HEAD_Y[0] * unit
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
        area[:] = cv2.blendLinear(cv2.cvtColor(turned, cv2.COLOR_RGBA2RGB), area, weight, 1 - weight)


class SkinMover:
    """Moves the skin of the lower face with the jaw and the corners of the mouth.

    Args:
        plane ([`Plane`]): the head's plane.
    """

    def __init__(self, plane: Plane) -> None:
        self.window = plane.window(_PATCH_X, _PATCH_Y)
        x, y, unit = plane.x[self.window], plane.y[self.window], plane.unit
        chin = 1.86 * plane.face.length
        beside = 1 - step(np.abs(x), 0.75, 1.2)
        self.jaw_field = step(y, MOUTH_LINE + 0.02, 1.42) * beside * unit
        self.jaw_field += (
            0.25 * unit * step(y, 0.6, MOUTH_LINE) * (1 - step(y, MOUTH_LINE, 1.42)) * pair(x, y, 0.8, 1.1, 0.3, 0.5)
        )
        self.jaw_field *= 1 - 0.6 * step(y, chin + 0.05, chin + 0.5)
        self.narrow_field = np.sign(x) * pair(x, y, 0.9, 1.2, 0.3, 0.45) * unit  # cheeks drawn in by an open jaw
        self.corner_field = np.sign(x) * pair(x, y, 0.46, 1.1, 0.26, 0.3) * unit
        self.rows, self.columns = np.indices(x.shape, np.float32)

    def move(self, patch: np.ndarray, mouth: np.ndarray) -> np.ndarray:
        """The window of a head, `(height, width, 4)`, for some `MOUTH_PARAMETERS`."""
        jaw, _, spread, _ = mouth[:4]
        map_x = self.columns - self.corner_field * (0.22 * (spread - 1)) + self.narrow_field * (0.22 * jaw)
        map_y = self.rows - self.jaw_field * jaw
        return cv2.remap(
            patch,
            map_x.astype(np.float32),
            map_y.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )


@functools.lru_cache(maxsize=8)
def _painter(name: str) -> Painter:
    return Painter(name)


def _wander(rng: np.random.Generator, times: np.ndarray, amplitude: float) -> np.ndarray:
    """Slow smooth motion about zero."""
    return sum(
        amplitude / (k + 1) * np.sin(2 * np.pi * rng.uniform(0.12, 0.35) * (k + 1) * times + rng.uniform(0, 2 * np.pi))
        for k in range(3)
    )


def _blinks(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
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
        speech ([`SyntheticSpeech`]): from [`synthesize_speech`].
        speaker (`str`): a name of `SPEAKERS`; another than the voice's may be given.
        seed (`int`, *optional*, defaults to 0): varies head motion, blinks, gaze, brows and film grain.

    Yields:
        `np.ndarray` of shape `(288, 360, 3)`: uint8 RGB, 75 pictures at 25 frames/s.

    Raises:
        SyntheticError: if the speaker is unknown.
    """
    painter = _painter(speaker)
    rng = seeded("picture", speaker, seed, [word for _, _, word in speech.word_times])
    times = (np.arange(CLIP_FRAMES) + 0.5) / FRAME_RATE
    mouths = mouth_track(speech, times)
    mouths[:, :2] *= rng.uniform(0.92, 1.08)  # how widely one articulates today
    poses = _poses(speech, times, rng)
    brows = np.clip(_wander(rng, times, 0.03), -0.02, 0.06)
    eyes = _blinks(rng, times)
    gaze = rng.normal(scale=(0.008, 0.004), size=2)
    gain = rng.uniform(0.96, 1.04)
    for index in range(CLIP_FRAMES):
        grain = int(rng.integers(len(painter.grain))), int(rng.integers(FRAME_WIDTH))
        yield painter.frame(Motion(mouths[index], poses[index], eyes[index], gaze, brows[index], gain, grain))


def _poses(speech: SyntheticSpeech, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pose of the head at some times, `(frames, 6)`, see [`Motion`]: it wanders, and nods a little on some words."""
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
    for start, end, _ in speech.word_times[::2]:
        poses[:, 4] += rng.uniform(0, 0.03) * np.exp(-(((times - 0.5 * (start + end)) / 0.12) ** 2))
    return poses


__all__ = ["CLIP_FRAMES", "FRAME_RATE", "Motion", "Painter", "SkinMover", "render_frames"]
