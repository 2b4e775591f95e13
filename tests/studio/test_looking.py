import struct

import cv2
import numpy as np
import pytest

from lip2wav_hf.studio.looking import look
from lip2wav_hf.studio.recordings import StudioError
from lip2wav_hf.video import VideoReader


@pytest.fixture(scope="module")
def face(talking_video):
    with VideoReader(talking_video) as reader:
        return next(reader)


def seen(picture):
    return look(cv2.imencode(".jpg", cv2.cvtColor(picture.astype(np.uint8), cv2.COLOR_RGB2BGR))[1].tobytes())


def test_a_good_picture(face):
    view = seen(face)
    assert view.face and view.light and (view.face_hint, view.light_hint) == ("Face found", "Light is good")


def test_no_face(face):
    view = seen(np.full_like(face, 128))
    assert not view.face and view.face_hint.startswith("No face")


def test_darkness(face):
    assert "dark" in seen(face * 0.02).face_hint
    view = seen(face * 0.3)
    assert view.face and not view.light and view.light_hint.startswith("Dark")


def test_light_from_behind(face):
    rows, columns = np.mgrid[: face.shape[0], : face.shape[1]]
    middle = ((columns - 180) / 90) ** 2 + ((rows - 140) / 110) ** 2 < 1
    view = seen(np.where(middle[..., None], face * 0.3, 255))
    assert view.face and view.light_hint.startswith("Light comes from behind")


def test_too_bright(face):
    view = seen(np.clip(face * 0.35 + 165, 0, 255))
    assert view.face and view.light_hint.startswith("Too bright")


def test_far_and_near_and_at_the_edge(face):
    small = np.full_like(face, 120)
    small[100:186, 100:208] = cv2.resize(face, (108, 86))
    assert "Come nearer" in seen(small).face_hint
    assert "Go back" in seen(cv2.resize(face[65:215, 84:272], (360, 288))).face_hint
    assert "edge" in seen(np.roll(face, 115, axis=1)).face_hint


def test_two_people(face):
    assert seen(np.hstack([face, face])).face_hint.startswith("Two faces")


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_no_picture(content):
    with pytest.raises(StudioError, match="no picture"):
        look(content)


def test_a_huge_picture_is_refused_before_it_is_decoded():
    """A few hundred bytes whose header promises 256 million pixels would become 770 MB."""
    resource = pytest.importorskip("resource", reason="memory is measured on Unix")
    content = bytearray(cv2.imencode(".jpg", np.zeros((64, 64), np.uint8))[1].tobytes())
    place = content.find(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", 16000, 16000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(StudioError, match="no picture of a camera.* 16000 x 16000 pixels is too large"):
        look(bytes(content))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_only_what_browsers_make_is_decoded():
    content = cv2.imencode(".png", np.zeros((64, 64), np.uint8))[1].tobytes()
    with pytest.raises(StudioError, match="no picture of a camera.* must be a JPEG"):
        look(content)
