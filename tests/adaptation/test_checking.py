"""Whether a recording can be learnt from."""

import cv2
import numpy as np
import pytest

from conftest import REPOSITORY
from lip2wav_hf import VideoReader, read_audio
from lip2wav_hf.adaptation.checking import (
    QUIET,
    STILL,
    _check_sound,
    _doubtful_words,
    check_recording,
    examine_clips,
)
from lip2wav_hf.adaptation.level import speech_level
from lip2wav_hf.adaptation.records import RecordingCheck
from lip2wav_hf.audio import mux_audio
from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
from lip2wav_hf.video import VideoPart
from little_videos import write_video


def kinds(check):
    return [problem.kind for problem in check.problems]


def with_sound(video, waveform, path):
    mux_audio(video, waveform, 16000, path)
    return path


@pytest.fixture(scope="module")
def speech(talking_video):
    return read_audio(talking_video)


def test_a_good_recording_has_no_problem(talking_video):
    check = check_recording(talking_video, "bin blue at f two now")
    assert check.problems == ()
    assert check.usable
    assert check.has_sound
    assert check.face_coverage == 1.0
    assert check.seconds == pytest.approx(3.0, abs=0.1)


def test_a_recording_without_sound_is_one_of_the_lips():
    check = check_recording(REPOSITORY / "src/lip2wav_hf/assets/sample.mp4", "bin blue at f two now")
    assert check.usable
    assert not check.has_sound
    assert check.level is None


def test_a_recording_without_transcript_cannot_be_used(talking_video):
    assert kinds(check_recording(talking_video)) == ["no_transcript"]
    assert not check_recording(talking_video, " … ").usable


def test_a_transcript_without_words_is_told_from_none(talking_video):
    (problem,) = check_recording(talking_video, " 😀 😀 ").problems
    assert problem.message == "Its transcript '😀 😀' has no words." and problem.advice.startswith(
        "Write what is said"
    )
    (problem,) = check_recording(talking_video, " ").problems
    assert problem.message == "Nobody wrote down what is said in it." and problem.advice.startswith("Write it into")


def test_a_recording_without_face_cannot_be_used(tmp_path):
    check = check_recording(write_video(tmp_path / "wall.mp4"), "yes")
    assert kinds(check) == ["no_face"]
    assert check.face_coverage == 0.0


@pytest.mark.parametrize("content", [b"", b"not a video"])
def test_a_file_that_is_no_video_is_a_problem_not_an_error(tmp_path, content):
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    assert kinds(check_recording(path, "yes")) == ["unreadable"]
    assert kinds(check_recording(tmp_path / "absent.mp4", "yes")) == ["unreadable"]


