"""Training: the data it sees, the steps it takes, how it stops and goes on."""

import dataclasses
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors import safe_open

from conftest import TINY_CONFIG
from lip2wav_hf import (
    Lip2WavConfig,
    Lip2WavCritic,
    Lip2WavFeatureExtractor,
    Lip2WavModel,
    Lip2WavSpeechEncoder,
    Lip2WavSpeechEncoderConfig,
)
from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.grid.corpus import clip_of_file, sentence_words
from lip2wav_hf.mel import LogMelSpectrogram
from lip2wav_hf.synthetic.corpus import write_corpus
from lip2wav_hf.train import main, parse_arguments
from lip2wav_hf.training import build, checkpoints, loop, objectives, validation
from lip2wav_hf.training.arguments import AugmentationArguments
from lip2wav_hf.training.clips import SpeechClips, collate_clips, prepare_clips
from lip2wav_hf.training.objectives import stretch_frames
from lip2wav_hf.training.state import TrainingError


TINY_CRITIC = {"window_samples": 8000, "channels": [4, 8], "strides": [8, 8], "kernel_size": 5}
TINY_MODEL = TINY_CONFIG | {"model_type": "lip2wav", "num_mel_bins": 20}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A GRID-shaped folder of synthetic talking faces."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, speakers=["synthetic1"], sentences_per_speaker=6, seed=3)
    return folder


@pytest.fixture(scope="module")
def recipe(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = folder / "model.json"
    config.write_text(json.dumps(TINY_MODEL))
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"data_dir: [{corpus}]\ncache_dir: {folder / 'cache'}\nconfig: {config}\nmax_steps: 6\nbatch_size: 2\n"
        "mixed_precision: 'no'\nwith_tracking: false\ndataloader_workers: 0\npreprocessing_workers: 1\n"
        "stretch_probability: 0.3\n"
    )
    return [str(recipe)]


@pytest.fixture(scope="module")
def run_arguments(recipe):
    return [*recipe, "--decoder_windows", "2"]


@pytest.fixture
def cached_clip(tmp_path):
    """One cached clip whose first pixel tells the frame, and its file."""
    words = np.repeat(np.array([-1, 0, 1, 2, 3, 4, 5, -1], np.int8), [10, 9, 9, 9, 9, 9, 9, 11])
    crops = np.zeros((75, 48, 72), np.uint8)
    crops += np.arange(75, dtype=np.uint8)[:, None, None] * 3 + np.arange(72, dtype=np.uint8)[None, None] // 4
    waveform = (8000 * np.sin(np.arange(48000) * 0.05)).astype(np.int16)
    path = tmp_path / "bbaf2n.npz"
    np.savez(path, crops=crops, waveform=waveform, frame_words=words)
    return Clip("s1", "bbaf2n", tmp_path / "bbaf2n.mkv", tuple(sentence_words("bbaf2n"))), path


def clips_of(cached_clip, augmentation=None, seed=0):
    clip, path = cached_clip
    return SpeechClips(
        [clip], {clip.key: path}, Lip2WavFeatureExtractor(), Lip2WavConfig().vocabulary, 640, augmentation, seed
    )


def test_validation_clips_are_what_the_pipeline_sees(cached_clip):
    item = clips_of(cached_clip)[0]
    assert item["pixel_values_videos"].shape == (75, 1, 40, 64)
    with np.load(cached_clip[1]) as cached:
        expected = Lip2WavFeatureExtractor().normalize(cached["crops"][:, 4:44, 4:68])
    assert np.array_equal(item["pixel_values_videos"][:, 0].numpy(), expected)
    vocabulary = Lip2WavConfig().vocabulary
    assert [vocabulary[label - 1] for label in item["labels"]] == sentence_words("bbaf2n")
    assert (item["frame_classes"][:10] == 0).all() and item["frame_classes"][12] == item["labels"][0]


