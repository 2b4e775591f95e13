"""The Space of the metric `pesq`: two sound files to PESQ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lip2wav_hf.metrics.pesq.pesq import pesq_pair
from lip2wav_hf.metrics.space import launch, sound_page


if TYPE_CHECKING:
    import gradio


DESCRIPTION = (
    "How good generated speech sounds beside the original: narrow band 1.02 to 4.55, wide band 1.04 to "
    "4.64. Higher is better."
)


def build_page() -> gradio.Interface:
    """The page, a `gradio.Interface`."""
    return sound_page("PESQ", DESCRIPTION, pesq_pair)


if __name__ == "__main__":
    launch(build_page())
