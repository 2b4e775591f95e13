"""Model cards: numbers from results.json in metadata and text, and refusals."""

import json
import shutil

import pytest
from huggingface_hub import ModelCard


pytest.importorskip("jiwer", reason="the extra 'evaluate' is not installed")

from typer.testing import CliRunner

from lip2wav_hf.commands.main import app
from lip2wav_hf.evaluation.systems import model_sha256
from lip2wav_hf.hub.card_results import BEGIN, END, CardError, update_card
from lip2wav_hf.modeling_lip2wav import Lip2WavModel


CARD = f"""---
license: apache-2.0
tags:
- lip-reading
---

# mine

Words before.

{BEGIN}
old numbers
{END}

Words after.
"""


def results(split="validation", stoi=0.51234, **others):
    """What results.json holds, as far as a card needs it."""
    value = {"value": stoi, "low": stoi - 0.1, "high": stoi + 0.1, "clips": 3}
    machine = {"cpu": "a CPU", "cores": 2, "accelerator": None, "torch": "2"}
    return {
        "split": split,
        "data": "grid",
        "model": "mine",
        "clips": 3,
        "speakers": {"s1": {}},
        "overall": {"stoi": value, "judge_wer": {"value": 0.25, "low": 0.2, "high": 0.3, "clips": 3}},
        "failures": [],
        "judge": "a judge",
        "chance_wer": 0.81,
        "confidence_interval": "95%, bootstrap",
        "machine": machine,
    } | others


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text(CARD, encoding="utf-8")
    return tmp_path / "mine"


def test_card_tells_the_results(folder, tmp_path):
    unseen = tmp_path / "results.json"
    unseen.write_text(json.dumps(results("unseen_validation", 0.4)), encoding="utf-8")
    text = update_card(folder, {"unseen_validation": unseen, "validation": results()})
    assert text == (folder / "README.md").read_text(encoding="utf-8")
    assert "old numbers" not in text and text.index("Words before.") < text.index(BEGIN) < text.index("Words after.")
    assert "| STOI | 0.512 (0.412 – 0.612) | 0.400 (0.300 – 0.500) |" in text
    assert "| Judge WER, % | 25.0 (20.0 – 30.0) | 25.0 (20.0 – 30.0) |" in text
    card = ModelCard.load(folder / "README.md")
    told = {(entry.dataset_split, entry.metric_type): entry.metric_value for entry in card.data.eval_results}
    assert told[("validation", "stoi")] == 0.51234 and told[("unseen_validation", "stoi")] == 0.4 and len(told) == 4
    assert card.data.license == "apache-2.0" and card.data.tags == ["lip-reading"]
    assert json.loads((folder / "results" / "validation.json").read_text(encoding="utf-8")) == results()
    assert update_card(folder) == text == update_card(folder, check=True)  # the folder has all that is needed


def test_changed_numbers_are_noticed(folder):
    text = update_card(folder, {"validation": results()})
    for old, new in (("0.5123", "0.6123"), ("0.512 (", "0.612 (")):
        assert old in text
        (folder / "README.md").write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(CardError, match="does not say what was measured"):
            update_card(folder, check=True)
    (folder / "README.md").write_text(text.replace("Words after.", "Other words."), encoding="utf-8")
    update_card(folder, check=True)  # what is not measured may be written freely
    with pytest.raises(CardError, match="does not hold these results"):
        update_card(folder, {"validation": results(stoi=0.7)}, check=True)


def test_nobody_is_told_to_measure_recordings_that_only_an_adaptation_had(folder):
    text = update_card(folder, {"held_out": results(split="held_out", clips=1, measured_by="lip2wav adapt")})
    assert "`held_out` of grid: 1 clip |" in text and "(0." not in text
    assert "`held_out`: recordings that `lip2wav adapt` held back and measured itself" in text
    assert "--data RECORDINGS --split all" in text and "--split held_out" not in text


def test_older_results_are_measured_again_on_the_split_that_the_card_names(folder):
    (folder / "card.yaml").write_text("datasets: {grid: GRID}\nsplit_schemes: {grid: grid_s1}\n", encoding="utf-8")
    text = update_card(folder, {"validation": results(model="grid-s1", compat=True)})
    command = "--data GRID --split-scheme grid_s1 --split validation --compat -o out/validation\n"
    assert f"lip2wav evaluate --model grid-s1 {command}" in text


@pytest.mark.parametrize("text", ["# mine\n\n## Results\n\nWords.\n", "# mine\n", "---\nlicense: mit\n---\n# mine\n"])
def test_markers_are_made_where_they_are_missing(folder, text):
    (folder / "README.md").write_text(text, encoding="utf-8")
    once = update_card(folder, {"validation": results()})
    assert once.count(BEGIN) == once.count(END) == once.count("## Results") == 1 and "# mine" in once
    assert update_card(folder) == once


def test_results_from_before_a_further_training_are_taken_and_say_so(tmp_path, tiny_model_dir):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "tiny")
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    now = {"steps": 30, "model_sha256": model_sha256(Lip2WavModel.from_pretrained(folder))}
    text = update_card(folder, {"validation": results(model_sha256="0" * 64, trained_further=now)})
    assert "The numbers of `validation` are of this model as it was 30 steps earlier" in text
    stranger = now | {"model_sha256": "1" * 64}
    with pytest.raises(CardError, match="other weights"):
        update_card(folder, {"validation": results(model_sha256="0" * 64, trained_further=stranger)})


