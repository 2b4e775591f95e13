"""Mouths that move, and pictures that move as a whole."""

import cv2
import numpy as np
import pytest

from lip2wav_hf.adaptation.movement import mouth_movement


@pytest.fixture
def face():
    """Something like a mouth region, 48 x 72."""
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.uniform(0, 255, (96, 144)).astype(np.float32), (0, 0), 4)
    return cv2.normalize(picture, None, 40, 200, cv2.NORM_MINMAX)


def cut(picture, x=0.0, y=0.0, turn=0.0, scale=1.0, light=1.0, spot=0.0):
    """The middle of a picture that was moved; `spot` darkens a part of it, as an open mouth does."""
    matrix = cv2.getRotationMatrix2D((72, 48), turn, scale)
    matrix[:, 2] += x, y
    moved = cv2.warpAffine(picture, matrix, (144, 96), flags=cv2.INTER_CUBIC)[24:72, 36:108] * light
    down, right = np.mgrid[:48, :72]
    inside = np.exp(-(((down - 24) / 6) ** 2) - ((right - 36) / 10) ** 2)
    return np.clip(moved * (1 - spot * inside), 0, 255).astype(np.uint8)


def test_a_picture_does_not_move(face):
    assert mouth_movement(np.stack([cut(face)] * 12)) == pytest.approx(0, abs=1e-6)
    noisy = [cut(face) + np.random.default_rng(n).normal(size=(48, 72)) for n in range(30)]
    assert mouth_movement(np.clip(noisy, 0, 255).astype(np.uint8)) < 0.03


WHOLE = {"x": 0.3, "y": 0.3, "turn": 0.4, "scale": 1.01, "light": 0.95}


@pytest.mark.parametrize("what", WHOLE)
def test_what_moves_as_a_whole_does_not_count(face, what):
    pair = [cut(face), cut(face, **{what: WHOLE[what]})]
    assert mouth_movement(np.stack([pair[number // 2 % 2] for number in range(24)])) < 0.03


def test_what_moves_in_the_middle_does(face):
    """However short, in a recording that is mostly still; and not where it is a single picture."""
    still = [cut(face)] * 100
    opened = [cut(face, spot=share) for share in (0.2, 0.4, 0.6, 0.6, 0.4, 0.2)]
    assert mouth_movement(np.stack(still + opened + still)) > 0.1
    assert mouth_movement(np.stack([*still, opened[2], *still])) < 0.03


def test_of_few_pictures_nothing_is_known(face):
    assert mouth_movement(np.stack([cut(face)] * 6)) is None


def test_the_span_is_a_time(face):
    """At twice the rate, twice as many pictures."""
    pictures = [cut(face, spot=0.3 + 0.3 * np.sin(number / 2)) for number in range(40)]
    doubled = [picture for picture in pictures for _ in range(2)]
    assert mouth_movement(np.stack(doubled), 50.0) == pytest.approx(mouth_movement(np.stack(pictures)), rel=0.05)
