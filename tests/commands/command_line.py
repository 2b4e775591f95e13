"""The command `lip2wav` in tests: called as a user does, and what it says."""

import json
import os
import subprocess
import sys

from safetensors.numpy import load_file, save_file


def lip2wav(*arguments, **environment):
    """Calls the command as a user does."""
    command = [sys.executable, "-m", "lip2wav_hf.commands.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)


def error_line(result):
    """The one line on stderr of a call that failed."""
    status, out, err = result
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1 and err.startswith("error: "), err
    return err


def errors(err):
    return [line for line in err.splitlines() if line.startswith("error: ")]


def damaged(folder, kind):
    """Make a copy of a good model unusable."""
    if kind == "no weights":
        (folder / "model.safetensors").unlink()
    elif kind == "no preprocessor":
        (folder / "preprocessor_config.json").unlink()
    elif kind == "cut weights":
        weights = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    elif kind == "missing weight":
        weights = load_file(folder / "model.safetensors")
        del weights["text_head.weight"]
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    elif kind == "other shape":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "hidden_size": 32}))
    elif kind == "other type":
        (folder / "config.json").write_text('{"model_type": "bert"}')
    elif kind == "no json":
        (folder / "config.json").write_text("{")
    return folder
