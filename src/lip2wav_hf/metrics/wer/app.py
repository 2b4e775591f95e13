"""The Space of the metric `wer`: a sentence, and speech or a transcript, to words heard and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lip2wav_hf.grammar import TextNormalizer
from lip2wav_hf.metrics.recognizers import recognizer
from lip2wav_hf.metrics.space import Sound, as_waveform, field_page, launch
from lip2wav_hf.metrics.wer.wer import find_judge, score_transcripts


if TYPE_CHECKING:
    import gradio


DESCRIPTION = (
    "How many words of a sentence an independent recogniser mishears: pocketsphinx with the list of sentences that you"
    " give, or with its language model of English. Give the sentence, and the speech or a transcript of it."
)


def measure(sound: Sound, transcript: str, sentence: str, phrases: str = "") -> dict[str, Any]:
    """Words heard, and errors.

    Args:
        sound (`tuple[int, np.ndarray]`, *optional*): sampling rate in Hz and samples; goes before `transcript`.
        transcript (`str`): the words, if there is no sound.
        sentence (`str`): the sentence spoken.
        phrases (`str`, *optional*): the sentences that there are, one on each line.

    Returns:
        `dict`: `heard`, `wer`, `errors` and, of a sound, `judge`.

    Raises:
        ValueError: if there is no sentence, or the sound cannot be heard.
    """
    normalize = TextNormalizer()
    sentence, heard = (" ".join(normalize(text or "").words) for text in (sentence, transcript))
    if not sentence:
        raise ValueError("the sentence is missing: write what was spoken.")
    told = {}
    if sound is not None:
        judge = find_judge([sentence], None, (phrases or "").splitlines() or None, None)
        heard, told = recognizer(judge).transcribe(*as_waveform(sound, "the sound")), {"judge": judge.describe()}
    scores = score_transcripts([sentence], [heard])
    return {"heard": heard, "wer": round(scores["wer"], 4), "errors": scores["errors"], **told}


def build_page() -> gradio.Interface:
    """The page, a `gradio.Interface`."""
    import gradio as gr

    fields = [
        gr.Audio(type="numpy", label="Speech"),
        gr.Textbox(label="Or a transcript"),
        gr.Textbox(label="Sentence", placeholder="maybe tomorrow it will be cold"),
        gr.Textbox(label="All sentences that may be said, one on each line (optional)", lines=3),
    ]
    return field_page("Word error rate of any speech", DESCRIPTION, measure, fields)


if __name__ == "__main__":
    launch(build_page())
