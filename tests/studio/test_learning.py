import json
import os
import time
from pathlib import Path

import pytest

from lip2wav_hf.studio.learning import Learning, Status, last_status
from lip2wav_hf.studio.recordings import StudioError
from studio import learners


@pytest.fixture
def begin(tmp_path):
    """A function that starts a training in another process."""
    begun = []

    def begin(learn, **options):
        learning = Learning(learn, tmp_path / "learning.json")
        begun.append(learning)
        learning.start(tmp_path, tmp_path / "voice", takes=3, minutes=2.0, **options)
        return learning

    yield begin
    for learning in begun:
        learning.cancel()


def wait(learning, until=lambda status: not status.active):
    end = time.monotonic() + 60
    while not until(learning.status()):
        assert time.monotonic() < end, learning.status()
        time.sleep(0.05)
    return learning.status()


def test_progress_and_summary(begin, tmp_path):
    learning = begin(learners.quick, phrases=["yes"])
    assert learning.status().active
    status = wait(learning)
    assert (status.state, status.step, status.loss, status.takes) == ("done", 30, pytest.approx(2 / 30), 3)
    assert status.history == [(10, 3.0), (20, 1.5)] and status.notes == ["few steps"]
    assert status.result == {"clips": 0, "minutes": 2.0, "phrases": ["yes"]}
    assert last_status(json.loads((tmp_path / "learning.json").read_text(encoding="utf-8"))) == status


def test_a_second_one_does_not_start(begin, tmp_path):
    learning = begin(learners.patient)
    with pytest.raises(StudioError, match="running already"):
        learning.start(tmp_path, tmp_path / "voice", takes=3, minutes=2.0)
    wait(learning, lambda status: status.step > 2)
    learning.stop()
    assert learning.status().state == "stopping"
    with pytest.raises(StudioError, match="running already"):
        learning.start(tmp_path, tmp_path / "voice", takes=3, minutes=2.0)
    status = wait(learning)
    assert status.state == "done" and status.result["steps"] >= 3
    assert (tmp_path / "voice" / "best").read_text(encoding="utf-8") == str(status.result["steps"])


def test_the_end_of_the_studio_saves_the_best(begin, tmp_path):
    learning = begin(learners.patient)
    wait(learning, lambda status: status.step > 0)
    learning.close()
    assert learning.status().state == "done" and (tmp_path / "voice" / "best").is_file()


def test_cancelled_at_once(begin, tmp_path):
    learning = begin(learners.patient)
    wait(learning, lambda status: status.step > 0)
    learning.forget()
    assert learning.status() == Status()
    assert not (tmp_path / "voice").exists()


@pytest.mark.parametrize(
    ("learn", "message"),
    [
        (learners.refusing, "no recording can be used: record again"),
        (learners.faulty, "Something went wrong in the training (ZeroDivisionError: a fault of the program)"),
        (learners.dying, "The training ended without a word"),
    ],
)
def test_failures_are_said_and_another_try_is_possible(begin, tmp_path, learn, message):
    learning = begin(learn)
    status = wait(learning)
    assert status.state == "failed" and status.error.startswith(message)
    learning.start(tmp_path, tmp_path / "voice", takes=3, minutes=2.0)
    assert wait(learning).state == "failed"


def test_it_ends_with_the_studio(tmp_path):
    """Killed without a chance to say goodbye, the studio leaves no training behind."""
    pid = os.fork()
    if pid == 0:
        learning = Learning(learners.patient, tmp_path / "learning.json")
        learning.start(tmp_path, tmp_path / "voice", takes=3, minutes=2.0)
        wait(learning, lambda status: status.step > 0)
        os._exit(0)
    os.waitpid(pid, 0)
    end = time.monotonic() + 30
    while not (tmp_path / "voice" / "best").is_file():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("content", [None, 7, {"unknown": 1}, {"history": "no"}, {"state": "running"}])
def test_notes_that_cannot_be_used_are_no_hindrance(content):
    assert last_status(content) == Status()


def test_a_training_is_importable_in_another_process():
    assert Path(learners.__file__).is_file() and learners.quick.__module__ == "studio.learners"
