"""Find the largest face of a video and follow it, frame by frame.

Two networks of MediaPipe (Apache-2.0, in `face_models/`) run offline through LiteRT: BlazeFace finds a face, FaceMesh
places 468 landmarks on it. As in MediaPipe, a face once found is followed by its own landmarks, without a detection
for every frame; detection comes back when the face is lost, after a scene cut, and from time to time to see whether
another face has become the largest. The module also holds the geometry that the mouth crop needs: the similarity
transform from a mean face to the landmarks of a frame (`align_face`).
"""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from .errors import Lip2WavError, finite_numbers, in_one_thread, silent_stderr


NUM_LANDMARKS = 468
DETECTOR, MESH = "face_detection_short_range.tflite", "face_landmark.tflite"
MODEL_FOLDER = Path(__file__).parent / "face_models"

DETECTOR_SIZE = 128  # BlazeFace short range: 128 x 128 pixels
MESH_SIZE = 192  # FaceMesh: 192 x 192 pixels
SMALLEST_TILE = 96  # pixels; a face in a smaller tile would be too small to read its lips
ROI_SCALE = 1.5  # side of the square that FaceMesh sees, in sides of the face box

SURE_SCORE = 0.8  # product of both networks' scores above which a face is beyond doubt
NOSE_TOLERANCE = 0.22  # how far apart both networks may see the tip of the nose, in sides of the face box

PIXELS_OF_FACE = 67  # between the outer eye corners, where the mouth region is 72 pixels wide

NOSE_TIP = 1
RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 33, 263
RIGHT_LIP_CORNER, LEFT_LIP_CORNER = 61, 291

# Points that speech hardly moves (eye corners, nose bridge, nose wings) and where they lie on the mean face: x to the
# right and y down from their own mean, in units of the distance between the outer eye corners.
STABLE_POINTS = (33, 133, 362, 263, 168, 6, 197, 195, 98, 327)
MEAN_FACE = np.array(
    [
        [-0.5, -0.1905, 0.1905, 0.5, 0.0, 0.0, 0.0, 0.0, -0.1942, 0.1942],
        [-0.1418, -0.1236, -0.1236, -0.1418, -0.1892, -0.0944, -0.0087, 0.0704, 0.3763, 0.3763],
    ]
).T


class FaceTrackingError(Lip2WavError):
    """No usable face: none was found in a video, or the networks that look for it cannot run."""


@dataclass(frozen=True)
class TrackingSettings:
    """
    How a face is looked for and followed.

    Attributes:
        detection_threshold (`float`, *optional*, defaults to 0.5):
            The lowest BlazeFace score of a face, 0 to 1.
        mesh_threshold (`float`, *optional*, defaults to 0.5):
            Below this FaceMesh score, 0 to 1, the face counts as lost and is searched for again.
        detection_interval (`int`, *optional*, defaults to 25):
            Frames between two checks whether the followed face is still there and still the largest.
        search_interval (`int`, *optional*, defaults to 5):
            While no face is in sight, frames between two thorough searches (small faces, turned pictures). The quick
            search runs for every frame.
        landmark_interval (`int`, *optional*, defaults to 1):
            [`FaceTracker.follow`] places landmarks on one of so many frames while the face rests or moves evenly.
        most_deviation (`float`, *optional*, defaults to 0.4):
            How far those interpolated between may lie elsewhere, as changes of the movement tell, in pixels of a
            mouth region of 72 pixels.
        most_movement (`float`, *optional*, defaults to 8):
            How far the face may move from one of these frames to the next, in the same unit.
    """

    detection_threshold: float = 0.5
    mesh_threshold: float = 0.5
    detection_interval: int = 25
    search_interval: int = 5
    landmark_interval: int = 1
    most_deviation: float = 0.4
    most_movement: float = 8.0


