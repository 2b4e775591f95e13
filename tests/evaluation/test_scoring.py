"""Scores of single clips: reading sound, finding and undoing shifts, columns."""

import sys

import av
import numpy as np
import pytest


pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")

from lip2wav_hf.audio import mux_audio, write_audio
from lip2wav_hf.corpora.registry import load_split
from lip2wav_hf.evaluation import scoring
from lip2wav_hf.evaluation.scoring import (
    clip_columns,
    find_shift,
    load_metrics,
    read_sound,
    score_files,
)
from lip2wav_hf.grid.corpus import sentence_words
from lip2wav_hf.metrics.pairs import align
from lip2wav_hf.metrics.registry import METRICS
from lip2wav_hf.synthetic.voice import synthesize_speech


RATE = 16_000


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """A synthetic sentence, 16 kHz."""
    return synthesize_speech(sentence_words("lgbz3a"), "synthetic1").waveform.astype(np.float64)


def test_sound_is_read_at_16_khz(tmp_path):
    from scipy.io import wavfile

    wavfile.write(tmp_path / "stereo.wav", 8000, np.tile(np.array([[16384, 0]], np.int16), (8000, 1)))
    waveform = read_sound(tmp_path / "stereo.wav")
    assert len(waveform) == RATE and waveform[RATE // 2] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("milliseconds", [-40, -25, -10, 0, 10, 25, 40])
def test_shift_is_found_and_undone(speech, milliseconds):
    moved = np.roll(speech, milliseconds * RATE // 1000)
    shift = find_shift(moved, speech)
    assert 1000 * shift == pytest.approx(milliseconds)
    prediction, reference = align(moved, speech, shift)
    inside = slice(700, -700)  # what was rolled around is not undone
    np.testing.assert_array_equal(prediction[inside], reference[inside])
    assert len(prediction) == len(speech) - abs(milliseconds) * RATE // 1000


def test_shift_beyond_a_frame_is_not_undone(speech):
    assert abs(find_shift(np.roll(speech, RATE // 5), speech)) <= 0.04


def test_silence_has_no_shift(speech):
    assert find_shift(np.zeros(RATE), speech) == 0 == find_shift(speech, np.zeros(RATE))
    assert find_shift(np.zeros(3), np.zeros(3)) == 0


def test_alignment_restores_the_scores(tmp_path, speech):
    write_audio(tmp_path / "original.wav", speech, RATE)
    write_audio(tmp_path / "late.wav", np.roll(speech, 480), RATE)
    row = score_files(tmp_path / "late.wav", tmp_path / "original.wav", metrics=("pesq", "stoi"))
    assert row["shift_seconds"] == pytest.approx(0.03)
    assert row["stoi"] < 0.8 < 0.99 < row["aligned_stoi"] and row["aligned_pesq_wb"] > row["pesq_wb"] - 0.01
    same = score_files(tmp_path / "original.wav", tmp_path / "original.wav", metrics=("pesq", "stoi"))
    assert all(same[f"aligned_{key}"] == same[key] for key in ("pesq_nb", "pesq_wb", "stoi", "estoi"))


def test_what_is_spoken_where_the_mouth_says_is_right_however_late_the_original_is(tmp_path, grid_dir):
    clip = load_split(grid_dir, "validation")[0]
    sound = read_sound(clip.video)
    mux_audio(clip.video, np.roll(sound, 640), RATE, tmp_path / "late.mp4")
    own = score_files(clip.video, clip.video, metrics=("stoi",))
    assert abs(own["original_offset_seconds"]) > 0.01 and own["in_sync_stoi"] < own["stoi"] == pytest.approx(1)
    write_audio(tmp_path / "spoken.wav", np.roll(sound, -round(RATE * own["original_offset_seconds"])), RATE)
    for original, offset, best, least in (
        (clip.video, own["original_offset_seconds"], 0.7, 0.98),
        (tmp_path / "late.mp4", own["original_offset_seconds"] + 0.04, 0.5, 0.85),  # its pauses are no more the same
    ):
        row = score_files(tmp_path / "spoken.wav", original, metrics=("stoi",))
        assert row["original_offset_seconds"] == pytest.approx(offset, abs=0.005)
        assert row["stoi"] < best and row["in_sync_stoi"] > least


def test_every_metric_fills_its_columns(tmp_path, talking_video):
    """All metrics, the lineage's forms included, of a synthetic face with its own sound."""
    write_audio(tmp_path / "sound.wav", read_sound(talking_video), RATE)
    sentence = " ".join(sentence_words("bbaf2n"))
    row = score_files(tmp_path / "sound.wav", talking_video, sentence, compat=True, text=sentence, phrases=2)
    expected = set(clip_columns(METRICS, compat=True))
    not_from_sound = {"speaker", "name", "text", "word_confidences", "text_errors", "text_confidence"}
    assert set(row) == expected - not_from_sound - {"face_coverage", "process_seconds"}
    assert row["mcd"] == pytest.approx(0, abs=0.2) and row["corr2d"] > 0.99 and row["speaker_similarity"] > 0.99
    assert row["judge_errors"] == row["floor_errors"] and row["av_offset"] == row["av_offset_original"]
    assert row["text_character_errors"] == 0 == 1 - row["text_phrase_right"] and row["characters"] == len(sentence)
    assert (row["judge_character_errors"] == 0) == (row["judge_errors"] == 0) == bool(row["judge_phrase_right"])
    assert row["pesq_wb"] > 4.5 and row["dnsmos_ovrl"] == pytest.approx(row["dnsmos_ovrl_original"], abs=0.05)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_loading_a_metric_leaves_its_scores_alone(tmp_path, speech):
    write_audio(tmp_path / "original.wav", speech, RATE)
    write_audio(tmp_path / "late.wav", np.roll(speech, 480), RATE)
    arguments = (tmp_path / "late.wav", tmp_path / "original.wav", " ".join(sentence_words("lgbz3a")))
    before = score_files(*arguments, metrics=("stoi", "grid_wer"))
    load_metrics(("stoi", "grid_wer"))
    assert score_files(*arguments, metrics=("stoi", "grid_wer")) == before


def test_a_metric_is_loaded_once_and_by_one_look(monkeypatch):
    """DNSMOS takes a fifth of a second each time that it looks at nine seconds of sound."""
    from onnxruntime import InferenceSession

    looks, run = [], InferenceSession.run
    monkeypatch.setattr(InferenceSession, "run", lambda *given: looks.append(given) or run(*given))
    monkeypatch.setattr(scoring, "_loaded", set())
    load_metrics(("dnsmos",))
    assert len(looks) == 2  # by two networks, at what stands for the generated sound
    load_metrics(("dnsmos",))
    assert len(looks) == 2


@pytest.mark.parametrize("waiting", [True, False])
def test_whoever_waits_sees_what_is_being_loaded(monkeypatch, capfd, waiting):
    """On a terminal: which metric it has come to, and who judges the words."""
    monkeypatch.setattr(scoring, "_loaded", set())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    load_metrics(("stoi", "grid_wer"), with_video=True, progress=waiting)
    said = capfd.readouterr().err
    for what in ("loading stoi", "loading grid_wer (pocketsphinx)", "loading the sync network"):
        assert (what in said) == waiting
    assert ("3/3" in said) == waiting


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s24le", "pcm_f32le", "pcm_alaw", "pcm_mulaw"])
def test_sound_files_of_every_sample_format(tmp_path, codec):
    """The same sound, whatever its samples are."""
    tone = (0.5 * np.sin(np.arange(16000) * 0.1)).astype(np.float32)
    with av.open(str(tmp_path / "tone.wav"), "w") as output:
        track = output.add_stream(codec, rate=16000, layout="mono")
        block = av.AudioFrame.from_ndarray(tone[None], "flt", "mono")
        block.sample_rate = 16000
        resampler = av.AudioResampler(
            track.codec_context.format, "mono", 16000, track.codec_context.frame_size or None
        )
        for piece in [*resampler.resample(block), *resampler.resample(None)]:
            output.mux(track.encode(piece))
        output.mux(track.encode(None))
    sound = read_sound(tmp_path / "tone.wav")[:15000]
    assert len(sound) == 15000 and np.abs(sound - tone[:15000]).max() < 0.05
