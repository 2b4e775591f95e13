"""`lip2wav speak`: silent videos of talking faces in; speech, videos with their speech, pictures out."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import os
import re
import sys
import time
import urllib.parse
from pathlib import Path
from typing import Annotated

import typer

from ..errors import one_line
from ..models import DEFAULT_MODEL, find_model
from .messages import BAD_INPUT, CommandError, only_our_messages, report_error, reporting


SOUND_SUFFIXES = (".wav", ".flac")
VIDEO_SUFFIX = ".mp4"
PLOT_SUFFIXES = (".png", ".svg", ".pdf")


class Dtype(enum.StrEnum):
    """What the generator may calculate in."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


@dataclasses.dataclass
class Job:
    """One video, and the files to make of it."""

    video: str
    outputs: list[Path]
    plot: Path | None = None


@reporting
def speak(
    videos: Annotated[
        list[str],
        typer.Argument(metavar="VIDEO", help="Video files or URLs, of any format and frame rate.", show_default=False),
    ],
    output: Annotated[
        list[Path],
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="What to write: a .wav, .flac or .mp4 file (.mp4: the video with its new sound), or a folder, which"
            " gets NAME.wav of each video. May be given several times.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="A bundled model, a folder, or a repository on the Hugging Face Hub.")
    ] = DEFAULT_MODEL,
    device: Annotated[
        str | None,
        typer.Option(
            help="Where to calculate: cpu, cuda, cuda:1, mps... By default a GPU, if there is one.", show_default=False
        ),
    ] = None,
    dtype: Annotated[
        Dtype, typer.Option(help="What to calculate in; auto is what the model was saved for.")
    ] = Dtype.AUTO,
    batch_size: Annotated[int, typer.Option(min=1, help="Videos that go through the generator together.")] = 1,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="A picture (.png, .svg, .pdf) of mouth, waveform, mel spectrogram and words; or a folder, which gets"
            " NAME.png of each video.",
            show_default=False,
        ),
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line for each video, instead of the report.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No report and no progress bars; errors and warnings only.")
    ] = False,
):
    """
    Give silent videos of talking faces their speech.

    \b
    Examples:
      lip2wav speak clip.mpg -o clip.wav                 the speech
      lip2wav speak clip.mpg -o clip.mp4                 the video with its speech
      lip2wav speak clip.mpg -o a.wav -o a.mp4 --plot a.png
      lip2wav speak s1/*.mpg -o out/ --batch-size 8      out/NAME.wav for each video
      lip2wav speak s1/*.mpg -o out/ --plot out/ --json > out.jsonl

    The bundled model was trained on the GRID corpus: it knows 51 words, as in "bin blue at f two now", from a frontal
    face. It warns when a video is clearly something else.

    \b
    The JSON objects hold: file, output, outputs, text, words (word, start, end, confidence),
    duration (s), sampling_rate (Hz), real_time_factor (time taken / duration), face_coverage (0 to 1),
    warnings; for a video that failed: file, error.

    Exit status: 0; 2 when something could not be read or written (the other videos are done all the same).
    """
    jobs = plan_jobs(videos, output, plot)
    folder = find_model(model)
    with only_our_messages() as messages:
        pipe = load_pipeline(folder, device, dtype.value)
        status = _speak_all(pipe, jobs, batch_size, messages, json_lines, quiet)
    if status:
        raise typer.Exit(status)


def _speak_all(pipe, jobs: list[Job], batch_size: int, messages: list[str], json_lines: bool, quiet: bool) -> int:
    """Do the jobs, and print a report or a JSON object for each; the exit status."""
    from tqdm import tqdm

    status = 0
    show_progress = not quiet and sys.stderr.isatty()
    with tqdm(total=len(jobs), unit="video", desc="speaking", disable=not show_progress or len(jobs) == 1) as bar:
        for start in range(0, len(jobs), batch_size):
            for job, outcome in _speak_batch(pipe, jobs[start : start + batch_size], show_progress):
                record = _finish(job, outcome, pipe.feature_extractor.frame_rate, messages)
                bar.update()
                if "error" in record:
                    status = BAD_INPUT
                if json_lines:
                    tqdm.write(json.dumps(record), file=sys.stdout)
                elif not quiet and "error" not in record:
                    tqdm.write(_describe(record), file=sys.stdout)
                sys.stdout.flush()
    return status


