"""The Space of the metric `corr2d`: two sound files to the correlation of their auditory spectrograms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lip2wav_hf.metrics.corr2d.corr2d import corr2d_pair
from lip2wav_hf.metrics.space import launch, sound_page


if TYPE_CHECKING:
    import gradio


DESCRIPTION = "Correlation of the auditory spectrograms of generated and original speech: 1 is a perfect match."


def build_page() -> gradio.Interface:
    """The page, a `gradio.Interface`."""
    return sound_page("Corr2D", DESCRIPTION, corr2d_pair)


if __name__ == "__main__":
    launch(build_page())
