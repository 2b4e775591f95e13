"""Phrase accuracy: how many clips of a closed list of sentences were recognised whole."""

from typing import Any

from lip2wav_hf.errors import Lip2WavError
from lip2wav_hf.metrics.pairs import SoundPair


class PhraseError(Lip2WavError):
    """A sentence that is not of the list, or a list that is none."""


def is_right(sentence: str, text: str) -> bool:
    """Whether a text is the sentence, white space aside."""
    return sentence.split() == text.split()


def score_clip(pair: SoundPair) -> dict[str, Any]:
    """The columns of phrases in `clips.csv`, 1 or 0: of the text head and of the judge, where there are these."""
    sentence = pair.sentence or ""
    texts = {"text": pair.text}
    if pair.judge is not None:
        texts |= {"judge": pair.heard.generated, "floor": pair.heard.original}
    return {f"{who}_phrase_right": int(is_right(sentence, text)) for who, text in texts.items() if text is not None}


__all__ = ["PhraseError", "is_right", "score_clip"]
