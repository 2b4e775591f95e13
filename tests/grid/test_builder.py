"""GRID as a `datasets` builder: layouts, streaming, and clips that cannot be used."""

import json
import logging
import shutil
import zipfile

import pytest


datasets = pytest.importorskip("datasets")

from lip2wav_hf import VideoReader, load_grid  # noqa: E402
from lip2wav_hf.grid.builder import Grid  # noqa: E402
from lip2wav_hf.grid.corpus import GridError, GridFolder, sentence_words  # noqa: E402
from lip2wav_hf.grid.defects import (  # noqa: E402
    CheckOptions,
    GridReport,
    check_clip,
    check_clips,
    count_frames,
    find_clips,
)


NAMES = ("bbaf2n", "lgbazp", "prwe1a", "swiz9s")


@pytest.fixture(autouse=True)
def no_bars():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture(scope="session")
def mpg(tmp_path_factory):
    """A clip in GRID's own format: MPEG-1 and MP2."""
    from lip2wav_hf.synthetic.corpus import write_clip

    path = tmp_path_factory.mktemp("mpg") / "bbaf2n.mpg"
    write_clip(path, "bbaf2n")
    return path


def alignment_of(name):
    times = range(10_000, 70_000, 10_000)
    return "".join(
        f"{start} {start + 10_000} {word}\n" for start, word in zip(times, sentence_words(name), strict=True)
    )


def write(path, contents):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())


@pytest.fixture
def corpus(tmp_path, mpg):
    """Two speakers of four clips, `s1/*.mpg`."""
    root = tmp_path / "grid"
    for speaker in ("s1", "s2"):
        for name in NAMES:
            write(root / speaker / f"{name}.mpg", mpg.read_bytes())
            write(root / "alignments" / speaker / f"{name}.align", alignment_of(name))
    write(root / "audio_25k" / "s1" / "bbaf2n.wav", b"sound")
    return root


def zipped(corpus, folder):
    """The same corpus as Zenodo has it."""
    folder.mkdir()
    for archive, part in (("s1", "s1"), ("s2", "s2"), ("alignments", "alignments"), ("audio_25k", "audio_25k")):
        with zipfile.ZipFile(folder / f"{archive}.zip", "w") as target:
            for path in sorted((corpus / part).rglob("*.*")):
                target.write(path, path.relative_to(corpus).as_posix())
    return folder


def test_a_table_of_clips(corpus, tmp_path):
    grid = load_grid(corpus, split_scheme="overlap33", cache_dir=tmp_path / "cache")
    assert {split: len(table) for split, table in grid.items()} == {"train": 4, "test": 4}
    rows = {row["id"]: row for table in grid.values() for row in table}
    row = rows["s1/bbaf2n"]
    assert row["sentence"] == "bin blue at f two now" and row["speaker"] == "s1" and row["aligned"]
    assert row["words"][0] == {"word": "bin", "start": 0.4, "end": 0.8}
    assert row["video"] == {"path": str(corpus / "s1" / "bbaf2n.mpg"), "bytes": None}
    assert row["audio"] == {"path": str(corpus / "audio_25k" / "s1" / "bbaf2n.wav"), "bytes": None}
    assert rows["s2/bbaf2n"]["audio"] == {"path": None, "bytes": None}
    with VideoReader(row["video"]["path"]) as video:
        assert sum(1 for _ in video) == 75
    again = load_grid(corpus, split_scheme="overlap33", cache_dir=tmp_path / "cache", split="test")
    assert again["id"] == grid["test"]["id"] and set(again["split"]) == {"test"}
    only = load_grid(corpus, split_scheme="overlap33", speakers=["s2"], cache_dir=tmp_path / "cache")
    assert {name for table in only.values() for name in table["speaker"]} == {"s2"}


def test_archives_give_the_same_table(corpus, tmp_path):
    plain = load_grid(corpus, "overlap33", split="train", cache_dir=tmp_path / "cache")
    packed = load_grid(zipped(corpus, tmp_path / "zips"), "overlap33", split="train", cache_dir=tmp_path / "cache")
    for one, other in zip(plain, packed, strict=True):
        with open(one["video"]["path"], "rb") as file:
            assert other["video"] == {"bytes": file.read(), "path": f"{one['name']}.mpg"}
        assert [one[name] for name in ("id", "words", "split")] == [other[name] for name in ("id", "words", "split")]
    with VideoReader(packed[0]["video"]["bytes"]) as video:
        assert sum(1 for _ in video) == 75


