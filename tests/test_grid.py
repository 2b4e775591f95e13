"""The corpus: sentences, alignments, splits."""

import json

import pytest

from lip2wav_hf.grid import GRAMMAR, VOCABULARY, GridError, load_split, read_alignment, sentence_words


def test_vocabulary():
    assert len(VOCABULARY) == len(set(VOCABULARY)) == 51
    assert "w" not in GRAMMAR["letter"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("bbaf2n", "bin blue at f two now"),
        ("swiz9s", "set white in z nine soon"),
        ("lgbazp", "lay green by a zero please"),
        ("PRWE1A", "place red with e one again"),
    ],
)
def test_a_name_spells_its_sentence(name, sentence):
    assert " ".join(sentence_words(name)) == sentence


@pytest.mark.parametrize("name", ["bbaf2", "bbaf2nn", "xbaf2n", "bbaw2n", "bbafzz", "bbaf0n", ""])
def test_other_names_are_refused(name):
    with pytest.raises(GridError, match="not a GRID sentence"):
        sentence_words(name)


def test_alignment_in_seconds(tmp_path):
    path = tmp_path / "a.align"
    path.write_text("0 25000 sil\n25000 37500 BIN\n\n37500 75000 sil\n")
    assert read_alignment(path) == [(0.0, 1.0, "sil"), (1.0, 1.5, "bin"), (1.5, 3.0, "sil")]


def test_broken_alignments_name_the_line(tmp_path):
    path = tmp_path / "a.align"
    path.write_text("0 25000 sil\nbin\n")
    with pytest.raises(GridError, match="line 2"):
        read_alignment(path)
    with pytest.raises(GridError, match="no such alignment"):
        read_alignment(tmp_path / "b.align")


@pytest.fixture
def corpus(tmp_path):
    for speaker, name, folder, suffix in (("s1", "bbaf2n", "video/s1", ".mkv"), ("s2", "lgbazp", "s2", ".mpg")):
        path = tmp_path / folder / f"{name}{suffix}"
        path.parent.mkdir(parents=True)
        path.touch()
    (tmp_path / "splits.json").write_text(json.dumps({"train": {"s1": ["bbaf2n"], "s2": ["lgbazp"]}}))
    return tmp_path


def test_a_split_joins_videos_and_words(corpus):
    clips = load_split(corpus, "train")
    assert [clip.key for clip in clips] == ["s1/bbaf2n", "s2/lgbazp"]
    assert clips[1].video == corpus / "s2" / "lgbazp.mpg"
    assert clips[0].words == ("bin", "blue", "at", "f", "two", "now")
    assert [clip.speaker for clip in load_split(corpus, "train", ["s2"])] == ["s2"]


def test_what_is_missing_is_named(corpus, tmp_path):
    with pytest.raises(GridError, match="no split 'test'; it has train"):
        load_split(corpus, "test")
    with pytest.raises(GridError, match="no speaker s9; it has s1, s2"):
        load_split(corpus, "train", ["s9"])
    (corpus / "s2" / "lgbazp.mpg").unlink()
    with pytest.raises(GridError, match="no video of clip s2/lgbazp"):
        load_split(corpus, "train")
    (corpus / "splits.json").write_text("{")
    with pytest.raises(GridError, match="not valid JSON"):
        load_split(corpus, "train")
    (corpus / "splits.json").unlink()
    with pytest.raises(GridError, match="no such splits file"):
        load_split(corpus, "train")


def test_the_real_corpus(grid_dir):
    train, validation = load_split(grid_dir, "train"), load_split(grid_dir, "validation")
    assert (len(train), len(validation)) == (1037, 50)
    assert not {clip.key for clip in train} & {clip.key for clip in validation}
    assert not {clip.speaker for clip in train} & {clip.speaker for clip in load_split(grid_dir, "unseen_validation")}
