"""Where videos come from: file objects of every origin, pipes, playlists, collections; and what is refused."""

import bz2
import functools
import gzip
import http.server
import io
import logging
import lzma
import mmap
import os
import socket
import tempfile
import threading
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest

from lip2wav_hf.audio import audio_rate, read_audio
from lip2wav_hf.corpora.defects import count_frames
from lip2wav_hf.sources import Source, VideoPart, each_video, is_private
from lip2wav_hf.video import VideoError, VideoReader
from little_videos import RATE, numbers, picture, write_video


EXPECTED = [number % 26 for number in range(30)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("clips") / "clip.mp4", 30)


# --- file objects ----------------------------------------------------------------------------------------------------


def spooled(path, folder):
    file = tempfile.SpooledTemporaryFile(max_size=1 << 24)
    file.write(path.read_bytes())
    return file


def packed(opener):
    def pack(path, folder):
        with opener(folder / "packed", "wb") as file:
            file.write(path.read_bytes())
        return opener(folder / "packed")

    return pack


def zipped(path, folder):
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "clip.mp4")
    return zipfile.ZipFile(folder / "a.zip").open("clip.mp4")


def mapped(path, folder):
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


class Upload:
    """As web frameworks hand over: what it has of its own is to be awaited."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.filename = "clip.mp4"

    async def read(self, size=-1):
        return self.file.read(size)


class Bare:
    """What reads, and says nothing of itself."""

    name, mode = 7, 3

    def __init__(self, path):
        self._file = open(path, "rb")

    def read(self, size=-1):
        return self._file.read(size)


FILES = {
    "spooled": spooled,
    "gzip": packed(gzip.open),
    "bz2": packed(bz2.open),
    "lzma": packed(lzma.open),
    "zip": zipped,
    "mmap": mapped,
    "upload": lambda path, folder: Upload(path),
    "bare": lambda path, folder: Bare(path),
    "r+b": lambda path, folder: open(path, "r+b"),
    "unbuffered": lambda path, folder: open(path, "rb", buffering=0),
    "descriptor": lambda path, folder: os.fdopen(os.open(path, os.O_RDONLY), "rb"),
    "temporary": lambda path, folder: _written(tempfile.NamedTemporaryFile(), path),
    "in the middle": lambda path, folder: _at(open(path, "rb"), 100),
    "memoryview": lambda path, folder: memoryview(path.read_bytes()),
}


def _written(file, path):
    file.write(path.read_bytes())
    return file


def _at(file, position):
    file.seek(position)
    return file


@pytest.mark.parametrize("kind", list(FILES))
def test_file_objects(clip, tmp_path, kind):
    assert numbers(VideoReader(FILES[kind](clip, tmp_path))) == EXPECTED


class Broken(io.BytesIO):
    """A file object that fails from some byte on."""

    def read(self, size=-1):
        if self.tell() > self.getbuffer().nbytes // 2:
            raise RuntimeError("the line is dead")
        return super().read(size)


def closed(path):
    file = open(path, "rb")
    file.close()
    return file


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda path: io.StringIO("text"), "open as text"),
        (closed, "is closed"),
        (lambda path: open(path.with_name("new"), "wb"), "cannot be read"),
        (lambda path: type("Text", (), {"read": lambda self, size=-1: "text"})(), "gives str, not bytes"),
        (lambda path: type("Later", (), {"read": Upload.read})(), "await"),
        (lambda path: io.BytesIO(b""), "empty"),
        (lambda path: type("None_", (), {"read": lambda self, size=-1: None})(), "gives NoneType"),
    ],
)
def test_unusable_file_objects_are_refused_with_the_reason(clip, make, cause):
    with pytest.raises(VideoError, match=cause):
        VideoReader(make(clip))


def test_a_file_object_that_fails_gives_what_came_before(tmp_path, caplog):
    path = write_video(tmp_path / "clip.ts", 60, codec="mpeg2video", make=lambda n, w, h: noise(n))
    with caplog.at_level(logging.WARNING):
        got = list(VideoReader(Broken(path.read_bytes())))
    assert 0 < len(got) < 60 and "the line is dead" in caplog.text


def test_a_packed_file_that_is_cut_off_gives_what_is_there(tmp_path, caplog):
    path = write_video(tmp_path / "clip.ts", 60, codec="mpeg2video", make=lambda n, w, h: noise(n))
    content = gzip.compress(path.read_bytes(), 1)
    got = list(VideoReader(gzip.open(io.BytesIO(content[: len(content) // 2]))))
    assert 0 < len(got) < 60 and "what follows is missing" in caplog.text


def noise(seed):
    return np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)


def test_a_bomb_of_gzip_is_stopped(tmp_path):
    with gzip.open(tmp_path / "bomb", "wb", 9) as file:
        file.write(bytes(1 << 26))
    with pytest.raises(VideoError, match="limit of 1000000 bytes"):
        VideoReader(gzip.open(tmp_path / "bomb"), max_bytes=1_000_000)


def test_huge_pictures_are_refused(tmp_path):
    with av.open(str(tmp_path / "huge.nut"), "w") as output:
        stream = output.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 12_000, 9_000, "gray"
        frame = av.VideoFrame.from_ndarray(np.zeros((9_000, 12_000), np.uint8), "gray")
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(VideoError, match="too large|36 million|not one picture"):
        list(VideoReader(tmp_path / "huge.nut"))


def test_names_that_are_no_text(clip, tmp_path):
    folder = os.fsencode(tmp_path)
    path = os.path.join(folder, b"\xff clip.mp4")
    Path(os.fsdecode(path)).write_bytes(clip.read_bytes())
    assert numbers(VideoReader(os.fsdecode(path))) == EXPECTED


# --- pipes -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_a_pipe_is_read_once(clip, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(clip.read_bytes()))
    writer.start()
    assert numbers(VideoReader(tmp_path / "pipe")) == EXPECTED
    writer.join()


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="this system has no /dev/zero")
def test_a_device_is_no_video():
    with pytest.raises(VideoError, match="device"):
        VideoReader("/dev/zero")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no such sockets")
def test_a_socket_is_no_video(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        with pytest.raises(VideoError, match="it is a socket"):
            VideoReader("socket")


# --- playlists -------------------------------------------------------------------------------------------------------


@pytest.fixture
def playlist(tmp_path):
    """A folder with a playlist of three segments, and one that names it."""
    folder = tmp_path / "hls"
    folder.mkdir()
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1"]
    for first in (0, 10, 20):
        write_video(folder / f"part {first}.ts", 10, make=lambda n, w, h, first=first: picture(first + n, w, h))
        lines += ["#EXTINF:0.4,", f"part%20{first}.ts", "#EXT-X-DISCONTINUITY"]
    (folder / "list.m3u8").write_text("\n".join(lines))  # of something live: its end is not marked
    (folder / "master.m3u8").write_text(
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=32x24\nnone.m3u8\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=64x48\nlist.m3u8\n"
    )
    return folder


class Address(str):
    """Of a server."""

    asked: list[str]


@pytest.fixture
def server(tmp_path):
    """The address of what serves a folder, and redirects /to/X to X; `asked` is what was asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            asked.append(self.path)
            if self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header("Location", self.path[4:])
                self.end_headers()
                return
            super().do_GET()

    handler = functools.partial(Handler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        address = Address(f"http://127.0.0.1:{running.server_port}")
        address.asked = asked
        yield address
        running.shutdown()


@pytest.mark.parametrize("name", ["list.m3u8", "master.m3u8"])
@pytest.mark.parametrize("place", ["disk", "web"])
def test_playlists(playlist, server, tmp_path, monkeypatch, name, place):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    video = playlist / name if place == "disk" else f"{server}/hls/{name}"
    with VideoReader(video) as reader:
        assert numbers(reader) == EXPECTED
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("place", ["disk", "web"])
def test_the_sound_of_a_playlist_that_is_by_itself(playlist, server, caplog, place):
    with av.open(str(playlist / "tone.ts"), "w", format="mpegts") as output:
        track = output.add_stream("aac", rate=16_000, layout="mono")
        tone = np.sin(np.arange(19_200) * 0.2).astype(np.float32)[None] / 2
        frame = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
        frame.sample_rate = 16_000
        output.mux(track.encode(frame))
        output.mux(track.encode(None))
    start = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
    (playlist / "tone.m3u8").write_text(f"{start}#EXTINF:1.2,\ntone.ts\n#EXT-X-ENDLIST\n")
    (playlist / "both.m3u8").write_text(
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="b",NAME="x",URI="none.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="de",URI="none.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",DEFAULT=YES,URI="tone.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=64x48,AUDIO="a"\nlist.m3u8\n'
    )
    video = playlist / "both.m3u8" if place == "disk" else f"{server}/hls/both.m3u8"
    with VideoReader(video) as reader:
        assert reader.has_sound and numbers(reader) == EXPECTED
    sound = read_audio(video)
    assert sound is not None and 17_000 < len(sound) < 22_000 and sound.std() > 0.2
    (playlist / "tone.m3u8").unlink()
    with VideoReader(video) as reader:
        assert not reader.has_sound and numbers(reader) == EXPECTED
    assert "its sound is missing" in caplog.text


@pytest.mark.parametrize("place", ["disk", "web"])
def test_a_segment_that_is_missing_is_told(playlist, server, caplog, place):
    (playlist / "part 10.ts").unlink()
    got = numbers(VideoReader(playlist / "list.m3u8" if place == "disk" else f"{server}/hls/list.m3u8"))
    assert got == [*range(10), *EXPECTED[20:]] and "1 of its 3 segments are missing" in caplog.text


def test_lists_of_files(clip, tmp_path, server):
    (tmp_path / "a.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "list").write_text("ffconcat version 1.0\nfile a.mp4\nfile a.mp4\n")
    assert numbers(VideoReader(tmp_path / "list")) == EXPECTED * 2
    for video in (f"{server}/list", (tmp_path / "list").read_bytes()):
        with pytest.raises(VideoError, match="a list of files, which"):
            VideoReader(video)


def test_of_a_dash_manifest_it_is_said_what_to_do(clip, tmp_path):
    with av.open(str(clip)) as source, av.open(str(tmp_path / "a.mpd"), "w", format="dash") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    if _reads_dash():
        assert numbers(VideoReader(tmp_path / "a.mpd")) == EXPECTED
    else:
        with pytest.raises(VideoError, match="DASH manifest. Make one file of it"):
            VideoReader(tmp_path / "a.mpd")


def _reads_dash():
    try:
        return bool(av.ContainerFormat("dash", "r"))
    except ValueError:
        return False


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "private"),
    [
        *(("127.0.0.1", True), ("10.1.2.3", True), ("192.168.0.1", True), ("169.254.169.254", True), ("::1", True)),
        *(("0.0.0.0", True), ("100.64.0.1", True), ("fe80::1%eth0", True), ("fd00::1", True), ("224.0.0.1", True)),
        *(("::ffff:127.0.0.1", True), ("64:ff9b::7f00:1", True), ("2002:7f00:1::", True)),
        *(("8.8.8.8", False), ("2606:4700::1111", False), ("::ffff:8.8.8.8", False)),
    ],
)
def test_private_addresses(address, private):
    assert is_private(address) is private


