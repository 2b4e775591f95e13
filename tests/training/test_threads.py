"""Threads on CPUs: idle cores, and threads without a core."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lip2wav_hf.training import threads as threads_module
from lip2wav_hf.training.stopping import LAUNCHER_VARIABLES
from lip2wav_hf.training.threads import threads_were_chosen, warn_of_idle_cores


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
torch.set_num_threads(int(sys.argv[1]))
threads.WATCHED_SECONDS = 0.25
logging.basicConfig(format="%(message)s")
watch, numbers = threads.CrowdedThreads(torch.device("cpu")), torch.randn(256, 256)
end = time.perf_counter() + 1.25
while time.perf_counter() < end:
    numbers @ numbers
    watch.note_batch()
"""


@pytest.mark.skipif(not Path("/proc/self/schedstat").is_file(), reason="Linux says here how long threads have waited")
@pytest.mark.parametrize(("threads", "warnings"), [(2, 1), (1, 0)])
def test_threads_that_wait_for_a_core_are_told_of_once(threads, warnings):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    result = subprocess.run(
        [sys.executable, "-c", CROWDED_SCRIPT, str(threads)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=True,
    )
    assert result.stderr.count("the machine is busy") == warnings, result.stderr
    assert result.stderr.count("OMP_NUM_THREADS=1") == warnings