def test_results_of_other_weights_are_refused(tmp_path, tiny_model_dir):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "tiny")
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    right = model_sha256(Lip2WavModel.from_pretrained(folder))
    update_card(folder, {"validation": results(model_sha256=right)})
    with pytest.raises(CardError, match="results of validation are of other weights"):
        update_card(folder, {"validation": results(model_sha256="0" * 64)})


def test_bad_input_is_named(folder, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text("{", encoding="utf-8")
    for given, message in (
        ({}, "no results for its card"),
        ({"validation": broken}, "broken.json: it cannot be read"),
        ({"validation": tmp_path / "gone.json"}, "gone.json: there is no such file"),
        ({"validation": {"overall": {}}}, "not the results.json of an evaluation"),
        ({"test": results()}, "is of the split 'validation', not 'test'. Give validation=FILE"),
        ({"../x": results()}, "not the name of a split"),
        ({"validation": results(data=None)}, "do not say on which data"),
        ({"validation": results(failures=[{"clip": "x"}])}, ": 1 clip failed"),
    ):
        with pytest.raises(CardError, match=message):
            update_card(folder, given)
    assert (folder / "README.md").read_text(encoding="utf-8") == CARD and not (folder / "results").exists()
    with pytest.raises(CardError, match="no such model card"):
        update_card(tmp_path, {"validation": results()})
    (folder / "README.md").write_text(CARD + BEGIN, encoding="utf-8")
    with pytest.raises(CardError, match="more than once"):
        update_card(folder, {"validation": results()})


def test_command(folder, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(results()), encoding="utf-8")
    run = CliRunner().invoke
    assert run(app, ["card", str(folder), "--results", f"validation={tmp_path / 'results.json'}"]).exit_code == 0
    assert run(app, ["card", str(folder), "--check"]).exit_code == 0
    failed = run(app, ["card", str(folder), "--results", "validation"])
    assert failed.exit_code == 2 and "give SPLIT=FILE" in failed.stderr


MINE = {
    "data": "mine",
    "limit": 6,
    "command": "lip2wav evaluate --model runs/a/best --data data/mine --limit 6 -o out/mine",
}


def test_the_data_and_the_command_are_those_of_the_results(folder):
    text = update_card(folder, {"validation": results(**MINE)})
    (entry, *_) = ModelCard(text).data.eval_results
    assert (entry.dataset_name, entry.dataset_type, entry.dataset_split) == ("mine", "mine", "validation[:6]")
    assert MINE["command"] in text and "GRID" not in text
    assert "`validation` of mine: s1, first 3 clips only" in text


def test_data_may_have_a_proper_name(folder):
    (folder / "card.yaml").write_text("datasets: {grid: GRID}", encoding="utf-8")
    text = update_card(folder, {"validation": results()})
    (entry, *_) = ModelCard(text).data.eval_results
    assert (entry.dataset_name, entry.dataset_type, entry.dataset_split) == ("GRID", "grid", "validation")


@pytest.mark.parametrize(
    ("model", "named"), [("grid-s1", "grid-s1"), ("me/voice", "me/voice"), ("best", "OWNER/mine"), ("", "OWNER/mine")]
)
def test_older_results_without_a_command(folder, model, named):
    text = update_card(folder, {"validation": results(model=model)})
    assert f"lip2wav evaluate --model {named} --data grid --split validation -o out/validation\n" in text


@pytest.mark.parametrize(
    ("trained_on", "said"),
    [
        ("[grid/train]", "No clip of `validation` was trained on."),
        ("[grid/train, grid/validation]", "The clips of `validation` were trained on"),
        ("[elsewhere/train]", None),
        ("[]", None),
    ],
)
def test_held_out_is_said_where_it_is_known(folder, trained_on, said):
    (folder / "card.yaml").write_text(f"trained_on: {trained_on}", encoding="utf-8")
    text = update_card(folder, {"validation": results()})
    assert ("trained on" in text) == (said is not None)
    assert said is None or said in text


def test_held_out_is_said_of_some_splits_only(folder):
    (folder / "card.yaml").write_text("trained_on: [grid/train]", encoding="utf-8")
    text = update_card(folder, {name: results(name) for name in ("train", "validation", "unseen_validation")})
    assert "No clip of `validation` or `unseen_validation` was trained on." in text
    assert "The clips of `train` were trained on" in text


def test_a_run_of_the_first_clips_only_is_warned_of(folder, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(results(**MINE)), encoding="utf-8")
    done = CliRunner().invoke(app, ["card", str(folder), "--results", f"validation={tmp_path / 'results.json'}"])
    assert done.exit_code == 0
    assert "warning: the results of validation are of its first 6 clips only (--limit 6)" in done.stderr


def test_a_card_does_not_say_where_folders_lie(folder):
    given = results(
        command="lip2wav evaluate --model /home/me/run --data '/data/my GRID' --baseline old=/home/me/b -o out/x"
    )
    text = update_card(folder, {"validation": given})
    assert "lip2wav evaluate --model run --data 'my GRID' --baseline old=b -o out/x" in text and "/home" not in text
    assert "/home" not in (folder / "results" / "validation.json").read_text(encoding="utf-8")
    assert update_card(folder, {"validation": given}, check=True) == text
