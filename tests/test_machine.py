"""The machine: the power of a GPU, workers whose main process is killed, and when garbage is searched for."""

import contextlib
import gc
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lip2wav_hf.machine import (
    RARELY,
    ending_by,
    gpu_power_limit,
    return_memory,
    without_collections,
    worker_processes,
)


@pytest.mark.parametrize(("answer", "watts"), [("echo 700.00", 700.0), ("echo '[N/A]'", None), ("exit 6", None)])
def test_the_power_limit_of_a_gpu(tmp_path, monkeypatch, answer, watts):
    """A stand-in for nvidia-smi, where there is no GPU; it must be asked for the GPU by its UUID, not by a number."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f'#!/bin/sh\n[ "$1" = "--id=GPU-1234" ] || exit 1\n{answer}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid="1234"))
    assert gpu_power_limit() == watts


def test_without_a_gpu_there_is_no_limit(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_power_limit() is None


@pytest.mark.parametrize("modules", [[], ["colorsys"]])
def test_workers_end_when_their_main_process_is_killed(modules):
    """They would hold their memory, and the pipe that the main process printed to: whoever reads it would wait."""
    code = (
        "import os, signal\nfrom lip2wav_hf.machine import process_pool\n"
        f"print(process_pool(1, {modules}).submit(os.getpid).result(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL and int(done.stdout) > 1, done.stderr


INTERRUPTED = """
import importlib
from concurrent.futures import wait
from lip2wav_hf.machine import end_workers, process_pool

pool = process_pool(1, {modules})
try:
    wait([pool.submit(importlib.import_module, "slow")])
except KeyboardInterrupt:
    end_workers(pool)
    pool.shutdown()
    print("ended")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forks on Linux alone")
@pytest.mark.parametrize("modules", [["slow"], ["colorsys"], []])
def test_what_workers_import_does_not_keep_who_wants_to_end(tmp_path, modules):
    """Whether they are forked yet or not: all processes end, and none says anything."""
    begun = tmp_path / "begun"
    (tmp_path / "slow.py").write_text(
        f"import time\nfrom tqdm import tqdm\ntqdm(disable=True)\nopen({str(begun)!r}, 'w').close()\ntime.sleep(300)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED.format(modules=modules)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])},
        start_new_session=True,
    )
    try:
        while process.poll() is None and not begun.exists():
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        said, complained = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (said, complained, process.returncode) == ("ended\n", "", 0)


POOLS = """
import os, sys
from lip2wav_hf.machine import process_pool

def look():
    return os.getppid(), "colorsys" in sys.modules, os.environ.get("LIP2WAV_TEST"), os.environ["OMP_NUM_THREADS"]

if __name__ == "__main__":
    for value in ("first", "second", None):
        os.environ |= {"LIP2WAV_TEST": value} if value else {}
        if not value:
            del os.environ["LIP2WAV_TEST"]
        with process_pool(1, ["colorsys"]) as pool:
            print(*pool.submit(look).result())
    print(os.getpid(), os.environ.get("OMP_NUM_THREADS"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forks on Linux alone")
def test_what_workers_import_is_imported_once(tmp_path, monkeypatch):
    """By a process that later pools have too; each worker has the variables of its time, and one thread."""
    (tmp_path / "pools.py").write_text(POOLS)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    # A process of its own: here the first pool may have been another test's, with other modules.
    done = subprocess.run([sys.executable, str(tmp_path / "pools.py")], capture_output=True, text=True, timeout=60)
    *workers, (main, threads) = [line.split() for line in done.stdout.splitlines()]
    assert [worker[1:] for worker in workers] == [["True", value, "1"] for value in ("first", "second", "None")]
    (parent,) = {worker[0] for worker in workers}
    assert parent != main and threads == "7", done.stderr


LEAVING = """
import os, signal, threading, time
from concurrent.futures import ThreadPoolExecutor
from lip2wav_hf.machine import leave

ThreadPoolExecutor(1).submit(time.sleep, 20)
print("saved")
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
leave(3)
"""


def test_who_cannot_wait_for_the_end_sees_no_traceback():
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", LEAVING], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (3, "saved\n", "") and time.monotonic() - start < 15


RESTING = """
import os, sys
{before}
from lip2wav_hf.commands.main import main
try:
    main(["--version"])
finally:
    print(os.environ.get("GOMP_SPINCOUNT"))
