"""Video and sound, in and out, with PyAV: pictures at the model's frame rate, sound, and videos with new sound.

Everything is streamed: however long the video, only a few pictures are in memory at a time.
"""

import contextlib
import io
import logging
import math
import os
import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import uuid
from fractions import Fraction

import av
import numpy as np

from .errors import Lip2WavError


logger = logging.getLogger(__name__)

DOWNLOAD_TIMEOUT = 30.0  # seconds without an answer
DOWNLOAD_LIMIT = 4 << 30  # bytes

_AUDIO_CODECS = {".wav": ("wav", "pcm_s16le"), ".flac": ("flac", "flac")}
_PICTURE_FORMATS = re.compile(r"image2|tty|.*_pipe|bin|xbin|adf|idf")  # demuxers of still pictures and of text art
_COPYABLE_FORMATS = re.compile(r"mov,mp4|matroska")  # their packets all have true presentation and decoding times
_AAC_RATE = 48000
_REORDERING = 1  # second: timestamps that go back by less are jitter, by more a new beginning
_DISCONTINUITY = 60  # seconds: a longer jump of the timestamps is a fault of the file, not a long picture


class VideoError(Lip2WavError):
    """A video or sound that cannot be read or written; the message names it, the cause and the remedy."""


# ---------------------------------------------------------------------------------------------------------------------
# Sources: what the user passed, as something that PyAV opens
# ---------------------------------------------------------------------------------------------------------------------


class _Source:
    """A path, URL, bytes or file object as the `target` of `av.open`; `close` removes what was downloaded."""

    def __init__(self, video, timeout=DOWNLOAD_TIMEOUT, max_bytes=DOWNLOAD_LIMIT):
        self._temporary = None
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

    def _init_from_location(self, location, timeout, max_bytes):
        location = os.fsdecode(location)
        self.name = location
        scheme = re.match(r"(https?|file):|([A-Za-z][\w+.-]+)://", location, re.IGNORECASE)
        if scheme and scheme[2]:
            raise VideoError(f"{location}: {scheme[2]}: addresses are not read. Use http(s):, file: or a path.")
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

    def _init_from_file_object(self, file, max_bytes):
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

    def _download(self, url, timeout, max_bytes):
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

    def _spool(self, stream, max_bytes, expected_bytes=0):
        """Copy a stream that cannot be rewound into a temporary file; returns the path."""
        too_large = f"{self.name}: it is larger than the limit of {max_bytes} bytes. Raise max_bytes= to allow it."
        if expected_bytes > max_bytes:
            raise VideoError(too_large)
        suffix = os.path.splitext(urllib.parse.urlsplit(self.name).path)[1][:8]
        self._temporary = tempfile.NamedTemporaryFile(prefix="lip2wav-", suffix=suffix)
        received = 0
        while block := stream.read(1 << 18):
            received += len(block)
            if received > max_bytes:
                self.close()
                raise VideoError(too_large)
            self._temporary.write(block)
        self._temporary.flush()
        if received == 0 or received < expected_bytes:
            self.close()
            raise VideoError(f"{self.name}: only {received} bytes came before the connection closed. Try again.")
        return self._temporary.name

    def open(self):
        """The PyAV container; its decoders start from the beginning, however often it is opened."""
        if hasattr(self.target, "seek"):
            self.target.seek(0)
        try:
            container = av.open(self.target, metadata_errors="replace")
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

    def close(self):
        if hasattr(self.target, "seek") and not getattr(self.target, "closed", False):
            self.target.seek(0)
        if self._temporary is not None:
            self._temporary.close()
            self._temporary = None


