"""A clip to be scored, and what was measured of it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..corpora.clips import Clip as CorpusClip
from ..corpora.clips import StoredVideo, ZippedFile
from ..files import replacing
from ..metrics.registry import METRICS


if TYPE_CHECKING:
    from ..video import VideoPart


Key = tuple[str, str]
"""Speaker and name of a clip."""

NO_SPEAKER = "all"  # whose the files are that lie in no folder

HEARD = {"judge": "transcript", "floor": "floor_transcript", "text": "text"}
"""The recognisers and the columns with their words: the judge, the judge on the original, the text head.
The column with the errors is `NAME_errors`."""

TEXT_COLUMNS = tuple(column for metric in METRICS.values() for column in metric.text_columns)
WHOLE_NUMBERS = ("words", "text_errors")
DECIMALS = 5  # of a word's confidence


@dataclass(frozen=True)
class Clip:
    """
    One clip to be scored.

    Attributes:
        speaker (`str`): whose it is; `"all"` where files lie in no folder.
        name (`str`): its name, unique for a speaker.
        original (`Path` or `VideoPart`): sound file or video with the original speech, or the part of a video.
        generated (`Path`): sound file of the generated speech; a model writes it, in a folder it is there.
        sentence (`str`, *optional*): the words spoken.
    """

    speaker: str
    name: str
    original: Path | VideoPart
    generated: Path
    sentence: str | None = None

    @property
    def key(self) -> Key:
        """Speaker and name."""
        return self.speaker, self.name

    def version(self, with_generated: bool = False) -> str:
        """
        Changes with its words and its files, by their sizes and times; what was measured before is then of another.

        Args:
            with_generated (`bool`, *optional*, defaults to `False`): with the generated sound, which was there before.
        """
        facts = [self.sentence, *file_facts(self.original)]
        if with_generated:
            facts += file_facts(self.generated)
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def __str__(self) -> str:
        return clip_label(self.key)


def file_facts(file: Any) -> list[Any]:
    """What changes with a file, or with the part of a video: name, size, time; the name alone of what is gone."""
    path = Path(os.fspath(getattr(file, "video", file)))
    facts: list[Any] = [path.name, getattr(file, "start", None), getattr(file, "end", None)]
    with contextlib.suppress(OSError):
        status = path.stat()
        facts += [status.st_size, status.st_mtime_ns]
    return facts


def clip_label(key: Key) -> str:
    """The name of a clip in messages and reports: `SPEAKER/NAME`, or the name alone for files without a folder."""
    speaker, name = key
    return name if speaker == NO_SPEAKER else f"{speaker}/{name}"


def spoken_file(output_dir: Path, key: Key) -> Path:
    """Path of a model's speech for a clip, inside its output folder."""
    speaker, name = key
    return output_dir / "wav" / speaker / f"{name}.wav"


def scored_clip(clip: CorpusClip, output_dir: Path) -> Clip:
    """The clip of a corpus as one to be scored; what is written of it lies in `output_dir`."""
    spoken = spoken_file(output_dir, (clip.speaker, clip.name))
    sentence = None if clip.words is None else " ".join(clip.words)
    return Clip(clip.speaker, clip.name, _original(clip, output_dir), spoken, sentence)


def _original(clip: CorpusClip, output_dir: Path) -> Path | VideoPart:
    """The file of a clip's video, or the part of it; one that lies in an archive is copied to
    `output_dir/originals`."""
    video = clip.video
    if isinstance(video, Path):
        path = video
    else:
        path = output_dir / "originals" / clip.speaker / f"{clip.name}{video.suffix}"
        _copy(video, path)
    if not clip.is_part:
        return path
    from ..video import VideoPart  # brings PyAV

    return VideoPart(path, clip.start, clip.end)


