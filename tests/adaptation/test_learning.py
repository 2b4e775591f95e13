"""When a training ends: it gets no better, time is up, or somebody asks."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from conftest import TINY_CONFIG
from lip2wav_hf import Lip2WavConfig, Lip2WavModel, adapt
from lip2wav_hf.adaptation import learning
from lip2wav_hf.adaptation.learning import FALLEN, PATIENCE, Anchor, Clock, Follower


class Time:
    """A clock that a test moves."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def time(monkeypatch):
    clock = Time()
    monkeypatch.setattr(learning, "time", clock)
    return clock


def follow(time, minutes, seconds_per_step, steps=100, errors=(), stop=None, following=0.0, fewest=0, switching=0.0):
    """The steps that are made, and why they end; `errors` are those of the validations, each after ten steps."""
    state = SimpleNamespace(
        progress=SimpleNamespace(step=0), arguments=SimpleNamespace(max_steps=steps), stop_requested=False
    )
    clock = Clock(minutes, start=time.monotonic())
    follower = Follower(clock, bool(errors), lambda *report: None, stop, following, fewest, switching)
    errors, planned = list(errors), []
    while state.progress.step < state.arguments.max_steps and not state.stop_requested:
        time.now += seconds_per_step(state.progress.step)
        state.progress.step += 1
        follower.after_step(state, {"ctc": 1.0})
        planned.append(state.arguments.max_steps)
        if errors and state.progress.step % 10 == 0:
            follower.after_validation(state, {"validation/loss": errors.pop(0)})
    return state.progress.step, follower.reason, planned


def test_all_steps_are_made_where_there_is_time(time):
    assert follow(time, 10, lambda step: 1.0)[:2] == (100, "finished")


def test_fewer_steps_are_planned_where_there_is_not(time):
    steps, reason, planned = follow(time, 1, lambda step: 1.0)
    assert reason == "time"
    assert 50 <= steps <= 55  # a minute less the reserve
    assert planned[10] == pytest.approx(steps, abs=2)
    assert time.now <= 100.0 + 60


def test_time_is_left_for_the_steps_that_follow(time):
    steps, reason, planned = follow(time, 1, lambda step: 1.0, following=0.5)
    assert reason == "time"
    assert 33 <= steps <= 37  # two thirds of a minute less the reserve
    assert planned[10] == pytest.approx(steps, abs=2)
    assert follow(time, 1, lambda step: 5.0 if step > 20 else 1.0, following=0.5)[0] < steps


def test_what_would_be_left_out_afterwards_gets_no_time(time):
    """With a few steps in all, the final pass would be left out, and its third of the time be lost."""
    assert follow(time, 1, lambda step: 6.0, following=0.5, fewest=5)[0] == 9
    assert follow(time, 1, lambda step: 6.0, following=0.5)[0] == 6
    assert follow(time, 1, lambda step: 1.0, following=0.5, fewest=5) == follow(
        time, 1, lambda step: 1.0, following=0.5
    )


def test_time_is_left_for_what_lies_between(time):
    """Saving and loading before the steps that follow: without time for it they would be left out."""
    start = time.now
    steps = follow(time, 2, lambda step: 4.0, following=0.5, fewest=5, switching=6.0)[0]
    assert steps == 18
    assert 120 - (time.now - start) - 5 - 6 >= 4 * 9


def test_it_says_early_that_hardly_any_steps_fit(time):
    """First steps that are slow alone say nothing, unless they have used up what there was."""

    def warned(minutes, seconds_per_step):
        said = []
        state = SimpleNamespace(
            progress=SimpleNamespace(step=0), arguments=SimpleNamespace(max_steps=100), stop_requested=False
        )
        clock = Clock(minutes, start=time.monotonic())
        follower = Follower(clock, False, lambda *report: None, following=0.5, warn=lambda *found: said.append(found))
        for step in range(8):
            time.now += seconds_per_step(step)
            state.progress.step += 1
            follower.after_step(state, {"ctc": 1.0})
            if said:
                return state.progress.step, *said[0][1:]
        return None

    assert warned(1, lambda step: 1.0) is None
    assert warned(1, lambda step: 9.0 if step == 0 else 1.0) is None
    assert warned(1, lambda step: 5.0 if step < 2 else 1.0) is None
    assert warned(1, lambda step: 5.0) == (3, 7, 100)
    assert warned(1, lambda step: 25.0) == (2, 2, 100)
    assert warned(1, lambda step: 50.0) == (1, 1, 100)
    assert warned(20, lambda step: 50.0) == (3, 15, 100)


