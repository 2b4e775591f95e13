"""`--push_to_hub`: from clips to a measured model on the Hub, through the command line."""

import json
import os
import subprocess
import sys

import pytest

from conftest import TINY_CONFIG
from hub_stub import HubStub
from lip2wav_hf.synthetic.corpus import write_corpus


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Two steps of a tiny generator with a critic, on four synthetic clips."""
    folder = tmp_path_factory.mktemp("publishing")
    write_corpus(folder / "corpus", speakers=["synthetic1"], sentences_per_speaker=4, seed=3)
    (folder / "model.json").write_text(json.dumps(TINY_CONFIG | {"model_type": "lip2wav"}))
    path = folder / "recipe.yaml"
    path.write_text(
        f"data_dir: [{folder / 'corpus'}]\ncache_dir: {folder / 'cache'}\nconfig: {folder / 'model.json'}\n"
        "max_steps: 2\nbatch_size: 2\nmixed_precision: 'no'\nwith_tracking: false\ndataloader_workers: 0\n"
        "preprocessing_workers: 1\nvalidation_clips: 0\nadversarial: 0.01\ndecoder_windows: 2\npush_to_hub: true\n"
    )
    return path


def train(recipe, environment, *arguments):
    command = [sys.executable, "-m", "lip2wav_hf.train", str(recipe), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"} | environment, timeout=400
    )


def test_a_training_ends_on_the_hub(recipe, tmp_path):
    with HubStub() as hub:
        options = ["--hub_model_id", "alice/voice", "--hub_license", "cc-by-4.0", "--output_dir", tmp_path / "run"]
        done = train(recipe, hub.environment(tmp_path / "home"), *options)
        assert done.returncode == 0, done.stderr[-3000:]
        assert f"published: {hub.url}/alice/voice/commit/" in done.stdout
        repository = hub.repositories["model", "alice/voice"]
        files = repository.commits[repository.branches["main"]].files
    assert {"model.safetensors", "critic/model.safetensors", "results/validation.json", "README.md"} <= set(files)
    assert b"model-index" in files["README.md"] and b"2 steps" in files["README.md"]


@pytest.mark.parametrize(
    ("options", "token", "complaint"),
    [
        (["--hub_license", "cc-by-4.0"], "hf_aliceToken", "needs --hub_model_id"),
        (["--hub_model_id", "alice/voice"], "hf_aliceToken", "--hub_license"),
        (["--hub_model_id", "alice/voice", "--hub_license", "mit"], None, "needs a token"),
        (["--hub_model_id", "alice/voice", "--hub_license", "mit"], "hf_wrong", "does not take this token"),
    ],
)
def test_what_would_fail_at_the_end_fails_at_the_start(recipe, tmp_path, options, token, complaint):
    with HubStub() as hub:
        environment = hub.environment(tmp_path / "home", token)
        done = train(recipe, environment, *options, "--output_dir", tmp_path / "run")
    assert done.returncode == 2 and complaint in done.stderr, done.stderr[-2000:]
    assert not (tmp_path / "run").exists()
