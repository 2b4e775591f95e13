"""A folder of videos as a corpus: metadata, transcripts beside the videos, splits given and made."""

import json
import shutil

import pytest

from lip2wav_hf.corpora.clips import CorpusError, Selection
from lip2wav_hf.corpora.registry import load_split, open_corpus
from lip2wav_hf.corpora.video_folder import VideoFolder, VideoFolderError


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def write_metadata(folder, rows, name="metadata.csv"):
    lines = rows if isinstance(rows[0], str) else [json.dumps(row) for row in rows]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def clips_of(folder):
    return {clip.key: clip for clip in VideoFolder(folder).clips}


def test_metadata_csv(tmp_path):
    touch(tmp_path, "a.mp4", "in/b.webm")
    write_metadata(
        tmp_path,
        [
            "file_name,transcription,speaker,split,start,end",
            'a.mp4,"Hello, you",ann,train,,',
            "in/b.webm,Bye!,bob,dev,1.5,3",
        ],
    )
    clips = clips_of(tmp_path)
    assert list(clips) == ["ann/a", "bob/in-b@1.50"]
    first, second = clips.values()
    assert (first.words, first.text, first.start, first.end, first.split) == (
        ("hello", "you"),
        "Hello, you",
        0.0,
        None,
        "train",
    )
    assert (second.words, second.start, second.end, second.split) == (("bye",), 1.52, 3.0, "validation")
    assert load_split(tmp_path, "validation") == [second]


def test_metadata_jsonl_in_the_folders_of_the_splits(tmp_path):
    touch(tmp_path, "train/x.mp4", "test/y.mp4")
    write_metadata(tmp_path / "train", [{"file_name": "x.mp4", "text": "ja"}], "metadata.jsonl")
    write_metadata(tmp_path / "test", [{"file_name": "y.mp4", "sentence": "nein", "speaker_id": 7}], "metadata.jsonl")
    splits = VideoFolder(tmp_path).read_splits()
    assert splits == {"train": {tmp_path.name: ["x"]}, "test": {"7": ["y"]}}
    assert [clip.words for clip in load_split(tmp_path, "test")] == [("nein",)]


def test_transcripts_beside_the_videos(tmp_path):
    touch(tmp_path, "ann/one.mp4", "ann/two.mkv", "bob/three.mov", "bob/untold.mp4", ".hidden/four.mp4")
    (tmp_path / "ann/one.txt").write_text("One, two")
    (tmp_path / "ann/two.align").write_text("0 5000 sil\n5000 10000 bin\n10000 20000 blue\n")
    (tmp_path / "bob/three.srt").write_text(
        "1\n00:00:01,000 --> 00:00:02,500\nHello\n\n2\n00:00:03,000 --> 00:00:04,000\nbye\n"
    )
    folder = VideoFolder(tmp_path)
    clips = {clip.key: clip for clip in folder.clips}
    assert list(clips) == ["ann/one", "ann/two", "bob/three@1.00", "bob/three@3.00"]
    assert clips["ann/one"].words == ("one", "two") and clips["ann/one"].timed_words() is None
    assert clips["ann/two"].timed_words() == [(0.2, 0.4, "bin"), (0.4, 0.8, "blue")]
    assert (clips["bob/three@3.00"].start, clips["bob/three@3.00"].end) == (3.0, 4.0)
    assert [(defect.clip, defect.kind) for defect in folder.defects] == [("bob/untold.mp4", "no_transcript")]


def test_splits_are_made_the_same_everywhere_and_by_what_suits(tmp_path):
    rows = ["file_name,transcription,speaker"]
    for speaker in range(20):
        for sentence in range(3):
            touch(tmp_path, f"{speaker}-{sentence}.mp4")
            rows.append(f"{speaker}-{sentence}.mp4,sentence {sentence},p{speaker}")
    write_metadata(tmp_path, rows)
    splits = VideoFolder(tmp_path).read_splits()
    assert {split: len(speakers) for split, speakers in splits.items()} == {"train": 16, "validation": 2, "test": 2}
    assert splits == VideoFolder(tmp_path).read_splits() != VideoFolder(tmp_path, seed=1).read_splits()
    one = VideoFolder(tmp_path).read_splits(Selection(speakers=("p3",)))
    assert sorted(name for speakers in one.values() for name in speakers["p3"]) == ["3-0", "3-1", "3-2"]


