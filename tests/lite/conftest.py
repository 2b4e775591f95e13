"""Models with ONNX graphs, small enough for a test."""

import shutil
from pathlib import Path

import pytest
import torch

from conftest import TINY_CONFIG
from lip2wav_hf import Lip2WavConfig, Lip2WavFeatureExtractor, Lip2WavModel


SETTINGS = {
    "vocabulary": ["yes", "no"],
    "grammar": "#JSGF V1.0;\ngrammar g;\npublic <s> = yes | no | yes no;\n",
    "word_conditioning": True,
    "speaker_embedding_size": 3,
}


@pytest.fixture(scope="session")
def exported(made_once) -> Path:
    """A model that takes a voice and has a grammar, whose decoder is told the words; in half precision. Its graphs."""
    pytest.importorskip("onnxscript", reason="the extra `lite` is not installed")

    def make(folder):
        from lip2wav_hf.lite.export import CLIP_PARTS, export_graphs
        from lip2wav_hf.live.graphs import STREAM_PARTS

        torch.manual_seed(0)
        Lip2WavModel(Lip2WavConfig(**TINY_CONFIG | SETTINGS)).half().save_pretrained(folder)
        Lip2WavFeatureExtractor().save_pretrained(folder)
        text = (folder / "config.json").read_text()
        (folder / "config.json").write_text(text.replace('"dtype": "float16"', '"dtype": "float32"'))
        export_graphs(folder, CLIP_PARTS | STREAM_PARTS)

    return made_once("graphs", make)


@pytest.fixture
def copied(exported, tmp_path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(exported, tmp_path / "model"))
