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
from accelerate.utils import (
    DataLoaderConfiguration,
    DistributedDataParallelKwargs,
    ProjectConfiguration,
    reduce,
    set_seed,
)
from torch import nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from ..configuration_lip2wav import (
    Lip2WavConfig,
    Lip2WavCriticConfig,
    Lip2WavSpeechEncoderConfig,
    Lip2WavSyncNetConfig,
)
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..grammar import VOCABULARY
from ..grid.corpus import load_split
from ..machine import available_cores
from ..mel import LogMelSpectrogram
from ..modeling_critic import Lip2WavCritic
from ..modeling_lip2wav import Lip2WavModel, Lip2WavPreTrainedModel
from ..modeling_speech_encoder import Lip2WavSpeechEncoder
from ..modeling_syncnet import Lip2WavSyncNet
from ..synchrony import SYNC_CHECKPOINT, find_sound_offsets, load_sync_network
from .clips import AugmentationArguments, SpeechClips, collate_clips, prepare_clips
from .losses import adversarial_loss
from .objective_syncnet import SyncNetObjective
from .objectives import CriticObjective, GeneratorObjective, LossArguments, Objective, SpeechEncoderObjective
from .validation import listen


logger = logging.getLogger(__name__)


NETWORKS = {
    "generator": (Lip2WavConfig, Lip2WavModel),
    "speech_encoder": (Lip2WavSpeechEncoderConfig, Lip2WavSpeechEncoder),
    "syncnet": (Lip2WavSyncNetConfig, Lip2WavSyncNet),
}


class TrainingError(ValueError):
    """Training arguments, data or a checkpoint that cannot be used, or a loss that is no longer a number."""


