"""Recipes and options: where they are found, what is wrong with them, and the help."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import lip2wav_hf
from conftest import REPOSITORY
from lip2wav_hf.grid.splits import BUNDLED_SPLIT, SPLIT_SCHEMES
from lip2wav_hf.train.__main__ import main
from lip2wav_hf.training.arguments import TrainingError
from lip2wav_hf.training.options import GROUPS, TrainingParser, parse_arguments
from lip2wav_hf.training.recipes import CONFIGS, find_recipe, list_recipes


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder that is no checkout."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_recipes_come_with_the_package():
    assert CONFIGS == Path(lip2wav_hf.__file__).parent / "configs"
    assert set(list_recipes()) == {path.stem for path in (REPOSITORY / "configs").glob("*.yaml")}
    for name, text in list_recipes().items():
        assert text.endswith(".") and len(text) <= 100, name


@pytest.mark.parametrize("name", ["grid_s1", "grid_s1.yaml", "configs/grid_s1.yaml"])
def test_a_recipe_is_found_by_name_anywhere(elsewhere, name):
    arguments = parse_arguments([name, "--max_steps", "7"])
    assert arguments.optimization.output_dir == "runs/grid_s1" and arguments.optimization.max_steps == 7
    assert Path(arguments.critic.critic_config).read_text() == (REPOSITORY / "configs/grid_critic.json").read_text()


def test_json_files_are_looked_for_beside_the_recipe(elsewhere):
    own = elsewhere / "own"
    own.mkdir()
    shutil.copy(REPOSITORY / "configs/vougioukas2019.json", own / "vougioukas2019.json")
    (own / "mine.yaml").write_text("data_dir: [x]\nconfig: vougioukas2019.json\ncritic_config: grid_critic.json\n")
    arguments = parse_arguments(["own/mine.yaml"])
    assert Path(arguments.models.config).samefile(own / "vougioukas2019.json")  # not the package's
    assert Path(arguments.critic.critic_config).samefile(CONFIGS / "grid_critic.json")
    (elsewhere / "here.json").write_text("{}")
    assert parse_arguments(["own/mine.yaml", "--config", "here.json"]).models.config == "here.json"
    # As documented, whether the folder is there or not.
    found = parse_arguments(["own/mine.yaml", "--critic_config", "configs/vougioukas2019_critic.json"]).critic
    assert Path(found.critic_config).is_file()


def test_a_folder_or_file_of_the_same_name_is_no_recipe(elsewhere):
    (elsewhere / "tiny").mkdir()
    assert find_recipe("tiny") == CONFIGS / "tiny.yaml"
    (elsewhere / "notes.txt").write_text("")
    with pytest.raises(TrainingError, match=r"a recipe is a file \*\.yaml"):
        find_recipe("notes.txt")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["grid_s2"], "Did you mean grid_s1? There are ablation, grid_lips, grid_live, grid_s1"),
        (["grid_s1", "--lerning_rate", "1"], "unknown option --lerning_rate. Did you mean --learning_rate?"),
        (["grid_s1", "--lerning-rate=1"], "unknown option --lerning-rate. Did you mean --learning_rate?"),
        (["--data_dir", "x", "--seed", "3", "grid_s1"], "A recipe comes first"),
        (["grid_s1", "--learn", "1"], "unknown option --learn."),
        (["grid_s1", "--max_steps", "many"], "argument --max_steps: invalid int value: 'many'"),
        (["grid_s1", "--max_steps", "many"], "`lip2wav train --help` lists all options."),
        (["grid_s1", "--seed"], "expected one argument. `lip2wav train --help` lists all options."),
        (["--max_steps", "3"], "required: --data_dir"),
    ],
)
def test_what_is_wrong_is_said(elsewhere, words, complaint, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert complaint in error and error.startswith("error: ") and "Traceback" not in error


def test_arguments_are_named_as_options(elsewhere, capsys, monkeypatch):
    """What a corpus says is worded for Python."""

    def run(sections):
        raise TrainingError("choose a split with `split_scheme=`, not with `somewhere=`.")

    monkeypatch.setattr("lip2wav_hf.train.__main__._run", run)
    assert main(["grid_s1", "--data_dir", "x"]) == 2
    assert capsys.readouterr().err == "error: choose a split with --split_scheme, not with `somewhere=`.\n"


def test_an_unknown_option_of_a_recipe_is_named(elsewhere):
    (elsewhere / "mine.yaml").write_text("data_dir: [x]\nbatchsize: 3\n")
    with pytest.raises(TrainingError, match="mine.yaml: unknown option batchsize. Did you mean batch_size"):
        parse_arguments(["mine.yaml"])


def test_options_may_have_dashes_and_be_turned_off(elsewhere):
    run = parse_arguments(["grid_s1", "--data-dir", "a", "b", "--no_with_tracking", "--push-to-hub"])
    assert run.data.data_dir == ["a", "b"]
    assert not run.optimization.with_tracking and run.optimization.push_to_hub


def test_the_help_has_groups_and_each_option_once():
    text = TrainingParser().format_help()
    options = text[text.index("\ndata:") : text.index("\nrecipes:")]
    for name in GROUPS:
        assert f"\n{name}:\n" in options
    for name in TrainingParser().names:
        assert options.count(f"\n  --{name} ") == 1, name
    assert "--data-dir" not in text and "--no_with_tracking" not in text
    assert len(text[: text.index("\n\n")].splitlines()) <= 4  # the usage
    assert max(map(len, text.splitlines())) <= 120
    assert all(f"'{scheme}'" in text for scheme in SPLIT_SCHEMES)
    listed = " ".join(text[text.index("\nrecipes:") :].split())
    for name, what in list_recipes().items():
        assert f"\n  {name} " in text and f"{name} {what}" in listed  # whole, on as many lines as it takes


def test_help_and_list_work_without_torch(elsewhere):
    """And so in a moment."""
    script = (
        "import sys; sys.modules['torch'] = None; sys.modules['accelerate'] = None\n"
        "from lip2wav_hf.commands.main import main\nmain(sys.argv[1:])"
    )
    for words, expected in ((["train", "--help"], "--learning_rate X"), (["train", "--list"], "grid_s1  ")):
        result = subprocess.run(
            [sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=120, env=os.environ
        )
        assert result.returncode == 0, result.stderr
        assert expected in result.stdout
    columns = {
        line.index(text) for text, line in zip(list_recipes().values(), result.stdout.splitlines(), strict=True)
    }
    assert len(columns) == 1  # of all texts, however long the names are


def test_where_an_option_comes_from_is_known(elsewhere):
    run = parse_arguments(["grid_s1", "--data-dir", "a", "--no_with_tracking", "--gamma=0.1", "--seed", "3"])
    assert run.given == {"data_dir", "with_tracking", "gamma", "seed"}
    assert "synchronize" in run.recipe and not run.recipe & run.given
    without = run.without(["synchronize", "gamma", "critic_start"])
    assert without.data.synchronize is None and without.augmentation.gamma == 0.3 and without.critic.critic_start == 0
    assert without.data.data_dir == ["a"] and "synchronize" not in without.recipe
    assert run.data.synchronize is not None


def test_recipes_say_whose_sound_they_move_and_what_to_write_for_own_speakers():
    """Only speakers from whom the bundled sync network has learnt: for others its offsets scatter."""
    known = set(json.loads(BUNDLED_SPLIT.read_text(encoding="utf-8"))["train"])
    found = 0
    for recipe in sorted((REPOSITORY / "configs").glob("*.yaml")):
        text = recipe.read_text(encoding="utf-8")
        before, named, rest = text.partition("\nsynchronize: ")
        if named:
            found += 1
            comment = " ".join(itertools.takewhile(lambda line: line.startswith("#"), reversed(before.splitlines())))
            assert set(yaml.safe_load(rest.partition("\n")[0])) <= known, recipe
            assert "sync network" in comment and "lip2wav train syncnet --data_dir DATA" in comment, recipe
    assert found >= 8
