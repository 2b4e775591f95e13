"""Where lips are found in the pictures of clips, and clips with another complexion."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from lip2wav_hf import Lip2WavFeatureExtractor
from lip2wav_hf.corpora.registry import load_split
from lip2wav_hf.training.cache import ClipCacheError, read_cached_clip, write_cached_clip
from lip2wav_hf.training.clips import prepare_clips
from lip2wav_hf.training.lips import change_complexion, find_lips, lips_in_regions, read_lips

from .runs import clips_of
from .test_dataset import quiet_choices


@pytest.fixture
def mouth():
    """Twenty pictures of light skin, dark lips and something black between them; and where the rings are."""
    angles = 2 * np.pi * np.arange(20) / 20
    circle = np.stack([-np.cos(angles), np.sin(angles)], -1)
    rings = np.stack([circle * size + (35.5, 17) for size in ((16, 8), (10, 4))])
    y, x = np.mgrid[:48, :72]
    outer, inner = (((x - 35.5) / wide) ** 2 + ((y - 17) / tall) ** 2 < 1 for wide, tall in ((16, 8), (10, 4)))
    picture = np.where(inner, 40, np.where(outer, 110, 150)).astype(np.uint8)
    return np.repeat(picture[None], 20, 0), np.repeat(rings[None], 20, 0).astype(np.float16)


def test_skin_and_lips_change_and_what_is_between_them_hardly(mouth):
    regions, lips = mouth
    skin, of_lips, between, even = [], [], [], 0
    for seed in range(60):
        changed = change_complexion(regions, lips, np.random.default_rng(seed))
        assert changed.shape == regions.shape and changed.dtype == np.uint8
        assert (changed == changed[0]).all()  # nothing flickers
        skin.append(changed[0, 44, 4:68].mean() / 150)
        of_lips.append(changed[0, 23, 35] / changed[0, 44, 35] * 150 / 110)
        between.append(changed[0, 17, 35] / 40)
        even += changed[0, 44].std() < 0.5
    assert min(skin) < 0.4 and max(skin) > 1 and np.median(skin) < 0.8
    assert min(of_lips) < 0.85 and max(of_lips) > 1.4  # lips lighter than the skin too
    assert min(between) > 0.3 and np.median(between) > 1.05 * np.median(skin)
    assert 15 < even < 45  # half of them have no beard


def test_a_clip_without_a_face_stays(mouth):
    regions, _ = mouth
    nothing = lips_in_regions([None] * 20, 48, 72)
    assert nothing.shape == (0, 2, 20, 2)
    assert np.array_equal(change_complexion(regions, nothing, np.random.default_rng(0)), regions)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "one.lips").write_bytes(b"damaged")
    with pytest.raises(ClipCacheError, match=r"one\.lips: damaged .* Start the training again"):
        read_lips(tmp_path / "one.lips")


def test_lips_of_a_real_clip_are_found_once_and_where_they_are(grid_dir, tmp_path):
    extractor = Lip2WavFeatureExtractor()
    clips = load_split(grid_dir, "validation")[:1]
    prepared = prepare_clips(clips, extractor, tmp_path, 16000, 1, False)
    (path,) = find_lips(clips, prepared.files, extractor, 1, False).values()
    regions, lips = read_cached_clip(prepared.files[clips[0].key]).regions, read_lips(path)
    assert len(lips) >= len(regions) and lips.shape[1:] == (2, 20, 2)
    outer, inner = (lips[: len(regions), ring].astype(float) for ring in (0, 1))
    corners = outer[:, [0, 10]].mean((0, 1))
    assert np.abs(corners - (35.5, 16.5)).max() < 0.5  # where the regions have them
    assert (np.ptp(outer, 1) > np.ptp(inner, 1)).all()
    assert 30 < np.ptp(outer[:, :, 0], 1).mean() < 50
    darkest = regions[:, 6:30, 36].argmin(1) + 6  # the line between the lips
    inside = (darkest >= outer[:, :, 1].min(1)) & (darkest <= outer[:, :, 1].max(1))
    assert inside.mean() > 0.9
    written = path.stat().st_mtime_ns
    assert find_lips(clips, prepared.files, extractor, 1, False)[clips[0].key].stat().st_mtime_ns == written
    path.write_bytes(path.read_bytes()[:100])
    find_lips(clips, prepared.files, extractor, 1, False)
    assert np.array_equal(read_lips(path), lips)


def test_all_parts_of_an_example_have_one_complexion(cached_clip, mouth):
    """The words of two clips that look alike, one after the other."""
    (clip,), (path,), (regions, lips) = cached_clip.clips, cached_clip.files.values(), mouth
    write_cached_clip(path, replace(read_cached_clip(path), regions=np.repeat(regions[:1], 75, 0)))
    path.with_suffix(".lips").write_bytes(save({"lips": lips}))
    prepared = replace(cached_clip, lips=find_lips([clip], cached_clip.files, Lip2WavFeatureExtractor(), 1, False))
    spliced = quiet_choices(complexion_probability=0.5, splice_probability=1.0, window_frames=0)
    pictures, examples = [], clips_of(prepared, spliced)
    for epoch in range(12):
        examples.set_epoch(epoch)
        pixels = examples[0]["pixel_values_videos"].numpy()
        assert np.abs(pixels - pixels[0]).max() < 1e-5
        pictures.append(pixels[0])
    own = sum(np.allclose(picture, clips_of(prepared)[0]["pixel_values_videos"][0]) for picture in pictures)
    assert 1 <= own <= 11
