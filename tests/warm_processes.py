"""
Processes that start at once: a server imports what they need, and forks each of them.

A new interpreter takes five seconds of processor time before it trains or evaluates anything; a fork takes none. Each
is a process of its own all the same: it has its own arguments, environment and output, can be killed, and runs next to
others. What is tested about imports or launchers starts a new interpreter.

One server does for all tests, those of other pytest processes included: `conftest.py` starts it, and it imports what
is asked for when it is asked for. Where it matters what else was imported, or with what environment, tests have a fork
of it that has only imported other people's libraries, or a server of their own.
"""

import atexit
import contextlib
import gc
import itertools
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn


HERE = Path(__file__).resolve().parent
# Most of the time that transformers and this package take to be imported. None of it reads variables of Hugging Face.
LIBRARIES = (
    *("torch", "torch._dynamo", "torch.distributed.tensor", "torchaudio", "scipy.optimize", "av", "cv2", "jinja2"),
)
# What a training imports, late imports of its libraries included.
TRAINING = ("lip2wav_hf.training.loop", "lip2wav_hf.training.build", "datasets", "torch._dynamo")
# What a page of Gradio imports, but for Gradio itself, which reads the environment as it is imported.
SERVING = (
    *(
        "lip2wav_hf.commands.main",
        "lip2wav_hf.pipeline_video_to_speech",
        "transformers.pipelines",
        "fastapi",
        "uvicorn",
    ),
    *("pandas", "httpx", "websockets", "PIL.Image", "matplotlib.figure", "lip2wav_hf.live.streamer"),
)
# What an evaluation by all metrics imports, and its report.
MEASURING = (
    *("lip2wav_hf.evaluation.evaluate", "lip2wav_hf.evaluation.web_report", "lip2wav_hf.metrics.pesq.pesq", "pesq"),
    *("pystoi", "pocketsphinx", "speechmos.dnsmos", "librosa.core.constantq", "librosa.filters"),
    *("librosa.feature.spectral", "librosa.sequence", "scipy.io", "scipy.ndimage", "scipy.signal"),
    *("matplotlib.backends.backend_agg", "lip2wav_hf.metrics.recognizers"),
)


# Most of what files of tests import, when they are collected and when they run.
COLLECTED = ("pytest", *TRAINING, *SERVING, *MEASURING)


# What a disk is waited with; see [`wait_for_no_disk`].
FSYNC = os.fsync


# Where the server of all tests listens.
ADDRESS = "LIP2WAV_TESTS_WARM_PROCESSES"


# Isolated, an interpreter has no path to this file.
LOAD = f"""
import importlib.util, sys
found = importlib.util.spec_from_file_location("warm_processes", {__file__!r})
sys.modules["warm_processes"] = warm_processes = importlib.util.module_from_spec(found)
found.loader.exec_module(warm_processes)
"""


def wait_for_no_disk() -> None:
    """No test cuts the power: a file need not be on the disk at once, which takes some ms, thousands of times."""
    os.fsync = lambda file: None


