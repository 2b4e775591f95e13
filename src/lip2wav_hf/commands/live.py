"""`lip2wav live`: a camera, or a video at its own speed, to sound that is heard at once."""

from __future__ import annotations

import contextlib
import gc
import math
import shutil
import signal
import statistics
import sys
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from ..errors import counted
from ..files import check_writable
from ..lite.graphs import STREAMS, keep_torch_out
from ..models import DEFAULT_MODEL, SPEAKING, find_model
from ..sources import readable_path
from .messages import INTERRUPTED, TERMINATED, CommandError, only_our_messages, print_error, reporting, waiting
from .options import GrammarOption, ModelOption, OverwriteOption, Runtime, RuntimeOption
from .outputs import SOUND_SUFFIXES, STDIN, STDOUT, Job, check_stdout, read_pipes
from .speak import ask_to_overwrite, chosen_graphs, load_speaker


if TYPE_CHECKING:
    from ..lite.graphs import Graphs
    from ..live.player import Latencies, Output
    from ..live.running import LiveProgress
    from ..live.sources import TimedPictures
    from ..live.streamer import Lip2WavStreamer


STATUS_SECONDS = 0.2  # between two states of the status line
FAR_ABOVE = 2  # times the median latency: a most above it is reported


@reporting
def live(
    context: typer.Context,
    video: Annotated[
        str | None,
        typer.Argument(
            metavar="VIDEO",
            help="A video file or URL, or - for standard input, which is read to its end first; it is played at its"
            " own speed. The camera by default.",
            show_default=False,
        ),
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The camera, such as /dev/video1; FORMAT:NAME takes another of FFmpeg's formats.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Write the sound into a .wav or .flac file, or with - as wav into a pipe, instead of playing it. May"
            " be given several times.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The sound device: its number, or a part of its name. With -o, play the sound too.",
            show_default=False,
        ),
    ] = None,
    list_devices: Annotated[
        bool, typer.Option("--list-devices", help="List cameras and sound devices, and end.")
    ] = False,
    look_ahead: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=50,
            metavar="N",
            help="Later video frames, of 40 ms each, that are waited for. By default as the model says, or 3.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    runtime: RuntimeOption = Runtime.AUTO,
    grammar: GrammarOption = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.04, help="Stop after so many seconds.", show_default=False)
    ] = None,
    overwrite: OverwriteOption = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No status line and no report; errors and warnings only.")
    ] = False,
) -> None:
    """
    Speak live: what the lips in front of the camera say is heard a quarter of a second later.

    \b
    Examples:
      lip2wav live                            camera to loudspeaker
      lip2wav live clip.mp4                   a video at its own speed
      lip2wav live -o talk.wav --seconds 60   a minute, into a file
      lip2wav live -o - | aplay               through a pipe
      lip2wav live --camera /dev/video2 --device USB

    Ctrl-C ends it; a file holds all that was said until then.

    On a terminal, a line shows the latency, from the beginning of a picture to its sound being ready; how many
    pictures were dropped because the machine was behind; and the words, each when it has ended.

    \b
    Exit status:
      0    the video is over, or the seconds are
      2    something could not be opened, read or written
      130  ended by Ctrl-C, 143 by SIGTERM

    To play sound, it needs the extra `live`; files and pipes need none.
    """
    if list_devices:
        return _list_devices()
    if video is not None and camera is not None:
        raise CommandError("a video and --camera: give one of them.")
    targets = [target for target in output or [] if target != STDOUT]
    _check_targets(targets, overwrite)
    if STDOUT in (output or []):
        check_stdout()
    if video not in (None, STDIN):
        readable_path(video)
    folder = find_model(model, SPEAKING)
    if device is not None or not output:
        from ..live.player import check_sound_device

        check_sound_device(device)
    if video is None:
        from ..live.sources import check_camera

        check_camera(camera)
    source = Job(video or "")
    read_pipes([source])
    with contextlib.ExitStack() as stack:
        with waiting(f"loading {model}", quiet):
            graphs = chosen_graphs(folder, runtime, "cpu", files=STREAMS)
            if graphs is not None:
                keep_torch_out(for_good=context.find_root().obj["alone"])  # before transformers is imported
            stack.enter_context(only_our_messages())
            streamer = _load(folder, graphs, look_ahead, grammar)
        if streamer.doubt is not None and not quiet:
            print_error(streamer.doubt)
        can_wait = video is not None
        outputs = _open_outputs(stack, streamer, output or [], device, can_wait)
        pictures = _open_pictures(streamer, source.source, camera)
        progress, stopped, failure = _run(streamer, pictures, outputs, seconds, quiet, can_wait)
    if not quiet:
        print_error(_report(progress, outputs, targets, streamer.model.config.reads_words))
    if failure is not None:
        raise failure
    if stopped:
        raise typer.Exit(TERMINATED if stopped == signal.SIGTERM else INTERRUPTED)


