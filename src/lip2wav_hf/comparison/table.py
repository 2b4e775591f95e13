"""
One table of several systems: on the same clips, with intervals and paired differences to the first of them.

Everything is measured by `evaluation`; here its numbers are put side by side, with what the training of each system
took, with samples that other authors published, and with the results that they reported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import counted
from ..evaluation.baselines import baseline_kinds
from ..evaluation.evaluate import evaluate_folders, evaluate_model
from ..evaluation.published import HEADINGS, NOTE, PUBLISHED
from ..evaluation.report import differences, is_grid, notes
from ..evaluation.results import json_ready
from ..hub.facts import stated_facts
from ..metrics.registry import METRICS, OF_ORIGINAL, SUMMARY, TABLE_METRICS
from ..models import ModelError, find_model
from .systems import ORIGINAL, ComparisonError, System, check_labels, file_names


PREDICTED, ORIGINALS = "predicted", "original"
"""Folders of samples that others published: what their system made, and the recordings."""

OF_RECORDING = {
    "judge_wer": "floor_wer",
    "judge_cer": "floor_cer",
    "judge_phrase_accuracy": "floor_phrase_accuracy",
    "dnsmos_ovrl": "dnsmos_ovrl_original",
    "av_confidence": "av_confidence_original",
}
"""What the recording has in the row of a number; in all others it is what the systems are compared with."""

NOT_STATED = "not stated"


@dataclasses.dataclass(frozen=True)
class Column:
    """
    A column of the table.

    Attributes:
        label (`str`): whose it is.
        kind (`str`): `"original"`, `"system"` or `"samples"`.
        clips (`int`): how many were measured.
        overall (mapping): `value`, `low` and `high` of each number.
        compute (`str`): what the training took.
        against_first (mapping, *optional*): the first system minus this one, as `results.json` has it.
    """

    label: str
    kind: str
    clips: int
    overall: Mapping[str, Mapping[str, Any]]
    compute: str = ""
    against_first: Mapping[str, Any] | None = None

    @property
    def heading(self) -> str:
        """The label, with what sets the column apart."""
        return f"{self.label} *" if self.kind == "samples" else self.label


@dataclasses.dataclass(frozen=True)
class Comparison:
    """
    Systems side by side.

    Attributes:
        title (`str`): what was measured.
        columns (`list[Column]`): the recording, the systems, the published samples.
        results (`dict`): of the first system, as `evaluate_model` returns them.
    """

    title: str
    columns: list[Column]
    results: dict[str, Any]

    @property
    def keys(self) -> list[str]:
        """The numbers that any system has, in the order of model cards."""
        systems = [column.overall for column in self.columns if column.kind != "original"]
        return [key for key in TABLE_METRICS if key not in OF_ORIGINAL and any(key in overall for overall in systems)]

    def verdicts(self) -> list[str]:
        """For each other system in which numbers the first is better or worse, a sentence each."""
        first = next(column.label for column in self.columns if column.kind == "system")
        return [_verdict(first, column, self.keys) for column in self.columns if column.against_first is not None]

    def notes(self) -> list[str]:
        """How to read the table."""
        found = []
        if any(column.kind == "samples" for column in self.columns):
            found.append(
                "* Samples that the authors of these systems published, scored here with the same metrics: other"
                " clips, perhaps of other speakers and at another sampling rate. Compared with the other columns, they"
                " are for orientation only."
            )
        return found + notes(self.results)

    @property
    def published(self) -> list[tuple[str, ...]]:
        """What was reported on GRID, where the clips are GRID's."""
        return [row.cells() for row in PUBLISHED] if is_grid(self.results) else []

    def record(self) -> dict[str, Any]:
        """The same for JSON."""
        return json_ready(
            {
                "title": self.title,
                "columns": [dataclasses.asdict(column) for column in self.columns],
                "verdicts": self.verdicts(),
                "notes": self.notes(),
                "published": [dict(zip(HEADINGS, cells, strict=True)) for cells in self.published],
                "published_note": NOTE,
                "failures": self.results["failures"],
                "confidence_interval": self.results["confidence_interval"],
                "machine": self.results["machine"],
                "versions": self.results["versions"],
            }
        )


def _verdict(first: str, column: Column, keys: Sequence[str]) -> str:
    labels: dict[str, list[str]] = {said: [] for said in ("better", "worse", "no clear difference")}
    for key, _, _, _, said in differences(dict(column.against_first or {})):
        if said and key in keys:
            labels[said].append(SUMMARY[key].label)
    parts = [f"{said} in {'; '.join(names)}." for said, names in labels.items() if names]
    return f"{first} against {column.label}, {counted(column.clips, 'clip')}: {' '.join(parts) or 'no numbers.'}"


