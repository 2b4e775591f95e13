"""Training losses: pure functions of predictions and targets, in float32."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F


Batch = dict[str, torch.Tensor]
"""What [`collate_clips`] makes."""

Losses = dict[str, torch.Tensor]
"""Weighted losses by name, scalars."""

CONTRAST_TEMPERATURE = 0.1  # our choice

# After ITU-T P.862, but for the level, which is our choice: of five that were tried, the one with which noise on clips
# of speaker s1 costs most nearly what the package `pesq` takes off for it.
HERTZ = 31.25  # of a bin: 32 ms of sound
BARK = 0.315  # of a band
LEVEL = 2e7  # of the power of speech at the ear
SPEECH = slice(9, 96)  # bins by which the level is measured, 310 to 3000 Hz
LOUDNESS = 0.1866
RECEIVER = (  # of a telephone: Hz, dB
    *((31.25, -80), (50, -40), (100, -20), (125, -12), (160, -6), (200, 0), (250, 4), (300, 6), (350, 8), (400, 10)),
    *((500, 11), (600, 12), (3250, 12), (3500, 4), (4000, -200)),
)


def masked_l1(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """
    Mean absolute difference over the frames of a mask.

    Args:
        prediction, target (`torch.Tensor` of shape `(batch, frames, channels)`).
        mask (`torch.Tensor` of shape `(batch, frames, 1)`): 1 for frames that count, 0 for the others.

    Returns:
        `torch.Tensor`: a scalar; 0 for an empty mask.
    """
    difference = (prediction.float() - target.float()).abs() * mask
    return difference.sum() / (mask.sum() * prediction.shape[-1]).clamp(min=1)


def squared_sums(
    prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Sums of squares over the frames of a mask; one minus their ratio is the share of the target that is predicted.

    Args:
        prediction, target (`torch.Tensor` of shape `(batch, frames, channels)`).
        mask (`torch.Tensor` of shape `(batch, frames, 1)`): 1 for frames that count, 0 for the others.

    Returns:
        `tuple[torch.Tensor, torch.Tensor]`, each of shape `(batch,)`: of the differences, and of the target.
    """
    target = target.float() * mask
    difference = prediction.float() * mask - target
    return difference.square().sum((1, 2)), target.square().sum((1, 2))


