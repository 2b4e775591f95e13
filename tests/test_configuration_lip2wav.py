"""Configurations of all networks: absurd values and files are refused, with the reason, before they take memory."""

import dataclasses
import json
import shutil

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig

from conftest import TINY_CONFIG
from lip2wav_hf import Lip2WavConfig, Lip2WavFeatureExtractor, Lip2WavModel
from lip2wav_hf.configuration_lip2wav import MOST_WEIGHTS, ConfigurationError
from lip2wav_hf.corpora.clips import CorpusError
from lip2wav_hf.corpora.defects import CorpusReport
from lip2wav_hf.errors import Lip2WavError
from lip2wav_hf.generator import Generator
from lip2wav_hf.models import NETWORKS, load_network
from lip2wav_hf.speaking import Speaker


ABSURD = (None, -1, 0, 3.5, 65_536, 10**9, 10**20, 1e308, -1e-308, float("nan"), float("inf"), "x", "", {}, [])
ABSURD += ([-1, 3], [10**9], [2.5], [None], [[]], [1] * 1000)
NAMES = sorted(network.model_type for network in NETWORKS)


def network_of(model_type):
    return next(network for network in NETWORKS if network.model_type == model_type)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_refused_or_makes_a_network(name):
    """Of each field and each absurd value. A network is built without its memory."""
    network = network_of(name)
    foreign = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    refused = 0
    for field in dataclasses.fields(network.config_class):
        for value in () if field.name in foreign else ABSURD:
            try:
                config = network.config_class(**{field.name: value})
            except StrictDataclassError:
                refused += 1
                with pytest.raises(ConfigurationError, match=r"config\.json: "):
                    network.config_class.from_dict({"model_type": name, field.name: value})
                continue
            with torch.device("meta"):
                model = network.model_class(config)
            assert sum(each.numel() for each in model.parameters()) < 3 * MOST_WEIGHTS, (field.name, value)
    assert refused > 100


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": 10**9}, "`hidden_size` must be a whole number from 1 to 65536, not 1000000000"),
        ({"hidden_size": 65_536}, "make a network of about .* weights; 1,000,000,000 are the most"),
        ({"num_layers": 400, "intermediate_size": 4096}, "make a network of about"),
        ({"sampling_rate": 750_000, "hop_length": 1, "n_fft": 2, "hidden_size": 2048}, "make a network of about"),
        ({"beam_width": 65_536}, "`beam_width` must be a whole number from 1 to 1000, not 65536"),
        ({"n_fft": 1}, "`n_fft` must be a whole number from 2 to 65536, not 1"),
        ({"dropout": float("nan")}, "`dropout` must be a number from 0 to 1, not nan"),
        ({"visual_channels": [8] * 65}, "`visual_channels` has 65 entries; 64 are the most"),
        ({"dtype": "float7"}, "float7"),
        ({"dtype": 3}, "`dtype` must be one of float64"),
    ],
)
def test_what_no_network_has_is_named(fields, message):
    with pytest.raises(ConfigurationError, match=message):
        Lip2WavConfig.from_dict(fields)


@pytest.mark.parametrize("content", [b"[]", b"3", b"null", b'"text"', b"{", b"", b'{"a": "\xff"}'])
def test_a_file_without_settings_is_named(tmp_path, content):
    """Of the configurations and of the feature extractor, from Python and by the command's way."""
    Lip2WavModel(Lip2WavConfig(**TINY_CONFIG)).save_pretrained(tmp_path / "model")
    Lip2WavFeatureExtractor().save_pretrained(tmp_path / "model")
    for file, load in (("config.json", Lip2WavConfig), ("preprocessor_config.json", Lip2WavFeatureExtractor)):
        folder = tmp_path / file
        shutil.copytree(tmp_path / "model", folder)
        (folder / file).write_bytes(content)
        with pytest.raises(ValueError, match=file):
            load.from_pretrained(folder)
        with pytest.raises(ValueError, match=file):
            Speaker.from_folder(folder, "cpu")
    with pytest.raises(ValueError, match=r"config\.json"):
        Generator.from_folder(tmp_path / "config.json")
    with pytest.raises(ValueError, match=r"config\.json"):
        Lip2WavModel.from_pretrained(tmp_path / "config.json")


def test_a_type_that_is_no_name_is_refused(tmp_path):
    Lip2WavModel(Lip2WavConfig(**TINY_CONFIG)).save_pretrained(tmp_path)
    for wrong in ({}, ["lip2wav"], 7):
        fields = json.loads((tmp_path / "config.json").read_text()) | {"model_type": wrong}
        (tmp_path / "config.json").write_text(json.dumps(fields))
        with pytest.raises(ValueError, match=r"config\.json describes a model of the type"):
            Speaker.from_folder(tmp_path, "cpu")


@pytest.mark.parametrize("content", ["[]", "3", '"text"', "{"])
def test_a_part_without_fields_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(Lip2WavError, match=r"config\.json"):
        load_network(tmp_path, "lip2wav_critic")


@pytest.mark.parametrize("content", ["[]", "{}", '{"defects": ["x"]}', '{"defects": [], "checked": 1}'])
def test_a_report_without_its_fields_is_named(tmp_path, content):
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(CorpusError, match=r"report\.json: it (is no report|holds no fields)"):
        CorpusReport.load(tmp_path / "report.json")


def test_a_missing_configuration_stays_a_missing_file(tmp_path):
    for load in (Lip2WavModel, Lip2WavFeatureExtractor):
        with pytest.raises(OSError):
            load.from_pretrained(tmp_path)


def test_sizes_that_do_not_fit_the_weights_take_no_memory(tmp_path):
    """As large as a network may be, beside the weights of a small one."""
    Lip2WavModel(Lip2WavConfig(**TINY_CONFIG)).save_pretrained(tmp_path)
    Lip2WavFeatureExtractor().save_pretrained(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(fields | {"intermediate_size": 30_000, "num_layers": 3}))
    with pytest.raises(Lip2WavError):
        Speaker.from_folder(tmp_path, "cpu")
