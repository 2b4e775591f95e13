"""Datasets of the Hub, and folders of parquet files, through the commands."""

import json
import os
import subprocess
import sys

import pytest

from conftest import TINY_CONFIG
from lip2wav_hf import adapt
from lip2wav_hf.corpora.clips import CorpusError
from lip2wav_hf.corpora.registry import is_dataset_name, open_corpus
from little_grid import run


pytest.importorskip("datasets", reason="the extra 'train' is not installed")

SENTENCES = ("good morning", "good night", "what time is it")


def write_dataset(folder, video, splits):
    """Parquet files of some splits: speaker -> number of clips. All videos have the names 0.mp4, 1.mp4 …"""
    import datasets

    kinds = {"video": datasets.Video(decode=False)} | dict.fromkeys(
        ("transcription", "speaker"), datasets.Value("string")
    )
    (folder / "data").mkdir(parents=True)
    for split, speakers in splits.items():
        rows = [
            {
                "video": {"bytes": video.read_bytes(), "path": f"{number}.mp4"},
                "transcription": SENTENCES[number % len(SENTENCES)],
                "speaker": speaker,
            }
            for speaker, count in speakers.items()
            for number in range(count)
        ]
        table = datasets.Dataset.from_list(rows, features=datasets.Features(kinds))
        table.to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
    return folder


@pytest.fixture
def hf_home(monkeypatch, tmp_path):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    return tmp_path / "hf"


def test_what_can_be_the_name_of_a_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert is_dataset_name("me/voices") and is_dataset_name("me-2/my.voices_3")
    for other in ("voices", "data/voices", "./me/voices", "/me/voices", "a/b/c", "../voices", "me/", str(tmp_path)):
        assert not is_dataset_name(other), other
    (tmp_path / "me" / "voices").mkdir(parents=True)
    assert not is_dataset_name("me/voices")  # a folder comes first


def test_a_folder_of_parquet_files_is_a_corpus(tmp_path, talking_video, hf_home, capfd):
    folder = write_dataset(tmp_path / "own", talking_video, {"train": {"ann": 2}, "validation": {"ann": 1, "ben": 1}})
    corpus = open_corpus(folder)
    assert corpus.name == "dataset" and corpus.made_splits() is None
    assert [clip.key for clip in corpus.load_split("train")] == ["ann/0", "ann/1"]
    held = corpus.load_split("validation")
    assert [clip.key for clip in held] == ["ann/0-validation", "ben/0"] and held[0].words == ("good", "morning")
    assert held[0].source == talking_video.read_bytes()
    assert run("prepare", folder, "-c", tmp_path / "cache", "--workers", 1) == 0
    output = capfd.readouterr().out
    assert "4 clips: 4 usable" in output and "  train: 2 clips\n  validation: 2 clips\n" in output
    assert run("export", folder, tmp_path / "out", "--workers", 1) == 0
    again = open_corpus(tmp_path / "out")
    assert again.name == "videos"
    assert [clip.text for clip in again.load_split("train")] == ["good morning", "good night"]


def test_a_dataset_with_one_split_is_divided(tmp_path, talking_video, hf_home):
    corpus = open_corpus(write_dataset(tmp_path / "own", talking_video, {"train": {"ann": 3, "ben": 3}}))
    made = corpus.made_splits()
    assert made is not None and set(made.splits) == {"train", "validation", "test"}
    assert len(corpus.load_split("test")) == 1 and corpus.find_clips()[1].notes == [made.describe()]


def test_a_column_of_the_words_that_nobody_knows_is_said_once(tmp_path, talking_video, hf_home, capfd):
    import datasets

    folder = write_dataset(tmp_path / "own", talking_video, {"train": {"ann": 2}, "test": {"ANN": 1}})
    for file in (folder / "data").iterdir():
        table = datasets.Dataset.from_parquet(str(file), cache_dir=str(tmp_path / "read"))
        table.rename_column("transcription", "words_said").to_parquet(str(file))
    _, report = open_corpus(folder).find_clips()
    assert [doubt.partition(". ")[0] for doubt in report.doubts] == [
        "no column of the dataset says what is said",
        "the speakers ANN and ann differ in capital letters alone, and count as 2 people",
    ]
    assert run("prepare", folder, "-c", tmp_path / "cache", "--workers", 1) == 2
    assert "there are words_said, speaker. Rename the one that says it." in capfd.readouterr().err
    with pytest.raises(CorpusError, match="Rename the one that says it"):
        adapt(folder, tmp_path / "voice")