@dataclass
class FaceRegion:
    """A rotated square: centre (x, y) and side in pixels, angle in radians (clockwise, 0 is an upright face)."""

    center: complex
    size: float
    angle: float

    def matrix(self, output_size: int) -> np.ndarray:
        """The (2, 3) affine map from pixels of an `output_size` square to pixels of the picture."""
        turn = self.size / output_size * complex(math.cos(self.angle), math.sin(self.angle))
        origin = self.center - turn * complex(output_size - 1, output_size - 1) / 2
        return np.array([[turn.real, -turn.imag, origin.real], [turn.imag, turn.real, origin.imag]])


@dataclass
class Detection:
    """A face of BlazeFace: box (x0, y0, x1, y1), six key points (eyes, nose, mouth, ears) in pixels, score 0 to 1."""

    box: np.ndarray
    points: np.ndarray
    score: float

    @property
    def area(self) -> float:
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))

    @property
    def region(self) -> FaceRegion:
        x0, y0, x1, y1 = self.box
        eyes = self.points[1] - self.points[0]
        size = ROI_SCALE * max(x1 - x0, y1 - y0)
        return FaceRegion(complex(x0 + x1, y0 + y1) / 2, float(size), math.atan2(eyes[1], eyes[0]))


class _Network:
    """A TFLite network with one input picture, shared by all trackers of the process."""

    def __init__(self, path: Path):
        try:
            from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415  may be missing
        except ImportError as error:
            cause = "face tracking needs the LiteRT runtime, which is not installed: run `pip install ai-edge-litert`"
            raise FaceTrackingError(f"{cause}, or give `landmarks` or `mouth_boxes` yourself") from error
        if not path.is_file():
            raise FaceTrackingError(
                f"the face network {path} is missing: install this package again, or load the model from a folder or "
                "a Hub repository that has `face_models/`"
            )
        try:
            with silent_stderr():
                self._interpreter = Interpreter(model_content=path.read_bytes(), num_threads=1)
                self._interpreter.allocate_tensors()
        except ValueError as error:
            raise FaceTrackingError(f"the face network {path} is damaged ({error}): download it again") from error
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [output["index"] for output in self._interpreter.get_output_details()]
        self._lock = threading.Lock()

    def __call__(self, picture: np.ndarray, divisor: float, offset: float = 0.0) -> list[np.ndarray]:
        """Outputs for a picture `(height, width, 3)`, uint8, that is divided and then shifted."""
        with self._lock:
            values = self._interpreter.tensor(self._input)()[0]  # its own memory: no copy
            np.add(np.divide(picture, divisor, out=values, dtype=np.float32), np.float32(offset), out=values)
            del values  # else it refuses to run
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(index) for index in self._outputs]


_load_lock = threading.Lock()


def models_available(folder: str | os.PathLike[str] = MODEL_FOLDER) -> bool:
    """Whether the network files are in a folder."""
    return all((Path(folder) / filename).is_file() for filename in (DETECTOR, MESH))


@functools.cache
def _load_network(path: Path) -> _Network:
    return _Network(path)


def _network(path: Path) -> _Network:
    with _load_lock:
        return _load_network(path)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(values, -80.0, 80.0)))


@functools.cache
def _anchors() -> np.ndarray:
    """BlazeFace's 896 anchors' centres, in parts of the input: 2 a cell of the 16 x 16 grid, 6 of the 8 x 8 grid."""
    centers = []
    for cells, per_cell in ((16, 2), (8, 6)):
        rows, columns = np.mgrid[:cells, :cells]
        grid = np.stack([columns.ravel(), rows.ravel()], axis=-1)
        centers.append(np.repeat((grid + 0.5) / cells, per_cell, axis=0))
    return np.concatenate(centers).astype(np.float32)


