"""The training loop: what is optimised, how progress is kept, and how a run stops and goes on."""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import jiwer
import torch
from accelerate import Accelerator, skip_first_batches
from accelerate.utils import DataLoaderConfiguration, ProjectConfiguration, set_seed
from torch import nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from .configuration_lip2wav import Lip2WavConfig, Lip2WavSpeechEncoderConfig
from .feature_extraction_lip2wav import Lip2WavFeatureExtractor
from .grid import load_split
from .mel import LogMelSpectrogram
from .modeling_lip2wav import Lip2WavModel, Lip2WavPreTrainedModel
from .modeling_speech_encoder import Lip2WavSpeechEncoder
from .objectives import GeneratorObjective, LossArguments, Objective, SpeechEncoderObjective
from .training_data import AugmentationArguments, SpeechClips, collate_clips, prepare_clips


logger = logging.getLogger(__name__)


NETWORKS = {
    "generator": (Lip2WavConfig, Lip2WavModel),
    "speech_encoder": (Lip2WavSpeechEncoderConfig, Lip2WavSpeechEncoder),
}


class TrainingError(ValueError):
    """Training arguments, data or a checkpoint that cannot be used, or a loss that is no longer a number."""


@dataclass
class DataArguments:
    """Which clips to train on."""

    data_dir: list[str] = field(
        metadata={"help": "Folders laid out as GRID (video/SPEAKER/NAME.mkv or .mpg, alignments/, splits.json)."}
    )
    cache_dir: str = field(default="runs/cache", metadata={"help": "Where mouth crops and sound are cached, once."})
    train_split: str = field(default="train", metadata={"help": "Split of splits.json to train on."})
    validation_split: str = field(default="validation", metadata={"help": "Split of splits.json to validate on."})
    speakers: list[str] | None = field(
        default=None, metadata={"help": "Only these speakers; all of the split by default."}
    )
    preprocessing_workers: int = field(default=2, metadata={"help": "Processes that prepare the cache."})
    dataloader_workers: int = field(default=1, metadata={"help": "Processes that load and vary clips."})


@dataclass
class ModelArguments:
    """Where the networks come from."""

    config: str | None = field(
        default=None, metadata={"help": "JSON file of the network's config; the default if not given."}
    )
    pretrained: str | None = field(default=None, metadata={"help": "Folder or Hub repo whose weights to start from."})
    network: str = field(default="generator", metadata={"help": "What to train: 'generator' or 'speech_encoder'."})
    speech_encoder: str | None = field(
        default=None,
        metadata={"help": "Folder of a trained speech encoder, for the generator's perceptual losses."},
    )
    feature_extractor: str | None = field(default=None, metadata={"help": "JSON file of a Lip2WavFeatureExtractor."})


@dataclass
class OptimizationArguments:
    """How to optimise and what to keep."""

    output_dir: str = field(
        default="runs/lip2wav", metadata={"help": "Checkpoints, logs and the final model go here."}
    )
    max_steps: int = field(default=4500, metadata={"help": "Optimiser steps in all."})
    batch_size: int = field(default=16, metadata={"help": "Clips a step and process."})
    learning_rate: float = field(default=1.5e-3, metadata={"help": "Highest learning rate (AdamW, one cycle)."})
    warmup_ratio: float = field(default=0.1, metadata={"help": "Share of the steps in which the learning rate rises."})
    weight_decay: float = field(default=0.05, metadata={"help": "AdamW's weight decay."})
    max_gradient_norm: float = field(default=1.0, metadata={"help": "Gradients are clipped to this norm."})
    ema_decay: float = field(
        default=0.999, metadata={"help": "Decay of the averaged weights, which are what is saved and validated."}
    )
    mixed_precision: str = field(default="bf16", metadata={"help": "'no', 'bf16' or 'fp16'."})
    seed: int = field(default=0, metadata={"help": "Of everything random."})
    validation_epochs: int = field(default=1, metadata={"help": "Validate every so many epochs."})
    save_epochs: int = field(default=1, metadata={"help": "Write a checkpoint every so many epochs."})
    save_dtype: str = field(
        default="float16",
        metadata={"help": "Type of the weights in best/ and final/, which load as float32 all the same."},
    )
    save_total_limit: int = field(default=2, metadata={"help": "Checkpoints kept."})
    resume: str | None = field(
        default=None, metadata={"help": "'latest' or the folder of a checkpoint to go on from."}
    )
    with_tracking: bool = field(default=True, metadata={"help": "Log to TensorBoard in output_dir/logs."})


