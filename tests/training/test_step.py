"""Steps of a training: gradients, the critic's turn, and losses that stop a run."""

import json
import math

import numpy as np
import pytest
import torch

from lip2wav_hf import Lip2WavCritic, Lip2WavModel
from lip2wav_hf.training import objectives
from lip2wav_hf.training.arguments import TrainingError
from lip2wav_hf.training.build import build_state
from lip2wav_hf.training.output_dir import find_checkpoints
from lip2wav_hf.training.step import train_step

from .runs import losses_of, parse, run, weights_of


def test_the_critic_starts_alone_and_then_judges(run_arguments, critic_options, tmp_path):
    stages = [*critic_options, "--critic_start", 1, "--critic_warmup", 2, "--critic_steps", 2]
    losses = losses_of(run_arguments, tmp_path, *stages, "--stretch_probability", 0)
    assert ["wasserstein" in step for step in losses] == [False, True, True, True, True, True]
    assert ["adversarial" in step for step in losses] == [False, False, False, True, True, True]
    final = Lip2WavCritic.from_pretrained(tmp_path / "final", subfolder="critic")
    checkpoint = Lip2WavCritic.from_pretrained(tmp_path / "checkpoint-6", subfolder="critic")
    assert final.config.mel_mean == Lip2WavModel.from_pretrained(tmp_path / "final").config.mel_mean
    assert all(
        torch.allclose(final.state_dict()[name].float(), value, atol=1e-3)
        for name, value in checkpoint.state_dict().items()
    )


def test_the_critic_learns_to_tell_generated_from_real(run_arguments, critic_options, tmp_path):
    options = [*critic_options, "--critic_warmup", 1000, "--critic_learning_rate", 0.003, "--gradient_penalty", 1]
    options += ["--max_steps", 40, "--learning_rate", 1e-6, "--validation_epochs", 100, "--save_epochs", 100]
    losses = losses_of(run_arguments, tmp_path, *options, "--stretch_probability", 0)
    distances = [step["wasserstein"] for step in losses]
    assert np.mean(distances[-8:]) < np.mean(distances[:4]) - 0.1


def test_the_generator_does_not_move_the_critic_nor_the_critic_the_generator(run_arguments, critic_options, tmp_path):
    options = [*critic_options, "--critic_warmup", 0, "--critic_learning_rate", 0, "--stretch_probability", 0]
    state = build_state(parse(run_arguments, tmp_path, *options, "--learning_rate", 0, "--ema_decay", 0))
    networks = (state.critic, state.model)
    before = [{name: value.clone() for name, value in network.named_parameters()} for network in networks]
    losses = train_step(state, next(iter(state.train_loader)))
    assert "adversarial" in losses
    for network, values in zip(networks, before, strict=True):
        assert all(torch.equal(values[name], value) for name, value in network.named_parameters())
    assert all(parameter.grad is None for parameter in state.model.parameters())
    assert all(parameter.requires_grad for parameter in state.critic.parameters())


def test_gathering_gradients_over_batches(run_arguments, tmp_path, fresh_accelerator):
    taken = losses_of(run_arguments, tmp_path, "--gradient_accumulation_steps", 2, "--max_steps", 2)
    assert len(taken) == 4
    progress = json.loads((tmp_path / "validation.jsonl").read_text().splitlines()[-1])
    assert progress["step"] == 2 and find_checkpoints(tmp_path)[-1].name == "checkpoint-2"


def test_gathered_gradients_are_the_mean_of_the_batches(recipe, tmp_path, fresh_accelerator, monkeypatch):
    config = tmp_path / "encoder.json"
    config.write_text(json.dumps({"hidden_size": 16, "num_layers": 1, "num_mel_bins": 20, "dropout": 0.0}))
    options = ["--network", "speech_encoder", "--config", config, "--gradient_accumulation_steps", 2]
    state = build_state(parse(recipe, tmp_path, *options, "--learning_rate", 0))
    monkeypatch.setattr(objectives, "vary_mel", lambda mel: mel)
    seen, batches, gradients = [], [], []
    state.accelerator.clip_grad_norm_ = lambda parameters, _: seen.extend(p.grad.clone() for p in parameters)
    for batch in state.train_loader:
        train_step(state, batch)
        batches.append(batch)
    for batch in batches:
        state.model.zero_grad()
        sum(state.objective(batch).losses.values()).backward()
        gradients.append([parameter.grad.clone() for parameter in state.model.parameters()])
    assert len(batches) == 2 and len(seen) == len(gradients[0])
    for found, first, second in zip(seen, *gradients, strict=True):
        assert torch.allclose(found, (first + second) / 2, atol=1e-6)
    assert state.average.updates == 1


def test_an_exploding_loss_stops_the_run_and_keeps_the_last_checkpoint(run_arguments, tmp_path, monkeypatch, capsys):
    saved = run(run_arguments, tmp_path, "--max_steps", 3)
    weights = weights_of(tmp_path / "checkpoint-3")
    assert saved.progress.step == 3
    state = build_state(parse(run_arguments, tmp_path, "--resume", "latest"))
    state.progress.batches, state.progress.mean_loss = 500, 1e-4
    with pytest.raises(TrainingError, match="exploded at step 0.*--resume latest"):
        train_step(state, next(iter(state.train_loader)))
    assert find_checkpoints(tmp_path)[-1].name == "checkpoint-3"
    assert all(torch.equal(weights[name], value) for name, value in weights_of(tmp_path / "checkpoint-3").items())


def test_a_loss_that_is_no_number_stops_the_run(run_arguments, tmp_path, monkeypatch):
    monkeypatch.setattr(objectives, "masked_l1", lambda *_: torch.tensor(math.nan, requires_grad=True))
    with pytest.raises(TrainingError, match="loss is nan at step 0"):
        run(run_arguments, tmp_path)


STEPS_SCRIPT = """
import json, sys
from lip2wav_hf.train.__main__ import parse_arguments
from lip2wav_hf.training.build import build_state
from lip2wav_hf.training.step import train_step

state = build_state(parse_arguments(sys.argv[2:]))
state.objective.train()
weight = state.model.decoder.projection.weight
taken = []
while len(taken) < 4:
    for batch in state.train_loader:
        state.progress.step, before = len(taken), weight.detach().clone()
        losses = train_step(state, batch)
        taken.append([sorted(losses), (weight - before).abs().max().item()])
if state.accelerator.is_main_process:
    json.dump([state.accelerator.num_processes, taken[:4]], open(sys.argv[1], "w"))
"""


@pytest.mark.slow
def test_two_processes_train_a_decoder_that_only_the_critic_judges(processes, run_arguments, critic_options, tmp_path):
    """Gradients that come back past the losses, through the windows alone, or not at all."""
    found = tmp_path / "found.json"
    options = ["--critic_start", 1, "--critic_warmup", 1, "--stretch_probability", 0, "--weight_decay", 0]
    for loss in ("mel", "envelope", "magnitude", "stft", "spoken_envelope"):
        options += [f"--{loss}", 0]
    arguments = [found, *run_arguments, *critic_options, *options, "--output_dir", tmp_path / "run"]
    for done in processes.run_group(tmp_path / "log", 2, STEPS_SCRIPT, arguments):
        assert done.returncode == 0, done.stderr[-6000:]
    number, steps = json.loads(found.read_text())
    assert number == 2
    assert ["wasserstein" in losses for losses, _ in steps] == [False, True, True, True]
    assert ["adversarial" in losses for losses, _ in steps] == [False, False, True, True]
    assert [change > 0 for _, change in steps] == [False, False, True, True]
