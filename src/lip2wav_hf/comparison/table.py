"""
One table of several systems: on the same clips, with intervals and paired differences to the first of them.

Everything is measured by `evaluation`; here its numbers are put side by side, with what the training of each system
took, with samples that other authors published, and with the results that they reported.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..audio import audio_rate
from ..corpora.clips import visible_files
from ..errors import counted
from ..evaluation.baselines import baseline_kind, baseline_kinds
from ..evaluation.evaluate import evaluate_folders, evaluate_model
from ..evaluation.folders import AUDIO_SUFFIXES, pair_folders
from ..evaluation.options import described
from ..evaluation.published import HEADINGS, NOTE, PUBLISHED
from ..evaluation.report import differences, is_grid, notes
from ..files import json_ready, read_fields
from ..metrics.pairs import SAMPLING_RATE
from ..metrics.registry import METRICS, OF_ORIGINAL, SUMMARY, TABLE_METRICS
from ..models import SPEAKING, ModelError, find_model
from .systems import ORIGINAL, ComparisonError, System, check_labels, file_names
from .trainings import Curve, Training, training_of
from .trainings import verdicts as learning_verdicts


PREDICTED, ORIGINALS = "predict", "original"
"""How the folders of samples begin that others published: what their system made, and the recordings."""

FEW_CLIPS = 10  # fewer show little; our choice

OF_RECORDING = {
    "judge_wer": "floor_wer",
    "judge_cer": "floor_cer",
    "judge_phrase_accuracy": "floor_phrase_accuracy",
    "dnsmos_ovrl": "dnsmos_ovrl_original",
    "av_confidence": "av_confidence_original",
}
"""What the recording has in the row of a number; in all others it is what the systems are compared with."""

ABOVE_FLOOR, TO_ORIGINAL = "judge_wer_above_floor", "wer_to_original"
"""Rows of the table; the second has words of samples that nobody has written down."""


@dataclasses.dataclass(frozen=True)
class Column:
    """
    A column of the table.

    Attributes:
        label (`str`): whose it is.
        kind (`str`): `"original"`, `"system"` or `"samples"`.
        clips (`int`): how many were measured.
        overall (mapping): `value`, `low` and `high` of each number.
        training ([`Training`]): what is known of how it was trained.
        sampling_rate (`int`, *optional*): of its sounds as they were made, in Hz.
        original_rate (`int`, *optional*): of what they are compared with, where that is known to be another.
        against_first (mapping, *optional*): the first system minus this one, as `results.json` has it.
    """

    label: str
    kind: str
    clips: int
    overall: Mapping[str, Mapping[str, Any]]
    training: Training = Training()
    sampling_rate: int | None = None
    original_rate: int | None = None
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
        keys = [key for key in TABLE_METRICS if key not in OF_ORIGINAL]
        place = keys.index(ABOVE_FLOOR) + 1
        return [key for key in (*keys[:place], TO_ORIGINAL, *keys[place:]) if any(key in own for own in systems)]

    @property
    def curves(self) -> dict[str, Curve]:
        """Learning curves by the label of the system, where they were kept."""
        return {column.label: column.training.curve for column in self.columns if column.training.curve is not None}

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
            if any(TO_ORIGINAL in column.overall for column in self.columns if column.kind == "samples"):
                found.append(
                    "* Nobody states the words of these samples: theirs are compared with what the same judge hears in"
                    f" their originals ({SUMMARY[TO_ORIGINAL].label}), and so are those of all other systems in that"
                    " row."
                )
        return [*found, *self._rate_notes(), *notes(self.results)]

    def _rate_notes(self) -> list[str]:
        rates = {column.label: column.sampling_rate for column in self.columns if column.sampling_rate}
        if not rates:
            return []
        found = [f"All sounds are judged at {SAMPLING_RATE // 1000} kHz; those made at another rate are resampled."]
        low = [label for label, rate in rates.items() if rate < SAMPLING_RATE]
        if low:
            found.append(
                f"{' and '.join(low)}: made at less, so nothing is above half that rate. PESQ-wb, DNSMOS, Mel-cepstral"
                " distortion and speaker similarity see that; PESQ-nb, STOI and ESTOI hardly do."
            )
        return found

    @property
    def failures(self) -> list[dict[str, str]]:
        """The clips that a system could not speak: `system`, `clip` and `error` of each."""
        first = next(column.label for column in self.columns if column.kind == "system")
        own = {first: self.results} | {column.label: column.against_first or {} for column in self.columns[2:]}
        return [{"system": label, **failure} for label, found in own.items() for failure in found.get("failures", ())]

    @property
    def published(self) -> list[tuple[str, ...]]:
        """What was reported on GRID, where the clips are GRID's."""
        return [row.cells() for row in PUBLISHED] if is_grid(self.results) else []

    def record(self) -> dict[str, Any]:
        """The same for JSON."""
        return json_ready(
            {
                "title": self.title,
                "columns": [
                    dataclasses.asdict(column) | {"compute": column.training.compute} for column in self.columns
                ],
                "verdicts": self.verdicts(),
                "learning": learning_verdicts(self.curves),
                "notes": self.notes(),
                "published": [dict(zip(HEADINGS, cells, strict=True)) for cells in self.published],
                "published_note": NOTE,
                "failures": self.failures,
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
    if parts and column.clips < FEW_CLIPS:
        parts.append("So few clips show little: others may show the opposite.")
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
    workers: int | None = 1,
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
        samples (mapping of `str` to `Path`, *optional*): by the label, folders in which one folder's name begins
            with "predict" and one's with "original".
        metrics, compat, workers, overwrite: as for `evaluate_model`.
        options: further arguments of `evaluate_model`.

    Raises:
        ComparisonError: if two columns would have one label, or a folder of samples is incomplete.
        CardError: if the card of a model cannot be read.
        EvaluationError, ModelError, CorpusError: as for `evaluate_model`.
    """
    samples = dict(samples or {})
    check_labels([*(system.label for system in systems), *samples])
    pairs = {label: _pair_of_folders(label, folder) for label, folder in samples.items()}
    for made, originals in pairs.values():
        pair_folders(made, originals)  # before anything is measured, whether each has its original
    _check_models(systems)
    first, *others = systems
    trainings = [training_of(system.model) for system in systems]
    shared: dict[str, Any] = {"compat": compat, "workers": workers, "overwrite": overwrite}
    results = evaluate_model(
        first.model, data, split, speakers, output / "evaluation", baselines=[system.model for system in others],
        metrics=metrics, labels={os.fspath(system.model): system.label for system in systems}, **shared, **options,
    )  # fmt: skip
    columns = [_recording(results), Column(first.label, "system", results["clips"], results["overall"], trainings[0])]
    for system, other, training in zip(others, results["baselines"], trainings[1:], strict=True):
        columns.append(Column(system.label, "system", other["clips"], other["overall"], training, against_first=other))
    columns[1:] = [
        dataclasses.replace(column, sampling_rate=_rate_of(system.model))
        for column, system in zip(columns[1:], systems, strict=True)
    ]
    columns += _sample_columns(pairs, output / "samples", metrics, is_grid(results), shared)
    where = described(results["data"], results["split"], speakers)
    where += f", the first {counted(results['limit'], 'clip')}" if results["limit"] else ""
    return Comparison(f"{counted(len(systems), 'system')} on {where}", columns, results)


def _check_models(systems: Sequence[System]) -> None:
    """See, before anything is measured, that all are there, speak, and are different."""
    kinds = baseline_kinds([system.model for system in systems[1:]])
    seen: dict[Any, str] = {}
    for system in systems:
        if kinds.get(system.model, "model") == "model":
            find_model(system.model, SPEAKING)
        place = Path(system.model).resolve() if Path(system.model).exists() else system.model
        if place in seen:
            raise ComparisonError(f"{seen[place]!r} and {system.label!r} are both {system.model}. Name it once.")
        seen[place] = system.label


def _sample_columns(
    pairs: Mapping[str, tuple[Path, Path]],
    output: Path,
    metrics: Sequence[str] | None,
    of_grid: bool,
    shared: Mapping[str, Any],
) -> list[Column]:
    """Published samples, scored; where the clips are GRID's, so are they, and the judge of GRID hears them."""
    chosen = None if metrics is None else [name for name in metrics if _is_of_sounds(name, of_grid)] or ["stoi"]
    found = []
    for name, (label, (made, originals)) in zip(file_names(pairs), pairs.items(), strict=True):
        judge = "grid" if of_grid else None
        scored = evaluate_folders(made, originals, output / name, metrics=chosen, judge=judge, report=False, **shared)
        rates = (_sampling_rate(made), _sampling_rate(originals))
        found.append(Column(label, "samples", scored["clips"], scored["overall"], Training(label), *rates))
    return found


def _rate_of(model: Any) -> int | None:
    """The rate that a model makes sound at, or that of the sound files named instead; in Hz."""
    kind = baseline_kind(model)
    if kind != "model":
        return _sampling_rate(Path(model) if kind == "folder" or Path(model).is_dir() else Path(model).parent)
    rate = read_fields(find_model(model, SPEAKING) / "config.json", ModelError).get("sampling_rate")
    return rate if isinstance(rate, int) else None


def _sampling_rate(folder: Path) -> int | None:
    """Of the sound files of a folder, in Hz; `None` where there are none, or several rates."""
    place = folder / "wav" if (folder / "wav").is_dir() else folder
    rates = {audio_rate(path) for path in visible_files(place) if path.suffix.lower() in AUDIO_SUFFIXES}
    return rates.pop() if len(rates) == 1 else None


def _pair_of_folders(label: str, folder: Path) -> tuple[Path, Path]:
    """What a system made, and the recordings, by the beginnings of the folders' names."""
    if not folder.is_dir():
        raise ComparisonError(f"--published {label}={folder}: no such folder.")
    pair = []
    for beginning in (PREDICTED, ORIGINALS):
        found = [path for path in sorted(folder.glob(f"{beginning}*")) if path.is_dir()]
        if len(found) != 1:
            there = "no folder" if not found else f"{', '.join(path.name for path in found)}, not one folder,"
            raise ComparisonError(
                f"--published {label}={folder}: there is {there} in it whose name begins with {beginning!r}. It must"
                " hold one such as predicted/ and one such as original/, with sound files of the same names."
            )
        pair.append(found[0])
    return pair[0], pair[1]


def _is_of_sounds(name: str, of_grid: bool) -> bool:
    """Whether a metric needs no more than two sounds, or GRID's judge beside them; of samples, nobody knows the words
    or sees the lips."""
    metric = METRICS.get(name)
    return metric is not None and (not set(metric.needs) - {"reference"} or (of_grid and name == "grid_wer"))


def _recording(results: Mapping[str, Any]) -> Column:
    overall = {key: results["overall"][own] for key, own in OF_RECORDING.items() if own in results["overall"]}
    return Column(ORIGINAL, "original", results["clips"], overall)


__all__ = ["Column", "Comparison", "compare_systems"]
