"""Speech in another voice."""

import numpy as np
import pytest

from lip2wav_hf import write_audio
from lip2wav_hf.adaptation.inputs import voice_files
from lip2wav_hf.adaptation.records import AdaptationError
from lip2wav_hf.adaptation.voice import Voice, convert, find_pitches, formant_ratio, read_voice


RATE = 16000


def vowel(pitch, formants=(700, 1200, 2600), seconds=2.0):
    """Harmonics of a pitch under an envelope with these formants."""
    time = np.arange(int(seconds * RATE)) / RATE
    frequencies = pitch * np.arange(1, int(7000 / pitch))
    gains = sum(np.exp(-(((frequencies - formant) / 150) ** 2)) for formant in formants) + 0.01
    return 0.1 * (gains[:, None] * np.sin(2 * np.pi * frequencies[:, None] * time)).sum(0).astype(np.float32)


@pytest.mark.parametrize("pitch", [85, 120, 210, 320])
def test_pitch_is_found_in_voiced_sound_and_in_no_other(pitch):
    assert np.median(find_pitches(vowel(pitch))) == pytest.approx(pitch, rel=0.02)
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    assert len(find_pitches(noise)) < 5
    assert len(find_pitches(np.zeros(RATE))) == len(find_pitches(np.zeros(10))) == 0


@pytest.mark.parametrize(("own", "wanted"), [(110, 210), (210, 110), (120, 120)])
def test_speech_gets_the_pitch_of_the_voice(own, wanted):
    speech = vowel(own)
    moved = convert(speech, Voice.of([speech]), Voice.of([vowel(wanted)]))
    assert np.median(find_pitches(moved)) == pytest.approx(wanted, rel=0.03)
    assert moved.shape == speech.shape
    assert np.sqrt(np.square(moved).mean()) == pytest.approx(np.sqrt(np.square(speech).mean()), rel=0.1)


def test_the_voice_it_has_changes_speech_little():
    speech = vowel(120)
    voice = Voice.of([speech])
    assert formant_ratio(voice, voice) == pytest.approx(1.0, abs=0.03)
    spectra = [np.abs(np.fft.rfft(sound[4000:20384])) for sound in (speech, convert(speech, voice, voice))]
    assert np.corrcoef(*spectra)[0, 1] > 0.95


def test_higher_formants_are_found():
    low, high = Voice.of([vowel(120)]), Voice.of([vowel(120, (840, 1440, 3120))])
    assert formant_ratio(low, high) == pytest.approx(1.2, abs=0.06)


def test_a_voice_is_read_from_a_file_or_a_folder(tmp_path):
    write_audio(tmp_path / "a.wav", vowel(120), RATE)
    write_audio(tmp_path / "b.flac", vowel(120), RATE)
    (tmp_path / "._a.wav").write_bytes(b"of a Mac")
    assert read_voice(voice_files(tmp_path)).pitch == pytest.approx(120, rel=0.03)
    with pytest.raises(AdaptationError, match=r"2\.\d s of speech in 1 file; 3 s are needed"):
        read_voice(voice_files(tmp_path / "a.wav"))


def test_what_is_no_voice_is_refused(tmp_path):
    with pytest.raises(AdaptationError, match="no sound file"):
        read_voice(voice_files(tmp_path))
    with pytest.raises(AdaptationError, match="no such file or folder"):
        read_voice(voice_files(tmp_path / "absent.wav"))
    (tmp_path / "noise.wav").write_bytes(b"RIFF no sound")
    with pytest.raises(AdaptationError, match="cannot be read as sound"):
        read_voice(voice_files(tmp_path / "noise.wav"))
    write_audio(tmp_path / "noise.wav", np.zeros(5 * RATE, np.float32), RATE)
    with pytest.raises(AdaptationError, match=r"0\.0 s of speech"):
        read_voice(voice_files(tmp_path))