def test_what_strangers_name_is_refused(playlist, clip, server, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "list").write_text("ffconcat version 1.0\nfile clip.mp4\n")
    for video in (playlist / "list.m3u8", tmp_path / "list", f"{server}/clip.mp4", f"{server}/hls/list.m3u8"):
        with pytest.raises(VideoError, match="names other files|not an address of the internet"):
            VideoReader(video, allow_private=False)
        list(VideoReader(video, allow_private=True) if "list" not in str(video)[-4:] else [])
    assert numbers(VideoReader(clip, allow_private=False)) == EXPECTED


@pytest.mark.parametrize(
    "named", ["/etc/hostname", "file:///etc/hostname", "concat:a|b", "subfile,,start,0,end,9,,:/a"]
)
def test_playlists_of_the_web_name_no_files_of_this_machine(tmp_path, server, named):
    (tmp_path / "evil.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{named}\n")
    with pytest.raises(VideoError):
        VideoReader(f"{server}/evil.m3u8")


@pytest.mark.parametrize(
    "named", ["concat:a|b", "subfile,,start,0,end,9,,:/etc/hostname", "data:video/mp4;base64,AAAA"]
)
def test_protocols_of_ffmpeg_are_no_files(tmp_path, named):
    with pytest.raises(VideoError, match="no such file"):
        VideoReader(named)
    (tmp_path / "evil.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{named}\n")
    with pytest.raises(VideoError, match="of a kind that is not read"):
        VideoReader(tmp_path / "evil.m3u8")


