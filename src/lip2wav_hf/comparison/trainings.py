"""What the training of each system was: its data, its length, what it took, and how its validation went."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..errors import counted
from ..evaluation.report_plots import BLUE, GRAY, ORANGE, data_uri
from ..files import parse_json, read_fields
from ..hub.facts import stated_facts
from ..models import FOLDERS_OF_A_RUN, ModelError, find_model, system_name
from ..training.output_dir import VALIDATIONS
from ..training.record import read_record


NOT_STATED = "not stated"
LONGEST_TEXT = 160  # characters of a statement in the table
ROWS = 8  # of a curve, in Markdown
FLAT = 0.01  # of the loss: what it may fall by over the last quarter of the steps and count as level
LOSS = "validation/loss"
MEASURES = {
    "validation/correlation": "correlation of spectra",
    "validation/stoi": "STOI",
    "validation/pesq_nb": "PESQ-nb",
    "validation/text_wer": "WER of the text head",
}
BEGUN_FROM = {
    "autoencoder": "the autoencoder",
    "speech_encoder": "the speech encoder",
    "pretrained": "the first weights",
}
"""Options of a training that name a network that was trained before it, and what that is called."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """
    How the validation of a training went.

    Attributes:
        points (`list[dict]`): a validation each: `step`, `seconds`, and numbers by their names in `validation.jsonl`.
        step (`int`): of the weights that are compared.
    """

    points: list[dict[str, float]]
    step: int

    @property
    def measures(self) -> list[str]:
        """What can be drawn of it, the loss first."""
        return [key for key in (LOSS, *MEASURES) if any(key in point for point in self.points)]

    @property
    def late_fall(self) -> float | None:
        """By which share of itself the lowest loss fell over the last quarter of the steps; `None` where there are
        too few validations."""
        losses = [(point["step"], point[LOSS]) for point in self.points if LOSS in point]
        early = [loss for step, loss in losses if step <= 0.75 * self.points[-1]["step"]]
        if len(losses) < 3 or not early or not min(early):
            return None
        return (min(early) - min(loss for _, loss in losses)) / abs(min(early))

    @property
    def verdict(self) -> str:
        """Whether more training would have helped, as far as the loss says."""
        seen = f"{counted(len(self.points), 'validation')} up to step {self.points[-1]['step']:g}"
        fall = self.late_fall
        if fall is None:
            return f"{seen}: too few to say whether it had finished."
        share = f"the loss fell by {100 * fall:.1f} % over the last quarter of the steps"
        if fall > FLAT:
            return f"{seen}: {share}. It is still falling, so this system is under-trained."
        return f"{seen}: {share}. It has levelled off."


@dataclasses.dataclass(frozen=True)
class Training:
    """
    What is known of how a system was trained.

    Attributes:
        system (`str`): which system it is.
        data (`str`), length (`str`), compute (`str`): the clips, the steps, the hours and the machine.
        curve ([`Curve`], *optional*): its validations, where they were kept.
    """

    system: str = NOT_STATED
    data: str = NOT_STATED
    length: str = NOT_STATED
    compute: str = NOT_STATED
    curve: Curve | None = None

    def cells(self) -> list[str]:
        """What the table shows."""
        return [_short(text) for text in (self.system, self.data, self.length)] + [self.compute]


HEADINGS = ("system", "data", "training", "compute")
"""Of [`Training.cells`]."""


def training_of(model: Any) -> Training:
    """
    What is known of the training of a model.

    Args:
        model: a name, as `find_model` takes it; of anything else, such as a folder of sound files, nothing is known.

    Raises:
        CardError, TrainingError: if a file that states it cannot be read.
    """
    try:
        folder = find_model(model, None)
    except ModelError:
        return Training()
    facts = stated_facts(folder)
    return Training(
        system_name(read_fields(folder / "config.json", ModelError)),
        facts.get("data") or NOT_STATED,
        facts.get("training") or NOT_STATED,
        _cost(folder, facts),
        read_curve(folder),
    )


def _cost(folder: Path, facts: Mapping[str, Any]) -> str:
    spent = _hours(facts)
    if spent is None:
        return NOT_STATED
    spent += f" on {facts['hardware']}" if facts.get("hardware") else ""
    earlier = _spent_before(folder)
    if earlier:
        spent += f", beside {' and '.join(earlier)}"
    elif facts.get("training_type") == "fine-tuning":
        spent += ", beside what the weights took that it began from"
    return f"{spent}. {facts['cost_note']}" if facts.get("cost_note") else spent


def _hours(facts: Mapping[str, Any]) -> str | None:
    unit = next((unit for unit in ("core", "gpu") if facts.get(f"{unit}_hours")), None)
    return None if unit is None else f"{facts[f'{unit}_hours']:g} {'GPU' if unit == 'gpu' else unit}-hours"


def _spent_before(folder: Path) -> list[str]:
    """What the networks took that a training began from, for each of them."""
    record, found = read_record(folder), []
    for option, name in BEGUN_FROM.items() if record is not None else ():
        start = record.options.get(option) if record is not None else None
        if not start or not isinstance(start, str):
            continue
        found.append(f"{_spent_on(start, option) or 'what is not stated'} for {name}")
    return found


def _spent_on(start: str, option: str) -> str | None:
    """The hours of a network that a training began from; where it comes inside of a model, those of the model."""
    try:
        folder = find_model(start, None)
    except ModelError:
        return None
    spent = _hours(stated_facts(folder))
    if spent is None or option == "pretrained":
        return spent
    model_type = str(read_fields(folder / "config.json", ModelError).get("model_type"))
    return spent if model_type.endswith(option) else f"a part of the {spent} of {folder.name}"


def _short(text: str) -> str:
    """A statement that fits in a table."""
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT].rpartition(' ')[0].rstrip(' .,;:')} … (its card says more)"


def read_curve(folder: Path) -> Curve | None:
    """
    The validations of the training that made a model: those of the run it lies in, else those kept in its folder.

    Args:
        folder (`Path`): of the model.

    Returns:
        [`Curve`], *optional*: `None` where none were kept.
    """
    record, places = read_record(folder), [folder / VALIDATIONS]
    if folder.resolve().name in FOLDERS_OF_A_RUN:
        places.insert(0, folder.resolve().parent / VALIDATIONS)  # it goes on after the best
    path = next((path for path in places if path.is_file()), None)
    points = _points(path) if path is not None else []
    if not points:
        return None
    return Curve(points, int(points[-1]["step"]) if record is None else record.step)


def _points(path: Path) -> list[dict[str, float]]:
    """Lines of numbers, in the order of their steps; lines that a stopped run has left incomplete are left out."""
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            values = parse_json(line)
        except ValueError:
            continue
        if not isinstance(values, dict):
            continue
        point = {key: value for key, value in values.items() if _is_finite(value)}
        if "step" in point:
            found.append(point)
    return sorted(found, key=lambda point: point["step"])


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def curve_table(curve: Curve) -> tuple[list[str], list[list[str]]]:
    """Some of the validations, evenly spaced, with the last: headings and rows of texts."""
    count = len(curve.points)
    places = sorted({round(place * (count - 1) / (ROWS - 1)) for place in range(ROWS)})
    headings = ["step", "hours", "loss", *(MEASURES[key] for key in curve.measures if key != LOSS)]
    rows = [
        [
            f"{point['step']:g}",
            f"{point['seconds'] / 3600:.2f}" if "seconds" in point else "–",
            *(f"{point[key]:.3f}" if key in point else "–" for key in (LOSS, *curve.measures[1:])),
        ]
        for point in (curve.points[place] for place in places)
    ]
    return headings, rows


def draw_curves(curves: Mapping[str, Curve]) -> str | None:
    """
    Learning curves, a line of panels for each system; losses of two systems cannot be compared.

    Args:
        curves (mapping of `str` to [`Curve`]): by the label of the system.

    Returns:
        `str`, *optional*: for the `src` of an `<img>`; `None` without a curve.
    """
    shown = {label: curve for label, curve in curves.items() if curve.measures}
    if not shown:
        return None
    columns = max(2, *(min(len(curve.measures), 3) for curve in shown.values()))
    figure = Figure(figsize=(3.3 * columns, 2.3 * len(shown)), layout="constrained")
    for line, (label, curve) in zip(figure.subplots(len(shown), columns, squeeze=False), shown.items(), strict=True):
        for axes in line[len(curve.measures) :]:
            axes.set_axis_off()
        for axes, key in zip(line, curve.measures, strict=False):
            _draw_curve(axes, curve, key)
        line[0].set_title(label.replace("$", r"\$"), fontsize=9, loc="left")
    return data_uri(figure)


def _draw_curve(axes: Any, curve: Curve, key: str) -> None:
    points = [(point["step"], point[key]) for point in curve.points if key in point]
    steps, values = zip(*points, strict=True)
    axes.axvline(curve.step, color=ORANGE, linewidth=1, linestyle="--")
    axes.plot(steps, values, color=BLUE, marker=".", markersize=4, linewidth=1.2)
    axes.set_xlabel("step", fontsize=8)
    axes.set_ylabel(MEASURES.get(key, "validation loss"), fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=GRAY)


def verdicts(curves: Mapping[str, Curve]) -> Sequence[str]:
    """What each curve says, in a sentence with the label."""
    return [f"{label}: {curve.verdict}" for label, curve in curves.items()]


__all__ = ["HEADINGS", "Curve", "Training", "curve_table", "draw_curves", "read_curve", "training_of", "verdicts"]
