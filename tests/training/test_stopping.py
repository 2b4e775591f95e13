"""How a run stops: when it is asked to, and when its launcher is gone."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lip2wav_hf.training import stopping
from lip2wav_hf.training.output_dir import find_checkpoints


LAUNCHERS = {
    "accelerate": ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "-m", "lip2wav_hf.train"],
    "torchrun": ["-m", "torch.distributed.run", "--master-addr", "127.0.0.1"],
}
LONG = ["--max_steps", "100000", "--validation_steps", "1", "--validation_clips", "0", "--save_epochs", "1000000"]


def children_of(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task/{process}/children")
    return [int(word) for word in tasks.read_text().split()] if tasks.is_file() else []


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds: float, log: Path):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds} s: {log.read_text()[-3000:]}")
        time.sleep(0.1)


def start(launcher: str, recipe: str, output: Path, log: Path, number: int = 1) -> subprocess.Popen:
    """A launcher, in a session of its own, of so many processes."""
    command = [sys.executable, *LAUNCHERS[launcher]]
    if launcher == "torchrun":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            command += ["--master-port", str(free.getsockname()[1]), "--nproc-per-node", str(number)]
            command += ["-m", "lip2wav_hf.train"]
    command += [recipe, "--output_dir", str(output), *LONG]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "GLOO_SOCKET_IFNAME": "lo"}
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment, start_new_session=True)
    return process


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found in /proc")
@pytest.mark.parametrize(
    ("launcher", "number", "count"),
    [("accelerate", signal.SIGTERM, 1), ("accelerate", signal.SIGKILL, 1), ("torchrun", signal.SIGTERM, 2)],
)
def test_a_training_ends_with_its_launcher(run_arguments, tmp_path, launcher, number, count):
    log, output = tmp_path / "log.txt", tmp_path / "run"
    process = start(launcher, run_arguments[0], output, log, count)
    trainers = []
    try:
        wait_for(lambda: "step 1: loss" in log.read_text() or process.poll() is not None, 240, log)
        trainers += children_of(process.pid)
        assert len(trainers) == count, log.read_text()[-3000:]
        process.send_signal(number)
        process.wait(60)
        wait_for(lambda: not any(map(is_running, trainers)), 60, log)
    finally:
        for left in filter(is_running, [process.pid, *trainers]):
            os.kill(left, signal.SIGKILL)
        process.wait()
    (checkpoint,) = find_checkpoints(output)
    step = checkpoint.name.rpartition("-")[2]
    assert log.read_text().count(f"stopped at step {step}; {checkpoint} is written") == 1
    assert "--resume latest" in log.read_text()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="launchers are known by /proc")
@pytest.mark.parametrize("launcher", ["accelerate", "torchrun"])
def test_a_launcher_ends_without_a_word_where_the_training_is_asked_to_stop(run_arguments, tmp_path, launcher):
    log, output = tmp_path / "log.txt", tmp_path / "run"
    process = start(launcher, run_arguments[0], output, log)
    try:
        wait_for(lambda: "step 1: loss" in log.read_text() or process.poll() is not None, 240, log)
        os.kill(int(re.search(r"to stop with a checkpoint: kill (\d+)", log.read_text())[1]), signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert "stopped at step" in log.read_text() and "Traceback" not in log.read_text()
    assert len(find_checkpoints(output)) == 1


@pytest.mark.skipif(not Path("/proc/self/cmdline").is_file(), reason="needs /proc")
def test_a_shell_that_ends_does_not_end_a_training(monkeypatch):
    """Not even where the variables of a launcher are set, as some set them by hand."""
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "NO")
    monkeypatch.setattr(stopping, "_STARTED_BY", os.getpid())
    monkeypatch.setattr(stopping, "LAUNCHER_WORDS", (b"accelerate launch",))
    assert not stopping.watch_launcher()


def test_without_a_launcher_nothing_is_watched(monkeypatch):
    for name in stopping.LAUNCHER_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert not stopping.watch_launcher()


def test_signals_are_noted_and_then_mean_what_they_meant():
    before = signal.getsignal(signal.SIGTERM)
    with stopping.stop_requests() as requests:
        assert requests.received is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert requests.received == "SIGTERM"
        os.kill(os.getpid(), signal.SIGINT)
        assert requests.received == "SIGINT"
    assert signal.getsignal(signal.SIGTERM) is before
