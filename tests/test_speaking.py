"""Speaking without transformers' base classes: the same numbers, and the same refusals."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import TINY_CONFIG
from lip2wav_hf.configuration_lip2wav import Lip2WavConfig
from lip2wav_hf.errors import Lip2WavError, WeightsError
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
from lip2wav_hf.modeling_lip2wav import Lip2WavModel
from lip2wav_hf.models import find_model
from lip2wav_hf.pipeline_video_to_speech import VideoToSpeechPipeline
from lip2wav_hf.speaking import Generator, Speaker, usable_device


BOX = np.array([8.0, 8.0, 56.0, 40.0])


def noise(frames, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (frames, 54, 80, 3), np.uint8)


def clip(frames, seed=0):
    return {"video": noise(frames, seed), "fps": 25, "mouth_boxes": BOX}


def pipeline_of(folder, dtype="auto"):
    return VideoToSpeechPipeline(
        model=Lip2WavModel.from_pretrained(folder, dtype=dtype),
        feature_extractor=Lip2WavFeatureExtractor.from_pretrained(folder),
        device="cpu",
    )


@pytest.mark.parametrize("dtype", ["auto", "float32", "bfloat16"])
def test_numbers_are_those_of_the_pipeline(talking_video, dtype):
    folder = find_model("grid-s1")
    speaker = Speaker.from_folder(folder, "cpu", dtype)
    pipe = pipeline_of(folder, dtype)
    assert speaker.model.dtype == pipe.dtype
    [mine] = speaker([talking_video], return_crops=True)
    theirs = pipe(talking_video, return_crops=True)
    np.testing.assert_allclose(mine["audio"], theirs["audio"], atol=1e-5)
    np.testing.assert_array_equal(mine["crops"], theirs["crops"])
    assert {key: mine[key] for key in ("text", "words", "face_coverage", "sampling_rate")} == {
        key: theirs[key] for key in ("text", "words", "face_coverage", "sampling_rate")
    }


@pytest.mark.parametrize("settings", [{}, {"decoder_type": "frame", "hop_length": 640}], ids=["istft", "frame"])
def test_weights_are_those_of_the_model(tmp_path, settings):
    config = Lip2WavConfig(**{**TINY_CONFIG, **settings})
    model = Lip2WavModel(config).eval()
    model.save_pretrained(tmp_path)
    generator = Generator.from_folder(tmp_path)
    assert not generator.training
    expected, found = ({**each.state_dict(), **dict(each.named_buffers())} for each in (model, generator))
    assert list(expected) == list(found)
    for name in expected:
        assert expected[name].dtype == found[name].dtype and torch.equal(expected[name], found[name]), name


def test_clips_of_a_batch_do_not_hear_each_other(tiny_model_dir):
    """Neither padding nor a neighbour changes what is said in a clip."""
    speaker = Speaker.from_folder(tiny_model_dir, "cpu")
    clips = [clip(9), clip(25, seed=1), clip(4, seed=2)]
    for together, video in zip(speaker(clips), clips, strict=True):
        [alone] = speaker([video])
        assert len(together["audio"]) == len(video["video"]) * 640
        np.testing.assert_allclose(together["audio"], alone["audio"], atol=1e-5)
        assert [word["word"] for word in together["words"]] == [word["word"] for word in alone["words"]]


def test_weights_in_several_files(tiny_model_dir, tmp_path):
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    for number, part in enumerate((names[::2], names[1::2]), 1):
        save_file({name: weights[name] for name in part}, folder / f"model-0000{number}-of-00002.safetensors")
    found = Generator.from_folder(folder).state_dict()
    assert all(torch.equal(found[name], weights[name]) for name in names)


def test_the_type_of_the_weights_counts_where_the_configuration_names_none(tiny_model_dir, tmp_path):
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    config.pop("dtype")
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    half = {name: each.bfloat16() if each.is_floating_point() else each for name, each in weights.items()}
    save_file(half, folder / "model.safetensors")
    assert Generator.from_folder(folder).dtype == torch.bfloat16
    assert Generator.from_folder(folder, "float32").dtype == torch.float32


@pytest.mark.parametrize("kind", ["missing", "left over", "of another shape", "damaged", "none"])
def test_weights_that_do_not_fit_are_refused(tiny_model_dir, tmp_path, kind):
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))
    path = folder / "model.safetensors"
    weights = load_file(path)
    if kind == "missing":
        del weights["text_head.weight"]
    elif kind == "left over":
        weights["other.weight"] = torch.zeros(1)
    else:
        weights["text_head.weight"] = torch.zeros(1)
    save_file(weights, path)
    if kind == "damaged":
        path.write_bytes(path.read_bytes()[:100])
    if kind == "none":
        path.unlink()
    with pytest.raises(WeightsError, match={"none": "missing"}.get(kind, kind)):
        Generator.from_folder(folder)


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(Lip2WavError, match="--device abacus: it cannot be used here"):
        usable_device("abacus")
    assert usable_device("cpu") == torch.device("cpu")
    assert isinstance(usable_device(), torch.device)


@pytest.mark.parametrize("vocabulary", [None, ["yes", "no"]], ids=["of GRID", "of one's own"])
def test_the_warning_names_grid_only_for_its_words(caplog, vocabulary):
    config = Lip2WavConfig(**TINY_CONFIG, **({"vocabulary": vocabulary} if vocabulary else {}))
    speaker = Speaker(Lip2WavModel(config).eval(), Lip2WavFeatureExtractor())
    with caplog.at_level(logging.WARNING, "lip2wav_hf"):
        speaker([clip(6)])
    [message] = [record.getMessage() for record in caplog.records]
    assert f"a closed vocabulary of {len(vocabulary or range(51))} words" in message
    assert ("GRID" in message) == (vocabulary is None)
