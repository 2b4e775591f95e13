"""
Processes that start at once: a server imports what they need, and forks each of them.

A new interpreter takes five seconds of processor time before it trains or evaluates anything; a fork takes none. Each
is a process of its own all the same: it has its own arguments, environment and output, can be killed, and runs next to
others. What is tested about imports or launchers starts a new interpreter.
"""

import atexit
import gc
import itertools
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import NoReturn


HERE = Path(__file__).resolve().parent
# What a training imports, late imports of its libraries included.
TRAINING = ("lip2wav_hf.training.loop", "lip2wav_hf.training.build", "datasets", "torch._dynamo")
# What an evaluation by all metrics imports, and its report.
MEASURING = (
    *("lip2wav_hf.evaluation.evaluate", "lip2wav_hf.evaluation.web_report", "lip2wav_hf.metrics.pesq.pesq", "pesq"),
    *("pystoi", "pocketsphinx", "speechmos.dnsmos", "librosa.core.constantq", "librosa.filters"),
    *("librosa.feature.spectral", "librosa.sequence", "scipy.io", "scipy.ndimage", "scipy.signal"),
    *("matplotlib.backends.backend_agg", "lip2wav_hf.metrics.recognizers"),
)


class WarmProcesses:
    """A server that has imported some modules, in an environment, and forks processes; for use in `with`."""

    def __init__(self, modules: tuple[str, ...], environment: dict[str, str] | None = None):
        variables = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} | (environment or {})
        command = [sys.executable, "-c", "import sys, warm_processes; warm_processes.serve(sys.argv[1:])", *modules]
        variables["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, [variables.get("PYTHONPATH")])])
        self.server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables, text=True, start_new_session=True
        )

    def __enter__(self) -> "WarmProcesses":
        return self

    def __exit__(self, *_) -> None:
        self.server.stdin.close()
        self.server.wait(60)
        self.server.stdout.close()

    def ask(self, **request) -> int:
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        answer = self.server.stdout.readline()
        assert answer, "the server of processes has ended"
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


def serve(modules: list[str]) -> None:
    """What the server does: a request a line on stdin, a number a line on stdout."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    gc.disable()
    for module in modules:
        __import__(module)
    gc.freeze()  # a search for garbage would copy the memory that processes share
    gc.enable()
    for line in sys.stdin:
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
