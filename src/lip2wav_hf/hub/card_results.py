"""Model cards whose numbers come from `results.json`: the `model-index` of the metadata and the table of the text.

The results travel with the model, in its folder `results/`. In the card's text the table stands between two marker
lines; whatever is written elsewhere in the card stays as it is.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..errors import counted, one_line
from ..evaluation.judging import phrases_note
from ..evaluation.report import cell
from ..evaluation.systems import model_sha256
from ..files import read_fields, write_text
from ..metrics.registry import SUMMARY, TABLE_METRICS
from ..models import BY_TYPE, REPOSITORY, bundled_models
from .card_texts import OWNER
from .facts import CardError, card_name, known_facts


BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
HEADING = "## Results"
DIGITS = 6  # of a value in the metadata: tables round it once
MOST_SPEAKERS_NAMED = 8
FURTHER = "trained_further"
"""Key in `results.json` where the model was trained on after it was measured: `steps`, and `model_sha256` of now."""
MEASURED_BY = "measured_by"
"""Key in `results.json` of what no command can measure again: what did."""

Source = str | os.PathLike | dict[str, Any]


@dataclass(frozen=True)
class Measurement:
    """
    The results of one split, and what a card calls it.

    Attributes:
        split (`str`): its name.
        results (`dict`): what `results.json` holds.
        dataset (`str`): proper name of the data.
        split_scheme (`str`, *optional*): the published split that it is of, where the results do not say.
    """

    split: str
    results: dict[str, Any]
    dataset: str
    split_scheme: str | None = None

    @property
    def data(self) -> str:
        """Name of the data's folder."""
        return self.results["data"]

    @property
    def dataset_type(self) -> str:
        """Identifier of the data in the metadata, made from the name of its folder."""
        return re.sub(r"[^a-z0-9]+", "-", self.data.lower()).strip("-") or "data"

    @property
    def limit(self) -> int | None:
        """Number of clips of a run with `--limit`."""
        return self.results.get("limit")

    @property
    def split_measured(self) -> str:
        """The split as `datasets` writes it: `validation`, or `validation[:6]` for its first six clips."""
        return f"{self.split}[:{self.limit}]" if self.limit else self.split

    @property
    def column_title(self) -> str:
        """Head of its column in the table."""
        speakers = list(self.results.get("speakers", {}))
        who = ", ".join(speakers) if len(speakers) <= MOST_SPEAKERS_NAMED else f"{len(speakers)} speakers"
        which = counted(self.results["clips"], "clip")
        which = f"first {which} only" if self.limit else which
        return f"`{self.split}` of {self.dataset}: {which if self.of_an_adaptation else f'{who}, {which}'}"

    @property
    def of_an_adaptation(self) -> bool:
        """Whether `lip2wav adapt` measured it, on recordings that nobody else has."""
        return MEASURED_BY in self.results

    def command(self, model: str) -> str:
        """
        The command that measures this again: as it was given, or for older results what is known of it.

        Args:
            model (`str`): what the card calls the model.
        """
        given = self.results.get("command")
        if given:
            return given if isinstance(given, str) else shlex.join(given)
        measured = self.results.get("model", "")
        if measured not in bundled_models(None) and not REPOSITORY.fullmatch(measured):
            measured = f"{OWNER}/{model}"
        command = ["lip2wav", "evaluate", "--model", measured, "--data", self.dataset]
        command += ["--split-scheme", self.split_scheme] if self.split_scheme else []
        command += ["--split", self.split]
        command += ["--limit", str(self.limit)] if self.limit else []
        command += ["--compat"] if self.results.get("compat") else []
        return shlex.join([*command, "-o", f"out/{self.split}"])


