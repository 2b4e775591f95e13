"""The pages of a gallery: from records of clips to HTML, with one style and one script beside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..evaluation.clips import ClipRow
from ..evaluation.marking import HEARD_TITLES, marked_words
from ..evaluation.pages import page_templates
from ..files import write_text
from ..machine import versions
from ..metrics.registry import SUMMARY
from ..metrics.words import align_words
from .media import LARGEST_CLIP
from .systems import ORIGINAL


TEMPLATE, STYLE, SCRIPT = "gallery.html.jinja", "gallery.css", "gallery.js"
INDEX, UNSEEN_PAGE = "index.html", "unseen.html"
BETTER = {"higher": "More", "lower": "Less"}


@dataclass(frozen=True)
class Line:
    """
    Words that were heard.

    Attributes:
        title (`str`): by whom.
        words (`list[tuple[str, bool]]`): the words, and whether each is right.
        missing (`int`): how many of those spoken were not heard.
    """

    title: str
    words: list[tuple[str, bool]]
    missing: int = 0


@dataclass(frozen=True)
class SiteSound:
    """
    One sound of a clip.

    Attributes:
        label (`str`): whose it is.
        file (`str`): its files without suffix, in the folder of the clip.
        lines (`list[Line]`): the words heard in it.
        numbers (mapping of `str` to `float`): what was measured, by the keys of `SUMMARY`.
    """

    label: str
    file: str
    lines: list[Line]
    numbers: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of_original(cls, file: str, row: ClipRow, numbers: Mapping[str, float]) -> SiteSound:
        """The recording, from what was measured of any system with it."""
        return cls(ORIGINAL, file, _lines(row, {"floor": "judge hears"}), numbers)

    @classmethod
    def of_system(cls, label: str, file: str, row: ClipRow, numbers: Mapping[str, float]) -> SiteSound:
        """The speech of a system."""
        lines = _lines(row, {judge: HEARD_TITLES[judge] for judge in ("text", "judge")})
        if row.sentence is None and row.text:
            lines = [Line(HEARD_TITLES["text"], [(word, True) for word in row.text.split()])]
        return cls(label, file, lines, numbers)

    @property
    def shown(self) -> list[tuple[str, str]]:
        """Names and values of the numbers, as tables show them."""
        return [_shown(key, value) for key, value in self.numbers.items()]


def _shown(key: str, value: float) -> tuple[str, str]:
    number = SUMMARY[key]
    of_any = SUMMARY.get(key.removesuffix("_original"), number)  # beside the recording it needs no saying whose it is
    return of_any.label, number.show(value) + (" dB" if number.unit == "dB" else "")


def _lines(row: ClipRow, titles: Mapping[str, str]) -> list[Line]:
    heard = {title: row.heard_by(judge) for judge, title in titles.items()}
    return [
        Line(title, marked_words(row.sentence, text), align_words(row.sentence or "", text).deletions)
        for title, text in heard.items()
        if text is not None
    ]


@dataclass(frozen=True)
class SiteClip:
    """
    A clip of a page.

    Attributes:
        name (`str`): of its folder, and its address on the page.
        label (`str`): its name for people.
        sentence (`str`, *optional*): what is said.
        seconds (`float`): how long it lasts.
        sounds (`list[SiteSound]`): what can be heard, the recording first.
        silent (`list[str]`): the systems that could not speak it.
        with_original (`bool`): whether the recording has sound.
        bytes (`int`): size of its files.
        learnt (`bool`): whether it is one of those that trainings take, among clips of every split.
    """

    name: str
    label: str
    sentence: str | None
    seconds: float
    sounds: list[SiteSound]
    silent: list[str]
    with_original: bool
    bytes: int
    learnt: bool = False


@dataclass(frozen=True)
class SitePart:
    """Clips under one heading; see [`Part`]."""

    title: str
    note: str
    unseen: bool
    clips: list[SiteClip]

    def record(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "title": self.title,
            "note": self.note,
            "unseen": self.unseen,
            "clips": [
                {
                    "id": clip.name,
                    "label": clip.label,
                    "sentence": clip.sentence,
                    "seconds": round(clip.seconds, 3),
                    "bytes": clip.bytes,
                    "for_training": clip.learnt,
                    "sounds": [
                        {
                            "label": sound.label,
                            "file": f"clips/{clip.name}/{sound.file}.m4a",
                            "heard": {line.title: " ".join(word for word, _ in line.words) for line in sound.lines},
                            "numbers": {key: round(value, 4) for key, value in sound.numbers.items()},
                        }
                        for sound in clip.sounds
                    ],
                }
                for clip in self.clips
            ],
        }


def write_pages(folder: Path, title: str, labels: Sequence[str], parts: Sequence[SitePart]) -> dict[str, int]:
    """
    Write `index.html`, `unseen.html` where there are unseen speakers beside others, the style and the script.

    Args:
        folder (`Path`): where to; the files of the clips lie there already.
        title (`str`): of the gallery.
        labels (sequence of `str`): the systems, in the order of their keys.
        parts (sequence of [`SitePart`]): the clips.

    Returns:
        `dict[str, int]`: the pages, `index.html` first, and how many clips each has.
    """
    pages = {INDEX: [part for part in parts if not part.unseen], UNSEEN_PAGE: [part for part in parts if part.unseen]}
    pages = {name: own for name, own in pages.items() if own}
    if len(pages) == 1:
        pages = {INDEX: next(iter(pages.values()))}
    template = page_templates().get_template(TEMPLATE)
    links = {name: _page_title(own) for name, own in pages.items()} if len(pages) > 1 else {}
    for name, own in pages.items():
        shared = {"title": title, "labels": labels, "links": links, "largest": LARGEST_CLIP / 1e6}
        shared["better"] = _better(sound for part in own for clip in part.clips for sound in clip.sounds)
        write_text(folder / name, template.render(parts=own, here=name, versions=versions(), **shared))
    for name in (STYLE, SCRIPT):
        with (files("lip2wav_hf") / "templates" / name).open("rb") as source, open(folder / name, "wb") as target:
            shutil.copyfileobj(source, target)
    return {name: sum(len(part.clips) for part in own) for name, own in pages.items()}


def _better(sounds: Iterable[SiteSound]) -> dict[str, list[str]]:
    """What the numbers are called of which more, and of which less, is better."""
    keys = dict.fromkeys(key for sound in sounds for key in sound.numbers)
    named = {which: [_shown(key, 0.0)[0] for key in keys if SUMMARY[key].better == which] for which in BETTER}
    return {said: list(dict.fromkeys(named[which])) for which, said in BETTER.items() if named[which]}


def _page_title(parts: Sequence[SitePart]) -> str:
    return "Unseen speakers" if parts[0].unseen else "Clips"


__all__ = ["SiteClip", "SitePart", "SiteSound", "write_pages"]