@pytest.mark.parametrize("packed", [False, True])
def test_streaming(corpus, tmp_path, packed):
    folder = zipped(corpus, tmp_path / "zips") if packed else corpus
    streamed = load_grid(folder, "overlap33", streaming=True, cache_dir=tmp_path / "cache")
    table = load_grid(folder, "overlap33", cache_dir=tmp_path / "cache")
    for split in ("train", "test"):
        assert list(streamed[split]) == list(table[split])
    one = load_grid(folder, "overlap33", streaming=True, split="test", cache_dir=tmp_path / "cache")
    assert next(iter(one))["split"] == "test"


def test_a_custom_split(corpus, tmp_path):
    splits = tmp_path / "mine.json"
    splits.write_text(json.dumps({"train": {"s1": ["swiz9s"]}, "dev": {"s2": ["prwe1a", "bbaf2n"]}, "none": {}}))
    grid = load_grid(corpus, "custom", splits_file=splits, cache_dir=tmp_path / "cache")
    assert {split: table["id"] for split, table in grid.items()} == {
        "train": ["s1/swiz9s"],
        "dev": ["s2/prwe1a", "s2/bbaf2n"],
    }
    splits.write_text(json.dumps({"train": {"s1": ["lgbazp"]}}))
    assert load_grid(corpus, "custom", splits_file=splits, split="train", cache_dir=tmp_path / "cache")["name"] == [
        "lgbazp"
    ]


def test_a_changed_corpus_is_read_anew(corpus, tmp_path):
    options = {"split_scheme": "overlap33", "split": "train+test", "cache_dir": tmp_path / "cache"}
    assert len(load_grid(corpus, **options)) == 8
    (corpus / "s1" / "bbaf2n.mpg").unlink()
    assert len(load_grid(corpus, **options)) == 7