def _check_rate(value, what, name):
    """`value` as a fraction: 25.0 and 29.97 exactly as written."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        rate = Fraction(value if isinstance(value, Fraction) else float(value)).limit_denominator(10_000)
        if rate > 0:
            return rate
    raise VideoError(f"{name}: {what} is {value!r}, but it must be a positive number of frames per second.")


def _check_array(array, fps):
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


def _video_stream(container, name):
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        found = "only sound" if container.streams.audio else "no pictures"
        raise VideoError(f"{name}: it has {found}, no video stream. Pass a file with a video stream.")
    stream = streams[0]
    stream.thread_type = "AUTO"
    return stream


def _decode(container, stream, name):
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


def _has_presentation_times(container):
    return container.format.name != "avi"  # which has only the order of decoding, and a clock for that


def _timed(container, stream, name, fps=None):
    """(frame, time, duration) in seconds after the first frame; frames without timestamps follow the one before."""
    clock = "pts" if _has_presentation_times(container) else "dts"
    yield from _count_on(_decode(container, stream, name), stream, name, fps, clock)


def _count_on(frames, stream, name, fps=None, clock="pts"):
    period = 1 / (fps or stream.guessed_rate or stream.average_rate or Fraction(25))
    origin, end, last, jumps = None, Fraction(0), None, 0
    for frame in frames:
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


def _resample(timed, rate, tolerance):
    """(item, repeats): how often each item is shown when it is sampled at k / rate for k = 0, 1, …"""
    shown, previous, end = 0, None, None

    def repeats(until):
        return max(math.ceil((until - tolerance) * rate) - shown, 0)

    for item, time, duration in timed:
        if previous is not None and (count := repeats(time)):
            yield previous, count
            shown += count
        previous, end = item, time + duration
    if previous is not None and (count := max(repeats(end), not shown)):
        yield previous, count


def _tolerance(time_base, rate):
    """Seconds by which containers with coarse clocks (1 ms in Matroska, 10 ms in GIF) round the times of frames."""
    return min(time_base, 1 / (8 * rate)) if time_base and time_base <= Fraction(1, 100) else Fraction(0)


def _quarter_turns(frame):
    return round(frame.rotation / 90) % 4


def _to_rgb(frame, size=None):
    """A PyAV frame or a picture of an array as (height, width, 3), upright; `size` is (width, height) before that."""
    if isinstance(frame, np.ndarray):
        return np.repeat(frame[..., None], 3, axis=2) if frame.ndim == 2 else frame.copy()
    width, height = size or (None, None)
    picture = frame.to_ndarray(format="rgb24", width=width, height=height)
    turns = _quarter_turns(frame)
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


class VideoReader:
    """
    The pictures of a video at a fixed frame rate, one at a time.

    At `k / frame_rate` seconds after the first frame, the picture is the one that a player would show: the last frame
    that began by then. A video that has this frame rate already gives its own frames. Rotation metadata is applied.

    Args:
        video (`str`, `os.PathLike`, `bytes`, binary file object or `np.ndarray`):
            A path, a `file:` or `http(s):` URL, the content of a video file, a file object (read from its beginning),
            or uint8 pictures `(frames, height, width, 3)` in RGB or `(frames, height, width)` in gray.
        frame_rate (`float`, *optional*, defaults to 25.0): Pictures per second to return.
        fps (`float`, *optional*):
            Frames per second of `video`. Required for an array; for a file it replaces the timestamps of the file.
        timeout (`float`, *optional*, defaults to 30.0): Seconds to wait for a server.
        max_bytes (`int`, *optional*, defaults to 4 GiB): Size in bytes above which a download is refused.

    Raises:
        VideoError: the video cannot be opened; or, on the first picture, nothing in it can be decoded.

    Example:

    ```python
    >>> with VideoReader("clip.mpg", frame_rate=25) as reader:
    ...     for picture in reader:  # uint8 (height, width, 3)
    ...         ...
    ```
    """

    def __init__(self, video, frame_rate=25.0, fps=None, *, timeout=DOWNLOAD_TIMEOUT, max_bytes=DOWNLOAD_LIMIT):
        self._source = self._container = None
        if isinstance(video, np.ndarray):
            self.name = _check_array(video, fps)
        else:
            self._source = _Source(video, timeout, max_bytes)
            self.name = self._source.name
        try:
            rate = _check_rate(frame_rate, "frame_rate", self.name)
            fps = None if fps is None else _check_rate(fps, "fps", self.name)
            if self._source is None:
                self.expected_frames = math.ceil(len(video) / fps * rate)
                timed, tolerance = ((picture, k / fps, 1 / fps) for k, picture in enumerate(video)), 0
            else:
                self._container = self._source.open()
                stream = _video_stream(self._container, self.name)
                self.expected_frames = _expected_frames(self._container, stream, rate, fps)
                timed = _timed(self._container, stream, self.name, fps)
                tolerance = 0 if fps else _tolerance(stream.time_base, rate)
        except Exception:
            self._release()
            raise
        self._pictures = self._iterate(_resample(timed, rate, tolerance))

    def _iterate(self, resampled):
        size = None
        try:
            for frame, repeats in resampled:
                size = size or (None if isinstance(frame, np.ndarray) else (frame.width, frame.height))
                picture = _to_rgb(frame, size)
                yield picture
                for _ in range(repeats - 1):
                    yield picture.copy()
                del picture
            if self._source is not None and size is None:
                raise _nothing_decoded(self.name)
        finally:
            self._release()

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._pictures)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Let go of the file; a download is removed. No further picture comes."""
        self._pictures.close()
        self._release()

    def _release(self):
        if self._container is not None:
            self._container.close()
            self._container = None
        if self._source is not None:
            self._source.close()