def _check_targets(targets: Sequence[str], overwrite: bool) -> None:
    """Before anything is loaded: whether the files can be written."""
    for target in targets:
        if Path(target).suffix.lower() not in SOUND_SUFFIXES:
            raise CommandError(
                f"-o {target}: live speech goes into {' or '.join(SOUND_SUFFIXES)} files, or - for a pipe."
            )
        if Path(target).is_dir():
            raise CommandError(f"-o {target}: this is a folder. Name a file in it.")
        check_writable(Path(target).parent, f"-o {target}", CommandError)
    ask_to_overwrite([Job("", outputs=[Path(target) for target in targets])], overwrite)


def _load(folder: Path, graphs: Graphs | None, look_ahead: int | None, grammar: str | None) -> Lip2WavStreamer:
    """A session that is ready for its first picture."""
    from ..live.streamer import Lip2WavStreamer
    from ..speaking import GrammarChoice

    if graphs is None:
        import torch

        torch.set_num_threads(1)  # two wait for each other on a busy machine, and are no faster
    chosen = GrammarChoice.OF_MODEL if grammar is None else grammar
    streamer = Lip2WavStreamer.from_speaker(load_speaker(folder, "cpu", graphs=graphs), look_ahead, chosen)
    streamer.warm_up()
    gc.collect()
    gc.freeze()  # what is there now stays: it need not be searched for garbage while sound is made
    return streamer


def _open_outputs(
    stack: contextlib.ExitStack, streamer: Lip2WavStreamer, targets: Sequence[str], device: str | None, can_wait: bool
) -> list[Output]:
    """Where the sound goes; closed with the stack."""
    from ..audio import open_audio
    from ..live.player import SoundDevice, SoundFile, SoundPipe

    rate, outputs = streamer.sampling_rate, list["Output"]()
    if device is not None or not targets:
        outputs.append(stack.enter_context(SoundDevice(rate, device, can_wait)))
    for target in dict.fromkeys(targets):
        if target == STDOUT:
            outputs.append(SoundPipe(sys.stdout.buffer, rate, streamer.model.config.samples_per_frame))
        else:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            outputs.append(SoundFile(stack.enter_context(open_audio(target, rate))))
    return outputs


def _open_pictures(streamer: Lip2WavStreamer, video: str | BinaryIO, camera: str | None) -> TimedPictures:
    from ..live.sources import open_camera, play_video

    return play_video(video, streamer.model.config.frame_rate) if video else open_camera(camera)


def _run(
    streamer: Lip2WavStreamer,
    pictures: TimedPictures,
    outputs: Sequence[Output],
    seconds: float | None,
    quiet: bool,
    can_wait: bool,
) -> tuple[LiveProgress, int, Exception | None]:
    """Speak; what was done, the signal that ended it, or 0, and the error that ended it, once all files are closed."""
    from ..live.running import LiveProgress, run_live

    progress, line, failure = LiveProgress(), _StatusLine(not quiet and sys.stderr.isatty()), None
    with _ending() as signals, line:
        try:
            run_live(streamer, pictures, outputs, seconds, lambda: bool(signals), line.show, progress, can_wait)
        except Exception as error:
            if not progress.seconds:
                raise
            failure = error
    return progress, signals[0] if signals else 0, failure


