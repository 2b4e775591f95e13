"""What an evaluation ran on: machine and versions, for `results.json`."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """The machine: CPU model, cores this process may use, load of the last minute, PyTorch's version and threads."""
    import torch

    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": model,
        "cores": available_cores(),
        "accelerator": accelerator,
        "torch": str(torch.__version__),
        "torch_threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
    }


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Versions of the packages that make the numbers, where they are installed."""
    found = {}
    packages = ("lip2wav_hf", "transformers", "pesq", "pystoi", "pocketsphinx", "speechmos", "Resemblyzer", "jiwer")
    for package in (*packages, "scipy", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


__all__ = ["available_cores", "machine", "versions"]
