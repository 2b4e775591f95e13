"""Word times that cannot be used: of another form, of other words, or out of order. None is dropped in silence."""

import json
import logging

import pytest

from lip2wav_hf import load_clips
from lip2wav_hf.adaptation.running import _all_clips
from lip2wav_hf.corpora.clips import CorpusError, times_fault
from lip2wav_hf.corpora.columns import VideoFolderError
from lip2wav_hf.corpora.registry import open_corpus
from lip2wav_hf.corpora.transcripts import read_transcript
from lip2wav_hf.corpora.video_folder import VideoFolder
from lip2wav_hf.corpora.word_times import write_word_times
from lip2wav_hf.files import CHECKPOINTS
from lip2wav_hf.grid.corpus import GridAlignment, GridError
from little_grid import run


GOOD = [{"word": "Hello,", "start": 0.2, "end": 0.5}, {"word": "you", "start": 0.5, "end": 0.9}]
FORM = 'the column must be a list of {"word": "blue", "start": 0.5, "end": 0.8}, in seconds.'


def entry(**changed):
    return [GOOD[0], GOOD[1] | changed]


def write_folder(folder, words, table="metadata.jsonl", **more):
    folder.mkdir(exist_ok=True)
    (folder / "a.mp4").write_bytes(b"")
    if table == "metadata.csv":
        cell = words.replace('"', '""')
        (folder / table).write_text(f'file_name,speaker,transcription,words\na.mp4,ann,"Hello, you!","{cell}"\n')
    else:
        row = {"file_name": "a.mp4", "speaker": "ann", "transcription": "Hello, you!", "words": words} | more
        (folder / table).write_text(json.dumps(row) + "\n")
    return VideoFolder(folder)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("Hello you", "words is the text 'Hello you'"),
        (7, "words is 7"),
        ({"Hello": 0.2, "you": 0.5}, "words is {'Hello': 0.2, 'you': 0.5}"),
        (["Hello", "you"], "words[0] is 'Hello'"),
        ([[0.2, 0.5, "Hello"]], "words[0] is [0.2, 0.5, 'Hello']"),
        ([{"text": "Hello", "start": 0.2, "end": 0.5}], "words[0] has no 'word'"),
        ([GOOD[0], {"word": "you", "end": 0.9}], "words[1] has no 'start'"),
        (entry(end="late"), "words[1]: its end is 'late', no number"),
        (entry(start=True), "words[1]: its start is True, no number"),
        (entry(word=["you"]), "words[1]: its word is ['you'], no text"),
    ],
)
def test_another_form_is_refused_with_the_one_that_is_wanted(tmp_path, words, found):
    with pytest.raises(VideoFolderError) as error:
        _ = write_folder(tmp_path, words).clips
    assert str(error.value) == f"{tmp_path / 'metadata.jsonl'}, line 1: {found}; {FORM}"


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (entry(word="me"), "its timed words are 'hello me', what is said is 'hello you'"),
        (GOOD[:1], "its timed words are 'hello', what is said is 'hello you'"),
        (entry(end=0.4), "'you' ends at 0.4 s, before it begins at 0.5 s"),
        (entry(start=0.1), "'you' begins at 0.1 s, before the word in front of it, 'Hello,', at 0.2 s"),
        ([GOOD[0] | {"start": -0.2}, GOOD[1]], "'Hello,' begins at -0.2 s"),
        (entry(start=-1, end=-1), "'you' begins at -1 s"),
        (entry(start=None, end=None), "'you' has no start and no end"),
        (entry(start=float("nan")), "'you' has no start"),
        (entry(end=float("nan")), "'you' has no end"),
    ],
)
def test_times_that_cannot_be_right_are_reported_and_the_clip_used(tmp_path, words, fault):
    folder = write_folder(tmp_path, words)
    (clip,) = folder.clips
    assert (clip.words, clip.times) == (("hello", "you"), None)
    found, report = folder.find_clips()
    assert sum(map(len, found.values())) == 1 and (report.checked, report.left_out) == (0, 0)
    line = (
        "1 wrong_times (used): its word times cannot be right, or are of other words; they are not used: ann/a."
        f" For example, {tmp_path / 'metadata.jsonl'}, line 1: {fault}"
    )
    assert report.lines() == folder.remarks("train") == [line]


@pytest.mark.parametrize("unknown", [-1.0, None, float("nan")])
def test_times_that_nobody_knows_are_no_defect(tmp_path, unknown):
    """As `lip2wav export` writes those of a clip without alignment."""
    folder = write_folder(tmp_path, [each | {"start": unknown, "end": unknown} for each in GOOD])
    (clip,) = folder.clips
    assert clip.times is None and not folder.defects


@pytest.mark.parametrize("words", [None, "", [], float("nan")])
def test_no_word_times_are_no_defect(tmp_path, words):
    folder = write_folder(tmp_path, words)
    assert folder.clips[0].times is None and not folder.defects


