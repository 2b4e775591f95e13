"""Trainings that learn nothing, for the other process: they report, wait, fail or end as they are told."""

import os
import time
from pathlib import Path


def progress_of(step, error):
    return {
        "stage": "training",
        "fraction": step / 100,
        "step": step,
        "loss": 2.0 / step,
        "held_out_error": error,
        "message": f"step {step}",
        "notes": ("few steps",) if step > 10 else (),
    }


def quick(recordings, voice, *, progress, stop, minutes, **options):
    for step, error in ((10, 3.0), (20, 2.0), (20, 1.5), (30, None)):
        progress(progress_of(step, error))
    return {"clips": len(list(Path(recordings).glob("take-*"))), "minutes": minutes, **options}


def patient(recordings, voice, *, progress, stop, **options):
    """Goes on until it is told to stop, and then saves something."""
    step = 0
    while not stop():
        step += 1
        progress(progress_of(step, 1.0 / step))
        time.sleep(0.05)
    Path(voice).mkdir(exist_ok=True)
    (Path(voice) / "best").write_text(str(step), encoding="utf-8")
    return {"steps": step}


def refusing(recordings, voice, **options):
    raise ValueError("no recording can be used: record again")


def faulty(recordings, voice, **options):
    raise ZeroDivisionError("a fault of the program")


def dying(recordings, voice, **options):
    os._exit(9)
