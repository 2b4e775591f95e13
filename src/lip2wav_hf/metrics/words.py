"""Words spoken against words recognised: alignment, errors, errors by slot of a GRID sentence; and characters."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lip2wav_hf.errors import missing_extra
from lip2wav_hf.grammar import GRAMMAR


CHANCE_WER = sum(1 - 1 / len(words) for words in GRAMMAR.values()) / len(GRAMMAR)
"""Word error rate of guessing each word from GRID's grammar."""


SILENCES = ("sil", "sp")  # GRID's alignments have them between the words
SPACE = "\N{SYMBOL FOR SPACE}"  # stands for a space where characters are compared


@dataclass(frozen=True)
class WordAlignment:
    """
    A sentence beside what was recognised, aligned with the fewest errors.

    Attributes:
        spoken (`tuple[str, ...]`): the words spoken.
        recognised (`tuple[str, ...]`): the words recognised.
        heard_as (`tuple[str, ...]`): for each word spoken the word recognised in its place, `""` where there is none.
        correct (`tuple[bool, ...]`): for each word recognised whether it was spoken at its place; an inserted or
            substituted word was not.
    """

    spoken: tuple[str, ...]
    recognised: tuple[str, ...]
    heard_as: tuple[str, ...]
    correct: tuple[bool, ...]

    @property
    def deletions(self) -> int:
        """Words spoken that were not recognised."""
        return self.heard_as.count("")

    @property
    def substitutions(self) -> int:
        """Words spoken that were recognised as another."""
        return len(self.spoken) - self.deletions - sum(self.correct)

    @property
    def insertions(self) -> int:
        """Words recognised that correspond to no spoken word."""
        return len(self.recognised) - sum(self.correct) - self.substitutions

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions


def align_words(sentence: str, text: str) -> WordAlignment:
    """
    Align the words of a sentence with the words recognised.

    Args:
        sentence (`str`): the words spoken.
        text (`str`): the words recognised; may be empty.
    """
    spoken, recognised = sentence.split(), text.split()
    heard_as, correct = [""] * len(spoken), [False] * len(recognised)
    for chunk in _chunks(spoken, recognised):
        if chunk.type in ("equal", "substitute"):
            there, here = slice(chunk.ref_start_idx, chunk.ref_end_idx), slice(chunk.hyp_start_idx, chunk.hyp_end_idx)
            heard_as[there] = recognised[here]
            correct[here] = [chunk.type == "equal"] * (chunk.hyp_end_idx - chunk.hyp_start_idx)
    return WordAlignment(tuple(spoken), tuple(recognised), tuple(heard_as), tuple(correct))


def _chunks(spoken: list[str], recognised: list[str]) -> list[Any]:
    if not spoken or not recognised:
        return []
    try:
        import jiwer  # of an extra: reports and cards are written without it
    except ImportError as error:
        raise missing_extra("evaluate", "jiwer", "comparing words") from error
    return jiwer.process_words(" ".join(spoken), " ".join(recognised)).alignments[0]


def is_grid_sentence(sentence: str | None) -> bool:
    """Whether a sentence is one of GRID's grammar: a word of each slot, such as "bin blue at f two now"."""
    words = (sentence or "").split()
    return len(words) == len(GRAMMAR) and all(
        word in choices for word, choices in zip(words, GRAMMAR.values(), strict=True)
    )


def word_errors(sentence: str, text: str) -> int:
    """Substituted, deleted and inserted words of a text, see [`align_words`]."""
    return align_words(sentence, text).errors


def sum_alignments(alignments: Iterable[WordAlignment]) -> dict[str, int]:
    """`errors`, `words`, `substitutions`, `deletions` and `insertions` of some alignments."""
    found = list(alignments)
    return {
        "errors": sum(alignment.errors for alignment in found),
        "words": sum(len(alignment.spoken) for alignment in found),
        "substitutions": sum(alignment.substitutions for alignment in found),
        "deletions": sum(alignment.deletions for alignment in found),
        "insertions": sum(alignment.insertions for alignment in found),
    }


def score_transcripts(references: Sequence[str], transcripts: Sequence[str], compat: bool = False) -> dict[str, Any]:
    """Corpus-level word error rate of transcripts.

    Args:
        references (sequence of `str`): the sentences.
        transcripts (sequence of `str`): what was heard, in the same order.
        compat (`bool`, *optional*, defaults to `False`): add `wer_compat`, the mean of the clips' own rates.

    Returns:
        `dict`: `wer`, NaN without a word; what [`sum_alignments`] gives; `transcripts`; `errors_per_clip`; `empty`,
        clips in which nothing was heard; and `wer_compat`, where it is asked for.
    """
    pairs = list(zip(references, transcripts, strict=True))
    aligned = [align_words(*pair) for pair in pairs]
    total = sum_alignments(aligned)
    result = {
        "wer": total["errors"] / total["words"] if total["words"] else float("nan"),
        **total,
        "transcripts": list(transcripts),
        "errors_per_clip": [alignment.errors for alignment in aligned],
        "empty": sum(not alignment.recognised for alignment in aligned),
    }
    if compat:
        rates = [rate for rate in (utterance_wer(*pair) for pair in pairs) if not math.isnan(rate)]
        result["wer_compat"] = float(np.mean(rates)) if rates else float("nan")
    return result


