"""The folder of a run: no run ends up in another's, and checkpoints are in the order in which they were written."""

import json
import shutil

import pytest

from lip2wav_hf.train.__main__ import main
from lip2wav_hf.training.arguments import OptimizationArguments, TrainingError
from lip2wav_hf.training.output_dir import (
    check_output_dir,
    checkpoint_to_resume,
    clear_output_dir,
    damage_of,
    find_checkpoints,
    forget_later_validations,
    next_number,
    write_sums,
)
from lip2wav_hf.training.record import RECORD_FILE, Record, read_record, write_record

from .runs import run


@pytest.fixture
def add(tmp_path):
    """Adds a checkpoint to a folder."""

    def make(step, number, name="run"):
        folder = tmp_path / name / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "optimizer.bin").write_bytes(b"")
        if number:
            write_record(folder, Record(step, number, 1, {}))
        return folder

    return make


def names(folders):
    return [path.name for path in folders]


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_checkpoints_are_in_the_order_in_which_they_were_written(add, tmp_path):
    add(8, 4), add(20, 1), add(6, 3), add(100, None), add(9, None)
    (tmp_path / "run" / "checkpoint-old").mkdir()
    assert names(find_checkpoints(tmp_path / "run")) == [f"checkpoint-{step}" for step in (9, 100, 20, 6, 8)]
    assert next_number(tmp_path / "run") == 5 and next_number(tmp_path / "nowhere") == 1
    arguments = OptimizationArguments(output_dir=str(tmp_path / "run"), resume="latest")
    assert checkpoint_to_resume(arguments).name == "checkpoint-8"


