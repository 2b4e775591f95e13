"""The critic as a network: shapes, saving and loading, initialisation, gradients."""

import pytest
import torch

from lip2wav_hf import Lip2WavCritic, Lip2WavCriticConfig
from lip2wav_hf.training.losses import gradient_penalty


TINY = {"window_samples": 1600, "channels": [4, 8], "strides": [4, 4], "kernel_size": 5, "num_mel_bins": 20}


def tiny_critic(**changes):
    torch.manual_seed(0)
    return Lip2WavCritic(Lip2WavCriticConfig(**TINY | changes))


@pytest.mark.parametrize(("changes", "critics"), [({}, 1), ({"spectral_channels": [4, 8]}, 2)])
def test_each_critic_gives_one_score_a_piece(changes, critics):
    critic = tiny_critic(**changes)
    waveform = torch.randn(3, 1600) * 0.1
    scores = critic(waveform).scores
    assert scores.shape == (3, critics)
    # A piece's score does not depend on the others of its batch, which the gradient penalty needs.
    assert torch.allclose(critic(waveform[1:2]).scores, scores[1:2], atol=1e-6)


def test_a_spectral_critic_alone():
    assert tiny_critic(channels=[], spectral_channels=[4])(torch.randn(2, 1600)).scores.shape == (2, 1)


def test_round_trip_through_a_subfolder(tmp_path):
    critic = tiny_critic(spectral_channels=[4, 8])
    critic.save_pretrained(tmp_path / "critic")
    loaded = Lip2WavCritic.from_pretrained(tmp_path, subfolder="critic")
    waveform = torch.randn(2, 1600) * 0.1
    assert torch.allclose(loaded(waveform).scores, critic(waveform).scores, atol=1e-6)
    assert loaded.config.model_type == "lip2wav_critic" and loaded.config.spectral_channels == [4, 8]


def test_the_spectral_critic_follows_its_configuration(tmp_path):
    critic = tiny_critic(channels=[], spectral_channels=[4])
    critic.save_pretrained(tmp_path)
    for network in (critic, Lip2WavCritic.from_pretrained(tmp_path)):
        waveform = torch.randn(2, 1600) * 0.1
        before = network(waveform).scores
        network.config.mel_mean, network.config.mel_std = -1.0, 4.0
        assert not torch.allclose(network(waveform).scores, before)


def test_missing_weights_and_buffers_are_initialised():
    config = Lip2WavCriticConfig(**TINY, spectral_channels=[4, 8])
    loaded = Lip2WavCritic.from_pretrained(None, config=config, state_dict={})
    fresh = Lip2WavCritic(config)
    for (name, value), (_, expected) in zip(loaded.named_buffers(), fresh.named_buffers(), strict=True):
        assert torch.equal(value, expected), name
    for (name, value), (_, expected) in zip(loaded.named_parameters(), fresh.named_parameters(), strict=True):
        assert value.isfinite().all(), name
        if expected.numel() > 50:
            assert value.std().item() == pytest.approx(expected.std().item(), rel=0.5), name


def test_gradients_reach_every_weight_through_score_and_penalty():
    critic = tiny_critic(spectral_channels=[4, 8])
    waveform = (torch.randn(2, 1600) * 0.1).requires_grad_()
    critic(waveform).scores.sum().backward()
    assert waveform.grad.any()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in critic.parameters())
    critic.zero_grad()
    for part in critic.critics:
        inputs = [part.represent(torch.randn(2, 1600) * 0.1) for _ in range(2)]
        gradient_penalty(part, *inputs).backward()
    weights = [(name, p) for name, p in critic.named_parameters() if name.endswith("weight")]
    assert all(parameter.grad.any() for _, parameter in weights)


def test_shapes_and_configs_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"shape \(batch, 1600\)"):
        tiny_critic()(torch.zeros(2, 1601))
    for changes, complaint in (
        ({"channels": [], "spectral_channels": []}, "needs `channels`"),
        ({"strides": [4]}, "there are 2 and 1"),
        ({"kernel_size": 4}, "odd"),
        ({"window_samples": 1601, "spectral_channels": [4]}, "multiple of `hop_length`"),
    ):
        with pytest.raises(Exception, match=complaint):
            Lip2WavCriticConfig(**TINY | changes)
