"""Two people in one folder: how their voices are told apart, and what becomes of that."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lip2wav_hf import Lip2WavFeatureExtractor, adapt
from lip2wav_hf.adaptation import people, running, scoring
from lip2wav_hf.adaptation.card import Facts, _content
from lip2wav_hf.adaptation.checking import Examined
from lip2wav_hf.adaptation.inputs import RECORD
from lip2wav_hf.adaptation.people import compare_voices, find_other_voice
from lip2wav_hf.adaptation.preparing import Recordings
from lip2wav_hf.adaptation.records import Adaptation, RecordingCheck
from lip2wav_hf.adaptation.running import read_record
from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.grid.corpus import sentence_words
from lip2wav_hf.metrics.speaker_similarity import score
from lip2wav_hf.synthetic.voice import synthesize_speech

from .conftest import SENTENCES


RATE = 16000


def voice(similarity, axis=1):
    """An embedding so similar to the first axis; the rest of it along another."""
    vector = np.zeros(4, np.float32)
    vector[0], vector[axis] = similarity, np.sqrt(1 - similarity**2)
    return vector


FIRST, OTHER = voice(1.0), voice(0.6)


@pytest.mark.parametrize(
    ("voices", "found"),
    [
        ([FIRST] * 8 + [OTHER] * 2, [8, 9]),
        ([OTHER] * 2 + [FIRST] * 3, [0, 1]),
        ([FIRST, OTHER, OTHER, FIRST], [1, 2]),  # of equal groups, that without the first recording
        ([OTHER, FIRST, FIRST, OTHER], [1, 2]),
        ([FIRST] * 4 + [voice(0.619)] * 2, [4, 5]),
        ([FIRST] * 4 + [voice(0.621)] * 2, []),  # too like each other
        ([FIRST] * 9 + [OTHER], []),  # one alone
        ([FIRST] * 4 + [voice(0.6, 1), voice(0.6, 2)], []),  # two that have nothing in common but not to be the first
        ([FIRST, OTHER, OTHER], []),
        ([FIRST] * 20, []),
        ([], []),
    ],
)
def test_two_groups_that_do_not_sound_alike(voices, found):
    assert find_other_voice(np.array(voices)).tolist() == found


def test_the_smaller_group_has_to_be_closer_to_itself_by_a_tenth():
    """0.6 across, and 0.36 + 0.64 c within, where c is the cosine of what the two do not share with the others."""
    for within, found in ((0.69, []), (0.71, [4, 5])):
        cosine = (within - 0.36) / 0.64
        second = np.array([0.6, 0.8 * cosine, 0.8 * np.sqrt(1 - cosine**2), 0], np.float32)
        assert find_other_voice(np.array([FIRST] * 4 + [OTHER, second])).tolist() == found


def test_many_recordings_need_few_starts():
    voices = np.array([FIRST] * 500)
    voices[[7, 213, 480]] = OTHER
    assert find_other_voice(voices).tolist() == [7, 213, 480]


def recorded(folder, sounds, speakers=None):
    """Recordings of these waveforms, `None` for one without sound, under one name or several."""
    found = Recordings.empty(folder, Lip2WavFeatureExtractor(), RATE)
    for number, sound in enumerate(sounds):
        speaker = speakers[number] if speakers else "me"
        clip = Clip(speaker, str(number), folder / f"{number}.mp4", ("yes", "yes"))
        check = RecordingCheck(f"{number}.mp4", has_sound=sound is not None)
        assert found.add(clip, Examined(check, np.zeros((75, 48, 72), np.uint8), sound)) is None
    return found


@pytest.fixture
def told_apart(monkeypatch):
    """Waveforms that begin with a positive sample are of the first voice, others of another one."""
    monkeypatch.setattr(people, "check_packages", lambda names: None)
    monkeypatch.setattr(score, "speaker_embedding", lambda sound: FIRST if sound[0] > 0 else OTHER)


def sounds(*signs):
    return [None if sign is None else np.full(3 * RATE, 0.1 * sign, np.float32) for sign in signs]


def test_the_note_counts_and_names_the_smaller_group(tmp_path, told_apart):
    other, note = compare_voices(recorded(tmp_path, sounds(1, 1, -1, 1, None, -1)))
    assert other == (str(tmp_path / "2.mp4"), str(tmp_path / "5.mp4"))
    assert "2 of 5 do not sound like the other 3: 2.mp4, 5.mp4. If so, put each person's into a folder" in note
    _, note = compare_voices(recorded(tmp_path, sounds(*[1] * 8, *[-1] * 7)))
    assert "7 of 15 do not sound like the other 8: 10.mp4, 11.mp4, 12.mp4, 13.mp4, 14.mp4 and 2 more. If" in note


@pytest.mark.parametrize(
    ("signs", "speakers"),
    [
        ((1, 1, 1, 1, 1), None),
        ((1, 1, 1, -1), None),
        ((1, -1, -1, None), None),  # three with sound
        ((1, 1, -1, -1), ("me", "me", "you", "you")),  # that is known
    ],
)
def test_where_there_is_nothing_to_say(tmp_path, told_apart, signs, speakers):
    assert compare_voices(recorded(tmp_path, sounds(*signs), speakers)) == ((), "")


def test_where_there_is_no_time_nobody_listens(tmp_path, told_apart):
    assert compare_voices(recorded(tmp_path, sounds(1, 1, -1, -1)), lambda: True) == ((), "")


def test_without_resemblyzer_nobody_listens(tmp_path, told_apart, monkeypatch):
    monkeypatch.undo()
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "resemblyzer" else find_spec(name))
    monkeypatch.setattr(score, "speaker_embedding", None)
    assert compare_voices(recorded(tmp_path, sounds(1, 1, -1, -1))) == ((), "")


def test_two_synthetic_voices_are_told_apart(tmp_path):
    if importlib.util.find_spec("resemblyzer") is None:
        pytest.skip("the extra `evaluate` is not installed")
    said = [(name, "synthetic3") for name in SENTENCES[:3]] + [(name, "synthetic4") for name in SENTENCES[:2]]
    waveforms = [synthesize_speech(sentence_words(name), speaker).waveform for name, speaker in said]
    other, _ = compare_voices(recorded(tmp_path, waveforms))
    assert [Path(name).name for name in other] == ["3.mp4", "4.mp4"]
    assert compare_voices(recorded(tmp_path, [*waveforms[:3], waveforms[0]])) == ((), "")


@pytest.mark.usefixtures("examined_once")
def test_an_adaptation_says_so_in_time_in_its_record_and_in_its_card(
    recordings, starting_model, tmp_path, told_apart, monkeypatch
):
    embeddings = iter([FIRST, OTHER, FIRST, OTHER, FIRST])
    monkeypatch.setattr(score, "speaker_embedding", lambda sound: next(embeddings))
    monkeypatch.setattr(running, "compare_voices", compare_voices)
    monkeypatch.setattr(scoring, "available_metrics", lambda: ([], "not asked for"))
    reports = []
    result = adapt(recordings, tmp_path / "out", model=starting_model, steps=1, final_pass=0, progress=reports.append)
    [note] = [note for note in result.notes if "two people" in note]
    assert note in [report.message for report in reports if report.stage == "checking"]
    assert len(result.other_voice) == 2 and set(result.other_voice) <= {check.file for check in result.checks}
    assert replace(read_record(result.model), checks=result.checks) == result
    card = (result.model / "README.md").read_text(encoding="utf-8")
    assert "recordings of perhaps two people" in card and "one person" not in card.lower()
    record = json.loads((result.model / RECORD).read_text())
    for name in ("other_voice", "people", "given_voice"):  # of an earlier version
        del record[name]
    (result.model / RECORD).write_text(json.dumps(record))
    assert read_record(result.model).other_voice == ()


@pytest.mark.parametrize(
    ("found", "said"),
    [({}, "one person"), ({"people": 3}, "3 people"), ({"other_voice": ("a.mp4",)}, "perhaps two people")],
)
def test_the_card_says_of_how_many_people_the_recordings_are(tmp_path, found, said):
    result = Adaptation(tmp_path, None, None, (), 1, 1.0, clips=4, **found)
    content = _content(Facts("mine", "grid-s1", result, 12.0, 0, []))
    assert content["data"].startswith(f"4 recordings of {said}; ")
    assert f"made of recordings of {said}, " in content["limits"][0]
    assert ("one person" in json.dumps(content).lower()) == (said == "one person")
    assert ("person recorded" in content["license_name"]) == (said == "one person")


def test_the_card_names_recordings_held_back_only_where_there_are_some(tmp_path):
    result = Adaptation(tmp_path, None, None, (), 1, 1.0, clips=4)
    assert _content(Facts("mine", "grid-s1", result, 12.0, 0, []))["data"] == "4 recordings of one person; 12 s."
    result = replace(result, held_out=("a.mp4",))
    said = _content(Facts("mine", "grid-s1", result, 12.0, 0, []))["data"]
    assert said == "4 recordings of one person; with those held back 12 s."


@pytest.mark.parametrize(
    ("given", "silent", "said"),
    [
        (3, 0, "one like that of 3 sound files, given with `--voice`"),
        (1, 4, "one like that of 1 sound file, given with `--voice`"),
        (0, 4, "that of `grid-s1`"),
        (0, 3, ""),
    ],
)
@pytest.mark.parametrize("people", [1, 2])
def test_the_card_says_whose_voice_it_is_not(tmp_path, given, silent, said, people):
    result = Adaptation(tmp_path, None, None, (), 1, 1.0, clips=4, people=people, given_voice=given)
    content = _content(Facts("mine", "grid-s1", result, 12.0, silent, []))
    recorded = "the person recorded" if people == 1 else "the people recorded"
    consent, *voice = content["limits"]
    assert content.get("voice", "") == said and (f" Its voice is {said}." in content["summary"]) == bool(said)
    assert ("voice" in consent.lower()) == (not said)
    assert [recorded in limit for limit in voice] == [True] * bool(said)
    assert ("perhaps of somebody else, who must have agreed" in str(voice)) == bool(given)
    assert ("sound file" in content["data"]) == ("sound files" in content["license_name"]) == bool(given)
