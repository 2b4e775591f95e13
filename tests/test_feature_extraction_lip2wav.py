import itertools
import json
import pickle
import shutil
import tracemalloc

import numpy as np
import pytest
import torch

from lip2wav_hf import feature_extraction_lip2wav as extraction
from lip2wav_hf.face_tracking import (
    MEAN_FACE,
    MESH,
    MODEL_FOLDER,
    NUM_LANDMARKS,
    STABLE_POINTS,
    FaceTracker,
    FaceTrackingError,
)
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor, RegionCutter, hold_nearest
from lip2wav_hf.video import VideoError, VideoReader


pytestmark = pytest.mark.usefixtures("faces_anew")

BOX = (10, 20, 82, 68)  # 72 x 48 pixels: the size of the mouth region


@pytest.fixture
def extractor():
    return Lip2WavFeatureExtractor()


def noise_video(frames=5, height=90, width=120, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def face_landmarks(frames, scale=60.0, angle=0.0, center=(120.0, 90.0)):
    """A face whose stable points are the mean face, with the mouth at (0, 0.65) on it."""
    points = np.zeros(NUM_LANDMARKS, complex)
    mean_face = MEAN_FACE @ (1.0, 1j)
    points[list(STABLE_POINTS)] = mean_face - mean_face.mean()
    points[[61, 291]] = -0.3 + 0.65j, 0.3 + 0.65j
    points = points * scale * np.exp(1j * angle) + complex(*center)
    return np.tile(np.stack([points.real, points.imag], axis=-1).astype(np.float32), (frames, 1, 1))


def gradient_video(frames, height=180, width=240):
    """Gray values that rise smoothly: half a gray level a pixel to the right, a quarter a pixel down."""
    rows, columns = np.mgrid[:height, :width]
    picture = (columns / 2 + rows / 4).astype(np.uint8)
    return np.broadcast_to(picture[None, ..., None], (frames, height, width, 3)).copy()


@pytest.fixture(scope="module")
def clip_path(grid_dir):
    clips = sorted(grid_dir.glob("video/s1/*.mkv"))
    if not clips:
        pytest.skip(f"no real data: {grid_dir} has no clip of speaker s1")
    return clips[0]


@pytest.fixture(scope="module")
def clip(clip_path):
    with VideoReader(clip_path) as reader:
        return np.stack(list(reader))


@pytest.fixture(scope="module")
def extracted(clip_path):
    return Lip2WavFeatureExtractor().extract(clip_path)


# Settings


@pytest.fixture
def no_remote_code(monkeypatch):
    """Save settings only: the package registers the class as remote code when it is imported."""
    monkeypatch.setattr(Lip2WavFeatureExtractor, "_auto_class", None)


def test_settings_survive_saving(no_remote_code, tmp_path):
    extractor = Lip2WavFeatureExtractor(frame_rate=30.0, roi_height=96, roi_width=128, crop_height=80, max_gap=3)
    extractor.save_pretrained(tmp_path)
    loaded = Lip2WavFeatureExtractor.from_pretrained(tmp_path)
    assert loaded.to_dict() == extractor.to_dict()
    assert json.loads((tmp_path / "preprocessor_config.json").read_text())["roi_width"] == 128
    assert [path.name for path in tmp_path.iterdir()] == ["preprocessor_config.json"]


def test_settings_survive_pickling(extractor):
    assert pickle.loads(pickle.dumps(extractor)).to_dict() == extractor.to_dict()


def test_using_it_leaves_nothing_on_it(extractor):
    before = extractor.to_json_string()
    extractor(noise_video(), fps=25, mouth_boxes=BOX)
    with pytest.raises(FaceTrackingError):
        extractor(noise_video(), fps=25)
    assert extractor.to_json_string() == before


def test_remote_code_takes_its_networks_along(no_remote_code, tmp_path):
    Lip2WavFeatureExtractor.register_for_auto_class()
    Lip2WavFeatureExtractor().save_pretrained(tmp_path)
    assert (tmp_path / "face_tracking.py").is_file() and (tmp_path / "video.py").is_file()
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    auto_class = "feature_extraction_lip2wav.Lip2WavFeatureExtractor"
    assert settings["auto_map"] == {"AutoFeatureExtractor": auto_class}
    assert (tmp_path / "face_models" / "LICENSE").is_file()


@pytest.fixture
def travelled(monkeypatch, tmp_path):
    """As remote code of the Hub: the face networks do not lie beside the module."""
    monkeypatch.setattr(extraction, "MODEL_FOLDER", tmp_path / "nowhere")


def repository(folder, mesh=None):
    """A folder with settings and face networks, of which the mesh may have another content."""
    shutil.copytree(MODEL_FOLDER, folder / "face_models")
    Lip2WavFeatureExtractor().save_pretrained(folder)
    if mesh is not None:
        (folder / "face_models" / MESH).write_bytes(mesh)
    return folder


def test_each_extractor_uses_the_networks_of_its_own_repository(no_remote_code, travelled, tmp_path):
    """Whichever was loaded first, in this process and in a worker that gets a copy."""
    good = Lip2WavFeatureExtractor.from_pretrained(repository(tmp_path / "good"))
    damaged = Lip2WavFeatureExtractor.from_pretrained(repository(tmp_path / "damaged", mesh=b"no network"))
    for extractor in (good, pickle.loads(pickle.dumps(good))):
        # What somebody at the command line can do comes first.
        with pytest.raises(
            FaceTrackingError, match="no face found .* cut the pictures down .* in Python, `mouth_boxes`"
        ):
            extractor.extract(noise_video(), fps=25)
    for extractor in (damaged, pickle.loads(pickle.dumps(damaged))):
        with pytest.raises(FaceTrackingError, match=f"{tmp_path}/damaged/face_models/{MESH} is damaged"):
            extractor.extract(noise_video(), fps=25)
    assert "nowhere" not in good.to_json_string() and good.to_dict() == damaged.to_dict()


def test_saving_takes_the_networks_of_the_own_repository_along(travelled, tmp_path):
    extractor = Lip2WavFeatureExtractor.from_pretrained(repository(tmp_path / "mine", mesh=b"mine"))
    extractor.save_pretrained(tmp_path / "copy")
    assert (tmp_path / "copy" / "face_models" / MESH).read_bytes() == b"mine"
    extractor.save_pretrained(tmp_path / "mine")  # onto itself
    assert (tmp_path / "mine" / "face_models" / MESH).read_bytes() == b"mine"


def test_missing_networks_do_not_matter_without_tracking(no_remote_code, travelled, tmp_path):
    Lip2WavFeatureExtractor().save_pretrained(tmp_path)
    loaded = Lip2WavFeatureExtractor.from_pretrained(tmp_path)
    assert len(loaded.extract(noise_video(), fps=25, mouth_boxes=BOX).regions) == 5
    with pytest.raises(FaceTrackingError, match="is missing"):
        loaded.extract(noise_video(), fps=25)
    with pytest.raises(OSError):
        loaded.find_face_networks(tmp_path)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"roi_height": 0}, "`roi_height` must be an integer of at least 1"),
        ({"roi_width": 72.0}, "`roi_width` must be an integer"),
        ({"crop_width": True}, "`crop_width` must be an integer"),
        ({"normalization_window": 0}, "`normalization_window`"),
        ({"max_gap": -1}, "`max_gap` must be an integer of at least 0"),
        ({"detection_interval": 0}, "`detection_interval`"),
        ({"frame_rate": 0.0}, "`frame_rate` must be above 0"),
        ({"frame_rate": float("nan")}, "`frame_rate` must be above 0"),
        ({"frame_rate": 1e308}, "at most 1000 frames per second"),
        ({"frame_rate": "25"}, "`frame_rate` must be a number"),
        ({"mesh_threshold": 1.5}, "`mesh_threshold` must be a score"),
        ({"crop_height": 49}, "must fit into the mouth region"),
        ({"crop_width": 73}, "must fit into the mouth region"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Lip2WavFeatureExtractor(**settings)


# Normalisation


def test_a_short_clip_is_standardised_as_a_whole(extractor):
    crops = np.random.default_rng(0).integers(0, 256, (20, 8, 9), dtype=np.uint8)
    normalized = extractor.normalize(crops)
    assert normalized.dtype == np.float32 and normalized.shape == crops.shape
    expected = (crops - crops.mean()) / crops.std()
    np.testing.assert_allclose(normalized, expected, atol=1e-5)
    np.testing.assert_allclose(extractor.normalize(crops.astype(np.float32) / 255), expected, atol=1e-3)


def test_a_long_clip_is_standardised_by_full_windows():
    extractor = Lip2WavFeatureExtractor(normalization_window=10)
    crops = (
        np.random.default_rng(0).integers(0, 200, (25, 6, 7), dtype=np.uint8)
        + np.arange(25, dtype=np.uint8)[:, None, None]
    )
    normalized = extractor.normalize(crops)
    for frame, start in ((0, 0), (4, 0), (5, 0), (6, 1), (12, 7), (20, 15), (24, 15)):
        window = crops[start : start + 10]
        np.testing.assert_allclose(normalized[frame], (crops[frame] - window.mean()) / window.std(), atol=1e-5)


def test_a_clip_of_the_window_length_is_a_short_one():
    crops = np.random.default_rng(0).integers(0, 256, (10, 6, 7), dtype=np.uint8)
    whole = Lip2WavFeatureExtractor(normalization_window=10).normalize(crops)
    np.testing.assert_array_equal(whole, Lip2WavFeatureExtractor(normalization_window=11).normalize(crops))


def test_brightness_and_contrast_do_not_matter(extractor):
    crops = np.random.default_rng(0).random((12, 6, 7))
    np.testing.assert_allclose(extractor.normalize(crops), extractor.normalize(3 * crops + 20), atol=1e-3)


def test_a_blank_clip_becomes_zero(extractor):
    for value in (0, 77, 255):
        assert not extractor.normalize(np.full((300, 4, 5), value, np.uint8)).any()


@pytest.mark.parametrize("shape", [(0, 4, 5), (4, 5), (2, 4, 5, 3)])
def test_crops_of_a_wrong_shape(extractor, shape):
    with pytest.raises(ValueError, match="frames, height, width"):
        extractor.normalize(np.zeros(shape))


# Boxes


def test_a_box_of_the_region_size_is_cut_out_as_it_is(extractor):
    video = gradient_video(3)
    result = extractor.extract(video, fps=25, mouth_boxes=BOX)
    assert result.regions.shape == (3, 48, 72) and result.regions.dtype == np.uint8
    assert result.face_coverage == 1.0
    difference = result.regions.astype(int) - video[:, 20:68, 10:82, 0]
    assert np.abs(difference).max() <= 1


def test_boxes_of_each_frame_move_the_region(extractor):
    video = gradient_video(3)
    boxes = np.array([BOX, np.add(BOX, 20), np.add(BOX, (-8, -10, 8, 10))], dtype=float)
    regions = extractor.extract(video, fps=25, mouth_boxes=boxes).regions.astype(int)
    assert np.abs(regions[1] - video[1, 40:88, 30:102, 0]).max() <= 1
    assert regions[2, 24, 36] == pytest.approx(video[2, 44, 46, 0], abs=1)


def test_large_boxes_are_averaged(extractor):
    checkers = np.indices((960, 1440)).sum(axis=0) % 2 * 255
    video = np.broadcast_to(checkers.astype(np.uint8)[None, ..., None], (1, 960, 1440, 3))
    regions = extractor.extract(video, fps=25, mouth_boxes=(0, 0, 1440, 960)).regions
    assert np.abs(regions.astype(int) - 127).max() <= 2


def test_boxes_may_reach_beyond_the_picture(extractor):
    regions = extractor.extract(gradient_video(1), fps=25, mouth_boxes=(-30, 150, 60, 210)).regions
    assert (regions[0, :, 0] == regions[0, :, 10]).all()


@pytest.mark.parametrize(
    "boxes, message",
    [
        ((1, 2, 3), r"shape \(frames, 4\) or \(4,\)"),
        (np.zeros((2, 5, 4)), r"shape \(frames, 4\) or \(4,\)"),
        (np.zeros((0, 4)), r"shape \(frames, 4\) or \(4,\)"),
        ((10, 10, 10, 20), "x0 < x1"),
        ((30, 10, 10, 20), "x0 < x1"),
        ((1, 2, np.nan, 4), "NaN"),
        (np.nan, "NaN"),
        ((1, 2, "x", 4), "numbers"),
        ((500, 0, 600, 50), "outside the 120 x 90 pixels"),
        (np.tile(BOX, (4, 1)), "given for 4 frames, but .* more than that"),
        (np.tile(BOX, (6, 1)), "given for 6 frames, but .* 5"),
        ([BOX, (1, 2)], "numbers"),
    ],
)
def test_bad_boxes(extractor, boxes, message):
    with pytest.raises(ValueError, match=message):
        extractor.extract(noise_video(), fps=25, mouth_boxes=boxes)


# Landmarks


@pytest.mark.parametrize("angle", [0.0, 0.5, np.pi / 2])
@pytest.mark.parametrize("scale", [30.0, 67.0, 140.0])
def test_landmarks_place_the_region(extractor, scale, angle):
    """The pixel of the region that the mouth belongs to has the gray value of the mouth's place in the picture."""
    video = gradient_video(4, 400, 480)
    landmarks = face_landmarks(4, scale, angle, (240.0, 200.0))
    result = extractor.extract(video, fps=25, landmarks=landmarks)
    assert result.face_coverage == 1.0 and result.regions.shape == (4, 48, 72)
    mouth = landmarks[0, [61, 291]].mean(axis=0)
    gray = mouth[0] / 2 + mouth[1] / 4 - 0.4  # truncation takes 3/8 on average
    near = result.regions[:, 16:18, 35:37].mean()
    assert near == pytest.approx(gray, abs=1.5)
    step = scale * extraction.ROI_WIDTH_ON_FACE / 72  # pixels of the picture per pixel of the region
    across = (result.regions[0, 17, 66].astype(float) - result.regions[0, 17, 6]) / 60
    assert across == pytest.approx(step * (np.cos(angle) / 2 + np.sin(angle) / 4), abs=0.05)


def test_trembling_landmarks_are_smoothed(extractor):
    video = gradient_video(40)
    steady = extractor.extract(video, fps=25, landmarks=face_landmarks(40)).regions.astype(float)
    landmarks = face_landmarks(40) + np.random.default_rng(0).normal(0, 2.0, (40, 1, 2)).astype(np.float32)
    trembling = extractor.extract(video, fps=25, landmarks=landmarks).regions.astype(float)
    error = np.abs(trembling - steady).mean(axis=(1, 2))
    assert error.mean() < 0.7  # a tremble of 2 pixels is about one gray level


def test_steady_movement_is_followed_without_delay(extractor):
    movement = np.arange(40)[:, None] * (2.0, 1.0)
    landmarks = (face_landmarks(40, center=(90.0, 70.0)) + movement[:, None]).astype(np.float32)
    frames = np.stack([np.roll(gradient_video(1, 260, 320)[0], (k, 2 * k), axis=(0, 1)) for k in range(40)])
    regions = extractor.extract(frames, fps=25, landmarks=landmarks).regions.astype(int)
    assert np.abs(regions - regions[20]).max() <= 2


def test_regions_do_not_depend_on_how_much_follows(extractor):
    """What is emitted early, from a look-ahead, equals what is emitted with the whole clip known."""
    video = noise_video(90, 180, 240)
    landmarks = face_landmarks(90) + np.random.default_rng(1).normal(0, 1.0, (90, 1, 2)).astype(np.float32)
    whole = extractor.extract(video, fps=25, landmarks=landmarks).regions
    part = extractor.extract(video[:60], fps=25, landmarks=landmarks[:60]).regions
    np.testing.assert_array_equal(whole[: 60 - extraction.SMOOTHING_RADIUS], part[: 60 - extraction.SMOOTHING_RADIUS])


def test_only_a_few_frames_wait():
    cutter = RegionCutter(48, 72, max_gap=8)
    frame, landmarks = noise_video(1, 180, 240)[0], face_landmarks(1)[0]

    def push(count):
        return sum(len(list(cutter.push(frame, landmarks, 0))) for _ in range(count))

    tracemalloc.start()
    assert push(80) == 80 - extraction.SMOOTHING_RADIUS
    waiting = tracemalloc.get_traced_memory()[0]
    assert push(120) == 120
    grown = tracemalloc.get_traced_memory()[0] - waiting
    tracemalloc.stop()
    assert waiting < extraction.SMOOTHING_RADIUS * 180 * 240  # small gray patches, not frames
    assert grown < 10_000
    assert len(list(cutter.finish())) == extraction.SMOOTHING_RADIUS


def regions_with_gap(missing, frames=60, blank=False, segment=lambda frame: 0):
    """Regions (or None) of a bright picture that gets brighter, when the face is missing in some frames."""
    cutter = RegionCutter(48, 72, max_gap=5)
    texture = noise_video(1, 180, 240)[0] // 8
    regions = []
    for frame in range(frames):
        picture = texture + np.uint8(2 * frame)
        if blank and frame in missing:
            picture = np.zeros_like(picture)
        regions += cutter.push(picture, None if frame in missing else face_landmarks(1)[0], segment(frame))
    return [*regions, *cutter.finish()]


def test_short_gaps_are_cut_at_the_interpolated_place():
    regions = regions_with_gap(range(30, 35))
    levels = np.array([region.mean() for region in regions])
    assert np.diff(levels) == pytest.approx(2.0, abs=0.1)


def test_the_last_frames_keep_the_last_place():
    assert all(region is not None for region in regions_with_gap(range(55, 60)))


@pytest.mark.parametrize("missing", [range(30, 36), range(54, 60), range(3)])
def test_long_gaps_and_the_first_frames_are_left_open(missing):
    regions = regions_with_gap(missing)
    assert [frame for frame, region in enumerate(regions) if region is None] == list(missing)
    filled = np.stack(list(hold_nearest(regions)))
    assert filled.shape == (60, 48, 72)
    for frame in missing:
        nearest = min(set(range(60)) - set(missing), key=lambda known: (abs(known - frame), -known))
        np.testing.assert_array_equal(filled[frame], regions[nearest])


def test_blank_frames_and_cuts_are_left_open():
    for regions in (
        regions_with_gap(range(30, 34), blank=True),
        regions_with_gap(range(30, 34), segment=lambda frame: int(frame >= 34)),
    ):
        assert [frame for frame, region in enumerate(regions) if region is None] == [30, 31, 32, 33]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda points: points[:4], "given for 4 frames, but .* more than that"),
        (lambda points: np.concatenate([points, points]), "given for 10 frames, but .* 5"),
        (lambda points: points[:, :400], r"shape \(frames, 468, 2\)"),
        (lambda points: np.pad(points, ((0, 0), (0, 0), (0, 1))), r"shape \(frames, 468, 2\)"),
        (lambda points: points[:0], r"shape \(frames, 468, 2\)"),
        (lambda points: points.astype(str), "numbers"),
        (lambda points: np.where(np.arange(5)[:, None, None] == 3, np.nan, points), "NaN .*frame 3"),
        (lambda points: points * (np.arange(5)[:, None, None] != 3), "all one point in a frame"),
    ],
)
def test_bad_landmarks(extractor, change, message):
    with pytest.raises(ValueError, match=message):
        extractor.extract(noise_video(), fps=25, landmarks=change(face_landmarks(5)))


