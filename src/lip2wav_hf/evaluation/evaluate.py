"""From a model to a table: run the whole pipeline on a split of GRID, score what it says, and write the numbers down.

`evaluate_model` starts from the video files of a split; `evaluate_folders` scores two folders of sound files, so that
other people's systems can be measured the same way. Both write `results.json`, `clips.csv`, `report.md` and
`report.html`. Under `accelerate launch` or `torchrun` each process does its share of the clips.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import itertools
import json
import math
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..corpora.clips import VIDEO_SUFFIXES
from ..corpora.clips import Clip as CorpusClip
from ..corpora.registry import load_split
from ..files import replacing
from ..grid.corpus import GridError, sentence_words
from ..machine import available_cores, machine, versions
from ..models import CHECKPOINTS as BUNDLED_MODELS
from .baselines import AUDIO_SUFFIXES, Compared, baseline_kind, compare, sound_files
from .run import CLIPS, FINGERPRINT, RESULTS, Clip, Run, Scorer, Share, WorkerError, collect
from .scoring import CLIP_METRICS, SAMPLING_RATE, EvaluationError, check_metrics, clip_columns
from .statistics import INTERVAL, by_speaker, column, slot_errors, summarize
from .systems import load_pipeline, model_name, speak_and_score, weights_sha256
from .table import read_clips, write_text


JUDGE = "pocketsphinx with the GRID grammar and British 'zed'"


# From video files ----------------------------------------------------------------------------------------------------


def evaluate_model(
    model: Any = None,
    data_dir: str | os.PathLike = ".",
    split: str = "validation",
    speakers: list[str] | None = None,
    output_dir: str | os.PathLike = "out/evaluation",
    *,
    baselines: Sequence[str | os.PathLike] = (),
    metrics: Sequence[str] | None = None,
    compat: bool = False,
    splits_file: str | os.PathLike | None = None,
    device: str | int | None = None,
    dtype: str | None = None,
    batch_size: int = 8,
    limit: int | None = None,
    workers: int = 1,
    overwrite: bool = False,
    report: bool = True,
    progress: bool = True,
    share: Share | None = None,
) -> dict[str, Any]:
    """Run the whole pipeline on the video files of a split, and score what it says.

    The generated speech is kept as `output_dir/wav/SPEAKER/NAME.wav` and scored from there. A run that was stopped
    goes on where it was when it is started again: finished clips are taken from `output_dir/clips.csv`.

    Args:
        model (`str`, *optional*): a bundled model, such as `"grid-s1"`, a folder, a Hub repository, or a
            `video-to-speech` pipeline; the pipeline's own default if none is given.
        data_dir (`str` or `os.PathLike`): GRID folder with `splits.json` and `video/SPEAKER/NAME.mkv` (or `.mpg`, …),
            or with archives such as `s1.zip`, whose videos are copied to `output_dir/originals`.
        split (`str`, *optional*, defaults to `"validation"`): a key of `splits.json`.
        speakers (`list[str]`, *optional*): only these; all of the split by default.
        output_dir (`str` or `os.PathLike`): where everything is written.
        baselines (sequence of `str` or `os.PathLike`, *optional*): what the same clips are compared with: other
            models, folders of sound files, or the `results.json` of earlier evaluations.
        metrics (sequence of `str`, *optional*): keys of `scoring.CLIP_METRICS`; all by default.
        compat (`bool`, *optional*, defaults to `False`): compute the lineage's forms of the metrics too.
        splits_file (`str` or `os.PathLike`, *optional*): another file than `data_dir/splits.json`.
        device (`str` or `int`, *optional*): where the model runs.
        dtype (`str`, *optional*): what the model calculates in, such as `"bfloat16"`; as the checkpoint says by
            default.
        batch_size (`int`, *optional*, defaults to 8): clips that go through the pipeline together.
        limit (`int`, *optional*): only the first so many clips.
        workers (`int`, *optional*, defaults to 1): processes that score while the pipeline goes on.
        overwrite (`bool`, *optional*, defaults to `False`): start anew where `output_dir` holds an evaluation.
        report (`bool`, *optional*, defaults to `True`): write `report.html`, which takes some seconds.
        progress (`bool`, *optional*, defaults to `True`): show a progress bar.
        share ([`Share`], *optional*): the part of this process, as the launcher set it up by default; `Share()` to
            measure alone, whatever other processes there are.

    Returns:
        `dict`: what `results.json` holds: `overall` and `speakers` (`value`, `low`, `high` of each metric; rates as
        fractions), `baselines`, `slots`, `calibration`, `timing` (seconds), `machine`, `failures` and the settings.

    Raises:
        EvaluationError: if the folder or a package is missing, if `output_dir` holds another evaluation, if a baseline
            cannot be had, or if no clip could be scored.
        GridError: if the split, a speaker or a clip of it is missing.
    """
    metrics = check_metrics(metrics)
    _check_report_packages()
    if not Path(data_dir).is_dir():
        raise EvaluationError(f"{data_dir}: no such folder; it should hold splits.json and video/SPEAKER/NAME.mkv.")
    if batch_size < 1 or workers < 1 or (limit is not None and limit < 1):
        raise EvaluationError("batch_size, workers and limit must be at least 1.")
    found = load_split(data_dir, split, speakers, splits_file, zipped=True)[:limit]
    clips = [_clip(clip, output_dir) for clip in found]
    if not clips:
        raise EvaluationError(f"{data_dir}: the split {split!r} holds no clip.")
    kinds = {os.fspath(baseline): baseline_kind(baseline) for baseline in baselines}
    share = Share.of_this_process(device) if share is None else share
    output_dir = Path(output_dir)
    options = {"device": device, "dtype": dtype, "batch_size": batch_size, "workers": workers}
    options |= {"overwrite": overwrite, "progress": progress, "metrics": metrics, "compat": compat, "share": share}
    corpus = {"data": Path(data_dir).resolve().name, "split": split}
    rows, failures, settings, load_seconds = _run_model(model, clips, output_dir, corpus, **options)
    compared = _run_baselines(kinds, clips, output_dir, corpus, options)
    results = build_results(rows, failures, settings, compared)
    if "timing" in results:
        results["timing"]["load_seconds"] = load_seconds
    return _publish(output_dir, rows, results, clips, compared, share, report)


def _clip(corpus_clip: CorpusClip, output_dir: str | os.PathLike) -> Clip:
    path = Path(output_dir, "wav", corpus_clip.speaker, f"{corpus_clip.name}.wav")
    return Clip(
        corpus_clip.speaker, corpus_clip.name, _video(corpus_clip, output_dir), path, " ".join(corpus_clip.words)
    )


def _video(clip: CorpusClip, output_dir: str | os.PathLike) -> Path:
    """The file of a clip's video; one that lies in an archive is copied to `output_dir/originals`."""
    if isinstance(clip.video, Path):
        return clip.video
    path = Path(output_dir, "originals", clip.speaker, clip.video.name)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(clip.video.read_bytes())
    return path


