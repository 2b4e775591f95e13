"""Every metric, declared once: its columns, what tables, reports and cards show of it, and what it needs.

A new metric is a folder with its code and a record in `METRICS`; all lists of this package derive from these records.
The module `metrics/NAME/NAME.py` of a metric holds `score_clip(pair)`, which takes a [`SoundPair`] and returns the
metric's columns of `clips.csv`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lip2wav_hf.errors import Lip2WavError, missing_extra


ALIGNED = "aligned_"  # prefix of a column that was scored after alignment
EXTRA = "evaluate"  # brings the packages of the metrics

GROUPS = {
    "words": "Words",
    "sound": "Sound",
    "in_sync": "Sound, against the original moved to where its mouth says it belongs",
    "aligned": "Sound, after alignment within ±1 video frame",
    "sync": "Synchrony",
    "compat": "In the forms that others' evaluation code computes",
    "input": "Input and confidence",
}
"""The parts of the table, in order, and their titles."""

COMPAT = "compat"


class MetricError(Lip2WavError):
    """A metric that does not exist."""


@dataclass(frozen=True)
class Number:
    """
    One number of the tables, made from columns of `clips.csv`: a mean over clips, or a rate.

    Attributes:
        column (`str`): column that is summed.
        label (`str`): what the table calls it.
        unit (`str`): shown behind the label; with `"%"` and `"points"` the value is shown times 100.
        better (`str`, *optional*): `"higher"` or `"lower"`, where one of them is better.
        group (`str`): the part of the table it stands in, a key of `GROUPS`; columns of the group `"compat"` are
            computed with `--compat` only.
        name (`str`): its key in `results.json`; that of `column` by default.
        minus (`str`, *optional*): column that is subtracted from it.
        over (`str`, *optional*): column whose sum divides; by default the number of clips with a value (a mean).
        aligned (`bool`): whether it is scored after alignment too, which makes a second number.
        of_original (`bool`): whether it is a property of the recording, the same for every system.
        tile (`bool`): among the main numbers at the top of the report.
        boxed (`bool`): drawn as box plot by speaker.
        by_clip (`bool`): shown beside single clips.
        card (`bool`): in the table of a model card.
    """

    column: str
    label: str
    unit: str = ""
    better: str | None = None
    group: str = "sound"
    name: str = ""
    minus: str | None = None
    over: str | None = None
    aligned: bool = False
    of_original: bool = False
    tile: bool = False
    boxed: bool = False
    by_clip: bool = False
    card: bool = False

    @property
    def key(self) -> str:
        """Its key in `results.json`."""
        return self.name or self.column

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it is made from."""
        return tuple(column for column in (self.column, self.minus, self.over) if column)

    @property
    def scale(self) -> float:
        """What a value is multiplied by when it is shown."""
        return {"%": 100.0, "points": 100.0, "ms": 1000.0}.get(self.unit, 1.0)

    @property
    def digits(self) -> int:
        """Decimal places shown."""
        return {"%": 1, "points": 1, "ms": 1, "dB": 2, "frames": 2}.get(self.unit, 3)

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    def show(self, value: float) -> str:
        """A value as the tables show it."""
        text = f"{value * self.scale:.{self.digits}f}"
        return text.removeprefix("-") if float(text) == 0 else text

    def after_alignment(self) -> Number:
        """The number scored after alignment."""
        return Number(ALIGNED + self.column, f"{self.label}, aligned", self.unit, self.better, "aligned")


