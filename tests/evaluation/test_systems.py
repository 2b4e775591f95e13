"""The system under test: what it is called, and which weights a name stands for."""

import shutil
from pathlib import Path

import pytest

from lip2wav_hf.commands.speak import Dtype
from lip2wav_hf.errors import DTYPES, Lip2WavError
from lip2wav_hf.evaluation.options import EvaluationError, EvaluationOptions
from lip2wav_hf.evaluation.systems import load_pipeline, model_name, weights_sha256
from lip2wav_hf.models import ModelError, bundled_models


def test_the_model_of_a_training_is_called_after_its_run(tmp_path, monkeypatch):
    for folder in ("runs/grid_s1/best", "runs/grid_s1/final", "mine"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert model_name("runs/grid_s1/best") == model_name(Path("runs/grid_s1/final/")) == "grid_s1"
    monkeypatch.chdir(tmp_path / "runs" / "grid_s1" / "best")
    assert model_name(".") == "grid_s1" and model_name(tmp_path / "mine") == "mine"
    assert model_name(None) == bundled_models()[0] and model_name("me/best") == "me/best"


def test_a_folder_comes_before_a_bundled_model_of_its_name(tmp_path, monkeypatch, tiny_model_dir):
    shutil.copytree(tiny_model_dir, tmp_path / "grid-s1")
    monkeypatch.chdir(tmp_path)
    options = EvaluationOptions(tmp_path / "out")
    assert weights_sha256(load_pipeline("grid-s1", "cpu", options)[0]) == weights_sha256(
        load_pipeline(str(tiny_model_dir), "cpu", options)[0]
    )
    with pytest.raises(ModelError, match="there is no such folder"):
        load_pipeline("no-such-model", "cpu", options)


def test_a_device_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Lip2WavError, match="^--device no-device: it cannot be used here"):
        load_pipeline(None, "no-device", EvaluationOptions(tmp_path / "out"))


def test_what_a_model_cannot_calculate_in_is_refused(tmp_path):
    assert set(DTYPES) == set(Dtype) - {Dtype.INT8}  # that is for ONNX Runtime
    with pytest.raises(EvaluationError, match="dtype='float8': there are auto, float32, bfloat16, float16"):
        EvaluationOptions(tmp_path / "out", dtype="float8")
