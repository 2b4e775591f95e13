"""The file clips.csv: what is written is read again, types included."""

import dataclasses

import pytest

from lip2wav_hf.evaluation.clips import ClipRow
from lip2wav_hf.evaluation.options import EvaluationError
from lip2wav_hf.evaluation.scoring import clip_columns
from lip2wav_hf.evaluation.table import append_row, read_clips, write_rows
from lip2wav_hf.metrics.registry import METRICS


COLUMNS = clip_columns(METRICS, compat=True)
ROW = ClipRow.from_columns(
    {
        "speaker": "s1",
        "name": "bbaf2n",
        "sentence": "bin blue at f two now",
        "text": "bin blue at f two",
        "word_confidences": (0.9, 0.12345),
        "words": 6,
        "text_errors": 1,
        "text_confidence": 0.1 + 0.2,
        "face_coverage": 1.0,
        "generated_seconds": 3.0,
        "transcript": "bin blue",
        "judge_errors": 4,
        "floor_errors": 0,
        "stoi": 1 / 3,
        "pesq_outcome": "scored",
    }
)
SILENT = ClipRow("s1", "empty", "bin blue at f two now", "", words=6, text_errors=6)
OTHERS = ClipRow("all", "one, two", numbers={"stoi": 0.5})


def test_rows_and_their_types_survive(tmp_path):
    path = tmp_path / "clips.csv"
    write_rows(path, [ROW, SILENT], COLUMNS)
    append_row(path, OTHERS, COLUMNS)
    read = read_clips(path)
    assert read == [ROW, SILENT, OTHERS]
    assert isinstance(read[0].numbers["judge_errors"], int) and isinstance(read[0].face_coverage, float)
    assert isinstance(read[0].words, int) and isinstance(read[0].generated_seconds, float)
    assert list(tmp_path.iterdir()) == [path]


def test_a_row_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "clips.csv"
    write_rows(path, [ROW, OTHERS], COLUMNS)
    path.write_bytes(path.read_bytes()[:-5])
    assert read_clips(path) == [ROW]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "speaker,name,stoi\ns1,x,much\n", "speaker,name\ns1,\n", ""])
def test_another_table_is_refused(tmp_path, text):
    (tmp_path / "clips.csv").write_text(text, encoding="utf-8")
    with pytest.raises(EvaluationError, match="not a table of clips"):
        read_clips(tmp_path / "clips.csv")


def test_words_are_those_of_a_judge():
    assert ROW.heard_by("text") == "bin blue at f two" and ROW.heard_by("judge") == "bin blue"
    assert ROW.heard_by("floor") == "" and SILENT.heard_by("text") == "" and SILENT.heard_by("judge") is None
    assert OTHERS.heard_by("text") is None and OTHERS.key == ("all", "one, two")
    with pytest.raises(dataclasses.FrozenInstanceError):
        ROW.name = "other"
