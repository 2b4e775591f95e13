"""What a judge of words hears of a clip, as columns of `clips.csv`: shared by the metrics of words."""

from __future__ import annotations

from typing import Any

from lip2wav_hf.metrics.pairs import SoundPair
from lip2wav_hf.metrics.words import utterance_wer, word_errors


def score_heard(pair: SoundPair) -> dict[str, Any]:
    """The judge's columns of words; the pair has a sentence and a judge. Without an original there is no floor."""
    sentence, heard = pair.sentence or "", pair.heard
    columns: dict[str, Any] = {
        "transcript": heard.generated,
        "judge_errors": word_errors(sentence, heard.generated),
    }
    if heard.original is not None:
        columns |= {
            "floor_transcript": heard.original,
            "floor_errors": word_errors(sentence, heard.original),
            "original_words": len(heard.original.split()),
            "errors_to_original": word_errors(heard.original, heard.generated),
        }
    return columns | ({"wer_compat": utterance_wer(sentence, heard.generated)} if pair.compat else {})


__all__ = ["score_heard"]