@contextlib.contextmanager
def _ending() -> Generator[list[int]]:
    """Ctrl-C and SIGTERM are noted, so that the sound is brought to an end; a second one ends at once."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number: int, frame: object) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _StatusLine:
    """One line on a terminal that is written again and again."""

    def __init__(self, is_shown: bool) -> None:
        self.is_shown, self._next = is_shown, 0.0

    def __enter__(self) -> _StatusLine:
        return self

    def __exit__(self, *error: object) -> None:
        if self.is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def show(self, progress: LiveProgress) -> None:
        """Show how it goes, a few times a second."""
        if not self.is_shown or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + STATUS_SECONDS
        line = describe(progress)
        width = shutil.get_terminal_size().columns - 1
        words, room = progress.text, width - len(line) - 2
        line += f"  {words[-room:] if len(words) > room else words}" if room > 0 else ""
        print(f"\r\x1b[K{line[:width]}", end="", file=sys.stderr, flush=True)


def describe(progress: LiveProgress) -> str:
    """How a session goes, but for the words: `12 s, 172 ms, 0 dropped, face`."""
    minutes, rest = divmod(int(progress.seconds), 60)
    latency = "-" if progress.latency is None else f"{1000 * progress.latency:.0f}"
    face = "face" if progress.face else "no face"
    return f"{minutes}:{rest:02}  {latency} ms  {progress.behind} dropped  {face}"


def _report(
    progress: LiveProgress, outputs: Sequence[Output], targets: Sequence[str], reads_words: bool = True
) -> str:
    """The lines at the end."""
    from ..live.player import DEVICE_PATIENCE, SoundDevice
    from ..speaking import LOW_TEXT_CONFIDENCE

    lines = [
        f"{progress.seconds:.2f} s of sound{' in ' + ', '.join(targets) if targets else ''}.",
        f"{counted(progress.pictures, 'picture')}; {progress.behind} dropped because the machine was behind,"
        f" {progress.surplus} because they came too often; {progress.repeated} missing, for which the one before"
        " stood.",
    ]
    if progress.pictures and not progress.seen:
        lines.append("No face was seen in any picture: look into the camera, with light from the front.")
    if progress.words:
        before = "… " if len(progress.words) == progress.words.maxlen else ""
        lines.append(f"Words: {before}{progress.text}")
        confidence = statistics.fmean(word["confidence"] for word in progress.words)
        if confidence < LOW_TEXT_CONFIDENCE:
            lines.append(
                f"They were read with a confidence of {confidence:.2f}: some are probably wrong. Live, little is seen"
                " of what comes next; a larger --look-ahead, such as 8, reads more surely, and speaks later."
            )
    elif progress.seen:
        lines.append(
            "No words were recognised: the sound is probably not what was said."
            if reads_words
            else "This model reads no words."
        )
    for output in outputs[:1]:
        if output.latencies.count:
            lines.append(f"Latency, from the beginning of a picture to its sound: {_lateness(output.latencies)}.")
        if isinstance(output, SoundDevice):
            queue = output.queue
            if output.began > DEVICE_PATIENCE:
                when = (
                    "has not begun" if math.isinf(output.began) else f"began {output.began:.1f} s after it was opened"
                )
                lines.append(f"The sound device {when}: what was said before is late or left out.")
            lines.append(
                f"{counted(queue.gaps, 'gap')} in the sound, {1000 * queue.gap_seconds:.0f} ms in all, the longest"
                f" {1000 * queue.longest_gap:.0f} ms; {1000 * queue.left_out:.0f} ms left out to catch up."
            )
    return "\n".join(lines)


def _lateness(latencies: Latencies) -> str:
    """
    Median and 95 % mark: `172 ms, 95 % within 190 ms`, and the most where that is far above the median. What is above
    the longest that is counted says so.
    """
    median, high, most = (latencies.percentile(share) for share in (50, 95, 100))
    longest = f"more than {1000 * latencies.longest:.0f} ms"
    if math.isinf(median):
        return f"{longest}: this machine is too slow, or busy"
    parts = [f"{1000 * median:.0f} ms"] + ([] if math.isinf(high) else [f"95 % within {1000 * high:.0f} ms"])
    if math.isinf(most):
        parts.append(f"{longest} at times")
    elif most > FAR_ABOVE * median:
        parts.append(f"at most {1000 * most:.0f} ms")
    return ", ".join(parts)


def _list_devices() -> None:
    from ..live.player import SoundError, list_sound_devices
    from ..live.sources import default_camera, list_cameras

    print("Cameras:")
    kind, name = default_camera()
    for each in list_cameras() or ["(none found)"]:
        print(f"  {each}{'  (default)' if each == name else ''}")
    print("Sound devices:")
    try:
        devices = list_sound_devices()
    except (SoundError, ValueError) as error:
        raise CommandError(str(error)) from error
    for number, each, is_default in devices:
        print(f"  {number}  {each}{'  (default)' if is_default else ''}")
    if not devices:
        print("  (none found)")


__all__ = ["describe", "live"]
