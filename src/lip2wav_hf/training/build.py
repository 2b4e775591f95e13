"""How a run begins: data, networks and optimisers from its arguments."""

from __future__ import annotations

import logging
import math
import os

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, DistributedDataParallelKwargs, ProjectConfiguration, set_seed
from torch.utils.data import DataLoader

from ..configuration_lip2wav import (
    Lip2WavConfig,
    Lip2WavCriticConfig,
    Lip2WavSpeechEncoderConfig,
    Lip2WavSyncNetConfig,
)
from ..corpora.registry import load_split, open_corpus
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..grammar import VOCABULARY
from ..machine import available_cores
from ..mel import LogMelSpectrogram
from ..metrics.synchrony import SYNC_CHECKPOINT, load_sync_network
from ..modeling_critic import Lip2WavCritic
from ..modeling_lip2wav import Lip2WavModel
from ..modeling_speech_encoder import Lip2WavSpeechEncoder
from ..modeling_syncnet import Lip2WavSyncNet
from .arguments import (
    CriticArguments,
    DataArguments,
    OptimizationArguments,
    TrainingArguments,
)
from .clips import SpeechClips, collate_clips, prepare_clips
from .objective_syncnet import SyncNetObjective
from .objectives import CriticObjective, GeneratorObjective, SpeechEncoderObjective
from .sound_offsets import find_sound_offsets
from .state import AveragedWeights, State, TrainingError


logger = logging.getLogger(__name__)


NETWORKS = {
    "generator": (Lip2WavConfig, Lip2WavModel),
    "speech_encoder": (Lip2WavSpeechEncoderConfig, Lip2WavSpeechEncoder),
    "syncnet": (Lip2WavSyncNetConfig, Lip2WavSyncNet),
}


def build_datasets(
    data: DataArguments, feature_extractor, config: Lip2WavConfig, augmentation, seed: int, progress: bool
):
    """Training and validation [`SpeechClips`] of the folders, their crops cached."""
    datasets, speakers = [], set()
    corpora = [open_corpus(folder) for folder in data.data_dir]
    vocabulary = getattr(config, "vocabulary", VOCABULARY)  # the sync network has no words of its own
    for split, variation in ((data.train_split, augmentation), (data.validation_split, None)):
        clips = [
            clip
            for corpus in corpora
            for clip in load_split(corpus, split, data.speakers, split_scheme=data.split_scheme, zipped=True)
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


def build_state(run: TrainingArguments) -> State:
    """Data, networks and optimisers of a run, on this process's device."""
    data, models, weights, augmentation, critic_arguments, arguments = run
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
    validation_objective = objective.with_model(average.model)
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
        accelerator=accelerator,
        arguments=arguments,
        objective=objective,
        validation_objective=validation_objective.to(accelerator.device).eval(),
        average=average,
        optimizer=optimizer,
        scheduler=scheduler,
        train_loader=train_loader,
        validation_loader=validation_loader,
        feature_extractor=feature_extractor,
        critic_arguments=critic_arguments,
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
