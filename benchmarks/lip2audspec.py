"""How much of speech survives the auditory spectrogram and its inverse, and the autoencoder of Lip2AudSpec.

    python benchmarks/lip2audspec.py path/to/grid --speakers s1 --autoencoder lip2audspec-grid-s1

For each clip of a split, the sound becomes an auditory spectrogram and sound again, as it is and through the 32
numbers per frame of the autoencoder. The table has the means over the clips: correlation of the spectrogram that is
turned into sound, and of that of the sound which was made, with the original's; and quality and intelligibility of the
sound.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from lip2wav_hf.audio import read_audio
from lip2wav_hf.corpora.load import load_clips
from lip2wav_hf.metrics.pesq.score import pesq_pair
from lip2wav_hf.metrics.stoi.score import stoi_pair
from lip2wav_hf.models import load_network


COLUMNS = ("spectrogram", "of the sound", "PESQ-nb", "STOI", "ESTOI", "processor s")


def correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


@torch.no_grad()
def score(autoencoder, original: torch.Tensor, wanted: torch.Tensor, spectrogram: torch.Tensor) -> list[float]:
    start, rate = time.process_time(), autoencoder.config.sampling_rate
    sound = autoencoder.sound(spectrogram)
    seconds = time.process_time() - start
    again = autoencoder.standardised(sound)
    pair = sound[0].numpy()[: original.shape[1]], original[0].numpy()
    stoi = stoi_pair(*pair, rate)
    values = [correlation(spectrogram, wanted), correlation(again, wanted), pesq_pair(*pair, rate)["pesq_nb"]]
    return [*values, stoi["stoi"], stoi["estoi"], seconds]


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--speakers", nargs="+")
    parser.add_argument("--autoencoder", required=True, help="a folder or a model")
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    autoencoder = load_network(options.autoencoder, "lip2audspec_autoencoder").eval()
    clips = load_clips(options.corpus, options.split, speakers=options.speakers)[: options.limit]
    rows: dict[str, list[list[float]]] = {"inverse alone": [], "through the autoencoder": []}
    for clip in clips:
        sound = read_audio(clip.source, autoencoder.config.sampling_rate)
        original = torch.from_numpy(np.asarray(sound, np.float32))[None]
        wanted = autoencoder.standardised(original)
        rows["inverse alone"].append(score(autoencoder, original, wanted, wanted))
        coded = autoencoder(wanted).spectrogram
        rows["through the autoencoder"].append(score(autoencoder, original, wanted, coded))
    print(f"{len(clips)} clips\n\n| | {' | '.join(COLUMNS)} |\n|---{'|---' * len(COLUMNS)}|")
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in np.mean(values, axis=0))} |")


if __name__ == "__main__":
    main()
