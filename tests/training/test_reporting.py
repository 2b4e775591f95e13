"""What a training says on the screen, and what not."""

import os
import re
import shlex
import shutil
import signal

from lip2wav_hf.errors import missing_extra
from lip2wav_hf.hub.facts import known_facts
from lip2wav_hf.models import NETWORKS
from lip2wav_hf.train.__main__ import main
from lip2wav_hf.training import loop, validation
from lip2wav_hf.training.options import parse_arguments


def shown(capsys) -> str:
    out, err = capsys.readouterr()
    return out + err


def test_a_run_says_what_matters(run_arguments, tmp_path, capsys):
    output = tmp_path / "run"
    options = ["--validation_steps", "2", "--save_steps", "3", "--validation_clips", "0"]
    assert main([*run_arguments, "--output_dir", str(output), *options]) == 0
    text = shown(capsys)
    assert re.search(r"^Lip2WavModel with [\d,]+ trainable parameters$", text, re.MULTILINE)
    assert "5 training clips of synthetic1; 1 validation clip\n" in text
    assert "6 steps of 2 clips: 3 epochs of 2 steps; no precision on the CPU" in text
    assert "validation every 2 steps, a checkpoint every 3 steps\n" in text
    assert f"output: {output}\n" in text
    assert re.search(rf"^step 2: loss .*; the best so far, written to {output}/best$", text, re.MULTILINE)
    assert [int(step) for step in re.findall(r"step (\d+): loss", text)] == [2, 4, 6]
    assert [int(step) for step in re.findall(r"step (\d+): wrote", text)] == [3, 6]
    end = text[text.index(f"done: {output}/final") :]
    assert f"--model {output}/final" in end and "lip2wav speak " in end and "lip2wav evaluate " in end
    for noise in ("INFO", "accelerate.checkpointing", "Writing model shards", "Loading weights", "Saving"):
        assert noise not in text


def test_a_network_that_does_not_speak_says_what_is_trained_with_it(recipe, corpus, tmp_path, capsys):
    """In words that the trainer takes; so of every network that is trained for another."""
    config = tmp_path / "encoder.json"
    config.write_text(
        '{"model_type": "lip2wav_speech_encoder", "hidden_size": 8, "num_layers": 1, "num_mel_bins": 20}'
    )
    output = tmp_path / "ears"
    words = ["--network", "speech_encoder", "--config", str(config), "--output_dir", str(output), "--max_steps", "1"]
    assert main([*recipe, *words]) == 0
    (line,) = re.findall(r"^use it:     lip2wav train (.*)$", shown(capsys), re.MULTILINE)
    assert parse_arguments(shlex.split(line)).models.speech_encoder == f"{output}/final"
    for network in NETWORKS:
        if network.objective and not network.speaks:
            assert parse_arguments([*network.taken_by.split(), "somewhere", "--data_dir", str(corpus)])


def test_what_to_measure_with_takes_the_clips_of_the_run(run_arguments, corpus, tmp_path, capsys):
    splits = shutil.copy(corpus / "splits.json", tmp_path / "mine.json")
    chosen = ["--splits_file", str(splits), "--speakers", "synthetic1"]
    words = [*run_arguments, "--output_dir", str(tmp_path / "run"), "--max_steps", "1", "--validation_clips", "0"]
    assert main([*words, *chosen]) == 0
    (line,) = re.findall(r"^measure it: (.*)$", shown(capsys), re.MULTILINE)
    command = shlex.split(line)
    options = dict(zip(command[2::2], command[3::2], strict=True))
    assert options == {
        "--model": str(tmp_path / "run" / "final"),
        "--data": str(corpus),
        "--splits-file": str(splits),
        "--speakers": "synthetic1",
        "--split": "validation",
    }


def test_short_epochs_are_explained(run_arguments, tmp_path, capsys):
    assert main([*run_arguments, "--output_dir", str(tmp_path), "--max_steps", "3", "--validation_clips", "0"]) == 0
    text = shown(capsys)
    assert "validation every 25 epochs, a checkpoint every 25 epochs (an epoch is short" in text
    assert "--validation_steps and --save_steps" in text
    assert text.count("step 3: loss") == 1 and text.count("step 3: wrote") == 1  # at the end all the same


def test_missing_measures_are_named_once(run_arguments, tmp_path, capsys, monkeypatch):
    def missing(extra, purpose, *packages):
        raise missing_extra(extra, packages[0], purpose)

    monkeypatch.setattr(validation, "require_packages", missing)
    options = ["--validation_steps", "2", "--validation_clips", "2"]
    assert main([*run_arguments, "--output_dir", str(tmp_path), *options]) == 0
    text = shown(capsys)
    assert text.count("STOI and PESQ of validation clips needs the package evaluate") == 1
    assert "stoi" not in (tmp_path / "validation.jsonl").read_text()


def test_a_stop_says_how_to_go_on(run_arguments, tmp_path, capsys, monkeypatch):
    step, taken = loop.train_step, []

    def stopping(state, batch):
        taken.append(batch)
        state.stop_requested = len(taken) == 3
        return step(state, batch)

    monkeypatch.setattr(loop, "train_step", stopping)
    words = [*run_arguments, "--output_dir", str(tmp_path)]
    assert main(words) == 0
    text = shown(capsys)
    assert (
        f"stopped at step 3; {tmp_path}/checkpoint-3 is written. Resume with the same command and --resume lat" in text
    )
    assert "done:" not in text
    assert known_facts(tmp_path)["training"].startswith("3 steps")
    assert main([*words, "--resume", "latest", "--validation_clips", "0"]) == 0
    text = shown(capsys)
    assert f"resumed from {tmp_path}/checkpoint-3" in text and "resuming after step 3" in text and "done:" in text
    assert "nothing is left" not in text
    assert main([*words, "--resume", "latest", "--validation_clips", "0"]) == 0
    assert "nothing is left to do after step 6: to go on, raise --max_steps" in shown(capsys)


def test_a_stop_is_answered_at_once(run_arguments, tmp_path, capsys, monkeypatch):
    step, taken = loop.train_step, []

    def interrupted(state, batch):
        taken.append(batch)
        if len(taken) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)  # a second one changes nothing
            print("the step goes on")
        return step(state, batch)

    monkeypatch.setattr(loop, "train_step", interrupted)
    assert main([*run_arguments, "--output_dir", str(tmp_path), "--validation_clips", "0"]) == 0
    text = shown(capsys)
    answer = "stopping after this step; then a checkpoint is written."
    assert text.count(answer) == 1
    assert text.index(answer) < text.index("the step goes on") < text.index("stopped at step 2; ")


def test_ctrl_c_before_the_first_step_is_no_crash(run_arguments, tmp_path, capsys, monkeypatch):
    def interrupted(state):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "train", interrupted)
    assert main([*run_arguments, "--output_dir", str(tmp_path)]) == 130
    assert "stopped before the first step" in capsys.readouterr().err


def test_what_the_training_knows_is_beside_its_models(run_arguments, tmp_path):
    assert main([*run_arguments, "--output_dir", str(tmp_path), "--max_steps", "2", "--validation_clips", "0"]) == 0
    facts = known_facts(tmp_path)
    assert facts["training"].startswith("2 steps") and facts["core_hours"] > 0
    assert facts["data"] == "5 clips of synthetic1; split 'train'."  # of the folder's own splits
