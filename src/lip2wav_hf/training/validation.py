"""What a run sounds like while it trains: metrics of a few validation clips, and what trackers show of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..modeling_lip2wav import Lip2WavModel
from ..plotting import draw_speech


if TYPE_CHECKING:
    from .loop import State


logger = logging.getLogger(__name__)

SHOWN_CLIPS = 3


@torch.no_grad()
def listen(state: State) -> dict[str, float]:
    """
    Speak `validation_clips` validation clips with the averaged generator, on the main process.

    Trackers get the sound, the spectrogram with the words, and the mouth crops of the first few.

    Args:
        state ([`~training.State`]): of a run that trains a generator.

    Returns:
        `dict[str, float]`: mean `validation/stoi`, `validation/estoi` and `validation/pesq_nb`; empty on other
        processes, for other networks, and without the packages of the `evaluate` extra.
    """
    dataset, wanted = state.validation_loader.dataset, state.arguments.validation_clips
    model = state.average.model
    if not wanted or not isinstance(model, Lip2WavModel) or not state.accelerator.is_main_process:
        return {}
    rate = model.config.sampling_rate
    indices = np.unique(np.linspace(0, len(dataset) - 1, wanted).round().astype(int))
    scores = []
    for position, index in enumerate(indices):
        item = dataset[int(index)]
        pixels = item["pixel_values_videos"][None].to(state.accelerator.device)
        output = model(pixels)
        sound = output.waveform[0].float().cpu().numpy()
        scores.append(_score(sound, item["waveform"].numpy(), rate))
        if position < SHOWN_CLIPS and state.arguments.with_tracking:
            words = model.decode_text(output.text_logits)[0]
            _show(state, dataset.clips[index].key, sound, item["waveform"].numpy(), words, pixels[0].cpu())
    names = scores[0] if scores else ()
    return {f"validation/{name}": float(np.nanmean([score[name] for score in scores])) for name in names}


def _score(sound: np.ndarray, original: np.ndarray, sampling_rate: int) -> dict[str, float]:
    try:
        from ..metrics.pesq.pesq import pesq_pair
        from ..metrics.stoi.stoi import stoi_pair
    except ImportError as error:
        logger.warning("no STOI and PESQ of validation clips: %s. pip install 'lip2wav_hf[evaluate]'.", error)
        return {}
    intelligibility = stoi_pair(sound, original, sampling_rate)
    return {
        "stoi": intelligibility["stoi"],
        "estoi": intelligibility["estoi"],
        "pesq_nb": pesq_pair(sound, original, sampling_rate)["pesq_nb"],
    }


def _show(state: State, name: str, sound: np.ndarray, original: np.ndarray, words: list[dict], pixels: torch.Tensor):
    """Sound, spectrogram and every eighth mouth crop of a clip, for TensorBoard."""
    writer = state.accelerator.get_tracker("tensorboard", unwrap=True)
    if not hasattr(writer, "add_audio"):
        return
    config, step = state.average.model.config, state.progress.step
    for kind, waveform in (("generated", sound), ("original", original)):
        writer.add_audio(f"{kind}/{name}", torch.from_numpy(waveform)[None], step, config.sampling_rate)
        figure = draw_speech(waveform, config.sampling_rate, words if kind == "generated" else ())
        writer.add_figure(f"{kind}/{name}", figure, step)
    crops = pixels[::8]  # (pictures, 1, height, width)
    low, high = crops.min(), crops.max()
    writer.add_images(f"mouth_crops/{name}", (crops - low) / (high - low).clamp(min=1e-6), step)


__all__ = ["listen"]
