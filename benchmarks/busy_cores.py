"""What it costs that another program keeps cores busy: speaking and training, with threads as torch has them and ours.

    python benchmarks/busy_cores.py [--busy 1] [--repeats 5]

Prints a Markdown table: seconds (median of the repetitions) on idle cores, and while `--busy` processes compute. Each
row is a process of its own, after two repetitions that do not count. Random pictures stand for clips of three seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator

import torch

from lip2wav_hf import Lip2WavModel
from lip2wav_hf.machine import machine
from lip2wav_hf.models import DEFAULT_MODEL
from lip2wav_hf.training.threads import FittingThreads


FRAMES = 75
SPINNING, RESTING = {}, {"GOMP_SPINCOUNT": "1000"}
ROWS = {
    "eight clips spoken, threads that spin": ("speak", SPINNING),
    "eight clips spoken, threads that soon sleep": ("speak", RESTING),
    "forward and backward of 16 clips, all threads": ("learn", SPINNING),
    "forward and backward of 16 clips, threads that fit": ("learn_fitting", RESTING),
}
"""Name in the table -> what is done, and the environment of its process."""


def crops(model: Lip2WavModel, clips: int) -> torch.Tensor:
    """Random pictures `(clips, FRAMES, 1, height, width)`."""
    return torch.randn(clips, FRAMES, 1, model.config.image_height, model.config.image_width)


def speak(model: Lip2WavModel) -> Callable[[], None]:
    """A function that lets the generator speak eight clips."""
    pixels = crops(model.eval(), 8)

    @torch.inference_mode()
    def once() -> None:
        model(pixels)

    return once


def learn(model: Lip2WavModel) -> Callable[[], None]:
    """A function that goes forward and backward through what reads the lips, as a step does with 16 clips."""
    pixels = crops(model.train(), 16)

    def once() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            hidden, logits, _ = model.encode(pixels)
            loss = hidden.float().square().mean() + logits.float().square().mean()
        loss.backward()

    return once


def learn_fitting(model: Lip2WavModel) -> Callable[[], None]:
    """The same with as many threads as a training uses."""
    once, threads = learn(model), FittingThreads(torch.device("cpu"))

    def fitting() -> None:
        once()
        threads.note_batch()

    return fitting


def measure(what: str, repeats: int) -> float:
    """Seconds of one repetition, in this process."""
    once = {"speak": speak, "learn": learn, "learn_fitting": learn_fitting}[what](
        Lip2WavModel.from_pretrained(DEFAULT_MODEL)
    )
    seconds = []
    for _ in range(2 + repeats):
        start = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[2:])


@contextlib.contextmanager
def busy(processes: int) -> Generator[None]:
    """Other processes that compute all the time, each in a session of its own, as programs of other windows are: Linux
    shares the cores among sessions first."""
    code = "while True: pass"
    started = [subprocess.Popen([sys.executable, "-c", code], start_new_session=True) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def in_process(what: str, variables: dict[str, str], repeats: int) -> float:
    """What a process of its own measures."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, __file__, "--only", what, "--repeats", str(repeats)]
    done = subprocess.run(command, env=environment | variables, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--busy", type=int, default=1, help="processes that compute meanwhile")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=["speak", "learn", "learn_fitting"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(measure(arguments.only, arguments.repeats))
        return
    print(f"| {machine()['cpu']}, {machine()['cores']} cores | idle, s | {arguments.busy} busy, s |\n|---|---|---|")
    for name, (what, variables) in ROWS.items():
        idle = in_process(what, variables, arguments.repeats)
        with busy(arguments.busy):
            print(f"| {name} | {idle:.2f} | {in_process(what, variables, arguments.repeats):.2f} |", flush=True)


if __name__ == "__main__":
    main()