@pytest.mark.parametrize("noise", [0.0, 3.0], ids=["a picture", "a photograph before a camera"])
def test_a_mouth_that_does_not_move_teaches_nothing(talking_video, speech, tmp_path, noise):
    """One picture of the face, over and over; with the noise of a camera, and coming a little nearer."""
    first, rng = list(VideoReader(talking_video))[20], np.random.default_rng(0)
    height, width = first.shape[:2]
    pictures = []
    for number in range(75):
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 0, 1 + 0.001 * number * bool(noise))
        picture = cv2.warpAffine(first, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        pictures.append(np.clip(picture + rng.normal(scale=noise, size=first.shape), 0, 255).astype(np.uint8))
    mux_audio(np.stack(pictures), speech, 16000, tmp_path / "still.mp4", fps=25)
    check = check_recording(tmp_path / "still.mp4", "bin blue at f two now")
    assert "still" in kinds(check) and not check.usable and check.movement < STILL
    [problem] = [problem for problem in check.problems if problem.kind == "still"]
    assert "does not move" in problem.message and "photograph" in problem.advice
    assert check_recording(talking_video, "bin blue").movement > 10 * STILL


def test_another_face_of_the_same_size_is_noted(talking_video, speech, tmp_path):
    pictures = np.stack(list(VideoReader(talking_video)))
    beside = np.concatenate([pictures, pictures[:, :, ::-1]], 2)
    mux_audio(beside, speech, 16000, tmp_path / "two.mp4", fps=25)
    check = check_recording(tmp_path / "two.mp4", "bin blue at f two now")
    assert "several_faces" in kinds(check) and check.usable
    assert "The larger one is followed." in next(p.advice for p in check.problems if p.kind == "several_faces")


def test_real_mouths_move_far_more_than_photographs(grid_dir):
    for name in ("s4/lriq4s", "s11/bbak9a", "s32/bbac2s"):  # those that move least, of 500
        [video] = (grid_dir / "video").glob(f"{name}.*")
        check = check_recording(video, "bin blue")
        assert check.movement > 7 * STILL and not {"still", "several_faces"} & set(kinds(check))


def test_a_transcript_that_is_too_long_for_the_recording(talking_video):
    assert kinds(check_recording(talking_video, "word " * 40)) == ["too_many_words"]


@pytest.mark.parametrize(
    ("start", "end", "text", "message"),
    [
        (5.0, 6.0, "bin", "Its times are from 5 to 6 s, but the video is over before."),
        (2.8, 4.0, "bin", "Its times are from 2.8 to 4 s, but the video ends at 3"),
        (2.4, 5.0, "bin blue at f two now", "Its times are from 2.4 to 5 s, but the video ends at 3"),
        (1.0, 4.0, "bin blue", "Its times are from 1 to 4 s, but the video ends at 3"),
        (1.0, 3.1, "bin blue", None),
    ],
)
def test_times_after_the_end_of_the_video_are_named(talking_video, start, end, text, message):
    """And no consequence of them; a recording of which enough is left can be used."""
    check = check_recording(VideoPart(talking_video, start, end), text)
    assert kinds(check) == ([] if message is None else ["times"])
    assert check.usable == (start == 1.0)
    assert message is None or check.problems[0].message.startswith(message)


def test_a_short_recording_is_warned_of(tmp_path):
    path = REPOSITORY / "src/lip2wav_hf/assets/sample.mp4"
    found = [check_recording(VideoPart(path, 0.4, 0.4 + seconds), "yes") for seconds in (0.4, 0.72, 0.8)]
    assert [kinds(check) for check in found] == [["too_short"], ["short"], []]
    assert [check.usable for check in found] == [False, True, True]


def test_quiet_and_clipped_speech_are_warned_of(talking_video, speech, tmp_path):
    quiet = check_recording(with_sound(talking_video, speech * 0.015, tmp_path / "quiet.mp4"), "bin blue")
    assert kinds(quiet) == ["quiet"]
    assert quiet.usable
    loud = check_recording(with_sound(talking_video, np.clip(speech * 8, -1, 1), tmp_path / "loud.mp4"), "bin blue")
    assert "clipped" in kinds(loud)
    few = speech * 0.9 / np.abs(speech).max()
    few[:20] = 1.0  # of 48,000
    _, problems = _check_sound(RecordingCheck("few.mp4"), few)
    assert [problem.message for problem in problems] == ["Its sound is too loud: 0.042 % of it is cut off."]


def test_silence_counts_as_no_sound(talking_video, speech, tmp_path):
    check = check_recording(with_sound(talking_video, np.zeros_like(speech), tmp_path / "mute.mp4"), "bin blue")
    assert not check.has_sound
    assert check.usable


def test_late_sound_is_found(talking_video, speech, tmp_path):
    late = np.concatenate([np.zeros(1600, np.float32), speech[:-1600]])
    check = check_recording(with_sound(talking_video, late, tmp_path / "late.mp4"), "bin blue at f two now")
    assert check.sync_note == ""
    assert check.sync_offset == pytest.approx(0.1, abs=0.04)
    assert "out_of_sync" in kinds(check)


def test_the_level_of_speech_does_not_depend_on_pauses():
    tone = 0.1 * np.sin(np.arange(16000) * 0.3)
    alone, with_pause = speech_level(tone), speech_level(np.concatenate([tone, np.zeros(48000)]))
    assert alone == pytest.approx(-23.0, abs=0.1)
    assert with_pause == pytest.approx(alone, abs=0.5)
    assert speech_level(np.zeros(16000)) < QUIET


def test_a_word_that_looks_like_a_typing_error_is_asked_about(tmp_path):
    texts = ["good morning", "good mornign", "good morning", "good night", "well", "tell"]
    clips = [
        Clip("me", f"{number}", tmp_path / "absent.mp4", tuple(text.split())) for number, text in enumerate(texts)
    ]
    found = {}
    assert (
        examine_clips(clips, Lip2WavFeatureExtractor(), lambda number, clip, each: found.update({number: each})) == 6
    )
    doubted = {number: each.check.problems[-1] for number, each in found.items() if "spelling" in kinds(each.check)}
    assert list(doubted) == [1]
    assert "'mornign' is in no other transcript, but 'morning' is" in str(doubted[1])
    assert not doubted[1].fatal


GRID = tuple(
    "bin lay place set blue green red white at by in with zero one two three four five six seven eight nine again now"
    " please soon".split()
)
CREMA_D = tuple(
    dict.fromkeys(
        "it's eleven o'clock that is exactly what happened i'm on my way to the meeting i wonder what this is about"
        " the airplane is almost full maybe tomorrow it will be cold i would like a new alarm clock i think i have a"
        " doctor's appointment don't forget a jacket i think i've seen this before the surface is slick we'll stop in"
        " a couple of minutes".split()
    )
)
NUMBERS = ("1234", "1243", "10000", "1000", "2001", "2010")


def doubted(rare, often=(), known=()):
    """The words that each of some is taken for a typing error of, or `None`; others are written twice."""
    clips = [Clip("me", f"{number}", None, (word,)) for number, word in enumerate([*rare, *often, *often])]
    found = _doubtful_words(clips, known)
    return {word: found[word].message for word in rare if word in found}


@pytest.mark.parametrize(
    ("word", "other"),
    [("bleu", "blue"), ("gren", "green"), ("greeen", "green"), ("soom", None), ("palce", "place"), ("on", None)],
)
def test_short_words_with_one_slip_are_asked_about(word, other):
    said = {} if other is None else {word: f"Its word {word!r} is in no other transcript, but {other!r} is."}
    assert doubted([word], GRID) == said
    knows = f"Its word {word!r} is in no other transcript, and the starting model knows {other!r}."
    assert doubted([word], known=GRID) == ({} if other is None else {word: knows})
    assert doubted([word], GRID, [word]) == doubted([], [word], GRID) == {}  # known, or written more often


def test_right_words_are_not_taken_for_typing_errors_of_others():
    for words, others in ((GRID, CREMA_D), (CREMA_D, GRID), (GRID, NUMBERS), (NUMBERS, GRID)):
        both = [*words, *others]
        assert doubted(words, known=others) == doubted(words, others) == {}
        for word in both:
            rest = [other for other in both if other != word]
            assert doubted([word], rest) == doubted([word], known=rest) == {}, word


def test_no_more_are_looked_at_when_it_is_enough(tmp_path):
    clips = [Clip("me", f"{number}", tmp_path / "absent.mp4", ("yes",)) for number in range(5)]
    seen = []
    examine = (clips, Lip2WavFeatureExtractor(), lambda number, clip, each: seen.append(number))
    assert examine_clips(*examine, lambda: len(seen) == 2) == 2
    assert seen == [0, 1]
