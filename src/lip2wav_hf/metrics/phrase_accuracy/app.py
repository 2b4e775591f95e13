"""The Space of the metric `phrase_accuracy`: sentences and texts, to how many were recognised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lip2wav_hf.metrics.phrase_accuracy.phrase_accuracy import is_right
from lip2wav_hf.metrics.space import field_page, launch
from lip2wav_hf.metrics.words import guessing


if TYPE_CHECKING:
    import gradio


DESCRIPTION = "Share of the sentences, one on each line, that were recognised whole; beside it what guessing gives."


def measure(texts: str, sentences: str) -> dict[str, Any]:
    """Phrase accuracy.

    Args:
        texts (`str`): what was recognised, one on each line; an empty line where it was nothing.
        sentences (`str`): what was spoken, one on each line.

    Returns:
        `dict`: `accuracy`, `chance_accuracy`, `most_frequent_accuracy`, `phrases`.

    Raises:
        ValueError: if there is no sentence, or not a text for each.
    """
    spoken, recognised = (sentences or "").splitlines(), (texts or "").splitlines()
    if not spoken or len(recognised) != len(spoken):
        raise ValueError(f"{len(recognised)} texts for {len(spoken)} sentences: write one line for each.")
    chance = guessing(sorted(set(spoken)), spoken)
    right = sum(is_right(*pair) for pair in zip(spoken, recognised, strict=True))
    return {
        "accuracy": round(right / len(spoken), 4),
        "chance_accuracy": round(chance["chance_accuracy"], 4),
        "most_frequent_accuracy": round(chance["most_frequent_accuracy"], 4),
        "phrases": chance["count"],
    }


def build_page() -> gradio.Interface:
    """The page, a `gradio.Interface`."""
    import gradio as gr

    fields = [gr.Textbox(label="Recognised, one on each line", lines=4), gr.Textbox(label="Spoken", lines=4)]
    return field_page("Phrase accuracy", DESCRIPTION, measure, fields)


if __name__ == "__main__":
    launch(build_page())
