"""Pages for the Spaces of the metrics: sound files or texts in, scores out."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np


os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

if TYPE_CHECKING:
    import gradio

Sound = tuple[int, np.ndarray] | None


def as_waveform(sound: Sound, name: str) -> tuple[np.ndarray, int]:
    """What a page's audio field holds, as a waveform.

    Args:
        sound (`tuple[int, np.ndarray]`, *optional*): sampling rate in Hz and samples, shape `(samples,)` or `(samples,
            channels)`, integer PCM or floats.
        name (`str`): what to call it in an error.

    Returns:
        `tuple[np.ndarray, int]`: float64, shape `(samples,)`, the mean of the channels; and the rate.

    Raises:
        WaveformError: if there is no sound, or it cannot be scored.
    """
    from lip2wav_hf.metrics.waveforms import WaveformError, check_waveform

    if sound is None or not len(sound[1]):
        raise WaveformError(f"{name} is missing: give a sound file.")
    sampling_rate, samples = sound
    channels = np.asarray(samples).reshape(len(samples), -1).T
    return np.mean([check_waveform(channel, name) for channel in channels], axis=0), int(sampling_rate)


def score_sounds(
    score: Callable, generated: Sound, original: Sound = None, pair: bool = True, **options: Any
) -> dict[str, Any]:
    """Scores of what a page's audio fields hold, the original resampled to the rate of the generated.

    Args:
        score (`Callable`): a metric's function of one pair, such as `pesq_pair`, or of one clip.
        generated (`tuple[int, np.ndarray]`, *optional*): the generated sound.
        original (`tuple[int, np.ndarray]`, *optional*): the original.
        pair (`bool`, *optional*, defaults to `True`): whether `score` takes an original.
        options: passed to `score`.

    Returns:
        `dict`: the scores, rounded to four digits, for reading.

    Raises:
        WaveformError: if a sound is missing or cannot be scored.
    """
    from lip2wav_hf.metrics.waveforms import resample

    prediction, rate = as_waveform(generated, "the generated sound")
    sounds = [prediction]
    if pair:
        reference, reference_rate = as_waveform(original, "the original")
        sounds.append(resample(reference, reference_rate, rate))
    scores = score(*sounds, rate, **options)
    return {
        key: (None if np.isnan(value) else round(value, 4)) if isinstance(value, float) else value
        for key, value in scores.items()
    }


def sound_page(title: str, description: str, score: Callable, pair: bool = True, **options: Any) -> gradio.Interface:
    """A page that scores sound files.

    Args:
        title (`str`): its heading.
        description (`str`): the lines below, Markdown.
        score (`Callable`): see `score_sounds`.
        pair (`bool`, *optional*, defaults to `True`): whether there is a field for an original.
        options: passed to `score`.

    Returns:
        `gradio.Interface`: to be launched.
    """
    import gradio as gr

    def measure(generated: Sound, original: Sound = None) -> dict[str, Any]:
        return score_sounds(score, generated, original, pair, **options)

    fields: list[Any] = [gr.Audio(type="numpy", label="Generated speech")]
    if pair:
        fields.append(gr.Audio(type="numpy", label="Original"))
    return field_page(title, description, measure, fields)


def field_page(
    title: str, description: str, measure: Callable[..., dict[str, Any]], fields: list[Any]
) -> gradio.Interface:
    """
    A page of fields, whose faults are shown as such.

    Args:
        title (`str`): its heading.
        description (`str`): the lines below, Markdown.
        measure (`Callable`): from what the fields hold to the scores.
        fields (`list`): Gradio's components.

    Returns:
        `gradio.Interface`: to be launched.
    """
    import gradio as gr

    def measure_or_tell(*values: Any) -> dict[str, Any]:
        try:
            return measure(*values)
        except ValueError as error:
            raise gr.Error(str(error)) from error

    return gr.Interface(
        measure_or_tell,
        fields,
        gr.JSON(label="Scores"),
        title=title,
        description=description,
        flagging_mode="never",
        api_name="measure",
    )


def launch(page: gradio.Interface) -> None:
    """Serve a page, where the environment says (on this machine only, unless it says otherwise), without web fonts."""
    import gradio as gr

    page.launch(theme=gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]))


__all__ = ["as_waveform", "field_page", "launch", "score_sounds", "sound_page"]