def compare_systems(
    systems: Sequence[System],
    data: Path,
    split: str,
    output: Path,
    *,
    samples: Mapping[str, Path] | None = None,
    speakers: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    compat: bool = False,
    workers: int = 1,
    overwrite: bool = False,
    **options: Any,
) -> Comparison:
    """
    Measure systems on the clips of a split, and published samples on their own.

    A run that was stopped continues when it is started again.

    Args:
        systems (sequence of [`System`]): the first is the one that the others are compared with. The others may also
            be folders of sound files, or the `results.json` of earlier evaluations.
        data (`Path`), split (`str`), speakers (sequence of `str`, *optional*): the clips; see `evaluate_model`.
        output (`Path`): the evaluation goes to `output/evaluation`, those of samples to `output/samples`.
        samples (mapping of `str` to `Path`, *optional*): by the label, folders with `predicted/` and `original/`.
        metrics, compat, workers, overwrite: as for `evaluate_model`.
        options: further arguments of `evaluate_model`.

    Raises:
        ComparisonError: if two columns would have one label, or a folder of samples is incomplete.
        CardError: if the card of a model cannot be read.
        EvaluationError, ModelError, CorpusError: as for `evaluate_model`.
    """
    samples = dict(samples or {})
    check_labels([*(system.label for system in systems), *samples])
    for label, folder in samples.items():
        _check_samples(label, folder)
    first, *others = systems
    baselines = [system.model for system in others]
    kinds = baseline_kinds(baselines)
    for model in (first.model, *(model for model, kind in kinds.items() if kind == "model")):
        find_model(model)
    sound_metrics = None if metrics is None else [name for name in metrics if _is_of_sounds(name)] or ["stoi"]
    costs = [cost(system.model) for system in systems]
    shared: dict[str, Any] = {"compat": compat, "workers": workers, "overwrite": overwrite}
    results = evaluate_model(
        first.model, data, split, speakers, output / "evaluation", baselines=baselines, metrics=metrics, **shared,
        **options,
    )  # fmt: skip
    columns = [_recording(results), Column(first.label, "system", results["clips"], results["overall"], costs[0])]
    for system, other, spent in zip(others, results["baselines"], costs[1:], strict=True):
        columns.append(Column(system.label, "system", other["clips"], other["overall"], spent, other))
    for name, (label, folder) in zip(file_names(samples), samples.items(), strict=True):
        scored = evaluate_folders(
            folder / PREDICTED,
            folder / ORIGINALS,
            output / "samples" / name,
            metrics=sound_metrics,
            report=False,
            **shared,
        )
        columns.append(Column(label, "samples", scored["clips"], scored["overall"], NOT_STATED))
    where = f"{results['data']}, split {results['split']}"
    where += f", the first {counted(results['limit'], 'clip')}" if results["limit"] else ""
    return Comparison(f"{counted(len(systems), 'system')} on {where}", columns, results)


def _check_samples(label: str, folder: Path) -> None:
    for name in (PREDICTED, ORIGINALS):
        if not (folder / name).is_dir():
            raise ComparisonError(
                f"--published {label}={folder}: there is no folder {name}/ in it. It must hold {PREDICTED}/ and"
                f" {ORIGINALS}/, with sound files of the same names."
            )


def _is_of_sounds(name: str) -> bool:
    """Whether a metric needs no more than two sounds; of samples, nobody knows the words or sees the lips."""
    return name in METRICS and not set(METRICS[name].needs) - {"reference"}


def _recording(results: Mapping[str, Any]) -> Column:
    overall = {key: results["overall"][own] for key, own in OF_RECORDING.items() if own in results["overall"]}
    return Column(ORIGINAL, "original", results["clips"], overall)


def cost(model: Any) -> str:
    """What the training of a model took, as its card or its trainer states it; `"not stated"` without that."""
    try:
        facts = stated_facts(find_model(model, None))
    except ModelError:  # a folder of sound files, or earlier results
        return NOT_STATED
    unit = next((unit for unit in ("core", "gpu") if facts.get(f"{unit}_hours")), None)
    if unit is None:
        return NOT_STATED
    spent = f"{facts[f'{unit}_hours']:g} {'GPU' if unit == 'gpu' else unit}-hours"
    spent += f" on {facts['hardware']}" if facts.get("hardware") else ""
    if facts.get("training_type") == "fine-tuning":
        spent += ", beside what the weights took that it began from"
    return f"{spent}. {facts['cost_note']}" if facts.get("cost_note") else spent


__all__ = ["Column", "Comparison", "compare_systems", "cost"]
