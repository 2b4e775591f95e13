"""Full disks, kills and two at once: what was finished is kept, and the same again goes on. Private files."""

import csv
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from conftest import TINY_CONFIG
from lip2wav_hf import Lip2WavConfig, Lip2WavFeatureExtractor, Lip2WavModel
from lip2wav_hf.sources import Source
from lip2wav_hf.training.cache import read_cached_clip
from lip2wav_hf.video import VideoError, VideoReader
from little_grid import write_alignment, write_corpus
from little_videos import numbers, write_video
from warm_processes import TRAINING, WarmProcesses, killing


COMMANDS = (
    *("lip2wav_hf.commands.main", "lip2wav_hf.evaluation.evaluate", "lip2wav_hf.comparison.gallery", "pystoi"),
    *("lip2wav_hf.adaptation.running", "lip2wav_hf.pipeline_video_to_speech", "transformers.pipelines"),
)


@pytest.fixture(scope="module")
def processes():
    with WarmProcesses((*COMMANDS, *TRAINING)) as warm:
        yield warm


@pytest.fixture
def lip2wav(processes, tmp_path):
    """The command as a process of its own, which may have to kill itself."""

    def lip2wav(*arguments, kill=None, code="lip2wav_hf.commands.main"):
        return processes.run(tmp_path / "log", code, arguments, before=killing(kill))

    return lip2wav


@pytest.fixture
def command(lip2wav):
    """What the command prints on stdout; it must end well, or have killed itself as it was told."""

    def command(*arguments, kill=None, **options):
        done = lip2wav(*arguments, kill=kill, **options)
        assert done.returncode == (0 if kill is None else -signal.SIGKILL), f"{kill}: {done.stderr[-3000:]}"
        return done.stdout

    return command


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


def test_speak_to_a_full_disk(lip2wav, disk, talking_video, tiny_model_dir):
    for suffix in (".wav", ".flac", ".mp4"):
        disk.resize(40)
        command = ("speak", talking_video, "-o", disk.path / f"a{suffix}", "-y", "--model", tiny_model_dir)
        one_line(lip2wav(*command), "No space left on device")
        assert disk.files() == []
        disk.resize(4000)
        assert lip2wav(*command).returncode == 0 and disk.files() == [f"a{suffix}"]
        (disk.path / f"a{suffix}").unlink()


def test_an_output_that_is_there_stays_when_the_new_one_does_not_fit(lip2wav, disk, talking_video, tiny_model_dir):
    (disk.path / "a.wav").write_bytes(b"old")
    disk.resize(40)
    one_line(lip2wav("speak", talking_video, "-o", disk.path / "a.wav", "-y", "--model", tiny_model_dir), "No space")
    assert (disk.path / "a.wav").read_bytes() == b"old" and disk.files() == ["a.wav"]


