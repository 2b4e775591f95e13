import shutil
import subprocess
import sys
import tracemalloc
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from lip2wav_hf import face_tracking
from lip2wav_hf.face_tracking import (
    DETECTOR,
    MEAN_FACE,
    MESH,
    MODEL_FOLDER,
    NUM_LANDMARKS,
    STABLE_POINTS,
    FaceFinder,
    FaceRegion,
    FaceTracker,
    FaceTrackingError,
    TrackingSettings,
    align_face,
    is_jump,
    models_available,
    region_of_landmarks,
)
from lip2wav_hf.feature_extraction_lip2wav import RegionCutter
from lip2wav_hf.video import VideoReader


pytestmark = pytest.mark.usefixtures("faces_anew")

SPEAKERS = ("s1", "s2", "s3", "s4", "s11", "s26", "s30", "s32", "s33", "s34")


def read_clip(grid_dir, speaker, frames):
    clips = sorted(grid_dir.glob(f"video/{speaker}/*.mkv"))
    if not clips:
        pytest.skip(f"no real data: {grid_dir} has no clip of speaker {speaker}")
    with VideoReader(clips[0]) as reader:
        return np.stack([frame for _, frame in zip(range(frames), reader, strict=False)])


@pytest.fixture(scope="module")
def clip(grid_dir):
    return read_clip(grid_dir, "s1", 30)


@pytest.fixture(scope="module")
def other_clip(grid_dir):
    return read_clip(grid_dir, "s34", 30)


@pytest.fixture(scope="module")
def reference(clip):
    return track(clip).landmarks


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (6, 96, 128, 3), dtype=np.uint8)


@dataclass
class Track:
    """What a tracker said of each frame: landmarks `(frames, 468, 2)`, NaN where it found no face."""

    landmarks: np.ndarray
    detected: np.ndarray
    coverage: float


def track(frames, **settings):
    tracker = FaceTracker(TrackingSettings(**settings))
    landmarks = np.full((len(frames), NUM_LANDMARKS, 2), np.nan, np.float32)
    for target, frame in zip(landmarks, frames, strict=True):
        found = tracker.update(frame)
        if found is not None:
            target[:] = found
    detected = ~np.isnan(landmarks[:, 0, 0])
    assert tracker.frames == len(frames) and tracker.coverage == detected.mean()
    return Track(landmarks, detected, tracker.coverage)


@pytest.fixture
def finder():
    return FaceFinder()