def _run_model(
    model: Any,
    clips: list[Clip],
    output_dir: Path,
    corpus: dict[str, str],
    *,
    device: str | int | None,
    dtype: str | None,
    batch_size: int,
    workers: int,
    overwrite: bool,
    progress: bool,
    metrics: list[str],
    compat: bool,
    share: Share,
) -> tuple[list[dict], list[dict], dict[str, Any], float]:
    """Rows, failures and settings of a model on some clips, and how long it took to load, in seconds."""
    if device is None and share.state is not None:
        device = str(share.state.device)
    pipe, load_seconds = load_pipeline(model, device, dtype)
    name = model_name(model)
    settings = {
        "title": f"{name} on {corpus['data']}, split {corpus['split']}",
        "model": name,
        "model_sha256": weights_sha256(pipe),
        **corpus,
        "dtype": str(getattr(getattr(pipe, "model", None), "dtype", "")),
        "metrics": metrics,
        "compat": compat,
    }
    columns = clip_columns(metrics, compat)
    clips = [replace(clip, generated=path) for clip, path in zip(clips, _sounds(clips, output_dir).values())]
    run = Run(clips, output_dir, settings, columns, share, overwrite)
    with Scorer(workers, metrics, compat) as scorer:

        def produce(todo: list[Clip], failures: list) -> Iterable[dict[str, Any] | None]:
            return speak_and_score(pipe, todo, batch_size, scorer, failures)

        rows, failures = run.finish(produce, progress, f"{name}: speak and score")
    if not rows:
        raise EvaluationError(f"no clip could be scored; the first failure: {failures[0]['error']}")
    return rows, failures, settings, load_seconds


