"""What the page answers to a video: speech, words, pictures and scores against the original, of one checkpoint.

Everything comes from the pipeline's result; the video goes into the pipeline as it was uploaded.
"""

import functools
import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np

from lip2wav_hf import VideoToSpeechPipeline
from lip2wav_hf.audio import mux_audio, read_audio, write_audio
from lip2wav_hf.comparison.clips import videos_shown
from lip2wav_hf.comparison.gallery import build_gallery
from lip2wav_hf.comparison.systems import System
from lip2wav_hf.errors import Lip2WavError
from lip2wav_hf.evaluation.plotting import plot_speech
from lip2wav_hf.evaluation.systems import reads_words
from lip2wav_hf.face_tracking import FaceTrackingError
from lip2wav_hf.pipeline_video_to_speech import SpokenVideo, Word
from lip2wav_hf.studio.uploads import Limits, RequestError, check_video, doubts, without_folder
from lip2wav_hf.video import VideoError


METRICS = {"pesq_nb": "PESQ narrow band", "pesq_wb": "PESQ wide band", "stoi": "STOI", "estoi": "ESTOI"}

# One thread: matplotlib does not promise to draw in several. And one lock: the metrics use numpy's global generator.
_drawer = ThreadPoolExecutor(1, thread_name_prefix="draw")
_scoring = threading.Lock()


@dataclass
class Answer:
    """
    What one checkpoint made of a video.

    Args:
        checkpoint (`str`): Its name.
        text (`str`): The words, joined by spaces.
        words (`list[Word]`): With times in seconds and confidences from 0 to 1.
        face_coverage (`float`): Share of the frames that show a face, from 0 to 1.
        seconds (`float`): Time that the pipeline took.
        wav, mp4, mouth, picture (`str`): Files: the speech, the video with it, the mouth crops with it, the
            spectrogram.
        original (`str` or `None`): File with the sound that came with the video, if it is not silent.
        scores (`dict[str, float]`): Values of [`METRICS`] against the original sound, as far as there are any.
        doubts (`list[str]`): Why the speech is probably wrong.
    """

    checkpoint: str
    text: str
    written: str
    words: list[Word]
    face_coverage: float
    seconds: float
    wav: str
    mp4: str
    mouth: str
    picture: str
    original: str | None = None
    scores: dict[str, float] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)

    def details(self) -> dict:
        """The facts without the files, for JSON."""
        return {
            "checkpoint": self.checkpoint,
            "text": self.text,
            "written": self.written,
            "words": [
                {key: round(value, 4) if isinstance(value, float) else value for key, value in word.items()}
                for word in self.words
            ],
            "face_coverage": round(self.face_coverage, 4),
            "scores": {name: round(value, 4) for name, value in self.scores.items()},
            "doubts": self.doubts,
        }


def original_sound(video: str, sampling_rate: int) -> np.ndarray | None:
    """The sound that came with the video, float32 (samples,); `None` if there is none, or nothing but silence."""
    try:
        audio = read_audio(video, sampling_rate)
    except VideoError:  # pictures that can be read beside a sound that cannot
        return None
    return None if audio is None or not audio.size or not np.ptp(audio) else audio


def answer_with(pipe: VideoToSpeechPipeline, checkpoint: str, video: str, folder: Path) -> Answer:
    """
    Speak a video with one checkpoint, and write what there is to see and hear of it.

    Args:
        pipe (`VideoToSpeechPipeline`): The pipeline.
        checkpoint (`str`): What its checkpoint is called.
        video (`str`): Path of a video that [`check_video`] lets through.
        folder (`Path`): Where the files go.

    Raises:
        RequestError: if the video shows no face, or cannot be decoded.
    """
    start = time.perf_counter()
    try:
        result = cast(SpokenVideo, pipe(video, return_crops=True))
    except FaceTrackingError as error:
        raise RequestError(
            f"No face was found in {os.path.basename(video)}. Take a video in which one face looks towards the camera,"
            " in good light, and not too small."
        ) from error
    except VideoError as error:
        raise RequestError(without_folder(error, video)) from error
    seconds = time.perf_counter() - start
    audio, rate = result["audio"], result["sampling_rate"]
    folder = folder / _file_name(checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{_stem(video)}_{_file_name(checkpoint)}"
    files = {name: str(folder / f"{stem}{end}") for name, end in _FILES.items()}
    frame_rate = pipe.model.config.frame_rate
    picture = _drawer.submit(plot_speech, files["picture"], audio, rate, result["words"], result["crops"], frame_rate)
    write_audio(files["wav"], audio, rate)
    mux_audio(video, audio, rate, files["mp4"])
    mux_audio(result["crops"], audio, rate, files["mouth"], fps=frame_rate)
    original = original_sound(video, rate)
    if original is not None:
        write_audio(files["original"], original, rate)
    else:
        del files["original"]
    scores = score(audio, original, rate)
    picture.result()
    return Answer(
        checkpoint=checkpoint,
        text=result["text"],
        written=result["written"],
        words=result["words"],
        face_coverage=result["face_coverage"],
        seconds=seconds,
        scores=scores,
        doubts=doubts(result, reads_words(pipe)),
        **files,
    )


def compare_with(pipes: dict[str, VideoToSpeechPipeline], video: str, folder: Path) -> Path:
    """
    Build the page of `lip2wav gallery` for a video: its own sound and that of some checkpoints in turn.

    Args:
        pipes (`dict[str, VideoToSpeechPipeline]`): The pipelines, by what their checkpoints are called.
        video (`str`): Path of a video that [`check_video`] lets through.
        folder (`Path`): Where the page goes; it is there already.

    Returns:
        `Path`: of the page.

    Raises:
        RequestError: if the video shows no face, cannot be decoded, or is too long for such a page.
    """
    work = folder / "work"
    work.mkdir()
    systems = [System(name, pipe) for name, pipe in pipes.items()]
    metrics = ("pesq", "stoi") if metric_functions() else ()
    try:
        shown = videos_shown([video], work)
        with _scoring:
            built = build_gallery(shown, systems, folder / "page", work, metrics=metrics, progress=False)
    except Lip2WavError as error:
        raise RequestError(without_folder(error, video)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return built.page


_FILES = {"wav": ".wav", "mp4": ".mp4", "mouth": "_mouth.mp4", "picture": ".png", "original": "_original.wav"}


def score(audio: np.ndarray, original: np.ndarray | None, sampling_rate: int) -> dict[str, float]:
    """The metrics of speech against the original; empty without an original, or where they are not installed."""
    functions = metric_functions()
    if original is None or not functions:
        return {}
    scores = {}
    with _scoring:
        for function in functions:
            try:
                scores.update(function(audio, original, sampling_rate))
            except ValueError:  # too short to be scored
                continue
    return {name: scores[name] for name in METRICS if np.isfinite(scores.get(name, np.nan))}


@functools.cache
def metric_functions() -> tuple[Callable[..., dict[str, float]], ...]:
    """The functions that score a pair of waveforms; none without the packages of the extra `evaluate`."""
    try:
        from lip2wav_hf.metrics.pesq.pesq import pesq_pair
        from lip2wav_hf.metrics.stoi.stoi import stoi_pair
    except ImportError:
        return ()
    return pesq_pair, stoi_pair


def _stem(video: str) -> str:
    return _file_name(Path(video).stem)[:60]


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "video"


__all__ = [
    "METRICS",
    "Answer",
    "Limits",
    "RequestError",
    "answer_with",
    "check_video",
    "compare_with",
    "metric_functions",
    "original_sound",
    "score",
]