def correlation_mse_loss(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """
    CorrMSE of Akbari et al. (2018): the mean squared error, and one minus the correlation over all values of a clip.
    (They leave out the one, which has no gradient.)

    Args:
        prediction, target (`torch.Tensor` of shape `(batch, frames, channels)`).
        mask (`torch.Tensor` of shape `(batch, frames, 1)`): 1 for frames that count, 0 for the others.

    Returns:
        `torch.Tensor`: a scalar, the mean over the clips that have frames; 0 for an empty mask.
    """
    prediction, target, mask = prediction.float(), target.float(), mask.float()
    counts = (mask.sum((1, 2)) * prediction.shape[-1]).clamp(min=1)
    squares = ((prediction - target).square() * mask).sum((1, 2)) / counts
    centred = []
    for values in (prediction, target):
        mean = (values * mask).sum((1, 2)) / counts
        centred.append((values - mean[:, None, None]) * mask)
    norms = [(values.square().sum((1, 2)) + 1e-8).sqrt() for values in centred]
    correlation = (centred[0] * centred[1]).sum((1, 2)) / (norms[0] * norms[1])
    counted = mask.amax((1, 2))
    return ((squares + 1 - correlation) * counted).sum() / counted.sum().clamp(min=1)


def envelope_correlation_loss(
    prediction: torch.Tensor,
    target: torch.Tensor,
    mask: torch.Tensor,
    pooling: torch.Tensor,
    segment_frames: int = 38,
    stride: int = 6,
    dynamic_range_db: float = 40.0,
) -> torch.Tensor:
    """
    One minus the correlation of short-time envelopes, after what STOI (Taal et al. 2011) and ESTOI (Jensen and Taal
    2016) measure.

    Magnitudes are pooled into wide bands (one-third octaves in STOI) and cut into overlapping segments (38 frames of
    10 ms, as STOI's 384 ms). The first half is the mean correlation in time of each band; the second half normalises
    each band over time and then each frame over bands. Frames more than `dynamic_range_db` below the target's loudest
    frame have no weight, as in STOI.

    Args:
        prediction, target (`torch.Tensor` of shape `(batch, frames, bands)`): natural logarithm of mel magnitudes.
        mask (`torch.Tensor` of shape `(batch, frames, 1)`): 1 for frames of the clip, 0 for padding.
        pooling (`torch.Tensor` of shape `(bands, wide_bands)`): 1 where a band belongs to a wide band, 0 elsewhere.
        segment_frames (`int`, *optional*, defaults to 38), stride (`int`, *optional*, defaults to 6): of the segments.
        dynamic_range_db (`float`, *optional*, defaults to 40): as above.

    Returns:
        `torch.Tensor`: a scalar, 0 for equal envelopes, 1 for unrelated ones; 0 where no segment has speech.
    """
    prediction, target, mask = prediction.float(), target.float(), mask.float()
    segment_frames = min(segment_frames, target.shape[1])
    envelopes = [_pooled_amplitude(log_mel, pooling) for log_mel in (prediction, target)]
    loudness = envelopes[1].square().sum(-1, keepdim=True)
    threshold = loudness.amax(1, keepdim=True) * 10 ** (-dynamic_range_db / 10)
    weight = (loudness > threshold).float() * mask
    scale = loudness.amax(1, keepdim=True).sqrt().clamp(min=1e-8)
    segments = [_segments(envelope / scale, segment_frames, stride) for envelope in envelopes]
    weight = _segments(weight, segment_frames, stride)  # (batch, segments, 1, segment_frames)
    speaks = (weight.sum(-1) >= segment_frames / 4).float()[..., 0]
    rows = [_unit(segment, weight) for segment in segments]
    in_time = (rows[0] * rows[1]).sum(-1).mean(-1)
    # ESTOI's second normalisation, over bands within each frame.
    columns = [_unit(row.transpose(-1, -2), torch.ones_like(row[..., :1, :1])) for row in rows]
    per_frame = (columns[0] * columns[1]).sum(-1) * weight[..., 0, :]
    over_bands = per_frame.sum(-1) / weight.sum(-1)[..., 0].clamp(min=1)
    correlation = (in_time + over_bands) / 2
    return ((1 - correlation) * speaks).sum() / speaks.sum().clamp(min=1)


def _pooled_amplitude(log_mel: torch.Tensor, pooling: torch.Tensor) -> torch.Tensor:
    return ((2 * log_mel).exp() @ pooling + 1e-12).sqrt()


def _segments(values: torch.Tensor, length: int, stride: int) -> torch.Tensor:
    return values.unfold(1, length, stride)  # (batch, segments, channels, length)


def _unit(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted mean removed and weighted norm 1 along the last dimension, so that products sum to a correlation."""
    mean = (values * weight).sum(-1, keepdim=True) / weight.expand_as(values).sum(-1, keepdim=True).clamp(min=1)
    centred = (values - mean) * weight
    return centred / (centred.square().sum(-1, keepdim=True) + 1e-8).sqrt()


def spoken_envelope_loss(
    prediction: torch.Tensor, target: torch.Tensor, pooling: torch.Tensor, window: int = 410, hop_length: int = 205
) -> torch.Tensor:
    """
    [`envelope_correlation_loss`] of waveforms, analysed as in STOI: 25.6 ms windows, half overlapping, 30 per segment.

    Clips 30 dB or more below the loudest of the batch hold no speech and do not count.

    Args:
        prediction, target (`torch.Tensor` of shape `(batch, samples)`).
        pooling (`torch.Tensor` of shape `(257, wide_bands)`): which bins of a 512-point spectrum are in a band.
        window (`int`, *optional*, defaults to 410), hop_length (`int`, *optional*, defaults to 205): in samples; the
            defaults are for 16 kHz.

    Returns:
        `torch.Tensor`: a scalar.
    """
    shape = torch.hann_window(window, device=prediction.device)
    logs = [
        torch.stft(signal.float(), 512, hop_length, window, shape, return_complex=True).abs().clamp(min=1e-5).log().mT
        for signal in (prediction, target)
    ]
    loudness = target.float().square().mean(-1)
    mask = (loudness > 1e-3 * loudness.max()).float()[:, None, None].expand(-1, logs[0].shape[1], 1)
    return envelope_correlation_loss(*logs, mask, pooling, segment_frames=30, stride=5)


def multi_resolution_stft_loss(
    prediction: torch.Tensor, target: torch.Tensor, n_ffts: tuple[int, ...] = (256, 512, 1024), floor: float = 1e-4
) -> torch.Tensor:
    """
    Spectral convergence plus L1 of log magnitudes, averaged over resolutions (Yamamoto et al. 2020), hop a quarter
    window.

    Args:
        prediction, target (`torch.Tensor` of shape `(batch, samples)`).
        n_ffts (`tuple[int, ...]`, *optional*): window lengths, in samples.
        floor (`float`, *optional*, defaults to 1e-4): smallest magnitude before the logarithm.

    Returns:
        `torch.Tensor`: a scalar, 0 for equal magnitudes.
    """
    total = prediction.new_zeros(())
    for n_fft in n_ffts:
        window = torch.hann_window(n_fft, device=prediction.device)
        spectra = [
            torch.stft(signal.float(), n_fft, n_fft // 4, window=window, return_complex=True).abs()
            for signal in (prediction, target)
        ]
        convergence = (spectra[1] - spectra[0]).norm() / spectra[1].norm().clamp(min=floor)
        logs = [spectrum.clamp(min=floor).log() for spectrum in spectra]
        total = total + convergence + F.l1_loss(logs[0], logs[1])
    return total / len(n_ffts)


def ctc_loss(
    text_logits: torch.Tensor, frames: torch.Tensor, labels: torch.Tensor, label_lengths: torch.Tensor
) -> torch.Tensor:
    """
    Connectionist temporal classification over text units (Graves et al. 2006); blank is class 0.

    Args:
        text_logits (`torch.Tensor` of shape `(batch, frames, classes)`).
        frames (`torch.LongTensor` of shape `(batch,)`): frames of each clip.
        labels (`torch.LongTensor` of shape `(batch, units)`): classes of the units, padded at the end.
        label_lengths (`torch.LongTensor` of shape `(batch,)`): units of each clip.

    Returns:
        `torch.Tensor`: a scalar.
    """
    log_probabilities = text_logits.float().log_softmax(-1).transpose(0, 1)
    losses = F.ctc_loss(log_probabilities, labels, frames, label_lengths, reduction="none", zero_infinity=True)
    return losses.mean()


def frame_word_loss(text_logits: torch.Tensor, frame_classes: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """
    Cross-entropy of each frame's class with the unit aligned to it: gives the text head true word times.

    Args:
        text_logits (`torch.Tensor` of shape `(batch, frames, classes)`).
        frame_classes (`torch.LongTensor` of shape `(batch, frames)`): class of the unit spoken, 0 for silence, -100
            for unknown.
        smoothing (`float`, *optional*, defaults to 0): what of the target is spread over all classes (Szegedy et al.
            2016), so that the text head is less sure of people whom it has not seen.

    Returns:
        `torch.Tensor`: a scalar; 0 where nothing is known.
    """
    logits, classes = text_logits.float().flatten(0, 1), frame_classes.flatten()
    total = F.cross_entropy(logits, classes, reduction="sum", ignore_index=-100, label_smoothing=smoothing)
    return total / (classes != -100).sum().clamp(min=1)


def word_contrast_loss(hidden: torch.Tensor, frame_classes: torch.Tensor, speakers: torch.Tensor) -> torch.Tensor:
    """
    Supervised contrast (Khosla et al. 2020) of words: states of a word in clips of different people are to be alike,
    those of other words not.

    Args:
        hidden (`torch.Tensor` of shape `(batch, frames, channels)`): states of the lips.
        frame_classes (`torch.LongTensor` of shape `(batch, frames)`): class of the unit spoken, 0 for silence, -100
            for unknown.
        speakers (`torch.LongTensor` of shape `(batch,)`): who speaks, as numbers.

    Returns:
        `torch.Tensor`: a scalar; 0 where no two people say the same word.
    """
    spoken = F.one_hot(frame_classes.clamp(min=0))[..., 1:].float()
    clips, words = (spoken.sum(1) > 0).nonzero(as_tuple=True)
    sums = spoken.transpose(1, 2) @ F.normalize(hidden.float(), dim=-1)
    states = F.normalize(sums[clips, words], dim=-1)
    itself = torch.eye(len(states), dtype=torch.bool, device=states.device)
    likeness = (states @ states.T / CONTRAST_TEMPERATURE).masked_fill(itself, -torch.inf).log_softmax(1)
    alike = (words[:, None] == words) & (speakers[clips][:, None] != speakers[clips])
    of_each = likeness.masked_fill(~alike, 0.0).sum(1) / alike.sum(1).clamp(min=1)
    return -of_each.sum() / alike.any(1).sum().clamp(min=1)


def wasserstein_loss(fake_scores: torch.Tensor, real_scores: torch.Tensor) -> torch.Tensor:
    """
    What a Wasserstein critic minimises (Arjovsky et al. 2017): mean score of generated minus mean score of real sound.

    Args:
        fake_scores, real_scores (`torch.Tensor` of shape `(batch, ...)`): a critic's scores.

    Returns:
        `torch.Tensor`: a scalar; minus an estimate of the distance between the two distributions.
    """
    return fake_scores.float().mean() - real_scores.float().mean()


def adversarial_loss(fake_scores: torch.Tensor) -> torch.Tensor:
    """What the generator minimises against a Wasserstein critic: minus the mean score of what it generates."""
    return -fake_scores.float().mean()


def gradient_penalty(
    critic: Callable[[torch.Tensor], torch.Tensor],
    fake: torch.Tensor,
    real: torch.Tensor,
    position: torch.Tensor | None = None,
) -> torch.Tensor:
    """
    Squared distance from 1 of the norm of a critic's gradient, at random points between generated and real inputs
    (Gulrajani et al. 2017).

    Args:
        critic (`Callable`): from inputs `(batch, ...)` to scores `(batch,)`.
        fake, real (`torch.Tensor` of the same shape `(batch, ...)`): inputs; no gradient flows back into them.
        position (`torch.Tensor` of shape `(batch,)`, *optional*):
            Where between the two each point lies, 0 for generated and 1 for real; uniformly random by default.

    Returns:
        `torch.Tensor`: a scalar, differentiable in the critic's weights.
    """
    if position is None:
        position = torch.rand(len(real), device=real.device)
    position = position.view(-1, *[1] * (real.ndim - 1))
    between = (fake.detach() + position * (real.detach() - fake.detach())).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    norm = (gradient.flatten(1).square().sum(1) + 1e-12).sqrt()
    return (norm - 1).square().mean()


def power_loss(
    prediction: torch.Tensor, target: torch.Tensor, window: int = 640, hop_length: int = 160, floor: float = 1e-5
) -> torch.Tensor:
    """
    Squared difference of the logarithms of short-time power. That there is such a loss is known of the 2019 system's
    lineage; window, hop and floor are our choices.

    Args:
        prediction, target (`torch.Tensor` of shape `(batch, samples)`).
        window (`int`, *optional*, defaults to 640), hop_length (`int`, *optional*, defaults to 160): in samples.
        floor (`float`, *optional*, defaults to 1e-5): added to the mean power before the natural logarithm.

    Returns:
        `torch.Tensor`: a scalar, 0 for equal powers.
    """
    power = [F.avg_pool1d(signal.float().square()[:, None], window, hop_length) for signal in (prediction, target)]
    return F.mse_loss((power[0] + floor).log(), (power[1] + floor).log())


class Hearing(NamedTuple):
    """
    How loud a spectrum is heard, after ITU-T P.862.

    Attributes:
        response (`torch.Tensor` of shape `(bins,)`): what a telephone receiver passes of the power of each bin.
        pooling (`torch.Tensor` of shape `(bins, bands)`): from bins to the density of power in bands of Bark.
        threshold (`torch.Tensor` of shape `(bands,)`): of hearing, as a density of power.
        exponent (`torch.Tensor` of shape `(bands,)`): from power to loudness.
        width (`torch.Tensor` of shape `(bands,)`): of the bands, in Bark.
    """

    response: torch.Tensor
    pooling: torch.Tensor
    threshold: torch.Tensor
    exponent: torch.Tensor
    width: torch.Tensor

    def loudness(self, density: torch.Tensor) -> torch.Tensor:
        """Loudness density (Zwicker) of power densities `(..., bands)`; 0 below the threshold."""
        louder = (0.5 + 0.5 * density / self.threshold) ** self.exponent - 1
        return LOUDNESS * (2 * self.threshold) ** self.exponent * louder.clamp(min=0)

    def audible(self, density: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
        """Power of what is above the threshold, or so many times above it; `(..., 1)`."""
        return (density * (density > factor * self.threshold)).sum(-1, keepdim=True)


@cache
def hearing(device: torch.device) -> Hearing:
    """How a telephone is heard: bins of 31.25 Hz, 32 ms of sound, up to 4 kHz."""
    frequency = HERTZ * np.arange(1, 129)  # without the direct current
    bark = 13 * np.arctan(7.6e-4 * frequency) + 3.5 * np.arctan((frequency / 7500) ** 2)  # Zwicker, Terhardt 1980
    number = np.unique(np.floor(bark / BARK), return_inverse=True)[1]
    pooling = (number[:, None] == np.arange(number.max() + 1)).astype(np.float32)
    counts = pooling.sum(0)
    upper = np.append(np.interp(np.cumsum(counts)[:-1] + 0.5, np.arange(1, 129), bark), bark[-1])
    width = np.diff(upper, prepend=0.0)
    kilohertz = (pooling * frequency[:, None]).sum(0) / counts / 1000
    quiet = 3.64 * kilohertz**-0.8 - 6.5 * np.exp(-0.6 * (kilohertz - 3.3) ** 2) + 1e-3 * kilohertz**4  # Terhardt 1979
    centre = upper - width / 2
    low = np.where(centre < 4, np.minimum(6 / (centre + 2), 2), 1) ** 0.15
    response = 10 ** (np.interp(frequency, *np.array(RECEIVER).T) / 10)
    arrays = (response, pooling * BARK / width, 10 ** (quiet / 10), 0.23 * low, width)
    return Hearing(*(torch.as_tensor(array, dtype=torch.float32, device=device) for array in arrays))


def disturbance_loss(prediction: torch.Tensor, target: torch.Tensor, sampling_rate: int = 16000) -> torch.Tensor:
    """
    What PESQ (ITU-T P.862, narrow band) takes off its best score: how differently the two are heard through a
    telephone, and more so where something is added; slow changes of loudness are forgiven. Unlike PESQ, it neither
    looks for delays nor forgives another colour of the sound; bands and threshold of hearing are by formula. The level
    is that of the loudest clips, so that what is quiet stays quiet. Our choice, after losses such as that of
    Martín-Doñas et al. (2018, "A deep learning loss function based on the perceptual evaluation of the speech
    quality").

    Args:
        prediction, target (`torch.Tensor` of shape `(batch, samples)`): 32 ms or more.
        sampling_rate (`int`, *optional*, defaults to 16000): in Hz, 8000 or more.

    Returns:
        `torch.Tensor`: a scalar, 0 for equal waveforms, about 2 for noise as loud as the speech.

    Raises:
        ValueError: for a shorter sound or a lower rate.
    """
    if sampling_rate < 8000 or target.shape[-1] < round(sampling_rate / HERTZ):
        raise ValueError(
            f"`disturbance` needs 32 ms of sound or more at 8000 Hz or more; got {target.shape[-1]} samples at"
            f" {sampling_rate} Hz: set `decoder_window_frames` higher, or `disturbance` to 0."
        )
    ear = hearing(prediction.device)
    heard, wanted = (_telephone_power(signal, sampling_rate, ear) for signal in (prediction, target))
    audible = ear.audible(wanted, 100)  # (batch, frames, 1)
    gains = (ear.audible(wanted) + 5e3) / (ear.audible(heard) + 5e3)
    gain, smooth = torch.ones_like(gains[:, 0]), []
    for each in gains.unbind(1):
        gain = 0.2 * gain + 0.8 * each
        smooth.append(gain)
    heard = heard * torch.stack(smooth, 1).clamp(3e-4, 5)
    loud = [ear.loudness(power) for power in (heard, wanted)]
    difference = loud[0] - loud[1]
    difference = difference.sign() * (difference.abs() - 0.25 * torch.minimum(*loud)).clamp(min=0)
    added = ((heard + 50) / (wanted + 50)) ** 1.2
    added = torch.where(added < 3, 0.0, added.clamp(max=12))
    quiet = ((audible + 1e5) / 1e7)[..., 0] ** 0.04
    both = ((difference * ear.width).square().sum(-1) + 1e-9).sqrt() * ear.width.sum().sqrt()
    more = (difference.abs() * added * ear.width).sum(-1)
    return (0.1 * _over_time(both / quiet) + 0.0309 * _over_time(more / quiet)).mean()


def _telephone_power(signal: torch.Tensor, sampling_rate: int, ear: Hearing) -> torch.Tensor:
    """Density of power in bands of Bark, `(batch, frames, bands)`, of sounds `(batch, samples)`."""
    length = round(sampling_rate / HERTZ)
    window = torch.hann_window(length, device=signal.device)
    spectrum = torch.stft(signal.float(), length, length // 2, length, window, center=False, return_complex=True)
    power = spectrum[:, 1 : 1 + len(ear.response)].mT.abs().square()
    level = power[..., SPEECH].sum(-1).mean(1).amax()
    return power / level.clamp(min=1e-12) * LEVEL * ear.response @ ear.pooling


def _over_time(disturbance: torch.Tensor) -> torch.Tensor:
    """Of frames `(batch, frames)`, as PESQ has it: what is bad for a third of a second counts most."""
    length = min(20, disturbance.shape[1])
    parts = (disturbance.clamp(max=45).unfold(1, length, 10).pow(6).mean(-1) + 1e-12).pow(1 / 6)
    return parts.square().mean(-1).sqrt()


def waveform_l1_loss(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of waveforms `(batch, samples)`. A scalar."""
    return F.l1_loss(prediction, target)


def total_variation_loss(prediction: torch.Tensor, target: torch.Tensor | None = None) -> torch.Tensor:
    """Mean absolute difference of neighbouring samples of a waveform `(batch, samples)`: less noise. A scalar; the
    target is not looked at."""
    return prediction.float().diff(dim=-1).abs().mean()
