"""The Space of the metric `cer`: a sentence and a text, to errors in characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lip2wav_hf.metrics.space import field_page, launch
from lip2wav_hf.metrics.words import align_characters


if TYPE_CHECKING:
    import gradio


DESCRIPTION = "Wrong characters of a text over the characters of the sentence, also in scripts without spaces."


def measure(text: str, sentence: str) -> dict[str, Any]:
    """Character errors.

    Args:
        text (`str`): what was recognised.
        sentence (`str`): what was spoken.

    Returns:
        `dict`: `cer`, `errors`, `characters`.

    Raises:
        ValueError: if there is no sentence.
    """
    aligned = align_characters(sentence or "", text or "")
    if not aligned.spoken:
        raise ValueError("the sentence is missing: write what was spoken.")
    characters = len(aligned.spoken)
    return {"cer": round(aligned.errors / characters, 4), "errors": aligned.errors, "characters": characters}


def build_page() -> gradio.Interface:
    """The page, a `gradio.Interface`."""
    import gradio as gr

    fields = [gr.Textbox(label="Text"), gr.Textbox(label="Sentence", placeholder="我能吞下玻璃")]
    return field_page("Character error rate", DESCRIPTION, measure, fields)


if __name__ == "__main__":
    launch(build_page())
