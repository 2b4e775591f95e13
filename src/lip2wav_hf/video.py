"""Read the pictures of a video with PyAV, at the model's frame rate.

Everything is streamed: however long the video, only a few pictures are in memory at a time.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import math
import os
import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import weakref
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Any, BinaryIO, TypeAlias

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition, Stream

from .errors import Lip2WavError


logger = logging.getLogger(__name__)

DOWNLOAD_TIMEOUT = 30.0  # seconds without an answer
DOWNLOAD_LIMIT = 4 << 30  # bytes

_PICTURE_FORMATS = re.compile(r"image2|tty|.*_pipe|bin|xbin|adf|idf")  # demuxers of still pictures and of text art
_REORDERING = 1  # second: timestamps that go back by less are jitter, by more a new beginning
_SEEKABLE = re.compile(r"mov,mp4|matroska")  # their seeking leads to a key picture before the time that is asked for
_LEAD = 1  # second before the beginning of a part at which decoding begins
_DISCONTINUITY = 60  # seconds: a longer jump of the timestamps is a fault of the file, not a long picture

VideoInput: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | np.ndarray
"""A path, URL, the content of a video file, a binary file object, or uint8 pictures."""

Picture: TypeAlias = av.VideoFrame | np.ndarray
TimedPicture: TypeAlias = tuple[Picture, Fraction, Fraction]  # with time and duration, in seconds


class VideoError(Lip2WavError):
    """A video or sound that cannot be read or written; the message names it, the cause and the remedy."""


@dataclass(frozen=True)
class VideoPart:
    """
    A part of a video, which stands for a video wherever one is read: of a long one, only this is decoded.

    Args:
        video (`str`, `os.PathLike`, `bytes`, binary file object or `np.ndarray`): as for [`VideoReader`].
        start (`float`, *optional*, defaults to 0.0): where the part begins, in seconds after the first picture.
        end (`float`, *optional*): where it ends; with the video by default.

    Raises:
        VideoError: if it does not end after its start.
    """

    video: Any
    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < (math.inf if self.end is None else self.end):
            raise VideoError(
                f"{self}: a part must begin at 0 s or later, and end after that. Check its start and end."
            )

    @property
    def suffix(self) -> str:
        """Of the file, with its dot; empty for what is no path."""
        return os.path.splitext(self.video)[1] if isinstance(self.video, (str, os.PathLike)) else ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self)

    def __str__(self) -> str:
        video = self.video if isinstance(self.video, (str, os.PathLike)) else type(self.video).__name__
        return f"{video} ({self.start:g} to {'its end' if self.end is None else f'{self.end:g} s'})"


def split_part(video: Any) -> tuple[Any, Fraction, Fraction | None]:
    """A video or a part of one as the video, the part's beginning and its end, in seconds."""
    if not isinstance(video, VideoPart):
        return video, Fraction(0), None
    end = None if video.end is None else Fraction(video.end).limit_denominator(1_000_000)
    return video.video, Fraction(video.start).limit_denominator(1_000_000), end


# ---------------------------------------------------------------------------------------------------------------------
# Sources: what the user passed, as something that PyAV opens
# ---------------------------------------------------------------------------------------------------------------------


