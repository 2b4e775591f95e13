"""Threads of a training on CPUs: cores that stay idle, and threads that wait for a core."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import torch

from ..machine import available_cores
from .stopping import LAUNCHER_VARIABLES


logger = logging.getLogger(__name__)

WATCHED_BATCHES = 2  # at least, and
WATCHED_SECONDS = 10.0  # at least, before anything is said; our choices, as is
CROWDED_SHARE = 0.25  # of the time that threads want a core, without one


def warn_of_idle_cores(device: torch.device, processes: int) -> None:
    """
    Warn if a process computes on one core of several, unless that was chosen.

    Args:
        device (`torch.device`): what this process computes on.
        processes (`int`): how many there are on this machine.
    """
    cores = available_cores() // processes
    if device.type != "cpu" or torch.get_num_threads() > 1 or cores < 2 or threads_were_chosen():
        return
    logger.warning(
        "this process computes on one core, all that `accelerate launch` gives it, but %d could be used: set the"
        " environment variable OMP_NUM_THREADS=%d; to 1 if one core is what you want.",
        cores,
        cores,
    )


def threads_were_chosen(parent: Path | None = None) -> bool:
    """
    Whether a person set the number of threads, and not `accelerate launch`, which always sets it to 1.

    Decided from how the launcher itself was started; if that cannot be read, the answer is no.

    Args:
        parent (`Path`, *optional*): the folder in `/proc` of the process that started this one.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        return False
    if not any(name in os.environ for name in LAUNCHER_VARIABLES):
        return True
    parent = parent or Path("/proc", str(os.getppid()))
    try:
        variables = (parent / "environ").read_bytes().split(b"\0")
        words = (parent / "cmdline").read_bytes().replace(b"-", b"_").split(b"\0")
    except OSError:
        return False
    return any(variable.startswith(b"OMP_NUM_THREADS=") for variable in variables) or any(
        word.startswith(b"__num_cpu_threads_per_process") for word in words
    )


class CrowdedThreads:
    """
    Notices that the threads of a training wait for each other on cores that others use too, and warns of it once.

    The threads of one operation wait for the slowest of them, spinning. Where one has no core of its own, the others
    burn theirs meanwhile: on a busy machine, two threads can be ten times slower than one.

    Args:
        device (`torch.device`): what this process computes on; only the CPU is watched.
    """

    def __init__(self, device: torch.device) -> None:
        self._watches = device.type == "cpu" and torch.get_num_threads() > 1
        self._begin()

    def _begin(self) -> None:
        self._start, self._batches, self._cpu, self._waited = time.perf_counter(), 0, time.process_time(), _waited()

    def note_batch(self) -> None:
        """Call after each batch."""
        self._batches += 1
        seconds = time.perf_counter() - self._start
        if not self._watches or self._batches < WATCHED_BATCHES or seconds < WATCHED_SECONDS:
            return
        busy, waited = time.process_time() - self._cpu, _waited()
        if waited is not None and self._waited is not None:
            idle = max(waited - self._waited, 0.0)
            share = idle / max(idle + busy, 1e-9)
        else:  # no such count here: threads that are wanted beyond the cores that there are
            load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
            share = max(1 - available_cores() / max(load, 1e-9), 0.0)
        if share > CROWDED_SHARE:
            self._watches = False
            logger.warning(
                "the machine is busy: the %d threads of this training had to wait for a core %.0f %% of the time, and"
                " wait for each other meanwhile (%.3g s per batch). One thread is often several times faster there:"
                " stop, and resume with the environment variable OMP_NUM_THREADS=1.",
                torch.get_num_threads(),
                100 * share,
                seconds / self._batches,
            )
        self._begin()


def _waited() -> float | None:
    """For how many seconds the threads of this process were ready and had no core; None where Linux does not say."""
    total = 0
    try:
        for path in Path("/proc/self/task").iterdir():
            total += int((path / "schedstat").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return total / 1e9


__all__ = ["CrowdedThreads", "threads_were_chosen", "warn_of_idle_cores"]
