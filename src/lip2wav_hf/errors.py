"""The common base of this package's errors, how messages are worded, and how native code and threads are used."""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib.util
import json
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from fractions import Fraction
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast


if TYPE_CHECKING:
    import numpy as np


Given = ParamSpec("Given")
Made = TypeVar("Made")

CLIP_KEYS = ("video", "fps", "landmarks", "mouth_boxes", "speaker_embedding")
"""What a dict given for a video may hold."""

DTYPES = ("auto", "float32", "bfloat16", "float16")
"""Types of numbers that a network may calculate in, by name; `"auto"` is the one that it was saved with."""


class Lip2WavError(ValueError):
    """Base of this package's errors, raised for unusable input: the message says what is wrong and what to do."""


class VideoError(Lip2WavError):
    """A video or sound that cannot be read or written; the message names it, the cause and the remedy."""


class PartError(VideoError):
    """A part of a video that begins after its end."""


class PictureError(VideoError):
    """A still picture, or a text, where a video is wanted."""


class StreamingError(Lip2WavError):
    """A network that cannot speak live, or pieces that do not fit its chunks."""


class MissingExtraError(Lip2WavError):
    """A package that is not installed, because the extra that brings it is not."""


def install_extra(extra: str) -> str:
    """How to install an extra of this package, for a message."""
    return f"pip install '.[{extra}]' in a checkout of lip2wav_hf"


def missing_extra(extra: str, package: str, purpose: str, otherwise: str = "") -> MissingExtraError:
    """
    The error for a package that is not installed.

    Args:
        extra (`str`): the extra that brings the package, such as `"evaluate"`.
        package (`str`): the package.
        purpose (`str`): what needs it; begins the message.
        otherwise (`str`, *optional*): how to do without it.
    """
    alternative = f"; or do without: {otherwise}" if otherwise else ""
    return MissingExtraError(f"{purpose} needs the package {package}: {install_extra(extra)}{alternative}.")


def require_packages(extra: str, purpose: str, *packages: str) -> None:
    """
    Check that packages are installed, without importing them.

    Args:
        extra (`str`): the extra that brings them.
        purpose (`str`): what needs them; begins the message.
        packages (`str`): top-level modules.

    Raises:
        MissingExtraError: for the first that is missing.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise missing_extra(extra, package, purpose)


class WeightsError(Lip2WavError):
    """Weights that cannot be used: they are missing, damaged or pickled, or do not fit the configuration."""


def one_line(error: BaseException | str) -> str:
    """
    The message of an error, or a text, on one line.

    An error that is no `ValueError` is preceded by the name of its class, which often says more than the message.
    """
    text = " ".join(str(error).split())
    if isinstance(error, BaseException) and not isinstance(error, ValueError):
        return f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text or type(error).__name__


def name_options(text: str, option: Callable[[str], str | None]) -> str:
    """
    A message for somebody at a command line. Messages name arguments of Python as `` `split_scheme=` ``, or with a
    value, `` `overwrite=True` ``, between backticks. What `False` turns off may have an option of its own.

    Args:
        text (`str`): the message.
        option (callable): from the name of an argument, or from `"NAME=False"`, to its option; `None` leaves it as it
            is.
    """

    def spelt(found: re.Match[str]) -> str:
        argument, value = found.groups()
        name = option(f"{argument}=False" if value == "False" else argument)
        return found[0] if name is None else name if value in ("", "True", "False") else f"{name} {value}"

    return re.sub(r"`(\w+)=(\w*)`", spelt, text)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """
    A number with its noun, for a message: "1 clip", "2 clips".

    Args:
        number (`int`): how many.
        noun (`str`): what, for one of them; it may begin with adjectives.
        plural (`str`, *optional*): for any other number; by default the noun with an "s".
    """
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """The question whether one of the known names was meant, after a space, for a message; empty if none is alike."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {close[0]}?" if close else ""


