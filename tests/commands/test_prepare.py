"""`lip2wav prepare`, as a user runs it."""

import json
import os
import shutil
import signal
import threading
import time
import zipfile

import cv2
import numpy as np
import pytest

from lip2wav_hf.commands.prepare import _rate
from lip2wav_hf.corpora.registry import load_split
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
from lip2wav_hf.training.cache import read_cached_clip
from lip2wav_hf.training.clips import prepare_clips
from little_grid import run, write_alignment, write_corpus


@pytest.fixture
def corpus(tmp_path, talking_video):
    """Five clips of two speakers, `video/s1/*.mp4`."""
    return write_corpus(tmp_path / "grid", talking_video)


def test_prepare_fills_the_cache_that_training_reads(corpus, tmp_path, capfd):
    cache = tmp_path / "cache"
    assert run("prepare", corpus, "--cache", cache, "--workers", 1, "--split", "train") == 0
    output = capfd.readouterr()
    assert "3 clips: 3 usable, 0 left out." in output.out and "train: 3 clips" in output.out
    assert "prepared now: 3 " in output.out and "before: 0" in output.out and output.err == ""
    assert "no clips" not in output.out  # of the splits that were asked for
    clips = load_split(corpus, "train")
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("[!.]*.safetensors")}
    files = prepare_clips(clips, Lip2WavFeatureExtractor(), cache, num_workers=1, progress=False).files
    assert sorted(files.values()) == sorted(before) and len(before) == 3
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("[!.]*.safetensors")} == before
    assert run("prepare", corpus, "--cache", cache, "--workers", 1, "--json") == 0
    facts = json.loads(capfd.readouterr().out)
    assert (facts["prepared"], facts["cached"], facts["usable"]) == (2, 3, 5)
    assert facts["splits"] == {"train": 3, "unseen_validation": 2}


def test_a_part_of_grid_is_prepared_without_splits(corpus, tmp_path, capfd):
    """What training needs is said; a file of splits that was named, and a split, must be there."""
    (corpus / "splits.json").unlink()
    assert run("prepare", corpus, "--cache", tmp_path / "cache", "--workers", 1, "--speaker", "s2") == 0
    said = capfd.readouterr().out
    assert "all: 2 clips" in said and "train: no clips" in said and "training needs clips in train" in said
    for named in (["--split", "train"], ["--splits-file", tmp_path / "mine.json"]):
        assert run("prepare", corpus, "--cache", tmp_path / "cache", "--workers", 1, *named) == 2
        err = capfd.readouterr().err
        assert "no such splits file" in err and "choose a published split with --split-scheme: seen4" in err


def test_a_log_is_told_how_far_prepare_is(corpus, tmp_path, capfd, monkeypatch):
    """Where stderr is no terminal, as under nohup or in continuous integration: lines, here after every clip."""
    from lip2wav_hf.corpora import progress

    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "LINE_SHARE", 0.0)
    assert run("prepare", corpus, "-c", tmp_path / "cache", "--workers", 1) == 0
    lines = capfd.readouterr().err.splitlines()
    assert [line.partition(" %")[0] for line in lines] == [
        f"{task}: {done} of 5 clips, {20 * done}"
        for task in ("checking clips", "mouth regions")
        for done in range(1, 6)
    ]
    assert run("export", corpus, tmp_path / "out", "--workers", 1) == 0
    assert "exporting: 5 of 5 clips, 100 %" in capfd.readouterr().err


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


def test_prepare_says_which_splits_are_empty(corpus, tmp_path, capfd):
    """Here there are no speakers of this scheme for validation: training would not start."""
    assert run("prepare", corpus, "-c", tmp_path / "cache", "--workers", 1, "--split_scheme", "unseen33") == 0
    output = capfd.readouterr().out
    assert "  train: 3 clips\n  test: 2 clips\n  validation: no clips\n" in output
    assert "training needs clips in train and in validation; choose others with --train_split" in output
    (corpus / "splits.json").write_text(json.dumps({"train": {"s1": ["bbaf2n"]}}))
    assert run("prepare", corpus, "-c", tmp_path / "cache", "--workers", 1) == 0
    output = capfd.readouterr().out
    assert "1 clip: 1 usable" in output and "  train: 1 clip\n  validation: no clips\n" in output


