"""What a run leaves on disk."""

import json
import math
import os
import stat

import pytest
import torch
from safetensors import safe_open

from lip2wav_hf import Lip2WavConfig, Lip2WavFeatureExtractor, Lip2WavModel
from lip2wav_hf.training.output_dir import find_checkpoints

from .runs import run


def test_checkpoints_rotate_and_the_model_can_be_used(run_arguments, tmp_path):
    run(run_arguments, tmp_path, "--save_total_limit", 1)
    assert [path.name for path in find_checkpoints(tmp_path)] == ["checkpoint-6"]
    assert not list(tmp_path.glob("tmp-*"))
    lines = [json.loads(line) for line in (tmp_path / "validation.jsonl").read_text().splitlines()]
    assert lines and all(math.isfinite(line["validation/loss"]) for line in lines)
    kept = (tmp_path / "best" / "validation.jsonl").read_text().splitlines()
    assert kept and [json.loads(line) for line in kept] == lines[: len(kept)], "a model takes its curve along"
    assert (tmp_path / "final" / "validation.jsonl").read_text() == (tmp_path / "validation.jsonl").read_text()
    model, extractor = (
        Lip2WavModel.from_pretrained(tmp_path / "final"),
        Lip2WavFeatureExtractor.from_pretrained(tmp_path / "best"),
    )
    assert model.config.mel_mean != Lip2WavConfig().mel_mean  # measured on the clips
    assert model.dtype == torch.float32  # though the file holds half precision
    with safe_open(tmp_path / "final" / "model.safetensors", "pt") as weights:
        assert weights.get_slice("text_head.weight").get_dtype() == "F16"
    assert extractor.crop_width == model.config.image_width


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_whoever_may_read_a_file_can_read_weights(run_arguments, tmp_path, umask, mode):
    """Safetensors writes files for their owner alone."""
    before = os.umask(umask)
    try:
        run(run_arguments, tmp_path / "run", "--max_steps", 1, "--validation_clips", 0)
        Lip2WavModel.from_pretrained(tmp_path / "run" / "final").save_pretrained(tmp_path / "copy")
    finally:
        os.umask(before)
    for folder in ("run/final", "run/best", "run/checkpoint-1", "copy"):
        for path in (tmp_path / folder).iterdir():
            if path.is_file():
                assert stat.S_IMODE(path.stat().st_mode) == mode, path
