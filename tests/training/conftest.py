"""What the tests of training share: a small corpus, a recipe for tiny networks, one cached clip."""

import json

import numpy as np
import pytest
from accelerate.state import AcceleratorState

from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.grid.corpus import sentence_words
from lip2wav_hf.synthetic.corpus import write_corpus
from lip2wav_hf.training.cache import CachedClip, write_cached_clip
from lip2wav_hf.training.clips import PreparedClips
from warm_processes import TRAINING, WarmProcesses

from .runs import TINY_CRITIC, TINY_MODEL


@pytest.fixture(scope="session")
def corpus(made_once):
    """A GRID-shaped folder of synthetic talking faces."""
    return made_once(
        "corpus", lambda folder: write_corpus(folder, speakers=["synthetic1"], sentences_per_speaker=6, seed=3)
    )


@pytest.fixture(scope="session")
def recipe(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = folder / "model.json"
    config.write_text(json.dumps(TINY_MODEL))
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"data_dir: [{corpus}]\ncache_dir: {folder / 'cache'}\nconfig: {config}\nmax_steps: 6\nbatch_size: 2\n"
        "mixed_precision: 'no'\nwith_tracking: false\ndataloader_workers: 0\npreprocessing_workers: 1\n"
        "stretch_probability: 0.3\n"
    )
    return [str(recipe)]


@pytest.fixture(scope="session")
def run_arguments(recipe):
    return [*recipe, "--decoder_windows", "2"]


@pytest.fixture(scope="session")
def critic_options(tmp_path_factory):
    critic = tmp_path_factory.mktemp("critic") / "critic.json"
    critic.write_text(json.dumps(TINY_CRITIC | {"spectral_channels": [4, 4], "window_samples": 10240}))
    return ["--adversarial", "0.01", "--critic_config", str(critic)]


@pytest.fixture
def cached_clip(tmp_path):
    """One cached clip whose first pixel tells the frame."""
    words = np.repeat(np.array([-1, 0, 1, 2, 3, 4, 5, -1], np.int8), [10, 9, 9, 9, 9, 9, 9, 11])
    regions = np.zeros((75, 48, 72), np.uint8)
    regions += np.arange(75, dtype=np.uint8)[:, None, None] * 3 + np.arange(72, dtype=np.uint8)[None, None] // 4
    waveform = (8000 * np.sin(np.arange(48000) * 0.05)).astype(np.int16)
    clip = Clip("s1", "bbaf2n", tmp_path / "bbaf2n.mkv", tuple(sentence_words("bbaf2n")))
    path = tmp_path / "bbaf2n.safetensors"
    write_cached_clip(path, CachedClip(regions, waveform, words))
    return PreparedClips([clip], {clip.key: path})


@pytest.fixture(scope="session")
def processes():
    """Trainings as processes of their own, which start at once."""
    with WarmProcesses(TRAINING) as warm:
        yield warm


@pytest.fixture
def fresh_accelerator():
    """Another precision than the other tests' needs another accelerator state."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)
