"""What is said of recordings that cannot be used, or that look like a slip."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..errors import counted
from .job import Job
from .records import RecordingCheck


MOST_NAMED = 5  # recordings in a note


def reasons(checks: Iterable[RecordingCheck]) -> str:
    """Why recordings are not used, alike reasons as one, also where their numbers differ."""
    alike: dict[str, list[str]] = {}
    for check in checks:
        if not check.usable:
            message = next(problem for problem in check.problems if problem.fatal).message.rstrip(".")
            alike.setdefault(re.sub(r"\d+(\.\d+)?", "#", message), []).append(message)
    groups = sorted(alike.values(), key=len, reverse=True)
    listed = [f"{len(group)} × {group[0]}{' or the like' if len({*group}) > 1 else ''}" for group in groups]
    more = sum(map(len, groups[MOST_NAMED:]))
    return "; ".join(listed[:MOST_NAMED] + ([f"{more} for other reasons"] if more else []))


def not_used(check: RecordingCheck) -> str:
    """What tells a recording that is not used from one with a warning."""
    return "" if check.usable else " Not used."


def tell_listing(job: Job) -> None:
    """Report what is wrong with what the folder holds: a few of each kind by name, all by number."""
    kinds: dict[str, list[RecordingCheck]] = {}
    for check in job.checks:
        kinds.setdefault(check.problems[0].kind, []).append(check)
    for kind, checks in kinds.items():
        for check in checks[:MOST_NAMED]:
            job.say("checking", 0.0, f"{check.file}: {check.problems[0]}{not_used(check)}")
        if len(checks) > MOST_NAMED:
            job.say("checking", 0.0, f"… and {len(checks) - MOST_NAMED} more: {kind}")
    unlisted = [check.file for check in kinds.get("unlisted_video", ())]
    if unlisted:
        more = f" and {len(unlisted) - MOST_NAMED} more" if len(unlisted) > MOST_NAMED else ""
        missing = {Path(check.file).stem for check in kinds.get("missing_video", ())}
        do = "Write a row for each, and run the same again."
        if any(Path(file).stem in missing for file in unlisted):
            do = "The metadata name some of them with another ending: write each as the file has it."
        job.notes.append(
            f"{counted(len(unlisted), 'video')} not used, since the metadata do not name"
            f" {'it' if len(unlisted) == 1 else 'them'}: {', '.join(unlisted[:MOST_NAMED])}{more}. {do}"
        )


__all__ = ["MOST_NAMED", "not_used", "reasons", "tell_listing"]
