"""`lip2wav adapt`: from recordings of one's own to a model of one's own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..adaptation.records import FINAL_PASS, STOPPING
from ..errors import counted
from ..lite.graphs import has_graphs
from ..models import DEFAULT_MODEL
from .messages import only_our_messages, print_error, reporting, wrapped
from .options import complete_model


if TYPE_CHECKING:
    from ..adaptation.records import Adaptation, AdaptationProgress, Scores

MOST_NAMED = 8  # recordings, or new words, in the report
SILENT_SECONDS = 60.0  # at most, where progress is no bar
AGAIN = "Run the same command again: it goes on where it was."


@reporting(interrupted="Run the same command again.")
def adapt(
    clips: Annotated[
        Path | None,
        typer.Argument(
            metavar="CLIPS",
            help="Folder of recordings: videos with metadata.csv (file_name, transcription), or with a .txt file"
            " beside each that says what is said in it. Without, a --voice alone is learnt.",
            show_default=False,
        ),
    ] = None,
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="MODEL", help="Folder of the new model.", show_default=False),
    ],
    minutes: Annotated[float, typer.Option(min=0.1, help="How long it may take in all.")] = 10.0,
    model: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="The starting model: a folder, a bundled model or a repository of the Hub.",
            autocompletion=complete_model,
        ),
    ] = DEFAULT_MODEL,
    voice: Annotated[
        Path | None,
        typer.Option(
            metavar="SOUND",
            help="A sound file, or a folder of them, of the voice that the model is to have, where there are no"
            " recordings, or they have no sound or another voice.",
            show_default=False,
        ),
    ] = None,
    phrases: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The sentences that the model answers with, one on each line; 'none' for any. By default those of the"
            " recordings, where they are single words or each is said twice or more.",
            show_default=False,
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            metavar="CODE",
            help="Of what is said, for the model's card, such as de. By default that of the starting model, if it"
            " knows all words.",
            show_default=False,
        ),
    ] = None,
    final_pass: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Further steps at the end, on all recordings, those held back too, as a share of the steps before; 0"
            " for none.",
        ),
    ] = FINAL_PASS,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Learn to speak live too, from a model that does, as the bundled one: fewer wrong words live, and a"
            " little less like the voice in whole videos.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of all random numbers.")] = 0,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin again, where the folder holds a finished or stopped run.")
    ] = False,
    json_object: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the report.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; errors, warnings and results.")] = False,
) -> None:
    """
    Make a model that reads your lips and speaks with your voice, from a few recordings of you; or one that speaks
    with a voice, from its sound alone.

    \b
    Examples:
      lip2wav adapt my-clips -o my-voice
      lip2wav adapt my-clips -o my-voice --minutes 20 --phrases phrases.txt
      lip2wav speak new.mp4 --model my-voice
      lip2wav adapt --voice speech.wav -o that-voice

    Ten recordings of a few seconds are enough to begin with. Each is checked first; some are held back, and the models
    before and after are measured on them; in the end the model learns from these too. Ctrl-C keeps the best model so
    far; the same command goes on from there.
    Nothing leaves this machine. Record only people who have agreed to it.

    Exit status: 0; 2 when no recording can be used, or something cannot be read or written.
    """
    if clips is None and voice is None:
        wanted = "give a folder of recordings; or --voice, to learn a voice alone."
        raise typer.BadParameter(wanted, param_hint="CLIPS")
    with only_our_messages(), _shown(quiet or json_object) as show:
        from ..adaptation.adapt import adapt as run

        result = run(
            clips,
            output,
            model=model,
            minutes=minutes,
            voice=voice,
            phrases=phrases,
            seed=seed,
            final_pass=final_pass,
            progress=show,
            resume=not restart,
            language=language,
            live=live,
        )
    if json_object:
        print(json.dumps(_plain(result), indent=2, ensure_ascii=False))
        return
    print("\n".join(_report(result)))


def _plain(result: Adaptation) -> dict[str, Any]:
    return dataclasses.asdict(result) | {"model": str(result.model)}


@contextlib.contextmanager
def _shown(quiet: bool) -> Generator[Callable[[AdaptationProgress], None]]:
    """What shows progress: a bar on a terminal, else lines; and a line for each bad recording."""
    from tqdm import tqdm

    on_terminal = sys.stderr.isatty() and not quiet
    bar = tqdm(
        desc="loading",
        total=100,
        disable=not on_terminal,
        bar_format="{desc:<10} {bar} {n:3.0f} %  {postfix}",
        leave=False,
    )
    lines = None if quiet or on_terminal else _Lines()

    def show(progress: AdaptationProgress) -> None:
        is_bad = progress.stage == "checking" and not progress.message.endswith(": good")
        if is_bad:
            print_error(progress.message)
        if lines is not None:
            lines.show(progress, is_said=is_bad)
        bar.set_description_str(progress.stage, refresh=False)
        bar.set_postfix_str(progress.message if progress.stage != "checking" else "", refresh=False)
        bar.n = 100 * progress.fraction
        bar.refresh()

    with lines or contextlib.nullcontext(), contextlib.closing(bar):
        yield show


class _Lines:
    """Progress as lines on stderr: one for each stage, and one each minute, also where nothing new is reported."""

    def __init__(self) -> None:
        self._line, self._stage, self._due = "", "", time.monotonic() + SILENT_SECONDS
        self._lock, self._is_over = threading.RLock(), threading.Event()  # Ctrl-C is reported while it is held
        self._thread = threading.Thread(target=self._repeat, daemon=True)

    def __enter__(self) -> _Lines:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def show(self, progress: AdaptationProgress, is_said: bool) -> None:
        """Take a report; `is_said` where there is a line of it already."""
        with self._lock:
            is_new = progress.stage != self._stage or progress.message == STOPPING
            self._stage, self._line = progress.stage, "" if is_said else f"{progress.stage}: {progress.message}"
            if is_new:
                self._say()

    def _repeat(self) -> None:
        while not self._is_over.wait(max(self._due - time.monotonic(), 0.01)):
            with self._lock:
                if time.monotonic() >= self._due:
                    self._say()

    def _say(self) -> None:
        if self._line:
            print(self._line, file=sys.stderr, flush=True)
        self._due = time.monotonic() + SILENT_SECONDS


def _report(result: Adaptation) -> list[str]:
    """What was done, before and after, and what to do next."""
    lines = [_counts(result)]
    ends = {
        "finished": "all steps are done",
        "no improvement": "it got no better",
        "time": "the time was over: the same command, with more --minutes if you like, goes on where it was",
        "asked": f"it was stopped. {AGAIN}",
    }
    if result.left_out:
        ends["time"] = "the time was over: more --minutes use more recordings, and begin again where they do"
    further = f" and {result.final_steps} on all of them" if result.final_steps else ""
    further += f", then {result.voice_steps} that teach the voice" if result.voice_steps else ""
    if not result.recordings:
        steps = counted(result.voice_steps, "step")
    else:
        steps = f"{counted(result.steps, 'step')}{further}"
    lines.append(f"{steps}, {result.minutes:.1f} minutes; {ends[result.stopped]}")
    if result.new_words:
        lines.append(f"new words: {_some(result.new_words)}")
    if result.phrases:
        phrases = counted(len(result.phrases), "phrase")
        lines.append(f"it answers with {phrases} only, unless told otherwise: --grammar none")
    if result.before is not None and result.after is not None:
        lines += ["", *_table(result.before, result.after)]
    lines += [wrapped(f"note: {note}", sys.stdout) for note in result.notes]
    folder = shlex.quote(str(result.model))
    lines += [
        "",
        f"model:      {result.model}",
        f"use it:     lip2wav speak VIDEO --model {folder} -o speech.wav",
        f"in Python:  pipeline('video-to-speech', model={str(result.model)!r})",
    ]
    if find_spec("onnxruntime") is not None and not has_graphs(result.model):
        lines.append(f"faster:     lip2wav lite {folder}")
    if result.after is None:
        return [*lines, f"measure it: lip2wav evaluate --model {folder} --data OTHER-RECORDINGS --split all"]
    return [*lines, f"publish it: lip2wav push {folder} OWNER/NAME --private"]


def _counts(result: Adaptation) -> str:
    """What became of each recording."""
    bad, held_back = len(result.not_used), len(result.held_out)
    if not result.recordings:
        return f"a voice learnt from {counted(result.given_voice, 'sound file')}"
    if not bad and not result.left_out:
        return f"{counted(result.clips, 'recording')} learnt from, {held_back} held back"
    parts = [f"{result.clips} learnt from", f"{held_back} held back"]
    parts += [f"{bad} not usable ({_some([Path(file).name for file in result.not_used])})"] if bad else []
    parts += [f"{result.left_out} left out for lack of time"] if result.left_out else []
    return f"of {counted(result.recordings, 'recording')}: {', '.join(parts)}"


def _some(names: Sequence[str]) -> str:
    """The first of some names."""
    return ", ".join(names[:MOST_NAMED]) + (" …" if len(names) > MOST_NAMED else "")


def _table(before: Scores, after: Scores) -> list[str]:
    from ..adaptation.records import score_rows

    head = f"on {counted(after.clips, 'recording')} held back"
    lines = [f"{head:<32} {'before':>8} {'after':>8}"]
    lines += [f"{label:<32} {first:>8} {second:>8}" for label, first, second in score_rows(before, after)]
    if after.missing:
        lines.append(f"not measured: {after.missing}")
    return lines


__all__ = ["adapt"]
