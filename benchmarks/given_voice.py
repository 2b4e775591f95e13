"""How like a voice that was given to silent recordings is to that voice.

    python benchmarks/given_voice.py --data path/to/grid --speaker s31 --voices s31,s30,s34
    python benchmarks/given_voice.py --data path/to/grid --speaker s31 --voices s31 --clips 0

Of a speaker's clips, `--clips` are adapted to without their sound (`lip2wav adapt --voice`), once for each voice, that
of `--sounds` clips of a speaker; with none, the voice alone is learnt. Other clips are spoken by the starting model
and by each adapted one. Prints a Markdown table: words read, words that the judge hears, and how like the speech is to
further clips of the voice's owner (Resemblyzer), beside how like these are to one another; where the owner is the
speaker, PESQ and ESTOI too, against the clips' own sound. No clip is in two of these parts.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lip2wav_hf.adaptation.adapt import adapt
from lip2wav_hf.audio import Encoding, read_audio, write_audio, write_pictures
from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.corpora.load import load_clips
from lip2wav_hf.corpora.made_splits import shuffled
from lip2wav_hf.machine import machine
from lip2wav_hf.metrics.judge import GRID_JUDGE
from lip2wav_hf.metrics.pesq.score import pesq_pair
from lip2wav_hf.metrics.recognizers import recognizer
from lip2wav_hf.metrics.speaker_similarity.score import SAMPLING_RATE, speaker_embedding
from lip2wav_hf.metrics.stoi.score import stoi_pair
from lip2wav_hf.metrics.words import word_errors
from lip2wav_hf.models import DEFAULT_MODEL, find_model
from lip2wav_hf.speaking import Speaker


COMPARED = 6  # clips of the voice's owner that the speech is compared with


def clips_of(data: Sequence[str], speaker: str) -> list[Clip]:
    """All clips of a speaker, of any split, in a shuffled order."""
    clips = [clip for folder in data for own in load_clips(folder).values() for clip in own if clip.speaker == speaker]
    if not clips:
        raise SystemExit(f"no clips of {speaker} in {', '.join(data)}")
    by_key = {clip.key: clip for clip in clips}
    return [by_key[key] for key in shuffled("0", by_key)]


def sound_of(clip: Clip) -> np.ndarray:
    """The sound of a clip, `(samples,)` at 16 kHz."""
    sound = read_audio(str(clip.video), SAMPLING_RATE)
    assert sound is not None
    return sound


def silenced(clips: Sequence[Clip], folder: Path) -> Path:
    """A folder of the clips without their sound, as somebody records who has no voice."""
    folder.mkdir(parents=True)
    rows = ["file_name,transcription"]
    for clip in clips:
        write_pictures(str(clip.video), folder / f"{clip.name}.mp4", Encoding())
        rows.append(f"{clip.name}.mp4,{' '.join(clip.words or ())}")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def likeness(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> float:
    """Mean similarity of two groups of embeddings."""
    return statistics.mean(float(one @ other) for one, other in itertools.product(first, second))


class Measured(NamedTuple):
    """Of the words of some clips, the share read wrong and heard wrong, in %; of what is said, the voices, and the
    mean PESQ and ESTOI against the clips' own sound."""

    read: float
    heard: float
    voices: list[np.ndarray]
    pesq: float
    estoi: float


def measure(model: str | Path, clips: Sequence[Clip]) -> Measured:
    """What a model makes of some clips."""
    speaker, judge = Speaker.from_folder(find_model(model)), recognizer(GRID_JUDGE)
    read = heard = words = 0
    voices, pesq, estoi = [], [], []
    for clip in clips:
        spoken, sentence = speaker([str(clip.video)])[0], " ".join(clip.words or ())
        words += len(clip.words or ())
        read += word_errors(sentence, spoken["text"])
        heard += word_errors(sentence, judge.transcribe(spoken["audio"], spoken["sampling_rate"]))
        voices.append(speaker_embedding(spoken["audio"]))
        pair = spoken["audio"], sound_of(clip), SAMPLING_RATE
        pesq.append(pesq_pair(*pair)["pesq_nb"])
        estoi.append(stoi_pair(*pair)["estoi"])
    known = [voice for voice in voices if voice is not None]
    return Measured(100 * read / words, 100 * heard / words, known, statistics.mean(pesq), statistics.mean(estoi))


def main() -> None:
    """Adapt, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, help="folders of GRID")
    parser.add_argument("--speaker", required=True, help="whose lips, such as s31")
    parser.add_argument("--voices", type=lambda text: text.split(","), required=True, help="such as s31,s34")
    parser.add_argument("--clips", type=int, default=10, help="silent ones to adapt to, 0 for none (default 10)")
    parser.add_argument("--sounds", type=int, default=3, help="of each voice (default 3)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each adaptation, at most (default 10)")
    parser.add_argument("--steps", type=int, help="of each adaptation, at most; as lip2wav adapt by default")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="the starting model")
    parser.add_argument("--output", type=Path, default=Path("out/given_voice"), help="a new folder")
    arguments = parser.parse_args()
    own = clips_of(arguments.data, arguments.speaker)
    learnt, others = own[: arguments.clips], own[arguments.clips + arguments.sounds :]
    folder = silenced(learnt, arguments.output / "silent") if learnt else None
    lines, before = [], measure(arguments.model, others)
    for voice in arguments.voices:
        owned = own[arguments.clips :] if voice == arguments.speaker else clips_of(arguments.data, voice)
        place = arguments.output / voice
        place.mkdir(parents=True)
        for clip in owned[: arguments.sounds]:
            write_audio(place / f"{clip.name}.wav", sound_of(clip), SAMPLING_RATE)
        further = [speaker_embedding(sound_of(clip)) for clip in owned[arguments.sounds :][:COMPARED]]
        voices = [each for each in further if each is not None]
        options = {"steps": arguments.steps} if arguments.steps else {}
        adapt(folder, place / "model", model=arguments.model, minutes=arguments.minutes, voice=place, **options)
        pairs = [float(one @ other) for one, other in itertools.combinations(voices, 2)]
        for name, made in (("starting model", before), ("adapted", measure(place / "model", others))):
            sound = f"{made.pesq:.2f} | {made.estoi:.3f}" if voice == arguments.speaker else "- | -"
            lines.append(
                f"| {voice}, {name} | {made.read:.1f} | {made.heard:.1f} | {likeness(made.voices, voices):.3f} |"
                f" {statistics.mean(pairs):.3f} | {sound} |"
            )
    facts = machine()
    print(f"\n{facts['cpu']}, {facts['cores']} cores; lips of {arguments.speaker}, {len(others)} clips\n")
    print(
        "| voice | text WER, % | judge WER, % | similarity to its owner | of the owner's clips to one another |"
        " PESQ-nb | ESTOI |"
    )
    print("|---|---|---|---|---|---|---|", *lines, sep="\n")


if __name__ == "__main__":
    main()
