"""The options of a training, in groups: what each is, its default, and where it has an effect."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, get_type_hints

from ..errors import Lip2WavError


class TrainingError(Lip2WavError):
    """Training arguments, data or a checkpoint that cannot be used, or a loss that is no longer a number."""


@dataclass(frozen=True)
class Use:
    """
    Where an option has an effect, and whether it may change; part of its annotation. A run that sets one without
    effect, or changes one that must stay, is refused.

    Attributes:
        networks (`tuple[str, ...]`, *optional*): as `--network` names them; all by default.
        decoder (`str`, *optional*): the `decoder_type` of the generator; any by default.
        needs (`str`, *optional*): another option that must be set.
        replaced_by (`str`, *optional*): another option that brings what this one would.
        kept (`bool`, *optional*, defaults to `False`): whether a run that is resumed must have it as before.
    """

    networks: tuple[str, ...] = ()
    decoder: str | None = None
    needs: str | None = None
    replaced_by: str | None = None
    kept: bool = False


@dataclass(frozen=True)
class SoundLoss:
    """
    A loss that compares generated with original sound; part of the annotation of its weight, which declares it: the
    objective of the generator adds up all that are declared.

    Attributes:
        function (`str`): its name in `losses.py`; takes both waveforms, `(batch, samples)`, and gives a scalar.
    """

    function: str


KEPT = Use(kept=True)
GENERATOR = Use(("generator",))
ISTFT = Use(("generator",), decoder="istft")
WORDS = Use(("generator", "speech_encoder"))
SOUND_AND_LIPS = Use(("generator", "speech_encoder", "lip2audspec"))
TEXT = Use(("generator", "speech_encoder"), replaced_by="pretrained")
PICTURES = Use(("generator", "syncnet", "lip2audspec"))  # the others see none
SPEAKING = Use(("generator", "lip2audspec"))
LIP2AUDSPEC = Use(("lip2audspec",))
ENCODER = Use(("generator",), needs="speech_encoder")
CRITIC = Use(("generator",), needs="adversarial")
HUB = Use(("generator",), needs="push_to_hub")
LIPS_HEARD = Use(("speech_encoder",), needs="lips_of")


@dataclass
class DataArguments:
    """Which clips to train on."""

    data_dir: list[str] = field(
        metadata={"help": "Folders of videos with transcripts, or of GRID in any of its layouts."}
    )
    cache_dir: str = field(default="runs/cache", metadata={"help": "Where mouth crops and sound are cached, once."})
    split_scheme: Annotated[str, KEPT] = field(
        default="custom",
        metadata={
            "help": "Which clips are in which split: 'custom' (splits.json, or what a folder of videos says), or one"
            " of GRID's: 'seen4', 'unseen33', 'overlap33' or 'grid_s1'."
        },
    )
    splits_file: str | None = field(
        default=None, metadata={"help": "JSON file of the splits; splits.json in each data_dir by default."}
    )
    alignments: str | None = field(
        default=None,
        metadata={"help": "Folder of word times that `lip2wav align` wrote, for clips that have none of their own."},
    )
    train_split: Annotated[str, KEPT] = field(default="train", metadata={"help": "Split to train on."})
    validation_split: Annotated[str, KEPT] = field(default="validation", metadata={"help": "Split to validate on."})
    speakers: Annotated[list[str] | None, KEPT] = field(
        default=None, metadata={"help": "Only these speakers; all of the split by default."}
    )
    synchronize: Annotated[list[str] | None, SOUND_AND_LIPS] = field(
        default=None,
        metadata={
            "help": "Speakers whose sounds are moved to where their mouths say they belong; the sync network must know"
            " them well. GRID's own sounds are early or late by about half a frame."
        },
    )
    sync_network: Annotated[str | None, Use(needs="synchronize")] = field(
        default=None,
        metadata={
            "help": "Sync network for --synchronize: a folder, a Hub repo or a bundled model; grid-sync by default."
        },
    )
    appearance_dir: Annotated[list[str] | None, Use(needs="appearance_probability")] = field(
        default=None,
        metadata={
            "help": "Folders of videos of other people, who lend their looks only: without sound or transcripts too."
            " A folder in it is a person's, if no corpus says whose a video is."
        },
    )
    preprocessing_workers: int = field(default=2, metadata={"help": "Processes that prepare the cache."})
    dataloader_workers: int = field(default=1, metadata={"help": "Processes that load and vary clips."})


@dataclass
class ModelArguments:
    """Where the networks come from."""

    config: Annotated[str | None, Use(replaced_by="pretrained")] = field(
        default=None, metadata={"help": "JSON file of the network's config; the default if not given."}
    )
    pretrained: str | None = field(
        default=None, metadata={"help": "Model to start from: a folder, a Hub repo or a bundled model."}
    )
    network: Annotated[str, KEPT] = field(
        default="generator",
        metadata={
            "help": "What to train: 'generator', 'speech_encoder', 'syncnet', 'lip2audspec_autoencoder' or"
            " 'lip2audspec'."
        },
    )
    speech_encoder: Annotated[str | None, GENERATOR] = field(
        default=None,
        metadata={
            "help": "Speech encoder for the perceptual losses: a folder, a Hub repo or a bundled model with one."
        },
    )
    lips_of: Annotated[str | None, Use(("speech_encoder",), needs="lip_states")] = field(
        default=None,
        metadata={
            "help": "Generator whose view of the lips the speech encoder learns to imagine: a folder, a Hub repo or a"
            " bundled model. It brings the feature extractor too."
        },
    )
    autoencoder: Annotated[str | None, Use(("lip2audspec",), replaced_by="pretrained")] = field(
        default=None,
        metadata={"help": "Autoencoder whose codes Lip2AudSpec learns: a folder, a Hub repo or a bundled model."},
    )
    text_units: Annotated[str | None, TEXT] = field(
        default=None,
        metadata={
            "help": "What a new network recognises: 'words' of the training clips, or 'characters', which spell any"
            " word; what its config says by default, else words."
        },
    )
    text_case: Annotated[str | None, TEXT] = field(
        default=None, metadata={"help": "Of transcripts: 'lower' or 'keep'; what the config says by default."}
    )
    text_punctuation: Annotated[str | None, TEXT] = field(
        default=None, metadata={"help": "Of transcripts: 'drop' or 'keep'; what the config says by default."}
    )
    text_numbers: Annotated[str | None, TEXT] = field(
        default=None,
        metadata={"help": "Digits in transcripts: 'keep', or a language in which to spell them out, such as 'en'."},
    )
    text_unicode: Annotated[str | None, TEXT] = field(
        default=None,
        metadata={"help": "Of transcripts: 'NFC', 'NFKC', 'NFD' or 'NFKD'; what the config says by default."},
    )
    ngram_order: Annotated[int | None, GENERATOR] = field(
        default=None,
        metadata={
            "help": "Save an n-gram of this many words, made of the training transcripts, for the beam search; by"
            " default that of --pretrained, if it has one."
        },
    )
    feature_extractor: Annotated[str | None, Use(replaced_by="pretrained"), Use(replaced_by="lips_of")] = field(
        default=None, metadata={"help": "JSON file of a Lip2WavFeatureExtractor."}
    )


@dataclass
class LossArguments:
    """Weights of the losses, all our choices; 0 turns one off."""

    mel: Annotated[float, ISTFT] = field(default=1.0, metadata={"help": "L1 of the standardised log-mel spectrogram."})
    envelope: Annotated[float, ISTFT] = field(
        default=2.0, metadata={"help": "Correlation of short-time envelopes of the mel spectrogram."}
    )
    ctc: Annotated[float, WORDS] = field(
        default=0.02, metadata={"help": "Connectionist temporal classification of the words."}
    )
    words: Annotated[float, WORDS] = field(
        default=0.1, metadata={"help": "Cross-entropy of the word aligned to each frame."}
    )
    label_smoothing: Annotated[float, WORDS] = field(
        default=0.0,
        metadata={"help": "Share of that word that is spread over all words, so that the network is less sure."},
    )
    word_contrast: Annotated[float, GENERATOR] = field(
        default=0.0, metadata={"help": "Contrast: what different people's lips do is alike for the same word only."}
    )
    magnitude: Annotated[float, ISTFT] = field(
        default=0.3, metadata={"help": "L1 of the waveform decoder's log magnitudes."}
    )
    waveform: Annotated[float, GENERATOR, SoundLoss("waveform_l1_loss")] = field(
        default=0.0, metadata={"help": "L1 of the waveform."}
    )
    stft: Annotated[float, GENERATOR, SoundLoss("multi_resolution_stft_loss")] = field(
        default=0.3, metadata={"help": "Multi-resolution STFT loss of the waveform."}
    )
    spoken_envelope: Annotated[float, ISTFT] = field(
        default=0.5, metadata={"help": "Correlation of short-time envelopes of the waveform (16 kHz)."}
    )
    power: Annotated[float, GENERATOR, SoundLoss("power_loss")] = field(
        default=0.0, metadata={"help": "Squared difference of the waveform's log power."}
    )
    power_window: Annotated[int, Use(("generator",), needs="power")] = field(
        default=640, metadata={"help": "Samples over which power is taken, every quarter of them."}
    )
    disturbance: Annotated[float, GENERATOR, SoundLoss("disturbance_loss")] = field(
        default=0.0, metadata={"help": "How differently the waveform is heard, as PESQ measures it."}
    )
    total_variation: Annotated[float, GENERATOR, SoundLoss("total_variation_loss")] = field(
        default=0.0, metadata={"help": "Mean absolute difference of the waveform's neighbouring samples."}
    )
    adversarial: Annotated[float | None, GENERATOR] = field(
        default=None,
        metadata={"help": "Minus the Wasserstein critic's score; without it, or with 0, there is no critic."},
    )
    perceptual: Annotated[float, ENCODER] = field(
        default=1.0, metadata={"help": "L1 of the speech encoder's features, if there is one (--speech_encoder)."}
    )
    perceptual_mel: Annotated[float, ENCODER] = field(
        default=0.0, metadata={"help": "L1 of the mel spectrogram that the speech encoder hears."}
    )
    heard_words: Annotated[float, ENCODER] = field(
        default=0.2, metadata={"help": "Cross-entropy of the words that the speech encoder recognises in each frame."}
    )
    true_words: Annotated[float, ISTFT] = field(
        default=0.5,
        metadata={"help": "Share of clips whose decoder is told the true words, of a network with word_conditioning."},
    )
    look_ahead: Annotated[list[str] | None, ISTFT] = field(
        default=None,
        metadata={
            "help": "How many later video frames the network may see, such as 0 2 3 4 8 all: each batch draws one, so"
            " that the network can speak live too; what is named twice is drawn twice as often. By default, as its"
            " config says."
        },
    )
    lip_states: Annotated[float, LIPS_HEARD] = field(
        default=0.0,
        metadata={
            "help": "Squared error of what a generator (--lips_of) would see of the lips, imagined from the sound; 1"
            " without imagination."
        },
    )
    codes: Annotated[float, LIP2AUDSPEC] = field(
        default=1.0, metadata={"help": "CorrMSE of the codes of the autoencoder (Lip2AudSpec)."}
    )
    auditory: Annotated[float, LIP2AUDSPEC] = field(
        default=0.0, metadata={"help": "CorrMSE of the auditory spectrogram that it makes of them (Lip2AudSpec)."}
    )
    decoder_windows: Annotated[int, ISTFT] = field(
        default=8,
        metadata={"help": "Windows of predicted mel that the decoder learns from."},
    )
    decoder_real_windows: Annotated[int | None, ISTFT] = field(
        default=None, metadata={"help": "Windows of real mel that it learns from too; as many by default."}
    )
    decoder_window_frames: Annotated[int, ISTFT] = field(
        default=64, metadata={"help": "Length of such a window, in mel frames."}
    )


@dataclass
class AugmentationArguments:
    """How training clips are varied. All are our choices; a probability of 0 turns one off."""

    speaker_probability: float = field(
        default=0.0, metadata={"help": "Take a clip of a random speaker instead, each speaker as likely."}
    )
    splice_probability: float = field(
        default=0.5,
        metadata={"help": "Join the first words of a clip to the last words of another by the same speaker."},
    )
    join_probability: float = field(
        default=0.0,
        metadata={"help": "Append whole clips by the same speaker to one that is shorter than the window."},
    )
    window_frames: int = field(
        default=64, metadata={"help": "Video frames cut from each clip at random; 0 for whole clips."}
    )
    flip_probability: Annotated[float, PICTURES] = field(default=0.5, metadata={"help": "Mirror the picture."})
    scale: Annotated[float, PICTURES] = field(default=0.08, metadata={"help": "Largest relative change of size."})
    rotation: Annotated[float, PICTURES] = field(default=4.0, metadata={"help": "Largest rotation, in degrees."})
    shift: Annotated[float, PICTURES] = field(default=4.0, metadata={"help": "Largest shift, in pixels of the crop."})
    aspect: Annotated[float, PICTURES] = field(
        default=0.0, metadata={"help": "Largest relative change of width against height."}
    )
    shear: Annotated[float, PICTURES] = field(
        default=0.0, metadata={"help": "Largest shear, as the tangent of its angle."}
    )
    lighting: Annotated[float, PICTURES] = field(
        default=0.0, metadata={"help": "Largest slope of brightness across the picture, of full white."}
    )
    bend: Annotated[float, PICTURES] = field(
        default=0.0,
        metadata={"help": "How far a smooth bend moves pixels, as a standard deviation: mouths of other shapes."},
    )
    appearance_probability: Annotated[float, PICTURES] = field(
        default=0.0,
        metadata={"help": "Give the clip some of the looks of another, of any speaker; its movement stays."},
    )
    complexion_probability: Annotated[float, PICTURES] = field(
        default=0.0,
        metadata={"help": "Make skin, lips and beard darker or lighter, but not what is between the lips."},
    )
    gamma: Annotated[float, PICTURES] = field(default=0.3, metadata={"help": "Largest change of log gamma."})
    noise: Annotated[float, PICTURES] = field(
        default=0.05, metadata={"help": "Largest standard deviation of pixel noise, of normalised pixels."}
    )
    blur_probability: Annotated[float, PICTURES] = field(default=0.15, metadata={"help": "Blur the picture."})
    coarse_probability: Annotated[float, PICTURES] = field(
        default=0.0, metadata={"help": "Make the picture coarser, as that of a smaller face."}
    )
    cutout_probability: Annotated[float, PICTURES] = field(
        default=0.3, metadata={"help": "Hide a rectangle of the picture for the whole clip."}
    )
    time_mask_probability: Annotated[float, PICTURES] = field(
        default=0.5, metadata={"help": "Hide a run of up to `time_mask_frames` frames."}
    )
    time_mask_frames: Annotated[int, PICTURES] = field(default=8, metadata={"help": "Longest run of hidden frames."})
    stretch_probability: float = field(
        default=0.5, metadata={"help": "Play the clip slower or faster, pitch unchanged."}
    )
    stretch: float = field(default=0.15, metadata={"help": "Largest relative change of speed."})

    def of_network(self, name: str) -> AugmentationArguments:
        """How clips are varied for a network, as `--network` names it: what has no effect on it is turned off."""
        without = {
            option: 0
            for option, hint in get_type_hints(type(self), include_extras=True).items()
            for use in getattr(hint, "__metadata__", ())
            if isinstance(use, Use) and use.networks and name not in use.networks
        }
        return dataclasses.replace(self, **without)


@dataclass
class CriticArguments:
    """The critic of the adversarial stage, which `adversarial` above 0 turns on. All are our choices."""

    critic_config: Annotated[str | None, Use(("generator",), needs="adversarial", replaced_by="critic_pretrained")] = (
        field(default=None, metadata={"help": "JSON file of the critic's config; the default if not given."})
    )
    critic_pretrained: Annotated[str | None, CRITIC] = field(
        default=None, metadata={"help": "Critic to continue with: a folder, a Hub repo or a bundled model with one."}
    )
    critic_start: Annotated[int, CRITIC] = field(
        default=0, metadata={"help": "Step at which the critic begins to learn."}
    )
    critic_warmup: Annotated[int, CRITIC] = field(
        default=100, metadata={"help": "Steps for which it learns alone, before the generator's loss includes it."}
    )
    critic_steps: Annotated[int, CRITIC] = field(default=1, metadata={"help": "Its updates per batch."})
    critic_learning_rate: Annotated[float, CRITIC] = field(
        default=1e-4, metadata={"help": "Its learning rate (Adam)."}
    )
    critic_beta1: Annotated[float, CRITIC] = field(default=0.5, metadata={"help": "Its Adam's first decay rate."})
    gradient_penalty: Annotated[float, CRITIC] = field(
        default=10.0, metadata={"help": "Weight of its gradient penalty."}
    )


@dataclass
class OptimizationArguments:
    """How to optimise and what to keep."""

    output_dir: str = field(
        default="runs/lip2wav", metadata={"help": "Checkpoints, logs and the final model go here."}
    )
    overwrite_output_dir: bool = field(
        default=False, metadata={"help": "Delete another run that is in output_dir, when this one begins."}
    )
    train_lips: Annotated[bool, GENERATOR] = field(
        default=True,
        metadata={"help": "Train what reads the lips; otherwise it stays as in --pretrained, and the sound learns."},
    )
    max_steps: int = field(default=4500, metadata={"help": "Optimiser steps in all."})
    batch_size: int = field(default=16, metadata={"help": "Clips per batch, in each process."})
    gradient_accumulation_steps: int = field(default=1, metadata={"help": "Batches per optimiser step."})
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
    seed: int = field(default=0, metadata={"help": "Seed of all random numbers."})
    validation_epochs: int | None = field(
        default=None,
        metadata={"help": "Validate every N epochs; by default every epoch, but at least 50 steps apart."},
    )
    validation_steps: int | None = field(default=None, metadata={"help": "Validate every N steps, instead of epochs."})
    validation_clips: Annotated[int, SPEAKING] = field(
        default=8, metadata={"help": "Validation clips that are spoken and scored (STOI, ESTOI, PESQ) each time."}
    )
    save_epochs: int | None = field(
        default=None,
        metadata={"help": "Write a checkpoint every N epochs; by default every epoch, but at least 50 steps apart."},
    )
    save_steps: int | None = field(
        default=None, metadata={"help": "Write a checkpoint every N steps, instead of epochs."}
    )
    logging_steps: int = field(default=10, metadata={"help": "Show and log the losses every N steps."})
    save_dtype: str = field(
        default="float16",
        metadata={"help": "Type of the weights in best/ and final/, which always load as float32."},
    )
    save_total_limit: int = field(default=2, metadata={"help": "Checkpoints kept."})
    resume: str | None = field(
        default=None, metadata={"help": "'latest' or the folder of a checkpoint to resume from."}
    )
    with_tracking: bool = field(default=True, metadata={"help": "Log to TensorBoard in output_dir/logs."})
    push_to_hub: Annotated[bool, GENERATOR] = field(
        default=False,
        metadata={"help": "At the end, measure final/ on the validation clips and publish it on the Hub."},
    )
    hub_model_id: Annotated[str | None, HUB] = field(
        default=None, metadata={"help": "Its repository there, such as me/my-voice."}
    )
    hub_license: Annotated[str | None, HUB] = field(
        default=None, metadata={"help": "Licence of the weights, as the Hub names it, such as cc-by-4.0."}
    )
    hub_private: Annotated[bool, HUB] = field(default=False, metadata={"help": "Make that repository a private one."})


@dataclass(frozen=True)
class TrainingArguments:
    """
    All arguments of a training, in the order of their sections, over which it iterates.

    Attributes:
        recipe (`frozenset[str]`, *optional*): names of the options that a recipe sets, and nothing else.
        given (`frozenset[str]`, *optional*): names of those that the command line sets.
    """

    data: DataArguments
    models: ModelArguments
    losses: LossArguments
    augmentation: AugmentationArguments
    critic: CriticArguments
    optimization: OptimizationArguments
    recipe: frozenset[str] = frozenset()
    given: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Any]:
        return iter((self.data, self.models, self.losses, self.augmentation, self.critic, self.optimization))

    def options(self) -> dict[str, Any]:
        """The value of each option, by its name."""
        return {each.name: getattr(section, each.name) for section in self for each in dataclasses.fields(section)}

    def defaults(self) -> dict[str, Any]:
        """The default of each option that has one, by its name."""
        fields = (option for section in self for option in dataclasses.fields(section))
        return {option.name: option.default for option in fields if option.default is not dataclasses.MISSING}

    def without(self, names: Iterable[str]) -> TrainingArguments:
        """The same, but for some options, which are as by default."""
        defaults, names = self.defaults(), set(names)
        own = [names & {each.name for each in dataclasses.fields(section)} for section in self]
        sections = [
            dataclasses.replace(section, **{name: defaults[name] for name in found})
            for section, found in zip(self, own, strict=True)
        ]
        return TrainingArguments(*sections, recipe=self.recipe - names, given=self.given)


def look_aheads(words: list[str] | None) -> tuple[int | None, ...]:
    """
    What `--look_ahead` says, in video frames, the smallest first; `None` stands for the whole clip. What is named
    several times is there as often.

    Raises:
        TrainingError: if it is neither whole numbers from 0 nor "all".
    """
    for word in words or ():
        if word != "all" and not (word.isascii() and word.isdigit()):
            raise TrainingError(f"--look_ahead {word}: it is a number of video frames, 0 or more, or 'all'.")
    chosen = [None if word == "all" else int(word) for word in words or ["all"]]
    return tuple(sorted(chosen, key=lambda frames: float("inf") if frames is None else frames))


def middle_look_ahead(chosen: tuple[int | None, ...]) -> int | None:
    """The one of [`look_aheads`] that validation takes, however often each is named."""
    different = list(dict.fromkeys(chosen))
    return different[(len(different) - 1) // 2]


__all__ = [
    "AugmentationArguments",
    "CriticArguments",
    "DataArguments",
    "LossArguments",
    "ModelArguments",
    "OptimizationArguments",
    "SoundLoss",
    "TrainingArguments",
    "TrainingError",
    "Use",
    "look_aheads",
    "middle_look_ahead",
]
