"""
The passes of an adaptation: the first chooses its best step by the recordings held back, the final one learns from all
recordings, and where a voice is given another one learns that.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import logging
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from ..errors import counted, one_line
from ..files import read_json, write_json
from ..modeling_lip2wav import Lip2WavModel
from ..training.arguments import TrainingError
from ..training.clips import PreparedClips
from ..training.networks import freeze_lips
from .hearing import LEAST_CERTAINTY, certainty, faces_of, pieces_of, sound_clips, spoken_level
from .job import Job
from .learning import FINAL_RATE, LEARNING_RATE, VALIDATING, Follower, Learnt, Task, learn
from .preparing import Recordings
from .records import FEW_STEPS, STOPPING
from .scoring import speak_clips
from .starting import freeze_speech, keep_unsaid, load_starting_model
from .voice import Voice, convert


logger = logging.getLogger(__name__)

FIRST_PASS = "first_pass.json"  # in the folder of work: what the first pass has led to, once it is over
LEARNT_FROM = "learnt_from.json"  # in the same folder: what the passes learn from
VOICE = "voice"  # in the folder of the first pass: the one that learns a voice
FEWEST_FINAL_STEPS = 5  # of a final pass that there is too little time for: with less, it is left out
VOICE_RATE = 1e-3  # the highest learning rate of a voice that is learnt from sound alone
HEARD_SHARE, CONVERTED_SHARE = 0.3, 0.5  # of the steps, that learn a voice from sound alone, or after `convert`
SPOKEN_PIECES = 3  # of sound, that tell how loud the model speaks
OTHER_WORDS = (
    "Hardly any words in the sound files are such as the speech encoder knows: the voice is learnt less well."
    " Sentences of words that the starting model knows do better."
)
SWITCHING_SECONDS = 5.0  # of loading and saving, for a further pass


def first_pass(job: Job, task: Task) -> Learnt:
    """Learn from the recordings that are not held back; goes on where it was stopped, and is not done twice. It begins
    again where what there is to learn from is not what it was then."""
    _forget_others(job, task)
    path = job.work / FIRST_PASS
    if path.is_file() and (found := read_json(path))["reason"] == "time":
        forget_passes(job, "time")  # what came after it was stopped, and now there is time again
    elif path.is_file():
        return Learnt(**found | {"folder": task.folder / found["folder"]})
    learnt = learn(_with_frozen_parts(task), _follower(job, task, _following(job, task)))
    if learnt.reason != "asked":
        write_json(path, dataclasses.asdict(learnt) | {"folder": learnt.folder.name})
    return learnt


def _forget_others(job: Job, task: Task) -> None:
    """
    Take away what was learnt from other recordings, or with other words: those that there was time to look at differ
    from call to call, and with them what is held back, the words and their places in the network, and the phrases.
    """
    path, now = job.work / LEARNT_FROM, _learnt_from(task)
    before = read_json(path) if path.is_file() else None
    passes = (job.work / FIRST_PASS, task.folder)
    if before != now and any(place.exists() for place in passes):
        passes[0].unlink(missing_ok=True)
        shutil.rmtree(task.folder, ignore_errors=True)
        sizes = [(each["recordings"], each["words"]) for each in (now, before or now)]
        there_are = " and ".join(
            counted(size, noun) for size, noun in zip(sizes[0], ("recording", "word"), strict=True)
        )
        then = "" if sizes[0] == sizes[1] else f" ({there_are} now; {sizes[1][0]} and {sizes[1][1]} then)"
        note = f"What there is to learn from is not what it was before{then}: the training began again."
        job.notes.append(note)
        job.say("training", 0.0, note)
    write_json(path, now)


def _learnt_from(task: Task) -> dict[str, Any]:
    """How many recordings a task has, and how many words are said in them; `sum` changes with which they are, which of
    them are held back, and with the network: its words in their order, and its phrases."""
    groups = [[(clip.key, clip.words) for clip in clips.clips] for clips in (task.training, task.held_out)]
    network = task.model.config.to_dict()
    network.pop("transformers_version", None)
    everything = json.dumps([groups, network], sort_keys=True, default=str)
    words = {word for group in groups for _, said in group for word in said or ()}
    return {
        "recordings": sum(map(len, groups)),
        "words": len(words),
        "sum": hashlib.sha256(everything.encode()).hexdigest(),
    }


def final_pass(job: Job, task: Task, first: Learnt, recordings: Recordings) -> tuple[Learnt, int]:
    """
    Go on with the best weights of the first pass, and learn from all recordings, those held back included.

    Args:
        job ([`Job`]): the adaptation.
        task ([`Task`]): of the first pass.
        first ([`Learnt`]): what it has led to.
        recordings ([`Recordings`]): all that can be used.

    Returns:
        `tuple[Learnt, int]`: the model, and how many further steps it has had: 0 where it is the one of the first
        pass, because there is nothing more to learn, no time, or it went wrong. Where somebody stops it, the model of
        the first pass counts, and the same call goes on here.
    """
    wanted = max(round(job.options.final_pass * first.best_step), 1)
    if not task.held_out.clips or not job.options.final_pass or first.reason == "asked":
        return first, 0
    possible = int((job.clock.left - SWITCHING_SECONDS) / max(first.seconds, 1e-6) - VALIDATING)
    if possible < min(wanted, FEWEST_FINAL_STEPS):
        job.notes.append("There was no time left to learn from the recordings held back too.")
        return replace(first, reason="time"), 0
    again = replace(
        task,
        training=recordings.prepared(recordings.clips),
        folder=task.folder / "all",
        seed=task.seed + 1,
        steps=wanted,
        learning_rate=FINAL_RATE * LEARNING_RATE,
        chooses=False,
    )
    try:
        again = replace(again, model=load_starting_model(first.folder))
        learnt = learn(_with_frozen_parts(again), _follower(job, again, _voice_share(job, task), first.steps))
    except KeyboardInterrupt:
        return _stopped(job, first)
    except TrainingError as error:
        return _kept(job, again.folder, first, f"it went wrong ({one_line(error)})")
    if learnt.reason == "asked":
        return _stopped(job, first)
    before = math.inf if first.error is None else first.error
    if learnt.error is None:
        return _kept(job, again.folder, first, "in these minutes it could not be seen whether it does good")
    if not math.isfinite(learnt.error) or learnt.error > before:
        return _kept(job, again.folder, first, "it made the recordings held back no better")
    number = len(task.held_out.clips)
    job.notes.append(
        f"In the end the model has also learnt from the {counted(number, 'recording')} held back, in"
        f" {counted(learnt.steps, 'step')}: what is measured on {'it' if number == 1 else 'them'} is the model before"
        " that."
    )
    reason = learnt.reason if learnt.reason == "time" else first.reason
    return replace(learnt, best_step=first.best_step, reason=reason), learnt.steps


def _stopped(job: Job, first: Learnt) -> tuple[Learnt, int]:
    """The model of the first pass, until the same call goes on with the final one."""
    job.notes.append("It was stopped while it learnt from all recordings: the model is the one before that.")
    return replace(first, reason="asked"), 0


def _kept(job: Job, folder: Path, first: Learnt, why: str) -> tuple[Learnt, int]:
    """The model of the first pass after all."""
    shutil.rmtree(folder, ignore_errors=True)
    job.notes.append(f"The pass over all recordings was left out: {why}.")
    return first, 0


def gives_voice(job: Job, task: Task) -> bool:
    """Whether a model that has learnt the recordings is to learn a voice then: where they have no sound, or where the
    voice can be learnt from its sound alone."""
    silent = task.training.silent | task.held_out.silent
    return job.voice is not None and (task.imagines or bool(silent))


def give_voice(job: Job, task: Task, learnt: Learnt, recordings: Recordings) -> Learnt:
    """Teach a model that has learnt the lips of recordings a voice. What it reads stays as it is."""
    job.say("training", 0.0, "learning the voice")
    model = load_starting_model(learnt.folder)
    freeze_lips(model)
    again = replace(task, model=model, folder=task.folder / VOICE, steps=voice_steps(task))
    again = (_heard if task.imagines else _converted)(job, again, learnt, recordings)
    spoken = learn(again, _follower(job, again))
    return replace(spoken, best_step=learnt.best_step, voice_steps=spoken.best_step)


def _heard(job: Job, task: Task, learnt: Learnt, recordings: Recordings) -> Task:
    """To learn a voice from its sound, with lips that a speech encoder imagines, of the face of the recordings."""
    assert task.speech_encoder is not None
    config, voice = task.model.config, cast(Voice, job.voice)
    pieces = pieces_of(voice.sound, config.samples_per_frame)
    if certainty(task.speech_encoder, pieces) < LEAST_CERTAINTY:
        job.notes.append(OTHER_WORDS)
    faces = faces_of(task.model, task.speech_encoder, recordings, pieces)
    level = spoken_level(task.model, task.speech_encoder, faces, pieces[:SPOKEN_PIECES])
    pieces = pieces_of(voice.sound, config.samples_per_frame, level)
    clips = sound_clips(
        pieces, task.feature_extractor, config.vocabulary[0], config.samples_per_frame, task.folder / "sound"
    )
    return replace(
        task,
        training=clips,
        held_out=PreparedClips([], {}),
        learning_rate=VOICE_RATE,
        chooses=False,
        faces=faces,
    )


def _converted(job: Job, task: Task, learnt: Learnt, recordings: Recordings) -> Task:
    """To learn from what the model says itself for the recordings, moved near to a voice by signal processing."""
    silent = [clip for clip in recordings.clips if clip.key in recordings.silent]
    own = speak_clips(learnt.folder, task.feature_extractor, [recordings.files[clip.key] for clip in silent])
    source, voice = Voice.of(own), cast(Voice, job.voice)
    for clip, waveform in zip(silent, own, strict=True):
        recordings.set_waveform(clip, convert(waveform, source, voice))
    recordings.silent.clear()
    return replace(
        task,
        speech_encoder=None,
        training=recordings.prepared(task.training.clips),
        held_out=recordings.prepared(task.held_out.clips),
    )


def voice_steps(task: Task) -> int:
    """How many steps learn a voice, at most."""
    return max(round((HEARD_SHARE if task.imagines else CONVERTED_SHARE) * task.steps), 1)


def forget_passes(job: Job, reason: str) -> None:
    """
    Before a later call goes on: where there was not time enough, it goes on with the first pass, and makes the others
    again.
    """
    path = job.work / FIRST_PASS
    if reason != "time" or not path.is_file():
        return
    for folder in ("all", VOICE):
        shutil.rmtree(job.work / "run" / folder, ignore_errors=True)
    if read_json(path)["reason"] == "time":
        path.unlink()


def _with_frozen_parts(task: Task) -> Task:
    """The task, once what nobody says, and the sound of recordings that have none, are kept from being unlearnt."""
    model: Lip2WavModel = task.model
    keep_unsaid(model, {word for clip in task.training.clips for word in clip.words or ()})
    if len(task.training.silent) < len(task.training.clips):
        return task
    freeze_speech(model)
    return replace(task, speech_encoder=None)


def _voice_share(job: Job, task: Task) -> float:
    return voice_steps(task) / task.steps if gives_voice(job, task) else 0.0


def _following(job: Job, task: Task) -> float:
    """For each step of the first pass, how many others follow."""
    return (job.options.final_pass if task.held_out.clips else 0.0) + _voice_share(job, task)


def _follower(job: Job, task: Task, following: float = 0.0, before: int = 0) -> Follower:
    """Reports the steps of a pass, which come after `before` others, as a share of all."""
    pass_name = "voice: step" if task.folder.name == VOICE else "final step" if before else "step"
    job.learning_seconds = job.learning_seconds or max(job.clock.left, 1e-6)
    reached = 0.0

    def interrupted() -> None:
        job.say("training", reached, STOPPING)

    def report(step: int, steps: int, loss: float | None, error: float | None) -> None:
        nonlocal reached
        text = f"{pass_name} {step} of {steps}"
        text += f", error on those held back {error:.3f}" if error is not None else ""
        fraction = (before + step) / max(before + steps * (1 + following), 1)
        spent = 1 - job.clock.left / job.learning_seconds  # fewer steps may be made than are planned yet
        reached = max(fraction, spent)
        job.say("training", reached, text, step=before + step, loss=loss, held_out_error=error)

    measures = task.chooses and bool(task.held_out.clips)
    is_first = task.folder == job.work / "run" or not job.inputs.recordings
    warn = functools.partial(_warn_of_time, job) if is_first else None
    fewest = 0 if _voice_share(job, task) else FEWEST_FINAL_STEPS  # a voice is always given
    follower = Follower(job.clock, measures, report, job.stop, following, fewest, SWITCHING_SECONDS, warn=warn)
    follower.interrupted = interrupted
    return follower


def _warn_of_time(job: Job, seconds: float, possible: int, wanted: int) -> None:
    """Say that hardly any steps fit into the minutes, and how many minutes would do."""
    minutes = job.clock.minutes
    needed = math.ceil(job.clock.spent + seconds * wanted * (1 + job.options.final_pass) / 60)
    note = (
        f"A step takes {counted(round(seconds), 'second')} here, so that {counted(possible, 'step')} of {wanted}"
        f" can be made in {minutes:g} minute{'' if minutes == 1 else 's'}: the model will hardly change. Give it more,"
        f" up to {counted(needed, 'minute')}, or let nothing else work on this machine."
    )
    job.notes.append(note)
    job.forecast = note, needed
    logger.warning(note)


def correct_forecast(job: Job, made: int, wanted: int, reason: str) -> None:
    """
    Replace the note that hardly any steps can be made by how many were, if it was for want of time; those that teach a
    voice come apart from them.

    Args:
        job ([`Job`]): whose notes are changed.
        made (`int`): steps but for those on all recordings, and `wanted` (`int`), how many were to be made.
        reason (`str`): why there were no more, as in [`Learnt`].
    """
    if job.forecast is None:
        return
    note, needed = job.forecast
    if note in job.notes:
        job.notes.remove(note)
    if reason == "time" and made < min(FEW_STEPS, wanted):
        minutes = f"{job.clock.minutes:g} minute{'' if job.clock.minutes == 1 else 's'}"
        note = (
            f"There was time for {counted(made, 'step')} of {wanted} in {minutes}: the model has hardly changed. Give"
            f" it more, up to {counted(needed, 'minute')}, or let nothing else work on this machine."
        )
        job.notes.append(note)
        job.forecast = note, needed


__all__ = [
    "correct_forecast",
    "final_pass",
    "first_pass",
    "forget_passes",
    "give_voice",
    "gives_voice",
    "voice_steps",
]
