"""The stages of an adaptation, from recordings to a model in its folder."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import itertools
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import cast

from safetensors import SafetensorError

from ..configuration_lip2wav import Lip2WavConfig
from ..corpora.clips import Clip, Selection, holds_tables
from ..corpora.defects import NO_CLIP, Defect
from ..corpora.languages import folder_languages
from ..corpora.load import load_clips
from ..corpora.registry import open_corpus
from ..errors import Lip2WavError, counted, one_line
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..files import read_fields, replace_folder, write_json
from ..hub.card_texts import quiet_transformers
from ..hub.facts import known_facts
from ..lite.graphs import copy_graphs
from ..machine import take_lock
from ..modeling_critic import Lip2WavSpeechEncoder
from ..modeling_lip2wav import Lip2WavModel
from ..models import DEFAULT_MODEL, weight_files
from ..training.clips import PreparedClips
from ..training.networks import load_speech_encoder
from ..training.record import RECORD_FILE
from ..training.transcripts import keep_transcripts
from .card import Facts, write_card
from .checking import Examined, examine_clips
from .choosing import find_phrases, grammar_of, hold_back, in_turns, written_forms
from .earlier import (
    Plan,
    begun_plan,
    beside,
    check_options,
    check_recordings,
    finish_replacing,
    finished_plan,
    plan_of,
    write_plan,
)
from .hearing import imagines_lips
from .inputs import RECORD, WORK, Inputs
from .job import Job
from .learning import FEWEST_TO_CHOOSE, Clock, Learnt, Task
from .level import SAMPLING_RATE
from .passes import (
    correct_forecast,
    final_pass,
    first_pass,
    forget_passes,
    give_voice,
    gives_voice,
    voice_steps,
)
from .people import compare_voices
from .preparing import Recordings
from .records import (
    Adaptation,
    AdaptationError,
    AdaptationProgress,
    Problem,
    RecordingCheck,
    Scores,
    Stage,
    worse_scores,
)
from .scoring import Measurement, measure, of_first, prepare_measuring
from .starting import grow, imprint, load_starting_model
from .unusable import MOST_NAMED, not_used, reasons, tell_listing


SPACE = 30  # times the size of the weights: checkpoints of two passes, with the optimizer's state, and models
NOT_WRITTEN = re.compile(r"No space left|File too large|I/O error|PytorchStreamWriter|inline_container")
LOCK = "lock"  # file in the folder of work
SAVING_SECONDS = 8.0
CHECKING_SHARE = 0.4  # of the minutes, after which no more recordings are looked at, so that there is time to learn
MOST_CHECKING = 0.6  # of the minutes: on a slow machine, fewer recordings than are good have to do
MOST_PREPARING = 0.7  # of the minutes, after which no more words are looked at
MEASURING_SHARE = 0.15  # of the minutes, for the measurement before the training; the one after it takes as long
OVERTIME = 1.05  # of the minutes, which a measurement after the training may take where it was slower than that before
FEW, FEWEST = 10, 3  # recordings: with less, results are poor, or nothing can be learnt
GIVEN_VOICE = (
    "The voice is one like that of the sound files, no copy: of like pitch and timbre. The card says so: if it is"
    " somebody else's, they must have agreed too."
)


def run(
    inputs: Inputs,
    progress: Callable[[AdaptationProgress], None] | None,
    stop: Callable[[], bool] | None,
    began: float,
) -> Adaptation:
    """See [`adapt`]; `began` is when it was called, on `time.monotonic`, before this module was imported."""
    options = inputs.options
    job = Job(inputs, Clock(options.minutes, began), progress or _ignore, stop or _never)
    clips, job.checks, doubts = _all_clips(inputs.recordings, job.starting)
    job.notes += doubts
    if clips:
        normalizer = Lip2WavConfig.from_pretrained(job.starting).normalizer
        find_phrases([clip for clip in clips if clip.words], inputs.phrases, normalizer)  # it refuses now what it does
    job.notes += inputs.voice_notes
    plan = plan_of(inputs, clips)
    finish_replacing(job.output)
    if options.resume:
        _keep_others(job, plan)
    if options.resume and (done := _finished(job.output, plan)) is not None:
        return done
    with _alone_in(job.work):
        if not options.resume or not _is_begun(job.work, plan):
            _clear(job.work)
        try:
            write_plan(job.work, plan)
            with quiet_transformers(), _reporting_full_disk(job):
                return _adapt(job, clips, plan) if clips else _learn_voice(job, plan)
        except KeyboardInterrupt as interruption:
            # Not from the depths of whatever package was just being imported: where it was is of no use to anybody.
            then = "goes on where it was" if _goes_on(job) else "begins again, for nothing had been learnt yet"
            interruption.args = (f"{job.output}: the adaptation was interrupted. Run the same again: it {then}.",)
            raise interruption.with_traceback(None) from None
        finally:
            shutil.rmtree(job.work / "cache", ignore_errors=True)  # pictures of a face
            _tidy(job)


@contextlib.contextmanager
def _alone_in(work: Path) -> Generator[None]:
    """Make the folder of work, and let nobody else work there."""
    work.mkdir(parents=True, exist_ok=True)
    try:
        handle = take_lock(work / LOCK)
    except BlockingIOError:
        raise AdaptationError(
            f"{work.parent}: another adaptation is working there. Wait for it, end it, or name another folder."
        ) from None
    try:
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _reporting_full_disk(job: Job) -> Generator[None]:
    """
    Raises:
        AdaptationError: if there is no space for what an adaptation writes, or it turns out that something cannot be
            written: the libraries that write weights have errors of their own for that.
    """
    weights = sum(path.stat().st_size for path in weight_files(job.starting))
    free = shutil.disk_usage(job.work).free
    if free < SPACE * weights:
        raise AdaptationError(
            f"{job.output}: {SPACE * weights / 1e6:.0f} MB are needed there for a while, {free / 1e6:.0f} MB are free."
        )
    try:
        yield
    except (SafetensorError, RuntimeError, OSError) as error:
        is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if not is_full and (isinstance(error, OSError) or not NOT_WRITTEN.search(str(error))):
            raise
        raise AdaptationError(
            f"{job.output}: something could not be written ({one_line(error)}). Is the disk full? Free some space, and"
            " run the same again: it goes on where it was."
        ) from error


def _clear(work: Path) -> None:
    """Take away what an earlier run of something else has left."""
    for path in work.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK:
            path.unlink()


def _ignore(progress: AdaptationProgress) -> None:
    pass


def _never() -> bool:
    return False


def _all_clips(
    recordings: str | os.PathLike | Iterable[Clip] | None, starting: Path
) -> tuple[list[Clip], list[RecordingCheck], list[str]]:
    """All recordings, of whatever split, their words as the starting model writes words; what is wrong with those that
    cannot be found or read, or that nothing says anything of; and what looks like a slip in their table."""
    checks, doubts = list[RecordingCheck](), list[str]()
    if recordings is None:
        return [], checks, doubts
    if not isinstance(recordings, (str, os.PathLike)):
        clips = list(recordings)
        for clip in clips:
            if not isinstance(clip, Clip):
                raise AdaptationError(
                    f"recordings: one of them is {clip!r}, not a clip. Give a folder, or clips as from `load_clips`."
                )
    elif Path(recordings).is_dir() and not holds_tables(Path(recordings)):
        corpus = open_corpus(recordings, Lip2WavConfig.from_pretrained(starting).normalizer)
        splits, report = corpus.find_clips(Selection(any_split=True))
        clips = [clip for own in splits.values() for clip in own]
        checks = [_check_of(defect, report.kinds[defect.kind]) for defect in report.defects if not defect.used]
        doubts = [f"{doubt[0].upper()}{doubt[1:]}" for doubt in (*report.lines_of_used(), *report.doubts)]
    else:
        clips = [clip for own in load_clips(recordings).values() for clip in own]
        if not any(clip.words for clip in clips):
            open_corpus(recordings).find_clips()[1].require_words()
    if not clips:
        raise AdaptationError(f"{recordings}: there is no recording in it.")
    return clips, checks, doubts


def _check_of(defect: Defect, meaning: str) -> RecordingCheck:
    """What was found while the folder was listed, as of a recording; of what is none, it is a warning."""
    problem = Problem(defect.kind, meaning[0].upper() + meaning[1:], f"({defect.detail}).", defect.kind not in NO_CLIP)
    return RecordingCheck(defect.clip, (problem,))


def _keep_others(job: Job, plan: Plan) -> None:
    """See that what lies in the output folder may be gone on with, or replaced since there are more recordings now."""
    check_options(job.inputs)
    note = check_recordings(job.inputs, plan)
    job.notes += [note] if note else []
    found = finished_plan(job.output)
    if found is not None and found.fingerprint == plan.fingerprint:
        job.earlier = read_record(job.output)


def _is_begun(work: Path, plan: Plan) -> bool:
    """Whether a folder of work is of the same."""
    found = begun_plan(work)
    return found is not None and found.fingerprint == plan.fingerprint


def _finished(output: Path, plan: Plan) -> Adaptation | None:
    """What an earlier call has made of the same, if it was not stopped. A run of other recordings, which was killed or
    stopped, may have left something beside it."""
    finished = finished_plan(output)
    if finished is None or finished.fingerprint != plan.fingerprint or _is_begun(output / WORK, plan):
        return None
    found = read_record(output)
    return None if found.stopped in ("asked", "time") else found  # what it would go on with is gone


def read_record(folder: str | os.PathLike) -> Adaptation:
    """
    What was done for a model that [`adapt`] has made, from its folder; without the checks of the recordings.

    Raises:
        AdaptationError: if it is no such folder.
    """
    record = dict(read_fields(Path(folder, RECORD), AdaptationError))
    for name in Plan.__dataclass_fields__:
        record.pop(name, None)
    for name in ("other_voice", "not_used"):
        record.setdefault(name, ())  # in records of before there were such
    try:
        for name in ("before", "after"):
            record[name] = None if record[name] is None else Scores(**record[name])
        for name in ("held_out", "new_words", "phrases", "notes", "other_voice", "not_used"):
            record[name] = tuple(record[name])
        return Adaptation(model=Path(folder), checks=(), **record)
    except (KeyError, TypeError) as error:
        raise AdaptationError(
            f"{Path(folder, RECORD)}: this is not the record of an adaptation ({one_line(error)}). Adapt again, with"
            " `resume=False`."
        ) from error


def _goes_on(job: Job) -> bool:
    """Whether a pass has been begun, of which a later call can make the rest."""
    return any(job.work.glob("run/**/checkpoint-*"))


def _tidy(job: Job) -> None:
    """Take away what holds nothing to go on with."""
    if job.work.is_dir() and not _goes_on(job):
        shutil.rmtree(job.work, ignore_errors=True)
    with contextlib.suppress(OSError):  # not empty
        job.output.rmdir()


def _adapt(job: Job, clips: list[Clip], plan: Plan) -> Adaptation:
    extractor = Lip2WavFeatureExtractor.from_pretrained(job.starting)
    start = load_starting_model(job.starting)
    recordings = _check(job, clips, extractor, start)
    encoder = _speech_encoder(job, start)
    imagines = imagines_lips(encoder, start, job.starting)
    _prepare(job, recordings, encoder, start, imagines)
    usable = recordings.clips
    phrases = find_phrases(usable, job.inputs.phrases, start.config.normalizer, clips)
    held_out = hold_back(usable, start.config.units, job.options.seed)
    held_keys = {clip.key for clip in held_out}
    said = dict.fromkeys(word for clip in usable for word in clip.words or ())
    asked = [word for phrase in phrases for word in phrase.split()]
    new_words = tuple(start.config.units.unknown([*said, *asked]))
    if new_words:
        job.say("preparing", 0.0, f"making room for {counted(len(new_words), 'new word')}")
    model = grow(start, new_words, grammar_of(phrases, usable, start.config.grammar), job.options.seed)
    if not job.options.live:
        model.config.live_look_ahead = None  # what it learns from is seen as a whole
    keep_transcripts(model, usable, None)
    learning = [clip for clip in usable if clip.key not in held_keys]
    in_time = itertools.takewhile(lambda _: not _has_prepared(job), learning)
    imprint(model, new_words, recordings.examples(in_time, model.config.units, set(new_words)))
    forms = written_forms(phrases, job.inputs.phrases, usable, start.config.normalizer)
    model.config.written_sentences = (model.config.written_sentences or {}) | forms or None
    task = Task(
        model,
        encoder,
        extractor,
        recordings.prepared(learning),
        recordings.prepared(held_out),
        len(new_words),
        job.work / "run",
        job.options.seed,
        job.options.steps,
        chooses=len(held_out) >= FEWEST_TO_CHOOSE,
        anchored=not new_words and not set(asked or start.config.vocabulary) <= said.keys(),
        imagines=imagines,
    )
    job.say(
        "preparing",
        1.0,
        f"{counted(len(usable) - len(held_out), 'recording')} to learn from, {len(held_out)} held back",
    )
    _explain(job, recordings, held_out, new_words)
    before = _measure(job, "before", job.starting, task, phrases)
    first = first_pass(job, task)
    correct_forecast(job, first.steps, task.steps, first.reason)
    learnt, further = final_pass(job, task, first, recordings)
    ended = learnt.reason
    if gives_voice(job, task):
        task, learnt = _with_voice(job, task, learnt, recordings)
    stopped = next((reason for reason in ("asked", "time") if reason in (ended, learnt.reason)), "")
    if stopped and (better := _better_there(job, len(usable), learnt, further)):
        return _left_as_it_was(job, stopped, better)
    measured = first.folder if further else learnt.folder
    after = _measure(job, "after", measured, task, phrases, before)
    if before is not None and after is not None:
        before = of_first(before, len(after.rows), phrases)
    _explain_scores(job, before, after)
    return _save(job, task, learnt, further, phrases, new_words, before, after, plan)


def _learn_voice(job: Job, plan: Plan) -> Adaptation:
    """A model with the voice that was asked for, for whatever face: there are no recordings of one."""
    extractor = Lip2WavFeatureExtractor.from_pretrained(job.starting)
    start = load_starting_model(job.starting)
    encoder = _speech_encoder(job, start)
    if not imagines_lips(encoder, start, job.starting):
        raise AdaptationError(f"model {job.inputs.name}: its speech encoder does not imagine what this model sees.")
    none = PreparedClips([], {})
    folder, options = job.work / "run", job.options
    task = Task(start, encoder, extractor, none, none, 0, folder, options.seed, options.steps, imagines=True)
    job.notes.append(GIVEN_VOICE)
    nobody = Recordings.empty(job.work / "cache", extractor, start.config.sampling_rate)
    learnt = give_voice(job, task, Learnt(job.starting, 0, 0, 0.0, "finished"), nobody)
    correct_forecast(job, learnt.voice_steps, voice_steps(task), learnt.reason)
    if learnt.reason in ("asked", "time") and (better := _better_there(job, 0, learnt, 0)):
        return _left_as_it_was(job, learnt.reason, better)
    return _save(job, task, learnt, 0, (), (), None, None, plan)


def _with_voice(job: Job, task: Task, learnt: Learnt, recordings: Recordings) -> tuple[Task, Learnt]:
    """The model that has the voice that was asked for, unless somebody has stopped it; and a task that measures what
    is of the recordings: where they have another voice, not the sound."""
    if learnt.reason == "asked":
        job.inputs = dataclasses.replace(job.inputs, sounds=0)
        job.notes = [note for note in job.notes if note != GIVEN_VOICE]
        job.notes.append("It was stopped before it learnt the voice of the sound files.")
        return task, learnt
    heard = frozenset(clip.key for clip in task.held_out.clips) - task.held_out.silent
    given = give_voice(job, task, learnt, recordings)
    if not task.imagines or not heard:
        return task, given
    job.notes.append("The sound is not measured: the recordings have another voice than the sound files.")
    return dataclasses.replace(
        task, held_out=dataclasses.replace(task.held_out, silent=heard | task.held_out.silent)
    ), given


def _better_there(job: Job, recordings: int, learnt: Learnt, further: int) -> str:
    """In what the model that an earlier call has made of the same is better than that of a call that was stopped."""
    earlier = job.earlier
    if earlier is None:
        return ""
    if earlier.given_voice and not job.inputs.sounds and job.voice is not None:
        return "has the voice of the sound files"
    if earlier.final_steps and not further:
        return "has learnt from all recordings"
    if recordings < (known := earlier.clips + len(earlier.held_out)):
        return f"was made of {counted(known, 'recording')}"
    made = earlier.steps + earlier.final_steps + earlier.voice_steps
    now = learnt.best_step + further + learnt.voice_steps
    return f"has made {counted(made, 'step')}; this call has made {now}" if made > now else ""


def _left_as_it_was(job: Job, reason: str, better: str) -> Adaptation:
    """The model that is there: this call has had no time for one that is as good."""
    if job.forecast is not None:  # its figures are not those of that model
        job.notes = [note for note in job.notes if note != job.forecast[0]]
    note = (
        f"The model is still the one that was there, which {better}. What was learnt now is kept: the same call goes"
        " on from there."
    )
    found = cast(Adaptation, job.earlier)
    return dataclasses.replace(found, checks=tuple(job.checks), stopped=reason, notes=(*job.notes, note))


def _check(job: Job, clips: list[Clip], extractor: Lip2WavFeatureExtractor, start: Lip2WavModel) -> Recordings:
    """Look at all recordings, and cache those that can be used."""
    recordings = Recordings.empty(job.work / "cache", extractor, start.config.sampling_rate)

    def note(number: int, clip: Clip, examined: Examined) -> None:
        check = examined.check
        if check.usable and (problem := recordings.add(clip, examined)) is not None:
            check = dataclasses.replace(check, problems=(*check.problems, problem))
        job.checks.append(check)
        found = "; ".join(map(str, check.problems)) or "good"
        job.say("checking", (number + 1) / len(clips), f"{check.file}: {found}{not_used(check)}")

    def enough() -> bool:
        spent, count = job.clock.spent / job.clock.minutes, len(recordings.clips)
        return (count >= FEW and spent > CHECKING_SHARE) or (count >= FEWEST and spent > MOST_CHECKING)

    tell_listing(job)
    total = len(clips) + sum(not check.usable for check in job.checks)  # with those that are listed but missing
    known = start.config.vocabulary if start.config.units.kind == "words" else ()
    looked_at = examine_clips(in_turns(clips), extractor, note, enough, known)
    job.left_out = len(clips) - looked_at
    if job.left_out:
        job.notes.append(
            f"Left out: {job.left_out} of {counted(total, 'recording')}, for which there was no time."
            " More minutes use more of them."
        )
    if not recordings.clips:
        which = "the only recording cannot" if total == 1 else f"none of the {total} recordings can"
        raise AdaptationError(f"{which} be used: {reasons(job.checks)}.")
    job.other_voice, doubt = compare_voices(recordings, functools.partial(_has_prepared, job))
    if doubt:
        job.notes.append(doubt)
        job.say("checking", 1.0, doubt)
    return recordings


def _prepare(
    job: Job, recordings: Recordings, encoder: Lip2WavSpeechEncoder | None, start: Lip2WavModel, imagines: bool
) -> None:
    """Find the times of words where they can be found, and change the voice where that was asked for."""
    enough = functools.partial(_has_prepared, job)
    found = recordings.align(encoder, enough) if encoder is not None else 0
    found += recordings.align_lips(start, enough)
    if found:
        job.say("preparing", 0.3, f"found when the words are said in {counted(found, 'recording')}")
    doubtful = [f'"{_said(clip)}" ({Path(str(clip.video)).name})' for clip in recordings.doubtful]
    if doubtful:
        job.notes.append(
            f"Something else than the transcript may be said in {', '.join(doubtful[:MOST_NAMED])}"
            f"{f' and {len(doubtful) - MOST_NAMED} more' if len(doubtful) > MOST_NAMED else ''}. Correct it if so."
        )
    if job.voice is not None and not imagines and len(recordings.silent) < len(recordings.clips):
        job.say("preparing", 0.6, "changing the voice of the recordings")
        recordings.change_voice(job.voice)


def _has_prepared(job: Job) -> bool:
    """Whether the time for preparing is over."""
    return job.clock.spent > MOST_PREPARING * job.clock.minutes


def _said(clip: Clip) -> str:
    """The transcript of a clip, as it was written."""
    return clip.text or " ".join(clip.words or ())


def _explain(job: Job, recordings: Recordings, held_out: list[Clip], new_words: tuple[str, ...]) -> None:
    count = len(recordings.clips)
    if count < FEW and not job.left_out:
        are_few = "recording is little" if count == 1 else "recordings are few"
        job.notes.append(f"{count} usable {are_few}: with {FEW} or more the result is better.")
    if not held_out:
        job.notes.append("All recordings were needed for learning, so nothing was measured.")
    if recordings.offset:
        job.notes.append(
            f"The sound of all recordings was {abs(recordings.offset) * 1000:.0f} ms"
            f" {'late' if recordings.offset > 0 else 'early'}, and was moved to where the lips say it belongs."
        )
    if job.voice is not None:
        job.notes.append(GIVEN_VOICE)
    shown = {word for clip in recordings.clips for word in clip.words or ()}
    unseen = [word for word in new_words if word not in shown]
    if unseen:
        job.notes.append(
            f"The phrases have {counted(len(unseen), 'word')} that no recording shows and the starting model does not"
            f" know, such as {unseen[0]!r}: record phrases with them, or they will not be read."
        )
    if len(recordings.silent) == count:
        if job.voice is None:
            job.notes.append("The recordings have no sound: the lips alone are learnt, and the voice stays as it was.")
        if new_words:
            job.notes.append(
                f"The voice has never said {len(new_words)} of these words, such as {new_words[0]!r}: they are read,"
                " but their sound is a guess."
            )
    speakers = sorted({clip.speaker for clip in recordings.clips})
    if len(speakers) > 1:
        job.notes.append(f"The recordings are of {len(speakers)} people: the model is of all of them.")


def _explain_scores(job: Job, before: Measurement | None, after: Measurement | None) -> None:
    """What the numbers before and after do not say themselves."""
    if before is None or after is None:
        return
    if max(before.scores.text_wer or 0, after.scores.text_wer or 0) > 1:
        job.notes.append("More than 100 % of the words are wrong where more words are read than were said.")
    worse = worse_scores(before.scores, after.scores)
    if worse:
        job.notes.append(
            f"Worse than before by more than 3 %: {', '.join(worse)}. That is so where steps or recordings are few,"
            " which more minutes, or more recordings, help; or where the starting model knew this person already."
        )


def _speech_encoder(job: Job, start: Lip2WavModel) -> Lip2WavSpeechEncoder | None:
    """The speech encoder that comes with the starting model, else the bundled one; none that hears another sound."""
    for source in (job.starting, DEFAULT_MODEL):
        try:
            encoder = load_speech_encoder(os.fspath(source))
        except Lip2WavError:
            continue
        shared = ("frame_rate", "sampling_rate", "num_mel_bins", "n_fft", "hop_length")
        if all(getattr(encoder.config, name) == getattr(start.config, name) for name in shared):
            return encoder
    return None


def _measure(
    job: Job, stage: Stage, folder: Path, task: Task, phrases: tuple[str, ...], before: Measurement | None = None
) -> Measurement | None:
    """Measure on the recordings held back: on as many as there is time for, and after the training on the same."""
    if not task.held_out.clips:
        return None
    held_out = task.held_out
    if before is not None:
        held_out = dataclasses.replace(held_out, clips=held_out.clips[: len(before.rows)])
    if stage == "before":
        job.say(stage, 0.0, "loading the metrics")
        prepare_measuring(held_out)
    began = job.clock.spent
    last = began + MEASURING_SHARE * job.clock.minutes
    if stage == "after":
        last = OVERTIME * job.clock.minutes - SAVING_SECONDS / 60
    try:
        job.say(stage, 0.0, f"measuring on {counted(len(held_out.clips), 'recording')} held back")
        measured = measure(folder, held_out, task.feature_extractor, phrases, _until(job.clock, last))
    except KeyboardInterrupt:
        if stage == "before":
            raise
        job.notes.append("The last measurement was interrupted: there are no figures for this model.")
        return None
    job.say(stage, 1.0, "measured" if stage == "after" else "measured; the first step takes longest")
    if stage == "before":
        job.clock.reserve = SAVING_SECONDS + 72 * (job.clock.spent - began)
    if len(measured.rows) < len(held_out.clips):
        job.notes.append(
            f"Measured {stage} the training on {len(measured.rows)} of the {len(task.held_out.clips)} recordings held"
            " back: in these minutes there was no time for more."
        )
    return measured


def _until(clock: Clock, last: float) -> Callable[[], bool]:
    """Whether one recording more, which takes as long as the one before, would be ready after `last` minutes."""
    previous = clock.spent

    def enough() -> bool:
        nonlocal previous
        now, before = clock.spent, previous
        previous = now
        return now + (now - before) > last

    return enough


def _save(
    job: Job,
    task: Task,
    learnt: Learnt,
    further: int,
    phrases: tuple[str, ...],
    new_words: tuple[str, ...],
    before: Measurement | None,
    after: Measurement | None,
    plan: Plan,
) -> Adaptation:
    job.say("saving", 0.0, f"writing {job.output}")
    result = Adaptation(
        model=job.output,
        before=None if before is None else before.scores,
        after=None if after is None else after.scores,
        checks=tuple(job.checks),
        steps=learnt.best_step,
        minutes=round(job.clock.spent, 2),
        clips=len(task.training.clips),
        held_out=tuple(str(clip.video) for clip in task.held_out.clips),
        final_steps=further,
        voice_steps=learnt.voice_steps,
        new_words=new_words,
        phrases=phrases,
        stopped=learnt.reason,
        notes=tuple(job.notes),
        people=len({clip.speaker for clip in (*task.training.clips, *task.held_out.clips)}),
        other_voice=job.other_voice,
        given_voice=job.inputs.sounds,
        not_used=tuple(check.file for check in job.checks if not check.usable),
        left_out=job.left_out,
    )
    seconds = sum(check.seconds for check in job.checks if check.usable)
    if job.voice is not None and job.inputs.recordings is None:
        seconds = sum(map(len, job.voice.sound)) / SAMPLING_RATE
    folder = job.work / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(learnt.folder, folder, ignore=shutil.ignore_patterns(RECORD_FILE))  # it names folders and persons
    copy_graphs(job.starting, folder)
    record = dataclasses.asdict(result)
    del record["model"], record["checks"]
    write_json(folder / RECORD, record | plan.fields())
    silent, language = len(task.training.silent), _language(job, new_words)
    write_card(folder, Facts(job.output.resolve().name, job.inputs.name, result, seconds, silent, language), after)
    _put_in_place(job, folder, learnt.reason)
    asked = "; it was stopped: the same call goes on" if result.stopped == "asked" else ""
    job.say("saving", 1.0, f"{job.output} is written{asked}")
    return result


def _language(job: Job, new_words: tuple[str, ...]) -> list[str]:
    """Codes of what is said: as asked for, else as the recordings or the starting model say."""
    if job.options.language is not None:
        return [job.options.language]
    recordings = job.inputs.recordings
    own = folder_languages(recordings) if isinstance(recordings, Path) else []
    return own or ([] if new_words else list(known_facts(job.starting).get("language", [])))


def _put_in_place(job: Job, folder: Path, reason: str) -> None:
    """Replace the output folder by a finished one; what a stopped run goes on with moves along."""
    temporary = beside(job.output)
    shutil.rmtree(temporary, ignore_errors=True)
    os.replace(folder, temporary)
    if reason in ("asked", "time"):  # the same call goes on
        forget_passes(job, reason)
        os.replace(job.work, temporary / WORK)
    replace_folder(temporary, job.output)


__all__ = ["read_record", "run"]
