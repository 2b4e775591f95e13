"""From any video to the input of the generator: gray pictures of the mouth, aligned, cropped and normalised.

`Lip2WavFeatureExtractor` decodes a video once, follows the largest face, turns and scales each frame so that the eyes
and the nose come to rest where a mean face has them, and cuts out the *region* from nose base to chin, 48 x 72 pixels.
Only these small pictures are kept, so the length of a video hardly matters. The generator sees the middle of a region,
the *crop* of 40 x 64 pixels; training caches the regions and moves the crop about in them.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import cv2
import numpy as np
from tqdm.auto import tqdm
from transformers import BatchFeature, FeatureExtractionMixin
from transformers.utils import cached_file

from .errors import as_array, finite_numbers, for_each_video, in_one_thread, readable_settings
from .face_tracking import (
    DETECTOR,
    MESH,
    MODEL_FOLDER,
    FaceTracker,
    FaceTrackingError,
    TrackingSettings,
    align_face,
    check_landmarks,
    is_jump,
    models_available,
)
from .files import model_place
from .sources import VideoPart, each_video
from .video import VideoInput, VideoReader, in_groups


# The mouth region, in units of the mean face (1 = distance between the outer eye corners) and in fractions of its
# size: the mouth fills about 55 % of the width; its middle lies at 36 % of the height, between nose base and chin.
ROI_WIDTH_ON_FACE = 72 / 67
MOUTH_X, MOUTH_Y = 0.5, 17 / 48

# Standard deviations, in frames, of the Gaussians that smooth the alignment over time. The pictures themselves stay
# sharp.
CENTER_SMOOTHING = 1.5
SCALE_SMOOTHING = 3.0
MOUTH_SMOOTHING = 12.0
SMOOTHING_RADIUS = 25

NORMALIZATION_BLOCK = 125  # frames of a stream that are normalised at a time
FASTEST = 1000  # pictures per second that are taken of a video
BLANK_DEVIATION = 2.0  # gray levels; less than this in a region is a blank picture

Alignment: TypeAlias = tuple[complex, complex, complex]  # as `align_face` returns it: scale, centre, mouth


@dataclass(frozen=True)
class MouthRegions:
    """
    The mouth of a video, as `Lip2WavFeatureExtractor.extract` returns it.

    Attributes:
        regions (`np.ndarray` of shape `(frames, roi_height, roi_width)`, uint8): gray pictures of the mouth, 48 x 72
            pixels by default, at the frame rate of the extractor. What the generator sees is their centre crop.
        face_coverage (`float`): fraction of the frames in which the face was really found, 0 to 1; 1 if the place of
            the mouth was given.
        name (`str`): short name of the video, for messages.
    """

    regions: np.ndarray
    face_coverage: float
    name: str


@dataclass
class RegionStream:
    """As [`MouthRegions`], but an iterator of the regions, `(roi_height, roi_width)` each; `close` frees the video."""

    name: str
    regions: Iterator[np.ndarray]
    close: Callable[[], None]
    tracker: FaceTracker | None = None

    @property
    def face_coverage(self) -> float:
        """As in [`MouthRegions`], of the frames so far."""
        return 1.0 if self.tracker is None else self.tracker.coverage

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.regions


class Lip2WavFeatureExtractor(FeatureExtractionMixin):
    r"""
    Turns videos into batches of normalised mouth crops.

    Args:
        frame_rate (`float`, *optional*, defaults to 25.0): Frames per second that videos are resampled to.
        roi_height, roi_width (`int`, *optional*, default to 48 and 72): Size of the mouth region in pixels.
        crop_height, crop_width (`int`, *optional*, default to 40 and 64): Size of the crop that the generator sees.
        normalization_window (`int`, *optional*, defaults to 250):
            Frames over which mean and standard deviation of the pixels are taken. Shorter clips use all their frames.
        max_gap (`int`, *optional*, defaults to 8):
            Longest run of frames without a face over which the place of the mouth is interpolated. Over longer ones
            the nearest region is held.
        detection_threshold, mesh_threshold (`float`, *optional*, default to 0.5):
            Lowest score, 0 to 1, at which the face detector's finding counts, and of the landmarks of a known face.
        detection_interval (`int`, *optional*, defaults to 25):
            Frames between two checks whether the followed face is still there and still the largest.
        landmark_interval (`int`, *optional*, defaults to 1): One of so many frames of a still face gets landmarks.

    Raises:
        `ValueError`: if an argument is out of range.
    """

    model_input_names = ["pixel_values_videos", "frame_mask"]

    # `save_pretrained` writes the code beside the settings, and `AutoFeatureExtractor` finds it there.
    _auto_class = "AutoFeatureExtractor"

    def __init__(
        self,
        frame_rate: float = 25.0,
        roi_height: int = 48,
        roi_width: int = 72,
        crop_height: int = 40,
        crop_width: int = 64,
        normalization_window: int = 250,
        max_gap: int = 8,
        detection_threshold: float = 0.5,
        mesh_threshold: float = 0.5,
        detection_interval: int = 25,
        landmark_interval: int = 1,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._face_models = MODEL_FOLDER
        self.frame_rate = frame_rate
        self.roi_height = roi_height
        self.roi_width = roi_width
        self.crop_height = crop_height
        self.crop_width = crop_width
        self.normalization_window = normalization_window
        self.max_gap = max_gap
        self.detection_threshold = detection_threshold
        self.mesh_threshold = mesh_threshold
        self.detection_interval = detection_interval
        self.landmark_interval = landmark_interval
        self._check_arguments()

    def _check_arguments(self) -> None:
        sizes = ("roi_height", "roi_width", "crop_height", "crop_width", "normalization_window")
        for name in (*sizes, "detection_interval", "landmark_interval", "max_gap"):
            value, least = getattr(self, name), 0 if name == "max_gap" else 1
            most = 1000 if name.startswith("roi") else math.inf  # more would take all memory
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"`{name}` must be an integer of at least {least} (most: {most:g}), not {value!r}")
        rate = self.frame_rate
        if isinstance(rate, bool) or not isinstance(rate, (int, float)):
            raise ValueError(f"`frame_rate` must be a number of frames per second, not {rate!r}")
        if not 0 < rate <= FASTEST:
            raise ValueError(f"`frame_rate` must be above 0 and at most {FASTEST} frames per second, not {rate!r}")
        for name in ("detection_threshold", "mesh_threshold"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise ValueError(f"`{name}` must be a score between 0 and 1, not {value!r}")
        if self.crop_height > self.roi_height or self.crop_width > self.roi_width:
            raise ValueError(
                f"the crop ({self.crop_height} x {self.crop_width} pixels) must fit into the mouth region "
                f"({self.roi_height} x {self.roi_width} pixels): lower `crop_height` and `crop_width` or raise the "
                "region's size"
            )

    def to_dict(self) -> dict[str, Any]:
        """The settings, see `FeatureExtractionMixin.to_dict`; where the face networks lie is none of them."""
        settings = super().to_dict()
        settings.pop("_face_models", None)
        return settings

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike,
        cache_dir: str | os.PathLike | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str = "main",
        **kwargs: Any,
    ) -> Self:
        """Load the settings, see `FeatureExtractionMixin.from_pretrained`, also of a bundled model, by its name; as
        remote code, the face networks too."""
        place = model_place(pretrained_model_name_or_path)
        location: dict[str, Any] = {"cache_dir": cache_dir, "force_download": force_download}
        location |= {"local_files_only": local_files_only, "token": token, "revision": revision}
        with readable_settings("preprocessor_config.json", place):
            loaded = super().from_pretrained(place, **location, **kwargs)
        extractor = loaded[0] if isinstance(loaded, tuple) else loaded  # with `return_unused_kwargs`
        with contextlib.suppress(OSError):  # not needed with `landmarks` or boxes; tracking says what is missing
            extractor.find_face_networks(place, **location)
        return loaded

    def find_face_networks(self, name_or_path: str | os.PathLike[str], **kwargs: Any) -> None:
        """
        Make sure that this extractor has its face networks: if they are not beside this module (remote code of the
        Hub), take them from `face_models/` of a folder or Hub repository.

        Args:
            name_or_path (`str` or `os.PathLike`): folder or name of a Hub repository.
            kwargs: `revision`, `token`, `cache_dir`, `local_files_only`, … as for `transformers.utils.cached_file`.

        Raises:
            `OSError`: if they are not there either.
        """
        if not models_available(self._face_models):
            files = (DETECTOR, MESH, "LICENSE", "NOTICE")
            paths = [cached_file(name_or_path, f"face_models/{name}", **kwargs) for name in files]
            (self._face_models,) = {Path(path).parent for path in paths if path is not None}

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **kwargs: Any
    ) -> list[str]:
        """
        Save the settings, see `FeatureExtractionMixin.save_pretrained`. If the class is registered as remote code, the
        face networks are copied too (into `face_models/`, 2.7 MB), so that the folder holds all it needs.
        """
        saved = super().save_pretrained(save_directory)
        source, target = self._face_models.resolve(), Path(save_directory, "face_models").resolve()
        if self._auto_class is not None and models_available(source) and source != target:
            shutil.copytree(source, target, dirs_exist_ok=True)
        if push_to_hub:
            kwargs.setdefault("repo_id", os.path.basename(os.path.normpath(save_directory)))
            self.push_to_hub(**kwargs)
        return saved

    def extract(
        self,
        video: VideoInput | VideoPart | RegionStream,
        fps: float | None = None,
        landmarks: np.ndarray | None = None,
        mouth_boxes: np.ndarray | None = None,
        progress: bool = False,
    ) -> MouthRegions:
        """
        Cut the mouth region out of every frame of a video.

        Args:
            video (`str`, `os.PathLike`, `bytes`, binary file object or `np.ndarray`):
                Whatever `VideoReader` accepts; or a [`RegionStream`], alone, of which the rest is read.
            fps (`float`, *optional*): frames per second of an array of frames.
            landmarks (`np.ndarray` of shape `(frames, 468, 2)`, *optional*):
                FaceMesh landmarks in pixels of the frames (after resampling to `frame_rate`). No face is searched for.
            mouth_boxes (`np.ndarray` of shape `(frames, 4)` or `(4,)`, *optional*):
                x0, y0, x1, y1 in pixels, of each frame or of all. The box is resized to the mouth region as it is.
            progress (`bool`, *optional*, defaults to `False`): show a progress bar.

        Returns:
            [`MouthRegions`]: the regions, and how much of the video showed a face.

        Raises:
            `FaceTrackingError`: if no frame shows a face.
            `ValueError`: if `landmarks` or `mouth_boxes` do not fit the video, or the video cannot be read
            (`VideoError`).
        """
        if not isinstance(video, RegionStream):
            video = self.stream(video, fps, landmarks, mouth_boxes, progress)
        with contextlib.closing(video) as stream:
            regions = np.stack(list(stream))
            return MouthRegions(regions, stream.face_coverage, stream.name)

    def stream(
        self,
        video: VideoInput | VideoPart,
        fps: float | None = None,
        landmarks: np.ndarray | None = None,
        mouth_boxes: np.ndarray | None = None,
        progress: bool = False,
    ) -> RegionStream:
        """
        The same regions one by one, about a second behind the video, which is read as they are asked for: however long
        it is, the memory does not grow. That no frame shows a face is known at the end.
        """
        if landmarks is not None and mouth_boxes is not None:
            raise ValueError("give `landmarks` or `mouth_boxes`, not both")
        check_video_kind(video)
        with contextlib.ExitStack() as stack:
            reader = stack.enter_context(VideoReader(video, frame_rate=self.frame_rate, fps=fps))
            name, total, tracker = reader.name, reader.expected_frames, None
            frames = tqdm(reader, desc=name, total=total, unit="frame", disable=not progress, leave=False)
            if mouth_boxes is not None:
                regions = self._cut_boxes(frames, _check_mouth_boxes(mouth_boxes, name), name)
            elif landmarks is not None:
                regions = hold_nearest(self._cut_by_landmarks(frames, check_landmarks(landmarks, name), name))
            else:
                names = ("detection_threshold", "mesh_threshold", "detection_interval", "landmark_interval")
                tracker = FaceTracker(TrackingSettings(**{n: getattr(self, n) for n in names}), self._face_models)
                regions = hold_nearest(self._track(frames, tracker, name))
            return RegionStream(name, regions, stack.pop_all().close, tracker)

    def _track(self, frames: Iterable[np.ndarray], tracker: FaceTracker, name: str) -> Iterator[np.ndarray | None]:
        cutter = RegionCutter(self.roi_height, self.roi_width, self.max_gap)
        followed = tracker.follow(in_groups(frames, lambda frame: frame))
        for each in in_groups(((*pair, tracker.segment) for pair in followed), lambda each: each[0]):
            yield from cutter.push(*each)
        yield from cutter.finish()
        if not tracker.coverage:
            raise FaceTrackingError(
                f"no face found in any of the {tracker.frames} frames of {name}: too small, turned or dark? "
                "Record it from the front, or cut the pictures down to the head; in Python, `mouth_boxes` may help too"
            )

    def _cut_by_landmarks(
        self, frames: Iterable[np.ndarray], landmarks: np.ndarray, name: str
    ) -> Iterator[np.ndarray | None]:
        cutter = RegionCutter(self.roi_height, self.roi_width, self.max_gap)
        segment = 0
        for index, frame in _match(frames, len(landmarks), "landmarks", name):
            if index and is_jump(landmarks[index - 1], landmarks[index]):
                segment += 1
            yield from cutter.push(frame, landmarks[index], segment)
        yield from cutter.finish()

    def _cut_boxes(self, frames: Iterable[np.ndarray], boxes: np.ndarray, name: str) -> Iterator[np.ndarray]:
        count = len(boxes) if boxes.ndim == 2 else None
        for index, frame in _match(frames, count, "mouth_boxes", name):
            x0, y0, x1, y1 = boxes[index] if boxes.ndim == 2 else boxes
            height, width = frame.shape[:2]
            if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
                raise ValueError(
                    f"the mouth box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) of frame {index} lies outside the {width} x "
                    f"{height} pixels of {name}"
                )
            across, down = (x1 - x0) / self.roi_width, (y1 - y0) / self.roi_height
            matrix = np.array([[across, 0, x0 + (across - 1) / 2], [0, down, y0 + (down - 1) / 2]])
            patch = _cut_patch(frame, matrix, self.roi_height, self.roi_width, margin=0.1)
            yield patch.sample(matrix, self.roi_height, self.roi_width)

    def normalize(self, crops: np.ndarray) -> np.ndarray:
        """
        Standardise a clip: subtract the mean of all its pixels and divide by their standard deviation. In a clip
        longer than `normalization_window`, each frame uses the statistics of the window of that length around it; at
        both ends the window is shifted inwards, so that it is always full.

        Args:
            crops (`np.ndarray` of shape `(frames, height, width)`): gray values, uint8 or floating point.

        Returns:
            `np.ndarray` of the same shape, float32.
        """
        crops = np.asarray(crops)
        if crops.ndim != 3 or not crops.size:
            raise ValueError(f"`crops` must have the shape (frames, height, width), not empty; not {crops.shape}")
        return self._standardised(crops, 0, len(crops))

    def normalize_stream(self, crops: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """
        As [`~Lip2WavFeatureExtractor.normalize`], with the same numbers, of crops `(height, width)` that come one by
        one. Yields blocks `(frames, height, width)`, half a window or more behind.
        """
        half, kept, done = self.normalization_window // 2, [], 0
        for crop in crops:
            kept.append(crop)
            if len(kept) >= self.normalization_window + NORMALIZATION_BLOCK:
                ready = len(kept) - self.normalization_window + half + 1  # the windows of the others are not full
                yield self._standardised(np.stack(kept), done, ready)
                del kept[: ready - half - 1]
                done = half + 1
        if len(kept) > done:
            yield self._standardised(np.stack(kept), done, len(kept))

    def _standardised(self, crops: np.ndarray, begin: int, end: int) -> np.ndarray:
        """Crops `begin` to `end` by the statistics of the windows around them, shifted inwards at the ends of all."""
        frames = len(crops)
        values = crops.astype(np.float32)
        sums = values.sum(axis=(1, 2), dtype=np.float64)
        squares = np.einsum("fhw,fhw->f", values, values, dtype=np.float64)
        window = min(frames, self.normalization_window)
        starts = np.clip(np.arange(begin, end) - window // 2, 0, frames - window)
        pixels = window * crops.shape[1] * crops.shape[2]
        mean = _window_sums(sums, starts, window) / pixels
        variance = _window_sums(squares, starts, window) / pixels - mean**2
        scale = 1.0 / (np.sqrt(np.maximum(variance, 0.0)) + 1e-5)
        values = values[begin:end]
        values -= mean.astype(np.float32)[:, None, None]
        values *= scale.astype(np.float32)[:, None, None]
        return values

    def center_crop(self, regions: np.ndarray) -> np.ndarray:
        """
        Cut the crops `(..., crop_height, crop_width)`, which the generator sees, out of the middle of mouth regions
        `(..., roi_height, roi_width)`.
        """
        top = (regions.shape[-2] - self.crop_height) // 2
        left = (regions.shape[-1] - self.crop_width) // 2
        return regions[..., top : top + self.crop_height, left : left + self.crop_width]

    def __call__(
        self,
        videos: VideoInput | list[VideoInput] | tuple[VideoInput, ...],
        fps: float | list[float | None] | None = None,
        landmarks: np.ndarray | list[np.ndarray | None] | None = None,
        mouth_boxes: np.ndarray | list[Any] | None = None,
        return_crops: bool = False,
        return_tensors: str | None = None,
        progress: bool = False,
    ) -> BatchFeature:
        """
        Prepare one video or a batch of videos for the generator.

        Args:
            videos (one video, or a `list` or `tuple` of videos):
                Whatever `VideoReader` accepts. A list or tuple is a batch; a single video makes a batch of one.
            fps, landmarks, mouth_boxes (as for [`~Lip2WavFeatureExtractor.extract`], or a list of these, *optional*):
                A list has one entry per video, which may be `None`; one value is shared by all videos.
            return_crops (`bool`, *optional*, defaults to `False`): also return what the generator sees, as pictures.
            return_tensors (`str`, *optional*): `"pt"` for PyTorch tensors, `"np"` (the default) for NumPy arrays.
            progress (`bool`, *optional*, defaults to `False`): show a progress bar for each video.

        Returns:
            `BatchFeature` with
            - **pixel_values_videos**: float32 `(batch, frames, 1, crop_height, crop_width)`, zeros after the end of a
              clip.
            - **frame_mask**: int64 `(batch, frames)`, 1 for real frames, 0 for padding.
            - **face_coverage**: list of float, the fraction of each video's frames in which the face was found.
            - **crops**: with `return_crops`, list of uint8 `(frames, crop_height, crop_width)`: the centre crops of
              the mouth regions.
        """
        videos = videos if (several := each_video(videos)) is None else list(several)
        batch = list(videos) if isinstance(videos, (list, tuple)) else [videos]
        if not batch:
            raise ValueError("the list of videos is empty: give at least one video")
        for video in batch:
            check_video_kind(video)
        single = not isinstance(videos, (list, tuple))
        crops, face_coverage = [], []
        for arguments in zip(
            batch,
            for_each_video(fps, len(batch), "fps", single),
            for_each_video(landmarks, len(batch), "landmarks", single),
            for_each_video(mouth_boxes, len(batch), "mouth_boxes", single),
            strict=True,
        ):
            clip = self.extract(*arguments, progress=progress)
            crops.append(self.center_crop(clip.regions))
            face_coverage.append(clip.face_coverage)
        return self._batch(crops, face_coverage, return_crops, return_tensors)

    def _batch(
        self, crops: list[np.ndarray], face_coverage: list[float], return_crops: bool, return_tensors: str | None
    ) -> BatchFeature:
        longest = max(len(clip) for clip in crops)
        pixel_values = np.zeros((len(crops), longest, 1, self.crop_height, self.crop_width), np.float32)
        frame_mask = np.zeros((len(crops), longest), np.int64)
        for index, clip in enumerate(crops):
            pixel_values[index, : len(clip), 0] = self.normalize(clip)
            frame_mask[index, : len(clip)] = 1
        data = {"pixel_values_videos": pixel_values, "frame_mask": frame_mask}
        features = BatchFeature(data, tensor_type=return_tensors or "np")
        features["face_coverage"] = face_coverage
        if return_crops:
            features["crops"] = crops
        return features


class RegionCutter:
    """
    Cuts the mouth region out of a stream of frames, a little behind it: the alignment of a frame is smoothed over the
    frames before and after it, so a small gray patch of each frame waits until those are known.

    Args:
        height, width (`int`): of the regions in pixels.
        max_gap (`int`): longest gap, in frames, over which the alignment is interpolated.
    """

    def __init__(self, height: int, width: int, max_gap: int):
        self.height, self.width, self.max_gap = height, width, max_gap
        self.radius = max(SMOOTHING_RADIUS, max_gap + 1)
        self._alignments: deque[Alignment | None] = deque()  # of the frames around the next region
        self._segments: deque[int] = deque()
        self._patches: deque[_Patch | None] = deque()
        self._first = 0  # index of the oldest alignment that is kept
        self._next = 0  # index of the next region
        self._last_matrix: np.ndarray | None = None

    def push(self, frame: np.ndarray, landmarks: np.ndarray | None, segment: int) -> Iterator[np.ndarray | None]:
        """
        Take the next frame; yield the regions that have become ready, `None` for a frame whose mouth is unknown.

        Args:
            frame (`np.ndarray` of shape `(height, width, 3)`, uint8): RGB.
            landmarks (`np.ndarray` of shape `(468, 2)` or `None`): of the face in this frame, if found.
            segment (`int`): changes where the movement of the face is interrupted; nothing is smoothed across that.
        """
        alignment = None if landmarks is None else align_face(landmarks)
        if alignment is not None:
            self._last_matrix = self._matrix(*alignment)
        patch = None
        if self._last_matrix is not None:
            margin = 0.35 if alignment is not None else 0.8
            patch = _cut_patch(frame, self._last_matrix, self.height, self.width, margin)
        self._alignments.append(alignment)
        self._segments.append(segment)
        self._patches.append(patch)
        if len(self._patches) > self.radius:
            yield self._emit()

    def finish(self) -> Iterator[np.ndarray | None]:
        """Yield the regions still waiting."""
        while self._patches:
            yield self._emit()

    def _emit(self) -> np.ndarray | None:
        patch = self._patches.popleft()
        region = None
        if patch is not None:
            alignment = self._smoothed(self._next - self._first)
            if alignment is not None:
                region = patch.sample(self._matrix(*alignment), self.height, self.width)
                if self._alignments[self._next - self._first] is None and region.std() < BLANK_DEVIATION:
                    region = None  # no face because there is no picture
        self._next += 1
        while self._next - self._first > self.radius:
            self._alignments.popleft()
            self._segments.popleft()
            self._first += 1
        return region

    def _matrix(self, scale: complex, center: complex, mouth: complex) -> np.ndarray:
        """The (2, 3) affine map from pixels of the region to pixels of the frame."""
        turn = scale * ROI_WIDTH_ON_FACE / self.width
        anchor = complex(MOUTH_X * self.width - 0.5, MOUTH_Y * self.height - 0.5)
        origin = center + scale * mouth - turn * anchor
        return np.array([[turn.real, -turn.imag, origin.real], [turn.imag, turn.real, origin.imag]])

    def _smoothed(self, position: int) -> Alignment | None:
        """The alignment of a kept frame, from those around it; `None` in a long gap."""
        alignments, segments = list(self._alignments), list(self._segments)
        found = [index for index, alignment in enumerate(alignments) if alignment is not None]
        before = after = position
        if alignments[position] is None:
            before = max((index for index in found if index < position), default=-1)
            after = min((index for index in found if index > position), default=len(alignments))
            if before < 0 or after - before - 1 > self.max_gap:
                return None
            if after == len(alignments):  # the video ends without a face: hold the last place
                position = before
            elif segments[after] != segments[before]:
                return None
        chosen = [index for index in found if segments[index] == segments[before]]
        scale, center, mouth = np.array([alignments[index] for index in chosen]).T
        of_scale, of_center, of_mouth = _smoothing_weights(tuple(index - position for index in chosen))
        return complex(of_scale @ scale), complex(of_center @ center), complex(of_mouth @ mouth)


@functools.lru_cache(maxsize=8 * SMOOTHING_RADIUS)
def _smoothing_weights(times: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of alignments at these times, in frames after the one that is smoothed: for scale, centre and mouth."""
    time = np.array(times, dtype=np.float64)
    return _local_line(time, SCALE_SMOOTHING), _local_line(time, CENTER_SMOOTHING), _local_mean(time, MOUTH_SMOOTHING)