class AveragedWeights:
    """Exponential moving average of a network's weights and statistics, with a quick start."""

    def __init__(self, model: nn.Module, decay: float):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module):
        """Move the average towards the network."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        averages, values = self.model.state_dict(), model.state_dict()
        floating = [name for name in averages if averages[name].is_floating_point()]
        torch._foreach_lerp_([averages[name] for name in floating], [values[name] for name in floating], 1 - decay)
        for name in set(averages) - set(floating):
            averages[name].copy_(values[name])

    def state_dict(self) -> dict:
        return {"model": self.model.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict):
        self.model.load_state_dict(state["model"])
        self.updates = state["updates"]


@dataclass
class Progress:
    """Where a run is: kept in checkpoints."""

    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    best_loss: float = math.inf
    seconds: float = 0.0

    def state_dict(self) -> dict:
        return dict(self.__dict__)

    def load_state_dict(self, state: dict):
        self.__dict__.update(state)


@dataclass
class State:
    """All that a run works with."""

    accelerator: Accelerator
    arguments: OptimizationArguments
    objective: Objective
    average: AveragedWeights
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    train_loader: DataLoader
    validation_loader: DataLoader
    feature_extractor: Lip2WavFeatureExtractor
    progress: Progress = field(default_factory=Progress)
    stop_requested: bool = False

    @property
    def model(self) -> Lip2WavPreTrainedModel:
        """The network that is trained, out of its wrappers."""
        return self.accelerator.unwrap_model(self.objective).model


def build_datasets(
    data: DataArguments, feature_extractor, config: Lip2WavConfig, augmentation, seed: int, progress: bool
):
    """Training and validation [`SpeechClips`] of the folders, their crops cached."""
    datasets = []
    for split, variation in ((data.train_split, augmentation), (data.validation_split, None)):
        clips = [clip for folder in data.data_dir for clip in load_split(folder, split, data.speakers)]
        files = prepare_clips(
            clips, feature_extractor, data.cache_dir, config.sampling_rate, data.preprocessing_workers, progress
        )
        dataset = SpeechClips(
            clips, files, feature_extractor, config.vocabulary, config.samples_per_frame, variation, seed
        )
        if not len(dataset):
            raise TrainingError(f"no usable clip in split {split!r} of {', '.join(data.data_dir)}.")
        datasets.append(dataset)
    return datasets


def measure_mel(dataset: SpeechClips, config, clips: int = 200) -> tuple[float, float]:
    """Mean and standard deviation of the log-mel spectrograms of up to `clips` clips spread over a dataset."""
    log_mel = LogMelSpectrogram(config)
    step = max(len(dataset) // clips, 1)
    spectrograms = [log_mel(dataset[index]["waveform"][None])[0] for index in range(0, len(dataset), step)]
    values = torch.cat(spectrograms)
    return float(values.mean()), float(values.std())


def build_state(
    data: DataArguments,
    models: ModelArguments,
    weights: LossArguments,
    augmentation: AugmentationArguments,
    arguments: OptimizationArguments,
) -> State:
    """Data, networks and optimiser of a run, on this process's device."""
    accelerator = Accelerator(
        mixed_precision=arguments.mixed_precision,
        log_with="tensorboard" if arguments.with_tracking else None,
        project_config=ProjectConfiguration(
            arguments.output_dir, logging_dir=os.path.join(arguments.output_dir, "logs")
        ),
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True, data_seed=arguments.seed),
    )
    set_seed(arguments.seed)
    if models.network not in NETWORKS:
        raise TrainingError(f"--network {models.network}: there are {' and '.join(NETWORKS)}.")
    config_class, network_class = NETWORKS[models.network]
    speech_encoder = _load_speech_encoder(models.speech_encoder)
    if models.pretrained:
        config = config_class.from_pretrained(models.pretrained)
        feature_extractor = Lip2WavFeatureExtractor.from_pretrained(models.pretrained)
    else:
        config = config_class.from_json_file(models.config) if models.config else config_class()
        source = models.feature_extractor
        feature_extractor = Lip2WavFeatureExtractor.from_json_file(source) if source else Lip2WavFeatureExtractor()
    with accelerator.main_process_first():
        train_data, validation_data = build_datasets(
            data, feature_extractor, config, augmentation, arguments.seed, accelerator.is_main_process
        )
    if models.pretrained:
        model = network_class.from_pretrained(models.pretrained, dtype=torch.float32)
    else:
        config.mel_mean, config.mel_std = measure_mel(train_data, config)
        model = network_class(config)
    if models.network == "speech_encoder":
        objective = SpeechEncoderObjective(model, weights)
    else:
        objective = GeneratorObjective(model, weights, speech_encoder)
    average = AveragedWeights(model, arguments.ema_decay)
    optimizer = torch.optim.AdamW(
        model.parameters(), arguments.learning_rate, betas=(0.9, 0.98), weight_decay=arguments.weight_decay, fused=True
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, arguments))
    loaders = [
        DataLoader(
            dataset,
            arguments.batch_size,
            shuffle=training,
            drop_last=training,
            collate_fn=collate_clips,
            num_workers=data.dataloader_workers,
            generator=torch.Generator().manual_seed(arguments.seed),
        )
        for dataset, training in ((train_data, True), (validation_data, False))
    ]
    if len(train_data) < arguments.batch_size:
        raise TrainingError(
            f"{len(train_data)} training clips do not fill a batch of {arguments.batch_size}: lower --batch_size."
        )
    objective, optimizer, train_loader, validation_loader = accelerator.prepare(objective, optimizer, *loaders)
    average.model.to(accelerator.device)
    state = State(
        accelerator,
        arguments,
        objective,
        average,
        optimizer,
        scheduler,
        train_loader,
        validation_loader,
        feature_extractor,
    )
    accelerator.register_for_checkpointing(scheduler, average, state.progress)
    _register_network_hooks(state)
    return state


