"""Reading cached clips without copying them: arrays that are mapped into memory, straight from an `.npz` file."""

from __future__ import annotations

import functools
import os
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import Lip2WavError


class ClipCacheError(Lip2WavError):
    """A cached clip that cannot be read."""


@dataclass(frozen=True)
class CachedClip:
    """What is cached of a clip, read-only.

    Attributes:
        crops (`np.ndarray`): uint8 `(frames, roi_height, roi_width)`, gray mouth regions.
        waveform (`np.ndarray`): int16 `(samples,)`, full scale 32767.
        frame_words (`np.ndarray`): int8 `(frames,)`, the number of the word spoken in each frame, -1 for silence, -2
            everywhere for a clip without alignment.
    """

    crops: np.ndarray
    waveform: np.ndarray
    frame_words: np.ndarray


def read_cached_clip(path: str | os.PathLike) -> CachedClip:
    """Map a cached clip into memory: only what is then looked at is read from the disk, and processes share it.

    `numpy.load` cannot map an `.npz` file, but the arrays of one that is not compressed lie in it as they are. Where
    they lie is found out once for each file and remembered.

    Args:
        path (`str` or `os.PathLike`): a file that `prepare_clips` wrote.

    Raises:
        ClipCacheError: if the file is no such file, or damaged.
    """
    status = os.stat(path)
    layout = _layout(os.fspath(path), status.st_size, status.st_mtime_ns)
    contents = np.memmap(path, np.uint8, mode="r")
    arrays = {name: np.ndarray(shape, dtype, buffer=contents, offset=offset) for name, offset, shape, dtype in layout}
    return CachedClip(**arrays)


@functools.lru_cache(maxsize=1 << 17)
def _layout(path: str, size: int, modified: int) -> tuple[tuple[str, int, tuple[int, ...], np.dtype], ...]:
    """Name, offset, shape and type of each array in a file."""
    arrays = []
    try:
        with open(path, "rb") as file:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
            for member in members:
                if member.compress_type != zipfile.ZIP_STORED:
                    raise ClipCacheError(f"{path}: {member.filename} is compressed, and cannot be mapped.")
                file.seek(member.header_offset + 26)  # lengths of the name and of the extra field that follow
                name_length, extra_length = struct.unpack("<HH", file.read(4))
                file.seek(name_length + extra_length, os.SEEK_CUR)
                np.lib.format.read_magic(file)
                shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
                end = file.tell() + int(np.prod(shape)) * dtype.itemsize
                if fortran_order or end > size:
                    raise ClipCacheError(f"{path}: {member.filename} is not as it was written.")
                arrays.append((Path(member.filename).stem, file.tell(), shape, dtype))
    except (zipfile.BadZipFile, struct.error, ValueError) as error:
        if isinstance(error, ClipCacheError):
            raise
        raise ClipCacheError(f"{path}: damaged ({error}). Delete it, then prepare the clips again.") from None
    names = {name for name, *_ in arrays}
    if names != set(CachedClip.__dataclass_fields__):
        raise ClipCacheError(f"{path}: no cached clip: it holds {', '.join(sorted(names))}.")
    return tuple(arrays)