def test_landmarks_or_boxes(extractor):
    with pytest.raises(ValueError, match="not both"):
        extractor.extract(noise_video(), fps=25, landmarks=face_landmarks(5), mouth_boxes=BOX)


# Batches


def test_ragged_clips_are_padded_at_the_end(extractor):
    videos = [noise_video(5), noise_video(9, seed=1)]
    batch = extractor(videos, fps=25, mouth_boxes=BOX, return_crops=True, return_tensors="pt")
    values, mask = batch["pixel_values_videos"], batch["frame_mask"]
    assert isinstance(values, torch.Tensor) and values.shape == (2, 9, 1, 40, 64) and values.dtype == torch.float32
    assert mask.dtype == torch.int64 and mask.tolist() == [[1] * 5 + [0] * 4, [1] * 9]
    assert not values[0, 5:].any()
    assert [clip.shape for clip in batch["crops"]] == [(5, 40, 64), (9, 40, 64)]
    assert batch["face_coverage"] == [1.0, 1.0]
    for row, (clip, video) in enumerate(zip(batch["crops"], videos, strict=True)):
        regions = extractor.extract(video, fps=25, mouth_boxes=BOX).regions
        assert regions.shape[1:] == (48, 72)
        np.testing.assert_array_equal(clip, regions[:, 4:44, 4:68])
        np.testing.assert_array_equal(values[row, : len(clip), 0], extractor.normalize(clip))
    assert set(extractor.model_input_names) <= set(batch)
    assert "crops" not in extractor(videos, fps=25, mouth_boxes=BOX)


