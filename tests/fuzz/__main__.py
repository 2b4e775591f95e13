"""
Run the fuzzer: `make fuzz`, or `python -m fuzz --seconds 600` in `tests/`.

A process works through numbered cases, each made from its number alone; another one looks on and ends it where it
takes too long or too much memory, then starts it again behind that case. What is found is printed once for each place
in the code, with the number that repeats it: `python -m fuzz --case 1234`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path


HANG, STILL = 30, 300  # seconds of a case: of the processor, and by the clock
MEMORY, WORK = 1_500_000_000, 2000  # bytes of a case, cases of a process
HERE = Path(__file__).resolve().parents[1]
PACKAGE = f"{os.sep}lip2wav_hf{os.sep}"


def is_clear(error: BaseException) -> bool:
    """Whether an error is one of the package's own, or raised in its code on purpose."""
    from lip2wav_hf.errors import Lip2WavError

    last = traceback.extract_tb(error.__traceback__)[-1]
    raised_here = PACKAGE in last.filename and "raise " in (last.line or "")
    return isinstance(error, Lip2WavError) or (raised_here and isinstance(error, (ValueError, TypeError, OSError)))


def place(error: BaseException) -> str:
    """The kind of an error and where in the package it went through last."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if PACKAGE in each.filename]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "outside"
    return f"{type(error).__name__} at {where}"


def work(first: int, only: str | None, once: bool) -> None:
    """Do case after case; a line of JSON before each, and after one that went wrong."""
    import logging

    logging.disable(logging.CRITICAL)
    socket.socket.connect = _refuse  # ty: ignore[invalid-assignment]
    from fuzz.pages import pages
    from fuzz.records import records
    from fuzz.targets import Targets

    sys.stdout.reconfigure(line_buffering=True)  # ty: ignore[unresolved-attribute]
    sample = HERE.parent / "src" / "lip2wav_hf" / "assets" / "sample.mp4"
    with tempfile.TemporaryDirectory(prefix="lip2wav-fuzz-") as folder:
        os.chdir(folder)
        tempfile.tempdir = folder
        base = Targets(Path(folder), sample)
        targets = base.all | records(base) | pages(base)
        names = [only] if only else sorted(targets) + ["video"] * 6 + ["live", "studio"] * 2
        for number in range(first, first + (1 if once else WORK)):
            rng = random.Random(number)
            name = rng.choice(names)
            target = targets[name]
            seed = rng.choice(sorted(target.seeds))
            print(json.dumps({"case": number, "target": name, "seed": seed}))
            path = Path(folder, seed)
            path.write_bytes(target.change(target.seeds[seed], list(target.seeds.values()), rng))
            if once and os.environ.get("FUZZ_KEEP"):
                Path(os.environ["FUZZ_KEEP"]).write_bytes(path.read_bytes())
            try:
                target.read(path, rng)
            except Exception as error:
                if once:
                    traceback.print_exc()
                if not is_clear(error):
                    text = " ".join(str(error).split())[:200]
                    print(
                        json.dumps({"case": number, "target": name, "seed": seed, "fault": place(error), "text": text})
                    )
            path.unlink(missing_ok=True)


def _refuse(*address: object) -> None:
    raise ConnectionRefusedError("the fuzzer has no network")


class Watch:
    """Processes that work, one after the other, and what they find."""

    def __init__(self, seconds: float, first: int, only: str | None) -> None:
        self.end, self.next, self.only = time.monotonic() + seconds, first, only
        self.current: dict[str, object] = {}
        self.begun, self.spent = time.monotonic(), 0.0  # by the clock, and of the processor
        self.done = 0
        self.found: dict[str, dict[str, object]] = {}

    def run(self) -> None:
        while time.monotonic() < self.end:
            self._one_process()

    def _one_process(self) -> None:
        command = [sys.executable, "-m", "fuzz", "--work", "--first", str(self.next)]
        command += ["--only", self.only] if self.only else []
        errors = tempfile.TemporaryFile("w+")
        process = subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, stderr=errors, text=True)
        self.current, self.begun, self.spent, first = {}, time.monotonic(), 0.0, self.next
        reader = threading.Thread(target=self._read, args=(process,))
        reader.start()
        why = None
        while process.poll() is None:
            time.sleep(0.1)
            if time.monotonic() > self.end and not why:
                why = "end"
            elif _seconds(process.pid) - self.spent > HANG * (1 if self.current else 4):  # more to load
                why = f"more than {HANG} s"
            elif time.monotonic() - self.begun > STILL:
                why = f"stands still for {STILL} s"
            elif _memory(process.pid) > MEMORY:
                why = "more than 1.5 GB"
            if why:
                process.kill()
                break
        process.wait()
        reader.join()
        if why is None and process.returncode:
            why = f"ended with {process.returncode}"
            if not self.current:
                errors.seek(0)
                raise SystemExit(f"the fuzzer does not begin: {errors.read()[-2000:]}")
        if why and why != "end" and self.current:
            self._note(self.current | {"fault": f"{why}: {self.current['target']}, {self.current['seed']}"})
        self.next = max(self.next, first + 1) if self.current or why is None else self.next + 1

    def _read(self, process: subprocess.Popen) -> None:
        for line in process.stdout or ():
            if not line.startswith("{"):
                continue
            record = json.loads(line)
            if "fault" in record:
                self._note(record)
            else:
                self.current, self.begun, self.spent = record, time.monotonic(), _seconds(process.pid)
                self.done, self.next = self.done + 1, record["case"] + 1

    def _note(self, record: dict[str, object]) -> None:
        if record["fault"] not in self.found:
            self.found[str(record["fault"])] = record
            print(json.dumps(record), flush=True)


def _memory(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def _seconds(process: int) -> float:
    """The processor's time that a process has taken."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """The command; exit status 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", help="one kind of input")
    parser.add_argument("--case", type=int, help="repeat this case alone, with its traceback")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work or options.case is not None:
        work(options.first if options.case is None else options.case, options.only, options.case is not None)
        return 0
    watch, begun = Watch(options.seconds, options.first, options.only), time.monotonic()
    watch.run()
    minutes = (time.monotonic() - begun) / 60
    print(f"{watch.done} cases in {minutes:.1f} min, {len(watch.found)} faults; the next case is {watch.next}.")
    return 1 if watch.found else 0


if __name__ == "__main__":
    sys.exit(main())
