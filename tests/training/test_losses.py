"""Losses against values worked out by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torchaudio.functional import resample

from lip2wav_hf.audio import read_audio
from lip2wav_hf.generator import third_octave_pooling
from lip2wav_hf.metrics.pesq.score import pesq_pair
from lip2wav_hf.training.arguments import LossArguments
from lip2wav_hf.training.losses import (
    adversarial_loss,
    ctc_loss,
    disturbance_loss,
    envelope_correlation_loss,
    frame_word_loss,
    gradient_penalty,
    masked_l1,
    multi_resolution_stft_loss,
    power_loss,
    spoken_envelope_loss,
    squared_sums,
    total_variation_loss,
    wasserstein_loss,
    waveform_l1_loss,
    word_contrast_loss,
)
from lip2wav_hf.training.objectives import SOUND_LOSSES


PAIRS = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])  # four bands into two


def test_masked_l1_counts_masked_frames_only():
    prediction = torch.tensor([[[1.0, 2.0], [5.0, 5.0]]])
    target = torch.tensor([[[0.0, 0.0], [0.0, 0.0]]])
    mask = torch.tensor([[[1.0], [0.0]]])
    assert masked_l1(prediction, target, mask).item() == pytest.approx(1.5)
    assert masked_l1(prediction, target, torch.zeros_like(mask)).item() == 0


def test_squares_are_added_up_for_each_clip_over_masked_frames_only():
    prediction = torch.tensor([[[1.0, 2.0], [5.0, 5.0]], [[0.0, 1.0], [1.0, 0.0]]])
    target = torch.tensor([[[0.0, 4.0], [7.0, 7.0]], [[0.0, 0.0], [3.0, 0.0]]])
    mask = torch.tensor([[[1.0], [0.0]], [[1.0], [1.0]]])
    errors, squares = squared_sums(prediction, target, mask)
    assert errors.tolist() == [1 + 4, 1 + 4] and squares.tolist() == [16, 9]


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
    unrelated = sine_envelopes(math.pi / 2)
    assert envelope_correlation_loss(unrelated, target, mask, **options).item() == pytest.approx(1, abs=0.05)


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


def test_word_contrast_wants_a_word_alike_from_all_people_and_unlike_others():
    torch.manual_seed(0)
    hidden = torch.randn(3, 4, 8, requires_grad=True)
    classes = torch.tensor([[1, 1, 0, 2], [1, 2, 2, -100], [1, 0, 0, 3]])
    speakers = torch.tensor([0, 1, 0])
    loss = word_contrast_loss(hidden, classes, speakers)
    said = [(clip, word) for clip in range(3) for word in (1, 2, 3) if (classes[clip] == word).any()]
    unit = torch.nn.functional.normalize(hidden.detach(), dim=-1)
    states = [torch.nn.functional.normalize(unit[c][classes[c] == w].mean(0), dim=0) for c, w in said]
    losses = []
    for one, (clip, word) in enumerate(said):
        others = [other for other in range(len(said)) if other != one]
        likeness = {other: float(states[one] @ states[other]) / 0.1 for other in others}
        total = math.log(sum(math.exp(value) for value in likeness.values()))
        same = [o for o in others if said[o][1] == word and speakers[said[o][0]] != speakers[clip]]
        losses += [sum(total - likeness[other] for other in same) / len(same)] if same else []
    assert len(losses) == 5 and loss.item() == pytest.approx(sum(losses) / 5, rel=1e-5)
    loss.backward()
    assert hidden.grad is not None and hidden.grad.isfinite().all() and (hidden.grad[2, 1:3] == 0).all()


@pytest.mark.parametrize("classes", [[[1, 2], [3, 0]], [[0, 0], [-100, -100]], [[1, 1], [1, 1]]])
def test_word_contrast_of_words_that_nobody_else_says_is_nothing(classes):
    hidden = torch.randn(2, 2, 8, requires_grad=True)
    loss = word_contrast_loss(hidden, torch.tensor(classes), torch.tensor([4, 4]))
    loss.backward()
    assert loss.item() == 0 and (hidden.grad == 0).all()


def test_frame_word_loss_ignores_unknown_frames():
    logits = torch.zeros(1, 3, 4)
    logits[0, 2] = torch.tensor([9.0, -9.0, 0.0, 0.0])
    assert frame_word_loss(logits, torch.tensor([[1, 0, -100]])).item() == pytest.approx(math.log(4))
    assert frame_word_loss(logits, torch.full((1, 3), -100)).item() == 0
    assert frame_word_loss(logits, torch.full((1, 3), -100), 0.1).item() == 0


def test_a_smoothed_word_is_nine_parts_itself_and_one_part_all_words():
    logits, classes = torch.tensor([[[4.0, 0.0, 1.0]]]), torch.tensor([[0]])
    log_probabilities = logits[0, 0].log_softmax(-1)
    expected = -0.9 * log_probabilities[0] - 0.1 * log_probabilities.mean()
    assert frame_word_loss(logits, classes, 0.1).item() == pytest.approx(expected.item())


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


def test_wasserstein_and_adversarial_losses_of_known_scores():
    fake, real = torch.tensor([[1.0], [3.0]]), torch.tensor([[4.0], [6.0]])
    assert wasserstein_loss(fake, real).item() == 2 - 5
    assert adversarial_loss(fake).item() == -2
    fake.requires_grad_()
    adversarial_loss(fake).backward()
    assert fake.grad.tolist() == [[-0.5], [-0.5]]


def test_gradient_penalty_of_a_linear_and_of_a_quadratic_critic():
    fake, real = torch.zeros(2, 2), torch.tensor([[2.0, 0.0], [0.0, 4.0]])
    # The gradient of 3 x + 4 y is (3, 4) everywhere: norm 5, penalty 16.
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    penalty = gradient_penalty(lambda inputs: inputs @ weight, fake, real)
    assert penalty.item() == pytest.approx(16)
    # d/dw (|w| - 1)^2 = 2 (|w| - 1) w / |w|
    penalty.backward()
    assert weight.grad.tolist() == pytest.approx([2 * 4 * 3 / 5, 2 * 4 * 4 / 5])
    # The gradient of |x|^2 / 2 is x, here at a quarter and at a half of the way: norms 1/2 and 2.
    penalty = gradient_penalty(lambda inputs: inputs.square().sum(1) / 2, fake, real, torch.tensor([0.25, 0.5]))
    assert penalty.item() == pytest.approx((0.25 + 1.0) / 2)


def test_gradient_penalty_is_finite_where_the_critic_is_flat():
    weight = torch.zeros(2, requires_grad=True)
    penalty = gradient_penalty(lambda inputs: inputs @ weight, torch.zeros(1, 2), torch.ones(1, 2))
    assert penalty.item() == pytest.approx(1, abs=1e-4)
    penalty.backward()
    assert weight.grad.isfinite().all()


def test_power_over_a_whole_audio_frame_does_not_hear_the_seams_of_frames():
    """Windows of 40 ms hold one frame of 25 a second, wherever they begin: what is louder within it is not seen."""
    time = torch.arange(16000) / 16000
    steady = torch.sin(2 * math.pi * 1000 * time)[None]
    beating = steady * (1.5 + torch.sin(2 * math.pi * 25 * time)).sqrt()  # a power that rises and falls 25 times
    steady = steady * math.sqrt(1.5)
    assert power_loss(beating, steady, 640, 160) < 1e-3
    assert power_loss(beating, steady, 160, 40) > 0.2


def test_power_loss_of_a_gain():
    target = torch.ones(1, 1600)
    # Twice the amplitude is four times the power.
    assert power_loss(2 * target, target).item() == pytest.approx(math.log(4) ** 2, rel=1e-3)
    assert power_loss(target, target).item() == 0
    # Silence against silence, and against sound: finite, with a finite gradient.
    silence = torch.zeros(1, 1600, requires_grad=True)
    loss = power_loss(silence, target)
    assert loss.item() == pytest.approx(math.log(1e-5) ** 2, rel=1e-3)
    loss.backward()
    assert silence.grad.isfinite().all()
    gradient_check = torch.autograd.gradcheck
    sound = torch.randn(1, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert gradient_check(lambda x: power_loss(x, torch.ones(1, 64), 16, 8), sound, eps=1e-3, atol=1e-2, rtol=1e-2)


@pytest.fixture(scope="module")
def speech(talking_video):
    return torch.from_numpy(read_audio(talking_video, 16000))[None]


def noisy(speech, decibels):
    noise = torch.randn(speech.shape, generator=torch.Generator().manual_seed(0))
    return speech + noise * speech.std() * 10 ** (-decibels / 20)


def test_the_disturbance_by_noise_is_what_pesq_takes_off(speech):
    lost = []
    for decibels in (40, 30, 20, 10, 0):
        heard = noisy(speech, decibels)
        score = pesq_pair(heard[0].numpy(), speech[0].numpy(), 16000)["pesq_nb"]
        raw = (4.6607 - math.log(4 / (score - 0.999) - 1)) / 1.4945  # before the mapping of ITU-T P.862.1
        lost.append((disturbance_loss(heard, speech).item(), 4.5 - raw))
    assert all(first < second for first, second in pairwise(loss for loss, _ in lost))
    for loss, wanted in lost[:3]:  # with louder noise PESQ takes off up to 0.4 more
        assert loss == pytest.approx(wanted, abs=0.3)


def test_the_disturbance_is_none_of_equal_sounds_at_any_level(speech):
    assert disturbance_loss(speech, speech).item() == pytest.approx(0, abs=3e-3)
    assert disturbance_loss(0.1 * speech, speech).item() == pytest.approx(0, abs=3e-3)
    rumble = 0.1 * torch.sin(2 * math.pi * 40 * torch.arange(speech.shape[1]) / 16000)  # which no telephone passes
    assert disturbance_loss(speech + rumble, speech).item() == pytest.approx(0, abs=0.1)


def test_the_disturbance_is_the_same_at_other_sampling_rates(speech):
    heard = noisy(speech, 10)
    wanted = disturbance_loss(heard, speech).item()
    for rate in (8000, 48000):
        sounds = [resample(sound, 16000, rate) for sound in (heard, speech)]
        assert disturbance_loss(*sounds, sampling_rate=rate).item() == pytest.approx(wanted, rel=0.1)


def test_the_disturbance_of_short_or_coarse_sounds_is_refused(speech):
    for sound, rate in ((speech[:, :511], 16000), (speech, 7999)):
        with pytest.raises(ValueError, match="needs 32 ms of sound or more at 8000 Hz or more"):
            disturbance_loss(sound, sound, rate)


def test_the_disturbance_of_pauses_is_that_beside_louder_clips(speech):
    """The level is that of the loudest clip: the hum of a pause is not made as loud as speech."""
    pause, other = 1e-3 * torch.randn(2, *speech.shape, generator=torch.Generator().manual_seed(0))
    alone = disturbance_loss(other, pause)
    beside = 2 * disturbance_loss(torch.cat([speech, other]), torch.cat([speech, pause]))
    assert beside < 0.3 * alone


def test_the_disturbance_of_silence_is_finite(speech):
    for pair in ((0 * speech, speech), (speech, 0 * speech), (0 * speech, 0 * speech)):
        heard = pair[0].clone().requires_grad_()
        loss = disturbance_loss(heard, pair[1])
        loss.backward()
        assert loss.isfinite() and heard.grad.isfinite().all()


def test_total_variation_of_a_zigzag():
    zigzag = torch.tensor([[0.0, 1.0, -1.0, 1.0]], requires_grad=True)
    loss = total_variation_loss(zigzag)
    assert loss.item() == pytest.approx((1 + 2 + 2) / 3)
    loss.backward()
    assert zigzag.grad[0].tolist() == pytest.approx([-1 / 3, 2 / 3, -2 / 3, 1 / 3])


def test_losses_without_a_reference_value_have_gradients_towards_the_target():
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(2, 4000, generator=generator)
    for loss in (multi_resolution_stft_loss, power_loss, waveform_l1_loss, disturbance_loss):
        prediction = (0.5 * target + 0.1 * torch.randn(2, 4000, generator=generator)).requires_grad_()
        before = loss(prediction, target)
        before.backward()
        with torch.no_grad():
            step = prediction - 0.01 * before * prediction.grad / prediction.grad.square().sum()
            assert loss(step, target) < before


def test_a_declared_loss_of_sound_is_a_function_of_two_waveforms():
    generator = torch.Generator().manual_seed(0)
    sounds = torch.randn(2, 2, 4000, generator=generator)
    assert set(SOUND_LOSSES) == {"waveform", "stft", "power", "disturbance", "total_variation"}
    for name, loss in SOUND_LOSSES.items():
        value = loss(sounds[0], sounds[1])
        assert value.shape == () and value.item() > 0 and hasattr(LossArguments(), name)