def test_a_single_video_is_a_batch_of_one(extractor):
    video = noise_video()
    single = extractor(video, fps=25, mouth_boxes=BOX)["pixel_values_videos"]
    assert isinstance(single, np.ndarray) and single.shape == (1, 5, 1, 40, 64)
    for videos in ([video], (video,)):
        np.testing.assert_array_equal(extractor(videos, fps=25, mouth_boxes=BOX)["pixel_values_videos"], single)


def test_batching_does_not_change_a_clip(extractor):
    videos = [noise_video(4), noise_video(7, seed=1)]
    batch = extractor(videos, fps=25, mouth_boxes=BOX)
    for row, video in enumerate(videos):
        alone = extractor(video, fps=25, mouth_boxes=BOX)["pixel_values_videos"][0]
        np.testing.assert_array_equal(batch["pixel_values_videos"][row, : len(alone)], alone)


def test_one_entry_per_video(extractor):
    videos = [noise_video(5, 180, 240), noise_video(10, 180, 240), noise_video(6, 180, 240)]
    batch = extractor(
        videos,
        fps=[25, 50, 25.0],
        landmarks=[None, face_landmarks(5), None],
        mouth_boxes=[BOX, None, np.tile(BOX, (6, 1))],
    )
    assert batch["frame_mask"].sum(axis=1).tolist() == [5, 5, 6]