def _nothing_decoded(name):
    return VideoError(f"{name}: not one picture in it can be decoded; it is damaged or not finished. Get it again.")


def _expected_frames(container, stream, rate, fps=None):
    seconds = None
    if fps is not None:
        seconds = stream.frames / fps if stream.frames else None
    elif stream.duration:
        seconds = stream.duration * stream.time_base
    elif stream.frames and stream.average_rate:
        seconds = stream.frames / stream.average_rate
    elif container.duration:
        seconds = Fraction(container.duration, av.time_base)
    return math.ceil(seconds * rate - Fraction(1, 100)) if seconds else None


# ---------------------------------------------------------------------------------------------------------------------
# Sound
# ---------------------------------------------------------------------------------------------------------------------


def _first_frame(source):
    """The first frame that can be decoded, or `None` if there is no video stream."""
    with source.open() as container:
        if not [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]:
            return None
        return next(_decode(container, _video_stream(container, source.name), source.name), None)


def _start_time(frame):
    return frame.pts * frame.time_base if frame is not None and frame.pts is not None else None


def read_audio(video, sampling_rate=16000, *, timeout=DOWNLOAD_TIMEOUT, max_bytes=DOWNLOAD_LIMIT):
    """
    The sound of a video (or of a sound file), mono: the mean of its channels.

    Args:
        video (`str`, `os.PathLike`, `bytes` or binary file object): As for [`VideoReader`].
        sampling_rate (`int`, *optional*, defaults to 16000): In Hz.

    Returns:
        `np.ndarray` of float32 `(samples,)`, in -1 to 1, whose sample 0 sounds with the first picture; `None` if there
        is no sound.
    """
    if isinstance(video, np.ndarray):
        return None
    with contextlib.closing(_Source(video, timeout, max_bytes)) as source:
        first = _first_frame(source)
        with source.open() as container:
            video_start = _start_time(first) if _has_presentation_times(container) else Fraction(0)
            if not container.streams.audio:
                return None
            stream = container.streams.audio[0]
            stream.thread_type = "AUTO"
            audio_start, blocks = _resampled_blocks(_decode(container, stream, source.name), sampling_rate)
    if not blocks:
        return None
    waveform = np.concatenate(blocks)
    if video_start is None or audio_start is None:
        return waveform
    lead = round((audio_start - video_start) * sampling_rate)
    return np.pad(waveform, (lead, 0)) if lead > 0 else waveform[-lead:]


def _resampled_blocks(frames, sampling_rate):
    """(time of the first sample, float32 blocks)."""
    start, blocks, resampler, layout = None, [], None, None
    for frame in frames:
        if start is None:
            start = _start_time(frame)
        if layout != (frame.format.name, frame.layout.name, frame.sample_rate):  # may change in the middle of a stream
            blocks += _blocks(resampler, None)
            layout = (frame.format.name, frame.layout.name, frame.sample_rate)
            resampler = av.AudioResampler("fltp", frame.layout.name, sampling_rate)
        frame.pts = None
        blocks += _blocks(resampler, frame)
    return start, blocks + _blocks(resampler, None)


def _blocks(resampler, frame):
    if resampler is None:
        return []
    return [block.to_ndarray().mean(axis=0, dtype=np.float32) for block in resampler.resample(frame)]


def _check_waveform(waveform, sampling_rate, name):
    waveform = np.asarray(waveform)
    if waveform.ndim != 1 or not waveform.size or waveform.dtype.kind != "f":
        raise VideoError(
            f"{name}: the waveform is {waveform.dtype} of shape {waveform.shape}; "
            "it must be floating point, (samples,), not empty."
        )
    if not np.isfinite(waveform).all():
        raise VideoError(f"{name}: the waveform contains NaN or infinite samples; nothing was written.")
    if not (isinstance(sampling_rate, (int, np.integer)) and sampling_rate > 0):
        raise VideoError(f"{name}: the sampling rate is {sampling_rate!r}; it must be a positive whole number of Hz.")
    return np.clip(waveform, -1.0, 1.0).astype(np.float32)


