"""What the tests of commands share."""

import pytest

from lip2wav_hf.commands import main as cli


@pytest.fixture
def run(capfd, tiny_model_dir):
    """Calls the command in this process: exit status, stdout and stderr."""

    def run(*arguments, model=tiny_model_dir):
        arguments = [str(argument) for argument in arguments]
        if arguments[0] == "speak" and model is not None:
            arguments += ["--model", str(model)]
            arguments += [] if "--device" in arguments else ["--device", "cpu"]
        capfd.readouterr()
        with pytest.raises(SystemExit) as exit_:
            cli.main(arguments)
        return exit_.value.code, *capfd.readouterr()

    return run