def test_four_numbers_are_one_box_for_all(extractor):
    videos = [noise_video(2)] * 4
    expected = extractor(videos, fps=25, mouth_boxes=np.array(BOX))["pixel_values_videos"]
    np.testing.assert_array_equal(extractor(videos, fps=25, mouth_boxes=list(BOX))["pixel_values_videos"], expected)


def test_other_sizes():
    extractor = Lip2WavFeatureExtractor(roi_height=96, roi_width=128, crop_height=96, crop_width=128)
    batch = extractor(noise_video(3, 180, 240), fps=25, landmarks=face_landmarks(3))
    assert batch["pixel_values_videos"].shape == (1, 3, 1, 96, 128)


def test_frames_are_resampled(extractor):
    assert len(extractor.extract(noise_video(10), fps=50, mouth_boxes=BOX).regions) == 5


@pytest.mark.parametrize(
    "videos, arguments, message",
    [
        ([], {}, "list of videos is empty"),
        ((), {}, "list of videos is empty"),
        ([np.zeros((90, 120, 3), np.uint8)] * 3, {"fps": 25}, "np.stack"),
        ([None], {}, "not NoneType"),
        (7, {}, "not int"),
        ([noise_video()] * 2, {"fps": [25]}, "`fps` is a list of 1 entries for 2 videos"),
        ([noise_video()] * 2, {"fps": 25, "mouth_boxes": [BOX] * 3}, "`mouth_boxes` is a list of 3 entries"),
        ([noise_video()] * 2, {"fps": 25, "landmarks": [None]}, "`landmarks` is a list of 1 entries"),
    ],
)
def test_bad_batches(extractor, videos, arguments, message):
    with pytest.raises(ValueError, match=message):
        extractor(videos, **arguments)


