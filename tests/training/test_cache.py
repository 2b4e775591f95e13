"""Cached clips, mapped into memory."""

import numpy as np
import pytest

from lip2wav_hf.training.cache import ClipCacheError, read_cached_clip


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "crops": rng.integers(0, 256, (75, 48, 72), np.uint8),
        "waveform": rng.integers(-32767, 32768, 48_000, np.int16),
        "frame_words": rng.integers(-1, 6, 75).astype(np.int8),
    }


def test_the_arrays_are_those_of_numpy_and_are_mapped(tmp_path, arrays):
    np.savez(tmp_path / "clip.npz", **arrays)
    clip = read_cached_clip(tmp_path / "clip.npz")
    for name, expected in arrays.items():
        found = getattr(clip, name)
        assert found.dtype == expected.dtype and np.array_equal(found, expected)
        assert not found.flags.writeable and isinstance(found.base, np.memmap)


def test_a_file_that_was_replaced_is_read_anew(tmp_path, arrays):
    np.savez(tmp_path / "clip.npz", **arrays)
    read_cached_clip(tmp_path / "clip.npz")
    np.savez(tmp_path / "clip.npz", **{name: array[:50] for name, array in arrays.items()})
    assert read_cached_clip(tmp_path / "clip.npz").crops.shape == (50, 48, 72)


def test_files_that_are_no_cached_clips(tmp_path, arrays):
    np.savez(tmp_path / "clip.npz", **arrays)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "clip.npz").read_bytes()[:1000])
    with pytest.raises(ClipCacheError, match="cut.npz: damaged.*Delete it"):
        read_cached_clip(tmp_path / "cut.npz")
    np.savez_compressed(tmp_path / "small.npz", **arrays)
    with pytest.raises(ClipCacheError, match="compressed"):
        read_cached_clip(tmp_path / "small.npz")
    np.savez(tmp_path / "other.npz", crops=arrays["crops"])
    with pytest.raises(ClipCacheError, match="no cached clip: it holds crops"):
        read_cached_clip(tmp_path / "other.npz")
