"""`lip2wav export`, as a user runs it."""

import json
import shutil
import tarfile
from io import BytesIO

import pytest

from hub_stub import card_errors
from lip2wav_hf.corpora.registry import load_split
from little_grid import SPLITS, run, write_corpus


@pytest.fixture
def corpus(tmp_path, talking_video):
    """Five clips of two speakers, `video/s1/*.mp4`."""
    return write_corpus(tmp_path / "grid", talking_video)


def test_a_videofolder_that_datasets_loads(corpus, tmp_path, capfd):
    datasets = pytest.importorskip("datasets")
    (corpus / "alignments" / "s1" / "lgbazp.align").unlink()
    output = tmp_path / "out"
    assert run("export", corpus, output, "--workers", 1) == 0
    text = capfd.readouterr().out
    assert "5 clips: 5 usable" in text and "1 no_alignment (used)" in text and "hf upload" in text
    grid = datasets.load_dataset(str(output), cache_dir=str(tmp_path / "hf"))
    assert {split: len(table) for split, table in grid.items()} == {"train": 3, "unseen_validation": 2}
    table = grid["train"].cast_column("video", datasets.Video(decode=False))
    rows = {row["id"]: row for row in table}
    assert rows["s1/bbaf2n"]["sentence"] == "bin blue at f two now"
    assert rows["s1/bbaf2n"]["words"][0] == {"word": "bin", "start": 0.4, "end": 0.8}
    assert rows["s1/lgbazp"]["words"][0] == {"word": "lay", "start": -1.0, "end": -1.0}
    assert rows["s1/prwe1a"]["video"]["path"].endswith("train/s1/prwe1a.mp4")
    folder = datasets.load_dataset("videofolder", data_dir=str(output / "train"), cache_dir=str(tmp_path / "hf"))
    assert len(folder["train"]) == 3
    assert json.loads((output / "splits.json").read_text()) == SPLITS
    card = (output / "README.md").read_text()
    assert card_errors(card, "dataset") == [] and "holds no recording" not in card
    assert "5 clips of 2 speakers (s1, s2)" in card and "| train | 3 | s1 |" in card and "Cooke" in card
    assert "Left out: 0 of 5 clips" in card and "1 `no_alignment`" in card and "copied as they were" in card
    for leftover in ("{{", "{%", "None", "Undefined"):
        assert leftover not in card
    first = {path: path.stat().st_mtime_ns for path in output.rglob("*.mp4")}
    next(iter(first)).unlink()
    assert run("export", corpus, output, "--workers", 1, "--json") == 0
    assert json.loads(capfd.readouterr().out)["usable"] == 5
    assert sum(path.stat().st_mtime_ns == first[path] for path in output.rglob("*.mp4")) == 4
    assert run("export", corpus, output, "--mp4") == 2
    assert "an export with other settings" in capfd.readouterr().err
    assert run("export", corpus, corpus) == 2
    assert "not an empty folder" in capfd.readouterr().err


def test_a_webdataset_that_datasets_loads(corpus, tmp_path, capfd):
    datasets = pytest.importorskip("datasets")
    for path in (corpus / "alignments" / "s1").iterdir():
        if path.stem != "prwe1a":
            path.unlink()
    output = tmp_path / "out"
    assert run("export", corpus, output, "--format", "webdataset", "--clips-per-shard", 2, "--workers", 1) == 0
    shards = sorted(path.name for path in (output / "data").iterdir())
    assert shards == [
        "train-00000-of-00002.tar",
        "train-00001-of-00002.tar",
        "unseen_validation-00000-of-00001.tar",
    ]
    for load in (
        {"path": str(output)},
        {"path": "webdataset", "data_files": {"train": str(output / "data" / "train-*.tar")}},
    ):
        table = datasets.load_dataset(**load, split="train", cache_dir=str(tmp_path / "hf"))
        rows = {row["json"]["id"]: row for row in table.cast_column("mp4", datasets.Video(decode=False))}
        assert sorted(rows) == ["s1/bbaf2n", "s1/lgbazp", "s1/prwe1a"]
        video = corpus / "video" / "s1" / "lgbazp.mp4"
        assert rows["s1/lgbazp"]["mp4"]["bytes"] == video.read_bytes()
        assert rows["s1/prwe1a"]["json"]["words"][5] == {"word": "again", "start": 2.4, "end": 2.8}
        assert rows["s1/bbaf2n"]["json"]["words"][0] == {"word": "bin", "start": -1.0, "end": -1.0}
    read = {clip.key: clip for clip in load_split(output, "train")}
    assert read["s1/prwe1a"].timed_words()[5] == (2.4, 2.8, "again") and read["s1/bbaf2n"].timed_words() is None
    streamed = datasets.load_dataset(
        "webdataset", data_files=str(output / "data" / "train-*.tar"), split="train", streaming=True
    )
    assert len(list(streamed.cast_column("mp4", datasets.Video(decode=False)))) == 3
    with tarfile.open(output / "data" / shards[0]) as tar:
        assert all(member.mtime == 0 and member.uid == 0 for member in tar)


