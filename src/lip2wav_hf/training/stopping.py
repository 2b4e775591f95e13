"""How a run is asked to stop: by SIGTERM, by Ctrl-C, or because the launcher that started it is gone.

`accelerate launch` does not pass SIGTERM on, and nothing passes SIGKILL on: without a watch on the launcher the
training would go on without it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


# What `accelerate launch` and `torchrun` set for what they start.
LAUNCHER_VARIABLES = ("ACCELERATE_DYNAMO_BACKEND", "TORCHELASTIC_RUN_ID")
LAUNCHER_WORDS = (b"accelerate", b"torchrun", b"torch.distributed", b"torch/distributed")
WATCH_SECONDS = 0.5

_STARTED_BY = os.getppid()


class StopRequests:
    """
    Signals that ask a run to stop.

    Args:
        on_first (`Callable`, *optional*): called when the first has come.

    Attributes:
        received (`str`, *optional*): the name of the last such signal; None before there was any.
    """

    def __init__(self, on_first: Callable[[], None] | None = None) -> None:
        self.received: str | None = None
        self._on_first = on_first

    def note(self, number: int, frame: FrameType | None) -> None:
        """A signal handler."""
        is_first, self.received = self.received is None, signal.Signals(number).name
        if is_first and self._on_first is not None:
            self._on_first()


@contextmanager
def stop_requests(on_first: Callable[[], None] | None = None) -> Generator[StopRequests]:
    """Record SIGTERM and Ctrl-C in the object that this yields, until the block ends; only in the main thread."""
    requests = StopRequests(on_first)
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.signal(number, requests.note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield requests
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def is_launched() -> bool:
    """Whether `accelerate launch` or `torchrun` has started this process."""
    return any(name in os.environ for name in LAUNCHER_VARIABLES) and _is_launcher(_STARTED_BY)


def watch_launcher() -> bool:
    """
    Have SIGTERM sent to this process as soon as the launcher that started it is gone.

    A shell that ends does not count: only `accelerate launch` and `torchrun`, known by the variables that they set,
    and, where there is `/proc`, by their command line.

    Returns:
        `bool`: whether there is a launcher to watch.
    """
    if not is_launched():
        return False
    threading.Thread(target=_watch, args=(_STARTED_BY,), name="launcher watch", daemon=True).start()
    return True


def _is_launcher(process: int) -> bool:
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return os.getppid() == process  # no /proc here, so the variables have to do
    return any(word in command for word in LAUNCHER_WORDS)


def _watch(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


__all__ = ["StopRequests", "is_launched", "stop_requests", "watch_launcher"]
