"""What a judge of words hears of a clip, as columns of `clips.csv`: shared by the metrics of words."""

from __future__ import annotations

from typing import Any

from lip2wav_hf.metrics.pairs import SoundPair
from lip2wav_hf.metrics.words import utterance_wer, word_errors


def score_clip(pair: SoundPair) -> dict[str, Any]:
    """
    The judge's columns of words, of a pair with a judge. Without an original there is no floor; where nobody knows the
    sentence, the words are compared with those heard in the original only.
    """
    sentence, heard = pair.sentence, pair.heard
    columns: dict[str, Any] = {"transcript": heard.generated}
    if heard.original is not None:
        columns |= {
            "floor_transcript": heard.original,
            "original_words": len(heard.original.split()),
            "errors_to_original": word_errors(heard.original, heard.generated),
        }
    if sentence is None:
        return columns
    columns["judge_errors"] = word_errors(sentence, heard.generated)
    if heard.original is not None:
        columns["floor_errors"] = word_errors(sentence, heard.original)
    return columns | ({"wer_compat": utterance_wer(sentence, heard.generated)} if pair.compat else {})


__all__ = ["score_clip"]
