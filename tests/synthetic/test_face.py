"""Pictures of the synthetic speakers."""

import cv2
import numpy as np
import pytest

from lip2wav_hf.face_tracking import FaceTracker
from lip2wav_hf.grid.corpus import sentence_words
from lip2wav_hf.synthetic.face import render_frames
from lip2wav_hf.synthetic.mouth import MOUTH_PARAMETERS, mouth_track
from lip2wav_hf.synthetic.speakers import SPEAKERS
from lip2wav_hf.synthetic.voice import synthesize_speech


FRAME_TIMES = (np.arange(75) + 0.5) / 25


def test_pictures(frames):
    assert len(frames) == 75
    assert {(frame.shape, frame.dtype.name) for frame in frames} == {((288, 360, 3), "uint8")}


TOLERANCE = 0.02  # gray levels

# Where OpenCV 4 differs by more: its `remap` rounds positions to 1/32 of a pixel, that of OpenCV 5 does not. All else
# that paints these faces gives the same numbers in both.
MOUTHS_OF_OPENCV_4 = {"synthetic1": [146.11, 104.34, 87.36]}


@pytest.mark.parametrize(
    ("name", "speaker", "seed", "whole", "mouth"),
    [
        ("bbaf2n", "synthetic1", 0, [60.56, 119.03, 143.87], [146.07, 104.31, 87.32]),
        ("pwiz9s", "synthetic2", 3, [73.57, 118.41, 131.33], [151.8, 110.56, 97.59]),
        ("lgbh7p", "synthetic3", 5, [110.34, 102.78, 103.6], [102.89, 65.06, 50.6]),
        ("sgwt3a", "synthetic4", 6, [137.72, 122.92, 106.93], [151.34, 105.01, 82.82]),
    ],
)
def test_pictures_never_change(name, speaker, seed, whole, mouth):
    """Mean colours, of a picture in mid-speech and of the mouth in it: trained weights know these faces."""
    if cv2.__version__.startswith("4."):
        mouth = MOUTHS_OF_OPENCV_4.get(speaker, mouth)
    pictures = list(render_frames(synthesize_speech(sentence_words(name), speaker, seed), speaker, seed))
    for picture, expected in ((pictures[40], whole), (pictures[40][160:210, 145:215], mouth)):
        np.testing.assert_allclose(picture.mean(axis=(0, 1)), expected, atol=TOLERANCE)


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_face_tracker_follows_the_mouth(speaker):
    speech = synthesize_speech(sentence_words("lbam4n"), speaker)
    tracker = FaceTracker()
    found = [tracker.update(frame) for frame in render_frames(speech, speaker)]
    assert tracker.coverage == 1.0 and tracker.frames == len(found)
    points = np.stack(found)
    eyes = np.linalg.norm(points[:, 33] - points[:, 263], axis=1)
    measured = np.linalg.norm(points[:, 13] - points[:, 14], axis=1) / eyes
    drawn = mouth_track(speech, FRAME_TIMES)[:, MOUTH_PARAMETERS.index("opening")]
    assert np.corrcoef(drawn, measured)[0, 1] > 0.8
