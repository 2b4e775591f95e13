"""How well a run does while it trains: losses and words of validation clips, and the sound of a few of them."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from ..modeling_lip2wav import Lip2WavModel
from ..plotting import draw_speech
from .checkpoints import save_model
from .state import State


logger = logging.getLogger(__name__)

SHOWN_CLIPS = 3


@torch.no_grad()
def validate_audio(state: State) -> dict[str, float]:
    """
    Speak `validation_clips` validation clips with the averaged generator, on the main process.

    Trackers get the sound, the spectrogram with the words, and the mouth crops of the first few.

    Args:
        state ([`~training.State`]): of a run that trains a generator.

    Returns:
        `dict[str, float]`: mean `validation/stoi`, `validation/estoi` and `validation/pesq_nb`; empty on other
        processes, for other networks, and without the packages of the `evaluate` extra.
    """
    dataset, wanted = state.validation_clips, state.arguments.validation_clips
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
        from ..metrics.pesq.pesq import pesq_pair  # noqa: PLC0415  of another extra
        from ..metrics.stoi.stoi import stoi_pair  # noqa: PLC0415
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


@torch.no_grad()
def validate(state: State) -> dict[str, float]:
    """Losses and measures of the averaged weights on validation clips; keeps the best in `best/`."""
    objective, totals, count, clips = state.validation_objective, {}, 0, []
    for batch in state.validation_loader:
        with state.accelerator.autocast():
            losses, found = objective.validate(batch)
        size = len(batch["labels"])
        gathered = state.accelerator.gather_for_metrics(
            {name: value.float().repeat(size) for name, value in losses.items()}
        )
        for name, values in gathered.items():
            totals[name] = totals.get(name, 0.0) + values.sum().item()
        count += len(next(iter(gathered.values())))
        clips += state.accelerator.gather_for_metrics(found, use_gather_object=True)
    results = {f"validation/{name}": total / count for name, total in totals.items()}
    results["validation/loss"] = sum(results.values())
    results |= {f"validation/{name}": value for name, value in objective.measures(clips).items()}
    results |= validate_audio(state)
    state.progress.validated_step = state.progress.step
    _report(state, results)
    return results


def _report(state: State, results: dict[str, float]):
    progress = state.progress
    if state.arguments.with_tracking:
        state.accelerator.log(results, progress.step)
    if state.accelerator.is_main_process:
        line = {"step": progress.step, "epoch": progress.epoch, "seconds": round(progress.seconds, 1)} | {
            name: round(value, 4) for name, value in results.items()
        }
        tqdm.write(json.dumps(line))
        output = Path(state.arguments.output_dir)
        output.mkdir(parents=True, exist_ok=True)
        with (output / "validation.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
    if results["validation/loss"] < progress.best_loss:
        progress.best_loss = results["validation/loss"]
        save_model(state, "best")
