"""Whether recordings under one name are of two people, by their voices."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import MissingExtraError
from ..metrics.registry import check_packages
from .checking import recording_name
from .preparing import Recordings


# The limits are our choices; docs/adapt.md has what they find and miss.
FEWEST_OF_A_VOICE = 2  # recordings: a single one may be a cough, or a noise
FEWEST_COMPARED = 2 * FEWEST_OF_A_VOICE
UNLIKE = 0.62  # mean similarity of two groups, at most, that are of two voices
CLOSER = 0.10  # by so much the smaller group's recordings are more like each other than like the others
MOST_STARTS, MOST_PASSES = 100, 20  # of the grouping
MOST_NAMED = 5  # recordings in a note


def find_other_voice(embeddings: np.ndarray) -> np.ndarray:
    """
    Recordings of another voice than most.

    They are divided into two groups by 2-means on the sphere, started from each recording and the one least like it.
    The groups are of two voices if both have two recordings or more, the mean similarity across them is at most 0.62,
    and that within the smaller group is higher by 0.10 at least; of several such divisions, the one where it is higher
    by most counts.

    Args:
        embeddings (`np.ndarray` of shape `(recordings, size)`): of the voices, each of length 1.

    Returns:
        `np.ndarray`: numbers of the recordings of the smaller group, in order; of equal ones, the group without the
        first recording. Empty where all may be of one voice, and for fewer than four recordings.
    """
    best, found = CLOSER, np.zeros(0, int)
    if len(embeddings) < FEWEST_COMPARED:
        return found
    similarity = embeddings @ embeddings.T
    for smaller in _divisions(embeddings, similarity):
        count = int(smaller.sum())
        across = similarity[np.ix_(smaller, ~smaller)].mean()
        within = (similarity[np.ix_(smaller, smaller)].sum() - count) / (count * (count - 1))
        if across <= UNLIKE and within - across >= best:
            best, found = within - across, np.flatnonzero(smaller)
    return found


def _divisions(embeddings: np.ndarray, similarity: np.ndarray) -> list[np.ndarray]:
    """Divisions into two groups of two or more: the smaller group of each, `(recordings,)` of `bool`."""
    count, found = len(embeddings), {}
    for start in range(0, count, -(-count // MOST_STARTS)):
        group = similarity[start] > similarity[similarity[start].argmin()]
        for _ in range(MOST_PASSES):
            if not 0 < group.sum() < count:
                break
            first, second = (embeddings[side].mean(0) for side in (group, ~group))
            moved = embeddings @ (first / np.linalg.norm(first) - second / np.linalg.norm(second)) > 0
            if (moved == group).all():
                break
            group = moved
        if group.sum() > count / 2 or (2 * group.sum() == count and group[0]):
            group = ~group
        if group.sum() >= FEWEST_OF_A_VOICE:
            found[group.tobytes()] = group
    return list(found.values())


def compare_voices(recordings: Recordings, enough: Callable[[], bool] = lambda: False) -> tuple[tuple[str, ...], str]:
    """
    Look whether recordings under one name are of two people. Without Resemblyzer, nobody looks.

    Args:
        recordings ([`Recordings`]): that can be used, with their own sound.
        enough (`Callable`, *optional*): asked before each recording whether to listen to no more.

    Returns:
        `tuple`: names of the recordings of another voice than most, and what to say of them; both empty where there
        are none, and where the recordings have several names, or fewer than four have sound.
    """
    clips = [clip for clip in recordings.clips if clip.key not in recordings.silent]
    if len(clips) < FEWEST_COMPARED or len({clip.speaker for clip in recordings.clips}) > 1 or not _can_listen():
        return (), ""
    from ..metrics.speaker_similarity.score import speaker_embedding  # noqa: PLC0415  of another extra

    timely = itertools.takewhile(lambda _: not enough(), clips)
    heard = [(recording_name(clip), speaker_embedding(recordings.waveform(clip))) for clip in timely]
    voices = [(name, embedding) for name, embedding in heard if embedding is not None]
    found = find_other_voice(np.array([embedding for _, embedding in voices]))
    other = tuple(sorted(voices[number][0] for number in found))
    return other, _note(other, len(voices)) if other else ""


def _can_listen() -> bool:
    try:
        check_packages(["speaker_similarity"])
    except MissingExtraError:
        return False
    return True


def _note(other: tuple[str, ...], count: int) -> str:
    named = ", ".join(Path(name).name for name in other[:MOST_NAMED])
    more = f" and {len(other) - MOST_NAMED} more" if len(other) > MOST_NAMED else ""
    return (
        f"There may be two people in these recordings: {len(other)} of {count} do not sound like the other"
        f" {count - len(other)}: {named}{more}. If so, put each person's into a folder of their own, and run once for"
        " each; or name the people in the column speaker of metadata.csv, for one model of both. One person, hoarse or"
        " with another microphone, may sound like two: then leave all as it is."
    )


__all__ = ["compare_voices", "find_other_voice"]
