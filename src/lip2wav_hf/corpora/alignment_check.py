"""How well an alignment finds the word boundaries of clips whose times are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .align_clips import align_clips
from .clips import Clip, CorpusError, TimedWord


PERCENTILES = (50, 90)


@dataclass(frozen=True)
class BoundaryErrors:
    """
    Distances between the boundaries found and the true ones: the beginning and the end of each word.

    Attributes:
        clips (`int`): how many.
        boundaries (`int`): how many.
        median (`float`), percentile_90 (`float`): of the distances, in ms.
        bias (`float`): the median of found minus true, in ms: above 0 where words are found too late.
    """

    clips: int
    boundaries: int
    median: float
    percentile_90: float
    bias: float


@dataclass(frozen=True)
class AlignmentCheck:
    """
    Boundary errors of an alignment.

    Attributes:
        overall ([`BoundaryErrors`]): of all clips.
        speakers (`dict[str, BoundaryErrors]`): of each speaker, in the order of the clips.
        doubtful (`int`): clips with a score below [`DOUBTFUL`]; they count.
        problems (`dict[str, str]`): why clips could not be aligned, by key; they do not count.
    """

    overall: BoundaryErrors
    speakers: dict[str, BoundaryErrors]
    doubtful: int
    problems: dict[str, str]

    @property
    def worst(self) -> str:
        """The speaker with the highest 90th percentile."""
        return max(self.speakers, key=lambda name: self.speakers[name].percentile_90)

    def describe(self) -> str:
        """A table, a line for each speaker, and the worst one named."""
        lines = [f"{'speaker':<12} {'clips':>5} {'median':>7} {'90 %':>7} {'bias':>7}   ms"]
        for name, errors in [*self.speakers.items(), ("all", self.overall)]:
            cells = f"{errors.median:>7.0f} {errors.percentile_90:>7.0f} {errors.bias:>+7.0f}"
            lines.append(f"{name:<12} {errors.clips:>5} {cells}")
        lines.append(f"worst speaker: {self.worst}; doubtful clips: {self.doubtful}")
        lines += [f"not aligned: {key}: {problem}" for key, problem in self.problems.items()]
        return "\n".join(lines)


def boundary_differences(found: Sequence[TimedWord], true: Sequence[TimedWord]) -> np.ndarray:
    """Found minus true beginning and end of each word, in ms, `(words, 2)`."""
    pairs = zip(found, true, strict=True)
    return np.array([(1000 * (own[0] - right[0]), 1000 * (own[1] - right[1])) for own, right in pairs])


def measure(differences: Sequence[np.ndarray]) -> BoundaryErrors:
    """The errors of some clips, each given by its [`boundary_differences`]."""
    values = np.concatenate(differences).ravel()
    median, high = np.percentile(np.abs(values), PERCENTILES)
    return BoundaryErrors(len(differences), len(values), float(median), float(high), float(np.median(values)))


def check_alignment(clips: Sequence[Clip], model: str, num_workers: int = 1, progress: bool = False) -> AlignmentCheck:
    """
    Align clips whose word times are known, and compare.

    Args:
        clips (`Sequence[Clip]`): those without word times are left out.
        model (`str`): of the speech encoder, as [`WordAligner.load`] takes it.
        num_workers (`int`, *optional*, defaults to 1): processes.
        progress (`bool`, *optional*, defaults to `False`): show a progress bar.

    Raises:
        CorpusError: if no clip has word times and can be aligned.
        ModelError, OSError, ValueError: if there is no such speech encoder.
    """
    true = {clip.key: times for clip in clips if clip.words and (times := clip.timed_words())}
    differences: dict[str, list[np.ndarray]] = {}
    doubtful, problems = 0, {}
    for done in align_clips([clip for clip in clips if clip.key in true], model, num_workers, progress):
        if done.alignment is None:
            problems[done.clip.key] = done.problem
            continue
        doubtful += done.alignment.doubtful
        pairs = boundary_differences(done.alignment.words, true[done.clip.key])
        differences.setdefault(done.clip.speaker, []).append(pairs)
    if not differences:
        reason = next(iter(problems.values()), "none of them has word times to compare with.")
        raise CorpusError(f"no clip of {len(clips)} can be checked: {reason}")
    every = [each for own in differences.values() for each in own]
    speakers = {name: measure(own) for name, own in differences.items()}
    return AlignmentCheck(measure(every), speakers, doubtful, problems)


__all__ = ["AlignmentCheck", "BoundaryErrors", "boundary_differences", "check_alignment", "measure"]
