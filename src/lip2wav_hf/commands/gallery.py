"""`lip2wav gallery`: a page of videos on which the recording and the systems are heard in turn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import counted
from ..files import check_writable
from ..metrics.registry import METRICS
from .corpus_options import (
    AGAIN,
    DATA_HELP,
    Scheme,
    SchemeOption,
    ScoringWorkersOption,
    SpeakersOption,
    SplitsFileOption,
    split_names,
)
from .messages import BAD_INPUT, CommandError, print_error, reporting
from .options import SystemsOption
from .outputs import find_videos


@reporting(interrupted=AGAIN)
def gallery(
    videos: Annotated[
        list[str] | None,
        typer.Argument(metavar="VIDEO", help="Video files, or folders of them; or give --data.", show_default=False),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the page; open its index.html.")] = Path(
        "out/gallery"
    ),
    models: SystemsOption = None,
    data: Annotated[Path | None, typer.Option("--data", "-d", help=DATA_HELP, show_default=False)] = None,
    splits: Annotated[
        list[str] | None,
        typer.Option(
            "--split",
            "-s",
            help="A split of the corpus, or all; may be repeated. Those called unseen_… get a page of their own."
            " validation by default.",
            show_default=False,
        ),
    ] = None,
    scheme: SchemeOption = Scheme.custom,
    splits_file: SplitsFileOption = None,
    speakers: SpeakersOption = None,
    clips: Annotated[
        list[int] | None,
        typer.Option(
            "--clips",
            min=1,
            help="How many of each split, spread evenly, all by default; given once for each --split, how many of it.",
            show_default=False,
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the page.", show_default=False)] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metrics",
            help=f"Only these, separated by commas: {', '.join(METRICS)}; or none. By default those that say something"
            " of a single clip.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where the models run, such as cpu or cuda:0.")] = None,
    workers: ScoringWorkersOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", "-y", help="Replace a gallery that is there.")] = False,
) -> None:
    """
    Build a page of videos: each with its own sound and with that of each model, switched while it plays.

    \b
    Examples:
      lip2wav gallery clip.mpg -o site
      lip2wav gallery my-videos -o site --model grid-s1 --model "mine=runs/mine/best"
      lip2wav gallery --data grid --split validation --split unseen_validation --clips 10 --clips 6 -o site

    Under each sound are its spectrogram, the words that were heard, the wrong ones marked, and its numbers. The page
    is static: put the folder on any web server, or open SITE/index.html from the disk.
    """
    if bool(videos) == (data is not None):
        raise CommandError("give videos, or a corpus with --data" + ("; not both." if videos else "."))
    if data is None and (splits or speakers or clips or splits_file or scheme is not Scheme.custom):
        raise CommandError("splits, speakers and --clips belong to a corpus: give --data.")
    counts = _counts(splits or ["validation"], clips or [])
    files = find_videos(videos or ())
    names = [name for names in metrics for name in names.replace(",", " ").split()] if metrics else None
    check_writable(output, f"-o {output}", CommandError)
    from ..comparison.clips import corpus_shown, videos_shown
    from ..comparison.gallery import build_gallery, check_output, work_folder
    from ..comparison.systems import named_systems
    from ..evaluation.options import ClipSelection
    from ..metrics.registry import check_names
    from ..models import SPEAKING, find_model

    systems = named_systems(models)
    if names is not None:
        names = [] if names == ["none"] else list(check_names(names))
    check_output(output, overwrite)
    for system in systems:
        find_model(system.model, SPEAKING)
    with work_folder(output) as work:
        if data is not None:
            selection = ClipSelection(data, "", split_names(speakers), splits_file, split_scheme=scheme.value)
            shown = corpus_shown(selection, counts, systems[0].model, work)
        else:
            shown = videos_shown(files, work)
        built = build_gallery(shown, systems, output, work, metrics=names, device=device, workers=workers, title=title)
    others = "".join(f"; {clips} of them on {name}" for name, clips in built.pages.items() if name != built.page.name)
    for part in shown.parts:
        if part.remark:
            print_error(part.remark)
    print(f"{built.page}: {counted(built.clips, 'clip')}, the largest {built.largest / 1e6:.2f} MB{others}")
    for failure in built.failures:
        print_error(f"error: {failure.error}")
    if built.failures:
        raise typer.Exit(BAD_INPUT)


def _counts(splits: list[str], clips: list[int]) -> dict[str, int | None]:
    """How many clips of each split; `None` for all."""
    splits = list(dict.fromkeys(splits))
    if len(clips) not in (0, 1, len(splits)):
        raise CommandError(
            f"--clips is given {len(clips)} times for {counted(len(splits), 'split')}: once, or for each."
        )
    numbers = clips * len(splits) if len(clips) == 1 else clips or [None] * len(splits)
    return dict(zip(splits, numbers, strict=True))


__all__ = ["gallery"]
