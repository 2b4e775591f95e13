"""The table of several systems, from what was measured of each."""

import numpy as np
import pytest

from lip2wav_hf.audio import audio_rate, write_audio
from lip2wav_hf.comparison.systems import ComparisonError, System
from lip2wav_hf.comparison.table import Column, Comparison, _check_models, _pair_of_folders, _rate_of
from lip2wav_hf.comparison.table_texts import table, terminal_table
from lip2wav_hf.comparison.trainings import Training
from lip2wav_hf.errors import VideoError
from lip2wav_hf.models import ModelError


def number(value):
    return {"value": value, "low": value, "high": value, "clips": 2}


@pytest.fixture
def comparison():
    """Ours, which failed on one clip, another system, which failed on another, and samples at 8 kHz."""
    results = {"failures": [{"clip": "s1/a", "error": "s1/a: no face."}], "overall": {}}
    other = {"failures": [{"clip": "s1/b", "error": "s1/b: too short."}], "differences": {}}
    columns = [
        Column("Original", "original", 2, {"judge_wer": number(0.1)}),
        Column("ours", "system", 2, {"judge_wer": number(0.2), "wer_to_original": number(0.3)}, Training(), 16000),
        Column("theirs", "system", 2, {"judge_wer": number(0.4)}, Training(), 50000, against_first=other),
        Column("posted", "samples", 3, {"wer_to_original": number(0.5)}, Training(), 8000, 16000),
    ]
    return Comparison("a title", columns, results)


def test_what_failed_in_any_system_is_said(comparison):
    assert comparison.failures == [
        {"system": "ours", "clip": "s1/a", "error": "s1/a: no face."},
        {"system": "theirs", "clip": "s1/b", "error": "s1/b: too short."},
    ]


def test_rows_of_words_and_of_rates(comparison):
    assert comparison.keys == ["judge_wer", "wer_to_original"]
    headings, rows = table(comparison, comparison.keys)
    assert headings[1:] == ["Original", "ours", "theirs", "posted *"]
    assert [row[3] for row in rows[:2]] == ["40.0 (40.0 – 40.0)", "–"]
    assert rows[-1] == ["sound made at, kHz", "–", "16", "50", "8; the originals 16"]
    assert "Judge WER against its transcript of the original audio" in terminal_table(comparison), "all that has words"
    low, *others = [note for note in comparison._rate_notes() if "made at less" in note]
    assert low.startswith("posted: made at less") and not others


@pytest.mark.parametrize("names", [("predicted", "original"), ("predicts_vid2speech", "originals_vid2speech")])
def test_folders_of_samples_as_their_authors_name_them(tmp_path, names):
    for name in (*names, "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "original.txt").touch()
    assert _pair_of_folders("x", tmp_path) == (tmp_path / names[0], tmp_path / names[1])
    (tmp_path / "predictions").mkdir()
    with pytest.raises(ComparisonError, match=r"predicts?.*, predict.*not one folder"):
        _pair_of_folders("x", tmp_path)


def test_models_are_looked_at_before_anything_is_measured(tiny_model_dir, tmp_path):
    other = System("b", f"{tiny_model_dir}/../{tiny_model_dir.name}")
    with pytest.raises(ComparisonError, match=r"'a' and 'b' are both .* Name it once"):
        _check_models([System("a", str(tiny_model_dir)), other])
    with pytest.raises(ModelError, match="lip2wav_syncnet"):
        _check_models([System("a", str(tiny_model_dir)), System("b", "grid-sync")])
    _check_models([System("a", str(tiny_model_dir)), System("b", "grid-s1")])


def test_the_rate_of_a_model_and_of_sound_files(tiny_model_dir, tmp_path):
    assert _rate_of(str(tiny_model_dir)) == 16000
    write_audio(tmp_path / "a.wav", np.zeros(800, np.float32), 8000)
    assert audio_rate(tmp_path / "a.wav") == _rate_of(str(tmp_path)) == 8000
    write_audio(tmp_path / "b.flac", np.zeros(800, np.float32), 16000)
    assert _rate_of(str(tmp_path)) is None, "two rates are none"
    (tmp_path / "b.flac").write_bytes(b"no sound")
    with pytest.raises(VideoError, match="b.flac: it cannot be read as sound"):
        audio_rate(tmp_path / "b.flac")
