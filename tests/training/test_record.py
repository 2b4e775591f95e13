"""What a run writes about itself, and what it says, or refuses, where options have changed when it goes on."""

import dataclasses
import json

import pytest
import yaml

from lip2wav_hf.hub.facts import start_facts
from lip2wav_hf.train.__main__ import main
from lip2wav_hf.training.arguments import TrainingError
from lip2wav_hf.training.build import build_state
from lip2wav_hf.training.checkpoints import begin
from lip2wav_hf.training.record import RECORD_FILE, Record, changes, check_kept, describe_changes, read_record

from .runs import TINY_MODEL, parse, run


@pytest.fixture(scope="module")
def done(run_arguments, tmp_path_factory):
    """A run of two steps."""
    output = tmp_path_factory.mktemp("done")
    run(run_arguments, output, "--max_steps", 2, "--validation_clips", 0)
    return output


def test_weights_and_facts_lie_together(done):
    for name in ("checkpoint-2", "best", "final"):
        record = read_record(done / name)
        assert record.step == 2 and record.facts["training"].startswith("2 steps, each of 1 batch of 2 clips")
        assert record.facts["summary"].endswith("trained on 1 speaker.")
        assert record.options["max_steps"] == 2 and record.processes == 1
        assert record.number == (1 if name == "checkpoint-2" else 0)
    assert yaml.safe_load((done / "card.yaml").read_text())["training"].startswith("2 steps")
    facts = start_facts(done / "best")
    assert "2 steps" in facts.read_text() and "max_steps" not in facts.read_text()


def test_the_card_of_a_model_is_of_its_own_weights(done):
    """Not of the run, which may have gone on."""
    (done / "card.yaml").write_text("training: 999 steps\n")
    assert "2 steps" in start_facts(done / "final").read_text()


def test_changes_are_listed(run_arguments, tmp_path):
    before = parse(run_arguments, tmp_path, "--max_steps", 2, "--speakers", "synthetic1")
    record = Record(2, 1, 1, json.loads(json.dumps(before.options())))
    assert changes(record, before) == {}
    now = parse(run_arguments, tmp_path, "--max_steps", 4, "--resume", "latest", "--validation_steps", 3)
    found = describe_changes(changes(record, now))
    assert found == "speakers: [synthetic1] -> none; max_steps: 2 -> 4; validation_steps: none -> 3"
    without = dataclasses.replace(record, options={"max_steps": 4, "speakers": ["synthetic1"], "gone": 1})
    assert "max_steps" not in changes(without, now)  # and an option that there was not yet has its default


def test_another_path_to_the_same_file_is_no_change(run_arguments, tmp_path, monkeypatch):
    """As when a recipe is named once by its name, and once by its path."""
    (tmp_path / "here").mkdir()
    for name in ("one.json", "two.json"):
        (tmp_path / "here" / name).write_text("{}")
    monkeypatch.chdir(tmp_path)
    before = parse(run_arguments, tmp_path, "--config", "here/one.json")
    record = Record(2, 1, 1, json.loads(json.dumps(before.options())))
    assert changes(record, parse(run_arguments, tmp_path, "--config", tmp_path / "here" / "one.json")) == {}
    assert list(changes(record, parse(run_arguments, tmp_path, "--config", "here/two.json"))) == ["config"]
    (tmp_path / "here" / "one.json").unlink()  # then nobody knows
    assert list(changes(record, parse(run_arguments, tmp_path, "--config", "./here/one.json"))) == ["config"]


def test_a_run_that_goes_on_says_what_has_changed(run_arguments, done, capsys):
    words = [*run_arguments, "--output_dir", str(done), "--validation_clips", "0", "--resume", "latest"]
    assert main([*words, "--max_steps", "3", "--learning_rate", "0.001"]) == 0
    output = capsys.readouterr().out
    assert "changed since: max_steps: 2 -> 3; learning_rate: 0.0015 -> 0.001\n" in output
    assert main([*words, "--max_steps", "3", "--learning_rate", "0.001"]) == 0
    assert "changed since" not in capsys.readouterr().out


def test_a_changed_learning_rate_is_what_is_learnt_with(run_arguments, critic_options, tmp_path):
    """An optimiser's state holds that of before."""
    options = ["--validation_clips", 0, "--warmup_ratio", 0, "--schedule", "constant", *critic_options]
    run(run_arguments, tmp_path, *options, "--max_steps", 1)
    changed = ["--learning_rate", 0.25, "--weight_decay", 0.5, "--critic_learning_rate", 0.125, "--adam_beta1", 0.75]
    state = build_state(parse(run_arguments, tmp_path, *options, *changed, "--max_steps", 3, "--resume", "latest"))
    begin(state)
    groups = [state.optimizer.param_groups[0], state.critic_learner.optimizer.param_groups[0]]
    assert [group["lr"] for group in groups] == [0.25, 0.125]
    assert groups[0]["weight_decay"] == 0.5 and groups[0]["betas"][0] == 0.75
    state.scheduler.step()
    assert groups[0]["lr"] == 0.25


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--network", "syncnet"], "network: generator -> syncnet"),
        (["--validation_split", "train"], "validation_split: validation -> train"),
        (["--speakers", "synthetic1"], r"speakers: none -> \[synthetic1\]"),
        (
            ["--split_scheme", "seen4", "--train_split", "all"],
            "split_scheme: custom -> seen4; train_split: train -> all",
        ),
    ],
)
def test_what_cannot_change_is_refused(recipe, done, options, complaint):
    arguments = parse(recipe, done, *options, "--resume", "latest")
    with pytest.raises(TrainingError, match=f"checkpoint-2 cannot be resumed .*{complaint}.*--pretrained .*best"):
        check_kept(done / "checkpoint-2", arguments)


def test_another_network_is_refused_though_the_file_has_the_same_name(run_arguments, done, tmp_path):
    wider = tmp_path / "wider.json"
    wider.write_text(json.dumps(TINY_MODEL | {"intermediate_size": 24}))
    with pytest.raises(TrainingError, match=r"cannot be resumed .*\(intermediate_size: 16 -> 24\)"):
        build_state(parse(run_arguments, done, "--config", wider, "--resume", "latest"))


def test_a_critic_cannot_come_nor_go(run_arguments, critic_options, done):
    with pytest.raises(TrainingError, match="adversarial: without a critic -> with one"):
        build_state(parse(run_arguments, done, *critic_options, "--resume", "latest"))


def test_other_clips_are_refused(run_arguments, corpus, done, tmp_path):
    splits = json.loads((corpus / "splits.json").read_text())
    splits["train"]["synthetic1"] = splits["train"]["synthetic1"][:-1]
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(splits))
    with pytest.raises(TrainingError, match=r"training clips: 5 \(\w+\) -> 4 \(\w+\)"):
        build_state(parse(run_arguments, done, "--splits_file", path, "--resume", "latest"))


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / RECORD_FILE).write_text("{")
    with pytest.raises(TrainingError, match="training.json: it cannot be read as JSON"):
        read_record(tmp_path)
    for content in ('{"step": 1}', '{"step": 1, "number": 1, "processes": 1, "options": [1]}'):
        (tmp_path / RECORD_FILE).write_text(content)
        with pytest.raises(TrainingError, match="not the record of a training"):
            read_record(tmp_path)
    (tmp_path / RECORD_FILE).write_text("[]")
    with pytest.raises(TrainingError, match="it holds no fields, but a list"):
        read_record(tmp_path)