def update_card(
    folder: str | os.PathLike,
    results: Mapping[str, Source] | None = None,
    *,
    check: bool = False,
    weights: str | None = None,
) -> str:
    """Write a model's measured results into its card, and beside it.

    Args:
        folder (`str` or `os.PathLike`): a saved model with a `README.md`.
        results (mapping, *optional*): for each split a `results.json`, or what it holds. They are copied to
            `folder/results/SPLIT.json`, and with those that lie there already make the card. By default only those.
        check (`bool`, *optional*, defaults to `False`): write nothing.
        weights (`str`, *optional*): SHA-256 of the folder's weights, where it is known; otherwise they are loaded.

    Returns:
        `str`: the card's new text.

    Raises:
        CardError: if the card or the results are missing or cannot be read, if the results are of other weights than
            the folder's; with `check`, if the card says something else.
    """
    folder = Path(folder)
    card_file = folder / "README.md"
    if not card_file.is_file():
        raise CardError(f"{card_file}: there is no such model card. Write it first: lip2wav write-card {folder}")
    given = read_measurements(folder, results or {})
    measured = _with_stored(folder, given)
    check_weights(folder, measured, weights)
    before = card_file.read_text(encoding="utf-8")
    after = _with_table(before, results_table(measured, folder))
    after = _with_metadata(after, folder, measured)
    if not check:
        store_results(folder, given)
        write_text(card_file, after)
        return after
    if any(_stored_text(folder, each.split) != _to_json(each.results) for each in given):
        raise CardError(f"{folder / 'results'}: it does not hold these results. Run the command without --check.")
    if before != after:
        raise CardError(f"{card_file}: it does not say what was measured. Run: lip2wav card {folder}")
    return after


def read_measurements(folder: str | os.PathLike, results: Mapping[str, Source]) -> list[Measurement]:
    """
    Read results for a model's card.

    Args:
        folder (`str` or `os.PathLike`): of the model; its card.yaml may have proper names of data sets, and
            their split schemes.
        results (mapping): for each split a `results.json`, or what it holds.

    Raises:
        CardError: if one cannot be read, is of another split, has failures, or does not say what was measured.
    """
    facts = known_facts(folder)
    names, schemes = facts.get("datasets", {}), facts.get("split_schemes", {})
    measured = []
    for split, source in results.items():
        content = _read_results(split, source)
        data = content.get("data")
        if not isinstance(data, str) or not data:
            raise CardError(
                f"the results of {split} do not say on which data they were measured. Measure the model again:"
                " lip2wav evaluate --data FOLDER --model MODEL"
            )
        if isinstance(content.get("command"), str):
            content = dict(content) | {"command": _without_folders(content["command"])}
        measured.append(Measurement(split, content, names.get(data, data), schemes.get(data)))
    return measured


def _without_folders(command: str) -> str:
    """A command line whose absolute paths are cut to their last part: where they lie is nobody else's business."""
    words = shlex.split(command)
    return shlex.join(
        [
            label + equals + (Path(value).name if Path(value).is_absolute() else value)
            for label, equals, value in (word.rpartition("=") for word in words)
        ]
    )


def limited(measured: Iterable[Measurement]) -> list[str]:
    """A warning for each measurement of only the first clips of a split."""
    return [
        f"the results of {each.split} are of its first {counted(each.limit, 'clip')} only (--limit {each.limit}); the"
        " card says so. Measure the whole split before you publish."
        for each in measured
        if each.limit
    ]


def stored_measurements(folder: str | os.PathLike) -> list[Measurement]:
    """The results stored with a model, in the order of its card."""
    return _with_stored(Path(folder), [])


def store_results(folder: str | os.PathLike, measured: Iterable[Measurement]) -> None:
    """Copy results to `folder/results/SPLIT.json`."""
    for each in measured:
        write_text(Path(folder, "results", f"{each.split}.json"), _to_json(each.results))


def check_weights(folder: str | os.PathLike, measured: Sequence[Measurement], weights: str | None = None) -> None:
    """
    Check that results are of a folder's weights.

    Args:
        folder (`str` or `os.PathLike`): a saved model; without config.json, or where no results name weights, nothing
            is checked.
        measured (sequence of [`Measurement`]): the results.
        weights (`str`, *optional*): SHA-256 of the weights, where it is known; otherwise they are loaded.

    Raises:
        CardError: if results are of other weights, or the model cannot be loaded.
    """
    if not any(each.results.get("model_sha256") for each in measured) or not Path(folder, "config.json").is_file():
        return
    weights = weights or _load_sha256(folder)
    for each in measured:
        own = each.results.get("model_sha256")
        further = each.results.get(FURTHER) or {}
        if own is not None and weights not in (own, further.get("model_sha256")):
            raise CardError(
                f"the results of {each.split} are of other weights ({own[:12]}…) than those in {folder}"
                f" ({weights[:12]}…). Measure this model."
            )