def test_of_a_webdataset_the_shards_are_read_and_not_files_of_the_working_folder(corpus, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    video = (corpus / "video" / "s1" / "lgbazp.mp4").read_bytes()
    assert run("export", corpus, tmp_path / "ours", "--format", "webdataset", "--workers", 1) == 0
    others = tmp_path / "others" / "data" / "train-00000-of-00001.tar"
    others.parent.mkdir(parents=True)
    with tarfile.open(others, "w") as tar:
        for suffix, content in (("mp4", video), ("json", b'{"transcription": "lay green by a zero please"}')):
            member = tarfile.TarInfo(f"./s1/lgbazp.{suffix}")
            member.size = len(content)
            tar.addfile(member, BytesIO(content))
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1" / "lgbazp.mp4").write_bytes(b"another")
    monkeypatch.chdir(tmp_path)
    table = datasets.load_dataset("ours", split="train", cache_dir="hf").cast_column(
        "mp4", datasets.Video(decode=False)
    )
    (row,) = (row for row in table if row["json"]["id"] == "s1/lgbazp")
    assert row["mp4"]["bytes"] == video
    for folder in ("ours", "others"):
        (clip,) = (clip for clip in load_split(tmp_path / folder, "train") if clip.name.startswith("lgbazp"))
        assert clip.name == "lgbazp" and clip.video.read_bytes() == video


@pytest.mark.parametrize("format", ["videofolder", "webdataset"])
def test_datasets_does_not_take_an_export_for_an_older_one_of_the_same_name(
    tmp_path, talking_video, monkeypatch, format
):
    datasets = pytest.importorskip("datasets")
    monkeypatch.chdir(tmp_path)
    cache, found = str(tmp_path / "hf"), []
    for sentence in ("bin blue at f two now", "lay green by x one soon"):
        shutil.rmtree("mine", ignore_errors=True)
        shutil.rmtree("videos", ignore_errors=True)
        (tmp_path / "videos").mkdir()
        shutil.copy(talking_video, "videos/a.mp4")
        (tmp_path / "videos" / "a.txt").write_text(sentence)
        assert run("export", "videos", "mine", "--format", format, "--workers", 1) == 0
        (row,) = datasets.load_dataset("mine", split="train", cache_dir=cache).remove_columns(
            "video" if format == "videofolder" else "mp4"
        )
        found.append((row if format == "videofolder" else row["json"])["sentence"])
        card = (tmp_path / "mine" / "README.md").read_text()
        assert card_errors(card, "dataset") == []
    assert found == ["bin blue at f two now", "lay green by x one soon"]
    assert run("export", "videos", "mine", "--format", format, "--workers", 1) == 0
    assert (tmp_path / "mine" / "README.md").read_text() == card


def test_datasets_finds_the_videos_of_an_export_where_they_are(tmp_path, talking_video):
    datasets = pytest.importorskip("datasets")
    (tmp_path / "videos").mkdir()
    shutil.copy(talking_video, tmp_path / "videos/a.mp4")
    (tmp_path / "videos/a.txt").write_text("bin blue")
    for place in ("one", "two"):
        output = tmp_path / place / "mine"
        assert run("export", tmp_path / "videos", output, "--workers", 1) == 0
        table = datasets.load_dataset(str(output), split="train", cache_dir=str(tmp_path / "hf"))
        (row,) = table.cast_column("video", datasets.Video(decode=False))
        assert row["video"]["path"].startswith(str(output))
        shutil.rmtree(output)


def test_mpeg_videos_are_renamed_or_converted(tmp_path, capfd):
    datasets = pytest.importorskip("datasets")
    from lip2wav_hf.synthetic.corpus import write_clip
    from lip2wav_hf.video import VideoReader

    corpus = tmp_path / "grid"
    (corpus / "s1").mkdir(parents=True)
    write_clip(corpus / "s1" / "bbaf2n.mpg", "bbaf2n")
    shutil.copy(corpus / "s1" / "bbaf2n.mpg", corpus / "s1" / "lgbazp.mpg")
    assert run("export", corpus, tmp_path / "copied", "--scheme", "overlap33", "--workers", 1) == 0
    grid = datasets.load_dataset(str(tmp_path / "copied"), cache_dir=str(tmp_path / "hf"))
    row = grid["test"].cast_column("video", datasets.Video(decode=False))[0]
    assert row["video"]["path"].endswith(".mpeg") and not row["aligned"]
    assert run("export", tmp_path / "copied", tmp_path / "again", "--workers", 1) == 0
    assert sorted(path.stem for path in (tmp_path / "again").rglob("*.mpeg")) == ["bbaf2n", "lgbazp"]
    arguments = ("--scheme", "overlap33", "--workers", 1, "--mp4", "--format", "webdataset")
    assert run("export", corpus, tmp_path / "converted", *arguments) == 0
    grid = datasets.load_dataset(str(tmp_path / "converted"), cache_dir=str(tmp_path / "hf"))
    row = grid["train"].cast_column("mp4", datasets.Video(decode=False))[0]
    with VideoReader(row["mp4"]["bytes"]) as video:
        assert sum(1 for _ in video) == 75
    assert "converted to H.264" in (tmp_path / "converted" / "README.md").read_text()


@pytest.mark.parametrize("listed", [["a.webm"], ["a.mp4", "b.mkv"], ["missing.mp4"]])
def test_where_nothing_can_be_exported_no_folder_is_left(tmp_path, talking_video, capfd, listed):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in listed:
        if not name.startswith("missing"):
            shutil.copy(talking_video, folder / name)
    (folder / "metadata.csv").write_text("\n".join(["file_name,transcription", *(f"{name},bin" for name in listed)]))
    assert run("export", folder, tmp_path / "out", "--format", "webdataset", "--workers", 1) == 2
    assert "error: " in capfd.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("check", ["fast", "full"])
@pytest.mark.parametrize("part", [{}, {"start": 0.2}])
def test_word_times_after_the_end_of_the_video_are_reported_as_prepare_does(
    tmp_path, talking_video, capfd, check, part
):
    folder = tmp_path / "videos"
    folder.mkdir()
    rows = []
    for name, end in (("good", 3.1), ("late", 9.0)):
        shutil.copy(talking_video, folder / f"{name}.mp4")
        words = [{"word": "bin", "start": 0.5, "end": 1.0}, {"word": "blue", "start": 1.0, "end": end}]
        rows.append({"file_name": f"{name}.mp4", "speaker": "ann", "transcription": "bin blue", "words": words} | part)
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("prepare", folder, "-c", tmp_path / "cache", "--workers", 1, "--check", check) == 0
    (expected,) = json.loads((tmp_path / "cache" / "defects.json").read_text())["defects"]
    assert expected["kind"] == "late_times"
    capfd.readouterr()
    output = tmp_path / "out"
    assert run("export", folder, output, "--workers", 1, "--check", check) == 0
    shown = capfd.readouterr().out
    assert "2 clips: 1 usable, 1 left out." in shown and "1 late_times (left out)" in shown
    (found,) = json.loads((output / "defects.json").read_text())["defects"]
    assert (found["clip"], found["kind"]) == (expected["clip"], "late_times")
    assert found["detail"].endswith(expected["detail"])
    assert [path.stem[:4] for path in output.rglob("*.mp4")] == ["good"]
