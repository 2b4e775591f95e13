"""The whole way: from recordings of a person to a model that every command takes."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import traceback

import av
import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import save_file

from conftest import REPOSITORY
from lip2wav_hf import adapt, load_clips, read_audio, write_audio
from lip2wav_hf.adaptation import learning, passes, running
from lip2wav_hf.adaptation.card import _selection
from lip2wav_hf.adaptation.inputs import RECORD, WORK, read_inputs
from lip2wav_hf.adaptation.job import Job
from lip2wav_hf.adaptation.learning import Anchor, Clock
from lip2wav_hf.adaptation.records import (
    AdaptationError,
    Options,
    OtherAdaptationError,
    Problem,
    RecordingCheck,
    Scores,
    worse_scores,
)
from lip2wav_hf.adaptation.running import read_record
from lip2wav_hf.adaptation.starting import imprint, load_starting_model
from lip2wav_hf.adaptation.unusable import reasons
from lip2wav_hf.commands.adapt import _report
from lip2wav_hf.corpora.clips import CorpusError
from lip2wav_hf.grid.corpus import sentence_words
from lip2wav_hf.hub.model_card import render_model_card
from lip2wav_hf.hub.plan import plan_model
from lip2wav_hf.lite.graphs import has_graphs
from lip2wav_hf.speaking import Speaker
from little_videos import write_video

from .conftest import SENTENCES, write_metadata


pytestmark = pytest.mark.usefixtures("examined_once")

STEPS = 2
RATE = 16000
SAID = [" ".join(sentence_words(name)) for name in SENTENCES]
SAMPLE = REPOSITORY / "src/lip2wav_hf/assets/sample.mp4"  # has no sound


@pytest.fixture(scope="module")
def adapted(recordings, starting_model, tmp_path_factory):
    """An adaptation of two steps, and what it reported."""
    reports = []
    output = tmp_path_factory.mktemp("out") / "my-voice"
    return adapt(recordings, output, model=starting_model, steps=STEPS, progress=reports.append), reports


def test_the_result_is_a_model(adapted, recordings):
    result, _ = adapted
    speaker = Speaker.from_folder(result.model)
    [spoken] = speaker([str(recordings / f"{SENTENCES[0]}.mp4")])
    assert len(spoken["audio"]) == pytest.approx(3 * 16000, abs=2000)
    assert (result.model / "README.md").is_file()
    assert has_graphs(result.model)  # those of the starting model, whose words it knows
    assert not (result.model / WORK).exists()
    assert sorted(path.name for path in result.model.parent.iterdir()) == ["my-voice"]


def test_it_is_measured_before_and_after_on_what_was_held_back(adapted):
    result, _ = adapted
    assert (result.clips, len(result.held_out), result.before.clips) == (4, 1, 1)
    assert result.after != result.before
    assert 0 <= result.after.stoi <= 1
    assert result.stopped == "finished"
    assert len(result.checks) == len(SENTENCES)


def test_progress_goes_through_all_stages_in_order(adapted):
    _, reports = adapted
    stages = list(dict.fromkeys(report.stage for report in reports))
    assert stages == ["loading", "checking", "preparing", "before", "training", "after", "saving"]
    assert [report.step for report in reports if report.stage == "training"] == [1, 2, 3]
    assert all(0 <= report.fraction <= 1 for report in reports)
    fractions = [report.fraction for report in reports if report.stage == "training"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_the_card_names_nobody_and_says_what_was_done(adapted, recordings):
    card = (adapted[0].model / "README.md").read_text(encoding="utf-8")
    assert "4 recordings of one person" in card
    assert "must have agreed" in card
    assert "word error rate of the lips" in card
    assert "The last step counts: 1 recording held back is too few to choose one by." in card
    scores = adapted[0].before
    chosen = _selection(scores, scores, learning.FEWEST_TO_CHOOSE, 0)
    assert chosen.startswith(f"The step was chosen by the loss on the {learning.FEWEST_TO_CHOOSE} recordings")
    assert "language" not in ModelCard(card).data.to_dict()  # nobody has said which
    files = [path for path in adapted[0].model.rglob("*") if path.suffix in (".json", ".yaml", ".md")]
    texts = {path.name: path.read_text(encoding="utf-8") for path in files if path.name != RECORD}
    named = [(file, name) for file, text in texts.items() for name in (*SENTENCES, str(recordings)) if name in text]
    assert named == []


@pytest.mark.parametrize(
    "content", ['{"steps": 1}', '{"before": 3, "after": null}', '{"before": null, "after": {"x": 1}}']
)
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / RECORD).write_text(content)
    with pytest.raises(AdaptationError, match=r"adaptation\.json: this is not the record of an adaptation"):
        read_record(tmp_path)


def test_the_same_again_is_done_already(adapted, recordings, starting_model):
    result, _ = adapted
    reports = []
    again = adapt(recordings, result.model, model=starting_model, steps=STEPS, progress=reports.append)
    assert [report.stage for report in reports] == ["loading"]
    assert again == dataclasses.replace(result, checks=())
    assert again == read_record(result.model)


def test_what_a_killed_run_of_others_has_left_undoes_nothing(adapted, recordings, starting_model, tmp_path):
    output = shutil.copytree(adapted[0].model, tmp_path / "my-voice")
    options, _, _ = json.loads((output / RECORD).read_text(encoding="utf-8"))["fingerprint"].partition("-")
    (output / WORK).mkdir()
    (output / WORK / "plan.json").write_text(json.dumps(f"{options}-others"), encoding="utf-8")
    again = adapt(recordings, output, model=starting_model, steps=STEPS)
    assert again == dataclasses.replace(adapted[0], model=output, checks=())


def test_another_adaptation_is_not_replaced_unasked(adapted, recordings, starting_model, tmp_path):
    """With other options there may be other words in it, or another voice; after more recordings it is begun again."""
    output = shutil.copytree(adapted[0].model, tmp_path / "my-voice")
    before = (output / "model.safetensors").read_bytes()
    options = {"model": starting_model, "final_pass": 0}
    with pytest.raises(OtherAdaptationError, match=r"my-voice: .* with `resume=False`\.$"):
        adapt(recordings, output, **options, steps=1)
    assert (output / "model.safetensors").read_bytes() == before
    assert adapt(recordings, output, **options, steps=1, resume=False).steps == 1
    fewer = shutil.copytree(recordings, tmp_path / "fewer")
    (fewer / f"{SENTENCES[0]}.mp4").unlink()
    write_metadata(fewer, [(f"{name}.mp4", said) for name, said in zip(SENTENCES, SAID, strict=True)][1:])
    again = adapt(fewer, output, **options, steps=1)
    assert any(note.startswith("The recordings are not those of the model that was there") for note in again.notes)
    stopped = tmp_path / "stopped"
    assert adapt(recordings, stopped, **options, steps=2, stop=lambda: True).stopped == "asked"
    with pytest.raises(OtherAdaptationError):
        adapt(recordings, stopped, **options, steps=3)


def test_which_option_differs_is_said_before_pytorch_is_loaded(adapted, recordings, starting_model, tmp_path):
    output = shutil.copytree(adapted[0].model, tmp_path / "my-voice")
    code = (
        "import sys; from lip2wav_hf import adapt\n"
        f"places = {[str(recordings), str(output)]!r}\n"
        f"try: adapt(*places, model={str(starting_model)!r}, steps={STEPS}, seed=1, phrases=['yes'])\n"
        "except ValueError as error: print(error); print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    [message, heavy] = done.stdout.splitlines()
    assert "my-voice: what lies there was adapted without `phrases=` and with `seed=` 0, not 1. Name" in message
    assert heavy == "[]"
    record = json.loads((output / RECORD).read_text(encoding="utf-8"))
    del record["options"], record["recorded"]  # as older versions wrote it
    (output / RECORD).write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(OtherAdaptationError, match="adapted with other options .* or from another model. Name"):
        adapt(recordings, output, model=starting_model, steps=STEPS, seed=1)
    assert adapt(recordings, output, model=starting_model, steps=STEPS).steps == STEPS  # what it is of, it still knows


@pytest.mark.parametrize("stopped", [False, True])
def test_what_others_have_recorded_replaces_no_model_unasked(recordings, starting_model, tmp_path, stopped):
    """Also where their files are called alike. With more recordings, and other transcripts, it begins again."""
    mine, output = shutil.copytree(recordings, tmp_path / "mine"), tmp_path / "my-voice"
    names, options = [f"{name}.mp4" for name in SENTENCES], {"model": starting_model, "steps": 1, "final_pass": 0}
    for name in names[2:]:
        (mine / name).unlink()
    write_metadata(mine, [(names[0], SAID[0]), (names[1], SAID[1])])
    adapt(mine, output, **options)
    if stopped:  # before there was a model
        record = json.loads((output / RECORD).read_text(encoding="utf-8"))
        shutil.rmtree(output)
        (output / WORK).mkdir(parents=True)
        plan = json.dumps({name: record[name] for name in ("fingerprint", "options", "recorded")})
        (output / WORK / "plan.json").write_text(plan, encoding="utf-8")
    others = tmp_path / "others"
    others.mkdir()
    for name, other in zip(names, names[2:], strict=False):
        shutil.copy(recordings / other, others / name)
    write_metadata(others, [(names[0], SAID[0]), (names[1], SAID[1])])
    message = r"to other recordings: to 2 recordings, of which none is among these\. .* with `resume=False`\.$"
    with pytest.raises(OtherAdaptationError, match=message):
        adapt(others, output, **options)
    assert adapt(others, tmp_path / "theirs", **options).clips == 2
    assert adapt(others, output, **options, resume=False).clips == 2
    shutil.copy(recordings / names[4], others / names[4])
    write_metadata(others, [(names[0], SAID[1]), (names[1], SAID[1]), (names[4], SAID[4])])
    assert adapt(others.rename(tmp_path / "moved"), output, **options).clips == 3


def test_an_error_rate_above_one_is_explained(adapted):
    result, _ = adapted
    above = max(result.before.text_wer, result.after.text_wer) > 1
    assert any("More than 100 %" in note for note in result.notes) == above


def test_what_got_worse_is_said():
    before = Scores(3, text_wer=0.5, pesq=1.4, stoi=0.6, estoi=None)
    assert worse_scores(before, Scores(3, text_wer=0.4, pesq=1.39, stoi=0.61)) == []
    assert worse_scores(before, Scores(3, text_wer=0.6, pesq=1.3, stoi=0.7)) == ["words read wrong", "PESQ"]
    assert worse_scores(Scores(3, estoi=-0.018), Scores(3, estoi=-0.024)) == []


def test_the_same_seed_gives_the_same_model(adapted, recordings, starting_model, tmp_path):
    result, _ = adapted
    again = adapt(recordings, tmp_path / "again", model=starting_model, steps=STEPS)
    assert (again.model / "model.safetensors").read_bytes() == (result.model / "model.safetensors").read_bytes()
    assert again.after == result.after


def test_who_asks_to_stop_gets_the_model_so_far_and_can_go_on(recordings, starting_model, tmp_path):
    output, taken, said = tmp_path / "stopped", [], []
    options = {"stop": lambda: taken.append(1) or len(taken) == 1, "progress": lambda p: said.append(p.message)}
    first = adapt(recordings, output, model=starting_model, steps=4, **options)
    assert (first.stopped, first.steps) == ("asked", 1)
    assert said[-1] == f"{output} is written; it was stopped: the same call goes on"
    assert any("new word" in message for message in said) == bool(first.new_words)
    Speaker.from_folder(output)
    assert (output / WORK / "run" / "checkpoint-1").is_dir()
    assert not (output / WORK / "cache").exists()
    steps = []
    second = adapt(recordings, output, model=starting_model, steps=4, progress=lambda p: steps.append(p.step))
    assert (second.stopped, second.steps, second.final_steps) == ("finished", 4, 2)
    assert [step for step in steps if step] == [2, 3, 4, 5, 6]
    assert not (output / WORK).exists()


def test_ctrl_c_is_answered_at_once(one_recording, starting_model, tmp_path):
    """Not when the step is over, which may take seconds."""
    said = []

    def interrupt(report):
        said.append(report.message)
        if report.message == "step 1 of 3":
            os.kill(os.getpid(), signal.SIGINT)
            assert said[-1] == "stopping after this step"

    result = adapt(one_recording, tmp_path / "out", model=starting_model, steps=3, progress=interrupt)
    assert (result.stopped, result.steps, said.count("stopping after this step")) == ("asked", 1, 1)


def test_ctrl_c_before_anything_is_learnt_says_what_the_same_call_does(one_recording, starting_model, tmp_path):
    """Not a page of tracebacks of whatever package was being imported."""

    def interrupt(report):
        if report.message.startswith("loading") or report.stage == "checking":
            os.kill(os.getpid(), signal.SIGINT)

    message = "my-voice: the adaptation was interrupted. Run the same again: it begins again"
    with pytest.raises(KeyboardInterrupt, match=message) as stop:
        adapt(one_recording, tmp_path / "my-voice", model=starting_model, steps=1, progress=interrupt)
    frames = [frame.name for frame in traceback.extract_tb(stop.value.__traceback__)]
    assert frames == ["test_ctrl_c_before_anything_is_learnt_says_what_the_same_call_does", "adapt", "run"]
    assert stop.value.__cause__ is None and not (tmp_path / "my-voice").exists()


def test_what_a_killed_run_has_left_is_not_taken_for_the_best(recordings, starting_model, tmp_path):
    output, work = tmp_path / "killed", tmp_path / "killed" / WORK
    options = {"model": starting_model, "steps": 4, "stop": lambda: True}
    adapt(recordings, output, **options)
    shutil.rmtree(work / "run" / "checkpoint-1")  # killed before its first checkpoint, but after it had validated
    shutil.copytree(starting_model, work / "run" / "best")
    again = adapt(recordings, output, **options)
    assert (again.stopped, again.steps) == ("asked", 1)


def test_in_the_end_it_learns_from_what_was_held_back_too(adapted, recordings, starting_model, tmp_path):
    result, _ = adapted
    alone = adapt(recordings, tmp_path / "alone", model=starting_model, steps=STEPS, final_pass=0)
    assert (result.steps, result.final_steps, alone.final_steps) == (STEPS, STEPS // 2, 0)
    assert result.after == alone.after  # of the model that had not learnt from them
    first, both = (load_starting_model(each.model).state_dict() for each in (alone, result))
    assert not all(torch.equal(value, both[name]) for name, value in first.items())
    assert any("also learnt from the 1 recording held back" in note for note in result.notes)
    assert alone.notes == tuple(note for note in result.notes if "held back" not in note)
    card = (result.model / "README.md").read_text(encoding="utf-8")
    assert "The numbers of `held_out` are of this model as it was 1 step earlier" in card
    assert "1 step earlier" not in (alone.model / "README.md").read_text(encoding="utf-8")
    assert plan_model(result.model).files["README.md"] == result.model / "README.md"  # it can be published


def test_the_final_pass_follows_a_first_one_that_was_not_measured(recordings, starting_model, tmp_path, monkeypatch):
    def unmeasured(job, task):  # as where the time is over before the first validation
        return dataclasses.replace(passes.first_pass(job, task), error=None)

    monkeypatch.setattr(running, "first_pass", unmeasured)
    assert adapt(recordings, tmp_path / "out", model=starting_model, steps=STEPS).final_steps == STEPS // 2


def test_who_stops_the_final_pass_gets_what_was_measured_and_can_go_on(recordings, starting_model, tmp_path):
    output, seen = tmp_path / "stopped", []
    options = {"model": starting_model, "steps": 4, "final_pass": 1.0}
    first = adapt(recordings, output, **options, progress=lambda p: seen.append(p.step), stop=lambda: seen[-1] == 6)
    assert (first.stopped, first.steps, first.final_steps) == ("asked", 4, 0)
    assert not any("also learnt" in note for note in first.notes)
    assert any("stopped while it learnt from all recordings" in note for note in first.notes)
    Speaker.from_folder(output)
    steps = []
    second = adapt(recordings, output, **options, progress=lambda p: steps.append(p.step))
    assert [step for step in steps if step] == [7, 8]
    assert (second.stopped, second.steps, second.final_steps) == ("finished", 4, 4)
    assert second.after == first.after
    assert not (output / WORK).exists()


def test_ctrl_c_in_the_last_measurement_is_told(recordings, starting_model, tmp_path):
    def interrupt(progress):
        if progress.stage == "after":
            raise KeyboardInterrupt

    result = adapt(recordings, tmp_path / "out", model=starting_model, steps=2, progress=interrupt)
    assert result.after is None and result.final_steps == 1
    assert "The last measurement was interrupted: there are no figures for this model." in result.notes
    assert not any("figures are" in note for note in result.notes)
    Speaker.from_folder(tmp_path / "out")


def test_who_interrupts_when_the_time_is_over_goes_on_too(recordings, starting_model, tmp_path, monkeypatch):
    """While it is saved, for instance: the same call again has time again."""

    def interrupt(progress):
        if progress.stage == "saving":
            raise KeyboardInterrupt

    options = {"model": starting_model, "steps": 3}
    with monkeypatch.context() as late, pytest.raises(KeyboardInterrupt, match="it goes on where it was"):
        late.setattr(Clock, "left", property(lambda clock: 0.0))
        adapt(recordings, tmp_path / "out", **options, progress=interrupt)
    steps = []
    again = adapt(recordings, tmp_path / "out", **options, progress=lambda p: steps.append(p.step))
    assert [step for step in steps if step] == [2, 3, 4, 5]
    assert (again.stopped, again.steps, again.final_steps) == ("finished", 3, 2)


@pytest.mark.parametrize("rate", [1e4, float("inf")])
def test_a_final_pass_that_does_harm_is_left_out(recordings, starting_model, tmp_path, monkeypatch, rate):
    monkeypatch.setattr(passes, "FINAL_RATE", rate)
    result = adapt(recordings, tmp_path / "out", model=starting_model, steps=4)
    assert (result.stopped, result.steps, result.final_steps) == ("finished", 4, 0)
    assert any("The pass over all recordings was left out" in note for note in result.notes)
    weights = load_starting_model(result.model).state_dict()
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert not (tmp_path / "out" / WORK).exists()


@pytest.mark.parametrize(("fewest", "validations"), [(1, 3), (learning.FEWEST_TO_CHOOSE, 1)])
def test_the_best_step_is_chosen_only_by_enough_recordings(
    recordings, starting_model, tmp_path, monkeypatch, fewest, validations
):
    """One is held back here, and looked at after each step only where that is enough to choose by."""
    measured = []
    after_validation = learning.Follower.after_validation
    monkeypatch.setattr(
        learning.Follower, "after_validation", lambda *given: (measured.append(given), after_validation(*given))
    )
    monkeypatch.setattr(running, "FEWEST_TO_CHOOSE", fewest)
    monkeypatch.setattr(learning, "VALIDATION_STEPS", 1)
    result = adapt(recordings, tmp_path / "out", model=starting_model, steps=3, final_pass=0)
    assert (result.stopped, len(result.held_out), len(measured)) == ("finished", 1, validations)


@pytest.mark.parametrize(
    ("phrases", "anchored"), [("none", True), (SAID[:1], False), ([SAID[0], "set red in v zero please"], True)]
)
def test_lips_are_anchored_where_words_could_be_forgotten(
    one_recording, starting_model, tmp_path, monkeypatch, phrases, anchored
):
    anchors = []
    monkeypatch.setattr(learning, "Anchor", lambda *given: anchors.append(given) or Anchor(*given))
    adapt(one_recording, tmp_path / "out", model=starting_model, steps=1, phrases=phrases, final_pass=0)
    assert bool(anchors) == anchored


def test_new_words_are_shown_before_the_first_step(one_recording, starting_model, tmp_path, monkeypatch):
    folder = shutil.copytree(one_recording, tmp_path / "recordings")
    write_metadata(folder, [(f"{SENTENCES[0]}.mp4", "guten Morgen")])
    known = []
    monkeypatch.setattr(running, "imprint", lambda *given: known.extend(imprint(*given)))
    assert adapt(folder, tmp_path / "out", model=starting_model, steps=1).new_words == ("guten", "morgen")
    assert known == ["guten", "morgen"]


def test_time_that_is_short_ends_the_training(recordings, starting_model, tmp_path):
    result = adapt(recordings, tmp_path / "short", model=starting_model, steps=5000, minutes=0.02)
    assert result.stopped == "time"
    assert result.steps < 5000
    Speaker.from_folder(result.model)


def test_recordings_without_sound_leave_the_voice_as_it_was(recordings, starting_model, tmp_path):
    folder = tmp_path / "silent"
    folder.mkdir()
    for name in SENTENCES[:2]:
        with av.open(str(recordings / f"{name}.mp4")) as source, av.open(str(folder / f"{name}.mp4"), "w") as target:
            stream = source.streams.video[0]
            copy = target.add_stream_from_template(stream)
            for packet in source.demux(stream):
                if packet.dts is not None:
                    packet.stream = copy
                    target.mux(packet)
    write_metadata(
        folder, [(f"{name}.mp4", f"good {word}") for name, word in zip(SENTENCES[:2], ("day", "night"), strict=True)]
    )
    result = adapt(folder, tmp_path / "lips", model=starting_model, steps=STEPS)
    assert result.before is None
    assert result.new_words == ("day", "good", "night")
    assert any("no sound" in note for note in result.notes)
    assert "**Not the voice of the person recorded.**" in (result.model / "README.md").read_text(encoding="utf-8")
    before, after = load_starting_model(starting_model), load_starting_model(result.model)
    for name, value in before.state_dict().items():
        kept = name.startswith(("mel_decoder", "decoder"))
        same = torch.allclose(value, after.state_dict()[name], atol=2e-3) if kept else None
        assert same in (True, None), name
    assert not torch.equal(before.text_head.weight, after.text_head.weight[: len(before.text_head.weight)])


def test_one_bad_recording_is_reported_and_the_others_are_used(recordings, starting_model, tmp_path):
    folder = tmp_path / "mixed"
    shutil.copytree(recordings, folder)
    (folder / f"{SENTENCES[0]}.mp4").write_bytes(b"no video")
    result = adapt(folder, tmp_path / "out", model=starting_model, steps=1)
    assert [check.usable for check in result.checks].count(False) == 1
    assert result.clips + len(result.held_out) == len(SENTENCES) - 1


def test_what_is_listed_but_not_there_is_reported(recordings, starting_model, tmp_path):
    folder = shutil.copytree(recordings, tmp_path / "mixed")
    (folder / f"{SENTENCES[1]}.mp4").rename(folder / f"{SENTENCES[1]}.mov")
    reports = []
    result = adapt(folder, tmp_path / "out", model=starting_model, steps=1, progress=reports.append)
    missing = next(check for check in result.checks if not check.usable)
    assert missing.problems[0].kind == "missing_video"
    assert f"{SENTENCES[1]}.mp4: Listed, but there is no video file" in reports[1].message
    assert [check.file for check in result.checks if check.problems] == [f"{SENTENCES[1]}.mp4", f"{SENTENCES[1]}.mov"]
    assert any(note.endswith("with another ending: write each as the file has it.") for note in result.notes)


def test_takes_that_nobody_listed_are_named(recordings, starting_model, tmp_path):
    folder, reports = shutil.copytree(recordings, tmp_path / "mixed"), []
    takes = [f"take-{number}.mp4" for number in range(7)]
    for name in takes:
        shutil.copy(folder / f"{SENTENCES[1]}.mp4", folder / name)
    (folder / "._take-0.mp4").write_bytes(b"of a Mac")
    with (folder / "metadata.csv").open("a") as file:
        file.write(f"{SENTENCES[0]}.mp4,bin blue at f two now\n")
    result = adapt(folder, tmp_path / "out", model=starting_model, steps=1, progress=reports.append)
    unused = {check.file for check in result.checks if not check.usable}
    assert unused == set(takes)
    assert result.clips + len(result.held_out) == len(SENTENCES)
    [note] = [note for note in result.notes if "metadata" in note]
    assert note.startswith("7 videos not used, since the metadata do not name them: take-0.mp4, take-1.mp4,")
    assert "take-4.mp4 and 2 more. Write a row for each" in note
    said = [report.message for report in reports if "take-" in report.message]
    assert len(said) == 5 and said[0].startswith("take-0.mp4: There is a video, but the metadata do not name it")
    assert any(report.message == "… and 2 more: unlisted_video" for report in reports)
    assert any("The metadata name it again, and say the same" in report.message for report in reports)


def test_nothing_usable_is_refused_with_the_reason(recordings, starting_model, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"no video")
    write_video(folder / "b.mp4")
    (folder / "c.mp4").symlink_to("b.mp4")
    write_metadata(folder, [(f"{name}.mp4", "yes") for name in "abc"])
    reports = []
    with pytest.raises(AdaptationError) as refused:
        adapt(folder, tmp_path / "out", model=starting_model, progress=reports.append)
    assert all(report.message.endswith("Not used.") for report in reports if report.stage == "checking")
    why = r"none of the 3 recordings can be used: 2 × No face was found in it; 1 × It cannot be read: it is not .*\."
    assert re.fullmatch(why, str(refused.value))
    assert not (tmp_path / "out").exists()


def test_alike_reasons_are_one_and_each_file_is_named_once(recordings, starting_model, tmp_path):
    folder, reports = tmp_path / "bad", []
    folder.mkdir()
    for name in "abcdef":
        (folder / f"{name}.mp4").write_bytes(b"" if name in "ab" else b"no video")
    write_video(folder / "g.mp4", frames=5)
    write_video(folder / "h.mp4", frames=6)
    write_metadata(folder, [(f"{name}.mp4", "yes") for name in "abcdefgh"])
    with pytest.raises(AdaptationError) as refused:
        adapt(folder, tmp_path / "out", model=starting_model, progress=reports.append)
    assert str(refused.value) == (
        "none of the 8 recordings can be used: 4 × It cannot be read: it is not a video that can be read (Invalid data"
        " found when processing input); 2 × It cannot be read: the file is empty (0 bytes); 2 × No face was found in"
        " it."
    )
    said = [report.message for report in reports if "a.mp4" in report.message]
    assert said == [
        f"{folder / 'a.mp4'}: It cannot be read: the file is empty (0 bytes). Copy or download it again. Not used."
    ]


def test_what_differs_in_numbers_alone_is_alike():
    def check(message, fatal=True):
        problems = (Problem("dark", "The mouth is dark.", "", False), Problem("x", message, "Do it.", fatal))
        return RecordingCheck("a.mp4", problems)

    lengths = [check(f"It is {seconds} s long; 0.5 s are needed.") for seconds in (0.12, 0.2)]
    others = [check(f"Reason {letter}.") for letter in "abcdef"]
    assert reasons([*lengths, *others, check("Fine.", False)]) == (
        "2 × It is 0.12 s long; 0.5 s are needed or the like; 1 × Reason a; 1 × Reason b; 1 × Reason c; 1 × Reason d;"
        " 2 for other reasons"
    )


def test_a_model_that_was_finished_when_it_was_killed_takes_its_place(adapted, recordings, starting_model, tmp_path):
    shutil.copytree(adapted[0].model, tmp_path / ".mine.tmp")
    reports = []
    again = adapt(recordings, tmp_path / "mine", model=starting_model, steps=STEPS, progress=reports.append)
    assert ([report.stage for report in reports], again.steps) == (["loading"], STEPS)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_phrases_that_lack_a_recording_are_refused_before_it_is_looked_at(recordings, starting_model, tmp_path):
    reports = []
    with pytest.raises(AdaptationError, match="the phrases lack 5 sentences of the recordings"):
        adapt(recordings, tmp_path / "out", model=starting_model, phrases=["yes"], progress=reports.append)
    assert [report.stage for report in reports] == ["loading"]


def test_more_recordings_than_there_is_time_to_look_at(recordings, starting_model, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "FEW", 2)
    monkeypatch.setattr(running, "CHECKING_SHARE", 0.0)
    result = adapt(recordings, tmp_path / "out", model=starting_model, steps=1)
    assert (len(result.checks), result.clips) == (2, 2)
    assert any("Left out: 3 of 5 recordings" in note for note in result.notes)
    folder = shutil.copytree(recordings, tmp_path / "clips")
    rows = [(f"{name}.mp4", said) for name, said in zip(SENTENCES, SAID, strict=True)]
    write_metadata(folder, [*rows, ("gone.mp4", "yes")])
    result = adapt(folder, tmp_path / "other", model=starting_model, steps=1)
    assert any("Left out: 3 of 6 recordings" in note for note in result.notes)
    assert (result.clips, result.not_used, result.left_out, result.recordings) == (2, ("gone.mp4",), 3, 6)
    assert _report(result)[0] == (
        "of 6 recordings: 2 learnt from, 0 held back, 1 not usable (gone.mp4), 3 left out for lack of time"
    )


@pytest.fixture
def full_disk():
    """A function that keeps files from getting larger than a limit, as a full disk does, until the end."""
    resource = pytest.importorskip("resource", reason="the system has no limits for processes")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda most: resource.setrlimit(resource.RLIMIT_FSIZE, (most or soft, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_line_and_the_same_again_goes_on(one_recording, starting_model, tmp_path, full_disk):
    """Neither a cached recording can be written, nor the weights."""
    full_disk(100_000)
    with pytest.raises(AdaptationError, match="something could not be written.*File too large"):
        adapt(one_recording, tmp_path / "out", model=starting_model, steps=1)
    for save in (save_file, torch.save):
        with pytest.raises(Exception, match=running.NOT_WRITTEN):
            save({"large": torch.zeros(100_000)}, str(tmp_path / "weights"))
    full_disk(None)
    assert adapt(one_recording, tmp_path / "out", model=starting_model, steps=1).steps == 1


def test_a_disk_without_enough_space_is_refused_at_once(recordings, starting_model, tmp_path, monkeypatch):
    reports = []
    monkeypatch.setattr(running, "SPACE", 10**12)
    with pytest.raises(AdaptationError, match="MB are needed there for a while"):
        adapt(recordings, tmp_path / "out", model=starting_model, progress=reports.append)
    assert [report.stage for report in reports] == ["loading"]
    assert not (tmp_path / "out").exists()


def test_two_do_not_work_in_one_folder(one_recording, starting_model, tmp_path):
    output, refused = tmp_path / "out", []

    def intrude(progress):
        if progress.stage == "training" and not refused:
            with pytest.raises(AdaptationError, match="another adaptation is working there") as error:
                adapt(one_recording, output, model=starting_model, steps=1, resume=False)
            refused.append(error)

    assert adapt(one_recording, output, model=starting_model, steps=1, progress=intrude).steps == 1
    assert refused


def test_the_model_may_lie_among_the_recordings(one_recording, starting_model, tmp_path):
    folder = shutil.copytree(one_recording, tmp_path / "mine")
    options = {"model": starting_model, "steps": 1}
    first = adapt(folder, folder / "my-voice", **options)
    assert len(first.checks) == 1
    assert adapt(folder, folder / "my-voice", **options) == dataclasses.replace(first, checks=())


def test_the_language_is_that_of_the_recordings_or_of_the_starting_model(tmp_path, starting_model):
    start = shutil.copytree(starting_model, tmp_path / "start")
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / "take.mp4").touch()
    (folder / "take.txt").write_text("yes")

    def language(*new_words, asked=None):
        inputs = read_inputs(folder, tmp_path / "out", Options(start, language=asked))
        return running._language(Job(inputs, Clock(1), print, bool), new_words)

    assert language() == []
    (start / "card.yaml").write_text("language: [en]\n")
    assert language() == ["en"] and language("ναι") == []
    (folder / "README.md").write_text("---\nlanguage: el\n---\n", encoding="utf-8")
    assert language() == language("ναι") == ["el"] and language("oui", asked="fr") == ["fr"]
    with pytest.raises(CorpusError, match="give its code"):
        language(asked="French")


def test_clips_are_taken_as_well_as_folders(recordings, starting_model, tmp_path):
    clips = [clip for own in load_clips(recordings).values() for clip in own][:1]
    assert adapt(clips, tmp_path / "one", model=starting_model, steps=1).clips == 1


def test_a_voice_is_given_to_recordings_with_and_without_sound(recordings, starting_model, tmp_path):
    speech = [read_audio(recordings / f"{name}.mp4") for name in SENTENCES[:3]]
    write_audio(tmp_path / "voice.wav", np.concatenate(speech), 16000)
    clips = [clip for own in load_clips(recordings).values() for clip in own][:1]
    options = {"model": starting_model, "steps": STEPS, "voice": tmp_path / "voice.wav"}
    voiced = adapt(clips, tmp_path / "voiced", **options)
    assert any("voice" in note for note in voiced.notes)
    assert read_record(voiced.model).given_voice == 1
    card = (voiced.model / "README.md").read_text(encoding="utf-8")
    assert "| voice | one like that of 1 sound file" in card and "face and voice" not in card
    assert "**A voice that was given.**" in render_model_card(voiced.model)  # which a push takes
    reports = []
    lips = [dataclasses.replace(clips[0], video=SAMPLE)]
    silent = adapt(lips, tmp_path / "silent", progress=reports.append, **options)
    assert (silent.steps, silent.voice_steps) == (STEPS, STEPS // 2)  # none of them unsaid in the other
    assert read_record(silent.model).voice_steps == silent.voice_steps
    steps = f"{STEPS} steps from the weights of `start`, then {STEPS // 2} that teach the voice, in "
    card = (silent.model / "README.md").read_text(encoding="utf-8")
    assert steps in card and "held back" not in card  # one recording alone: none is
    assert f"{STEPS} steps, then {STEPS // 2} that teach the voice, " in "\n".join(_report(silent))
    assert f"voice: step {STEPS // 2} of {STEPS // 2}" in [report.message for report in reports]
    before, after = load_starting_model(starting_model), load_starting_model(silent.model)
    assert not torch.equal(before.decoder.projection.weight, after.decoder.projection.weight)


def test_it_answers_as_its_phrases_are_written(recordings, starting_model, tmp_path):
    clips = [clip for own in load_clips(recordings).values() for clip in own][:1]
    phrases = [clips[0].text.title() + "!"]
    result = adapt(clips, tmp_path / "one", model=starting_model, steps=1, phrases=phrases, language="pt-BR")
    assert ModelCard.load(result.model / "README.md").data.language == ["pt-BR"]
    [spoken] = Speaker.from_folder(result.model)([str(clips[0].video)])
    assert (spoken["text"], spoken["written"]) == (clips[0].text, phrases[0])
