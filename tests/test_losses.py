"""Losses against values worked out by hand."""

import math

import numpy as np
import pytest
import torch

from lip2wav_hf.losses import (
    ctc_loss,
    envelope_correlation_loss,
    frame_word_loss,
    masked_l1,
    multi_resolution_stft_loss,
    spoken_envelope_loss,
)
from lip2wav_hf.mel import third_octave_pooling


PAIRS = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])  # four bands into two


def test_masked_l1_counts_masked_frames_only():
    prediction = torch.tensor([[[1.0, 2.0], [5.0, 5.0]]])
    target = torch.tensor([[[0.0, 0.0], [0.0, 0.0]]])
    mask = torch.tensor([[[1.0], [0.0]]])
    assert masked_l1(prediction, target, mask).item() == pytest.approx(1.5)
    assert masked_l1(prediction, target, torch.zeros_like(mask)).item() == 0


def sine_envelopes(phase=0.0, frames=76):
    """Log envelopes of two groups of two bands that swing against each other, well above silence."""
    time = torch.arange(frames) * 2 * math.pi / 19 + 0.1 + phase
    amplitude = torch.stack([2 + time.sin(), 2 + time.sin(), 2 - time.sin(), 2 - time.sin()], -1)
    return amplitude.log()[None]


def test_envelope_loss_of_equal_opposed_and_unrelated_envelopes():
    target, mask = sine_envelopes(), torch.ones(1, 76, 1)
    options = {"pooling": PAIRS, "segment_frames": 38, "stride": 19}
    assert envelope_correlation_loss(target, target, mask, **options).item() == pytest.approx(0, abs=1e-3)
    # Any gain is forgiven, as in STOI.
    assert envelope_correlation_loss(target + 1.7, target, mask, **options).item() == pytest.approx(0, abs=1e-3)
    opposed = sine_envelopes(math.pi)
    assert envelope_correlation_loss(opposed, target, mask, **options).item() == pytest.approx(2, abs=1e-2)
    # A quarter period: no correlation in time, and half of the frames agree, half disagree, over the bands.
    assert envelope_correlation_loss(sine_envelopes(math.pi / 2), target, mask, **options).item() == pytest.approx(
        1, abs=0.05
    )


def test_envelope_loss_ignores_silence_and_padding():
    target, mask = sine_envelopes(), torch.ones(1, 76, 1)
    options = {"pooling": PAIRS, "segment_frames": 38, "stride": 19}
    silent = target.clone()
    silent[:, 60:] -= 12  # more than 40 dB down
    wrong = silent.clone()
    wrong[:, 60:] += 3
    assert envelope_correlation_loss(wrong, silent, mask, **options).item() == pytest.approx(0, abs=1e-3)
    wrong = target.clone()
    wrong[:, 60:] += torch.randn(1, 16, 4, generator=torch.Generator().manual_seed(0))
    mask[:, 60:] = 0
    assert envelope_correlation_loss(wrong, target, mask, **options).item() == pytest.approx(0, abs=1e-3)


def test_envelope_loss_has_a_finite_gradient_even_for_flat_predictions():
    prediction = torch.zeros(1, 76, 4, requires_grad=True)
    envelope_correlation_loss(prediction, sine_envelopes(), torch.ones(1, 76, 1), PAIRS).backward()
    assert torch.isfinite(prediction.grad).all() and prediction.grad.any()


def test_stft_loss_of_a_gain():
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(2, 4000, generator=generator)
    assert multi_resolution_stft_loss(signal, signal).item() == pytest.approx(0, abs=1e-6)
    # Half the amplitude: convergence 1/2, and log 2 in every bin.
    assert multi_resolution_stft_loss(signal / 2, signal).item() == pytest.approx(0.5 + math.log(2), abs=1e-3)


def test_ctc_loss_of_one_frame():
    # One frame, one word: the only alignment is that word, with probability 1/3 under flat scores.
    loss = ctc_loss(torch.zeros(1, 1, 3), torch.tensor([1]), torch.tensor([[2]]), torch.tensor([1]))
    assert loss.item() == pytest.approx(math.log(3))
    # Two frames: (word, word), (blank, word), (word, blank) of nine.
    loss = ctc_loss(torch.zeros(1, 2, 3), torch.tensor([2]), torch.tensor([[2]]), torch.tensor([1]))
    assert loss.item() == pytest.approx(-math.log(3 / 9))


def test_frame_word_loss_ignores_unknown_frames():
    logits = torch.zeros(1, 3, 4)
    logits[0, 2] = torch.tensor([9.0, -9.0, 0.0, 0.0])
    assert frame_word_loss(logits, torch.tensor([[1, 0, -100]])).item() == pytest.approx(math.log(4))
    assert frame_word_loss(logits, torch.full((1, 3), -100)).item() == 0


def test_spoken_envelope_loss_follows_the_envelope_not_the_waveform():
    generator = torch.Generator().manual_seed(0)
    pooling = torch.from_numpy(third_octave_pooling(np.linspace(0, 8000, 257)))
    envelope = 0.2 + torch.sin(torch.arange(16000) / 600).clamp(min=0)
    noises = torch.randn(2, 16000, generator=generator)
    target = envelope * noises[:1]
    assert spoken_envelope_loss(target, target, pooling).item() == pytest.approx(0, abs=1e-3)
    assert spoken_envelope_loss(0.5 * target, target, pooling).item() == pytest.approx(0, abs=1e-3)
    same_envelope = spoken_envelope_loss(envelope * noises[1:], target, pooling).item()
    other_envelope = spoken_envelope_loss(envelope.flip(0) * noises[1:], target, pooling).item()
    assert 0 < same_envelope < other_envelope - 0.2


def test_spoken_envelope_loss_leaves_out_silent_clips():
    pooling = torch.from_numpy(third_octave_pooling(np.linspace(0, 8000, 257)))
    target = torch.randn(2, 16000, generator=torch.Generator().manual_seed(0)) * torch.tensor([[1.0], [1e-3]])
    prediction = target.clone()
    prediction[1] = prediction[1].flip(0)
    assert spoken_envelope_loss(prediction, target, pooling).item() == pytest.approx(0, abs=1e-3)
