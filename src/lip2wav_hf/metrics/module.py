"""The common form of the metrics of sounds as modules of the library `evaluate`. That library is slow to import, so
what computes a metric is in a file of its own.

A metric's file imports this *module*, not the class: `evaluate.load` takes the first metric class that it finds among
the names of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import datasets
import evaluate

from lip2wav_hf.metrics.aggregate import summarize_clips


WAVEFORM = datasets.Sequence(datasets.Value("float32"))


class SoundMetric(evaluate.Metric):
    """
    A metric that scores generated sounds one by one, each against its original if `paired`.

    Attributes:
        module_description, module_citation, module_inputs (`str`): texts of the module.
        module_urls (`tuple[str, ...]`): where more is said.
        scores (`tuple[str, ...]`): keys of `score` whose means are returned.
        score (`Callable`): static method of one pair (or one sound), `sampling_rate`, `index` and options.
        paired (`bool`): whether `references` are waveforms that it takes.
    """

    module_description: ClassVar[str]
    module_citation: ClassVar[str]
    module_inputs: ClassVar[str]
    module_urls: ClassVar[tuple[str, ...]]
    scores: ClassVar[tuple[str, ...]]
    score: ClassVar[Callable[..., dict[str, Any]]]
    paired: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.__doc__ = f"{cls.module_description}{cls.module_inputs}{cls.__doc__ or ''}"

    def _info(self) -> evaluate.MetricInfo:
        features = {"predictions": WAVEFORM} | ({"references": WAVEFORM} if self.paired else {})
        return evaluate.MetricInfo(
            description=self.module_description,
            citation=self.module_citation,
            inputs_description=self.module_inputs,
            features=datasets.Features(features),
            reference_urls=list(self.module_urls),
        )

    def _compute(self, *, predictions: Sequence = (), references: Sequence = (), **options: Any) -> dict[str, Any]:
        sounds = zip(predictions, references, strict=True) if self.paired else zip(predictions)
        clips = [self.score(*some, index=index, **options) for index, some in enumerate(sounds)]
        return summarize_clips(clips, self.scores)


__all__ = ["SoundMetric"]
