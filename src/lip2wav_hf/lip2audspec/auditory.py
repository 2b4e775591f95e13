"""The auditory spectrogram of Yang, Wang and Shamma (1992), and the sound of one, by iteration.

The model is the first stage of Chi, Ru and Shamma (2005), "Multiresolution spectrotemporal analysis of complex
sounds": a filter bank stands for the cochlea, a compression and a low-pass for the hair cells, the rectified
difference of neighbouring channels for the lateral inhibition of the cochlear nucleus, and a leaky integration for
the midbrain.

The inverse takes the sound that is there, scales each channel of it to the spectrogram that is wanted, adds the
channels up to the next sound, and repeats that, as `aud2wav` of the NSL toolbox does.

Everything happens in the frequency domain, in blocks; a channel that a lower sampling rate can hold is calculated at
that rate.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file

from ..errors import Lip2WavError


COCHLEA = "cochlea"  # folder of the filters, here and in a repository
FILTERS = Path(__file__).parents[1] / "assets" / COCHLEA / "filters.safetensors"
NUM_CHANNELS = 128  # one more is filtered, for the difference with the channel above
CHANNELS_PER_OCTAVE = 24
DESIGN_RATE = 16000  # Hz, of the filters; at another rate all frequencies move with it
DESIGN_LENGTH = 16384  # samples of the spectra in which impulse responses are found
RESPONSE_LENGTH = 4096  # samples kept of an impulse response
BLOCK_SAMPLES = 65536 - RESPONSE_LENGTH  # filtered at once, at most: bounds the memory
HAIR_CELL_MS = 0.5  # time constant of the hair cell's membrane
HAIR_CELL_SAMPLES = 128  # kept of its response
LEAK_TIMES = 20  # time constants after which the integration has forgotten everything
OVERSAMPLING = 4  # least sampling rate of a channel, in characteristic frequencies
MOST_DECIMATION = 8
LENGTH_UNIT = 8 * MOST_DECIMATION  # samples, of which blocks are transformed
SMOOTH = 2 * 3 * 5 * 7  # prime factors of their number
MOST_SCALING = 100.0  # of a channel in one iteration
FLOOR = 1e-3  # of the power that all filters have at a frequency, over the greatest, below which it is not made up for
HAIR_CELLS = ("linear", "half-wave")


class AuditoryError(Lip2WavError):
    """Settings of an auditory spectrogram that contradict each other, or a sound or spectrogram of another shape."""


def characteristic_frequencies(sampling_rate: int) -> np.ndarray:
    """Of the 128 channels, in Hz, `(128,)`: 180 to 7040 Hz at a sampling rate of 16 kHz, half of that at 8 kHz."""
    channels = np.arange(NUM_CHANNELS)
    return 440 * 2 ** ((channels - 31) / CHANNELS_PER_OCTAVE) * sampling_rate / DESIGN_RATE


@functools.cache
def impulse_responses() -> torch.Tensor:
    """Of the 129 cochlear filters, float32 `(129, RESPONSE_LENGTH)`, lowest first."""
    if not FILTERS.is_file():
        raise AuditoryError("the cochlear filters are missing. Load a saved model, which names where they are.")
    filters = load_file(FILTERS)
    spectra = [np.fft.rfft(filters[name], DESIGN_LENGTH) for name in ("numerator", "denominator")]
    responses = np.fft.irfft(spectra[0] / spectra[1], DESIGN_LENGTH)[:, :RESPONSE_LENGTH]
    return torch.from_numpy(responses.astype(np.float32))


def find_filters(source: str | os.PathLike, **options: Any) -> None:
    """
    Where the filters do not lie beside this module, as where it came from the Hub, take those in `cochlea/` of a
    folder or a repository: its module is its own, and of one commit.

    Args:
        source (`str` or `os.PathLike`): folder or Hub repository.
        options: as of `transformers.utils.cached_file`.

    Raises:
        OSError: if they are not there.
    """
    global FILTERS
    if not FILTERS.is_file():
        from transformers.utils import cached_file  # noqa: PLC0415  for code from the Hub alone

        found = [cached_file(source, f"{COCHLEA}/{name}", **options) for name in ("LICENSE", "NOTICE", FILTERS.name)]
        FILTERS = Path(found[-1] or FILTERS)


def filters_folder() -> Path:
    """The folder of the filters, with their licence."""
    return FILTERS.parent.resolve()


class Band(NamedTuple):
    """
    Neighbouring channels that are calculated at the same rate.

    Attributes:
        first, last (`int`): its channels are `first` to `last - 1`.
        decimation (`int`): sampling rate of the sound, over that of these channels.
    """

    first: int
    last: int
    decimation: int


@dataclass(frozen=True)
class AuditorySpectrogram:
    """
    From sound to auditory spectrograms and back.

    Args:
        sampling_rate (`int`, *optional*, defaults to 16000): in Hz. The filters move with it: at 8000 Hz, each is one
            octave lower than at 16000.
        frame_ms (`float`, *optional*, defaults to 10.0): length of a frame, in ms; a whole number of samples.
        integration_ms (`float`, *optional*, defaults to 10.0): time constant of the leaky integration, in ms.
        power (`float`, *optional*, defaults to 0.3): which compresses the spectrogram; 1 for none.
        hair_cell (`str` or `float`, *optional*, defaults to `"linear"`): `"linear"` for none; `"half-wave"` for a
            rectifier; or the level of half compression of a sigmoid. The latter two have a membrane's low-pass after
            them, and no inverse.

    Raises:
        AuditoryError: if a setting is out of range.
    """

    sampling_rate: int = 16000
    frame_ms: float = 10.0
    integration_ms: float = 10.0
    power: float = 0.3
    hair_cell: str | float = "linear"

    def __post_init__(self) -> None:
        samples = self.sampling_rate * self.frame_ms / 1000
        if samples < 1 or samples != round(samples):
            raise AuditoryError(
                f"a frame of {self.frame_ms} ms has {samples:g} samples at {self.sampling_rate} Hz; it must be a whole"
                " number of them."
            )
        if self.integration_ms <= 0 or self.power <= 0:
            raise AuditoryError("`integration_ms` and `power` must be above 0.")
        known = self.hair_cell in HAIR_CELLS if isinstance(self.hair_cell, str) else self.hair_cell > 0
        if not known:
            raise AuditoryError(f"`hair_cell` must be one of {', '.join(HAIR_CELLS)}, or a level above 0.")

    @staticmethod
    def find_filters(source: str | os.PathLike, **options: Any) -> None:
        """As [`find_filters`], in the module of this class."""
        find_filters(source, **options)

    @staticmethod
    def filters_folder() -> Path:
        """As [`filters_folder`], of the module of this class."""
        return filters_folder()

    @property
    def frame_samples(self) -> int:
        """Samples of a frame."""
        return round(self.sampling_rate * self.frame_ms / 1000)

    @property
    def frame_decay(self) -> float:
        """What is left of the integrated energy after a frame."""
        return math.exp(-self.frame_ms / self.integration_ms)

    def bands(self) -> list[Band]:
        """Groups of channels, lowest first, and the rates at which they are calculated."""
        if self.hair_cell != "linear":  # whose harmonics would fold back
            return [Band(0, NUM_CHANNELS, 1)]
        groups: dict[int, list[int]] = {}
        for channel, frequency in enumerate(characteristic_frequencies(self.sampling_rate)):
            decimation = 1
            while (
                2 * decimation <= MOST_DECIMATION
                and self.frame_samples % (2 * decimation) == 0
                and self.sampling_rate / (2 * decimation) >= OVERSAMPLING * frequency
            ):
                decimation *= 2
            groups.setdefault(decimation, []).append(channel)
        return [Band(channels[0], channels[-1] + 1, decimation) for decimation, channels in groups.items()]

    @torch.no_grad()
    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        """
        Auditory spectrograms of sounds.

        Args:
            waveform (`torch.FloatTensor` of shape `(batch, samples)`): full scale at 1.

        Returns:
            `torch.FloatTensor` of shape `(batch, frames, 128)`: at least 0, lowest channel first, one frame for each
            `frame_ms` begun. Without gradient.

        Raises:
            AuditoryError: if it has another shape.
        """
        if waveform.ndim != 2 or not waveform.shape[1]:
            raise AuditoryError(f"`waveform` must have shape (batch, samples); got {tuple(waveform.shape)}.")
        return torch.stack([self._analyse(clip) for clip in waveform.float()])

    def energies(self, waveform: torch.Tensor) -> torch.Tensor:
        """The spectrogram `(frames, 128)` of a sound `(samples,)` before it is compressed by `power`."""
        frames = -(-len(waveform) // self.frame_samples)
        leaked = torch.cat([self._block_energies(block, count) for block, count in self._blocks(waveform, frames)])
        return self._integrate(leaked)

    def _analyse(self, waveform: torch.Tensor) -> torch.Tensor:
        return self.energies(waveform) ** self.power

    def _blocks(self, waveform: torch.Tensor, frames: int) -> Iterator[tuple[torch.Tensor, int]]:
        """Blocks of whole frames with the samples before them that still ring, and the number of their frames."""
        length = self.frame_samples
        padded = F.pad(waveform, (RESPONSE_LENGTH, frames * length - len(waveform)))
        most = max(BLOCK_SAMPLES // length, 1)
        for start in range(0, frames, most):
            count = min(most, frames - start)
            yield padded[start * length : (start + count) * length + RESPONSE_LENGTH], count

    def _block_energies(self, block: torch.Tensor, count: int) -> torch.Tensor:
        """What the integration gathers within each frame of a block, `(frames, 128)`."""
        spectrum, parts = _spectrum(block), []
        for band in self.bands():
            rectified = self._inhibited(spectrum, band, count * self.frame_samples).clamp(min=0)
            parts.append(rectified.view(-1, count, self.frame_samples // band.decimation) @ self._weights(band, block))
        return torch.cat(parts).T

    def _weights(self, band: Band, like: torch.Tensor) -> torch.Tensor:
        """What each sample of a frame counts at its end; the same in sum at each rate."""
        ages = torch.arange(self.frame_samples - 1, -1, -1, device=like.device)
        weights = torch.exp(-ages * 1000 / (self.sampling_rate * self.integration_ms))
        return weights.view(-1, band.decimation).sum(1)

    def _inhibited(self, spectrum: torch.Tensor, band: Band, samples: int) -> torch.Tensor:
        """Differences of neighbouring channels, `(channels, samples // decimation)`, of the end of a block."""
        length = 2 * (len(spectrum) - 1)
        if self.hair_cell == "linear":
            filters = _difference_filters(length, band, spectrum.device)
            return _decimated(spectrum[: filters.shape[1]] * filters, length, band.decimation, samples)
        filters = _filters(length, spectrum.device)
        heard = self._transduced(torch.fft.irfft(spectrum * filters, length))
        start = RESPONSE_LENGTH
        return (heard[:-1] - heard[1:])[:, start : start + samples]

    def _transduced(self, filtered: torch.Tensor) -> torch.Tensor:
        """What hair cells make of filtered sound `(channels, samples)`."""
        if isinstance(self.hair_cell, str):
            current = filtered.clamp(min=0)
        else:
            current = torch.sigmoid(filtered / self.hair_cell)
        ages = torch.arange(HAIR_CELL_SAMPLES - 1, -1, -1, device=filtered.device)
        membrane = torch.exp(-ages * 1000 / (self.sampling_rate * HAIR_CELL_MS))
        padded = F.pad(current, (HAIR_CELL_SAMPLES - 1, 0))
        return F.conv1d(padded[:, None], membrane[None, None])[:, 0]

    def _integrate(self, leaked: torch.Tensor) -> torch.Tensor:
        """Leaky integration of frames `(frames, 128)`."""
        reach = math.ceil(LEAK_TIMES * self.integration_ms / self.frame_ms)
        ages = torch.arange(reach, -1, -1, device=leaked.device)
        kernel = self.frame_decay**ages
        return F.conv1d(F.pad(leaked.T, (reach, 0))[:, None], kernel[None, None].to(leaked.dtype))[:, 0].T

    @torch.no_grad()
    def invert(
        self, spectrogram: torch.Tensor, iterations: int = 20, momentum: float = 0.0, seed: int = 0
    ) -> torch.Tensor:
        """
        Sounds whose auditory spectrograms are close to those given.

        Args:
            spectrogram (`torch.FloatTensor` of shape `(batch, frames, 128)`): as `__call__` gives it; what is below 0
                counts as 0.
            iterations (`int`, *optional*, defaults to 20): how often the sound is scaled.
            momentum (`float`, *optional*, defaults to 0): how far each step goes on in the direction of the one before
                it, as in fast Griffin-Lim (Perraudin et al. 2013). Our choice.
            seed (`int`, *optional*, defaults to 0): of the noise that it begins with.

        Returns:
            `torch.FloatTensor` of shape `(batch, frames * frame_samples)`.

        Raises:
            AuditoryError: if it has another shape, or the hair cells are not linear.
        """
        if self.hair_cell != "linear":
            raise AuditoryError(f"an auditory spectrogram with the hair cells {self.hair_cell!r} has no inverse.")
        if spectrogram.ndim != 3 or spectrogram.shape[2] != NUM_CHANNELS or not spectrogram.shape[1]:
            raise AuditoryError(
                f"`spectrogram` must have shape (batch, frames, {NUM_CHANNELS}); got {tuple(spectrogram.shape)}."
            )
        wanted = spectrogram.float().clamp(min=0) ** (1 / self.power)
        return torch.stack([self._invert(clip, iterations, momentum, seed) for clip in wanted])

    def _invert(self, wanted: torch.Tensor, iterations: int, momentum: float, seed: int) -> torch.Tensor:
        """A sound `(samples,)` for the energies `(frames, 128)`; as a whole, since iterations must agree on it."""
        samples = len(wanted) * self.frame_samples
        generator = torch.Generator().manual_seed(seed)
        sound = torch.randn(samples, generator=generator).to(wanted.device) * wanted.mean()
        best, least, before = sound, math.inf, sound
        for _ in range(iterations):
            scaled, reached = self._rescaled(sound, wanted)
            error = float((reached**self.power - wanted**self.power).square().sum())
            if error < least:
                best, least = sound, error
            sound = scaled + momentum * (scaled - before)
            before = scaled
        reached = self.energies(before)
        return before if float((reached**self.power - wanted**self.power).square().sum()) < least else best

    def _rescaled(self, sound: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of the channels of a sound, each scaled to what is wanted of it, and the energies that it had."""
        block = F.pad(sound, (RESPONSE_LENGTH, 0))
        spectrum = _spectrum(block)
        length, frames = 2 * (len(spectrum) - 1), len(wanted)
        total = torch.zeros_like(spectrum)
        channels = [self._inhibited(spectrum, band, len(sound)) for band in self.bands()]
        leaked = torch.cat(
            [
                channel.clamp(min=0).view(len(channel), frames, -1) @ self._weights(band, sound)
                for band, channel in zip(self.bands(), channels, strict=True)
            ]
        )
        reached = self._integrate(leaked.T)
        scale = torch.where(reached > 0, wanted / reached, torch.where(wanted > 0, 2.0, 1.0)).clamp(max=MOST_SCALING)
        for band, channel in zip(self.bands(), channels, strict=True):
            per_frame = scale[:, band.first : band.last].T[..., None]
            channel = (channel.view(len(channel), frames, -1) * per_frame).flatten(1)
            padded = F.pad(channel, (RESPONSE_LENGTH // band.decimation, 0))
            bins = length // (2 * band.decimation) + 1
            spectra = torch.fft.rfft(padded, length // band.decimation)[:, :bins] * band.decimation
            total[:bins] += (spectra * _dual_filters(length, band, sound.device)).sum(0)
        return torch.fft.irfft(total, length)[RESPONSE_LENGTH : RESPONSE_LENGTH + len(sound)], reached


def _spectrum(block: torch.Tensor) -> torch.Tensor:
    """Of a block, at a length that is fast to transform and that all rates divide."""
    return torch.fft.rfft(block, _fast_length(len(block)))


@functools.cache
def _fast_length(samples: int) -> int:
    """The next length without large prime factors: others take twice the time."""
    units = -(-samples // LENGTH_UNIT)
    while math.gcd(units, SMOOTH**20) != units:
        units += 1
    return units * LENGTH_UNIT


@functools.lru_cache(maxsize=8)
def _filters(length: int, device: torch.device) -> torch.Tensor:
    return torch.fft.rfft(impulse_responses(), length).to(device)


@functools.lru_cache(maxsize=64)
def _difference_filters(length: int, band: Band, device: torch.device) -> torch.Tensor:
    """Spectra of channels less those above them, `(channels, bins)`, up to half the rate of a band."""
    spectra = _filters(length, device)[:, : length // (2 * band.decimation) + 1]
    return spectra[band.first : band.last] - spectra[band.first + 1 : band.last + 1]


@functools.lru_cache(maxsize=64)
def _dual_filters(length: int, band: Band, device: torch.device) -> torch.Tensor:
    """Spectra of the filters that add the channels up to the sound again, in the sense of least squares."""
    differences = _filters(length, device)[:-1] - _filters(length, device)[1:]
    power = differences.abs().square().sum(0)
    weight = 1 / (power + FLOOR * power.max())
    own = _difference_filters(length, band, device)
    return own.conj() * weight[: own.shape[1]]


def _decimated(spectra: torch.Tensor, length: int, decimation: int, samples: int) -> torch.Tensor:
    """The last part of blocks of `length`, given by their low frequencies, at a lower rate."""
    blocks = torch.fft.irfft(spectra, length // decimation) / decimation
    start = RESPONSE_LENGTH // decimation
    return blocks[:, start : start + samples // decimation]


__all__ = [
    "NUM_CHANNELS",
    "AuditoryError",
    "AuditorySpectrogram",
    "characteristic_frequencies",
    "find_filters",
    "impulse_responses",
]