@dataclass
class DataArguments:
    """Which clips to train on."""

    data_dir: list[str] = field(metadata={"help": "Folders of GRID in any of its layouts, or laid out like it."})
    cache_dir: str = field(default="runs/cache", metadata={"help": "Where mouth crops and sound are cached, once."})
    split_scheme: str = field(
        default="custom",
        metadata={
            "help": "Which clips are in which split: 'custom' (splits.json), 'seen4', 'unseen33' or 'overlap33'."
        },
    )
    train_split: str = field(default="train", metadata={"help": "Split to train on."})
    validation_split: str = field(default="validation", metadata={"help": "Split to validate on."})
    speakers: list[str] | None = field(
        default=None, metadata={"help": "Only these speakers; all of the split by default."}
    )
    synchronize: list[str] | None = field(
        default=None,
        metadata={
            "help": "Speakers whose sounds are moved to where their mouths say they belong, which the sync network"
            " must tell well for them. GRID's own are early or late by about half a frame: nobody can foresee that."
        },
    )
    sync_network: str | None = field(
        default=None,
        metadata={"help": "Folder or Hub repo of the sync network for --synchronize; the bundled one by default."},
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
    network: str = field(
        default="generator", metadata={"help": "What to train: 'generator', 'speech_encoder' or 'syncnet'."}
    )
    speech_encoder: str | None = field(
        default=None,
        metadata={"help": "Folder of a trained speech encoder, for the generator's perceptual losses."},
    )
    feature_extractor: str | None = field(default=None, metadata={"help": "JSON file of a Lip2WavFeatureExtractor."})


@dataclass
class CriticArguments:
    """The critic of the adversarial stage, which `adversarial` above 0 turns on. All are our choices."""

    critic_config: str | None = field(
        default=None, metadata={"help": "JSON file of the critic's config; the default if not given."}
    )
    critic_pretrained: str | None = field(
        default=None, metadata={"help": "Folder or Hub repo of a critic to go on with."}
    )
    critic_start: int = field(default=0, metadata={"help": "Step at which the critic begins to learn."})
    critic_warmup: int = field(
        default=100, metadata={"help": "Steps that it learns alone before the generator listens to it."}
    )
    critic_steps: int = field(default=1, metadata={"help": "Its updates for each batch."})
    critic_learning_rate: float = field(default=1e-4, metadata={"help": "Its learning rate (Adam)."})
    critic_beta1: float = field(default=0.5, metadata={"help": "Its Adam's first decay rate."})
    gradient_penalty: float = field(default=10.0, metadata={"help": "Weight of its gradient penalty."})


@dataclass
class OptimizationArguments:
    """How to optimise and what to keep."""

    output_dir: str = field(
        default="runs/lip2wav", metadata={"help": "Checkpoints, logs and the final model go here."}
    )
    max_steps: int = field(default=4500, metadata={"help": "Optimiser steps in all."})
    batch_size: int = field(default=16, metadata={"help": "Clips of a batch, in each process."})
    gradient_accumulation_steps: int = field(default=1, metadata={"help": "Batches for each optimiser step."})
    learning_rate: float = field(default=1.5e-3, metadata={"help": "Highest learning rate (AdamW)."})
    schedule: str = field(
        default="one_cycle",
        metadata={"help": "'one_cycle' (linear rise, half cosine down) or 'constant' (rise only)."},
    )
    adam_beta1: float = field(default=0.9, metadata={"help": "AdamW's first decay rate."})
    adam_beta2: float = field(default=0.98, metadata={"help": "AdamW's second decay rate."})
    warmup_ratio: float = field(default=0.1, metadata={"help": "Share of the steps in which the learning rate rises."})
    weight_decay: float = field(default=0.05, metadata={"help": "AdamW's weight decay."})
    max_gradient_norm: float = field(default=1.0, metadata={"help": "Gradients are clipped to this norm."})
    explosion_factor: float = field(
        default=20.0,
        metadata={"help": "A loss this many times its running mean stops the run, after 100 batches; 0 for never."},
    )
    ema_decay: float = field(
        default=0.999, metadata={"help": "Decay of the averaged weights, which are what is saved and validated."}
    )
    mixed_precision: str = field(default="bf16", metadata={"help": "'no', 'bf16' or 'fp16'."})
    seed: int = field(default=0, metadata={"help": "Of everything random."})
    validation_epochs: int = field(default=1, metadata={"help": "Validate every so many epochs."})
    validation_clips: int = field(
        default=8, metadata={"help": "Validation clips that are spoken and scored (STOI, ESTOI, PESQ) each time."}
    )
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
    push_to_hub: bool = field(
        default=False,
        metadata={"help": "At the end, measure final/ on the validation clips and publish it on the Hub."},
    )
    hub_model_id: str | None = field(default=None, metadata={"help": "Its repository there, such as me/my-voice."})
    hub_license: str | None = field(
        default=None, metadata={"help": "Licence of the weights, as the Hub names it, such as cc-by-4.0."}
    )
    hub_private: bool = field(default=False, metadata={"help": "Make that repository a private one."})


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
    waiting_seconds: float = 0.0
    batches: int = 0
    mean_loss: float = 0.0

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
    critic_arguments: CriticArguments
    critic_objective: nn.Module | None = None
    critic_optimizer: torch.optim.Optimizer | None = None
    progress: Progress = field(default_factory=Progress)
    stop_requested: bool = False
    saved_step: int | None = None

    @property
    def model(self) -> Lip2WavPreTrainedModel:
        """The network that is trained, out of its wrappers."""
        return self.accelerator.unwrap_model(self.objective).model

    @property
    def critic(self) -> Lip2WavCritic | None:
        """The critic out of its wrappers; None without one."""
        objective = self.critic_objective
        return None if objective is None else self.accelerator.unwrap_model(objective).critic

    @property
    def networks(self) -> dict[str, Lip2WavPreTrainedModel]:
        """What a checkpoint holds, by the folder in it."""
        return {".": self.model} | ({"critic": self.critic} if self.critic is not None else {})


def build_datasets(
    data: DataArguments, feature_extractor, config: Lip2WavConfig, augmentation, seed: int, progress: bool
):
    """Training and validation [`SpeechClips`] of the folders, their crops cached."""
    datasets, speakers = [], set()
    vocabulary = getattr(config, "vocabulary", VOCABULARY)  # the sync network has no words of its own
    for split, variation in ((data.train_split, augmentation), (data.validation_split, None)):
        clips = [
            clip
            for folder in data.data_dir
            for clip in load_split(folder, split, data.speakers, split_scheme=data.split_scheme, zipped=True)
        ]
        files = prepare_clips(
            clips, feature_extractor, data.cache_dir, config.sampling_rate, data.preprocessing_workers, progress
        )
        moved = [clip for clip in clips if clip.speaker in (data.synchronize or ())]
        offsets = find_sound_offsets(
            moved, data.cache_dir, data.preprocessing_workers, progress, data.sync_network or SYNC_CHECKPOINT
        )
        dataset = SpeechClips(
            clips, files, feature_extractor, vocabulary, config.samples_per_frame, variation, seed, offsets
        )
        if not len(dataset):
            raise TrainingError(f"no usable clip in split {split!r} of {', '.join(data.data_dir)}.")
        datasets.append(dataset)
        speakers |= set(dataset.by_speaker)
    strangers = sorted(set(data.synchronize or ()) - speakers)
    if strangers:
        logger.warning("--synchronize: there are no clips of %s.", ", ".join(strangers))
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
    critic_arguments: CriticArguments,
    arguments: OptimizationArguments,
) -> State:
    """Data, networks and optimisers of a run, on this process's device."""
    accelerator = Accelerator(
        # Without saying so, several processes on CPUs would each train alone and write over each other's files.
        cpu=not torch.accelerator.is_available(),
        mixed_precision=arguments.mixed_precision,
        log_with="tensorboard" if arguments.with_tracking else None,
        project_config=ProjectConfiguration(
            arguments.output_dir, logging_dir=os.path.join(arguments.output_dir, "logs")
        ),
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True, data_seed=arguments.seed),
        gradient_accumulation_steps=arguments.gradient_accumulation_steps,
        # A batch without a clip of unchanged speed gives the waveform decoder no gradient.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    cores = available_cores() // accelerator.num_processes
    if accelerator.device.type == "cpu" and torch.get_num_threads() == 1 and cores > 1:
        logger.warning(
            "this process computes on one core, all that `accelerate launch` gives it, but %d could be used: "
            "set the environment variable OMP_NUM_THREADS=%d.",
            cores,
            cores,
        )
    set_seed(arguments.seed)
    if arguments.schedule not in ("one_cycle", "constant"):
        raise TrainingError(f"--schedule {arguments.schedule}: there are one_cycle and constant.")
    if models.network not in NETWORKS:
        raise TrainingError(f"--network {models.network}: there are {', '.join(NETWORKS)}.")
    if data.synchronize and models.network == "syncnet":
        raise TrainingError("--synchronize moves sounds by what the sync network finds: not for its own training.")
    config_class, network_class = NETWORKS[models.network]
    _check_sync_network(data)
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
    critic = _build_critic(critic_arguments, config) if weights.adversarial else None
    if models.network == "speech_encoder":
        objective = SpeechEncoderObjective(model, weights)
    elif models.network == "syncnet":
        objective = SyncNetObjective(model, weights)
    else:
        samples = critic.config.window_samples if critic is not None else 0
        objective = GeneratorObjective(model, weights, speech_encoder, samples)
    average = AveragedWeights(model, arguments.ema_decay)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        arguments.learning_rate,
        betas=(arguments.adam_beta1, arguments.adam_beta2),
        weight_decay=arguments.weight_decay,
        fused=True,
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_share(step, arguments))
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
        critic_arguments,
    )
    accelerator.register_for_checkpointing(scheduler, average, state.progress)
    if critic is not None:
        _add_critic(state, critic)
    _register_network_hooks(state)
    return state


