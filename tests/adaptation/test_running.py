"""The stages of an adaptation within its minutes, on a machine that is slower than its owner thinks."""

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import REPOSITORY
from lip2wav_hf import adapt, load_clips, read_audio, write_audio
from lip2wav_hf.adaptation import passes, running, scoring
from lip2wav_hf.adaptation.inputs import WORK, read_inputs
from lip2wav_hf.adaptation.job import Job
from lip2wav_hf.adaptation.learning import Clock
from lip2wav_hf.adaptation.passes import correct_forecast
from lip2wav_hf.adaptation.records import Adaptation, Options
from lip2wav_hf.commands.adapt import _report
from lip2wav_hf.configuration_lip2wav import Lip2WavConfig
from lip2wav_hf.errors import counted
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
from lip2wav_hf.training import loop
from lip2wav_hf.training.clips import PreparedClips

from .conftest import SENTENCES, write_metadata


pytestmark = pytest.mark.usefixtures("examined_once")

MINUTES = 10.0


class SlowClock(Clock):
    """A clock that stands still but for the work that is done, each piece of which takes so many minutes."""

    now = 0.0

    @property
    def spent(self):
        return self.now


@pytest.fixture
def slow(recordings, starting_model, tmp_path, monkeypatch):
    """A job and six recordings held back, each of which takes a number of minutes to measure."""
    clock = SlowClock(MINUTES)
    job = Job(read_inputs(recordings, tmp_path / "out", Options(starting_model)), clock, lambda now: None, bool)
    found = running._check(job, *_clips(recordings, starting_model))
    held_out = found.prepared(found.clips)
    held_out = PreparedClips([*held_out.clips, held_out.clips[0]], held_out.files, held_out.sound_offsets)
    speak = scoring._speak
    clock.per_clip = 0.0

    def slowly(*arguments):
        clock.now += clock.per_clip
        return speak(*arguments)

    monkeypatch.setattr(scoring, "_speak", slowly)
    monkeypatch.setattr(scoring, "available_metrics", lambda: ([], "not asked for"))
    task = SimpleNamespace(held_out=held_out, feature_extractor=found.extractor)
    return job, task, starting_model


def _clips(recordings, starting_model):
    clips, *_ = running._all_clips(recordings, starting_model)
    extractor = Lip2WavFeatureExtractor.from_pretrained(starting_model)
    return clips, extractor, running.load_starting_model(starting_model)


def test_recordings_named_as_those_of_grid_need_no_splits(tmp_path, starting_model):
    """All of a person's recordings count, of whatever split."""
    for name in ("bbaf2n", "lgbm4s"):
        (tmp_path / "s7").mkdir(exist_ok=True)
        (tmp_path / "s7" / f"{name}.mpg").touch()
    clips, checks, _ = running._all_clips(tmp_path, starting_model)
    assert [clip.key for clip in clips] == ["s7/bbaf2n", "s7/lgbm4s"] and not checks


@pytest.mark.parametrize(("per_clip", "measured"), [(0.01, 6), (0.5, 3), (5.0, 1)])
def test_a_slow_machine_measures_fewer_recordings_and_says_so(slow, per_clip, measured):
    job, task, folder = slow
    job.clock.per_clip = per_clip
    before = running._measure(job, "before", folder, task, ())
    assert before.scores.clips == len(before.rows) == measured
    assert job.clock.spent <= max(running.MEASURING_SHARE * MINUTES, per_clip) + 1e-9
    said = [note for note in job.notes if note.startswith(f"Measured before the training on {measured} of the 6")]
    assert len(said) == (measured < 6)
    # What is measured after it has its time kept free.
    assert 60 * MINUTES - job.clock.left >= 60 * (job.clock.spent + 1.2 * measured * per_clip)
    job.clock.now = MINUTES - job.clock.reserve / 60
    after = running._measure(job, "after", folder, task, (), before)
    assert len(after.rows) == measured and job.clock.spent <= 1.1 * MINUTES


def test_a_machine_that_became_slower_measures_the_same_recordings_before_and_after(slow):
    job, task, folder = slow
    job.clock.per_clip = 0.2
    before = running._measure(job, "before", folder, task, ())
    assert len(before.rows) == 6
    job.clock.now, job.clock.per_clip = MINUTES - job.clock.reserve / 60, 0.9
    after = running._measure(job, "after", folder, task, (), before)
    assert 1 <= len(after.rows) < 6 and job.clock.spent <= 1.1 * MINUTES
    assert any(note.startswith("Measured after the training") for note in job.notes)
    cut = scoring.of_first(before, len(after.rows))
    assert cut.scores.clips == len(after.rows) and cut.rows == before.rows[: len(after.rows)]


def test_recordings_are_looked_at_for_a_part_of_the_minutes_only(slow, recordings, monkeypatch):
    """Three at least, or nothing could be learnt."""
    job, _, folder = slow
    examine = running.examine_clips

    def slowly(clips, extractor, on_each, *others):
        def note(*arguments):
            job.clock.now += 3.0
            on_each(*arguments)

        return examine(clips, extractor, note, *others)

    monkeypatch.setattr(running, "examine_clips", slowly)
    job.checks.clear()
    job.clock.now = 0.0
    found = running._check(job, *_clips(recordings, folder))
    assert len(found.clips) == 3 and job.clock.spent <= MINUTES
    assert job.notes[-1].startswith("Left out: 2 of 5 recordings")