@contextlib.contextmanager
def _replacing(path):
    """A temporary path beside `path`, which takes its place when the block ends well and vanishes otherwise."""
    path = os.fspath(path)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise VideoError(f"{path}: the folder {folder} does not exist. Create it first.")
    if os.path.isdir(path):
        raise VideoError(f"{path}: it is a folder. Name a file in it.")
    temporary = os.path.join(folder, f".{uuid.uuid4().hex}{os.path.splitext(path)[1]}")
    try:
        yield temporary
        os.replace(temporary, path)
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: it cannot be written ({getattr(error, 'strerror', None) or error}).") from error
    finally:
        with contextlib.suppress(OSError):
            os.remove(temporary)


def _suffix(path, supported):
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in supported:
        raise VideoError(f"{path}: files of the kind {suffix!r} are not written. Use {' or '.join(supported)}.")
    return suffix


def write_audio(path, waveform, sampling_rate):
    """
    Write a sound file, 16 bit: `.wav` or `.flac` by the suffix of `path`. It appears whole or not at all.

    Args:
        path (`str` or `os.PathLike`): Where to write.
        waveform (`np.ndarray`): `(samples,)`, floating point; clipped to -1 to 1.
        sampling_rate (`int`): In Hz.
    """
    container_format, codec = _AUDIO_CODECS[_suffix(path, _AUDIO_CODECS)]
    waveform = _check_waveform(waveform, sampling_rate, path)
    with _replacing(path) as temporary, av.open(temporary, "w", format=container_format) as container:
        track = _AudioTrack(container, codec, "s16", waveform, sampling_rate, sampling_rate)
        track.write(Fraction(len(waveform), int(sampling_rate)))
        track.close()


class _AudioTrack:
    """A waveform that is encoded into a container little by little, so that sound and pictures lie side by side."""

    def __init__(self, container, codec, sample_format, waveform, sampling_rate, encoder_rate):
        self.container, self.waveform, self.sampling_rate = container, waveform, int(sampling_rate)
        self.stream = container.add_stream(codec, rate=int(encoder_rate), layout="mono", format=sample_format)
        self.sample_format, self.written = sample_format, 0
        self.resampler = av.AudioResampler(sample_format, "mono", int(encoder_rate))

    def write(self, until):
        """Encode up to `until` seconds, with silence where the waveform has ended."""
        end = round(until * self.sampling_rate)
        while self.written < end:
            count = min(end - self.written, self.sampling_rate)
            block = np.zeros(count, np.float32)
            part = self.waveform[self.written : self.written + count]
            block[: len(part)] = part
            self._encode(block)
            self.written += count

    def _encode(self, block):
        if self.sample_format == "s16":
            frame = av.AudioFrame.from_ndarray(np.round(block * 32767).astype(np.int16)[None], "s16", "mono")
        else:
            frame = av.AudioFrame.from_ndarray(block[None], "flt", "mono")
        frame.sample_rate = self.sampling_rate
        frame.pts, frame.time_base = self.written, Fraction(1, self.sampling_rate)
        for resampled in self.resampler.resample(frame):
            self.container.mux(self.stream.encode(resampled))

    def close(self):
        for resampled in self.resampler.resample(None):
            self.container.mux(self.stream.encode(resampled))
        self.container.mux(self.stream.encode(None))


# ---------------------------------------------------------------------------------------------------------------------
# Pictures with new sound
# ---------------------------------------------------------------------------------------------------------------------


