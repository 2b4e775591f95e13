"""`lip2wav prepare` and `lip2wav export`, as a user runs them. `lip2wav download` is in test_grid_download.py."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile

import numpy as np
import pytest

from lip2wav_hf.commands.main import main
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
from lip2wav_hf.grid.corpus import load_split, sentence_words
from lip2wav_hf.training.cache import read_cached_clip
from lip2wav_hf.training.clips import prepare_clips


SPLITS = {"train": {"s1": ["bbaf2n", "lgbazp", "prwe1a"]}, "unseen_validation": {"s2": ["bbaf2n", "swiz9s"]}}


def write_alignment(path, name):
    path.parent.mkdir(parents=True, exist_ok=True)
    times = range(10_000, 70_000, 10_000)
    path.write_text("".join(f"{t} {t + 10_000} {word}\n" for t, word in zip(times, sentence_words(name))))


@pytest.fixture
def corpus(tmp_path, talking_video):
    """Five clips of two speakers, `video/s1/*.mp4`."""
    root = tmp_path / "grid"
    for chosen in SPLITS.values():
        for speaker, names in chosen.items():
            (root / "video" / speaker).mkdir(parents=True)
            for name in names:
                shutil.copy(talking_video, root / "video" / speaker / f"{name}.mp4")
                write_alignment(root / "alignments" / speaker / f"{name}.align", name)
    (root / "splits.json").write_text(json.dumps(SPLITS))
    return root


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code or 0


def test_prepare_fills_the_cache_that_training_reads(corpus, tmp_path, capfd):
    cache = tmp_path / "cache"
    assert run("prepare", corpus, "--cache", cache, "--workers", 1, "--split", "train") == 0
    output = capfd.readouterr()
    assert "3 clips: 3 usable, 0 left out." in output.out and "train: 3 clips" in output.out
    assert "prepared now: 3 " in output.out and "before: 0" in output.out and output.err == ""
    clips = load_split(corpus, "train")
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npz")}
    files = prepare_clips(clips, Lip2WavFeatureExtractor(), cache, num_workers=1, progress=False)
    assert sorted(files.values()) == sorted(before) and len(before) == 3
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.npz")} == before
    assert run("prepare", corpus, "--cache", cache, "--workers", 1, "--json") == 0
    facts = json.loads(capfd.readouterr().out)
    assert (facts["prepared"], facts["cached"], facts["usable"]) == (2, 3, 5)
    assert facts["splits"] == {"train": 3, "unseen_validation": 2}


def test_prepare_says_what_it_leaves_out(corpus, tmp_path, capfd):
    video = corpus / "video" / "s1" / "lgbazp.mp4"
    video.write_bytes(video.read_bytes()[:5000])
    write_alignment(corpus / "alignments" / "s1" / "prwe1a.align", "bbaf2n")
    black = corpus / "video" / "s2" / "swiz9s.mp4"
    write_faceless(black)
    assert (
        run("prepare", corpus, "-c", tmp_path / "cache", "--workers", 1, "--report", tmp_path / "left-out.json") == 0
    )
    output = capfd.readouterr().out
    assert "5 clips: 2 usable, 3 left out." in output
    assert "1 corrupt_video (left out)" in output and "1 contradicting_alignment (left out)" in output
    assert "1 unprepared (left out): no mouth crops or sound could be made of it: s2/swiz9s" in output
    report = json.loads((tmp_path / "left-out.json").read_text())
    assert {defect["clip"] for defect in report["defects"]} == {"s1/lgbazp", "s1/prwe1a", "s2/swiz9s"}


def write_faceless(path):
    """A clip that decodes, with nobody in it."""
    from lip2wav_hf.audio import mux_audio

    mux_audio(np.zeros((75, 96, 128, 3), np.uint8), np.zeros(48_000, np.float32), 16_000, path, fps=25)


def test_prepare_reads_archives(corpus, tmp_path, capfd):
    packed = tmp_path / "zips"
    packed.mkdir()
    for speaker in ("s1", "s2"):
        with zipfile.ZipFile(packed / f"{speaker}.zip", "w") as archive:
            for path in (corpus / "video" / speaker).iterdir():
                archive.write(path, f"{speaker}/{path.name}")
    with zipfile.ZipFile(packed / "alignments.zip", "w") as archive:
        for path in (corpus / "alignments").rglob("*.align"):
            archive.write(path, path.relative_to(corpus))
    assert run("prepare", packed, "--scheme", "overlap33", "-c", tmp_path / "cache", "--workers", 1) == 0
    output = capfd.readouterr().out
    assert "5 clips: 5 usable" in output and "no videos of s3" in output
    cached = read_cached_clip(next((tmp_path / "cache").rglob("s2/swiz9s.npz")))
    assert cached.crops.shape == (75, 48, 72) and set(cached.frame_words.tolist()) == {-1, 0, 1, 2, 3, 4, 5}


def test_a_killed_prepare_does_only_the_rest(corpus, tmp_path, talking_video, capfd):
    names = [f"bbaf{digit}{adverb}" for digit in "12345" for adverb in "anps"]
    for name in names:
        shutil.copy(talking_video, corpus / "video" / "s1" / f"{name}.mp4")
        write_alignment(corpus / "alignments" / "s1" / f"{name}.align", name)
    (corpus / "splits.json").write_text(json.dumps({"train": {"s1": names}}))
    cache = tmp_path / "cache"
    command = [
        sys.executable,
        "-m",
        "lip2wav_hf.commands.main",
        "prepare",
        str(corpus),
        "--cache",
        str(cache),
        "--workers",
        "1",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while len(list(cache.rglob("*.npz"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npz")}
    assert 2 <= len(done) < len(names)
    broken = max(done)
    broken.write_bytes(broken.read_bytes()[:1000])  # as after a power failure
    del done[broken]
    stale = broken.with_suffix(".1.tmp")
    stale.touch()
    os.utime(stale, (0, 0))
    assert run("prepare", corpus, "--cache", cache, "--workers", 1, "--json") == 0
    facts = json.loads(capfd.readouterr().out)
    assert (facts["cached"], facts["prepared"], facts["usable"]) == (len(done), len(names) - len(done), len(names))
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert not stale.exists() and len(list(cache.rglob("*.npz"))) == len(names)


def test_ctrl_c_ends_prepare_with_one_line(corpus, tmp_path, capfd):
    def interrupt():
        while not list(tmp_path.glob("cache/*/*/*.npz")):
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    assert run("prepare", corpus, "-c", tmp_path / "cache", "--workers", 1) == 130
    assert capfd.readouterr().err == "error: interrupted. Run the same command again: it goes on where it was.\n"
    assert run("prepare", corpus, "-c", tmp_path / "cache", "--workers", 1) == 0
    assert "5 usable" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "test"], "no split test; there are train, unseen_validation"),
        (["--scheme", "seen4", "--speakers", "s3"], "s3 is not part of 'seen4'"),
        (["--speakers", "s7"], "the splits file has no speaker s7"),
        (["--feature-extractor", "nowhere"], "no feature extractor can be loaded"),
        (["--splits-file", "nowhere.json"], "no such splits file"),
    ],
)
def test_prepare_refuses_what_it_cannot_do(corpus, tmp_path, capfd, arguments, message):
    assert run("prepare", corpus, "-c", tmp_path / "cache", *arguments) == 2
    errors = capfd.readouterr().err
    assert errors.startswith("error: ") and message in errors and len(errors.splitlines()) == 1


def test_download_knows_grid_only(tmp_path, capfd):
    assert run("download", "lrs3", tmp_path) == 2
    assert "only grid can be downloaded" in capfd.readouterr().err


def test_a_videofolder_that_datasets_loads(corpus, tmp_path, capfd):
    datasets = pytest.importorskip("datasets")
    (corpus / "alignments" / "s1" / "lgbazp.align").unlink()
    output = tmp_path / "out"
    assert run("export", corpus, output, "--workers", 1) == 0
    text = capfd.readouterr().out
    assert "5 clips: 5 usable" in text and "1 no_alignment (used)" in text and "hf upload" in text
    grid = datasets.load_dataset(str(output), cache_dir=str(tmp_path / "hf"))
    assert {split: len(table) for split, table in grid.items()} == {"train": 3, "unseen_validation": 2}
    table = grid["train"].cast_column("video", datasets.Video(decode=False))
    rows = {row["id"]: row for row in table}
    assert rows["s1/bbaf2n"]["sentence"] == "bin blue at f two now"
    assert rows["s1/bbaf2n"]["words"][0] == {"word": "bin", "start": 0.4, "end": 0.8}
    assert rows["s1/lgbazp"]["words"][0] == {"word": "lay", "start": -1.0, "end": -1.0}
    assert rows["s1/prwe1a"]["video"]["path"].endswith("train/s1/prwe1a.mp4")
    folder = datasets.load_dataset("videofolder", data_dir=str(output / "train"), cache_dir=str(tmp_path / "hf"))
    assert len(folder["train"]) == 3
    assert json.loads((output / "splits.json").read_text()) == SPLITS
    first = {path: path.stat().st_mtime_ns for path in output.rglob("*.mp4")}
    next(iter(first)).unlink()
    assert run("export", corpus, output, "--workers", 1, "--json") == 0
    assert json.loads(capfd.readouterr().out)["usable"] == 5
    assert sum(path.stat().st_mtime_ns == first[path] for path in output.rglob("*.mp4")) == 4
    assert run("export", corpus, output, "--mp4") == 2
    assert "an export with other settings" in capfd.readouterr().err
    assert run("export", corpus, corpus) == 2
    assert "not an empty folder" in capfd.readouterr().err


def test_a_webdataset_that_datasets_loads(corpus, tmp_path, capfd):
    datasets = pytest.importorskip("datasets")
    for path in (corpus / "alignments" / "s1").iterdir():
        if path.stem != "prwe1a":
            path.unlink()
    output = tmp_path / "out"
    assert run("export", corpus, output, "--format", "webdataset", "--clips-per-shard", 2, "--workers", 1) == 0
    shards = sorted(path.name for path in (output / "data").iterdir())
    assert shards == [
        "train-00000-of-00002.tar",
        "train-00001-of-00002.tar",
        "unseen_validation-00000-of-00001.tar",
    ]
    for load in (
        {"path": str(output)},
        {"path": "webdataset", "data_files": {"train": str(output / "data" / "train-*.tar")}},
    ):
        table = datasets.load_dataset(**load, split="train", cache_dir=str(tmp_path / "hf"))
        rows = {row["json"]["id"]: row for row in table.cast_column("mp4", datasets.Video(decode=False))}
        assert sorted(rows) == ["s1/bbaf2n", "s1/lgbazp", "s1/prwe1a"]
        video = corpus / "video" / "s1" / "lgbazp.mp4"
        assert rows["s1/lgbazp"]["mp4"]["bytes"] == video.read_bytes()
        assert rows["s1/prwe1a"]["json"]["words"][5] == {"word": "again", "start": 2.4, "end": 2.8}
        assert rows["s1/bbaf2n"]["json"]["words"][0] == {"word": "bin", "start": -1.0, "end": -1.0}
    streamed = datasets.load_dataset(
        "webdataset", data_files=str(output / "data" / "train-*.tar"), split="train", streaming=True
    )
    assert len(list(streamed.cast_column("mp4", datasets.Video(decode=False)))) == 3
    with tarfile.open(output / "data" / shards[0]) as tar:
        assert all(member.mtime == 0 and member.uid == 0 for member in tar)


def test_mpeg_videos_are_renamed_or_converted(tmp_path, capfd):
    datasets = pytest.importorskip("datasets")
    from lip2wav_hf.synthetic.corpus import write_clip
    from lip2wav_hf.video import VideoReader

    corpus = tmp_path / "grid"
    (corpus / "s1").mkdir(parents=True)
    write_clip(corpus / "s1" / "bbaf2n.mpg", "bbaf2n")
    shutil.copy(corpus / "s1" / "bbaf2n.mpg", corpus / "s1" / "lgbazp.mpg")
    assert run("export", corpus, tmp_path / "copied", "--scheme", "overlap33", "--workers", 1) == 0
    grid = datasets.load_dataset(str(tmp_path / "copied"), cache_dir=str(tmp_path / "hf"))
    row = grid["test"].cast_column("video", datasets.Video(decode=False))[0]
    assert row["video"]["path"].endswith(".mpeg") and not row["aligned"]
    arguments = ("--scheme", "overlap33", "--workers", 1, "--mp4", "--format", "webdataset")
    assert run("export", corpus, tmp_path / "converted", *arguments) == 0
    grid = datasets.load_dataset(str(tmp_path / "converted"), cache_dir=str(tmp_path / "hf"))
    row = grid["train"].cast_column("mp4", datasets.Video(decode=False))[0]
    with VideoReader(row["mp4"]["bytes"]) as video:
        assert sum(1 for _ in video) == 75
    assert "converted to H.264" in (tmp_path / "converted" / "README.md").read_text()


def test_the_real_corpus_is_prepared(grid_dir, tmp_path, capfd):
    choice = ("--scheme", "overlap33", "--speakers", "s11", "--workers", 1)
    assert run("prepare", grid_dir / "original", *choice, "-c", tmp_path) == 0
    output = capfd.readouterr().out
    assert "3 clips: 3 usable, 0 left out." in output
    cached = read_cached_clip(next(tmp_path.rglob("s11/*.npz")))
    assert cached.crops.shape[1:] == (48, 72) and cached.crops.std() > 10 and cached.frame_words.max() == 5