@in_one_thread
def _warp(frame: np.ndarray, region: FaceRegion, size: int) -> np.ndarray:
    """Cut a rotated square out of the picture, `size` pixels wide; a large one is shrunk first, against aliasing."""
    matrix = region.matrix(size)
    shrink = int(region.size / size)
    if shrink >= 2:
        reach = 0.75 * region.size + 2 * shrink
        height, width = frame.shape[:2]
        x0, x1 = (int(np.clip(region.center.real + side * reach, 0, width)) for side in (-1, 1))
        y0, y1 = (int(np.clip(region.center.imag + side * reach, 0, height)) for side in (-1, 1))
        columns, rows = (x1 - x0) // shrink, (y1 - y0) // shrink
        if columns > 0 and rows > 0:
            part = frame[y0 : y0 + rows * shrink, x0 : x0 + columns * shrink]
            frame = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
            matrix = (matrix - [[0, 0, x0 + (shrink - 1) / 2], [0, 0, y0 + (shrink - 1) / 2]]) / shrink
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(frame, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_CONSTANT)


def _suppress(detections: list[Detection], overlap: float = 0.3) -> list[Detection]:
    """Weighted non-maximum suppression: boxes that overlap the best one become one box, averaged by their scores."""
    remaining = sorted(detections, key=lambda detection: -detection.score)
    kept = []
    while remaining:
        best = remaining[0]
        group = [other for other in remaining if other is best or _box_overlap(best.box, other.box) > overlap]
        remaining = [other for other in remaining if not any(other is member for member in group)]
        scores = np.array([member.score for member in group])
        weights = scores / scores.sum()
        box = np.tensordot(weights, np.stack([member.box for member in group]), 1)
        points = np.tensordot(weights, np.stack([member.points for member in group]), 1)
        kept.append(Detection(box, points, best.score))
    return kept


def _box_overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1)."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    union = (first[2] - first[0]) * (first[3] - first[1]) + (second[2] - second[0]) * (second[3] - second[1]) - common
    return float(common / union)