@dataclass(frozen=True)
class Metric:
    """
    One metric of a clip.

    Attributes:
        name (`str`): of its folder, as `--metrics` takes it.
        numbers (`tuple[Number, ...]`): what the tables show of it.
        text_columns (`tuple[str, ...]`): its columns of texts.
        more_columns (`tuple[str, ...]`): columns of numbers that no table shows.
        packages (`tuple[str, ...]`): modules it needs that the package does not depend on.
        needs (`tuple[str, ...]`): what it needs of a clip, attributes of a [`SoundPair`]: `"reference"`, `"sentence"`,
            `"grid_sentence"`, `"judge"`, `"phrases"` or `"video"`.
        without_sentence (`tuple[str, ...]`): instead, what it needs where nobody knows the words, if it then has
            numbers too: those that compare what is heard in the speech with what is heard in the original.
        takes (`tuple[str, ...]`): what it takes beside, of a clip that has it.
        occasional (`bool`): whether it is computed for some corpora only, where nobody names it.
        scorer (`str`): module of `metrics` whose `score_clip` scores a clip; that of its folder, `score`, by default.
    """

    name: str
    numbers: tuple[Number, ...]
    text_columns: tuple[str, ...] = ()
    more_columns: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    without_sentence: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    occasional: bool = False
    scorer: str = ""

    @property
    def aligned_columns(self) -> tuple[str, ...]:
        """The columns that are scored after alignment too, without their prefix."""
        return tuple(number.column for number in self.numbers if number.aligned)

    def can_score(self, pair: Any) -> bool:
        """Whether a [`SoundPair`] has what it needs."""

        def has(needs: tuple[str, ...]) -> bool:
            return all(getattr(pair, need) is not None for need in needs)

        wordless = bool(self.without_sentence) and pair.sentence is None
        return has(self.needs) or (wordless and has(self.without_sentence))

    def columns(self, compat: bool = False) -> tuple[str, ...]:
        """
        Its numeric columns, except those after alignment.

        Args:
            compat (`bool`, *optional*, defaults to `False`): with the lineage's forms.
        """
        shown = [number for number in self.numbers if compat or number.group != COMPAT]
        own = [column for number in shown for column in number.columns if column not in SHARED_COLUMNS]
        return (*dict.fromkeys(own), *self.more_columns)

    @property
    def module(self) -> str:
        """The name of the module that scores. It imports neither `evaluate` nor `datasets`, as the metric's file for
        that library does: it takes seconds, and each process that scores would."""
        return f"lip2wav_hf.metrics.{self.scorer or f'{self.name}.score'}"

    def score_function(self) -> Callable[[Any], dict[str, Any]]:
        """
        The function of its module that scores a [`SoundPair`].

        Raises:
            MissingExtraError: if a package is not installed.
        """
        try:
            return importlib.import_module(self.module).score_clip
        except ImportError as error:
            raise missing_extra(EXTRA, error.name or str(error), f"the metric {self.name}") from error


def _words(column: str, label: str, name: str, over: str = "words", **options: Any) -> Number:
    return Number(column, label, "%", "lower", "words", name, over=over, **options)


def _phrases(column: str, label: str, name: str, **options: Any) -> Number:
    return Number(column, label, "%", "higher", "words", name, card=True, **options)


SHARED_COLUMNS = ("words",)  # of every clip whose sentence is known

_EVALUATE = ("evaluate", "datasets", "scipy")

_JUDGE = (*_EVALUATE, "jiwer", "pocketsphinx", "espeakng_loader")
_TRANSCRIPTS = ("transcript", "floor_transcript")
_JUDGED = (
    _words("judge_errors", "Judge WER", "judge_wer", tile=True, boxed=True, card=True),
    _words("floor_errors", "Judge WER on the original audio (floor)", "floor_wer", of_original=True, card=True),
    Number(
        "judge_errors",
        "Judge WER above the floor",
        "points",
        "lower",
        "words",
        "judge_wer_above_floor",
        minus="floor_errors",
        over="words",
        card=True,
    ),
    _words(
        "errors_to_original",
        "Judge WER against its transcript of the original audio",
        "wer_to_original",
        over="original_words",
    ),
    Number("wer_compat", "Judge WER, mean over clips", "%", "lower", COMPAT),
)
"""What a judge of words makes of speech, whichever judge it is."""

