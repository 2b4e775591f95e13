"""The Space of the metric `speaker_similarity`: two sound files to the similarity of their voices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lip2wav_hf.metrics.space import launch, sound_page
from lip2wav_hf.metrics.speaker_similarity.speaker_similarity import speaker_similarity_pair


if TYPE_CHECKING:
    import gradio


DESCRIPTION = "Whether two clips are of the same voice, whatever the words: about 0.8 if so, about 0.6 if not."


def build_page() -> gradio.Interface:
    """The page, a `gradio.Interface`."""
    return sound_page("Speaker similarity", DESCRIPTION, speaker_similarity_pair)


if __name__ == "__main__":
    launch(build_page())