def _load_sha256(folder: str | os.PathLike) -> str:
    found = read_fields(Path(folder, "config.json"), CardError)
    network = BY_TYPE.get(str(found.get("model_type")), BY_TYPE["lip2wav"])
    try:
        return model_sha256(network.model_class.from_pretrained(folder))
    except (OSError, ValueError, RuntimeError) as error:
        raise CardError(f"{folder}: the model cannot be loaded ({one_line(error)}).") from error


def _with_stored(folder: Path, given: Sequence[Measurement]) -> list[Measurement]:
    """These measurements and those stored in the folder, in the order of the card."""
    fresh = {each.split for each in given}
    stored = {path.stem: path for path in (folder / "results").glob("*.json") if path.stem not in fresh}
    measured = [*given, *read_measurements(folder, stored)]
    if not measured:
        raise CardError(
            f"{folder}: there are no results for its card. Give them: lip2wav card {folder} --results"
            " SPLIT=results.json"
        )
    return sorted(measured, key=lambda each: ("unseen" in each.split, each.split))


def _stored_text(folder: Path, split: str) -> str | None:
    path = folder / "results" / f"{split}.json"
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _to_json(results: dict[str, Any]) -> str:
    return json.dumps(results, indent=2, ensure_ascii=False) + "\n"


def _read_results(split: str, source: Source) -> dict[str, Any]:
    if not split or "/" in split or split.startswith("."):
        raise CardError(
            f"{split!r} is not the name of a split. Give SPLIT=results.json, such as validation=out/results.json."
        )
    if isinstance(source, dict):
        results, name = source, f"the results of {split}"
    else:
        results, name = read_fields(source, CardError), os.fspath(source)
    if not isinstance(results, dict) or not isinstance(results.get("overall"), dict) or not results["overall"]:
        raise CardError(f"{name}: not the results.json of an evaluation. Make it with: lip2wav evaluate")
    if results.get("split", split) != split:
        raise CardError(f"{name}: is of the split {results['split']!r}, not {split!r}. Give {results['split']}=FILE.")
    if results.get("failures"):
        raise CardError(
            f"{name}: {counted(len(results['failures']), 'clip')} failed. A card needs a whole evaluation."
        )
    return results


# ---------------------------------------------------------------------------------------------------------------------
# The table
# ---------------------------------------------------------------------------------------------------------------------


def results_table(measured: Sequence[Measurement], folder: str | os.PathLike) -> str:
    """The part of a card's text with the results.

    Args:
        measured (sequence of [`Measurement`]): for each split its results.
        folder (`str` or `os.PathLike`): of the model.

    Returns:
        `str`: Markdown: the table, and how it was made.
    """
    facts = known_facts(folder)
    keys = [key for key in TABLE_METRICS if any(key in each.results["overall"] for each in measured)]
    headings = ["metric, 95 % interval", *(each.column_title for each in measured)]
    lines = [f"| {' | '.join(headings)} |", f"|---|{'---|' * len(measured)}"]
    for key in keys:
        cells = [cell(key, each.results["overall"].get(key), each.results["clips"] > 1) for each in measured]
        lines.append(f"| {SUMMARY[key].title} | {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            "",
            *_commands(measured, card_name(folder, facts)),
            *_trained_on(measured, facts.get("trained_on", [])),
            *_circumstances(measured),
        ]
    )


def _commands(measured: Sequence[Measurement], model: str) -> list[str]:
    commands = [each.command(model) for each in measured if not each.of_an_adaptation]
    lines = (
        ["From the video files through the whole pipeline:", "", "```bash", *commands, "```", ""] if commands else []
    )
    own = [f"`{each.split}`" for each in measured if each.of_an_adaptation]
    if own:
        more = f"lip2wav evaluate --model {OWNER}/{model} --data RECORDINGS --split all"
        lines += [f"{', '.join(own)}: recordings that `lip2wav adapt` held back and measured itself. On others:", ""]
        lines += ["```bash", more, "```", ""]
    return lines


def _trained_on(measured: Sequence[Measurement], trained_on: Sequence[str]) -> list[str]:
    """What is known about whether measured clips were trained on; nothing, where nothing is known."""
    lines = []
    known = {name.partition("/")[0] for name in trained_on}
    seen = [each for each in measured if f"{each.data}/{each.split}" in trained_on]
    held_out = [each for each in measured if each.data in known and each not in seen]
    if held_out:
        lines.append(f"No clip of {_splits(held_out)} was trained on.")
    if seen:
        lines.append(f"The clips of {_splits(seen)} were trained on: these numbers do not show how it reads others.")
    return lines


