"""A little corpus of one's own: a folder of videos with `metadata.csv`, whose transcripts are Greek."""

import csv
import shutil

import numpy as np

from lip2wav_hf.audio import mux_audio


SENTENCES = ("Γεια σου, Μαρία!", "Καλημέρα.", "Τι ώρα είναι;", "Καληνύχτα σου")
WORDS = ["γεια", "είναι", "καλημέρα", "καληνύχτα", "μαρία", "σου", "τι", "ώρα"]
COLUMNS = ("file_name", "transcription", "speaker", "start", "end")


def write_greek_corpus(folder, video, faults=True):
    """Three speakers, each with four sentences, one of them a part; and, if wanted, a clip of each fault."""
    rows = []
    for speaker in ("άννα", "ben", "cleo"):
        for number, sentence in enumerate(SENTENCES):
            name = f"clips/{speaker}/{number}.mp4"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(video, folder / name)
            rows.append((name, sentence, speaker, *((0.6, 2.2) if number == 3 else ("", ""))))
    if faults:
        rows += [*_faulty(folder, video)]
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return folder


def _faulty(folder, video):
    sound = np.zeros(48_000, np.float32)
    mux_audio(np.zeros((75, 96, 128, 3), np.uint8), sound, 16_000, folder / "faceless.mp4", fps=25)
    (folder / "damaged.mp4").write_bytes(video.read_bytes()[:5000])
    for name, start, end in (("faceless", "", ""), ("damaged", "", ""), ("gone", "", "")):
        yield f"{name}.mp4", SENTENCES[0], "dora", start, end
    shutil.copy(video, folder / "untold.mp4")
    shutil.copy(video, folder / "brief.mp4")
    yield "untold.mp4", "", "dora", "", ""
    yield "brief.mp4", SENTENCES[1], "dora", 1.0, 1.4


FAULTS = {"missing_video": 1, "no_transcript": 1, "corrupt_video": 1, "short_video": 1}
"""What a look at the files finds of them; that one has no face is found when it is prepared."""
