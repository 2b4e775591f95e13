"""GRID's splits, the published ones and those of a JSON file."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..corpora.clips import Selection, Splits
from ..corpora.made_splits import shuffled
from ..files import parse_json, read_text
from .corpus import SPEAKERS, VIDEO_ARCHIVES, VIDEO_FOLDERS, GridError, GridFolder


# Published splits, see SPLIT_SCHEMES. s21 has no video.
SEEN4_SPEAKERS = ("s1", "s2", "s4", "s29")
UNSEEN33_SPEAKERS = {
    "train": tuple(f"s{number}" for number in (1, 3, 5, 6, 7, 8, 10, 12, 14, 16, 17, 22, 24, 26, 28, 32)),
    "validation": tuple(f"s{number}" for number in (9, 20, 23, 27, 29, 30, 34)),
    "test": tuple(f"s{number}" for number in (2, 4, 11, 13, 15, 18, 19, 25, 31, 33)),
}
OVERLAP33_TEST_CLIPS = 255  # of each speaker
BUNDLED_SPLIT = Path(__file__).with_name("grid_s1.json")
MAIN_SPEAKER = "s1"  # of the bundled model: without these clips its split is of no use


def _seen4(folder: GridFolder, speakers: Sequence[str]) -> Splits:
    """90/5/5 of each speaker, s1 s2 s4 s29 by default."""
    splits: Splits = {"train": {}, "validation": {}, "test": {}}
    for speaker in speakers:
        names = shuffled(speaker, folder.videos(speaker))
        part = round(len(names) / 20)
        splits["test"][speaker] = sorted(names[:part])
        splits["validation"][speaker] = sorted(names[part : 2 * part])
        splits["train"][speaker] = sorted(names[2 * part :])
    return splits


def _unseen33(folder: GridFolder, speakers: Sequence[str]) -> Splits:
    """All clips of the speakers of each list."""
    return {
        split: {speaker: sorted(folder.videos(speaker)) for speaker in chosen if speaker in speakers}
        for split, chosen in UNSEEN33_SPEAKERS.items()
    }


def _overlap33(folder: GridFolder, speakers: Sequence[str]) -> Splits:
    """255 clips of each speaker for test, a twentieth of the rest for validation."""
    splits: Splits = {"train": {}, "validation": {}, "test": {}}
    for speaker in speakers:
        names = shuffled(speaker, folder.videos(speaker))
        tested = min(OVERLAP33_TEST_CLIPS, len(names) // 2)
        held = tested + round((len(names) - tested) / 20)
        splits["test"][speaker] = sorted(names[:tested])
        splits["validation"][speaker] = sorted(names[tested:held])
        splits["train"][speaker] = sorted(names[held:])
    return splits


@functools.cache
def _bundled_split() -> Splits:
    return json.loads(BUNDLED_SPLIT.read_text(encoding="utf-8"))


def _grid_s1(folder: GridFolder, speakers: Sequence[str]) -> Splits:
    """The listed clips of speakers; also one that the folder lacks, so that it is missed."""
    return {
        split: {speaker: list(names) for speaker, names in chosen.items() if speaker in speakers}
        for split, chosen in _bundled_split().items()
    }


def _everywhere(speakers: Sequence[str]) -> Callable[[], Mapping[str, Sequence[str]]]:
    return lambda: dict.fromkeys(("train", "validation", "test"), speakers)


@dataclass(frozen=True)
class _Scheme:
    """
    A published split.

    Attributes:
        speakers (callable): gives the speakers of each split.
        divide (callable): gives the splits of a folder, of some speakers that it has.
    """

    speakers: Callable[[], Mapping[str, Sequence[str]]]
    divide: Callable[[GridFolder, Sequence[str]], Splits]

    def all_speakers(self) -> tuple[str, ...]:
        """Those of all splits, in the order of their numbers or of the scheme."""
        return tuple(dict.fromkeys(speaker for chosen in self.speakers().values() for speaker in chosen))


_SCHEMES = {
    "seen4": _Scheme(_everywhere(SEEN4_SPEAKERS), _seen4),
    "unseen33": _Scheme(lambda: UNSEEN33_SPEAKERS, _unseen33),
    "overlap33": _Scheme(_everywhere(SPEAKERS), _overlap33),
    "grid_s1": _Scheme(lambda: {split: (*own,) for split, own in _bundled_split().items()}, _grid_s1),
}

SPLIT_SCHEMES = (*_SCHEMES, "custom")
"""`seen4`: s1 s2 s4 s29, 90/5/5 of each speaker. `unseen33`: the speaker lists of Vougioukas et al. (2019), all their
clips. `overlap33`: 255 clips of each speaker for test, as LipNet's. `grid_s1`: that of the bundled model, a list of
clips: `train` and `validation`, and of speakers whom it has never seen `unseen_validation` (s3 s26 s33) and
`unseen_validation_s31`. `custom`: a JSON file; where the folder has none, `grid_s1` if its clips of s1 are all there,
else `overlap33` if each speaker is there with 510 clips or more.

