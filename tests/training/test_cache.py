"""Cached clips, mapped into memory."""

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lip2wav_hf.training.cache import CachedClip, ClipCacheError, read_cached_clip, write_cached_clip


@pytest.fixture
def clip():
    rng = np.random.default_rng(0)
    return CachedClip(
        rng.integers(0, 256, (75, 48, 72), np.uint8),
        rng.integers(-32767, 32768, 48_000, np.int16),
        rng.integers(-1, 6, 75).astype(np.int8),
    )


def test_what_is_written_is_read_and_is_mapped(tmp_path, clip):
    path = tmp_path / "s1" / "clip.safetensors"
    write_cached_clip(path, clip)
    found = read_cached_clip(path)
    for name, expected in vars(clip).items():
        array = getattr(found, name)
        assert array.dtype == expected.dtype and np.array_equal(array, expected)
        assert np.array_equal(load_file(path)[name], expected)  # an ordinary file of its kind
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with open("/proc/self/maps") as maps:
        assert str(path) in maps.read()
    assert [each.name for each in path.parent.iterdir()] == ["clip.safetensors"]


def test_parts_of_arrays_are_written_whole(tmp_path, clip):
    write_cached_clip(tmp_path / "clip.safetensors", dataclasses.replace(clip, regions=clip.regions[::2, :, 1:]))
    assert np.array_equal(read_cached_clip(tmp_path / "clip.safetensors").regions, clip.regions[::2, :, 1:])


def test_a_file_that_was_replaced_is_read_again(tmp_path, clip):
    path = tmp_path / "clip.safetensors"
    write_cached_clip(path, clip)
    before = read_cached_clip(path)
    write_cached_clip(path, CachedClip(clip.regions[:50], clip.waveform, clip.frame_words[:50]))
    assert read_cached_clip(path).regions.shape == (50, 48, 72)
    assert np.array_equal(before.regions, clip.regions)  # which somebody still looks at


def test_files_that_are_no_cached_clips(tmp_path, clip):
    write_cached_clip(tmp_path / "clip.safetensors", clip)
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "clip.safetensors").read_bytes()[:1000])
    with pytest.raises(ClipCacheError, match="cut.safetensors: damaged.*Delete it"):
        read_cached_clip(tmp_path / "cut.safetensors")
    save_file({"regions": clip.regions}, tmp_path / "other.safetensors")
    with pytest.raises(ClipCacheError, match="no cached clip: it holds regions"):
        read_cached_clip(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError):
        read_cached_clip(tmp_path / "missing.safetensors")