def test_a_run_does_not_begin_in_the_folder_of_another(run_arguments, tmp_path, capsys):
    words = [*run_arguments, "--output_dir", str(tmp_path / "run"), "--validation_clips", "0"]
    assert main([*words, "--max_steps", "3"]) == 0
    before = snapshot(tmp_path / "run")
    capsys.readouterr()
    assert main([*words, "--max_steps", "1"]) == 2
    message = capsys.readouterr().err
    assert message.startswith(
        f"error: --output_dir {tmp_path / 'run'}: another run is in it (checkpoint-3, best, final)"
    )
    assert "--resume latest" in message and "--overwrite_output_dir" in message and "another folder" in message
    assert snapshot(tmp_path / "run") == before
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert main([*words, "--max_steps", "1", "--overwrite_output_dir", "--save_total_limit", "1"]) == 0
    assert names(find_checkpoints(tmp_path / "run")) == ["checkpoint-1"]
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    lines = (tmp_path / "run" / "validation.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1]


def test_a_run_that_goes_back_keeps_what_it_writes(run_arguments, tmp_path):
    """Its checkpoints have lower steps than those that were there, and are the last all the same."""
    options = ["--save_steps", 2, "--validation_clips", 0, "--save_total_limit", 3]
    run(run_arguments, tmp_path, *options)
    assert names(find_checkpoints(tmp_path)) == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]
    back = [*options, "--resume", tmp_path / "checkpoint-2", "--max_steps", 3, "--save_total_limit", 1]
    run(run_arguments, tmp_path, *back)
    assert names(find_checkpoints(tmp_path)) == ["checkpoint-3"]
    assert run(run_arguments, tmp_path, *options, "--resume", "latest", "--max_steps", 4).progress.step == 4
    steps = [json.loads(line)["step"] for line in (tmp_path / "validation.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))


def test_a_run_goes_on_from_elsewhere_into_a_folder_of_its_own(run_arguments, tmp_path):
    run(run_arguments, tmp_path / "one", "--max_steps", 2, "--validation_clips", 0)
    options = ["--max_steps", 2, "--validation_clips", 0, "--resume", tmp_path / "one" / "checkpoint-2"]
    run(run_arguments, tmp_path / "other", *options)
    assert names(find_checkpoints(tmp_path / "other")) == ["checkpoint-2"]
    assert read_record(tmp_path / "other" / "checkpoint-2").number == 1


@pytest.mark.parametrize(
    ("options", "left", "complaint"),
    [
        ({}, ["best"], r"another run is in it \(best\)"),
        ({}, ["checkpoint-4"], "another run is in it"),
        ({"resume": "latest"}, ["best", "final"], "another run is in it"),  # finished, and without checkpoints
        ({"resume": "latest"}, ["best"], None),  # killed before its first checkpoint
        ({"resume": "latest"}, ["checkpoint-4", "final"], None),
        ({"resume": "{run}/checkpoint-4"}, ["checkpoint-4", "final"], None),
        ({"resume": "{other}/checkpoint-9"}, ["checkpoint-4"], "another run is in it"),
        ({"resume": "{other}/checkpoint-9"}, [], None),
        ({"resume": "{other}/checkpoint-9", "overwrite_output_dir": True}, ["checkpoint-4"], None),
        ({"resume": "{run}/checkpoint-4", "overwrite_output_dir": True}, ["checkpoint-4"], "would delete what"),
        ({"resume": "latest", "overwrite_output_dir": True}, [], "would delete what --resume is to go on with"),
        ({"resume": "{run}/checkpoint-5"}, ["checkpoint-4"], r"no such checkpoint folder .* There are .*checkpoint-4"),
        ({"resume": "{run}/best"}, ["checkpoint-4", "best"], "this is no checkpoint of a training.*--pretrained"),
    ],
)
def test_what_a_folder_may_hold_when_a_run_begins(add, tmp_path, options, left, complaint):
    add(9, 1, "other")
    (tmp_path / "run").mkdir()
    for name in left:
        add(4, 1) if name == "checkpoint-4" else (tmp_path / "run" / name).mkdir()
    places = {"run": tmp_path / "run", "other": tmp_path / "other"}
    options = {name: each.format(**places) if isinstance(each, str) else each for name, each in options.items()}
    arguments = OptimizationArguments(output_dir=str(tmp_path / "run"), **options)
    if complaint is None:
        check_output_dir(arguments)
    else:
        with pytest.raises(TrainingError, match=complaint):
            check_output_dir(arguments)


def test_a_file_is_no_output_folder(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(TrainingError, match="this is a file"):
        check_output_dir(OptimizationArguments(output_dir=str(tmp_path / "run")))


def test_only_what_a_run_leaves_is_deleted(add, tmp_path):
    add(4, 1)
    (tmp_path / "run" / "best").mkdir()
    for name in ("validation.jsonl", "card.yaml", "splits.json", "mine.txt"):
        (tmp_path / "run" / name).write_text("")
    clear_output_dir(tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["mine.txt", "splits.json"]


def test_validations_that_will_be_made_again_are_dropped(tmp_path):
    path = tmp_path / "validation.jsonl"
    path.write_text('{"step": 2}\n{"step": 4}\n{"step": 6}\n{"ste')  # killed while it wrote
    forget_later_validations(tmp_path, 4)
    assert path.read_text() == '{"step": 2}\n{"step": 4}\n'
    forget_later_validations(tmp_path, 0)
    assert path.read_text() == ""
    shutil.rmtree(tmp_path)
    forget_later_validations(tmp_path, 0)


@pytest.mark.parametrize("damage", ["emptied", "cut off", "changed", "removed", "no record", "no sums"])
def test_a_damaged_checkpoint_is_not_gone_on_from(add, tmp_path, caplog, damage):
    """Accelerate goes on without what it cannot load, such as the random states."""
    for step in (4, 8):
        folder = add(step, step)
        (folder / "random_states_0.pkl").write_bytes(bytes(1000))
        write_sums(folder)
    latest = OptimizationArguments(output_dir=str(tmp_path / "run"), resume="latest")
    assert damage_of(folder) is None and checkpoint_to_resume(latest) == folder
    states = folder / "random_states_0.pkl"
    {
        "emptied": lambda: states.write_bytes(b""),
        "cut off": lambda: states.write_bytes(bytes(10)),
        "changed": lambda: states.write_bytes(bytes(999) + b"1"),
        "removed": states.unlink,
        "no record": lambda: (folder / RECORD_FILE).write_text("{"),
        "no sums": lambda: (folder / "sha256.json").write_text("[1]"),
    }[damage]()
    assert checkpoint_to_resume(latest).name == "checkpoint-4"
    assert "checkpoint-8 is damaged" in caplog.text and "going on from" in caplog.text
    named = OptimizationArguments(output_dir=str(tmp_path / "run"), resume=str(folder))
    with pytest.raises(TrainingError, match="it is damaged .*There are .*checkpoint-4"):
        checkpoint_to_resume(named)
    (folder.parent / "checkpoint-4" / "random_states_0.pkl").write_bytes(b"")
    with pytest.raises(TrainingError, match="every checkpoint is damaged"):
        checkpoint_to_resume(latest)


def test_an_empty_state_is_damage_without_sums_too(add):
    folder = add(8, 1)
    (folder / "random_states_0.pkl").touch()
    assert "random_states_0.pkl is not as it was written" in damage_of(folder)
