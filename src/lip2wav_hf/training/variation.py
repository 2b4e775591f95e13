"""How training clips are varied: joined, cut, played faster or slower, warped, lit and hidden, all at random."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from .arguments import AugmentationArguments


MOVEMENT = 0.5  # largest change of the logarithm of how strongly a mouth moves, with other looks
LEAST_CONTRAST = 4.0  # of 255: flatter pictures count as if they had this
COARSEST = 0.4  # of the width and height that a coarse picture is reduced to
BEND_POINTS = (4, 5)  # rows and columns of the points that are moved
UNKNOWN_TIMES = -2  # the word number of all frames of a clip whose words have no times


class ClipContent(NamedTuple):
    """
    The contents of a clip.

    Attributes:
        words (`tuple[str, ...]`): what is said; once it is spelt, the units of the text head.
        regions (`np.ndarray`): uint8 `(frames, roi_height, roi_width)`, gray mouth regions.
        waveform (`np.ndarray`): float32 `(samples,)`, full scale 1.
        frame_words (`np.ndarray`): integers `(frames,)`, as in [`CachedClip`].
    """

    words: tuple[str, ...]
    regions: np.ndarray
    waveform: np.ndarray
    frame_words: np.ndarray


class ClipVariation:
    """
    Random variations of clips.

    Args:
        choices ([`AugmentationArguments`]): how much of what.
        feature_extractor ([`Lip2WavFeatureExtractor`]): gives the size of the crops.
        samples_per_frame (`int`): waveform samples for a video frame.
    """

    def __init__(
        self, choices: AugmentationArguments, feature_extractor: Lip2WavFeatureExtractor, samples_per_frame: int
    ):
        self.choices, self.samples_per_frame = choices, samples_per_frame
        self.height, self.width = feature_extractor.crop_height, feature_extractor.crop_width

    def splice(self, first: ClipContent, second: ClipContent, count: int) -> ClipContent:
        """The first `count` words of one clip and the rest of another: a new sentence. Needs both alignments."""
        ends, starts = np.flatnonzero(first.frame_words == count - 1), np.flatnonzero(second.frame_words == count)
        if not len(ends) or not len(starts):
            return first
        end, start = ends[-1] + 1, starts[0]
        samples = self.samples_per_frame
        fade = np.linspace(0, 1, samples // 8, dtype=np.float32)
        before, after = first.waveform[: end * samples].copy(), second.waveform[start * samples :].copy()
        before[-len(fade) :] *= fade[::-1]
        after[: len(fade)] *= fade
        return ClipContent(
            first.words[:count] + second.words[count:],
            np.concatenate([first.regions[:end], second.regions[start:]]),
            np.concatenate([before, after]),
            np.concatenate([first.frame_words[:end], second.frame_words[start:]]),
        )

    def join(self, first: ClipContent, second: ClipContent) -> ClipContent:
        """One clip after the other, whole, the sound faded at the seam. Without times where one has none."""
        samples = self.samples_per_frame
        fade = np.linspace(0, 1, samples // 8, dtype=np.float32)
        before, after = first.waveform.copy(), second.waveform.copy()
        before[-len(fade) :] *= fade[::-1]
        after[: len(fade)] *= fade
        later = second.frame_words + np.int8(len(first.words)) * (second.frame_words >= 0)
        frame_words = np.concatenate([first.frame_words, later]).astype(np.int8)
        if (frame_words == UNKNOWN_TIMES).any():
            frame_words[:] = UNKNOWN_TIMES
        return ClipContent(
            first.words + second.words,
            np.concatenate([first.regions, second.regions]),
            np.concatenate([before, after]),
            frame_words,
        )

    def cut(self, clip: ClipContent, rng: np.random.Generator) -> tuple[ClipContent, float]:
        """A random window of a clip, played at a random speed, and that speed. A clip without word times stays whole:
        nobody knows which of its words a window has."""
        frames, samples = len(clip.regions), self.samples_per_frame
        whole = bool((clip.frame_words == UNKNOWN_TIMES).any())
        start, length, stretch = self._window(frames, rng, whole)
        shown = int(frames / stretch) if whole else min(self.choices.window_frames or frames, frames)
        positions = start + np.arange(shown) * stretch
        positions = np.minimum(positions, frames - 1)
        window = ClipContent(
            clip.words,
            _interpolate(clip.regions, positions),
            clip.waveform[start * samples : (start + length) * samples],
            clip.frame_words[np.rint(positions).astype(int)],
        )
        return window, stretch

    def _window(self, frames: int, rng: np.random.Generator, whole: bool) -> tuple[int, int, float]:
        """First frame, number of frames and speed of a random window."""
        wanted = self.choices.window_frames or frames
        stretch = 1.0
        if rng.random() < self.choices.stretch_probability:
            stretch = 1 + rng.uniform(-self.choices.stretch, self.choices.stretch)
        length = frames if whole else min(int(np.ceil(wanted * stretch)), frames)
        return int(rng.integers(frames - length + 1)), length, stretch

    def disguise(self, regions: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """
        The movement of a clip on looks that are between its own and those of another: what differs from its mean
        picture is kept, as strong as the other's contrast, and a bit stronger or weaker.

        Args:
            regions, other (`np.ndarray` of shape `(frames, height, width)`): uint8; each has frames of its own.
            rng (`np.random.Generator`): draws how much of the other.
        """
        mine, theirs = regions.mean(0, dtype=np.float32), other.mean(0, dtype=np.float32)
        if rng.random() < self.choices.flip_probability:
            theirs = theirs[:, ::-1]
        share = rng.uniform()
        contrast = np.clip(theirs.std() / max(mine.std(), LEAST_CONTRAST), 0.5, 2.0)
        strength = (1 - share + share * contrast) * np.exp(rng.uniform(-MOVEMENT, MOVEMENT))
        dressed = (1 - share) * mine + share * theirs + np.float32(strength) * (regions - mine)
        return np.rint(dressed.clip(0, 255)).astype(np.uint8)

    def warp(self, regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Random shape, mirror, sharpness and light of a whole clip: `(frames, crop_height, crop_width)`, float32."""
        choices, height, width = self.choices, self.height, self.width
        centre = (regions.shape[2] / 2 - 0.5, regions.shape[1] / 2 - 0.5)
        scale = np.exp(rng.uniform(-choices.scale, choices.scale))
        turn = rng.uniform(-choices.rotation, choices.rotation)
        matrix = np.asarray(cv2.getRotationMatrix2D(centre, turn, scale), np.float64)
        if choices.aspect or choices.shear:
            wide = np.exp(rng.uniform(-choices.aspect, choices.aspect) / 2)
            shape = np.array([[wide, rng.uniform(-choices.shear, choices.shear)], [0, 1 / wide]])
            matrix[:, :2] = matrix[:, :2] @ shape
            matrix[:, 2] = centre - matrix[:, :2] @ centre
        shift = rng.uniform(-choices.shift, choices.shift, 2)
        matrix[:, 2] = matrix[:, 2] + (np.array([width / 2 - 0.5, height / 2 - 0.5]) - centre) + shift
        if rng.random() < choices.flip_probability:
            matrix[0] = -matrix[0] + [0, 0, width - 1]
        blur = rng.random() < choices.blur_probability
        table = 255 * (np.arange(256) / 255) ** np.exp(rng.uniform(-choices.gamma, choices.gamma))
        light = self._lighting(rng) if choices.lighting else 0
        bend = self._bend(regions.shape[1:], rng) if choices.bend else None
        share = 1.0
        if choices.coarse_probability and rng.random() < choices.coarse_probability:
            share = rng.uniform(COARSEST, 1)
        warped = np.empty((len(regions), height, width), np.float32)
        for source, target in zip(regions, warped, strict=True):
            if bend is not None:
                source = cv2.remap(source, bend[0], bend[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            if share < 1:
                small = cv2.resize(source, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
                source = cv2.resize(small, source.shape[::-1])
            picture = cv2.warpAffine(
                source, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            target[:] = table[cv2.GaussianBlur(picture, (3, 3), 0) if blur else picture] + light
        return warped

    def _bend(self, shape: tuple[int, ...], rng: np.random.Generator) -> list[np.ndarray]:
        """Where each pixel comes from, `x` and `y` of shape `(height, width)`: a smooth random bend."""
        height, width = shape
        places = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        moves = rng.normal(0, self.choices.bend, (2, *BEND_POINTS)).astype(np.float32)
        return [
            place + cv2.resize(move, (width, height), interpolation=cv2.INTER_CUBIC)
            for place, move in zip(places, moves, strict=True)
        ]

    def _lighting(self, rng: np.random.Generator) -> np.ndarray:
        """A plane of brightness `(height, width)`, as from a lamp at one side."""
        slopes = 255 * rng.uniform(-self.choices.lighting, self.choices.lighting, 2)
        return (
            np.linspace(-0.5, 0.5, self.height)[:, None] * slopes[0] + np.linspace(-0.5, 0.5, self.width) * slopes[1]
        ).astype(np.float32)

    def hide(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Noise, a hidden rectangle and a hidden run of frames; hidden pixels are 0, the mean."""
        choices = self.choices
        frames, height, width = pixels.shape
        pixels = pixels + rng.normal(0, rng.uniform(0, choices.noise), pixels.shape).astype(np.float32)
        if rng.random() < choices.cutout_probability:
            tall, wide = rng.integers(height // 8, height // 3), rng.integers(width // 8, width // 3)
            top, left = rng.integers(height - tall), rng.integers(width - wide)
            pixels[:, top : top + tall, left : left + wide] = 0
        if rng.random() < choices.time_mask_probability:
            run = int(rng.integers(1, choices.time_mask_frames + 1))
            start = int(rng.integers(max(frames - run, 1)))
            pixels[start : start + run] = 0
        return pixels


def _interpolate(regions: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Regions at fractional frame positions, uint8."""
    low = np.floor(positions).astype(int)
    fraction = (positions - low).astype(np.float32)[:, None, None]
    if not fraction.any():
        return regions[low]
    high = np.minimum(low + 1, len(regions) - 1)
    return np.rint(regions[low] * (1 - fraction) + regions[high] * fraction).astype(np.uint8)


__all__ = ["ClipContent", "ClipVariation"]
