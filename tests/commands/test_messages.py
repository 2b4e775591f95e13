import io
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from lip2wav_hf.commands.messages import CommandError, only_our_messages, report_error, reporting, wrapped


def outcome(error, capfd, **options):
    """Exit status of a command that raises this, and what it says on stderr."""

    @reporting(**options)
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as end:
        command()
    out, err = capfd.readouterr()
    assert not out
    return end.value.exit_code, err


@pytest.mark.parametrize(
    "error, line",
    [
        (CommandError("x.mp4: this\nis wrong."), "error: x.mp4: this is wrong.\n"),
        (
            PermissionError(13, "Permission denied", "/nowhere/.out.work"),
            "error: /: no permission to write there. Change its permissions, or choose another place.\n",
        ),
        (FileNotFoundError(2, "No such file", "x"), "error: FileNotFoundError: [Errno 2] No such file: 'x'\n"),
    ],
)
def test_errors_are_one_line_and_status_2(error, line, capfd):
    assert outcome(error, capfd) == (2, line)


def test_a_missing_package_is_named_with_its_extra(capfd):
    status, line = outcome(ModuleNotFoundError("No module named 'jiwer'", name="jiwer"), capfd)
    assert status == 2 and "jiwer" in line and "[evaluate]" in line or "[train]" in line
    assert "pip install lip2wav_hf" not in line and line.count("\n") == 1


def test_ctrl_c_says_how_to_go_on(capfd):
    assert outcome(KeyboardInterrupt(), capfd) == (130, "error: interrupted.\n")
    status, line = outcome(KeyboardInterrupt(), capfd, interrupted="It goes on where it was.")
    assert (status, line) == (130, "error: interrupted. It goes on where it was.\n")
    stop = KeyboardInterrupt("out: it begins again.")  # who knows better
    assert outcome(stop, capfd, interrupted="It goes on where it was.") == (130, "error: out: it begins again.\n")


WORKING = """
import sys, time, typer
from lip2wav_hf.commands.messages import reporting
from lip2wav_hf.machine import worker_processes

@reporting(interrupted="It goes on where it was.")
def command():
    with worker_processes(2) as map_:
        for _ in map_(time.sleep, [0, 0] + [0.5] * 100):
            print("done", flush=True)

try:
    command()
except typer.Exit as end:
    sys.exit(end.exit_code)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="processes are found in /proc")
def test_sigterm_ends_a_command_and_its_processes():
    with subprocess.Popen([sys.executable, "-c", WORKING], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"done\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert errors == b"error: ended by SIGTERM. It goes on where it was.\n"  # no traceback, no leaked semaphore
    assert len(children) == 3  # two workers, and one that clears up behind them and is the last to end
    end = time.monotonic() + 30
    while left := [child for child in children if Path(f"/proc/{child}").exists()]:
        assert time.monotonic() < end, left
        time.sleep(0.05)


SWALLOWING = """
import os, sys

