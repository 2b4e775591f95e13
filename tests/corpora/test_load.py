"""`load_clips`: of folders, and of datasets of the Hub."""

import pickle
import shutil
from pathlib import Path

import pytest

import lip2wav_hf
from greek_corpus import SENTENCES, write_greek_corpus
from lip2wav_hf import VideoReader, load_clips, read_audio
from lip2wav_hf.corpora.clips import CorpusError, StoredVideo
from lip2wav_hf.corpora.hub_dataset import HubDataset
from lip2wav_hf.corpora.registry import open_corpus
from little_grid import write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, talking_video):
    return write_greek_corpus(tmp_path_factory.mktemp("greek"), talking_video, faults=False)


@pytest.fixture(scope="module")
def table(corpus, tmp_path_factory, talking_video):
    """A dataset whose videos lie in the table, as one on the Hub: parquet files of two splits."""
    datasets = pytest.importorskip("datasets")
    folder = tmp_path_factory.mktemp("hub") / "own"
    (folder / "data").mkdir(parents=True)
    for split, speakers in (("train", ("ann", "ben")), ("test", ("cleo",))):
        rows = [
            {
                "video": {"bytes": talking_video.read_bytes(), "path": f"{number}.mp4"},
                "transcription": sentence,
                "speaker": speaker,
                "start": 0.6 if number == 3 else None,
                "end": 2.2 if number == 3 else None,
            }
            for speaker in speakers
            for number, sentence in enumerate(SENTENCES)
        ]
        features = {name: datasets.Value("string") for name in ("transcription", "speaker")}
        features |= {name: datasets.Value("float64") for name in ("start", "end")}
        made = datasets.Dataset.from_list(
            rows, features=datasets.Features(features | {"video": datasets.Video(decode=False)})
        )
        made.to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
    return folder


def test_it_is_a_public_name():
    assert lip2wav_hf.load_clips is load_clips and "load_clips" in lip2wav_hf.__all__


