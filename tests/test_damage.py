"""Files of which a part cannot be decoded, and files with several videos: what is read of them."""

import random
import re
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from lip2wav_hf.audio import is_whole_h264, mux_audio
from lip2wav_hf.video import VideoError, VideoReader
from little_videos import numbers, picture, write_video


def damage(folder, begin, end):
    """A video of 12 s with a key picture each second, some of whose packets are noise."""
    options = {"g": "25", "keyint_min": "25", "sc_threshold": "0", "bf": "0"}
    write_video(folder / "whole.mp4", 300, options=options)
    rng = random.Random(1)
    with av.open(str(folder / "whole.mp4")) as source, av.open(str(folder / "damaged.mkv"), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            if begin <= number < end:
                bad = av.Packet(rng.randbytes(max(packet.size, 16)))
                bad.pts, bad.dts, bad.duration = packet.pts, packet.dts, packet.duration
                bad.time_base = packet.time_base
                packet = bad
            packet.stream = stream
            output.mux(packet)
    return folder / "damaged.mkv"


@pytest.mark.parametrize(("begin", "end"), [(100, 220), (50, 90), (250, 300), (30, 290)])
def test_damage_of_any_length_is_held(tmp_path, caplog, begin, end):
    """Of a video with a key picture each second; the warning says how much is missing."""
    damaged = damage(tmp_path, begin, end)
    got = numbers(VideoReader(damaged))
    assert len(got) == 300
    after = -(-end // 25) * 25  # the next key picture
    assert got[:begin] == [number % 26 for number in range(begin)]
    assert got[after:] == [number % 26 for number in range(after, 300)]
    missing = float(caplog.text.partition(" s of its pictures are missing")[0].rpartition(" ")[2])
    assert (end - begin) / 25 - 0.1 <= missing <= (after - begin) / 25 + 0.1


@pytest.mark.parametrize("is_damaged", [True, False])
def test_damage_does_not_go_into_the_mp4(tmp_path, is_damaged):
    """Browsers stop at a packet that is no picture: such a file is encoded again, and any other is copied."""
    video = damage(tmp_path, 100, 120) if is_damaged else damage(tmp_path, 0, 0)
    mux_audio(video, np.zeros(16_000 * 12, np.float32), 16_000, tmp_path / "out.mp4")
    found, pictures = [], 0
    for path in (tmp_path / "whole.mp4", tmp_path / "out.mp4"):
        with av.open(str(path)) as container:
            found.append([bytes(packet) for packet in container.demux(video=0) if packet.size])
    with av.open(str(tmp_path / "out.mp4")) as container:
        for packet in container.demux(video=0):
            pictures += len(packet.decode())  # none raises
    assert (found[0] == found[1]) is not is_damaged
    assert numbers(VideoReader(tmp_path / "out.mp4"))[130:] == [number % 26 for number in range(130, 300)]
    assert pictures >= 275


@pytest.mark.parametrize(
    ("packet", "length_bytes", "is_whole"),
    [
        *((b"\0\0\0\2\x65a", 4, True), (b"\0\2\x41a\0\1\x06", 2, True), (b"\0\0\0\1\x65a", 0, True)),
        *((b"\0\0\1\x09a\0\0\1\x41b", 0, True), (b"\0\0\0\3\x65a", 4, False), (b"\0\0\0\0", 4, False)),
        *((b"\0\0\0\2\xe5a", 4, False), (b"\0\0\0\2\x06a", 4, False), (b"noise", 0, False), (b"\0", 4, False)),
        *((b"\0\0\0\2\x65ab", 4, False), (b"\0\0\0\2\x7fa", 4, False), (b"\0\0\1", 0, False)),
    ],
)
def test_units_of_h264(packet, length_bytes, is_whole):
    assert is_whole_h264(packet, length_bytes) is is_whole


def test_a_beginning_without_key_picture_is_left_out(tmp_path, caplog):
    options = {"g": "100", "keyint_min": "100", "sc_threshold": "0", "bf": "0"}
    content = write_video(tmp_path / "whole.ts", 300, options=options).read_bytes()
    with av.open(str(tmp_path / "whole.ts")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    cut = next(packet.pos for packet in packets[20:]) // 188 * 188
    (tmp_path / "cut.ts").write_bytes(content[cut:])
    got = numbers(VideoReader(tmp_path / "cut.ts"))
    assert got == [number % 26 for number in range(100, 300)]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'cut.ts'}: its first 3.20 s cannot be shown: they build on a picture that is not in it."
    ]
    caplog.clear()
    assert len(numbers(VideoReader(tmp_path / "whole.ts"))) == 300 and not caplog.records


def test_a_trimmed_beginning_is_not_missing(tmp_path, caplog):
    """An edit list says that the first second is not to be shown, as where a phone has cut a video."""
    options = {"g": "100", "keyint_min": "100", "sc_threshold": "0", "bf": "0"}
    write_video(tmp_path / "whole.mp4", 60, options=options)
    with (
        av.open(str(tmp_path / "whole.mp4")) as source,
        av.open(str(tmp_path / "cut.mp4"), "w", options={"avoid_negative_ts": "disabled"}) as output,
    ):
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in [packet for packet in source.demux(video=0) if packet.size]:
            begin = round(1 / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - begin, packet.dts - begin, stream
            output.mux(packet)
    assert numbers(VideoReader(tmp_path / "cut.mp4")) == [number % 26 for number in range(25, 60)]
    assert not caplog.records


def test_nothing_but_what_depends_on_a_missing_beginning(tmp_path, caplog):
    """As a recording whose first packet, the only key picture, is lost: the decoder takes the rest without a word."""
    write_video(tmp_path / "whole.mkv", 60, options={"g": "100", "keyint_min": "100", "sc_threshold": "0"})
    with av.open(str(tmp_path / "whole.mkv")) as source, av.open(str(tmp_path / "cut.mkv"), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in [packet for packet in source.demux(video=0) if packet.size][2:]:
            packet.stream = stream
            output.mux(packet)
    with pytest.raises(VideoError, match=r"cut\.mkv: not one picture in it can be decoded"):
        numbers(VideoReader(tmp_path / "cut.mkv"))
    assert not caplog.records


def test_a_second_recording_in_another_form_is_told_of(tmp_path, caplog):
    """The decoder takes it without a word, and gives no pictures."""
    for name, codec in (("a.ts", "mpeg2video"), ("b.ts", "libx264")):
        write_video(tmp_path / name, 30, codec=codec)
    (tmp_path / "ab.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    assert numbers(VideoReader(tmp_path / "a.ts")) == list(range(26)) + list(range(4)) and not caplog.records
    assert len(numbers(VideoReader(tmp_path / "ab.ts"))) == 30
    assert re.search(r"ab\.ts: its last \d\d pictures are in another form", caplog.text)


def two_videos(path, first, second, marks=(None, None)):
    """A file of two streams: each a list of gray levels and a size."""
    with av.open(str(path), "w") as output:
        streams = []
        for (levels, size), mark in zip((first, second), marks, strict=True):
            stream = output.add_stream("mjpeg" if len(levels) == 1 else "libx264", rate=25)
            stream.width, stream.height = size
            stream.pix_fmt = "yuvj420p" if len(levels) == 1 else "yuv420p"
            if mark is not None:
                stream.disposition = mark
            streams.append(stream)
        for stream, (levels, size) in zip(streams, (first, second), strict=True):
            for number, each in enumerate(levels):
                frame = av.VideoFrame.from_ndarray(picture(each, *size), "rgb24").reformat(format=stream.pix_fmt)
                frame.pts, frame.time_base = number, Fraction(1, 25)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return path


MOVING, GRAY = list(range(20)), [9] * 20


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize(
    ("first", "marks", "is_told"),
    [
        (([3], (320, 240)), (None, None), False),  # a still, though it is larger
        ((GRAY, (64, 36)), (None, None), True),  # a preview, which muxers mark as the default
        ((GRAY, (320, 240)), (Disposition(0), Disposition.default), True),
        ((GRAY, (120, 90)), (Disposition(0), Disposition(0)), True),
    ],
)
def test_the_video_among_several(tmp_path, caplog, suffix, first, marks, is_told):
    path = two_videos(tmp_path / f"two{suffix}", first, (MOVING, (240, 180)), marks)
    assert numbers(VideoReader(path)) == MOVING
    assert numbers(VideoReader(path.read_bytes())) == MOVING  # a file object has one position
    assert ("of its 2 videos, stream 1 is read" in caplog.text) == is_told


def test_a_video_of_two_equal_streams_is_the_first(tmp_path):
    path = two_videos(tmp_path / "two.ts", (MOVING, (240, 180)), (GRAY, (240, 180)))
    assert numbers(VideoReader(path)) == MOVING
    assert np.ptp(next(VideoReader(path))) <= 2