@pytest.mark.parametrize("inner", ["#EXTM3U\n#EXTINF:1,\n{}\n", "ffconcat version 1.0\nfile {}\n"])
def test_a_segment_that_names_files_itself_is_not_followed(clip, server, tmp_path, inner):
    """FFmpeg would, from a file that was downloaded to any file of this machine."""
    start = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n"
    (tmp_path / "inner.ts").write_text(inner.format(clip))
    (tmp_path / "outer.m3u8").write_text(f"{start}inner.ts\n")
    for video in (f"{server}/outer.m3u8", tmp_path / "outer.m3u8"):
        with pytest.raises(VideoError, match=r"it names inner\.ts, which names other files"):
            VideoReader(video)


@pytest.mark.parametrize("line", ["#EXT-X-STREAM-INF:BANDWIDTH=1\n", "#EXTINF:1,\n"])
def test_a_playlist_that_names_itself_ends(server, tmp_path, line):
    (tmp_path / "self.m3u8").write_text(f"#EXTM3U\n{line}self.m3u8\n")
    for video in (f"{server}/self.m3u8", tmp_path / "self.m3u8"):
        with pytest.raises(VideoError, match="names other files|playlists that name playlists"):
            VideoReader(video)


def test_a_playlist_of_any_editor_is_read(playlist):
    text = (playlist / "list.m3u8").read_text().replace("\n", "\r\n")
    (playlist / "windows.m3u8").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert numbers(VideoReader(playlist / "windows.m3u8")) == EXPECTED


