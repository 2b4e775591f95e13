"""The networks of a run: planned first, from the options, and built or loaded when the data are ready."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

import torch
from torch import nn

from ..configuration_lip2wav import (
    Lip2WavConfig,
    Lip2WavCriticConfig,
    Lip2WavSoundConfig,
    Lip2WavSpeechEncoderConfig,
    Lip2WavTextConfig,
    Lip2WavVideoConfig,
)
from ..corpora.clips import Clip
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..files import read_fields
from ..generator import LogMelSpectrogram
from ..grammar import TextNormalizer
from ..lip2audspec.configuration_lip2audspec import (
    Lip2AudSpecAutoencoderConfig,
    Lip2AudSpecConfig,
    Lip2AudSpecSoundConfig,
)
from ..lip2audspec.modeling_autoencoder import Lip2AudSpecAutoencoder
from ..metrics.synchrony import SYNC_CHECKPOINT, load_sync_network
from ..modeling_critic import Lip2WavCritic, Lip2WavSpeechEncoder
from ..modeling_lip2wav import Lip2WavModel, Lip2WavPreTrainedModel
from ..models import ModelError, Network, find_network, load_network, locate_model
from .arguments import (
    CriticArguments,
    DataArguments,
    LossArguments,
    ModelArguments,
    TrainingArguments,
    look_aheads,
    middle_look_ahead,
)
from .checks import check_arguments, check_effects
from .dataset import SpeechClips
from .objectives import Objective, check_critic_windows
from .places import AUTOENCODER, CRITIC, LIPS_OF, SPEECH_ENCODER, SYNC_NETWORK, Part
from .record import Record, cannot_change, describe_changes
from .state import State, TrainingError
from .vocabulary import TEXT_OPTIONS, fit_vocabulary, words_of


# What `from_pretrained` and the data set, and nobody chooses.
NOT_OF_THE_ARCHITECTURE = (
    "mel_mean",
    "mel_std",
    "spectrogram_mean",
    "spectrogram_std",
    "ngram_order",
    "written_words",
    "written_sentences",
    "text_recognition",
    "live_look_ahead",
    "architectures",
    "auto_map",
    "dtype",
    "_name_or_path",
    "transformers_version",
)


FrameConfig: TypeAlias = Lip2WavVideoConfig | Lip2AudSpecSoundConfig
"""The configuration of a network that can be trained alone: it knows the video's frame rate."""


@dataclass(frozen=True)
class NetworkPlan:
    """
    The networks that a run will have; all checks have passed.

    Attributes:
        run ([`TrainingArguments`]): the options that have an effect.
        network ([`Network`]): what is trained.
        config ([`Lip2WavVideoConfig`] or [`Lip2AudSpecSoundConfig`]): its configuration.
        pretrained (`Path` or `str`, *optional*): where its weights come from; None for random ones.
        subfolder (`str`, *optional*): the folder in there, of a network that lies in another's; empty for the top.
        feature_extractor ([`Lip2WavFeatureExtractor`]): what makes the crops it sees.
        speech_encoder ([`Lip2WavSpeechEncoder`], *optional*): for the perceptual losses.
        critic ([`Lip2WavCritic`] or [`Lip2WavCriticConfig`], *optional*): the critic, or what a new one is to be.
        autoencoder ([`Lip2AudSpecAutoencoder`], *optional*): whose codes a new Lip2AudSpec is to find.
        generator ([`Lip2WavModel`], *optional*): whose view of the lips a speech encoder is to imagine.
    """

    run: TrainingArguments
    network: Network
    config: FrameConfig
    pretrained: Path | str | None
    feature_extractor: Lip2WavFeatureExtractor
    speech_encoder: Lip2WavSpeechEncoder | None = None
    critic: Lip2WavCritic | Lip2WavCriticConfig | None = None
    autoencoder: Lip2AudSpecAutoencoder | None = None
    generator: Lip2WavModel | None = None
    subfolder: str = ""


