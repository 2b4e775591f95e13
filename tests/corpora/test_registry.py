"""Which corpus lies in a folder, and its clips."""

import json
import os
import pickle
import zipfile

import pytest

from lip2wav_hf.corpora import registry
from lip2wav_hf.corpora.clips import Clip, CorpusError, Selection, ZippedFile
from lip2wav_hf.corpora.registry import load_split, open_corpus


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_a_folder_of_grid_is_recognised(tmp_path):
    touch(tmp_path / "video" / "synthetic1" / "bbaf2n.mkv")
    (tmp_path / "splits.json").write_text(json.dumps({"train": {"synthetic1": ["bbaf2n"]}, "test": {}}))
    corpus = open_corpus(tmp_path)
    assert corpus.name == "grid" and corpus.path == tmp_path
    assert corpus.read_splits() == {"train": {"synthetic1": ["bbaf2n"]}, "test": {}}
    (clip,) = load_split(corpus, "train")
    assert (
        [clip] == load_split(str(tmp_path), "train") == corpus.load_split("train", Selection(speakers=("synthetic1",)))
    )
    assert (clip.key, clip.split, clip.timed_words()) == ("synthetic1/bbaf2n", "train", None)
    assert clip.words == ("bin", "blue", "at", "f", "two", "now")


def test_archives_alone_are_grid(tmp_path):
    with zipfile.ZipFile(tmp_path / "s1.zip", "w") as archive:
        archive.writestr("s1/bbaf2n.mpg", b"")
    assert open_corpus(tmp_path).name == "grid"


def test_a_folder_of_no_corpus_says_what_it_misses(tmp_path):
    with pytest.raises(CorpusError, match="nowhere: no such folder"):
        open_corpus(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="grid: there are no videos in video/SPEAKER, SPEAKER"):
        open_corpus(tmp_path)
    touch(tmp_path / "alice" / "hello_001.mp4")
    with pytest.raises(CorpusError, match=r"hello_001.mp4 and the like: the name spells no GRID sentence"):
        load_split(tmp_path, "train")


def test_an_opened_corpus_lists_its_files_once(tmp_path, monkeypatch):
    for name in ("bbaf2n", "lgbazp"):
        touch(tmp_path / "video" / "s1" / f"{name}.mkv")
    (tmp_path / "splits.json").write_text(json.dumps({"train": {"s1": ["bbaf2n"]}, "validation": {"s1": ["lgbazp"]}}))
    corpus = open_corpus(tmp_path)
    assert len(load_split(corpus, "train")) == 1
    with monkeypatch.context() as patched:  # pytest lists the folder too, when it takes it away
        patched.setattr(os, "scandir", lambda path: pytest.fail(f"{path} is listed again"))
        assert [clip.name for clip in load_split(corpus, "validation")] == ["lgbazp"]


class _Notes:
    """A corpus of text files, `NAME.txt`; its one split is "all"."""

    name = "notes"

    def __init__(self, folder):
        self.path = folder

    @classmethod
    def objection(cls, folder):
        return None if any(folder.glob("*.txt")) else "there is no text file."

    def read_splits(self, selection=Selection()):
        return {"all": {"me": sorted(path.stem for path in self.path.glob("*.txt"))}}

    def load_split(self, split, selection=Selection(), zipped=False):
        return [
            Clip("me", name, self.path / f"{name}.mp4", tuple((self.path / f"{name}.txt").read_text().split()))
            for name in self.read_splits(selection)[split]["me"]
        ]


def test_another_corpus_is_one_line_in_the_table(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.READERS, "notes", f"{__name__}:_Notes")
    (tmp_path / "one.txt").write_text("hello world")
    (clip,) = load_split(tmp_path, "all")
    assert clip == Clip("me", "one", tmp_path / "one.mp4", ("hello", "world"))
    (tmp_path / "one.txt").unlink()
    with pytest.raises(CorpusError, match="grid: there are no videos .* notes: there is no text file"):
        open_corpus(tmp_path)


def test_word_times_are_given_or_read():
    times = ((0.4, 0.8, "bin"),)
    clip = Clip("s1", "bbaf2n", ZippedFile("s1.zip", "bbaf2n.mpg"), ("bin",), times=times, split="train")
    assert clip.timed_words() == [(0.4, 0.8, "bin")]
    assert clip == Clip("s1", "bbaf2n", ZippedFile("s1.zip", "bbaf2n.mpg"), ("bin",), times=times)
    assert pickle.loads(pickle.dumps(clip)) == clip and len({clip, clip}) == 1
    assert Clip("s1", "b", clip.video).timed_words() is None