def test_variations_follow_seed_and_epoch(cached_clip):
    first, again, other = (clips_of(cached_clip, AugmentationArguments(), seed) for seed in (1, 1, 2))
    assert torch.equal(first[0]["pixel_values_videos"], again[0]["pixel_values_videos"])
    assert not torch.equal(first[0]["pixel_values_videos"], other[0]["pixel_values_videos"])
    again.set_epoch(1)
    assert not torch.equal(first[0]["pixel_values_videos"], again[0]["pixel_values_videos"])
    assert first[0]["pixel_values_videos"].shape == (64, 1, 40, 64)


def test_a_stretched_clip_keeps_picture_words_and_sound_together(cached_clip):
    off = {field.name: 0 for field in dataclasses.fields(AugmentationArguments) if field.name.endswith("probability")}
    quiet = AugmentationArguments(**off | {"scale": 0, "rotation": 0, "shift": 0, "gamma": 0, "noise": 0})
    quiet.stretch_probability, quiet.stretch, quiet.window_frames = 1.0, 0.2, 40
    dataset = clips_of(cached_clip, quiet)
    for epoch in range(5):
        dataset.set_epoch(epoch)
        item = dataset[0]
        assert 0.8 <= item["stretch"] <= 1.2
        assert len(item["waveform"]) == math.ceil(40 * item["stretch"]) * 640
        # Brightness rises by the same amount each frame, so its slope is the speed.
        brightness = item["pixel_values_videos"].mean((1, 2, 3))
        slope = float(brightness[-1] - brightness[0]) / 39
        spread = float(brightness.std()) * math.sqrt(12)  # of a ramp
        assert slope * 39 == pytest.approx(spread, rel=0.1)
        assert len(item["frame_classes"]) == 40
    assert {int(label) for label in item["labels"]} == {int(c) for c in item["frame_classes"] if c > 0}


def test_stretch_frames_resamples_linearly():
    ramp = torch.arange(10.0)[None, :, None].expand(2, 10, 3)
    result = stretch_frames(ramp, torch.tensor([1.0, 1.5]), 6)
    assert torch.allclose(result[0, :, 0], torch.arange(6.0))
    assert torch.allclose(result[1, :, 2], (torch.arange(6) + 0.5) * 1.5 - 0.5)


@pytest.mark.parametrize(("late", "samples", "frames"), [(0.1, 1600, 2), (-0.035, -560, -1), (0.004, 64, 0)])
def test_a_late_sound_is_moved_with_its_words(cached_clip, late, samples, frames):
    clip, path = cached_clip
    arguments = ([clip], {clip.key: path}, Lip2WavFeatureExtractor(), Lip2WavConfig().vocabulary, 640)
    before, after = SpeechClips(*arguments)[0], SpeechClips(*arguments, sound_offsets={clip.key: late})[0]
    assert torch.equal(after["pixel_values_videos"], before["pixel_values_videos"])
    inner = slice(2000, -2000)  # what comes in at an end is mirrored
    assert torch.equal(after["waveform"][inner], before["waveform"].roll(-samples)[inner])
    assert torch.equal(after["frame_classes"][5:-5], before["frame_classes"].roll(-frames)[5:-5])
    assert len(after["waveform"]) == len(before["waveform"]) and torch.equal(after["labels"], before["labels"])


def test_collate_pads_ragged_clips(cached_clip):
    items = [clips_of(cached_clip)[0] for _ in range(2)]
    items[1] = items[1] | {
        "pixel_values_videos": items[1]["pixel_values_videos"][:30],
        "frame_classes": items[1]["frame_classes"][:30],
        "labels": items[1]["labels"][:2],
    }
    batch = collate_clips(items)
    assert batch["pixel_values_videos"].shape == (2, 75, 1, 40, 64)
    assert batch["frame_mask"].sum(1).tolist() == [75, 30]
    assert batch["label_lengths"].tolist() == [6, 2]
    assert (batch["frame_classes"][1, 30:] == -100).all()


