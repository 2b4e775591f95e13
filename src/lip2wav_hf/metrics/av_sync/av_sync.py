"""The `evaluate` module of audio-visual synchrony, which `score.py` computes."""

from typing import Any

import datasets
import evaluate
import numpy as np
from evaluate.utils.file_utils import add_start_docstrings

from lip2wav_hf.metrics.av_sync.score import MouthCropsError, av_sync_clip
from lip2wav_hf.metrics.waveforms import mean_of_scored


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
