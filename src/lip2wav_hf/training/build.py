"""Build the state of a run from its arguments: data, networks and optimisers."""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, DistributedDataParallelKwargs, ProjectConfiguration, set_seed
from torch.utils.data import DataLoader

from ..configuration_lip2wav import Lip2WavSpeechEncoderConfig, Lip2WavTextConfig
from ..corpora.clips import Clip, CorpusError, Selection
from ..corpora.languages import languages_of
from ..corpora.registry import EVERY_SPLIT, Corpus, load_meant, load_split, open_corpus, write_made_splits
from ..corpora.unused import videos_in
from ..corpora.video_folder import version_of
from ..errors import counted, one_line
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor
from ..grammar import TextNormalizer, TextUnits
from ..modeling_critic import Lip2WavCritic, Lip2WavSpeechEncoder
from ..modeling_lip2wav import Lip2WavModel, Lip2WavPreTrainedModel
from .arguments import AugmentationArguments, DataArguments, OptimizationArguments, TrainingArguments
from .checks import check_start
from .clips import PreparedClips, prepare_clips
from .dataset import SpeechClips, collate_clips
from .facts import fingerprints
from .imagination import show_faces
from .lips import find_lips
from .networks import (
    FrameConfig,
    build_critic,
    build_model,
    build_objective,
    check_resumed,
    freeze_lips,
    plan_networks,
    register_network_hooks,
    sync_network_of,
)
from .objectives import CriticObjective, GeneratorObjective, Objective
from .output_dir import checkpoint_to_resume
from .record import Record, cannot_change, read_record
from .sound_offsets import find_sound_offsets
from .state import AveragedWeights, CriticLearner, State, TrainingError
from .threads import warn_of_idle_cores
from .transcripts import keep_transcripts
from .vocabulary import without_unknown_words, words_of
from .word_times import add_word_times


logger = logging.getLogger(__name__)

NEW_WORDS = (
    "All its clips say words that no training clip says. Record such words more than once, choose the splits yourself"
    " (a column `split`, or --splits_file), spell with --text_units characters, or, to try things out, validate on the"
    " training clips: --validation_split train."
)
WITHOUT_TIMES = {
    True: "they are found as the speech encoder learns.",
    False: "they teach by CTC alone and are never cut. A speech encoder that learnt from them (lip2wav train"
    " speech_encoder) finds their times: name it with --speech_encoder.",
}
"""What becomes of training clips without word times, by whether a speech encoder is trained."""


def build_state(run: TrainingArguments) -> State:
    """
    Data, networks and optimisers of a run, on this process's device.

    Raises:
        TrainingError: if options contradict each other or have no effect, or data or networks cannot be used.
    """
    check_start(run)
    checkpoint = checkpoint_to_resume(run.optimization)
    record = None if checkpoint is None else read_record(checkpoint)
    accelerator = build_accelerator(run.optimization)
    warn_of_idle_cores(accelerator.device, accelerator.num_processes)
    set_seed(run.optimization.seed)
    corpora: list[Corpus] = []
    with _naming_speakers_of_the_recipe(run):
        plan = plan_networks(run, partial(_clips_of, corpora, run.data, run.data.train_split))
    if checkpoint is not None:
        check_resumed(plan, checkpoint, record)
    left_out, run = sorted(run.recipe - plan.run.recipe), plan.run
    if left_out and accelerator.is_main_process:
        logger.info("of the recipe, these have no effect in this run: %s", ", ".join(left_out))
    with accelerator.main_process_first(), _naming_speakers_of_the_recipe(run):
        datasets = build_datasets(
            run.data,
            plan.feature_extractor,
            plan.config,
            run.augmentation.of_network(run.models.network),
            run.optimization.seed,
            accelerator.is_main_process,
            corpora,
            run.models.speech_encoder,
            run.optimization.batch_size,
        )
    if checkpoint is not None and record is not None:
        check_same_clips(checkpoint, record, datasets)
    if accelerator.is_main_process:
        warn_of_absent_speakers(run, corpora, {name for dataset in datasets for name in dataset.by_speaker})
        _write_made_splits(corpora, run.data, Path(run.optimization.output_dir))
    check_batch_size(len(datasets[0]), run.optimization.batch_size)
    model = build_model(plan, datasets[0])
    if isinstance(model, Lip2WavSpeechEncoder) and model.lips is not None and plan.generator is not None:
        show_faces(model.lips, plan.generator, datasets[0])
    if isinstance(model, Lip2WavModel):
        keep_transcripts(model, datasets[0].clips, run.models.ngram_order)
    critic = build_critic(plan)
    objective = build_objective(plan, model, critic, run.losses)
    if isinstance(objective, GeneratorObjective) and not run.optimization.train_lips:
        if not objective.learns_sound:
            raise TrainingError("--no_train_lips: nothing would be learnt, since no loss of the sound has a weight.")
        freeze_lips(objective.model)
    state = prepare_state(accelerator, run, objective, plan.feature_extractor, datasets)
    state.split_schemes = published_schemes(corpora, run.data)
    state.languages = tuple(languages_of(corpora))
    if critic is not None:
        add_critic(state, critic)
    register_network_hooks(state)
    return state


