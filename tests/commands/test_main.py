"""The command as a whole: what it costs to start, its list of commands, completion, usage errors."""

import functools
import re

import pytest
import typer

import lip2wav_hf
from commands.command_line import error_line, lip2wav
from lip2wav_hf.commands.main import COMMANDS, app
from warm_processes import WarmProcesses


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


@pytest.fixture(scope="module", autouse=True)
def processes(tmp_path_factory):
    """What starts processes that have imported nothing but typer."""
    with WarmProcesses(("typer",), fresh=True) as processes:
        start.run = functools.partial(processes.run, tmp_path_factory.mktemp("logs") / "log")
        yield
    help_of.cache_clear()


def start(*arguments, **environment):
    """Standard output and error of the command, in a process that fails if it imports something heavy."""
    result = start.run(LISTING.format(arguments=list(arguments), heavy=HEAVY), environment=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout, result.stderr


@functools.cache
def help_of(*name):
    """The help of a command, or of all, on 80 columns; nothing heavy was imported for it, and nothing was said."""
    out, err = start(*name, "--help", COLUMNS="80")
    assert not err
    return out


def test_version():
    result = lip2wav("--version")
    assert (result.returncode, result.stdout) == (0, f"lip2wav {lip2wav_hf.__version__}\n")


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_help_imports_nothing_heavy(name):
    assert help_of(name).lower().startswith("usage: lip2wav")


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--help"], ["--version"], [], ["speek"], ["speak"], ["speak", "--modle", "x"], ["speak", "missing.mp4"]),
        ["info", "a", "b"],
    ],
)
def test_usage_errors_import_nothing_heavy(arguments):
    assert any(start(*arguments))


def test_summaries_are_whole_lines():
    """On a terminal of 80 columns no summary is cut, or needs a second line."""
    lines = help_of().splitlines()
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
    assert complete("lip2wav s", 1) == ["speak", "studio"]
    assert complete("lip2wav ", 1) == [command.name for command in COMMANDS]
    assert complete("lip2wav speak --outp", 2) == ["--output"]
    assert complete("lip2wav info --model grid-s", 3) == ["grid-s1"]
    assert complete("lip2wav train grid_u", 2) == ["grid_unseen33"]
    assert complete("lip2wav train grid_s1 grid_u", 3) == []


def test_completion_can_be_installed():
    # The shell is named: which one has started the tests, if any, does not matter.
    out, _ = start("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "complete -o default -F _lip2wav_completion lip2wav" in out


def test_a_mistyped_command_is_guessed(run):
    assert "Did you mean 'speak'? See `lip2wav --help`." in error_line(run("speek"))


@pytest.mark.parametrize(
    "name, given, meant", [("speak", "--phrases", "--grammar"), ("adapt", "--grammar", "--phrases")]
)
def test_an_option_of_another_command_is_named_as_it_is_called_here(run, name, given, meant):
    line = error_line(run(name, "x", given, "y", model=None))
    assert f"No such option: {given}" in line and meant in line.partition(given)[2]
    assert "--grammar" not in error_line(run("info", "--phrases", "y", model=None))


VALUED = [
    (name, option.opts[-1])
    for name, command in typer.main.get_command(app).commands.items()
    for option in command.params
    if option.param_type_name == "option" and option.metavar
]


@pytest.mark.parametrize("name, option", VALUED, ids=[f"{name}{option}" for name, option in VALUED])
def test_a_usage_error_points_to_the_help_of_its_command(run, name, option):
    """An option that lacks its value ends the parsing before the parser notes which command it was."""
    line = error_line(run(name, option, model=None))
    assert option in line and f"See `lip2wav {name} --help`." in line


@pytest.mark.parametrize("name", [command.name for command in COMMANDS if command.name != "train"])
def test_help_names_values_as_manual_pages_do(name):
    """`VIDEO...`, `--limit N`: no types of Python, and no brackets within brackets."""
    help_text = help_of(name)
    usage, _, rest = help_text.partition("\n")
    assert re.fullmatch(rf"Usage: lip2wav {name} \[OPTIONS\]( \[?[A-Z_]+\]?(\.\.\.)?)*", usage)
    assert not re.search(r"<[a-z]|\blist\[|\{|int range|\[\[", help_text)
    options = rest.partition("Options:\n")[2]
    for line in re.findall(r"^  -.*", options, re.MULTILINE):
        words = re.split(r"  +", line.strip())[0].split()
        flags = [word.rstrip(",") for word in words if word.startswith("-") or word == "/"]
        assert len(words) - len(flags) <= 1, line


def test_what_a_command_needs_beyond_the_plain_installation_is_said():
    needing = {command.name: command.extra for command in COMMANDS if command.extra}
    assert needing == {
        "adapt": "train",
        "train": "train",
        "evaluate": "evaluate",
        "compare": "evaluate",
        "studio": "demo",
        "lite": "lite",
    }
    for name, extra in needing.items():
        assert f"Needs the extra `{extra}`: pip install '.[{extra}]'" in " ".join(help_of(name).split())
        assert f"{name} needs the extra `{extra}`" in " ".join(help_of().split())
