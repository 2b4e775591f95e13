"""`--push_to_hub`: from clips to a measured model on the Hub, through the command line."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml

from conftest import TINY_CONFIG
from hub_stub import HubStub
from lip2wav_hf.hub.publish_training import check_publishing
from lip2wav_hf.hub.push import HubError
from lip2wav_hf.train.__main__ import parse_arguments
from warm_processes import MEASURING, TRAINING, WarmProcesses


@pytest.fixture(scope="module")
def recipe(four_clips, tmp_path_factory):
    """Two steps of a tiny generator with a critic, on four synthetic clips."""
    folder = tmp_path_factory.mktemp("publishing")
    four_clips().rename(folder / "corpus")
    (folder / "model.json").write_text(json.dumps(TINY_CONFIG | {"model_type": "lip2wav"}))
    path = folder / "recipe.yaml"
    path.write_text(
        f"data_dir: [{folder / 'corpus'}]\ncache_dir: {folder / 'cache'}\nconfig: {folder / 'model.json'}\n"
        "max_steps: 2\nbatch_size: 2\nmixed_precision: 'no'\nwith_tracking: false\ndataloader_workers: 0\n"
        "preprocessing_workers: 1\nvalidation_clips: 0\nadversarial: 0.01\ndecoder_windows: 2\npush_to_hub: true\n"
    )
    return path


@pytest.fixture(scope="module")
def server():
    with HubStub() as hub:
        yield hub


@pytest.fixture
def hub(server):
    """A Hub on which nothing is."""
    server.repositories.clear()
    return server


@pytest.fixture(scope="module")
def train(server, recipe, tmp_path_factory):
    """Runs a training in one process or several, with the Hub of the tests; a result of each process."""
    folder = tmp_path_factory.mktemp("trainings")
    home, log = folder / "home", folder / "log"

    def train(*options, token="hf_aliceToken", number=1):
        environment, arguments = server.environment(home, token), [recipe, *options]
        if number > 1:
            return processes.run_group(log, number, "lip2wav_hf.train", arguments, environment)
        return [processes.run(log, "lip2wav_hf.train", arguments, environment=environment)]

    imported = (*TRAINING, *MEASURING, "lip2wav_hf.hub.publish_training")
    with WarmProcesses(imported, server.environment(home)) as processes:
        yield train


def published_files(hub):
    repository = hub.repositories["model", "alice/voice"]
    return repository.commits[repository.branches["main"]].files


OPTIONS = ("--hub_model_id", "alice/voice", "--hub_license", "cc-by-4.0")


@pytest.mark.slow
def test_a_training_ends_on_the_hub(hub, train, tmp_path):
    [done] = train("--hub_model_id", "alice/voice", "--hub_license", "cc-by-4.0", "--output_dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"published: {hub.url}/alice/voice/commit/" in done.stdout
    files = published_files(hub)
    assert {"model.safetensors", "critic/model.safetensors", "results/validation.json", "README.md"} <= set(files)
    card = files["README.md"].decode()
    assert "model-index" in card and "2 steps" in card and "# voice\n" in card
    assert "name: corpus\n" in card and "name: GRID" not in card and "--data GRID" not in card
    assert "No clip of `validation` was trained on." in card
    assert " core-hours, on 1 x " in card and "emissions:" in card
    known = yaml.safe_load((tmp_path / "run" / "card.yaml").read_text(encoding="utf-8"))  # for `lip2wav card`
    assert known["trained_on"] == ["corpus/train"] and "gpu_hours" not in known and "license" not in known


@pytest.fixture
def packed(recipe, tmp_path) -> Path:
    """The same corpus, its videos in an archive."""
    corpus = Path(yaml.safe_load(recipe.read_text())["data_dir"][0])
    folder = tmp_path / "packed"
    folder.mkdir()
    shutil.copy(corpus / "splits.json", folder)
    shutil.copytree(corpus / "alignments", folder / "alignments")
    with zipfile.ZipFile(folder / "synthetic1.zip", "w") as archive:
        for path in (corpus / "video" / "synthetic1").iterdir():
            archive.write(path, f"synthetic1/{path.name}")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("tracking", ["false", "true"])
def test_several_processes_publish_archives_once(hub, train, packed, tmp_path, tracking):
    """
    The main process measures and publishes alone, after the process group has gone (which happens with tracking) or
    while it waits for others that have left; and it reads videos that lie in archives, as the training does.
    """
    options = [*OPTIONS, "--data_dir", packed, "--batch_size", "1", "--with_tracking", tracking]
    done = train(*options, "--output_dir", tmp_path / "run", number=2)
    assert all(process.returncode == 0 for process in done), done[0].stderr[-3000:]
    assert [process.stdout.count("published: ") for process in done] == [1, 0]
    files = published_files(hub)
    assert b"2 steps, each of 2 batches of 1 clip" in files["README.md"]
    results = json.loads(files["results/validation.json"])
    assert results["clips"] == 1 and results["data"] == "packed" and not results["failures"]


def test_options_are_checked_without_a_network(recipe):
    """What a test of documented commands can call."""
    for options, complaint in (
        (["--hub_model_id", "alice/voice", "--hub_private"], "needs --hub_model_id .* and --hub_license"),
        ([*OPTIONS, "--network", "syncnet"], "publishes a generator"),
        (["--hub_model_id", "a/b/c", "--hub_license", "mit"], "not the name of a repository"),
        (OPTIONS, None),
    ):
        sections = parse_arguments([str(recipe), *options])
        models, optimization = sections.models, sections.optimization
        if complaint is None:
            check_publishing(optimization, models.network)
        else:
            with pytest.raises(HubError, match=complaint):
                check_publishing(optimization, models.network)


@pytest.mark.parametrize(
    ("options", "token", "complaint"),
    [
        (["--hub_license", "cc-by-4.0"], "hf_aliceToken", "needs --hub_model_id"),
        (["--hub_model_id", "alice/voice"], "hf_aliceToken", "--hub_license"),
        (["--hub_model_id", "alice/voice", "--hub_license", "mit"], None, "needs a token"),
        (["--hub_model_id", "alice/voice", "--hub_license", "mit"], "hf_wrong", "does not accept this token"),
    ],
)
def test_what_would_fail_at_the_end_fails_at_the_start(hub, train, tmp_path, options, token, complaint):
    [done] = train(*options, "--output_dir", tmp_path / "run", token=token)
    assert done.returncode == 2 and complaint in done.stderr, done.stderr[-2000:]
    assert not (tmp_path / "run").exists()