def test_repeated_sentences_stay_together_where_sentences_are_held_back(tmp_path):
    rows = ["file_name,transcription"]
    for number in range(40):
        touch(tmp_path, f"{number}.mp4")
        rows.append(f"{number}.mp4,say {number // 2 if number < 10 else number}")
    write_metadata(tmp_path, rows)
    folder = VideoFolder(tmp_path)
    said = {split: {clip.words for clip in folder.load_split(split)} for split in folder.read_splits()}
    assert set(said) == {"train", "validation", "test"}
    assert not said["train"] & said["validation"] and not said["train"] & said["test"]


def test_clips_without_words_take_no_place_in_a_split_that_measures(tmp_path):
    said = [f"say {number}" if number > 9 else "" for number in range(20)]
    for number in range(20):
        touch(tmp_path, f"{number}.mp4")
    write_metadata(tmp_path, ["file_name,transcription", *(f"{n}.mp4,{text}" for n, text in enumerate(said))])
    found, report = VideoFolder(tmp_path).find_clips()
    assert sum(map(len, found.values())) == 20  # they are reported, each once
    assert [sum(bool(clip.words) for clip in clips) for clips in found.values()] == [8, 1, 1]
    assert all(clip.words for split in ("validation", "test") for clip in found[split])
    assert report.notes == ["split by sentence: train 8 sentences, validation 1, test 1, seed 0"]


def test_parts_after_the_end_of_their_video_take_no_place_in_a_split_that_measures(tmp_path, talking_video):
    """The video has three seconds; what lies behind them cannot be used, and neither can a file that is none. Of the
    last of the usable parts, the second that is needed is there."""
    shutil.copyfile(talking_video, tmp_path / "a.mp4")
    touch(tmp_path, "b.mp4")
    parts = [("a", 0, 1), ("a", 1, 2), ("a", 2, 3), ("a", 0.5, 1.5), ("a", 1.5, 2.5), ("a", 2, 3.1)]
    parts += [("a", 2, 3.5), ("b", 0, 1), *(("a", number, number + 1) for number in range(3, 11))]
    rows = [f"{video}.mp4,say it,{start},{end}" for video, start, end in parts]
    write_metadata(tmp_path, ["file_name,transcription,start,end", *rows])
    found, report = VideoFolder(tmp_path).find_clips()
    assert report.notes == ["split by clip: train 5 clips, validation 1, test 1, seed 0"]
    usable = {(start, end) for _, start, end in parts[:7]}
    assert sum(map(len, found.values())) == 16  # the others are reported
    held_back = [clip for split in ("validation", "test") for clip in found[split]]
    assert all(clip.video.name == "a.mp4" and (clip.start, clip.end) in usable for clip in held_back)


