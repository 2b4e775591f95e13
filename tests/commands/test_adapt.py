"""`lip2wav adapt`: what it prints, and what it refuses."""

import csv
import json
import time

import pytest

import lip2wav_hf.commands.adapt as command
from lip2wav_hf.adaptation import running
from lip2wav_hf.adaptation.records import STOPPING, Adaptation, AdaptationProgress

from .command_line import error_line


@pytest.fixture(scope="module")
def takes(tmp_path_factory, talking_video):
    """Two takes of each of two phrases, and a file that is no video."""
    folder = tmp_path_factory.mktemp("takes")
    rows = [
        ("good morning", "a1"),
        ("thank you", "b1"),
        ("good morning", "a2"),
        ("thank you", "b2"),
        ("thank you", "b2"),
        ("yes", "broken"),
    ]
    for _, name in rows:
        (folder / f"{name}.mp4").write_bytes(b"" if name == "broken" else talking_video.read_bytes())
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file_name", "transcription"), *((f"{name}.mp4", text) for text, name in rows)])
    return folder


def test_it_says_what_is_wrong_what_was_done_and_what_to_do_next(run, takes, tiny_model_dir, tmp_path, monkeypatch):
    for share in ("CHECKING_SHARE", "MOST_CHECKING"):
        monkeypatch.setattr(running, share, 100.0)  # all are looked at, however busy the machine is
    model = tmp_path / "my-voice"
    arguments = ["adapt", takes, "-o", model, "--from", tiny_model_dir, "--minutes", "0.2"]
    status, out, err = run(*arguments)
    assert status == 0, err
    assert f"{takes / 'broken.mp4'}: It cannot be read" in err
    assert "of 5 recordings: 3 learnt from, 1 held back, 1 not usable (broken.mp4)" in out
    assert "new words: good, morning, thank, you" in out
    assert "it answers with 2 phrases only" in out
    assert "phrases read right" in out
    assert f"lip2wav speak VIDEO --model {model} -o speech.wav" in out
    assert f"lip2wav lite {model}" in out
    config = json.loads((model / "config.json").read_text())
    assert "good" in config["vocabulary"]
    assert "thank" in config["grammar"]
    status, out, _ = run("speak", takes / "a1.mp4", "-o", tmp_path / "a1.wav", "--json", model=model)
    assert status == 0
    assert json.loads(out)["text"] in ("good morning", "thank you")
    status, _, err = run(*arguments, "--seed", 3)
    assert status == 2 and err.strip().endswith("Name another folder; or replace it, with --restart.")
    status, out, _ = run("push", model, "me/my-voice", "--dry-run")
    assert status == 0, out
    assert "model.safetensors" in out
    assert "adaptation.json" not in out.partition("left")[0]


def test_without_a_terminal_there_is_a_line_each_minute(capfd, monkeypatch):
    """Also where a step, or a measurement, takes longer, and reports nothing; and Ctrl-C is answered at once."""
    monkeypatch.setattr(command, "SILENT_SECONDS", 0.2)
    with command._shown(quiet=False) as show:
        for step in (1, 2, 3):
            show(AdaptationProgress("training", 0.1, message=f"step {step} of 200"))
        time.sleep(0.7)
        show(AdaptationProgress("training", 0.1, message=STOPPING))
        show(AdaptationProgress("training", 0.1, message="step 4 of 200"))
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "training: step 1 of 200" and lines[-1] == "training: stopping after this step"
    assert {*lines[1:-1]} == {"training: step 3 of 200"} and 2 <= len(lines[1:-1]) <= 4
    with command._shown(quiet=True) as show:
        show(AdaptationProgress("training", 0.1, message="step 1 of 200"))
        time.sleep(0.3)
    assert capfd.readouterr().err == ""


def test_of_a_voice_alone_no_recordings_are_counted(tmp_path):
    lines = command._report(
        Adaptation(tmp_path, None, None, (), 0, minutes=1.1, voice_steps=100, given_voice=3, people=0)
    )
    assert lines[:2] == ["a voice learnt from 3 sound files", "100 steps, 1.1 minutes; all steps are done"]
    assert not any("recording" in line.lower() for line in lines if "measure it" not in line)


def test_what_cannot_be_done_is_one_line(run, takes, tiny_model_dir, tmp_path):
    start = ["--from", tiny_model_dir]
    assert "no such folder" in error_line(run("adapt", tmp_path / "absent", "-o", tmp_path / "out", *start))
    assert "no such folder" in error_line(run("adapt", takes, "-o", tmp_path / "out", "--from", "absent"))
    assert "holds something else" in error_line(run("adapt", takes, "-o", takes, *start))
    absent = ["--voice", tmp_path / "absent.wav"]
    assert "no such file or folder" in error_line(run("adapt", takes, "-o", tmp_path / "out", *start, *absent))
    absent = ["--phrases", tmp_path / "absent.txt"]
    assert "it cannot be read as text" in error_line(run("adapt", takes, "-o", tmp_path / "out", *start, *absent))
    (tmp_path / "empty.txt").write_text("\n \n")
    empty = ["--phrases", tmp_path / "empty.txt"]
    assert "no sentence in this file" in error_line(run("adapt", takes, "-o", tmp_path / "out", *start, *empty))
    (tmp_path / "nothing").mkdir()
    assert "is empty" in error_line(run("adapt", tmp_path / "nothing", "-o", tmp_path / "out", *start))
    assert "give a folder of recordings; or --voice" in error_line(run("adapt", "-o", tmp_path / "out", *start))
    assert not (tmp_path / "out").exists()