def _load_speech_encoder(source: str | None) -> Lip2WavSpeechEncoder | None:
    if source is None:
        return None
    try:
        return Lip2WavSpeechEncoder.from_pretrained(source, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"--speech_encoder {source}: no speech encoder can be loaded from there. Train it first, with"
            " configs/speech_encoder.yaml, or leave the option out: then there are no perceptual losses."
        ) from error


def one_cycle(step: int, arguments: OptimizationArguments) -> float:
    """Share of the highest learning rate: a linear rise, then a half cosine down to 1/1000."""
    warmup = max(int(arguments.warmup_ratio * arguments.max_steps), 1)
    if step < warmup:
        return (step + 1) / warmup
    remaining = min((step - warmup) / max(arguments.max_steps - warmup, 1), 1.0)
    return max(0.5 * (1 + math.cos(math.pi * remaining)), 1e-3)


def _register_network_hooks(state: State):
    """Checkpoints hold the network as `save_pretrained` writes it."""

    def save(models, weights, output_dir):
        if state.accelerator.is_main_process:
            state.model.save_pretrained(output_dir)
        weights.clear()

    def load(models, input_dir):
        loaded = type(state.model).from_pretrained(input_dir)
        state.model.load_state_dict(loaded.state_dict())
        for config in (state.model.config, state.average.model.config):
            config.mel_mean, config.mel_std = loaded.config.mel_mean, loaded.config.mel_std
        models.clear()

    state.accelerator.register_save_state_pre_hook(save)
    state.accelerator.register_load_state_pre_hook(load)


def save_checkpoint(state: State):
    """Write `checkpoint-STEP` whole or not at all, and drop the oldest beyond the limit."""
    output = Path(state.arguments.output_dir)
    final = output / f"checkpoint-{state.progress.step}"
    temporary = output / f"tmp-checkpoint-{state.progress.step}"
    if final.is_dir():
        return
    if state.accelerator.is_main_process and temporary.exists():
        shutil.rmtree(temporary)
    state.accelerator.wait_for_everyone()
    state.accelerator.save_state(str(temporary))
    state.accelerator.wait_for_everyone()
    if state.accelerator.is_main_process:
        os.replace(temporary, final)
        for old in find_checkpoints(output)[: -state.arguments.save_total_limit]:
            shutil.rmtree(old)