def _copy(video: ZippedFile | StoredVideo, path: Path) -> None:
    """Copy a video out of its archive or table, unless that was done before and it has not changed since."""
    content, time = None, None
    if isinstance(video, ZippedFile):
        time = video.archive.stat().st_mtime_ns
        if path.is_file() and path.stat().st_mtime_ns == time:
            return
    elif path.is_file():
        content = None if video.location else video.read_bytes()  # what lies far away is fetched once
        if content is None or content == path.read_bytes():
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(video.read_bytes() if content is None else content)
        if time is not None:
            os.utime(temporary, ns=(time, time))  # of the archive: by it the copy is known


@dataclass(frozen=True)
class ClipRow:
    """
    What was measured of a clip: a row of `clips.csv`. Seconds, fractions; `None` or absent where there is no value.

    Attributes:
        speaker, name (`str`): of the clip.
        sentence (`str`, *optional*): the words spoken, and `words` (`int`), how many it has.
        text (`str`): what the system's text head recognised; `text_errors` (`int`), its word errors, are `None` where
            there is no text head.
        word_confidences (`tuple[float, ...]`): one for each word of `text`; `text_confidence` is their mean.
        face_coverage (`float`, *optional*): share of the frames with a face.
        shift_seconds (`float`, *optional*): delay of the generated sound, estimated from the energy envelopes.
        generated_seconds, original_seconds, cut_seconds (`float`, *optional*): durations, and their difference.
        process_seconds (`float`, *optional*): time the pipeline took.
        texts (mapping): the metrics' columns of texts.
        numbers (mapping): the metrics' columns of numbers.
    """

    speaker: str
    name: str
    sentence: str | None = None
    text: str = ""
    word_confidences: tuple[float, ...] = ()
    words: int | None = None
    text_errors: int | None = None
    text_confidence: float | None = None
    face_coverage: float | None = None
    shift_seconds: float | None = None
    generated_seconds: float | None = None
    original_seconds: float | None = None
    cut_seconds: float | None = None
    process_seconds: float | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, int | float] = field(default_factory=dict)

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> ClipRow:
        """
        A row from values by column.

        Args:
            columns (mapping): `speaker`, `name`, the fields of this class, and any columns of metrics; a column
                without a value is left out or `None`.
        """
        given = {column: value for column, value in columns.items() if value is not None}
        own = {name: given.pop(name) for name in FIELDS if name in given}
        texts = {name: given.pop(name) for name in TEXT_COLUMNS if name in given}
        return cls(**own, texts={name: text for name, text in texts.items() if text}, numbers=given)

    def columns(self) -> dict[str, Any]:
        """Its values by column; those it does not have are `None` or absent."""
        return {name: getattr(self, name) for name in FIELDS} | dict(self.texts) | dict(self.numbers)

    @property
    def key(self) -> Key:
        """Speaker and name."""
        return self.speaker, self.name

    @property
    def seconds(self) -> float:
        """Duration of the longer of its two sounds; 0 where neither is known."""
        return max(self.generated_seconds or 0.0, self.original_seconds or 0.0)

    def value(self, column: str) -> float:
        """A numeric column; NaN where it has no value."""
        value = getattr(self, column) if column in FIELDS else self.numbers.get(column)
        return math.nan if value is None else float(value)

    def heard_by(self, judge: str) -> str | None:
        """What a key of `HEARD` recognised; `None` where its words were not compared with a sentence."""
        if self.sentence is None or math.isnan(self.value(f"{judge}_errors")):
            return None
        return self.text if judge == "text" else self.texts.get(HEARD[judge], "")

    @property
    def outcomes(self) -> set[str]:
        """What the metrics say of the clip, such as `"scored"` or `"silent prediction"`."""
        return {text for column, text in self.texts.items() if column.endswith("_outcome")}


FIELDS = tuple(entry.name for entry in dataclasses.fields(ClipRow) if entry.name not in ("texts", "numbers"))
"""The columns of `clips.csv` that are no metric's."""

__all__ = ["HEARD", "Clip", "ClipRow", "Key", "clip_label", "file_facts", "scored_clip", "spoken_file"]
