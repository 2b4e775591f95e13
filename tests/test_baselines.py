"""The models to compare with, in `baselines/`: each speaks, and its results are of its weights."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import lip2wav_hf
from lip2wav_hf import pipeline
from lip2wav_hf.commands.info import describe_model
from lip2wav_hf.evaluation.systems import weights_sha256
from lip2wav_hf.files import BASELINES
from lip2wav_hf.models import SPEAKING, baseline_models


SAMPLE = Path(lip2wav_hf.__file__).parent / "assets" / "sample.mp4"


def test_an_installed_package_finds_those_of_the_working_folder(tmp_path):
    installed = tmp_path / "lib" / "site"
    installed.mkdir(parents=True)
    (installed / "lip2wav_hf").symlink_to(Path(lip2wav_hf.__file__).parent)
    code = "from lip2wav_hf.models import baseline_models, find_model, SPEAKING as s\n"
    code += "print(*(find_model(each.name, s) for each in baseline_models(s)))"
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    for place, found in [(BASELINES.parent, 2), (tmp_path, 0)]:
        command = [sys.executable, "-c", code]
        result = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=True)
        assert result.stdout.split() == [f"baselines/{each.name}" for each in baseline_models(SPEAKING)][:found]


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
