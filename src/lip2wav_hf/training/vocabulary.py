"""Which words a network learns: those of its configuration, or those of the clips that it is trained on."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..corpora.clips import Clip
from ..files import read_json
from .arguments import ModelArguments, TrainingError


logger = logging.getLogger(__name__)

SHOWN_WORDS = 5  # in messages


def words_of(clips: Iterable[Clip]) -> set[str]:
    """All words that are said in some clips."""
    return {word for clip in clips for word in clip.words or ()}


def fit_vocabulary(config: Any, models: ModelArguments, words: set[str]) -> None:
    """
    Give a new network the words of its training clips, unless it knows them all already.

    Args:
        config (a configuration): its `vocabulary` is replaced where it may be; one without a vocabulary stays.
        models ([`ModelArguments`]): tell whether somebody chose the vocabulary.
        words (`set[str]`): those of the training clips.

    Raises:
        TrainingError: if a vocabulary that was chosen lacks a word.
    """
    unknown = sorted(words - set(getattr(config, "vocabulary", words)))
    if not unknown:
        return
    shown = ", ".join(unknown[:SHOWN_WORDS]) + (" …" if len(unknown) > SHOWN_WORDS else "")
    if models.pretrained is not None:
        raise TrainingError(
            f"--pretrained {models.pretrained}: this network does not know {len(unknown)} word(s) of the training"
            f" clips: {shown}. Train without --pretrained, which learns the words of your clips, or on clips that say"
            " nothing else than the network knows."
        )
    if models.config is not None and "vocabulary" in read_json(Path(models.config), TrainingError):
        raise TrainingError(
            f"--config {models.config}: its vocabulary lacks {len(unknown)} word(s) of the training clips: {shown}."
            " Add them, or leave vocabulary out: then it is collected from the clips."
        )
    config.vocabulary = sorted(words)
    logger.info("vocabulary: %d words of the training clips.", len(words))


def without_unknown_words(clips: list[Clip], vocabulary: Iterable[str]) -> list[Clip]:
    """Validation clips that a network can be measured on; those that say words it does not know are counted."""
    known = set(vocabulary)
    kept = [clip for clip in clips if known.issuperset(clip.words or ())]
    if len(kept) < len(clips):
        words = sorted(words_of(clips) - known)
        logger.warning(
            "%d of %d validation clips are left out: they say words that no training clip says, such as %s.",
            len(clips) - len(kept),
            len(clips),
            ", ".join(words[:SHOWN_WORDS]),
        )
    return kept


__all__ = ["fit_vocabulary", "without_unknown_words", "words_of"]
