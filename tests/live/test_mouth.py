"""The search for a lost face, in the time that a frame has."""

import cv2
import numpy as np
import pytest

from lip2wav_hf.face_tracking import FaceFinder, FaceTracker
from lip2wav_hf.live.mouth import LOOKS, LiveTracker

from .test_streamer import SAMPLE, pictures  # noqa: F401


@pytest.fixture
def looks(monkeypatch):
    """How many pictures the detector was given."""
    counted, detect = [0], FaceFinder.detect

    def counting(self, picture):
        counted[0] += 1
        return detect(self, picture)

    monkeypatch.setattr(FaceFinder, "detect", counting)
    return counted


@pytest.fixture
def far_away(pictures):  # noqa: F811
    """A face too small for the quick search, in the middle of 720p."""
    canvas = np.full((len(pictures), 720, 1280, 3), 90, np.uint8)
    for target, picture in zip(canvas, pictures, strict=True):
        small = cv2.resize(picture, (144, 115), interpolation=cv2.INTER_AREA)
        target[300:415, 900:1044] = small
    return canvas


def test_a_search_is_spread_over_frames(looks, far_away):
    assert FaceTracker().update(np.zeros((720, 1280, 3), np.uint8)) is None
    assert looks[0] > 100  # all at once: more than a tenth of a second
    tracker, most, found = LiveTracker(), 0, None
    while found is None and tracker.frames < 60:
        before = looks[0]
        found = tracker.update(far_away[tracker.frames % len(far_away)])
        most = max(most, looks[0] - before)
    assert found is not None and most <= LOOKS + 1
    assert 900 < found[:, 0].mean() < 1044 and 300 < found[:, 1].mean() < 415
    assert tracker.frames < 30


def test_what_the_quick_search_finds_is_followed_at_once(pictures):  # noqa: F811
    usual, live = FaceTracker(), LiveTracker()
    for picture in pictures:
        assert np.array_equal(usual.update(picture), live.update(picture))


def test_a_face_is_found_again(pictures):  # noqa: F811
    tracker, gray = LiveTracker(), np.full_like(pictures[0], 128)
    frames = [*pictures[:5], *[gray] * 40, *pictures[5:15]]
    found = [tracker.update(frame) is not None for frame in frames]
    assert found[:5] == [True] * 5 and not any(found[6:45]) and all(found[45:])
    assert tracker.frames == 55 and tracker.coverage == sum(found) / 55


def test_a_picture_of_another_size_begins_another_search(far_away):
    tracker = LiveTracker()
    for number in range(8):
        tracker.update(np.zeros((96 + number, 640, 3), np.uint8))
    assert any(tracker.update(picture) is not None for picture in far_away)