def drop_silences(transcript: str) -> str:
    """A transcript without the `sil` and `sp` of GRID's alignments."""
    return " ".join(word for word in transcript.split() if word not in SILENCES)


def utterance_wer(reference: str, heard: str) -> float:
    """The lineage's word error rate of one clip, which it averages over clips; `sil` and `sp` do not count.

    Args:
        reference (`str`): the words spoken.
        heard (`str`): the words heard; may be empty.

    Returns:
        `float`: errors over words of the reference; NaN without a reference.
    """
    alignment = align_words(drop_silences(reference), drop_silences(heard))
    return alignment.errors / len(alignment.spoken) if alignment.spoken else float("nan")


def align_characters(sentence: str, text: str) -> WordAlignment:
    """
    Align the characters of a sentence with those of a text, as [`align_words`] does with words.

    Characters are code points in Unicode's form NFC. White space counts as one character; where the sentence has
    none, as in scripts without spaces, that of the text does not count.

    Args:
        sentence (`str`): what was spoken.
        text (`str`): what was recognised; may be empty.
    """
    sentence, text = (" ".join(unicodedata.normalize("NFC", each).split()) for each in (sentence, text))
    if " " not in sentence:
        text = text.replace(" ", "")
    spoken, recognised = (" ".join(each.replace(" ", SPACE)) for each in (sentence, text))
    return align_words(spoken, recognised)


def guessing(phrases: Sequence[str], sentences: Sequence[str]) -> dict[str, Any]:
    """
    How often a guess is right that has not looked.

    Args:
        phrases (sequence of `str`): the sentences that there are.
        sentences (sequence of `str`): those spoken, one for each clip.

    Returns:
        `dict`: `count`; `chance_accuracy`, of guessing any; `most_frequent` and `most_frequent_accuracy`, of always
        guessing the one that is spoken most often in these clips.
    """
    sentence, clips = Counter(sentences).most_common(1)[0]
    return {
        "count": len(phrases),
        "chance_accuracy": 1 / len(phrases),
        "most_frequent": sentence,
        "most_frequent_accuracy": clips / len(sentences),
    }


def correct_words(sentence: str, text: str) -> list[bool]:
    """Whether each word of a text was spoken at its place in the sentence, see [`align_words`]."""
    return list(align_words(sentence, text).correct)


def heard_as(sentence: str, text: str) -> list[str]:
    """For each word spoken the word recognised in its place, `""` where there is none, see [`align_words`]."""
    return list(align_words(sentence, text).heard_as)


def count_slots(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """
    Word errors by slot of a GRID sentence; insertions belong to no slot.

    Args:
        pairs (iterable of `tuple[str, str]`): sentences and what was recognised of them.

    Returns:
        `dict`: `slot_wer`, `{slot: share of wrong words}`, NaN for a slot that no sentence has; `confusions`, `{slot:
        {word: {word recognised or "": clips}}}`, errors only; `counts`, `{slot: {word: clips}}`, how often each word
        was spoken; `empty` (`int`), clips in which nothing was recognised.
    """
    counts: dict[str, dict[str, int]] = {slot: {} for slot in GRAMMAR}
    confusions: dict[str, dict[str, dict[str, int]]] = {slot: {} for slot in GRAMMAR}
    empty = 0
    for sentence, text in pairs:
        alignment = align_words(sentence, text)
        empty += not alignment.recognised
        for slot, word, heard in zip(GRAMMAR, alignment.spoken, alignment.heard_as, strict=False):
            counts[slot][word] = counts[slot].get(word, 0) + 1
            if heard != word:
                others = confusions[slot].setdefault(word, {})
                others[heard] = others.get(heard, 0) + 1
    wrong = {slot: sum(sum(others.values()) for others in words.values()) for slot, words in confusions.items()}
    spoken = {slot: sum(words.values()) for slot, words in counts.items()}
    return {
        "slot_wer": {slot: wrong[slot] / spoken[slot] if spoken[slot] else float("nan") for slot in GRAMMAR},
        "confusions": confusions,
        "counts": counts,
        "empty": empty,
    }


__all__ = [
    "CHANCE_WER",
    "WordAlignment",
    "align_characters",
    "align_words",
    "correct_words",
    "count_slots",
    "drop_silences",
    "guessing",
    "heard_as",
    "is_grid_sentence",
    "score_transcripts",
    "sum_alignments",
    "utterance_wer",
    "word_errors",
]