# From folders of sound -----------------------------------------------------------------------------------------------


def evaluate_folders(
    generated: str | os.PathLike,
    reference: str | os.PathLike,
    output_dir: str | os.PathLike | None = None,
    *,
    baselines: Sequence[str | os.PathLike] = (),
    metrics: Sequence[str] | None = None,
    compat: bool = False,
    workers: int = 1,
    overwrite: bool = False,
    report: bool = True,
    progress: bool = True,
) -> dict[str, Any]:
    """Score a folder of generated sound files against a folder of originals.

    Files belong together by their path without its suffix, such as `s1/bbaf2n`; the folder is the speaker. Where all
    names are GRID sentences, the words are judged too; where the originals are videos, so is the sync with the lips.

    Args:
        generated (`str` or `os.PathLike`): folder of `.wav` or `.flac` files, subfolders included.
        reference (`str` or `os.PathLike`): folder of the originals: sound files, or videos with sound.
        output_dir (`str` or `os.PathLike`, *optional*): where `results.json`, `clips.csv`, `report.md` and
            `report.html` are written; a run that was stopped goes on from there.
        baselines (sequence of `str` or `os.PathLike`, *optional*): other folders with the same clips, or the
            `results.json` of earlier evaluations of them.
        metrics (sequence of `str`, *optional*): keys of `scoring.CLIP_METRICS`; by default all that these files allow.
        compat (`bool`, *optional*, defaults to `False`): compute the lineage's forms of the metrics too.
        workers (`int`, *optional*, defaults to 1): processes that score.
        overwrite (`bool`, *optional*, defaults to `False`): start anew where `output_dir` holds an evaluation.
        report (`bool`, *optional*, defaults to `True`): write `report.html`, which takes some seconds.
        progress (`bool`, *optional*, defaults to `True`): show a progress bar.

    Returns:
        `dict`: as for `evaluate_model`, without what only a model can have.

    Raises:
        EvaluationError: if a folder is missing or empty, a generated file has no original, or a metric that was asked
            for needs sentences or videos that are not there.
        ValueError: if a file cannot be read, or is too short or too broken to be scored; its name is in the message.
    """
    asked = metrics is not None
    metrics = check_metrics(metrics)
    _check_report_packages()
    if workers < 1:
        raise EvaluationError("workers must be at least 1.")
    clips, unused = _pair_folders(generated, reference)
    left_out = _left_out(clips, metrics)
    if asked and left_out:
        raise EvaluationError("; ".join(f"the metric {name} cannot be had: {why}" for name, why in left_out.items()))
    metrics = [name for name in metrics if name not in left_out]
    kinds = {os.fspath(baseline): baseline_kind(baseline) for baseline in baselines}
    for baseline, kind in kinds.items():
        if kind == "model":
            raise EvaluationError(f"baseline {baseline}: a model needs videos; give --data instead of two folders.")
    share = Share.of_this_process("cpu")
    title = " against ".join("/".join(Path(folder).resolve().parts[-2:]) for folder in (generated, reference))
    settings = {"title": title, "metrics": metrics, "compat": compat}
    options = {"workers": workers, "overwrite": overwrite, "progress": progress, "metrics": metrics}
    options |= {"compat": compat, "share": share}
    with contextlib.ExitStack() as stack:
        if output_dir is None:
            if share.count > 1:
                raise EvaluationError("several processes need one output_dir, where they bring together their rows.")
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        else:
            folder = Path(output_dir)
        rows = _run_folder(clips, folder, settings, **options)
        compared = _run_baselines(kinds, clips, folder, {}, options)
        extra = {"references_unused": unused, "left_out": left_out}
        results = build_results(rows, [], settings | extra, compared)
        return results if output_dir is None else _publish(folder, rows, results, clips, compared, share, report)


def _pair_folders(generated: str | os.PathLike, reference: str | os.PathLike) -> tuple[list[Clip], int]:
    """Clips of two folders, and how many originals belong to none."""
    produced = sound_files(generated, AUDIO_SUFFIXES)
    originals = sound_files(reference, AUDIO_SUFFIXES + VIDEO_SUFFIXES)
    missing = sorted(set(produced) - set(originals))
    if missing:
        raise EvaluationError(
            f"{reference}: no original for {len(missing)} of {len(produced)} generated files: {', '.join(missing[:3])}"
            + (" …" if len(missing) > 3 else ".")
        )
    sentences = {key: _sentence(key) for key in produced}
    if None in sentences.values():
        sentences = dict.fromkeys(produced)
    clips = []
    for key, path in produced.items():
        speaker, _, name = key.rpartition("/")
        clips.append(Clip(speaker or "all", name, originals[key], path, sentences[key]))
    return clips, len(set(originals) - set(produced))


