"""The command `lip2wav`: `speak` gives silent videos their speech, `info` describes a model, `evaluate` measures it.

What only some commands need is imported where it is needed.
"""

import contextlib
import dataclasses
import enum
import json
import logging
import math
import os
import re
import sys
import textwrap
import time
import traceback
import urllib.parse
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from .. import DEFAULT_CHECKPOINT
from ..errors import Lip2WavError
from ..evaluation.evaluate import BUNDLED_MODELS, evaluate_command
from ..hub.card_results import card_command
from ..hub.card_texts import write_card_command
from ..hub.push import push_command
from ..training.averaging import average_command
from .grid import download_command, export_command, prepare_command


DEFAULT_MODEL = Path(DEFAULT_CHECKPOINT).name

SOUND_SUFFIXES = (".wav", ".flac")
VIDEO_SUFFIX = ".mp4"
PLOT_SUFFIXES = (".png", ".svg", ".pdf")

BAD_INPUT = 2  # exit status


class CommandError(Lip2WavError):
    """A command that cannot be carried out; the message names what is wrong and what to do."""


class Dtype(str, enum.Enum):
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


app = typer.Typer(name="lip2wav", add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command: errors become one line on stderr and exit status 2."""
    with contextlib.suppress(AttributeError):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names that the terminal cannot show
    try:
        status = app(args=arguments, prog_name="lip2wav", standalone_mode=False) or 0
    except CommandError as error:
        status = _report_error(error)
    except (KeyboardInterrupt, typer.Abort):
        _print_error("error: interrupted.")
        status = 130
    except BrokenPipeError:  # the reader of our output has gone, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except Exception as error:
        if not hasattr(error, "format_message"):  # not a usage error of the command line parser
            raise
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "lip2wav"
        status = _report_error(f"{error.format_message().rstrip('.')}. See `{command} --help`.")
    sys.exit(status)


def _print_version(wanted: bool):
    if wanted:
        print(f"lip2wav {version('lip2wav_hf')}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def lip2wav(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
):
    """
    Speech from silent videos of talking faces.

    \b
    Examples:
      lip2wav speak clip.mpg -o clip.wav
      lip2wav speak clip.mpg -o clip.mp4 --plot clip.png
      lip2wav speak videos/*.mp4 -o speech/ --json > speech.jsonl
      lip2wav info

    `lip2wav speak --help` tells all about it.
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


# ---------------------------------------------------------------------------------------------------------------------
# speak
# ---------------------------------------------------------------------------------------------------------------------


@app.command()
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
    with _quiet_libraries() as messages:
        pipe = load_pipeline(folder, device, dtype.value)
        return _speak_all(pipe, jobs, batch_size, messages, json_lines, quiet)


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
        for job, path in zip(jobs, _targets(target, names, suffixes, ".wav", "-o")):
            job.outputs.append(path)
    if plot is not None:
        for job, path in zip(jobs, _targets(plot, names, PLOT_SUFFIXES, ".png", "--plot")):
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
        names = [long if name in clashing else name for name, long in zip(names, longer)]
    for name, video in zip(names, videos):
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
            yield from ((job, (r, seconds * len(r["audio"]) / max(total, 1))) for job, r in zip(jobs, results))
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
        _report_error(error, job.video)
        return {"file": job.video, "error": _one_line(error)}
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
        "warnings": [message for message in messages if message.startswith(f"{_one_line(job.video)}:")],
    }


def _write_outputs(job: Job, result: dict, frame_rate: float) -> None:
    from ..video import mux_audio, write_audio

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


# ---------------------------------------------------------------------------------------------------------------------
# models
# ---------------------------------------------------------------------------------------------------------------------


def find_model(model: str) -> Path:
    """
    The folder of a model: a bundled one by its name, a folder, or a repository of the Hub, which is downloaded.

    Raises:
        CommandError: if there is none, or if it lacks something.
    """
    folder = BUNDLED_MODELS / model if (BUNDLED_MODELS / model).is_dir() and model not in (".", "..") else Path(model)
    if folder.is_file():
        raise CommandError(
            f"model {model}: this is a file. Name the folder that holds config.json and model.safetensors."
        )
    if not folder.is_dir():
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", model):
            raise CommandError(f"model {model}: there is no such folder. {_bundled_models()}")
        folder = _download_model(model)
    for name in ("config.json", "preprocessor_config.json"):
        if not (folder / name).is_file():
            raise CommandError(
                f"model {model}: there is no {name} in it, so it is not a saved model. {_bundled_models()}"
            )
    if not _weight_files(folder):
        raise CommandError(f"model {model}: there are no weights (model.safetensors) in it. Save the model again.")
    model_type = _read_json(folder / "config.json").get("model_type")
    if model_type != "lip2wav":
        raise CommandError(
            f"model {model}: it is a model of the type {model_type!r}, not 'lip2wav'. {_bundled_models()}"
        )
    return folder


def _bundled_models() -> str:
    names = sorted(path.parent.name for path in BUNDLED_MODELS.glob("*/config.json"))
    bundled = ", ".join(names) or "(none in this installation)"
    return f"Give a folder, a repository of the Hub, or a bundled model: {bundled}."


def _download_model(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    patterns = ["config.json", "preprocessor_config.json", "model*.safetensors*", "README.md"]
    try:
        return Path(snapshot_download(repository, allow_patterns=patterns))
    except Exception as error:
        raise CommandError(
            f"model {repository}: there is no such folder, and the Hub does not give it either"
            f" ({type(error).__name__}). Check the name and the network. {_bundled_models()}"
        ) from error


def _weight_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("model*.safetensors"))


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"{path}: it cannot be read as JSON ({_one_line(error)}). Save the model again.") from error
    return content if isinstance(content, dict) else {}


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
            cause = _one_line(error).split(". ")[0]
            raise CommandError(f"--device {device}: it cannot be used here ({cause}). Use --device cpu.") from error

    from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
    from ..modeling_lip2wav import Lip2WavModel
    from ..pipeline_video_to_speech import VideoToSpeechPipeline

    try:
        model, report = Lip2WavModel.from_pretrained(folder, dtype=dtype, output_loading_info=True)
        extractor = Lip2WavFeatureExtractor.from_pretrained(folder)
    except Exception as error:
        raise CommandError(f"model {folder}: it cannot be loaded ({_one_line(error)}). Save it again.") from error
    unfit = sorted({*report["missing_keys"], *(str(key) for key in report["mismatched_keys"])})
    if unfit:
        raise CommandError(
            f"model {folder}: the weights do not fit config.json ({len(unfit)} are missing or have another shape,"
            f" e.g. {unfit[0]}). Save it again."
        )
    return VideoToSpeechPipeline(task="video-to-speech", model=model, feature_extractor=extractor, device=device)


