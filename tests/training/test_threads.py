"""Threads on CPUs: idle cores, and threads without a core."""

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