@pytest.mark.parametrize("streaming", [False, True])
def test_a_folder_without_any_clip_says_why(tmp_path, streaming):
    (tmp_path / "metadata.csv").write_text("file_name,transcription\ngone.mp4,hello\n")
    with pytest.raises(CorpusError, match="no clip can be used.*missing_video.*gone.mp4"):
        load_clips(tmp_path, streaming=streaming)
    (tmp_path / "metadata.csv").unlink()
    (tmp_path / "a.mp4").touch()
    (tmp_path / "a.srt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match=r"1 corrupt_transcript .*a\.mp4\. For example, .*a\.srt: ") as caught:
        load_clips(tmp_path, streaming=streaming)
    assert str(caught.value).count("For example") == 1


def test_folders_of_any_corpus(corpus, tmp_path, talking_video):
    clips = load_clips(corpus)
    assert set(clips) == {"train", "validation", "test"} and sum(map(len, clips.values())) == 12
    assert load_clips(corpus, "test") == clips["test"]
    assert [clip.split for clip in load_clips(corpus, "test")] == ["test"]
    streamed = load_clips(corpus, streaming=True)
    assert next(streamed) == clips["train"][0] and sum(1 for _ in streamed) == 11
    of_one = load_clips(corpus, speakers=["ben"])
    assert {clip.speaker for own in of_one.values() for clip in own} == {"ben"}
    assert {clip.key for own in of_one.values() for clip in own} < {clip.key for own in clips.values() for clip in own}
    grid = load_clips(write_corpus(tmp_path / "grid", talking_video), "train")
    assert [clip.words[0] for clip in grid] == ["bin", "lay", "place"] and grid[0].timed_words()


@pytest.mark.parametrize("streaming", [False, True])
def test_a_dataset_with_videos_in_it(table, tmp_path, streaming, talking_video):
    options = {} if streaming else {"cache_dir": str(tmp_path)}
    clips = load_clips(str(table), "train", streaming=streaming, **options)
    clips = list(clips) if streaming else clips
    assert [clip.key for clip in clips][:5] == ["ann/0", "ann/1", "ann/2", "ann/3@0.60", "ben/0"]
    assert clips[0].text == SENTENCES[0] and clips[0].words == ("γεια", "σου", "μαρία") and clips[0].split == "train"
    assert isinstance(clips[0].video, StoredVideo) and clips[0].source == talking_video.read_bytes()
    assert (clips[0].video.content is None) != streaming  # a table on disk is read again when it is needed
    part = pickle.loads(pickle.dumps(clips[3]))  # as worker processes get it
    assert sum(1 for _ in VideoReader(part.source)) == 40 and len(read_audio(part.source)) == 25_600
    assert len({clip.version for clip in clips}) == 8


@pytest.mark.parametrize("streaming", [False, True])
def test_a_saved_dataset(table, tmp_path, streaming):
    datasets = pytest.importorskip("datasets")
    made = datasets.load_dataset(str(table), cache_dir=str(tmp_path / "cache"))
    made.save_to_disk(str(tmp_path / "both"))
    made["test"].save_to_disk(str(tmp_path / "one"))
    wanted = load_clips(str(table), "test", cache_dir=str(tmp_path / "cache"))
    for folder, split in (("both", "test"), ("one", None)):
        clips = load_clips(tmp_path / folder, split, streaming=streaming)
        clips = sorted(sum(clips.values(), []), key=str) if isinstance(clips, dict) else list(clips)
        assert [(clip.key, clip.text, clip.start) for clip in clips] == [
            (clip.key, clip.text, clip.start) for clip in wanted
        ]
        assert clips[0].source == wanted[0].source
        with pytest.raises(CorpusError, match=f"^{tmp_path / folder}: there is no split 'dev'"):
            load_clips(tmp_path / folder, "dev")
    assert {split: len(own) for split, own in load_clips(tmp_path / "both").items()} == {"train": 8, "test": 4}
    assert len(open_corpus(tmp_path / "both").clips) == 12


@pytest.mark.parametrize("streaming", [False, True])
def test_columns_that_hold_no_words_or_no_videos_are_named(tmp_path, streaming, caplog):
    """Before the first clip is asked for."""
    datasets = pytest.importorskip("datasets")
    row = {"video": {"bytes": b"x", "path": "a.mp4"}, "said": "yes", "who": "ann"}
    words = datasets.Dataset.from_list([row]).cast_column("video", datasets.Video(decode=False))
    words.save_to_disk(str(tmp_path / "words"))
    load_clips(tmp_path / "words", "train", streaming=streaming)
    assert caplog.text.count("there are said, who. Rename the one that says it.") == 1
    datasets.Dataset.from_list([{"film": "a.mp4", "text": "yes"}]).save_to_disk(str(tmp_path / "videos"))
    with pytest.raises(CorpusError, match=r"no columns of videos; there must be one. Its columns are film, text\.$"):
        load_clips(tmp_path / "videos", "train", streaming=streaming)


def test_columns_that_are_first_known_from_the_rows(monkeypatch):
    """As those of JSON lines on the Hub, which are streamed."""
    datasets = pytest.importorskip("datasets")
    rows = [{"film": "a.mp4", "text": "yes"}]
    table = datasets.IterableDataset.from_generator(lambda: iter(rows))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: table)
    with pytest.raises(CorpusError, match=r"^me/x: it has no columns of videos; .* Its columns are film, text\.$"):
        load_clips("me/x", "train", streaming=True)
    rows[0] = {"video": {"bytes": b"x", "path": "a.mp4"}, "text": "yes"}
    (clip,) = load_clips("me/x", "train", streaming=True)
    assert clip.words == ("yes",) and clip.source == b"x"


def test_a_saved_dataset_is_told_by_all_of_its_files(corpus, tmp_path):
    folder = shutil.copytree(corpus, tmp_path / "videos")
    (folder / "state.json").write_text("{}")  # of another program
    assert load_clips(folder).keys() == load_clips(corpus).keys()
    (folder / "dataset_info.json").write_text("{}")
    with pytest.raises(CorpusError, match="videos: this saved dataset is damaged .* Save it again.$"):
        load_clips(folder)


def test_a_dataset_goes_into_the_cache(table, tmp_path):
    from lip2wav_hf import Lip2WavFeatureExtractor
    from lip2wav_hf.training.clips import prepare_clips

    clips = load_clips(str(table), "test", cache_dir=str(tmp_path / "hf"))[2:]
    prepared = prepare_clips(clips, Lip2WavFeatureExtractor(), tmp_path / "cache", num_workers=1, progress=False)
    assert len(prepared.clips) == 2 and not prepared.problems


def test_all_splits_of_a_dataset(table, tmp_path):
    clips = load_clips(str(table), speakers=["cleo"], cache_dir=str(tmp_path))
    assert {split: len(own) for split, own in clips.items()} == {"test": 4}
    streamed = load_clips(str(table), streaming=True)
    assert [clip.split for clip in streamed] == ["train"] * 8 + ["test"] * 4


