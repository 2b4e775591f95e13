"""Videos that come from a browser: what they may measure, and messages for the person who sent them."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

import av
import numpy as np

from ..errors import Lip2WavError
from ..sources import Source
from ..speaking import LOW_FACE_COVERAGE, LOW_TEXT_CONFIDENCE, OTHER_FACE, SHORT_SECONDS, SpokenVideo
from ..video import VideoError, VideoReader, open_pictures


class RequestError(Lip2WavError):
    """A video that the page does not take; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Limits:
    """
    What a video may measure.

    Args:
        seconds (`float`, *optional*, defaults to 30.0): Longest duration.
        megabytes (`float`, *optional*, defaults to 50.0): Largest file, in units of 10^6 bytes.
        pixels (`int`, *optional*, defaults to 3840 x 2160): Largest picture.
        frame_rate (`float`, *optional*, defaults to 120.0): Most pictures per second on average.
        allow_private (`bool`, *optional*, defaults to `False`): Whether playlists and addresses are taken, also those
            that lead to private networks and to files of this machine.
    """

    seconds: float = 30.0
    megabytes: float = 50.0
    pixels: int = 3840 * 2160
    frame_rate: float = 120.0
    allow_private: bool = False


def check_video(path: str | None, limits: Limits) -> str:
    """
    Refuse what is no video or goes beyond the limits, before the work begins.

    The pictures are counted from the packets in the file, not taken from what its header promises.

    Returns:
        `str`: the path.

    Raises:
        RequestError: with what is wrong and what to do.
    """
    if not path:
        raise RequestError(
            "There is no video yet. Upload a file, record yourself, or take the example; then press Speak."
        )
    name = os.path.basename(path)
    if not os.path.isfile(path) and not limits.allow_private:
        raise RequestError(f"{name}: this is no file that was sent. Upload the video itself.")
    size = os.path.getsize(path) / 1e6 if os.path.isfile(path) else 0.0
    if size > limits.megabytes:
        raise RequestError(
            f"{name} has {size:.0f} MB; this page takes up to {limits.megabytes:g} MB. Cut it or make its pictures"
            " smaller."
        )
    try:
        with VideoReader(path, allow_private=limits.allow_private, max_bytes=int(limits.megabytes * 1e6)):
            pass
        pixels, seconds, frames = _measure(path, limits)
    except VideoError as error:
        raise RequestError(without_folder(error, path)) from error
    if seconds > limits.seconds:
        raise RequestError(
            f"{name} is longer than {limits.seconds:g} seconds, the most that this page takes. Cut it, or use"
            " `lip2wav speak` on your own machine: it has no limit."
        )
    if pixels > limits.pixels or frames > limits.frame_rate * max(limits.seconds, 1):
        raise RequestError(
            f"{name} has larger pictures, or more of them per second, than this page takes (3840 x 2160,"
            f" {limits.frame_rate:g} per second). Save it smaller; 360 lines and 25 per second are plenty."
        )
    return path


def _measure(path: str, limits: Limits) -> tuple[int, float, int]:
    """(pixels of a picture, seconds, pictures): counting ends as soon as a limit is passed."""
    frames, first, last = 0, None, 0.0
    source = Source(path, allow_private=limits.allow_private)
    container, stream = open_pictures(source)
    with contextlib.closing(source), container:
        pixels = stream.codec_context.width * stream.codec_context.height
        try:
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                frames += 1
                stamp = packet.pts if packet.pts is not None else packet.dts
                now = float(stamp * packet.time_base) if stamp is not None else frames / (stream.average_rate or 25)
                first = now if first is None else min(first, now)
                last = max(last, now)
                if last - first > limits.seconds or frames > limits.frame_rate * max(limits.seconds, 1):
                    break
        except av.FFmpegError:  # damaged: the pipeline takes what comes before, or says that nothing does
            pass
    return pixels, float(last - (first or 0.0)), frames


def doubts(result: SpokenVideo, reads_words: bool = True) -> list[str]:
    """
    Why the speech of a video is probably wrong; empty where nothing says so.

    Args:
        result (`SpokenVideo`): what a pipeline gave.
        reads_words (`bool`, *optional*, defaults to `True`): whether its model finds words too.
    """
    found = []
    if result["face_coverage"] < LOW_FACE_COVERAGE:
        found.append(f"a face is seen in only {result['face_coverage']:.0%} of the pictures; the rest is guessed")
    if result.get("other_face"):
        found.append(OTHER_FACE)
    if len(audio := result.get("audio", ())) and len(audio) / result["sampling_rate"] < SHORT_SECONDS:
        found.append("the video is very short, too short for a sentence")
    confidences = [word["confidence"] for word in result["words"]]
    if not reads_words:
        return found
    if not confidences:
        found.append("no words were recognised")
    elif np.mean(confidences) < LOW_TEXT_CONFIDENCE:
        found.append(f"the words are uncertain ({np.mean(confidences):.0%} on average)")
    return found


def without_folder(error: Exception, path: str) -> str:
    """The message with the name of the file as its owner knows it."""
    return str(error).replace(path, os.path.basename(path))


__all__ = ["Limits", "RequestError", "check_video", "doubts", "without_folder"]
