"""Where the lips are in the pictures of a clip, and the same clip with another complexion."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from ..corpora.clips import Clip
from ..corpora.progress import progress_bar
from ..errors import one_line
from ..face_tracking import FaceTracker, align_face
from ..feature_extraction_lip2wav import MOUTH_X, MOUTH_Y, ROI_WIDTH_ON_FACE, Lip2WavFeatureExtractor
from ..files import replacing
from ..machine import worker_processes
from ..video import VideoReader
from .cache import ClipCacheError


# Points of FaceMesh around the lips, and around what is between them; both rings begin at a corner.
OUTER_RING = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_RING = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)

FINE = 4  # rings are drawn in pictures so many times as large, for soft edges
EDGE = 3.0  # standard deviation of the blur there, in pixels of the large picture

# Smallest and largest logarithm of a factor of brightness; all are our choices.
SKIN, LIPS, BETWEEN = (-1.05, 0.1), (-0.3, 0.5), (-0.4, 0.1)
BETWEEN_FOLLOWS = 0.7  # what is between the lips gets at most this power of the skin's factor: teeth stay bright
BEARD_PROBABILITY, BEARD, STUBBLE = 0.5, (0.2, 0.65), 0.25  # how much darker it is, and how uneven
BEARD_POINTS = (4, 6)  # rows and columns of the points between which a beard is thick or thin


def find_lips(
    clips: list[Clip],
    files: dict[str, Path],
    feature_extractor: Lip2WavFeatureExtractor,
    num_workers: int = 2,
    progress: bool = True,
) -> dict[str, Path]:
    """
    Find the lips in prepared clips, each clip once; what is found lies beside the cached clips.

    Args:
        clips (`list[Clip]`): the clips.
        files (`dict[str, Path]`): their cached files, by `clip.key`, as [`PreparedClips`] has them.
        feature_extractor ([`Lip2WavFeatureExtractor`]): that cut out the mouth regions.
        num_workers (`int`, *optional*, defaults to 2): processes.
        progress (`bool`, *optional*, defaults to `True`): show a progress bar.

    Returns:
        `dict[str, Path]`: a file for [`read_lips`] of each clip, by `clip.key`.
    """
    found = {clip.key: files[clip.key].with_suffix(".lips") for clip in clips}
    missing = [clip for clip in clips if not _is_whole(found[clip.key])]
    if missing:
        job = partial(_find_lips, feature_extractor=feature_extractor)
        with worker_processes(num_workers, chunksize=4) as map_:
            done = map_(job, missing, [found[clip.key] for clip in missing])
            list(progress_bar(done, "lips", len(missing), show=progress))
    return found


def _is_whole(path: Path) -> bool:
    try:
        read_lips(path)
    except (ClipCacheError, OSError):
        return False
    return True


def _find_lips(clip: Clip, path: Path, feature_extractor: Lip2WavFeatureExtractor) -> None:
    with contextlib.closing(feature_extractor.stream(clip.source)) as stream:
        tracker = stream.tracker or FaceTracker()
    with VideoReader(clip.source, frame_rate=feature_extractor.frame_rate) as frames:
        landmarks = [tracker.update(frame) for frame in frames]
    size = feature_extractor.roi_height, feature_extractor.roi_width
    with replacing(path) as temporary:
        temporary.write_bytes(save({"lips": lips_in_regions(landmarks, *size)}))


def lips_in_regions(landmarks: Sequence[np.ndarray | None], height: int, width: int) -> np.ndarray:
    """
    The rings of the lips in the mouth regions of a video, but for the smoothing of the regions.

    Args:
        landmarks (sequence of `np.ndarray` of shape `(468, 2)`): of each frame, in pixels; `None` where there is no
            face.
        height, width (`int`): of the regions.

    Returns:
        `np.ndarray` of shape `(frames, 2, 20, 2)`: float16, x and y in pixels of the outer and the inner ring; those
        of the last frame with a face where there is none.
    """
    faces = [points for points in landmarks if points is not None]
    rings, mouths = [], []
    for points in landmarks if faces else ():
        face = faces[0] if points is None else points
        faces[0] = face  # the last one so far
        scale, center, mouth = align_face(face)
        rings.append((face[[*OUTER_RING, *INNER_RING]] @ (1.0, 1j) - center) / scale)
        mouths.append(mouth)
    anchor = complex(MOUTH_X * width - 0.5, MOUTH_Y * height - 0.5)
    places = (np.array(rings) - np.mean(mouths or [0])) * width / ROI_WIDTH_ON_FACE + anchor
    return np.stack([places.real, places.imag], -1).reshape(len(rings), 2, len(OUTER_RING), 2).astype(np.float16)


def read_lips(path: Path) -> np.ndarray:
    """
    What [`find_lips`] has written, as [`lips_in_regions`] gives it; empty for a clip without a face.

    Raises:
        ClipCacheError: if the file is damaged.
    """
    try:
        return load_file(path)["lips"]
    except (SafetensorError, KeyError) as error:
        raise ClipCacheError(
            f"{path}: damaged ({one_line(error)}). Start the training again, which makes it anew."
        ) from error


def change_complexion(regions: np.ndarray, lips: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """
    A clip as of somebody whose skin is darker or lighter, with lips that stand out from it more, less or the other
    way round, and perhaps a beard; what is between the lips stays much as it is.

    Args:
        regions (`np.ndarray` of shape `(frames, height, width)`): uint8, gray.
        lips (`np.ndarray` of shape `(frames, 2, 20, 2)`): as from [`lips_in_regions`]; without any, the clip stays.
        rng (`np.random.Generator`): draws the complexion.
    """
    height, width = regions.shape[1:]
    of_skin, of_lips, of_between = (np.exp(rng.uniform(*limits)) for limits in (SKIN, LIPS, BETWEEN))
    of_between *= of_skin ** rng.uniform(0, BETWEEN_FOLLOWS)
    skin = np.full((height, width), of_skin, np.float32)
    if rng.random() < BEARD_PROBABILITY:
        skin *= _beard(height, width, rng)
    changed = regions.copy()
    for number, region in enumerate(regions if len(lips) else ()):
        rings = lips[min(number, len(lips) - 1)].astype(np.float32)
        outer, inner = (_inside(ring, height, width) for ring in rings)
        inner = np.minimum(inner, outer)
        factor = (1 - outer) * skin + (outer - inner) * np.float32(of_skin * of_lips) + inner * np.float32(of_between)
        changed[number] = np.rint((region * factor).clip(0, 255))
    return changed


def _inside(ring: np.ndarray, height: int, width: int) -> np.ndarray:
    """How much of each pixel is inside a ring, 0 to 1, with soft edges."""
    picture = np.zeros((height * FINE, width * FINE), np.uint8)
    sixteenths = np.rint((ring + 0.5) * FINE * 16).astype(np.int32)
    cv2.fillPoly(picture, [sixteenths], 255, shift=4)
    soft = cv2.GaussianBlur(picture, (0, 0), EDGE)
    return cv2.resize(soft, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _beard(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Factors of brightness of a beard around the mouth, `(height, width)`; it does not move with the chin."""
    thick = rng.normal(0, 1, BEARD_POINTS).astype(np.float32)
    thick = cv2.resize(thick, (width, height), interpolation=cv2.INTER_CUBIC)
    x = (np.arange(width, dtype=np.float32) / width - MOUTH_X) / 0.42
    y = (np.arange(height, dtype=np.float32)[:, None] / height - MOUTH_Y - 0.08) / 0.36
    around = np.exp(-3 * (x**2 + y**2 - 1) ** 2)
    share = 1 / (1 + np.exp(3 - 1.8 * thick - 6 * around))
    stubble = 1 + rng.uniform(0, STUBBLE) * rng.normal(0, 1, (height, width)).clip(-2.5, 2.5)
    return (1 - share * rng.uniform(*BEARD) * stubble).clip(0, 1).astype(np.float32)


__all__ = ["change_complexion", "find_lips", "lips_in_regions", "read_lips"]