class Source:
    """
    A path, URL, bytes or file object as the `target` of `av.open`; `close` removes what was downloaded.

    Args:
        video (`str`, `os.PathLike`, `bytes` or binary file object): As for [`VideoReader`].
        timeout (`float`, *optional*, defaults to 30.0): Seconds to wait for a server.
        max_bytes (`int`, *optional*, defaults to 4 GiB): Size in bytes above which a download is refused.

    Raises:
        VideoError: there is nothing to read there, or it is not of these kinds.
    """

    name: str
    target: Any

    def __init__(self, video: Any, timeout: float = DOWNLOAD_TIMEOUT, max_bytes: int = DOWNLOAD_LIMIT):
        self._remove_download: weakref.finalize | None = None
        if isinstance(video, (str, os.PathLike)):
            self._init_from_location(os.fspath(video), timeout, max_bytes)
        elif isinstance(video, (bytes, bytearray, memoryview)):
            self.name = f"video of {len(video)} bytes"
            if not len(video):
                raise VideoError(f"{self.name}: it is empty. Pass the whole content of a video file.")
            self.target = io.BytesIO(video)
        elif hasattr(video, "read"):
            self._init_from_file_object(video, max_bytes)
        else:
            raise VideoError(
                f"A video cannot be a {type(video).__name__}. Pass a path, a URL, the bytes of a video file, "
                "a binary file object, or a uint8 NumPy array (frames, height, width, 3) with fps=."
            )

    def _init_from_location(self, location: str | bytes, timeout: float, max_bytes: int) -> None:
        location = os.fsdecode(location)
        self.name = location
        scheme = re.match(r"(https?|file):|([A-Za-z][\w+.-]+)://", location, re.IGNORECASE)
        if scheme and scheme[2]:
            raise VideoError(
                f"{location}: {scheme[2]}: addresses of this kind are not read. Use http(s):, file: or a path."
            )
        if scheme and scheme[1].lower() != "file":
            self.target = self._download(location, timeout, max_bytes)
            return
        path = urllib.request.url2pathname(urllib.parse.urlsplit(location).path) if scheme else location
        if not os.path.exists(path):
            raise VideoError(f"{location}: there is no such file. Check the path (working folder: {os.getcwd()}).")
        if os.path.isdir(path):
            raise VideoError(f"{location}: it is a folder. Pass one video file.")
        if os.path.isfile(path) and os.path.getsize(path) == 0:
            raise VideoError(f"{location}: the file is empty (0 bytes). Copy or download it again.")
        if not os.access(path, os.R_OK):
            raise VideoError(f"{location}: no permission to read it. Change its permissions.")
        self.target = os.path.abspath(path)  # absolute: never taken for a protocol of FFmpeg such as `concat:`

    def _init_from_file_object(self, file: Any, max_bytes: int) -> None:
        name = getattr(file, "name", None)
        self.name = name if isinstance(name, str) and name else "file object"
        if isinstance(file, io.TextIOBase):
            raise VideoError(f"{self.name}: the file is open as text. Open it in binary mode, open(path, 'rb').")
        if not (hasattr(file, "seekable") and file.seekable()):
            self.target = self._spool(file, max_bytes)
            return
        if file.seek(0, os.SEEK_END) == 0:
            raise VideoError(f"{self.name}: it is empty (0 bytes). Pass a file object of a video file.")
        file.seek(0)
        self.target = file

    def _download(self, url: str, timeout: float, max_bytes: int) -> str:
        request = urllib.request.Request(url, headers={"User-Agent": "lip2wav-hf"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return self._spool(response, max_bytes, int(response.headers.get("Content-Length") or 0))
        except urllib.error.HTTPError as error:
            raise VideoError(
                f"{url}: the server answered {error.code} ({error.reason}). Check that the address opens in a browser."
            ) from error
        except TimeoutError as error:
            raise VideoError(f"{url}: no answer within {timeout:g} s. Try again, or raise timeout=.") from error
        except (OSError, ValueError) as error:
            if isinstance(error, VideoError):
                raise
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, TimeoutError):
                reason = f"no answer within {timeout:g} s"
            raise VideoError(f"{url}: it cannot be reached ({reason}). Check the address and the network.") from error

    def _spool(self, stream: Any, max_bytes: int, expected_bytes: int = 0) -> str:
        """Copy a stream that cannot be rewound into a temporary file; returns the path."""
        too_large = f"{self.name}: it is larger than the limit of {max_bytes} bytes. Raise max_bytes= to allow it."
        if expected_bytes > max_bytes:
            raise VideoError(too_large)
        suffix = os.path.splitext(urllib.parse.urlsplit(self.name).path)[1][:8]
        handle, path = tempfile.mkstemp(prefix="lip2wav-", suffix=suffix)
        self._remove_download = weakref.finalize(self, _remove, path)  # also for a source that nobody closes
        received = 0
        with os.fdopen(handle, "wb") as temporary:
            while received <= max_bytes and (block := stream.read(1 << 18)):
                received += len(block)
                temporary.write(block)
        if received > max_bytes:
            self.close()
            raise VideoError(too_large)
        if received == 0 or received < expected_bytes:
            self.close()
            raise VideoError(f"{self.name}: only {received} bytes came before the connection closed. Try again.")
        return path

    def open(self) -> InputContainer:
        """The PyAV container; its decoders start from the beginning, however often it is opened."""
        if hasattr(self.target, "seek"):
            self.target.seek(0)
        try:
            container = av.open(self.target, "r", metadata_errors="replace")
        except (av.FFmpegError, OSError, ValueError) as error:
            cause = getattr(error, "strerror", None) or error
            raise VideoError(
                f"{self.name}: it is not a video that can be read ({cause}). "
                "Check that it plays in a video player, or convert it to .mp4."
            ) from error
        if _PICTURE_FORMATS.fullmatch(container.format.name):
            container.close()
            raise VideoError(f"{self.name}: it is a still picture or a text, not a video. Pass a video file.")
        return container

    def close(self) -> None:
        """Rewind a file object; remove what was downloaded."""
        target: Any = getattr(self, "target", None)
        if hasattr(target, "seek") and not getattr(target, "closed", False):
            target.seek(0)
        if self._remove_download is not None:
            self._remove_download()


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.remove(path)


def check_rate(value: Any, what: str, name: str) -> Fraction:
    """`value` as a fraction: 25.0 and 29.97 exactly as written."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        rate = Fraction(value if isinstance(value, Fraction) else float(value)).limit_denominator(10_000)
        if rate > 0:
            return rate
    raise VideoError(f"{name}: {what} is {value!r}, but it must be a positive number of frames per second.")


def check_array(array: np.ndarray, fps: float | None) -> str:
    """The name of an array of pictures in messages; raises `VideoError` if it is not one."""
    name = f"array of shape {array.shape}"
    if array.dtype != np.uint8:
        raise VideoError(f"{name}: its dtype is {array.dtype}, but pictures are uint8 (0 to 255). Convert it.")
    if not (array.ndim == 4 and array.shape[3] == 3 or array.ndim == 3 and array.shape[2] != 3) or not array.size:
        raise VideoError(
            f"{name}: it must be (frames, height, width, 3) in RGB or (frames, height, width) in gray, and not empty."
        )
    if fps is None:
        raise VideoError(f"{name}: an array has no frame rate of its own. Pass fps=, for example fps=25.")
    return name


# ---------------------------------------------------------------------------------------------------------------------
# Decoding: container -> frames -> frames with times -> frames at a fixed rate
# ---------------------------------------------------------------------------------------------------------------------


def video_stream(container: InputContainer, name: str) -> av.VideoStream:
    """The first stream of moving pictures; raises `VideoError` if there is none."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        found = "only sound" if container.streams.audio else "no pictures"
        raise VideoError(f"{name}: it has {found}, no video stream. Pass a file with a video stream.")
    stream = streams[0]
    stream.thread_type = "AUTO"
    return stream


def decode(container: InputContainer, stream: Stream, name: str) -> Iterator[Any]:
    """Every frame of the stream that can be decoded; damaged packets are skipped, with one warning at the end."""
    damaged, in_a_row, cause = 0, 0, None
    packets = container.demux(stream)
    while in_a_row < 100:
        try:
            packet = next(packets, None)
        except av.EOFError:
            break
        except av.FFmpegError as error:  # reading failed: go on behind the fault
            damaged, in_a_row, cause = damaged + 1, in_a_row + 1, error
            packets = container.demux(stream)
            continue
        if packet is None:
            break
        try:
            frames = packet.decode()
            in_a_row = 0
        except av.EOFError:
            break
        except av.FFmpegError as error:
            damaged, in_a_row, cause = damaged + 1, in_a_row + 1, error
            continue
        yield from frames
    if damaged:
        logger.warning("%s: %d damaged packets were skipped (last cause: %s).", name, damaged, cause)


def has_presentation_times(container: InputContainer) -> bool:
    """False for AVI, which stores only the order of decoding and its clock."""
    return container.format.name != "avi"


def timed_frames(
    container: InputContainer,
    stream: av.VideoStream,
    name: str,
    fps: Fraction | None = None,
    origin: Fraction | None = None,
) -> Iterator[TimedPicture]:
    """(frame, time, duration) in seconds after the first frame, which begins at `origin` if that is given; frames
    without timestamps follow the one before."""
    clock = "pts" if has_presentation_times(container) else "dts"
    period = 1 / (fps or stream.guessed_rate or stream.average_rate or Fraction(25))
    end, last, jumps = Fraction(0), None, 0
    for frame in decode(container, stream, name):
        duration = frame.duration * stream.time_base if frame.duration and fps is None else period
        time = end
        ticks = getattr(frame, clock)
        if ticks is not None and fps is None:
            pts = ticks * stream.time_base
            if origin is None:
                origin = pts - end
            time = pts - origin
            if last is not None and not last - _REORDERING < time < end + _DISCONTINUITY:
                if not jumps:
                    logger.warning("%s: its timestamps jump at %.2f s; counting on from there.", name, end)
                origin, time, jumps = pts - end, end, jumps + 1
            elif last is not None:
                time = max(time, last)
        last, end = time, time + duration
        yield frame, time, duration


def first_frame(source: Source) -> av.VideoFrame | None:
    """The first frame that can be decoded, or `None` if there is no video stream."""
    with source.open() as container:
        if not [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]:
            return None
        return next(decode(container, video_stream(container, source.name), source.name), None)


def start_time(frame: av.VideoFrame | av.AudioFrame | None) -> Fraction | None:
    """When a frame is shown or sounds, in seconds of its file's clock; `None` if nothing says so."""
    if frame is None or frame.pts is None or frame.time_base is None:
        return None
    return frame.pts * frame.time_base


def can_seek(container: InputContainer, start: Fraction) -> bool:
    """Whether decoding may begin a little before a time, in seconds after the first frame."""
    return start > _LEAD and _SEEKABLE.match(container.format.name) is not None


def seek_before(container: InputContainer, time: Fraction) -> bool:
    """Let decoding begin a little before a time of the file's clock, in seconds; whether the file allows it."""
    try:
        container.seek(int((time - _LEAD) * av.time_base))
    except (av.FFmpegError, OSError):
        return False
    return True


def open_part(
    source: Source, start: Fraction, fps: Fraction | None = None
) -> tuple[InputContainer, av.VideoStream, Iterator[TimedPicture]]:
    """
    A container, its pictures' stream, and the timed frames from some time before `start` on.

    Times count from the first frame of the whole video. Where the file allows it, nothing before the last key picture
    is decoded.
    """
    first = start_time(first_frame(source)) if start > _LEAD and fps is None else None  # before it is opened again
    container = source.open()
    stream = video_stream(container, source.name)
    if first is not None and can_seek(container, start):
        if seek_before(container, first + start):
            timed = timed_frames(container, stream, source.name, origin=first)
            early = next(timed, None)
            if early is not None and early[1] <= start:
                return container, stream, itertools.chain([early], timed)
        container.close()
        container = source.open()
        stream = video_stream(container, source.name)
    return container, stream, timed_frames(container, stream, source.name, fps)


def timed_array(array: np.ndarray, rate: Fraction) -> Iterator[TimedPicture]:
    """As [`timed_frames`], of an array with a given number of pictures per second."""
    return ((picture, k / rate, 1 / rate) for k, picture in enumerate(array))


def _resample(
    timed: Iterable[TimedPicture],
    rate: Fraction,
    tolerance: Fraction,
    start: Fraction = Fraction(0),
    stop: Fraction | None = None,
) -> Iterator[tuple[Picture, int]]:
    """(item, repeats): how often each item is shown when it is sampled at start + k / rate for k = 0, 1, …"""
    shown, previous, end = 0, None, Fraction(0)
    most = None if stop is None else max(round((stop - start) * rate), 1)

    def repeats(until: Fraction) -> int:
        wanted = math.ceil((until - start - tolerance) * rate)
        return max((wanted if most is None else min(wanted, most)) - shown, 0)

    for item, time, duration in timed:
        if previous is not None and (count := repeats(time)):
            yield previous, count
            shown += count
        if shown == most:
            return
        previous, end = item, time + duration
    if previous is not None and (count := max(repeats(end), not shown and not start)):
        yield previous, count


def _tolerance(time_base: Fraction | None, rate: Fraction) -> Fraction:
    """Seconds by which containers with coarse clocks (1 ms in Matroska, 10 ms in GIF) round the times of frames."""
    return min(time_base, 1 / (8 * rate)) if time_base and time_base <= Fraction(1, 100) else Fraction(0)


def quarter_turns(frame: av.VideoFrame) -> int:
    """Quarter turns, anticlockwise, that put a frame upright: 0 to 3."""
    return round(frame.rotation / 90) % 4


def to_rgb(frame: Picture, size: tuple[int, int] | None = None) -> np.ndarray:
    """A PyAV frame or a picture of an array as (height, width, 3), upright; `size` is (width, height) before that."""
    if isinstance(frame, np.ndarray):
        return np.repeat(frame[..., None], 3, axis=2) if frame.ndim == 2 else frame.copy()
    width, height = size or (None, None)
    picture = frame.to_ndarray(format="rgb24", width=width, height=height)
    turns = quarter_turns(frame)
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


class VideoReader:
    """
    The pictures of a video at a fixed frame rate, one at a time.

    At `k / frame_rate` seconds after the first frame, the picture is the one that a player would show: the last frame
    that began by then. A video that has this frame rate already gives its own frames. Rotation metadata is applied.

    Args:
        video (`str`, `os.PathLike`, `bytes`, binary file object, `np.ndarray` or [`VideoPart`]):
            A path, a `file:` or `http(s):` URL, the content of a video file, a file object (read from its beginning),
            or uint8 pictures `(frames, height, width, 3)` in RGB or `(frames, height, width)` in gray. Of a part, the
            pictures are those at `start + k / frame_rate` seconds.
        frame_rate (`float`, *optional*, defaults to 25.0): Pictures per second to return.
        fps (`float`, *optional*):
            Frames per second of `video`. Required for an array; for a file it replaces the timestamps of the file.
        timeout (`float`, *optional*, defaults to 30.0): Seconds to wait for a server.
        max_bytes (`int`, *optional*, defaults to 4 GiB): Size in bytes above which a download is refused.

    Raises:
        VideoError: the video cannot be opened; or, on the first picture, nothing in it can be decoded.

    Attributes:
        expected_frames (`int`, *optional*): how many pictures will come, as far as the file says so.
        has_sound (`bool`): whether the file has a sound track.

    Example:

    ```python
    >>> with VideoReader("clip.mpg", frame_rate=25) as reader:
    ...     for picture in reader:  # uint8 (height, width, 3)
    ...         ...
    ```
    """

    def __init__(
        self,
        video: VideoInput | VideoPart,
        frame_rate: float = 25.0,
        fps: float | None = None,
        *,
        timeout: float = DOWNLOAD_TIMEOUT,
        max_bytes: int = DOWNLOAD_LIMIT,
    ):
        self._source: Source | None = None
        self._container: InputContainer | None = None
        video, self._start, self._stop = split_part(video)
        if isinstance(video, np.ndarray):
            self.name = check_array(video, fps)
            rate, own_rate = check_rate(frame_rate, "frame_rate", self.name), check_rate(fps, "fps", self.name)
            self.has_sound = False
            self.expected_frames: int | None = self._of_part(math.ceil(len(video) / own_rate * rate), rate)
            timed = timed_array(video, own_rate)
            resampled = _resample(timed, rate, Fraction(0), self._start, self._stop)
        else:
            self._source = Source(video, timeout, max_bytes)
            self.name = self._source.name
            try:
                resampled = self._open(self._source, frame_rate, fps)
            except Exception:
                self._release()
                raise
        self._pictures = self._iterate(resampled)

    def _open(self, source: Source, frame_rate: float, fps: float | None) -> Iterator[tuple[Picture, int]]:
        rate = check_rate(frame_rate, "frame_rate", self.name)
        own_rate = None if fps is None else check_rate(fps, "fps", self.name)
        self._container, stream, timed = open_part(source, self._start, own_rate)
        self.has_sound = bool(self._container.streams.audio)
        self.expected_frames = self._of_part(_expected_frames(self._container, stream, rate, own_rate), rate)
        tolerance = Fraction(0) if own_rate else _tolerance(stream.time_base, rate)
        return _resample(timed, rate, tolerance, self._start, self._stop)

    def _of_part(self, frames: int | None, rate: Fraction) -> int | None:
        """How many of the video's pictures are expected in the part that is read."""
        rest = None if frames is None else max(frames - round(self._start * rate), 0)
        wanted = None if self._stop is None else round((self._stop - self._start) * rate)
        return min((count for count in (rest, wanted) if count is not None), default=None)

    def _iterate(self, resampled: Iterator[tuple[Picture, int]]) -> Generator[np.ndarray, None, None]:
        size, read = None, False
        try:
            for frame, repeats in resampled:
                read = True
                size = size or (None if isinstance(frame, np.ndarray) else (frame.width, frame.height))
                picture = to_rgb(frame, size)
                yield picture
                for _ in range(repeats - 1):
                    yield picture.copy()
                del picture
            if not read and self._start:
                raise nothing_there(self.name, self._start)
            if self._source is not None and not read:
                raise nothing_decoded(self.name)
        finally:
            self._release()

    def __iter__(self) -> VideoReader:
        return self

    def __next__(self) -> np.ndarray:
        return next(self._pictures)

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; a download is removed. No further picture comes."""
        self._pictures.close()
        self._release()

    def _release(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None
        if self._source is not None:
            self._source.close()


def nothing_decoded(name: str) -> VideoError:
    """The error for a video stream without any frame that can be decoded."""
    return VideoError(f"{name}: not one picture in it can be decoded; it is damaged or not finished. Get it again.")


def nothing_there(name: str, start: Fraction) -> VideoError:
    """The error for a part that begins after the end of its video."""
    return VideoError(f"{name}: it is over before {float(start):g} s, where the part begins. Check the start.")


def _expected_frames(
    container: InputContainer, stream: av.VideoStream, rate: Fraction, fps: Fraction | None = None
) -> int | None:
    seconds = None
    if fps is not None:
        seconds = stream.frames / fps if stream.frames else None
    elif stream.duration and stream.time_base:
        seconds = stream.duration * stream.time_base
    elif stream.frames and stream.average_rate:
        seconds = stream.frames / stream.average_rate
    elif container.duration:
        seconds = Fraction(container.duration, av.time_base)
    return math.ceil(seconds * rate - Fraction(1, 100)) if seconds else None


__all__ = ["VideoError", "VideoPart", "VideoReader"]
