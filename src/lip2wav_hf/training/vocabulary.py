"""What the text head of a network learns: the units of its configuration, or those of the clips it is trained on."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from ..configuration_lip2wav import Lip2WavTextConfig
from ..corpora.clips import Clip
from ..errors import counted
from ..files import read_json
from ..grammar import WORD_DELIMITER, TextUnits
from .arguments import ModelArguments, TrainingError


logger = logging.getLogger(__name__)

TEXT_OPTIONS = ("text_units", "text_case", "text_punctuation", "text_numbers", "text_unicode")
"""Options that are fields of the configuration too."""

SHOWN_WORDS = 5  # in messages


def words_of(clips: Iterable[Clip]) -> set[str]:
    """All words that are said in some clips."""
    return {word for clip in clips for word in clip.words or ()}


def fit_vocabulary(config: Lip2WavTextConfig, models: ModelArguments, words: set[str]) -> None:
    """
    Give a new network the units of the words of its training clips, unless it knows them all already.

    Args:
        config ([`Lip2WavTextConfig`]): its `vocabulary` is replaced where it may be.
        models ([`ModelArguments`]): tell whether somebody chose the vocabulary.
        words (`set[str]`): those of the training clips.

    Raises:
        TrainingError: if a vocabulary that was chosen lacks a word, or a word cannot be spelt.
    """
    kind, unknown = config.text_units, config.units.unknown(words)
    if not unknown:
        return
    shown = ", ".join(unknown[:SHOWN_WORDS]) + (" …" if len(unknown) > SHOWN_WORDS else "")
    lacking = f"{counted(len(unknown), 'word')} of the training clips: {shown}"
    if models.pretrained is not None:
        raise TrainingError(
            f"--pretrained {models.pretrained}: this network does not know {lacking}. Train without"
            " --pretrained, which learns the words of your clips, or on clips that say nothing else than the network"
            " knows."
        )
    if models.config is not None and "vocabulary" in read_json(Path(models.config), TrainingError):
        raise TrainingError(
            f"--config {models.config}: its vocabulary lacks {lacking}. Add them, or leave vocabulary out:"
            " then it is collected from the clips."
        )
    units = TextUnits.collect(kind, words)
    if units.unknown(words):
        raise TrainingError(
            f"the transcripts have {WORD_DELIMITER!r} inside words such as {units.unknown(words)[0]}, which"
            " stands between words here. Leave --text_punctuation at drop, or write something else."
        )
    config.vocabulary = list(units.vocabulary)
    logger.info("vocabulary: %d %s of the training clips.", len(units.vocabulary), kind)


def without_unknown_words(clips: list[Clip], units: TextUnits) -> list[Clip]:
    """Validation clips that a network can be measured on; those that say words it does not know are counted."""
    unknown = set(units.unknown(words_of(clips)))
    kept = [clip for clip in clips if unknown.isdisjoint(clip.words or ())]
    if unknown:
        logger.warning(
            "left out: %d of %s, saying words %s, such as %s.",
            len(clips) - len(kept),
            counted(len(clips), "validation clip"),
            "with characters of no training clip" if units.is_open else "that no training clip says",
            ", ".join(sorted(unknown)[:SHOWN_WORDS]),
        )
    return kept


__all__ = ["TEXT_OPTIONS", "fit_vocabulary", "without_unknown_words", "words_of"]
