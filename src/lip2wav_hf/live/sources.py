"""Pictures that come in real time, each with its time: of a camera, or of a video played at its own speed."""

from __future__ import annotations

import math
import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, TypeAlias

import av
import numpy as np

from ..errors import VideoError, one_line
from ..video import VideoReader, to_rgb


TimedPictures: TypeAlias = Iterator[tuple[float, np.ndarray]]
"""Pictures `(height, width, 3)`, uint8 RGB, each with the time when it was taken, on the clock of `time.monotonic`."""

MOST_WAITING = 8  # pictures; with more of them, all but the newest are dropped
CAMERAS = {  # by platform: FFmpeg's format, and the camera that is taken by default
    "linux": ("v4l2", "/dev/video0"),
    "darwin": ("avfoundation", "default"),
    "win32": ("dshow", ""),
}
WANTED = {"framerate": "30", "video_size": "640x480"}  # what most cameras can; others give what they have
OWN_CLOCK = ("v4l2", "avfoundation", "dshow", "lavfi")  # formats that say when a picture was taken
RECENT_SECONDS = 10.0  # within which a picture came without delay, we take it


class CameraError(VideoError):
    """A camera that cannot be opened, or that stopped."""


def play_video(video: Any, frame_rate: float = 25.0) -> TimedPictures:
    """
    A video at its own speed, beginning now.

    Args:
        video: as for [`VideoReader`].
        frame_rate (`float`, *optional*, defaults to 25): of what it yields, in frames/s.

    Raises:
        VideoError: if it cannot be read.
    """
    return _paced(VideoReader(video, frame_rate), frame_rate)


def _paced(opened: VideoReader, frame_rate: float) -> TimedPictures:
    with opened as reader:
        start: float | None = None
        for number, picture in enumerate(reader):
            start = time.monotonic() if start is None else start
            due = start + number / frame_rate
            time.sleep(max(due - time.monotonic(), 0.0))
            yield due, picture


class CaptureClock:
    """
    From the timestamps of a device to `time.monotonic()`, whatever their beginning is: of the pictures of the last
    seconds, the one that came soonest came without delay. Others were as late as they seem, when the machine is busy.
    """

    def __init__(self) -> None:
        self._earliest = self._before = (
            math.inf
        )  # difference of the clocks: in this stretch of time, in the one before
        self._until = -math.inf

    def time(self, stamp: float, now: float) -> float:
        """When a picture was taken that carries `stamp` and came `now`, all in seconds."""
        difference = now - stamp
        if difference > min(self._earliest, self._before) + RECENT_SECONDS:  # the timestamps have begun anew
            self._earliest = self._before = math.inf
        if now > self._until:
            self._before, self._earliest, self._until = self._earliest, math.inf, now + RECENT_SECONDS
        self._earliest = min(self._earliest, difference)
        return stamp + min(self._earliest, self._before)


def default_camera() -> tuple[str, str]:
    """Format and name of the camera that is taken where none is named."""
    return CAMERAS.get(sys.platform, CAMERAS["linux"])


def _split(camera: str | None) -> tuple[str, str]:
    """Format and name of what the user calls a camera: `NAME` or `FORMAT:NAME`."""
    kind, name = default_camera()
    if camera is None:
        return kind, f"video={_first_camera(kind)}" if kind == "dshow" else name
    named = re.match(r"([a-z0-9_]{2,}):(?!//)(.+)", camera, re.DOTALL)
    if named and named[1] in av.formats_available | {"v4l2"}:
        return named[1], named[2]
    return kind, f"video={camera}" if kind == "dshow" and not camera.startswith("video=") else camera


def _first_camera(kind: str) -> str:
    found = list_cameras(kind)
    if not found:
        raise CameraError("no camera was found. Name one with --camera, or a video file.")
    return found[0]


def list_cameras(kind: str | None = None) -> list[str]:
    """Names of the cameras that FFmpeg knows of; empty where it cannot list them."""
    try:
        return [device.name for device in av.enumerate_input_devices(kind or default_camera()[0])]
    except (av.FFmpegError, OSError, ValueError, NotImplementedError):
        return []


def check_camera(camera: str | None = None) -> tuple[str, str]:
    """
    FFmpeg's format and name of a camera, after a look whether it is plugged in, where that costs nothing.

    Args:
        camera (`str`, *optional*): as of [`open_camera`].

    Raises:
        CameraError: if there is none.
    """
    kind, name = _split(camera)
    if kind == "v4l2" and not os.path.exists(name):
        raise _cannot_open(name, "No such file or directory")
    return kind, name


