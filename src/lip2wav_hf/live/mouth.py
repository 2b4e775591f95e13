"""Mouth crops of pictures that come one by one, each made of what has been seen so far."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from ..face_tracking import FaceRegion, FaceTracker, TrackingSettings, View, region_of_landmarks, search_stages
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor, RegionCutter


LOOKS = 3  # views of a thorough search in each frame, of about 1.5 ms


class LiveTracker(FaceTracker):
    """
    As [`FaceTracker`], but no frame takes long: a thorough search looks at a few views of each frame, until it is over
    or the face is found. In each frame the whole picture is looked at too.
    """

    def reset(self) -> None:
        """Forget the video: the next frame is the first of another one."""
        super().reset()
        self._end_search()

    def _end_search(self) -> None:
        self._views: Iterator[View] | None = None
        self._shape: tuple[int, ...] = ()
        self._likeliest: FaceRegion | None = None
        self._best_score = 0.0

    def _find(self, frame: np.ndarray, thorough: bool) -> np.ndarray | None:
        """Landmarks of a face that both networks are sure of; at the end of a search, of the likeliest one."""
        self._checked = self._unseen = 0
        if self._shape != frame.shape:
            self._end_search()
        if self._views is None and thorough:
            self._shape = frame.shape
            stages = itertools.islice(search_stages(*frame.shape[:2]), 1, None)
            self._views = itertools.chain.from_iterable(stages)
        views = [] if self._views is None else list(itertools.islice(self._views, LOOKS))
        for view in [View(0, 0, *frame.shape[:2]), *views]:
            for detection in self._finder.look(frame, view)[:2]:
                landmarks, score, sure = self._confirm(frame, detection)
                if sure:
                    self._end_search()
                    return landmarks
                if landmarks is not None and score > self._best_score:
                    self._likeliest, self._best_score = region_of_landmarks(landmarks), score
        if self._views is None or len(views) == LOOKS:
            return None
        likeliest = self._likeliest
        self._end_search()
        return None if likeliest is None else self._mesh(frame, likeliest)


class CausalCutter(RegionCutter):
    """As [`RegionCutter`], but each region comes at once: smoothed by the frames before it alone."""

    def push(self, frame: np.ndarray, landmarks: np.ndarray | None, segment: int) -> Iterator[np.ndarray | None]:
        """As of [`RegionCutter`]; one region for each frame."""
        yield from super().push(frame, landmarks, segment)  # none: no frame ever waits
        yield self._emit()


class LiveMouth:
    """
    Follows the largest face of a stream and cuts out its mouth, normalised by running statistics.

    Args:
        extractor ([`Lip2WavFeatureExtractor`]): its settings.

    Raises:
        FaceTrackingError: if the face networks are missing, or LiteRT is not installed.
    """

    def __init__(self, extractor: Lip2WavFeatureExtractor) -> None:
        self.extractor = extractor
        settings = TrackingSettings(
            extractor.detection_threshold, extractor.mesh_threshold, extractor.detection_interval
        )
        self._tracker = LiveTracker(settings, extractor._face_models)
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._tracker.reset()
        self._cutter = CausalCutter(self.extractor.roi_height, self.extractor.roi_width, self.extractor.max_gap)
        self._frames, self._mean, self._square = 0, 0.0, 0.0

    def push(self, picture: np.ndarray) -> np.ndarray | None:
        """
        The normalised crop `(crop_height, crop_width)`, float32, of a picture `(height, width, 3)`, uint8 RGB; `None`
        where no face is in sight and none was a moment ago.
        """
        landmarks = self._tracker.update(picture)
        (region,) = self._cutter.push(picture, landmarks, self._tracker.segment)
        if region is None:
            return None
        crop = self.extractor.center_crop(region).astype(np.float32)
        self._frames += 1
        share = 1 / min(self._frames, self.extractor.normalization_window)
        self._mean += share * (float(crop.mean()) - self._mean)
        self._square += share * (float(np.square(crop).mean()) - self._square)
        deviation = max(self._square - self._mean**2, 0.0) ** 0.5
        return (crop - np.float32(self._mean)) / np.float32(deviation + 1e-5)


__all__ = ["CausalCutter", "LiveMouth", "LiveTracker"]