def test_times_are_of_the_whole_video_where_a_clip_is_a_part_of_it(tmp_path):
    folder = write_folder(tmp_path, GOOD, start=10, end=12)
    (clip,) = folder.clips
    (defect,) = folder.defects
    assert clip.times is None and defect.clip == clip.key
    assert defect.detail.endswith("its timed words from 10 s to 12 s are '', what is said is 'hello you'")


def test_words_without_a_transcription_are_used_without_their_times(tmp_path):
    (clip,) = write_folder(tmp_path, entry(end=0.1), transcription=None).clips
    assert (clip.words, clip.times) == (("hello", "you"), None)


def test_a_cell_of_a_csv_is_json_or_refused(tmp_path):
    (clip,) = write_folder(tmp_path, json.dumps(GOOD), "metadata.csv").clips
    assert clip.times == ((0.2, 0.5, "hello"), (0.5, 0.9, "you"))
    with pytest.raises(VideoFolderError) as error:
        _ = write_folder(tmp_path, "Hello you", "metadata.csv").clips
    assert str(error.value) == f"{tmp_path / 'metadata.csv'}, line 2: words is the text 'Hello you'; {FORM}"


@pytest.mark.parametrize("cell", ["null", " null ", "NaN", "[]"])
def test_a_cell_of_a_csv_may_say_that_there_are_none(tmp_path, cell):
    folder = write_folder(tmp_path, cell, "metadata.csv")
    assert folder.clips[0].times is None and not folder.defects


def test_times_of_which_one_is_empty_and_the_others_are_below_0_are_unknown(tmp_path):
    folder = write_folder(tmp_path, [GOOD[0] | {"start": -1, "end": None}, GOOD[1] | {"start": None, "end": -1}])
    assert folder.clips[0].times is None and not folder.defects


def test_columns_of_a_record_are_records_of_columns(tmp_path):
    """What `datasets` gives of a `Sequence`."""
    columns = {"word": ["Hello", "you"], "start": [0.2, 0.5], "end": [0.5, 0.9]}
    assert write_folder(tmp_path, columns).clips[0].times == ((0.2, 0.5, "hello"), (0.5, 0.9, "you"))


def test_order():
    assert times_fault([]) is None and times_fault([(0.0, 0.0, "a"), (0.0, 2.0, "b"), (1.0, 1.5, "c")]) is None
    assert "begins at -1 s" in times_fault([(-1.0, 0.5, "a")])


# ---------------------------------------------------------------------------------------------------------------------
# files of word times
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("a.align", "20000 10000 hello\n25000 30000 you\n", "'hello' ends at 0.4 s, before it begins at 0.8 s"),
        (
            "a.txt",
            "Text: HELLO YOU\n\nWORD START END ASDSCORE\nHELLO 0.5 0.8 1\nYOU 0.2 0.4 1\n",
            "'YOU' begins at 0.2 s, before the word in front of it, 'HELLO', at 0.5 s",
        ),
        (
            "a.txt",
            "Text: HELLO YOU\n\nWORD START END ASDSCORE\nHELLO 0.5 0.8 1\n",
            "its timed words are 'hello', what is said is 'hello you'",
        ),
    ],
)
def test_a_transcript_with_wrong_times(tmp_path, name, text, fault):
    (tmp_path / "a.mp4").write_bytes(b"")
    (tmp_path / name).write_text(text)
    folder = VideoFolder(tmp_path)
    (clip,) = folder.clips
    (defect,) = folder.defects
    assert (clip.words, clip.times) == (("hello", "you"), None)
    assert (defect.kind, defect.detail) == ("wrong_times", f"{tmp_path / name}: {fault}")


@pytest.mark.parametrize(
    ("times", "fault"),
    [
        ([(0.1, 0.4, "hello"), (0.5, 1.0, "me")], "it says 'hello me', but the transcript says 'hello you'."),
        ([(0.6, 0.8, "hello"), (0.1, 0.4, "you")], "'you' begins at 0.1 s, before the word in front of it"),
    ],
)
def test_a_folder_of_alignments_with_wrong_times(tmp_path, times, fault):
    """The clip keeps its version: what a cache has of it without times is right."""
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann/a.mp4").write_bytes(b"")
    (tmp_path / "ann/a.txt").write_text("Hello, you!")
    (bare,) = VideoFolder(tmp_path).clips
    lines = "".join(f"{round(25000 * start)} {round(25000 * end)} {word}\n" for start, end, word in times)
    (tmp_path / "alignments/ann").mkdir(parents=True)
    (tmp_path / "alignments/ann/a.align").write_text(lines)
    folder = VideoFolder(tmp_path)
    (clip,) = folder.clips
    (defect,) = folder.defects
    assert clip.times is None and clip.version == bare.version
    assert (defect.clip, defect.kind) == ("ann/a", "wrong_times") and fault in defect.detail


def test_an_alignment_of_grid_with_times_out_of_order(tmp_path):
    file = tmp_path / "a.align"
    file.write_text("10000 20000 bin\n5000 9000 blue\n")
    with pytest.raises(GridError, match=r"a\.align: 'blue' begins at 0\.2 s, before the word in front of it"):
        GridAlignment(file, ("bin", "blue")).read()


