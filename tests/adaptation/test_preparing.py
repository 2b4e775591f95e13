"""From recordings that were looked at to cached clips."""

from dataclasses import replace

import numpy as np
import pytest

from lip2wav_hf import Lip2WavFeatureExtractor, read_audio
from lip2wav_hf.adaptation.checking import Examined
from lip2wav_hf.adaptation.preparing import Recordings, single_word
from lip2wav_hf.adaptation.records import RecordingCheck
from lip2wav_hf.adaptation.starting import load_starting_model
from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.corpora.registry import load_split
from lip2wav_hf.grammar import TextUnits
from lip2wav_hf.models import DEFAULT_MODEL, find_model
from lip2wav_hf.training.cache import read_cached_clip, write_cached_clip
from lip2wav_hf.training.networks import load_speech_encoder


RATE = 16000


def tone(start, end, seconds):
    sound = np.random.default_rng(0).normal(0, 0.001, int(seconds * RATE)).astype(np.float32)
    sound[int(start * RATE) : int(end * RATE)] += 0.2 * np.sin(np.arange(int(end * RATE) - int(start * RATE)) * 0.3)
    return sound


def recordings(folder, *offsets):
    """As many recordings of 25 frames as offsets: each a word between 0.3 and 0.7 s."""
    found = Recordings.empty(folder, Lip2WavFeatureExtractor(), RATE)
    for number, offset in enumerate(offsets):
        check = RecordingCheck(f"{number}.mp4", has_sound=offset != "silent")
        if check.has_sound:
            check = RecordingCheck(f"{number}.mp4", has_sound=True, sync_offset=offset)
        clip = Clip("me", str(number), folder / f"{number}.mp4", ("yes",))
        assert found.add(clip, Examined(check, np.zeros((25, 48, 72), np.uint8), tone(0.3, 0.7, 1.2))) is None
    return found


def test_a_single_word_is_where_it_is_loud():
    start, end, word = single_word(tone(0.5, 0.9, 1.5), "yes")
    assert (start, end) == (pytest.approx(0.5, abs=0.06), pytest.approx(0.9, abs=0.06))
    assert word == "yes"
    assert single_word(np.zeros(RATE, np.float32), "yes")[:2] == (0.0, 1.0)


def test_a_recording_is_cached_with_its_word(tmp_path):
    found = recordings(tmp_path, None)
    cached = read_cached_clip(found.files["me/0"])
    assert cached.waveform.shape == (RATE,)
    assert np.flatnonzero(cached.frame_words == 0)[[0, -1]].tolist() == pytest.approx([7, 17], abs=2)


def test_examples_say_when_their_words_are_said(tmp_path):
    """Where nobody knows when, words share the time with sound by their letters; without sound, all of it."""
    found = recordings(tmp_path, *[None] * 12, "silent")
    sentence = replace(found.clips[1], words=("no", "indeed"), times=None)
    write_cached_clip(
        found.files["me/1"], replace(read_cached_clip(found.files["me/1"]), frame_words=np.full(25, -2, np.int8))
    )
    units = TextUnits("words", ("indeed", "no", "yes"))
    one, two, silent = found.examples([found.clips[0], sentence, found.clips[-1]], units, {"yes", "no"})
    assert one[0].shape == (25, 40, 64) and np.flatnonzero(one[1] == 3)[[0, -1]].tolist() == pytest.approx(
        [7, 17], abs=2
    )
    assert [int((two[1] == place).sum()) for place in (2, 1)] == pytest.approx([3, 8], abs=1)
    assert two[1].max() == 2 and np.flatnonzero(two[1])[0] == pytest.approx(6, abs=2)
    assert (silent[1] == 3).all()
    assert len(list(found.examples(found.clips, units, {"yes"}))) == 10
    assert not list(found.examples(found.clips, units, {"no"}))


def test_sounds_that_are_all_late_are_moved_together(tmp_path):
    late = recordings(tmp_path / "late", 0.11, 0.12, 0.13, None)
    assert late.prepared(late.clips).sound_offsets == {f"me/{number}": 0.12 for number in range(4)}
    for offsets in ((0.11, 0.12), (0.01, 0.02, 0.03), (0.2, -0.2, 0.01)):
        some = recordings(tmp_path / str(offsets), *offsets)
        assert some.prepared(some.clips).sound_offsets == {}


def test_recordings_without_sound_are_told_apart(tmp_path):
    found = recordings(tmp_path, None, "silent")
    assert found.prepared(found.clips).silent == {"me/1"}
    assert found.prepared(found.clips[:1]).silent == frozenset()


def test_words_are_found_by_the_speech_encoder_and_others_are_left(grid_dir, tmp_path):
    found = Recordings.empty(tmp_path, Lip2WavFeatureExtractor(), RATE)
    [spoken, untold, _] = load_split(grid_dir, "validation", ["s1"])[:3]
    bare = [replace(spoken, times=None), replace(untold, times=None, words=("never", "heard"))]
    for clip in bare:
        waveform = read_audio(str(clip.video))
        regions = np.zeros((len(waveform) // 640, 48, 72), np.uint8)
        found.add(clip, Examined(RecordingCheck(str(clip.video), has_sound=True), regions, waveform))
    assert found.align(load_speech_encoder(DEFAULT_MODEL)) == 1
    starts = [start for start, _, _ in found.clips[0].times]
    assert starts == pytest.approx([start for start, _, _ in spoken.timed_words()], abs=0.12)
    assert set(read_cached_clip(found.files[spoken.key]).frame_words) == {-1, 0, 1, 2, 3, 4, 5}
    assert set(read_cached_clip(found.files[untold.key]).frame_words) == {-2}


def test_a_transcript_of_something_else_is_doubted(grid_dir, tmp_path):
    found = Recordings.empty(tmp_path, Lip2WavFeatureExtractor(), RATE)
    [spoken] = load_split(grid_dir, "validation", ["s1"])[:1]
    wrong = replace(spoken, times=None, words=tuple("lay white by x nine soon".split()), name="wrong")
    assert not set(wrong.words) & set(spoken.words)
    waveform = read_audio(str(spoken.video))
    regions = np.zeros((len(waveform) // 640, 48, 72), np.uint8)
    for clip in (replace(spoken, times=None), wrong):
        found.add(clip, Examined(RecordingCheck(str(clip.video), has_sound=True), regions, waveform))
    assert found.align(load_speech_encoder(DEFAULT_MODEL)) == 1
    assert [clip.name for clip in found.doubtful] == ["wrong"]


def test_words_without_sound_are_found_on_the_lips(grid_dir, tmp_path):
    extractor = Lip2WavFeatureExtractor()
    found = Recordings.empty(tmp_path, extractor, RATE)
    [spoken, untold] = load_split(grid_dir, "validation", ["s1"])[:2]
    for clip in (replace(spoken, times=None), replace(untold, times=None, words=("never", "mouthed"))):
        regions = extractor.extract(str(clip.video)).regions
        found.add(clip, Examined(RecordingCheck(str(clip.video), has_sound=False), regions))
    assert found.align_lips(load_starting_model(find_model(DEFAULT_MODEL))) == 1
    starts = [start for start, _, _ in found.clips[0].times]
    assert starts == pytest.approx([start for start, _, _ in spoken.timed_words()], abs=0.12)
    assert set(read_cached_clip(found.files[spoken.key]).frame_words) == {-1, 0, 1, 2, 3, 4, 5}
    assert set(read_cached_clip(found.files[untold.key]).frame_words) == {-2}
