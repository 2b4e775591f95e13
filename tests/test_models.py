"""How the name of a model becomes a folder."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers

from lip2wav_hf import (
    Lip2WavConfig,
    Lip2WavCritic,
    Lip2WavFeatureExtractor,
    Lip2WavModel,
    Lip2WavSyncNet,
    VideoToSpeechPipeline,
    files,
    pipeline,
)
from lip2wav_hf.errors import Lip2WavError
from lip2wav_hf.generator import Generator
from lip2wav_hf.models import CHECKPOINTS, NETWORKS, ModelError, bundled_models, find_model, load_network, locate_model
from lip2wav_hf.speaking import Speaker


@pytest.fixture
def saved(tmp_path, tiny_model_dir, monkeypatch):
    """Saves the tiny model under a name in the current folder."""
    monkeypatch.chdir(tmp_path)

    def save(name):
        return Path(shutil.copytree(tiny_model_dir, tmp_path / name))

    return save


def test_a_bundled_model_by_its_name():
    assert find_model("grid-s1") == CHECKPOINTS / "grid-s1"
    assert bundled_models()[0] == "grid-s1"


def test_a_model_to_compare_with_by_its_name(saved, monkeypatch, tmp_path):
    folder = saved("baselines/other-grid-s1")
    with pytest.raises(ModelError, match="no such folder"):
        find_model("other-grid-s1")
    monkeypatch.setattr(files, "BASELINES", tmp_path / "baselines")
    assert find_model("other-grid-s1") == folder and bundled_models()[0] == "grid-s1"
    with pytest.raises(ModelError, match="other-grid-s1") as error:
        find_model("another-grid-s1")
    assert "grid-s1" in str(error.value)
    with pytest.raises(ModelError, match="no such folder"):
        find_model("../baselines/other-grid-s1/.")


@pytest.mark.parametrize("name", ["./grid-s1", "grid-s1", "grid-s1/"])
def test_what_lies_in_the_current_folder_comes_before_the_bundled_model(saved, name):
    folder = saved("grid-s1")
    assert find_model(name).resolve() == folder


@pytest.mark.parametrize("name", ["./grid-s1", "../grid-s1", "/nowhere/grid-s1"])
def test_a_path_is_never_a_bundled_model(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="no such folder"):
        find_model(name)


def test_advice_names_only_models_that_can_do_it():
    with pytest.raises(ModelError, match="lip2wav_syncnet") as error:
        find_model("grid-sync")
    advice = str(error.value).partition("bundled model:")[2]
    assert "grid-s1" in advice and "grid-sync" not in advice
    with pytest.raises(ModelError) as error:
        find_model("grid-s1", "lip2wav_syncnet")
    assert "grid-sync" in str(error.value).partition("bundled model:")[2]


def test_the_folder_of_a_run_says_what_lies_in_it(saved):
    saved("runs/grid_s1/best"), saved("runs/grid_s1/final")
    with pytest.raises(ModelError, match="best, final") as error:
        find_model("runs/grid_s1")
    assert "runs/grid_s1/best" in str(error.value)
    assert find_model("runs/grid_s1/best").is_dir()


def test_a_checkpoint_of_the_training_is_no_model(saved, tmp_path):
    saved("runs/grid_s1/best")
    checkpoint = tmp_path / "runs/grid_s1/checkpoint-22"
    checkpoint.mkdir()
    (checkpoint / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="training") as error:
        find_model("runs/grid_s1/checkpoint-22")
    assert "runs/grid_s1/best" in str(error.value)


@pytest.mark.parametrize("models", [["best", "final"], []])
def test_nor_is_one_that_has_all_that_a_model_has(saved, tmp_path, models):
    """Its weights are not the averaged ones."""
    for name in (*models, "checkpoint-22", "checkpoint-44"):
        folder = saved(f"runs/grid_s1/{name}")
        if name.startswith("checkpoint-"):
            (folder / "optimizer.bin").write_bytes(b"")
    for name in (
        "runs/grid_s1/checkpoint-22",
        "runs/grid_s1/checkpoint-22/",
        str(tmp_path / "runs/grid_s1/checkpoint-22"),
    ):
        with pytest.raises(ModelError, match="this is a checkpoint, for resuming a training") as error:
            find_model(name)
        advice = str(error.value)
        assert ("Beside it are best, final: name one" in advice) == bool(models)
        assert ("no model beside it yet" in advice) != bool(models)


def test_a_checkpoint_of_another_trainer_is_a_model(saved):
    """Those of transformers' own have the weights that one wants."""
    assert find_model(saved("runs/checkpoint-500")).name == "checkpoint-500"