def _cannot_open(name: str, problem: str) -> CameraError:
    return CameraError(
        f"camera {name}: it cannot be opened ({problem}). Name another one with --camera, or a video file."
    )


def open_camera(camera: str | None = None) -> TimedPictures:
    """
    The pictures of a camera, which is opened now and closed with the generator.

    Args:
        camera (`str`, *optional*): its name, such as `/dev/video1`; or `FORMAT:NAME` for another of FFmpeg's formats,
            such as `mjpeg:/run/pipe`, or a filter graph as a camera, `lavfi:testsrc=size=640x480:rate=25,realtime`.

    Raises:
        CameraError: if it cannot be opened, shows no pictures, or stops with an error.
    """
    kind, name = check_camera(camera)
    options = WANTED if kind in ("v4l2", "avfoundation", "dshow") else {}
    container, problem = None, ""
    for wanted in (options, {}):
        try:
            container = av.open(name, format=kind, options=wanted)
            break
        except (av.FFmpegError, OSError, ValueError) as error:
            problem = one_line(getattr(error, "strerror", None) or error)
    if container is None:
        raise _cannot_open(name, problem)
    if not container.streams.video:
        container.close()
        raise CameraError(f"camera {name}: it shows no pictures. Name another one with --camera.")
    return _pictures(container, name, kind in OWN_CLOCK)


def _pictures(container: Any, name: str, has_clock: bool) -> TimedPictures:
    clock = CaptureClock()
    stream = container.streams.video[0]
    stream.thread_type = "SLICE"  # threads of whole frames hold some of them back
    try:
        for frame in container.decode(stream):
            now = time.monotonic()
            yield clock.time(frame.time, now) if has_clock and frame.time is not None else now, to_rgb(frame)
    except av.FFmpegError as error:
        raise CameraError(f"camera {name}: it has stopped ({one_line(error)}). Plug it in again.") from error
    finally:
        container.close()


class Feed:
    """
    Takes timed pictures in a thread of its own, so that none waits in the camera while sound is made; for use in
    `with`. A few may wait; whoever falls further behind gets the newest.

    Args:
        pictures ([`TimedPictures`]): where they come from.
        can_wait (`bool`, *optional*, defaults to `False`): whether their source can, as a file, but not a camera: then
            none is dropped, and those that are late follow as fast as they are taken.

    Attributes:
        dropped (`int`): pictures that nobody took in time.
    """

    def __init__(self, pictures: TimedPictures, can_wait: bool = False) -> None:
        self.dropped, self.can_wait = 0, can_wait
        self._pictures, self._waiting = pictures, deque[tuple[float, np.ndarray]]()
        self._changed, self._error = threading.Condition(), None
        self._is_over = self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        self._thread.join(2.0)  # a camera that has stopped may never give its next picture

    @property
    def is_over(self) -> bool:
        """Whether no more picture will come; raises what ended them, if that was an error."""
        with self._changed:
            if not self._is_over or self._waiting:
                return False
            if self._error is not None:
                raise self._error
            return True

    def get(self, timeout: float) -> tuple[float, np.ndarray] | None:
        """The next picture; `None` if none came within `timeout` seconds, or no more will."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over, timeout)
            self._changed.notify_all()
            return self._waiting.popleft() if self._waiting else None

    def _run(self) -> None:
        error: Exception | None = None
        try:
            for timed in self._pictures:
                with self._changed:
                    if self.can_wait:
                        self._changed.wait_for(lambda: self._is_stopped or len(self._waiting) < MOST_WAITING)
                    if self._is_stopped:
                        break
                    self._waiting.append(timed)
                    if len(self._waiting) > MOST_WAITING:
                        self.dropped += len(self._waiting) - 1
                        self._waiting = deque([timed])
                    self._changed.notify_all()
        except Exception as raised:
            error = raised
        finally:
            close = getattr(self._pictures, "close", None)
            if close is not None:
                close()
            with self._changed:
                self._is_over, self._error = True, error
                self._changed.notify_all()


__all__ = [
    "MOST_WAITING",
    "CameraError",
    "CaptureClock",
    "Feed",
    "TimedPictures",
    "default_camera",
    "list_cameras",
    "open_camera",
    "play_video",
]
