"""Whole runs: they learn, stop and go on."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lip2wav_hf import Lip2WavSpeechEncoder
from lip2wav_hf.training import loop
from lip2wav_hf.training.build import build_state
from lip2wav_hf.training.validation import validate

from .runs import TINY_MODEL, parse, run, weights_of


def test_an_interrupted_run_ends_like_an_uninterrupted_one(run_arguments, tmp_path, monkeypatch):
    whole = run(run_arguments, tmp_path / "whole")
    assert whole.progress.step == 6

    step, taken = loop.train_step, []

    def stop_in_mid_epoch(state, batch):
        taken.append(1)
        state.stop_requested = len(taken) == 3
        return step(state, batch)

    monkeypatch.setattr(loop, "train_step", stop_in_mid_epoch)
    stopped = run(run_arguments, tmp_path / "parts")
    assert stopped.progress.step == 3 and stopped.progress.step_in_epoch > 0
    monkeypatch.setattr(loop, "train_step", step)
    halfway = weights_of(tmp_path / "parts" / "checkpoint-3")
    resumed = run(run_arguments, tmp_path / "parts", "--resume", "latest")
    assert resumed.progress.step == 6
    expected, found = weights_of(tmp_path / "whole" / "final"), weights_of(tmp_path / "parts" / "final")
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert any(not torch.equal(expected[name], halfway[name]) for name in expected)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems say it otherwise")
def test_memory_that_batches_leave_goes_back(run_arguments, tmp_path, monkeypatch):
    step, sizes, kept = loop.train_step, [], []

    def wasteful(state, batch):
        sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
        pieces = [bytearray(100_000) for _ in range(2000)]
        kept.append(bytearray(100_000))
        del pieces
        return step(state, batch)

    monkeypatch.setattr(loop, "train_step", wasteful)
    monkeypatch.setattr(loop, "MEMORY_BATCHES", 2)
    run(run_arguments, tmp_path / "run", "--max_steps", 3)
    assert sizes[2] < sizes[1] - 100e6, sizes


def test_a_validation_that_a_stop_prevented_is_made_up_for(run_arguments, tmp_path, monkeypatch):
    """Every N steps, in mid-epoch and at the end of one: the same results as without a stop."""
    options = ["--validation_steps", 1, "--save_steps", 4, "--validation_clips", 0]
    run(run_arguments, tmp_path / "whole", *options)
    step = loop.train_step
    for stop in (1, 2):
        monkeypatch.setattr(
            loop, "train_step", lambda state, batch, at=stop: _stopping(state, at) or step(state, batch)
        )
        assert run(run_arguments, tmp_path / "parts", *options, "--resume", "latest").progress.step == stop
    monkeypatch.setattr(loop, "train_step", step)
    run(run_arguments, tmp_path / "parts", *options, "--resume", "latest")
    found = [
        [json.loads(line) | {"seconds": 0} for line in (tmp_path / name / "validation.jsonl").read_text().splitlines()]
        for name in ("whole", "parts")
    ]
    assert [line["step"] for line in found[0]] == [1, 2, 3, 4, 5, 6]
    for whole, parts in zip(*found, strict=True):
        assert whole | {"epoch": 0} == parts | {"epoch": 0}
    expected, actual = weights_of(tmp_path / "whole" / "final"), weights_of(tmp_path / "parts" / "final")
    assert all(torch.equal(expected[name], actual[name]) for name in expected)


def _stopping(state, at):
    state.stop_requested = state.progress.step + 1 == at


def test_training_lowers_the_loss(run_arguments, tmp_path):
    options = ["--max_steps", 60, "--learning_rate", 0.01, "--validation_epochs", 100, "--save_epochs", 100]
    state = build_state(parse(run_arguments, tmp_path, *options))
    first = validate(state)["validation/loss"]
    loop.train(state)
    last = validate(state)["validation/loss"]
    assert last < 0.8 * first


def test_a_speech_encoder_is_trained_and_then_judges_the_generator(recipe, run_arguments, tmp_path):
    config = tmp_path / "encoder.json"
    config.write_text(json.dumps({"hidden_size": 16, "num_layers": 1, "num_mel_bins": 20}))
    encoder = tmp_path / "encoder"
    run(recipe, encoder, "--network", "speech_encoder", "--config", config)
    assert Lip2WavSpeechEncoder.from_pretrained(encoder / "final").config.num_mel_bins == 20
    before = Lip2WavSpeechEncoder.from_pretrained(encoder / "final").state_dict()
    state = run(run_arguments, tmp_path / "generator", "--speech_encoder", encoder / "final")
    results = validate(state)
    assert results["validation/perceptual"] > 0 and results["validation/heard_words"] > 0
    after = state.accelerator.unwrap_model(state.objective).speech_encoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)  # it is frozen
    saved = weights_of(tmp_path / "generator" / "final")
    assert not any(name.startswith("speech_encoder") for name in saved)


def test_the_frame_decoder_trains(recipe, tmp_path):
    config = tmp_path / "frame.json"
    config.write_text(json.dumps(TINY_MODEL | {"decoder_type": "frame", "decoder_channels": 16}))
    options = ["--config", config, "--waveform", 1.0, "--stretch_probability", 0, "--max_steps", 2]
    state = run(recipe, tmp_path / "run", *options)
    assert state.progress.step == 2
    assert weights_of(tmp_path / "run" / "final")["decoder.projection.weight"].isfinite().all()


@pytest.mark.slow
def test_accelerate_launches_it(run_arguments, tmp_path):
    command = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_processes",
        "1",
        "-m",
        "lip2wav_hf.train",
    ]
    result = subprocess.run(
        [*command, *run_arguments, "--output_dir", str(tmp_path), "--max_steps", "2", "--with_tracking", "true"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "one core" not in result.stderr  # which is what was asked for
    assert (tmp_path / "final" / "model.safetensors").is_file()
    assert list((tmp_path / "logs").rglob("events.out.tfevents*"))
