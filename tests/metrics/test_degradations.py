"""Real clips, degraded: every metric is ideal for identity and orders the degradations as it must."""

import importlib.util
import sys
from itertools import pairwise
from pathlib import Path

import pytest


pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")
pytest.importorskip("speechmos", reason="the extra 'evaluate' is not installed")

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "degradations.py"
IDENTITY = {
    "pesq_nb": 4.5486,
    "pesq_wb": 4.6439,
    "pesq_compat": 4.5486,
    "stoi": 1.0,
    "estoi": 1.0,
    "stoi_compat": 1.0,
    "stoi_filtered": 1.0,
    "estoi_filtered": 1.0,
    "mcd": 0.0,
    "mcd_dtw": 0.0,
    "mcd_compat": 0.0,
    "corr2d": 1.0,
    "speaker_similarity": 1.0,
}
LOW_IS_GOOD = ("mcd", "mcd_dtw", "mcd_compat", "wer_percent")
NOISE = ("identity", "noise, 20 dB", "noise, 10 dB", "noise, 0 dB")
DELAY = ("identity", "late by 1 frame", "late by 3 frames")
# What no test asks of DNSMOS, which takes longest.
NOT_BY_DNSMOS = ("late by 1 frame", "other pauses", "in sync", "in sync, other pauses")
ALL_SCORES = (*IDENTITY, "wer_percent", "dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "dnsmos_p808")

# Best first. What is not here is insensitive by design; docs/metrics.md says which and why.
ORDERS = [(score, NOISE) for score in ALL_SCORES if score not in ("dnsmos_sig", "dnsmos_p808", "wer_percent")]
ORDERS += [(score, ("identity", "noise, 0 dB", "silence")) for score in ("dnsmos_sig", "dnsmos_p808")]
ORDERS += [("wer_percent", ("identity", worst)) for worst in ("noise, 0 dB", "wrong clip", "silence")]
ORDERS += [(score, DELAY) for score in ("stoi", "estoi", "stoi_compat", "mcd", "mcd_dtw", "mcd_compat", "corr2d")]
ORDERS += [(score, DELAY) for score in ("stoi_filtered", "estoi_filtered")]
ORDERS += [("av_confidence", ("identity", "wrong clip", "silence"))]
ORDERS += [(score, ("late by 1 frame", "wrong clip")) for score in IDENTITY if score != "speaker_similarity"]
# Silence has an ESTOI of 0, and the wrong clip may have a little less.
ORDERS += [(score, ("identity", "wrong clip", "silence")) for score in IDENTITY if score != "estoi_filtered"]
ORDERS += [("estoi_filtered", ("identity", "noise, 0 dB", "wrong clip"))]
ORDERS += [("speaker_similarity", ("identity", "wrong clip", "noise, 0 dB"))]
ORDERS += [(score, ("noise, 0 dB", "silence")) for score in ("pesq_nb", "pesq_wb", "stoi", "estoi", "corr2d")]


@pytest.fixture(scope="module")
def table(grid_dir) -> dict:
    """Mean scores of two clips of s1 that no network was trained on."""
    spec = importlib.util.spec_from_file_location("degradations", SCRIPT)
    degradations = importlib.util.module_from_spec(spec)
    sys.modules["degradations"] = degradations
    spec.loader.exec_module(degradations)
    clips = degradations.load_clips(grid_dir, "validation", 2)
    return degradations.measure(clips, without={("dnsmos", name) for name in NOT_BY_DNSMOS})[0]


@pytest.mark.parametrize("score", IDENTITY)
def test_identity_gives_the_ideal_value(table, score):
    assert table[score]["identity"] == pytest.approx(IDENTITY[score], abs=1e-3)


@pytest.mark.parametrize(("score", "order"), ORDERS, ids=lambda value: value if isinstance(value, str) else value[-1])
def test_degradations_are_ordered(table, score, order):
    values = [table[score][degradation] for degradation in order]
    if score in LOW_IS_GOOD:
        values = [-value for value in values]
    assert all(better > worse for better, worse in pairwise(values)), (score, order, values)


def test_silence_has_the_worst_defined_score(table):
    silence = {score: values["silence"] for score, values in table.items()}
    assert silence["pesq_nb"] == pytest.approx(1.0168) and silence["pesq_wb"] == pytest.approx(1.0427)
    assert [silence[score] for score in ("stoi", "estoi", "corr2d", "speaker_similarity")] == [0, 0, 0, 0]
    assert silence["dnsmos_ovrl"] == 1 and silence["wer_percent"] == 100


def test_lip_sync_finds_the_delay(table):
    offsets = table["av_offset"]
    assert abs(offsets["identity"]) <= 1  # GRID's own
    for degradation, frames in (("late by 1 frame", 1), ("late by 3 frames", 3)):
        assert offsets[degradation] - offsets["identity"] == pytest.approx(frames, abs=0.51)


def test_pauses_count_in_plain_stoi_alone(table):
    """Speech is untouched; only what cannot be foreseen differs, and hum keeps it in plain STOI."""
    assert table["stoi"]["other pauses"] < 0.85 and table["estoi"]["other pauses"] < 0.85
    assert table["stoi_filtered"]["other pauses"] > 0.95
    assert table["wer_percent"]["other pauses"] <= table["wer_percent"]["identity"] + 10


def test_plain_stoi_hardly_knows_speech_that_is_in_sync(table):
    """Real speech where its mouth says it belongs, some milliseconds from where the recording has it."""
    for score in ("stoi", "estoi", "stoi_filtered", "estoi_filtered"):
        assert table[score]["in sync"] < 0.9 * table[score]["identity"]
        assert table[score]["in sync, other pauses"] < table[score]["other pauses"]
    assert table["pesq_nb"]["in sync"] > 4 and table["av_confidence"]["in sync"] > table["av_confidence"]["identity"]
    assert table["wer_percent"]["in sync"] <= table["wer_percent"]["identity"] + 10


def test_insensitive_by_design(table):
    """PESQ and the warped MCD align in time; DNSMOS and speaker similarity do not compare instants."""
    assert table["pesq_nb"]["late by 3 frames"] > 4
    assert table["mcd_dtw"]["late by 3 frames"] < 1
    assert abs(table["dnsmos_ovrl"]["late by 3 frames"] - table["dnsmos_ovrl"]["identity"]) < 0.2
    assert table["speaker_similarity"]["late by 3 frames"] > 0.95
    assert abs(table["dnsmos_ovrl"]["wrong clip"] - table["dnsmos_ovrl"]["identity"]) < 0.2
