"""The `evaluate` module of the character error rate, which `score.py` computes."""

from typing import Any

import datasets
import evaluate
from evaluate.utils.file_utils import add_start_docstrings

from lip2wav_hf.metrics.words import align_characters, sum_alignments


_DESCRIPTION = """\
Character error rate of transcripts: substituted, deleted and inserted characters over the characters of all sentences.
Characters are code points in Unicode's form NFC. White space counts as one character, and not at all where a sentence
is written without. 0 is best.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of str): what was recognised.
    references (list of str): what was spoken, in the same order and normalised alike.
Returns:
    cer (float): errors over characters, over all clips. errors, characters, substitutions, deletions, insertions
        (int); errors_per_clip (list of int).
Examples:
    >>> cer = evaluate.load(metric_folder("cer"))
    >>> cer.compute(predictions=["ka"], references=["kana"])["cer"]
    0.5
"""


@add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class Cer(evaluate.Metric):
    """Character error rate of transcripts."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, Any]:
        pairs = zip(references, predictions, strict=True)
        aligned = [align_characters(sentence, text) for sentence, text in pairs]
        total = sum_alignments(aligned)
        characters = total.pop("words")
        return {
            "cer": total["errors"] / characters if characters else float("nan"),
            "characters": characters,
            **total,
            "errors_per_clip": [alignment.errors for alignment in aligned],
        }


__all__ = ["Cer"]
