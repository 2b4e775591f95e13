"""Mouth crops of pictures that come one by one, each made of what has been seen so far."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..face_tracking import FaceTracker, TrackingSettings
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor, RegionCutter


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
        self._tracker = FaceTracker(settings, extractor._face_models)
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


__all__ = ["CausalCutter", "LiveMouth"]
