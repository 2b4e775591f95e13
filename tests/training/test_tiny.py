"""The first commands of docs/train.md, from nothing to a model that speaks, run as they stand there but smaller."""

import re
import shlex

import pytest

from conftest import REPOSITORY
from warm_processes import TRAINING, WarmProcesses


# What makes each of them smaller.
SMALLER = {
    "python": ["--sentences", "4"],
    "train": ["--max_steps", "4", "--batch_size", "2", "--validation_clips", "0"],
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
    with WarmProcesses((*TRAINING, "evaluate", "pystoi", "lip2wav_hf.synthetic.corpus")) as processes:
        for words, smaller in zip(commands, SMALLER.values(), strict=True):
            module, *words = words[2:] if words[0] == "python" else ["lip2wav_hf.commands.main", *words[1:]]
            found = [str(path.relative_to(tmp_path)) for word in words if "*" in word for path in tmp_path.glob(word)]
            words = [word for word in words if "*" not in word] + sorted(found) + smaller
            done = processes.run(tmp_path / "log.txt", module, words, cwd=tmp_path)
            assert done.returncode == 0, f"{words}: {done.stderr[-3000:]}"
    assert len(list((tmp_path / "speech").glob("*.wav"))) == 4
    assert (tmp_path / "out" / "tiny" / "results.json").is_file()
