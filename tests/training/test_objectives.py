"""What networks learn from: what an objective returns, and its perceptual losses."""

import json
import math

import pytest
import torch

from lip2wav_hf import Lip2WavConfig, Lip2WavModel, Lip2WavSpeechEncoder, Lip2WavSpeechEncoderConfig
from lip2wav_hf.training.arguments import LossArguments, TrainingError, look_aheads, middle_look_ahead
from lip2wav_hf.training.dataset import collate_clips
from lip2wav_hf.training.networks import freeze_lips, lip_parts
from lip2wav_hf.training.objectives import OF_SOUND, GeneratorObjective, SpeechEncoderObjective, stretch_frames

from .runs import TINY_CRITIC, TINY_MODEL, clips_of, losses_of


def test_stretch_frames_resamples_linearly():
    ramp = torch.arange(10.0)[None, :, None].expand(2, 10, 3)
    result = stretch_frames(ramp, torch.tensor([1.0, 1.5]), 6)
    assert torch.allclose(result[0, :, 0], torch.arange(6.0))
    assert torch.allclose(result[1, :, 2], (torch.arange(6) + 0.5) * 1.5 - 0.5)


def test_perceptual_losses_vanish_for_a_perfect_prediction(cached_clip):
    torch.manual_seed(0)
    encoder = Lip2WavSpeechEncoder(
        Lip2WavSpeechEncoderConfig(hidden_size=16, num_layers=2, mel_mean=-3.0, mel_std=1.5)
    )
    model = Lip2WavModel(Lip2WavConfig(**{**TINY_MODEL, "num_mel_bins": 80}))
    perceptual = GeneratorObjective(model, LossArguments(perceptual_mel=2.0), encoder).train().perceptual
    assert not encoder.training and not any(parameter.requires_grad for parameter in encoder.parameters())
    batch = collate_clips([clips_of(cached_clip)[0]])
    target = torch.randn(1, 300, 80)
    losses = perceptual(target.clone(), target, batch)
    assert losses["perceptual"].item() == pytest.approx(0, abs=1e-6) == losses["perceptual_mel"].item()
    others = perceptual(target + 1, target, batch)
    assert others["perceptual"].item() > 0.01
    assert others["perceptual_mel"].item() == pytest.approx(2 / 1.5)  # of standardised bands


def test_the_frame_decoder_is_recognised_at_another_rate(recipe, tmp_path):
    config, encoder = tmp_path / "frame.json", tmp_path / "encoder"
    config.write_text(
        json.dumps(TINY_MODEL | {"decoder_type": "frame", "decoder_channels": 16, "sampling_rate": 32000})
    )
    Lip2WavSpeechEncoder(Lip2WavSpeechEncoderConfig(hidden_size=16, num_layers=1)).save_pretrained(encoder)
    options = ["--config", config, "--speech_encoder", encoder, "--stretch_probability", 0, "--max_steps", 2]
    options += ["--waveform", 1, "--power", 0.1, "--total_variation", 0.1, "--adversarial", 0.01, "--critic_warmup", 0]
    critic = tmp_path / "critic.json"
    critic.write_text(json.dumps(TINY_CRITIC))
    losses = losses_of(recipe, tmp_path / "run", *options, "--critic_config", critic)
    names = {"waveform", "power", "total_variation", "perceptual", "wasserstein", "penalty", "adversarial"}
    assert names <= set(losses[0]) and all(math.isfinite(value) for value in losses[1].values())


def tiny_generator(**changes):
    return Lip2WavModel(Lip2WavConfig(**TINY_MODEL | changes))


def test_a_generator_in_training_returns_windows_that_gradients_flow_through(cached_clip):
    batch = collate_clips([clips_of(cached_clip)[0], clips_of(cached_clip)[0]])
    objective = GeneratorObjective(tiny_generator(), LossArguments(decoder_windows=3), critic_samples=10240).train()
    output = objective(batch)
    assert output.windows.generated.shape == output.windows.real.shape == (3, 10240)
    places = [(batch["waveform"][0].unfold(0, 10240, 160) == window).all(1).any() for window in output.windows.real]
    assert all(places)  # real sound, from a spectrogram frame on
    others = output.resample_windows()
    assert others.generated.shape == (3, 10240) and not others.generated.requires_grad
    assert not torch.equal(others.real, output.windows.real)
    output.windows.generated.sum().backward()
    assert objective.model.decoder.projection.weight.grad.any()
    assert output.text_logits.shape == (2, 75, 52) and not output.text_logits.requires_grad
    assert objective.eval()(batch).windows is None
    assert GeneratorObjective(tiny_generator(), LossArguments())(batch).windows is None  # no critic