_RECORDS = (
    Metric(
        "pesq",
        (
            Number(
                "pesq_nb",
                "PESQ-nb (8 kHz)",
                better="higher",
                aligned=True,
                tile=True,
                boxed=True,
                by_clip=True,
                card=True,
            ),
            Number("pesq_wb", "PESQ-wb (16 kHz)", better="higher", aligned=True, boxed=True, by_clip=True, card=True),
            Number("pesq_compat", "PESQ, compat", better="higher", group=COMPAT),
        ),
        text_columns=("pesq_outcome",),
        packages=(*_EVALUATE, "pesq"),
        needs=("reference",),
    ),
    Metric(
        "stoi",
        (
            Number("stoi", "STOI", better="higher", aligned=True, tile=True, boxed=True, by_clip=True, card=True),
            Number("estoi", "ESTOI", better="higher", aligned=True, tile=True, boxed=True, by_clip=True, card=True),
            Number("in_sync_stoi", "STOI, original in sync", better="higher", group="in_sync", card=True),
            Number("in_sync_estoi", "ESTOI, original in sync", better="higher", group="in_sync", card=True),
            Number("stoi_compat", "STOI, compat", better="higher", group=COMPAT),
            Number("stoi_filtered", "STOI without hum, as VCA-GAN", better="higher", group=COMPAT),
            Number("estoi_filtered", "ESTOI without hum, as VCA-GAN", better="higher", group=COMPAT),
        ),
        text_columns=("stoi_outcome",),
        more_columns=("original_offset_seconds",),
        packages=(*_EVALUATE, "pystoi"),
        needs=("reference",),
        takes=("video",),
    ),
    Metric(
        "mcd",
        (
            Number(
                "mcd",
                "Mel-cepstral distortion",
                "dB",
                "lower",
                aligned=True,
                tile=True,
                boxed=True,
                by_clip=True,
                card=True,
            ),
            Number("mcd_dtw", "Mel-cepstral distortion, time-warped", "dB", "lower", aligned=True, card=True),
            Number("mcd_compat", "MCD, compat (no unit)", better="lower", group=COMPAT),
        ),
        packages=(*_EVALUATE, "librosa", "python_speech_features"),
        needs=("reference",),
    ),
    Metric(
        "corr2d",
        (Number("corr2d", "Corr2D", better="higher", aligned=True, boxed=True, card=True),),
        packages=_EVALUATE,
        needs=("reference",),
    ),
    Metric(
        "grid_wer",
        _JUDGED,
        text_columns=_TRANSCRIPTS,
        packages=(*_EVALUATE, "jiwer", "pocketsphinx"),
        needs=("grid_sentence", "judge"),
        without_sentence=("reference", "judge"),
        scorer="heard",
    ),
    Metric(
        "wer",
        _JUDGED,
        text_columns=_TRANSCRIPTS,
        packages=_JUDGE,
        needs=("sentence", "judge"),
        without_sentence=("reference", "judge"),
        occasional=True,
        scorer="heard",
    ),
    Metric(
        "cer",
        (
            _words("text_character_errors", "Text-head CER", "text_cer", "characters", tile=True, card=True),
            _words("judge_character_errors", "Judge CER", "judge_cer", "characters", tile=True, card=True),
            _words(
                "floor_character_errors",
                "Judge CER on the original audio (floor)",
                "floor_cer",
                "characters",
                of_original=True,
                card=True,
            ),
        ),
        packages=_JUDGE,
        needs=("sentence",),
        occasional=True,
    ),
    Metric(
        "phrase_accuracy",
        (
            _phrases("text_phrase_right", "Phrase accuracy, text head", "text_phrase_accuracy", tile=True),
            _phrases("judge_phrase_right", "Phrase accuracy, judge", "judge_phrase_accuracy", tile=True),
            _phrases(
                "floor_phrase_right",
                "Phrase accuracy, judge on the original audio (floor)",
                "floor_phrase_accuracy",
                of_original=True,
            ),
        ),
        packages=_JUDGE,
        needs=("sentence", "phrases"),
        occasional=True,
    ),
    Metric(
        "dnsmos",
        (
            Number("dnsmos_ovrl", "DNSMOS, overall", better="higher", tile=True, boxed=True, by_clip=True, card=True),
            Number("dnsmos_sig", "DNSMOS, speech", better="higher"),
            Number("dnsmos_bak", "DNSMOS, background", better="higher"),
            Number("dnsmos_p808", "DNSMOS, P.808", better="higher"),
            Number("dnsmos_ovrl_original", "DNSMOS, overall, of the original audio", of_original=True),
        ),
        packages=(*_EVALUATE, "onnxruntime", "speechmos"),
    ),
    Metric(
        "speaker_similarity",
        (
            Number(
                "speaker_similarity",
                "Speaker similarity",
                better="higher",
                tile=True,
                boxed=True,
                by_clip=True,
                card=True,
            ),
        ),
        packages=(*_EVALUATE, "resemblyzer"),
        needs=("reference",),
    ),
    Metric(
        "av_sync",
        (
            Number("av_confidence", "Lip-sync confidence", better="higher", group="sync", boxed=True, card=True),
            Number("av_offset", "Lip-sync offset", "frames", group="sync", boxed=True),
            Number("av_absolute_offset", "Lip-sync offset, absolute", "frames", "lower", "sync", card=True),
            Number(
                "av_confidence_original",
                "Lip-sync confidence of the original audio",
                group="sync",
                of_original=True,
            ),
            Number(
                "av_offset_original", "Lip-sync offset of the original audio", "frames", group="sync", of_original=True
            ),
        ),
        text_columns=("av_outcome",),
        packages=_EVALUATE,
        needs=("video",),
    ),
)

