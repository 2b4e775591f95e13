"""Slips in the names of a table: of its columns, its splits and its speakers."""

import json
import shutil
from pathlib import Path

import pytest

from lip2wav_hf import DEFAULT_CHECKPOINT, Lip2WavError, adapt, load_clips
from lip2wav_hf.adaptation import running
from lip2wav_hf.corpora.clips import Selection
from lip2wav_hf.corpora.defects import CorpusReport
from lip2wav_hf.corpora.doubts import misspelt_splits
from lip2wav_hf.corpora.video_folder import VideoFolder
from little_grid import run


NAMES = "Such a column is called transcription, transcript, text or sentence; there are"


@pytest.fixture
def folder_of(tmp_path, talking_video):
    """Writes a table, and a copy of a face for each of its rows."""

    def folder_of(columns, *rows):
        folder = tmp_path / "videos"
        folder.mkdir()
        lines = [f"file_name,{columns}", *(f"{number}.mp4,{row}" for number, row in enumerate(rows))]
        (folder / "metadata.csv").write_text("\n".join([*lines, ""]))
        for number in range(len(rows)):
            shutil.copy(talking_video, folder / f"{number}.mp4")
        return folder

    return folder_of


def test_a_column_of_the_words_that_nobody_knows_is_refused_by_whoever_needs_words(
    folder_of, tmp_path, capfd, tiny_model_dir
):
    folder = folder_of("Words_said,speaker", *["bin blue,ann"] * 3)
    message = f"no column of metadata.csv says what is said. {NAMES} file_name, words_said, speaker. Rename the one"
    out = tmp_path / "out"
    for command in (
        ("prepare", folder, "-c", out),
        ("export", folder, out, "--workers", 1),
        ("align", folder, "-o", out, "--workers", 1),
        ("adapt", folder, "-o", out),
    ):
        assert run(*command) == 2
        assert f"error: {folder}: {message}" in capfd.readouterr().err
    with pytest.raises(Lip2WavError, match="no column of metadata.csv says"):
        adapt(folder, out)
    assert not out.exists()
    training = ("train", "tiny", "--data_dir", folder, "--output_dir", out, "--cache_dir", tmp_path / "cache")
    assert run(*training) == 2
    assert message in capfd.readouterr().err


def test_a_corpus_without_words_is_one_all_the_same(folder_of, tmp_path, caplog, capfd):
    """Videos can be spoken and measured without; it is said once."""
    folder = folder_of("age,split", *["30,test"] * 3)
    assert [clip.words for clip in load_clips(folder, "test")] == [None] * 3
    assert [record.message.count(NAMES) for record in caplog.records] == [1]
    assert run("speak", folder, "-o", tmp_path / "spoken", "--limit", 1) in (0, 2)  # which reads no table
    arguments = ("--metrics", "stoi", "--limit", 1, "--no-report", "--workers", 1)
    assert run("evaluate", "--data", folder, "--split", "test", "-o", tmp_path / "scored", *arguments) == 0
    said = capfd.readouterr()
    assert (said.out + said.err).count(NAMES) == 1


def test_a_table_of_nothing_but_known_columns_is_not_refused(folder_of):
    found, report = VideoFolder(folder_of("speaker", "ann", "bob")).find_clips()
    report.require_words()
    assert sum(map(len, found.values())) == 2
    assert report.doubts == [f"no column of metadata.csv says what is said. {NAMES} file_name, speaker."]


def test_one_table_of_several_may_have_other_columns(tmp_path):
    for split, column in (("train", "text"), ("test", "words_said")):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.mp4").touch()
        (tmp_path / split / "metadata.csv").write_text(f"file_name,{column}\na.mp4,yes\n")
    _, report = VideoFolder(tmp_path).find_clips()
    report.require_words()
    assert [doubt.partition(" says")[0] for doubt in report.doubts] == ["no column of test/metadata.csv"]


@pytest.mark.parametrize(
    ("split", "meant"),
    [
        ("tset", "test"),
        ("trian", "train"),
        ("vaildation", "validation"),
        ("validaton", "validation"),
        ("tests", "test"),
        *((name, "") for name in ("train", "validation", "test", "test_clean", "unseen_test", "test2", "pretrain")),
        *((name, "") for name in ("seen", "unseen", "all", "extra", "fold1", "held_out")),
    ],
)
def test_a_split_that_looks_misspelt(split, meant):
    found = misspelt_splits({split: 2})
    assert found == ([f"the split {split!r}, of 2 clips, is one of its own. Did you mean {meant}?"] if meant else [])


def test_a_misspelt_split_is_reported_and_stays(folder_of, tmp_path, capfd, caplog):
    folder = folder_of("text,split", "bin blue,train", "bin red,validation", "bin white,tset")
    message = "the split 'tset', of 1 clip, is one of its own. Did you mean test?"
    assert run("prepare", folder, "-c", tmp_path / "cache", "--workers", 1) == 0
    said = capfd.readouterr().out
    assert said.count(message) == 1 and "tset: 1 clip" in said
    assert json.loads((tmp_path / "cache" / "defects.json").read_text())["doubts"] == [message]
    assert CorpusReport.load(tmp_path / "cache" / "defects.json").doubts == [message]
    assert set(load_clips(folder)) == {"train", "validation", "tset"}
    assert [record.message for record in caplog.records] == [f"{folder}: {message}"]
    (folder / "metadata.csv").write_text("file_name,text\n0.mp4,bin blue\n1.mp4,bin red\n2.mp4,bin white\n")
    (folder / "splits.json").write_text(json.dumps({"trian": {"videos": ["0"]}, "validation": {"videos": ["1", "2"]}}))
    assert VideoFolder(folder).remarks("validation") == [message.replace("tset", "trian").replace("test", "train")]


def test_one_speaker_in_several_spellings(folder_of, tmp_path, capfd):
    """White space and the form of Unicode are no difference; capital letters are, and are reported."""
    names = ["Zoe\u0308", " Zo\u00eb ", "Ann Lee", "Ann  Lee", "ann lee", "ANN LEE "]
    folder = folder_of("text,speaker", *(f"bin blue,{name}" for name in names))
    message = "the speakers ANN LEE, Ann Lee and ann lee differ in capital letters alone, and count as 3 people."
    clips = VideoFolder(folder).clips
    assert [clip.speaker for clip in clips] == ["Zo\u00eb"] * 2 + ["Ann Lee"] * 2 + ["ann lee", "ANN LEE"]
    assert run("prepare", folder, "-c", tmp_path / "cache", "--workers", 1) == 0
    assert capfd.readouterr().out.count(message) == 1
    _, report = VideoFolder(folder).find_clips(Selection(any_split=True))
    assert [doubt.startswith(message) for doubt in report.doubts] == [True]
    _, _, doubts = running._all_clips(folder, Path(DEFAULT_CHECKPOINT))  # which become notes of an adaptation
    assert [doubt.startswith(f"T{message[1:]}") for doubt in doubts] == [True]


def test_a_folder_is_the_speaker_that_the_table_names(tmp_path):
    """Whatever form of Unicode a file system gives it."""
    place = tmp_path / "Zoe\u0308"
    place.mkdir()
    for name in "ab":
        (place / f"{name}.mp4").touch()
    rows = ["Zoe\u0308/a.mp4,yes,Zo\u00eb", "Zoe\u0308/b.mp4,yes,"]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,text,speaker", *rows, ""]), encoding="utf-8")
    assert [clip.key for clip in VideoFolder(tmp_path).clips] == ["Zo\u00eb/a", "Zo\u00eb/b"]