def mux_audio(video, waveform, sampling_rate, path, fps=None, *, timeout=DOWNLOAD_TIMEOUT, max_bytes=DOWNLOAD_LIMIT):
    """
    Write an `.mp4` (H.264 and AAC, as browsers play it) of the pictures of `video` with `waveform` as their sound.

    The pictures keep their own times. H.264 that browsers play is copied; all else is encoded anew, upright and with
    even sides. The sound begins with the first picture and is cut, or followed by silence, to the end of the last.

    Args:
        video: As for [`VideoReader`].
        waveform (`np.ndarray`): `(samples,)`, floating point; clipped to -1 to 1.
        sampling_rate (`int`): Of `waveform`, in Hz.
        path (`str` or `os.PathLike`): Where to write; it appears whole or not at all.
        fps (`float`, *optional*): As for [`VideoReader`].
    """
    _suffix(path, (".mp4",))
    waveform = _check_waveform(waveform, sampling_rate, path)
    with contextlib.ExitStack() as stack:
        if isinstance(video, np.ndarray):
            source, name = None, _check_array(video, fps)
        else:
            source = stack.enter_context(contextlib.closing(_Source(video, timeout, max_bytes)))
            name = source.name
        fps = None if fps is None else _check_rate(fps, "fps", name)
        first = video[0] if source is None else _first_frame(source)
        container = stream = None
        if source is not None:
            container = stack.enter_context(source.open())
            stream = _video_stream(container, name)
            if first is None:
                raise _nothing_decoded(name)
        temporary = stack.enter_context(_replacing(path))
        output = stack.enter_context(av.open(temporary, "w", format="mp4", options={"movflags": "+faststart"}))
        if source is not None and fps is None and _can_copy(container, stream, first):
            packets = _copied(container, stream, output, _start_time(first))
        elif source is None:
            timed = ((picture, k / fps, 1 / fps) for k, picture in enumerate(video))
            packets = _encoded(timed, output, fps)
        else:
            timed = _timed(container, stream, name, fps)
            packets = _encoded(timed, output, fps or stream.average_rate, stream)
        _mux(packets, output, waveform, sampling_rate)


def _can_copy(container, stream, first):
    return bool(
        stream.codec_context.name == "h264"
        and first.format.name == "yuv420p"
        and first.pts is not None
        and not first.rotation
        and _COPYABLE_FORMATS.match(container.format.name)
    )


def _copied(container, stream, output, start):
    """(packets, seconds they end at): the packets of the source, their times counted from the first picture."""
    copy = output.add_stream_from_template(stream)
    shift, end = round(start / stream.time_base), Fraction(0)
    yield [], end
    for packet in _with_decoding_times(container.demux(stream)):
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
        packet.stream = copy
        yield [packet], end


def _with_decoding_times(packets):
    """Matroska leaves out the decoding times of the first packets: count them back from the first that is there."""
    waiting = []
    for packet in packets:
        if not packet.size or packet.pts is None:  # the mark of the end
            continue
        waiting.append(packet)
        if packet.dts is None and len(waiting) < 32:
            continue
        yield from _count_back(waiting, packet.dts)
        waiting = []
    yield from _count_back(waiting, None)


def _count_back(packets, last):
    if packets and last is None:
        last = min(packet.pts for packet in packets)
    for position, packet in enumerate(packets):
        packet.dts = last - (len(packets) - 1 - position) * (packet.duration or 1)
        yield packet


def _encoded(timed, output, rate, source_stream=None):
    """(packets, seconds they end at): every picture encoded at its own time."""
    clock = 90_000
    stream = output.add_stream("libx264", rate=rate or 25, options={"crf": "18", "preset": "veryfast"})
    stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, clock)
    size, end = None, Fraction(0)
    for frame, time, duration in timed:
        if size is None:
            upright = _upright(frame)
            size = stream.width, stream.height = max(upright.width & ~1, 2), max(upright.height & ~1, 2)
            stream.codec_context.sample_aspect_ratio = _pixel_shape(frame, source_stream)
            yield [], end
        picture = _upright(frame).reformat(*size, format="yuv420p")
        picture.pts, picture.time_base = round(time * clock), Fraction(1, clock)
        picture.duration = round(duration * clock)
        picture.pict_type = 0
        end = time + duration
        yield stream.encode(picture), end
    yield stream.encode(None), end


def _pixel_shape(frame, source_stream):
    """Width / height of a pixel, which turns with the picture."""
    shape = source_stream.sample_aspect_ratio if source_stream is not None else None
    if not shape:
        return Fraction(1)
    return 1 / shape if _quarter_turns(frame) % 2 else shape


def _upright(frame):
    if isinstance(frame, np.ndarray) or _quarter_turns(frame):
        return av.VideoFrame.from_ndarray(_to_rgb(frame), "rgb24")
    return frame


def _mux(packets, output, waveform, sampling_rate):
    """Interleave pictures and sound."""
    track = None
    end = Fraction(0)
    for block, end in packets:
        if track is None:  # the video stream comes first in the file
            aac_rates = av.Codec("aac", "w").audio_rates
            rate = sampling_rate if sampling_rate in aac_rates else _AAC_RATE
            track = _AudioTrack(output, "aac", "fltp", waveform, sampling_rate, rate)
        output.mux(block)
        track.write(end)
    track.close()
