"""`lip2wav speak`: silent videos of talking faces in; speech, videos with their speech, subtitles, pictures out."""

from __future__ import annotations

import contextlib
import enum
import json
import os
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import Lip2WavError, one_line
from ..lite.graphs import CLIPS, INT8_CLIPS, STREAMS, has_torch, keep_torch_out, open_graphs
from ..machine import may_have_gpu, without_collections
from ..models import DEFAULT_MODEL, SPEAKING, find_model
from ..sources import readable_path
from .messages import BAD_INPUT, CommandError, only_our_messages, print_error, report_error, reporting, waiting
from .options import (
    BeamOption,
    GrammarOption,
    ModelOption,
    OverwriteOption,
    Runtime,
    RuntimeOption,
)
from .outputs import SUBTITLE_SUFFIXES, Job, find_videos, plan_jobs, read_pipes, write_outputs


if TYPE_CHECKING:
    from ..lite.graphs import Graphs
    from ..speaking import Speaker, SpeechStream, SpokenVideo


MOST_FAILURES = 20
"""Videos that the last lines of a run name; with more of them, the errors above are the list."""


class Dtype(enum.StrEnum):
    """What the generator may calculate in."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    INT8 = "int8"


@dataclass(frozen=True)
class Spoken:
    """
    What became of a video.

    Attributes:
        result ([`SpokenVideo`]): what was said; its audio is written.
        duration (`float`): of the speech, in seconds.
        seconds (`float`): the time taken; in a batch, the video's share by its duration.
        warm (`bool`): whether another video came before. The first call takes longer than the later ones.
    """

    result: SpokenVideo
    duration: float
    seconds: float
    warm: bool


@reporting
def speak(
    context: typer.Context,
    videos: Annotated[
        list[str],
        typer.Argument(
            metavar="VIDEO",
            help="Video files or URLs, of any format and frame rate; folders of video files; - for standard input.",
            show_default=False,
        ),
    ],
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="What to write: a .wav, .flac or .mp4 file (.mp4: the video with its new sound), a .srt or .vtt file"
            " (the words as subtitles), a folder, which gets NAME.wav of each video, or - for wav into a pipe. May be"
            " given several times. The current folder by default.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    device: Annotated[
        str | None,
        typer.Option(
            help="Where to compute: cpu, cuda, cuda:1, mps... By default a GPU, if there is one.", show_default=False
        ),
    ] = None,
    dtype: Annotated[
        Dtype,
        typer.Option(
            help="Type of the model's numbers; auto takes the type that it was saved with. In int8, ONNX Runtime makes"
            " the sound of what was read with 8-bit numbers: faster."
        ),
    ] = Dtype.AUTO,
    runtime: RuntimeOption = Runtime.AUTO,
    landmark_interval: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Place landmarks on one of so many frames while the face moves evenly, if at all, such as 4: faster."
            " By default as the model's settings say, on every frame.",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Videos that go through the generator together.")] = 1,
    grammar: GrammarOption = None,
    beam: BeamOption = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="A picture (.png, .svg, .pdf) of mouth, waveform, mel spectrogram and words; or a folder, which gets"
            " NAME.png of each video.",
            show_default=False,
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    allow_private: Annotated[
        bool,
        typer.Option(
            "--allow-private",
            help="Follow redirects and playlists from the web to addresses of private networks and to files of this"
            " machine, and playlists on this machine to private addresses.",
        ),
    ] = False,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line for each video, instead of the report.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No report and no progress bars; errors and warnings only.")
    ] = False,
) -> None:
    """
    Give silent videos of talking faces their speech.

    \b
    Examples:
      lip2wav speak clip.mpg                             clip.wav in the current folder
      lip2wav speak clip.mpg -o clip.mp4                 the video with its speech
      lip2wav speak clip.mpg -o a.wav -o a.srt --plot a.png
      lip2wav speak clip.mpg -o - | aplay                through a pipe; the report is on stderr
      lip2wav speak videos -o out/ --batch-size 8        out/NAME.wav for each video in videos/
      lip2wav speak clip.mpg --grammar phrases.txt       one of the sentences in that file
      lip2wav speak s1/*.mpg -o out/ --plot out/ --json > out.jsonl

    The bundled model was trained on the GRID corpus: it knows 51 words, as in "bin blue at f two now", from a frontal
    face. It warns when a video is clearly something else.

    The report's real-time factor is the time taken divided by the duration of the video: below 1 is faster than the
    video plays.

    \b
    The JSON objects hold, for each video:
      file              the video
      outputs           the files that were written; output is the first of them
      text              the words; with their times in seconds and confidences
                        in words: word, start, end, confidence
      written           the same, as the transcripts of the training write it
      duration          of the speech, in seconds
      sampling_rate     of the speech, in Hz
      seconds           the time taken; the first video takes longer
      real_time_factor  seconds / duration
      face_coverage     share of the frames that show a face, 0 to 1
      warnings          why the speech may be wrong
    For a video that failed: file, error.

    \b
    Exit status:
      0  all is done
      2  something could not be read or written; the other videos are done
    """
    if allow_private:
        os.environ["LIP2WAV_ALLOW_PRIVATE"] = "1"
    jobs = plan_jobs(find_videos(videos), output or (), plot)
    if json_lines and any(job.to_stdout for job in jobs):
        raise CommandError("-o - and --json: both are written to standard output. Leave one of them out.")
    ask_to_overwrite(jobs, overwrite)
    folder = find_model(model, SPEAKING)
    read_pipes(jobs)
    if len(jobs) == 1 and jobs[0].pipe is None and not json_lines:
        readable_path(jobs[0].video)  # before seconds are spent on torch
    with contextlib.ExitStack() as stack:
        with waiting(f"loading {model}", quiet), without_collections():
            graphs = chosen_graphs(folder, runtime, device, dtype)
            if graphs is not None:
                keep_torch_out(for_good=context.find_root().obj["alone"])  # before transformers is imported
            messages = stack.enter_context(only_our_messages())
            speaker = load_speaker(folder, device, dtype.value, graphs)
        _check_words(speaker, jobs, beam)
        speaker.beam = beam
        extractor = speaker.feature_extractor
        extractor.landmark_interval = landmark_interval or extractor.landmark_interval
        if grammar is not None:
            speaker.grammar = speaker.grammar_decoder(grammar)
        status = _speak_all(speaker, jobs, batch_size, messages, json_lines, quiet)
    if status:
        raise typer.Exit(status)


def _check_words(speaker: Speaker, jobs: Sequence[Job], beam: int | None) -> None:
    """Raises `CommandError` if words are asked for, and the model reads none."""
    if speaker.reads_words:
        return
    if beam is not None:
        raise CommandError("--beam: this model reads no words, so there is nothing to search for. Leave it out.")
    path = next((path for job in jobs for path in job.files if path.suffix.lower() in SUBTITLE_SUFFIXES), None)
    if path is not None:
        raise CommandError(f"{path}: this model reads no words, so it gives no subtitles. Choose another -o.")


def ask_to_overwrite(jobs: Sequence[Job], overwrite: bool = False) -> None:
    """
    See that no file is replaced unasked, as FFmpeg does: on a terminal the user is asked, elsewhere it is an error.

    Args:
        jobs (sequence of [`Job`]): what will be written.
        overwrite (`bool`, *optional*, defaults to `False`): it may be replaced.

    Raises:
        CommandError: if files exist that may not be replaced; nothing has been written.
    """
    existing = [path for job in jobs for path in job.files if path.exists()]
    if overwrite or not existing:
        return
    one = len(existing) == 1
    what = f"{existing[0]}{'' if one else f' and {len(existing) - 1} more of the files to write'}"
    what += f": {'it exists' if one else 'they exist'} already. Replace {'it' if one else 'them'}"
    if sys.stdin.isatty() and sys.stderr.isatty():
        print(f"{what}? [y/N] ", end="", file=sys.stderr, flush=True)  # nothing on stdout, which may be JSON
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
        raise CommandError("nothing was replaced, and nothing written.")
    raise CommandError(f"{what} with --overwrite (-y), or choose another -o.")


def chosen_graphs(
    folder: Path,
    runtime: Runtime,
    device: str | None = None,
    dtype: Dtype = Dtype.AUTO,
    files: tuple[str, str] = CLIPS,
) -> Graphs | None:
    """
    The ONNX graphs of a model that are to speak, or `None` where torch is.

    Raises:
        CommandError: if the options contradict each other.
        GraphError: if there are none that can be used, and torch cannot speak instead, or is not to.
    """
    if dtype is Dtype.INT8:
        if runtime is Runtime.TORCH or device not in (None, "cpu"):
            raise CommandError(
                "--dtype int8: it needs ONNX Runtime, on the processor. Leave --runtime and --device out."
            )
        return open_graphs(folder, INT8_CLIPS)
    on_processor = device in (None, "cpu") and dtype in (Dtype.AUTO, Dtype.FLOAT32)
    if runtime is Runtime.ONNX and not on_processor:
        raise CommandError(
            "--runtime onnx: it speaks on the processor, in float32 or int8. Leave --device and --dtype out."
        )
    needs_torch = runtime is Runtime.TORCH or not on_processor
    if runtime is Runtime.AUTO and has_torch():
        is_ready = find_spec("onnxruntime") is not None and any((folder / name).is_file() for name in files)
        needs_torch = needs_torch or not is_ready or (device is None and may_have_gpu())
    if needs_torch:
        return None
    try:
        return open_graphs(folder, files)
    except (Lip2WavError, OSError) as error:
        if runtime is Runtime.ONNX or not has_torch():
            raise
        print_error(f"warning: PyTorch speaks. {error}")
        return None


def load_speaker(
    folder: Path, device: str | None = None, dtype: str = "auto", graphs: Graphs | None = None
) -> Speaker:
    """
    Load the model of a folder, as [`find_model`] gives it: in ONNX Runtime if there are graphs, else in torch.

    Raises:
        CommandError: if the device cannot be used, or the weights do not fit the configuration.
    """
    from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
    from ..speaking import Speaker

    place = None
    if graphs is None:
        from ..generator import usable_device

        place = usable_device(device)
    try:
        if graphs is None:
            return Speaker.from_folder(folder, place, dtype)
        if graphs.files == STREAMS:
            from ..lite.stream import OnnxStreamingGenerator as Generator
        else:
            from ..lite.generator import OnnxGenerator as Generator
        generator = Generator.from_folder(folder, graphs)
        return Speaker(generator, Lip2WavFeatureExtractor.from_pretrained(folder))
    except Exception as error:
        raise CommandError(f"model {folder}: it cannot be loaded ({one_line(error)}). Save it again.") from error


def _speak_all(
    speaker: Speaker, jobs: list[Job], batch_size: int, messages: list[str], json_lines: bool, quiet: bool
) -> int:
    """Run the jobs, print a report or a JSON object for each, and of many a count; returns the exit status."""
    from tqdm import tqdm

    failures: dict[str, str] = {}
    show_progress = not quiet and sys.stderr.isatty()
    with tqdm(total=len(jobs), unit="video", desc="speaking", disable=not show_progress or len(jobs) == 1) as bar:
        for job, outcome in _outcomes(speaker, jobs, batch_size, show_progress):
            record = _record(job, outcome, messages)
            bar.update()
            if "error" in record:
                failures[job.video] = record["error"]
            if json_lines:
                tqdm.write(json.dumps(record), file=sys.stdout)
            elif not quiet and isinstance(outcome, Spoken) and "error" not in record:
                silent = "(no words recognised)" if speaker.reads_words else "(this model reads no words)"
                report = sys.stderr if job.to_stdout else sys.stdout
                tqdm.write(_describe(record, outcome.warm, silent), file=report)
            sys.stdout.flush()
    if len(jobs) > 1 and (failures or not quiet):
        print_error(count_videos(len(jobs), failures))
    return BAD_INPUT if failures else 0


def count_videos(total: int, failures: Mapping[str, str]) -> str:
    """
    How many of several videos were done, and why the others were not: the last lines of a run.

    Args:
        total (`int`): how many there were.
        failures (mapping of `str` to `str`): the videos that failed, and why.
    """
    if not failures:
        return f"{total} videos: all done."
    lines = [f"{total} videos: {total - len(failures)} done, {len(failures)} failed:"]
    for video, reason in list(failures.items())[:MOST_FAILURES]:
        lines.append(f"  {reason if video in reason else f'{video}: {reason}'}")
    if len(failures) > MOST_FAILURES:
        lines.append(f"  and {len(failures) - MOST_FAILURES} more: each has a line that begins with `error:` above.")
    return "\n".join(lines)


@dataclass(frozen=True)
class _Opened:
    """Some jobs, the stream of each video or what kept it from being opened, and the seconds that this took."""

    jobs: list[Job]
    streams: dict[str, SpeechStream | Exception]
    seconds: float


def _outcomes(
    speaker: Speaker, jobs: list[Job], batch_size: int, show_progress: bool
) -> Iterator[tuple[Job, Spoken | Exception]]:
    """Speak and write; yields each job with what was said, or with the exception that stopped it. While some speak,
    the videos of the next are read."""
    from ..errors import in_background

    batches = _open_batches(speaker, jobs, batch_size, show_progress)
    with contextlib.closing(batches if len(jobs) <= batch_size else in_background(batches, ahead=1)) as opened:
        for number, batch in enumerate(opened):
            yield from _speak_batch(speaker, batch, warm=number > 0)


def _open_batches(speaker: Speaker, jobs: list[Job], batch_size: int, show_progress: bool) -> Generator[_Opened]:
    with_crops = any(job.plot for job in jobs)
    for first in range(0, len(jobs), batch_size):
        batch, start = jobs[first : first + batch_size], time.perf_counter()
        streams: dict[str, SpeechStream | Exception] = {}
        for job in batch:
            try:
                streams[job.video] = speaker.stream(job.source, return_crops=with_crops, progress=show_progress)
            except Exception as error:
                streams[job.video] = error
        yield _Opened(batch, streams, time.perf_counter() - start)


def _speak_batch(speaker: Speaker, batch: _Opened, warm: bool) -> Iterator[tuple[Job, Spoken | Exception]]:
    start = time.perf_counter() - batch.seconds
    opened = [stream for stream in batch.streams.values() if not isinstance(stream, Exception)]
    with contextlib.suppress(Exception):  # such as too little memory: then each is spoken on its own, below
        speaker.speak_together(opened)
    shared = (time.perf_counter() - start) / max(sum(stream.frames for stream in opened), 1)
    for job in batch.jobs:
        stream = batch.streams[job.video]
        if isinstance(stream, Exception):
            yield job, stream
            continue
        start = time.perf_counter() - shared * stream.frames
        try:
            with stream:
                result = write_outputs(job, stream, speaker.feature_extractor.frame_rate)
        except BrokenPipeError:  # whoever reads what goes to standard output has gone
            raise
        except Exception as error:
            yield job, error
        else:
            duration = stream.samples / result["sampling_rate"]
            yield job, Spoken(result, duration, time.perf_counter() - start, warm)
        warm = True


def _record(job: Job, outcome: Spoken | Exception, messages: list[str]) -> dict[str, Any]:
    """What was done for a job, or why it was not, as `--json` prints it."""
    if isinstance(outcome, Exception):
        report_error(outcome, job.video)
        return {"file": job.video, "error": one_line(outcome)}
    result, duration = outcome.result, outcome.duration
    return {
        "file": job.video,
        "output": job.names[0],
        "outputs": job.names,
        "text": result["text"],
        "written": result["written"],
        "words": [
            {key: round(value, 4) if isinstance(value, float) else value for key, value in word.items()}
            for word in result["words"]
        ],
        "duration": round(duration, 4),
        "sampling_rate": result["sampling_rate"],
        "seconds": round(outcome.seconds, 4),
        "real_time_factor": round(outcome.seconds / duration, 4) if duration else None,
        "face_coverage": round(result["face_coverage"], 4),
        "warnings": [message for message in messages if message.startswith(f"{one_line(job.video)}:")],
    }


def _describe(record: dict[str, Any], warm: bool, silent: str) -> str:
    """The report on one video, for people."""
    factor = f"real-time factor {record['real_time_factor'] or 0:.3f} (time taken / duration)"
    return "\n".join(
        [
            record["file"],
            f"  text      {record['written'] or silent}",
            f"  duration  {record['duration']:.2f} s",
            f"  took      {record['seconds']:.2f} s, {factor if warm else 'the first one with its warm-up'}",
            f"  output    {', '.join(record['outputs'])}",
        ]
    )


__all__ = ["ask_to_overwrite", "chosen_graphs", "count_videos", "load_speaker", "speak"]