@contextlib.contextmanager
def _naming_speakers_of_the_recipe(run: TrainingArguments) -> Generator[None]:
    """Where the clips cannot be had, and the recipe chose speakers: say so, for nobody did on the command line."""
    try:
        yield
    except CorpusError as error:
        if "speakers" not in run.recipe:
            raise
        named = " ".join(run.data.speakers or ())
        raise TrainingError(
            f"{one_line(error)} The recipe takes speaker {named} only; choose yours: --speakers NAME …"
        ) from error


def build_accelerator(arguments: OptimizationArguments) -> Accelerator:
    """Device, processes, precision and trackers of a run."""
    return Accelerator(
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


def build_datasets(
    data: DataArguments,
    feature_extractor: Lip2WavFeatureExtractor,
    config: FrameConfig,
    augmentation: AugmentationArguments | None,
    seed: int,
    progress: bool,
    corpora: list[Corpus] | None = None,
    speech_encoder: str | None = None,
    batch_size: int = 1,
) -> tuple[SpeechClips, SpeechClips]:
    """
    Training and validation clips of the folders, their crops cached. Word times that are missing are found by a speech
    encoder, if one is named.

    Raises:
        TrainingError: if a split has no usable clip, or there are too few for a batch.
        CorpusError: if a folder, a split or a clip is missing.
    """
    datasets, corpora = [], [] if corpora is None else corpora
    texts = config if isinstance(config, Lip2WavTextConfig) else None  # other networks read none
    for split, variation in ((data.train_split, augmentation), (data.validation_split, None)):
        clips = _clips_of(corpora, data, split, texts.normalizer if texts else TextNormalizer())
        units = texts.units if texts else TextUnits.collect("words", words_of(clips))
        if datasets:
            sayable = without_unknown_words(clips, units)
            if clips and not sayable:
                raise TrainingError(f"no usable clip in split {split!r} of {', '.join(data.data_dir)}. {NEW_WORDS}")
            clips = sayable
        elif clips:
            check_batch_size(len(clips), batch_size)  # before they are prepared, which takes its time
        prepared = prepare_clips(
            clips, feature_extractor, data.cache_dir, config.sampling_rate, data.preprocessing_workers, progress
        )
        moved = [clip for clip in prepared.clips if clip.speaker in (data.synchronize or ())]
        offsets = find_sound_offsets(
            moved, data.cache_dir, data.preprocessing_workers, progress, sync_network_of(data)
        )
        prepared = replace(prepared, sound_offsets=offsets)
        if texts:
            prepared = add_word_times(
                prepared,
                data.cache_dir,
                config.sampling_rate,
                data.alignments,
                speech_encoder,
                data.preprocessing_workers,
                progress,
                "" if datasets else WITHOUT_TIMES[isinstance(config, Lip2WavSpeechEncoderConfig)],
            )
        if variation is not None and variation.complexion_probability:
            lips = find_lips(prepared.clips, prepared.files, feature_extractor, data.preprocessing_workers, progress)
            prepared = replace(prepared, lips=lips)
        looks = None
        if variation is not None and data.appearance_dir:
            looks = _prepare_looks(data, feature_extractor, progress)
        dataset = SpeechClips(
            prepared, feature_extractor, units, config.samples_per_frame, variation, seed, looks=looks
        )
        if not len(dataset):
            raise TrainingError(
                f"no usable clip in split {split!r} of {', '.join(data.data_dir)}. The lines above say why;"
                " `lip2wav prepare` lists what is wrong with each. Where too few can be used to hold some back, name"
                f" another split, as `--validation_split {data.train_split}`, or split them in the metadata."
            )
        datasets.append(dataset)
    return datasets[0], datasets[1]


def _prepare_looks(data: DataArguments, feature_extractor: Lip2WavFeatureExtractor, progress: bool) -> PreparedClips:
    """The pictures of people who lend their looks."""
    clips = [clip for folder in data.appearance_dir or () for clip in _lenders(folder)]
    looks = prepare_clips(clips, feature_extractor, data.cache_dir, None, data.preprocessing_workers, progress)
    if not looks.clips:
        raise TrainingError(
            f"--appearance_dir {' '.join(data.appearance_dir or ())}: no usable video. The lines above say why."
        )
    if progress:
        people = counted(len({clip.speaker for clip in looks.clips}), "person", "people")
        logger.info("%s lend their looks, in %s", people, counted(len(looks.clips), "video"))
    return looks


def _lenders(folder: str) -> list[Clip]:
    """All clips of a corpus; or, where it is none or has no splits, all videos, by one person in each folder."""
    try:
        loaded = load_meant(open_corpus(folder), EVERY_SPLIT)
        return list({clip.key: clip for own in loaded.values() for clip in own}.values())
    except CorpusError as error:
        place = Path(folder)
        videos = list(videos_in(place)) if place.is_dir() else []
        if not videos:
            raise TrainingError(f"--appearance_dir {folder}: there is no video in it. {one_line(error)}") from error
        people = [video.parent if video.parent != place else video for video in videos]
        names = ["-".join(person.relative_to(place).parts) for person in people]
        clips = [Clip(name, video.name, video) for name, video in zip(names, videos, strict=True)]
        return [replace(clip, version=version_of(clip)) for clip in clips]


def _clips_of(corpora: list[Corpus], data: DataArguments, split: str, normalizer: TextNormalizer) -> list[Clip]:
    """Clips of a split whose words are known, of all folders; `corpora`, if empty, is filled with their readers."""
    corpora.extend(open_corpus(folder, normalizer) for folder in data.data_dir[len(corpora) :])
    clips = [
        clip
        for corpus in corpora
        for clip in load_split(
            corpus, split, data.speakers, data.splits_file, split_scheme=data.split_scheme, zipped=True
        )
    ]
    videos = {clip.key: clip.video for clip in clips}
    shared = next((clip for clip in clips if clip.video != videos[clip.key]), None)
    if shared is not None:
        raise TrainingError(
            f"{shared.video} and {videos[shared.key]} have the same speaker and name, {shared.key}. Give the speakers"
            " of one folder other names."
        )
    silent = [clip for clip in clips if not clip.words]
    if silent == clips:
        for corpus in corpora:
            _, report = corpus.find_clips(Selection(data.split_scheme, data.splits_file))
            report.require_words()
    if silent:
        logger.warning(
            "left out, without a transcript: %d of %s of split %r, such as %s",
            len(silent),
            counted(len(clips), "clip"),
            split,
            silent[0].key,
        )
    return [clip for clip in clips if clip.words]


def published_schemes(corpora: list[Corpus], data: DataArguments) -> tuple[str, ...]:
    """The published splits that the clips are of, also where nobody named one and the corpus chose."""
    schemes = (corpus.scheme(Selection(data.split_scheme, data.splits_file)) for corpus in corpora)
    return tuple(dict.fromkeys(scheme for scheme in schemes if scheme != "custom"))


def _write_made_splits(corpora: list[Corpus], data: DataArguments, folder: Path) -> None:
    for corpus in corpora:
        selection = Selection(data.split_scheme, data.splits_file)
        name = "splits.json" if len(corpora) == 1 else f"splits-{corpus.path.resolve().name}.json"
        note = write_made_splits(corpus, selection, folder / name)
        if note:
            logger.info("%s: %s", corpus.path, note)
        of_speakers = replace(selection, speakers=tuple(data.speakers or ()) or None)
        splits = (data.train_split, data.validation_split)
        for remark in dict.fromkeys(remark for split in splits for remark in corpus.remarks(split, of_speakers)):
            logger.warning("%s: %s", corpus.path, remark)


def warn_of_absent_speakers(run: TrainingArguments, corpora: list[Corpus], speakers: set[str]) -> None:
    """
    Say whose sound stays where it is, where others' sound is moved.

    A person who names speakers that are absent is told so. The recipes name speakers of GRID: nothing is said where
    the data are not GRID's, or all speakers are named.

    Args:
        run ([`TrainingArguments`]): the options.
        corpora (`list[Corpus]`): the data.
        speakers (`set[str]`): all that there are.
    """
    named, by_recipe = run.data.synchronize or [], "synchronize" in run.recipe
    absent, others = sorted(set(named) - speakers), sorted(speakers - set(named))
    stays = f" The sound of {', '.join(others)} stays where it was recorded." if others else ""
    if absent and not by_recipe:
        logger.warning("--synchronize: there are no clips of %s.%s", ", ".join(absent), stays)
    elif named and others and by_recipe and any(corpus.name == "grid" for corpus in corpora):
        logger.warning(
            "the recipe moves the sound of %s to the mouths, as it was measured.%s If it is out of sync, and a sync"
            " network knows these speakers well, name them: --synchronize %s.",
            ", ".join(named),
            stays,
            " ".join(sorted(speakers)),
        )


def check_same_clips(checkpoint: Path, record: Record, datasets: tuple[SpeechClips, SpeechClips]) -> None:
    """
    Refuse to resume a run on other clips than those it has learnt from, or was judged by.

    Raises:
        TrainingError: says which.
    """
    now = fingerprints(*datasets)
    changed = [name for name, before in record.clips.items() if now.get(name, before) != before]
    if changed:
        which = " and ".join(f"{name} clips: {record.clips[name]} -> {now[name]}" for name in changed)
        raise cannot_change(checkpoint, which)


def check_batch_size(clips: int, batch_size: int) -> None:
    """Raises [`TrainingError`] if so many training clips do not fill a batch."""
    if clips < batch_size:
        raise TrainingError(f"the training clips ({clips}) do not fill a batch of {batch_size}: lower --batch_size.")


def prepare_state(
    accelerator: Accelerator,
    run: TrainingArguments,
    objective: Objective,
    feature_extractor: Lip2WavFeatureExtractor,
    datasets: tuple[SpeechClips, SpeechClips],
) -> State:
    """A state of the network without critic: average, optimiser and batches added, all on its device."""
    arguments, model = run.optimization, objective.model
    average = AveragedWeights(model, arguments.ema_decay)
    validation_objective = objective.with_model(average.model)
    optimizer = build_optimizer(model, arguments)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_share(step, arguments))
    loaders = [
        build_loader(dataset, arguments, run.data.dataloader_workers, training)
        for dataset, training in zip(datasets, (True, False), strict=True)
    ]
    prepared, optimizer, train_loader, validation_loader = accelerator.prepare(objective, optimizer, *loaders)
    average.model.to(accelerator.device)
    state = State(
        accelerator=accelerator,
        run=run,
        objective=prepared,
        validation_objective=validation_objective.to(accelerator.device).eval(),
        average=average,
        optimizer=optimizer,
        scheduler=scheduler,
        train_loader=train_loader,
        validation_loader=validation_loader,
        feature_extractor=feature_extractor,
    )
    accelerator.register_for_checkpointing(scheduler, average, state.progress)
    return state


