"""The commands that handle the GRID corpus: `lip2wav download`, `lip2wav prepare` and `lip2wav export`."""

from __future__ import annotations

import contextlib
import enum
import json
import logging
import os
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Annotated

import typer

from ..grid.corpus import SPLIT_SCHEMES, GridError


STALE_SECONDS = 3600  # age at which a temporary file in a cache is of a run that was killed

Scheme = enum.Enum("Scheme", {scheme: scheme for scheme in SPLIT_SCHEMES}, type=str)


class Check(str, enum.Enum):
    """How thoroughly videos are looked at before they are used."""

    NONE = "none"
    FAST = "fast"
    FULL = "full"


class Format(str, enum.Enum):
    """What an export looks like."""

    VIDEOFOLDER = "videofolder"
    WEBDATASET = "webdataset"


SchemeOption = Annotated[
    Scheme,
    typer.Option(
        "--scheme",
        help="Which clips go where: custom reads a JSON file; seen4, unseen33 and overlap33 are the published splits.",
    ),
]
SplitsFileOption = Annotated[
    Path | None,
    typer.Option("--splits-file", help="Of the scheme custom; DATA/splits.json by default.", show_default=False),
]
SpeakersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--speakers", "--speaker", help="Only these, such as s1,s2; may be repeated. All by default.", metavar="S1,S2"
    ),
]
CheckOption = Annotated[
    Check,
    typer.Option(help="How to look for damaged videos: fast opens each and counts its pictures; full decodes it all."),
]
FramesOption = Annotated[
    int, typer.Option("--min-frames", min=1, help="Shorter clips are left out; GRID's have 75 frames.")
]
DataArgument = Annotated[
    Path, typer.Argument(metavar="DATA", help="Folder of GRID: s1/*.mpg, video/s1/*.mkv, s1.zip …", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print a JSON object instead of the summary.")]


@contextlib.contextmanager
def _errors():
    """One line on stderr and exit status 2, as all commands."""
    try:
        yield
    except ImportError as error:
        typer.echo(f"error: {error}. Install what is missing: pip install 'lip2wav_hf[train]'", err=True)
        raise typer.Exit(2) from None
    except BrokenProcessPool:
        typer.echo(
            "error: a worker process was ended from outside, perhaps for want of memory. Run the same command again,"
            " with fewer --workers: it goes on where it was.",
            err=True,
        )
        raise typer.Exit(2) from None
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("error: interrupted. Run the same command again: it goes on where it was.", err=True)
        raise typer.Exit(130) from None


def _names(values: list[str] | None) -> list[str] | None:
    """`["s1,s2", "s4"]` -> `["s1", "s2", "s4"]`."""
    names = [name for value in values or () for name in value.replace(",", " ").split()]
    return list(dict.fromkeys(names)) or None


def _show_progress() -> bool:
    return sys.stderr.isatty()


def download_command(
    corpus: Annotated[str, typer.Argument(help="What to download: grid.", metavar="CORPUS", show_default=False)],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if missing.", show_default=False)],
    more_speakers: Annotated[
        list[str] | None, typer.Argument(metavar="[SPEAKER]...", help="As --speakers.", show_default=False)
    ] = None,
    speakers: SpeakersOption = None,
    audio: Annotated[
        bool,
        typer.Option(
            "--audio", help="Also audio_25k.zip, the sound of all speakers by itself. The videos have their sound."
        ),
    ] = False,
    unpack: Annotated[
        bool, typer.Option("--unpack", help="Unpack the archives beside them. Most commands need that.")
    ] = False,
    base_url: Annotated[
        str | None, typer.Option(help="Another server with an API like Zenodo's.", show_default=False)
    ] = None,
    tries: Annotated[int, typer.Option(min=1, help="Attempts without any progress before giving up.")] = 8,
) -> None:
    """Download GRID from Zenodo, record 3625687 (CC BY 4.0).

    A download that was stopped goes on where it was: run the same command again. Every file is checked.

    \b
    Examples:
      lip2wav download grid data/grid --speakers s1 s2 --unpack
      lip2wav download grid data/grid                        all 33 speakers
    """
    with _errors():
        if corpus.lower() != "grid":
            raise GridError(f"{corpus}: only grid can be downloaded.")
        from ..grid import download as grid_download

        chosen = _names([*(speakers or ()), *(more_speakers or ())])
        paths = grid_download.download_grid(
            folder,
            chosen,
            audio,
            base_url or grid_download.ZENODO_API,
            patience=grid_download.Patience(tries=tries),
            progress=_show_progress(),
        )
        for path in paths:
            typer.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB, checked")
        if unpack:
            for path in paths:
                count = grid_download.unpack(path, folder, progress=_show_progress())
                typer.echo(f"{path}  unpacked, {count} new files")


def prepare_command(
    data: DataArgument,
    cache: Annotated[Path, typer.Option("--cache", "-c", help="The cache_dir that training will use.")] = Path(
        "runs/cache"
    ),
    split: Annotated[
        list[str] | None, typer.Option("--split", "-s", help="Only this split; may be repeated. All by default.")
    ] = None,
    scheme: SchemeOption = Scheme.custom,
    splits_file: SplitsFileOption = None,
    speakers: SpeakersOption = None,
    check: CheckOption = Check.FAST,
    min_frames: FramesOption = 70,
    feature_extractor: Annotated[
        str | None,
        typer.Option(
            help="preprocessor_config.json, or a model, whose settings training will use.", show_default=False
        ),
    ] = None,
    sampling_rate: Annotated[int, typer.Option(min=8000, help="Of the cached sound, in Hz.")] = 16000,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
    report: Annotated[
        Path | None, typer.Option(help="Where to write what was left out; CACHE/defects.json by default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Cache the mouth crops and the sound of GRID's clips, as training reads them.

    A run that was stopped goes on where it was. Damaged or short clips, and clips whose alignment contradicts the file
    name, are left out, counted and listed. Archives (s1.zip, alignments.zip) are read as they are.

    \b
    Examples:
      lip2wav prepare data/grid --cache runs/cache --workers 8
      lip2wav prepare data/grid --scheme seen4 --split train --split validation
    """
    with _errors():
        facts = prepare_grid(
            data,
            cache,
            split,
            scheme.value,
            splits_file,
            _names(speakers),
            check.value,
            min_frames,
            feature_extractor,
            sampling_rate,
            workers,
            report,
            progress=_show_progress(),
        )
        typer.echo(json.dumps(facts, indent=2) if as_json else _describe(facts))


def _describe(facts: dict) -> str:
    lines = [facts["summary"]]
    for split, count in facts["splits"].items():
        lines.append(f"  {split}: {count} clips")
    rate = f", {facts['prepared'] / facts['seconds']:.1f} clips/s" if facts["prepared"] else ""
    lines.append(f"prepared now: {facts['prepared']} in {facts['seconds']:.1f} s{rate}; before: {facts['cached']}")
    lines += [f"cache:  {facts['cache']}", f"report: {facts['report']}"]
    return "\n".join(lines)


def prepare_grid(
    data: Path,
    cache: Path,
    splits: list[str] | None = None,
    split_scheme: str = "custom",
    splits_file: Path | None = None,
    speakers: list[str] | None = None,
    check: str = "fast",
    minimum_frames: int = 70,
    feature_extractor: str | None = None,
    sampling_rate: int = 16000,
    num_workers: int = 1,
    report_file: Path | None = None,
    progress: bool = True,
) -> dict:
    """What `lip2wav prepare` does; its arguments are the command's.

    Returns:
        `dict`: `summary`, `checked`, `usable`, `left_out`, `counts` by kind of defect, `splits` (usable clips of
        each), `prepared` (now), `cached` (before), `seconds`, `cache` and `report` (paths).

    Raises:
        GridError: if the folder, a split, a speaker or the feature extractor cannot be had.
    """
    from ..grid.defects import Defect, GridReport, find_clips
    from ..training.clips import cached_files, prepare_clips

    extractor = _load_extractor(feature_extractor)
    found, report = find_clips(data, split_scheme, splits_file, speakers)
    unknown = [name for name in splits or () if name not in found]
    if unknown:
        raise GridError(f"{data}: no split {', '.join(unknown)}; there are {', '.join(found)}.")
    found = {name: clips for name, clips in found.items() if not splits or name in splits}
    if splits:
        report = GridReport(missing_speakers=report.missing_speakers)
    report.check = check
    clips = list({clip.key: clip for each in found.values() for clip in each}.values())
    files = cached_files(clips, extractor, cache, sampling_rate)
    _remove_stale(cache)
    usable, before = _check_all(clips, files, report, check, minimum_frames, num_workers, progress)
    reasons: dict[str, str] = {}
    start = time.perf_counter()
    with _quiet("training_data"):
        prepared = prepare_clips(usable, extractor, cache, sampling_rate, num_workers, progress, reasons)
    seconds = time.perf_counter() - start
    report.defects += [Defect(key, "unprepared", reason) for key, reason in reasons.items()]
    path = report_file or cache / "defects.json"
    report.save(path)
    return {
        "summary": report.summary(),
        "checked": report.checked,
        "usable": len(prepared),
        "left_out": report.left_out,
        "counts": report.counts(),
        "splits": {name: sum(clip.key in prepared for clip in each) for name, each in found.items() if each},
        "prepared": len(prepared) - before,
        "cached": before,
        "seconds": seconds,
        "cache": str(cache),
        "report": str(path),
    }


def _check_all(clips, files, report, check, minimum_frames, num_workers, progress) -> tuple[list, int]:
    """Usable clips, and how many of them are cached. Those in the cache are known to decode: less is to be checked."""
    from ..grid.defects import check_clips
    from ..training.cache import ClipCacheError, read_cached_clip

    cached = []
    for clip in clips:
        if files[clip.key].is_file():
            try:
                if len(read_cached_clip(files[clip.key]).crops) >= minimum_frames:
                    cached.append(clip)
            except ClipCacheError:
                files[clip.key].unlink()  # cut off, e.g. by a power failure: to be prepared again
    keys = {clip.key for clip in cached}
    good, findings = check_clips(cached, "none", minimum_frames)
    report.merge(findings)
    fresh = [clip for clip in clips if clip.key not in keys]
    more, findings = check_clips(fresh, check, minimum_frames, num_workers, progress)
    report.merge(findings)
    return good + more, len(good)


def _load_extractor(source: str | None):
    from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor

    if source is None:
        return Lip2WavFeatureExtractor()
    try:
        if Path(source).is_file():
            return Lip2WavFeatureExtractor.from_json_file(source)
        return Lip2WavFeatureExtractor.from_pretrained(source)
    except (OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise GridError(f"--feature-extractor {source}: no feature extractor can be loaded ({reason}).") from None


def _remove_stale(cache: Path):
    """Remove what runs that were killed had begun to write."""
    for path in cache.glob("*/*/*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()


@contextlib.contextmanager
def _quiet(module: str):
    """Without the warnings of a module: the report has them."""
    logger = logging.getLogger(f"lip2wav_hf.{module}")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def export_command(
    data: DataArgument,
    output: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.", show_default=False)],
    format: Annotated[
        Format, typer.Option("--format", "-f", help="A folder of videos with metadata.jsonl, or tar shards.")
    ] = Format.VIDEOFOLDER,
    scheme: SchemeOption = Scheme.custom,
    splits_file: SplitsFileOption = None,
    speakers: SpeakersOption = None,
    check: CheckOption = Check.FAST,
    min_frames: FramesOption = 70,
    mp4: Annotated[
        bool, typer.Option("--mp4", help="Convert to H.264 and AAC, which browsers play; else copy as it is.")
    ] = False,
    clips_per_shard: Annotated[int, typer.Option(min=1, help="Of a webdataset.")] = 500,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
    as_json: JsonOption = False,
) -> None:
    """Write GRID as a dataset that `datasets.load_dataset` reads, ready for the Hugging Face Hub.

    \b
    Examples:
      lip2wav export data/grid out/grid
      lip2wav export data/grid out/grid --format webdataset --scheme unseen33 --mp4
      hf upload me/grid out/grid --repo-type dataset
    """
    with _errors():
        from ..grid.export import export_grid

        report = export_grid(
            data,
            output,
            format.value,
            scheme.value,
            splits_file,
            _names(speakers),
            check.value,
            min_frames,
            mp4,
            clips_per_shard,
            workers,
            progress=_show_progress(),
        )
        if as_json:
            facts = {"checked": report.checked, "usable": report.usable, "left_out": report.left_out}
            typer.echo(json.dumps(facts | {"counts": report.counts(), "output": str(output)}, indent=2))
            return
        typer.echo(report.summary())
        typer.echo(f'written: {output}   load: datasets.load_dataset("{output}")')
        typer.echo(f"publish: hf upload USER/NAME {output} --repo-type dataset")
