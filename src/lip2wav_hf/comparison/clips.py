"""Which clips a gallery shows: videos, or some of each split of a corpus."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..corpora.registry import EVERY_SPLIT, find_learnt, learnt_remark, load_meant, open_corpus
from ..errors import counted, require_packages
from ..evaluation.clips import NO_SPEAKER, Clip, Key, scored_clip
from ..evaluation.judging import Words, find_words
from ..evaluation.options import ClipSelection, JudgeOptions
from ..evaluation.systems import normalizer_of
from ..metrics.registry import EXTRA
from .systems import ComparisonError


UNSEEN = "unseen"
"""How splits of speakers begin that no training has seen."""


@dataclass(frozen=True)
class Part:
    """
    Clips that are shown under one heading.

    Attributes:
        title (`str`): the heading.
        clips (`list[Clip]`): the clips.
        note (`str`): which clips these are.
        unseen (`bool`): whether no training has seen their speakers.
        learnt (`frozenset[Key]`): those that trainings take, where clips of every split are shown.
        remark (`str`): what that means.
    """

    title: str
    clips: list[Clip]
    note: str = ""
    unseen: bool = False
    learnt: frozenset[Key] = frozenset()
    remark: str = ""


@dataclass(frozen=True)
class Shown:
    """
    What a gallery shows.

    Attributes:
        parts (`list[Part]`): the clips.
        words ([`Words`]): who hears their words.
    """

    parts: list[Part]
    words: Words = field(default_factory=Words)

    @property
    def clips(self) -> list[Clip]:
        """All clips."""
        return [clip for part in self.parts for clip in part.clips]


def videos_shown(videos: Sequence[str], work: Path) -> Shown:
    """
    Videos of which nothing else is known.

    Args:
        videos (sequence of `str`): paths.
        work (`Path`): a folder for what is made on the way.

    Raises:
        ComparisonError: if one is not there, or is named twice.
    """
    clips, seen, names = [], set(), _distinct(Path(video).stem for video in videos)
    for number, (video, name) in enumerate(zip(videos, names, strict=True)):
        path = Path(video)
        if not path.is_file():
            raise ComparisonError(f"{video}: there is no such video file. A gallery takes files, no addresses.")
        if path.resolve() in seen:
            raise ComparisonError(f"{video}: this video is given more than once. Name it once.")
        seen.add(path.resolve())
        clips.append(Clip(NO_SPEAKER, name, path, work / f"{number}.wav"))
    return Shown([Part("Videos", clips)])


def _distinct(names: Iterable[str]) -> list[str]:
    """The names, numbered where one comes again: `a`, `a (2)`."""
    found: list[str] = []
    for name in names:
        numbered = itertools.chain([name], (f"{name} ({number})" for number in itertools.count(2)))
        found.append(next(each for each in numbered if each not in found))
    return found


def corpus_shown(selection: ClipSelection, counts: Mapping[str, int | None], model: Any, work: Path) -> Shown:
    """
    Some clips of each of some splits of a corpus, spread evenly over its speakers and over the list of each.

    Args:
        selection ([`ClipSelection`]): the corpus, its split scheme, and perhaps speakers.
        counts (mapping of `str` to `int`, *optional*): the splits, and how many clips of each; `None` for all.
        model: a model, whose form the words are brought to.
        work (`Path`): a folder for what is made on the way.

    Raises:
        CorpusError: if a split, a speaker or a clip is missing.
        ComparisonError: if a split holds no clip.
        MissingExtraError: if the extra `evaluate` is not installed.
    """
    require_packages(EXTRA, "a gallery of a corpus", "jiwer", "scipy")
    corpus, parts = open_corpus(selection.data_dir, normalizer_of(model)), []
    people = selection.speakers or ()
    named = f", of {', '.join(people)} only" if people else ""
    which = "which has" if not people else "who has" if len(people) == 1 else "who have"
    for split, count in counts.items():
        loaded = load_meant(corpus, split, selection.of_corpus)
        found = [clip for own in loaded.values() for clip in own]
        if not found:
            raise ComparisonError(f"{selection.data_dir}: the split {split!r} holds no clip.")
        scored = {clip.key: scored_clip(clip, work / split) for clip in found}
        clips = list(scored.values())
        chosen = spread(clips, count)
        of_split = "" if split == EVERY_SPLIT else f" of the split {split}"
        note = f"{counted(len(chosen), 'clip')}{of_split} of {selection.data}{named}"
        if len(chosen) < len(clips):
            note += f", {which} {len(clips)}: spread evenly over its speakers and their lists, not chosen by result"
        unseen = split.startswith(UNSEEN)
        title = "Speakers never seen in training" if unseen else f"Split {split}" if of_split else "All clips"
        learnt = {scored[key].key for key in find_learnt(corpus, split, loaded, selection.of_corpus)}
        learnt &= {clip.key for clip in chosen}
        remark = learnt_remark(corpus, len(learnt), len(chosen), selection.of_corpus) if learnt else ""
        note = ". ".join(filter(None, (note, remark)))
        parts.append(Part(title, chosen, f"{note}.", unseen, frozenset(learnt), remark))
    whole = replace(selection.of_corpus, speakers=None, any_split=True)

    def sentences() -> list[str]:
        loaded, _ = corpus.find_clips(whole)
        return [" ".join(clip.words) for own in loaded.values() for clip in own if clip.words is not None]

    words = find_words((clip.sentence for part in parts for clip in part.clips), JudgeOptions(), sentences)
    return Shown(parts, words)


def spread(clips: Sequence[Clip], count: int | None) -> list[Clip]:
    """
    Some of several clips, in their order: as many of each speaker as of the others, evenly spaced in the speaker's
    list.

    Args:
        clips (sequence of [`Clip`]): the clips.
        count (`int`, *optional*): how many; all by default.
    """
    if count is None or count >= len(clips):
        return list(clips)
    speakers: dict[str, list[int]] = {}
    for number, clip in enumerate(clips):
        speakers.setdefault(clip.speaker, []).append(number)
    shares = dict.fromkeys(speakers, 0)
    while sum(shares.values()) < count:
        for speaker, own in speakers.items():
            if shares[speaker] < len(own) and sum(shares.values()) < count:
                shares[speaker] += 1
    chosen = [own[place * len(own) // shares[name]] for name, own in speakers.items() for place in range(shares[name])]
    return [clips[number] for number in sorted(chosen)]


__all__ = ["Part", "Shown", "corpus_shown", "spread", "videos_shown"]