def build_optimizer(model: Lip2WavPreTrainedModel, arguments: OptimizationArguments) -> torch.optim.AdamW:
    """AdamW of the network that is trained."""
    return torch.optim.AdamW(
        model.parameters(),
        arguments.learning_rate,
        betas=(arguments.adam_beta1, arguments.adam_beta2),
        weight_decay=arguments.weight_decay,
        fused=True,
    )


def learning_rate_share(step: int, arguments: OptimizationArguments) -> float:
    """
    Share of the highest learning rate: a linear rise, then a half cosine down to 1/1000, or no change.

    Transformers' schedules of these names are others: they start at 0, and rise again after the last step.
    """
    warmup = max(int(arguments.warmup_ratio * arguments.max_steps), 1)
    if step < warmup:
        return (step + 1) / warmup
    if arguments.schedule == "constant":
        return 1.0
    remaining = min((step - warmup) / max(arguments.max_steps - warmup, 1), 1.0)
    return max(0.5 * (1 + math.cos(math.pi * remaining)), 1e-3)


def build_loader(dataset: SpeechClips, arguments: OptimizationArguments, workers: int, training: bool) -> DataLoader:
    """Batches of a dataset; those of training in random order, all of the same size."""
    return DataLoader(
        dataset,
        arguments.batch_size,
        shuffle=training,
        drop_last=training,
        collate_fn=collate_clips,
        num_workers=workers,
        generator=torch.Generator().manual_seed(arguments.seed),
    )


def add_critic(state: State, critic: Lip2WavCritic) -> None:
    """Give a state a critic, with its optimiser."""
    arguments = state.critic_arguments
    optimizer = torch.optim.Adam(
        critic.parameters(), arguments.critic_learning_rate, betas=(arguments.critic_beta1, 0.9)
    )
    objective = state.accelerator.prepare(CriticObjective(critic, arguments.gradient_penalty))
    # Its optimiser is not prepared: it takes a step for each batch, whatever the generator's gradient accumulation.
    state.critic_learner = CriticLearner(objective, optimizer)
    state.accelerator.register_for_checkpointing(optimizer)


__all__ = [
    "add_critic",
    "build_accelerator",
    "build_datasets",
    "build_loader",
    "build_optimizer",
    "build_state",
    "check_batch_size",
    "check_same_clips",
    "learning_rate_share",
    "prepare_state",
    "published_schemes",
    "warn_of_absent_speakers",
]
