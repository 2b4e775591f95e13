"""Model cards whose numbers come from `results.json`: the `model-index` of the metadata and the table of the text.

The results travel with the model, in its folder `results/`. In the card's text the table stands between two marker
lines; whatever is written elsewhere in the card stays as it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import Lip2WavError
from ..evaluation.statistics import SUMMARY
from ..evaluation.table import write_text


BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
HEADING = "## Results"
TABLE_METRICS = (
    "judge_wer",
    "floor_wer",
    "judge_wer_above_floor",
    "text_wer",
    "pesq_nb",
    "pesq_wb",
    "stoi",
    "estoi",
    "in_sync_stoi",
    "in_sync_estoi",
    "mcd",
    "mcd_dtw",
    "corr2d",
    "dnsmos_ovrl",
    "speaker_similarity",
    "av_confidence",
    "av_absolute_offset",
    "text_confidence",
    "face_coverage",
)
DIGITS = 4  # of a value in the metadata


class CardError(Lip2WavError):
    """A model card that cannot be written, or that does not tell what was measured."""


def update_card(
    folder: str | os.PathLike,
    results: Mapping[str, str | os.PathLike | dict[str, Any]] | None = None,
    *,
    dataset_name: str = "GRID",
    dataset_type: str = "grid",
    check: bool = False,
) -> str:
    """Write a model's measured results into its card, and beside it.

    Args:
        folder (`str` or `os.PathLike`): a saved model with a `README.md`.
        results (mapping, *optional*): for each split a `results.json`, or what it holds. They are copied to
            `folder/results/SPLIT.json`, and with those that lie there already make the card. By default only those.
        dataset_name (`str`, *optional*, defaults to `"GRID"`): what the metadata call the data.
        dataset_type (`str`, *optional*, defaults to `"grid"`): its identifier there.
        check (`bool`, *optional*, defaults to `False`): write nothing.

    Returns:
        `str`: the card's new text.

    Raises:
        CardError: if the card or the results are missing or cannot be read, if the results are of other weights than
            the folder's; with `check`, if the card says something else.
    """
    folder = Path(folder)
    card_file = folder / "README.md"
    if not card_file.is_file():
        raise CardError(f"{card_file}: no such model card; write its text first, then let its numbers be put in.")
    given = {split: _read_results(split, source) for split, source in (results or {}).items()}
    known = {path.stem: path for path in sorted((folder / "results").glob("*.json"))}
    stored = {split: _read_results(split, path) for split, path in known.items() if split not in given}
    measured = {**stored, **given}
    if not measured:
        raise CardError(f"{folder}: there are no results for its card; give --results SPLIT=results.json.")
    measured = {split: measured[split] for split in sorted(measured, key=_split_order)}
    _check_weights(folder, measured)
    before = card_file.read_text(encoding="utf-8")
    after = _with_table(before, results_table(measured, folder.resolve().name))
    after = _with_metadata(after, folder, measured, dataset_name, dataset_type)
    if check:
        if given and any(stored_text(folder, split) != _to_json(own) for split, own in given.items()):
            raise CardError(f"{folder / 'results'}: does not hold these results; run the command without --check.")
        if before != after:
            raise CardError(f"{card_file}: does not tell what was measured; run `lip2wav card {folder}`.")
        return after
    for split, own in given.items():
        (folder / "results").mkdir(exist_ok=True)
        write_text(folder / "results" / f"{split}.json", _to_json(own))
    write_text(card_file, after)
    return after


def stored_text(folder: Path, split: str) -> str | None:
    """Text of a model's stored results; `None` where there are none."""
    path = folder / "results" / f"{split}.json"
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _to_json(results: dict[str, Any]) -> str:
    return json.dumps(results, indent=2, ensure_ascii=False) + "\n"


def _split_order(split: str) -> tuple[bool, str]:
    return "unseen" in split, split