def test_prepare_fails_where_no_clip_can_be_used(tmp_path, capfd):
    """What was found is printed all the same."""
    folder, cache = tmp_path / "videos", tmp_path / "cache"
    folder.mkdir()
    write_faceless(folder / "a.mp4")
    (folder / "a.txt").write_text("Hello")
    assert run("prepare", folder, "-c", cache, "--workers", 1) == 2
    output = capfd.readouterr()
    assert "1 clip: 0 usable, 1 left out." in output.out and "1 no_face (left out)" in output.out
    assert output.err.splitlines()[-1] == (
        f"error: {folder}: no clip can be used, so there is nothing to train on. {cache / 'defects.json'} says why."
    )
    assert run("prepare", folder, "-c", cache, "--workers", 1, "--json") == 2
    assert json.loads(capfd.readouterr().out)["usable"] == 0


def test_prepare_does_not_print_what_its_report_says(corpus, tmp_path, capfd):
    write_faceless(corpus / "video" / "s2" / "swiz9s.mp4")
    assert run("prepare", corpus, "-c", tmp_path / "cache", "--workers", 1, "--split", "unseen_validation") == 0
    output = capfd.readouterr()
    assert "1 unprepared (left out)" in output.out and output.err == ""


def test_names_that_spell_no_sentence_are_said_to_be_so(tmp_path, talking_video, capfd):
    """The file is there: an error that misses it would be wrong."""
    for name in ("hello_001", "hello_002"):
        path = tmp_path / "own" / "alice" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(talking_video, path)
    splits = tmp_path / "own" / "splits.json"
    names = {"train": {"alice": ["hello_001", "hello_002"]}, "validation": {"alice": ["hello_001"]}}
    splits.write_text(json.dumps(names))
    assert run("prepare", tmp_path / "own", "-c", tmp_path / "cache") == 2
    error = capfd.readouterr().err
    assert "2 clips: 0 usable, 2 left out" in error
    assert "alice/hello_001: the name spells no GRID sentence, as bbaf2n does" in error
    assert "no_sentence" in error and "no video file" not in error and "missing_video" not in error
    shutil.copy(talking_video, tmp_path / "own" / "alice" / "bbaf2n.mp4")
    splits.write_text(json.dumps({"train": {"alice": ["hello_001", "bbaf2n", "lgbazp"]}}))
    assert run("prepare", tmp_path / "own", "-c", tmp_path / "cache", "--workers", 1, "--json") == 0
    facts = json.loads(capfd.readouterr().out)
    assert facts["counts"] == {"missing_video": 1, "no_sentence": 1, "no_alignment": 1, "other_name": 1}
    assert (facts["checked"], facts["usable"], facts["left_out"]) == (3, 1, 2)
    (tmp_path / "own" / "s1").mkdir()
    shutil.copy(talking_video, tmp_path / "own" / "s1" / "take 1.mp4")
    assert run("prepare", tmp_path / "own", "-c", tmp_path / "cache", "--scheme", "seen4", "--speakers", "s1") == 2
    assert "take 1.mp4: the name spells no GRID sentence" in capfd.readouterr().err


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no affinity")
def test_processes_are_as_many_as_cores_that_may_be_used(corpus, tmp_path, monkeypatch):
    from lip2wav_hf.corpora import export
    from lip2wav_hf.machine import worker_processes
    from lip2wav_hf.training import clips

    asked = []

    def counted(number, chunksize=1):
        asked.append(number)
        return worker_processes(1)

    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2})
    monkeypatch.setattr(clips, "worker_processes", counted)
    monkeypatch.setattr(export, "worker_processes", counted)
    assert run("prepare", corpus, "-c", tmp_path / "cache") == 0
    assert run("export", corpus, tmp_path / "out") == 0
    assert asked == [3, 3]


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
    cached = read_cached_clip(next((tmp_path / "cache").rglob("s2/swiz9s.safetensors")))
    assert cached.regions.shape == (75, 48, 72) and set(cached.frame_words.tolist()) == {-1, 0, 1, 2, 3, 4, 5}


