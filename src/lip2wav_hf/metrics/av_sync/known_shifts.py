"""How well `av_sync` finds known shifts of real clips: the numbers of the card of `checkpoints/grid-sync`.

    python -m lip2wav_hf.metrics.av_sync.known_shifts path/to/grid --split unseen_validation

The sound of each clip is put off by -5 … 5 frames, with silence where it then lacks; a shift is found if the offset is
at most one frame from it, GRID's own offset included. The sound of the next clip by another speaker, if there is one,
shows what confidence a wrong sound gets.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lip2wav_hf.audio import read_audio
from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.corpora.registry import load_split
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
from lip2wav_hf.metrics.av_sync.score import av_sync_clip
from lip2wav_hf.metrics.waveforms import WaveformError


SHIFTS = range(-5, 6)
SAMPLING_RATE = 16000
SAMPLES_PER_FRAME = SAMPLING_RATE // 25


def put_off(waveform: np.ndarray, frames: int) -> np.ndarray:
    """A sound that comes `frames` video frames later (or earlier, if negative), padded with silence."""
    samples = abs(frames) * SAMPLES_PER_FRAME
    if frames >= 0:
        return np.pad(waveform, (samples, 0))[: len(waveform)]
    return np.pad(waveform[samples:], (0, samples))


def measure_shifts(clips: list[Clip], shifts: Sequence[int] = SHIFTS) -> dict[str, Any]:
    """
    Offsets found for known shifts of clips.

    Args:
        clips (`list[Clip]`): real clips, whose own offset is about 0.
        shifts (sequence of `int`, *optional*, defaults to -5 … 5): in video frames, positive for a late sound.

    Returns:
        `dict`: `clips` and `shifts` (int, their numbers), `found` (share of all pairs of clip and shift found to
        within one frame), `found_beside_own_offset` (the same, less the offset found for the clip as it is),
        `found_by_shift` and `found_by_speaker` (dict), `clips_always_found` (share of the clips
        for which every shift is), `own_offsets` (dict: how many clips have which offset as they are), `confidence`
        and `wrong_sound_confidence` (float, means), `right_sound_preferred` (share of clips whose own sound gets the
        higher confidence).

    Raises:
        WaveformError: for no clip, or one without sound.
    """
    if not clips:
        raise WaveformError("there is no clip whose sound could be shifted.")
    extractor = Lip2WavFeatureExtractor()
    regions = [extractor.extract(clip.source).regions for clip in clips]
    waveforms = [_sound(clip) for clip in clips]

    def sync(number: int, waveform: np.ndarray) -> dict[str, Any]:
        return av_sync_clip(waveform, SAMPLING_RATE, mouth_crops=regions[number], index=number)

    def offset(number: int, shift: int) -> float:
        return (sync(number, put_off(waveforms[number], shift)) if shift else own[number])["offset"]

    own = [sync(number, waveform) for number, waveform in enumerate(waveforms)]
    errors = np.array([[offset(number, shift) - shift for shift in shifts] for number in range(len(clips))])
    found = np.abs(errors) <= 1
    wrong = [sync(number, waveforms[_another(clips, number)])["confidence"] for number in range(len(clips))]
    speakers = sorted({clip.speaker for clip in clips})
    return {
        "clips": len(clips),
        "shifts": len(found[0]),
        "found": float(found.mean()),
        "found_beside_own_offset": float((np.abs(errors - [[result["offset"]] for result in own]) <= 1).mean()),
        "found_by_shift": {str(shift): float(share) for shift, share in zip(shifts, found.mean(0), strict=True)},
        "found_by_speaker": {
            speaker: float(found[[clip.speaker == speaker for clip in clips]].mean()) for speaker in speakers
        },
        "clips_always_found": float(found.all(1).mean()),
        "own_offsets": {str(int(k)): n for k, n in sorted(_offsets(own).items())},
        "confidence": float(np.mean([result["confidence"] for result in own])),
        "wrong_sound_confidence": float(np.mean(wrong)),
        "right_sound_preferred": float(
            np.mean([result["confidence"] > other for result, other in zip(own, wrong, strict=True)])
        ),
    }


def _sound(clip: Clip) -> np.ndarray:
    waveform = read_audio(clip.source, SAMPLING_RATE)
    if waveform is None:
        raise WaveformError(f"{clip.key}: the video has no sound.")
    return waveform


def _offsets(results: list[dict[str, Any]]) -> Counter[float]:
    """How many clips have which offset; those without one are left out."""
    return Counter(result["offset"] for result in results if not np.isnan(result["offset"]))


def _another(clips: list[Clip], number: int) -> int:
    """The next clip by another speaker; the next of all if there is only one."""
    numbers = [(number + step) % len(clips) for step in range(1, len(clips) + 1)]
    return next((other for other in numbers if clips[other].speaker != clips[number].speaker), numbers[0])


def main() -> None:
    """The command line: prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="folder of GRID")
    parser.add_argument("--split", default="unseen_validation", help="one of its splits")
    parser.add_argument("--speakers", nargs="*", help="only these speakers")
    options = parser.parse_args()
    clips = load_split(options.data, options.split, options.speakers)
    print(json.dumps({"split": options.split} | measure_shifts(clips), indent=2))


if __name__ == "__main__":
    main()