"""


@pytest.mark.parametrize(
    ("before", "variables", "count"),
    [
        ("", {}, "1000"),
        ("", {"GOMP_SPINCOUNT": "7"}, "7"),
        ("", {"OMP_WAIT_POLICY": "ACTIVE"}, "None"),
        ("sys.modules['torch'] = sys", {}, "None"),  # it has looked already
    ],
)
def test_threads_of_commands_soon_sleep_unless_somebody_chose(before, variables, count):
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", RESTING.format(before=before)],
        env=own | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split()[-1] == count


def test_garbage_is_searched_for_again_after_imports():
    assert gc.isenabled()
    with pytest.raises(ImportError), without_collections():
        with without_collections():
            assert not gc.isenabled()
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()


def test_workers_search_rarely():
    with worker_processes(2) as map_:
        assert list(map_(_threshold, range(1))) == [RARELY]


def _threshold(_: int) -> int:
    return gc.get_threshold()[0]


LOADING = """
import os, signal, sys
from lip2wav_hf.machine import ending_by

def load():
    import swallowing
    print("went on")

def caught():
    try:
        load()
    except KeyboardInterrupt:
        print("caught")
    print("saved")

signal.signal(signal.SIGTERM, ending_by(KeyboardInterrupt))
try:
    {function}()
except KeyboardInterrupt:
    print("ended", sys.gettrace())
"""

SWALLOWED = {
    "bare": "try:\n    {signal}\nexcept:\n    pass\nprint('imported')",
    "deeper": "def other():\n    try:\n        {signal}\n    except:\n        pass\nother()\nprint('imported')",
    "replaced": "try:\n    {signal}\nexcept BaseException as error:\n    raise ImportError('x') from error",
    "ignored": "class Thing:\n    def __del__(self):\n        {signal}\nThing()\nprint('imported')",
    "passed on": "{signal}",
}


@pytest.mark.parametrize("how", SWALLOWED)
@pytest.mark.parametrize(("function", "said"), [("load", ["ended None"]), ("caught", ["caught", "saved"])])
def test_an_import_cannot_swallow_the_end(tmp_path, how, function, said):
    """As packages do that try what they can import, with a bare `except:`. What our own code catches stays caught."""
    lines = SWALLOWED[how].format(signal="import os; os.kill(os.getpid(), 15); [None for _ in range(9)]")
    (tmp_path / "swallowing.py").write_text(lines)
    code = LOADING.format(function=function)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    printed = [line for line in done.stdout.splitlines() if line != "imported"]
    assert (printed, done.returncode) == (said, 0), done.stderr
    assert "Traceback" not in done.stderr or how == "ignored"


CLEANING = {
    "try": "try:\n  call()\n finally:\n  log.append('a')\n  log.append('b')",
    "returned": "try:\n  return call()\n finally:\n  log.append('a')\n  log.append('b')",
    "several": "with leaving(log):\n  try:\n   return call()\n  finally:\n   log.append('a')",
    "around": "try:\n  with leaving(log):\n   call()\n finally:\n  log.append('a')",
    "entered": "try:\n  with call() or leaving(log):\n   log.append('no')\n finally:\n  log.extend('ab')",
    "loop": "for name in 'ab':\n  try:\n   if name == 'b' and not call(): continue\n  finally:\n   log.append(name)",
    "caught": "try:\n  call()\n except KeyboardInterrupt:\n  log.extend('ab')\n raise KeyboardInterrupt",
}


@pytest.mark.parametrize("how", CLEANING)
def test_what_swallows_the_end_leaves_no_clean_up_undone(how):
    """As Gradio's `block_thread` swallows Ctrl-C, in the last line of a `try` whose `finally` removes its folder."""
    library = {"__name__": "library", "signal": signal}
    exec("def call():\n try:\n  signal.raise_signal(15); [None for _ in range(9)]\n except: pass", library)
    own = {"__name__": "lip2wav_hf.own", "call": library["call"], "leaving": _leaving}
    exec(f"def function(log):\n {CLEANING[how]}\n log.append('went on')", own)
    before, log = signal.signal(signal.SIGTERM, ending_by(KeyboardInterrupt)), []
    try:
        with pytest.raises(KeyboardInterrupt):
            own["function"](log)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert sorted(log) == ["a", "b"]


@contextlib.contextmanager
def _leaving(log: list[str]):
    try:
        yield
    finally:
        log.append("b")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems say it otherwise")
def test_memory_between_pieces_in_use_goes_back():
    pieces, sizes = [bytearray(100_000) for _ in range(2000)], []
    last = bytearray(100_000)  # behind them: the heap cannot just be made shorter
    del pieces
    for action in (lambda: None, return_memory):
        action()
        sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
    assert sizes[1] < sizes[0] - 150e6 and len(last) == 100_000
