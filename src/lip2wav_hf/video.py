"""Read the pictures of a video with PyAV, at the model's frame rate.

Everything is streamed: however long the video, only a few pictures are in memory at a time.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import os
import re
import statistics
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO, NamedTuple, TypeAlias, TypeVar, cast

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.reformatter import VideoReformatter

from .errors import VideoError, check_array, check_rate, nothing_decoded, nothing_there
from .sources import DOWNLOAD_LIMIT, DOWNLOAD_TIMEOUT, MOST_PIXELS, Source, VideoPart, split_part


logger = logging.getLogger(__name__)

_REORDERING = 1  # second: timestamps that go back by more are a new beginning
_AHEAD = 8  # pictures that are looked at to tell a new beginning from pictures out of order
_RECENT = 64  # times that are kept for that
_UNREADABLE = 100  # faults of reading in a row after which the rest is given up
_LATE_BEGINNING = 0.2  # seconds of packets without a picture at the beginning that a warning tells of
_MOST_SILENT = 8  # packets in a row that a decoder may take without giving a picture: it takes fields one by one
_LONGEST_GAP = 1  # second without a picture after which a warning says so
_SEEKABLE = re.compile(r"mov,mp4|matroska")  # their seeking leads to a key picture before the time that is asked for
_LEAD = 1  # second before the beginning of a part at which decoding begins
# Threads that share a small picture wait for one another longer than they work; PyAV before 17 has no choice.
_ONE_THREAD: dict[str, Any] = {"threads": 1} if "threads" in (VideoReformatter.reformat.__doc__ or "") else {}
_GROUP, _GROUP_BYTES = 16, 16_000_000  # pictures that are fetched together, at most
_DISCONTINUITY = Fraction(60)  # seconds: a longer jump of the timestamps is a fault of the file, not a long picture

VideoInput: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | np.ndarray
"""A path, URL, the content of a video file, a binary file object, or uint8 pictures."""

_Item = TypeVar("_Item")
Picture: TypeAlias = av.VideoFrame | np.ndarray
_Stamped: TypeAlias = tuple[av.VideoFrame, Fraction | None, Fraction]  # with its file's time, and the pixels' shape


class TimedPicture(NamedTuple):
    """A picture as it was decoded, when it is shown, in seconds, and width / height of a pixel."""

    picture: Picture
    time: Fraction
    duration: Fraction
    pixel_shape: Fraction = Fraction(1)


# A picture, the one after it, the share of that in what is seen, and whether it is the last sample of the first.
_Sample: TypeAlias = tuple[TimedPicture, TimedPicture | None, float, bool]


# Decoding: container -> frames -> frames with times -> pictures at a fixed rate


class NoPicturesError(VideoError):
    """A file without a stream of pictures."""


def _moving_streams(container: InputContainer) -> list[av.VideoStream]:
    """The streams of pictures that are no cover, thumbnails or stills by their own word."""
    marks = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    return [stream for stream in streams if not stream.disposition & marks] or streams


def open_pictures(source: Source) -> tuple[InputContainer, av.VideoStream]:
    """
    A container, and its stream of pictures: of several that move, and are no previews, the one with the default mark,
    then the one with the most pixels.

    Raises:
        NoPicturesError: if there is none.
        VideoError: if the file, or that stream, cannot be read.
    """
    container = source.open()
    streams = _moving_streams(container)
    if not streams:
        found = "only sound" if container.streams.audio else "no pictures"
        container.close()
        raise NoPicturesError(f"{source.name}: it has {found}, no video stream. Pass a file with a video stream.")
    if len(streams) > 1 and source.pictures is None:
        indices = [stream.index for stream in streams]
        container.close()  # before another is opened: a file object has one position
        moving = _moving(source, indices)
        container = source.open()
        streams = sorted(_moving_streams(container), key=lambda stream: _rank(stream, stream.index in moving))
        stream, others = streams[-1], [each for each in streams[:-1] if each.index in moving]
        source.pictures = stream.index
        if others:
            pixels = f"{stream.codec_context.width} x {stream.codec_context.height} pixels"
            count = len(others) + 1
            logger.warning("%s: of its %d videos, stream %d is read (%s).", source.name, count, stream.index, pixels)
    stream = next((each for each in streams if each.index == source.pictures), streams[0])
    if stream.codec_context is None:
        container.close()
        raise VideoError(f"{source.name}: its pictures are coded in a way that is not known here. Convert it to .mp4.")
    stream.thread_type = "AUTO"
    return container, stream


def _moving(source: Source, indices: Sequence[int]) -> set[int]:
    """Those of several streams that hold more than a picture, as far as the beginning of the file shows."""
    counts: Counter[int] = Counter()
    with source.open() as container, contextlib.suppress(av.FFmpegError):
        for packet in itertools.islice(container.demux([container.streams[index] for index in indices]), 1000):
            counts[packet.stream_index] += packet.size > 0
            if all(counts[index] > 1 for index in indices):
                break
    return {index for index in indices if counts[index] > 1} or set(indices)


def _rank(stream: av.VideoStream, is_moving: bool) -> tuple[bool, bool, bool, bool, int, int]:
    """The larger, the rather a stream is what the file shows. Muxers mark the first stream, whatever it is."""
    pixels = stream.codec_context.width * stream.codec_context.height if stream.codec_context else 0
    is_default = bool(stream.disposition & Disposition.default)
    return pixels > 0, is_moving, pixels >= 160 * 90, is_default, pixels, -stream.index


@dataclass
class Damage:
    """Packets of a stream that could not be decoded: how many, why the last could not, from when to when by the clock
    of the file, and whether the rest was not read."""

    packets: int = 0
    cause: Exception | None = None
    begin: Fraction | None = None
    end: Fraction | None = None
    is_given_up: bool = False

    def add(self, cause: Exception, packet: av.Packet | None = None) -> None:
        """Note another fault, of a packet if it could be read."""
        self.packets, self.cause = self.packets + 1, cause
        if packet is not None and packet.pts is not None and packet.time_base is not None:
            begin, end = packet.pts * packet.time_base, (packet.pts + (packet.duration or 0)) * packet.time_base
            self.begin = begin if self.begin is None else self.begin
            self.end = end if self.end is None else max(self.end, end)


def decode(container: InputContainer, stream: Stream, name: str, damage: Damage | None = None) -> Iterator[Any]:
    """Every frame of the stream that can be decoded; a warning tells of the damage, unless `damage` takes note."""
    noted, packets, in_a_row, read, silent = damage or Damage(), container.demux(stream), 0, 0, 0
    gives_pictures, earliest = False, None
    while in_a_row < _UNREADABLE:
        try:
            packet = next(packets, None)
        except av.EOFError:
            break
        except av.FFmpegError as error:  # reading failed: go on behind the fault
            noted.add(error)
            packets, in_a_row = container.demux(stream), in_a_row + 1
            continue
        if packet is None:
            break
        in_a_row = 0
        try:
            frames = packet.decode()
        except av.EOFError:
            break
        except av.FFmpegError as error:
            noted.add(error, packet)
            continue
        read += 1
        if not packet.size:  # the end: what the decoder has held back
            silent -= 2 * len(frames)
        else:
            silent = 0 if frames else silent + 1
        if not gives_pictures and stream.type == "video":
            known = (earliest, None if packet.is_discard else packet.pts)  # an edit list leaves out what is trimmed
            earliest = min((time for time in known if time is not None), default=None)
            _tell_late_beginning(name, stream, earliest, frames)
        gives_pictures = gives_pictures or bool(frames)
        yield from frames
    if gives_pictures and stream.type == "video" and silent > max(_MOST_SILENT, read // 5):  # H.264 behind MPEG-2
        logger.warning("%s: its last %d pictures are in another form than those before, and not read.", name, silent)
    noted.is_given_up = in_a_row == _UNREADABLE
    if damage is None and noted.packets:
        logger.warning("%s: %s", name, _describe(noted))


def _tell_late_beginning(name: str, stream: Stream, earliest: int | None, frames: Sequence[Any]) -> None:
    """Warn where pictures before the first that can be shown build on one that the file lacks: it was cut there."""
    if frames and earliest is not None and frames[0].pts is not None and stream.time_base:
        seconds = float((frames[0].pts - earliest) * stream.time_base)
        if seconds > _LATE_BEGINNING:
            why = "cannot be shown: they build on a picture that is not in it"
            logger.warning("%s: its first %.2f s %s.", name, seconds, why)


def _describe(damage: Damage, missing: Fraction = Fraction(0)) -> str:
    parts = f"{damage.packets} damaged packets were skipped (last cause: {damage.cause})"
    parts += "; its rest was not read" if damage.is_given_up else ""
    return parts + (f"; {float(missing):.2f} s of its pictures are missing." if missing else ".")


def has_presentation_times(container: InputContainer) -> bool:
    """False for AVI, which stores only the order of decoding and its clock."""
    return container.format.name != "avi"


class _Clock:
    """The times of frames: their timestamps, counted on where those jump or begin anew."""

    def __init__(self, name: str, period: Fraction, origin: Fraction | None) -> None:
        self.name, self.period, self.origin = name, period, origin
        self.end = Fraction(0)  # of the last frame
        self.last: Fraction | None = None
        self.has_jumped = False
        self._recent: deque[Fraction] = deque(maxlen=_RECENT)  # since the last beginning

    def place(
        self, stamp: Fraction | None, duration: Fraction, following: Sequence[Fraction], damaged: int = 0
    ) -> Fraction:
        """The time of a frame, in seconds after the first; `following` are the next timestamps, and `damaged` packets
        were skipped before it."""
        time = self.end
        if stamp is not None:
            if self.origin is None:
                self.origin = stamp - self.end
            time = stamp - self.origin
            others = [other - self.origin for other in following]
            if self.last is not None and self._begins_anew(time, others, self.plausible(damaged)):
                if not self.has_jumped:
                    logger.warning("%s: its timestamps jump at %.2f s; counting on from there.", self.name, self.end)
                self.has_jumped = True
                self.origin, time = stamp - self.end, self.end
                self._recent.clear()
            self._recent.append(time)
            time = time if self.last is None else max(time, self.last)
        self.last, self.end = time, time + duration
        return time

    def plausible(self, damaged: int) -> Fraction:
        """The seconds that may lie between two frames: more where what lay there is damaged."""
        return max(_DISCONTINUITY, 2 * damaged * self.period) if damaged else _DISCONTINUITY

    def _begins_anew(self, time: Fraction, following: list[Fraction], longest_gap: Fraction) -> bool:
        """
        Whether a new beginning, and not a frame out of order. Frames in a wrong order fill the gaps that were left
        for them; jitter comes back at once; a new beginning goes on from the earlier time, over times that have been.
        """
        last = self.last or Fraction(0)
        if time > last:
            return time >= self.end + longest_gap
        behind = [time, *itertools.takewhile(lambda other: other <= last, following)]
        period = self._usual_period()
        if len(behind) == 1 <= len(following):  # where the next frame goes on from
            return abs(following[0] - time - period) < min(abs(following[0] - last - n * period) for n in (1, 2))
        if time <= last - _REORDERING or not self._recent:
            return True
        if all(
            other > self._recent[0] and min(abs(other - seen) for seen in self._recent) >= period * Fraction(3, 4)
            for other in behind
        ):
            return False
        rises = [earlier < later for earlier, later in itertools.pairwise(behind)]
        if len(behind) > len(following):  # it does not come back
            return len(following) == _AHEAD or any(rises[:1]) or (len(behind) == 1 and last - time > 2 * period)
        return all(rises)

    def _usual_period(self) -> Fraction:
        times = sorted(set(self._recent))
        steps = [later - earlier for earlier, later in itertools.pairwise(times)]
        return statistics.median_low(steps) if len(steps) > 3 else self.period


def timed_frames(
    container: InputContainer,
    stream: av.VideoStream,
    name: str,
    fps: Fraction | None = None,
    origin: Fraction | None = None,
) -> Iterator[TimedPicture]:
    """Frames with their times after the first frame, which begins at `origin` if that is given; frames without
    timestamps follow the one before. One warning at the end says how much is missing."""
    clock = _Clock(name, 1 / (fps or stream.guessed_rate or stream.average_rate or Fraction(25)), origin)
    damage, damaged, missing, longest, shown = Damage(), 0, Fraction(0), (Fraction(0), Fraction(0)), None
    frames = _stamped(container, stream, name, damage, ignore_stamps=fps is not None)
    ahead: deque[_Stamped] = deque()
    time_base = cast(Fraction, stream.time_base)
    while following := ahead.popleft() if ahead else next(frames, None):
        frame, stamp, pixel_shape = following
        duration = frame.duration * time_base if frame.duration and fps is None else clock.period
        if stamp is not None and clock.origin is not None and stamp - clock.origin <= (clock.last or 0):
            ahead.extend(itertools.islice(frames, _AHEAD - len(ahead)))
        end = clock.end
        others = [other for _, other, _ in ahead if other is not None]
        time = clock.place(stamp, duration, others, damage.packets - damaged)
        damaged = damage.packets
        if shown is None and damage.begin is not None and stamp is not None:
            missing += max(stamp - damage.begin, Fraction(0))
        elif shown is not None and time - end > clock.period / 2:
            missing += time - end if damage.packets else 0
            longest = max(longest, (time - end, end))
        shown = TimedPicture(frame, time, duration, pixel_shape)
        yield shown
    if shown is not None and damage.end is not None and clock.origin is not None:
        lost = damage.end - clock.origin - clock.end
        if 0 < lost < clock.plausible(damage.packets - damaged) and fps is None:
            missing += lost
            yield shown._replace(time=clock.end, duration=lost)
    if damage.packets:
        logger.warning("%s: %s", name, _describe(damage, missing))
    elif fps is None and not clock.has_jumped and 0 < clock.end < (promised := _promised_end(stream, clock)) - 1:
        logger.warning("%s: it breaks off at %.2f of %.2f s.", name, clock.end, promised)
    elif longest[0] > _LONGEST_GAP:
        logger.warning("%s: no picture for %.2f s at %.2f s; the last one is held.", name, *map(float, longest))


def _promised_end(stream: av.VideoStream, clock: _Clock) -> Fraction:
    """Until when pictures come by what Matroska says of the stream, in seconds after the first; 0 if nothing does."""
    written = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    hours, minutes, seconds = map(Fraction, written.groups() if written else (0, 0, 0))
    return 3600 * hours + 60 * minutes + seconds - (clock.origin or 0)


def _stamped(
    container: InputContainer, stream: av.VideoStream, name: str, damage: Damage, ignore_stamps: bool
) -> Iterator[_Stamped]:
    """Frames with the time of their file's clock, and the shape of their pixels; that of the container goes first."""
    clock, known, shape = "pts" if has_presentation_times(container) else "dts", Fraction(-1), Fraction(1)
    declared, first, time_base = stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio, stream.time_base
    for frame in decode(container, stream, name, damage):
        if frame.width * frame.height > MOST_PIXELS:
            raise VideoError(f"{name}: its pictures are {frame.width} x {frame.height}, too large. Save it smaller.")
        ticks = None if ignore_stamps else getattr(frame, clock)
        if (now := stream.codec_context.sample_aspect_ratio) != known:  # it seldom changes
            known, shape = now, (declared if now == first else now) or Fraction(1)
            shape = shape if Fraction(1, 4) <= shape <= 4 and abs(shape - 1) > Fraction(1, 100) else Fraction(1)
        yield frame, None if ticks is None else ticks * time_base, shape


