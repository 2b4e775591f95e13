"""What it costs to start: processor time and peak memory of whole `lip2wav` processes, of one source tree or two.

    python benchmarks/startup.py [VIDEO] [--before path/to/other/checkout] [--repeats 3]

Prints a Markdown table. Each process runs alone; its processor time (user and system, in s) is the median of the
repetitions, its memory (largest resident set, in units of 2^20 bytes) the largest of them.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path


REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Cost:
    """What a process took: processor time in s, memory in MB."""

    seconds: float
    megabytes: float


def measure(command: list[str], source: Path, status: int = 0) -> Cost:
    """
    What one process costs.

    Args:
        command (`list[str]`): program and arguments.
        source (`Path`): folder that holds the package.
        status (`int`, *optional*, defaults to 0): the exit status it should have.

    Raises:
        RuntimeError: if it ends otherwise.
    """
    environment = os.environ | {"PYTHONPATH": str(source), "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        _, found, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(found)
        if process.returncode != status:
            log.seek(0)
            raise RuntimeError(f"{' '.join(command)}: exit status {process.returncode}: {log.read().decode()[-1000:]}")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 2**20)


def tasks(source: Path, video: str, folder: str) -> dict[str, tuple[list[str], int]]:
    """Command and expected exit status of each thing that is measured, by its name in the table."""
    has_rooms = (source / "lip2wav_hf" / "commands" / "main.py").is_file()
    python = [sys.executable]
    command = [*python, "-m", "lip2wav_hf.commands.main" if has_rooms else "lip2wav_hf.cli"]
    return {
        "`import torch`, for comparison": ([*python, "-c", "import torch"], 0),
        "`import lip2wav_hf`": ([*python, "-c", "import lip2wav_hf"], 0),
        "`lip2wav --help`": ([*command, "--help"], 0),
        "`lip2wav --version`": ([*command, "--version"], 0),
        "`lip2wav speak --help`": ([*command, "speak", "--help"], 0),
        "`lip2wav evaluate --help`": ([*command, "evaluate", "--help"], 0),
        "`lip2wav speak`, a usage error": ([*command, "speak"], 2),
        "`lip2wav info`": ([*command, "info"], 0),
        f"`lip2wav speak {os.path.basename(video)} -o speech.wav`": (
            [*command, "speak", video, "-o", f"{folder}/speech.wav", "--overwrite", "--device", "cpu"],
            0,
        ),
        f"`lip2wav live {os.path.basename(video)} -o live.wav`": (
            [*command, "live", video, "-o", f"{folder}/live.wav", "--overwrite"],
            0,
        ),
    }


def table(trees: dict[str, Path], video: str, repeats: int) -> str:
    """The Markdown table: a row for each task, two columns for each source tree."""
    lines = [
        "| what | " + " | ".join(f"{name}: time | memory" for name in trees) + " |",
        "|---|" + "---|---|" * len(trees),
    ]
    with tempfile.TemporaryDirectory() as folder:
        plans = {name: tasks(source, video, folder) for name, source in trees.items()}
        for task in next(iter(plans.values())):
            cells = []
            for name, source in trees.items():
                command, status = plans[name][task]
                costs = [measure(command, source, status) for _ in range(repeats)]
                seconds = statistics.median(cost.seconds for cost in costs)
                cells.append(f"{seconds:.2f} s | {max(cost.megabytes for cost in costs):.0f} MB")
            lines.append(f"| {task} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", help="a video of a face; the bundled sample by default")
    parser.add_argument("--before", type=Path, help="another checkout, to compare this one with")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each process (default 3)")
    options = parser.parse_args()
    source = REPOSITORY / "src"
    trees = {"before": options.before.resolve() / "src"} if options.before else {}
    trees["after" if trees else "here"] = source
    for tree in trees.values():
        if not (tree / "lip2wav_hf").is_dir():
            parser.error(f"{tree}: there is no package lip2wav_hf in it.")
    video = options.video or str(source / "lip2wav_hf" / "assets" / "sample.mp4")
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores\n")
    print(table(trees, video, options.repeats))


if __name__ == "__main__":
    main()