@app.command()
def info(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A bundled model, a folder, or a repository on the Hugging Face Hub."),
    ] = DEFAULT_MODEL,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
):
    """
    Describe a model.

    Architecture, size, rates, vocabulary, and the measured results of its model card.

    \b
    Examples:
      lip2wav info
      lip2wav info runs/my-voice/best --json
    """
    facts = describe_model(find_model(model))
    if as_json:
        print(json.dumps(facts))
        return
    lines = {
        "model": [f"{facts['model']} ({facts['folder']})"],
        "architecture": [f"{facts['architecture']}, decoder {facts['decoder_type']}"],
        "parameters": [f"{facts['parameters'] / 1e6:.2f} million ({', '.join(facts['weights'])})"],
        "size": [f"{facts['bytes'] / 1e6:.1f} MB"],
        "sampling rate": [f"{facts['sampling_rate']} Hz"],
        "frame rate": [f"{facts['frame_rate']:g} frames/s"],
        "mouth crops": [f"{facts['crop_width']} x {facts['crop_height']} pixels"],
        "vocabulary": textwrap.wrap(f"{len(facts['vocabulary'])} words: {', '.join(facts['vocabulary'])}", 76),
        "results": facts["results"] or ["(the model card has none)"],
    }
    for name, values in lines.items():
        for index, value in enumerate(values):
            print(f"{'' if index else name:<15} {value}")


