"""The machine: its cores, worker processes on them, and its description in `results.json`."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import dis
import gc
import importlib.metadata
import multiprocessing
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn


ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)
RARELY = 50_000  # objects between searches for garbage in a worker: it imports many that last, and leaves little


def machine() -> dict[str, Any]:
    """The machine: CPU model, cores this process may use, load of the last minute, PyTorch's version and threads."""
    import torch

    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": model,
        "cores": available_cores(),
        "accelerator": accelerator,
        "torch": str(torch.__version__),
        "torch_threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
    }


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def return_memory() -> None:
    """
    Give memory that is no longer used back to the system, where the C library keeps it: glibc does, between pieces
    that are still used, and batches of ever other lengths leave ever more of it.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # musl has none, and keeps little
        trim(0)


def may_have_gpu() -> bool:
    """Whether torch may find a GPU here, asked without it: one of NVIDIA, AMD or Apple that is not hidden."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return False
    return sys.platform == "darwin" or any(map(os.path.exists, ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")))


def gpu_power_limit(index: int = 0) -> float | None:
    """
    The driver's power limit of a GPU, as nvidia-smi reports it.

    Args:
        index (`int`, *optional*, defaults to 0): of the GPU, as torch counts.

    Returns:
        `float`, *optional*: W; `None` without such a GPU or without nvidia-smi, or where it does not say, as for a
        slice of a GPU.
    """
    import torch

    program = shutil.which("nvidia-smi")
    if program is None or not torch.cuda.is_available():
        return None
    gpu = f"GPU-{torch.cuda.get_device_properties(index).uuid}"
    command = [program, f"--id={gpu}", "--query-gpu=power.limit", "--format=csv,noheader,nounits"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        return float(result.stdout.strip())
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


@contextlib.contextmanager
def without_collections() -> Generator[None]:
    """
    No search for garbage among what is made here, now or later. Imports make many objects, and all of them last: to
    search them again and again takes a fifth of the time in which torch and transformers are imported.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def rest_waiting_threads() -> None:
    """
    Let threads that wait for each other soon sleep, which torch's OpenMP looks up when it is imported; unless somebody
    has chosen. By default they spin, and where another program keeps a core busy, they take the time of those that
    work: a batch of eight clips takes two threads 9 s then, and so 0.8 s; on two idle cores 0.6 s either way.
    """
    if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def process_pool(number: int, modules: Iterable[str] = ()) -> ProcessPoolExecutor:
    """
    A pool of worker processes that compute on one thread each, leave Ctrl-C to this process, and end when it ends,
    however it ends.

    Args:
        number (`int`): how many.
        modules (iterable of `str`, *optional*): what they will import and takes long. On Linux one process imports it
            for them all, and for later pools; it has no threads, and they are its forks. What only a later pool names,
            its workers import themselves.
    """
    # Spawned, not forked: the face networks and torch hold threads, which a forked process would wait for in vain.
    context: Any = multiprocessing.get_context("spawn")
    if (names := list(modules)) and sys.platform == "linux":
        from multiprocessing import forkserver, resource_tracker  # of Unix alone

        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(names)
        resource_tracker.ensure_running()  # before, since it lets Ctrl-C through again
        with _environment(dict(os.environ) | ONE_THREAD), _without_interruption():
            forkserver.ensure_running()
    return ProcessPoolExecutor(number, context, initializer=_start_worker, initargs=(dict(os.environ),))


def end_workers(pool: ProcessPoolExecutor) -> None:
    """End the processes of a pool at once, whatever they are doing, such as importing; and what they are forks of."""
    for process in list((pool._processes or {}).values()):  # terminate_workers() of Python 3.14
        process.terminate()
    if (server := sys.modules.get("multiprocessing.forkserver")) and (process := server._forkserver._forkserver_pid):
        with contextlib.suppress(ProcessLookupError):  # a later pool starts another
            os.kill(process, signal.SIGTERM)


@contextlib.contextmanager
def _without_interruption() -> Generator[None]:
    """Ctrl-C comes later; to processes that are started here, never."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Generator[None]:
    """These environment variables and no others."""
    before = dict(os.environ)
    try:
        _set_environment(variables)
        yield
    finally:
        _set_environment(before)


def _set_environment(variables: Mapping[str, str]) -> None:
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


@contextlib.contextmanager
def worker_processes(number: int, chunksize: int = 1) -> Generator[Callable[..., Iterable]]:
    """
    A `map` over worker processes, or in this process if one is enough.

    Args:
        number (`int`): how many processes.
        chunksize (`int`, *optional*, defaults to 1): items that a process takes at a time. After Ctrl-C these are
            finished, the others are not begun: a process that is ended leaves half a file where it writes.

    Yields:
        a function like `map`, with results in order.
    """
    if number <= 1:
        yield map
        return
    pool = process_pool(number)

    def pool_map(function: Callable, *items: Iterable) -> Iterator:
        return pool.map(function, *items, chunksize=chunksize)

    try:
        yield pool_map
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(environment: Mapping[str, str]) -> None:
    from tqdm import tqdm

    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process, which ends its workers
    tqdm.set_lock(threading.RLock())  # its own would be one of the system, left behind by a worker that is ended
    gc.set_threshold(RARELY)
    _set_environment({**environment, **ONE_THREAD})  # for libraries still to come
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)


def _end_with_parent() -> None:
    """Without it, workers of a process that was killed would wait for work for ever, each with the memory it has."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def ending_by(error: Callable[[], BaseException]) -> Callable[[int, FrameType | None], NoReturn]:
    """
    A signal handler that raises an error which nobody else's code swallows: many packages wrap what they import in a
    bare `except:`, and a program that is told to end while it loads would go on. An error that is lost in what our
    code has called is raised again as soon as that returns; what our code catches itself is not.

    Args:
        error (`Callable`): makes the error, such as `KeyboardInterrupt`.
    """

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raised = error()
        caller = frame
        while caller is not None and not _is_ours(caller):
            caller = caller.f_back
        if caller is not None and caller is not frame:
            _raise_when_back(caller, raised)
        raise raised

    return end


def _is_ours(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__", ""))
    return name == "__main__" or name.partition(".")[0] == __name__.partition(".")[0]


def _raise_when_back(frame: FrameType, error: BaseException) -> None:
    """
    Raise an error in a frame that waits for others, unless it comes to it from them: debuggers stop behind a call in
    the same way. It is raised where the `finally`, `with` or `except` around the call sees it: not in what one of them
    does at its end, which would be left undone; then it is raised behind that.
    """
    before = sys.gettrace(), frame.f_trace, frame.f_trace_opcodes
    around = _handlers(frame)

    def arrived(own: FrameType, event: str, argument: Any) -> Any:
        if event != "return" and around and around[0] not in _handlers(own):
            return arrived
        sys.settrace(before[0])
        own.f_trace, own.f_trace_opcodes = before[1:]
        if event != "exception" or argument[1] is not error:
            raise error
        return None

    frame.f_trace, frame.f_trace_opcodes = arrived, True
    sys.settrace(_untraced)  # without it, no frame is traced


def _handlers(frame: FrameType) -> list[int]:
    """Where a frame goes on when what it does now raises an error, and when that raises one, and so on."""
    entries = getattr(dis.Bytecode(frame.f_code), "exception_entries", ())  # ranges do not overlap
    found, place = list[int](), frame.f_lasti
    while target := next((entry.target for entry in entries if entry.start <= place < entry.end), None):
        if target in found:
            break
        found.append(target)
        place = target
    return found


def _untraced(frame: FrameType, event: str, argument: Any) -> None:
    """Of frames that begin in the meantime, none is."""


def leave(status: int) -> NoReturn:
    """
    End the process at once, after what is registered for its end, and without that at Ctrl-C.

    Else Python would take half a second to free every object of torch, and the destructors of cuBLAS would read 110 MB
    of its file.
    """
    _flush()
    with contextlib.suppress(ValueError):  # outside of the main thread
        signal.signal(signal.SIGINT, lambda *_: os._exit(status))
    threading._shutdown()  # ty: ignore[missing-attribute]  # waits for other threads, as the interpreter does
    atexit._run_exitfuncs()
    _flush()
    os._exit(status)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def versions() -> dict[str, str]:
    """Versions of the packages that the numbers depend on, if installed."""
    found = {}
    packages = ("lip2wav_hf", "transformers", "pesq", "pystoi", "pocketsphinx", "speechmos", "Resemblyzer", "jiwer")
    for package in (*packages, "scipy", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def missing_packages(extra: str) -> list[str]:
    """
    What an extra of this package brings and is not installed.

    Args:
        extra (`str`): such as `"train"`.

    Returns:
        `list[str]`: names of distributions.
    """
    missing = []
    for line in importlib.metadata.requires("lip2wav_hf") or ():
        if re.search(rf"""extra == ['"]{re.escape(extra)}['"]""", line):
            name = re.match(r"[\w.-]+", line)
            try:
                importlib.metadata.version(name[0] if name else line)
            except importlib.metadata.PackageNotFoundError:
                missing.append(name[0] if name else line)
    return missing


def take_lock(path: str | os.PathLike) -> int:
    """
    Keep other processes from what a file stands for, until the handle is closed or this process ends, however it ends.
    Where the system has no `flock`, as on Windows, nothing is kept from anybody.

    Args:
        path (`str` or `os.PathLike`): the file, made where it is missing; its folder must exist.

    Returns:
        `int`: a handle, for `os.close`.

    Raises:
        BlockingIOError: if another process has it.
    """
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass
    except OSError:
        os.close(handle)
        raise
    return handle


__all__ = [
    "available_cores",
    "end_workers",
    "ending_by",
    "gpu_power_limit",
    "leave",
    "machine",
    "may_have_gpu",
    "missing_packages",
    "process_pool",
    "rest_waiting_threads",
    "take_lock",
    "versions",
    "without_collections",
    "worker_processes",
]
