"""One sentence of one synthetic speaker, and its pictures."""

import pytest

from lip2wav_hf.grid.corpus import sentence_words
from lip2wav_hf.synthetic.face import render_frames
from lip2wav_hf.synthetic.voice import synthesize_speech


@pytest.fixture(scope="package")
def speech():
    return synthesize_speech(sentence_words("pbbm5p"), "synthetic1", seed=3)


@pytest.fixture(scope="package")
def frames(speech):
    return list(render_frames(speech, "synthetic1", seed=3))
