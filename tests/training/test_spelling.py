"""Characters on the frames of a clip, from the times of its words."""

import numpy as np
import pytest

from lip2wav_hf.grammar import TextUnits
from lip2wav_hf.training.spelling import spell_clip
from lip2wav_hf.training.variation import ClipContent


UNITS = TextUnits.collect("characters", ["see", "bed", "at"])


def clip(words, frame_words):
    frames = len(frame_words)
    return ClipContent(
        tuple(words), np.zeros((frames, 2, 2), np.uint8), np.zeros(frames, np.float32), np.array(frame_words)
    )


def spelt(words, frame_words):
    """What each frame has: a character, or `.` for silence."""
    content = spell_clip(clip(words, frame_words), UNITS)
    text = "".join(content.words[number] if number >= 0 else "." for number in content.frame_words)
    return "".join(content.words), text


@pytest.mark.parametrize(
    ("words", "frame_words", "sentence", "frames"),
    [
        (["bed"], [-1] * 2 + [0] * 6 + [-1] * 2, "bed", "..bbeedd.."),
        (["bed", "at"], [0] * 3 + [-1] * 3 + [1] * 4, "bed|at", "bed..|aatt"),  # the delimiter before the word
        (["bed", "at"], [0] * 3 + [-1] + [1] * 4, "bed|at", "bed|aatt"),
        (["bed", "at"], [0] * 6 + [1] * 4, "bed|at", "bbeed|aatt"),  # no silence: of the frames of the word before
        (["see"], [-1] + [0] * 4 + [-1], "see", ".se.e."),  # CTC would read "ee" as one
        (["see"], [-1] + [0] * 2 + [-1] * 3, "see", ".se.e."),  # too short: frames of what follows
        (["bed"], [-1] * 3 + [0], "bed", ".bed"),  # or of what comes before
        (["bed", "at"], [-1] * 5 + [1] * 2, "at", ".....at"),  # a word without frames is not there
    ],
)
def test_characters_share_the_time_of_their_word(words, frame_words, sentence, frames):
    assert spelt(words, frame_words) == (sentence, frames)


@pytest.mark.parametrize("seed", range(20))
def test_frames_read_as_ctc_reads_them_give_the_sentence(seed):
    rng = np.random.default_rng(seed)
    words, frame_words = [], [-1] * int(rng.integers(3))
    for number in range(int(rng.integers(1, 6))):
        words.append(str(rng.choice(["see", "bed", "at"])))
        frame_words += [number] * int(rng.integers(1, 8)) + [-1] * int(rng.integers(4))
    content = spell_clip(clip(words, frame_words), UNITS)
    if (content.frame_words == -2).any():
        return  # too short, with the whole sentence as its labels
    path = [content.words[number] if number >= 0 else "" for number in content.frame_words]
    read = "".join(now for now, before in zip(path, [None, *path], strict=False) if now != before)
    assert read == "".join(content.words)
    assert "".join(content.words).replace("|", " ") == " ".join(words)


def test_a_clip_without_room_counts_as_one_without_times():
    content = spell_clip(clip(["see", "bed"], [0, 0, 1, 1]), UNITS)
    assert (content.frame_words == -2).all() and "".join(content.words) == "see|bed"
    without = spell_clip(clip(["bed"], [-2] * 9), UNITS)
    assert (without.frame_words == -2).all() and without.words == ("b", "e", "d")


def test_words_stay_as_they_are():
    content = clip(["bed", "at"], [0, 0, 1, -1])
    assert spell_clip(content, TextUnits("words", ("at", "bed"))) is content
