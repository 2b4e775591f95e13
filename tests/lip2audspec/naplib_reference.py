"""naplib's auditory spectrogram, where naplib is installed: `pip install naplib`, best without its dependencies."""

import importlib.util
import logging
import sys
import types
from pathlib import Path

import numpy as np
import scipy.io


def _file() -> Path | None:
    found = importlib.util.find_spec("naplib")
    return (
        None if found is None else Path(list(found.submodule_search_locations)[0], "features/auditory_spectrogram.py")
    )


def naplib_is_here() -> bool:
    return _file() is not None


def naplib_spectrogram(sound: np.ndarray) -> np.ndarray:
    """`(frames, 128)` of a sound at 16 kHz, with 10 ms frames and integration, linear hair cells and no compression.

    The file is loaded by itself: the package imports two dozen others, and asks for a NumPy below 2.
    """
    file = _file()
    package, storage = types.ModuleType("naplib"), types.ModuleType("hdf5storage")
    package.logger = logging.getLogger("naplib")
    storage.loadmat = scipy.io.loadmat
    kept = {name: sys.modules.get(name) for name in ("naplib", "hdf5storage")}
    sys.modules |= {"naplib": package, "hdf5storage": storage}
    try:
        spec = importlib.util.spec_from_file_location("naplib_auditory_spectrogram", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        for name, before in kept.items():
            if before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = before
    return module.auditory_spectrogram(sound.astype(np.float64), 16000, frame_len=10, tc=10, factor="linear")
