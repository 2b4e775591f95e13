"""The files and folders that options name: looked for first, and all of them."""

import os
import subprocess
import sys

import pytest

from conftest import REPOSITORY
from lip2wav_hf.train.__main__ import parse_arguments
from lip2wav_hf.training.arguments import TrainingError
from lip2wav_hf.training.places import check_places


def test_all_that_is_missing_is_named_at_once_and_before_torch_is_loaded(tmp_path):
    script = (
        "import sys; sys.modules['torch'] = None; sys.modules['transformers'] = None\n"
        "from lip2wav_hf.commands.main import main\nmain(sys.argv[1:])"
    )
    (tmp_path / "here").mkdir()
    (tmp_path / "file").write_text("")
    words = ["train", "grid_s1", "--data_dir", "here", "not-here", "--splits_file", "none.json"]
    words += ["--critic_pretrained", "no-critic", "--feature_extractor", "no.json", "--output_dir", "file/run"]
    result = subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ,
        check=False,
    )
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
    for complaint in (
        "error: --data_dir not-here: no such folder",
        "--feature_extractor no.json: there is no such file",
        "--splits_file none.json: there is no such file",
        "--output_dir file/run: file is a file, not a folder",
        "--speech_encoder runs/speech_encoder/final: no speech encoder can be loaded from there",
        "Train it first",
        "--critic_pretrained no-critic: no critic can be loaded from there",
    ):
        assert complaint in result.stderr
    assert "--data_dir here:" not in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--speech_encoder", "grid-s1", "--critic_pretrained", "grid-s1", "--pretrained", "grid-s1"],
        ["--sync_network", "grid-sync", "--config", "tiny.json"],
        ["--network", "speech_encoder", "--pretrained", "grid-s1", "--lips_of", "grid-s1"],
        ["--speech_encoder", "somebody/something", "--pretrained", "somebody/something"],  # which only the Hub knows
    ],
)
def test_what_is_there_or_may_be_on_the_hub_passes(tmp_path, options):
    check_places(parse_arguments(["--data_dir", str(tmp_path), *options]))


def test_a_generator_whose_lips_are_to_be_imagined_must_be_there(tmp_path):
    options = ["--data_dir", str(tmp_path), "--network", "speech_encoder", "--lips_of", str(tmp_path)]
    with pytest.raises(TrainingError, match="--lips_of .*: no generator can be loaded from there.*no config.json"):
        check_places(parse_arguments(options))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_where_the_corpus_of_a_recipe_is_missing_it_says_how_to_get_one(tmp_path, monkeypatch, path):
    """And does not look for it on the Hub, as for a name that a person gave."""
    monkeypatch.chdir(tmp_path)
    recipe = parse_arguments([str(path)])
    with pytest.raises(
        TrainingError, match="which the recipe names: no such folder. Give yours, --data_dir; or (re|do)"
    ):
        check_places(recipe)
    (tmp_path / "mine.yaml").write_text("data_dir: [me/voices]\n")
    check_places(parse_arguments([str(tmp_path / "mine.yaml")]))  # a recipe of one's own may name a dataset


def test_a_checkpoint_is_no_model_to_start_from(tmp_path):
    checkpoint = tmp_path / "run" / "checkpoint-4"
    checkpoint.mkdir(parents=True)
    (checkpoint / "optimizer.bin").write_bytes(b"")
    with pytest.raises(TrainingError, match="--pretrained: model .*checkpoint-4: this is a checkpoint.*--resume"):
        check_places(parse_arguments(["--data_dir", str(tmp_path), "--pretrained", str(checkpoint)]))