def _left_out(clips: list[Clip], metrics: list[str]) -> dict[str, str]:
    """Metrics that these clips do not allow, with the reason."""
    left_out = {}
    for name in metrics:
        needs = CLIP_METRICS[name].needs
        if needs == "sentence" and clips[0].sentence is None:
            left_out[name] = "the files are not all named as GRID sentences, such as bbaf2n, so the words are unknown."
        if needs == "video" and any(clip.original.suffix.lower() not in VIDEO_SUFFIXES for clip in clips):
            left_out[name] = "the originals are not videos, so there are no lips to look at."
    return left_out


def _run_folder(
    clips: list[Clip],
    output_dir: Path,
    settings: dict[str, Any],
    *,
    workers: int,
    overwrite: bool,
    progress: bool,
    metrics: list[str],
    compat: bool,
    share: Share,
    **_ignored: Any,
) -> list[dict[str, Any]]:
    """Rows of sound files that are there already."""
    settings = settings | {FINGERPRINT: _files_sha256(clips)}
    run = Run(clips, output_dir, settings, clip_columns(metrics, compat), share, overwrite)
    with Scorer(workers, metrics, compat) as scorer:

        def produce(todo: list[Clip], failures: list) -> Iterable[dict[str, Any]]:
            parallel = [scorer.submit(clip) for clip in todo] if scorer.executor else [None] * len(todo)
            for clip, future in zip(todo, parallel):
                try:
                    scores = collect(future or scorer.submit(clip))
                except WorkerError:
                    raise
                except ValueError as error:
                    raise EvaluationError(f"{clip}: {error}") from error
                yield {"speaker": clip.speaker, "name": clip.name} | scores

        return run.finish(produce, progress, "score")[0]


