"""Training as processes: killed at any moment, and two at once."""

import json
import signal

import pytest
import torch

from conftest import TINY_CONFIG
from lip2wav_hf import Lip2WavCritic, Lip2WavModel
from lip2wav_hf.hub.facts import start_facts
from lip2wav_hf.training.output_dir import find_checkpoints
from lip2wav_hf.training.record import read_record
from warm_processes import killing


pytestmark = pytest.mark.slow

STEPS = 12
OPTIONS = ["--save_steps", 2, "--validation_steps", 3, "--dataloader_workers", 1]

TRAINING = "lip2wav_hf.training"
# Where a run kills itself: a function, which of its calls in that process, and whether before or after its work.
KILLS = [
    (f"{TRAINING}.loop.train_step", 2, "before"),  # nothing is saved yet
    ("torch.save", 2, "before"),  # in the middle of writing the first checkpoint
    (f"{TRAINING}.checkpoints.replace_folder", 1, "before"),  # a whole checkpoint, not yet in its place
    (f"{TRAINING}.checkpoints.replace_folder", 1, "after"),  # checkpoint-2 is the first to count
    (f"{TRAINING}.loop.train_step", 2, "after"),  # in mid-epoch, a step after it
    (f"{TRAINING}.validation.validate_audio", 1, "before"),  # while validating at step 3
    (f"{TRAINING}.checkpoints._save_network", 2, "before"),  # best/ without its critic
    (f"{TRAINING}.checkpoints.replace_folder", 2, "before"),  # checkpoint-4, after best/
    (f"{TRAINING}.checkpoints.replace_folder", 2, "after"),
    (f"{TRAINING}.loop.train_step", 4, "before"),  # after checkpoint-6
]


@pytest.fixture(scope="module")
def recipe(corpus, tmp_path_factory):
    """Tiny networks, critic included, on six synthetic clips."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "model.json").write_text(json.dumps(TINY_CONFIG | {"model_type": "lip2wav", "dropout": 0.1}))
    (folder / "critic.json").write_text(
        json.dumps({"channels": [4, 8], "strides": [8, 8], "kernel_size": 5, "spectral_channels": [4, 4]})
    )
    path = folder / "recipe.yaml"
    path.write_text(
        f"data_dir: [{corpus}]\ncache_dir: {folder / 'cache'}\nconfig: {folder / 'model.json'}\n"
        f"critic_config: {folder / 'critic.json'}\nadversarial: 0.01\ncritic_start: 2\ncritic_warmup: 2\n"
        f"max_steps: {STEPS}\nbatch_size: 2\nmixed_precision: 'no'\nwith_tracking: false\ndataloader_workers: 0\n"
        "preprocessing_workers: 1\ndecoder_windows: 2\nvalidation_clips: 0\nsave_total_limit: 2\n"
    )
    return path


@pytest.fixture
def launch(processes, tmp_path):
    """Runs a training as a process of its own, which may have to kill itself."""

    def launch(*arguments, kill=None):
        done = processes.run(tmp_path / "log.txt", "lip2wav_hf.train", arguments, before=killing(kill))
        assert done.returncode == (0 if kill is None else -signal.SIGKILL), f"{kill}: {done.stderr[-3000:]}"

    return launch


def weights_of(folder):
    critic = Lip2WavCritic.from_pretrained(folder, subfolder="critic").state_dict()
    return Lip2WavModel.from_pretrained(folder).state_dict() | {f"critic.{k}": v for k, v in critic.items()}


def test_a_run_killed_at_ten_places_ends_like_an_uninterrupted_one(recipe, launch, tmp_path):
    output = tmp_path / "killed"
    launch(recipe, *OPTIONS, "--output_dir", tmp_path / "whole")
    for kill in KILLS:
        launch(recipe, *OPTIONS, "--output_dir", output, "--resume", "latest", kill=kill)
    assert [path.name for path in find_checkpoints(output)] == ["checkpoint-4", "checkpoint-6"]
    launch(recipe, *OPTIONS, "--output_dir", output, "--resume", "latest")
    for folder in ("final", "best", f"checkpoint-{STEPS - 2}", f"checkpoint-{STEPS}"):
        expected, found = weights_of(tmp_path / "whole" / folder), weights_of(output / folder)
        assert all(torch.equal(expected[name], found[name]) for name in expected), folder
    assert not list(output.glob("tmp-*"))


FACTS_KILLS = [
    (f"{TRAINING}.checkpoints.replace_folder", 2, "after"),  # best/ and checkpoint-2, and a card.yaml from before
    (f"{TRAINING}.checkpoints.replace_folder", 2, "before"),  # a whole checkpoint-4, not yet in its place
    (f"{TRAINING}.loop.train_step", 3, "after"),
]


def test_weights_and_facts_agree_wherever_a_run_is_killed(recipe, launch, tmp_path):
    options = ["--save_steps", 2, "--validation_steps", 2, "--output_dir", tmp_path, "--resume", "latest"]
    averages, kept = {}, ["--save_total_limit", 100]
    for kill in FACTS_KILLS:
        launch(recipe, *options, *kept, kill=kill)
        for checkpoint in find_checkpoints(tmp_path):
            record = read_record(checkpoint)
            assert checkpoint.name == f"checkpoint-{record.step}"
            assert record.facts["training"].startswith(f"{record.step} steps, each of 1 batch of 2 clips")
            assert torch.load(checkpoint / "custom_checkpoint_2.pkl", weights_only=True)["step"] == record.step
            averages[record.step] = torch.load(checkpoint / "custom_checkpoint_1.pkl", weights_only=True)
        best = read_record(tmp_path / "best")
        if best.step in averages:
            expected, found = averages[best.step], Lip2WavModel.from_pretrained(tmp_path / "best").state_dict()
            assert all(torch.equal(expected[f"module.{name}"].half().float(), found[name].float()) for name in found)
        assert f"{best.step} steps" in (facts := start_facts(tmp_path / "best")).read_text()
        facts.unlink()
    assert len(averages) > 1


LOSSES_SCRIPT = """
import hashlib, json, sys
from accelerate.utils import gather_object
from lip2wav_hf.training import build, loop
from lip2wav_hf.train.__main__ import parse_arguments

