"""The numbers of the README and of the documentation are those of the bundled checkpoint's results."""

import json
from pathlib import Path

import pytest

import lip2wav_hf
from conftest import REPOSITORY
from lip2wav_hf.evaluation.statistics import SUMMARY


SPLITS = ("validation", "unseen_validation")


@pytest.mark.parametrize(("page", "rows"), [("README.md", 6), ("docs/evaluate.md", 15)])
def test_every_number_of_the_tables_was_measured(page, rows):
    folder = Path(lip2wav_hf.DEFAULT_CHECKPOINT, "results")
    measured = [json.loads((folder / f"{split}.json").read_text(encoding="utf-8"))["overall"] for split in SPLITS]
    names = {metric.title: name for name, metric in SUMMARY.items()}
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    table = text.partition("| metric, 95 % interval |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) == rows
    for line in table:
        label, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        name, metric = names[label], SUMMARY[names[label]]
        for values, cell in zip(measured, cells, strict=True):
            value, low, high = (metric.show(values[name][key]) for key in ("value", "low", "high"))
            assert cell == f"{value} ({low} – {high})", label
