"""The corpus: sentences, alignments, splits."""

import itertools
import json
import shutil
import zipfile

import pytest

from lip2wav_hf.corpora.clips import Selection
from lip2wav_hf.corpora.load import load_clips
from lip2wav_hf.corpora.registry import (
    find_learnt,
    learnt_remark,
    load_meant,
    load_split,
    open_corpus,
    write_made_splits,
)
from lip2wav_hf.grammar import GRAMMAR, VOCABULARY
from lip2wav_hf.grid.corpus import (
    GridError,
    GridFolder,
    clip_of_file,
    find_video,
    read_alignment,
    sentence_words,
)
from lip2wav_hf.grid.splits import BUNDLED_SPLIT, missing_speakers, read_splits, shuffled


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
    for name, folder, suffix in (("bbaf2n", "video/s1", ".mkv"), ("lgbazp", "s2", ".mpg")):
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


def test_every_split_that_has_a_speaker(corpus):
    """Speakers who are held out are in some of the splits only."""
    splits = {"train": {"s1": ["bbaf2n"]}, "unseen": {"s2": ["lgbazp"]}}
    (corpus / "splits.json").write_text(json.dumps(splits))

    def loaded(*speakers, split="all"):
        found = load_meant(open_corpus(corpus), split, Selection(speakers=speakers or None))
        return {name: [clip.speaker for clip in clips] for name, clips in found.items()}

    assert loaded("s2") == {"unseen": ["s2"]}
    assert loaded("s1", "s2") == loaded() == {"train": ["s1"], "unseen": ["s2"]}
    with pytest.raises(GridError, match="no speaker s9"):
        loaded("s1", "s9")
    with pytest.raises(GridError, match="split 'train' has no speaker s2"):
        loaded("s2", split="train")


def test_all_of_a_part_of_grid_needs_no_splits(corpus, tmp_path):
    """Unless they were named."""
    (corpus / "splits.json").unlink(missing_ok=True)

    def loaded(split="all", **named):
        found = load_meant(open_corpus(corpus), split, Selection(**named))
        return {name: sorted(clip.key for clip in clips) for name, clips in found.items()}

    listed = GridFolder(corpus)
    every = sorted(f"{speaker}/{name}" for speaker in listed.speakers() for name in listed.videos(speaker))
    assert loaded() == {"all": every}
    assert loaded(speakers=("s2",)) == {"all": [key for key in every if key.startswith("s2/")]}
    with pytest.raises(GridError, match="no videos of s9; there are s1, s2"):
        loaded(speakers=("s9",))
    for split, named in (("validation", {}), ("all", {"splits_file": tmp_path / "none.json"})):
        with pytest.raises(GridError, match="no such splits file"):
            loaded(split, **named)
    with pytest.raises(GridError, match="no videos of a speaker of 'seen4'|no videos of speaker s29"):
        loaded(scheme="seen4", speakers=("s29",))


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


def test_without_a_splits_file_the_schemes_are_named(corpus):
    (corpus / "splits.json").unlink()
    with pytest.raises(GridError, match="seen4, unseen33, overlap33"):
        load_split(corpus, "train")
    with pytest.raises(GridError, match="no split scheme 'seen5'"):
        load_split(corpus, "train", split_scheme="seen5")


def test_a_splits_file_of_another_shape_is_refused(corpus):
    (corpus / "splits.json").write_text(json.dumps({"train": ["bbaf2n"]}))
    with pytest.raises(GridError, match="expected"):
        load_split(corpus, "train")


NAME = "bbaf2n"
LAYOUTS = {
    "video/s1/bbaf2n.mkv": "alignments/s1/bbaf2n.align",
    "s1/bbaf2n.mpg": "alignments/s1/bbaf2n.align",
    "s1/BBAF2N.MPG": "align/s1/bbaf2n.align",
    "s1/video/mpg_6000/bbaf2n.mpg": "s1/align/bbaf2n.align",
    "s1/video/mpg_vcd/bbaf2n.mpg": "s1/align/bbaf2n.align",
    "s1/s1/bbaf2n.mp4": "alignments/alignments/s1/bbaf2n.align",
}


def write(path, contents=b"video"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)


def alignment_of(name):
    times = range(10_000, 70_000, 10_000)
    lines = [f"{start} {start + 10_000} {word}" for start, word in zip(times, sentence_words(name), strict=True)]
    return "\n".join(["0 10000 sil", *lines, "70000 74500 sil", ""]).encode()