def plan_networks(
    run: TrainingArguments, training_clips: Callable[[TextNormalizer], list[Clip]] | None = None
) -> NetworkPlan:
    """
    Check all options of a run, and load what its networks are made of.

    Args:
        run ([`TrainingArguments`]): the options.
        training_clips (`Callable`, *optional*): gives the training clips, their words made by a normaliser; they
            become the vocabulary of a new network. Called when the options have been found to fit. See
            [`fit_vocabulary`].

    Raises:
        TrainingError: if options contradict each other or have no effect, or a network cannot be loaded.
        ValueError, OSError: if a configuration cannot be read or contradicts itself.
    """
    network = check_arguments(run)
    check_sync_network(run.data)
    config, feature_extractor, pretrained, subfolder = _load_configs(run.models, network)
    run = check_effects(run, getattr(config, "decoder_type", None))
    lips_of = None
    if isinstance(config, Lip2WavSpeechEncoderConfig):
        lips_of = _plan_lips(run.models, config)
    if training_clips is not None and isinstance(config, Lip2WavTextConfig):
        fit_vocabulary(config, run.models, words_of(training_clips(config.normalizer)))
    speech_encoder = None
    if run.models.speech_encoder is not None:
        speech_encoder = load_speech_encoder(run.models.speech_encoder)
        generator = cast(Lip2WavConfig, config)
        _check_speech_encoder(run.models.speech_encoder, speech_encoder.config, generator, run.losses)
    critic = None
    autoencoder = _plan_autoencoder(run.models, config) if isinstance(config, Lip2AudSpecConfig) else None
    if run.losses.adversarial:
        generator = cast(Lip2WavConfig, config)
        critic = _plan_critic(run.critic, generator)
        samples = (critic.config if isinstance(critic, Lip2WavCritic) else critic).window_samples
        check_critic_windows(generator, run.losses, samples)
    return NetworkPlan(
        run,
        network,
        config,
        pretrained,
        feature_extractor if lips_of is None else lips_of.feature_extractor,
        speech_encoder,
        critic,
        autoencoder,
        generator=None if lips_of is None else lips_of.generator,
        subfolder=subfolder,
    )


def check_resumed(plan: NetworkPlan, checkpoint: Path, record: Record | None) -> None:
    """
    Refuse to resume from a checkpoint of other networks, or of another feature extractor.

    Args:
        plan ([`NetworkPlan`]): the networks that the run would have.
        checkpoint (`Path`): where it would go on from.
        record ([`Record`], *optional*): of the checkpoint.

    Raises:
        TrainingError: names what differs.
    """
    critic = plan.critic.config if isinstance(plan.critic, Lip2WavCritic) else plan.critic
    if (critic is not None) != (checkpoint / "critic").is_dir():
        was, now = ("without", "with") if critic is not None else ("with", "without")
        raise cannot_change(checkpoint, f"adversarial: {was} a critic -> {now} one")
    changed: dict[str, tuple[Any, Any]] = {}
    for folder, config in ((".", plan.config), ("critic", critic)):
        if config is not None:
            before = type(config).from_pretrained(checkpoint / folder)
            changed |= _differences(before.to_dict(), config.to_dict())
    if record is not None:
        changed |= _differences(record.feature_extractor, settings_of(plan.feature_extractor))
    if changed:
        raise cannot_change(checkpoint, describe_changes(changed))


def settings_of(configuration: Any) -> dict[str, Any]:
    """What a configuration or a feature extractor says, as JSON has it."""
    return json.loads(json.dumps(configuration.to_dict(), default=str))


