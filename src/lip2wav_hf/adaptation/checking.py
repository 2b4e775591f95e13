"""Whether a recording can be learnt from: its face, light, sound, level, sync and length."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..audio import read_audio
from ..corpora.clips import Clip, late_end
from ..corpora.columns import shown
from ..errors import PartError, one_line
from ..face_tracking import FaceTrackingError
from ..feature_extraction_lip2wav import Lip2WavFeatureExtractor, MouthRegions
from ..grammar import TextNormalizer
from ..metrics.synchrony import MIN_CONFIDENCE, MIN_FRAMES, find_sound_offset
from ..speaking import other_face
from ..video import VideoError, VideoInput, VideoPart
from .level import INAUDIBLE, SAMPLING_RATE, speech_level
from .movement import mouth_movement
from .records import Problem, RecordingCheck


# All limits are our choices.
MINIMUM_SECONDS = 0.48  # 12 frames: a short word with its closing and opening of the lips
SHORT_SECONDS = 0.8  # below, hardly anything is left before and after the word
MAXIMUM_SECONDS = 30.0  # a training step takes whole recordings, and their times in words grow unsure
FEW_FACES, NO_FACES = 0.9, 0.5  # shares of the frames
STILL = 0.03  # `mouth_movement`: 0.27 and more in sentences, 0.06 in words cut out of them, 0.007 in photographs
DARK, BRIGHT = 35.0, 225.0  # gray levels
QUIET = -42.0  # dBFS
FULL_SCALE = 0.985
SOME_CLIPPED, MUCH_CLIPPED = 2e-4, 0.02  # shares of the samples
LATE_SECONDS = 0.06  # a frame and a half: beyond what GRID has
WORDS_PER_SECOND = 8.0  # nobody speaks that fast
SHORTEST_CHECKED = 4  # letters of words that may be typing errors, of which letters are exchanged or doubled
SHORTEST_ALIKE, ALIKE = 5, 0.8  # letters, and likeness as `difflib` has it, of those with others


@dataclass(frozen=True)
class Examined:
    """
    A recording that was looked at, and what was decoded from it.

    Attributes:
        check ([`RecordingCheck`]): what was found.
        regions (`np.ndarray` of shape `(frames, roi_height, roi_width)`, *optional*): uint8 mouth regions; `None`
            where there is no face.
        waveform (`np.ndarray` of shape `(samples,)`, *optional*): its sound at 16 kHz, full scale 1; `None` without.
    """

    check: RecordingCheck
    regions: np.ndarray | None = None
    waveform: np.ndarray | None = None


def check_recording(file: VideoInput | VideoPart, transcript: str | None = None) -> RecordingCheck:
    """
    Look whether a model can learn from a recording.

    Problems have one of these kinds: `unreadable`, `times`, `no_face`, `face_lost`, `several_faces`, `still`, `dark`,
    `bright`, `too_short`, `short`, `too_long`, `no_transcript`, `too_many_words`, `quiet`, `clipped`, `out_of_sync`;
    among other recordings `spelling` too. A recording without sound has no problem: the lips alone can be learnt from;
    see [`RecordingCheck.has_sound`].

    Args:
        file (`str`, `os.PathLike`, `bytes`, binary file object or [`VideoPart`]): as for `VideoReader`.
        transcript (`str`, *optional*): what is said in it.

    Returns:
        [`RecordingCheck`]: always; a file that cannot be read is a problem too.
    """
    return examine(file, transcript).check


def examine(
    file: VideoInput | VideoPart,
    transcript: str | None,
    extractor: Lip2WavFeatureExtractor | None = None,
    name: str | None = None,
) -> Examined:
    """
    As [`check_recording`], with what was decoded.

    Args:
        file: as for [`check_recording`].
        transcript (`str`, *optional*): what is said in it.
        extractor ([`Lip2WavFeatureExtractor`], *optional*): of the model; the default one if not given.
        name (`str`, *optional*): what to call it; its path by default.
    """
    extractor = extractor or Lip2WavFeatureExtractor()
    check = RecordingCheck(name or _name(file), transcript=transcript)
    problems = _transcript_problems(transcript)
    try:
        waveform = read_audio(file, SAMPLING_RATE)
        found, several = _regions(extractor, file)
    except FaceTrackingError:
        problem = Problem(
            "no_face", "No face was found in it.", "Record again with the face in the middle, lit from the front."
        )
        return Examined(replace(check, problems=(*problems, problem), face_coverage=0.0))
    except PartError:
        return Examined(replace(check, problems=(*problems, *_time_problems(file, 0.0, True))))
    except (VideoError, OSError) as error:
        return Examined(replace(check, problems=(*problems, _unreadable(error, check.file, _name(file)))))
    seconds = len(found.regions) / extractor.frame_rate
    check = replace(
        check,
        seconds=seconds,
        face_coverage=found.face_coverage,
        light=float(found.regions.mean(dtype=np.float64)),
        movement=mouth_movement(found.regions, extractor.frame_rate),
    )
    length = _length_problems(seconds, transcript)
    late = _time_problems(file, seconds, any(problem.fatal for problem in length))
    problems += (late or length) + _picture_problems(check, several)
    check, more = _check_sound(check, waveform)
    problems += more
    if check.has_sound and waveform is not None:
        check, more = _check_sync(check, found.regions, waveform, extractor)
        problems += more
    return Examined(replace(check, problems=tuple(problems)), found.regions, waveform)


def _regions(extractor: Lip2WavFeatureExtractor, file: VideoInput | VideoPart) -> tuple[MouthRegions, bool]:
    """The mouth regions, and whether another face of half the area and more was there most of the time."""
    with contextlib.closing(extractor.stream(file)) as stream:
        regions = np.stack(list(stream))
        return MouthRegions(regions, stream.face_coverage, stream.name), other_face(stream)


def _name(file: Any) -> str:
    if isinstance(file, VideoPart):
        return _name(file.video)
    if isinstance(file, (str, os.PathLike)):
        return os.fspath(file)
    return str(getattr(file, "name", None) or "the recording")


def _transcript_problems(transcript: str | None) -> list[Problem]:
    if transcript is not None and TextNormalizer()(transcript).words:
        return []
    said = (transcript or "").strip()
    message = f"Its transcript {shown(said)} has no words." if said else "Nobody wrote down what is said in it."
    where = "into the column transcription of metadata.csv, or into a .txt file of the same name."
    return [Problem("no_transcript", message, f"Write {'what is said' if said else 'it'} {where}")]


def _unreadable(error: Exception, *names: str) -> Problem:
    """What an error says of a recording, without the name of the recording, and what it says to do."""
    text = one_line(error)
    for name in names:
        text = text.removeprefix(f"{name}: ")
    text = re.sub(r"^video of \d+ bytes: ", "", text)
    what, *advice = re.split(r"\. (?=[A-Z])", text.rstrip("."), maxsplit=1)
    return Problem("unreadable", f"It cannot be read: {what}.", f"{advice[0]}." if advice else "Record it again.")


def _time_problems(file: Any, seconds: float, fatal: bool) -> list[Problem]:
    """Of a part of a video that ends before it, so that there are only so many seconds, perhaps too few."""
    late = late_end(file.start, file.end, seconds) if isinstance(file, VideoPart) else None
    if late is None:
        return []
    advice = "Correct them in its transcript, or in metadata.csv."
    return [Problem("times", late[0].upper() + late[1:], advice, fatal=fatal)]


def _length_problems(seconds: float, transcript: str | None) -> list[Problem]:
    words = len(TextNormalizer()(transcript or "").words)
    if seconds < MINIMUM_SECONDS:
        return [
            Problem(
                "too_short",
                f"It is {seconds:.2f} s long; {MINIMUM_SECONDS} s are needed.",
                "Begin to record a moment before you speak, and stop a moment after.",
            )
        ]
    if seconds > MAXIMUM_SECONDS:
        return [
            Problem(
                "too_long",
                f"It is {seconds:.0f} s long; {MAXIMUM_SECONDS:.0f} s are the most.",
                "Cut it into sentences, or name start and end of each in metadata.csv.",
            )
        ]
    if words > WORDS_PER_SECOND * seconds:
        return [
            Problem(
                "too_many_words",
                f"Its transcript has {words} words, too many for {seconds:.1f} s.",
                "Write down what is really said in it.",
            )
        ]
    if seconds < SHORT_SECONDS:
        return [
            Problem(
                "short",
                f"It is only {seconds:.2f} s long.",
                "Begin to record a moment before you speak, and stop a moment after.",
                fatal=False,
            )
        ]
    return []


def _picture_problems(check: RecordingCheck, several: bool) -> list[Problem]:
    problems, coverage, light = [], check.face_coverage or 0.0, check.light or 0.0
    if coverage < FEW_FACES:
        problems.append(
            Problem(
                "face_lost",
                f"The face was found in only {coverage:.0%} of its pictures.",
                "Look towards the camera, and keep the whole face in the picture.",
                fatal=coverage < NO_FACES,
            )
        )
    if several:
        advice = "The larger one is followed. Be alone in the picture, or let others be farther away."
        problems.append(Problem("several_faces", "Another face in it is about as large.", advice, fatal=False))
    if coverage >= NO_FACES and check.movement is not None and check.movement < STILL:
        advice = "Record somebody who speaks; a photograph teaches nothing."
        problems.append(Problem("still", "Its mouth does not move.", advice))
    if light < DARK:
        problems.append(Problem("dark", "The mouth is dark.", "Put a lamp in front of you.", fatal=False))
    if light > BRIGHT:
        problems.append(Problem("bright", "The mouth is overexposed.", "Take away some light.", fatal=False))
    return problems


def _check_sound(check: RecordingCheck, waveform: np.ndarray | None) -> tuple[RecordingCheck, list[Problem]]:
    if waveform is None or not len(waveform):
        return check, []
    level, clipped = speech_level(waveform), float((np.abs(waveform) >= FULL_SCALE).mean())
    if level < INAUDIBLE:
        return replace(check, level=level if np.isfinite(level) else None, clipped=clipped), []
    problems = []
    if level < QUIET:
        problems.append(
            Problem(
                "quiet",
                f"Its speech is quiet ({level:.0f} dBFS).",
                "Come nearer to the microphone, or raise its level.",
                fatal=False,
            )
        )
    if clipped > SOME_CLIPPED:
        problems.append(
            Problem(
                "clipped",
                f"Its sound is too loud: {100 * clipped:.2g} % of it is cut off.",
                "Lower the level of the microphone, or go farther away.",
                fatal=clipped > MUCH_CLIPPED,
            )
        )
    return replace(check, has_sound=True, level=level, clipped=clipped), problems


def _check_sync(
    check: RecordingCheck, regions: np.ndarray, waveform: np.ndarray, extractor: Lip2WavFeatureExtractor
) -> tuple[RecordingCheck, list[Problem]]:
    frames = min(len(regions), int(len(waveform) / SAMPLING_RATE * extractor.frame_rate))
    if frames < MIN_FRAMES:
        note = f"Sound and lips cannot be compared: {MIN_FRAMES} frames of both are needed, it has {frames}."
        return replace(check, sync_note=note), []
    if extractor.frame_rate != 25 or regions.shape[1:] != (48, 72):
        return replace(check, sync_note="Sound and lips cannot be compared in pictures of this kind."), []
    offset, confidence = find_sound_offset(regions, waveform)
    if confidence < MIN_CONFIDENCE:
        note = "No offset between sound and lips stands out."
        return replace(check, sync_confidence=confidence, sync_note=note), []
    check = replace(check, sync_offset=offset, sync_confidence=confidence)
    if abs(offset) < LATE_SECONDS:
        return check, []
    direction = "late" if offset > 0 else "early"
    return check, [
        Problem(
            "out_of_sync",
            f"Its sound seems to be {abs(offset) * 1000:.0f} ms {direction}.",
            "Use a microphone with a cable; if all recordings are alike, they are put right.",
            fatal=False,
        )
    ]


def examine_clips(
    clips: Sequence[Clip],
    extractor: Lip2WavFeatureExtractor,
    on_each: Callable[[int, Clip, Examined], None],
    enough: Callable[[], bool] = lambda: False,
    known: Collection[str] = (),
) -> int:
    """
    Look at the clips of a corpus, one after the other, in this process.

    Args:
        clips (sequence of [`Clip`]): the clips.
        extractor ([`Lip2WavFeatureExtractor`]): of the model.
        on_each (`Callable`): called with the number of each, counted from 0, the clip, and what was found.
        enough (`Callable`, *optional*): asked before each whether to look at no more.
        known (collection of `str`, *optional*): words that the starting model knows, of which others may be typing
            errors.

    Returns:
        `int`: how many were looked at.
    """
    doubtful = _doubtful_words(clips, known)
    for number, clip in enumerate(clips):
        if enough():
            return number
        text = clip.text if clip.text is not None else " ".join(clip.words or ()) or None
        try:
            source = clip.source
        except ValueError as error:  # an archive or a table that cannot be read
            problem = _unreadable(error, str(clip.video))
            on_each(number, clip, Examined(RecordingCheck(str(clip.video), (problem,), text)))
            continue
        found = examine(source, text, extractor, recording_name(clip))
        problems = [doubtful[word] for word in clip.words or () if word in doubtful]
        check = replace(found.check, problems=(*found.check.problems, *problems))
        on_each(number, clip, replace(found, check=check))
    return len(clips)


def recording_name(clip: Clip) -> str:
    """What to call the recording of a clip: its file, and where in it a part begins."""
    return str(clip.video) + (f"@{clip.start:.2f}" if clip.is_part else "")


def _doubtful_words(clips: Sequence[Clip], known: Collection[str] = ()) -> dict[str, Problem]:
    """
    Of words that are written once and are new to the starting model, those that look like one that is written more
    often, or that the model knows. In words of the model, only letters that are exchanged or doubled count: "seen" is
    no error of "seven".
    """
    counts = Counter(word for clip in clips for word in clip.words or ())
    often, familiar = [word for word, count in counts.items() if count > 1], sorted(known)
    long = [word for word in often if len(word) >= SHORTEST_ALIKE]
    found = {}
    for word, count in counts.items():
        if count > 1 or word in known or len(word) < SHORTEST_CHECKED or any(map(str.isdigit, word)):
            continue
        near = [other for other in long if abs(len(other) - len(word)) < 2] if len(word) >= SHORTEST_ALIKE else []
        alike = difflib.get_close_matches(word, near, 1, ALIKE)
        others = [*alike, *(other for other in (*often, *familiar) if _is_slip(word, other))]
        if others:
            found[word] = _typing_error(word, others[0], others[0] in counts)
    return found


def _is_slip(word: str, other: str) -> bool:
    """Whether two neighbouring letters of the other word are exchanged, or one is doubled or lacks its double."""
    if min(len(word), len(other)) < SHORTEST_CHECKED:
        return False
    if len(word) == len(other):
        places = [place for place, (first, second) in enumerate(zip(word, other, strict=True)) if first != second]
        return len(places) == 2 and places[1] == places[0] + 1 and sorted(word) == sorted(other)
    short, long = sorted((word, other), key=len)
    doubled = (place for place in range(1, len(long)) if long[place] == long[place - 1])
    return any(long[:place] + long[place + 1 :] == short for place in doubled)


def _typing_error(word: str, other: str, is_written: bool) -> Problem:
    there = f"but {other!r} is" if is_written else f"and the starting model knows {other!r}"
    return Problem(
        "spelling",
        f"Its word {word!r} is in no other transcript, {there}.",
        "Correct it, if it is a typing error.",
        fatal=False,
    )


__all__ = ["Examined", "check_recording", "examine", "examine_clips", "recording_name"]
