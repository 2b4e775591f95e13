"""The command as a whole: what it costs to start, its list of commands, completion, usage errors."""

import os
import subprocess
import sys

import pytest
import typer

import lip2wav_hf
from commands.command_line import error_line, lip2wav
from lip2wav_hf.commands.main import COMMANDS, app


HEAVY = ["torch", "transformers", "numpy", "huggingface_hub", "av", "cv2", "matplotlib", "accelerate", "datasets"]

LISTING = """
import sys
from lip2wav_hf.commands.main import main
try:
    main({arguments})
except SystemExit:
    pass
found = [name for name in {heavy} if name in sys.modules]
assert not found, found
"""


def start(*arguments, **environment):
    """Standard output and error of the command, in a process that fails if it imports something heavy."""
    code = LISTING.format(arguments=list(arguments), heavy=HEAVY)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return result.stdout, result.stderr


def test_version():
    result = lip2wav("--version")
    assert (result.returncode, result.stdout) == (0, f"lip2wav {lip2wav_hf.__version__}\n")


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_help_imports_nothing_heavy(name):
    out, err = start(name, "--help")
    assert out.lower().startswith("usage: lip2wav") and not err


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], [], ["speek"], ["speak"], ["speak", "--modle", "x"], ["info", "a", "b"]]
)
def test_usage_errors_import_nothing_heavy(arguments):
    assert any(start(*arguments))


def test_summaries_are_whole_lines():
    """On a terminal of 80 columns no summary is cut, or needs a second line."""
    lines = lip2wav("--help", COLUMNS="80").stdout.splitlines()
    for command in COMMANDS:
        line = next(line for line in lines if line.split()[:1] == [command.name])
        assert line.endswith(command.summary) and len(line) <= 80
        assert not line.endswith("...")


def test_every_command_of_the_table_can_be_loaded():
    group = typer.main.get_command(app)
    assert list(group.commands) == [command.name for command in COMMANDS]
    for name, command in group.commands.items():
        assert command.name == name and command.help


def complete(words, position):
    """What the shell offers behind the words."""
    out, _ = start(_LIP2WAV_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(position))
    return out.split()


def test_the_shell_completes_commands_options_and_models():
    assert complete("lip2wav s", 1) == ["speak"]
    assert complete("lip2wav ", 1) == [command.name for command in COMMANDS]
    assert complete("lip2wav speak --outp", 2) == ["--output"]
    assert complete("lip2wav info --model grid-s", 3) == ["grid-s1"]


def test_completion_can_be_installed():
    # The shell is named: which one has started the tests, if any, does not matter.
    out, _ = start("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "complete -o default -F _lip2wav_completion lip2wav" in out


def test_a_mistyped_command_is_guessed(run):
    assert "Did you mean 'speak'? See `lip2wav --help`." in error_line(run("speek"))