def test_ctrl_c_ends_prepare_with_one_line(corpus, tmp_path, capfd):
    def interrupt():
        while not list(tmp_path.glob("cache/*/*/[!.]*.safetensors")):
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    assert run("prepare", corpus, "-c", tmp_path / "cache", "--workers", 1) == 130
    assert capfd.readouterr().err == "error: interrupted. Run the same command again: it continues where it was.\n"
    assert run("prepare", corpus, "-c", tmp_path / "cache", "--workers", 1) == 0
    assert "5 usable" in capfd.readouterr().out


@pytest.mark.parametrize("spelling", ["--split-scheme", "--split_scheme", "--scheme"])
def test_the_split_scheme_is_named_as_in_training_or_with_hyphens(corpus, tmp_path, capfd, spelling):
    assert run("prepare", corpus, "-c", tmp_path / "cache", spelling, "seen5") == 2
    assert "'seen5' is not one of 'seen4', 'unseen33', 'overlap33', 'grid_s1', 'custom'" in capfd.readouterr().err
    chosen = (spelling, "overlap33", "--speakers", "s2", "--workers", 1, "--min_frames=70")
    assert run("prepare", corpus, "-c", tmp_path / "cache", *chosen) == 0
    assert "2 clips: 2 usable" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "test"], "no split test; there are train, unseen_validation"),
        (
            ["--scheme", "seen4", "--speakers", "s3"],
            "s3 is not part of 'seen4', which has s1, s2, s4, s29. Choose others with --speakers, or another"
            " --split-scheme.",
        ),
        (["--speakers", "s7"], "splits.json: there is no speaker s7 in it. There are s1"),
        (["--feature-extractor", "nowhere"], "no feature extractor can be loaded"),
        (["--splits-file", "nowhere.json"], "no such splits file"),
    ],
)
def test_prepare_refuses_what_it_cannot_do(corpus, tmp_path, capfd, arguments, message):
    assert run("prepare", corpus, "-c", tmp_path / "cache", *arguments) == 2
    errors = capfd.readouterr().err
    assert errors.startswith("error: ") and message in errors and len(errors.splitlines()) == 1


def test_how_to_keep_short_clips_is_named_as_an_option(corpus, tmp_path, capfd):
    run("prepare", corpus, "-c", tmp_path / "cache", "--workers", 1, "--min-frames", 500)
    shown = capfd.readouterr()
    assert "--min-frames N keeps those of N frames and more" in shown.out + shown.err


@pytest.mark.parametrize("part", [{}, {"start": 0, "end": 3}])
@pytest.mark.parametrize("frames", [(), ("--min-frames", 1)])
def test_a_still_picture_is_called_one(tmp_path, talking_video, capfd, part, frames):
    """`--min-frames` would not make a video of it."""
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(talking_video, folder / "talk.mp4")
    assert cv2.imwrite(str(folder / "photo.png"), np.zeros((48, 64, 3), np.uint8))
    rows = [
        {"file_name": name, "speaker": "ann", "transcription": "hello"} | part for name in ("talk.mp4", "photo.png")
    ]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("prepare", folder, "-c", tmp_path / "cache", "--workers", 1, *frames) == 0
    shown = capfd.readouterr().out
    (line,) = [line for line in shown.splitlines() if "photo" in line]
    assert line.startswith("  1 still_picture (left out): it is a still picture or a text, not a video: ann/photo")
    assert "2 clips: 1 usable, 1 left out." in shown and "--min-frames" not in shown
    (defect,) = json.loads((tmp_path / "cache" / "defects.json").read_text())["defects"]
    assert defect["kind"] == "still_picture" and str(folder / "photo.png") in defect["detail"]


def test_the_real_corpus_is_prepared(grid_dir, tmp_path, capfd):
    choice = ("--scheme", "overlap33", "--speakers", "s11", "--workers", 1)
    assert run("prepare", grid_dir / "original", *choice, "-c", tmp_path) == 0
    output = capfd.readouterr().out
    assert "3 clips: 3 usable, 0 left out." in output
    cached = read_cached_clip(next(tmp_path.rglob("s11/*.safetensors")))
    assert cached.regions.shape[1:] == (48, 72) and cached.regions.std() > 10 and cached.frame_words.max() == 5


def test_a_slow_machine_has_a_rate_too():
    assert _rate(26, 9.0) == "2.9 clips/s" and _rate(12, 274.8) == "22.9 s per clip"