@pytest.mark.parametrize(("video", "alignment"), LAYOUTS.items())
def test_every_layout_is_read(tmp_path, video, alignment):
    write(tmp_path / video)
    write(tmp_path / alignment, alignment_of(NAME))
    write(tmp_path / "audio_25k" / "s1" / "bbaf2n.wav")
    folder = GridFolder(tmp_path)
    assert folder.speakers() == ["s1"]
    clip = folder.clip("s1", NAME)
    assert clip.video == tmp_path / video and clip.audio == tmp_path / "audio_25k" / "s1" / "bbaf2n.wav"
    assert clip.timed_words()[0] == (0.4, 0.8, "bin")
    assert clip.source == str(tmp_path / video)
    assert find_video(tmp_path, "s1", NAME) == clip.video


def test_the_folder_of_one_speaker_will_do(tmp_path):
    write(tmp_path / "s1" / "bbaf2n.mpg")
    write(tmp_path / "s2" / "bbaf2n.mpg")
    write(tmp_path / "alignments" / "s1" / "bbaf2n.align", alignment_of(NAME))
    folder = GridFolder(tmp_path / "s1")
    assert folder.speakers() == ["s1"]
    assert folder.clip("s1", NAME).timed_words()[-1][2] == "now"


def test_zenodo_archives_are_read_as_they_are(tmp_path):
    with zipfile.ZipFile(tmp_path / "s1.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("s1/bbaf2n.mpg", b"video one")
        archive.writestr("s1/Thumbs.db", b"")
        archive.writestr("__MACOSX/s1/._bbaf2n.mpg", b"")
    with zipfile.ZipFile(tmp_path / "s2.mpg_6000.part1.zip", "w") as archive:
        archive.writestr("video/mpg_6000/lgbazp.mpg", b"video two")
    with zipfile.ZipFile(tmp_path / "alignments.zip", "w") as archive:
        archive.writestr("alignments/s1/bbaf2n.align", alignment_of(NAME))
        archive.writestr("alignments/s2/bbaf2n.align", alignment_of("swiz9s"))
    with zipfile.ZipFile(tmp_path / "audio_25k.zip", "w") as archive:
        archive.writestr("audio_25k/s1/bbaf2n.wav", b"sound")
    folder = GridFolder(tmp_path)
    assert folder.speakers() == ["s1", "s2"] and not folder.strays
    clip = folder.clip("s1", NAME)
    assert clip.source == b"video one" and clip.audio.read_bytes() == b"sound"
    assert [word for _, _, word in clip.timed_words()] == list(clip.words)
    assert folder.clip("s2", "lgbazp").source == b"video two" and folder.clip("s2", "lgbazp").times is None
    (tmp_path / "splits.json").write_text(json.dumps({"train": {"s1": [NAME]}}))
    with pytest.raises(GridError, match="unzip .*s1.zip"):
        load_split(tmp_path, "train")
    assert load_split(tmp_path, "train", zipped=True) == [clip]
    write(tmp_path / "s1" / "bbaf2n.mpg", b"unpacked")
    assert load_split(tmp_path, "train")[0].video == tmp_path / "s1" / "bbaf2n.mpg"


def test_a_damaged_archive_is_named(tmp_path):
    write(tmp_path / "s1.zip", b"PK no archive")
    with pytest.raises(GridError, match="s1.zip: this archive cannot be read"):
        GridFolder(tmp_path).speakers()


def test_an_alignment_that_contradicts_the_name(tmp_path):
    write(tmp_path / "s1" / "bbaf2n.mpg")
    write(tmp_path / "alignments" / "s1" / "bbaf2n.align", alignment_of("bbaf3n"))
    clip = GridFolder(tmp_path).clip("s1", NAME)
    with pytest.raises(GridError, match="says 'bin blue at f three now', the name says 'bin blue at f two now'"):
        clip.timed_words()
    by_hand = clip_of_file(clip.video)
    with pytest.raises(GridError, match="the name says"):
        by_hand.timed_words()


def test_files_that_are_no_sentences_are_kept_apart(tmp_path):
    for name in ("bbaf2n.mpg", "bbaf2n (1).mpg", "holiday.mpg", "._bbaf2n.mpg", "notes.txt"):
        write(tmp_path / "s1" / name)
    folder = GridFolder(tmp_path)
    assert list(folder.videos("s1")) == [NAME]
    assert sorted(path.name for path in folder.strays) == ["bbaf2n (1).mpg", "holiday.mpg"]


@pytest.fixture(scope="module")
def whole_corpus(tmp_path_factory):
    """The names of a whole corpus: 34 speakers (s21 without video) of 1000 sentences, s2 with 985. Empty archives."""
    root = tmp_path_factory.mktemp("grid")
    names = ["".join(letters) for letters in itertools.product("blps", "bgrw", "ai", "abcdefgh", "z123", "a")][:1000]
    for path, count in ((root / "s1.zip", 1000), (root / "s2.zip", 985)):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names[:count]:
                archive.writestr(f"{name}.mpg", b"")
    for number in range(3, 35):
        if number != 21:
            shutil.copy(root / "s1.zip", root / f"s{number}.zip")
    return root


def test_the_seen_four(whole_corpus):
    splits = read_splits(whole_corpus, "seen4")
    sizes = {split: {speaker: len(names) for speaker, names in chosen.items()} for split, chosen in splits.items()}
    assert sizes["train"] == {"s1": 900, "s2": 887, "s4": 900, "s29": 900}
    assert sizes["validation"] == sizes["test"] == {"s1": 50, "s2": 49, "s4": 50, "s29": 50}
    everything = [(speaker, name) for chosen in splits.values() for speaker in chosen for name in chosen[speaker]]
    assert len(everything) == len(set(everything)) == 3985
    assert read_splits(whole_corpus, "seen4") == splits
    assert splits["test"]["s1"] != splits["test"]["s4"]
    assert list(read_splits(whole_corpus, "seen4", speakers=["s4"])["train"]) == ["s4"]


def test_the_choice_of_clips_never_changes():
    assert shuffled("s1", ["bbaf2n", "lgbazp", "swiz9s", "prwe1a"]) == ["swiz9s", "lgbazp", "bbaf2n", "prwe1a"]


def test_the_unseen_33(whole_corpus):
    splits = read_splits(whole_corpus, "unseen33")
    speakers = {split: set(chosen) for split, chosen in splits.items()}
    assert {split: len(chosen) for split, chosen in speakers.items()} == {"train": 16, "validation": 7, "test": 10}
    assert set.union(*speakers.values()) == {f"s{number}" for number in range(1, 35)} - {"s21"}
    assert sum(len(names) for chosen in splits.values() for names in chosen.values()) == 32_985
    assert {"s2", "s4", "s11", "s33"} <= speakers["test"] and {"s9", "s34"} <= speakers["validation"]


def test_the_overlapping_33(whole_corpus):
    splits = read_splits(whole_corpus, "overlap33")
    assert {len(names) for names in splits["test"].values()} == {255} and len(splits["test"]) == 33
    assert [len(splits[split]["s1"]) for split in ("train", "validation")] == [708, 37]
    assert [len(splits[split]["s2"]) for split in ("train", "validation")] == [694, 36]


def test_speakers_outside_a_scheme_are_refused(whole_corpus, corpus):
    with pytest.raises(GridError, match="s3 is not part of 'seen4'"):
        read_splits(whole_corpus, "seen4", speakers=["s3"])
    with pytest.raises(GridError, match="no videos of speaker s4; there are s1, s2"):
        read_splits(corpus, "seen4", speakers=["s4"])
    with pytest.raises(GridError, match="goes with the split scheme 'custom'"):
        read_splits(corpus, "seen4", corpus / "splits.json")
    assert missing_speakers(GridFolder(corpus), "seen4") == ["s4", "s29"]
    with pytest.raises(GridError, match="no videos of a speaker of split 'validation'"):
        load_split(corpus, "validation", split_scheme="unseen33")


def test_a_scheme_needs_no_splits_file(whole_corpus):
    clips = load_split(whole_corpus, "test", ["s29"], split_scheme="seen4", zipped=True)
    assert len(clips) == 50 and clips[0].source == b""


def as_downloaded(root, *speakers):
    """GRID as `lip2wav download` leaves it, of some speakers of the bundled model's split: all its clips and one more,
    empty files."""
    listed = json.loads(BUNDLED_SPLIT.read_text())
    for speaker in speakers:
        names = [name for chosen in listed.values() for name in chosen.get(speaker, ())]
        for name in (*names, "swwz9s"):
            write(root / speaker / f"{name}.mpg")
    return root


def test_the_split_of_the_bundled_model_ships():
    listed = json.loads(BUNDLED_SPLIT.read_text())
    sizes = {split: {speaker: len(names) for speaker, names in chosen.items()} for split, chosen in listed.items()}
    assert sizes == {
        "train": {"s1": 900, "s2": 24, "s4": 70, "s11": 9, "s30": 12, "s32": 11, "s34": 11},
        "validation": {"s1": 50},
        "unseen_validation": {"s3": 21, "s26": 11, "s33": 11},
        "unseen_validation_s31": {"s31": 20},
    }
    clips = [(speaker, name) for chosen in listed.values() for speaker, names in chosen.items() for name in names]
    assert len(clips) == len(set(clips)) and all(sentence_words(name) for _, name in clips)


def test_grid_as_downloaded_needs_no_scheme(tmp_path):
    folder = as_downloaded(tmp_path / "grid", "s1", "s2")
    assert (len(load_split(folder, "train")), len(load_split(folder, "validation"))) == (924, 50)
    corpus = open_corpus(folder)
    assert corpus.scheme() == "grid_s1" and corpus.scheme(Selection("seen4")) == "seen4"
    note = write_made_splits(corpus, Selection(), tmp_path / "splits.json")
    assert note.startswith("split scheme grid_s1, as there is no splits.json: train 924, validation 50; written to ")
    assert set(json.loads((tmp_path / "splits.json").read_text())) == {"train", "validation"}
    assert write_made_splits(corpus, Selection("grid_s1"), tmp_path / "other.json") is None
    assert corpus.find_clips()[1].notes == [note.partition("; written")[0]]
    assert {split: len(clips) for split, clips in load_clips(folder).items() if clips} == {
        "train": 924,
        "validation": 50,
    }
    assert len(load_clips(folder, "train", split_scheme="grid_s1", speakers=["s1"])) == 900
    with pytest.raises(GridError, match="speaker s5 is not part of 'grid_s1'.*another `split_scheme=`"):
        load_clips(folder, split_scheme="grid_s1", speakers=["s5"])
    every = load_meant(corpus, "all")
    assert {split: len(clips) for split, clips in every.items()} == {"train": 924, "validation": 50}
    assert learnt_remark(corpus, len(find_learnt(corpus, "all", every)), 974).startswith(
        "924 of the 974 clips are of the split 'train' of grid_s1: a model that has learnt from them"
    )
    (folder / "splits.json").write_text(json.dumps({"train": {"s1": ["swwz9s"]}}))  # its own comes first
    assert len(load_split(folder, "train")) == 1 and open_corpus(folder).made_splits() is None


def test_a_download_without_the_bundled_models_speaker(whole_corpus, tmp_path):
    for speaker in ("s3", "s5"):
        shutil.copy(whole_corpus / f"{speaker}.zip", tmp_path)
    corpus = open_corpus(tmp_path)
    assert corpus.scheme() == "overlap33" and len(corpus.load_split("test", zipped=True)) == 2 * 255
    with zipfile.ZipFile(tmp_path / "s6.zip", "w") as archive:
        archive.writestr("bbaf2n.mpg", b"")
    with pytest.raises(GridError, match="choose a published split with `split_scheme=`: seen4, .*grid_s1"):
        open_corpus(tmp_path).load_split("test", zipped=True)


def test_a_split_with_fewer_speakers_than_published_is_said_to_be_so(tmp_path):
    corpus = open_corpus(as_downloaded(tmp_path / "grid", "s3", "s26"))
    bundled = Selection("grid_s1")
    assert len(corpus.load_split("unseen_validation", bundled)) == 32
    assert corpus.remarks("unseen_validation", bundled) == [
        "The split unseen_validation of grid_s1 is smaller than published: there are no videos of s33."
    ]
    assert corpus.remarks("unseen_validation", Selection("grid_s1", speakers=("s3",))) == []
    with pytest.raises(GridError, match="lip2wav download grid .*/grid --speakers s1$"):
        corpus.load_split("validation", bundled)
    (tmp_path / "grid" / "s3" / "swwz9s.mpg").unlink()
    listed = sorted((tmp_path / "grid" / "s3").iterdir())
    listed[0].unlink()  # one of a speaker who is there: the numbers would not be comparable
    with pytest.raises(GridError, match=f"no video of clip s3/{listed[0].stem}"):
        open_corpus(tmp_path / "grid").load_split("unseen_validation", bundled)


def test_a_fingerprint_of_what_is_there(tmp_path):
    write(tmp_path / "s1" / "bbaf2n.mpg")
    first = GridFolder(tmp_path).fingerprint()
    assert GridFolder(tmp_path).fingerprint() == first
    write(tmp_path / "s1" / "lgbazp.mpg")
    assert GridFolder(tmp_path).fingerprint() != first


def test_the_real_corpus(grid_dir):
    train, validation = load_split(grid_dir, "train"), load_split(grid_dir, "validation")
    assert (len(train), len(validation)) == (1037, 50)
    assert not {clip.key for clip in train} & {clip.key for clip in validation}
    assert not {clip.speaker for clip in train} & {clip.speaker for clip in load_split(grid_dir, "unseen_validation")}
    for split in ("train", "validation", "unseen_validation"):  # the split that ships is that of the folder
        assert load_split(grid_dir, split, split_scheme="grid_s1") == load_split(grid_dir, split)


def test_the_schemes_on_the_real_corpus(grid_dir):
    assert len(load_split(grid_dir, "test", split_scheme="seen4")) == 53
    original = GridFolder(grid_dir / "original")
    assert len(original.videos("s1")) == 10
    assert original.clip("s1", min(original.videos("s1"))).timed_words() is not None