def first_frame(source: Source) -> av.VideoFrame | None:
    """The first frame that can be decoded, or `None` if there is no video stream."""
    try:
        container, stream = open_pictures(source)
    except NoPicturesError:
        return None
    with container:
        return next(decode(container, stream, source.name, Damage()), None)


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
    container, stream = open_pictures(source)
    if first is not None and can_seek(container, start):
        if seek_before(container, first + start):
            timed = timed_frames(container, stream, source.name, origin=first)
            early = next(timed, None)
            if early is not None and early.time <= start:
                return container, stream, itertools.chain([early], timed)
        container.close()
        container, stream = open_pictures(source)
    return container, stream, timed_frames(container, stream, source.name, fps)


def timed_array(array: np.ndarray, rate: Fraction) -> Iterator[TimedPicture]:
    """As [`timed_frames`], of an array with a given number of pictures per second."""
    return (TimedPicture(picture, k / rate, 1 / rate) for k, picture in enumerate(array))


def _resample(
    timed: Iterable[TimedPicture],
    rate: Fraction,
    tolerance: Fraction,
    start: Fraction = Fraction(0),
    stop: Fraction | None = None,
) -> Iterator[_Sample]:
    """What is seen at start + k / rate for k = 0, 1, …"""
    shown, previous, end = 0, None, Fraction(0)
    most = None if stop is None else max(round((stop - start) * rate), 1)

    def wanted(until: Fraction) -> int:
        count = math.ceil((until - start - tolerance) * rate)
        return count if most is None else min(count, most)

    for item in timed:
        if previous is not None:
            for number in range(shown, count := max(wanted(item.time), shown)):
                share = _share(previous.time, item.time, start + number / rate, rate, tolerance)
                yield previous, item if share else None, share, number == count - 1
            shown = count
        if shown == most:
            return
        previous, end = item, item.time + item.duration
    if previous is not None:
        count = max(wanted(end), shown, int(not shown and not start))
        yield from ((previous, None, 0.0, number == count - 1) for number in range(shown, count))


