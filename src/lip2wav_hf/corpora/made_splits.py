"""Splits for a corpus that has none: seeded, by speaker or by sentence, the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ..errors import counted
from .clips import Clip, Splits


SHARES = {"validation": 0.1, "test": 0.1}  # the rest is for training; our choice
SPEAKERS_NEEDED = 10  # from so many speakers on, whole speakers are held back


@dataclass(frozen=True)
class MadeSplits:
    """
    Splits that nobody gave, and how they were made.

    Attributes:
        splits (`dict`): split -> speaker -> names. Each split has a clip where there are enough to divide.
        by (`str`): what is held back: `"speaker"`, `"sentence"` or `"clip"`.
        seed (`int`): of the choice.
        groups (`dict[str, int]`): how many speakers, sentences or clips each split has.
    """

    splits: Splits
    by: str
    seed: int
    groups: dict[str, int]

    def describe(self) -> str:
        """One line, such as `"split by speaker: train 50 speakers, validation 6, test 6, seed 0"`."""
        (first, count), *others = ((split, count) for split, count in self.groups.items() if count)
        counts = ", ".join([f"{first} {counted(count, self.by)}", *(f"{split} {count}" for split, count in others)])
        return f"split by {self.by}: {counts}, seed {self.seed}"


def shuffled(prefix: str, names: Iterable[str]) -> list[str]:
    """Names in an order that looks random but depends on nothing else: by the SHA-256 of `prefix/name`."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{prefix}/{name}".encode()).digest())


def make_splits(
    clips: Sequence[Clip], seed: int = 0, by: str | None = None, unusable: Collection[str] = ()
) -> MadeSplits:
    """
    Divide clips among `train`, `validation` and `test`. Those without words, which nobody trains or measures with, and
    those known to be of no use, go to `train` and count nowhere, unless there are no others.

    Args:
        clips (`Sequence[Clip]`): all of a corpus.
        seed (`int`, *optional*, defaults to 0): other seeds give other splits.
        by (`str`, *optional*): `"speaker"` holds whole speakers back, to measure on strangers; `"sentence"` holds
            sentences back, each with all its repetitions; `"clip"` holds clips back. By default speakers from ten
            speakers on, sentences where each is said less than twice on average, else clips.
        unusable (collection of `str`, *optional*): keys of such clips.

    Returns:
        [`MadeSplits`].
    """
    told = [clip for clip in clips if clip.key not in unusable] or list(clips)
    told = [clip for clip in told if clip.words] or told
    keys = {clip.key for clip in told}
    untold, clips = [clip for clip in clips if clip.key not in keys], told
    by = by or _kind(clips)
    groups: dict[str, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(_group(clip, by), []).append(clip)
    order, counts = shuffled(str(seed), groups), {}
    splits: Splits = {"train": {}, "validation": {}, "test": {}}
    position = 0
    for split, share in SHARES.items():
        count = max(round(share * len(order)), 1) if len(order) > len(SHARES) else 0
        _add(splits[split], [clip for name in order[position : position + count] for clip in groups[name]])
        position, counts[split] = position + count, count
    rest = [clip for name in order[position:] for clip in groups[name]]
    _add(splits["train"], [*rest, *untold])
    counts = {"train": len(order) - position} | counts
    return MadeSplits({split: speakers for split, speakers in splits.items() if speakers}, by, seed, counts)


def _kind(clips: Sequence[Clip]) -> str:
    if len({clip.speaker for clip in clips}) >= SPEAKERS_NEEDED:
        return "speaker"
    sentences = {clip.words for clip in clips}
    return "sentence" if len(clips) < 2 * len(sentences) else "clip"


def _group(clip: Clip, by: str) -> str:
    return {"speaker": clip.speaker, "sentence": " ".join(clip.words or (clip.key,)), "clip": clip.key}[by]


def _add(split: dict[str, list[str]], clips: Sequence[Clip]) -> None:
    for clip in sorted(clips, key=lambda clip: (clip.speaker, clip.name)):
        split.setdefault(clip.speaker, []).append(clip.name)


__all__ = ["MadeSplits", "make_splits", "shuffled"]
