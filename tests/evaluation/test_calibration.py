"""Calibration of the words' confidence: values by hand, a temperature that is known, selective error."""

import numpy as np
import pytest


pytest.importorskip("jiwer", reason="the extra 'evaluate' is not installed")

from lip2wav_hf.evaluation.calibration import (
    CalibrationError,
    apply_temperature,
    calibrate,
    expected_calibration_error,
    fit_temperature,
    reliability,
    selective_wer,
    word_confidences,
)
from lip2wav_hf.evaluation.clips import ClipRow
from lip2wav_hf.metrics.words import word_errors


SENTENCE = "bin blue at f two now"


def test_calibration_error_by_hand():
    confidences, correct = [0.95, 0.95, 0.55, 0.55], [True, True, True, False]
    parts = reliability(confidences, correct)
    assert [(part["low"], part["words"], part["accuracy"]) for part in parts] == [(0.5, 2, 0.5), (0.9, 2, 1.0)]
    assert expected_calibration_error(confidences, correct) == pytest.approx(0.05)
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0
    assert reliability([1.0], [True])[0]["high"] == 1


def test_selective_error_by_hand():
    errors, words, confidences = [0, 1, 2, 3], [6, 6, 6, 6], [0.9, 0.8, 0.7, 0.6]
    assert selective_wer(errors, words, confidences, 0.5) == pytest.approx(1 / 12)
    assert selective_wer(errors, words, confidences, 0.51) == pytest.approx(3 / 18)
    assert selective_wer(errors, words, confidences, 1.0) == pytest.approx(6 / 24)
    for coverage in (0, 1.1):
        with pytest.raises(CalibrationError, match="coverage"):
            selective_wer(errors, words, confidences, coverage)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_known_temperature_is_found(temperature):
    generator = np.random.default_rng(0)
    truth = generator.uniform(0.2, 0.95, 20_000)
    correct = generator.uniform(size=len(truth)) < truth
    stated = apply_temperature(truth, 1 / temperature)
    assert fit_temperature(stated, correct) == pytest.approx(temperature, rel=0.06)
    np.testing.assert_allclose(apply_temperature(stated, temperature), truth, atol=1e-5)


def test_temperature_keeps_the_order_and_the_ends():
    cooled = apply_temperature([0.0, 0.3, 0.5, 0.9, 1.0], 4.0)
    assert (np.diff(cooled) > 0).all() and cooled[2] == pytest.approx(0.5) and cooled[0] > 0 and cooled[-1] < 1
    assert fit_temperature([1.0, 1.0], [True, True]) < 0.5  # always right: never sure enough


def test_bad_input_is_named():
    for confidences, correct, message in (
        ([], [], "no word"),
        ([0.5], [True, False], "shape"),
        ([1.5], [True], "between 0 and 1"),
        ([float("nan")], [True], "between 0 and 1"),
    ):
        with pytest.raises(CalibrationError, match=message):
            reliability(confidences, correct)
    with pytest.raises(CalibrationError, match="temperature of 0"):
        apply_temperature([0.5], 0)


def row(text, confidences, sentence=SENTENCE):
    return ClipRow(
        "s1",
        "x",
        sentence,
        text,
        tuple(confidences),
        words=6,
        text_errors=word_errors(sentence, text),
        text_confidence=float(np.mean(confidences)) if confidences else 0.0,
    )


def test_clips_are_calibrated():
    rows = [row(SENTENCE, [0.9] * 6), row("bin blue at s two now", [0.8, 0.8, 0.8, 0.4, 0.8, 0.8]), row("", [])]
    confidences, correct = word_confidences(rows)
    assert len(confidences) == 12 and correct.sum() == 11 and not correct[9] and confidences[9] == 0.4
    result = calibrate(rows)
    assert result["words"] == 12 and result["accuracy"] == pytest.approx(11 / 12)
    assert [entry["clips"] for entry in result["selective"]] == [2, 3, 3]
    assert result["selective"][0]["wer"]["value"] == pytest.approx(1 / 12)
    assert result["selective"][2]["wer"]["value"] == pytest.approx(7 / 18)
    assert result["selective"][2]["wer"]["low"] <= 7 / 18 <= result["selective"][2]["wer"]["high"]
    assert calibrate([ClipRow("s1", "x", SENTENCE, texts={"transcript": SENTENCE})]) is None
    assert calibrate([]) is None