def find_checkpoints(output_dir: str | os.PathLike) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    folders = [path for path in Path(output_dir).glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    return sorted(folders, key=lambda path: int(path.name.rpartition("-")[2]))


def save_model(state: State, name: str):
    """Write the averaged weights and the feature extractor to `output_dir/name`, ready for `from_pretrained`."""
    if not state.accelerator.is_main_process:
        return
    output = Path(state.arguments.output_dir)
    temporary = output / f"tmp-{name}"
    shutil.rmtree(temporary, ignore_errors=True)
    model = copy.deepcopy(state.average.model).to(getattr(torch, state.arguments.save_dtype))
    model.save_pretrained(temporary)
    state.feature_extractor.save_pretrained(temporary)
    config = json.loads((temporary / "config.json").read_text())
    config["dtype"] = "float32"  # what to calculate in: half precision saves space, but is slow on a CPU
    (temporary / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    shutil.rmtree(output / name, ignore_errors=True)
    os.replace(temporary, output / name)


def resume(state: State):
    """Go on from the checkpoint that the arguments name."""
    wanted = state.arguments.resume
    if wanted is None:
        return
    checkpoints = find_checkpoints(state.arguments.output_dir)
    if wanted == "latest" and not checkpoints:
        logger.warning("no checkpoint in %s: starting from the beginning.", state.arguments.output_dir)
        return
    folder = checkpoints[-1] if wanted == "latest" else Path(wanted)
    if not folder.is_dir():
        raise TrainingError(f"{folder}: no such checkpoint folder to resume from.")
    state.accelerator.load_state(str(folder))
    logger.info("resumed from %s (step %d).", folder, state.progress.step)


def train(state: State):
    """Train until `max_steps`, or until SIGTERM or Ctrl-C asks to stop; a checkpoint is written either way."""
    arguments, progress, accelerator = state.arguments, state.progress, state.accelerator
    if arguments.with_tracking:
        accelerator.init_trackers("lip2wav")
    resume(state)
    bar = tqdm(total=arguments.max_steps, initial=progress.step, desc="steps", disable=not accelerator.is_main_process)
    handlers = {
        number: signal.signal(number, lambda *_: _request_stop(state)) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        while progress.step < arguments.max_steps and not state.stop_requested:
            train_epoch(state, bar)
            if state.stop_requested:
                break
            finished = progress.step >= arguments.max_steps
            if finished or progress.epoch % arguments.validation_epochs == 0:
                validate(state)
            if finished or progress.epoch % arguments.save_epochs == 0:
                save_checkpoint(state)
        save_checkpoint(state)
        if progress.step >= arguments.max_steps:
            save_model(state, "final")
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        bar.close()
        if arguments.with_tracking:
            accelerator.end_training()


def _request_stop(state: State):
    state.stop_requested = True


def train_epoch(state: State, bar: tqdm):
    """The rest of the current epoch."""
    progress, loader = state.progress, state.train_loader
    loader.set_epoch(progress.epoch)
    loader.dataset.set_epoch(progress.epoch)
    batches = skip_first_batches(loader, progress.step_in_epoch) if progress.step_in_epoch else loader
    state.objective.train()
    for batch in batches:
        start = time.perf_counter()
        losses = train_step(state, batch)
        progress.step += 1
        progress.step_in_epoch += 1
        progress.seconds += time.perf_counter() - start
        bar.update()
        if progress.step % 10 == 0:
            bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
            if state.arguments.with_tracking:
                values = {f"train/{name}": value for name, value in losses.items()}
                state.accelerator.log(values | {"learning_rate": state.scheduler.get_last_lr()[0]}, progress.step)
        if progress.step >= state.arguments.max_steps or state.stop_requested:
            break
    if not state.stop_requested:
        progress.epoch += 1
        progress.step_in_epoch = 0


def train_step(state: State, batch: dict[str, torch.Tensor]) -> dict[str, float]:
    """One optimiser step; returns the weighted losses."""
    accelerator = state.accelerator
    with accelerator.autocast():
        losses = state.objective(batch)
    total = sum(losses.values())
    if not torch.isfinite(total):
        raise TrainingError(
            f"the loss is {total.item()} at step {state.progress.step} ({', '.join(losses)}): lower --learning_rate,"
            " or go on from the last checkpoint with --resume latest and another --seed."
        )
    accelerator.backward(total)
    accelerator.clip_grad_norm_(state.objective.parameters(), state.arguments.max_gradient_norm)
    state.optimizer.step()
    state.scheduler.step()
    state.optimizer.zero_grad()
    state.average.update(state.model)
    return {name: float(value.detach()) for name, value in losses.items()}


@torch.no_grad()
def validate(state: State) -> dict[str, float]:
    """Losses and text word error rate of the averaged weights on validation clips; keeps the best in `best/`."""
    objective = state.accelerator.unwrap_model(state.objective).of(state.average.model).eval()
    totals, count, references, hypotheses = {}, 0, [], []
    for batch in state.validation_loader:
        with state.accelerator.autocast():
            losses = objective(batch)
            text_logits = objective.recognise(batch)
        size = len(batch["labels"])
        gathered = state.accelerator.gather_for_metrics(
            {name: value.float().repeat(size) for name, value in losses.items()}
        )
        for name, values in gathered.items():
            totals[name] = totals.get(name, 0.0) + values.sum().item()
        count += len(next(iter(gathered.values())))
        words = state.average.model.decode_text(text_logits, batch["frame_mask"])
        texts = [" ".join(entry["word"] for entry in clip) for clip in words]
        vocabulary = state.model.config.vocabulary
        expected = [
            " ".join(vocabulary[label - 1] for label in labels[:length])
            for labels, length in zip(batch["labels"].tolist(), batch["label_lengths"].tolist())
        ]
        pairs = state.accelerator.gather_for_metrics(list(zip(expected, texts)), use_gather_object=True)
        references += [pair[0] for pair in pairs]
        hypotheses += [pair[1] for pair in pairs]
    results = {f"validation/{name}": total / count for name, total in totals.items()}
    results["validation/loss"] = sum(results.values())
    results["validation/text_wer"] = jiwer.wer(references, hypotheses)
    state.objective.train()
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