def _splits(measured: Sequence[Measurement]) -> str:
    *first, last = [f"`{each.split}`" for each in measured]
    return f"{', '.join(first)} or {last}" if first else last


def _circumstances(measured: Sequence[Measurement]) -> list[str]:
    """Judge, intervals, confidence and machine."""
    lines = []
    first = measured[0].results
    if "judge" in first:
        chance = first.get("chance_wer")
        guess = "" if chance is None else f"; guessing from the grammar gives {100 * chance:.0f} %"
        lines.append(f"Judge: {first['judge']}{guess}.")
    lines += [phrases_note(each.results["phrases"]) for each in measured if "phrases" in each.results]
    lines += [
        f"The numbers of `{each.split}` are of this model as it was {counted(each.results[FURTHER]['steps'], 'step')}"
        " earlier: in these it has learnt from the clips measured too."
        for each in measured
        if FURTHER in each.results
    ]
    lines.append(f"Intervals: {first['confidence_interval']}.")
    for each in measured:
        if "calibration" in each.results:
            lines.append(_confidence(each.split, each.results["calibration"]))
    computer = first["machine"]
    accelerator = f", {computer['accelerator']}" if computer["accelerator"] else ""
    lines.append(
        f"Machine: {computer['cpu']}, {computer['cores']} cores{accelerator}, torch {computer['torch']}. All numbers,"
        " per speaker and per slot of the sentence, are in `results/`."
    )
    return lines


def _confidence(split: str, calibration: dict[str, Any]) -> str:
    parts = [
        f"{SUMMARY['text_wer'].show(entry['wer']['value'])} % on the {100 * entry['coverage']:.0f} %"
        for entry in calibration["selective"]
    ]
    return (
        f"Confidence on `{split}`: expected calibration error {calibration['ece']['value']:.3f}; text-head WER "
        f"{', '.join(parts)} of the clips it is most sure of."
    )


def _with_table(text: str, table: str) -> str:
    """The card's text with the table between its markers; they are made where they are missing."""
    block = f"{BEGIN}\n{table}\n{END}"
    if text.count(BEGIN) == 1 and text.count(END) == 1 and text.index(BEGIN) < text.index(END):
        return text[: text.index(BEGIN)] + block + text[text.index(END) + len(END) :]
    if BEGIN in text or END in text:
        raise CardError(f"the card has its lines {BEGIN} and {END} more than once, or one without the other.")
    lines = text.rstrip("\n").split("\n")
    if HEADING in lines:
        place = lines.index(HEADING) + 1
        return "\n".join([*lines[:place], "", block, *lines[place:]]) + "\n"
    return "\n".join([*lines, "", HEADING, "", block]) + "\n"


# ---------------------------------------------------------------------------------------------------------------------
# The metadata
# ---------------------------------------------------------------------------------------------------------------------


def _with_metadata(text: str, folder: Path, measured: Sequence[Measurement]) -> str:
    """The card's text with the `model-index` of these results in its metadata."""
    try:
        card = ModelCard(text)
    except ValueError as error:
        raise CardError(f"{folder / 'README.md'}: its metadata cannot be read ({one_line(error)}).") from error
    data = cast(ModelCardData, card.data)
    data.model_name = data.model_name or card_name(folder, known_facts(folder))
    data.eval_results = [
        EvalResult(
            task_type="video-to-speech",
            task_name="Video to speech",
            dataset_type=each.dataset_type,
            dataset_name=each.dataset,
            dataset_split=each.split_measured,
            metric_type=key,
            metric_name=SUMMARY[key].label if key in SUMMARY else key,
            metric_value=round(value["value"], DIGITS),
        )
        for each in measured
        for key, value in each.results["overall"].items()
        if value["value"] is not None
    ]
    return str(card).rstrip("\n") + "\n"


__all__ = [
    "CardError",
    "Measurement",
    "check_weights",
    "limited",
    "read_measurements",
    "results_table",
    "store_results",
    "stored_measurements",
    "update_card",
]
