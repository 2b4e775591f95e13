"""How far the sound of clips is out of sync with their pictures, and how well that is known.

    python benchmarks/sound_offsets.py --data GRID --split validation

A table for docs/metrics.md. For each speaker: mean and standard deviation of the offsets that the sync network finds;
the median difference between the offsets of the first and of the second half of a clip, looked at alone; and that from
the shift at which the energy envelope of what a generator says, from the picture alone, fits the original best (within
±2 video frames).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

import lip2wav_hf
from lip2wav_hf import Lip2WavFeatureExtractor, Lip2WavModel
from lip2wav_hf.audio import read_audio
from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.corpora.registry import load_split
from lip2wav_hf.evaluation.scoring import SAMPLING_RATE, find_shift
from lip2wav_hf.metrics.synchrony import find_sound_offset


FRAME = 640  # samples


def measure_clip(clip: Clip, model: Lip2WavModel, extractor: Lip2WavFeatureExtractor) -> tuple[float, ...]:
    """Offsets in seconds: of a clip, of its first and second half, and as found from the generator's speech."""
    regions = extractor.extract(str(clip.video)).regions
    sound = read_audio(clip.video, SAMPLING_RATE)
    half = len(regions) // 2
    pixels = torch.from_numpy(extractor.normalize(extractor.center_crop(regions)))[None, :, None]
    spoken = model.synthesize(pixels).waveform[0].numpy()
    return (
        find_sound_offset(regions, sound)[0],
        find_sound_offset(regions[:half], sound[: half * FRAME])[0],
        find_sound_offset(regions[half:], sound[half * FRAME :])[0],
        -find_shift(spoken, sound, 0.08),
    )


def table(clips: list[Clip], model: Lip2WavModel, extractor: Lip2WavFeatureExtractor) -> str:
    """The offsets of each speaker as Markdown."""
    lines = [
        "| speaker | clips | mean | standard deviation | halves: median difference | generator: median difference |",
        "|---|---|---|---|---|---|",
    ]
    for speaker in sorted({clip.speaker for clip in clips}):
        own = [clip for clip in clips if clip.speaker == speaker]
        whole, first, second, spoken = 1000 * np.array([measure_clip(clip, model, extractor) for clip in own]).T
        numbers = (whole.mean(), whole.std(), np.median(np.abs(first - second)), np.median(np.abs(whole - spoken)))
        lines.append(f"| {speaker} | {len(own)} | {' | '.join(f'{number:.0f} ms' for number in numbers)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of GRID")
    parser.add_argument("--split", default="validation", help="one of its splits (default: validation)")
    parser.add_argument("--model", default=lip2wav_hf.DEFAULT_CHECKPOINT, help="the generator (default: the bundled)")
    arguments = parser.parse_args()
    try:
        model = Lip2WavModel.from_pretrained(arguments.model).eval()
        extractor = Lip2WavFeatureExtractor.from_pretrained(arguments.model)
        print(table(load_split(arguments.data, arguments.split), model, extractor))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