def test_log_mel_of_a_tone_peaks_in_its_band_and_frames():
    config = Lip2WavConfig()
    waveform = torch.zeros(1, 16000)
    waveform[0, 8000:] = torch.sin(torch.arange(8000) * 2 * math.pi * 1000 / 16000)
    mel = LogMelSpectrogram(config)(waveform)
    assert mel.shape == (1, 100, 80)
    assert mel[0, 20].max() == pytest.approx(math.log(config.mel_floor))
    from transformers.audio_utils import hertz_to_mel

    expected = hertz_to_mel(1000.0, "slaney") / hertz_to_mel(8000.0, "slaney") * 81 - 1
    assert abs(int(mel[0, 75].argmax()) - expected) <= 1


def test_prepared_clips_are_cached_and_bad_ones_reported(corpus, tmp_path, caplog):
    clips = build.load_split(corpus, "train")[:2]
    broken = Clip("s9", "bbaf2n", tmp_path / "bbaf2n.mkv", tuple(sentence_words("bbaf2n")))
    broken.video.write_bytes(b"nothing")
    files = prepare_clips(
        [*clips, broken], Lip2WavFeatureExtractor(), tmp_path / "cache", num_workers=2, progress=False
    )
    assert sorted(files) == sorted(clip.key for clip in clips)
    assert "s9/bbaf2n" in caplog.text and "1 of 3 clips cannot be used" in caplog.text
    with np.load(files[clips[0].key]) as cached:
        assert cached["crops"].shape == (75, 48, 72) and cached["waveform"].shape == (48000,)
        assert set(cached["frame_words"].tolist()) == {-1, 0, 1, 2, 3, 4, 5}
    changed = {key: path.stat().st_mtime_ns for key, path in files.items()}
    Lip2WavFeatureExtractor().save_pretrained(tmp_path / "extractor")
    same = Lip2WavFeatureExtractor.from_pretrained(tmp_path / "extractor")
    again = prepare_clips(clips, same, tmp_path / "cache", num_workers=1, progress=False)
    assert {key: path.stat().st_mtime_ns for key, path in again.items()} == changed


def test_an_alignment_that_contradicts_the_name_is_reported(corpus, tmp_path, caplog):
    clip = build.load_split(corpus, "train")[0]
    folder = tmp_path / "video" / "s1"
    folder.mkdir(parents=True)
    wrong = "bbaf2n" if clip.name != "bbaf2n" else "swiz9s"
    (folder / f"{wrong}.mkv").write_bytes(clip.video.read_bytes())
    alignments = tmp_path / "alignments" / "s1"
    alignments.mkdir(parents=True)
    source = corpus / "alignments" / clip.speaker / f"{clip.name}.align"
    (alignments / f"{wrong}.align").write_text(source.read_text())
    mislabelled = clip_of_file(folder / f"{wrong}.mkv")
    assert prepare_clips([mislabelled], Lip2WavFeatureExtractor(), tmp_path / "cache", num_workers=1) == {}
    assert "the name says" in caplog.text


def run(arguments, output, *more):
    state = build.build_state(parse_arguments([*arguments, "--output_dir", str(output), *map(str, more)]))
    loop.train(state)
    return state


def weights_of(folder):
    return Lip2WavModel.from_pretrained(folder).state_dict()


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


def test_checkpoints_rotate_and_the_model_can_be_used(run_arguments, tmp_path):
    run(run_arguments, tmp_path, "--save_total_limit", 1)
    assert [path.name for path in checkpoints.find_checkpoints(tmp_path)] == ["checkpoint-6"]
    assert not list(tmp_path.glob("tmp-*"))
    lines = [json.loads(line) for line in (tmp_path / "validation.jsonl").read_text().splitlines()]
    assert lines and all(math.isfinite(line["validation/loss"]) for line in lines)
    model, extractor = (
        Lip2WavModel.from_pretrained(tmp_path / "final"),
        Lip2WavFeatureExtractor.from_pretrained(tmp_path / "best"),
    )
    assert model.config.mel_mean != Lip2WavConfig().mel_mean  # measured on the clips
    assert model.dtype == torch.float32  # though the file holds half precision
    with safe_open(tmp_path / "final" / "model.safetensors", "pt") as weights:
        assert weights.get_slice("text_head.weight").get_dtype() == "F16"
    assert extractor.crop_width == model.config.image_width