def _local_mean(time: np.ndarray, deviation: float) -> np.ndarray:
    """Weights of a Gaussian mean around time 0."""
    exponent = -0.5 * (time / deviation) ** 2
    weights = np.exp(exponent - exponent.max())
    return weights / weights.sum()


def _local_line(time: np.ndarray, deviation: float) -> np.ndarray:
    """
    What values have to be multiplied by to get the value at time 0 of the line that fits them best, with Gaussian
    weights: no lag in steady movement.
    """
    weights = _local_mean(time, deviation)
    middle = weights @ time
    spread = weights @ (time - middle) ** 2
    return weights if spread < 1e-3 else weights * (1 - middle * (time - middle) / spread)


@dataclass(frozen=True)
class _Patch:
    """A gray part of a frame: where it begins there, (x, y), and by which whole number it was shrunk."""

    picture: np.ndarray
    corner: tuple[int, int]
    shrink: int

    @in_one_thread
    def sample(self, matrix: np.ndarray, height: int, width: int) -> np.ndarray:
        """
        Cut a region out of the patch, given the (2, 3) map from its pixels to those of the frame: each pixel is the
        mean of several bicubic samples, against aliasing.
        """
        offset = [[0, 0, corner + (self.shrink - 1) / 2] for corner in self.corner]
        matrix = (matrix - offset) / self.shrink  # to pixels of the patch
        samples = min(max(math.ceil(max(_steps(matrix))), 2), 8)
        fine = matrix.copy()
        fine[:, :2] /= samples
        fine[:, 2] += matrix[:, :2] @ np.full(2, (1 - samples) / (2 * samples))
        size, flags = (width * samples, height * samples), cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        picture = cv2.warpAffine(self.picture, fine, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def _steps(matrix: np.ndarray) -> tuple[float, float]:
    """How far a pixel to the right and one down go, by a (2, 3) map."""
    (across, right, _), (down, below, _) = matrix.tolist()
    return math.hypot(across, down), math.hypot(right, below)


@in_one_thread
def _cut_patch(frame: np.ndarray, matrix: np.ndarray, height: int, width: int, margin: float) -> _Patch:
    """
    The gray part of a frame that a region needs, with a margin (in fractions of the region's size); where the region
    would shrink it much, it is shrunk here by a whole number.
    """
    spans, ends = [], (-margin, 1 + margin)
    for (across, down, origin), most in zip(matrix.tolist(), frame.shape[1::-1], strict=True):
        places = [origin + across * x * width + down * y * height for x in ends for y in ends]
        low = min(max(math.floor(min(places)), 0), most - 1)
        spans.append((low, min(max(math.ceil(max(places)) + 1, low + 1), most)))
    (x0, x1), (y0, y1) = spans
    patch = cv2.cvtColor(frame[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY)
    shrink = int(min(_steps(matrix)) / 2)
    if shrink >= 2 and min(patch.shape) >= shrink:
        rows, columns = patch.shape[0] // shrink, patch.shape[1] // shrink
        patch = cv2.resize(patch[: rows * shrink, : columns * shrink], (columns, rows), interpolation=cv2.INTER_AREA)
    else:
        shrink = 1
    return _Patch(patch, (x0, y0), shrink)


def hold_nearest(regions: Iterable[np.ndarray | None]) -> Iterator[np.ndarray]:
    """Regions one by one; where some are missing, the nearest one (in time) is held, once the gap has ended."""
    last, missing = None, 0
    for region in regions:
        if region is None:
            missing += 1
            continue
        if last is not None:
            yield from itertools.repeat(last, missing // 2)
            missing -= missing // 2
        yield from itertools.repeat(region, missing + 1)
        last, missing = region, 0
    if last is not None:
        yield from itertools.repeat(last, missing)


def _window_sums(values: np.ndarray, starts: np.ndarray, window: int) -> np.ndarray:
    totals = np.concatenate([[0.0], np.cumsum(values)])
    return totals[starts + window] - totals[starts]


def _match(frames: Iterable[np.ndarray], count: int | None, what: str, name: str) -> Iterator[tuple[int, np.ndarray]]:
    """Enumerate frames; raises if there are not `count` of them."""
    number = 0
    for number, frame in enumerate(frames, start=1):
        if count is not None and number > count:
            break
        yield number - 1, frame
    if count is not None and number != count:
        more = "more than that" if number > count else f"{number}"
        raise ValueError(
            f"`{what}` are given for {count} frames, but {name} has {more} at the extractor's frame rate: give one "
            "entry per frame"
        )


def _check_mouth_boxes(boxes: Any, name: str) -> np.ndarray:
    boxes = finite_numbers(boxes, "mouth_boxes", name)
    if boxes.shape[-1:] != (4,) or boxes.ndim not in (1, 2) or not boxes.size:
        raise ValueError(f"`mouth_boxes` for {name} must have the shape (frames, 4) or (4,), not {boxes.shape}")
    if not (boxes[..., 2:] - boxes[..., :2] > 0).all():
        raise ValueError(f"`mouth_boxes` for {name} must be x0, y0, x1, y1 with x0 < x1 and y0 < y1, in pixels")
    return boxes.astype(np.float64)


def check_video_kind(video: Any) -> None:
    """Refuse a clip given as a list of frames, which a batch of videos is easily mistaken for."""
    video = as_array(video)
    if isinstance(video, np.ndarray) and video.ndim == 3 and video.shape[-1] in (3, 4):
        found = f"an array of shape {video.shape} looks like a single picture, not a video"
        raise ValueError(f"{found}: join the frames of a clip with `np.stack` to (frames, height, width, 3)")
    kinds = (str, bytes, bytearray, os.PathLike, np.ndarray, VideoPart, RegionStream)
    if not isinstance(video, kinds) and not hasattr(video, "read"):
        kind = type(video).__name__
        raise ValueError(f"a video must be a path, URL, bytes, a binary file object or an array of frames, not {kind}")


__all__ = ["Lip2WavFeatureExtractor", "MouthRegions", "RegionStream", "check_video_kind"]