def plan_jobs(videos: list[str], outputs: list[Path], plot: Path | None = None) -> list[Job]:
    """
    Which files to write for which video.

    Raises:
        CommandError: where a target does not fit: many videos for one file, an unknown suffix, a folder that cannot be
            written, the same video twice.
    """
    for video in videos:
        if videos.count(video) > 1:
            raise CommandError(f"{video}: this video is given more than once. Name it once.")
    names = _distinct_names(videos)
    jobs = [Job(video, []) for video in videos]
    for target in dict.fromkeys(outputs):
        suffixes = (*SOUND_SUFFIXES, VIDEO_SUFFIX)
        for job, path in zip(jobs, _targets(target, names, suffixes, ".wav", "-o"), strict=True):
            job.outputs.append(path)
    if plot is not None:
        for job, path in zip(jobs, _targets(plot, names, PLOT_SUFFIXES, ".png", "--plot"), strict=True):
            job.plot = path
    for job in jobs:
        for path in job.outputs:
            if os.path.exists(job.video) and path.exists() and os.path.samefile(job.video, path):
                raise CommandError(f"{path}: this would overwrite the video itself. Choose another name.")
    return jobs


def _targets(
    target: Path, names: list[str], suffixes: tuple[str, ...], default_suffix: str, option: str
) -> list[Path]:
    """One file for each video: the target itself, or files in it if it is a folder."""
    is_file = target.suffix.lower() in suffixes
    if is_file and target.is_dir():
        raise CommandError(f"{option} {target}: this is a folder. Name a file in it, or give the folder another name.")
    if is_file and len(names) > 1:
        raise CommandError(f"{option} {target}: one file cannot hold {len(names)} videos. Name a folder instead.")
    if not is_file and target.suffix and not target.is_dir():
        raise CommandError(
            f"{option} {target}: files of the kind {target.suffix!r} are not written. Use {', '.join(suffixes)} or a"
            " folder."
        )
    _check_writable(target if not is_file else target.parent, f"{option} {target}")
    return [target] if is_file else [target / f"{name}{default_suffix}" for name in names]