def test_clips_are_divided_where_none_has_words(tmp_path):
    for number in range(20):
        touch(tmp_path, f"{number}.mp4")
    write_metadata(tmp_path, ["file_name,transcription", *(f"{number}.mp4," for number in range(20))])
    found, _ = VideoFolder(tmp_path).find_clips()
    assert {split: len(clips) for split, clips in found.items()} == {"train": 16, "validation": 2, "test": 2}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["name,transcription", "a.mp4,x"], "file_name among them"),
        (["file_name,transcription", ",x"], "line 2: there is no file_name"),
        (["file_name,transcription,start", "a.mp4,x,soon"], "start is 'soon'"),
        (["file_name,transcription,start,end", "a.mp4,x,2,1"], "not after its start"),
        (["file_name,transcription", "../a.mp4,x"], "not inside"),
        (["file_name,transcription,start", "a.mp4,x,1:2:3:4"], "line 2: start is '1:2:3:4'"),
        (["file_name,transcription,start", "a.mp4,x,-0:01"], "line 2: start is '-0:01'"),
    ],
)
def test_faulty_metadata_say_where(tmp_path, rows, message):
    touch(tmp_path, "a.mp4")
    write_metadata(tmp_path, rows)
    with pytest.raises(VideoFolderError, match=message):
        list(VideoFolder(tmp_path).clips)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"transcription": ["x"]}, r"line 1: transcription is \['x'\]; it must be text"),
        ({"transcription": "x", "speaker": {"name": "ann"}}, "line 1: speaker is {'name': 'ann'}; it must be text"),
        ({"transcription": "x", "start": True}, "line 1: start is True"),
    ],
)
def test_lines_of_json_that_hold_something_else_say_where(tmp_path, row, message):
    touch(tmp_path, "a.mp4")
    write_metadata(tmp_path, [{"file_name": "a.mp4"} | row], "metadata.jsonl")
    with pytest.raises(VideoFolderError, match=message):
        list(VideoFolder(tmp_path).clips)


def test_cells_that_are_not_a_number_say_nothing(tmp_path):
    touch(tmp_path, "a.mp4")
    nan = float("nan")  # as pandas writes an empty cell of numbers
    row = {"file_name": "a.mp4", "transcription": "x", "speaker": nan, "start": nan, "end": nan}
    write_metadata(tmp_path, [row | {"words": [{"word": "x", "start": nan, "end": 1.0}]}], "metadata.jsonl")
    (clip,) = VideoFolder(tmp_path).clips
    assert (clip.speaker, clip.start, clip.end, clip.times) == (tmp_path.name, 0.0, None, None)


@pytest.mark.parametrize(("start", "end"), [("62.5", "75"), ('"62,5"', '"75,0"'), ("1:02.5", "0:01:15")])
def test_times_are_read_as_people_write_them(tmp_path, start, end):
    touch(tmp_path, "a.mp4")
    write_metadata(tmp_path, ["file_name,transcription,start,end", f"a.mp4,x,{start},{end}"])
    (clip,) = VideoFolder(tmp_path).clips
    assert (clip.start, clip.end) == (62.48, 75.0)


def test_the_case_of_names_of_columns_and_of_the_table_does_not_matter(tmp_path):
    touch(tmp_path, "a.mp4")
    write_metadata(tmp_path, ["File_Name , Transcription,SPEAKER", "a.mp4,x,ann"], "Metadata.CSV")
    (clip,) = VideoFolder(tmp_path).clips
    assert (clip.key, clip.words) == ("ann/a", ("x",))


def test_a_whole_path_into_the_folder_is_read(tmp_path):
    touch(tmp_path, "in/a.mp4")
    write_metadata(tmp_path, ["file_name,transcription", f"{tmp_path}/in/a.mp4,x", f"{tmp_path}/gone.mp4,x"])
    folder = VideoFolder(tmp_path)
    assert [clip.name for clip in folder.clips] == ["a"]
    assert [defect.clip for defect in folder.defects] == ["gone.mp4"]


def test_different_clips_never_have_one_name(tmp_path):
    touch(tmp_path, "a.mp4", "a.mov", "b.mp4")
    rows = ["a.mp4,x,,", "a.mov,y,,", "b.mp4,x,0,1.5", "b.mp4,y,0.001,2", "b.mp4,z,0,"]
    write_metadata(tmp_path, ["file_name,transcription,start,end", *rows])
    assert [clip.name for clip in VideoFolder(tmp_path).clips] == [
        "a-mp4",
        "a-mov",
        "b-mp4@0.00-1.50",
        "b-mp4@0.00-2.00",
        "b-mp4@0.00-end",
    ]