def test_one_slow_step_does_not_shorten_the_plan_for_good(time):
    steps, reason, planned = follow(time, 4, lambda step: 30.0 if step == 4 else 1.0)
    assert (steps, reason) == (100, "finished")
    assert min(planned) < 100


@pytest.mark.parametrize("slow", [6, 12, 20])
def test_slow_first_steps_leave_time_for_fast_ones(time, slow):
    """Whatever else worked on the machine has ended since: the minutes are used, and the end is where it was planned
    last."""
    start = time.now
    steps, reason, planned = follow(time, 2, lambda step: 4.0 if step < slow else 1.0)
    assert (reason, planned[-1]) == ("time", steps)
    assert 112 <= time.now - start <= 120 and steps >= 112 - 4 * slow + slow


def test_it_ends_when_it_gets_no_better_at_a_low_learning_rate(time):
    steps, reason, _ = follow(time, 10, lambda step: 1.0, errors=[3.0, 2.0, *[2.5] * 9])
    assert (steps, reason) == (100 * FALLEN + 10 * (PATIENCE - 1), "no improvement")


def test_it_goes_on_while_the_learning_rate_is_high(time):
    errors = [2.0, *[2.5] * 5, *[1.9 - number / 10 for number in range(5)]]
    assert follow(time, 10, lambda step: 1.0, errors=errors)[:2] == (100, "finished")


def test_it_goes_on_while_it_gets_better(time):
    errors = [3.0 - number / 10 for number in range(11)]
    assert follow(time, 10, lambda step: 1.0, errors=errors)[:2] == (100, "finished")


def test_who_asks_is_heard_after_each_step(time):
    asked = iter([False, False, True])
    assert follow(time, 10, lambda step: 1.0, stop=lambda: next(asked))[:2] == (3, "asked")


def test_a_precision_that_the_process_has_already_is_kept():
    AcceleratorState._reset_state(True)
    assert learning._precision() == "bf16"
    Accelerator(cpu=True, mixed_precision="no")
    try:
        assert learning._precision() == "no"
    finally:
        AcceleratorState._reset_state(True)


@pytest.mark.parametrize(("live", "expected"), [(3, ["0", "2", "3", "4", "8", "all"]), (None, None)])
def test_who_wants_to_speak_live_learns_with_changing_look_ahead(recordings, starting_model, tmp_path, live, expected):
    """Whole clips alone unlearn some of it; the field of the configuration says what it was trained for last."""
    start = shutil.copytree(starting_model, tmp_path / "start")
    config = json.loads((start / "config.json").read_text()) | {"live_look_ahead": 3}
    (start / "config.json").write_text(json.dumps(config))
    asked, encode = [], Lip2WavModel.encode

    def noted(self, *arguments, look_ahead=None, **more):
        if self.training:
            asked.append(look_ahead)
        return encode(self, *arguments, look_ahead=look_ahead, **more)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Lip2WavModel, "encode", noted)
        result = adapt(recordings, tmp_path / "out", model=start, steps=8, final_pass=0, live=live is not None)
    assert Lip2WavConfig.from_pretrained(result.model).live_look_ahead == live
    assert len(asked) == 8 and (len(set(asked)) > 1) == (live is not None)
    assert set(map(str, asked)) <= {*(expected or ()), "None"}


def test_an_anchor_pulls_what_reads_the_lips_back():
    model = Lip2WavModel(Lip2WavConfig(**TINY_CONFIG))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    anchor = Anchor(model, 0.25)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    anchor.pull()
    lips = ("visual_encoder.", "temporal_encoder.", "text_head.")
    for name, parameter in model.named_parameters():
        moved = parameter.detach() - before[name]
        assert torch.allclose(moved, torch.full_like(moved, 0.75 if name.startswith(lips) else 1.0), atol=1e-5), name