def _check_writable(folder: Path, what: str) -> None:
    """Whether the folder, or the nearest one above it that exists, takes new files: known before the work is done."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise CommandError(f"{what}: {folder} is a file, not a folder. Choose another place.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CommandError(f"{what}: no permission to write into {folder}. Choose another place.")


def _distinct_names(videos: list[str]) -> list[str]:
    """
    File names without suffix. Where they would be the same, the folder comes first, and if that does not help, the
    suffix last: `s1/a.mpg s2/a.mpg` -> `s1-a s2-a`.
    """
    paths = []
    for video in videos:
        is_url = re.match(r"(file|https?):", video, re.IGNORECASE)
        paths.append(Path(urllib.parse.unquote(urllib.parse.urlsplit(video).path) if is_url else video).absolute())
    candidates = (
        [path.stem for path in paths],
        [f"{path.parent.name}-{path.stem}" for path in paths],
        [f"{path.parent.name}-{path.stem}-{path.suffix[1:]}" for path in paths],
    )
    names = list(candidates[0])
    for longer in candidates[1:]:
        clashing = {name for name in names if names.count(name) > 1}
        names = [long if name in clashing else name for name, long in zip(names, longer, strict=True)]
    for name, video in zip(names, videos, strict=True):
        if names.count(name) > 1:
            raise CommandError(
                f"{video}: another video would have the same output name, {name}. Do them one at a time."
            )
    return names


def _speak_batch(pipe, jobs, show_progress):
    """Yields each job with `(result, seconds taken, its share)`, or with the exception that stopped it."""
    parameters = {"return_crops": any(job.plot for job in jobs), "progress": show_progress}
    if len(jobs) > 1:
        start = time.perf_counter()
        with contextlib.suppress(Exception):  # one bad video stops a batch: then each goes on its own, below
            results = pipe([job.video for job in jobs], batch_size=len(jobs), **parameters)
            seconds = time.perf_counter() - start
            total = sum(len(result["audio"]) for result in results)
            yield from (
                (job, (r, seconds * len(r["audio"]) / max(total, 1))) for job, r in zip(jobs, results, strict=True)
            )
            return
    for job in jobs:
        start = time.perf_counter()
        try:
            result = pipe(job.video, **parameters)
        except Exception as error:
            yield job, error
        else:
            yield job, (result, time.perf_counter() - start)


def _finish(job: Job, outcome, frame_rate: float, messages: list[str]) -> dict:
    """Write the files of a job; the record of what was done, or of why not."""
    try:
        if isinstance(outcome, Exception):
            raise outcome
        result, seconds = outcome
        _write_outputs(job, result, frame_rate)
    except Exception as error:
        report_error(error, job.video)
        return {"file": job.video, "error": one_line(error)}
    duration = len(result["audio"]) / result["sampling_rate"]
    written = [str(path) for path in (*job.outputs, job.plot) if path is not None]
    return {
        "file": job.video,
        "output": written[0],
        "outputs": written,
        "text": result["text"],
        "words": [
            {key: round(value, 4) if isinstance(value, float) else value for key, value in word.items()}
            for word in result["words"]
        ],
        "duration": round(duration, 4),
        "sampling_rate": result["sampling_rate"],
        "real_time_factor": round(seconds / duration, 4) if duration else None,
        "face_coverage": round(result["face_coverage"], 4),
        "warnings": [message for message in messages if message.startswith(f"{one_line(job.video)}:")],
    }


def _write_outputs(job: Job, result: dict, frame_rate: float) -> None:
    from ..audio import mux_audio, write_audio

    for path in job.outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == VIDEO_SUFFIX:
            mux_audio(job.video, result["audio"], result["sampling_rate"], path)
        else:
            write_audio(path, result["audio"], result["sampling_rate"])
    if job.plot is not None:
        from ..plotting import plot_speech

        job.plot.parent.mkdir(parents=True, exist_ok=True)
        title = f'{os.path.basename(job.video)}: "{result["text"]}"'
        plot_speech(
            job.plot, result["audio"], result["sampling_rate"], result["words"], result["crops"], frame_rate, title
        )


def _describe(record: dict) -> str:
    """The report on one video, for people."""
    seconds = record["real_time_factor"] * record["duration"] if record["duration"] else 0.0
    return "\n".join(
        [
            record["file"],
            f"  text      {record['text'] or '(no words recognised)'}",
            f"  duration  {record['duration']:.2f} s",
            f"  speed     {seconds:.2f} s, real-time factor {record['real_time_factor'] or 0:.3f}",
            f"  output    {', '.join(record['outputs'])}",
        ]
    )


def load_pipeline(folder: Path, device: str | None = None, dtype: str = "auto"):
    """
    The pipeline of a model's folder, as [`find_model`] gives it.

    Raises:
        CommandError: if the device cannot be used, or the weights do not fit the configuration.
    """
    import torch

    if device is not None:
        try:
            torch.zeros(1, device=device)
        except Exception as error:
            cause = one_line(error).split(". ")[0]
            raise CommandError(f"--device {device}: it cannot be used here ({cause}). Use --device cpu.") from error

    from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
    from ..modeling_lip2wav import Lip2WavModel
    from ..pipeline_video_to_speech import VideoToSpeechPipeline

    try:
        model, report = Lip2WavModel.from_pretrained(folder, dtype=dtype, output_loading_info=True)
        extractor = Lip2WavFeatureExtractor.from_pretrained(folder)
    except Exception as error:
        raise CommandError(f"model {folder}: it cannot be loaded ({one_line(error)}). Save it again.") from error
    unfit = sorted({*report["missing_keys"], *(str(key) for key in report["mismatched_keys"])})
    if unfit:
        raise CommandError(
            f"model {folder}: the weights do not fit config.json ({len(unfit)} are missing or have another shape,"
            f" e.g. {unfit[0]}). Save it again."
        )
    return VideoToSpeechPipeline(task="video-to-speech", model=model, feature_extractor=extractor, device=device)