SYSTEM_NUMBERS = (
    _words("text_errors", "Text-head WER", "text_wer", tile=True, boxed=True, card=True),
    Number("shift_seconds", "Shift chosen by the alignment", "ms", group="sync"),
    Number("text_confidence", "Text confidence, mean", group="input", by_clip=True, card=True),
    Number("face_coverage", "Face coverage, mean", group="input", card=True),
)
"""Numbers of the system under test, whatever metrics are computed."""

METRICS = {record.name: record for record in _RECORDS}
"""All metrics by name, in the order in which they are computed."""


def _all_numbers() -> list[Number]:
    own = list(dict.fromkeys(number for record in _RECORDS for number in record.numbers))
    return [*own, *(number.after_alignment() for number in own if number.aligned), *SYSTEM_NUMBERS]


def _keys(choose: Callable[[Number], bool]) -> tuple[str, ...]:
    return tuple(number.key for number in SUMMARY.values() if choose(number))


SUMMARY = {number.key: number for group in GROUPS for number in _all_numbers() if number.group == group}
"""All numbers by their key in `results.json`, in the order of the table."""

TILES = _keys(lambda number: number.tile)
BOXED = _keys(lambda number: number.boxed)
CLIP_NUMBERS = _keys(lambda number: number.by_clip)
OF_ORIGINAL = _keys(lambda number: number.of_original)
TABLE_METRICS = tuple(
    number.key
    for number in sorted(_all_numbers(), key=lambda number: number.group != "words")  # words, then metric by metric
    if number.card
)
"""Keys of the numbers in the table of a model card, in order."""


def check_names(names: Iterable[str] | None = None) -> tuple[str, ...]:
    """
    Names of metrics, in the order of `METRICS`.

    Args:
        names (iterable of `str`, *optional*): keys of `METRICS`; all of them by default.

    Raises:
        MetricError: if one does not exist, or none is named.
    """
    wanted = list(METRICS) if names is None else list(names)
    unknown = [name for name in wanted if name not in METRICS]
    if unknown or not wanted:
        problem = f"no metric {unknown[0]!r}" if unknown else "no metric was named"
        raise MetricError(f"{problem}: the metrics are {', '.join(METRICS)}.")
    return tuple(name for name in METRICS if name in wanted)


def check_packages(names: Iterable[str]) -> None:
    """
    Look whether the packages of some metrics are installed, without importing them.

    Args:
        names (iterable of `str`): keys of `METRICS`.

    Raises:
        MissingExtraError: if one is missing; the message says which metrics can be computed without it.
    """
    names = list(names)
    missing = {name: absent for name in names if (absent := _absent(METRICS[name].packages))}
    if not missing:
        return
    name, package = next(iter(missing.items()))
    rest = ",".join(other for other in names if other not in missing)
    raise missing_extra(EXTRA, package, f"the metric {name}", f"--metrics {rest}" if rest else "")


def _absent(packages: Iterable[str]) -> str | None:
    return next((package for package in packages if importlib.util.find_spec(package) is None), None)


__all__ = [
    "ALIGNED",
    "BOXED",
    "CLIP_NUMBERS",
    "GROUPS",
    "METRICS",
    "OF_ORIGINAL",
    "SUMMARY",
    "SYSTEM_NUMBERS",
    "TABLE_METRICS",
    "TILES",
    "Metric",
    "MetricError",
    "Number",
    "check_names",
    "check_packages",
]
