"""The Space of the metric `av_sync`: a video, and a sound if not its own, to offset and confidence."""

import os


os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr

from lip2wav_hf.audio import read_audio
from lip2wav_hf.metrics.av_sync.score import av_sync_clip


SAMPLING_RATE = 16000
DESCRIPTION = (
    "By how many video frames (40 ms each) a sound is late against the mouth. The video must show a face for 1.6 s or"
    " more; its own sound is used unless you give another one."
)


def measure(video: str | None, sound: str | None) -> tuple[float | None, float, str]:
    """Offset in frames, confidence and a sentence about them, of a video file and a sound file."""
    if not video:
        raise gr.Error("Give a video of a talking face.")
    try:
        waveform = read_audio(sound or video, SAMPLING_RATE)
        if waveform is None:
            raise gr.Error("The file has no sound: give a sound file too.")
        result = av_sync_clip(waveform, SAMPLING_RATE, video=video)
    except ValueError as error:
        raise gr.Error(str(error)) from error
    if result["outcome"] != "scored":
        return None, 0.0, f"No offset can be measured: {result['outcome']}."
    offset = int(result["offset"])
    when = (
        "in time"
        if offset == 0
        else f"{abs(offset)} frames ({abs(offset) * 40} ms) {'late' if offset > 0 else 'early'}"
    )
    return offset, round(result["confidence"], 3), f"The sound is {when}."


def build_page() -> gr.Interface:
    """The page."""
    return gr.Interface(
        measure,
        [gr.Video(label="Video"), gr.Audio(label="Another sound (optional)", type="filepath")],
        [
            gr.Number(label="Offset, in frames (positive: late)"),
            gr.Number(label="Confidence"),
            gr.Textbox(label="In words"),
        ],
        title="Audio-visual synchrony",
        description=DESCRIPTION,
        flagging_mode="never",
        api_name="measure",
    )


if __name__ == "__main__":
    build_page().launch(
        theme=gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    )