def test_subtitles_whose_times_cannot_be_read_are_reported(tmp_path):
    (tmp_path / "a.srt").write_text(
        "1\n00:00:01,000 --> 00:00:02,000\none\n\n2\n3.5 --> 4.5\ntwo\n\n"
        "3\n00:00:05,000 --> 00:00:06,000\nthree\n4\n00:00:07,000 --> 00:00:08,000\nfour\n\n"
        "5\n00:00:09,000 --> 00:00:10,000\nfive --&gt; six\n"
    )
    transcript = read_transcript(tmp_path / "a.srt")
    assert [cue.text for cue in transcript.cues] == ["one", "five --> six"]
    assert transcript.faults == (
        "the times '3.5 --> 4.5' are not written as 00:00:01.000 --> 00:00:02.500",
        "there is no empty line between the cue of 00:00:05,000 and the next one",
    )


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("a.srt", "-00:00:01,000 --> 00:00:02,050"),
        ("a.srt", "00:00:01,000 --> -00:00:02,050"),
        ("a.srt", "−00:00:01,000 --> 00:00:02,050"),
        ("a.srt", "- 00:00:01,000 --> 00:00:02,050"),
        ("a.vtt", "-00:01.000 --> 00:02.050"),
        ("a.vtt", "100:01.000 --> 100:02.050"),
    ],
)
@pytest.mark.parametrize("between", ["\n\n", "\n"])
def test_no_sign_of_a_subtitle_s_times_is_dropped(tmp_path, name, times, between):
    """Nor is such a cue where the next one follows without an empty line."""
    (tmp_path / name).write_text(f"{times}\none{between}00:00:05.000 --> 00:00:06.000\ntwo\n")
    transcript = read_transcript(tmp_path / name)
    assert [(cue.start, cue.text) for cue in transcript.cues] == [(5.0, "two")]
    assert transcript.faults == (f"the times {times!r} are not written as 00:00:01.000 --> 00:00:02.500",)


def test_a_folder_reports_a_subtitle_before_the_beginning(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    cues = "-00:00:01,000 --> 00:00:02,050\none\n\n00:00:05,000 --> 00:00:06,000\ntwo\n"
    (tmp_path / "a.srt").write_text(cues)
    folder = VideoFolder(tmp_path)
    assert [clip.text for clip in folder.clips] == ["two"]
    assert [defect.kind for defect in folder.defects] == ["corrupt_cue"]


def test_small_times_of_a_textgrid(tmp_path):
    write_word_times(tmp_path / "a.TextGrid", [(5e-05, 0.5, "hello")], 1.0)
    assert "5e-05" in (tmp_path / "a.TextGrid").read_text()
    assert [(cue.start, cue.end) for cue in read_transcript(tmp_path / "a.TextGrid").words] == [(5e-05, 0.5)]


# ---------------------------------------------------------------------------------------------------------------------
# tables and commands
# ---------------------------------------------------------------------------------------------------------------------


def write_table(folder, words):
    datasets = pytest.importorskip("datasets", reason="the extra 'train' is not installed")
    row = {"video": {"bytes": b"x", "path": "a.mp4"}, "transcription": "Hello, you!", "speaker": "ann", "words": words}
    table = datasets.Dataset.from_list([row]).cast_column("video", datasets.Video(decode=False))
    folder.mkdir()
    table.to_parquet(str(folder / "train-00000-of-00001.parquet"))
    return folder


def test_a_table_with_wrong_times(tmp_path, caplog, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="the extra 'train' is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    source, fault = write_table(tmp_path / "t", entry(end=0.1)), "'you' ends at 0.1 s, before it begins at 0.5 s"
    corpus = open_corpus(source)
    (clip,), (defect,) = corpus.clips, corpus.defects
    assert (clip.times, defect.clip, defect.kind) == (None, "ann/a", "wrong_times") and fault in defect.detail
    with caplog.at_level(logging.WARNING):
        (clip,) = load_clips(source, streaming=True)
    assert f"t, train, row 0: {fault}; used without word times." in caplog.text and clip.times is None
    with pytest.raises(CorpusError, match=r"1 corrupt_row .* row 0: words\[0\] is 'Hello'; the column must be a list"):
        open_corpus(write_table(tmp_path / "u", ["Hello", "you"])).find_clips()


def test_an_adaptation_says_which_recordings_have_wrong_times(tmp_path):
    write_folder(tmp_path, entry(end=0.1))
    (clip,), checks, notes = _all_clips(tmp_path, CHECKPOINTS / "grid-s1")
    assert (clip.times, checks) == (None, []) and any(note.startswith("1 wrong_times (used)") for note in notes)


def test_prepare_counts_clips_with_wrong_times(tmp_path, talking_video, capfd):
    folder = tmp_path / "videos"
    write_folder(folder, entry(end=0.1))
    (folder / "a.mp4").write_bytes(talking_video.read_bytes())
    for _ in ("fresh", "from the cache"):
        assert run("prepare", folder, "--cache", tmp_path / "cache", "--workers", 1, "--split", "train") == 0
        said = capfd.readouterr().out
        assert "1 clip: 1 usable, 0 left out." in said and "1 wrong_times (used)" in said
