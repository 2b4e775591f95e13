"""The stages of an adaptation, from recordings to a model in its folder."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

from ..configuration_lip2wav import Lip2WavConfig
from ..corpora.clips import Clip
from ..corpora.load import load_clips
from ..corpora.registry import open_corpus
from ..errors import Lip2WavError, counted
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..files import read_json, replace_folder, write_json
from ..hub.card_texts import quiet_transformers
from ..machine import take_lock
from ..modeling_lip2wav import Lip2WavModel
from ..modeling_speech_encoder import Lip2WavSpeechEncoder
from ..models import DEFAULT_MODEL, weight_files
from ..training.networks import load_speech_encoder
from ..training.record import RECORD_FILE
from .card import Facts, write_card
from .checking import Examined, examine_clips
from .choosing import find_phrases, grammar_of, hold_back
from .inputs import RECORD, WORK, Inputs
from .job import Job
from .learning import Clock, Learnt, Task
from .passes import final_pass, first_pass, forget_passes, give_voice
from .preparing import Recordings
from .records import Adaptation, AdaptationError, AdaptationProgress, Scores, Stage
from .scoring import Measurement, measure
from .starting import grow, load_starting_model
from .voice import read_voice


LOCK = "lock"  # file in the folder of work
SAVING_SECONDS = 8.0
FEW = 10  # recordings: with less, results are poor


def run(
    inputs: Inputs, progress: Callable[[AdaptationProgress], None] | None, stop: Callable[[], bool] | None
) -> Adaptation:
    """See [`adapt`]."""
    options = inputs.options
    job = Job(inputs, Clock(options.minutes), progress or _ignore, stop or _never)
    clips = _all_clips(inputs.recordings, job.starting)
    job.voice = None if inputs.voice is None else read_voice(inputs.voice)
    fingerprint = _fingerprint(job, clips)
    if options.resume and (done := _finished(job.output, fingerprint)) is not None:
        return done
    with _alone_in(job.work):
        if not options.resume or _left_by(job.work) != fingerprint:
            _clear(job.work)
        try:
            write_json(job.work / "plan.json", fingerprint)
            with quiet_transformers():
                return _adapt(job, clips, fingerprint)
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


def _all_clips(recordings: str | os.PathLike | Iterable[Clip], starting: Path) -> list[Clip]:
    """All recordings, of whatever split; their words as the starting model writes words."""
    if not isinstance(recordings, (str, os.PathLike)):
        clips = list(recordings)
    elif Path(recordings).is_dir() and not any(Path(recordings).rglob("*.parquet")):
        corpus = open_corpus(recordings, Lip2WavConfig.from_pretrained(starting).normalizer)
        clips = [clip for own in corpus.find_clips()[0].values() for clip in own]
    else:
        clips = [clip for own in load_clips(recordings).values() for clip in own]
    if not clips:
        raise AdaptationError(f"{recordings}: there is no recording in it.")
    return clips


def _fingerprint(job: Job, clips: Sequence[Clip]) -> str:
    """Changes with what the result depends on, but for the minutes."""
    options = job.options
    asked_for = (job.inputs.phrases, options.seed, options.steps, options.final_pass)
    digest = hashlib.sha256(repr(asked_for).encode())
    if job.voice is not None:
        digest.update(repr(job.voice.pitch).encode() + job.voice.spectrum.tobytes())
    for clip in sorted(clips, key=lambda clip: clip.key):
        digest.update(repr((clip.key, clip.words, clip.version or _version(clip))).encode())
    for path in weight_files(job.starting):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _version(clip: Clip) -> Any:
    if not isinstance(clip.video, Path) or not clip.video.is_file():
        return str(clip.video)
    status = clip.video.stat()
    return str(clip.video), status.st_size, status.st_mtime_ns


def _left_by(work: Path) -> str | None:
    path = work / "plan.json"
    return read_json(path) if path.is_file() else None


def _finished(output: Path, fingerprint: str) -> Adaptation | None:
    """What an earlier call has made of the same, if it was not stopped."""
    path = output / RECORD
    if not path.is_file() or (output / WORK).is_dir():
        return None
    record = read_json(path, AdaptationError)
    return read_record(output) if record.get("fingerprint") == fingerprint else None


def read_record(folder: str | os.PathLike) -> Adaptation:
    """
    What was done for a model that [`adapt`] has made, from its folder; without the checks of the recordings.

    Raises:
        AdaptationError: if it is no such folder.
    """
    record = dict(read_json(Path(folder, RECORD), AdaptationError))
    record.pop("fingerprint", None)
    for name in ("before", "after"):
        record[name] = None if record[name] is None else Scores(**record[name])
    for name in ("held_out", "new_words", "phrases", "notes"):
        record[name] = tuple(record[name])
    return Adaptation(model=Path(folder), checks=(), **record)


def _tidy(job: Job) -> None:
    """Take away what holds nothing to go on with."""
    if job.work.is_dir() and not any(job.work.glob("run/checkpoint-*")):
        shutil.rmtree(job.work, ignore_errors=True)
    with contextlib.suppress(OSError):  # not empty
        job.output.rmdir()


def _adapt(job: Job, clips: list[Clip], fingerprint: str) -> Adaptation:
    extractor = Lip2WavFeatureExtractor.from_pretrained(job.starting)
    start = load_starting_model(job.starting)
    recordings = _check(job, clips, extractor, start)
    encoder = _speech_encoder(job, start)
    _prepare_sound(job, recordings, encoder)
    usable = recordings.clips
    phrases = find_phrases(usable, job.inputs.phrases, start.config.normalizer)
    held_out = hold_back(usable, start.config.units, job.options.seed)
    held_keys = {clip.key for clip in held_out}
    job.say("preparing", 0.0, "making room for new words")
    words = [*dict.fromkeys(word for clip in usable for word in clip.words or ())]
    words += [word for phrase in phrases for word in phrase.split()]
    new_words = tuple(start.config.units.unknown(words))
    model = grow(start, new_words, grammar_of(phrases, usable, start.config.grammar), job.options.seed)
    task = Task(
        model,
        encoder,
        extractor,
        recordings.prepared([clip for clip in usable if clip.key not in held_keys]),
        recordings.prepared(held_out),
        len(new_words),
        job.work / "run",
        job.options.seed,
        job.options.steps,
    )
    job.say("preparing", 1.0, f"{len(usable) - len(held_out)} recordings to learn from, {len(held_out)} held back")
    _explain(job, recordings, held_out, new_words)
    before = _measure(job, "before", job.starting, task, phrases)
    first = first_pass(job, task)
    learnt, further = final_pass(job, task, first, recordings)
    if job.voice is not None and recordings.silent:
        learnt = give_voice(job, task, learnt, recordings)
    measured = first.folder if further else learnt.folder
    after = _measure(job, "after", measured, task, phrases)
    return _save(job, task, learnt, further, phrases, new_words, before, after, fingerprint)


def _check(job: Job, clips: list[Clip], extractor: Lip2WavFeatureExtractor, start: Lip2WavModel) -> Recordings:
    """Look at all recordings, and cache those that can be used."""
    recordings = Recordings.empty(job.work / "cache", extractor, start.config.sampling_rate)

    def note(number: int, clip: Clip, examined: Examined) -> None:
        check = examined.check
        if check.usable and (problem := recordings.add(clip, examined)) is not None:
            check = dataclasses.replace(check, problems=(*check.problems, problem))
        job.checks.append(check)
        found = "; ".join(map(str, check.problems)) or "good"
        job.say("checking", (number + 1) / len(clips), f"{check.file}: {found}")

    examine_clips(clips, extractor, note)
    if not recordings.clips:
        reasons = "; ".join(f"{check.file}: {check.problems[0]}" for check in job.checks[:3])
        raise AdaptationError(f"none of the {len(clips)} recordings can be used. {reasons}")
    return recordings


def _prepare_sound(job: Job, recordings: Recordings, encoder: Lip2WavSpeechEncoder | None) -> None:
    """Find the times of words where they can be found, and change the voice where that was asked for."""
    if encoder is not None and (found := recordings.align(encoder)):
        job.say("preparing", 0.3, f"found when the words are said in {counted(found, 'recording')}")
    if job.voice is not None and len(recordings.silent) < len(recordings.clips):
        job.say("preparing", 0.6, "changing the voice of the recordings")
        recordings.change_voice(job.voice)


def _explain(job: Job, recordings: Recordings, held_out: list[Clip], new_words: tuple[str, ...]) -> None:
    count = len(recordings.clips)
    if count < FEW:
        job.notes.append(f"{count} usable recordings are few: with {FEW} or more the result is better.")
    if not held_out:
        job.notes.append("All recordings were needed for learning, so nothing was measured.")
    if recordings.offset:
        job.notes.append(
            f"The sound of all recordings was {abs(recordings.offset) * 1000:.0f} ms"
            f" {'late' if recordings.offset > 0 else 'early'}, and was moved to where the lips say it belongs."
        )
    if job.voice is not None:
        job.notes.append("The voice is one like that of the sound files, no copy: of like pitch and timbre.")
    if len(recordings.silent) == count:
        if job.voice is None:
            job.notes.append("The recordings have no sound: only the lips were learnt, and the voice is that it had.")
        if new_words:
            job.notes.append(
                f"The voice has never said {len(new_words)} of these words, such as {new_words[0]!r}: they are read,"
                " but their sound is a guess."
            )
    speakers = sorted({clip.speaker for clip in recordings.clips})
    if len(speakers) > 1:
        job.notes.append(f"The recordings are of {len(speakers)} people: the model is of all of them.")


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


def _measure(job: Job, stage: Stage, folder: Path, task: Task, phrases: tuple[str, ...]) -> Measurement | None:
    if not task.held_out.clips:
        return None
    job.say(stage, 0.0, f"measuring on {len(task.held_out.clips)} recordings that were held back")
    began = job.clock.spent
    try:
        measured = measure(folder, task.held_out, task.feature_extractor, phrases)
    except KeyboardInterrupt:
        if stage == "before":
            raise
        return None
    job.say(stage, 1.0, "measured")
    if stage == "before":
        job.clock.reserve = SAVING_SECONDS + 72 * (job.clock.spent - began)
    return measured


def _save(
    job: Job,
    task: Task,
    learnt: Learnt,
    further: int,
    phrases: tuple[str, ...],
    new_words: tuple[str, ...],
    before: Measurement | None,
    after: Measurement | None,
    fingerprint: str,
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
        new_words=new_words,
        phrases=phrases,
        stopped=learnt.reason,
        notes=tuple(job.notes),
    )
    seconds = sum(check.seconds for check in job.checks if check.usable)
    folder = job.work / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(learnt.folder, folder, ignore=shutil.ignore_patterns(RECORD_FILE))  # it names folders and persons
    record = dataclasses.asdict(result)
    del record["model"], record["checks"]
    write_json(folder / RECORD, record | {"fingerprint": fingerprint})
    write_card(
        folder, Facts(job.output.resolve().name, job.inputs.name, result, seconds, len(task.training.silent)), after
    )
    _put_in_place(job, folder, learnt.reason)
    job.say("saving", 1.0, f"{job.output} is written")
    return result


def _put_in_place(job: Job, folder: Path, reason: str) -> None:
    """Replace the output folder by a finished one; what a stopped run goes on with moves along."""
    temporary = job.output.with_name(f".{job.output.name}.tmp-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    os.replace(folder, temporary)
    if reason in ("asked", "time"):  # the same call goes on
        forget_passes(job, reason)
        os.replace(job.work, temporary / WORK)
    replace_folder(temporary, job.output)


__all__ = ["read_record", "run"]
