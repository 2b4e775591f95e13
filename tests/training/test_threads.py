"""Threads on CPUs: idle cores, and threads without a core."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lip2wav_hf.machine import available_cores
from lip2wav_hf.training import threads as threads_module
from lip2wav_hf.training.stopping import LAUNCHER_VARIABLES
from lip2wav_hf.training.threads import FittingThreads, Usage, threads_were_chosen, warn_of_idle_cores


@pytest.mark.parametrize(
    ("threads", "cores", "processes", "complaint"),
    [(1, 8, 1, "OMP_NUM_THREADS=8"), (1, 8, 2, "OMP_NUM_THREADS=4"), (1, 1, 1, ""), (1, 2, 2, ""), (2, 8, 1, "")],
)
def test_idle_cores_are_told_of(monkeypatch, caplog, threads, cores, processes, complaint):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads_module, "available_cores", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    warn_of_idle_cores(torch.device("cpu"), processes)
    assert ("OMP_NUM_THREADS" in caplog.text) == bool(complaint)
    assert complaint in caplog.text


@pytest.mark.parametrize(
    ("launched", "variables", "command", "chosen"),
    [
        (False, b"HOME=/root", b"bash", True),
        (True, b"HOME=/root", b"accelerate\0launch", False),  # the launcher's own 1
        (True, b"HOME=/root\0OMP_NUM_THREADS=1\0", b"accelerate\0launch", True),
        (True, b"HOME=/root", b"accelerate\0launch\0--num-cpu-threads-per-process=1", True),
        (True, None, None, False),  # a system without /proc
    ],
)
def test_a_number_of_threads_that_a_person_chose_is_known(monkeypatch, tmp_path, launched, variables, command, chosen):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in LAUNCHER_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if launched:
        monkeypatch.setenv(LAUNCHER_VARIABLES[0], "no")
    if variables is not None:
        (tmp_path / "environ").write_bytes(variables)
        (tmp_path / "cmdline").write_bytes(command)
    assert threads_were_chosen(tmp_path) is chosen


CROWDED_SCRIPT = """
import logging, os, sys, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, for all threads
import torch
from lip2wav_hf.training import threads
torch.set_num_threads(2)
threads.WATCHED_SECONDS = 0.25
logging.basicConfig(format="%(message)s", level=logging.INFO)
fitting, numbers = threads.FittingThreads(torch.device("cpu")), torch.randn(256, 256)
end = time.perf_counter() + 1.25
while time.perf_counter() < end:
    numbers @ numbers
    fitting.note_batch()
print(torch.get_num_threads())
fitting.restore()
print(torch.get_num_threads())
"""


@pytest.mark.skipif(not Path("/proc/stat").is_file(), reason="Linux says here what all processes have used")
@pytest.mark.parametrize(("chosen", "during"), [(False, 1), (True, 2)])
def test_threads_without_a_core_are_given_up(chosen, during):
    """A number that a person chose is kept, and complained of once."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    result = subprocess.run(
        [sys.executable, "-c", CROWDED_SCRIPT],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment | ({"OMP_NUM_THREADS": "2"} if chosen else {}),
        check=True,
    )
    assert result.stdout.split() == [str(during), "2"]
    assert result.stderr.count("the machine is busy") == 1, result.stderr
    assert result.stderr.count("OMP_NUM_THREADS=1") == chosen


def test_one_thread_has_nothing_to_wait_for(monkeypatch, caplog):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: pytest.fail("one thread is all there is"))
    monkeypatch.setattr(threads_module, "WATCHED_SECONDS", 0.0)
    monkeypatch.setattr(threads_module.Usage, "free_cores", lambda *given: 0.0)
    with caplog.at_level("INFO"):
        fitting = FittingThreads(torch.device("cpu"))
        fitting.note_batch()
        fitting.restore()
    assert not caplog.text


class Machine:
    """Four cores, for a process that computes with up to four threads; `others` use some of them."""

    def __init__(self, monkeypatch):
        self.seconds = self.own = self.all = self.others = 0.0
        self.threads = 4
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr(torch, "get_num_threads", lambda: self.threads)
        monkeypatch.setattr(torch, "set_num_threads", lambda threads: setattr(self, "threads", threads))
        monkeypatch.setattr(threads_module, "available_cores", lambda: 4)
        monkeypatch.setattr(threads_module.time, "sleep", self.run)
        monkeypatch.setattr(threads_module.time, "perf_counter", lambda: self.seconds)
        monkeypatch.setattr(threads_module.Usage, "now", lambda: Usage(self.seconds, self.own, 0.0, self.all))
        self.fitting = FittingThreads(torch.device("cpu"))

    def run(self, seconds):
        own = min(self.threads, 4 - self.others)
        self.seconds, self.own = self.seconds + seconds, self.own + own * seconds
        self.all += (own + self.others) * seconds

    def train(self, seconds, others):
        """The numbers of threads with which so many batches of a second were calculated."""
        self.others, used = others, set()
        for _ in range(seconds):
            self.run(1.0)
            self.fitting.note_batch()
            used.add(self.threads)
        return used


def test_threads_follow_what_others_leave(monkeypatch):
    machine = Machine(monkeypatch)
    assert machine.train(30, others=0.1) == {4}
    assert machine.train(8, others=1.2) >= {4, 2}
    assert machine.train(60, others=1.2) == {2}
    assert machine.train(60, others=5) == {2, 1}
    assert machine.train(200, others=0) == {1, 4}
    machine.train(3, others=2)
    machine.fitting.restore()
    assert machine.threads == 4


def test_cores_that_are_free_now_and_then_are_used_ever_later(monkeypatch):
    """A thread too many costs far more than one too few."""
    machine, later = Machine(monkeypatch), []
    for _ in range(4):
        machine.train(6, others=2)
        seconds = 0
        while machine.threads < 4:
            machine.train(1, others=0)
            seconds += 1
        later.append(seconds)
    assert later == sorted(later) and later[-1] > 4 * later[0]


def test_a_loading_process_is_none_of_the_others():
    """What it uses is this training's own; once it has ended, nothing is counted twice."""
    before = Usage(0.0, 0.0, 2.0, 10.0)
    assert Usage(10.0, 10.0, 4.0, 22.0).free_cores(before, 2) == available_cores()
    assert Usage(10.0, 10.0, 0.0, 25.0).free_cores(before, 2) == available_cores() - 0.5


@pytest.mark.skipif(not Path("/proc/stat").is_file(), reason="Linux says here what all processes have used")
def test_what_processes_use_is_read():
    before = Usage.now()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        time.sleep(1.5)
        now = Usage.now()
        process.kill()
    assert now.own - before.own < 0.5 < now.children - before.children
    assert now.all - before.all > now.children - before.children - 0.1


def test_where_nobody_says_the_load_counts(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 0, 0), raising=False)
    usage = Usage(1.0, 1.0, 0.0, None)
    assert usage.free_cores(usage, 2) == available_cores() - 1
    monkeypatch.delattr(os, "getloadavg")
    assert usage.free_cores(usage, 2) is None
