"""Progress of long jobs: a bar on a terminal, lines in a log."""

import sys
from types import SimpleNamespace

import pytest

from lip2wav_hf.corpora import progress
from lip2wav_hf.corpora.progress import ProgressLines, progress_bar


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_log_gets_a_line_every_so_often(clock, capfd):
    for _ in progress_bar(range(200), "checking clips", 200):
        clock.now += 1
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        "checking clips: 30 of 200 clips, 15 %, 1.0 clips/s, 02:50 left",
        "checking clips: 60 of 200 clips, 30 %, 1.0 clips/s, 02:20 left",
        "checking clips: 90 of 200 clips, 45 %, 1.0 clips/s, 01:50 left",
        "checking clips: 120 of 200 clips, 60 %, 1.0 clips/s, 01:20 left",
        "checking clips: 150 of 200 clips, 75 %, 1.0 clips/s, 00:50 left",
        "checking clips: 180 of 200 clips, 90 %, 1.0 clips/s, 00:20 left",
        "checking clips: 200 of 200 clips, 100 %, 1.0 clips/s, 00:00 left",
    ]


def test_a_short_job_says_nothing(clock, capfd):
    for _ in progress_bar(range(20), "checking clips", 20):
        clock.now += 1
    assert capfd.readouterr() == ("", "")


def test_lines_of_a_day_are_few(clock, capfd):
    with progress_bar(None, "training", 86_400, "step") as bar:
        for _ in range(86_400):
            clock.now += 1
            bar.update()
    assert 100 < len(capfd.readouterr().err.splitlines()) < 150


def test_bytes_and_what_was_done_before(clock, capfd):
    with progress_bar(None, "", 400_000_000, "B") as bar:
        bar.set_description("s1.zip")
        clock.now += 40
        bar.update(100_000_000)
        assert bar.n == 100_000_000
    with progress_bar(None, "steps", 100, "step", initial=90) as bar:
        bar.set_postfix({"mel": "0.5"})
        clock.now += 40
        bar.update(2)
    assert capfd.readouterr().err.splitlines() == [
        "s1.zip: 100 of 400 MB, 25 %, 2.5 MB/s, 02:00 left",
        "steps: 92 of 100 steps, 92 %, 20.0 s per step, 02:40 left, mel 0.5",
    ]


def test_a_terminal_gets_a_bar_and_nobody_what_is_not_to_be_shown(monkeypatch, capfd):
    assert isinstance(progress_bar(), ProgressLines)
    hidden = progress_bar(range(3), show=False)
    assert list(hidden) == [0, 1, 2] and capfd.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert not isinstance(progress_bar(), ProgressLines)


def test_a_job_that_fails_keeps_its_error(clock, capfd):
    with pytest.raises(KeyError), progress_bar(None, "exporting", 10) as bar:
        clock.now += 31
        bar.update()
        raise KeyError
    assert capfd.readouterr().err.count("\n") == 1


def test_a_kernel_that_is_imported_makes_no_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    assert isinstance(progress_bar([], "counting"), ProgressLines)