def place(frames, height, width, top, left, scale=1.0):
    """The clip, scaled, on a gray canvas."""
    canvas = np.full((len(frames), height, width, 3), 90, np.uint8)
    for target, frame in zip(canvas, frames, strict=True):
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        target[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def distance(first, second):
    """Mean distance of landmarks, in fractions of the distance between the outer eye corners."""
    eyes = np.linalg.norm(first[:, 33] - first[:, 263], axis=-1).mean()
    return np.linalg.norm(first - second, axis=-1).mean() / eyes


def mean_face_landmarks(scale=50.0, angle=0.0, center=(100.0, 80.0)):
    """Landmarks whose stable points are the mean face, turned, scaled and moved."""
    turn = scale * np.exp(1j * angle)
    points = np.zeros(NUM_LANDMARKS, complex)
    mean_face = MEAN_FACE @ (1.0, 1j)
    points[list(STABLE_POINTS)] = turn * (mean_face - mean_face.mean())
    points[[61, 291]] = turn * np.array([-0.3 + 0.65j, 0.3 + 0.65j])
    points += complex(*center)
    return np.stack([points.real, points.imag], axis=-1)


# Geometry


def test_alignment_recovers_a_similarity_transform():
    scale, center, mouth = align_face(mean_face_landmarks(50.0, 0.4, (100.0, 80.0)))
    assert scale == pytest.approx(50.0 * np.exp(0.4j))
    assert center == pytest.approx(100 + 80j)
    assert mouth == pytest.approx(0.65j)


def test_region_turns_with_the_face():
    landmarks = mean_face_landmarks(angle=np.pi / 2)
    upright, turned = region_of_landmarks(mean_face_landmarks()), region_of_landmarks(landmarks)
    assert turned.angle - upright.angle == pytest.approx(np.pi / 2)


def test_region_matrix_maps_the_middle_to_the_center():
    region = FaceRegion(30 + 20j, 64.0, 0.7)
    assert region.matrix(192) @ (95.5, 95.5, 1.0) == pytest.approx((30.0, 20.0))
    corner = region.matrix(192) @ (-0.5, -0.5, 1.0)
    assert np.hypot(*(corner - (30.0, 20.0))) == pytest.approx(32 * np.sqrt(2))


def test_anchors_are_those_of_the_short_range_network():
    anchors = face_tracking._anchors()
    assert anchors.shape == (896, 2)
    assert anchors[:3].tolist() == [[1 / 32, 1 / 32], [1 / 32, 1 / 32], [3 / 32, 1 / 32]]
    assert anchors[512].tolist() == [1 / 16, 1 / 16] and anchors[-1].tolist() == [15 / 16, 15 / 16]


def test_jump_is_not_mistaken_for_movement():
    before = mean_face_landmarks()
    assert not is_jump(before, mean_face_landmarks(scale=52.0, center=(105.0, 80.0)))
    assert is_jump(before, mean_face_landmarks(center=(160.0, 80.0)))
    assert is_jump(before, mean_face_landmarks(scale=80.0))


# The track


def test_no_face_in_noise(noise):
    tracked = track(noise)
    assert np.isnan(tracked.landmarks).all()
    assert tracked.coverage == 0.0 and not tracked.detected.any()


def test_empty_track():
    tracker = FaceTracker()
    assert tracker.frames == 0 and tracker.coverage == 0.0


def test_a_long_video_needs_no_more_memory(clip):
    """Neither frames nor landmarks are kept: the landmarks of 600 frames alone would be 2 MB."""
    tracker = FaceTracker()
    for frame in clip:
        tracker.update(frame)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(20):
        for frame in clip:
            tracker.update(frame)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert tracker.frames == 630 and grown < 200_000


def test_one_pixel_frames_do_not_break_the_search():
    assert track(np.zeros((2, 1, 1, 3), np.uint8)).coverage == 0.0


# The networks


def test_networks_and_their_licence_are_shipped():
    assert models_available()
    assert "Apache License" in (MODEL_FOLDER / "LICENSE").read_text()
    assert "MediaPipe" in (MODEL_FOLDER / "NOTICE").read_text()


def folder_with(folder, **contents):
    """A folder of face networks, some with another content."""
    shutil.copytree(MODEL_FOLDER, folder)
    for name, content in contents.items():
        (folder / {"detector": DETECTOR, "mesh": MESH}[name]).write_bytes(content)
    return folder


def test_missing_runtime_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(FaceTrackingError, match="pip install ai-edge-litert"):
        FaceTracker(model_folder=folder_with(tmp_path / "not loaded before"))


def test_missing_network_file_is_named(tmp_path):
    shutil.copy(MODEL_FOLDER / DETECTOR, tmp_path)
    assert not models_available(tmp_path)
    with pytest.raises(FaceTrackingError, match=f"{tmp_path}/face_landmark.tflite is missing"):
        FaceTracker(model_folder=tmp_path)


def test_each_tracker_uses_the_networks_of_its_own_folder(clip, tmp_path):
    """Also after those of another folder were loaded; damaged ones show which are asked for."""
    good, damaged = folder_with(tmp_path / "good"), folder_with(tmp_path / "damaged", mesh=b"no network")
    before = FaceTracker(model_folder=good).update(clip[0])
    with pytest.raises(FaceTrackingError, match=f"{damaged}/face_landmark.tflite is damaged"):
        FaceTracker(model_folder=damaged)
    after = FaceTracker(model_folder=good).update(clip[0])
    np.testing.assert_array_equal(before, after)


def test_networks_load_once_and_silently(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from lip2wav_hf.face_tracking import MESH, FaceTracker\n"
        "folder = Path(sys.argv[1])\n"
        "FaceTracker(model_folder=folder).update(np.zeros((90, 120, 3), np.uint8))\n"
        "(folder / MESH).unlink()\n"
        "FaceTracker(model_folder=folder)\n"
    )
    command = [sys.executable, "-c", code, folder_with(tmp_path / "networks")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""


def test_mesh_scores_noise_low(finder, noise):
    landmarks, score = finder.place_landmarks(noise[0], FaceRegion(64 + 48j, 90.0, 0.0))
    assert landmarks.shape == (NUM_LANDMARKS, 2) and landmarks.dtype == np.float32
    assert score < 0.5


# Real faces


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_every_speaker_is_followed(grid_dir, speaker):
    tracked = track(read_clip(grid_dir, speaker, 12))
    assert tracked.coverage == 1.0
    eyes, mouth, chin = tracked.landmarks[:, [33, 263], 1], tracked.landmarks[:, 13, 1], tracked.landmarks[:, 152, 1]
    assert (eyes.mean(axis=1) < mouth).all() and (mouth < chin).all()
    steps = np.abs(np.diff(tracked.landmarks[:, 168], axis=0))
    assert steps.max() < 5


def test_both_networks_see_the_same_face(finder, clip):
    detection = finder.detect(clip[0])[0]
    landmarks, score = finder.place_landmarks(clip[0], detection.region)
    assert detection.score > 0.8 and score > 0.9
    size = np.max(detection.box[2:] - detection.box[:2])
    assert np.linalg.norm(landmarks[1] - detection.points[2]) < 0.15 * size  # the tip of the nose


@pytest.mark.parametrize("angle", [-45, -20, 20])
def test_turned_head(clip, reference, angle):
    height, width = clip.shape[1:3]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    turned = [cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE) for frame in clip]
    tracked = track(turned)
    assert tracked.coverage == 1.0
    assert distance(reference @ matrix[:, :2].T + matrix[:, 2], tracked.landmarks) < 0.03


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_picture(clip, reference, turns):
    height, width = clip.shape[1:3]
    tracked = track(np.ascontiguousarray(np.rot90(clip, turns, axes=(1, 2))))
    x, y = reference[..., 0], reference[..., 1]
    turned = {1: (y, width - 1 - x), 2: (width - 1 - x, height - 1 - y), 3: (height - 1 - y, x)}[turns]
    assert tracked.coverage == 1.0
    assert distance(np.stack(turned, axis=-1), tracked.landmarks) < 0.04


@pytest.mark.parametrize("size, scale", [((576, 720), 0.5), ((720, 1280), 0.4), ((720, 1280), 2.4)])
def test_small_and_large_faces(clip, reference, size, scale):
    tracked = track(place(clip[:10], *size, 20, 200, scale))
    assert tracked.coverage == 1.0
    assert distance(reference[:10] * scale + (200, 20), tracked.landmarks) < 0.05


def test_search_finds_a_small_face_in_tiles(finder, clip):
    frame = place(clip[:1], 720, 1280, 300, 900, 0.4)[0]
    assert not any(detection.score > 0.8 for detection in finder.detect(frame))
    found = [detection for stage in finder.search(frame) for detection in stage if detection.score > 0.8]
    assert found and all(900 < detection.region.center.real < 1044 for detection in found)


def test_largest_of_two_faces_is_followed(clip, other_clip):
    both = place(clip, 300, 720, 0, 360)
    both[:, 100:244, 60:240] = place(other_clip, 144, 180, 0, 0, 0.5)
    tracked = track(both)
    assert tracked.coverage == 1.0 and (tracked.landmarks[:, 1, 0] > 360).all()


def test_a_larger_face_takes_over(clip, other_clip):
    frames = place(clip, 400, 800, 150, 20, 0.6)
    frames[10:, 60:348, 420:780] = other_clip[:20]
    tracked = track(frames, detection_interval=8)
    assert (tracked.landmarks[:10, 1, 0] < 300).all() and (tracked.landmarks[20:, 1, 0] > 420).all()


def test_scene_cut_to_another_face(clip, other_clip):
    frames = np.concatenate([place(clip[:10], 400, 500, 20, 20), place(other_clip[:10], 400, 500, 100, 130, 0.9)])
    tracker = FaceTracker()
    landmarks, segments = [], []
    for frame in frames:
        landmarks.append(tracker.update(frame))
        segments.append(tracker.segment)
    assert tracker.coverage == 1.0 and segments == [0] * 10 + [1] * 10
    separate = track(place(other_clip[:10], 400, 500, 100, 130, 0.9))
    assert distance(separate.landmarks, np.stack(landmarks[10:])) < 0.02


def test_scene_cut_to_nothing_loses_the_face(clip):
    empty = np.broadcast_to(np.linspace(0, 255, 360, dtype=np.uint8)[:, None], (10, 288, 360, 3))
    tracked = track([*clip[:10], *empty])
    assert tracked.detected.tolist() == [True] * 10 + [False] * 10


def test_black_frames_are_a_gap(clip, reference):
    frames = clip.copy()
    frames[10:15] = 0
    tracked = track(frames)
    assert np.flatnonzero(~tracked.detected).tolist() == list(range(10, 15))
    assert tracked.coverage == pytest.approx(25 / 30)
    assert distance(reference[tracked.detected], tracked.landmarks[tracked.detected]) < 0.03


def test_tracker_starts_again_after_reset(clip):
    tracker = FaceTracker()
    tracker.update(clip[0])
    tracker.reset()
    tracker.update(clip[1])
    assert tracker.frames == 1 and tracker.segment == 0


# --- landmarks on some frames only -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def talking(talking_video):
    with VideoReader(talking_video) as reader:
        return np.stack(list(reader))


def follow(frames, landmark_interval=3):
    """Landmarks and segment of each frame, and how often landmarks were placed."""
    tracker, placed = FaceTracker(TrackingSettings(landmark_interval=landmark_interval)), []
    place_landmarks = tracker._finder.place_landmarks
    tracker._finder.place_landmarks = lambda *arguments: placed.append(1) or place_landmarks(*arguments)
    found, segments = [], []
    for frame, (same, landmarks) in zip(frames, tracker.follow(iter(frames)), strict=True):
        assert same is frame or np.array_equal(same, frame)
        found.append(landmarks)
        segments.append(tracker.segment)
    assert tracker.frames == len(frames)
    return found, segments, len(placed)


# Pixels of a region of 72. OpenCV 4 rounds coordinates to 1/32 of a pixel where it turns a picture.
LITTLE = 1.5 if int(cv2.__version__.partition(".")[0]) >= 5 else 2.0


def corner_error(first, second):
    """The largest distance, in pixels of a region of 72, by which a corner of the mouth region lies elsewhere."""
    corners = np.array([-0.5 + 0.2j, 0.5 + 0.2j, -0.5 + 0.9j, 0.5 + 0.9j])
    errors = []
    for one, other in zip(first, second, strict=True):
        (scale, center, _), (other_scale, other_center, _) = align_face(one), align_face(other)
        errors.append(67 * np.abs(center + scale * corners - other_center - other_scale * corners).max() / abs(scale))
    return max(errors)


def crop_error(frames, first, second):
    """The largest distance, in pixels of a region of 72, by which a corner of what is cut lies elsewhere."""
    corners = np.array([[0, 0, 1], [71, 0, 1], [0, 47, 1], [71, 47, 1]])
    (one, width), (other, _) = (cut_places(frames, landmarks) for landmarks in (first, second))
    return float(np.linalg.norm((one - other) @ corners.T, axis=1).max() / width)


def cut_places(frames, landmarks):
    """From pixels of the region to those of the frame, for each frame, and how many the first has for one pixel."""
    cutter, places = RegionCutter(48, 72, max_gap=8), []
    smoothed = cutter._smoothed
    cutter._smoothed = lambda position: places.append(smoothed(position)) or places[-1]
    for frame, each in zip(frames, landmarks, strict=True):
        list(cutter.push(frame, each, 0))
    list(cutter.finish())
    matrices = np.stack([cutter._matrix(*place) for place in places])
    return matrices, np.linalg.norm(matrices[0, :, 0])


def test_with_an_interval_of_one_every_frame_has_its_own_landmarks(talking):
    found, _, placed = follow(talking, landmark_interval=1)
    np.testing.assert_array_equal(found, track(talking).landmarks)
    assert placed >= len(talking)


def test_a_face_that_hardly_moves_needs_fewer_landmarks(talking):
    every = follow(talking, landmark_interval=1)[0]
    found, segments, placed = follow(talking)
    assert placed < 0.5 * len(talking) and set(segments) == {0}
    assert crop_error(talking, every, found) < 1


def test_a_look_at_the_whole_picture_leaves_landmarks_apart(talking):
    """Every 25 frames the tracker looks for other faces, on one of the frames that get landmarks anyway."""
    still = np.stack([talking[0]] * len(talking))
    assert follow(still)[2] <= len(still) / 3 + 3


def shifted(frames, offsets):
    return np.stack([np.roll(frame, shift, axis=1) for frame, shift in zip(frames, offsets, strict=False)])


def test_a_face_that_moves_evenly_is_met_where_it_is(talking):
    """It rests for a second, then moves by 3 pixels of the region in each frame, then jumps to another place."""
    frames = shifted(talking, [*[0] * 25, *range(0, 60, 3), *[60] * 4, *[0] * 11])
    every, found = follow(frames, landmark_interval=1), follow(frames)
    assert corner_error(every[0], found[0]) < LITTLE and found[1] == every[1]
    evenly = slice(28, 44)
    assert crop_error(frames[evenly], every[0][evenly], found[0][evenly]) < 1


def test_a_face_that_nods_has_landmarks_wherever_it_turns(talking):
    """It rests for a second, then goes to and fro three times a second, by 12 pixels of the region."""
    frames = shifted(talking, [*[0] * 25, *[0, 3, 6, 9, 12, 9, 6, 3] * 6, 0, 0])
    every, found = follow(frames, landmark_interval=1), follow(frames, landmark_interval=4)
    assert crop_error(frames, every[0], found[0]) < 1


def test_a_face_that_goes_is_lost_on_the_same_frame(talking):
    frames = [*talking[:20], *np.full_like(talking[:7], 128), *talking[20:31]]
    every, found = follow(frames, landmark_interval=1), follow(frames)
    assert [each is None for each in found[0]] == [each is None for each in every[0]] and None in found[0][20:27]
