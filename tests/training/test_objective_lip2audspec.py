"""Lip2AudSpec is trained as the other networks are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lip2audspec.test_modeling_lip2audspec import TINY
from lip2wav_hf import Lip2AudSpecAutoencoder, Lip2AudSpecAutoencoderConfig, Lip2AudSpecConfig, Lip2AudSpecModel
from lip2wav_hf.training.arguments import LossArguments, TrainingError
from lip2wav_hf.training.build import build_state
from lip2wav_hf.training.losses import correlation_mse_loss
from lip2wav_hf.training.objective_lip2audspec import AutoencoderObjective, Lip2AudSpecObjective, correlations

from .runs import parse, run


OF_THE_SOUND = ("sampling_rate", "encoder_sizes", "decoder_sizes", "code_size", "inversion_iterations")


@pytest.fixture(scope="module")
def recipe(corpus, tmp_path_factory):
    """A recipe of both networks, but for what is trained."""
    folder = tmp_path_factory.mktemp("lip2audspec")
    path = folder / "recipe.yaml"
    path.write_text(
        f"data_dir: [{corpus}]\ncache_dir: {folder / 'cache'}\nmax_steps: 4\nbatch_size: 2\nwindow_frames: 25\n"
        "mixed_precision: 'no'\nwith_tracking: false\ndataloader_workers: 0\npreprocessing_workers: 1\n"
        "validation_steps: 2\nsave_steps: 2\n"
    )
    return str(path)


def config_file(folder: Path, fields: dict) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps(fields))
    return str(path)


@pytest.fixture(scope="module")
def autoencoder(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("autoencoder")
    config = config_file(folder, {name: TINY[name] for name in OF_THE_SOUND})
    run([recipe], folder / "run", "--network", "lip2audspec_autoencoder", "--config", config)
    return folder / "run" / "final"


@pytest.fixture(scope="module")
def options(recipe, autoencoder, tmp_path_factory):
    network = {name: value for name, value in TINY.items() if name not in (*OF_THE_SOUND, "spectrogram_mean")}
    network.pop("spectrogram_std")
    config = config_file(tmp_path_factory.mktemp("network"), network)
    more = ["--network", "lip2audspec", "--config", config, "--autoencoder", str(autoencoder)]
    return [recipe, *more, "--validation_clips", "1"]


def test_the_autoencoder_measures_the_sound(autoencoder):
    config = Lip2AudSpecAutoencoder.from_pretrained(autoencoder).config
    assert config.sampling_rate == 8000 and config.spectrogram_std != 1 and config.spectrogram_mean > 0
    lines = [json.loads(line) for line in (autoencoder.parent / "validation.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4] and all("validation/correlation" in line for line in lines)


def test_a_run_takes_over_its_autoencoder_and_leaves_it_alone(options, autoencoder, tmp_path):
    run(options, tmp_path)
    before, after = (
        Lip2AudSpecAutoencoder.from_pretrained(autoencoder),
        Lip2AudSpecModel.from_pretrained(tmp_path / "final"),
    )
    assert after.config.code_size == 8 and after.config.spectrogram_std == before.config.spectrogram_std
    expected = before.half().float().autoencoder.state_dict()  # as final/ is saved
    for name, value in after.autoencoder.state_dict().items():
        torch.testing.assert_close(value, expected[name], msg=name)
    results = json.loads((tmp_path / "validation.jsonl").read_text().splitlines()[-1])
    assert {"validation/codes", "validation/correlation", "validation/stoi"} <= set(results)


def test_a_resumed_run_ends_as_one_that_was_not_stopped(options, tmp_path):
    whole = run(options, tmp_path / "whole").model.state_dict()
    run(options, tmp_path / "parts", "--max_steps", "2", "--schedule", "constant")
    resumed = run(options, tmp_path / "parts", "--resume", "latest")
    assert resumed.progress.step == 4
    changed = [name for name, value in resumed.model.state_dict().items() if not torch.equal(value, whole[name])]
    assert not [name for name in changed if name.startswith("autoencoder")]
    again = run(options, tmp_path / "again", "--resume", str(tmp_path / "whole" / "checkpoint-2")).model.state_dict()
    for name, value in again.items():
        torch.testing.assert_close(value, whole[name], msg=name)


def test_it_needs_an_autoencoder(recipe, tmp_path):
    with pytest.raises(TrainingError, match="lip2wav train lip2audspec_autoencoder"):
        build_state(parse([recipe, "--network", "lip2audspec"], tmp_path))
    with pytest.raises(TrainingError, match="--autoencoder grid-s1: no autoencoder can be loaded from there"):
        build_state(parse([recipe, "--network", "lip2audspec", "--autoencoder", "grid-s1"], tmp_path))
    with pytest.raises(TrainingError, match="--mel with --network lip2audspec"):
        build_state(parse([recipe, "--network", "lip2audspec", "--mel", "2"], tmp_path))


def test_the_recipes_give_what_their_configs_say():
    small = json.loads((Path(__file__).parents[2] / "configs" / "lip2audspec_small.json").read_text())
    model = Lip2AudSpecModel(Lip2AudSpecConfig(**small, sampling_rate=16000))
    assert 2 * sum(each.numel() for each in model.parameters()) < 5e6  # bytes in half precision


def test_corr_mse_by_hand():
    target = torch.tensor([[[1.0], [2.0], [3.0], [100.0]], [[5.0], [5.0], [5.0], [5.0]]])
    prediction = torch.tensor([[[2.0], [4.0], [6.0], [0.0]], [[9.0], [9.0], [9.0], [9.0]]])
    mask = torch.tensor([[[1.0], [1.0], [1.0], [0.0]], [[0.0]] * 4])
    # The first clip: mean of 1, 4, 9, correlation 1; the second has no frames.
    assert correlation_mse_loss(prediction, target, mask) == pytest.approx(14 / 3, rel=1e-5)
    assert correlation_mse_loss(-prediction, target, mask) == pytest.approx((9 + 36 + 81) / 3 + 2, rel=1e-5)
    assert correlation_mse_loss(prediction, target, torch.zeros_like(mask)) == 0
    assert correlations(-prediction, target, mask) == [pytest.approx(-1)]


def batch_of(frames=10, rate=8000):
    generator = torch.Generator().manual_seed(0)
    return {
        "pixel_values_videos": torch.randn(2, frames, 1, 40, 64, generator=generator),
        "frame_mask": torch.ones(2, frames, dtype=torch.long),
        "waveform": 0.1 * torch.randn(2, frames * rate // 25, generator=generator),
        "has_sound": torch.ones(2, dtype=torch.bool),
        "stretch": torch.ones(2),
    }


def test_gradients_reach_what_learns_and_nothing_else():
    model = Lip2AudSpecModel(Lip2AudSpecConfig(**TINY))
    objective = Lip2AudSpecObjective(model, LossArguments(auditory=1.0)).train()
    assert not model.autoencoder.training and model.slice_encoder.training
    output = objective(batch_of())
    assert set(output.losses) == {"codes", "auditory"}
    sum(output.losses.values()).backward()
    silent = {name for name, each in model.named_parameters() if each.grad is None}
    assert silent == {name for name, _ in model.named_parameters() if name.startswith("autoencoder")}


def test_padding_and_clips_without_sound_do_not_count():
    model = Lip2AudSpecModel(Lip2AudSpecConfig(**TINY))
    objective = Lip2AudSpecObjective(model, LossArguments(auditory=1.0)).eval()
    batch = batch_of()
    batch["has_sound"][1] = False
    alone = {name: value[:1] for name, value in batch.items()}
    for name, loss in objective(batch).losses.items():
        torch.testing.assert_close(loss, objective(alone).losses[name])
    _, found = objective.validate(batch)
    assert len(found) == 1


def test_an_autoencoder_learns_one_batch():
    torch.manual_seed(0)
    fields = {name: TINY[name] for name in OF_THE_SOUND} | {"code_noise": 0.0, "spectrogram_std": 0.1}
    objective = AutoencoderObjective(Lip2AudSpecAutoencoder(Lip2AudSpecAutoencoderConfig(**fields)), LossArguments())
    optimizer, batch, losses = torch.optim.Adam(objective.parameters(), 1e-2), batch_of(), []
    for _ in range(60):
        loss = objective.train()(batch).losses["spectrum"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < losses[0] / 2
