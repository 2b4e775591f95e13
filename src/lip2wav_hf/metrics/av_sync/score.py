"""Audio-visual synchrony: by how many frames a sound is late against the mouth, and with what confidence.

Offset and confidence are defined as by Chung & Zisserman (2016, "Out of time: automated lip sync in the wild"); the
network behind them is our own (`checkpoints/grid-sync`), so confidences are not those of the published SyncNet.
"""

import os
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import ArrayLike

from lip2wav_hf.errors import Lip2WavError
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
from lip2wav_hf.metrics.pairs import SoundPair
from lip2wav_hf.metrics.synchrony import load_sync_network, mouth_regions
from lip2wav_hf.metrics.waveforms import check_waveform, resample


SILENT_RANGE = 2 / 32768  # two steps of 16-bit samples
MIN_FRAMES = 40  # so that the farthest shifts, 15 frames, still compare 25 frames


class MouthCropsError(Lip2WavError):
    """Mouth crops that cannot be compared with a sound."""


class ShortClipError(MouthCropsError):
    """A clip too short for all shifts."""


def av_sync_clip(
    waveform: ArrayLike,
    sampling_rate: int,
    video: str | os.PathLike[str] | bytes | BinaryIO | None = None,
    mouth_crops: ArrayLike | None = None,
    index: int | None = None,
) -> dict[str, Any]:
    """Offset and confidence of one clip.

    Args:
        waveform (array, shape `(samples,)`): the sound, generated or original, full scale at 1.
        sampling_rate (`int`): its rate, in Hz.
        video (`str`, `os.PathLike`, `bytes` or binary file object, *optional*): where the mouth is seen.
        mouth_crops (`np.ndarray`, *optional*): instead of `video`: gray pictures at 25 frames/s, either the mouth
            regions `(frames, 48, 72)` that `Lip2WavFeatureExtractor.extract` returns, or their centre crops
            `(frames, 40, 64)`.
        index (`int`, *optional*): number of the clip, for errors.

    Returns:
        `dict`: `offset` (float, whole video frames; positive: the sound is late; NaN if undefined), `confidence`
        (float, 0 or more; 0 if undefined), `distance` (float: the smallest mean distance, 0 to 2; NaN if undefined),
        `cut_samples` and `cut_frames` (int: by how much the one was longer than the other) and `outcome` (str):
        `"scored"`, `"silent prediction"` (the samples differ by less than two 16-bit steps) or `"still picture"`.

    Raises:
        WaveformError: for a waveform of more than one channel or with NaN or infinite samples.
        MouthCropsError: for crops of another shape, or too small; for both or neither of `video` and `mouth_crops`.
        ShortClipError: for less than 1.6 s of picture or of sound.
        FaceTrackingError: if no frame of the video shows a face.
        VideoError: if the video cannot be read.
    """
    number = "" if index is None else f" {index}"
    waveform = check_waveform(waveform, f"prediction{number}")
    network, log_mel, extractor = load_sync_network()
    crops = _mouth_crops(video, mouth_crops, extractor, f"clip{number}")
    sound = resample(waveform, sampling_rate, network.config.sampling_rate)
    per_frame = network.config.samples_per_frame
    frames = min(len(crops), round(len(sound) / per_frame))
    if frames < MIN_FRAMES:
        raise ShortClipError(
            f"clip{number} is too short: {len(crops)} frames of video and {len(waveform) / sampling_rate:.2f} s of "
            f"sound; {MIN_FRAMES} frames ({MIN_FRAMES / extractor.frame_rate:.1f} s) of both are needed."
        )
    cut = {
        "cut_samples": max(len(waveform) - round(frames * sampling_rate / extractor.frame_rate), 0),
        "cut_frames": len(crops) - frames,
    }
    sound = np.pad(sound, (0, max(frames * per_frame - len(sound), 0)))[: frames * per_frame]
    crops = crops[:frames]
    undefined = {"offset": float("nan"), "confidence": 0.0, "distance": float("nan")} | cut
    if np.ptp(sound) < SILENT_RANGE:
        return undefined | {"outcome": "silent prediction"}
    if (crops == crops[:1]).all():
        return undefined | {"outcome": "still picture"}
    with torch.inference_mode():
        mel = log_mel.standardised(torch.from_numpy(sound.astype(np.float32))[None])
        output = network(torch.from_numpy(extractor.normalize(crops))[None, :, None], mel)
    return {
        "offset": float(output.offset),
        "confidence": float(output.confidence),
        "distance": float(output.distances.min()),
        **cut,
        "outcome": "scored",
    }


def _mouth_crops(
    video: str | os.PathLike[str] | bytes | BinaryIO | None,
    mouth_crops: ArrayLike | None,
    extractor: Lip2WavFeatureExtractor,
    name: str,
) -> np.ndarray:
    """Crops `(frames, crop_height, crop_width)` of a video, or the given ones, checked."""
    if (video is None) == (mouth_crops is None):
        raise MouthCropsError(f"{name}: give either a video or its mouth crops.")
    if video is not None:
        return extractor.center_crop(extractor.extract(video).regions)
    crops = np.asarray(mouth_crops)
    smallest = (extractor.crop_height, extractor.crop_width)
    sizes = (smallest, (extractor.roi_height, extractor.roi_width))
    if crops.ndim != 3 or crops.shape[1:] not in sizes or crops.dtype.kind not in "uif":
        raise MouthCropsError(
            f"the mouth crops of {name} are {crops.dtype} of shape {crops.shape}: give gray pictures of shape"
            f" (frames, {sizes[1][0]}, {sizes[1][1]}), as Lip2WavFeatureExtractor.extract returns them, or their"
            f" centre crops of {sizes[0][0]} x {sizes[0][1]} pixels."
        )
    if not np.isfinite(crops).all():
        raise MouthCropsError(f"the mouth crops of {name} hold NaN or infinity.")
    return extractor.center_crop(crops)


def score_clip(pair: SoundPair) -> dict[str, Any]:
    """The synchrony's columns of `clips.csv`, of the generated and of the original speech; the pair has a video."""
    regions = mouth_regions(pair.video)
    if regions is None:
        return {"av_outcome": "no face"}
    try:
        own = av_sync_clip(pair.prediction, pair.sampling_rate, mouth_crops=regions)
    except ShortClipError:
        return {"av_outcome": "too short"}
    columns = {
        "av_confidence": own["confidence"],
        "av_offset": own["offset"],
        "av_absolute_offset": abs(own["offset"]),
        "av_outcome": own["outcome"],
    }
    if pair.reference is None:
        return columns
    original = av_sync_clip(pair.reference, pair.sampling_rate, mouth_crops=regions)
    return columns | {"av_confidence_original": original["confidence"], "av_offset_original": original["offset"]}


__all__ = ["MIN_FRAMES", "MouthCropsError", "SILENT_RANGE", "ShortClipError", "av_sync_clip", "score_clip"]
