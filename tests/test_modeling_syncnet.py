"""The sync network: what holds for every network, what is particular to it, and its losses."""

import math

import numpy as np
import pytest
import torch

from lip2wav_hf.configuration_lip2wav import Lip2WavSyncNetConfig
from lip2wav_hf.modeling_syncnet import Lip2WavSyncNet, distances_over_shifts, subtract_moving_average


CONFIG = Lip2WavSyncNetConfig(
    image_height=8,
    image_width=12,
    stem_channels=4,
    visual_channels=[4, 8],
    hidden_size=16,
    num_layers=1,
    kernel_size=3,
    embedding_size=8,
    num_mel_bins=10,
    max_shift=4,
    normalization_frames=9,
)


def build():
    torch.manual_seed(0)
    return Lip2WavSyncNet(CONFIG).eval()


def clips(frames=12, batch=2):
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(batch, frames, 1, 8, 12, generator=generator)
    return pixels, torch.randn(batch, 4 * frames, 10, generator=generator)


@torch.no_grad()
def test_shapes_and_determinism():
    model = build()
    output = model(*clips())
    assert output.offset.shape == output.confidence.shape == (2,)
    assert output.distances.shape == (2, 9)
    assert output.video_embeds.shape == output.audio_embeds.shape == (2, 12, 8)
    assert torch.allclose(output.video_embeds.norm(dim=-1), torch.ones(2, 12), atol=1e-5)
    assert torch.equal(output.distances, model(*clips()).distances)


@torch.no_grad()
def test_save_and_load_give_the_same_output(tmp_path):
    model = build()
    model.save_pretrained(tmp_path)
    loaded = Lip2WavSyncNet.from_pretrained(tmp_path).eval()
    assert torch.equal(model(*clips()).distances, loaded(*clips()).distances)


@torch.no_grad()
def test_a_padded_batch_equals_single_clips():
    model, (pixels, mel) = build(), clips()
    mask = torch.ones(2, 12)
    mask[1, 9:] = 0
    together, alone = model(pixels, mel, mask), model(pixels[1:, :9], mel[1:, :36])
    assert torch.allclose(together.distances[1], alone.distances[0], atol=1e-5)
    assert together.offset[1] == alone.offset[0]


def test_missing_weights_are_initialised():
    fresh = build()
    torch.manual_seed(0)
    loaded = Lip2WavSyncNet.from_pretrained(None, config=CONFIG, state_dict={})
    for name, value in [*fresh.named_parameters(), *fresh.named_buffers()]:
        other = dict([*loaded.named_parameters(), *loaded.named_buffers()])[name].float()
        spread = value.float().std(unbiased=False)
        assert torch.isclose(other.std(unbiased=False), spread, rtol=0.5, atol=1e-3), name


def test_gradient_reaches_every_parameter_and_both_inputs():
    model, inputs = build().train(), [values.requires_grad_() for values in clips()]
    model(*inputs).distances.square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if not parameter.grad.any()] == []
    assert all(values.grad.any() for values in inputs)


@torch.no_grad()
def test_bfloat16():
    model, inputs = build(), clips()
    exact = model(*inputs).distances
    rounded = model.to(torch.bfloat16)(*[values.to(torch.bfloat16) for values in inputs]).distances.float()
    assert torch.allclose(rounded, exact, atol=0.05)


@torch.no_grad()
def test_how_face_and_voice_are_does_not_count():
    model, (pixels, mel) = build(), clips()
    portrait, timbre = torch.randn(1, 1, 1, 8, 12), torch.randn(1, 1, 10)
    expected = model(pixels, mel).distances
    assert torch.allclose(model(pixels + portrait, mel + timbre).distances, expected, atol=1e-4)


def test_moving_average_of_hand():
    values = torch.tensor([[[1.0], [2.0], [6.0], [9.0]]])
    mask = torch.tensor([[[1.0], [1.0], [1.0], [0.0]]])
    assert torch.allclose(subtract_moving_average(values, mask, 3)[0, :, 0], torch.tensor([-0.5, -1.0, 2.0, 0.0]))