def test_a_cache_on_a_full_disk_keeps_what_is_finished(lip2wav, disk, talking_video, tmp_path):
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
# kills, and two at once
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clips(tmp_path_factory, talking_video):
    """A corpus of two clips of one speaker."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "video" / "s1").mkdir(parents=True)
    names = ["bbaf1a", "bbaf2n"]
    for name in names:
        shutil.copy(talking_video, folder / "video" / "s1" / f"{name}.mp4")
        write_alignment(folder / "alignments" / "s1" / f"{name}.align", name)
    (folder / "splits.json").write_text(json.dumps({"test": {"s1": names}, "train": {}}))
    return folder


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_killed_prepare_does_only_the_rest(command, talking_video, tmp_path):
    corpus, cache = write_corpus(tmp_path / "grid", talking_video), tmp_path / "cache"
    prepare = ("prepare", corpus, "--cache", cache, "--workers", 1, "--json")
    command(*prepare, kill=("lip2wav_hf.training.clips.write_cached_clip", 3, "after"))
    command(*prepare, kill=("lip2wav_hf.files.os.replace", 1, "before"))  # of the next clip: a whole file, unnamed
    done = {path: path.stat().st_mtime_ns for path in cache.rglob("[!.]*.safetensors")}
    (unfinished,) = cache.rglob(".*.safetensors")
    assert len(done) == 3
    broken = max(done)
    broken.write_bytes(broken.read_bytes()[:1000])  # as after a power failure
    del done[broken]
    os.utime(unfinished, (0, 0))
    facts = json.loads(command(*prepare))
    assert (facts["cached"], facts["prepared"], facts["usable"]) == (2, 3, 5)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert not unfinished.exists() and len(list(cache.rglob("[!.]*.safetensors"))) == 5


def test_two_processes_fill_one_cache(processes, talking_video, tmp_path):
    corpus = write_corpus(tmp_path / "grid", talking_video)
    prepare = ("prepare", corpus, "--cache", tmp_path / "cache", "--workers", 1, "--json")
    logs = [tmp_path / "one", tmp_path / "other"]
    both = [processes.start(log, "lip2wav_hf.commands.main", prepare) for log in logs]
    assert [processes.wait(process) for process in both] == [0, 0]
    assert [json.loads(log.read_text())["usable"] for log in logs] == [5, 5]
    files = list((tmp_path / "cache").rglob("*.safetensors"))
    assert len(files) == 5 and not [path for path in files if path.name.startswith(".")]
    assert {read_cached_clip(path).regions.shape for path in files} == {(75, 48, 72)}


def test_an_evaluation_killed_anywhere_goes_on(command, clips, tiny_model_dir, tmp_path):
    pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")
    measure = ("evaluate", "--model", tiny_model_dir, "--data", clips, "--split", "test", "--metrics", "stoi")
    measure += ("--no-report", "--device", "cpu", "--batch-size", 1, "--workers", 1)
    command(*measure, "-o", tmp_path / "whole")
    spoken = []
    for kill in (
        ("lip2wav_hf.evaluation.run.append_row", 2, "before"),
        ("lip2wav_hf.evaluation.results.write_json", 1, "before"),
    ):
        command(*measure, "-o", tmp_path / "killed", kill=kill)
        spoken.append((tmp_path / "killed" / "clips.csv").read_text().count("\n") - 1)
    assert spoken == [1, 2]
    command(*measure, "-o", tmp_path / "killed")
    whole, found = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("whole", "killed"))
    assert found["overall"] == whole["overall"] and found["clips"] == whole["clips"] == 2
    assert not list((tmp_path / "killed").rglob(".*"))


def test_a_gallery_killed_anywhere_is_the_old_one_or_the_new_one(command, talking_video, tiny_model_dir, tmp_path):
    site = tmp_path / "place" / "site"
    build = ("gallery", talking_video, "--model", tiny_model_dir, "-o", site, "--overwrite", "--device", "cpu")
    command(*build, "--metrics", "none")
    before = contents(site)
    command(*build, "--metrics", "none", kill=("lip2wav_hf.comparison.gallery.replace_folder", 1, "before"))
    assert contents(site) == before
    command(*build, "--metrics", "none", kill=("lip2wav_hf.comparison.gallery.replace_folder", 1, "after"))
    assert contents(site).keys() == before.keys()
    command(*build, "--metrics", "none")
    assert contents(site).keys() == before.keys() and [path.name for path in site.parent.iterdir()] == ["site"]


def test_an_adaptation_killed_anywhere_ends_like_an_uninterrupted_one(command, talking_video, tmp_path):
    recordings, start = tmp_path / "recordings", tmp_path / "start"
    recordings.mkdir()
    for name in "abc":
        shutil.copy(talking_video, recordings / f"{name}.mp4")
    with (recordings / "metadata.csv").open("w", newline="") as file:
        rows = [("file_name", "transcription"), *((f"{name}.mp4", "bin blue at f two now") for name in "abc")]
        csv.writer(file).writerows(rows)
    Lip2WavModel(Lip2WavConfig(**TINY_CONFIG | {"num_mel_bins": 20})).save_pretrained(start)
    Lip2WavFeatureExtractor().save_pretrained(start)
    adapt = "import sys; from lip2wav_hf import adapt; adapt(*sys.argv[1:3], model=sys.argv[3], steps=2)"
    command(recordings, tmp_path / "whole", start, code=adapt)
    for kill in (
        ("lip2wav_hf.training.checkpoints.replace_folder", 1, "after"),
        ("lip2wav_hf.adaptation.running.replace_folder", 1, "before"),
    ):
        command(recordings, tmp_path / "place" / "killed", start, code=adapt, kill=kill)
        assert not (tmp_path / "place" / "killed" / "config.json").exists()
    command(recordings, tmp_path / "place" / "killed", start, code=adapt)
    whole, found = (Path(tmp_path, name, "model.safetensors").read_bytes() for name in ("whole", "place/killed"))
    assert whole == found and [path.name for path in (tmp_path / "place").iterdir()] == ["killed"]


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
