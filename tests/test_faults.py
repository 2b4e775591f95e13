"""Full disks: what was finished is kept, and the same again goes on. Files that others may not read."""

import json
import os
import stat
import subprocess
import sys
import tempfile

import pytest

from commands.command_line import lip2wav
from lip2wav_hf.sources import Source
from lip2wav_hf.video import VideoError, VideoReader
from little_grid import write_corpus
from little_videos import numbers, write_video


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own: `disk.path`, and `disk.resize(kilobytes)`."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root of Linux")
    yield SmallDisk(place)
    subprocess.run(["umount", "-l", str(place)], check=True)


class SmallDisk:
    """A file system that is soon full."""

    def __init__(self, path):
        self.path = path

    def resize(self, kilobytes):
        subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(self.path)], check=True)

    def files(self):
        return sorted(str(path.relative_to(self.path)) for path in self.path.rglob("*") if path.is_file())


def one_line(result, *words):
    """The error of a command that could not write: one line that names the fault."""
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if not line.startswith("warning: ")]
    errors = [line for line in lines if line.startswith("error: ")]
    assert errors and "Traceback" not in result.stderr and all(word in result.stderr for word in words), result.stderr


# ---------------------------------------------------------------------------------------------------------------------
# full disks
# ---------------------------------------------------------------------------------------------------------------------


def test_speak_to_a_full_disk(disk, talking_video, tiny_model_dir):
    for suffix in (".wav", ".flac", ".mp4"):
        disk.resize(40)
        command = ("speak", talking_video, "-o", disk.path / f"a{suffix}", "-y", "--model", tiny_model_dir)
        one_line(lip2wav(*command), "No space left on device")
        assert disk.files() == []
        disk.resize(4000)
        assert lip2wav(*command).returncode == 0 and disk.files() == [f"a{suffix}"]
        (disk.path / f"a{suffix}").unlink()


def test_an_output_that_is_there_stays_when_the_new_one_does_not_fit(disk, talking_video, tiny_model_dir):
    (disk.path / "a.wav").write_bytes(b"old")
    disk.resize(40)
    one_line(lip2wav("speak", talking_video, "-o", disk.path / "a.wav", "-y", "--model", tiny_model_dir), "No space")
    assert (disk.path / "a.wav").read_bytes() == b"old" and disk.files() == ["a.wav"]


def test_a_cache_on_a_full_disk_keeps_what_is_finished(disk, talking_video, tmp_path):
    corpus = write_corpus(tmp_path / "grid", talking_video)
    command = ("prepare", corpus, "--cache", disk.path / "cache", "--workers", 1, "--json")
    disk.resize(900)  # two clips of 350 KB
    one_line(lip2wav(*command), "No space left on device")
    done = {path: path.stat().st_mtime_ns for path in disk.path.rglob("[!.]*.safetensors")}
    assert 1 <= len(done) < 5 and not list(disk.path.rglob(".*.safetensors"))
    disk.resize(8000)
    facts = json.loads(lip2wav(*command).stdout)
    assert (facts["cached"], facts["prepared"]) == (len(done), 5 - len(done))
    assert all(path.stat().st_mtime_ns == time for path, time in done.items())


def test_a_download_that_does_not_fit_is_no_fault_of_the_network(disk, monkeypatch, tmp_path):
    """What is copied before it is read, such as a pipe."""
    video = write_video(tmp_path / "a.mp4", 30)
    content = video.read_bytes() + bytes(2_000_000)
    monkeypatch.setattr(tempfile, "tempdir", str(disk.path))
    for source in (lambda: Unseekable(content), lambda: _fifo(tmp_path, content)):
        with pytest.raises(VideoError, match="No space left on device.*TMPDIR"):
            VideoReader(source())
        assert disk.files() == []
    disk.resize(8000)
    assert len(numbers(VideoReader(Unseekable(content)))) == 30


class Unseekable:
    """What can be read once."""

    def __init__(self, content):
        self.content = content

    def read(self, size=-1):
        block, self.content = self.content[:size], self.content[size:]
        return block


def _fifo(folder, content):
    path = folder / "fifo"
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    code = f"open({str(path)!r}, 'wb').write(bytes({len(content)}))"
    subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    return path


# ---------------------------------------------------------------------------------------------------------------------
# files that others may not read
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="permissions are others there")
def test_temporary_files_are_private(tmp_path, monkeypatch):
    """Whatever the umask: copies of videos lie in files, or folders, that only their owner may read."""
    video = write_video(tmp_path / "a.mp4", 5)
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.mp4\n#EXT-X-ENDLIST\n")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    before = os.umask(0)
    try:
        sources = [Source(Unseekable(video.read_bytes())), Source(tmp_path / "list.m3u8")]
        made = list((tmp_path / "temporary").iterdir())
        assert len(made) == 2 and {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in made} == {0}
    finally:
        os.umask(before)
    for source in sources:
        source.close()
    assert not list((tmp_path / "temporary").iterdir())