def _files_sha256(clips: list[Clip]) -> str:
    """SHA-256 of names, sizes and times of the files, so that a changed folder is scored anew."""
    digest = hashlib.sha256()
    for clip in clips:
        for path in (clip.generated, clip.original):
            status = path.stat()
            digest.update(f"{clip}|{path.name}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _sentence(key: str) -> str | None:
    try:
        return " ".join(sentence_words(key.rpartition("/")[2]))
    except GridError:
        return None


# Baselines -----------------------------------------------------------------------------------------------------------


def _run_baselines(
    baselines: dict[str, str], clips: list[Clip], output_dir: Path, corpus: dict[str, str], options: dict[str, Any]
) -> list[Compared]:
    """The baselines, by address and kind, on some clips."""
    names: list[str] = []
    taken = ("generated", "original")  # what the report calls the system itself and the recording
    compared = []
    for baseline, kind in baselines.items():
        plain = Path(baseline).resolve().parent.name if baseline.endswith(".json") else model_name(baseline)
        numbered = (f"{plain} {number}" for number in itertools.count(2))
        name = next(name for name in itertools.chain([plain], numbered) if name not in (*names, *taken))
        names.append(name)
        own_dir = output_dir / "baselines" / name.replace("/", "--").replace(" ", "-")
        if kind == "results":
            rows, sounds = _earlier(Path(baseline), clips)
        elif kind == "model":
            rows, sounds = _run_model(baseline, clips, own_dir, corpus, **options)[0], _sounds(clips, own_dir)
        else:
            rows, sounds = _run_baseline_folder(Path(baseline), clips, own_dir, options)
        compared.append(Compared(name, rows, sounds))
    return compared


def _sounds(clips: list[Clip], folder: Path) -> dict[tuple[str, str], Path]:
    """Where a model's sound files lie in its output folder."""
    return {clip.key: folder / "wav" / clip.speaker / f"{clip.name}.wav" for clip in clips}


def _earlier(path: Path, clips: list[Clip]) -> tuple[list[dict[str, Any]], dict[tuple[str, str], Path]]:
    folder = path if path.is_dir() else path.parent
    sounds = {key: file for key, file in _sounds(clips, folder).items() if file.is_file()}
    return read_clips(folder / CLIPS), sounds


def _run_baseline_folder(
    path: Path, clips: list[Clip], own_dir: Path, options: dict[str, Any]
) -> tuple[list[dict[str, Any]], dict[tuple[str, str], Path]]:
    files = sound_files(path, AUDIO_SUFFIXES)
    names = [clip.name for clip in clips]
    found = {}
    for clip in clips:
        flat = files.get(clip.name) if names.count(clip.name) == 1 else None
        file = files.get(f"{clip.speaker}/{clip.name}") or flat
        if file is not None:
            found[clip.key] = replace(clip, generated=file)
    if not found:
        raise EvaluationError(
            f"baseline {path}: holds none of the {len(clips)} clips; name its files as SPEAKER/NAME.wav."
        )
    settings = {"title": path.resolve().name, "metrics": options["metrics"], "compat": options["compat"]}
    rows = _run_folder(list(found.values()), own_dir, settings, **options)
    return rows, {key: clip.generated for key, clip in found.items()}


# What is written -----------------------------------------------------------------------------------------------------


def build_results(
    rows: list[dict[str, Any]],
    failures: list[dict[str, str]],
    settings: dict[str, Any],
    compared: Sequence[Compared] = (),
) -> dict[str, Any]:
    """What `results.json` holds. Rates are fractions, times are in seconds.

    Args:
        rows (`list[dict]`): clips, as in `clips.csv`.
        failures (`list[dict]`): `clip` and `error` of those that could not be scored.
        settings (`dict`): what was asked for.
        compared (sequence of `Compared`, *optional*): the baselines.

    Returns:
        `dict`: see `evaluate_model`.
    """
    from .calibration import calibrate

    outcomes = [{row[key] for key in row if key.endswith("_outcome")} for row in rows]
    results = settings | {
        "clips": len(rows),
        "failures": failures,
        "overall": summarize(rows),
        "speakers": {speaker: {"clips": len(own)} | summarize(own) for speaker, own in by_speaker(rows).items()},
        "slots": slot_errors(rows),
        "baselines": [compare(rows, other) for other in compared],
        "silent_predictions": sum("silent prediction" in outcome for outcome in outcomes),
        "unscorable": sum("unscorable" in outcome for outcome in outcomes),
        "longest_cut_seconds": max(row["cut_seconds"] for row in rows),
        "confidence_interval": INTERVAL,
        "sampling_rate": SAMPLING_RATE,
        "machine": machine(),
        "versions": versions(),
    }
    calibration = calibrate(rows)
    if calibration is not None:
        results["calibration"] = calibration
    if "judge" in results["slots"]:
        from ..metrics.grid_wer.grid_wer import CHANCE_WER

        results |= {"judge": JUDGE, "chance_wer": CHANCE_WER}
    process, spoken = column(rows, "process_seconds"), column(rows, "generated_seconds")
    timed = np.isfinite(process)
    if timed.any():
        results["timing"] = {
            "seconds_per_clip": float(process[timed].mean()),
            "real_time_factor": float(process[timed].sum() / max(spoken[timed].sum(), 1e-9)),
        }
    return results


def _publish(
    output_dir: Path,
    rows: list[dict[str, Any]],
    results: dict[str, Any],
    clips: list[Clip],
    compared: list[Compared],
    share: Share,
    report: bool,
) -> dict[str, Any]:
    """Write all files, in the main process; every process returns the same results."""
    from .report import html_report, markdown_report

    results = json_ready(results)
    if share.is_main:
        write_text(output_dir / RESULTS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
        write_text(output_dir / "report.md", markdown_report(results))
        if report:
            sounds = {clip.key: {"generated": clip.generated, "original": clip.original} for clip in clips}
            for other in compared:
                for key in sounds.keys() & other.sounds.keys():
                    sounds[key][other.name] = other.sounds[key]
            write_text(output_dir / "report.html", html_report(rows, results, sounds))
        else:
            (output_dir / "report.html").unlink(missing_ok=True)
    share.wait()
    return results if share.is_main else json.loads((output_dir / RESULTS).read_text(encoding="utf-8"))


def json_ready(value: Any) -> Any:
    """The same value with NaN as null, which JSON can hold."""
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _check_report_packages() -> None:
    if importlib.util.find_spec("jinja2") is None:
        raise EvaluationError("the report needs the package jinja2: pip install 'lip2wav_hf[evaluate]'.")


# The command ---------------------------------------------------------------------------------------------------------


def evaluate_command(
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A bundled model, a folder or a Hub repository; grid-s1 by default."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="GRID folder: splits.json and video/SPEAKER/NAME.mkv.")
    ] = None,
    split: Annotated[str, typer.Option("--split", "-s", help="A key of splits.json.")] = "validation",
    speaker: Annotated[
        list[str] | None, typer.Option("--speaker", help="Only this speaker, such as s1; may be repeated.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for results.json, clips.csv, report.html and wav/.")
    ] = Path("out/evaluation"),
    generated: Annotated[
        Path | None, typer.Option("--generated", help="Score this folder of sound files instead of a model.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", help="The originals of --generated: sound files or videos.")
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            "--baseline",
            "-b",
            help="What the same clips are compared with: a model, a folder of sound files, or the results.json of an"
            " earlier evaluation; may be repeated.",
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metrics",
            help=f"Only these, separated by commas: {', '.join(CLIP_METRICS)}. All by default.",
        ),
    ] = None,
    compat: Annotated[
        bool, typer.Option("--compat", help="Add the metrics in the forms that others' evaluation code computes.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="Where the model runs, such as cpu or cuda:0.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips that go through the model together.")] = 8,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many clips.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that compute metrics; one a core by default.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew where the folder holds results.")] = False,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write report.html, with pictures and sound.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of the table.")] = False,
) -> None:
    """Measure a model on a split of GRID, from the video files: words, sound, sync, speed. Or score folders of sound.

    \b
    Examples:
      lip2wav evaluate --data grid -o out/s1
      lip2wav evaluate --data grid --split unseen_validation --model runs/mine/best --baseline grid-s1 -o out/mine
      lip2wav evaluate --generated theirs/ --reference originals/ --compat -o out/theirs
      accelerate launch --multi_gpu --num_processes 4 -m lip2wav_hf.evaluation --data grid -o out/s1
      torchrun --nproc-per-node 2 -m lip2wav_hf.evaluation --data grid --device cpu -o out/s1

    Look at OUT/report.html. A run that was stopped goes on where it was. Needs the extra:
    pip install 'lip2wav_hf[evaluate]'.
    """
    from .report import markdown_table

    options: dict[str, Any] = {
        "baselines": baseline or (),
        "metrics": [name for names in metrics for name in names.replace(",", " ").split()] if metrics else None,
        "compat": compat,
        "workers": workers or _default_workers(),
        "overwrite": overwrite,
        "report": report,
    }
    rank = int(os.environ.get("RANK", "0"))
    try:
        if (generated is None) != (reference is None):
            raise EvaluationError("--generated and --reference belong together: give both.")
        if generated is not None and (model is not None or data is not None):
            raise EvaluationError("give --data (and --model), or --generated and --reference, not both.")
        if generated is not None and reference is not None:
            results = evaluate_folders(generated, reference, output, **options)
        elif data is not None:
            options |= {"device": device, "batch_size": batch_size, "limit": limit}
            results = evaluate_model(model, data, split, speaker or None, output, **options)
        else:
            raise EvaluationError("give --data, a GRID folder; or --generated and --reference, two folders of sound.")
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}" if rank == 0 else f"error: process {rank}: {error}", err=True)
        raise typer.Exit(2) from None
    if rank != 0:
        return
    if as_json:
        typer.echo(json.dumps(results, indent=2, ensure_ascii=False))
    else:
        typer.echo(markdown_table(results))
        typer.echo(f"Written: {output / ('report.html' if report else 'report.md')}, {RESULTS}, {CLIPS}")
    for failure in results["failures"]:
        typer.echo(f"error: {failure['error']}", err=True)
    if results["failures"]:
        raise typer.Exit(2)


def _default_workers() -> int:
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("WORLD_SIZE", "1")))
    return max(1, available_cores() // max(processes, 1))


__all__ = [
    "BUNDLED_MODELS",
    "Clip",
    "Compared",
    "EvaluationError",
    "Share",
    "available_cores",
    "baseline_kind",
    "build_results",
    "evaluate_command",
    "evaluate_folders",
    "evaluate_model",
    "json_ready",
    "machine",
    "weights_sha256",
]
