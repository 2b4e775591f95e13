"""What a live picture of the camera shows, while a person gets ready: the face, its size, the light on it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import cv2
import numpy as np

from ..face_tracking import Detection, FaceFinder
from ..live.pictures import PictureError, read_picture
from .recordings import StudioError


# All limits are our choices.
SMALL_FACE, LARGE_FACE = 0.18, 0.75  # side of the face box, in parts of the picture's shorter side
EDGE = 0.02  # how near the face may come to the edge, in parts of the picture
DARK, BRIGHT = 55.0, 200.0  # mean gray level of the face
BACKLIGHT = 60.0  # gray levels by which the surroundings may be brighter than the face
MOST_PIXELS = 1920 * 1080


@dataclass(frozen=True)
class View:
    """
    What is to be seen.

    Attributes:
        face (`bool`): whether there is one face that can be read.
        light (`bool`): whether it is lit well.
        face_hint (`str`), light_hint (`str`): what is seen, or what to do about it.
    """

    face: bool
    light: bool
    face_hint: str
    light_hint: str


_finder_lock = threading.Lock()  # the networks answer one picture at a time


def look(picture: bytes) -> View:
    """
    Look at a picture of the camera.

    Args:
        picture (`bytes`): JPEG, as browsers write it.

    Raises:
        StudioError: if it is no such picture, or a very large one, which is not decoded.
    """
    try:
        pixels = read_picture(picture, MOST_PIXELS)
    except PictureError as error:
        raise StudioError(f"This is no picture of a camera that can be read: {error}") from error
    with _finder_lock:
        faces = FaceFinder().detect(pixels)
    if not faces:
        if pixels.mean() < DARK / 2:
            return View(False, False, "It is too dark to see a face.", "Too dark.")
        return View(False, True, "No face. Look into the camera, and come nearer.", "")
    face_hint, light_hint = _face_hint(faces, pixels.shape), _light_hint(faces[0], pixels)
    return View(not face_hint, not light_hint, face_hint or "Face found", light_hint or "Light is good")


def _face_hint(faces: list[Detection], shape: tuple[int, ...]) -> str:
    """What to change, or an empty text."""
    height, width = shape[:2]
    x0, y0, x1, y1 = faces[0].box
    side = max(x1 - x0, y1 - y0) / min(height, width)
    if len(faces) > 1 and faces[1].area > 0.5 * faces[0].area:
        return "Two faces. Only one person can be in the picture."
    if side < SMALL_FACE:
        return "The face is small. Come nearer."
    if side > LARGE_FACE:
        return "The face is too near. Go back a little."
    if x0 < EDGE * width or x1 > (1 - EDGE) * width or y1 > (1 - EDGE) * height:
        return "The face is at the edge. Move to the middle."
    return ""


def _light_hint(face: Detection, pixels: np.ndarray) -> str:
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = np.clip(face.box.round().astype(int), 0, [width, height, width, height])
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    inside = gray[y0:y1, x0:x1]
    if not inside.size:
        return ""
    level = float(inside.mean())
    if level < DARK:
        around = (float(gray.sum()) - float(inside.sum())) / max(gray.size - inside.size, 1)
        return "Light comes from behind. Turn round." if around > level + BACKLIGHT else "Dark. Put a lamp in front."
    return "Too bright. Take away some light." if level > BRIGHT else ""


__all__ = ["View", "look"]
