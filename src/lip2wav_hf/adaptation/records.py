"""What an adaptation reports: problems of recordings, progress, scores, and the result."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..corpora.languages import check_language
from ..errors import Lip2WavError, check_number, check_path


Stage = Literal["loading", "checking", "preparing", "before", "training", "after", "saving"]


class AdaptationError(Lip2WavError):
    """Recordings, a voice or a folder that a model cannot be adapted with."""


class OtherAdaptationError(AdaptationError):
    """A folder that holds an adaptation with other options, from another model or to other recordings: it is not
    replaced unasked."""


STEPS = 200  # of an adaptation's training, at most, unless somebody asks for another number
FEW_STEPS = 20  # with less, a model hardly changes
STOPPING = "stopping after this step"  # message of a training that was interrupted
FINAL_PASS = 0.5  # further steps on all recordings, as a share of those before; our choice


@dataclass(frozen=True)
class Options:
    """
    The arguments of [`adapt`] but for what goes in and out; they are explained there.

    Attributes:
        model, minutes, voice, phrases, seed, steps, final_pass, resume, language, live: as there.
    """

    model: str | os.PathLike | None = None
    minutes: float = 10.0
    voice: str | os.PathLike | None = None
    phrases: Sequence[str] | str | None = None
    seed: int = 0
    steps: int = STEPS
    final_pass: float = FINAL_PASS
    resume: bool = True
    language: str | None = None
    live: bool = False

    def __post_init__(self) -> None:
        for name, wanted in (
            ("model", "a folder or the name of a model"),
            ("voice", "a sound file or a folder of such"),
        ):
            if (place := getattr(self, name)) is not None:
                check_path(place, name, wanted, AdaptationError)
        for name, whole in (("minutes", False), ("final_pass", False), ("steps", True), ("seed", True)):
            wanted = "a whole number" if whole else "a number"
            check_number(getattr(self, name), name, wanted, AdaptationError, whole)
        if self.language is not None:
            check_path(self.language, "language", 'a code such as "en"', AdaptationError)
            check_language(self.language)
        if not self.minutes > 0 or self.steps < 1:
            raise AdaptationError(f"minutes={self.minutes!r}, steps={self.steps!r}: both must be above 0.")
        if not 0 <= self.final_pass < math.inf:
            raise AdaptationError(f"final_pass={self.final_pass!r}: it must be 0 or more.")


@dataclass(frozen=True)
class Problem:
    """
    What is wrong with a recording.

    Attributes:
        kind (`str`): such as `"no_face"`; see [`check_recording`].
        message (`str`): what is wrong, one sentence.
        advice (`str`): what to do about it, one sentence.
        fatal (`bool`): whether the recording cannot be used; otherwise it is, and this is a warning.
    """

    kind: str
    message: str
    advice: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.message} {self.advice}"


@dataclass(frozen=True)
class RecordingCheck:
    """
    What was found in a recording. What could not be measured is `None`.

    Attributes:
        file (`str`): the recording.
        problems (`tuple[Problem, ...]`): what is wrong with it; empty for a good one.
        transcript (`str`, *optional*): what is said.
        seconds (`float`): duration of the pictures.
        face_coverage (`float`, *optional*): share of the frames in which a face was found, 0 to 1.
        light (`float`, *optional*): mean gray level of the mouth region, 0 (black) to 255 (white).
        movement (`float`, *optional*): how much the mouth moves, see `mouth_movement`; of somebody who speaks, 0.2 and
            more.
        has_sound (`bool`): whether speech can be heard in it. A recording without is one of the lips alone.
        level (`float`, *optional*): of the speech in dBFS: the root mean square of its loud parts.
        clipped (`float`, *optional*): share of the samples at full scale.
        sync_offset (`float`, *optional*): by how many seconds the sound is late; `None` where it cannot be told.
        sync_confidence (`float`): how much that offset stands out; from 0.1 on it counts.
        sync_note (`str`): why the offset cannot be told; empty where it can.
    """

    file: str
    problems: tuple[Problem, ...] = ()
    transcript: str | None = None
    seconds: float = 0.0
    face_coverage: float | None = None
    light: float | None = None
    movement: float | None = None
    has_sound: bool = False
    level: float | None = None
    clipped: float | None = None
    sync_offset: float | None = None
    sync_confidence: float = 0.0
    sync_note: str = ""

    @property
    def usable(self) -> bool:
        """Whether a model can learn from it."""
        return not any(problem.fatal for problem in self.problems)


@dataclass(frozen=True)
class Scores:
    """
    How well a model does on recordings that were held back. Rates are fractions; what could not be measured is `None`.

    Attributes:
        clips (`int`): how many recordings.
        text_wer (`float`, *optional*): word error rate of what is read from the lips.
        phrase_accuracy (`float`, *optional*): share of the recordings whose whole sentence is read right, where the
            sentences are a list.
        pesq, stoi, estoi (`float`, *optional*): of the speech against the recorded one: PESQ (narrow band), STOI and
            ESTOI.
        speaker_similarity (`float`, *optional*): of the voice to the recorded one, 0 to 1.
        missing (`str`): what brings the numbers that are missing; empty where none is.
    """

    clips: int
    text_wer: float | None = None
    phrase_accuracy: float | None = None
    pesq: float | None = None
    stoi: float | None = None
    estoi: float | None = None
    speaker_similarity: float | None = None
    missing: str = ""


SCORES = (
    ("words read wrong", "text_wer", "{:.1%}"),
    ("phrases read right", "phrase_accuracy", "{:.0%}"),
    ("PESQ (1 to 4.5)", "pesq", "{:.2f}"),
    ("STOI (0 to 1)", "stoi", "{:.2f}"),
    ("ESTOI (0 to 1)", "estoi", "{:.2f}"),
    ("speaker similarity (0 to 1)", "speaker_similarity", "{:.2f}"),
)
"""Label, field of [`Scores`] and format, as tables show them."""


def score_rows(before: Scores | None, after: Scores | None) -> list[tuple[str, str, str]]:
    """Label, and the number before and after, of what was measured; `"-"` for one that is missing."""
    rows = []
    for label, name, form in SCORES:
        values = [getattr(scores, name, None) for scores in (before, after)]
        if any(value is not None for value in values):
            first, second = (form.format(value) if value is not None else "-" for value in values)
            rows.append((label, first, second))
    return rows


SEEN_LOSS = 0.01  # one per cent of the words, or the last digit of the others


def worse_scores(before: Scores, after: Scores) -> list[str]:
    """Labels of what got worse by more than 3 %, and by enough to be seen in the numbers, which is our choice."""
    worse = []
    for label, name, _ in SCORES:
        first, second = getattr(before, name), getattr(after, name)
        if first is None or second is None:
            continue
        loss = second - first if name == "text_wer" else first - second
        if loss > max(0.03 * first, SEEN_LOSS):
            worse.append(label.partition(" (")[0])
    return worse


@dataclass(frozen=True)
class AdaptationProgress:
    """
    Where an adaptation is.

    Attributes:
        stage (`str`): `"loading"`, `"checking"`, `"preparing"`, `"before"`, `"training"`, `"after"` or `"saving"`.
        fraction (`float`): share of this stage that is done, 0 to 1.
        step (`int`): training steps done.
        loss (`float`, *optional*): of the last training step.
        held_out_error (`float`, *optional*): the loss on the recordings held back, when it was last measured; it is
            what the best model is chosen by.
        message (`str`): one line for a person.
        notes (`tuple[str, ...]`): what its user should know so far, as in [`Adaptation`].
    """

    stage: Stage
    fraction: float
    step: int = 0
    loss: float | None = None
    held_out_error: float | None = None
    message: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Adaptation:
    """
    The result of an adaptation.

    Attributes:
        model (`Path`): folder of the model, for `pipeline("video-to-speech", model=…)` and every command.
        before, after ([`Scores`], *optional*): of the starting model, and of this one as it was before it learnt from
            the recordings held back too, on these; `None` where there were too few to hold any back.
        checks (`tuple[RecordingCheck, ...]`): of all recordings.
        steps (`int`): training steps of the model that `after` is of.
        minutes (`float`): wall clock of the whole call.
        clips (`int`): recordings that it learnt from in these steps.
        held_out (`tuple[str, ...]`): files of the recordings held back.
        final_steps (`int`): further steps that this model has had, on all recordings, those held back included; 0
            where `after` is of this very model.
        voice_steps (`int`): further steps that have taught it the voice of `given_voice`.
        new_words (`tuple[str, ...]`): words that the starting model did not know.
        phrases (`tuple[str, ...]`): the sentences that it answers with, where they are a list; see `grammar=`.
        stopped (`str`): why it ended: `"finished"`, `"no improvement"`, `"time"` or `"asked"`.
        notes (`tuple[str, ...]`): what its user should know, a sentence or more each.
        people (`int`): how many people the recordings name; 1 where they name nobody.
        other_voice (`tuple[str, ...]`): files of the recordings that do not sound like most, where there may be two
            people under one name; a note says what to do.
        given_voice (`int`): how many sound files the voice was brought near, with `voice`; 0 where it is that of the
            recordings, or of the starting model.
        not_used (`tuple[str, ...]`): files of the recordings that could not be used, those that are listed but missing
            included; `checks` say why, and have warnings too.
        left_out (`int`): further recordings, which there was no time to look at.
    """

    model: Path
    before: Scores | None
    after: Scores | None
    checks: tuple[RecordingCheck, ...]
    steps: int
    minutes: float
    clips: int = 0
    held_out: tuple[str, ...] = ()
    final_steps: int = 0
    voice_steps: int = 0
    new_words: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    stopped: str = "finished"
    notes: tuple[str, ...] = field(default=())
    people: int = 1
    other_voice: tuple[str, ...] = ()
    given_voice: int = 0
    not_used: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def recordings(self) -> int:
        """How many recordings there were in all: learnt from, held back, not used and left out."""
        return self.clips + len(self.held_out) + len(self.not_used) + self.left_out


__all__ = [
    "Adaptation",
    "AdaptationError",
    "AdaptationProgress",
    "FINAL_PASS",
    "Options",
    "Problem",
    "RecordingCheck",
    "STEPS",
    "Scores",
    "Stage",
    "score_rows",
    "worse_scores",
]
