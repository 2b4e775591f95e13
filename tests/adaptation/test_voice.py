"""Speech in another voice."""

import av
import numpy as np
import pytest

from lip2wav_hf import write_audio
from lip2wav_hf.adaptation.inputs import voice_files
from lip2wav_hf.adaptation.records import AdaptationError
from lip2wav_hf.adaptation.voice import Voice, convert, find_pitches, formant_ratio, read_voice, voice_notes


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


def files_of(place):
    return voice_files(place)[0]


def test_a_voice_is_read_from_a_file_or_a_folder(tmp_path):
    write_audio(tmp_path / "a.wav", vowel(120), RATE)
    write_audio(tmp_path / "b.flac", vowel(120), RATE)
    (tmp_path / "._a.wav").write_bytes(b"of a Mac")
    assert read_voice(files_of(tmp_path))[0].pitch == pytest.approx(120, rel=0.03)
    with pytest.raises(AdaptationError, match=r"a\.wav: 2\.0 s of audible sound in 1 file; 3 s are needed"):
        read_voice(files_of(tmp_path / "a.wav"))


def test_what_is_no_voice_is_refused(tmp_path):
    with pytest.raises(AdaptationError, match="no sound file"):
        read_voice(files_of(tmp_path))
    with pytest.raises(AdaptationError, match="no such file or folder"):
        read_voice(files_of(tmp_path / "absent.wav"))
    (tmp_path / "noise.wav").write_bytes(b"RIFF no sound")
    with pytest.raises(AdaptationError, match="cannot be read as sound"):
        read_voice(files_of(tmp_path / "noise.wav"))
    write_audio(tmp_path / "noise.wav", np.zeros(5 * RATE, np.float32), RATE)
    with pytest.raises(AdaptationError, match=r"0\.0 s of audible sound"):
        read_voice(files_of(tmp_path))


@pytest.mark.parametrize("rate", [RATE, 44100])
def test_three_seconds_with_pauses_are_enough(tmp_path, rate):
    spoken = np.concatenate([np.zeros(RATE // 2, np.float32), vowel(120), np.zeros(RATE // 2, np.float32)])
    times = np.arange(3 * rate) / rate
    write_audio(tmp_path / "a.wav", np.interp(times, np.arange(len(spoken)) / RATE, spoken).astype(np.float32), rate)
    assert read_voice(files_of(tmp_path / "a.wav"))[0].pitch == pytest.approx(120, rel=0.03)
    write_audio(tmp_path / "b.wav", np.pad(vowel(120, seconds=1.0), (0, 4 * RATE)), RATE)
    with pytest.raises(AdaptationError, match=r"b\.wav: 1\.\d s of speech in 5\.0 s of sound; 1\.5 s are needed"):
        read_voice(files_of(tmp_path / "b.wav"))


def test_a_file_that_cannot_be_read_is_left_out_of_a_folder(tmp_path):
    write_audio(tmp_path / "a.wav", vowel(120, seconds=4.0), RATE)
    (tmp_path / "b.wav").write_bytes(b"RIFF no sound")
    (tmp_path / "c.mp3").mkdir()
    voice, unreadable = read_voice(files_of(tmp_path))
    assert voice.pitch == pytest.approx(120, rel=0.03) and [file.name for file in unreadable][:1] == ["b.wav"]
    [note] = voice_notes(voice, [], unreadable)
    assert note.startswith("Not read for the voice, as they cannot be read as sound: b.wav")
    with pytest.raises(AdaptationError, match=r"b\.wav: it cannot be read as sound"):
        read_voice(files_of(tmp_path / "b.wav"))


def write_sound(path, form, codec):
    """Three seconds of a vowel as another program writes it."""
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(vowel(120, seconds=4)[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(stream.format, "mono", 48000, getattr(stream, "frame_size", None) or 1024)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("name", "form", "codec"), [("a.m4a", "mp4", "aac"), ("a.MP3", "mp3", "libmp3lame"), ("a.opus", "ogg", "libopus")]
)
def test_what_phones_record_is_read_in_a_folder_too(tmp_path, name, form, codec):
    write_sound(tmp_path / name, form, codec)
    (tmp_path / "list.pdf").write_bytes(b"of what was said")
    files, others = voice_files(tmp_path)
    assert [file.name for file in files] == [name] and voice_files(tmp_path / name)[0] == files
    voice, unreadable = read_voice(files)
    assert not unreadable and voice.pitch == pytest.approx(120, rel=0.03)
    assert voice_notes(voice, others) == ["Not read for the voice, as they are no sound files: list.pdf."]


def test_noise_is_said_to_sound_like_no_speech(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * RATE)
    for sound in (noise, np.convolve(noise, np.sin(np.arange(30) / 3)) / 5):
        write_audio(tmp_path / "noise.wav", sound.astype(np.float32), RATE)
        voice, _ = read_voice(files_of(tmp_path))
        assert voice.pitch is None
        assert ["does not sound like speech" in note for note in voice_notes(voice, [])] == [True]
    assert voice_notes(Voice.of([vowel(120)]), []) == []


def test_a_text_is_said_to_be_no_sound(tmp_path):
    (tmp_path / "text.txt").write_text("my voice")
    with pytest.raises(AdaptationError, match="it cannot be read as sound. Check that it plays") as caught:
        read_voice(files_of(tmp_path / "text.txt"))
    assert "video" not in str(caught.value) and ".mp4" not in str(caught.value)