def _build_critic(arguments: CriticArguments, config: Lip2WavConfig) -> Lip2WavCritic:
    """The critic of a generator with this config."""
    if arguments.critic_pretrained:
        critic = Lip2WavCritic.from_pretrained(arguments.critic_pretrained, dtype=torch.float32)
        if critic.config.sampling_rate != config.sampling_rate:
            raise TrainingError(
                f"--critic_pretrained {arguments.critic_pretrained}: it judges sound at {critic.config.sampling_rate}"
                f" Hz, the generator speaks at {config.sampling_rate} Hz."
            )
        return critic
    source = arguments.critic_config
    critic_config = Lip2WavCriticConfig.from_json_file(source) if source else Lip2WavCriticConfig()
    shared = ("sampling_rate", "mel_mean", "mel_std", "mel_floor")
    if config.decoder_type == "istft":
        shared += ("num_mel_bins", "n_fft", "hop_length")
    for name in shared:
        setattr(critic_config, name, getattr(config, name))
    critic_config.validate()
    return Lip2WavCritic(critic_config)


def _add_critic(state: State, critic: Lip2WavCritic):
    arguments = state.critic_arguments
    optimizer = torch.optim.Adam(
        critic.parameters(), arguments.critic_learning_rate, betas=(arguments.critic_beta1, 0.9)
    )
    state.critic_objective = state.accelerator.prepare(CriticObjective(critic, arguments.gradient_penalty))
    # Not prepared: it takes a step for each batch, whatever the gradient accumulation of the generator.
    state.critic_optimizer = optimizer
    state.accelerator.register_for_checkpointing(optimizer)