class FaceFinder:
    """
    Finds the faces of single pictures with BlazeFace, and places landmarks on them with FaceMesh.

    Args:
        model_folder (`str` or `os.PathLike`, *optional*): where both networks lie; beside this module by default. Each
            is loaded once per process.
        threshold (`float`, *optional*, defaults to 0.5): the lowest BlazeFace score of a face, 0 to 1.

    Raises:
        FaceTrackingError: if a network is missing or damaged, or LiteRT is not installed.
    """

    def __init__(self, model_folder: str | os.PathLike[str] | None = None, threshold: float = 0.5):
        folder = Path(MODEL_FOLDER if model_folder is None else model_folder)
        self.threshold = threshold
        self._detector = _network(folder / DETECTOR)
        self._mesh = _network(folder / MESH)

    @in_one_thread
    def detect(self, picture: np.ndarray) -> list[Detection]:
        """
        Find the faces of a picture, the largest first: those of about a fifth of the picture and more.

        Args:
            picture (`np.ndarray` of shape `(height, width, 3)`, uint8): RGB.

        Returns:
            `list[Detection]`: in pixels of the picture.
        """
        height, width = picture.shape[:2]
        scale = DETECTOR_SIZE / max(height, width)
        columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
        left, top = (DETECTOR_SIZE - columns) // 2, (DETECTOR_SIZE - rows) // 2
        square = np.zeros((DETECTOR_SIZE, DETECTOR_SIZE, 3), np.uint8)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        square[top : top + rows, left : left + columns] = cv2.resize(picture, (columns, rows), interpolation=how)
        detections = self.detect_in_square(square)
        origin = np.array([left, top])
        for detection in detections:
            detection.box = (detection.box - np.tile(origin, 2)) / scale
            detection.points = (detection.points - origin) / scale
        return sorted(detections, key=lambda detection: -detection.area)

    def detect_in_square(self, picture: np.ndarray) -> list[Detection]:
        """Find the faces of a 128 x 128 RGB picture, which BlazeFace sees as it is."""
        first, second = self._detector(picture, 127.5, -1.0)
        regressors, scores = (first, second) if first.shape[-1] == 16 else (second, first)
        scores = _sigmoid(scores[0, :, 0])
        chosen = np.flatnonzero(scores >= self.threshold)
        detections = []
        for index in chosen:
            values = regressors[0, index].reshape(8, 2)  # centre, size, six key points, in pixels from the anchor
            anchor = _anchors()[index] * DETECTOR_SIZE
            center, half = anchor + values[0], values[1] / 2
            box = np.concatenate([center - half, center + half])
            detections.append(Detection(box, anchor + values[2:], float(scores[index])))
        return _suppress(detections)

    def search(self, picture: np.ndarray) -> Iterator[list[Detection]]:
        """
        Search a picture ever more thoroughly, one stage of [`search_stages`] after the other. Yields what each stage
        found, the largest face first; stop when you are content.
        """
        for views in search_stages(*picture.shape[:2]):
            detections = [detection for view in views for detection in self.look(picture, view)]
            several = len(views) > 1
            yield sorted(_suppress(detections), key=lambda detection: -detection.area) if several else detections

    def look(self, picture: np.ndarray, view: View) -> list[Detection]:
        """Find the faces in a view of a picture, the largest first, in pixels of the picture."""
        part = picture[view.top : view.top + view.height, view.left : view.left + view.width]
        detections = self.detect(np.ascontiguousarray(np.rot90(part, view.turns)))
        for detection in detections:
            _turn_back(detection, view.turns, part.shape)
            detection.box = detection.box + [view.left, view.top, view.left, view.top]
            detection.points = detection.points + [view.left, view.top]
        return detections

    def place_landmarks(self, frame: np.ndarray, region: FaceRegion) -> tuple[np.ndarray, float]:
        """
        Run FaceMesh in a square of the frame.

        Args:
            frame (`np.ndarray` of shape `(height, width, 3)`, uint8): RGB.
            region ([`FaceRegion`]): where the face is, in pixels of the frame.

        Returns:
            Landmarks, float32 `(468, 2)` in pixels of the frame, and the score that the square really shows a face.
        """
        picture = _warp(frame, region, MESH_SIZE)
        outputs = self._mesh(picture, 255.0)
        points, score = sorted(outputs, key=lambda output: -output.size)
        points = points.reshape(NUM_LANDMARKS, 3)[:, :2]
        matrix = region.matrix(MESH_SIZE)
        landmarks = points @ matrix[:, :2].T + matrix[:, 2]
        return landmarks.astype(np.float32), float(_sigmoid(score.reshape(-1)[0]))


class View(NamedTuple):
    """A part of a picture in which faces are looked for, in pixels; or all of it, turned so often by a quarter."""

    top: int
    left: int
    height: int
    width: int
    turns: int = 0


def search_stages(height: int, width: int) -> Iterator[list[View]]:
    """The stages of a thorough search: the whole picture, then turned by a quarter and by half, for faces lying on
    their side or upside down, then ever smaller overlapping tiles, for small faces."""
    for turns in (0, 1, 3, 2):
        yield [View(0, 0, height, width, turns)]
    side = min(height, width) if max(height, width) > 1.2 * min(height, width) else min(height, width) // 2
    while side >= SMALLEST_TILE and 12 * side >= max(height, width):
        yield [View(top, left, side, side) for top in _tile_starts(height, side) for left in _tile_starts(width, side)]
        side //= 2


def _turn_back(detection: Detection, turns: int, shape: tuple[int, ...]) -> None:
    """Move a detection from the picture turned by `np.rot90(picture, turns)` to the picture itself."""
    if not turns:
        return
    height, width = shape[:2]
    points = np.concatenate([detection.box.reshape(2, 2), detection.points])
    x, y = points[:, 0], points[:, 1]
    x, y = {1: (width - 1 - y, x), 2: (width - 1 - x, height - 1 - y), 3: (y, height - 1 - x)}[turns]
    corners = np.stack([x[:2], y[:2]], axis=-1)
    detection.box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    detection.points = np.stack([x[2:], y[2:]], axis=-1)


