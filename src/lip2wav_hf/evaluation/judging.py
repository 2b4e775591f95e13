"""Which judge hears the words of an evaluation, what it is told, and which metrics of words are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..corpora.clips import is_sound
from ..metrics.judge import GRID_JUDGE, MAX_PHRASES, NAMED_KINDS, Judge, JudgeError, choose_judge
from ..metrics.pronunciation import is_unspaced
from ..metrics.registry import METRICS
from ..metrics.words import guessing, is_grid_sentence
from .clips import Clip, ClipRow
from .options import EvaluationError, JudgeOptions


NOT_NAMED = "the files are not all named as GRID sentences, such as bbaf2n, so the words are unknown."
NOT_GRID = "the judge recognises GRID's grammar only, and these clips say something else: wer has a judge for them."
NO_TRANSCRIPT = "no clip has a transcript."
NO_VIDEO = "the originals are not videos, so there are no lips to look at."
NO_SOUND = "the recordings have no sound to compare with."
DEAF = 0.5  # word error rate in the recordings themselves, from which on a judge is said not to understand them
NO_LIST = "the sentences are no list of a few that repeat; give one with --judge-grammar."
NO_JUDGE = (
    "no judge knows these words: name a recogniser of this language (--judge NAME), or say which sentences there are"
    " (--judge-grammar FILE)."
)


@dataclass(frozen=True)
class Words:
    """
    What is known of the words of some clips, and who hears them.

    Attributes:
        judge ([`Judge`], *optional*): the judge; `None` where there is none.
        phrases (`tuple[str, ...]`, *optional*): the sentences, where they are a closed list.
        unspaced (`bool`): whether they are written without spaces, so that characters are counted.
    """

    judge: Judge | None = None
    phrases: tuple[str, ...] | None = None
    unspaced: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """What an evaluation must have in common with one that it goes on with."""
        return {} if self.judge is None else self.judge.settings()

    def results(self, rows: Sequence[ClipRow]) -> dict[str, Any]:
        """
        What `results.json` says of the judge and of guessing.

        Args:
            rows (sequence of [`ClipRow`]): clips that were scored.

        Returns:
            `dict`: `judge`, `judge_kind` and `chance_wer`, where the judge heard something; `phrases`, where phrases
            were counted.
        """
        found: dict[str, Any] = {}
        sentences = [row.sentence for row in rows if row.sentence is not None]
        if self.judge is not None and any(row.heard_by("judge") is not None for row in rows):
            chance = self.judge.chance_wer(sentences)
            found |= {"judge": self.judge.describe()} | ({} if chance is None else {"chance_wer": chance})
            unknown = sum(not self.judge.accepts(sentence) for sentence in sentences)
            found |= {"unknown_to_judge": unknown} if unknown else {}
        if self.phrases and any(row.columns().keys() & PHRASE_COLUMNS for row in rows) and sentences:
            found["phrases"] = guessing(self.phrases, sentences)
        return found


PHRASE_COLUMNS = {number.column for number in METRICS["phrase_accuracy"].numbers}


def find_words(
    sentences: Iterable[str | None], wanted: JudgeOptions, of_corpus: Callable[[], list[str]] | None = None
) -> Words:
    """
    Decide on the judge.

    Args:
        sentences (iterable of `str`, *optional*): of the clips to be judged.
        wanted ([`JudgeOptions`]): what was asked for.
        of_corpus (`Callable`, *optional*): gives the sentences of all clips of the corpus; it is called if they
            matter.

    Raises:
        JudgeError: if the judge asked for cannot be had.
        GrammarError: if its grammar cannot be read.
    """
    known = [sentence for sentence in sentences if sentence is not None]
    of_grid = bool(known) and all(is_grid_sentence(sentence) for sentence in known)
    if of_grid and wanted.judge is None and wanted.grammar is None:
        return Words(GRID_JUDGE)
    heard_alone = of_grid and wanted.judge != "sentences"  # the others in the corpus do not matter
    corpus = known if heard_alone or of_corpus is None else of_corpus()
    phrases = None
    distinct = sorted(set(corpus))
    if not of_grid and distinct and len(distinct) <= MAX_PHRASES and len(corpus) >= 2 * len(distinct):
        phrases = tuple(distinct)
    if wanted.grammar is not None:
        judge: Judge | None = Judge.of_grammar(wanted.grammar, wanted.language)
        phrases = judge.phrases if judge is not None else phrases
    elif wanted.judge is not None:
        judge = Judge.named(wanted.judge, corpus, wanted.language)
        phrases = judge.phrases or phrases
    else:
        judge = choose_judge(known, corpus, wanted.language)
    return Words(judge, phrases, is_unspaced(known))


def language_remarks(words: Words, languages: Sequence[str]) -> list[str]:
    """
    What is to be known of a judge that hears English where a corpus says that it is in another language.

    Args:
        words ([`Words`]): with the judge.
        languages (sequence of `str`): codes of the corpus; empty where it does not say.
    """
    judge = words.judge
    if judge is None or not judge.is_sphinx or judge.kind == "grid" or not judge.language.startswith("en"):
        return []
    if not languages or any(code.startswith("en") for code in languages):
        return []
    known = "knows English only" if judge.grammar is None else "pronounces these words as English"
    advice = "name a recogniser of that language with --judge NAME"
    if judge.grammar is not None:
        advice += f", or let them be pronounced with --judge-language {languages[0]}"
    return [
        f"the corpus says that it is in {' and '.join(languages)}, but the judge of the words {known}: what it hears"
        f" means little, as its floor shows, the same for the recordings themselves; {advice}"
    ]


def choose_metrics(
    clips: Sequence[Clip], names: Sequence[str], asked: bool, words: Words, why_no_words: str = NO_TRANSCRIPT
) -> tuple[tuple[str, ...], dict[str, str]]:
    """
    The metrics that some clips allow.

    Args:
        clips (sequence of [`Clip`]): the clips.
        names (sequence of `str`): keys of `METRICS`.
        asked (`bool`): whether somebody named them.
        words ([`Words`]): what is known of the words.
        why_no_words (`str`, *optional*): the reason where no clip has a sentence.

    Returns:
        `tuple`: the metrics; and for each that was left out, and would have been computed, why.

    Raises:
        EvaluationError: if one that was asked for is not available.
    """
    if not asked:
        names = [name for name in names if name not in _uncalled(clips, words)]
    reasons = {name: why for name in names if (why := _objection(name, clips, words, why_no_words))}
    if asked and reasons:
        raise EvaluationError("; ".join(f"the metric {name} is not available: {why}" for name, why in reasons.items()))
    return tuple(name for name in names if name not in reasons), reasons


def _uncalled(clips: Sequence[Clip], words: Words) -> set[str]:
    """Metrics of words that these clips do not call for, where nobody names metrics."""
    sentences = [clip.sentence for clip in clips if clip.sentence is not None]
    of_grid = not sentences if words.judge is None else words.judge.kind == "grid"
    uncalled = {"wer"} if of_grid else {"grid_wer"}
    uncalled |= set() if words.unspaced else {"cer"}
    return uncalled | (set() if words.phrases else {"phrase_accuracy"})


def _objection(name: str, clips: Sequence[Clip], words: Words, why_no_words: str) -> str | None:
    needs, without_sentence = METRICS[name].needs, METRICS[name].without_sentence
    sentences = [clip.sentence for clip in clips if clip.sentence is not None]
    if "video" in needs and all(is_sound(clip.original) for clip in clips):
        return NO_VIDEO
    if {"sentence", "grid_sentence"} & set(needs) and not sentences:
        return None if without_sentence and words.judge is not None else why_no_words
    if "grid_sentence" in needs and (
        len(sentences) < len(clips) or not all(is_grid_sentence(sentence) for sentence in sentences)
    ):
        return NOT_GRID
    if "phrases" in needs and not words.phrases:
        return NO_LIST
    return NO_JUDGE if "judge" in needs and words.judge is None else None


def without_sound(rows: Sequence[ClipRow], metrics: Iterable[str]) -> tuple[int, dict[str, str]]:
    """
    How many clips were recorded without sound, and the metrics that no clip could therefore have.

    Args:
        rows (sequence of [`ClipRow`]): clips that were scored.
        metrics (iterable of `str`): keys of `METRICS`.

    Returns:
        `tuple[int, dict[str, str]]`: the number; and the metrics with the reason.
    """
    silent = sum(row.original_seconds is None and row.generated_seconds is not None for row in rows)
    if not rows or silent < len(rows):
        return silent, {}
    return silent, {name: NO_SOUND for name in metrics if "reference" in METRICS[name].needs}


def too_short(rows: Sequence[ClipRow], metrics: Iterable[str]) -> dict[str, int]:
    """
    How many clips have sound that is too short for a metric, by metric.

    Args:
        rows (sequence of [`ClipRow`]): clips that were scored.
        metrics (iterable of `str`): keys of `METRICS`.
    """
    sounding = [row for row in rows if row.original_seconds is not None]
    found = {}
    for name in metrics:
        if "reference" in METRICS[name].needs:
            found[name] = sum(not row.numbers.keys() & set(METRICS[name].columns()) for row in sounding)
    return {name: number for name, number in found.items() if number}


def judge_notes(results: Mapping[str, Any]) -> list[str]:
    """Notes on the judge, and on guessing, for reports and cards."""
    notes = []
    if "judge" in results:
        chance = results.get("chance_wer")
        guess = "" if chance is None else f" Chance (guessing from {_source(results)}): {100 * chance:.0f} %."
        notes.append(f"Judge: {results['judge']}; reference: the sentence; corpus-level WER.{guess}")
        floor = results.get("overall", {}).get("floor_wer", {}).get("value") or 0.0
        if floor >= DEAF:
            notes.append(
                f"The judge hears {100 * floor:.0f} % of the words wrong in the recordings themselves: it does not"
                " understand them, and what it says of the model means little. Another one: --judge NAME, or"
                " --judge-language."
            )
    if results.get("unknown_to_judge"):
        notes.append(f"Clips whose sentence the judge does not know, and cannot hear: {results['unknown_to_judge']}.")
    if "phrases" in results:
        notes.append(phrases_note(results["phrases"]))
    return notes


def _source(results: Mapping[str, Any]) -> str:
    return "its sentences" if results.get("phrases") else "the grammar"


def phrases_note(phrases: Mapping[str, Any]) -> str:
    """What guessing gives, in a sentence."""
    return (
        f"Phrases: {phrases['count']}. Guessing one is right for {100 * phrases['chance_accuracy']:.1f} % of the"
        f' clips, always guessing the most frequent ("{phrases["most_frequent"]}") for'
        f" {100 * phrases['most_frequent_accuracy']:.1f} %."
    )


def without_sound_note(results: Mapping[str, Any]) -> str:
    """How many recordings have no sound, in a sentence."""
    return (
        f"Recordings without sound: {results['without_sound']} of {results['clips']}; what compares with the original"
        " has no value for them."
    )


def too_short_note(results: Mapping[str, Any]) -> str:
    """How many clips are too short for which metrics, in a sentence."""
    counts = ", ".join(f"{name} {number}" for name, number in results["too_short"].items())
    return f"Clips that are too short for a metric, which has no value for them: {counts}."


__all__ = [
    "NAMED_KINDS",
    "NOT_NAMED",
    "JudgeError",
    "Words",
    "choose_metrics",
    "find_words",
    "judge_notes",
    "language_remarks",
    "phrases_note",
    "too_short",
    "too_short_note",
    "without_sound",
    "without_sound_note",
]
