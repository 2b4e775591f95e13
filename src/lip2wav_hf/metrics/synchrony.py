"""Estimate the audio-video offset of a clip, to a fraction of a video frame.

In GRID the sound is early or late by a different amount in each clip (Niu & Mak 2023, "On the Audio-visual
Synchronization for Lip-to-Speech Synthesis"), with a standard deviation of some 20 ms for the speaker s1. That cannot
be predicted from the picture, so a generator trained on such clips learns to blur, or memorises them. With the sound
moved to where the mouth says it belongs, it can learn sharp speech.
"""

from __future__ import annotations

import logging
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch

from ..face_tracking import FaceTrackingError
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..generator import LogMelSpectrogram
from ..modeling_syncnet import Lip2WavSyncNet, distances_over_shifts
from ..video import VideoPart


logger = logging.getLogger(__name__)

SYNC_CHECKPOINT = Path(__file__).parents[1] / "checkpoints" / "grid-sync"
MAX_SHIFT = 4  # video frames to either side that are searched; what lies farther is no delay but a mistake
STEPS = 8  # shifts tried in each video frame: 5 ms apart
FIT_SECONDS = 0.025  # to either side of the smallest distance, through which a parabola is laid
MIN_FRAMES = 25  # of a clip
MIN_CONFIDENCE = 0.1  # below it no shift stands out: the clip stays as it is


@cache
def load_sync_network(
    sync_network: str | Path = SYNC_CHECKPOINT,
) -> tuple[Lip2WavSyncNet, LogMelSpectrogram, Lip2WavFeatureExtractor]:
    """The sync network of a folder or Hub repo (the bundled one by default), its log-mel spectrogram and its feature
    extractor: loaded once per process."""
    network = Lip2WavSyncNet.from_pretrained(sync_network, dtype=torch.float32).eval()
    return network, LogMelSpectrogram(network.config), Lip2WavFeatureExtractor.from_pretrained(sync_network)


@lru_cache(maxsize=1)
def mouth_regions(video: str | Path | VideoPart) -> np.ndarray | None:
    """Gray mouth regions of a video as the bundled sync network sees them; `None` where there is no face. The last
    answer is kept."""
    try:
        return load_sync_network()[2].extract(video).regions
    except FaceTrackingError:
        return None


@torch.no_grad()
def find_sound_offset(
    regions: np.ndarray, waveform: np.ndarray, sync_network: str | Path = SYNC_CHECKPOINT
) -> tuple[float, float]:
    """
    Estimate by how much a sound is late, with a sync network.

    The sound is moved in steps of 5 ms; a parabola through the mean distances around the smallest gives what lies
    between the steps.

    Args:
        regions (`np.ndarray`, shape `(frames, roi_height, roi_width)`):
            Gray pictures of the mouth, 48 x 72 pixels, at 25 frames/s, as `Lip2WavFeatureExtractor.extract` returns
            them; 25 frames or more.
        waveform (`np.ndarray`, shape `(samples,)`): the sound at 16 kHz, full scale at 1.
        sync_network (`str` or `Path`, *optional*): folder or Hub repo of the network; the bundled one by
            default.

    Returns:
        `tuple[float, float]`: the offset in seconds (positive: the sound is late), and the confidence, the median less
        the smallest of the mean distances; 0 if the smallest is at an end of the search, -160 and 195 ms.

    Raises:
        ValueError: for regions of another shape, NaN or infinite samples, or less than 25 frames of picture or of
            sound.
    """
    network, log_mel, extractor = load_sync_network(sync_network)
    per_frame = network.config.samples_per_frame
    expected = (extractor.roi_height, extractor.roi_width)
    if regions.ndim != 3 or regions.shape[1:] != expected:
        raise ValueError(
            f"`regions` must have shape (frames, {expected[0]}, {expected[1]}), as Lip2WavFeatureExtractor.extract"
            f" returns them; got {regions.shape}."
        )
    if waveform.ndim != 1 or not np.isfinite(waveform).all():
        raise ValueError("`waveform` must be one channel of finite samples, of shape (samples,).")
    frames = min(len(regions), len(waveform) // per_frame)
    if frames < MIN_FRAMES:
        raise ValueError(
            f"{len(regions)} mouth regions and {len(waveform) / network.config.sampling_rate:.2f} s of sound: the"
            f" offset of a clip of less than {MIN_FRAMES} frames cannot be found."
        )
    pixels = torch.from_numpy(extractor.normalize(extractor.center_crop(regions[:frames])))
    video = network.embed_video(pixels[None, :, None])
    curves = []
    for delay in range(0, per_frame, per_frame // STEPS):
        moved = np.pad(waveform, (0, delay + frames * per_frame))[delay : delay + frames * per_frame]
        audio = network.embed_audio(log_mel.standardised(torch.from_numpy(moved.astype(np.float32))[None]))
        curves.append(distances_over_shifts(video, audio, torch.ones(1, frames), MAX_SHIFT)[0].numpy())
    distances = np.stack(curves, 1).reshape(-1)
    step = per_frame / STEPS / network.config.sampling_rate
    times = (np.arange(len(distances)) - MAX_SHIFT * STEPS) * step
    best = int(distances.argmin())
    if best in (0, len(distances) - 1):
        return float(times[best]), 0.0
    near = np.abs(times - times[best]) < FIT_SECONDS + step / 2
    curvature, slope, _ = np.polyfit(times[near] - times[best], distances[near], 2)
    between = np.clip(-slope / (2 * curvature), -step, step) if curvature > 0 else 0.0
    return float(times[best] + between), float(np.median(distances) - distances.min())