def _check_sync_network(data: DataArguments) -> None:
    if data.sync_network is None:
        return
    if not data.synchronize:
        raise TrainingError("--sync_network: say with --synchronize whose sounds it is to move.")
    try:
        load_sync_network(data.sync_network)
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"--sync_network {data.sync_network}: no sync network can be loaded from there. Train it first, with"
            " configs/syncnet.yaml, or leave the option out: then the bundled one serves."
        ) from error


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


def learning_rate_share(step: int, arguments: OptimizationArguments) -> float:
    """Share of the highest learning rate: a linear rise, then a half cosine down to 1/1000, or no change."""
    warmup = max(int(arguments.warmup_ratio * arguments.max_steps), 1)
    if step < warmup:
        return (step + 1) / warmup
    if arguments.schedule == "constant":
        return 1.0
    remaining = min((step - warmup) / max(arguments.max_steps - warmup, 1), 1.0)
    return max(0.5 * (1 + math.cos(math.pi * remaining)), 1e-3)


def _register_network_hooks(state: State):
    """Checkpoints hold each network as `save_pretrained` writes it."""

    def save(models, weights, output_dir):
        if state.accelerator.is_main_process:
            for folder, network in state.networks.items():
                network.save_pretrained(os.path.join(output_dir, folder))
        weights.clear()

    def load(models, input_dir):
        for folder, network in state.networks.items():
            loaded = type(network).from_pretrained(os.path.join(input_dir, folder))
            network.load_state_dict(loaded.state_dict())
            network.config.mel_mean, network.config.mel_std = loaded.config.mel_mean, loaded.config.mel_std
        own = state.model.config
        state.average.model.config.mel_mean, state.average.model.config.mel_std = own.mel_mean, own.mel_std
        models.clear()

    state.accelerator.register_save_state_pre_hook(save)
    state.accelerator.register_load_state_pre_hook(load)


def save_checkpoint(state: State):
    """Write `checkpoint-STEP` whole or not at all, and drop the oldest beyond the limit."""
    output = Path(state.arguments.output_dir)
    step = state.progress.step
    if state.saved_step == step:
        return
    final, temporary, outdated = (output / f"{prefix}checkpoint-{step}" for prefix in ("", "tmp-", "tmp-outdated-"))
    if state.accelerator.is_main_process:
        for leftover in (temporary, outdated):
            shutil.rmtree(leftover, ignore_errors=True)
    state.accelerator.wait_for_everyone()
    state.accelerator.save_state(str(temporary))
    state.accelerator.wait_for_everyone()
    if state.accelerator.is_main_process:
        _put_in_place(temporary, final, outdated)
        for old in find_checkpoints(output)[: -state.arguments.save_total_limit]:
            shutil.rmtree(old)
    state.accelerator.wait_for_everyone()
    state.saved_step = step