def _tile_starts(length: int, side: int) -> list[int]:
    """Where tiles of `side` pixels begin so that they cover `length` and overlap by about a half."""
    if length <= side:
        return [0]
    count = math.ceil((length - side) / (side / 2)) + 1
    return [round(start) for start in np.linspace(0, length - side, count)]


def region_of_landmarks(landmarks: np.ndarray) -> FaceRegion:
    """The square in which FaceMesh should look for the face whose landmarks, (468, 2), were these a frame before."""
    points = landmarks[:, 0] + 1j * landmarks[:, 1]
    eyes = points[LEFT_EYE_OUTER] - points[RIGHT_EYE_OUTER]
    angle = math.atan2(eyes.imag, eyes.real)
    turn = complex(math.cos(angle), math.sin(angle))
    upright = points / turn
    low = complex(upright.real.min(), upright.imag.min())
    high = complex(upright.real.max(), upright.imag.max())
    size = ROI_SCALE * max(high.real - low.real, high.imag - low.imag)
    return FaceRegion((low + high) / 2 * turn, float(size), angle)


def align_face(landmarks: np.ndarray) -> tuple[complex, complex, complex]:
    """
    The similarity transform from the mean face to a face, by least squares over the stable points.

    With complex numbers x + iy for points, a point `p` of the mean face lies at `center + scale * p` in the frame.

    Args:
        landmarks (`np.ndarray` of shape `(468, 2)`): in pixels.

    Returns:
        `tuple[complex, complex, complex]`: `scale` (pixels per unit of the mean face, its argument is the face's
        rotation), `center` (pixels) and `mouth`, the middle between the lip corners on the mean face.
    """
    points = landmarks[_ALIGNED].astype(np.float64).view(np.complex128)[:, 0]
    scale, center, lips = (_mean_face_fit() @ points).tolist()
    return scale, center, (lips - center) / scale if scale else 0j


_ALIGNED = np.array([*STABLE_POINTS, RIGHT_LIP_CORNER, LEFT_LIP_CORNER])


@functools.cache
def _mean_face_fit() -> np.ndarray:
    """What points, as complex numbers, are multiplied by to get scale, centre and the lips' middle: `(3, points)`."""
    mean_face = (MEAN_FACE - MEAN_FACE.mean(axis=0)) @ (1.0, 1j)
    fit = np.zeros((3, len(_ALIGNED)), np.complex128)
    fit[0, :-2], fit[1, :-2], fit[2, -2:] = mean_face.conj() / np.vdot(mean_face, mean_face), 1 / len(mean_face), 0.5
    return fit