def test_distances_of_a_late_sound():
    """Frame t's vector sounds two frames later: distance 0 there, and sqrt 2 between any two others."""
    video = torch.eye(12)[None, :10]
    audio = torch.eye(12)[None, [10, 11, *range(8)]]
    distances = distances_over_shifts(video, audio, torch.ones(1, 10), 4)[0]
    expected = torch.full((9,), math.sqrt(2))
    expected[4 + 2] = 0.001  # the root is kept off 0, where its slope has no bound
    assert torch.allclose(distances, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "mel", "complaint"),
    [
        ((2, 12, 1, 8, 10), (2, 48, 10), "pixel_values_videos.*8, 12"),
        ((2, 12, 1, 8, 12), (2, 47, 10), "mel_frames a multiple of 4"),
        ((2, 12, 1, 8, 12), (2, 44, 10), "12 frames of video, but sound for 11"),
        ((2, 4, 1, 8, 12), (2, 16, 10), "4 frames is too short"),
    ],
)
def test_wrong_inputs_are_named(pixels, mel, complaint):
    with pytest.raises(ValueError, match=complaint):
        build()(torch.zeros(pixels), torch.zeros(mel))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [({"kernel_size": 4}, "odd"), ({"hop_length": 150}, "hop_length"), ({"max_shift": 0}, "at least 1")],
)
def test_contradictory_configs_are_refused(fields, complaint):
    with pytest.raises(Exception, match=complaint):
        Lip2WavSyncNetConfig(**fields)


def test_losses_of_the_right_and_of_a_wrong_shift():
    pytest.importorskip("torchaudio", reason="the extra 'train' is not installed")
    from lip2wav_hf.training.objective_syncnet import clip_loss, frame_loss, shift_loss

    vectors = torch.nn.functional.normalize(torch.randn(3, 30, 64, generator=torch.Generator().manual_seed(0)), dim=-1)
    mask = torch.ones(3, 24)
    video, audio = vectors[:, :24], vectors[:, 4:28]  # the sound is cut 4 frames later: frame t is its frame t - 4
    assert frame_loss(video, audio, mask, mask, -4, 6) < 0.01 < 1.0 < frame_loss(video, audio, mask, mask, -3, 6)
    assert shift_loss(video, audio, mask, mask, -4, 6) < 0.01 < 1.0 < shift_loss(video, audio, mask, mask, -3, 6)
    assert clip_loss(video, audio, mask, mask, -4) < 0.01 < 0.1 < clip_loss(video, audio, mask, mask, -3)
    # Vectors that are all alike tell nothing: 7 of the shifts, and all 3 clips, are equally likely.
    same = torch.ones(3, 24, 64) / 8
    assert shift_loss(same, same, mask, mask, 0, 3).item() == pytest.approx(np.log(7), abs=1e-4)
    assert clip_loss(same, same, mask, mask, 0).item() == pytest.approx(np.log(3), abs=1e-4)


def test_objective_learns_the_time_of_a_flash():
    """A picture that lights up with a tone: after a few steps the network tells how late the tone is."""
    pytest.importorskip("torchaudio", reason="the extra 'train' is not installed")
    from lip2wav_hf.training.arguments import LossArguments
    from lip2wav_hf.training.objective_syncnet import SyncNetObjective

    torch.manual_seed(0)
    objective = SyncNetObjective(build(), LossArguments()).train()
    optimizer = torch.optim.AdamW(objective.model.parameters(), 3e-3)
    for _ in range(60):
        losses = objective(flashes(8, 0))
        sum(losses.values()).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert sorted(losses) == ["clips", "frames", "shifts"]
    objective.eval()
    assert objective.within_one_frame(flashes(16, 0)).mean() >= 0.8
    assert objective.within_one_frame(flashes(16, 3)).mean() <= 0.2


def flashes(batch: int, late: int, frames: int = 32) -> dict[str, torch.Tensor]:
    light = (torch.rand(batch, frames) < 0.3).float()
    sound = light.roll(late, 1).repeat_interleave(640, 1)
    return {
        "pixel_values_videos": light[:, :, None, None, None] + 0.05 * torch.randn(batch, frames, 1, 8, 12),
        "frame_mask": torch.ones(batch, frames).long(),
        "waveform": 0.3 * sound * torch.sin(torch.arange(640 * frames) * 0.3) + 0.001 * torch.randn_like(sound),
        "stretch": torch.ones(batch),
    }
