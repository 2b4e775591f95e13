"""`lip2wav align`: word times where only sentences are known."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lip2wav_hf import load_clips
from lip2wav_hf.configuration_lip2wav import Lip2WavSpeechEncoderConfig
from lip2wav_hf.corpora.align_clips import RECORDS
from lip2wav_hf.modeling_critic import Lip2WavSpeechEncoder
from little_grid import write_corpus

from .command_line import error_line


SENTENCE = "bin blue at f two now"


@pytest.fixture
def corpus(tmp_path, talking_video):
    """Three clips with sentences, two of which a GRID encoder knows."""
    folder = tmp_path / "videos"
    folder.mkdir()
    rows = ["file_name,transcription,speaker"]
    for name, text in (("one", "Bin blue at F two now."), ("two", SENTENCE), ("three", "good morning")):
        shutil.copy(talking_video, folder / f"{name}.mp4")
        rows.append(f"{name}.mp4,{text},ann")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_word_times_are_written_and_read_again(run, corpus, tmp_path):
    status, out, err = run("align", corpus, "-o", corpus / "alignments", "--workers", 1)
    assert (status, err) == (0, "")
    assert "3 clips: 2 aligned now, 0 before, 1 refused." in out
    assert "refused: ann/three: the speech encoder does not know good, morning." in out
    assert "lip2wav train speech_encoder --data_dir" in out
    clips = {clip.name: clip for own in load_clips(corpus).values() for clip in own}
    times = clips["one"].timed_words()
    assert [word for *_, word in times] == SENTENCE.split() and clips["three"].times is None
    edges = [edge for start, end, _ in times for edge in (start, end)]
    assert edges == sorted(edges) and 0 <= edges[0] < edges[-1] <= 3.01
    records = [json.loads(line) for line in (corpus / "alignments" / RECORDS).read_text().splitlines()]
    assert {record["clip"] for record in records} == {"ann/one", "ann/two"}
    assert all(record["score"] == min(record["scores"]) for record in records)


def test_a_second_run_continues_and_overwrites_nothing(run, corpus, tmp_path):
    folder = tmp_path / "times"
    run("align", corpus, "-o", folder, "--workers", 1)
    (folder / "ann/one.TextGrid").unlink()  # as if the first run had been stopped before it
    written = (folder / "ann/two.TextGrid").stat().st_mtime_ns
    _, out, _ = run("align", corpus, "-o", folder, "--workers", 1, "--json")
    facts = json.loads(out)
    assert (facts["aligned"], facts["before"], list(facts["refused"])) == (["ann/one"], ["ann/two"], ["ann/three"])
    assert (folder / "ann/two.TextGrid").stat().st_mtime_ns == written
    (folder / RECORDS).unlink()  # now nobody knows who wrote the files
    (folder / "ann/two.TextGrid").write_text("mine")
    _, out, _ = run("align", corpus, "-o", folder, "--workers", 1)
    assert "2 files, edited, or that this speech encoder did not write for these words: ann/one, ann/two" in out
    assert (folder / "ann/two.TextGrid").read_text() == "mine"
    run("align", corpus, "-o", folder, "--workers", 1, "--overwrite")
    assert "IntervalTier" in (folder / "ann/two.TextGrid").read_text()


def test_who_is_said_to_say_nothing_is_told_from_whom_nothing_is_said_of(run, corpus, tmp_path):
    table = (corpus / "metadata.csv").read_text().replace(SENTENCE, "...").replace("good morning", "")
    (corpus / "metadata.csv").write_text(table)
    _, out, _ = run("align", corpus, "-o", tmp_path / "times", "--workers", 1)
    assert "refused: ann/two: its transcript has no words." in out
    assert "refused: ann/three: it has no transcript." in out


def test_files_of_the_other_format_are_no_reason_to_write_none(run, corpus, tmp_path):
    folder = tmp_path / "times"
    run("align", corpus, "-o", folder, "--workers", 1)
    _, out, _ = run("align", corpus, "-o", folder, "--workers", 1, "--format", "align")
    assert "2 aligned now, 0 before" in out and (folder / "ann/one.align").is_file()
    for format in ("align", "textgrid"):
        _, out, _ = run("align", corpus, "-o", folder, "--workers", 1, "--format", format)
        assert "0 aligned now, 2 before" in out
    (folder / "ann/one.align").unlink()
    (folder / "ann/one.TextGrid").write_text("mine")
    _, out, _ = run("align", corpus, "-o", folder, "--workers", 1, "--format", "align")
    assert "0 aligned now, 1 before" in out and "did not write for these words: ann/one\n" in out
    assert not (folder / "ann/one.align").exists()


@pytest.mark.parametrize("place", ["times", "videos/alignments"])
def test_what_has_changed_is_aligned_again_but_times_of_others_stay(run, corpus, tmp_path, place):
    folder = tmp_path / place
    run("align", corpus, "-o", folder, "--workers", 1)
    run("align", corpus, "-o", folder, "--workers", 1, "--format", "align")
    assert "0 aligned now, 2 before" in run("align", corpus, "-o", folder, "--workers", 1)[1]
    os.utime(corpus / "one.mp4", (1, 1))  # a video that has changed, and then a sentence
    assert "1 aligned now, 1 before" in run("align", corpus, "-o", folder, "--workers", 1)[1]
    assert "0 aligned now, 2 before" in run("align", corpus, "-o", folder, "--workers", 1)[1]
    table = (corpus / "metadata.csv").read_text()
    (corpus / "metadata.csv").write_text(table.replace("Bin blue at F two now.", "Bin blue at F nine now."))
    _, out, _ = run("align", corpus, "-o", folder, "--workers", 1, "--format", "align")
    assert "1 aligned now, 1 before" in out and "kept" not in out
    assert "nine" in (folder / "ann/one.TextGrid").read_text() and "nine" in (folder / "ann/one.align").read_text()
    corrected = (folder / "ann/one.TextGrid").read_text().replace("nine", "two")
    (folder / "ann/one.TextGrid").write_text(corrected)
    assert "0 aligned now, 1 before" in (out := run("align", corpus, "-o", folder, "--workers", 1)[1])
    assert "1 file, edited, or" in out and "for these words: ann/one\n" in out
    (corpus / "metadata.csv").write_text(table)
    _, out, _ = run("align", corpus, "-o", folder, "--workers", 1)
    assert "0 aligned now" in out and (folder / "ann/one.TextGrid").read_text() == corrected
    assert "1 aligned now, 1 before" in run("align", corpus, "-o", folder, "--workers", 1, "--format", "align")[1]
    assert "two" in (folder / "ann/one.align").read_text() and (folder / "ann/one.TextGrid").read_text() == corrected


def test_a_part_of_grid_needs_no_splits(run, talking_video, tmp_path):
    """Which clip is in which split does not matter here; where a split is named, it does."""
    corpus = write_corpus(tmp_path / "grid", talking_video)
    (corpus / "splits.json").unlink()
    status, out, _ = run("align", corpus, "-o", tmp_path / "times", "--all", "--workers", 1, "--speakers", "s2")
    assert status == 0 and "2 clips: 2 aligned now" in out and (tmp_path / "times/s2/swiz9s.TextGrid").is_file()
    assert "no such splits file" in error_line(run("align", corpus, "--check", "--split", "train"))
    assert "no videos of s9; there are s1, s2" in error_line(run("align", corpus, "--check", "--speakers", "s9"))


def test_what_has_times_is_left_alone_and_nothing_is_to_be_used(run, talking_video, tmp_path):
    corpus = write_corpus(tmp_path / "grid", talking_video)
    status, out, _ = run("align", corpus, "-o", tmp_path / "times", "--workers", 1)
    assert status == 0 and "left alone (--all aligns them too): 5 with word times" in out
    assert out.endswith("nothing was written.\n") and "use:" not in out and not (tmp_path / "times").exists()


def test_a_model_without_a_speech_encoder_is_refused_before_anything_heavy_is_imported(tmp_path):
    code = "import sys\nfrom lip2wav_hf.commands.main import main\ntry:\n    main(sys.argv[1:])"
    code += "\nexcept SystemExit as stop:\n    print(stop.code, 'torch' in sys.modules)"
    command = [sys.executable, "-c", code, *"align x -o y -m grid-sync".split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "2 False\n" and "no folder speech_encoder/ is in it" in done.stderr


def test_an_encoder_of_other_words_is_refused_with_what_to_do(run, corpus, tmp_path):
    torch.manual_seed(0)
    config = Lip2WavSpeechEncoderConfig(vocabulary=["hei"], hidden_size=8, num_layers=1)
    Lip2WavSpeechEncoder(config).save_pretrained(tmp_path / "encoder")
    line = error_line(run("align", corpus, "-o", tmp_path / "times", "--model", tmp_path / "encoder"))
    assert "knows none of the 3 sentences: 8 words, such as at, bin" in line
    assert "lip2wav train speech_encoder --data_dir" in line and not (tmp_path / "times").exists()


def test_where_most_clips_are_doubtful_it_is_said_what_that_means(run, corpus, tmp_path):
    hint = "these are most: the transcripts are of other recordings, or the speech encoder is to learn longer"
    _, out, _ = run("align", corpus, "-o", tmp_path / "right", "--workers", 1)
    assert hint not in out
    table = (corpus / "metadata.csv").read_text()
    (corpus / "metadata.csv").write_text(re.sub("blue at f two", "white by x nine", table, flags=re.IGNORECASE))
    _, out, _ = run("align", corpus, "-o", tmp_path / "wrong", "--workers", 1)
    assert "2 doubtful, listen to them" in out and hint in out and "use: " not in out


def test_what_cannot_be_is_refused(run, corpus, tmp_path):
    assert "--output, or compare with known ones with --check" in error_line(run("align", corpus))
    assert "has word times to compare with" in error_line(run("align", corpus, "--check"))
    assert "no split dev; there are" in error_line(run("align", corpus, "--check", "--split", "dev"))
    (tmp_path / "file").write_text("")
    assert "this is a file" in error_line(run("align", corpus, "-o", tmp_path / "file"))
    if Path("/proc/self").exists():  # which only looks as if it took files
        assert "/proc/x: nothing can be written into /proc." in error_line(run("align", corpus, "-o", "/proc/x"))
    assert "model nowhere" in error_line(run("align", corpus, "-o", tmp_path / "t", "--model", "nowhere"))


def test_check_names_the_worst_speaker(run, grid_dir):
    status, out, err = run(
        "align", grid_dir, "--check", "--split", "unseen_validation", "--speakers", "s26,s33", "--workers", 1
    )
    assert (status, err) == (0, "")
    assert out.splitlines()[0].split() == ["speaker", "clips", "median", "90", "%", "bias", "ms"]
    assert "worst speaker: s" in out and len(out.splitlines()) == 5
