"""`lip2wav gallery`."""

import json
import os
import re
import shutil
import signal
import threading
import time

import pytest

from commands.command_line import error_line, errors
from little_grid import write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, talking_video):
    return write_corpus(tmp_path_factory.mktemp("grid"), talking_video)


def test_a_corpus(run, corpus, tmp_path, tiny_model_dir):
    pytest.importorskip("jiwer", reason="the extra `evaluate` is not installed")
    arguments = ["gallery", "--data", corpus, "--split", "train", "--split", "unseen_validation", "--clips", 2]
    arguments += [
        "--clips",
        1,
        "--model",
        f"<x>={tiny_model_dir}",
        "--metrics",
        "stoi,grid_wer",
        "-o",
        tmp_path / "site",
    ]
    status, out, err = run(*arguments, "--workers", 1)
    assert status == 0 and out.startswith(f"{tmp_path}/site/index.html: 3 clips, the largest 0."), err
    assert out.endswith(" MB; 1 of them on unseen.html\n")
    assert "More is better: STOI, ESTOI. All sounds" in (tmp_path / "site" / "unseen.html").read_text(encoding="utf-8")
    seen, unseen = json.loads((tmp_path / "site" / "gallery.json").read_text())["parts"]
    assert [clip["label"] for clip in seen["clips"]] == ["s1/bbaf2n", "s1/lgbazp"]
    assert [clip["label"] for clip in unseen["clips"]] == ["s2/bbaf2n"]
    assert {"stoi", "estoi"} <= seen["clips"][0]["sounds"][1]["numbers"].keys()
    assert [path.name for path in tmp_path.iterdir()] == ["site"], "nothing is left beside it"
    assert "--overwrite" in error_line(run(*arguments))


def test_all_clips_say_which_are_for_training(run, corpus, tmp_path, tiny_model_dir):
    pytest.importorskip("jiwer", reason="the extra `evaluate` is not installed")
    arguments = ["--data", corpus, "--split", "all", "--clips", 2, "--model", tiny_model_dir, "--metrics", "none"]
    status, _, err = run("gallery", *arguments, "-o", tmp_path / "site")
    assert status == 0 and "1 of the 2 clips are of the split 'train': a model that has learnt" in err
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "1 of the 2 clips are of the split &#39;train&#39;: a model" in page
    assert page.count("Of the split for training") == 1
    assert page.index('id="s1-') < page.index("Of the split for training") < page.index('id="s2-')
    [part] = json.loads((tmp_path / "site" / "gallery.json").read_text())["parts"]
    assert [(clip["label"][:2], clip["for_training"]) for clip in part["clips"]] == [("s1", True), ("s2", False)]


def test_videos_with_one_that_fails(run, talking_video, tmp_path, tiny_model_dir):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    shutil.copy(talking_video, tmp_path / "good.mp4")
    status, out, err = run("gallery", tmp_path, "-o", tmp_path / "site", "-m", tiny_model_dir, "--metrics", "none")
    assert status == 2 and re.search(r": 1 clip, the largest \d\.\d\d MB\n$", out)
    assert " is better" not in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert len(errors(err)) == 2 and all("broken" in line for line in errors(err))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give videos, or a corpus with --data."),
        (["a.mp4", "--data", "grid"], "not both"),
        (["a.mp4", "--split", "validation"], "belong to a corpus"),
        (["a.mp4", "--clips", "3"], "belong to a corpus"),
        (["a.mp4"], "a.mp4: there is no such video file"),
        (["https://example.org/a.mp4"], "no addresses"),
        (["--data", "nosuch"], "nosuch: no such folder"),
        (
            ["--data", ".", "--split", "a", "--split", "b", "--clips", "1", "--clips", "2", "--clips", "3"],
            "given 3 times",
        ),
        (["a.mp4", "-m", "nosuch"], "model nosuch: there is no such folder"),
        (["a.mp4", "-m", "a=grid-s1", "-m", "A=grid-s1"], "two systems are called 'A'"),
        (["a.mp4", "-m", "=grid-s1"], "LABEL=NAME"),
        (["a.mp4", "--metrics", "beauty"], "no metric 'beauty'"),
    ],
)
def test_what_cannot_be_done(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in error_line(run("gallery", *arguments))
    assert not list(tmp_path.iterdir())


def test_ctrl_c_says_that_the_same_command_goes_on(run, talking_video, tmp_path, tiny_model_dir):
    """As it does: what was spoken is kept beside the folder of the page."""
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        shutil.copy(talking_video, tmp_path / name)

    def interrupt():
        while not list(tmp_path.glob(".site.work/speech-*")):
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    arguments = ["gallery", tmp_path, "-o", tmp_path / "site", "--model", tiny_model_dir, "--metrics", "none"]
    threading.Thread(target=interrupt, daemon=True).start()
    status, _, err = run(*arguments)
    assert (status, err) == (130, "error: interrupted. Run the same command again: it continues where it was.\n")
    assert (tmp_path / ".site.work").is_dir() and not (tmp_path / "site").exists()
    assert run(*arguments)[0] == 0 and not (tmp_path / ".site.work").exists()
