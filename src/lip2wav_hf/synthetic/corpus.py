"""Clips and whole GRID-shaped corpora of the synthetic speakers.

Real recordings may not travel with the package, so its sample clip and the corpus of its tests are made here, by a
voice (`voice.py`), a mouth that follows it (`mouth.py`) and a painted head (`face.py`). Everything follows from a
seed: the same arguments give the same sound and the same pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np

from ..corpora.clips import Splits
from ..corpora.progress import progress_bar
from ..files import replacing, write_json, write_text
from ..grammar import GRAMMAR
from ..grid.corpus import ALIGNMENT_RATE, sentence_words
from .face import FRAME_RATE, render_frames
from .plane import FRAME_HEIGHT, FRAME_WIDTH
from .speakers import SPEAKERS, SyntheticError, find_speaker, seeded
from .voice import CLIP_SAMPLES, SAMPLING_RATE, SyntheticSpeech, check_voice, resample, synthesize_speech


# Video codec, pixel format, audio codec and audio rate (Hz) by suffix.
_CONTAINERS = {
    ".mkv": ("libx264", "yuv420p", "flac", SAMPLING_RATE),
    ".mp4": ("libx264", "yuv420p", "aac", SAMPLING_RATE),
    ".mpg": ("mpeg1video", "yuv420p", "mp2", 44_100),
}


def _write_video(path: Path, frames: Iterable[np.ndarray], waveform: np.ndarray | None) -> None:
    """Encode frames, and sound where given, into a file that appears only when complete."""
    codec, pixel_format, audio_codec, audio_rate = _CONTAINERS[path.suffix]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, av.open(str(temporary), "w") as container:
        video = cast(av.VideoStream, container.add_stream(codec, rate=int(FRAME_RATE)))
        video.width, video.height, video.pix_fmt = FRAME_WIDTH, FRAME_HEIGHT, pixel_format
        video.thread_count = 1
        if codec == "libx264":
            video.options = {"crf": "18", "preset": "veryfast", "threads": "1"}
        else:
            video.bit_rate = 1_200_000
        audio = None
        if waveform is not None:
            audio = cast(av.AudioStream, container.add_stream(audio_codec, rate=audio_rate, layout="mono"))
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, int(FRAME_RATE))
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None and waveform is not None:
            _write_sound(container, audio, waveform, audio_rate)


def _write_sound(
    container: av.container.OutputContainer, audio: av.AudioStream, waveform: np.ndarray, audio_rate: int
) -> None:
    """Encode a waveform of 16 kHz into the sound track of a file, at the rate (Hz) of the track."""
    if audio_rate != SAMPLING_RATE:
        waveform = resample(waveform, SAMPLING_RATE, audio_rate)
    pcm = (np.clip(waveform, -1, 1) * 32767).round().astype(np.int16)[None]
    sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm), format="s16", layout="mono")
    sound.sample_rate, sound.pts, sound.time_base = audio_rate, 0, Fraction(1, audio_rate)
    resampler = av.AudioResampler(audio.format, audio.layout, audio_rate, audio.frame_size or None)
    for piece in [*resampler.resample(sound), *resampler.resample(None)]:
        container.mux(audio.encode(piece))
    container.mux(audio.encode(None))


def write_clip(
    path: str | os.PathLike, name: str, speaker: str = "synthetic1", seed: int = 0, sound: bool = True
) -> SyntheticSpeech:
    """Write a clip of a speaker saying a GRID sentence: 3 s, 75 pictures of 360x288 at 25 frames/s.

    Args:
        path (`str` or `os.PathLike`): the file: `.mkv` (H.264, FLAC at 16 kHz), `.mp4` (H.264, AAC at 16 kHz) or
            `.mpg` (MPEG-1, MP2 at 44.1 kHz). It appears only when complete.
        name (`str`): the sentence's name, such as `"bbaf2n"`.
        speaker (`str`, *optional*, defaults to `"synthetic1"`): a name of `SPEAKERS`.
        seed (`int`, *optional*, defaults to 0): varies voice and motion.
        sound (`bool`, *optional*, defaults to `True`): whether the file has an audio track.

    Returns:
        `SyntheticSpeech`: what is said and when, whether or not the file has sound.

    Raises:
        SyntheticError: if the suffix, the speaker or the sentence is unknown.
    """
    path = Path(path)
    if path.suffix not in _CONTAINERS:
        raise SyntheticError(
            f"{path}: cannot write {path.suffix or 'a file without suffix'}; use {', '.join(_CONTAINERS)}."
        )
    speech = synthesize_speech(sentence_words(name), speaker, seed)
    _write_video(path, render_frames(speech, speaker, seed), speech.waveform if sound else None)
    return speech


def sample_sentences(count: int, seed: int = 0, exclude: Iterable[str] = ()) -> list[str]:
    """Names of GRID sentences without repetition, in which each slot's words come up equally often (within one).

    Args:
        count (`int`): how many.
        seed (`int`, *optional*, defaults to 0): of the choice.
        exclude (`Iterable[str]`, *optional*): names never to return.

    Raises:
        SyntheticError: if the count is negative or above the number of distinct sentences (10 000).
    """
    if not 0 <= count <= 10_000:
        raise SyntheticError(f"{count} sentences: ask for 0 to 10000.")
    rng = seeded("sentences", seed)
    slots = [[_initial(word) for word in choices] for choices in GRAMMAR.values()]
    taken, names = set(exclude), []
    while len(names) < count:
        wanted = count - len(names)
        columns = [_balanced(slot, wanted, rng) for slot in slots]
        for name in map("".join, zip(*columns, strict=True)):
            if name not in taken:
                taken.add(name)
                names.append(name)
    return names


def _initial(word: str) -> str:
    """A word's character in a clip's name."""
    digits = GRAMMAR["digit"]
    return "z123456789"[digits.index(word)] if word in digits else word[0]


def _balanced(choices: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """`count` picks that use each choice equally often, in random order."""
    picks: list[str] = []
    while len(picks) < count:
        picks += [choices[index] for index in rng.permutation(len(choices))]
    picks = picks[:count]
    return [picks[index] for index in rng.permutation(count)]


def _write_alignment(path: Path, speech: SyntheticSpeech) -> None:
    """Word times as GRID writes them: `start end word` in 1/25000 s, silence before and after."""
    total = int(round(CLIP_SAMPLES / SAMPLING_RATE * ALIGNMENT_RATE))
    entries, last = [], 0
    for start, end, word in speech.word_times:
        first, stop = int(round(start * ALIGNMENT_RATE)), int(round(end * ALIGNMENT_RATE))
        if first > last:
            entries.append((last, first, "sil" if not entries else "sp"))
        entries.append((first, stop, word))
        last = stop
    entries.append((last, total, "sil"))
    write_text(path, "".join(f"{start} {end} {word}\n" for start, end, word in entries))


def write_corpus(
    folder: str | os.PathLike,
    speakers: Sequence[str] = tuple(SPEAKERS),
    sentences_per_speaker: int = 20,
    seed: int = 0,
    exclude: Iterable[str] = (),
    validation_per_speaker: int | None = None,
    progress: bool = False,
) -> Splits:
    """Write a corpus of synthetic clips, laid out as GRID.

    `folder/video/SPEAKER/NAME.mkv`, `folder/alignments/SPEAKER/NAME.align` and `folder/splits.json`.

    Args:
        folder (`str` or `os.PathLike`): where to; made if missing. Files of the same names are replaced.
        speakers (`Sequence[str]`, *optional*): names of `SPEAKERS`; all by default.
        sentences_per_speaker (`int`, *optional*, defaults to 20): clips per speaker.
        seed (`int`, *optional*, defaults to 0): of sentences, voices and motion.
        exclude (`Iterable[str]`, *optional*): names of sentences to keep out.
        validation_per_speaker (`int`, *optional*): how many of them go to validation; by default a tenth, but
            at least one.
        progress (`bool`, *optional*, defaults to `False`): whether to show a progress bar.

    Returns:
        `dict`: the splits as written: "train", "validation" and "unseen_validation", speaker, names.

    Raises:
        SyntheticError: if a speaker is unknown or the numbers do not fit together.
        MissingExtraError: if the package `espeakng-loader`, which is the voice, is not installed.
    """
    folder = Path(folder)
    if validation_per_speaker is None:
        validation_per_speaker = max(1, sentences_per_speaker // 10)
    if not 0 <= validation_per_speaker < sentences_per_speaker:
        raise SyntheticError(
            f"{validation_per_speaker} validation clips of {sentences_per_speaker} per speaker leave none for"
            " training: ask for fewer."
        )
    for speaker in speakers:
        find_speaker(speaker)
    check_voice()
    names = sample_sentences(sentences_per_speaker * len(speakers), seed, exclude)
    splits: Splits = {"train": {}, "validation": {}, "unseen_validation": {}}
    with progress_bar(None, "synthetic clips", len(names), show=progress) as bar:
        for number, speaker in enumerate(speakers):
            own = names[number :: len(speakers)]
            splits["validation"][speaker] = sorted(own[:validation_per_speaker])
            splits["train"][speaker] = sorted(own[validation_per_speaker:])
            for name in own:
                speech = write_clip(folder / "video" / speaker / f"{name}.mkv", name, speaker, seed)
                _write_alignment(folder / "alignments" / speaker / f"{name}.align", speech)
                bar.update()
    write_json(folder / "splits.json", splits, indent=1)
    return splits


__all__ = ["sample_sentences", "write_clip", "write_corpus"]
