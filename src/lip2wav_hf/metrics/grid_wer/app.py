"""The Space of the metric `grid_wer`: a sentence of GRID, and speech or a transcript, to words heard and errors."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from lip2wav_hf.metrics.grid_wer.grid_wer import (
    CHANCE_WER,
    GridRecognizer,
    check_sentence,
    drop_silences,
    score_transcripts,
)
from lip2wav_hf.metrics.space import Sound, as_waveform, field_page, launch


if TYPE_CHECKING:
    import gradio


DESCRIPTION = (
    "How many of the six words of a GRID sentence an independent recogniser mishears. Give the sentence, and the "
    "speech or a transcript of it."
)

recognizer = cache(GridRecognizer)


def measure(sound: Sound, transcript: str, sentence: str) -> dict[str, Any]:
    """Words heard, errors, and the chance level.

    Args:
        sound (`tuple[int, np.ndarray]`, *optional*): sampling rate in Hz and samples; goes before `transcript`.
        transcript (`str`): the words, if there is no sound.
        sentence (`str`): the sentence spoken.

    Returns:
        `dict`: `heard`, `wer`, `errors`, `confusions` and `chance_wer`.

    Raises:
        ValueError: if the sentence is not one of GRID, or the sound cannot be heard.
    """
    sentence = check_sentence(sentence or "", 0)
    heard = drop_silences((transcript or "").lower())
    if sound is not None:
        heard = recognizer().transcribe(*as_waveform(sound, "the sound"))
    scores = score_transcripts([sentence], [heard])
    return {
        "heard": heard,
        "wer": round(scores["wer"], 4),
        "errors": scores["errors"],
        "confusions": {slot: words for slot, words in scores["confusions"].items() if words},
        "chance_wer": round(CHANCE_WER, 4),
    }


def build_page() -> gradio.Interface:
    """The page, a `gradio.Interface`."""
    import gradio as gr

    fields = [
        gr.Audio(type="numpy", label="Speech"),
        gr.Textbox(label="Or a transcript"),
        gr.Textbox(label="Sentence", placeholder="bin blue at f two now"),
    ]
    return field_page("Word error rate of GRID sentences", DESCRIPTION, measure, fields)


if __name__ == "__main__":
    launch(build_page())
