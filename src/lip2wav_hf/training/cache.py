"""Cached clips: mouth regions, sound and words of a clip in one safetensors file, read without copying it."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..errors import Lip2WavError, one_line
from ..files import replacing


SUFFIX = ".safetensors"


class ClipCacheError(Lip2WavError):
    """A cached clip that cannot be read."""


@dataclass(frozen=True)
class CachedClip:
    """
    The cached contents of a clip; read-only if read from a file.

    Attributes:
        regions (`np.ndarray`): uint8 `(frames, roi_height, roi_width)`, gray.
        waveform (`np.ndarray`): int16 `(samples,)`, full scale 32767.
        frame_words (`np.ndarray`): int8 `(frames,)`, the number of the word spoken in each frame, -1 for silence, -2
            everywhere for a clip without alignment.
    """

    regions: np.ndarray
    waveform: np.ndarray
    frame_words: np.ndarray


ARRAYS = tuple(field.name for field in fields(CachedClip))


def write_cached_clip(path: str | os.PathLike, clip: CachedClip) -> None:
    """
    Write a clip's file, whole or not at all; makes its folder.

    Args:
        path (`str` or `os.PathLike`): the file.
        clip ([`CachedClip`]): the clip.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(save({name: np.ascontiguousarray(getattr(clip, name)) for name in ARRAYS}))


def read_cached_clip(path: str | os.PathLike) -> CachedClip:
    """
    Map a cached clip into memory: only what is used is read from the disk, and processes share it.

    Args:
        path (`str` or `os.PathLike`): a file that [`write_cached_clip`] wrote.

    Raises:
        ClipCacheError: if the file is no such file, or damaged.
        OSError: if it is missing or cannot be read.
    """
    try:
        # PyTorch's arrays are mapped, where NumPy's would be copied.
        with safe_open(path, "pt") as file:
            names = sorted(file.keys())
            if names != sorted(ARRAYS):
                raise ClipCacheError(f"{path}: no cached clip: it holds {', '.join(names)}.")
            arrays = {name: file.get_tensor(name).numpy() for name in names}
    except SafetensorError as error:
        raise ClipCacheError(
            f"{path}: damaged ({one_line(error)}). Delete it, then prepare the clips again."
        ) from error
    for array in arrays.values():
        array.flags.writeable = False
    return CachedClip(**arrays)


__all__ = ["SUFFIX", "CachedClip", "ClipCacheError", "read_cached_clip", "write_cached_clip"]