def test_names_of_the_hub_are_left_to_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate_model("somebody/something") == "somebody/something"
    with pytest.raises(ModelError, match="no such folder"):
        locate_model("something")


def test_a_file_is_no_model(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="Name the folder"):
        find_model(path)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_records_of_networks_are_those_of_the_classes(network):
    assert network.model_class.config_class is network.config_class
    assert network.config_class.model_type == network.model_type


def test_a_model_whose_configuration_is_no_dictionary(saved):
    folder = saved("model")
    (folder / "config.json").write_text(json.dumps(["lip2wav"]))
    with pytest.raises(ModelError, match="type None"):
        find_model(folder)


@pytest.mark.parametrize("model_type", ["lip2wav_speech_encoder", "lip2wav_critic"])
def test_a_part_is_advised_by_the_name_of_its_model(model_type):
    with pytest.raises(ModelError, match=r"a bundled model: grid-s1\."):
        locate_model("nowhere", model_type)


def test_a_hub_that_does_not_answer_is_not_one_without_the_model():
    with pytest.raises(ModelError, match="no such folder, and the Hub cannot be reached. Check"):
        find_model("somebody/something")


def test_where_no_model_of_a_kind_comes_with_the_package_none_is_listed(tmp_path):
    with pytest.raises(ModelError, match=r"no such folder\. Give a folder or a repository of the Hub\.$"):
        find_model(str(tmp_path / "nothing"), "lip2audspec_autoencoder")


def test_a_model_without_the_part_that_is_needed(saved):
    with pytest.raises(ModelError, match="no folder speech_encoder/ is in it. Give a folder.*model: grid-s1\\."):
        load_network(saved("model"), "lip2wav_speech_encoder")


def test_a_pipeline_by_the_name_of_a_model(monkeypatch, saved, tmp_path):
    """Our names, folders, and whatever transformers takes; transformers' own pipeline stays as it is."""
    folder = saved("baselines/other-grid-s1")
    monkeypatch.setattr(files, "BASELINES", tmp_path / "baselines")
    for speak in (
        pipeline("video-to-speech"),
        pipeline("video-to-speech", model="grid-s1"),
        pipeline(model="grid-s1"),
    ):
        assert type(speak) is VideoToSpeechPipeline and speak.model.config.hidden_size == 256
    other = pipeline("video-to-speech", "other-grid-s1", device="cpu", grammar=None)
    assert other.model.name_or_path == str(folder) and other.model.config.hidden_size == 16
    assert pipeline("video-to-speech", model=folder).model.config.hidden_size == 16
    again = pipeline("video-to-speech", model=other.model, feature_extractor=other.feature_extractor)
    assert again.model is other.model
    assert type(transformers.pipeline("video-to-speech", model=str(folder))) is VideoToSpeechPipeline
    with pytest.raises(ModelError, match="grid-s2: there is no such folder.*grid-s1"):
        pipeline("video-to-speech", model="grid-s2")
    with pytest.raises(ModelError, match="lip2wav_syncnet"):
        pipeline("video-to-speech", model="grid-sync")


def test_a_pipeline_of_something_else_is_transformers_own():
    """No name of another task is looked up, and a repository of the Hub is left to transformers."""
    for arguments in (("text-classification", "grid-s2"), ("video-to-speech", "somebody/voice")):
        with pytest.raises(OSError, match="couldn't connect"):
            pipeline(*arguments, revision="v1")


