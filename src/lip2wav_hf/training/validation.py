"""Validation during training: losses and words of validation clips, and the sound of a few of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from ..errors import MissingExtraError, require_packages
from ..evaluation.plotting import draw_speech, naming_missing_glyphs
from ..generator import Word
from ..modeling_lip2wav import Lip2WavModel
from ..models import BY_TYPE
from .checkpoints import save_model
from .output_dir import VALIDATIONS
from .reporting import say
from .state import State


SHOWN_CLIPS = 3


def missing_scores() -> str | None:
    """Why the sound of validation clips cannot be scored here; None if it can."""
    try:
        require_packages("evaluate", "STOI and PESQ of validation clips", "evaluate", "pesq", "pystoi")
    except MissingExtraError as error:
        return str(error)
    return None


def speaks(state: State) -> bool:
    """Whether validation clips are spoken and scored."""
    return bool(state.arguments.validation_clips) and BY_TYPE[state.average.model.config.model_type].speaks


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
    if not speaks(state) or not state.accelerator.is_main_process:
        return {}
    dataset, model = state.validation_clips, state.average.model
    rate, can_score, scores = model.config.sampling_rate, missing_scores() is None, []
    indices = np.unique(np.linspace(0, len(dataset) - 1, state.arguments.validation_clips).round().astype(int))
    for position, index in enumerate(indices):
        item = dataset[int(index)]
        pixels = item["pixel_values_videos"][None].to(state.accelerator.device)
        output = model(pixels)
        sound = output.waveform[0].float().cpu().numpy()
        if can_score:
            scores.append(_score(sound, item["waveform"].numpy(), rate))
        if position < SHOWN_CLIPS and state.arguments.with_tracking:
            reads = isinstance(model, Lip2WavModel) and model.config.reads_words
            words = model.decode_text(output.text_logits)[0] if reads else []
            _show(state, dataset.clips[index].key, sound, item["waveform"].numpy(), words, pixels[0].cpu())
    names = scores[0] if scores else ()
    return {f"validation/{name}": float(np.nanmean([score[name] for score in scores])) for name in names}


def _score(sound: np.ndarray, original: np.ndarray, sampling_rate: int) -> dict[str, float]:
    from ..metrics.pesq.score import pesq_pair  # noqa: PLC0415  of another extra
    from ..metrics.stoi.score import stoi_pair  # noqa: PLC0415

    intelligibility = stoi_pair(sound, original, sampling_rate)
    return {
        "stoi": intelligibility["stoi"],
        "estoi": intelligibility["estoi"],
        "pesq_nb": pesq_pair(sound, original, sampling_rate)["pesq_nb"],
    }


def _show(
    state: State, name: str, sound: np.ndarray, original: np.ndarray, words: list[Word], pixels: torch.Tensor
) -> None:
    """Sound, spectrogram and every eighth mouth crop of a clip, for TensorBoard."""
    writer = state.accelerator.get_tracker("tensorboard", unwrap=True)
    if not hasattr(writer, "add_audio"):
        return
    config, step = state.average.model.config, state.progress.step
    for kind, waveform in (("generated", sound), ("original", original)):
        writer.add_audio(f"{kind}/{name}", torch.from_numpy(waveform)[None], step, config.sampling_rate)
        with naming_missing_glyphs():
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
    measures = {"validation/loss": sum(results.values())}
    measures |= {f"validation/{name}": value for name, value in objective.measures(clips).items()}
    measures |= validate_audio(state)
    state.progress.validated_step = state.progress.step
    _report(state, results | measures, tuple(measures))
    if state.observer is not None:
        state.observer.after_validation(state, results | measures)
    return results | measures


def _report(state: State, results: dict[str, float], shown: tuple[str, ...]) -> None:
    """Log the results, print those to be shown, and keep the averaged weights if they are the best so far."""
    progress, output = state.progress, Path(state.arguments.output_dir)
    if state.arguments.with_tracking:
        state.accelerator.log(results, progress.step)
    if state.accelerator.is_main_process:
        place = {"step": progress.step, "epoch": progress.epoch, "seconds": round(progress.seconds, 1)}
        line = place | {name: round(value, 4) for name, value in results.items()}
        output.mkdir(parents=True, exist_ok=True)
        with (output / VALIDATIONS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    text = ", ".join(f"{name.removeprefix('validation/')} {results[name]:.3f}" for name in shown)
    best = results["validation/loss"] < progress.best_loss
    if best:
        progress.best_loss = results["validation/loss"]
        save_model(state, "best")
    say(state, f"step {progress.step}: {text}" + (f"; the best so far, written to {output / 'best'}" if best else ""))


__all__ = ["missing_scores", "speaks", "validate", "validate_audio"]
