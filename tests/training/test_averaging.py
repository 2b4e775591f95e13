"""Averages of models: their weights, and what cannot be averaged."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from lip2wav_hf import Lip2WavFeatureExtractor, Lip2WavModel
from lip2wav_hf.commands.main import app
from lip2wav_hf.lite.graphs import STREAMS, has_graphs, open_graphs
from lip2wav_hf.training.averaging import AveragingError, average_models
from lite.conftest import exported  # noqa: F401  a fixture


@pytest.fixture
def two_models(tiny_model_dir, tmp_path):
    """A model, and one with other weights in half precision that has a card and a critic's folder."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        shutil.copytree(tiny_model_dir, folder)
    weights = load_file(second / "model.safetensors")
    changed = {name: (v + 1).half() if v.is_floating_point() else v for name, v in weights.items()}
    save_file(changed, second / "model.safetensors", metadata={"format": "pt"})
    for name in ("README.md", "adaptation.json", "validation.jsonl", "encoder_model.onnx"):
        (second / name).write_text("true of the second alone")
    (second / "critic").mkdir()
    (second / "critic" / "config.json").write_text("{}")
    return first, second


def test_the_average_lies_between(two_models, tmp_path):
    output = average_models(two_models, tmp_path / "average", [0.75, 0.25])
    first = load_file(two_models[0] / "model.safetensors")
    found = load_file(output / "model.safetensors")
    for name, value in found.items():
        if value.is_floating_point():
            assert value.dtype == torch.float16
            assert torch.allclose(value.float(), first[name].float() + 0.25, atol=2e-3), name
    assert Lip2WavModel.from_pretrained(output) and Lip2WavFeatureExtractor.from_pretrained(output)
    # What was measured of the second is not true of the average.
    assert not [path for path in output.glob("*") if path.is_file() and path.read_bytes().startswith(b"true of")]
    assert (output / "critic" / "config.json").is_file()
    assert not list(tmp_path.glob(".*tmp*"))


def test_an_average_has_the_graphs_of_its_models(exported, tmp_path):  # noqa: F811
    """They take their numbers from its weights; those of one model, or of both."""
    other = Path(shutil.copytree(exported, tmp_path / "other"))
    for name in STREAMS:
        (other / name).unlink()
    weights = load_file(other / "model.safetensors")
    weights["text_head.bias"] += 2
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    average = average_models([exported, other], tmp_path / "average")
    given = {"pixel_values_videos": np.zeros((1, 5, 1, 40, 64), np.float32)}
    given["speaker_embedding"] = np.ones((1, 3), np.float32)
    logits = [open_graphs(folder).encoder.run(["text_logits"], given)[0] for folder in (exported, average)]
    np.testing.assert_allclose(logits[0] + 1, logits[1], atol=2e-3)
    open_graphs(average, STREAMS)


def test_graphs_that_an_average_cannot_have_are_named(exported, tmp_path):  # noqa: F811
    other = Path(shutil.copytree(exported, tmp_path / "other"))
    weights = load_file(other / "model.safetensors")
    save_file({name: value.float() for name, value in weights.items()}, other / "model.safetensors")
    output = tmp_path / "average"
    done = CliRunner().invoke(app, ["average", str(exported), str(other), "-o", str(output)])
    assert done.exit_code == 0 and not has_graphs(output)
    why = "those of its models do not fit it, or are damaged. Write them: lip2wav lite"
    assert f"warning: {output}: it has no ONNX graphs for videos and live speech: {why} {output}\n" in done.output


def test_an_average_reads_words_only_if_all_do(two_models, tmp_path):
    first, second = two_models
    path = first / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"text_recognition": False}))
    assert not Lip2WavModel.from_pretrained(average_models(two_models, tmp_path / "average")).config.reads_words
    assert Lip2WavModel.from_pretrained(second).config.reads_words


def test_the_command(two_models, tmp_path):
    arguments = ["average", *map(str, two_models), "-o", str(tmp_path / "average")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0 and "next: lip2wav evaluate --model" in done.output
    named = CliRunner().invoke(app, ["average", str(two_models[0]), "grid-s1", "-o", str(tmp_path / "named")])
    assert named.exit_code == 2 and "grid-s1 are of different architectures" in named.output
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 2 and "there already" in again.output


def test_what_cannot_be_averaged_is_said(two_models, tmp_path):
    first, second = two_models
    with pytest.raises(AveragingError, match="sum of 0.9"):
        average_models(two_models, tmp_path / "average", [0.5, 0.4])
    with pytest.raises(AveragingError, match="^two models or more are needed: name the folder of another one too.$"):
        average_models([first], tmp_path / "average")
    with pytest.raises(AveragingError, match="^2 models, but 1 share: give each its share"):
        average_models(two_models, tmp_path / "average", [1.0])
    with pytest.raises(AveragingError, match="no model.safetensors"):
        average_models([first, tmp_path / "nothing"], tmp_path / "average")
    weights = load_file(second / "model.safetensors")
    weights["text_head.bias"] = weights["text_head.bias"][:-1].clone()
    save_file(weights, second / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AveragingError, match="know different words: only models of the same are averaged"):
        average_models(two_models, tmp_path / "average")
    weights["decoder.more"] = weights["text_head.bias"].clone()
    save_file(weights, second / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AveragingError, match="of different architectures: decoder.more differs"):
        average_models(two_models, tmp_path / "average")
    assert not (tmp_path / "average").exists()