def _share(before: Fraction, after: Fraction, time: Fraction, rate: Fraction, tolerance: Fraction) -> float:
    """
    The share of the second of two pictures at a time between them.

    A picture that is held is half a period old on average, which makes the sound late by as much. Pictures that come
    at the rate itself, or twice as fast and more, are not mixed; nor are those so far apart that they stand still.
    """
    if (age := time - before) <= tolerance:
        return 0.0
    gap = after - before
    is_own_rate = abs(gap * rate - 1) <= Fraction(1, 50)
    if is_own_rate or not Fraction(21, 40) < gap * rate <= 4:
        return 0.0
    share = float(age / gap)
    return 0.0 if share < 0.1 else 1.0 if share > 0.9 else share


def _tolerance(time_base: Fraction | None, rate: Fraction) -> Fraction:
    """Seconds by which containers with coarse clocks (1 ms in Matroska, 10 ms in GIF) round the times of frames."""
    return min(time_base, 1 / (8 * rate)) if time_base and time_base <= Fraction(1, 100) else Fraction(0)


def orientation(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """What puts a frame upright: whether rows become columns, then which of left and right, top and bottom change
    places. It is what the display matrix says, to the nearest quarter turn."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None or data.buffer_size < 36:
        return False, False, False
    across, down, _, across_down, down_down = (int(value) for value in np.frombuffer(data, np.int32, 5))
    if abs(across) + abs(down_down) >= abs(down) + abs(across_down):
        return False, across < 0, down_down < 0
    return True, across_down < 0, down < 0


def to_rgb(
    frame: Picture, pixel_shape: Fraction = Fraction(1), reformatter: VideoReformatter | None = None
) -> np.ndarray:
    """
    A PyAV frame or a picture of an array as it is seen: (height, width, 3), upright, with square pixels. Who converts
    many gives one `reformatter` for all of them: making one takes longer than a conversion.
    """
    if isinstance(frame, np.ndarray):
        return np.repeat(frame[..., None], 3, axis=2) if frame.ndim == 2 else frame.copy()
    width, height = frame.width, frame.height
    if pixel_shape > 1:
        width = max(round(width * pixel_shape), 1)
    elif pixel_shape < 1:
        height = max(round(height / pixel_shape), 1)
    reformatter = VideoReformatter() if reformatter is None else reformatter
    picture = reformatter.reformat(frame, width, height, "rgb24", **_ONE_THREAD).to_ndarray()
    is_turned, is_mirrored, is_inverted = orientation(frame)
    if is_turned:
        picture = picture.transpose(1, 0, 2)
    picture = picture[:: -1 if is_inverted else 1, :: -1 if is_mirrored else 1]
    return np.ascontiguousarray(picture)


class _Mixer:
    """The pictures of samples, in RGB; two pictures on either side of a cut are never mixed."""

    def __init__(self) -> None:
        self._ready: dict[int, tuple[TimedPicture, np.ndarray]] = {}  # of the last two pictures
        self._differences: deque[float] = deque(maxlen=15)
        self._reformatter = VideoReformatter()

    def __call__(self, sample: _Sample) -> np.ndarray:
        before, after, share, is_last = sample
        self._ready = {
            id(each): self._ready.get(id(each)) or (each, to_rgb(each.picture, each.pixel_shape, self._reformatter))
            for each in (before, after)
            if each is not None
        }
        picture = self._ready[id(before)][1]
        if after is None:
            return picture if is_last else picture.copy()
        other = self._ready[id(after)][1]
        if self._is_cut(picture, other):
            return (picture if share < 0.5 else other).copy()
        return cv2.addWeighted(picture, 1 - share, other, share, 0)

    def _is_cut(self, picture: np.ndarray, other: np.ndarray) -> bool:
        """Whether two pictures in a row differ much more than those before them did."""
        if picture.shape != other.shape:
            return True
        step = max(min(picture.shape[:2]) // 100, 1)
        difference = float(cv2.absdiff(picture[::step, ::step], other[::step, ::step]).mean())
        usual = statistics.median(self._differences) if self._differences else 6.0
        self._differences.append(difference)
        return difference > max(4 * usual, 8.0)


class VideoReader:
    """
    The pictures of a video at a fixed frame rate, one at a time.

    At `k / frame_rate` seconds after the first frame, the picture is what is to be seen then: a frame, or between two
    frames that follow one another a mixture of them. A video that has this frame rate already, or twice as many and
    more, gives its own frames. They are as a player shows them: upright, not mirrored, with square pixels; a video
    that changes its size gives each in its own.

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
        allow_private (`bool`, *optional*):
            Whether addresses of private networks are read, and playlists that name local files. By default those that
            you name yourself, but not those that the web leads to; `False` for what strangers name.

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
        allow_private: bool | None = None,
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
            self._source = Source(video, timeout, max_bytes, allow_private)
            self.name = self._source.name
            try:
                resampled = self._open(self._source, frame_rate, fps)
            except Exception:
                self._release()
                raise
        self._pictures = self._iterate(resampled)

    def _open(self, source: Source, frame_rate: float, fps: float | None) -> Iterator[_Sample]:
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

    def _iterate(self, samples: Iterator[_Sample]) -> Generator[np.ndarray, None, None]:
        mixed, read = _Mixer(), False
        try:
            for sample in samples:
                read = True
                try:
                    picture = mixed(sample)
                except (av.FFmpegError, ValueError, MemoryError) as error:
                    raise VideoError(f"{self.name}: its pictures cannot be shown ({error}). Convert it.") from error
                del sample
                yield picture
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

    def __exit__(self, *error: object) -> None:
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


def in_groups(items: Iterable[_Item], picture: Callable[[_Item], np.ndarray]) -> Iterator[_Item]:
    """
    The same items, fetched several at a time: decoding one picture and working on it in turn would drive each other's
    data out of the processor's cache, which costs a fifth of the time.

    Args:
        items (iterable): each has a picture.
        picture (`Callable`): gives the picture of an item; so many are fetched that a few megabytes are waiting.
    """
    group, size = deque[_Item](), 0
    for item in items:
        group.append(item)
        size += picture(item).nbytes
        if len(group) == _GROUP or size >= _GROUP_BYTES:
            while group:
                yield group.popleft()
            size = 0
    while group:
        yield group.popleft()


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


__all__ = ["NoPicturesError", "VideoError", "VideoPart", "VideoReader"]