def _differences(before: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [name for name in before if name in now and name not in NOT_OF_THE_ARCHITECTURE]
    return {name: (before[name], now[name]) for name in names if before[name] != now[name]}


def _load_configs(
    models: ModelArguments, network: Network
) -> tuple[FrameConfig, Lip2WavFeatureExtractor, Path | str | None, str]:
    config_class = network.config_class
    if models.pretrained is not None:
        place, subfolder = _locate("pretrained", models.pretrained, network)
        config = config_class.from_pretrained(place, subfolder=subfolder)
        return config, Lip2WavFeatureExtractor.from_pretrained(place), place, subfolder
    text = {name: getattr(models, name) for name in TEXT_OPTIONS if getattr(models, name) is not None}
    fields = {} if models.config is None else read_fields(models.config, TrainingError)
    config, extractor = config_class.from_dict(fields | text), Lip2WavFeatureExtractor()
    if models.feature_extractor is not None:
        extractor = cast(Lip2WavFeatureExtractor, Lip2WavFeatureExtractor.from_json_file(models.feature_extractor))
    return config, extractor, None, ""


class _LipsOf(NamedTuple):
    """A generator, and what makes the crops that it sees."""

    generator: Lip2WavModel
    feature_extractor: Lip2WavFeatureExtractor


def _plan_lips(models: ModelArguments, config: Lip2WavSpeechEncoderConfig) -> _LipsOf | None:
    """The generator whose view of the lips is to be imagined, if any; the config of the encoder gets its size."""
    source = models.lips_of
    if source is None:
        if models.pretrained is None and config.lip_states_size:
            raise TrainingError(
                f"--config {models.config}: a new network with a `lip_states_size` learns to imagine lips: say whose,"
                " --lips_of, and how much that weighs, --lip_states; or leave it out."
            )
        return None
    generator = _load_part(LIPS_OF, source)
    if generator.config.decoder_type != "istft":
        raise TrainingError(
            f'--lips_of {source}: it has the "{generator.config.decoder_type}" decoder. Name a generator with the'
            ' "istft" decoder, such as grid-s1.'
        )
    size = generator.config.hidden_size
    for name, own, other in (
        ("frame_rate", config.frame_rate, generator.config.frame_rate),
        ("lip_states_size", config.lip_states_size or size, size),
    ):
        if own != other:
            raise TrainingError(
                f"--lips_of {source}: `{name}` of the speech encoder does not fit this generator ({own} and {other})."
                " Name the one that it was made for, or train a speech encoder that fits."
            )
    config.lip_states_size = size
    place, _ = find_network(source, LIPS_OF.model_type)
    return _LipsOf(generator, Lip2WavFeatureExtractor.from_pretrained(place))


def _plan_autoencoder(models: ModelArguments, config: Lip2AudSpecConfig) -> Lip2AudSpecAutoencoder | None:
    """The autoencoder of a new network, whose config takes over what is the autoencoder's."""
    if models.pretrained is not None:
        return None
    if models.autoencoder is None:
        raise TrainingError(
            "Lip2AudSpec learns the codes of an autoencoder: name it with --autoencoder. Where there is none, train it"
            " first: lip2wav train lip2audspec_autoencoder."
        )
    autoencoder = _load_part(AUTOENCODER, models.autoencoder)
    for field in dataclasses.fields(Lip2AudSpecAutoencoderConfig):
        if field.name in Lip2AudSpecSoundConfig.__annotations__:
            setattr(config, field.name, getattr(autoencoder.config, field.name))
    config.validate()
    return autoencoder


def _config_from_file(config_class: Any, path: str) -> Any:
    """A configuration from a JSON file, which is refused if it names another network."""
    return config_class.from_dict(read_fields(path, TrainingError))


def _locate(option: str, source: str, network: Network) -> tuple[Path | str, str]:
    """Where a network lies, and the folder in it; empty for the top."""
    try:
        if network.folder == ".":
            return locate_model(source, network.model_type), ""
        return find_network(source, network.model_type)
    except ModelError as error:
        raise TrainingError(f"--{option}: {error}") from error


def _load_part(part: Part, source: str) -> Any:
    """A network of a folder, Hub repo or bundled model, where it lies at the top or in the folder of its kind."""
    try:
        part.locate(source)
        return load_network(source, part.model_type)
    except (OSError, ValueError) as error:
        raise part.error(source, error) from error


def load_speech_encoder(source: str) -> Lip2WavSpeechEncoder:
    """
    The speech encoder that an option names.

    Raises:
        TrainingError: if there is none.
    """
    return _load_part(SPEECH_ENCODER, source)


def _check_speech_encoder(
    source: str, encoder: Lip2WavSpeechEncoderConfig, generator: Lip2WavConfig, weights: LossArguments
) -> None:
    """An encoder hears the generator's spectrogram, or the "frame" decoder's waveform, and knows the same words."""
    shared = ["frame_rate"] + (["text_units", "vocabulary"] if weights.heard_words else [])
    if generator.decoder_type == "istft":
        shared += ["sampling_rate", "num_mel_bins", "n_fft", "hop_length"]
    for name in shared:
        own, other = getattr(encoder, name), getattr(generator, name)
        if list(own) != list(other) if name == "vocabulary" else own != other:
            values = "" if name == "vocabulary" else f" ({own} and {other})"
            words = name in ("text_units", "vocabulary")
            otherwise = ", or say --heard_words 0: then only its features count" if words else ""
            raise TrainingError(
                f"--speech_encoder {source}: its `{name}` is not that of the generator{values}. Train one that"
                f" fits{otherwise}."
            )


def check_sync_network(data: DataArguments) -> None:
    """
    Load the sync network, if an option names one; it is kept for later.

    Raises:
        TrainingError: if there is none.
    """
    if data.sync_network is None:
        return
    try:
        load_sync_network(sync_network_of(data))
    except (OSError, ValueError) as error:
        raise SYNC_NETWORK.error(data.sync_network, error) from error


def sync_network_of(data: DataArguments) -> Path | str:
    """Folder or Hub repo of the sync network that finds offsets."""
    return SYNC_CHECKPOINT if data.sync_network is None else locate_model(data.sync_network, "lip2wav_syncnet")


def _plan_critic(arguments: CriticArguments, config: Lip2WavConfig) -> Lip2WavCritic | Lip2WavCriticConfig:
    """The critic of a generator with this config, or the config of a new one."""
    if arguments.critic_pretrained is not None:
        return _load_critic(arguments.critic_pretrained, config.sampling_rate)
    critic = Lip2WavCriticConfig()
    if arguments.critic_config is not None:
        critic = _config_from_file(Lip2WavCriticConfig, arguments.critic_config)
    shared = ("sampling_rate", "mel_floor")
    if config.decoder_type == "istft":
        shared += ("num_mel_bins", "n_fft", "hop_length")
    for name in shared:
        setattr(critic, name, getattr(config, name))
    critic.validate()
    return critic


def _load_critic(source: str, sampling_rate: int) -> Lip2WavCritic:
    critic = _load_part(CRITIC, source)
    if critic.config.sampling_rate != sampling_rate:
        raise TrainingError(
            f"--critic_pretrained {source}: it judges sound at {critic.config.sampling_rate} Hz, the generator speaks"
            f" at {sampling_rate} Hz."
        )
    return critic


def measure_spectrogram(dataset: SpeechClips, config: FrameConfig, clips: int = 200) -> tuple[float, float]:
    """
    Mean and standard deviation of the spectrograms of up to `clips` clips spread over a dataset: log-mel spectrograms,
    or auditory ones for Lip2AudSpec.
    """
    spectrogram = LogMelSpectrogram(config) if isinstance(config, Lip2WavSoundConfig) else config.auditory
    step = max(len(dataset) // clips, 1)
    spectrograms = [spectrogram(dataset[index]["waveform"][None])[0] for index in range(0, len(dataset), step)]
    values = torch.cat(spectrograms)
    return float(values.mean()), float(values.std())


def build_model(plan: NetworkPlan, dataset: SpeechClips) -> Lip2WavPreTrainedModel:
    """The network that is trained; a new one gets the mean and standard deviation of the training sound."""
    if plan.pretrained is not None:
        model = plan.network.model_class.from_pretrained(
            plan.pretrained, subfolder=plan.subfolder, dtype=torch.float32
        )
        if isinstance(model, Lip2WavSpeechEncoder) and plan.generator is not None:
            return with_lips(model, plan.generator.config.hidden_size)
        if isinstance(model.config, Lip2WavConfig):
            model.config.text_recognition |= _learns_words(plan.run)
            _note_look_ahead(model.config, plan.run.losses)
        return model
    if isinstance(plan.config, Lip2WavConfig):
        plan.config.text_recognition = _learns_words(plan.run)
        _note_look_ahead(plan.config, plan.run.losses)
    if plan.autoencoder is not None:
        model = plan.network.model_class(plan.config)
        model.autoencoder.load_state_dict(plan.autoencoder.autoencoder.state_dict())
        return model
    measured = measure_spectrogram(dataset, plan.config)
    for name, value in zip(plan.config.measured_fields, measured, strict=True):
        setattr(plan.config, name, value)
    return plan.network.model_class(plan.config)


def with_lips(model: Lip2WavSpeechEncoder, size: int) -> Lip2WavSpeechEncoder:
    """A speech encoder that imagines lip states of `size` channels: itself, or one with its weights and a new head."""
    if model.config.lip_states_size:
        return model
    config = copy.deepcopy(model.config)
    config.lip_states_size = size
    whole = Lip2WavSpeechEncoder(config)
    whole.load_state_dict(whole.state_dict() | model.state_dict())
    return whole


def freeze_lips(model: Lip2WavModel) -> None:
    """Leave what reads the lips as it is: only the sound learns."""
    for part in lip_parts(model):
        part.requires_grad_(False)


def lip_parts(model: Lip2WavModel) -> tuple[nn.Module, ...]:
    """What reads the lips."""
    return model.visual_encoder, model.temporal_encoder, model.text_head


def _learns_words(run: TrainingArguments) -> bool:
    """Whether the text head of a generator learns anything."""
    return run.optimization.train_lips and bool(run.losses.ctc or run.losses.words)


def _note_look_ahead(config: Lip2WavConfig, weights: LossArguments) -> None:
    """Write down for which look-ahead a generator is trained; what was learnt before is not forgotten at once."""
    learnt = middle_look_ahead(look_aheads(weights.look_ahead))
    config.live_look_ahead = config.live_look_ahead if learnt is None else learnt


def build_critic(plan: NetworkPlan) -> Lip2WavCritic | None:
    """The critic, if there is to be one; a new one standardises as the generator does."""
    if not isinstance(plan.critic, Lip2WavCriticConfig):
        return plan.critic
    for name in plan.critic.measured_fields:
        setattr(plan.critic, name, getattr(plan.config, name))
    return Lip2WavCritic(plan.critic)


def build_objective(
    plan: NetworkPlan, model: Lip2WavPreTrainedModel, critic: Lip2WavCritic | None, weights: LossArguments
) -> Objective:
    """The network with its losses."""
    module, _, name = (plan.network.objective or "").rpartition(".")
    objective_class = getattr(importlib.import_module(f"{__package__}.{module}"), name)
    helpers: dict[str, Any] = {}
    if plan.speech_encoder is not None:
        helpers["speech_encoder"] = plan.speech_encoder
    if critic is not None:
        helpers["critic_samples"] = critic.config.window_samples
    if plan.generator is not None:
        helpers["generator"] = plan.generator
    return objective_class(model, weights, **helpers)


def _copy_measured(source: Lip2WavPreTrainedModel, target: Lip2WavPreTrainedModel) -> None:
    """Give a network what was measured of the training sound when another one was made."""
    for name in source.config.measured_fields:
        setattr(target.config, name, getattr(source.config, name))


def _keep_text_recognition(config: Any, checkpoint: str) -> None:
    """A text head that had been trained before is a trained one, whatever this run trains."""
    if isinstance(config, Lip2WavConfig):
        stated = read_fields(os.path.join(checkpoint, "config.json")).get("text_recognition")
        config.text_recognition |= stated is True


def register_network_hooks(state: State) -> None:
    """Checkpoints hold each network as `save_pretrained` writes it."""

    def save(models: list, weights: list, output_dir: str) -> None:
        if state.accelerator.is_main_process:
            for folder, network in state.networks.items():
                network.save_pretrained(os.path.join(output_dir, folder))
        weights.clear()

    def load(models: list, input_dir: str) -> None:
        for folder, network in state.networks.items():
            loaded = type(network).from_pretrained(os.path.join(input_dir, folder))
            network.load_state_dict(loaded.state_dict())
            _copy_measured(loaded, network)
        _keep_text_recognition(state.model.config, input_dir)
        _copy_measured(state.model, state.average.model)
        if isinstance(state.model.config, Lip2WavConfig):
            state.average.model.config.text_recognition = state.model.config.text_recognition
        models.clear()

    state.accelerator.register_save_state_pre_hook(save)
    state.accelerator.register_load_state_pre_hook(load)


__all__ = [
    "FrameConfig",
    "NetworkPlan",
    "build_critic",
    "build_model",
    "build_objective",
    "check_resumed",
    "check_sync_network",
    "freeze_lips",
    "lip_parts",
    "load_speech_encoder",
    "measure_spectrogram",
    "plan_networks",
    "register_network_hooks",
    "settings_of",
    "sync_network_of",
    "with_lips",
]
