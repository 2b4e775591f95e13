"""What an earlier call has left in the output folder: whether this one goes on with it, or may replace it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..corpora.clips import Clip
from ..errors import counted
from ..files import read_fields, read_json, replace_folder, write_json
from ..models import weight_files
from .inputs import RECORD, WORK, Inputs
from .records import AdaptationError, OtherAdaptationError


PLAN = "plan.json"  # file in the folder of work: what is being adapted
INSTEAD = "Name another folder; or replace it, with `resume=False`."


@dataclass(frozen=True)
class Plan:
    """
    What a model is made of.

    Attributes:
        fingerprint (`str`): changes with what the result depends on, but for the minutes: before the hyphen with the
            options and the starting model, after it with the recordings.
        options (`dict`, *optional*): the former, by name; `None` where an older version has not written them.
        recorded (`tuple[str, ...]`, *optional*): of each recording its name and size, hashed; likewise.
    """

    fingerprint: str
    options: dict[str, Any] | None = None
    recorded: tuple[str, ...] | None = None

    @classmethod
    def from_fields(cls, fields: Any) -> Plan:
        """As it was written, in a record or alone; also by an older version, which wrote the fingerprint alone."""
        fields = fields if isinstance(fields, dict) else {"fingerprint": fields}
        options, recorded = fields.get("options"), fields.get("recorded")
        return cls(
            str(fields.get("fingerprint", "")),
            options if isinstance(options, dict) else None,
            tuple(map(str, recorded)) if isinstance(recorded, list) else None,
        )

    def fields(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def plan_of(inputs: Inputs, clips: Sequence[Clip]) -> Plan:
    """What an adaptation of these clips makes its model of."""
    recorded = hashlib.sha256()
    for clip in sorted(clips, key=lambda clip: clip.key):
        recorded.update(repr((clip.key, clip.words, clip.version or _version(clip))).encode())
    fingerprint = f"{_digest(inputs)}-{recorded.hexdigest()}"
    return Plan(fingerprint, _options(inputs), tuple(sorted(map(_recording, clips))))


def _digest(inputs: Inputs) -> str:
    """Of the options and of the starting model."""
    options = inputs.options
    asked_for = (inputs.phrases, options.seed, options.steps, options.final_pass, options.live)
    return hashlib.sha256(repr(asked_for).encode() + _voice(inputs) + _weights(inputs)).hexdigest()


def _voice(inputs: Inputs) -> bytes:
    return b"" if inputs.voice is None else repr(inputs.voice.pitch).encode() + inputs.voice.spectrum.tobytes()


def _weights(inputs: Inputs) -> bytes:
    return b"".join(path.read_bytes() for path in weight_files(inputs.starting))


def _options(inputs: Inputs) -> dict[str, Any]:
    """What [`_digest`] is of, by name."""
    model, voice = hashlib.sha256(_weights(inputs)).hexdigest(), None
    if inputs.voice is not None:
        voice = hashlib.sha256(_voice(inputs)).hexdigest()
    others = {name: getattr(inputs.options, name) for name in ("seed", "steps", "final_pass", "live")}
    return {"model": model, "voice": voice, "phrases": inputs.phrases, **others}


def _version(clip: Clip) -> Any:
    if not isinstance(clip.video, Path) or not clip.video.is_file():
        return str(clip.video)
    status = clip.video.stat()
    return str(clip.video), status.st_size, status.st_mtime_ns


def _recording(clip: Clip) -> str:
    """Changes with a recording, but not where its transcript is corrected, or its folder is copied or renamed."""
    is_file = isinstance(clip.video, Path) and clip.video.is_file()
    what = clip.video.stat().st_size if is_file else clip.version or str(clip.video)
    return hashlib.sha256(repr((clip.name, what)).encode()).hexdigest()[:16]


def finished_plan(output: Path) -> Plan | None:
    """Of the model in a folder; `None` where there is none."""
    record = output / RECORD
    return Plan.from_fields(read_fields(record, AdaptationError)) if record.is_file() else None


def begun_plan(work: Path) -> Plan | None:
    """Of what was begun in a folder of work, and not finished."""
    path = work / PLAN
    return Plan.from_fields(read_json(path)) if path.is_file() else None


def write_plan(work: Path, plan: Plan) -> None:
    """For [`begun_plan`]."""
    write_json(work / PLAN, plan.fields())


def _left_in(output: Path) -> Iterator[Plan]:
    yield from filter(None, (finished_plan(output), begun_plan(output / WORK)))


def check_options(inputs: Inputs) -> None:
    """
    See that what lies in the output folder was made with the options of this call; imports nothing heavy.

    Raises:
        OtherAdaptationError: names those that differ.
    """
    digest = _digest(inputs) if inputs.options.resume else ""
    for found in _left_in(inputs.output) if digest else ():
        if found.fingerprint.partition("-")[0] != digest:
            raise OtherAdaptationError(
                f"{inputs.output}: what lies there was adapted {_difference(found.options, _options(inputs))}."
                f" {INSTEAD}"
            )


def _difference(then: dict[str, Any] | None, now: dict[str, Any]) -> str:
    """How options of an earlier call differ from those of this one."""
    found = []
    for name, value in now.items() if then else ():
        earlier = (then or {}).get(name)
        if earlier == value:
            continue
        if name == "model":
            found.append("from another model")
        elif name in ("phrases", "voice"):
            how = "without" if earlier is None else "with" if value is None else "with another"
            found.append(f"{how} `{name}=`")
        elif isinstance(value, bool):
            found.append(f"{'with' if earlier else 'without'} `{name}=True`")
        else:
            found.append(f"with `{name}=` {earlier}, not {value}")
    return " and ".join(found) or "with other options (such as phrases, voice, seed), or from another model"


def check_recordings(inputs: Inputs, plan: Plan) -> str:
    """
    See that what lies in the output folder was made of recordings that are mostly still there: of others, it is
    probably somebody else's.

    Returns:
        `str`: a note for the user where there are other recordings now; empty where not.

    Raises:
        OtherAdaptationError: if it was made of others.
    """
    finished = finished_plan(inputs.output)
    if finished is not None and finished.fingerprint == plan.fingerprint:
        return ""  # whatever a call of others, that was killed, has left beside it
    for found in _left_in(inputs.output):
        kept, total = len({*(found.recorded or ())} & {*(plan.recorded or ())}), len(found.recorded or ())
        if total and 2 * kept <= total:
            raise OtherAdaptationError(
                f"{inputs.output}: what lies there was adapted to other recordings: to {counted(total, 'recording')},"
                f" of which {kept or 'none'} {'is' if kept < 2 else 'are'} among these. {INSTEAD}"
            )
    if finished is None:
        return ""
    return "The recordings are not those of the model that was there, which is replaced: the training began again."


def beside(output: Path) -> Path:
    """Where a finished model is, in the moment before it takes its place."""
    return output.with_name(f".{output.name}.tmp")


def finish_replacing(output: Path) -> None:
    """Put a model in its place where a call was killed in that moment."""
    temporary = beside(output)
    if not (output / WORK).is_dir() and (temporary / RECORD).is_file():
        replace_folder(temporary, output)
    shutil.rmtree(temporary, ignore_errors=True)


__all__ = [
    "Plan",
    "begun_plan",
    "beside",
    "check_options",
    "check_recordings",
    "finish_replacing",
    "finished_plan",
    "plan_of",
    "write_plan",
]