def test_a_batch_of_stretched_clips_gives_a_critic_nothing(cached_clip):
    batch = collate_clips([clips_of(cached_clip)[0]])
    batch["stretch"] = torch.tensor([1.1])
    output = GeneratorObjective(tiny_generator(), LossArguments(), critic_samples=10240).train()(batch)
    assert output.windows is None and output.resample_windows is None and "stft" not in output.losses


def test_windows_of_critic_and_decoder_must_be_equal():
    with pytest.raises(ValueError, match="the critic judges 8000 samples, but the decoder's windows have 10240"):
        GeneratorObjective(tiny_generator(), LossArguments(), critic_samples=8000)


def test_the_same_objective_of_another_network(cached_clip):
    encoder = Lip2WavSpeechEncoder(Lip2WavSpeechEncoderConfig(hidden_size=16, num_layers=1, num_mel_bins=20))
    objective = GeneratorObjective(tiny_generator(), LossArguments(), encoder, critic_samples=10240).eval()
    other = objective.with_model(tiny_generator(mel_mean=-7.0)).eval()
    assert other.speech_encoder is objective.speech_encoder and other.critic_samples == 0
    batch = collate_clips([clips_of(cached_clip)[0]])
    assert other(batch).losses["mel"] != objective(batch).losses["mel"]
    assert torch.equal(
        objective.with_model(objective.model).eval()(batch).losses["mel"], objective(batch).losses["mel"]
    )


def test_text_objectives_measure_the_word_error_rate(cached_clip):
    model = Lip2WavSpeechEncoder(Lip2WavSpeechEncoderConfig(hidden_size=16, num_layers=1))
    objective = SpeechEncoderObjective(model, LossArguments()).eval()
    losses, clips = objective.validate(collate_clips([clips_of(cached_clip)[0]]))
    assert set(losses) == {"ctc", "words"} and len(clips) == 1 and clips[0][0] == "bin blue at f two now"
    assert objective.measures([("bin blue", "bin blue"), ("at f", "at")]) == {"text_wer": 0.25}


def test_the_decoder_learns_from_clips_of_every_length():
    """Clips that were not cut differ in length; windows lie inside of each."""
    objective = GeneratorObjective(Lip2WavModel(Lip2WavConfig(**TINY_MODEL)), LossArguments())
    mask = torch.zeros(3, 100)
    for clip, frames in enumerate((100, 40, 10)):  # the last is shorter than a window of 64 spectrogram frames
        mask[clip, :frames] = 1
    places = objective._window_places({"frame_mask": mask, "stretch": torch.ones(3)}, 400, 200)
    assert {clip for clip, _ in places} == {0, 1}
    assert max(start for clip, start in places if clip == 1) in range(80, 160 - 64 + 1)
    assert max(start for clip, start in places if clip == 0) in range(300, 400 - 64 + 1)


@pytest.mark.parametrize(
    ("choices", "number"), [({}, 6), ({"decoder_real_windows": 1}, 4), ({"decoder_real_windows": 0}, 3)]
)
def test_the_decoder_learns_from_as_many_windows_of_real_mel(cached_clip, monkeypatch, choices, number):
    objective = GeneratorObjective(tiny_generator(), LossArguments(decoder_windows=3, **choices)).train()
    decode, seen = objective._decode, []

    def watched(windows, chunks):
        seen.append(windows)
        return decode(windows, chunks)

    monkeypatch.setattr(objective, "_decode", watched)
    batch = collate_clips([clips_of(cached_clip)[0]])
    losses = objective(batch).losses
    assert [len(windows) for windows in seen] == [number] and losses["stft"] > 0
    real = objective.log_mel.standardise(objective.log_mel(batch["waveform"]))[0]
    starts = [(real[:, None] == window[0]).all(-1).any() for window in seen[0]]
    assert sum(map(bool, starts)) == number - 3  # the others are generated


def test_only_the_lips_are_learnt_from_clips_without_sound(cached_clip):
    """The sound of such a clip changes no loss, and without any other there is none of the sound."""
    dataset = clips_of(cached_clip)
    batch = collate_clips([dataset[0], dataset[0]])
    torch.manual_seed(0)
    model = tiny_generator(num_mel_bins=80)
    encoder = Lip2WavSpeechEncoder(Lip2WavSpeechEncoderConfig(hidden_size=8, num_layers=1))
    objective = GeneratorObjective(model, LossArguments(), encoder).eval()
    batch["has_sound"] = torch.tensor([True, False])
    before = objective(batch).losses
    batch["waveform"][1] = torch.randn_like(batch["waveform"][1])
    after = objective(batch).losses
    assert {name: value.item() for name, value in after.items()} == pytest.approx(
        {name: value.item() for name, value in before.items()}, rel=1e-5
    )
    batch["has_sound"][:] = False
    losses = objective.train()(batch).losses
    assert {name for name, value in losses.items() if value} == {"ctc", "words"}
    assert all(torch.isfinite(value) for value in losses.values())


