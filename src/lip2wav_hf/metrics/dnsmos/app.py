"""The Space of the metric `dnsmos`: a sound file to DNSMOS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lip2wav_hf.metrics.dnsmos.dnsmos import dnsmos_clip
from lip2wav_hf.metrics.space import launch, sound_page


if TYPE_CHECKING:
    import gradio


DESCRIPTION = (
    "The opinion, 1 to 5, that listeners would have of a clip: its signal, its background, the whole. No "
    "original is needed."
)


def build_page() -> gradio.Interface:
    """The page, a `gradio.Interface`."""
    return sound_page("DNSMOS", DESCRIPTION, dnsmos_clip, pair=False)


if __name__ == "__main__":
    launch(build_page())