def test_a_missing_file_is_named(extractor, tmp_path):
    with pytest.raises(VideoError, match="nothing.mp4"):
        extractor(str(tmp_path / "nothing.mp4"))


def test_no_face_is_an_error_that_helps(extractor):
    with pytest.raises(FaceTrackingError, match="no face found in any of the 5 frames of .*array.*`mouth_boxes`"):
        extractor.extract(noise_video(), fps=25)


# Real faces


def test_real_clip(extracted, clip_path, clip):
    assert extracted.regions.shape == (len(clip), 48, 72) and extracted.regions.dtype == np.uint8
    assert extracted.face_coverage == 1.0
    assert clip_path.name in extracted.name
    steps = np.abs(np.diff(extracted.regions.astype(float), axis=0)).mean(axis=(1, 2))
    assert steps.mean() < 4  # steady: gray levels from frame to frame


def test_own_landmarks_give_the_same_regions(extractor, extracted, clip):
    tracker = FaceTracker()
    landmarks = np.stack([found for _, found in tracker.follow(clip)])
    again = extractor.extract(clip, fps=25, landmarks=landmarks)
    np.testing.assert_array_equal(again.regions, extracted.regions)


@pytest.mark.parametrize("change", ["mirrored", "larger", "gray"])
def test_regions_hardly_depend_on_the_camera(extractor, extracted, clip, change):
    video, expected = clip[:30], extracted.regions[:30]
    if change == "mirrored":
        video, expected = np.ascontiguousarray(video[:, :, ::-1]), expected[:, :, ::-1]
    elif change == "larger":
        video = video.repeat(3, axis=1).repeat(3, axis=2)
    else:
        weights = np.array([0.299, 0.587, 0.114])
        video = np.round(video @ weights).astype(np.uint8)
    regions = extractor.extract(video, fps=25).regions
    assert np.abs(regions.astype(int) - expected).mean() < 4


