"""`lip2wav prepare`: the mouth crops and the sound of a corpus, cached as training reads them."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..corpora.clips import Clip, CorpusError, Selection
from ..errors import counted, one_line
from ..files import check_writable
from ..machine import available_cores
from . import corpus_options as shared
from .messages import as_options, reporting, waiting


if TYPE_CHECKING:
    from ..corpora.defects import CheckOptions, CorpusReport, Defect
    from ..corpora.registry import Corpus
    from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
    from ..training.clips import PreparedClips

CHOOSE_OTHERS = "choose others with --train_split and --validation_split, or another --split_scheme or --splits_file."
STALE_SECONDS = 3600  # age at which a temporary file in a cache is of a run that was killed


def _rate(clips: int, seconds: float) -> str:
    """How fast clips are prepared; where a second is not enough for one, how long one takes."""
    return f"{clips / seconds:.1f} clips/s" if clips >= seconds else f"{seconds / clips:.1f} s per clip"


@dataclass(frozen=True)
class CacheOptions:
    """What is cached.

    Attributes:
        splits (`tuple[str, ...]`, *optional*): only these; all by default.
        feature_extractor (`str`, *optional*): a preprocessor_config.json, or a model, whose settings training will
            use; the default settings if none is given.
        sampling_rate (`int`, *optional*, defaults to 16000): of the sound, in Hz.
        report_file (`Path`, *optional*): where what was left out is written; `defects.json` in the cache by default.
    """

    splits: tuple[str, ...] | None = None
    feature_extractor: str | None = None
    sampling_rate: int = 16000
    report_file: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """What was done.

    Attributes:
        summary (`str`): a few readable lines.
        checked, usable, left_out (`int`): clips.
        counts (`dict[str, int]`): clips by kind of defect.
        splits (`dict[str, int]`): usable clips of each split.
        empty_splits (`list[str]`): splits without a usable clip, and those among `train` and `validation` that the
            corpus does not have.
        prepared (`int`): clips cached now; `cached`: those that were before.
        seconds (`float`): of the preparing.
        cache, report (`str`): paths.
    """

    summary: str
    checked: int
    usable: int
    left_out: int
    counts: dict[str, int]
    splits: dict[str, int]
    empty_splits: list[str]
    prepared: int
    cached: int
    seconds: float
    cache: str
    report: str

    def describe(self) -> str:
        """Lines for a terminal."""
        lines = [self.summary, *(f"  {split}: {counted(count, 'clip')}" for split, count in self.splits.items())]
        lines += [f"  {split}: no clips" for split in self.empty_splits]
        if "train" in self.empty_splits or "validation" in self.empty_splits:
            lines.append(f"training needs clips in train and in validation; {CHOOSE_OTHERS}")
        rate = f", {_rate(self.prepared, self.seconds)}" if self.prepared else ""
        lines.append(f"prepared now: {self.prepared} in {self.seconds:.1f} s{rate}; before: {self.cached}")
        return "\n".join([*lines, f"cache:  {self.cache}", f"report: {self.report}"])


@reporting(interrupted=shared.AGAIN)
def prepare(
    data: shared.DataArgument,
    cache: Annotated[Path, typer.Option("--cache", "-c", help="The cache_dir that training will use.")] = Path(
        "runs/cache"
    ),
    split: Annotated[
        list[str] | None, typer.Option("--split", "-s", help="Only this split; may be repeated. All by default.")
    ] = None,
    scheme: shared.SchemeOption = shared.Scheme.custom,
    splits_file: shared.SplitsFileOption = None,
    speakers: shared.SpeakersOption = None,
    check: shared.CheckOption = shared.Check.FAST,
    min_frames: shared.FramesOption = None,
    feature_extractor: Annotated[
        str | None,
        typer.Option(
            help="preprocessor_config.json, or a model, whose settings training will use.", show_default=False
        ),
    ] = None,
    sampling_rate: Annotated[int, typer.Option(min=8000, help="Of the cached sound, in Hz.")] = 16000,
    workers: shared.WorkersOption = None,
    report: Annotated[
        Path | None, typer.Option(help="Where to write what was left out; CACHE/defects.json by default.")
    ] = None,
    as_json: shared.JsonOption = False,
) -> None:
    """Cache the mouth crops and the sound of a corpus, as training reads them.

    Run the same command again to continue a stopped run. Clips that are damaged or short, without sound, face or
    transcript, and clips of GRID whose alignment contradicts the file name, are left out, counted and listed. GRID's
    archives (s1.zip, alignments.zip) are read as they are. Where no clip can be used, the exit status is 2.

    \b
    Examples:
      lip2wav prepare my-videos
      lip2wav prepare data/grid --cache runs/cache --workers 8
      lip2wav prepare data/grid --split-scheme seen4 --split train --split validation
    """
    check_writable(cache, f"--cache {cache}")
    from ..corpora.defects import CheckOptions

    with shared.lost_workers():
        done = prepare_corpus(
            data,
            cache,
            CacheOptions(tuple(split or ()) or None, feature_extractor, sampling_rate, report),
            Selection(scheme.value, splits_file, shared.split_names(speakers), any_split=not split),
            CheckOptions(check.value, min_frames, workers or available_cores(), progress=True),
        )
    typer.echo(json.dumps(asdict(done), indent=2) if as_json else done.describe())
    if not done.usable:
        raise CorpusError(f"{data}: no clip can be used, so there is nothing to train on. {done.report} says why.")


def prepare_corpus(
    data: Path, cache: Path, options: CacheOptions, selection: Selection, checks: CheckOptions
) -> Prepared:
    """What `lip2wav prepare` does.

    Args:
        data (`Path`): folder of the corpus.
        cache (`Path`): the cache_dir that training will use.
        options ([`CacheOptions`]): what is cached.
        selection ([`Selection`]): the split scheme, its file, the speakers.
        checks ([`CheckOptions`]): how the clips are looked at; its `num_workers` and `progress` also hold for the
            preparing.

    Raises:
        CorpusError: if the folder, a split, a speaker or the feature extractor cannot be had.
    """
    with waiting("loading", not checks.progress):
        from ..training.clips import cached_files, prepare_clips

    extractor = _load_extractor(options.feature_extractor)
    corpus = shared.corpus_in(data, selection)
    found, report = _find_clips(corpus, selection, options.splits)
    _write_splits(corpus, selection, cache, report)
    report.check = checks.check
    clips = list({clip.key: clip for each in found.values() for clip in each}.values())
    files = cached_files(clips, extractor, cache, options.sampling_rate)
    _remove_stale(cache)
    usable, before = _check_all(corpus, clips, files, report, checks)
    start = time.perf_counter()
    with _without_warnings():
        prepared = prepare_clips(usable, extractor, cache, options.sampling_rate, checks.num_workers, checks.progress)
    seconds = time.perf_counter() - start
    report.defects += _problems(prepared, report)
    path = options.report_file or cache / "defects.json"
    report.save(path)
    counts = {name: sum(clip.key in prepared.files for clip in each) for name, each in found.items()}
    wanted = dict.fromkeys((*(() if options.splits else ("train", "validation")), *counts))
    return Prepared(
        summary=as_options(report.summary()),
        checked=report.checked,
        usable=len(prepared.clips),
        left_out=report.left_out,
        counts=report.counts(),
        splits={name: count for name, count in counts.items() if count},
        empty_splits=[name for name in wanted if not counts.get(name)],
        prepared=len(prepared.clips) - before,
        cached=before,
        seconds=seconds,
        cache=str(cache),
        report=str(path),
    )


def _find_clips(
    corpus: Corpus, selection: Selection, splits: tuple[str, ...] | None
) -> tuple[dict[str, list[Clip]], CorpusReport]:
    from ..corpora.defects import OF_NO_SPLIT

    found, report = corpus.find_clips(selection)
    report.require_words()
    if splits:
        unknown = [name for name in splits if name not in found]
        if unknown:
            raise CorpusError(f"{corpus.path}: no split {', '.join(unknown)}; there are {', '.join(found)}.")
        found = {name: clips for name, clips in found.items() if name in splits}
        keys = {clip.key for clips in found.values() for clip in clips}
        defects = [each for each in report.defects if each.kind in OF_NO_SPLIT or (each.used and each.clip in keys)]
        listed = type(report).of_listing(defects, report.notes, report.doubts)
        report = replace(listed, missing_speakers=report.missing_speakers)
    return found, report


def _write_splits(corpus: Corpus, selection: Selection, cache: Path, report: CorpusReport) -> None:
    """Write splits that were made into the cache, and say so in the report."""
    from ..corpora.registry import write_made_splits

    note = write_made_splits(corpus, selection, cache / f"splits-{corpus.path.resolve().name}.json")
    if note:
        report.notes[:] = [note]


def _problems(prepared: PreparedClips, report: CorpusReport) -> list[Defect]:
    from ..corpora.defects import Defect

    known = {"no_face": prepared.faceless, "late_times": prepared.late}
    kinds = {key: kind for kind, keys in known.items() if kind in report.kinds for key in keys}
    return [Defect(key, kinds.get(key, "unprepared"), reason) for key, reason in prepared.problems.items()]


def _check_all(
    corpus: Corpus, clips: list[Clip], files: dict[str, Path], report: CorpusReport, checks: CheckOptions
) -> tuple[list[Clip], int]:
    """Usable clips, and how many of them are cached. Those in the cache are known to decode: less is to be checked."""
    from ..training.cache import ClipCacheError, read_cached_clip

    needed = corpus.minimum_frames if checks.minimum_frames is None else checks.minimum_frames
    cached = []
    for clip in clips:
        if files[clip.key].is_file():
            try:
                if len(read_cached_clip(files[clip.key]).regions) >= needed:
                    cached.append(clip)
            except ClipCacheError:
                files[clip.key].unlink()  # cut off, e.g. by a power failure: to be prepared again
    keys = {clip.key for clip in cached}
    good, findings = corpus.check_clips(cached, replace(checks, check="none", num_workers=1, progress=False))
    report.merge(findings)
    more, findings = corpus.check_clips([clip for clip in clips if clip.key not in keys], checks)
    report.merge(findings)
    return good + more, len(good)


def _load_extractor(source: str | None) -> Lip2WavFeatureExtractor:
    from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor

    if source is None:
        return Lip2WavFeatureExtractor()
    try:
        if Path(source).is_file():
            return cast(Lip2WavFeatureExtractor, Lip2WavFeatureExtractor.from_json_file(source))
        return Lip2WavFeatureExtractor.from_pretrained(source)
    except (OSError, ValueError, TypeError) as error:
        reason = one_line(error)[:200]
        raise CorpusError(f"--feature-extractor {source}: no feature extractor can be loaded ({reason}).") from None


def _remove_stale(cache: Path) -> None:
    """Remove files that killed runs left unfinished."""
    for path in (*cache.glob("*/*/*.tmp"), *cache.glob("*/*/.*")):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()


@contextlib.contextmanager
def _without_warnings() -> Generator[None, None, None]:
    """Without the warnings of the preparing: the report has them."""
    from ..training import clips

    level = clips.logger.level
    clips.logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        clips.logger.setLevel(level)


__all__ = ["CacheOptions", "Prepared", "prepare", "prepare_corpus"]