def check_dtype(dtype: Any, name: str = "dtype", error: type[Lip2WavError] = Lip2WavError) -> None:
    """
    Check the type of numbers that a network is to calculate in: transformers would take float32 for one that it does
    not know.

    Args:
        dtype (`str` or `torch.dtype`, *optional*): one of `DTYPES`, or float64; `None` for that of the network.
        name (`str`, *optional*, defaults to `"dtype"`): of the argument.
        error (`type`, *optional*): what is raised.

    Raises:
        `error`: names the argument, what was given and what there is.
    """
    spelt = dtype if isinstance(dtype, str) else str(dtype).removeprefix("torch.")
    if dtype is None or spelt in (*DTYPES, "float64"):
        return
    hint = did_you_mean(spelt, DTYPES)
    if spelt == "int8":
        hint = " int8 is one of ONNX Runtime: see `lip2wav speak --dtype int8` and OnnxGenerator in docs/own-video.md."
    given = repr(dtype) if isinstance(dtype, str) else spelt
    raise error(f"{name}={given}: there are {', '.join(DTYPES)}.{hint}")


@contextlib.contextmanager
def silent_stderr() -> Generator[None, None, None]:
    """Keep what native code writes on stderr, such as LiteRT's greeting, out of what a program prints there."""
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no stderr to keep it out of
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def in_one_thread(function: Callable[Given, Made]) -> Callable[Given, Made]:
    """Decorator of what works on small pictures: OpenCV's other threads would spin until the next one comes, which
    costs a fifth of the processor time of following a face."""

    @functools.wraps(function)
    def alone(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        import cv2  # noqa: PLC0415  not all that this module serves needs it

        threads = cv2.getNumThreads()
        if threads == 1:
            return function(*args, **kwargs)
        cv2.setNumThreads(1)
        try:
            return function(*args, **kwargs)
        finally:
            cv2.setNumThreads(threads)

    return alone


def in_background(items: Iterable[Made], ahead: int = 2) -> Generator[Made]:
    """
    The same items, none of them `None`, made by a thread of its own up to `ahead` in advance: both processors have
    work. What is raised there is raised here; once the generator is closed, nothing more is made.
    """
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  not all that this module serves needs it

    made = iter(items)
    with ThreadPoolExecutor(1, "reading ahead") as pool:
        waiting = deque(pool.submit(next, made, None) for _ in range(ahead))
        try:
            while (item := waiting.popleft().result()) is not None:
                waiting.append(pool.submit(next, made, None))
                yield cast(Made, item)
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def readable_settings(what: str, folder: Any = None) -> Generator[None]:
    """
    While settings are read from a JSON file, of a folder if it is one: what is no JSON object raises
    [`Lip2WavError`], which names `what`.
    """
    try:
        yield
    except (TypeError, AttributeError, LookupError, RecursionError, UnicodeError) as error:
        raise Lip2WavError(f"{what} holds no settings ({one_line(error)}). Get the file again.") from error
    except OSError as error:  # transformers says so of damaged files and of missing ones
        is_there = folder is not None and os.path.isfile(os.path.join(folder, what))
        damage = (TypeError, AttributeError, UnicodeError, json.JSONDecodeError)
        if not is_there and not isinstance(error.__context__, damage):
            raise
        raise Lip2WavError(f"{what} cannot be read as JSON ({one_line(error)}). Get the file again.") from error


def check_fit(name: str | os.PathLike | None, report: dict[str, Any]) -> None:
    """Raise [`WeightsError`] if a loading report names missing, unexpected or mismatched weights."""
    problems = []
    for kind, text in (
        ("missing_keys", "missing"),
        ("mismatched_keys", "of another shape"),
        ("unexpected_keys", "left over"),
    ):
        keys = sorted(key if isinstance(key, str) else str(key[0]) for key in report.get(kind) or ())
        if keys:
            problems.append(f"{len(keys)} {text}, e.g. {keys[0]}")
    if problems:
        raise WeightsError(
            f"{name}: the weights do not fit config.json ({'; '.join(problems)}). Take both from the same model; to"
            " train on from them nevertheless, pass ignore_mismatched_sizes=True."
        )


def fit_report(own: Mapping[str, Any], weights: Mapping[str, Any]) -> dict[str, list[str]]:
    """How weights fit those that a network has, in the words of transformers' loading report."""
    return {
        "missing_keys": [key for key in own if key not in weights],
        "unexpected_keys": [key for key in weights if key not in own],
        "mismatched_keys": [key for key in own if key in weights and own[key].shape != weights[key].shape],
    }


def check_speaks(network: Any) -> None:
    """Raises `Lip2WavError` if a network cannot make speech of a video."""
    if not callable(getattr(network, "synthesize", None)):
        model_type = getattr(getattr(network, "config", None), "model_type", None)
        raise Lip2WavError(
            f"speaking needs a model of the type 'lip2wav', not {model_type!r}, or another that can `synthesize`."
            " Check the name of the model, and that its config.json was not changed."
        )


def video_name(video: Any) -> str:
    """What messages call the video."""
    if isinstance(video, (str, os.PathLike)):
        return os.fsdecode(video)
    if hasattr(video, "shape"):
        return f"array of shape {video.shape}"
    if isinstance(video, (bytes, bytearray, memoryview)):
        return f"video of {len(video)} bytes"
    return str(getattr(video, "name", "the video"))


def as_array(video: Any) -> Any:
    """
    A tensor of pictures as the array that it is; anything else as it is.

    Raises:
        VideoError: for a tensor of other numbers, or with the channels first.
    """
    if not (hasattr(video, "detach") and hasattr(video, "numpy")):
        return video
    name = f"tensor of shape {tuple(video.shape)}"
    if str(video.dtype) != "torch.uint8":
        raise VideoError(f"{name}: its dtype is {video.dtype}, but pictures are uint8 (0 to 255). Convert it.")
    if video.ndim == 4 and video.shape[3] != 3 and video.shape[1] == 3:
        raise VideoError(f"{name}: its channels come first. Pass video.permute(0, 2, 3, 1).")
    return video.detach().cpu().numpy()


def as_clip(video: Any) -> dict[str, Any]:
    """The video and what came with it, as keyword arguments of the feature extractor."""
    if video is None:
        raise VideoError("The video is None: pass a path, a URL, bytes, a file object or an array.")
    if isinstance(video, (list, tuple)):
        raise VideoError("A list inside the list of videos: pass one flat list, and each video as one path or array.")
    if not isinstance(video, dict):
        return {"video": as_array(video)}
    if set(video) == {"path", "bytes"}:  # a `Video(decode=False)` column of `datasets`
        return {"video": video["path"] if video["bytes"] is None else video["bytes"]}
    unknown = sorted(set(video) - set(CLIP_KEYS))
    if unknown or video.get("video") is None:
        problem = f"has the unknown keys {unknown}" if unknown else 'has no "video"'
        raise VideoError(f"The dict given for a video {problem}. Its keys may be: {', '.join(CLIP_KEYS)}.")
    given = {name: value for name, value in video.items() if value is not None}
    return given | {"video": as_array(video["video"])}


def finite_numbers(values: Any, what: str, name: str) -> np.ndarray:
    """An array of finite numbers; raises `ValueError` if that is not what `values`, an argument for a video, are."""
    import numpy as np  # noqa: PLC0415  not for messages

    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"`{what}` for {name} must be an array of numbers: {error}") from error
    if array.dtype.kind not in "iuf":
        raise ValueError(f"`{what}` for {name} must be an array of numbers, not of {array.dtype}")
    if not np.isfinite(array).all():
        frame = int(np.argwhere(~np.isfinite(np.atleast_1d(array)))[0][0])
        raise ValueError(f"`{what}` for {name} hold NaN or infinity (first at frame {frame}): interpolate them first")
    return array