class FaceTracker:
    """
    Follow the largest face of a video, one frame after the other. The frames are not kept, nor are their landmarks.

    ```python
    tracker = FaceTracker()
    for frame in reader:
        landmarks = tracker.update(frame)  # (468, 2), or None where no face was found
    tracker.coverage  # share of the frames in which it was; their number is `tracker.frames`
    ```

    Args:
        settings ([`TrackingSettings`], *optional*): thresholds and intervals.
        model_folder (`str` or `os.PathLike`, *optional*): as for [`FaceFinder`].

    Raises:
        FaceTrackingError: if a network is missing or damaged, or LiteRT is not installed.
    """

    def __init__(self, settings: TrackingSettings | None = None, model_folder: str | os.PathLike[str] | None = None):
        self.settings = settings or TrackingSettings()
        self._finder = FaceFinder(model_folder, self.settings.detection_threshold)
        self.reset()

    def reset(self) -> None:
        """Forget the video: the next frame is the first of another one."""
        self.frames = self._found = self._segment = 0
        self.checks = self.rivals = 0  # looks at the whole frame; those with another face of half the area and more
        self._last: np.ndarray | None = None  # landmarks of the newest frame with a face
        self._pace: np.ndarray | None = None  # what they moved by in a frame, over the last `_paced` frames
        self._paced = self._step = 1
        self._lost = self._checked = 0  # frames since then, and since the last detection
        self._searched: int | None = None  # frames since the last thorough search
        self._unseen = 0  # checks in a row in which BlazeFace did not see the followed face
        self._thumbnail: np.ndarray | None = None

    @property
    def coverage(self) -> float:
        """Fraction of the frames in which the face was really found, 0 to 1."""
        return self._found / self.frames if self.frames else 0.0

    @property
    def segment(self) -> int:
        """Number of the uninterrupted movement of the newest frame: a cut or a jump to another face begins one."""
        return self._segment

    def follow(self, frames: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """
        Frames with their landmarks, as [`update`] finds them; but while the face moves evenly, landmarks are placed on
        one of `settings.landmark_interval` frames and interpolated on the others. `segment` is that of the last pair.
        """
        waiting: list[np.ndarray] = []
        self._step = 1
        for frame in frames:
            cut = self._is_cut(frame)
            waiting.append(frame)
            if cut or len(waiting) >= self._step:
                yield from self._followed(waiting, cut)
                waiting = []
        yield from self._followed(waiting, False)

    def _followed(self, frames: list[np.ndarray], cut: bool) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Frames with their landmarks; perhaps a cut lies before the last. Says how far to go in the next step."""
        ahead: list[tuple[int, np.ndarray]] = []  # frames whose landmarks are known already, the next one at the end
        first, end, strain, number = 0, 0 if cut else len(frames), 0.0, len(frames) - 1
        while first < end and (last := self._last) is not None and (pace := self._pace) is not None:
            gap = number + 1 - first
            before = last + pace * np.float32(gap - 1)  # where the face is expected in the frame before
            before = before if _movement(last, before) > 1.5 else last  # at rest, its noise would be added
            if not ahead or ahead[-1][0] != number:
                landmarks = self._mesh(frames[number], region_of_landmarks(before))
                if landmarks is None:
                    break
                ahead.append((number, landmarks))
            landmarks = ahead[-1][1]
            new = self._strain(last, last + pace * np.float32(gap), landmarks, gap)
            strain = max(strain, new)
            if new > 1 and gap > 1:
                number = first + gap // 2 - 1
                continue
            if not self._keep(frames[number], last, landmarks, gap):
                break
            for between in range(1, gap):
                share = np.float32(between / gap)
                yield frames[first + between - 1], last + share * (landmarks - last)
            yield frames[number], landmarks
            ahead.pop()
            first, number = number + 1, ahead[-1][0] if ahead else len(frames) - 1
        for number in range(first, len(frames)):
            yield frames[number], self._update(frames[number], cut and number == len(frames) - 1)
        step = self._step // 2 if strain > 1 else self._step + (self._step if strain < 0.25 else strain < 0.6)
        self._step = min(1 if self._pace is None else max(step, 2), self.settings.landmark_interval)

    def _strain(self, last: np.ndarray, expected: np.ndarray, landmarks: np.ndarray, frames: int) -> float:
        """How far frames between the last ones and these may be wrong, in units of what is allowed."""
        share = frames / (4 * (frames + self._paced))  # of a parabola: how far its middle lies from the chord
        deviation = share * _movement(expected, landmarks) / self.settings.most_deviation
        return max(deviation, _movement(last, landmarks) / self.settings.most_movement)

    def _keep(self, frame: np.ndarray, last: np.ndarray, landmarks: np.ndarray, frames: int) -> bool:
        """Whether these, so many frames after the last, are the followed face's; if so, they are now the last."""
        if is_jump(last, landmarks, frames):
            return False
        known = self._checked, self._unseen
        self._checked += frames
        if self._checked >= self.settings.detection_interval and self._check(frame, landmarks) is not landmarks:
            self._checked, self._unseen = known  # frame by frame, the same is found out again
            return False
        self._pace, self._paced = (landmarks - last) / np.float32(frames), frames
        self._last = landmarks
        self.frames, self._found = self.frames + frames, self._found + frames
        return True

    def update(self, frame: np.ndarray) -> np.ndarray | None:
        """
        Track the next frame.

        Args:
            frame (`np.ndarray` of shape `(height, width, 3)`, uint8): RGB.

        Returns:
            Landmarks `(468, 2)`, float32, in pixels, not smoothed; `None` where no face was found.
        """
        return self._update(frame, self._is_cut(frame))

    def _update(self, frame: np.ndarray, cut: bool) -> np.ndarray | None:
        landmarks = None
        if self._last is not None and self._lost == 0 and not cut:
            landmarks = self._mesh(frame, region_of_landmarks(self._last))
            self._checked += 1
            if landmarks is not None and self._checked >= self.settings.detection_interval:
                landmarks = self._check(frame, landmarks)
        landmarks = self._find(frame, self._search_is_due()) if landmarks is None else landmarks
        if landmarks is None and self._last is not None and self._lost <= self.settings.detection_interval:
            landmarks = self._mesh(frame, region_of_landmarks(self._last))
        self._pace, self._paced = None, 1
        if landmarks is None:
            self._lost += 1
        else:
            if self._last is not None:
                if cut or is_jump(self._last, landmarks, self._lost + 1):
                    self._segment += 1
                elif not self._lost:
                    self._pace = landmarks - self._last
            self._last, self._lost = landmarks, 0
        self.frames, self._found = self.frames + 1, self._found + (landmarks is not None)
        return landmarks

    def _search_is_due(self) -> bool:
        """Search thoroughly at once when the face is lost, then ever more rarely."""
        patience = max(self.settings.search_interval, min(self._lost // 2, self.settings.detection_interval))
        due = self._lost == 0 or self._searched is None or self._searched + 1 >= patience
        self._searched = 0 if due else self._searched + 1
        return due

    def _mesh(self, frame: np.ndarray, region: FaceRegion) -> np.ndarray | None:
        if not self._plausible(frame, region):
            return None
        landmarks, score = self._finder.place_landmarks(frame, region)
        return landmarks if score >= self.settings.mesh_threshold else None

    @staticmethod
    def _plausible(frame: np.ndarray, region: FaceRegion) -> bool:
        height, width = frame.shape[:2]
        inside = 0 <= region.center.real < width and 0 <= region.center.imag < height
        return inside and 16 <= region.size <= 4 * max(height, width)

    def _find(self, frame: np.ndarray, thorough: bool) -> np.ndarray | None:
        """Landmarks of the largest face that both networks agree on; after a thorough search, of the likeliest one."""
        self._checked = self._unseen = 0
        likeliest, best_score = None, 0.0
        for stage in self._finder.search(frame):
            for detection in stage[:4]:
                landmarks, score, sure = self._confirm(frame, detection)
                if sure:
                    return landmarks
                if score > best_score:
                    likeliest, best_score = landmarks, score
            if not thorough:
                return None
        return likeliest

    def _confirm(self, frame: np.ndarray, detection: Detection) -> tuple[np.ndarray | None, float, bool]:
        """Landmarks of a detection, its score by both networks, and whether it is surely a face, and upright."""
        if not self._plausible(frame, detection.region):
            return None, 0.0, False
        landmarks, _ = self._finder.place_landmarks(frame, detection.region)
        region = region_of_landmarks(landmarks)
        if not self._plausible(frame, region):
            return None, 0.0, False
        landmarks, score = self._finder.place_landmarks(frame, region)  # once more, from the better square
        if score < self.settings.mesh_threshold:
            return None, 0.0, False
        side = np.max(detection.box[2:] - detection.box[:2])
        error = np.linalg.norm(landmarks[NOSE_TIP] - detection.points[2]) / side
        score *= detection.score
        return landmarks, score, bool(score >= SURE_SCORE and error < NOSE_TOLERANCE)

    def _check(self, frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray | None:
        """Look at the whole frame again: landmarks of a face that is clearly larger; `None` to search for this one."""
        self._checked = 0
        box = np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)])
        area, seen, others = float(np.prod(box[2:] - box[:2])), False, []
        for detection in self._finder.detect(frame):
            if _box_overlap(detection.box, box) > 0.2:
                seen, area = True, detection.area
            else:
                others.append(detection)
        self.checks, self.rivals = self.checks + 1, self.rivals + any(2 * other.area > area for other in others)
        for other in others[:2]:
            if other.area > 1.4 * area:
                larger, _, sure = self._confirm(frame, other)
                if sure:
                    self._unseen = 0
                    return larger
        if not seen:
            region = region_of_landmarks(landmarks)
            region.size *= 1.4
            seen = bool(self._finder.detect_in_square(_warp(frame, region, DETECTOR_SIZE)))
        self._unseen = 0 if seen else self._unseen + 1
        return landmarks if self._unseen < 2 else None

    def _is_cut(self, frame: np.ndarray) -> bool:
        """Whether the picture differs so much from the one before that it must be another shot."""
        step = max(1, min(frame.shape[:2]) // 36)
        thumbnail = np.ascontiguousarray(frame[step // 2 :: step, step // 2 :: step, 1])
        previous, self._thumbnail = self._thumbnail, thumbnail
        if previous is None or previous.shape != thumbnail.shape:
            return previous is not None
        return float(cv2.norm(thumbnail, previous, cv2.NORM_L1)) > 24.0 * thumbnail.size


def _change(before: np.ndarray, after: np.ndarray) -> tuple[float, complex]:
    """How far the middle of a face moves, in units of the mean face, and by what it is turned and enlarged."""
    (scale, center, _), (other_scale, other_center, _) = align_face(before), align_face(after)
    return (abs(other_center - center) / abs(scale), other_scale / scale) if scale else (math.inf, 0j)


def _movement(before: np.ndarray, after: np.ndarray) -> float:
    """How far the mouth region moves with the face, turning and growing included, in pixels of 72."""
    moved, turned = _change(before, after)
    return PIXELS_OF_FACE * moved + 36 * abs(turned - 1)


def check_landmarks(landmarks: Any, name: str) -> np.ndarray:
    """Landmarks that were given for a video as float32; raises `ValueError` if they are none."""
    landmarks = finite_numbers(landmarks, "landmarks", name)
    if landmarks.ndim != 3 or landmarks.shape[1:] != (NUM_LANDMARKS, 2) or not len(landmarks):
        needed = f"must have the shape (frames, {NUM_LANDMARKS}, 2), not {landmarks.shape}"
        raise ValueError(f"`landmarks` for {name} {needed}: x and y of the FaceMesh points in pixels")
    if not np.ptp(landmarks, axis=1).any(axis=1).all():
        raise ValueError(f"`landmarks` for {name} are all one point in a frame: pass the FaceMesh points in pixels")
    return landmarks.astype(np.float32)


def is_jump(before: np.ndarray, after: np.ndarray, frames: int = 1) -> bool:
    """Whether landmarks `frames` frames apart are too different for one face's movement."""
    (moved, turned), allowance = _change(before, after), min(frames, 3)
    return not turned or moved > 0.35 * allowance or abs(math.log(abs(turned))) > 0.25 * allowance


__all__ = [
    "Detection",
    "FaceFinder",
    "FaceRegion",
    "FaceTracker",
    "FaceTrackingError",
    "TrackingSettings",
    "View",
    "align_face",
    "check_landmarks",
    "is_jump",
    "models_available",
    "region_of_landmarks",
    "search_stages",
]