def describe_model(folder: Path) -> dict:
    """The facts that `lip2wav info` prints, read from the files alone: no network is made of them."""
    from safetensors import SafetensorError, safe_open

    from ..configuration_lip2wav import Lip2WavConfig

    try:
        config = Lip2WavConfig(**_read_json(folder / "config.json"))
    except Exception as error:
        raise CommandError(f"{folder / 'config.json'}: {_one_line(error)} Save the model again.") from error
    parameters, types = 0, set()
    for path in _weight_files(folder):
        try:
            with safe_open(path, framework="numpy") as weights:
                for key in weights.keys():
                    tensor = weights.get_slice(key)
                    if tensor.get_dtype()[0] in "FB":  # floats; integers are counters
                        parameters += math.prod(tensor.get_shape())
                        types.add(tensor.get_dtype())
        except (SafetensorError, OSError) as error:
            raise CommandError(
                f"{path}: the weights cannot be read ({_one_line(error)}). Save the model again."
            ) from error
    return {
        "model": folder.name,
        "folder": str(folder),
        "architecture": "Lip2WavModel",
        "decoder_type": config.decoder_type,
        "parameters": parameters,
        "weights": sorted(types),
        "bytes": sum(path.stat().st_size for path in _weight_files(folder)),
        "sampling_rate": config.sampling_rate,
        "frame_rate": config.frame_rate,
        "crop_width": config.image_width,
        "crop_height": config.image_height,
        "vocabulary": list(config.vocabulary),
        "results": _card_results(folder),
    }


def _card_results(folder: Path) -> list[str]:
    """The measured results in the model card's metadata, one line each."""
    from huggingface_hub import ModelCard

    card_file = folder / "README.md"
    if not card_file.is_file():
        return []
    try:
        results = ModelCard.load(card_file).data.eval_results or []
    except Exception as error:
        return [f"(the model card cannot be read: {_one_line(error)})"]
    lines = []
    for result in results:
        value = result.metric_value
        shown = f"{value:g}" if isinstance(value, (int, float)) else str(value)
        where = " ".join(filter(None, (result.dataset_name, result.dataset_split)))
        lines.append(f"{result.metric_name or result.metric_type} {shown} ({where})")
    return lines


app.command("download")(download_command)
app.command("prepare")(prepare_command)
app.command("export")(export_command)
app.command("evaluate")(evaluate_command)
app.command("average")(average_command)
app.command("card")(card_command)
app.command("push")(push_command)
app.command("write-card")(write_card_command)


# ---------------------------------------------------------------------------------------------------------------------
# messages
# ---------------------------------------------------------------------------------------------------------------------


class _WarningLines(logging.Handler):
    """Shows each warning of the package as one line, and keeps it for the JSON records."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        message = _one_line(record.getMessage())
        self.messages.append(message)
        _print_error(f"warning: {message}")


@contextlib.contextmanager
def _quiet_libraries():
    """Only our own messages are shown, one line each. Gives the list in which our warnings are collected."""
    from transformers.utils import logging as transformers_logging

    logger, handler = logging.getLogger("lip2wav_hf"), _WarningLines()
    propagate, verbosity = logger.propagate, transformers_logging.get_verbosity()
    progress_bars = transformers_logging.is_progress_bar_enabled()
    logger.addHandler(handler)
    logger.propagate = False
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield handler.messages
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        transformers_logging.set_verbosity(verbosity)
        if progress_bars:
            transformers_logging.enable_progress_bar()


def _report_error(error: Exception | str, video: str | None = None) -> int:
    """One line on stderr; the traceback only where it is asked for."""
    message = _one_line(error)
    if video is not None and video not in message:
        message = f"{video}: {message}"
    if isinstance(error, Exception) and os.environ.get("LIP2WAV_DEBUG"):
        traceback.print_exception(error)
    elif isinstance(error, Exception) and not isinstance(error, (ValueError, OSError)):
        message += " Set LIP2WAV_DEBUG=1 to see where it happened."
    _print_error(f"error: {message}")
    return BAD_INPUT


def _print_error(line: str) -> None:
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)


def _one_line(error: Exception | str) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, Exception) and not isinstance(error, ValueError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text


if __name__ == "__main__":
    main()