def _put_in_place(temporary: Path, final: Path, outdated: Path):
    """A finished folder takes the place of one from before, if there is one; at no moment is there half a folder."""
    if final.exists():
        os.replace(final, outdated)
    os.replace(temporary, final)
    shutil.rmtree(outdated, ignore_errors=True)


def find_checkpoints(output_dir: str | os.PathLike) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    folders = [path for path in Path(output_dir).glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    return sorted(folders, key=lambda path: int(path.name.rpartition("-")[2]))


def save_model(state: State, name: str):
    """
    Write `output_dir/name`, ready for `from_pretrained`: the averaged weights and the feature extractor, the critic in
    `critic/` and the speech encoder in `speech_encoder/` where there are any.
    """
    if not state.accelerator.is_main_process:
        return
    output = Path(state.arguments.output_dir)
    temporary, outdated = output / f"tmp-{name}", output / f"tmp-outdated-{name}"
    for leftover in (temporary, outdated):
        shutil.rmtree(leftover, ignore_errors=True)
    _save_network(state, state.average.model, temporary)
    if state.critic is not None:
        _save_network(state, state.critic, temporary / "critic")
    speech_encoder = getattr(state.accelerator.unwrap_model(state.objective), "speech_encoder", None)
    if speech_encoder is not None:
        _save_network(state, speech_encoder, temporary / "speech_encoder")
    state.feature_extractor.save_pretrained(temporary)
    _put_in_place(temporary, output / name, outdated)


def _save_network(state: State, network: Lip2WavPreTrainedModel, folder: Path):
    copy.deepcopy(network).to(getattr(torch, state.arguments.save_dtype)).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config["dtype"] = "float32"  # what to calculate in: half precision saves space, but is slow on a CPU
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


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
    state.saved_step = state.progress.step
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
    ready = time.perf_counter()
    for batch in batches:
        start = time.perf_counter()
        losses = train_step(state, batch)
        progress.batches += 1
        progress.step_in_epoch += 1
        progress.waiting_seconds += start - ready
        progress.seconds += time.perf_counter() - ready
        ready = time.perf_counter()
        if not state.accelerator.sync_gradients:
            continue
        progress.step += 1
        bar.update()
        if progress.step % 10 == 0:
            _report_losses(state, losses, bar)
        if progress.step >= state.arguments.max_steps or _stop_together(state):
            break
    if not state.stop_requested:
        progress.epoch += 1
        progress.step_in_epoch = 0


def _report_losses(state: State, losses: dict[str, float], bar: tqdm):
    bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
    if state.arguments.with_tracking:
        progress = state.progress
        values = {f"train/{name}": value for name, value in losses.items()}
        values |= {
            "learning_rate": state.scheduler.get_last_lr()[0],
            "seconds_a_batch": progress.seconds / progress.batches,
            "share_of_time_waiting_for_data": progress.waiting_seconds / progress.seconds,
        }
        state.accelerator.log(values, progress.step)


def _stop_together(state: State) -> bool:
    """Whether any of the processes was asked to stop; all of them stop at the same step."""
    state.stop_requested = _in_any_process(state, state.stop_requested)
    return state.stop_requested


def _in_any_process(state: State, flag: bool) -> bool:
    if state.accelerator.num_processes == 1:
        return flag
    return bool(reduce(torch.tensor(float(flag), device=state.accelerator.device), "sum").item())


def train_step(state: State, batch: dict[str, torch.Tensor]) -> dict[str, float]:
    """One batch, and an optimiser step unless gradients are still being gathered; returns the weighted losses."""
    accelerator = state.accelerator
    with accelerator.accumulate(state.objective):
        with accelerator.autocast():
            losses = state.objective(batch)
        _check_losses(state, losses)
        judged = _adversarial_losses(state) if state.critic is not None else {}
        total = sum(losses.values()) + judged.get("adversarial", 0.0)
        accelerator.backward(total)
        if accelerator.sync_gradients:
            accelerator.clip_grad_norm_(state.objective.parameters(), state.arguments.max_gradient_norm)
        state.optimizer.step()
        state.optimizer.zero_grad()
        if accelerator.sync_gradients:
            state.scheduler.step()
            state.average.update(state.model)
    return {name: float(value.detach()) for name, value in (losses | judged).items()}


def _check_losses(state: State, losses: dict[str, torch.Tensor]):
    """Stop a run that has gone wrong before it can harm the weights; its last checkpoint is still good."""
    progress, factor = state.progress, state.arguments.explosion_factor
    values = {name: float(value.detach()) for name, value in losses.items()}
    total = sum(values.values())
    advice = (
        f"({', '.join(f'{name} {value:.3g}' for name, value in values.items())}): lower --learning_rate, or go on from"
        " the last checkpoint with --resume latest and another --seed. No checkpoint was written since."
    )
    if not math.isfinite(total):
        raise TrainingError(f"the loss is {total} at step {progress.step} {advice}")
    if factor and progress.batches >= 100 and total > factor * progress.mean_loss:
        raise TrainingError(
            f"the loss exploded at step {progress.step}: {total:.3g}, mean {progress.mean_loss:.3g} {advice}"
        )
    decay = min(0.99, progress.batches / (progress.batches + 1))
    progress.mean_loss = decay * progress.mean_loss + (1 - decay) * total


def _adversarial_losses(state: State) -> dict[str, torch.Tensor]:
    """Let the critic learn from what was just spoken, then let it judge; what is `adversarial` is the generator's."""
    arguments, step = state.critic_arguments, state.progress.step
    objective = state.accelerator.unwrap_model(state.objective)
    if step < arguments.critic_start or _in_any_process(state, objective.spoken is None):
        return {}
    fake, real = objective.spoken
    for update in range(arguments.critic_steps):
        pair = (fake.detach(), real) if update == 0 else objective.speak_again()
        losses = state.critic_objective(*pair)
        state.critic_optimizer.zero_grad()
        sum(losses.values()).backward()
        state.critic_optimizer.step()
    losses = {name: value.detach() for name, value in losses.items() if torch.is_tensor(value)}
    if not all(value.isfinite() for value in losses.values()):
        raise TrainingError(
            f"the critic's loss is no number at step {step}: lower --critic_learning_rate, or go on from the last"
            " checkpoint with --resume latest and another --seed."
        )
    if step >= arguments.critic_start + arguments.critic_warmup:
        state.critic.requires_grad_(False)
        scores = state.critic(fake.float()).scores
        state.critic.requires_grad_(True)
        losses["adversarial"] = objective.weights.adversarial * scores.shape[1] * adversarial_loss(scores)
    return losses


@torch.no_grad()
def validate(state: State) -> dict[str, float]:
    """Losses and text word error rate of the averaged weights on validation clips; keeps the best in `best/`."""
    objective = state.accelerator.unwrap_model(state.objective).of(state.average.model).eval()
    totals, count, references, hypotheses, found = {}, 0, [], [], []
    for batch in state.validation_loader:
        with state.accelerator.autocast():
            losses = objective(batch)
            text_logits = objective.recognise(batch) if hasattr(objective, "recognise") else None
        size = len(batch["labels"])
        gathered = state.accelerator.gather_for_metrics(
            {name: value.float().repeat(size) for name, value in losses.items()}
        )
        for name, values in gathered.items():
            totals[name] = totals.get(name, 0.0) + values.sum().item()
        count += len(next(iter(gathered.values())))
        if text_logits is None:  # of the sync network, which finds offsets and no words
            found += state.accelerator.gather_for_metrics(objective.within_one_frame(batch)).tolist()
            continue
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
    if found:
        results["validation/within_one_frame"] = sum(found) / len(found)
    else:
        results["validation/text_wer"] = jiwer.wer(references, hypotheses)
    results |= listen(state)
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