def test_a_playlist_on_disk_leads_to_private_addresses_only_when_that_is_allowed(
    playlist, server, tmp_path, monkeypatch
):
    text = (playlist / "list.m3u8").read_text().replace("part%20", f"{server}/hls/part%20")
    (tmp_path / "away.m3u8").write_text(text)
    with pytest.raises(VideoError, match="not an address of the internet.*--allow-private"):
        VideoReader(tmp_path / "away.m3u8")
    assert numbers(VideoReader(tmp_path / "away.m3u8", allow_private=True)) == EXPECTED
    monkeypatch.setenv("LIP2WAV_ALLOW_PRIVATE", "1")
    assert numbers(VideoReader(tmp_path / "away.m3u8")) == EXPECTED


def test_redirects_are_followed_where_they_may_lead(clip, server, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    assert numbers(VideoReader(f"{server}/to/{server}/clip.mp4")) == EXPECTED  # from private to private
    for target in ("file:///etc/hostname", "ftp://127.0.0.1/a"):
        with pytest.raises(VideoError):
            VideoReader(f"{server}/to/{target}")


def test_the_web_does_not_lead_inside(clip, server, tmp_path, monkeypatch):
    """Of a server that is on the internet, as far as this knows."""
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    monkeypatch.setattr("lip2wav_hf.sources.is_private", lambda address, seen=[]: seen.append(1) or len(seen) > 1)
    with pytest.raises(VideoError, match="not an address of the internet"):
        VideoReader(f"{server}/to/{server}/clip.mp4")


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "127.1", "0", "0.0.0.0"),
        *("[::1]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]", socket.gethostname()),
    ],
)
def test_private_addresses_in_any_spelling(clip, server, tmp_path, host):
    """Nothing connects to them, and they are read where that is allowed."""
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    url = server.replace("127.0.0.1", host) + "/clip.mp4"
    with pytest.raises(VideoError, match="not an address of the internet|cannot be reached"):
        VideoReader(url, allow_private=False)
    assert not server.asked
    if host in ("localhost", "2130706433", "127.1"):  # IPv4 of the server
        assert numbers(VideoReader(url, allow_private=True)) == EXPECTED


