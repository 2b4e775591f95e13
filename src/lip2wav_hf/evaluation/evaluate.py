"""Run the whole pipeline on a split of a corpus, score its speech, and write the results.

`evaluate_model` starts from the video files of a split; `evaluate_folders` scores two folders of sound files, so that
other people's systems can be measured the same way. Both write `results.json`, `clips.csv`, `report.md` and
`report.html`. Under `accelerate launch` or `torchrun` each process does its share of the clips.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..corpora.clips import Selection
from ..corpora.languages import languages_of
from ..corpora.registry import (
    EVERY_SPLIT,
    Corpus,
    find_learnt,
    learnt_remark,
    load_meant,
    open_corpus,
    write_made_splits,
)
from ..errors import require_packages
from ..files import json_ready
from ..metrics.registry import EXTRA, METRICS, check_names, check_packages
from .baselines import baseline_kinds, run_baselines
from .clips import Clip, scored_clip
from .folders import pair_folders, run_folder
from .judging import NOT_NAMED, Words, choose_metrics, find_words, language_remarks
from .options import (
    ClipSelection,
    EvaluationError,
    EvaluationOptions,
    JudgeOptions,
    folders_command,
    model_command,
)
from .results import build_results, publish
from .run import Share
from .systems import normalizer_of, run_model


def evaluate_model(
    model: Any = None,
    data_dir: str | os.PathLike = ".",
    split: str = "validation",
    speakers: Sequence[str] | None = None,
    output_dir: str | os.PathLike = "out/evaluation",
    *,
    baselines: Sequence[str | os.PathLike] = (),
    metrics: Sequence[str] | None = None,
    compat: bool = False,
    judge: str | None = None,
    judge_grammar: str | os.PathLike | None = None,
    judge_language: str | None = None,
    splits_file: str | os.PathLike | None = None,
    split_scheme: str = "custom",
    device: str | int | None = None,
    dtype: str | None = None,
    grammar: str | os.PathLike | None = None,
    beam: int | None = None,
    batch_size: int = 8,
    limit: int | None = None,
    workers: int | None = 1,
    overwrite: bool = False,
    report: bool = True,
    progress: bool = True,
    labels: Mapping[str, str] | None = None,
    share: Share | None = None,
) -> dict[str, Any]:
    """Run the whole pipeline on the video files of a split, and score its speech.

    The generated speech is kept as `output_dir/wav/SPEAKER/NAME.wav` and scored from there. A run that was stopped
    continues when it is started again: finished clips are taken from `output_dir/clips.csv`.

    Args:
        model (`str`, *optional*): a folder, a bundled model, such as `"grid-s1"`, a Hub repository, or a
            `video-to-speech` pipeline; the bundled default if none is given.
        data_dir (`str` or `os.PathLike`): folder of a corpus: of videos with transcripts, or of GRID in any of its
            layouts; or the name of a dataset on the Hub. Videos in archives such as `s1.zip`, and in tables, are
            copied to `output_dir/originals`.
        split (`str`, *optional*, defaults to `"validation"`): of the corpus, such as a key of `splits.json`; `"all"`
            for every clip, where none has that name.
        speakers (sequence of `str`, *optional*): only these; all of the split by default.
        output_dir (`str` or `os.PathLike`): where everything is written.
        baselines (sequence of `str` or `os.PathLike`, *optional*): what the same clips are compared with: other
            models, folders of sound files, or the `results.json` of earlier evaluations.
        metrics (sequence of `str`, *optional*): keys of `metrics.registry.METRICS`; by default all that the clips
            call for.
        compat (`bool`, *optional*, defaults to `False`): compute the lineage's forms of the metrics too.
        judge (`str`, *optional*): who hears the words: `"grid"`, `"sentences"` (of the corpus), `"open"` (English),
            or a speech recogniser of transformers; see `judge.choose_judge` for the default.
        judge_grammar (`str` or `os.PathLike`, *optional*): instead, the file of a grammar or of a list of sentences
            that pocketsphinx is to know.
        judge_language (`str`, *optional*): of words that its dictionary lacks, such as `"de"`; by their script by
            default.
        splits_file (`str` or `os.PathLike`, *optional*): another file than `data_dir/splits.json`.
        split_scheme (`str`, *optional*, defaults to `"custom"`): which clips are in which split: those of the file,
            or of one of GRID's `SPLIT_SCHEMES`, such as `"grid_s1"`.
        device (`str` or `int`, *optional*): where the model runs.
        dtype (`str`, *optional*): what the model calculates in, such as `"bfloat16"`; as the checkpoint says by
            default.
        grammar (`str` or `os.PathLike`, *optional*): file of the sentences that the model may say, see
            `VideoToSpeechPipeline`; `"none"` for its words in any order; its own grammar by default.
        beam (`int`, *optional*): width of the beam search for any words, see `VideoToSpeechPipeline`.
        batch_size (`int`, *optional*, defaults to 8): clips that go through the pipeline together.
        limit (`int`, *optional*): only the first N clips.
        workers (`int`, *optional*, defaults to 1): processes that score while the pipeline runs; with `None` one per
            core, but one alone for few clips.
        overwrite (`bool`, *optional*, defaults to `False`): start again where `output_dir` holds an evaluation.
        report (`bool`, *optional*, defaults to `True`): write `report.html`, which takes some seconds.
        progress (`bool`, *optional*, defaults to `True`): say on stderr what is being done, with a progress bar.
        labels (mapping of `str` to `str`, *optional*): what reports call models and baselines, by what is given for
            them here; the names of their folders by default.
        share ([`Share`], *optional*): the part of this process; as the launcher has set it up by default. `Share()`
            is all of it, whatever the launcher says.

    Returns:
        `dict`: what `results.json` holds: `overall` and `speakers` (`value`, `low`, `high` of each metric; rates as
        fractions), `baselines`, `slots`, `calibration`, `timing` (seconds), `machine`, `failures`, the settings, and
        `command`, the command line that measures the same.

    Raises:
        EvaluationError: if the folder is missing, if `output_dir` holds another evaluation, if a baseline is not
            there, or if no clip could be scored.
        MissingExtraError: if a package is not installed.
        ModelError: if there is no such model.
        CorpusError: if the split, a speaker or a clip of it is missing.
    """
    options = EvaluationOptions(
        output_dir=Path(output_dir),
        metrics=check_names(metrics),
        compat=compat,
        judge=_judge_options(judge, judge_grammar, judge_language),
        baselines=tuple(os.fspath(baseline) for baseline in baselines),
        device=device,
        dtype=dtype,
        grammar=os.fspath(grammar) if grammar is not None else None,
        beam=beam,
        batch_size=batch_size,
        workers=workers,
        overwrite=overwrite,
        report=report,
        progress=progress,
        labels=dict(labels or {}),
    )
    selection = ClipSelection(
        data_dir=Path(data_dir),
        split=split,
        speakers=tuple(speakers) if speakers else None,
        splits_file=Path(splits_file) if splits_file else None,
        limit=limit,
        split_scheme=split_scheme,
    )
    return _evaluate_model(model, selection, options, share, wanted=metrics is not None)


def _evaluate_model(
    model: Any, selection: ClipSelection, options: EvaluationOptions, share: Share | None, wanted: bool
) -> dict[str, Any]:
    corpus = open_corpus(selection.data_dir, normalizer_of(model))
    clips, remarks = _clips(corpus, selection, options)
    selection = replace(selection, split_scheme=corpus.scheme(selection.of_corpus))
    command = model_command(model, selection, options)
    whole = replace(selection.of_corpus, speakers=None, any_split=True)
    words = find_words((clip.sentence for clip in clips), options.judge, lambda: _sentences(corpus, whole))
    metrics, reasons = choose_metrics(clips, options.metrics, wanted, words)
    options = replace(options, metrics=metrics)
    remarks += language_remarks(words, languages_of([corpus])) if _judge_line(words, metrics) else []
    kinds = baseline_kinds(options.baselines)
    _check_installed(options)
    share = share or Share.of_this_process(options.device)
    said = [*remarks, *_judge_line(words, metrics), *(f"not measured: {name}: {why}" for name, why in reasons.items())]
    for line in said if share.is_main else ():
        options.say(line)
    system = run_model(model, clips, selection, options, share, words)
    compared = run_baselines(kinds, clips, selection, options, share, words, system.name)
    more: dict[str, Any] = {"limit": selection.limit, "command": command}
    more |= {"split_scheme": selection.split_scheme} if selection.split_scheme != "custom" else {}
    more |= {"remarks": remarks} if remarks else {}
    more |= {"left_out": reasons} if reasons else {}
    return publish(system, build_results(system, compared, more, words), clips, compared, options, share)


def _judge_options(judge: str | None, grammar: str | os.PathLike | None, language: str | None) -> JudgeOptions:
    return JudgeOptions(judge, None if grammar is None else os.fspath(grammar), language)


def _sentences(corpus: Corpus, selection: Selection) -> list[str]:
    """What is said in each clip of all splits of a corpus."""
    found, _ = corpus.find_clips(selection)
    clips = {clip.key: clip for own in found.values() for clip in own}
    return [" ".join(clip.words) for clip in clips.values() if clip.words is not None]


def _judge_line(words: Words, metrics: Sequence[str]) -> list[str]:
    heard = words.judge is not None and any({"judge", "phrases"} & set(METRICS[name].needs) for name in metrics)
    return [f"judge of the words: {words.judge.describe()}"] if heard and words.judge is not None else []


def _clips(corpus: Corpus, selection: ClipSelection, options: EvaluationOptions) -> tuple[list[Clip], list[str]]:
    """The clips of a selection, and what is to be known of them."""
    chosen, output_dir = selection.of_corpus, options.output_dir
    loaded = load_meant(corpus, selection.split, chosen)
    found = list({clip.key: clip for own in loaded.values() for clip in own}.values())
    whole, every = replace(chosen, speakers=None), selection.split == EVERY_SPLIT and EVERY_SPLIT not in loaded
    note = None if every else write_made_splits(corpus, whole, output_dir / "splits.json")
    if note:
        options.say(f"{selection.data_dir}: {note}. The split {EVERY_SPLIT!r} is every clip")
    if not found:
        raise EvaluationError(f"{selection.data_dir}: the split {selection.split!r} holds no clip.")
    remarks = list(dict.fromkeys(remark for name in loaded for remark in corpus.remarks(name, chosen)))
    found = found[: selection.limit]
    learnt = find_learnt(corpus, selection.split, loaded, chosen) & {clip.key for clip in found}
    remarks += [learnt_remark(corpus, len(learnt), len(found), chosen)] if learnt else []
    return [scored_clip(clip, output_dir) for clip in found], remarks


def _check_installed(options: EvaluationOptions) -> None:
    check_packages(options.metrics)
    require_packages(EXTRA, "an evaluation", "jiwer", "scipy")
    if options.report:
        require_packages(EXTRA, "the report", "jinja2", "matplotlib")


def evaluate_folders(
    generated: str | os.PathLike,
    reference: str | os.PathLike,
    output_dir: str | os.PathLike | None = None,
    *,
    baselines: Sequence[str | os.PathLike] = (),
    metrics: Sequence[str] | None = None,
    compat: bool = False,
    judge: str | None = None,
    judge_grammar: str | os.PathLike | None = None,
    judge_language: str | None = None,
    skip_missing: bool = False,
    workers: int | None = 1,
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
            `report.html` are written; a stopped run continues from there.
        baselines (sequence of `str` or `os.PathLike`, *optional*): other folders with the same clips, or the
            `results.json` of earlier evaluations of them.
        metrics (sequence of `str`, *optional*): keys of `metrics.registry.METRICS`; by default all that these files
            allow.
        compat (`bool`, *optional*, defaults to `False`): compute the lineage's forms of the metrics too.
        judge (`str`, *optional*): who hears the words: `"grid"`, `"sentences"` (of the corpus), `"open"` (English),
            or a speech recogniser of transformers; see `judge.choose_judge` for the default.
        judge_grammar (`str` or `os.PathLike`, *optional*): instead, the file of a grammar or of a list of sentences
            that pocketsphinx is to know.
        judge_language (`str`, *optional*): of words that its dictionary lacks, such as `"de"`; by their script by
            default.
        skip_missing (`bool`, *optional*, defaults to `False`): leave out generated files without an original.
        workers (`int`, *optional*, defaults to 1): processes that score; with `None` one per core, but one alone for
            few clips.
        overwrite (`bool`, *optional*, defaults to `False`): start again where `output_dir` holds an evaluation.
        report (`bool`, *optional*, defaults to `True`): write `report.html`, which takes some seconds.
        progress (`bool`, *optional*, defaults to `True`): say on stderr what is being done, with a progress bar.

    Returns:
        `dict`: as for `evaluate_model`, without what only a model has; `references_unused` and `generated_unused`
        count the files that have no partner.

    Raises:
        EvaluationError: if a folder is missing or empty, a generated file has no original, or a metric that was asked
            for needs sentences or videos that are not there.
        MissingExtraError: if a package is not installed.
        ValueError: if a file cannot be read, or is too short or too broken to be scored; its name is in the message.
    """
    generated, reference = Path(generated), Path(reference)
    options = EvaluationOptions(
        output_dir=Path(output_dir or "."),
        metrics=check_names(metrics),
        compat=compat,
        judge=_judge_options(judge, judge_grammar, judge_language),
        baselines=tuple(os.fspath(baseline) for baseline in baselines),
        workers=workers,
        overwrite=overwrite,
        report=report and output_dir is not None,
        progress=progress,
    )
    pairs = pair_folders(generated, reference, skip_missing)
    words = find_words((clip.sentence for clip in pairs.clips), options.judge)
    chosen, reasons = choose_metrics(pairs.clips, options.metrics, metrics is not None, words, NOT_NAMED)
    command = folders_command(generated, reference, skip_missing, options)
    options = replace(options, metrics=chosen)
    kinds = _without_models(baseline_kinds(options.baselines))
    _check_installed(options)
    share = Share.of_this_process("cpu")
    for remark in (*pairs.remarks(), *_judge_line(words, chosen)) if share.is_main else ():
        options.say(remark)
    with contextlib.ExitStack() as stack:
        if output_dir is None:
            if share.count > 1:
                raise EvaluationError(
                    "several processes need a common output_dir, where their rows are brought together."
                )
            options = replace(options, output_dir=Path(stack.enter_context(tempfile.TemporaryDirectory())))
        title = " against ".join("/".join(folder.resolve().parts[-2:]) for folder in (generated, reference))
        system = run_folder(title, pairs.clips, options, share, words)
        compared = run_baselines(kinds, pairs.clips, None, options, share, words, system.name)
        more = {
            "references_unused": len(pairs.without_generated),
            "generated_unused": len(pairs.without_original),
            "remarks": pairs.remarks(),
            "left_out": reasons,
            "command": command if output_dir is not None else None,
        }
        results = build_results(system, compared, more, words)
        if output_dir is None:
            return json_ready(results)
        return publish(system, results, pairs.clips, compared, options, share)


def _without_models(kinds: dict[str, str]) -> dict[str, str]:
    for baseline, kind in kinds.items():
        if kind == "model":
            raise EvaluationError(f"baseline {baseline}: a model needs videos; give --data instead of two folders.")
    return kinds


__all__ = ["EvaluationError", "Share", "evaluate_folders", "evaluate_model"]