@pytest.mark.parametrize("task", ["video-to-speach", "video_to_speech", "translate"])
@pytest.mark.parametrize("model", [None, "grid-s1", "somebody/voice"])
def test_an_unknown_task_is_named_before_anything_is_looked_up(task, model):
    with pytest.raises(Lip2WavError, match=f"^Unknown task '{task}'.*of this package is 'video-to-speech'") as error:
        pipeline(task, model=model)
    assert ("Did you mean video-to-speech?" in str(error.value)) == task.startswith("video")
    assert ("those of transformers are" in str(error.value)) != task.startswith("video")  # a long list
    with pytest.raises(OSError):  # whatever somebody's own code calls a task
        pipeline(task, model="somebody/voice", trust_remote_code=True)


def test_our_models_are_of_one_task(saved):
    folder = saved("mine")
    for model in ("grid-s1", "grid-sync", folder, str(folder)):
        with pytest.raises(ModelError, match="for the task 'video-to-speech', not for 'text-classification'"):
            pipeline("text-classification", model=model)


@pytest.mark.parametrize("dtype", ["bflot16", "float8", "int8", 5, torch.int8])
def test_an_unknown_type_of_numbers_is_named(dtype, tiny_model_dir):
    """Though transformers would take float32."""
    given = repr(dtype) if isinstance(dtype, str) else str(dtype).removeprefix("torch.")
    message = rf"^dtype={given}: there are auto, float32, bfloat16, float16\."
    for load in (
        lambda: pipeline("video-to-speech", dtype=dtype),
        lambda: pipeline("video-to-speech", model=str(tiny_model_dir), model_kwargs={"dtype": dtype}),
        lambda: Lip2WavModel.from_pretrained(tiny_model_dir, dtype=dtype),
        lambda: transformers.AutoModel.from_pretrained(tiny_model_dir, dtype=dtype),
        lambda: Lip2WavSyncNet.from_pretrained("grid-sync", dtype=dtype),
        lambda: Generator.from_folder(tiny_model_dir, dtype),
        lambda: Speaker.from_folder(tiny_model_dir, dtype=dtype),
    ):
        with pytest.raises(Lip2WavError, match=message) as error:
            load()
        assert ("Did you mean bfloat16?" in str(error.value)) == (dtype == "bflot16")
        assert ("OnnxGenerator in docs/own-video.md" in str(error.value)) == (given.strip("'") == "int8")


@pytest.mark.parametrize("dtype", [torch.bfloat16, "bfloat16"])
def test_a_known_type_of_numbers_by_either_name(dtype, tiny_model_dir):
    for load in (pipeline, lambda task, model, dtype: Lip2WavModel.from_pretrained(model, dtype=dtype)):
        assert load("video-to-speech", tiny_model_dir, dtype=dtype).dtype == torch.bfloat16
    assert Generator.from_folder(tiny_model_dir, dtype).dtype == torch.bfloat16


def test_from_pretrained_takes_the_names_of_bundled_models(monkeypatch, saved, tmp_path):
    """In every class of the package; what lies in the working folder comes first, as for the pipeline."""
    place = str(CHECKPOINTS / "grid-s1")
    assert Lip2WavModel.from_pretrained("grid-s1").name_or_path == place
    assert Lip2WavCritic.from_pretrained("grid-s1", subfolder="critic").config.model_type == "lip2wav_critic"
    assert Lip2WavSyncNet.from_pretrained("grid-sync").name_or_path == str(CHECKPOINTS / "grid-sync")
    assert Lip2WavConfig.from_pretrained("grid-s1").hidden_size == 256
    assert Lip2WavFeatureExtractor.from_pretrained("grid-s1").frame_rate == 25
    other = saved("baselines/other-grid-s1")
    monkeypatch.setattr(files, "BASELINES", tmp_path / "baselines")
    assert Lip2WavModel.from_pretrained("other-grid-s1").name_or_path == str(other)
    saved("grid-s1")
    assert Lip2WavModel.from_pretrained("grid-s1").config.hidden_size == 16


@pytest.mark.parametrize("kind", [Lip2WavModel, Lip2WavConfig, Lip2WavFeatureExtractor])
@pytest.mark.parametrize("name", ["grid-s2", "runs/mine/best", "./grid-s1"])
def test_from_pretrained_asks_the_hub_for_no_name_that_it_cannot_have(kind, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        OSError, match=f"model {name}: there is no such folder.*owner/name, or one of grid-s1,"
    ) as error:
        kind.from_pretrained(name)
    assert isinstance(error.value, Lip2WavError)