def _read_results(split: str, source: str | os.PathLike | dict[str, Any]) -> dict[str, Any]:
    if not split or "/" in split or split.startswith("."):
        raise CardError(
            f"{split!r} is no name of a split; give SPLIT=results.json, such as validation=out/results.json."
        )
    if isinstance(source, dict):
        results, name = source, f"the results of {split}"
    else:
        name = os.fspath(source)
        try:
            results = json.loads(Path(source).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CardError(f"{name}: cannot be read as results ({error}).") from error
    if not isinstance(results, dict) or not isinstance(results.get("overall"), dict) or not results["overall"]:
        raise CardError(f"{name}: not the results.json of an evaluation; make it with `lip2wav evaluate`.")
    if results.get("split", split) != split:
        raise CardError(f"{name}: is of the split {results['split']!r}, not {split!r}.")
    if results.get("failures"):
        raise CardError(f"{name}: {len(results['failures'])} clips failed; a card needs a whole evaluation.")
    return results


def _check_weights(folder: Path, measured: dict[str, dict[str, Any]]) -> None:
    from ..evaluation.systems import model_sha256
    from ..modeling_lip2wav import Lip2WavModel

    wanted = {split: own.get("model_sha256") for split, own in measured.items()}
    if not any(wanted.values()) or not (folder / "config.json").is_file():
        return
    try:
        weights = model_sha256(Lip2WavModel.from_pretrained(folder))
    except (OSError, ValueError, RuntimeError) as error:
        raise CardError(f"{folder}: the model cannot be loaded ({error}).") from error
    for split, own in wanted.items():
        if own is not None and own != weights:
            raise CardError(
                f"the results of {split} are of other weights ({own[:12]}…) than those in {folder} ({weights[:12]}…);"
                " evaluate this model."
            )


def results_table(measured: Mapping[str, dict[str, Any]], model: str) -> str:
    """The part of a card's text that tells the results.

    Args:
        measured (mapping): for each split what its `results.json` holds.
        model (`str`): what `--model` takes.

    Returns:
        `str`: Markdown: the table, and how it was made.
    """
    from ..evaluation.report import cell

    keys = [key for key in TABLE_METRICS if any(key in own["overall"] for own in measured.values())]
    headings = ["metric, 95 % interval", *(_column_title(split, own) for split, own in measured.items())]
    lines = [f"| {' | '.join(headings)} |", f"|---|{'---|' * len(measured)}"]
    for key in keys:
        cells = [cell(key, own["overall"].get(key), True) for own in measured.values()]
        lines.append(f"| {SUMMARY[key].title} | {' | '.join(cells)} |")
    return "\n".join(lines + ["", *_how(measured, model)])


def _column_title(split: str, results: dict[str, Any]) -> str:
    speakers = list(results.get("speakers", {}))
    who = ", ".join(speakers) if len(speakers) <= 8 else f"{len(speakers)} speakers"
    return f"`{split}`: {who}, {results['clips']} clips"


def _how(measured: Mapping[str, dict[str, Any]], model: str) -> list[str]:
    lines = ["From the video files through the whole pipeline:", "", "```bash"]
    lines += [f"lip2wav evaluate --model {model} --data GRID --split {split} -o out/{split}" for split in measured]
    lines += ["```", ""]
    first = next(iter(measured.values()))
    if "judge" in first:
        lines.append(f"Judge: {first['judge']}; guessing from the grammar gives {100 * first['chance_wer']:.0f} %.")
    lines.append(f"Intervals: {first['confidence_interval']}.")
    for split, own in measured.items():
        if "calibration" in own:
            lines.append(_confidence(split, own["calibration"]))
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


def _with_metadata(
    text: str, folder: Path, measured: dict[str, dict[str, Any]], dataset_name: str, dataset_type: str
) -> str:
    """The card's text with the `model-index` of these results in its metadata."""
    from huggingface_hub import EvalResult, ModelCard

    try:
        card = ModelCard(text)
    except ValueError as error:
        raise CardError(f"{folder / 'README.md'}: its metadata cannot be read ({error}).") from error
    card.data.model_name = card.data.get("model_name") or folder.resolve().name
    card.data.eval_results = [
        EvalResult(
            task_type="video-to-speech",
            task_name="Video to speech",
            dataset_type=dataset_type,
            dataset_name=dataset_name,
            dataset_split=split,
            metric_type=key,
            metric_name=SUMMARY[key].label if key in SUMMARY else key,
            metric_value=round(value["value"], DIGITS),
        )
        for split, own in measured.items()
        for key, value in own["overall"].items()
        if value["value"] is not None
    ]
    return str(card).rstrip("\n") + "\n"


def card_command(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A saved model with a README.md.", show_default=False)
    ],
    results: Annotated[
        list[str] | None,
        typer.Option(
            "--results",
            metavar="SPLIT=FILE",
            help="The results.json of a split; may be repeated. By default what lies in FOLDER/results.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit status 2 if the card says something else.")
    ] = False,
) -> None:
    """Put a model's measured results into its card: the metadata and the table, from results.json.

    \b
    Examples:
      lip2wav card runs/mine/best --results validation=out/s1/results.json
      lip2wav card runs/mine/best --check
    """
    try:
        sources = dict(_split_and_file(entry) for entry in results or ())
        update_card(folder, sources, check=check)
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{folder / 'README.md'}: {'tells what was measured' if check else 'written'}.")


def _split_and_file(entry: str) -> tuple[str, str]:
    split, equals, path = entry.partition("=")
    if not equals or not path:
        raise CardError(f"--results {entry}: give SPLIT=FILE, such as validation=out/s1/results.json.")
    return split, path


__all__ = ["CardError", "card_command", "results_table", "update_card"]
