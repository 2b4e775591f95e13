"""What lies in a folder of videos but becomes no clip is counted and named."""

import json
import shutil

import pytest

from lip2wav_hf import load_clips
from lip2wav_hf.corpora.video_folder import VideoFolder
from lip2wav_hf.corpora.word_times import write_word_times


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")


def write_table(folder, *rows, columns="file_name,transcription"):
    (folder / "metadata.csv").write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")


def found(folder):
    """Names of the clips, and of each kind of defect."""
    folder = VideoFolder(folder)
    clips = [clip.name for clip in folder.clips]
    kinds = {}
    for defect in folder.defects:
        kinds.setdefault(defect.kind, []).append(defect.clip)
    return clips, kinds


def test_videos_that_no_table_names(tmp_path):
    touch(tmp_path, "a.mp4", "take-2.mp4", "more/take-3.MKV", "take-4.wmv", "take-2.txt", "notes.txt", "picture.png")
    write_table(tmp_path, "a.mp4,x")
    assert found(tmp_path) == (["a"], {"unlisted_video": ["more/take-3.MKV", "take-2.mp4", "take-4.wmv"]})
    folder = VideoFolder(tmp_path)
    _, report = folder.find_clips()
    assert report.summary().splitlines()[:2] == [
        "3 clips: 0 usable, 3 left out.",
        "  3 unlisted_video (left out): there is a video, but the metadata do not name it: more/take-3.MKV,"
        " take-2.mp4, take-4.wmv",
    ]
    detail = {defect.clip: defect.detail for defect in folder.defects}["take-2.mp4"]
    assert "no row of metadata.csv names it; take-2.txt beside it is not read where there is a table" in detail


def test_tables_of_splits_name_videos_of_their_own_folders(tmp_path):
    touch(tmp_path, "train/a.mp4", "train/b.mp4", "test/c.mp4", "extra/d.mp4", "e.mp4")
    write_table(tmp_path / "train", "a.mp4,x")
    write_table(tmp_path / "test", "c.mp4,y")
    assert found(tmp_path)[1] == {"unlisted_video": ["e.mp4", "extra/d.mp4", "train/b.mp4"]}


def test_a_table_beside_the_one_that_is_read(tmp_path):
    touch(tmp_path, "train/a.mp4")
    write_table(tmp_path / "train", "a.mp4,x")
    (tmp_path / "train/metadata.jsonl").write_text('{"file_name": "a.mp4", "transcription": "y"}')
    folder = VideoFolder(tmp_path)
    remark = f"{tmp_path / 'train/metadata.jsonl'} is not read, since metadata.csv is beside it. Keep one of them."
    assert folder.remarks("train") == folder.find_clips()[1].lines() == [remark]
    assert [clip.words for clip in folder.clips] == [("x",)]


def test_hidden_files_are_no_videos_and_no_transcripts(tmp_path):
    for folder in (tmp_path / "table", tmp_path / "beside"):
        touch(folder, "a.mp4", "a.txt", "._a.mp4", "._a.txt", "._lone.txt", ".trash/b.mp4", ".trash/b.txt")
        (folder / "a.txt").write_text("x")
    touch(tmp_path / "table", "._metadata.csv", ".cache/c.parquet")
    write_table(tmp_path / "table", "a.mp4,x")
    for folder in (tmp_path / "table", tmp_path / "beside"):
        assert found(folder) == (["a"], {})
        assert [clip.name for clip in load_clips(folder, "train")] == ["a"]


