"""The Space of the metric `mcd`: two sound files to mel-cepstral distortion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lip2wav_hf.metrics.mcd.mcd import mcd_pair
from lip2wav_hf.metrics.space import launch, sound_page


if TYPE_CHECKING:
    import gradio


DESCRIPTION = (
    "Distance of the spectra of generated and original speech, in dB, frame by frame and time-warped: 0 "
    "is a perfect match."
)


def build_page() -> gradio.Interface:
    """The page, a `gradio.Interface`."""
    return sound_page("Mel-cepstral distortion", DESCRIPTION, mcd_pair, dtw=True)


if __name__ == "__main__":
    launch(build_page())