def take_minutes(monkeypatch, per_step):
    """Let a minute of an adaptation, which begins now, be over after so many steps, validations and measurements."""
    clock = SlowClock(1.0)

    def taking(function, share):
        def slowly(*arguments):
            clock.now += share * per_step
            return function(*arguments)

        return slowly

    monkeypatch.setattr(running, "Clock", lambda minutes, began: clock)
    monkeypatch.setattr(loop, "train_step", taking(loop.train_step, 1.0))
    monkeypatch.setattr(loop, "validate", taking(loop.validate, 0.4))
    monkeypatch.setattr(scoring, "_speak", taking(scoring._speak, 0.1))
    monkeypatch.setattr(scoring, "available_metrics", lambda: ([], "not asked for"))


def test_a_model_that_has_learnt_from_all_is_not_replaced_by_one_that_has_not(
    recordings, starting_model, tmp_path, monkeypatch
):
    """Where the same call goes on, on a machine that is slower now."""
    options = {"model": starting_model, "minutes": 1.0, "steps": 30}
    with monkeypatch.context() as first:
        take_minutes(first, 0.03)
        found = adapt(recordings, tmp_path / "out", **options)
        assert found.stopped == "time" and found.final_steps >= 5
    weights = (found.model / "model.safetensors").read_bytes()
    with monkeypatch.context() as second:
        take_minutes(second, 0.2)
        again = adapt(recordings, tmp_path / "out", **options)
    assert (again.stopped, again.steps, again.final_steps) == ("time", found.steps, found.final_steps)
    assert again.notes[-1].startswith("The model is still the one that was there")
    assert (found.model / "model.safetensors").read_bytes() == weights
    take_minutes(monkeypatch, 0.01)
    third = adapt(recordings, tmp_path / "out", **options)
    assert third.steps > found.steps + 3 and third.final_steps >= 5


def test_a_shorter_call_does_not_replace_what_a_longer_one_has_made(recordings, starting_model, tmp_path, monkeypatch):
    """Where what the longer one has left to go on with was deleted, as its owner may."""
    output, options = tmp_path / "out", {"model": starting_model, "minutes": 1.0, "steps": 60, "final_pass": 0}
    steps = []
    for number, per_step in enumerate((0.06, 0.2, 0.04)):
        with monkeypatch.context() as patch:
            take_minutes(patch, per_step)
            found = adapt(recordings, output, **options)
        steps.append(found.steps)
        assert found.stopped == "time"
        if number == 0:
            shutil.rmtree(output / WORK)
            weights = (output / "model.safetensors").read_bytes()
        if number == 1:
            assert found.notes[-1].startswith(
                f"The model is still the one that was there, which has made {steps[0]} steps"
            )
            assert not [note for note in found.notes if "hardly change" in note]  # not that model
            assert (output / "model.safetensors").read_bytes() == weights
    assert steps[0] == steps[1] > 5 and steps[2] > steps[0] + 5


NEW_WORDS = ("alpha", "bravo", "charlie", "delta", "echo")


@pytest.mark.parametrize("voice", [False, True])
def test_steps_are_counted_alike_wherever_they_are_told(one_recording, starting_model, tmp_path, monkeypatch, voice):
    """Those that learn a voice are told apart from the others."""
    recordings, options = one_recording, {"model": starting_model, "minutes": 1.0, "steps": 30}
    if voice:
        sound = next(one_recording.glob("*.mp4"))
        write_audio(tmp_path / "voice.wav", np.tile(read_audio(sound, 16000), 2), 16000)
        clips = [clip for own in load_clips(one_recording).values() for clip in own]
        recordings = [dataclasses.replace(clips[0], video=REPOSITORY / "src/lip2wav_hf/assets/sample.mp4")]
        options |= {"voice": tmp_path / "voice.wav"}
    take_minutes(monkeypatch, 0.12)
    result = adapt(recordings, tmp_path / "out", **options)
    [note] = [note for note in result.notes if "hardly change" in note]
    assert note.startswith(f"There was time for {counted(result.steps, 'step')} of 30 in 1 minute: ")
    taught = f", then {result.voice_steps} that teach the voice," if voice else ","
    assert _report(result)[1].startswith(f"{counted(result.steps, 'step')}{taught}")
    assert bool(result.voice_steps) == voice


def test_whoever_stops_it_is_not_told_that_the_time_was_short(recordings, starting_model, tmp_path, monkeypatch):
    take_minutes(monkeypatch, 0.12)
    seen, options = [], {"model": starting_model, "minutes": 1.0, "steps": 30}
    result = adapt(
        recordings, tmp_path / "out", **options, progress=lambda p: seen.append(p.step), stop=lambda: seen[-1] >= 4
    )
    assert result.stopped == "asked" and result.steps >= 4
    assert not [note for note in result.notes if "hardly change" in note or "Give it more" in note]


