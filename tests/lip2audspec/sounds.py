"""A sound with much of what speech has, the same on every machine: no random numbers, no file."""

import numpy as np


def speech_like(seconds: float = 0.5, sampling_rate: int = 16000) -> np.ndarray:
    """Voiced harmonics that glide under two moving formants, then a pause, then a hiss, float64 `(samples,)`."""
    time = np.arange(round(seconds * sampling_rate)) / sampling_rate
    pitch = 110 + 40 * time / seconds
    phase = 2 * np.pi * np.cumsum(pitch) / sampling_rate
    formants = 500 + 300 * np.sin(2 * np.pi * 3 * time), 1500 - 500 * np.cos(2 * np.pi * 2 * time)
    voice = np.zeros_like(time)
    for harmonic in range(1, 30):
        frequency = harmonic * pitch
        level = sum(np.exp(-(((frequency - formant) / 150) ** 2)) for formant in formants) + 0.02
        voice += level * np.sin(harmonic * phase) / harmonic**0.5
    hiss = sum(np.sin(2 * np.pi * (2500 + 37.3 * k) * time + k * k) for k in range(100)) / 40
    position = time / seconds
    sound = voice * np.clip((0.6 - position) * 20, 0, 1) + hiss * np.clip((position - 0.75) * 20, 0, 1)
    return 0.3 * sound / np.abs(sound).max()