@pytest.fixture
def fresh_accelerator():
    """Another precision than the other tests' needs another accelerator state."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


def test_validation_is_of_the_averaged_weights(run_arguments, tmp_path, fresh_accelerator):
    state = run(run_arguments, tmp_path, "--mixed_precision", "bf16", "--max_steps", 2)
    before = validation.validate(state)
    assert before == validation.validate(state)  # no dropout
    assert "validation/stft" not in before  # nor what training alone looks at
    assert state.objective.training
    for parameter in state.model.parameters():
        parameter.data.zero_()
    assert validation.validate(state) == before
    for parameter in state.average.model.parameters():
        parameter.data.zero_()
    assert validation.validate(state) != before


def test_training_lowers_the_loss(run_arguments, tmp_path):
    arguments = [*run_arguments, "--max_steps", "60", "--learning_rate", "0.01", "--output_dir", str(tmp_path)]
    arguments += ["--validation_epochs", "100", "--save_epochs", "100"]
    state = build.build_state(parse_arguments(arguments))
    first = validation.validate(state)["validation/loss"]
    loop.train(state)
    last = validation.validate(state)["validation/loss"]
    assert last < 0.8 * first


def test_a_speech_encoder_is_trained_and_then_judges_the_generator(recipe, run_arguments, tmp_path):
    config = tmp_path / "encoder.json"
    config.write_text(json.dumps({"hidden_size": 16, "num_layers": 1, "num_mel_bins": 20}))
    encoder = tmp_path / "encoder"
    run(recipe, encoder, "--network", "speech_encoder", "--config", config)
    assert Lip2WavSpeechEncoder.from_pretrained(encoder / "final").config.num_mel_bins == 20
    before = Lip2WavSpeechEncoder.from_pretrained(encoder / "final").state_dict()
    state = run(run_arguments, tmp_path / "generator", "--speech_encoder", encoder / "final")
    results = validation.validate(state)
    assert results["validation/perceptual"] > 0 and results["validation/heard_words"] > 0
    after = state.accelerator.unwrap_model(state.objective).speech_encoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)  # it is frozen
    saved = weights_of(tmp_path / "generator" / "final")
    assert not any(name.startswith("speech_encoder") for name in saved)


def test_perceptual_losses_vanish_for_a_perfect_prediction(cached_clip):
    torch.manual_seed(0)
    encoder = Lip2WavSpeechEncoder(
        Lip2WavSpeechEncoderConfig(hidden_size=16, num_layers=2, mel_mean=-3.0, mel_std=1.5)
    )
    model = Lip2WavModel(Lip2WavConfig(**{**TINY_MODEL, "num_mel_bins": 80}))
    objective = objectives.GeneratorObjective(model, objectives.LossArguments(), encoder)
    batch = collate_clips([clips_of(cached_clip)[0]])
    target = torch.randn(1, 300, 80)
    losses = objective.perceptual_losses(target.clone(), target, batch)
    assert losses["perceptual"].item() == pytest.approx(0, abs=1e-6)
    assert objective.perceptual_losses(target + 1, target, batch)["perceptual"].item() > 0.01


def test_the_frame_decoder_is_heard_at_its_own_rate(recipe, tmp_path):
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


def losses_of(run_arguments, output, *more):
    """The losses of each batch of a run."""
    state = build.build_state(parse_arguments([*run_arguments, "--output_dir", str(output), *map(str, more)]))
    step, taken = loop.train_step, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_step", lambda *arguments: taken.append(step(*arguments)) or taken[-1])
        loop.train(state)
    return taken


@pytest.fixture(scope="module")
def critic_options(tmp_path_factory):
    critic = tmp_path_factory.mktemp("critic") / "critic.json"
    critic.write_text(json.dumps(TINY_CRITIC | {"spectral_channels": [4, 4], "window_samples": 10240}))
    return ["--adversarial", "0.01", "--critic_config", str(critic)]


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


def test_without_a_weight_there_is_no_critic(run_arguments, tmp_path):
    state = build.build_state(parse_arguments([*run_arguments, "--output_dir", str(tmp_path)]))
    assert state.critic is None and state.objective.critic_samples == 0


def test_the_critic_learns_to_tell_generated_from_real(run_arguments, critic_options, tmp_path):
    options = [*critic_options, "--critic_warmup", 1000, "--critic_learning_rate", 0.003, "--gradient_penalty", 1]
    options += ["--max_steps", 40, "--learning_rate", 1e-6, "--validation_epochs", 100, "--save_epochs", 100]
    losses = losses_of(run_arguments, tmp_path, *options, "--stretch_probability", 0)
    distances = [step["wasserstein"] for step in losses]
    assert np.mean(distances[-8:]) < np.mean(distances[:4]) - 0.1


def test_the_generator_does_not_move_the_critic_nor_the_critic_the_generator(run_arguments, critic_options, tmp_path):
    options = [*critic_options, "--critic_warmup", 0, "--critic_learning_rate", 0, "--stretch_probability", 0]
    arguments = [*run_arguments, *options, "--output_dir", tmp_path, "--learning_rate", 0, "--ema_decay", 0]
    state = build.build_state(parse_arguments([*map(str, arguments)]))
    networks = (state.critic, state.model)
    before = [{name: value.clone() for name, value in network.named_parameters()} for network in networks]
    losses = loop.train_step(state, next(iter(state.train_loader)))
    assert "adversarial" in losses
    for network, values in zip(networks, before):
        assert all(torch.equal(values[name], value) for name, value in network.named_parameters())
    assert all(parameter.grad is None for parameter in state.model.parameters())
    assert all(parameter.requires_grad for parameter in state.critic.parameters())


def test_gathering_gradients_over_batches(run_arguments, tmp_path, fresh_accelerator):
    taken = losses_of(run_arguments, tmp_path, "--gradient_accumulation_steps", 2, "--max_steps", 2)
    assert len(taken) == 4
    progress = json.loads((tmp_path / "validation.jsonl").read_text().splitlines()[-1])
    assert progress["step"] == 2 and checkpoints.find_checkpoints(tmp_path)[-1].name == "checkpoint-2"


def test_gathered_gradients_are_the_mean_of_the_batches(recipe, tmp_path, fresh_accelerator, monkeypatch):
    config = tmp_path / "encoder.json"
    config.write_text(json.dumps({"hidden_size": 16, "num_layers": 1, "num_mel_bins": 20, "dropout": 0.0}))
    options = ["--network", "speech_encoder", "--config", config, "--gradient_accumulation_steps", 2]
    arguments = [*recipe, *options, "--output_dir", tmp_path, "--learning_rate", 0]
    state = build.build_state(parse_arguments([*map(str, arguments)]))
    monkeypatch.setattr(objectives, "vary_mel", lambda mel: mel)
    seen, batches, gradients = [], [], []
    state.accelerator.clip_grad_norm_ = lambda parameters, _: seen.extend(p.grad.clone() for p in parameters)
    for batch in state.train_loader:
        loop.train_step(state, batch)
        batches.append(batch)
    for batch in batches:
        state.model.zero_grad()
        sum(state.objective(batch).losses.values()).backward()
        gradients.append([parameter.grad.clone() for parameter in state.model.parameters()])
    assert len(batches) == 2 and len(seen) == len(gradients[0])
    for found, first, second in zip(seen, *gradients):
        assert torch.allclose(found, (first + second) / 2, atol=1e-6)
    assert state.average.updates == 1


def test_validation_scores_sound(run_arguments, tmp_path):
    state = run(run_arguments, tmp_path, "--max_steps", 2, "--validation_clips", 2)
    results = validation.validate(state)
    assert 0 <= results["validation/stoi"] <= 1 and 0.9 < results["validation/pesq_nb"] < 4.6
    assert "validation/stoi" not in validation.validate(
        run(run_arguments, tmp_path / "deaf", "--max_steps", 1, "--validation_clips", 0)
    )


def test_trackers_get_sound_and_pictures(run_arguments, tmp_path, fresh_accelerator):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(run_arguments, tmp_path, "--max_steps", 10, "--validation_clips", 1, "--with_tracking", "true")
    folder = next((tmp_path / "logs").rglob("events.out.tfevents*")).parent
    events = EventAccumulator(str(folder))
    events.Reload()
    tags = events.Tags()
    assert any(tag.startswith("generated/") for tag in tags["audio"])
    assert {tag.partition("/")[0] for tag in tags["images"]} == {"generated", "original", "mouth_crops"}
    assert {"train/mel", "validation/stoi", "share_of_time_waiting_for_data"} <= set(tags["scalars"])


def test_an_exploding_loss_stops_the_run_and_keeps_the_last_checkpoint(run_arguments, tmp_path, monkeypatch, capsys):
    saved = run(run_arguments, tmp_path, "--max_steps", 3)
    weights = weights_of(tmp_path / "checkpoint-3")
    assert saved.progress.step == 3
    state = build.build_state(parse_arguments([*run_arguments, "--output_dir", str(tmp_path)]))
    state.progress.batches, state.progress.mean_loss = 500, 1e-4
    with pytest.raises(TrainingError, match="exploded at step 0.*--resume latest"):
        loop.train_step(state, next(iter(state.train_loader)))
    assert checkpoints.find_checkpoints(tmp_path)[-1].name == "checkpoint-3"
    assert all(torch.equal(weights[name], value) for name, value in weights_of(tmp_path / "checkpoint-3").items())


def test_the_frame_decoder_trains(recipe, tmp_path):
    config = tmp_path / "frame.json"
    config.write_text(json.dumps(TINY_MODEL | {"decoder_type": "frame", "decoder_channels": 16}))
    options = ["--config", config, "--waveform", 1.0, "--stretch_probability", 0, "--max_steps", 2]
    state = run(recipe, tmp_path / "run", *options)
    assert state.progress.step == 2
    assert weights_of(tmp_path / "run" / "final")["decoder.projection.weight"].isfinite().all()


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
    assert (tmp_path / "final" / "model.safetensors").is_file()
    assert list((tmp_path / "logs").rglob("events.out.tfevents*"))


def test_a_loss_that_is_no_number_stops_the_run(run_arguments, tmp_path, monkeypatch):
    monkeypatch.setattr(objectives, "masked_l1", lambda *_: torch.tensor(math.nan, requires_grad=True))
    with pytest.raises(TrainingError, match="loss is nan at step 0"):
        run(run_arguments, tmp_path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("max_stepps: 3\n", "unknown option max_stepps"), ("[1, 2]", "option: value"), ("a: [", "not valid YAML")],
)
def test_bad_recipes_are_named(tmp_path, capsys, content, complaint):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(content)
    assert main([str(recipe)]) == 2
    assert complaint in capsys.readouterr().err
    assert main([str(tmp_path / "missing.yaml")]) == 2


def test_too_few_clips_and_missing_files_are_named(run_arguments, tmp_path, capsys):
    options = [*run_arguments, "--output_dir", str(tmp_path)]
    assert main([*options, "--batch_size", "64"]) == 2
    assert "do not fill a batch of 64" in capsys.readouterr().err
    assert main([*options, "--speech_encoder", str(tmp_path / "nothing")]) == 2
    assert "Train it first" in capsys.readouterr().err
    assert main([*options, "--config", str(tmp_path / "nothing.json")]) == 2
    assert "nothing.json" in capsys.readouterr().err
    assert main([*options, "--resume", str(tmp_path / "nothing")]) == 2
    assert "no such checkpoint" in capsys.readouterr().err