def test_without_a_loss_of_the_sound_only_the_lips_learn(cached_clip):
    batch = collate_clips([clips_of(cached_clip)[0]])
    silent = dict.fromkeys(OF_SOUND, 0.0)
    objective = GeneratorObjective(tiny_generator(), LossArguments(**silent, words=1.0, ctc=0.1)).train()
    output = objective(batch)
    assert set(output.losses) == {"ctc", "words"} and output.windows is None
    sum(output.losses.values()).backward()
    learnt = {name for name, weight in objective.model.named_parameters() if weight.grad is not None}
    assert learnt and {name.split(".")[0] for name in learnt} == {"visual_encoder", "temporal_encoder", "text_head"}
    assert GeneratorObjective(tiny_generator(), LossArguments(**silent | {"stft": 0.1})).learns_sound
    assert GeneratorObjective(tiny_generator(), LossArguments(**silent), critic_samples=10240).learns_sound


def test_lips_that_learn_nothing_read_in_training_as_they_will():
    objective = GeneratorObjective(tiny_generator(dropout=0.5), LossArguments())
    model = objective.train().model
    assert model.visual_encoder.training and model.temporal_encoder.training
    freeze_lips(model)
    objective.train()
    assert not any(layer.training for part in lip_parts(model) for layer in part.children())
    assert model.mel_decoder.training and model.decoder.training
    objective.eval()
    assert not model.mel_decoder.training


def test_each_batch_draws_a_look_ahead(cached_clip):
    batch = collate_clips([clips_of(cached_clip)[0]])
    model = tiny_generator(dropout=0.0, visual_normalization="clip")
    objective = GeneratorObjective(model, LossArguments(look_ahead=["all", "2", "0"], decoder_windows=0))
    torch.manual_seed(0)
    seen = {round(objective.train()(batch).losses["mel"].item(), 6) for _ in range(20)}
    assert len(seen) == 3  # one loss for each
    bounded = [round(tiny_losses(model, batch, choice)["mel"].item(), 6) for choice in (["0"], ["2"], None)]
    assert seen == set(bounded)
    assert round(objective.eval()(batch).losses["mel"].item(), 6) == bounded[1]  # validated in the middle


def tiny_losses(model, batch, look_ahead):
    return GeneratorObjective(model, LossArguments(look_ahead=look_ahead)).eval()(batch).losses


def test_windows_of_the_decoder_have_the_chunks_of_their_clip(cached_clip):
    batch = collate_clips([clips_of(cached_clip)[0]])
    objective = GeneratorObjective(tiny_generator(), LossArguments(look_ahead=["3"], decoder_windows=4)).train()
    chunks = objective.model.config.mel_chunks(3)
    assert chunks.size == 16
    places = objective._window_places(batch, 300, 50, chunks)
    assert len(set(places)) > 5 and all(start % 16 == 0 for _, start in places)
    torch.stack(list(objective(batch).losses.values())).sum().backward()
    assert all(parameter.grad is not None for parameter in objective.model.parameters())


def test_look_aheads_are_numbers_or_all():
    assert look_aheads(["all", "8", "0", "8"]) == (0, 8, 8, None) and look_aheads(None) == (None,)
    assert middle_look_ahead((0, 3, 8, None, None, None, None)) == 3  # as of each named once
    for word in ("-1", "2.5", "none", "²"):
        with pytest.raises(TrainingError, match=f"--look_ahead {word}"):
            look_aheads(["2", word])
    with pytest.raises(ValueError, match="look_ahead"):
        GeneratorObjective(tiny_generator(mirror_average=True), LossArguments(look_ahead=["2"]))


def test_a_run_with_random_look_ahead(recipe, tmp_path):
    losses = losses_of(recipe, tmp_path / "run", "--look_ahead", "0", "3", "all", "--max_steps", 3)
    assert len(losses) == 3 and all(math.isfinite(value) for each in losses for value in each.values())
    assert Lip2WavConfig.from_pretrained(tmp_path / "run" / "final").live_look_ahead == 3
    options = ("--pretrained", tmp_path / "run" / "final", "--overwrite_output_dir", "--max_steps", 1)
    losses_of(recipe, tmp_path / "more", *options)
    assert Lip2WavConfig.from_pretrained(tmp_path / "more" / "final").live_look_ahead == 3  # what was learnt is kept
    with pytest.raises(TrainingError, match="--look_ahead soon"):
        losses_of(recipe, tmp_path / "other", "--look_ahead", "soon")
