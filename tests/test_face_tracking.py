import subprocess
import sys

import cv2
import numpy as np
import pytest

from lip2wav_hf import face_tracking
from lip2wav_hf.face_tracking import (
    MEAN_FACE,
    NUM_LANDMARKS,
    STABLE_POINTS,
    FaceRegion,
    FaceTracker,
    FaceTrackingError,
    align_face,
    detect_faces,
    face_mesh,
    is_jump,
    region_of_landmarks,
    search_faces,
)
from lip2wav_hf.video import VideoReader


SPEAKERS = ("s1", "s2", "s3", "s4", "s11", "s26", "s30", "s32", "s33", "s34")


def read_clip(grid_dir, speaker, frames):
    clips = sorted(grid_dir.glob(f"video/{speaker}/*.mkv"))
    if not clips:
        pytest.skip(f"no real data: {grid_dir} has no clip of speaker {speaker}")
    with VideoReader(clips[0]) as reader:
        return np.stack([frame for _, frame in zip(range(frames), reader)])


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


def track(frames, **kwargs):
    tracker = FaceTracker(**kwargs)
    for frame in frames:
        tracker.update(frame)
    return tracker.finish()


def place(frames, height, width, top, left, scale=1.0):
    """The clip, scaled, on a gray canvas."""
    canvas = np.full((len(frames), height, width, 3), 90, np.uint8)
    for target, frame in zip(canvas, frames):
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


def synthetic_track(detected, movement=1.0):
    """A tracker that has seen a face move by `movement` pixels a frame."""
    tracker = FaceTracker(max_gap=3, smoothing=0.0)
    for frame, found in enumerate(detected):
        landmarks = np.full((NUM_LANDMARKS, 2), movement * frame, np.float32)
        tracker._landmarks.append(landmarks if found else None)
        tracker._segments.append(0)
    return tracker.finish()


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


def test_jump_is_told_from_movement():
    before = mean_face_landmarks()
    assert not is_jump(before, mean_face_landmarks(scale=52.0, center=(105.0, 80.0)))
    assert is_jump(before, mean_face_landmarks(center=(160.0, 80.0)))
    assert is_jump(before, mean_face_landmarks(scale=80.0))


# The track: smoothing and gaps


def test_short_gaps_are_interpolated_and_long_ones_held():
    found = [False, True, True, False, False, True, True, False, False, False, False, False, True, False]
    track = synthetic_track(found)
    expected = [1, 1, 2, 3, 4, 5, 6, 6, 6, 9, 12, 12, 12, 12]
    expected[9] = track.landmarks[9, 0, 0]  # the middle of the gap may hold either side
    assert expected[9] in (6, 12)
    assert track.landmarks[:, 0, 0] == pytest.approx(np.array(expected, np.float32))
    assert track.detected.tolist() == found
    assert track.coverage == pytest.approx(5 / 14) and isinstance(track.coverage, float)


def test_smoothing_has_no_delay_and_keeps_constants():
    tracker = FaceTracker(smoothing=1.0)
    for frame in range(11):
        tracker._landmarks.append(np.full((NUM_LANDMARKS, 2), 1.0 if frame == 5 else 0.0, np.float32))
        tracker._segments.append(0)
    impulse = tracker.finish().landmarks[:, 0, 0]
    assert impulse.argmax() == 5 and impulse == pytest.approx(impulse[::-1])
    assert impulse.sum() == pytest.approx(1.0, abs=1e-3)


def test_smoothing_in_blocks_changes_nothing(monkeypatch):
    raw = np.random.default_rng(0).normal(size=(23, NUM_LANDMARKS, 2)).astype(np.float32)

    def smooth():
        tracker = FaceTracker(smoothing=1.0)
        for frame, landmarks in enumerate(raw):
            tracker._landmarks.append(None if frame == 9 else landmarks)
            tracker._segments.append(0)
        return tracker.finish().landmarks

    whole = smooth()
    monkeypatch.setattr(face_tracking, "SMOOTHING_BLOCK", 5)
    np.testing.assert_allclose(smooth(), whole, atol=1e-6)


def test_nothing_is_smoothed_across_a_cut():
    tracker = FaceTracker(smoothing=2.0)
    for frame in range(10):
        tracker._landmarks.append(np.full((NUM_LANDMARKS, 2), 0.0 if frame < 5 else 100.0, np.float32))
        tracker._segments.append(0 if frame < 5 else 1)
    landmarks = tracker.finish().landmarks
    assert landmarks[:5] == pytest.approx(0.0) and landmarks[5:] == pytest.approx(100.0)


def test_no_face_in_noise(noise):
    track_of_noise = track(noise)
    assert track_of_noise.landmarks.shape == (6, NUM_LANDMARKS, 2) and np.isnan(track_of_noise.landmarks).all()
    assert track_of_noise.coverage == 0.0 and not track_of_noise.detected.any()


def test_empty_track():
    assert FaceTracker().finish().landmarks.shape == (0, NUM_LANDMARKS, 2)


def test_one_pixel_frames_do_not_break_the_search():
    assert track(np.zeros((2, 1, 1, 3), np.uint8)).coverage == 0.0


# The networks


def test_networks_and_their_licence_are_shipped():
    assert face_tracking.models_available()
    assert "Apache License" in (face_tracking.MODEL_FOLDER / "LICENSE").read_text()
    assert "MediaPipe" in (face_tracking.MODEL_FOLDER / "NOTICE").read_text()


def test_missing_runtime_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(FaceTrackingError, match="pip install ai-edge-litert"):
        face_tracking._Network(face_tracking.MESH)


def test_missing_network_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(face_tracking, "_model_folder", tmp_path)
    assert not face_tracking.models_available()
    with pytest.raises(FaceTrackingError, match="face_landmark.tflite is missing"):
        face_tracking._Network(face_tracking.MESH)


def test_networks_load_once_and_silently():
    code = (
        "import numpy as np\n"
        "from lip2wav_hf import face_tracking as f\n"
        "f.detect_faces(np.zeros((90, 120, 3), np.uint8))\n"
        "assert f._network(f.DETECTOR) is f._network(f.DETECTOR)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""


def test_mesh_scores_noise_low(noise):
    landmarks, score = face_mesh(noise[0], FaceRegion(64 + 48j, 90.0, 0.0))
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


def test_both_networks_see_the_same_face(clip):
    detection = detect_faces(clip[0])[0]
    landmarks, score = face_mesh(clip[0], detection.region)
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


def test_search_finds_a_small_face_in_tiles(clip):
    frame = place(clip[:1], 720, 1280, 300, 900, 0.4)[0]
    assert not any(detection.score > 0.8 for detection in detect_faces(frame))
    found = [detection for stage in search_faces(frame) for detection in stage if detection.score > 0.8]
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
    segments = []
    for frame in frames:
        tracker.update(frame)
        segments.append(tracker.segment)
    tracked = tracker.finish()
    assert tracked.coverage == 1.0 and segments == [0] * 10 + [1] * 10
    separate = track(place(other_clip[:10], 400, 500, 100, 130, 0.9))
    assert distance(separate.landmarks, tracked.landmarks[10:]) < 0.02


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
    assert distance(reference, tracked.landmarks) < 0.03


def test_tracker_starts_anew_after_reset(clip):
    tracker = FaceTracker()
    tracker.update(clip[0])
    tracker.reset()
    tracker.update(clip[1])
    assert len(tracker.finish().landmarks) == 1
