"""Audio-visual synchrony: by how many frames a sound is late against the mouth, and with what confidence.

Offset and confidence are defined as by Chung & Zisserman (2016, "Out of time: automated lip sync in the wild"); the
network behind them is our own (`checkpoints/grid-sync`), so confidences are not those of the published SyncNet.
"""

import os
from typing import Any, BinaryIO

import datasets
import evaluate
import numpy as np
import torch
from evaluate.utils.file_utils import add_start_docstrings
from numpy.typing import ArrayLike

from lip2wav_hf.errors import Lip2WavError
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
from lip2wav_hf.metrics.pairs import SoundPair
from lip2wav_hf.metrics.synchrony import load_sync_network, mouth_regions
from lip2wav_hf.metrics.waveforms import check_waveform, mean_of_scored, resample


SILENT_RANGE = 2 / 32768  # two steps of 16-bit samples
MIN_FRAMES = 40  # so that the farthest shifts, 15 frames, still compare 25 frames

_DESCRIPTION = """\
Audio-visual synchrony of a video of a talking face and a sound: the offset, in video frames of 40 ms (positive: the
sound is late), and the confidence, median minus minimum of the mean distance over shifts of -15 to 15 frames.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of float sequences): the waveforms, full scale at 1.
    references (list of str): the video files, in the same order; with mouth_crops, names for messages only.
    sampling_rate (int): the rate of all waveforms, in Hz; they are resampled from it to 16 kHz.
    mouth_crops (list of arrays, optional): gray pictures of the mouths at 25 frames/s, so that no face need be tracked
        again: either the regions (frames, 48, 72) that Lip2WavFeatureExtractor.extract returns, or their centre crops
        (frames, 40, 64).
Returns:
    av_confidence (float): mean confidence over all clips, 0 for those without a defined offset.
    av_offset, av_absolute_offset (float): means of the offset and of its absolute value, in frames, over the clips
        that have one; NaN if none has.
    av_within_one_frame (float): share of the clips with a defined offset whose offset is -1, 0 or 1; NaN if none is.
    av_confidence_per_clip, av_offset_per_clip, av_distance_per_clip (list of float): NaN where undefined.
    cut_samples (list of int): by how many samples a waveform was longer than its video, at sampling_rate.
    silent_predictions, still_pictures (int): clips without a defined offset, because nothing sounds or moves.
Examples:
    >>> av_sync = evaluate.load(metric_folder("av_sync"))
    >>> av_sync.compute(predictions=[speech], references=["clip.mkv"], sampling_rate=16000)  # doctest: +SKIP
"""

_CITATION = """\
@inproceedings{chung2016out,
  title={Out of time: automated lip sync in the wild},
  author={Chung, Joon Son and Zisserman, Andrew},
  booktitle={Workshop on Multi-view Lip-reading, ACCV}, year={2016}
}
"""


class MouthCropsError(Lip2WavError):
    """Mouth crops that cannot be compared with a sound."""


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
        MouthCropsError: for crops of another shape, or too small; for less than 1.6 s of picture or of sound; for both
            or neither of `video` and `mouth_crops`.
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
        raise MouthCropsError(
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
    own = av_sync_clip(pair.prediction, pair.sampling_rate, mouth_crops=regions)
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


@add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class AvSync(evaluate.Metric):
    """Offset and confidence between mouths and sounds."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float32")),
                    "references": datasets.Value("string"),
                }
            ),
            reference_urls=["https://www.robots.ox.ac.uk/~vgg/software/lipsync/"],
        )

    def _compute(
        self, predictions: list, references: list[str], sampling_rate: int, mouth_crops: list | None = None
    ) -> dict[str, Any]:
        if mouth_crops is not None and len(mouth_crops) != len(predictions):
            raise MouthCropsError(f"mouth crops of {len(mouth_crops)} clips for {len(predictions)} waveforms.")
        clips = [
            av_sync_clip(
                waveform,
                sampling_rate,
                video=references[index] if mouth_crops is None else None,
                mouth_crops=None if mouth_crops is None else mouth_crops[index],
                index=index,
            )
            for index, waveform in enumerate(predictions)
        ]
        offsets = [clip["offset"] for clip in clips]
        sizes = [abs(offset) for offset in offsets]
        return {
            "av_confidence": mean_of_scored([clip["confidence"] for clip in clips]),
            "av_offset": mean_of_scored(offsets),
            "av_absolute_offset": mean_of_scored(sizes),
            "av_within_one_frame": mean_of_scored([size if np.isnan(size) else float(size <= 1) for size in sizes]),
            "av_confidence_per_clip": [clip["confidence"] for clip in clips],
            "av_offset_per_clip": offsets,
            "av_distance_per_clip": [clip["distance"] for clip in clips],
            "cut_samples": [clip["cut_samples"] for clip in clips],
            "silent_predictions": sum(clip["outcome"] == "silent prediction" for clip in clips),
            "still_pictures": sum(clip["outcome"] == "still picture" for clip in clips),
        }