def test_a_private_server_is_not_even_connected_to():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        for scheme in ("http", "https"):
            with pytest.raises(VideoError, match="not an address of the internet"):
                VideoReader(f"{scheme}://localhost:{listening.getsockname()[1]}/clip.mp4", allow_private=False)
        listening.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listening.accept()


def test_a_name_that_changes_its_address_is_asked_once(clip, server, tmp_path, monkeypatch):
    """What was checked is what is connected to; a second answer, of a private address, is not asked for."""
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    asked, resolve = [], socket.getaddrinfo

    def changing(host, *arguments, **options):
        asked.append(host)
        return resolve("127.0.0.1" if host == "changes.example" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    assert numbers(VideoReader(server.replace("127.0.0.1", "changes.example") + "/clip.mp4")) == EXPECTED
    assert asked.count("changes.example") == 1 and set(asked) == {"changes.example", "127.0.0.1"}
    with pytest.raises(VideoError, match="not an address of the internet"):
        VideoReader(server.replace("127.0.0.1", "changes.example") + "/clip.mp4", allow_private=False)


def test_a_name_that_only_a_proxy_knows_is_refused_to_strangers(clip, server, tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server)
    with pytest.raises(VideoError, match="cannot be reached"):
        VideoReader("http://nowhere.invalid/clip.mp4", allow_private=False)
    assert not server.asked
    with pytest.raises(VideoError, match="404|answered"):  # the proxy is asked, and has no such file
        VideoReader("http://nowhere.invalid/clip.mp4")
    assert server.asked


# --- collections -----------------------------------------------------------------------------------------------------


def test_collections_of_videos():
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"video": ["a", "b"], "speaker": ["x", "y"]})
    for videos in (
        *(table, table["video"], table.to_iterable_dataset(), iter(["a", "b"]), {"a": 1, "b": 2}.keys()),
        *(np.array(["a", "b"]), np.array(["a", "b"], object), map(str, "ab"), table.to_pandas()["video"]),
        table.to_pandas(),
    ):
        assert list(each_video(videos)) == ["a", "b"]
    one = np.zeros((2, 4, 4, 3), np.uint8)
    for video in ("a", b"a", Path("a"), {"video": "a"}, one, io.BytesIO(b"a"), VideoPart("a"), ["a"], ("a",), None, 7):
        assert each_video(video) is None


def test_a_table_without_videos_is_refused_with_the_way():
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"file": ["a"]})
    with pytest.raises(VideoError, match="has no column `video`, but file.*KeyDataset"):
        each_video(table)
    with pytest.raises(VideoError, match="train"):
        each_video(datasets.DatasetDict({"train": table}))


def test_undecoded_videos_of_a_table_are_read(clip):
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"talk": [str(clip)]}).cast_column("talk", datasets.Video())
    for videos in (table, table["talk"], table.to_iterable_dataset(), table.to_iterable_dataset()["talk"]):
        (row,) = each_video(videos)
        assert row["path"] == str(clip) or row["bytes"]


def test_a_source_is_closed_twice_without_harm(clip):
    source = Source(io.BytesIO(clip.read_bytes()))
    source.close()
    source.close()


def test_titles_may_be_in_any_encoding(tmp_path):
    """Old software writes them in its own, and PyAV before 19 refuses what is no UTF-8."""
    path = write_video(tmp_path / "clip.mp4", frames=5, sound=np.zeros(3200, np.float32))
    path.write_bytes(path.read_bytes().replace(b"Lavf", b"\xe9avf"))  # the name of the program that wrote it
    assert b"\xe9avf" in path.read_bytes()
    with Source(path).open() as container:
        assert "avf" in container.metadata["encoder"]
    assert count_frames(str(path)) == (5, True) and audio_rate(path) == RATE
