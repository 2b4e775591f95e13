"""The models to compare with, in `baselines/`: each speaks, and its results are of its weights."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import yaml

import lip2wav_hf
from lip2wav_hf import pipeline
from lip2wav_hf.commands.info import describe_model
from lip2wav_hf.evaluation.systems import weights_sha256
from lip2wav_hf.models import BASELINES, SPEAKING, baseline_models


SAMPLE = Path(lip2wav_hf.__file__).parent / "assets" / "sample.mp4"


def test_all_folders_are_models_that_speak():
    assert baseline_models(SPEAKING) == sorted(path for path in BASELINES.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", baseline_models(), ids=lambda folder: folder.name)
def test_a_baseline_speaks_by_its_name(folder, caplog):
    speak = pipeline("video-to-speech", model=folder.name)
    with caplog.at_level(logging.WARNING):
        speech = speak(str(SAMPLE))
    assert speech["text"] == speech["written"] == "" and speech["words"] == [] and not caplog.records
    assert describe_model(folder).text_units is None
    assert len(speech["audio"]) == 3 * speech["sampling_rate"] and np.isfinite(speech["audio"]).all()
    assert np.abs(speech["audio"]).max() > 0.02
    results = json.loads((folder / "results" / "validation.json").read_text(encoding="utf-8"))
    assert results["model_sha256"] == weights_sha256(speak) and results["clips"] == 50
    assert "text_wer" not in json.dumps(results)  # neither reads words
    assert (folder / "model.safetensors").stat().st_size < 8e6
    card = yaml.safe_load((folder / "card.yaml").read_text(encoding="utf-8"))
    assert card["core_hours"] > 0 and card["license"] and folder.name in (BASELINES / "README.md").read_text("utf-8")
    assert (folder / "validation.jsonl").read_text(encoding="utf-8").count("\n") > 3  # its learning curve