def test_of_a_dataset_with_one_split_the_same_ones_are_made_as_in_the_commands(table, tmp_path):
    folder = Path(shutil.copytree(table, tmp_path / "own"))
    (folder / "data" / "test-00000-of-00001.parquet").unlink()
    options = {"cache_dir": str(tmp_path / "cache")}
    clips = load_clips(folder, **options)
    splits = HubDataset(folder, options=options).find_clips()[0]
    assert clips == splits and set(clips) == {"train", "validation", "test"} and all(clips.values())
    assert load_clips(folder, "validation", **options) == clips["validation"]
    assert len(load_clips(folder, "train[:3]", **options)) == 3
    assert sum(1 for _ in load_clips(folder, "train", streaming=True)) == 8
    with pytest.raises(CorpusError, match="there is no speaker zoe"):
        load_clips(folder, speakers=["zoe"], **options)


def test_a_dataset_of_the_hub_is_asked_for_by_name(table, monkeypatch, tmp_path):
    datasets = pytest.importorskip("datasets")
    asked, load = [], datasets.load_dataset

    def answer(name, **options):
        asked.append((name, options["split"], options.pop("revision")))
        return load(str(table), cache_dir=str(tmp_path), **options)

    monkeypatch.setattr(datasets, "load_dataset", answer)
    clips = load_clips("me/own", "test", revision="v1")
    assert len(clips) == 4 and asked == [("me/own", None, "v1")]


def test_what_cannot_be_loaded(table, tmp_path, corpus):
    with pytest.raises(CorpusError, match="no such folder"):
        load_clips(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="there is no split 'dev'. There are train"):
        load_clips(corpus, "dev")
    with pytest.raises(CorpusError, match="there is no speaker zoe"):
        load_clips(corpus, speakers=["zoe"])
    with pytest.raises(CorpusError, match="there is no split 'dev'. There are train, test"):
        load_clips(str(table), "dev", cache_dir=str(tmp_path))
    with pytest.raises(CorpusError, match="no dataset of that name can be loaded"):
        load_clips(str(table), "dev[:1]", cache_dir=str(tmp_path))
    datasets = pytest.importorskip("datasets")
    (tmp_path / "text").mkdir()
    datasets.Dataset.from_dict({"text": ["a"]}).to_parquet(str(tmp_path / "text" / "train.parquet"))
    with pytest.raises(CorpusError, match="it has no columns of videos.*Its columns are text"):
        load_clips(tmp_path / "text", cache_dir=str(tmp_path / "cache"))


@pytest.mark.parametrize("source", ["nosuch", "clip.mp4", "away/clip.mp4", "there/nosuch"])
def test_what_is_plainly_a_path_is_not_looked_for_on_the_hub(source, tmp_path, monkeypatch):
    monkeypatch.setattr("lip2wav_hf.corpora.load.load_tables", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "clip.mp4").touch()
    wrong = "this is a file. Give the folder that it lies in" if source == "clip.mp4" else "no such folder.*OWNER/NAME"
    with pytest.raises(CorpusError, match=f"^{source}: {wrong}"):
        load_clips(source)


def test_a_folder_has_no_other_options(corpus, table, tmp_path):
    for option, hint in (("splits", "Did you mean 'split'"), ("revision", "Of a folder it takes split")):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'. {hint}"):
            load_clips(corpus, **{option: "train"})
    datasets = pytest.importorskip("datasets")
    datasets.load_dataset(str(table), cache_dir=str(tmp_path / "cache")).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(TypeError, match="Did you mean 'speakers'"):
        load_clips(tmp_path / "saved", speaker=["ann"])


def test_a_stored_video_without_contents_says_so():
    with pytest.raises(CorpusError, match="holds no video in row 0"):
        StoredVideo("a.mp4").read_bytes()
    with pytest.raises(CorpusError, match="cannot be fetched"):
        StoredVideo("a.mp4", location="file:///nowhere/a.mp4").read_bytes()
    assert StoredVideo("a.mp4", content=b"x").read_bytes() == b"x"


def test_what_is_not_a_path_is_named():
    with pytest.raises(
        CorpusError, match="source=None: it must be a folder, or the name of a dataset, not a NoneType"
    ):
        load_clips(None)