Which clips of a speaker go where in `seen4` and `overlap33` was never published; it is our choice: the order of the
SHA-256 of `speaker/name`, test first. The validation part of `overlap33`, a twentieth of what is not test, is our
addition: published systems train on it. A speaker with less than 510 clips gives half of them to its test part."""


@dataclass(frozen=True)
class ChosenSplits:
    """
    The splits of a folder that has none of its own.

    Attributes:
        scheme (`str`): the published split that was chosen for it.
        splits (`dict`): split -> speaker -> names.
    """

    scheme: str
    splits: Splits

    def describe(self) -> str:
        """One line, such as `"split scheme overlap33, as there is no splits.json: train 708, test 255"`."""
        counts = {split: sum(map(len, chosen.values())) for split, chosen in self.splits.items()}
        listed = ", ".join(f"{split} {count}" for split, count in counts.items() if count)
        return f"split scheme {self.scheme}, as there is no splits.json: {listed}"


def default_scheme(folder: GridFolder) -> str | None:
    """The published split for a folder without `splits.json`, such as GRID as it is downloaded; `None` for a part of
    GRID that fits none."""
    listed = {name for split in ("train", "validation") for name in _bundled_split()[split].get(MAIN_SPEAKER, ())}
    if listed <= folder.videos(MAIN_SPEAKER).keys():
        return "grid_s1"
    numbers = [len(folder.videos(speaker)) for speaker in folder.speakers()]
    return "overlap33" if numbers and min(numbers) >= 2 * OVERLAP33_TEST_CLIPS else None


def chosen_scheme(folder: GridFolder, split_scheme: str, splits_file: str | os.PathLike | None = None) -> str:
    """The scheme that is read when one is asked for: another only in place of `"custom"` where there is no file."""
    if split_scheme != "custom" or splits_file is not None or splits_path(folder, None).is_file():
        return split_scheme
    return default_scheme(folder) or split_scheme


def read_splits(
    data_dir: str | os.PathLike | GridFolder,
    split_scheme: str = "custom",
    splits_file: str | os.PathLike | None = None,
    speakers: Sequence[str] | None = None,
) -> Splits:
    """Names of the clips of each split.

    Args:
        data_dir (`str`, `os.PathLike` or [`GridFolder`]): the corpus.
        split_scheme (`str`, *optional*, defaults to `"custom"`): one of `SPLIT_SCHEMES`.
        splits_file (`str` or `os.PathLike`, *optional*): of `"custom"`: JSON `{split: {speaker: [names]}}`;
            `data_dir/splits.json` by default.
        speakers (`Sequence[str]`, *optional*): only these; all of the scheme that the folder has by default.

    Returns:
        `dict[str, dict[str, list[str]]]`: split, speaker, names. Those of `"custom"` and `"grid_s1"` may have no
        video.

    Raises:
        GridError: if the folder, the file or a speaker is missing or the scheme is unknown.
    """
    folder = data_dir if isinstance(data_dir, GridFolder) else GridFolder(data_dir)
    if split_scheme not in SPLIT_SCHEMES:
        raise GridError(f"no split scheme {split_scheme!r}; there are {', '.join(SPLIT_SCHEMES)}.")
    split_scheme = chosen_scheme(folder, split_scheme, splits_file)
    if split_scheme == "custom":
        return _custom_splits(splits_path(folder, splits_file), speakers)
    if splits_file is not None:
        raise GridError(f"a splits file goes with the split scheme 'custom', not with {split_scheme!r}.")
    return _scheme_splits(folder, split_scheme, speakers)


def whole_folder(folder: GridFolder, speakers: Sequence[str] | None = None) -> Splits:
    """All clips of a folder as one split, `"all"`, for what does not depend on splits.

    Raises:
        GridError: if it has no videos, or none of a speaker.
    """
    there = folder.speakers()
    unknown = [speaker for speaker in speakers or () if speaker not in there]
    if unknown or not there:
        raise GridError(
            f"{folder.path}: no videos of {_listed(unknown) if unknown else 'any speaker'}; there are"
            f" {_listed(there)}." + folder.stray_note()
        )
    return {"all": {speaker: sorted(folder.videos(speaker)) for speaker in speakers or there}}


def selected_splits(folder: GridFolder, selection: Selection) -> Splits:
    """Names of the clips of each split of a selection; the whole folder where it does not matter which clip is in
    which split, and nobody gives splits.

    Raises:
        GridError: as [`read_splits`] and [`whole_folder`].
    """
    scheme = chosen_scheme(folder, selection.scheme, selection.splits_file)
    has_none = selection.splits_file is None and not splits_path(folder, None).is_file()
    if selection.any_split and scheme == "custom" and has_none:
        return whole_folder(folder, selection.speakers)
    return read_splits(folder, scheme, selection.splits_file, selection.speakers)


def splits_path(folder: GridFolder, splits_file: str | os.PathLike | None) -> Path:
    return Path(splits_file) if splits_file is not None else folder.path / "splits.json"


def _custom_splits(path: Path, speakers: Sequence[str] | None) -> Splits:
    """The splits of a file."""
    splits = _read_splits_file(path)
    known = {speaker for chosen in splits.values() for speaker in chosen}
    unknown = sorted(set(speakers or ()) - known)
    if unknown:
        raise GridError(f"{path}: there is no speaker {', '.join(unknown)} in it. There are {_listed(sorted(known))}.")
    return {
        split: {speaker: names for speaker, names in chosen.items() if not speakers or speaker in speakers}
        for split, chosen in splits.items()
    }


def _scheme_splits(folder: GridFolder, split_scheme: str, speakers: Sequence[str] | None) -> Splits:
    """The splits of a published scheme, of the videos that the folder has."""
    known = _SCHEMES[split_scheme].all_speakers()
    for speaker in speakers or ():
        if speaker not in known:
            raise GridError(
                f"speaker {speaker} is not part of {split_scheme!r}, which has {', '.join(known)}. Choose others with"
                " `speakers=`, or another `split_scheme=`."
            )
        if not folder.videos(speaker):
            raise GridError(
                f"{folder.path}: no videos of speaker {speaker}; there are {_listed(folder.speakers())}."
                + folder.stray_note()
            )
    chosen = [speaker for speaker in speakers or known if folder.videos(speaker)]
    if not chosen:
        places = ", ".join((*VIDEO_FOLDERS[:3], VIDEO_ARCHIVES[0]))
        raise GridError(
            f"{folder.path}: no videos of a speaker of {split_scheme!r} ({', '.join(known)}); there are"
            f" {_listed(folder.speakers())}. Videos are looked for in {places} and the like." + folder.stray_note()
        )
    return _SCHEMES[split_scheme].divide(folder, chosen)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"


def missing_speakers(folder: GridFolder, split_scheme: str, split: str | None = None) -> list[str]:
    """Speakers of a scheme, or of one split of it, without any video in the folder: its splits are smaller than the
    published ones."""
    if split_scheme not in _SCHEMES:
        return []
    scheme = _SCHEMES[split_scheme]
    speakers = scheme.all_speakers() if split is None else scheme.speakers().get(split, ())
    return [speaker for speaker in speakers if not folder.videos(speaker)]


def scheme_speakers(split_scheme: str) -> tuple[str, ...] | None:
    """The speakers of a scheme; `None` for `"custom"`, whose file names them."""
    return _SCHEMES[split_scheme].all_speakers() if split_scheme in _SCHEMES else None


def _read_splits_file(path: Path) -> Splits:
    if not path.is_file():
        raise GridError(
            f'{path}: no such splits file. Write one, as JSON: {{"train": {{"s1": ["bbaf2n", …]}}, "validation": …}};'
            f" or choose a published split with `split_scheme=`: {', '.join(_SCHEMES)}. One is chosen by itself only"
            " for a whole copy of GRID."
        )
    try:
        splits = parse_json(read_text(path))
    except ValueError as error:
        raise GridError(f"{path}: not valid JSON ({error}).") from None
    shape = isinstance(splits, dict) and all(
        isinstance(chosen, dict) and all(isinstance(names, list) for names in chosen.values())
        for chosen in splits.values()
    )
    if not shape:
        raise GridError(f'{path}: expected {{"train": {{"s1": ["bbaf2n", …]}}, "validation": …}}.')
    return splits


__all__ = [
    "SPLIT_SCHEMES",
    "ChosenSplits",
    "chosen_scheme",
    "default_scheme",
    "missing_speakers",
    "read_splits",
    "scheme_speakers",
    "selected_splits",
    "shuffled",
]
