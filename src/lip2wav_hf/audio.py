"""Read and write sound with PyAV, and give the pictures of a video new sound."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias, cast

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.stream import Disposition

from . import files
from .errors import check_array, check_rate, nothing_decoded, nothing_there
from .sources import DOWNLOAD_LIMIT, DOWNLOAD_TIMEOUT, Source, VideoPart, open_container, split_part
from .video import (
    Picture,
    TimedPicture,
    VideoError,
    VideoInput,
    can_seek,
    decode,
    first_frame,
    has_presentation_times,
    open_part,
    open_pictures,
    orientation,
    seek_before,
    start_time,
    timed_array,
    timed_frames,
    to_rgb,
)


_CODECS = {".wav": ("wav", "pcm_s16le"), ".flac": ("flac", "flac"), ".m4a": ("mp4", "aac")}
_AAC_RATE = 48000
_AAC_BITS = 96_000  # per second: more than speech needs
_RATES = (100, 1_000_000)  # Hz that sound may have
_TAIL = Fraction(1, 10)  # seconds of sound that are read beyond the end of a part, for the resampling
_FASTEST = 1000  # frames per second that an encoder is told
_LEAST_GAP = Fraction(1, 5)  # second without sound that is no rounding of a clock
_MOST_SILENCE = 3600  # seconds of it that are filled in, whatever a file says
_LONGEST_STEP = 60  # seconds between two pictures: beyond it lies a fault of the clock
_COPYABLE_FORMATS = re.compile(r"mov,mp4|matroska")  # their packets all have true presentation and decoding times


@dataclass(frozen=True)
class Encoding:
    """
    How pictures are encoded.

    Attributes:
        crf (`int`): quality of H.264: 18 looks like the source, each 6 more halve the size.
        max_height (`int`, *optional*): lines; larger pictures are made smaller.
    """

    crf: int = 18
    max_height: int | None = None


Packets: TypeAlias = Iterator[tuple[list[av.Packet], Fraction]]  # with the seconds that they end at


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------


def read_audio(
    video: VideoInput | VideoPart,
    sampling_rate: int = 16000,
    *,
    timeout: float = DOWNLOAD_TIMEOUT,
    max_bytes: int = DOWNLOAD_LIMIT,
) -> np.ndarray | None:
    """
    The sound of a video (or of a sound file), mono: the mean of its channels.

    Args:
        video (`str`, `os.PathLike`, `bytes`, binary file object or [`VideoPart`]): As for [`VideoReader`].
        sampling_rate (`int`, *optional*, defaults to 16000): In Hz.
        timeout (`float`, *optional*, defaults to 30.0): Seconds to wait for a server.
        max_bytes (`int`, *optional*, defaults to 4 GiB): Size in bytes above which a download is refused.

    Returns:
        `np.ndarray` of float32 `(samples,)`, in -1 to 1, whose sample 0 sounds with the first picture, of the part if
        it is one; `None` if there is no sound.

    Raises:
        VideoError: the file cannot be read.
    """
    video, start, end = split_part(video)
    if isinstance(video, np.ndarray):
        return None
    with contextlib.closing(Source(video, timeout, max_bytes)) as source:
        first = first_frame(source)
        sound = _read_sound(source, first, sampling_rate, start, end, start > 0)
        if start and sound is not None and (sound[1] is None or sound[1] > sound[0]):  # sought too far, if at all
            sound = _read_sound(source, first, sampling_rate, start, end, False)
    if sound is None or not sound[2]:
        return None
    begin, audio_start, blocks = sound
    waveform = np.concatenate(blocks)
    if audio_start is not None:
        late = audio_start - begin
        lead = round(late * sampling_rate) if late < _MOST_SILENCE else 0  # beyond it lies a fault of the clock
        waveform = np.pad(waveform, (lead, 0)) if lead > 0 else waveform[-lead:]
    return waveform if end is None else waveform[: round((end - start) * sampling_rate)]


def audio_rate(path: str | os.PathLike[str]) -> int:
    """
    The sampling rate of a sound file, as it was written.

    Returns:
        `int`: in Hz.

    Raises:
        VideoError: if the file cannot be read, or has no sound.
    """
    try:
        with open_container(os.fspath(path)) as container:
            rates = [stream.rate for stream in container.streams.audio]
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{path}: it cannot be read as sound ({error}).") from error
    if not rates or not rates[0]:  # some damaged files open, with a rate of 0
        raise VideoError(f"{path}: it cannot be read as sound.")
    return rates[0]


def _read_sound(
    source: Source,
    first: av.VideoFrame | None,
    sampling_rate: int,
    start: Fraction,
    end: Fraction | None,
    seek: bool,
) -> tuple[Fraction, Fraction | None, list[np.ndarray]] | None:
    """The times of the part's beginning and of the first sample, by the file's clock, and blocks of sound that reach
    to the end or beyond; `None` if there is no sound track."""
    with source.open() as container:
        streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
        if not streams:
            return None
        video_start = start_time(first) if has_presentation_times(container) else Fraction(0)
        stream = max(streams, key=lambda each: (bool(each.disposition & Disposition.default), -each.index))
        stream.codec_context.thread_type = "AUTO"
        begin = (video_start or Fraction(0)) + start
        if seek and can_seek(container, start):
            seek_before(container, begin)
        until = None if end is None else begin - start + end + _TAIL
        frames = _until(decode(container, stream, source.name), until)
        try:
            audio_start, blocks = _resampled_blocks(_with_possible_rates(frames, source.name), sampling_rate)
        except av.FFmpegError as error:
            raise VideoError(f"{source.name}: its sound cannot be converted ({error}). It is damaged.") from error
    if video_start is None and not start:
        audio_start = None  # nothing says where the sound belongs
    return begin, audio_start, blocks


def _until(frames: Iterable[av.AudioFrame], until: Fraction | None) -> Iterator[av.AudioFrame]:
    for frame in frames:
        time = start_time(frame)
        if until is not None and time is not None and time > until:
            return
        yield frame


def _with_possible_rates(frames: Iterable[av.AudioFrame], name: str) -> Iterator[av.AudioFrame]:
    """The frames; to convert a rate that no sound has takes gigabytes."""
    for frame in frames:
        if not _RATES[0] <= frame.sample_rate <= _RATES[1]:
            raise VideoError(f"{name}: its sound cannot be converted: {frame.sample_rate} Hz is no sampling rate.")
        yield frame


def _resampled_blocks(frames: Iterable[av.AudioFrame], sampling_rate: int) -> tuple[Fraction | None, list[np.ndarray]]:
    """(time of the first sample, float32 blocks)."""
    start, blocks, resampler, layout, end, filled = None, [], None, None, None, Fraction(0)
    for frame in frames:
        time = start_time(frame)
        if start is None:
            start = time
        gap = Fraction(0) if time is None or end is None else time - end
        if (
            _LEAST_GAP < gap < _LONGEST_STEP and filled < _MOST_SILENCE
        ):  # what lay there is damaged: silence keeps the rest in its place
            blocks += [*_blocks(resampler, None), np.zeros(round(gap * sampling_rate), np.float32)]
            layout, filled = None, filled + gap
        end = None if time is None else time + Fraction(frame.samples, frame.sample_rate)
        if layout != (frame.format.name, frame.layout.name, frame.sample_rate):  # may change in the middle of a stream
            blocks += [] if layout is None else _blocks(resampler, None)
            layout = (frame.format.name, frame.layout.name, frame.sample_rate)
            # Not planar: PyAV reads beyond the memory of more than eight planes.
            resampler = av.AudioResampler("flt", frame.layout.name, sampling_rate)
        frame.pts = None
        blocks += _blocks(resampler, frame)
    return start, blocks + _blocks(resampler, None)


def _blocks(resampler: av.AudioResampler | None, frame: av.AudioFrame | None) -> list[np.ndarray]:
    if resampler is None:
        return []
    blocks = [(block.to_ndarray(), block.layout.nb_channels) for block in resampler.resample(frame)]
    return [samples.reshape(-1, channels).mean(axis=1, dtype=np.float32) for samples, channels in blocks]


# ---------------------------------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------------------------------


def _check_waveform(waveform: Any, sampling_rate: Any, name: str | os.PathLike[str]) -> np.ndarray | _Blocks:
    """A waveform or blocks of one, clipped; the samples of blocks are checked as they come."""
    if not (isinstance(sampling_rate, (int, np.integer)) and sampling_rate > 0):
        raise VideoError(f"{name}: the sampling rate is {sampling_rate!r}; it must be a positive whole number of Hz.")
    if isinstance(waveform, Iterator):
        return _Blocks(_check_samples(block, name) for block in waveform)
    return _check_samples(waveform, name)


def _check_samples(waveform: Any, name: str | os.PathLike[str]) -> np.ndarray:
    waveform = np.asarray(waveform)
    if waveform.ndim != 1 or not waveform.size or waveform.dtype.kind != "f":
        raise VideoError(
            f"{name}: the waveform is {waveform.dtype} of shape {waveform.shape}; "
            "it must be floating point, (samples,), not empty."
        )
    if not np.isfinite(waveform).all():
        raise VideoError(f"{name}: the waveform contains NaN or infinite samples; nothing was written.")
    return np.clip(waveform, -1.0, 1.0).astype(np.float32)


class _Blocks:
    """A waveform that comes in blocks, read once from its beginning to its end: only what is ahead is in memory."""

    def __init__(self, blocks: Iterable[np.ndarray] = ()):
        self._blocks, self._ahead, self._position = iter(blocks), np.zeros(0, np.float32), 0

    def push(self, block: np.ndarray) -> None:
        """Append a block."""
        self._ahead = np.concatenate([self._ahead, block])

    def __getitem__(self, part: slice) -> np.ndarray:
        """Samples `start` to `stop`, fewer at the end; none before them are asked for again."""
        while self._position + len(self._ahead) < part.stop and (block := next(self._blocks, None)) is not None:
            self.push(block)
        self._ahead = self._ahead[part.start - self._position :]
        self._position = part.start
        return self._ahead[: part.stop - part.start]

    def drain(self) -> None:
        """Take the blocks that nobody wants, for what is done in making them."""
        for _ in self._blocks:
            pass


@contextlib.contextmanager
def _replacing(path: str | os.PathLike[str]) -> Generator[str, None, None]:
    """As [`files.replacing`], but what goes wrong is a `VideoError` that names the file."""
    path = Path(path)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise VideoError(f"{path}: the folder {folder} does not exist. Create it first.")
    if path.is_dir():
        raise VideoError(f"{path}: it is a folder. Name a file in it.")
    try:
        with files.replacing(path) as temporary:
            yield os.fspath(temporary)
    except (av.FFmpegError, OSError, MemoryError) as error:
        raise VideoError(f"{path}: it cannot be written ({getattr(error, 'strerror', None) or error}).") from error


def _suffix(path: str | os.PathLike[str], supported: Iterable[str]) -> str:
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in supported:
        raise VideoError(f"{path}: files of the kind {suffix!r} are not written. Use {' or '.join(supported)}.")
    return suffix


def write_audio(path: str | os.PathLike[str], waveform: np.ndarray | Iterator[np.ndarray], sampling_rate: int) -> None:
    """
    Write a sound file by the suffix of `path`: `.wav` or `.flac`, 16 bit, or `.m4a` (AAC, for web pages). It appears
    whole or not at all.

    Args:
        path (`str` or `os.PathLike`): Where to write.
        waveform (`np.ndarray`, or an iterator of them): `(samples,)`, floating point; clipped to -1 to 1. Of an
            iterator, each block is written when it comes.
        sampling_rate (`int`): In Hz.

    Raises:
        VideoError: the waveform is no sound, or the file cannot be written.
    """
    with open_audio(path, sampling_rate) as write:
        for block in waveform if isinstance(waveform, Iterator) else [waveform]:
            write(block)


@contextlib.contextmanager
def open_audio(path: str | os.PathLike[str], sampling_rate: int) -> Generator[Callable[[np.ndarray], None]]:
    """
    As [`write_audio`], of blocks that are handed over one by one: what the `with` statement yields writes one. The
    file appears at the end of the statement, unless that ends with an exception.
    """
    container_format, codec = _CODECS[_suffix(path, _CODECS)]
    _check_waveform(iter(()), sampling_rate, path)
    rate, sample_format = (_aac_rate(sampling_rate), "fltp") if codec == "aac" else (sampling_rate, "s16")
    sound = _Blocks()
    with _replacing(path) as temporary, av.open(temporary, "w", format=container_format) as container:
        track = _AudioTrack(container, codec, sample_format, sound, sampling_rate, rate)

        def write(block: np.ndarray) -> None:
            sound.push(_check_samples(block, path))
            track.write(Fraction(track.written + len(block), int(sampling_rate)))

        yield write
        track.close()


def _aac_rate(sampling_rate: int) -> int:
    """The rate in Hz at which AAC holds a waveform: its own where AAC has it."""
    return int(sampling_rate) if sampling_rate in (av.Codec("aac", "w").audio_rates or ()) else _AAC_RATE


class _AudioTrack:
    """A waveform that is encoded into a container little by little, so that sound and pictures lie side by side."""

    def __init__(
        self,
        container: OutputContainer,
        codec: str,
        sample_format: str,
        waveform: np.ndarray | _Blocks,
        sampling_rate: int,
        encoder_rate: int,
    ):
        self.container, self.waveform, self.sampling_rate = container, waveform, int(sampling_rate)
        stream = container.add_stream(codec, rate=int(encoder_rate), layout="mono", format=sample_format)
        self.stream = cast(av.AudioStream, stream)
        if codec == "aac":
            self.stream.bit_rate = _AAC_BITS
        self.sample_format, self.written = sample_format, 0
        self.resampler = av.AudioResampler(sample_format, "mono", int(encoder_rate))

    def write(self, until: Fraction) -> None:
        """Encode up to `until` seconds, with silence where the waveform has ended."""
        end = round(until * self.sampling_rate)
        while self.written < end:
            count = min(end - self.written, self.sampling_rate)
            block = np.zeros(count, np.float32)
            part = self.waveform[self.written : self.written + count]
            block[: len(part)] = part
            self._encode(block)
            self.written += count

    def _encode(self, block: np.ndarray) -> None:
        if self.sample_format == "s16":
            frame = av.AudioFrame.from_ndarray(np.round(block * 32767).astype(np.int16)[None], "s16", "mono")
        else:
            frame = av.AudioFrame.from_ndarray(block[None], "flt", "mono")
        frame.sample_rate = self.sampling_rate
        frame.pts, frame.time_base = self.written, Fraction(1, self.sampling_rate)
        for resampled in self.resampler.resample(frame):
            self.container.mux(self.stream.encode(resampled))

    def close(self) -> None:
        """Encode what is left."""
        for resampled in self.resampler.resample(None):
            self.container.mux(self.stream.encode(resampled))
        self.container.mux(self.stream.encode(None))


# ---------------------------------------------------------------------------------------------------------------------
# Pictures with new sound
# ---------------------------------------------------------------------------------------------------------------------


def mux_audio(
    video: VideoInput | VideoPart,
    waveform: np.ndarray | Iterator[np.ndarray],
    sampling_rate: int,
    path: str | os.PathLike[str],
    fps: float | None = None,
    *,
    timeout: float = DOWNLOAD_TIMEOUT,
    max_bytes: int = DOWNLOAD_LIMIT,
) -> None:
    """
    Write an `.mp4` (H.264 and AAC, as browsers play it) of the pictures of `video` with `waveform` as their sound.

    The pictures keep their own times. H.264 that browsers play is copied; all else is encoded again, as it is seen:
    upright, not mirrored, with square pixels and even sides, and those that change their size in that of the first.
    The sound begins with the first picture and is cut, or followed by silence, to the end of the last.

    Args:
        video: As for [`VideoReader`].
        waveform (`np.ndarray`, or an iterator of them): `(samples,)`, floating point; clipped to -1 to 1. Of an
            iterator, each block is taken when the pictures are there, and all of them in the end.
        sampling_rate (`int`): Of `waveform`, in Hz.
        path (`str` or `os.PathLike`): Where to write; it appears whole or not at all.
        fps (`float`, *optional*): As for [`VideoReader`].
        timeout (`float`, *optional*, defaults to 30.0): Seconds to wait for a server.
        max_bytes (`int`, *optional*, defaults to 4 GiB): Size in bytes above which a download is refused.

    Raises:
        VideoError: the video cannot be read, the waveform is no sound, or the file cannot be written.
    """
    _suffix(path, (".mp4",))
    sound = _check_waveform(waveform, sampling_rate, path)
    with contextlib.ExitStack() as stack:
        packets_of = _open_video(stack, video, fps, timeout, max_bytes)
        temporary = stack.enter_context(_replacing(path))
        output = stack.enter_context(av.open(temporary, "w", format="mp4", options={"movflags": "+faststart"}))
        _mux(packets_of(output), output, sound, sampling_rate)


def write_pictures(
    video: VideoInput | VideoPart, path: str | os.PathLike[str], encoding: Encoding, fps: float | None = None
) -> float:
    """
    Write an `.mp4` (H.264, as browsers play it) of the pictures of `video`, upright, without sound.

    Args:
        video: As for [`VideoReader`].
        path (`str` or `os.PathLike`): Where to write; it appears whole or not at all.
        encoding ([`Encoding`]): How they are encoded; they are always encoded again.
        fps (`float`, *optional*): As for [`VideoReader`].

    Returns:
        `float`: the end of the last picture, in seconds.

    Raises:
        VideoError: the video cannot be read, or the file cannot be written.
    """
    _suffix(path, (".mp4",))
    end = Fraction(0)
    with contextlib.ExitStack() as stack:
        packets_of = _open_video(stack, video, fps, DOWNLOAD_TIMEOUT, DOWNLOAD_LIMIT, encoding)
        temporary = stack.enter_context(_replacing(path))
        output = stack.enter_context(av.open(temporary, "w", format="mp4", options={"movflags": "+faststart"}))
        for packets, until in packets_of(output):
            output.mux(packets)
            end = until
    return float(end)


def _open_video(
    stack: contextlib.ExitStack,
    video: VideoInput | VideoPart,
    fps: float | None,
    timeout: float,
    max_bytes: int,
    encoding: Encoding | None = None,
) -> Callable[[OutputContainer], Packets]:
    """What gives the packets of the pictures, once there is a container for them; without an encoding, those of the
    file itself where browsers play them. What is opened is closed with the stack."""
    video, start, end = split_part(video)
    if isinstance(video, np.ndarray):
        return _open_array(video, fps, encoding or Encoding())
    source = stack.enter_context(contextlib.closing(Source(video, timeout, max_bytes)))
    if start or end is not None:
        return _open_part(stack, source, start, end, encoding or Encoding())
    return _open_source(stack, source, fps, encoding)


def _open_array(array: np.ndarray, fps: float | None, encoding: Encoding) -> Callable[[OutputContainer], Packets]:
    """As [`_open_video`], of an array."""
    rate = check_rate(fps, "fps", check_array(array, fps))
    return lambda output: _encoded(timed_array(array, rate), output, rate, encoding)


def _open_source(
    stack: contextlib.ExitStack, source: Source, fps: float | None, encoding: Encoding | None
) -> Callable[[OutputContainer], Packets]:
    """As [`_open_video`], of a file."""
    rate = None if fps is None else check_rate(fps, "fps", source.name)
    first = first_frame(source)
    is_copied = encoding is None and rate is None and first is not None and _can_copy(source, first)
    start = start_time(first) if first is not None and is_copied else None
    container, stream = open_pictures(source)  # says so where there are none
    stack.enter_context(container)
    if first is None:
        raise nothing_decoded(source.name)
    if start is not None:
        return lambda output: _copied(container, stream, output, start)
    timed = timed_frames(container, stream, source.name, rate)
    return lambda output: _encoded(timed, output, rate or stream.average_rate, encoding or Encoding())


def _open_part(
    stack: contextlib.ExitStack, source: Source, start: Fraction, end: Fraction | None, encoding: Encoding
) -> Callable[[OutputContainer], Packets]:
    """As [`_open_video`], of a part, whose pictures are encoded again."""
    container, stream, timed = open_part(source, start)
    stack.enter_context(container)
    cut = _cut(timed, start, end)
    first = next(cut, None)
    if first is None:
        raise nothing_there(source.name, start)
    return lambda output: _encoded(itertools.chain([first], cut), output, stream.average_rate, encoding)


def _cut(timed: Iterator[TimedPicture], start: Fraction, end: Fraction | None) -> Iterator[TimedPicture]:
    """The pictures that are seen in a part, with their times in it."""
    tolerance = Fraction(1, 500)  # by which clocks of 1 ms round
    for timed_picture in timed:
        _, time, duration, _ = timed_picture
        if end is not None and time >= end - tolerance:
            return
        if time + duration > start + tolerance:
            begin = max(time - start, Fraction(0))
            yield timed_picture._replace(time=begin, duration=time + duration - start - begin)


def _can_copy(source: Source, first: av.VideoFrame) -> bool:
    """Whether the packets may go into an .mp4 as they are: browsers play it, and its clock goes on."""
    container, stream = open_pictures(source)
    with container:
        if stream.codec_context.name != "h264" or not _COPYABLE_FORMATS.match(container.format.name):
            return False
        if first.format.name != "yuv420p" or any(orientation(first)) or first.pts is None:
            return False
        latest, extradata = None, stream.codec_context.extradata or b""
        length_bytes = (extradata[4] & 3) + 1 if extradata[:1] == b"\1" and len(extradata) > 4 else 0
        with contextlib.suppress(av.EOFError):
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                if packet.pts is None or packet.pts < first.pts or packet.has_sidedata("new_extradata"):
                    return False
                if packet.is_corrupt or not is_whole_h264(bytes(packet), length_bytes):
                    return False  # browsers stop there; encoded again, the last picture is held
                if packet.dts is not None:
                    step = None if latest is None else (packet.dts - latest) * packet.time_base
                    if step is not None and not 0 < step < _LONGEST_STEP:
                        return False
                    latest = packet.dts
        return True


def is_whole_h264(packet: bytes, length_bytes: int) -> bool:
    """
    Whether a packet of H.264 is made of units that can be: at least one of a picture, and nothing else beside them.

    Args:
        packet (`bytes`): of an access unit.
        length_bytes (`int`): size of the lengths before the units; 0 where start codes stand there (Annex B).
    """
    units, rest = [], packet
    if not length_bytes:
        begin, *units = packet.split(b"\0\0\1")
        if begin.strip(b"\0"):
            return False
    while length_bytes and rest:
        size, rest = int.from_bytes(rest[:length_bytes], "big"), rest[length_bytes:]
        if not 0 < size <= len(rest):
            return False
        units.append(rest[:size])
        rest = rest[size:]
    kinds = [unit[0] & 31 if unit and not unit[0] & 128 else 0 for unit in units]  # with the bit that is never set
    return all(0 < kind < 24 for kind in kinds) and any(kind in (1, 2, 5) for kind in kinds)


def _copied(container: InputContainer, stream: av.VideoStream, output: OutputContainer, start: Fraction) -> Packets:
    """The packets of the source, with times counted from the first picture."""
    copy = output.add_stream_from_template(stream)
    shift, end = round(start / cast(Fraction, stream.time_base)), Fraction(0)
    yield [], end
    for packet, pts, dts in _with_decoding_times(container.demux(stream)):
        packet.pts, packet.dts = pts - shift, dts - shift
        end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
        packet.stream = copy
        yield [packet], end


def _with_decoding_times(packets: Iterable[av.Packet]) -> Iterator[tuple[av.Packet, int, int]]:
    """
    Packets with their presentation and decoding times. Matroska leaves out the decoding times of the first packets:
    they are counted back from the first that is there.
    """
    waiting: list[tuple[av.Packet, int]] = []
    for packet in packets:
        if not packet.size or packet.pts is None:  # the mark of the end
            continue
        waiting.append((packet, packet.pts))
        if packet.dts is None and len(waiting) < 32:
            continue
        yield from _count_back(waiting, packet.dts)
        waiting = []
    yield from _count_back(waiting, None)


def _count_back(packets: list[tuple[av.Packet, int]], last: int | None) -> Iterator[tuple[av.Packet, int, int]]:
    if last is None:
        last = min((pts for _, pts in packets), default=0)
    for position, (packet, pts) in enumerate(packets):
        yield packet, pts, last - (len(packets) - 1 - position) * (packet.duration or 1)


def _encoded(
    timed: Iterable[TimedPicture], output: OutputContainer, rate: Fraction | None, encoding: Encoding
) -> Packets:
    """Every picture encoded at its own time; those of another size are fitted into that of the first."""
    clock, last = 90_000, -1
    rate = rate if rate and 1 <= rate <= _FASTEST else Fraction(25)
    stream = output.add_stream("libx264", rate=rate, options={"crf": str(encoding.crf), "preset": "veryfast"})
    stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, clock)
    size, end = None, Fraction(0)
    for frame, time, duration, pixel_shape in timed:
        picture = _as_seen(frame, pixel_shape)
        if size is None:
            size = stream.width, stream.height = _even_size(picture.width, picture.height, encoding.max_height)
            yield [], end
        picture = _fitted(picture, *size).reformat(*size, format="yuv420p")
        last = max(round(time * clock), last + 1)
        picture.pts, picture.time_base = last, Fraction(1, clock)
        picture.duration = round(duration * clock)
        picture.pict_type = 0
        end = time + duration
        yield stream.encode(picture), end
    yield stream.encode(None), end


def _even_size(width: int, height: int, max_height: int | None) -> tuple[int, int]:
    """Width and height with even sides, at most `max_height` lines."""
    scale = min(1.0, (max_height or height) / height)
    return max(round(width * scale) & ~1, 2), max(round(height * scale) & ~1, 2)


def _as_seen(frame: Picture, pixel_shape: Fraction) -> av.VideoFrame:
    """A frame upright and with square pixels."""
    if isinstance(frame, np.ndarray) or pixel_shape != 1 or any(orientation(frame)):
        return av.VideoFrame.from_ndarray(to_rgb(frame, pixel_shape), "rgb24")
    return frame


def _fitted(picture: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """A picture of another shape as large as it fits into the middle of a black one; others as they are."""
    scale = min(width / picture.width, height / picture.height)
    inner = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    if abs(inner[0] - width) <= 1 and abs(inner[1] - height) <= 1:
        return picture
    canvas = np.zeros((height, width, 3), np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    pixels = picture.to_ndarray(format="rgb24", width=inner[0], height=inner[1])
    canvas[top : top + inner[1], left : left + inner[0]] = pixels
    return av.VideoFrame.from_ndarray(canvas, "rgb24")


def _mux(packets: Packets, output: OutputContainer, waveform: np.ndarray | _Blocks, sampling_rate: int) -> None:
    """Interleave pictures and sound."""
    track = None
    for block, end in packets:
        if track is None:  # the video stream comes first in the file
            track = _AudioTrack(output, "aac", "fltp", waveform, sampling_rate, _aac_rate(sampling_rate))
        output.mux(block)
        track.write(end)
    if isinstance(waveform, _Blocks):
        waveform.drain()
    if track is not None:
        track.close()


__all__ = ["Encoding", "mux_audio", "open_audio", "read_audio", "write_audio", "write_pictures"]
