"""Threads of a training on CPUs: cores that stay idle, and threads that would wait for a core."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from ..machine import available_cores
from .stopping import LAUNCHER_VARIABLES


logger = logging.getLogger(__name__)

# All are our choices.
WATCHED_SECONDS = 3.0  # at least, before the number of threads is changed; and
STARTING_SECONDS = 0.3  # before the first batch
SLACK = 0.15  # of a core, that others may use without a thread less
FIRST_PATIENCE, MOST_PATIENCE = 3, 32  # times in a row that cores must be free for more threads


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


class FittingThreads:
    """
    Fits the threads of a training to the cores that other processes leave free, again and again, on a CPU.

    The threads of one operation wait for the slowest of them, spinning, and oneDNN's do so too. Where one has no core
    of its own, the others burn theirs meanwhile: on two cores of which another process uses one, two threads can take
    twenty times as long as one. A number that a person chose is kept, and complained of once.

    Args:
        device (`torch.device`): what this process computes on; only the CPU has threads to fit.
    """

    def __init__(self, device: torch.device) -> None:
        self._most = torch.get_num_threads() if device.type == "cpu" else 1
        self._chosen, self._complained = threads_were_chosen(), False
        self._calm, self._patience, self._batches = 0, FIRST_PATIENCE, 0
        self._usage = Usage.now()
        if self._most > 1:
            time.sleep(STARTING_SECONDS)
            self._fit()
            self._patience = FIRST_PATIENCE

    def note_batch(self) -> None:
        """Call after each batch."""
        self._batches += 1
        if self._most > 1 and time.perf_counter() - self._usage.time >= WATCHED_SECONDS:
            self._fit()

    def restore(self) -> None:
        """Call at the end: as many threads as at the beginning."""
        if self._most > 1:
            torch.set_num_threads(self._most)

    def _fit(self) -> None:
        before, self._usage = self._usage, Usage.now()
        batches, self._batches = self._batches, 0
        threads, free = torch.get_num_threads(), self._usage.free_cores(before, torch.get_num_threads())
        wanted = self._most if free is None else min(max(int(free + SLACK), 1), self._most)
        self._calm = self._calm + 1 if wanted > threads else 0
        if wanted < threads and self._chosen:
            self._complain(threads, wanted, (self._usage.time - before.time) / max(batches, 1))
        elif wanted < threads:
            logger.info("the machine is busy: %d of %d threads are used while it is.", wanted, self._most)
            torch.set_num_threads(wanted)
            self._patience = min(2 * self._patience, MOST_PATIENCE)  # once more, and it is often so
        elif self._calm >= self._patience:
            logger.info("the machine is less busy: %d threads are used.", wanted)
            torch.set_num_threads(wanted)
            self._calm = 0

    def _complain(self, threads: int, wanted: int, seconds: float) -> None:
        if not self._complained:
            self._complained = True
            logger.warning(
                "the machine is busy: the %d threads of this training wait for a core, and for each other meanwhile"
                " (%.3g s per batch). Fewer are often several times faster there: stop, and resume with the"
                " environment variable OMP_NUM_THREADS=%d, or without it: then the number fits itself.",
                threads,
                seconds,
                wanted,
            )


@dataclass(frozen=True)
class Usage:
    """
    The processor time that was used until a moment, in seconds.

    Attributes:
        time (`float`): the moment, on `time.perf_counter`.
        own (`float`): of this process.
        children (`float`): of those that it has started and that still run, such as those that load its batches.
        all (`float`, *optional*): of all processes, on the cores that this one may use; `None` where the system does
            not say, as Linux does in `/proc/stat`.
    """

    time: float
    own: float
    children: float
    all: float | None

    @classmethod
    def now(cls) -> Usage:
        """Until now."""
        return cls(time.perf_counter(), time.process_time(), _children(os.getpid()), _all_processes())

    def free_cores(self, before: Usage, threads: int) -> float | None:
        """How many cores other processes have left free since an earlier moment, on average; with `threads` of this
        one. Where nobody says, by the load of the last minute; `None` where there is none."""
        cores = available_cores()
        if self.all is not None and before.all is not None:
            own = self.own - before.own + max(self.children - before.children, 0.0)
            return cores - max(self.all - before.all - own, 0.0) / max(self.time - before.time, 1e-9)
        return cores - max(os.getloadavg()[0] - threads, 0.0) if hasattr(os, "getloadavg") else None


def _children(process: int) -> float:
    """Processor time of the processes that one has started, and of theirs, where Linux says so."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return 0.0
    seconds = 0.0
    for child in map(int, children):
        with contextlib.suppress(OSError, ValueError, IndexError):  # it has just ended
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") + _children(child)
    return seconds


def _all_processes() -> float | None:
    try:
        rows = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        allowed = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        # User, nice, system, and interrupts of both kinds; neither idle nor stolen time.
        ticks = [int(row[field]) for row in rows if row and row[0] in allowed for field in (1, 2, 3, 6, 7)]
        return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None
    except (AttributeError, OSError, ValueError, IndexError):
        return None


__all__ = ["FittingThreads", "threads_were_chosen", "warn_of_idle_cores"]