def test_rows_without_a_video_are_counted(tmp_path, talking_video, hf_home):
    import datasets

    folder = write_dataset(tmp_path / "own", talking_video, {"train": {"ann": 2}})
    file = folder / "data" / "train-00000-of-00001.parquet"
    table = datasets.Dataset.from_parquet(str(file), cache_dir=str(tmp_path / "read"))
    table = table.cast_column("video", datasets.Video(decode=False))
    bad = table.to_list() + [{"video": None, "transcription": "gone", "speaker": "ann"}]
    datasets.Dataset.from_list(bad, features=table.features).to_parquet(str(file))
    found, report = open_corpus(folder).find_clips()
    assert sum(map(len, found.values())) == 2 and report.counts() == {"missing_video": 1}
    assert "row 2: there is no video" in report.defects[0].detail


def test_a_name_that_is_none(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match="nobody/nothing: there is no such folder, and no dataset of that name"):
        open_corpus("nobody/nothing").load_split("train")
    assert run("prepare", "nobody/nothing", "-c", tmp_path / "cache") == 2
    errors = capfd.readouterr().err
    assert (
        errors.startswith("error: nobody/nothing: there is no such folder, and no dataset") and errors.count("\n") == 1
    )


COMMANDS = """
import json, sys
from lip2wav_hf.commands.main import main
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as stop:
        assert not stop.code, (arguments, stop.code)
"""


@pytest.mark.slow
def test_a_dataset_on_the_hub_goes_through_every_command(tmp_path, talking_video, tiny_model_dir):
    """Downloaded by its name from a Hub on this machine."""
    pytest.importorskip("jiwer", reason="the extra 'evaluate' is not installed")
    pytest.importorskip("uvicorn", reason="the extra 'dev' is not installed")
    from hub_stub import HubStub

    folder = write_dataset(tmp_path / "up", talking_video, {"train": {"ann": 3}, "validation": {"ben": 1}})
    config = tmp_path / "tiny.json"
    config.write_text(json.dumps(TINY_CONFIG | {"model_type": "lip2wav", "num_mel_bins": 20}))
    training = ["--config", config, "--data_dir", "alice/own", "--cache_dir", "cache", "--output_dir", "run"]
    training += ["--mixed_precision", "no", "--with_tracking", "false", "--dataloader_workers", 0, "--max_steps", 1]
    training += ["--preprocessing_workers", 1, "--batch_size", 2, "--decoder_window_frames", 32]
    commands = [
        ["prepare", "alice/own", "-c", "cache", "--workers", 1],
        ["export", "alice/own", "out", "--workers", 1],
        ["train", *training, "--validation_clips", 0],
        [
            "evaluate",
            "--data",
            "alice/own",
            "--model",
            "run/final",
            "--metrics",
            "stoi",
            "--workers",
            1,
            "-o",
            "measured",
        ],
    ]
    words = [[str(word) for word in command] for command in commands]
    with HubStub() as hub:
        hub.add("alice/own", folder, kind="dataset")
        environment = {**os.environ, **hub.environment(tmp_path / "home")}
        done = subprocess.run(
            [sys.executable, "-c", COMMANDS, json.dumps(words)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500,
        )  # fmt: skip
        assert any("train-00000-of-00001.parquet" in path for _, path, _ in hub.requests)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 clips: 4 usable" in done.stdout and "before: 0" in done.stdout
    results = json.loads((tmp_path / "measured" / "results.json").read_text())
    assert (results["data"], results["clips"]) == ("alice/own", 1) and "text_wer" in results["overall"]
    assert "--data alice/own" in results["command"]
    assert (tmp_path / "out" / "train" / "ann" / "0.mp4").read_bytes() == talking_video.read_bytes()