output, arguments = sys.argv[1], sys.argv[2:]
state = build.build_state(parse_arguments(arguments))
step, taken, weights = loop.train_step, [], []

def weights_of(*networks):
    # of this process, one number
    found = hashlib.sha256()
    for value in (value for network in networks for value in network.parameters()):
        found.update(value.detach().numpy().tobytes())
    return found.hexdigest()

def record(state, batch):
    losses = step(state, batch)
    weights.append(gather_object([weights_of(state.objective, state.critic)]))
    everywhere = gather_object([losses])  # a process may have none of what needs a clip of unchanged speed
    found = {name: [other[name] for other in everywhere if name in other] for name in set().union(*everywhere)}
    taken.append({name: sum(values) / len(values) for name, values in found.items()})
    return losses

loop.train_step = record
loop.train(state)
if state.accelerator.is_main_process:
    processes = state.accelerator.num_processes
    json.dump({"processes": processes, "losses": taken, "weights": weights}, open(output, "w"))
"""

ALIKE = ["--window_frames", "75", "--splice_probability", "0", "--stretch_probability", "0", "--critic_start", "0"]
ALIKE += ["--critic_warmup", "1", "--max_steps", "4", "--decoder_windows", "16"]


@pytest.fixture
def losses_of_processes(processes, recipe, tmp_path):
    """Losses of a run of several processes."""

    def losses_of_processes(number, *arguments):
        output = tmp_path / f"losses-{number}.json"
        for done in processes.run_group(tmp_path / "log", number, LOSSES_SCRIPT, [output, recipe, *arguments]):
            assert done.returncode == 0, done.stderr[-12000:]
        found = json.loads(output.read_text())
        assert found["processes"] == number
        assert all(len(own) == number and len(set(own)) == 1 for own in found["weights"])  # all have the same
        assert len({own[0] for own in found["weights"]}) == len(found["losses"]), "nothing is learnt"
        return found["losses"]

    return losses_of_processes


def test_two_processes_learn_like_one_with_twice_the_batch(losses_of_processes, tmp_path):
    config = tmp_path / "model.json"
    config.write_text(json.dumps(TINY_CONFIG | {"model_type": "lip2wav", "dropout": 0.0}))
    options = [*ALIKE, "--config", config]
    one = losses_of_processes(1, *options, "--batch_size", 4, "--output_dir", tmp_path / "one")
    two = losses_of_processes(2, *options, "--batch_size", 2, "--output_dir", tmp_path / "two")
    assert len(one) == len(two) == 4
    for expected, found in zip(one, two, strict=True):
        assert set(expected) == set(found)
        for name in ("mel", "envelope", "ctc", "words"):
            # Batch statistics and means over frames are each process's own.
            assert found[name] == pytest.approx(expected[name], rel=0.02), name
        for name in ("magnitude", "stft", "spoken_envelope"):
            # Which windows are heard is random.
            assert found[name] == pytest.approx(expected[name], rel=0.2), name
        assert found["wasserstein"] == pytest.approx(expected["wasserstein"], abs=0.2)
    weights = weights_of(tmp_path / "two" / "final")
    assert all(value.isfinite().all() for value in weights.values())


def test_two_processes_go_on_exactly(losses_of_processes, tmp_path):
    options = ["--max_steps", 4, "--save_epochs", 1, "--validation_epochs", 10, "--critic_start", 0]
    whole = losses_of_processes(2, *options, "--output_dir", tmp_path / "whole")
    checkpoints = sorted(
        (path for path in (tmp_path / "whole").glob("checkpoint-*")), key=lambda p: int(p.name.partition("-")[2])
    )
    first = checkpoints[0]
    done = int(first.name.partition("-")[2])
    assert 0 < done < 4
    resumed = losses_of_processes(2, *options, "--output_dir", tmp_path / "parts", "--resume", first)
    assert resumed == whole[done:]
    expected, found = weights_of(tmp_path / "whole" / "final"), weights_of(tmp_path / "parts" / "final")
    assert all(torch.equal(expected[name], found[name]) for name in expected)
