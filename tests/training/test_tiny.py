"""The first commands of docs/train.md, from nothing to a model that speaks, run as they stand there but smaller."""

import re
import shlex
import subprocess
import sys

import pytest

from conftest import REPOSITORY


# What makes each of them smaller.
SMALLER = {
    "python": ["--sentences", "10"],
    "train": ["--max_steps", "4", "--batch_size", "4", "--validation_clips", "0"],
    "speak": [],
    "evaluate": ["--metrics", "stoi,pesq", "--workers", "1", "--limit", "1", "--no-report"],
}


def documented_commands() -> list[list[str]]:
    page = (REPOSITORY / "docs" / "train.md").read_text(encoding="utf-8")
    block = re.search(r"^## A one-minute trial$.*?^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[1]
    return [shlex.split(line) for line in block.splitlines() if not line.startswith("pip install ")]


@pytest.mark.slow
def test_from_nothing_to_speech(tmp_path):
    pytest.importorskip("espeakng_loader", reason="the extra `synthetic` is not installed")
    pytest.importorskip("pystoi", reason="the extra `evaluate` is not installed")
    commands = documented_commands()
    assert [words[1] if words[0] == "lip2wav" else words[0] for words in commands] == list(SMALLER)
    for words, smaller in zip(commands, SMALLER.values(), strict=True):
        start = words[1:] if words[0] == "python" else ["-m", "lip2wav_hf.commands.main", *words[1:]]
        found = [str(path.relative_to(tmp_path)) for word in start if "*" in word for path in tmp_path.glob(word)]
        start = [word for word in start if "*" not in word] + sorted(found) + smaller
        result = subprocess.run(
            [sys.executable, *start], cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False
        )
        assert result.returncode == 0, f"{words}: {result.stderr[-3000:]}"
    assert len(list((tmp_path / "speech").glob("*.wav"))) == 10
    assert (tmp_path / "out" / "tiny" / "results.json").is_file()
