"""Speech in another voice, without a network: pitch, formants and long-term spectrum of a voice that was recorded.

Pitch and formants are moved apart in the source-filter way: the spectral envelope is taken off by the cepstrum, the
flat rest is resampled to the new pitch, and the envelope, stretched to the new length of the vocal tract, put back on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..audio import read_audio
from ..errors import counted
from ..video import VideoError
from .level import INAUDIBLE, SAMPLING_RATE, speech_level
from .records import AdaptationError


MINIMUM_SECONDS = 3.0  # of sound that shows what a voice is like, pauses included
MOST_SAMPLES = 120 * SAMPLING_RATE  # of sound that is learnt from
SPOKEN_SECONDS = 1.5  # of it, that are loud enough to be speech
NEARLY = 0.05  # seconds that formats and resampling may take away
N_FFT, HOP = 1024, 256  # at 16 kHz: 64 and 16 ms
ENVELOPE_QUEFRENCY = 32  # samples: what is slower over frequency is the envelope, up to pitches of 500 Hz
LOWEST_PITCH, HIGHEST_PITCH = 60.0, 400.0  # Hz
LEAST_VOICED = 0.15  # of the loud frames: GRID's speech has 0.3 and more, noise at most 0.13
VOICED = 0.5  # of the autocorrelation at the pitch period
STRETCHES = np.linspace(0.8, 1.25, 19)  # of the formants
MOST_GAIN_DB = 15.0
NEAR_PITCH = 1.2  # ratio of pitches, up to which pitch and formants stay
MOST_NAMED = 5  # files in a note
LOUD_DB = 30.0  # below the loudest frame: what counts as speech


@dataclass(frozen=True)
class Voice:
    """
    What a voice is like.

    Attributes:
        pitch (`float`, *optional*): median fundamental frequency, in Hz; `None` for a voice without, as a whisper.
        spectrum (`np.ndarray` of shape `(513,)`): mean log magnitude of its speech by frequency, 0 to 8 kHz, its own
            mean removed.
        voiced (`float`): share of its loud frames that have a pitch; of speech, a third and more.
        sound (`tuple[np.ndarray, ...]`): the recordings themselves, `(samples,)` each at 16 kHz, two minutes at most.
    """

    pitch: float | None
    spectrum: np.ndarray
    voiced: float
    sound: tuple[np.ndarray, ...] = ()

    @classmethod
    def of(cls, waveforms: Sequence[np.ndarray]) -> Voice:
        """
        From speech of one person.

        Args:
            waveforms (sequence of `np.ndarray` of shape `(samples,)`): at 16 kHz.
        """
        pitches = np.concatenate([find_pitches(waveform) for waveform in waveforms])
        frames = np.concatenate([_speech_frames(waveform) for waveform in waveforms])
        spectrum = np.log(np.abs(frames) + 1e-6).mean(0)
        voiced = len(pitches) / max(len(frames), 1)
        pitch = float(np.median(pitches)) if len(pitches) >= 10 and voiced >= LEAST_VOICED else None
        return cls(pitch, spectrum - spectrum.mean(), voiced)


def read_voice(files: Sequence[Path]) -> tuple[Voice, list[Path]]:
    """
    The voice in sound files, or in the sound of videos.

    Args:
        files (sequence of `Path`): see [`voice_files`].

    Returns:
        `tuple[Voice, list[Path]]`: the voice, and the files that cannot be read as sound, which are left out.

    Raises:
        AdaptationError: if none can be read, or there is too little speech.
    """
    waveforms, unreadable, why = [], list[Path](), None
    for file in files:
        try:
            waveform = read_audio(str(file), SAMPLING_RATE)
        except (VideoError, OSError) as error:
            unreadable.append(file)
            why = why or error
            continue
        if waveform is not None and speech_level(waveform) > INAUDIBLE:
            waveforms.append(waveform)
    if why is not None and len(unreadable) == len(files):
        if isinstance(why, OSError):
            raise AdaptationError(f"voice {files[0]}: it cannot be read ({why.strerror}).") from why
        raise AdaptationError(
            f"voice {files[0]}: it cannot be read as sound. Check that it plays, or convert it to .wav."
        ) from why
    seconds = sum(map(len, waveforms)) / SAMPLING_RATE
    spoken = sum(len(_speech_frames(waveform)) * HOP / SAMPLING_RATE for waveform in waveforms)
    which = f"voice {files[0]}" if len(files) == 1 else f"voice {files[0].parent}"
    found = counted(len(files) - len(unreadable), "file")
    if seconds < MINIMUM_SECONDS - NEARLY:
        raise AdaptationError(
            f"{which}: {seconds:.1f} s of audible sound in {found}; {MINIMUM_SECONDS:.0f} s are needed, better a"
            " minute."
        )
    if spoken < SPOKEN_SECONDS:
        raise AdaptationError(
            f"{which}: {spoken:.1f} s of speech in {seconds:.1f} s of sound; {SPOKEN_SECONDS} s are needed, better a"
            " minute."
        )
    lengths = np.cumsum([0, *map(len, waveforms)])
    kept = (waveform[: max(MOST_SAMPLES - before, 0)] for before, waveform in zip(lengths, waveforms, strict=False))
    return replace(
        Voice.of(waveforms), sound=tuple(part for part in kept if speech_level(part) > INAUDIBLE)
    ), unreadable


def voice_notes(voice: Voice, others: Sequence[Path], unreadable: Sequence[Path] = ()) -> list[str]:
    """
    What is doubtful of sound files, a sentence or more each.

    Args:
        voice ([`Voice`]): what was read from them.
        others (sequence of `Path`): files that lay beside them and were not read.
        unreadable (sequence of `Path`, *optional*): files that could not be read as sound.
    """
    notes = []
    if voice.pitch is None:
        notes.append(
            "What is heard in the sound files does not sound like speech: hardly any of it has a pitch, as of noise or"
            " of a whisper. Listen to them."
        )
    for files, why in ((others, "they are no sound files"), (unreadable, "they cannot be read as sound")):
        if files:
            names = [file.name for file in files]
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            notes.append(f"Not read for the voice, as {why}: {', '.join(names[:MOST_NAMED])}{more}.")
    return notes


def find_pitches(waveform: np.ndarray) -> np.ndarray:
    """
    Fundamental frequencies of voiced frames, by the highest peak of the normalised autocorrelation.

    Args:
        waveform (`np.ndarray` of shape `(samples,)`): at 16 kHz.

    Returns:
        `np.ndarray` of shape `(voiced frames,)`: in Hz.
    """
    length = N_FFT
    if len(waveform) < length:
        return np.zeros(0)
    windows = np.lib.stride_tricks.sliding_window_view(waveform.astype(np.float64), length)[::HOP]
    power = np.square(windows).mean(1)
    windows = windows[power > power.max() * 10 ** (-LOUD_DB / 10)]
    if not len(windows) or power.max() == 0:
        return np.zeros(0)
    spectra = np.fft.rfft((windows - windows.mean(1, keepdims=True)) * np.hanning(length), 2 * length)
    correlation = np.fft.irfft(np.square(np.abs(spectra)))[:, :length]
    taper = np.fft.irfft(np.square(np.abs(np.fft.rfft(np.hanning(length), 2 * length))))[:length]
    correlation = correlation / np.maximum(correlation[:, :1], 1e-12) / np.maximum(taper / taper[0], 1e-3)
    low, high = int(SAMPLING_RATE / HIGHEST_PITCH), int(SAMPLING_RATE / LOWEST_PITCH)
    inside, before, after = (correlation[:, low + shift : high + 1 + shift] for shift in (0, -1, 1))
    peaks = np.where((inside > before) & (inside >= after), inside, -1.0)
    best = peaks.max(1, keepdims=True)
    lags = low + (peaks > 0.9 * best).argmax(1)  # the shortest that is nearly as good as the best: no octave too low
    return SAMPLING_RATE / lags[best[:, 0] > VOICED]


def _speech_frames(waveform: np.ndarray) -> np.ndarray:
    """Spectra `(frames, 513)` of what is loud enough to be speech."""
    spectra = _analyse(waveform)
    power = np.square(np.abs(spectra)).sum(1)
    return spectra[power > power.max(initial=0.0) * 10 ** (-LOUD_DB / 10)]


def _analyse(waveform: np.ndarray) -> np.ndarray:
    padded = np.pad(waveform.astype(np.float64), (N_FFT // 2, N_FFT))
    windows = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    return np.fft.rfft(windows * np.hanning(N_FFT))


def _synthesise(spectra: np.ndarray, samples: int) -> np.ndarray:
    window = np.hanning(N_FFT)
    total, weight = np.zeros(len(spectra) * HOP + N_FFT), np.zeros(len(spectra) * HOP + N_FFT)
    for number, piece in enumerate(np.fft.irfft(spectra)):
        place = slice(number * HOP, number * HOP + N_FFT)
        total[place] += piece * window
        weight[place] += window**2
    return (total / np.maximum(weight, 1e-3))[N_FFT // 2 :][:samples]


def _envelopes(magnitudes: np.ndarray) -> np.ndarray:
    """Log spectral envelopes `(frames, 513)`: the slow part of the cepstrum."""
    cepstra = np.fft.irfft(np.log(magnitudes + 1e-6))
    cepstra[:, ENVELOPE_QUEFRENCY : N_FFT - ENVELOPE_QUEFRENCY + 1] = 0
    return np.fft.rfft(cepstra).real


def _stretched(envelopes: np.ndarray, factor: float) -> np.ndarray:
    """Envelopes whose formants lie `factor` times as high."""
    bins = np.arange(envelopes.shape[-1])
    low = np.minimum(bins / factor, bins[-1])
    left = np.minimum(low.astype(int), bins[-1] - 1)
    share = low - left
    return envelopes[..., left] * (1 - share) + envelopes[..., left + 1] * share


def formant_ratio(source: Voice, target: Voice) -> float:
    """How many times as high the formants of the target lie: the stretch of its mean spectrum that fits best."""
    smooth = [_envelopes(np.exp(voice.spectrum)[None])[0] for voice in (source, target)]
    used = slice(8, 320)  # 125 to 5000 Hz

    def likeness(factor: float) -> float:
        return float(np.corrcoef(_stretched(smooth[0], factor)[used], smooth[1][used])[0, 1])

    return float(max(STRETCHES, key=likeness))


def convert(waveform: np.ndarray, source: Voice, target: Voice) -> np.ndarray:
    """
    Speech in another voice: its pitch, its formants, and its mean spectrum. Of a voice whose pitch is nearly that of
    the speech, only the mean spectrum: moving the rest costs more in sound than it gains in likeness.

    Args:
        waveform (`np.ndarray` of shape `(samples,)`): at 16 kHz.
        source, target ([`Voice`]): whose it is, and whose it is to be.

    Returns:
        `np.ndarray` of shape `(samples,)`: float32, as loud as it was, at most full scale.
    """
    ratio = target.pitch / source.pitch if target.pitch and source.pitch else 1.0
    is_near = 1 / NEAR_PITCH < ratio < NEAR_PITCH
    ratio = 1.0 if is_near else ratio
    spectra = _analyse(waveform)
    envelopes = _envelopes(np.abs(spectra))
    excitation = _synthesise(spectra / np.exp(envelopes), len(waveform))
    excitation = _analyse(_shifted(excitation, ratio))[: len(spectra)]
    excitation = np.pad(excitation, ((0, len(spectra) - len(excitation)), (0, 0)))
    flat = excitation / np.exp(_envelopes(np.abs(excitation)))
    loud = np.log(np.abs(spectra) + 1e-6).mean(1) - np.log(np.abs(flat) + 1e-6).mean(1)
    moved = envelopes if is_near else _stretched(envelopes, formant_ratio(source, target))
    filtered = np.log(np.abs(flat) + 1e-6) + moved + (loud - moved.mean(1))[:, None]
    power = np.exp(2 * filtered).sum(1)
    speech = filtered[power > power.max(initial=0.0) * 10 ** (-LOUD_DB / 10)]
    gain = np.zeros(spectra.shape[1])
    if len(speech):
        mean = speech.mean(0)
        gain = _envelopes(np.exp(target.spectrum - (mean - mean.mean()))[None])[0]
    most = MOST_GAIN_DB / 20 * np.log(10)
    filtered = filtered + np.clip(gain, -most, most)
    result = _synthesise(np.exp(filtered) * np.exp(1j * np.angle(flat)), len(waveform))
    before, after = (np.sqrt(np.square(sound).mean()) for sound in (waveform, result))
    return np.clip(result * (before / max(after, 1e-9)), -1, 1).astype(np.float32)


def _shifted(waveform: np.ndarray, ratio: float) -> np.ndarray:
    """The same length, `ratio` times the pitch: stretched in time by a phase vocoder, then resampled."""
    if abs(ratio - 1) < 1e-3:
        return waveform
    spectra = _analyse(waveform)
    times = np.arange(0, len(spectra) - 1, 1 / ratio)
    left = times.astype(int)
    share = (times - left)[:, None]
    magnitudes = np.abs(spectra[left]) * (1 - share) + np.abs(spectra[left + 1]) * share
    expected = 2 * np.pi * HOP * np.arange(spectra.shape[1]) / N_FFT
    steps = np.angle(spectra[left + 1]) - np.angle(spectra[left]) - expected
    steps = expected + (steps + np.pi) % (2 * np.pi) - np.pi
    phases = np.angle(spectra[0]) + np.concatenate([np.zeros((1, spectra.shape[1])), np.cumsum(steps[:-1], 0)])
    long = _synthesise(magnitudes * np.exp(1j * phases), round(len(waveform) * ratio))
    return np.interp(np.arange(len(waveform)) * ratio, np.arange(len(long)), long)


__all__ = ["Voice", "convert", "find_pitches", "formant_ratio", "read_voice", "voice_notes"]