def test_a_table_that_is_too_deep_is_named(tmp_path):
    touch(tmp_path, "in/a.mp4")
    write_metadata(tmp_path / "in", ["file_name,transcription", "a.mp4,x"])
    with pytest.raises(CorpusError, match="in/metadata.csv is too deep inside of it. Give the folder .*/in"):
        open_corpus(tmp_path)


def test_absent_videos_are_counted(tmp_path):
    touch(tmp_path, "a.mp4")
    write_metadata(tmp_path, ["file_name,transcription", "a.mp4,x", "gone.mp4,y"])
    folder = VideoFolder(tmp_path)
    assert len(folder.clips) == 1
    (defect,) = folder.defects
    assert (defect.clip, defect.kind) == ("gone.mp4", "missing_video") and "line 3: gone.mp4" in defect.detail


def test_what_is_no_such_folder_says_why(tmp_path):
    with pytest.raises(CorpusError, match="there is no video in it"):
        open_corpus(tmp_path)
    touch(tmp_path, "a.mp4")
    with pytest.raises(CorpusError, match="no transcript beside.*a.txt beside a.mp4"):
        open_corpus(tmp_path)
    with pytest.raises(VideoFolderError, match="no split 'validation'. There are train"):
        write_metadata(tmp_path, ["file_name,transcription", "a.mp4,x"])
        load_split(tmp_path, "validation")
    with pytest.raises(VideoFolderError, match="no speaker zoe"):
        load_split(tmp_path, "train", speakers=["zoe"])


def test_a_real_corpus_of_many_people(grid_dir):
    folder = grid_dir.parent / "crema-d"
    if not folder.is_dir():
        pytest.skip(f"no real data: there is no folder {folder}")
    corpus = open_corpus(folder)
    assert corpus.name == "videos"
    splits = corpus.read_splits()
    people = {split: set(speakers) for split, speakers in splits.items()}
    assert sum(map(len, people.values())) == 62 and not people["train"] & people["validation"]
    clips = [clip for split in splits for clip in corpus.load_split(split)]
    assert len(clips) == 98 and len({clip.words for clip in clips}) == 12


def test_one_broken_transcript_is_counted_and_stops_nothing(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "a.vtt").write_text("no cue at all")
    (tmp_path / "b.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nHello\n")
    folder = VideoFolder(tmp_path)
    (clip,) = folder.clips
    assert (clip.start, clip.end) == (1.0, 2.5)  # also of a single subtitle
    found, report = folder.find_clips()
    assert report.counts() == {"corrupt_transcript": 1} and found["train"] == [clip]


