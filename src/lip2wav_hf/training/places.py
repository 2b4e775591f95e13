"""The files and folders that the options of a training name: all are looked for before any work is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..corpora.registry import is_dataset_name
from ..errors import one_line
from ..files import check_writable, read_fields
from ..models import BY_TYPE, ModelError, Network, locate_model
from .arguments import TrainingArguments, TrainingError


FILES = ("config", "feature_extractor", "critic_config", "splits_file")


@dataclass(frozen=True)
class Part:
    """
    A network that an option names, and what to say where it cannot be had.

    Attributes:
        option (`str`): its name.
        model_type (`str`): of the network.
        complaint (`str`): what is wrong.
        advice (`str`): what to do instead.
    """

    option: str
    model_type: str
    complaint: str
    advice: str

    @property
    def network(self) -> Network:
        """What is known of such a network."""
        return BY_TYPE[self.model_type]

    def error(self, source: str, problem: Exception) -> TrainingError:
        """The error for a place without one."""
        return TrainingError(f"--{self.option} {source}: {self.complaint}. {self.advice} ({one_line(problem)})")

    def locate(self, source: str) -> tuple[Path | str, str]:
        """
        The folder or Hub repository of a part, and the folder in it where the part lies; empty for the top.

        Raises:
            ModelError: if there is none.
        """
        place = locate_model(source, self.model_type)
        if not isinstance(place, Path):
            return place, ""
        found = None
        if (place / "config.json").is_file():
            config = read_fields(place / "config.json", ModelError)
            found = config.get("model_type") if isinstance(config, dict) else None
        subfolder = "" if found == self.model_type else self.network.folder
        if subfolder and not (place / subfolder / "config.json").is_file():
            kind = f"it is a model of the type {found!r}" if found else "there is no config.json in it"
            raise ModelError(f"{kind}, without a folder {subfolder}/")
        return place, subfolder


SPEECH_ENCODER = Part(
    "speech_encoder",
    "lip2wav_speech_encoder",
    "no speech encoder can be loaded from there",
    "Train it first (lip2wav train speech_encoder --data_dir DATA), or take the bundled one: --speech_encoder grid-s1."
    " A recipe of your own can do without: then there are no perceptual losses.",
)
AUTOENCODER = Part(
    "autoencoder",
    "lip2audspec_autoencoder",
    "no autoencoder can be loaded from there",
    "Train it first: lip2wav train lip2audspec_autoencoder.",
)
CRITIC = Part(
    "critic_pretrained",
    "lip2wav_critic",
    "no critic can be loaded from there",
    "Leave the option out: then a new one learns from the beginning.",
)
SYNC_NETWORK = Part(
    "sync_network",
    "lip2wav_syncnet",
    "no sync network can be loaded from there",
    "Train it first, with configs/syncnet.yaml, or leave the option out: then the bundled one is used.",
)
LIPS_OF = Part(
    "lips_of",
    "lip2wav",
    "no generator can be loaded from there",
    "Train it first (lip2wav train grid_s1 --data_dir DATA), or take the bundled one: --lips_of grid-s1.",
)


HOW_TO_GET = {
    "data/synthetic": "render it: python -m lip2wav_hf.synthetic corpus data/synthetic --speakers synthetic1",
    "data/grid": "download it: lip2wav download grid data/grid --unpack",
}
"""What makes the folders that the recipes of this package name."""


def check_places(run: TrainingArguments) -> None:
    """
    Check that what the options name on this machine is there. What may be on the Hub is not asked for.

    Raises:
        TrainingError: names all that is missing.
    """
    problems = [one_line(problem) for problem in _problems(run)]
    if problems:
        raise TrainingError(" ".join(problems))


def _problems(run: TrainingArguments) -> Iterator[Exception]:
    options = run.options()
    for folder in run.data.data_dir:
        if not Path(folder).is_dir() and "data_dir" in run.recipe and folder in HOW_TO_GET:
            get = HOW_TO_GET[folder]
            yield TrainingError(f"{folder}, which the recipe names: no such folder. Give yours, --data_dir; or {get}.")
        elif not Path(folder).is_dir() and not is_dataset_name(folder):
            yield TrainingError(f"--data_dir {folder}: no such folder. Give the folder that holds the corpus.")
    for folder in run.data.appearance_dir or ():
        if not Path(folder).is_dir() and not is_dataset_name(folder):
            yield TrainingError(f"--appearance_dir {folder}: no such folder. Give one that holds videos of people.")
    if run.data.alignments is not None and not Path(run.data.alignments).is_dir():
        yield TrainingError(f"--alignments {run.data.alignments}: no such folder. `lip2wav align` makes one.")
    for option in ("output_dir", "cache_dir"):
        try:
            check_writable(Path(options[option]), f"--{option} {options[option]}", TrainingError)
        except TrainingError as error:
            yield error
    for option in FILES:
        path = options[option]
        if path is not None and not Path(path).is_file():
            yield TrainingError(f"--{option} {path}: there is no such file.")
    for part in (SPEECH_ENCODER, AUTOENCODER, CRITIC, SYNC_NETWORK, LIPS_OF):
        source = options[part.option]
        try:
            if source is not None:
                part.locate(source)
        except (OSError, ValueError) as error:
            yield part.error(source, error)
    if run.models.pretrained is not None:
        try:
            locate_model(run.models.pretrained, None)
        except ModelError as error:
            yield TrainingError(f"--pretrained: {error}")


__all__ = ["AUTOENCODER", "CRITIC", "LIPS_OF", "SPEECH_ENCODER", "SYNC_NETWORK", "Part", "check_places"]