def test_one_is_counted_as_one():
    job = SimpleNamespace(clock=SimpleNamespace(minutes=0.5, spent=0.1), options=Options(), notes=[], forecast=None)
    passes._warn_of_time(job, 1.2, 1, 20)
    [note] = job.notes
    assert note.startswith("A step takes 1 second here, so that 1 step of 20 can be made in 0.5 minutes: ")
    assert "up to 1 minute, or" in note
    correct_forecast(job, 1, 20, "time")
    assert "up to 1 minute, or" in job.notes[0] and len(job.notes) == 1
    result = Adaptation(Path("m"), None, None, (), steps=1, minutes=1.0, clips=1, phrases=("yes",))
    assert "it answers with 1 phrase only, unless told otherwise: --grammar none" in _report(result)


def take_some(monkeypatch, count, order=lambda clips: clips):
    """Let there be time to look at so many recordings only, in another order."""
    monkeypatch.setattr(running, "FEW", count)
    monkeypatch.setattr(running, "CHECKING_SHARE", 0.0 if count < len(SENTENCES) else 1.0)
    monkeypatch.setattr(running, "in_turns", order)


@pytest.mark.parametrize(
    "then", [(5, list), (2, lambda clips: clips[::-1])], ids=["more words", "other words, as many"]
)
def test_a_run_goes_on_only_with_the_recordings_and_words_that_it_began_with(
    recordings, starting_model, tmp_path, monkeypatch, then
):
    """Which there is time to look at differs from call to call."""
    folder = shutil.copytree(recordings, tmp_path / "clips")
    write_metadata(folder, [(f"{name}.mp4", f"bin {word}") for name, word in zip(SENTENCES, NEW_WORDS, strict=True)])
    options = {"model": starting_model, "steps": 2, "final_pass": 0.0, "phrases": "none"}

    def call(count, order=list, **more):
        seen = []
        with monkeypatch.context() as patch:
            take_some(patch, count, order)
            found = adapt(folder, tmp_path / "out", **options | more, progress=lambda now: seen.append(now.step))
        return found, [step for step in seen if step], [note for note in found.notes if "the training began" in note]

    first, steps, said = call(2, stop=lambda: True)
    assert (first.stopped, first.clips, steps, said) == ("asked", 2, [1], [])
    again, steps, said = call(*then, stop=lambda: True)
    now = "" if then[0] == 2 else " (5 recordings and 6 words now; 2 and 3 then)"
    assert said == [f"What there is to learn from is not what it was before{now}: the training began again."]
    assert (again.stopped, again.clips, steps) == ("asked", then[0], [1])
    config = Lip2WavConfig.from_pretrained(again.model)
    assert tuple(config.vocabulary[-then[0] :]) == again.new_words != first.new_words
    if then[0] == 5:  # with fewer recordings, it is begun again, and what is there stays
        fewer, steps, said = call(2, stop=lambda: True)
        assert (fewer.clips, steps, len(said)) == (5, [1], 1) and "which was made of 5 rec" in fewer.notes[-1]
        assert Lip2WavConfig.from_pretrained(again.model).vocabulary == config.vocabulary
        call(*then, stop=lambda: True)
    last, steps, said = call(*then)
    assert (last.stopped, steps, said) == ("finished", [2], [])


@pytest.mark.parametrize(
    ("per_step", "steps", "final_steps"),
    [(0.001, 12, 6), (0.08, 9, 0), (0.25, 3, 0), (0.7, 1, 0), (4.0, 1, 0)],
)
def test_the_minutes_are_kept_to_within_a_step(
    recordings, starting_model, tmp_path, monkeypatch, caplog, per_step, steps, final_steps
):
    """However long a step takes; and where hardly any fit, it says so after the first ones, and what to do."""
    minutes, said = 1.0, []
    take_minutes(monkeypatch, per_step)

    def note(progress):
        if caplog.records and not said:
            said.append(progress.step)

    result = adapt(recordings, tmp_path / "out", model=starting_model, minutes=minutes, steps=12, progress=note)
    assert result.minutes <= minutes + per_step * 1.2 and result.after is not None
    assert abs(result.steps - steps) <= 1 and result.final_steps <= final_steps, result
    assert result.stopped == ("finished" if steps == 12 else "time")
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == (steps < 12) and not any(note.startswith("A step takes") for note in result.notes)
    made = [note for note in result.notes if note.startswith("There was time for")]
    assert len(made) == len(warnings), "what was forecast is replaced by what came of it"
    few = f"There was time for {result.steps} step{'s' * (result.steps != 1)} of 12 in 1 minute: "
    assert all(note.startswith(few) and "Give it more, up to " in note for note in made)
    if warnings:
        assert said[0] <= 3  # the third step shows how long one takes, unless the time is over before
        assert (
            f"A step takes {60 * per_step:.0f} seconds here" in warnings[0] and " of 12 can be made in" in warnings[0]
        )
        assert "Give it more, up to " in warnings[0]