def test_rows_that_repeat_a_recording(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    rows = ["a.mp4,Yes!,,", "a.mp4,yes,,", "b.mp4,no,,", "b.mp4,yes,,", "c.mp4,one,0,1", *2 * ["c.mp4,two,1,2"]]
    write_table(tmp_path, *rows, columns="file_name,transcription,start,end")
    clips, kinds = found(tmp_path)
    assert clips == ["a", "c@0.00", "c@1.00"]
    assert kinds == {"contradicting_rows": ["b.mp4"], "repeated_row": ["a.mp4 (line 3)", "c.mp4@1.00 (line 8)"]}
    _, report = VideoFolder(tmp_path).find_clips()
    assert (report.checked, report.left_out) == (1, 1)  # b; the others are clips, of which nothing is lost
    details = {defect.clip: defect.detail for defect in report.defects}
    assert "line 4 and" in details["b.mp4"] and "line 5: each says something else" in details["b.mp4"]
    assert "line 3: " in details["a.mp4 (line 3)"] and "line 2 says the same" in details["a.mp4 (line 3)"]


def test_a_recording_that_two_people_are_said_to_speak(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    write_table(tmp_path, "a.mp4,x,ann", "a.mp4,x,bob", "b.mp4,x,ann", columns="file_name,transcription,speaker")
    assert found(tmp_path) == (["b"], {"contradicting_rows": ["a.mp4"]})


def test_names_that_differ_in_signs_only_stay_apart(tmp_path):
    touch(tmp_path, "a#1.mp4", "a?1.mp4")
    write_table(tmp_path, "a#1.mp4,x", "a?1.mp4,y")
    clips, kinds = found(tmp_path)
    assert (len(set(clips)), kinds) == (2, {})


def test_transcripts_without_a_video(tmp_path):
    touch(tmp_path, "a.mp4", "a.txt", "take-2.txt", "README.txt", "phrases.txt", "other/c.mp4", "other/list.txt")
    touch(tmp_path, "other/c.srt", "other/d.srt", "e.wmv", "e.txt")
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "other/c.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nHello\n")
    clips, kinds = found(tmp_path)
    assert clips == ["a", "c@1.00"]
    assert kinds == {"lone_transcript": ["other/d.srt", "take-2.txt"], "other_format": ["e.wmv"]}
    _, report = VideoFolder(tmp_path).find_clips()
    assert (report.checked, report.left_out) == (1, 1)  # e; a transcript is no clip


def test_word_times_of_no_clip(tmp_path):
    touch(tmp_path, "a.mp4")
    write_table(tmp_path, "a.mp4,x,ann", columns="file_name,transcription,speaker")
    touch(tmp_path, "alignments/ann/a.b.TextGrid", "alignments/bob/a.align")
    write_word_times(tmp_path / "alignments/ann/a.TextGrid", [(0.1, 0.4, "x")], 2.0)
    touch(tmp_path, "alignments/alignment.jsonl")
    clips, kinds = found(tmp_path)
    times = ["alignments/ann/a.b.TextGrid", "alignments/bob/a.align"]
    assert (clips, kinds) == (["a"], {"unused_times": times})


def test_clips_that_the_folders_own_splits_do_not_name(tmp_path):
    touch(tmp_path, *(f"{number}.mp4" for number in range(6)))
    write_table(tmp_path, *(f"{number}.mp4,x,ann" for number in range(6)), columns="file_name,transcription,speaker")
    splits = {"train": {"ann": ["0"]}, "test": {"ann": ["1"]}}
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    folder = VideoFolder(tmp_path)
    said = "4 clips in no split of splits.json, and so not used: ann/2, ann/3, ann/4 and 1 more."
    assert folder.find_clips()[1].notes == folder.remarks("train") == [said]


def test_whoever_loads_clips_in_python_reads_it_in_the_log(tmp_path, caplog):
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    write_table(tmp_path, "a.mp4,x", "gone.mp4,y", "c.mp4,x", "c.mp4,y")
    assert len(load_clips(tmp_path, "train")) == 1
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "1 missing_video (left out): listed, but there is no video file: gone.mp4",
        "1 unlisted_video (left out): there is a video, but the metadata do not name it: b.mp4",
        "1 contradicting_rows (left out): the metadata name it more than once, and say different things: c.mp4",
    ]
    caplog.clear()
    (tmp_path / "b.mp4").unlink()
    write_table(tmp_path, "a.mp4,x", "c.mp4,x")
    load_clips(tmp_path)
    assert not caplog.records


@pytest.mark.parametrize("table", [True, False])
def test_an_ordinary_folder_has_nothing_to_say(tmp_path, talking_video, table):
    for name in "abc":
        shutil.copy(talking_video, tmp_path / f"{name}.mp4")
        (tmp_path / f"{name}.txt").write_text(f"sentence {name}")
    if table:
        write_table(tmp_path, *(f"{name}.mp4,sentence {name}" for name in "abc"))
    folder = VideoFolder(tmp_path)
    assert folder.remarks("train") == [] and folder.find_clips()[1].counts() == {}
