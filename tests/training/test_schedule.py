"""When a run validates and saves."""

from types import SimpleNamespace

import pytest

from lip2wav_hf.training.arguments import OptimizationArguments, TrainingError
from lip2wav_hf.training.schedule import Interval, Schedule
from lip2wav_hf.training.state import Progress


def schedule_of(batches: int, **options) -> Schedule:
    state = SimpleNamespace(arguments=OptimizationArguments(**options), train_loader=range(batches))
    return Schedule.of(state)


@pytest.mark.parametrize(
    ("batches", "accumulation", "epochs"), [(1, 1, 50), (3, 1, 17), (49, 1, 2), (50, 1, 1), (900, 1, 1), (100, 4, 2)]
)
def test_short_epochs_are_put_together(batches, accumulation, epochs):
    schedule = schedule_of(batches, gradient_accumulation_steps=accumulation)
    assert schedule.validation == schedule.saving == Interval(epochs=epochs, stretched=epochs > 1)


def test_what_is_asked_for_is_done():
    schedule = schedule_of(1, validation_epochs=1, save_steps=7)
    assert schedule.validation == Interval(epochs=1) and schedule.saving == Interval(steps=7)
    assert schedule_of(1, validation_epochs=3, validation_steps=7).validation == Interval(steps=7)
    assert str(schedule.validation) == "every epoch" and str(schedule.saving) == "every 7 steps"


@pytest.mark.parametrize(
    "option", ["validation_steps", "save_steps", "validation_epochs", "save_epochs", "logging_steps"]
)
def test_less_than_one_is_refused(option):
    with pytest.raises(TrainingError, match=f"--{option} must be at least 1"):
        schedule_of(10, **{option: 0})


def test_epochs_are_due_at_their_end_and_steps_anywhere():
    by_epoch, by_step = Interval(epochs=2), Interval(steps=4)
    assert by_epoch.is_due(Progress(step=20, epoch=2)) and not by_epoch.is_due(Progress(step=10, epoch=1))
    assert not by_epoch.is_due(Progress(step=21, epoch=2, step_in_epoch=1))
    assert by_step.is_due(Progress(step=8, epoch=0, step_in_epoch=8)) and not by_step.is_due(Progress(step=9))
    assert not by_epoch.is_due(Progress()) and not by_step.is_due(Progress())