def test_fields_with_line_breaks(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    write_metadata(tmp_path, ["file_name,transcription", 'a.mp4,"two\nlines"', "b.mp4,next\u2028line"])
    assert [clip.words for clip in VideoFolder(tmp_path).clips] == [("two", "lines"), ("next", "line")]
    write_metadata(tmp_path, [{"file_name": "a.mp4", "text": "next\u2028line"}], "metadata.jsonl")
    (tmp_path / "metadata.csv").unlink()
    assert [clip.words for clip in VideoFolder(tmp_path).clips] == [("next", "line")]


def test_names_of_one_speaker_that_would_be_the_same(tmp_path):
    touch(tmp_path, "train/x.mp4", "test/x.mp4", "train/y.mp4")
    for split, names in (("train", "xy"), ("test", "x")):
        rows = [f"{name}.mp4,{split} {name},ann" for name in names]
        write_metadata(tmp_path / split, ["file_name,transcription,speaker", *rows])
    assert VideoFolder(tmp_path).read_splits() == {"test": {"ann": ["test-x"]}, "train": {"ann": ["train-x", "y"]}}


def test_word_times_are_cut_and_shifted_with_the_part(tmp_path):
    touch(tmp_path, "a.mp4")
    words = [{"word": w, "start": s, "end": e} for w, s, e in (("one", 0.2, 0.9), ("Two,", 0.9, 1.5), ("3", 2.5, 3.5))]
    row = {"file_name": "a.mp4", "transcription": "Two, 3", "start": 1.0, "end": 3.2, "words": words}
    write_metadata(tmp_path, [row], "metadata.jsonl")
    (clip,) = VideoFolder(tmp_path).clips
    assert clip.words == ("two", "3")
    assert clip.timed_words() == [(0.0, pytest.approx(0.5), "two"), (1.5, pytest.approx(2.2), "3")]


def test_made_splits_do_not_depend_on_who_is_asked_for(tmp_path):
    rows = ["file_name,transcription,speaker"]
    for number in range(30):
        touch(tmp_path, f"{number}.mp4")
        rows.append(f"{number}.mp4,say {number % 3},p{number % 15}")
    write_metadata(tmp_path, rows)
    folder = VideoFolder(tmp_path)
    splits = folder.read_splits()
    for speaker in splits["test"]:
        assert folder.read_splits(Selection(speakers=(speaker,))) == {"test": {speaker: splits["test"][speaker]}}
    assert folder.made_splits().describe() == "split by speaker: train 11 speakers, validation 2, test 2, seed 0"


def test_metadata_win_over_names_that_happen_to_be_sentences(tmp_path):
    touch(tmp_path, "s1/bbaf2n.mp4")
    assert open_corpus(tmp_path).name == "grid"
    write_metadata(tmp_path, ["file_name,transcription", "s1/bbaf2n.mp4,something else"])
    assert open_corpus(tmp_path).name == "videos"


def test_broken_splits_and_schemes_of_grid_are_refused(tmp_path):
    touch(tmp_path, "a.mp4")
    write_metadata(tmp_path, ["file_name,transcription", "a.mp4,x"])
    (tmp_path / "splits.json").write_text('{"train": ["a"]}')
    with pytest.raises(VideoFolderError, match="expected"):
        VideoFolder(tmp_path).read_splits()
    with pytest.raises(VideoFolderError, match="'seen4' is one of GRID"):
        VideoFolder(tmp_path).read_splits(Selection("seen4"))


def test_of_subtitles_only_the_one_with_wrong_times_is_left_out(tmp_path):
    touch(tmp_path, "a.mp4")
    cues = ["00:01.000 --> 00:02.000\none", "00:06.000 --> 00:05.000\ntwo", "00:07.000 --> 00:08.000\nthree"]
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n" + "\n\n".join(cues))
    folder = VideoFolder(tmp_path)
    assert [clip.text for clip in folder.clips] == ["one", "three"]
    [remark] = folder.remarks("train")
    assert remark.startswith(
        "1 corrupt_cue (left out): a subtitle whose times cannot be read, or cannot be right; the others are used: a"
    )
    assert "a.vtt: a cue ends at 00:05.000, not after its beginning at 00:06.000" in remark
    found, report = folder.find_clips()
    assert (sum(map(len, found.values())), report.left_out, report.checked) == (2, 0, 0)


def test_a_transcript_without_words_is_told_from_none(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    write_metadata(tmp_path, ["file_name,transcription,speaker", "a.mp4,... !!!,ann", "b.mp4,,ann"])
    folder = VideoFolder(tmp_path)
    usable, report = folder.check_clips(folder.clips)
    assert usable == [] and report.counts() == {"no_transcript": 1, "no_words": 1}
    assert f"For example, {tmp_path / 'a.mp4'}: its transcript '... !!!' has no words" in report.summary()


@pytest.mark.parametrize(
    ("table", "advice"),
    [
        ("labels.csv", "labels.csv is there: name it metadata.csv."),
        ("meta.tsv", "meta.tsv is there: name it metadata.csv."),
        ("clips.jsonl", "clips.jsonl is there: name it metadata.jsonl."),
        ("metadata.xlsx", "metadata.xlsx is there: save it as metadata.csv (in Excel: CSV UTF-8)."),
    ],
)
def test_a_table_of_another_name_is_told_of(tmp_path, table, advice):
    touch(tmp_path, "a.mp4", table)
    with pytest.raises(CorpusError) as caught:
        open_corpus(tmp_path)
    assert advice in str(caught.value)