class Finder:
    \"""A package that is told to end while it is imported, and swallows it.\"""

    def find_spec(self, name, path=None, target=None):
        if name == os.environ["SWALLOWING"]:
            sys.meta_path.remove(self)
            try:
                os.kill(os.getpid(), 15)
                [None for _ in range(9)]
            except:
                print("swallowed", flush=True)

sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize(
    ("package", "arguments", "status"),
    [
        ("torch", ["speak", "{video}", "-o", "{folder}/a.wav"], 143),
        ("torch", ["live", "{video}", "-o", "{folder}/a.wav"], 143),
        ("torch", ["adapt", "{folder}/in", "-o", "{folder}/out"], 143),
        ("accelerate", ["train", "tiny", "--data_dir", "{folder}/in", "--output_dir", "{folder}/out"], 130),
        ("gradio", ["studio", "--port", "0", "--folder", "{folder}/out"], 0),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_no_import_swallows_sigterm(tmp_path, talking_video, package, arguments, status):
    (tmp_path / "in").mkdir()
    for name in "abcdefghijkl":
        shutil.copy(talking_video, tmp_path / "in" / f"{name}.mp4")
        (tmp_path / "in" / f"{name}.txt").write_text(f"sentence {name}")
    arguments = [argument.format(video=talking_video, folder=tmp_path) for argument in arguments]
    (tmp_path / "swallowing.py").write_text(SWALLOWING)
    code = "import sys, swallowing\nfrom lip2wav_hf.commands.main import main\nmain(sys.argv[1:])"
    environment = {**os.environ, "SWALLOWING": package}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert "swallowed" in done.stdout and done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.safetensors")) and not (tmp_path / "a.wav").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_are_as_before_when_a_command_has_ended(number, status):
    """Nor does a library swallow them that a command calls, as PyAV now and then does with Ctrl-C while it encodes."""
    went_on: list[str] = []
    library = {"__name__": "library", "signal": signal}
    exec("def call(number):\n try:\n  signal.raise_signal(number); [None for _ in range(9)]\n except: pass", library)
    own = {"__name__": "lip2wav_hf.commands.own", "call": library["call"], "went_on": went_on}
    exec("def command(number):\n call(number)\n went_on.append('to its end')", own)
    before = signal.getsignal(number)
    with pytest.raises(typer.Exit) as end:
        reporting(own["command"])(number)
    assert (end.value.exit_code, went_on) == (status, []) and signal.getsignal(number) is before


def test_what_is_true_of_the_model_is_said_once(capfd):
    """And all of it is in the records of each video."""
    warnings = [f"{name}.mp4: the words are uncertain; this model knows 51 words" for name in "abc"]
    with only_our_messages() as messages:
        for warning in (*warnings, "a.mp4: its sound is late"):
            logging.getLogger("lip2wav_hf.speaking").warning(warning)
    assert messages[:3] == warnings
    assert capfd.readouterr().err.splitlines() == [
        f"warning: {warnings[0]}",
        "warning: b.mp4: the words are uncertain",
        "warning: c.mp4: the words are uncertain",
        "warning: a.mp4: its sound is late",
    ]


def test_what_is_found_each_time_a_video_is_read_is_said_once(capfd):
    with only_our_messages() as messages:
        for name in ("a.ts", "a.ts", "b.ts", "a.ts"):
            logging.getLogger("lip2wav_hf.video").warning("%s: its first 1.00 s cannot be shown.", name)
    said = [f"{name}: its first 1.00 s cannot be shown." for name in ("a.ts", "b.ts")]
    assert messages == said and capfd.readouterr().err == "".join(f"warning: {line}\n" for line in said)


def test_a_fault_of_the_program_keeps_its_traceback():
    @reporting
    def command() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command()


def test_debugging_shows_where_an_error_was_raised(capfd, monkeypatch):
    monkeypatch.setenv("LIP2WAV_DEBUG", "1")
    status, said = outcome(CommandError("wrong."), capfd)
    assert status == 2 and "Traceback" in said and said.endswith("error: wrong.\n")


def test_the_subject_is_named_once(capfd):
    report_error(ValueError("no face"), "a.mp4")
    report_error(ValueError("a.mp4: no face"), "a.mp4")
    assert capfd.readouterr().err == 2 * "error: a.mp4: no face\n"


def test_errors_are_written_above_a_progress_bar(capfd):
    import tqdm  # noqa: F401

    assert "tqdm" in sys.modules
    report_error("wrong.")
    assert capfd.readouterr().err == "error: wrong.\n"


def test_lines_for_a_terminal_are_broken_between_words(monkeypatch):
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_, **__: os.terminal_size((20, 24)))
    terminal = io.StringIO()
    line = "error: a/very/long/folder/name: there is no such-thing"
    assert wrapped(line, terminal) == line
    terminal.isatty = lambda: True
    assert wrapped(f"short\n{line}", terminal).split("\n") == [
        "short",
        "error:",
        "a/very/long/folder/name:",
        "there is no",
        "such-thing",
    ]
