"""Small trainings for tests."""

import pytest

from conftest import TINY_CONFIG
from lip2wav_hf import Lip2WavConfig, Lip2WavFeatureExtractor, Lip2WavModel
from lip2wav_hf.train.__main__ import parse_arguments
from lip2wav_hf.training import loop
from lip2wav_hf.training.build import build_state
from lip2wav_hf.training.dataset import SpeechClips


TINY_CRITIC = {"window_samples": 8000, "channels": [4, 8], "strides": [8, 8], "kernel_size": 5}
TINY_MODEL = TINY_CONFIG | {"model_type": "lip2wav", "num_mel_bins": 20}


def clips_of(prepared, augmentation=None, seed=0):
    """Examples of prepared clips, as the default networks see them."""
    return SpeechClips(prepared, Lip2WavFeatureExtractor(), Lip2WavConfig().units, 640, augmentation, seed)


def parse(arguments, output, *more):
    """The arguments of a run that writes to `output`."""
    return parse_arguments([*arguments, "--output_dir", str(output), *map(str, more)])


def run(arguments, output, *more):
    """Train; returns the state at the end."""
    state = build_state(parse(arguments, output, *more))
    loop.train(state)
    return state


def losses_of(arguments, output, *more):
    """The losses of each batch of a run."""
    state = build_state(parse(arguments, output, *more))
    step, taken = loop.train_step, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_step", lambda *arguments: taken.append(step(*arguments)) or taken[-1])
        loop.train(state)
    return taken


def weights_of(folder):
    """The weights of a saved generator."""
    return Lip2WavModel.from_pretrained(folder).state_dict()
