"""The speech encoder: what holds for every network, and what is particular to it."""

import pytest
import torch

from lip2wav_hf import Lip2WavSpeechEncoder, Lip2WavSpeechEncoderConfig


CONFIG = Lip2WavSpeechEncoderConfig(hidden_size=24, num_layers=2, kernel_size=3, num_mel_bins=10)


def build():
    torch.manual_seed(0)
    return Lip2WavSpeechEncoder(CONFIG).eval()


def spectrogram(frames=9, batch=2):
    return torch.randn(batch, 4 * frames, 10, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_shapes_and_determinism():
    model = build()
    output = model(spectrogram())
    assert output.text_logits.shape == (2, 9, 52)
    assert [hidden.shape for hidden in output.hidden_states] == [(2, 9, 24)] * 2
    assert torch.equal(output.text_logits, model(spectrogram()).text_logits)


@torch.no_grad()
def test_save_and_load_give_the_same_output(tmp_path):
    model = build()
    model.save_pretrained(tmp_path)
    loaded = Lip2WavSpeechEncoder.from_pretrained(tmp_path).eval()
    assert torch.equal(model(spectrogram()).text_logits, loaded(spectrogram()).text_logits)


@torch.no_grad()
def test_a_padded_batch_equals_single_clips():
    model, mel = build(), spectrogram()
    mask = torch.ones(2, 9)
    mask[1, 5:] = 0
    together, alone = model(mel, mask), model(mel[1:, :20])
    assert torch.allclose(together.text_logits[1, :5], alone.text_logits[0], atol=1e-5)


def test_missing_weights_are_initialised():
    fresh = build()
    torch.manual_seed(0)
    loaded = Lip2WavSpeechEncoder.from_pretrained(None, config=CONFIG, state_dict={})
    for name, value in fresh.named_parameters():
        other = loaded.get_parameter(name)
        assert torch.isclose(other.std(unbiased=False), value.std(unbiased=False), rtol=0.5, atol=1e-3), name


def test_gradient_reaches_every_parameter_and_the_input():
    model, mel = build().train(), spectrogram().requires_grad_()
    model(mel).text_logits.square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if not parameter.grad.any()] == []
    assert mel.grad.any()


@torch.no_grad()
def test_bfloat16():
    model, mel = build(), spectrogram()
    exact = model(mel).text_logits
    rounded = model.to(torch.bfloat16)(mel.to(torch.bfloat16)).text_logits.float()
    assert torch.allclose(rounded, exact, atol=0.05 * exact.abs().max())


@pytest.mark.parametrize("shape", [(2, 36, 9), (2, 35, 10), (36, 10), (2, 0, 10)])
def test_wrong_inputs_are_named(shape):
    with pytest.raises(ValueError, match="mel_frames a multiple of 4"):
        build()(torch.zeros(shape))


@pytest.mark.parametrize(("fields", "complaint"), [({"kernel_size": 4}, "odd"), ({"hop_length": 150}, "hop_length")])
def test_contradictory_configs_are_refused(fields, complaint):
    with pytest.raises(Exception, match=complaint):
        Lip2WavSpeechEncoderConfig(**fields)