def with_article(noun: str) -> str:
    """A noun with its article, for a message: "a list", "an int"."""
    return f"{'an' if noun[:1] in tuple('aeioAEIO') else 'a'} {noun}"


def check_number(
    value: Any, name: str, wanted: str = "a number", error: type[Lip2WavError] = Lip2WavError, whole: bool = False
) -> None:
    """
    Check that an argument is a number.

    Args:
        value: what was given.
        name (`str`): of the argument.
        wanted (`str`, *optional*, defaults to `"a number"`): what it must be, for the message.
        error (`type`, *optional*): what is raised.
        whole (`bool`, *optional*, defaults to `False`): whether it must be an integer.

    Raises:
        `error`: names the argument, what was given and what is wanted.
    """
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        raise error(f"{name}={value!r}: it must be {wanted}, not {with_article(type(value).__name__)}.")


def check_path(value: Any, name: str, wanted: str, error: type[Lip2WavError] = Lip2WavError) -> None:
    """The same for a path, or another text."""
    if not isinstance(value, (str, os.PathLike)):
        raise error(f"{name}={value!r}: it must be {wanted}, not {with_article(type(value).__name__)}.")


def check_rate(value: Any, what: str, name: str) -> Fraction:
    """`value` as a fraction: 25.0 and 29.97 exactly as written."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        rate = Fraction(value if isinstance(value, Fraction) else float(value)).limit_denominator(10_000)
        if rate > 0:
            return rate
    raise VideoError(f"{name}: {what} is {value!r}, but it must be a positive number of frames per second.")


def nothing_decoded(name: str) -> VideoError:
    """The error for a video stream without any frame that can be decoded."""
    return VideoError(f"{name}: not one picture in it can be decoded; it is damaged or not finished. Get it again.")


def nothing_there(name: str, start: Fraction) -> VideoError:
    """The error for a part that begins after the end of its video."""
    return PartError(f"{name}: it is over before {float(start):g} s, where the part begins. Check the start.")


def check_array(array: np.ndarray, fps: float | None) -> str:
    """The name of an array of pictures in messages; raises `VideoError` if it is not one."""
    name = f"array of shape {array.shape}"
    if array.dtype != "uint8":
        raise VideoError(f"{name}: its dtype is {array.dtype}, but pictures are uint8 (0 to 255). Convert it.")
    if not (array.ndim == 4 and array.shape[3] == 3 or array.ndim == 3 and array.shape[2] != 3) or not array.size:
        raise VideoError(
            f"{name}: it must be (frames, height, width, 3) in RGB or (frames, height, width) in gray, and not empty."
        )
    if fps is None:
        raise VideoError(f"{name}: an array has no frame rate of its own. Pass fps=, for example fps=25.")
    return name


def for_each_video(value: Any, count: int, what: str, single: bool) -> list[Any]:
    """One entry for each video of a batch, from a list of them or from one value that all share."""
    shared = value is None or single or not isinstance(value, (list, tuple))
    is_box = not shared and what == "mouth_boxes" and len(value) == 4
    if shared or is_box and all(isinstance(entry, Real) for entry in value):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"`{what}` is a list of {len(value)} entries for {count} videos: give one entry for each video"
        )
    return list(value)


def check_inputs(config: Any, videos: Any, frame_mask: Any, speaker_embedding: Any) -> None:
    """Raises `ValueError` if the shapes of a generator's inputs do not fit its configuration."""
    expected = (1, config.image_height, config.image_width)
    if videos.ndim != 5 or tuple(videos.shape[2:]) != expected or videos.shape[1] == 0:
        raise ValueError(
            f"`pixel_values_videos` must have shape (batch, frames, {', '.join(map(str, expected))}) with 1 frame"
            f" or more, as Lip2WavFeatureExtractor makes it; got {tuple(videos.shape)}."
        )
    if frame_mask is not None and frame_mask.shape != videos.shape[:2]:
        shapes = f"{tuple(videos.shape[:2])}; got {tuple(frame_mask.shape)}"
        raise ValueError(f"`frame_mask` must have shape (batch, frames) = {shapes}.")
    size = config.speaker_embedding_size
    if (speaker_embedding is None) != (size == 0):
        wanted = "needs a `speaker_embedding`." if size else "takes no `speaker_embedding`: leave it out."
        raise ValueError(f"this model {wanted}")
    if speaker_embedding is not None and tuple(speaker_embedding.shape) != (videos.shape[0], size):
        raise ValueError(f"`speaker_embedding` must have shape (batch, {size}); got {tuple(speaker_embedding.shape)}.")


__all__ = [
    "DTYPES",
    "Lip2WavError",
    "PartError",
    "PictureError",
    "VideoError",
    "WeightsError",
    "as_array",
    "as_clip",
    "check_dtype",
    "check_fit",
    "check_number",
    "check_path",
    "check_speaks",
    "counted",
    "did_you_mean",
    "finite_numbers",
    "fit_report",
    "for_each_video",
    "in_background",
    "name_options",
    "one_line",
    "readable_settings",
    "silent_stderr",
    "video_name",
    "with_article",
]
