"""The records of the metrics: complete, and one place from which everything else derives."""

import importlib.util
import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

from lip2wav_hf import metrics
from lip2wav_hf.errors import MissingExtraError
from lip2wav_hf.metrics import registry
from lip2wav_hf.metrics.registry import GROUPS, METRICS, SUMMARY, check_names, check_packages
from lip2wav_hf.models import CHECKPOINTS


def test_every_folder_has_a_record_and_every_record_a_folder():
    assert set(metrics.METRICS) == set(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_scores_clips(name):
    pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")
    assert callable(METRICS[name].score_function())


def test_scoring_imports_nothing_that_takes_seconds():
    """Each process that scores would wait for it. What looks at lips needs torch."""
    pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")
    code = (
        "import sys; from lip2wav_hf.metrics.registry import METRICS\n"
        "for metric in METRICS.values():\n    'video' in metric.needs or metric.score_function()\n"
        "print(sorted({'evaluate', 'datasets', 'torch', 'transformers', 'pandas'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_numbers_are_named_once_and_stand_in_a_group():
    keys = [number.key for number in registry._all_numbers()]
    assert len(keys) == len(set(keys)) == len(SUMMARY)
    assert {number.group for number in SUMMARY.values()} == set(GROUPS)
    assert [number.group for number in SUMMARY.values()] == sorted(
        (number.group for number in SUMMARY.values()), key=list(GROUPS).index
    )


def test_every_stored_number_is_declared():
    stored = [json.loads(path.read_text(encoding="utf-8")) for path in CHECKPOINTS.glob("*/results/*.json")]
    measured = {key for results in stored for key in results.get("overall", ())}
    assert measured and measured <= set(SUMMARY)


def test_a_new_metric_is_declared_in_one_place(monkeypatch):
    """With one record more, all lists have it."""
    shown = "aligned=True, tile=True, boxed=True, by_clip=True, card=True"
    record = f'Metric("warmth", (Number("warmth", "Warmth", {shown}),)),'
    source = Path(registry.__file__).read_text(encoding="utf-8")
    longer = types.ModuleType("longer_registry")
    monkeypatch.setitem(sys.modules, "longer_registry", longer)
    exec(source.replace("_RECORDS = (", f"_RECORDS = ({record}", 1), longer.__dict__)
    for name in ("METRICS", "SUMMARY", "TILES", "BOXED", "CLIP_NUMBERS", "TABLE_METRICS"):
        assert "warmth" in getattr(longer, name) and "warmth" not in getattr(registry, name)
    assert longer.METRICS["warmth"].columns() == longer.METRICS["warmth"].aligned_columns == ("warmth",)
    assert "aligned_warmth" in longer.SUMMARY and longer.check_names(["warmth"]) == ("warmth",)


def test_names_are_checked():
    assert check_names(["stoi", "pesq"]) == ("pesq", "stoi") and check_names() == tuple(METRICS)
    for wanted, message in ((["pesk"], "no metric 'pesk': the metrics are pesq, stoi"), ([], "no metric was named")):
        with pytest.raises(registry.MetricError, match=message):
            check_names(wanted)


def test_missing_packages_are_named(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pystoi" else found(name, *rest)
    )
    with pytest.raises(
        MissingExtraError, match="stoi needs the package pystoi: pip install .*or do without: --metrics pesq"
    ):
        check_packages(["pesq", "stoi"])
    check_packages(["pesq"])


def test_a_metric_whose_import_fails_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pystoi", None)
    monkeypatch.delitem(sys.modules, "lip2wav_hf.metrics.stoi.score", raising=False)
    with pytest.raises(MissingExtraError, match=r"the metric stoi needs the package pystoi: pip install '\.\[eval"):
        METRICS["stoi"].score_function()
