"""Word times in files: written, read again, and found by a corpus."""

import pytest

from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.corpora.registry import open_corpus
from lip2wav_hf.corpora.transcripts import read_transcript
from lip2wav_hf.corpora.word_times import WordTimesError, with_word_times, write_word_times


TIMES = [(0.1, 0.5, "it's"), (0.5, 0.9, 'a "q"'), (1.25, 2.0, "καλή")]


@pytest.mark.parametrize("suffix", [".TextGrid", ".align"])
def test_what_is_written_is_read_again(tmp_path, suffix):
    times = TIMES if suffix == ".TextGrid" else [(start, end, word.split()[0]) for start, end, word in TIMES]
    write_word_times(tmp_path / f"in/x{suffix}", times, 2.5)
    found = read_transcript(tmp_path / f"in/x{suffix}").words
    assert [(cue.start, cue.end, cue.text) for cue in found] == times


def test_silences_fill_a_textgrid(tmp_path):
    write_word_times(tmp_path / "x.TextGrid", TIMES, 2.5)
    text = (tmp_path / "x.TextGrid").read_text()
    assert "intervals: size = 6" in text and text.count('text = ""') == 3 and "xmax = 2.5" in text


def test_another_format_is_refused(tmp_path):
    with pytest.raises(WordTimesError, match=r"written as \.TextGrid or \.align"):
        write_word_times(tmp_path / "x.srt", TIMES, 2.5)


def test_clips_get_the_times_of_a_folder(tmp_path):
    clips = [
        Clip("ann", "one", tmp_path / "one.mp4", ("hello", "you")),
        Clip("ann", "two", tmp_path / "two.mp4", ("bye",), times=((0.0, 1.0, "bye"),)),
        Clip("ann", "three", tmp_path / "three.mp4", ("well",)),
    ]
    write_word_times(tmp_path / "t/ann/one.TextGrid", [(0.1, 0.4, "Hello"), (0.5, 1.0, "you")], 2.0)
    write_word_times(tmp_path / "t/ann/two.TextGrid", [(0.3, 0.4, "bye")], 2.0)
    timed = with_word_times(clips, tmp_path / "t")
    assert timed[0].timed_words() == [(0.1, 0.4, "hello"), (0.5, 1.0, "you")]
    assert timed[0].version != clips[0].version  # not what a cache has without times
    assert timed[1:] == clips[1:]
    write_word_times(tmp_path / "t/ann/one.TextGrid", [(0.1, 0.4, "goodbye")], 2.0)
    with pytest.raises(WordTimesError, match=r"says 'goodbye', but the transcript says 'hello you'"):
        with_word_times(clips, tmp_path / "t")[0].timed_words()
    with pytest.raises(WordTimesError, match="no such folder"):
        with_word_times(clips, tmp_path / "nowhere")


def test_a_folder_of_videos_has_its_alignments(tmp_path):
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann/one.mp4").write_bytes(b"")
    (tmp_path / "ann/one.txt").write_text("Hello, you!")
    assert open_corpus(tmp_path).load_split("train")[0].timed_words() is None
    write_word_times(tmp_path / "alignments/ann/one.align", [(0.1, 0.4, "hello"), (0.5, 1.0, "you")], 2.0)
    (clip,) = open_corpus(tmp_path).load_split("train")
    assert clip.timed_words() == [(0.1, 0.4, "hello"), (0.5, 1.0, "you")]