def start_server(function: str, *arguments: str, command=(), environment: dict[str, str]) -> subprocess.Popen[str]:
    """A new interpreter that calls a function of this file and ends with its stdin."""
    return subprocess.Popen(
        [*(command or [sys.executable]), "-c", f"{LOAD}warm_processes.{function}(*sys.argv[1:])", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
        start_new_session=True,
    )


def environment_of_server() -> dict[str, str]:
    """The environment of this process, without a GPU, with the modules of tests, and one thread a process."""
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": path}


@contextlib.contextmanager
def server_of_all() -> Iterator[None]:
    """The server that tests of this process and of those that it starts share."""
    with tempfile.TemporaryDirectory() as folder:
        address = os.path.join(folder, "address")
        server = start_server("serve_all", address, environment=environment_of_server())
        assert server.stdout.readline(), "the server of processes does not start"
        os.environ[ADDRESS] = address
        yield
        del os.environ[ADDRESS]
        server.stdin.close()
        server.wait(60)
        server.stdout.close()


class WarmProcesses:
    """
    A server that has imported some modules and forks processes; for use in `with`.

    By default it is a fork of the server of all tests, which may have imported more. With `bare`, and where it has a
    special environment, which libraries may read as they are imported, nothing but `LIBRARIES` was imported before. It
    is a new interpreter with `fresh`, and where it is the interpreter `python` of a virtual environment, isolated,
    which has no other environment variables.
    """

    def __init__(
        self,
        modules: tuple[str, ...],
        environment: dict[str, str] | None = None,
        bare: bool = False,
        fresh: bool = False,
        python: Path | None = None,
    ):
        self.server, self.connection = None, None
        if python:
            self.server = start_server("serve", *modules, command=[python, "-I"], environment=environment)
        elif fresh:
            self.server = start_server("serve", *modules, environment=environment_of_server())
        if self.server:
            self.requests, self.answers = self.server.stdin, self.server.stdout
        else:
            bare, variables = bare or environment is not None, environment_of_server() | (environment or {})
            self.connection = socket.socket(socket.AF_UNIX)
            self.connection.connect(f"{os.environ[ADDRESS]}-{'bare' if bare else 'all'}")
            self.requests, self.answers = self.connection.makefile("w"), self.connection.makefile("r")
            self.requests.write(json.dumps({"modules": modules, "environment": variables}) + "\n")
            self.requests.flush()

    def __enter__(self) -> "WarmProcesses":
        return self

    def __exit__(self, *_) -> None:
        self.requests.close()
        if self.connection:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.connection.close()
        else:
            self.server.wait(60)
        self.answers.close()

    def ask(self, **request) -> int:
        self.requests.write(json.dumps(request) + "\n")
        self.requests.flush()
        answer = self.answers.readline()
        assert answer.removeprefix("-").strip().isdigit(), answer or "the server of processes has ended"
        return int(answer)

    def start(self, log: Path, code: str, arguments=(), environment=None, cwd=None, before: str = "") -> int:
        """Start `python -m code`, or `python -c code` where it is more than a name, after `before`; its id."""
        words, variables = [str(word) for word in arguments], environment or {}
        return self.ask(
            code=code, before=before, arguments=words, environment=variables, cwd=str(cwd or Path.cwd()), log=str(log)
        )

    def wait(self, process: int) -> int:
        """Exit status of a process that was started, as `subprocess` has it."""
        return self.ask(wait=process)

    def run(self, log: Path, code: str, arguments=(), **options) -> subprocess.CompletedProcess[str]:
        """Start a process and wait; what it printed stays in `log` (stdout) and beside it (stderr)."""
        status = self.wait(self.start(log, code, arguments, **options))
        return subprocess.CompletedProcess([code, *arguments], status, log.read_text(), errors_of(log).read_text())

    @contextlib.contextmanager
    def serving(self, log: Path, code: str, arguments=(), patience: float = 300, **options) -> Iterator[str]:
        """A process that serves something until it is asked to end; the first line that it prints."""
        process = self.start(log, code, arguments, **options)
        try:
            end = time.monotonic() + patience
            while "\n" not in (said := log.read_text() if log.exists() else ""):
                assert time.monotonic() < end, f"nothing was printed: {errors_of(log).read_text()}"
                time.sleep(0.05)
            yield said.splitlines()[0]
        finally:
            os.kill(process, signal.SIGTERM)
            status = self.wait(process)
        assert status == 0, errors_of(log).read_text()

    def run_group(self, log: Path, number: int, code: str, arguments=(), environment=None, **options):
        """Processes of one distributed group, as torchrun would start them; a result of each."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        group = {"WORLD_SIZE": str(number), "LOCAL_WORLD_SIZE": str(number), "MASTER_ADDR": "127.0.0.1"}
        group |= {"MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo", **(environment or {})}
        logs = [log.with_name(f"{log.name}-{rank}") for rank in range(number)]
        processes = [
            self.start(path, code, arguments, group | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, **options)
            for rank, path in enumerate(logs)
        ]
        return [
            subprocess.CompletedProcess(code, self.wait(process), path.read_text(), errors_of(path).read_text())
            for process, path in zip(processes, logs, strict=True)
        ]


def kill_at(place: str, call: int, moment: str) -> None:
    """
    Let this process kill itself as if at random: at a call of a function, `"before"` or `"after"` its work. For
    `before` of [`WarmProcesses.start`], as [`killing`] writes it.
    """
    owner, _, name = place.rpartition(".")
    function, calls = getattr(pkgutil.resolve_name(owner), name), itertools.count(1)

    def counted(*arguments, **options):
        number = next(calls)
        if number == call and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **options)
        if number == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(pkgutil.resolve_name(owner), name, counted)


def killing(kill: tuple[str, int, str] | None) -> str:
    """Code that calls [`kill_at`]; none for `None`."""
    return "" if kill is None else f"from warm_processes import kill_at; kill_at(*{kill!r})"


def errors_of(log: Path) -> Path:
    """Where a process that prints to `log` writes its stderr."""
    return log.with_name(f"{log.name}.err")


def serve(*modules: str) -> None:
    """What a server of its own does: a request a line on stdin, a number a line on stdout."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    wait_for_no_disk()
    _import(modules)
    _answer(sys.stdin, answers)


def serve_all(address: str) -> None:
    """
    What the server of all tests does: for each connection, it forks a server. There are two ways to connect: to this
    process, which has imported libraries, and to a fork of it, which imports what anybody asks for.
    """
    ready = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    wait_for_no_disk()
    bare, common = (socket.socket(socket.AF_UNIX) for _ in range(2))
    for listener, name in ((bare, "bare"), (common, "all")):
        listener.bind(f"{address}-{name}")
        listener.listen()
    print("listening", file=ready, flush=True)
    found = select.select([sys.stdin, bare, common], [], [])[0]
    if sys.stdin not in found:
        _import_what_is_there(LIBRARIES)
    if not os.fork():
        bare.close()
        _end_after(_serve_connections, common, keeps=True)
    common.close()
    _serve_connections(bare, keeps=False)


def _serve_connections(listener: socket.socket, keeps: bool) -> None:
    """Until stdin ends; `keeps`: what is imported for one connection is there for the next ones."""
    while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
        connection, _ = listener.accept()
        with connection, connection.makefile("r") as requests, connection.makefile("w") as answers:
            wanted = json.loads(requests.readline())
            if "worker" in wanted:
                _import_what_is_there(COLLECTED)
            if not keeps or _tries_to_import(wanted["modules"], answers):
                if not os.fork():
                    listener.close()
                    _end_after(_serve_connection, wanted, connection, requests, answers)
        while _a_child_has_ended():
            pass


def _a_child_has_ended() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return False


def _serve_connection(wanted: dict, connection: socket.socket, requests, answers) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(wanted["environment"])
    if _tries_to_import(wanted["modules"], answers):
        if "worker" in wanted:
            _serve_worker(connection, answers, **wanted["worker"])
        else:
            _answer(requests, answers)


def _serve_worker(connection: socket.socket, answers, code: str, cwd: str) -> None:
    """Fork the process that [`be_worker`] stands for: it has that one's streams, and ends when that one ends."""
    print("ready", file=answers, flush=True)
    streams = socket.recv_fds(connection, 1, 3)[1]
    os.chdir(cwd)
    if not (worker := os.fork()):
        for target, source in enumerate(streams):
            os.dup2(source, target)
            os.close(source)
        connection.close()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        tempfile.tempdir = None
        sys.argv, sys.stdin, sys.stdout = ["-c"], open(0, closefd=False), open(1, "w", closefd=False)
        status = 1
        try:
            exec(code, {"__name__": "__main__"})
            status = 0
        except BaseException:
            traceback.print_exc()
        _leave(status)
    for stream in streams:
        os.close(stream)
    while not (ended := os.waitpid(worker, os.WNOHANG))[0]:
        if select.select([connection], [], [], 0.2)[0]:
            os.kill(worker, signal.SIGKILL)
    with contextlib.suppress(BrokenPipeError):  # Ctrl-C has ended who waited
        print(os.waitstatus_to_exitcode(ended[1]), file=answers, flush=True)


def be_worker(code: str) -> int:
    """
    What `python warm_processes.py -u -c code` does: a fork of the server of all tests runs this code with the streams
    of this process, which waits for it. For pytest-xdist, which starts an interpreter for each of its processes.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    wanted = {"modules": (), "environment": dict(os.environ), "worker": {"code": code, "cwd": os.getcwd()}}
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("r") as answers:
        connection.connect(f"{os.environ[ADDRESS]}-all")
        connection.sendall(json.dumps(wanted).encode() + b"\n")
        said = answers.readline()
        assert said == "ready\n", said or "the server of processes has ended"
        socket.send_fds(connection, [b"."], [0, 1, 2])
        return int(answers.readline() or 1)


def _tries_to_import(modules, answers) -> bool:
    try:
        _import(modules)
    except Exception as error:
        print(f"{type(error).__name__}: {error}".replace("\n", " "), file=answers, flush=True)
        return False
    return True


def _end_after(function, *arguments, **options) -> NoReturn:
    """What a fork does that is not to go on with what its parent does."""
    status = 1
    try:
        function(*arguments, **options)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _import(modules) -> None:
    gc.disable()
    for module in modules:
        __import__(module)
    gc.freeze()  # a search for garbage would copy the memory that processes share
    gc.enable()


def _import_what_is_there(modules) -> None:
    for module in modules:
        with contextlib.suppress(ImportError):  # of an extra
            _import([module])


def _answer(requests, answers) -> None:
    """Fork a process or wait for one, as each line asks, until there are no more."""
    for line in requests:
        request = json.loads(line)
        if "wait" in request:
            number = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        elif not (number := os.fork()):
            _leave(_work(**request))
        answers.write(f"{number}\n")
        answers.flush()


def _leave(status: int) -> NoReturn:
    """End a forked process as an interpreter ends, but let the system free its memory: torch takes half a second."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _work(code: str, before: str, arguments: list[str], environment: dict[str, str], cwd: str, log: str) -> int:
    """The forked process: as an interpreter would run this code."""
    nothing, out = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    err = os.open(errors_of(Path(log)), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for source, target in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(environment)
    tempfile.tempdir = None  # an import may have asked for it, in another environment
    os.chdir(cwd)
    sys.argv[1:] = arguments
    try:
        exec(before, {})
        if code.replace(".", "").replace("_", "").isalnum():
            runpy.run_module(code, run_name="__main__", alter_sys=True)
        else:
            exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(be_worker(sys.argv[-1]))
