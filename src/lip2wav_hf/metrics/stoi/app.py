"""The Space of the metric `stoi`: two sound files to STOI and ESTOI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lip2wav_hf.metrics.space import launch, sound_page
from lip2wav_hf.metrics.stoi.stoi import stoi_pair


if TYPE_CHECKING:
    import gradio


DESCRIPTION = "How well the envelope of generated speech follows that of the original: 1 is a perfect match."


def build_page() -> gradio.Interface:
    """The page, a `gradio.Interface`."""
    return sound_page("STOI and ESTOI", DESCRIPTION, stoi_pair)


if __name__ == "__main__":
    launch(build_page())
