"""Summaries of clips: values by hand, intervals, paired differences, slots."""

import numpy as np
import pytest


pytest.importorskip("jiwer", reason="the extra 'evaluate' is not installed")

from lip2wav_hf.evaluation.clips import ClipRow
from lip2wav_hf.evaluation.statistics import (
    SUMMARY,
    bootstrap,
    by_speaker,
    interval,
    paired_differences,
    slot_errors,
    summarize,
    verdict,
)


def row(**columns):
    """A clip with some values by column."""
    return ClipRow.from_columns({"speaker": "s1", "name": "x"} | columns)


def test_summary_by_hand():
    rows = [row(words=6, judge_errors=1, floor_errors=0, stoi=0.5)] * 3
    rows = rows + [row(words=6, judge_errors=5, floor_errors=2, stoi=float("nan"))]
    summary = summarize(rows)
    assert summary["judge_wer"]["value"] == pytest.approx(8 / 24)
    assert summary["judge_wer_above_floor"]["value"] == pytest.approx(6 / 24)
    assert summary["judge_wer"]["low"] == pytest.approx(1 / 6) and summary["judge_wer"]["high"] <= 5 / 6
    assert summary["stoi"] == {"value": 0.5, "low": 0.5, "high": 0.5, "clips": 3}
    assert "pesq_nb" not in summary and "text_wer" not in summary
    assert summarize(rows) == summary


def test_interval_covers_what_theory_says():
    errors = np.random.default_rng(0).integers(0, 2, 400)
    interval = summarize([row(words=1, judge_errors=int(error)) for error in errors])["judge_wer"]
    half_width = 1.96 * np.sqrt(interval["value"] * (1 - interval["value"]) / 400)
    assert interval["high"] - interval["low"] == pytest.approx(2 * half_width, rel=0.1)


def clips(**columns):
    """Rows of one speaker, from columns of equal length."""
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [row(name=str(number), **values) for number, values in enumerate(rows)]


def test_difference_of_pairs_by_hand():
    ours = clips(stoi=[0.5, 0.7, 0.9], judge_errors=[1, 2, 0], words=[6, 6, 6])
    theirs = clips(stoi=[0.4, 0.6, 0.8], judge_errors=[1, 2, 3], words=[6, 6, 6])
    differences = paired_differences(ours, theirs)
    assert differences["stoi"]["value"] == pytest.approx(0.1) and differences["stoi"]["clips"] == 3
    # Each clip differs by the same, so the pairing leaves no uncertainty, however much the clips themselves differ.
    assert differences["stoi"]["low"] == pytest.approx(0.1) and differences["stoi"]["high"] == pytest.approx(0.1)
    assert differences["judge_wer"]["value"] == pytest.approx(-3 / 18)
    assert (
        verdict("stoi", differences["stoi"]) == "better" and verdict("judge_wer", differences["judge_wer"]) == "open"
    )
    assert verdict("stoi", {"value": -0.1, "low": -0.2, "high": -0.05}) == "worse"
    assert verdict("stoi", {"value": -0.1, "low": -0.1, "high": -0.1, "clips": 1}) == "open"
    assert verdict("stoi", {"value": -0.1, "low": -0.2, "high": -0.05, "clips": 2}) == "worse"
    assert verdict("mcd", {"value": -1.0, "low": -2.0, "high": -0.5}) == "better"
    same = paired_differences(ours, ours)
    assert all(part["value"] == part["low"] == part["high"] == 0 for part in same.values())


def test_difference_leaves_out_clips_that_one_lacks():
    ours, theirs = clips(stoi=[0.5, 0.7]), clips(stoi=[0.4, float("nan")])
    assert paired_differences(ours, theirs)["stoi"] == {
        "value": pytest.approx(0.1),
        "low": pytest.approx(0.1),
        "high": pytest.approx(0.1),
        "clips": 1,
    }
    with pytest.raises(ValueError, match="same clips"):
        paired_differences(ours, theirs[:1])


def test_slots_by_hand():
    rows = [
        row(sentence="bin blue at f two now", text="bin blue at s two now", text_errors=1),
        row(sentence="bin blue at f two now", text="bin at f two now", text_errors=1),
        row(sentence="lay red by f one soon", text="", text_errors=6),
    ]
    slots = slot_errors(rows)
    assert list(slots) == ["text"] and slots["text"]["empty"] == 1
    assert slots["text"]["slot_wer"]["letter"] == pytest.approx(2 / 3)
    assert slots["text"]["confusions"]["letter"] == {"f": {"s": 1, "": 1}}
    assert slots["text"]["confusions"]["colour"] == {"blue": {"": 1}, "red": {"": 1}}
    assert slots["text"]["counts"]["command"] == {"bin": 2, "lay": 1}


def test_numbers_are_shown_in_their_units():
    assert SUMMARY["judge_wer"].show(0.1234) == "12.3" and SUMMARY["judge_wer"].title == "Judge WER, %"
    assert SUMMARY["shift_seconds"].show(-0.0125) == "-12.5" and SUMMARY["shift_seconds"].show(-1e-5) == "0.0"
    assert SUMMARY["stoi"].show(0.5) == "0.500" and SUMMARY["mcd"].title.endswith(", dB")


@pytest.mark.filterwarnings("error")
def test_no_clip_and_no_value_give_nothing_and_no_warning():
    assert summarize([]) == {} == paired_differences([], []) == slot_errors([]) == by_speaker([])
    assert summarize([row(stoi=float("nan")), row()]) == {}
    assert np.isnan(interval(np.zeros(0))["low"])
    assert bootstrap([2.0], lambda drawn: sum(drawn) / len(drawn))["high"] == 2
