"""The sync network: what holds for every network, what is particular to it, and its losses."""

import math

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
    [({"kernel_size": 4}, "odd"), ({"hop_length": 150}, "hop_length"), ({"max_shift": 0}, "from 1 to")],
)
def test_contradictory_configs_are_refused(fields, complaint):
    with pytest.raises(Exception, match=complaint):
        Lip2WavSyncNetConfig(**fields)
