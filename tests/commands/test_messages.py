import sys

import pytest
import typer

from lip2wav_hf.commands.messages import CommandError, report_error, reporting


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