def test_partial_coverage_is_reported(extractor, extracted, clip):
    video = clip[:60].copy()
    video[20:40] = 0
    result = extractor.extract(video, fps=25)
    assert result.face_coverage == pytest.approx(40 / 60)
    assert result.regions.mean(axis=(1, 2)).min() > 0.8 * extracted.regions.mean()  # held, not black


def test_original_mpeg_clips(extractor, grid_dir):
    clips = sorted(grid_dir.glob("original/*/*.mpg"))
    if not clips:
        pytest.skip(f"no real data: {grid_dir} has no original MPEG clips")
    batch = extractor([str(clips[0]), clips[-1].read_bytes()])
    assert batch["face_coverage"] == [1.0, 1.0]
    assert batch["frame_mask"].sum(axis=1).min() > 70


# --------------------------------------------------------------------------------------------------------------------
# one by one
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 2, 25, 250])
@pytest.mark.parametrize("frames", [1, 24, 25, 26, 130, 376, 700])
def test_crops_one_by_one_are_normalised_to_the_same_numbers(window, frames):
    extractor = Lip2WavFeatureExtractor(normalization_window=window)
    crops = np.random.default_rng(0).integers(0, 255, (frames, 4, 6), np.uint8)
    blocks = list(extractor.normalize_stream(iter(crops)))
    np.testing.assert_array_equal(np.concatenate(blocks), extractor.normalize(crops))
    assert max(map(len, blocks)) <= window + extraction.NORMALIZATION_BLOCK


def test_regions_come_while_the_video_is_read():
    """And the video is closed with the stream."""
    extractor, video = Lip2WavFeatureExtractor(), noise_video(200)
    expected = extractor.extract(video, fps=25, landmarks=face_landmarks(200)).regions
    stream = extractor.stream(video, fps=25, landmarks=face_landmarks(200))
    first = next(iter(stream))
    np.testing.assert_array_equal(first, expected[0])
    rest = extractor.extract(stream).regions
    np.testing.assert_array_equal(rest, expected[1:])
    assert list(stream) == []


def test_a_gap_is_held_without_being_kept():
    region = np.zeros((48, 72), np.uint8)
    gap = itertools.chain([region], itertools.repeat(None, 1_000_000), [region + 1])
    held = hold_nearest(gap)
    assert sum(1 for each in itertools.islice(held, 500_001) if each[0, 0] == 0) == 500_001
    assert sum(1 for each in held if each[0, 0] == 1) == 500_001
