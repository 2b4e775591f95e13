"""Character error rate: for texts in which words are no unit to count, as in scripts without spaces."""

from typing import Any

from lip2wav_hf.metrics.pairs import SoundPair
from lip2wav_hf.metrics.words import align_characters


def score_clip(pair: SoundPair) -> dict[str, Any]:
    """The columns of characters in `clips.csv`: of the text head and of the judge, where there are these."""
    sentence = pair.sentence or ""
    columns = {"characters": len(align_characters(sentence, "").spoken)}
    texts = {"text": pair.text}
    if pair.judge is not None:
        texts |= {"judge": pair.heard.generated, "floor": pair.heard.original}
    return columns | {
        f"{who}_character_errors": align_characters(sentence, text).errors
        for who, text in texts.items()
        if text is not None
    }


__all__ = ["score_clip"]
