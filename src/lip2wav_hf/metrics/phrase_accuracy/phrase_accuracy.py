"""The `evaluate` module of phrase accuracy, which `score.py` computes."""

from typing import Any

import datasets
import evaluate
from evaluate.utils.file_utils import add_start_docstrings

from lip2wav_hf.metrics.phrase_accuracy.score import PhraseError, is_right
from lip2wav_hf.metrics.words import guessing


_DESCRIPTION = """\
Share of the clips whose sentence, one of a closed list, was recognised whole and without a mistake. 1 is best; beside
it stand the accuracy of guessing any sentence of the list, and of always guessing the most frequent one.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of str): what was recognised.
    references (list of str): the sentences spoken, in the same order and normalised alike.
    phrases (list of str, optional): all sentences that there are; those of the references by default.
Returns:
    accuracy (float), chance_accuracy (float), most_frequent_accuracy (float); phrases (int), how many there are;
    most_frequent (str); right (list of bool).
Examples:
    >>> phrase_accuracy = evaluate.load(metric_folder("phrase_accuracy"))
    >>> phrase_accuracy.compute(predictions=["yes", "no"], references=["yes", "yes"])["accuracy"]
    0.5
"""


@add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class PhraseAccuracy(evaluate.Metric):
    """Share of the sentences of a closed list that were recognised."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(
        self, predictions: list[str], references: list[str], phrases: list[str] | None = None
    ) -> dict[str, Any]:
        known = sorted({" ".join(phrase.split()) for phrase in (references if phrases is None else phrases)})
        references = [" ".join(sentence.split()) for sentence in references]
        strange = next((sentence for sentence in references if sentence not in known), None)
        if strange is not None:
            raise PhraseError(f"the reference {strange!r} is not among the {len(known)} phrases: add it to them.")
        right = [is_right(*pair) for pair in zip(references, predictions, strict=True)]
        chance = guessing(known, references)
        return {"accuracy": sum(right) / len(right), "phrases": chance.pop("count"), **chance, "right": right}


__all__ = ["PhraseAccuracy", "PhraseError", "is_right"]