@pytest.fixture
def damaged(corpus, mpg, talking_video):
    """Every kind of defect, once."""
    whole = mpg.read_bytes()
    write(corpus / "s1" / "bbaf2n.mpg", whole[: len(whole) // 3])
    write(corpus / "s1" / "lgbazp.mpg", b"not a video")
    write(corpus / "s1" / "prwe1a.mpg", b"")
    write(corpus / "alignments" / "s1" / "swiz9s.align", alignment_of("bbaf2n"))
    write(corpus / "alignments" / "s2" / "bbaf2n.align", "no alignment\n")
    (corpus / "alignments" / "s2" / "lgbazp.align").unlink()
    write(corpus / "s2" / "copy of prwe1a.mpg", whole)
    names = {"train": {"s1": list(NAMES), "s2": [*NAMES, "bbaf3n"]}}
    write(corpus / "splits.json", json.dumps(names))
    return corpus


EXPECTED = {
    "missing_video": 1,
    "corrupt_video": 2,
    "short_video": 1,
    "contradicting_alignment": 1,
    "corrupt_alignment": 1,
    "no_alignment": 1,
    "other_name": 1,
}


@pytest.mark.parametrize("num_proc", [None, 2])
def test_defects_are_left_out_and_reported(damaged, tmp_path, caplog, num_proc, monkeypatch):
    from lip2wav_hf.grid import builder as grid_builder

    monkeypatch.setattr(grid_builder, "CLIPS_PER_SHARD", 3)
    builder = Grid(data_dir=damaged, split_scheme="custom", cache_dir=str(tmp_path / "cache"))
    builder.download_and_prepare(num_proc=num_proc)
    table = builder.as_dataset(split="train")
    assert sorted(table["id"]) == ["s2/lgbazp", "s2/prwe1a", "s2/swiz9s"]
    assert table[0]["aligned"] is False and table[0]["words"][0] == {"word": "lay", "start": None, "end": None}
    report = builder.report
    assert (report.checked, report.usable, report.left_out) == (9, 3, 6)
    assert report.counts() == EXPECTED
    summary = report.summary()
    assert "9 clips: 3 usable, 6 left out." in summary
    assert "1 short_video (left out): the video has too few frames: s1/bbaf2n" in summary
    assert "1 no_alignment (used)" in summary and "s2/bbaf3n" in summary and "copy of prwe1a" in summary
    path = next(tmp_path.rglob("defects.json"))
    assert json.loads(path.read_text())["counts"] == EXPECTED and not list(tmp_path.rglob("*.part"))
    caplog.clear()
    load_grid(damaged, "custom", cache_dir=str(tmp_path / "cache"))
    assert "9 clips: 3 usable" in caplog.text  # also when the table is there already


def test_defects_while_streaming(damaged, tmp_path, caplog):
    builder = Grid(data_dir=damaged, split_scheme="custom", cache_dir=str(tmp_path / "cache"))
    with caplog.at_level(logging.WARNING):
        assert len(list(builder.as_streaming_dataset(split="train"))) == 3
    assert builder.report.counts() == EXPECTED
    assert "s1/swiz9s" in caplog.text and "the name says" in caplog.text


def test_what_the_checks_find(corpus, mpg):
    clip = GridFolder(corpus).clip("s1", "bbaf2n")
    whole = mpg.read_bytes()
    assert count_frames(whole) == count_frames(str(mpg), decode=True) == (75, True)
    assert check_clip(clip) == check_clip(clip, "full") == check_clip(clip, "none") == []
    (defect,) = check_clip(clip, minimum_frames=76)
    assert defect.kind == "short_video" and "75 frames; 76 are needed" in defect.detail
    middle = len(whole) // 2
    clip.video.write_bytes(whole[:middle] + bytes(20_000) + whole[middle + 20_000 :])
    assert [defect.kind for defect in check_clip(clip, "full")] in (["corrupt_video"], ["short_video"])
    clip.video.write_bytes(b"not a video")
    assert check_clip(clip, "none") == []
    assert [defect.kind for defect in check_clip(clip)] == ["corrupt_video"]
    with pytest.raises(GridError, match="no check 'quick'"):
        check_clip(clip, "quick")


def test_a_video_without_sound_needs_a_sound_file(corpus, tmp_path):
    from lip2wav_hf.synthetic.corpus import write_clip

    write_clip(tmp_path / "silent.mkv", "bbaf2n", sound=False)
    for speaker in ("s1", "s2"):
        shutil.copy(tmp_path / "silent.mkv", corpus / speaker / "bbaf2n.mpg")
    folder = GridFolder(corpus)
    assert check_clip(folder.clip("s1", "bbaf2n")) == []  # it has audio_25k/s1/bbaf2n.wav
    assert [defect.kind for defect in check_clip(folder.clip("s2", "bbaf2n"))] == ["no_sound"]


def test_a_report_can_be_kept(damaged, tmp_path):
    found, report = find_clips(damaged)
    usable, more = check_clips(found["train"])
    report.merge(more)
    assert len(usable) == 3 and report.counts() == EXPECTED
    report.save(tmp_path / "new" / "report.json")
    assert GridReport.load(tmp_path / "new" / "report.json") == report


def test_missing_speakers_are_told(corpus, tmp_path, caplog):
    load_grid(corpus, "seen4", cache_dir=tmp_path / "cache", streaming=True)
    assert "no videos of s4, s29: the splits of 'seen4' are smaller than published" in caplog.text


def test_what_cannot_be_loaded(tmp_path, corpus):
    with pytest.raises(GridError, match="data_dir is needed"):
        Grid()
    with pytest.raises(GridError, match="no such folder"):
        load_grid(tmp_path / "nowhere")
    with pytest.raises(GridError, match="split_scheme 'seen5': there are seen4"):
        load_grid(corpus, "seen5")
    with pytest.raises(GridError, match="s9 is not .*Choose others with `speakers=`, or another `split_scheme=`"):
        load_grid(corpus, speakers=["s9"], cache_dir=tmp_path / "cache")
    with pytest.raises(GridError, match="no videos of a speaker of 'seen4'"):
        (tmp_path / "empty").mkdir()
        load_grid(tmp_path / "empty", cache_dir=tmp_path / "cache")
    with pytest.raises(GridError, match="no such splits file"):
        load_grid(corpus, "custom", cache_dir=tmp_path / "cache")


def test_the_real_corpus_has_no_defect(grid_dir):
    found, report = find_clips(grid_dir)
    assert {split: len(clips) for split, clips in found.items()} == {
        "train": 1037,
        "validation": 50,
        "unseen_validation": 43,
    }
    _, alignments = check_clips([clip for clips in found.values() for clip in clips], CheckOptions("none"))
    _, videos = check_clips(found["unseen_validation"], CheckOptions("fast"))
    assert (alignments.checked, alignments.counts(), videos.counts(), report.counts()) == (1130, {}, {}, {})


def test_the_untouched_format_of_the_real_corpus(grid_dir, tmp_path):
    stream = load_grid(grid_dir / "original", "unseen33", streaming=True, split="test", cache_dir=tmp_path)
    row = next(iter(stream))
    assert row["video"]["path"].endswith(".mpg") and row["aligned"]
    with VideoReader(row["video"]["path"]) as video:
        assert sum(1 for _ in video) in range(70, 76)
