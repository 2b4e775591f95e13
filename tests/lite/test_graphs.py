"""Graphs that belong to the model beside them, and others."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lip2wav_hf import DEFAULT_CHECKPOINT, Lip2WavConfig
from lip2wav_hf.configuration_lip2wav import Lip2WavTextConfig
from lip2wav_hf.files import read_json, write_json
from lip2wav_hf.lite.export import export_graphs
from lip2wav_hf.lite.graphs import (
    DECODER_FILE,
    ENCODER_FILE,
    INT8_CLIPS,
    INT8_DECODER_FILE,
    KINDS,
    NOT_IN_GRAPHS,
    STREAMS,
    GraphError,
    copy_graphs,
    graph_files,
    has_graphs,
    keep_torch_out,
    open_graphs,
    open_session,
    seal,
    split_seal,
)
from lip2wav_hf.machine import available_cores


onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `lite` is not installed")

FILES = sorted({name for files in KINDS for name in files})


def test_the_bundled_model_has_graphs_of_its_own():
    """After a change of its config.json or weights: `lip2wav lite src/lip2wav_hf/checkpoints/grid-s1`."""
    folder = Path(DEFAULT_CHECKPOINT)
    graphs = open_graphs(folder)
    assert [each.name for each in graphs.encoder.get_inputs()] == ["pixel_values_videos"]
    assert [each.name for each in graphs.decoder.get_outputs()] == ["log_magnitude", "phase"]
    streams = open_graphs(folder, STREAMS)
    assert streams.encoder.get_inputs()[0].name == "pixel_values_videos"
    assert [each.name for each in streams.decoder.get_outputs()][:2] == ["log_magnitude", "phase"]
    small = open_graphs(folder, INT8_CLIPS)
    assert [each.name for each in small.decoder.get_outputs()] == ["log_magnitude", "phase"]
    sizes = [(folder / name).stat().st_size for name in FILES]
    assert max(sizes) < 200_000  # the weights are those of model.safetensors


def change(folder, **settings):
    write_json(folder / "config.json", read_json(folder / "config.json") | settings)


def save_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    changed = {name: change(name, value) for name, value in weights.items()}
    save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    "what",
    [
        lambda folder: change(folder, hop_length=320),
        lambda folder: change(folder, look_ahead=3),
        lambda folder: save_weights(folder, lambda name, value: value.astype("float32")),
        lambda folder: (folder / ENCODER_FILE).write_bytes(b"?" + (folder / ENCODER_FILE).read_bytes()[1:]),
        lambda folder: (folder / ENCODER_FILE).write_bytes((folder / ENCODER_FILE).read_bytes() + b"?"),
        lambda folder: (folder / ENCODER_FILE).write_bytes((folder / DECODER_FILE).read_bytes()),
        lambda folder: (folder / ENCODER_FILE).write_bytes(b"no graph"),
    ],
    ids=["another setting", "bounded", "another type", "damaged", "longer", "the other", "nothing"],
)
def test_graphs_of_something_else_are_refused(copied, what):
    what(copied)
    with pytest.raises(GraphError, match=f"{ENCODER_FILE}.* Write it again: lip2wav lite {copied}"):
        open_graphs(copied)


def test_weights_that_are_links(copied, tmp_path):
    """Where all files are links to one folder, as the cache of the Hub has them, they are found there."""
    cached = tmp_path / "snapshot"
    cached.mkdir()
    for path in copied.iterdir():
        (cached / path.name).symlink_to(path)
    open_graphs(cached)
    weights = copied / "model.safetensors"
    weights.symlink_to(weights.rename(tmp_path / weights.name))
    for action in (open_graphs, export_graphs):
        with pytest.raises(GraphError, match="model.safetensors: it is a link to another folder"):
            action(copied)
    with pytest.raises(GraphError, match="model.safetensors: it is a link to another folder"):
        export_graphs(cached)


def test_a_missing_graph(copied):
    assert has_graphs(copied)
    (copied / DECODER_FILE).unlink()
    assert not has_graphs(copied)
    with pytest.raises(GraphError, match=f"its {DECODER_FILE} is missing.*lip2wav lite {copied}"):
        open_graphs(copied)
    open_graphs(copied, INT8_CLIPS)
    found, problems = graph_files(copied)
    assert [path.name for path in found] == [*STREAMS] and len(problems) == 1
    assert problems[0].startswith(f"{ENCODER_FILE}, {INT8_DECODER_FILE}: left out.")
    (copied / ENCODER_FILE).unlink()
    with pytest.raises(GraphError, match="there are no ONNX graphs in it"):
        open_graphs(copied)


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0[1, 2]", b"\x02\0\0\0\0\0\0\0{}", b"\xff" * 20, None])
def test_damaged_weights_are_named(copied, content):
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] if content is None else content)
    with pytest.raises(GraphError, match="model.safetensors: the weights are damaged"):
        open_graphs(copied)


def test_what_onnx_runtime_cannot_open_is_named_and_nothing_else_printed(copied, capfd):
    """As a graph of a later version: sealed by `lip2wav lite`, and not known here."""
    graph, _ = split_seal((copied / ENCODER_FILE).read_bytes())
    graph = graph.replace(b"Cast", b"C\xdfst", 1)
    (copied / ENCODER_FILE).write_bytes(graph + seal(copied, ENCODER_FILE, graph))
    with pytest.raises(GraphError, match="it cannot be used .* Write it again"):
        open_graphs(copied)
    assert capfd.readouterr() == ("", "")


def test_models_from_before_there_was_int8(copied):
    """They have what they had, and nobody is told that something is missing."""
    (copied / INT8_DECODER_FILE).unlink()
    found, problems = graph_files(copied)
    assert sorted(path.name for path in found) == sorted(set(FILES) - {INT8_DECODER_FILE}) and not problems
    with pytest.raises(GraphError, match=f"its {INT8_DECODER_FILE} is missing.*lip2wav lite {copied}"):
        open_graphs(copied, INT8_CLIPS)


def test_what_graphs_do_not_depend_on_may_change(copied):
    """Other numbers in the weights, as after more training; and how words are read."""
    before = open_graphs(copied).encoder
    change(copied, grammar=None, beam_width=4, transformers_version="6.0", vocabulary=["ja", "nein"])
    save_weights(copied, lambda name, value: value + 1 if name == "text_head.bias" else value)
    after = open_graphs(copied).encoder
    pixels = np.zeros((1, 5, 1, 40, 64), np.float32)
    given = {"pixel_values_videos": pixels, "speaker_embedding": np.ones((1, 3), np.float32)}
    logits = [session.run(["text_logits"], given)[0] for session in (before, after)]
    np.testing.assert_allclose(logits[0] + 1, logits[1], atol=1e-5)


def test_a_model_that_was_trained_further_takes_the_graphs(exported, copied):
    """Its config.json is written by another version, with every default, and its numbers are others."""
    for name in FILES:
        (copied / name).unlink()
    save_weights(copied, lambda name, value: value + 1 if name == "text_head.bias" else value)
    change(copied, **Lip2WavConfig.from_pretrained(copied).to_dict() | {"grammar": None})
    written = copy_graphs(exported, copied)
    assert sorted(path.name for path in written) == FILES
    open_graphs(copied, STREAMS)
    pixels, voice = np.zeros((1, 5, 1, 40, 64), np.float32), np.ones((1, 3), np.float32)
    given = {"pixel_values_videos": pixels, "speaker_embedding": voice}
    first, second = (open_graphs(each).encoder.run(["text_logits"], given)[0] for each in (exported, copied))
    np.testing.assert_allclose(first + 1, second, atol=1e-5)


@pytest.mark.parametrize(
    "what",
    [
        lambda folder: change(folder, hop_length=320),
        lambda folder: save_weights(folder, lambda name, value: np.tile(value, 2) if "text_head" in name else value),
        lambda folder: save_weights(folder, lambda name, value: value.astype("float32")),
    ],
    ids=["another setting", "more words", "another type"],
)
def test_another_network_takes_no_graphs(exported, copied, what):
    for name in FILES:
        (copied / name).unlink()
    what(copied)
    assert copy_graphs(exported, copied) == [] and not has_graphs(copied)


def test_damaged_graphs_are_not_copied(exported, copied, tmp_path):
    (copied / ENCODER_FILE).write_bytes(b"?" + (copied / ENCODER_FILE).read_bytes()[1:])
    (copied / STREAMS[0]).unlink()
    other = shutil.copytree(exported, tmp_path / "other")
    for name in FILES:
        (other / name).unlink()
    assert copy_graphs(copied, other) == []


def test_settings_for_words_are_not_in_graphs():
    """Only how many classes there are, which the weights say."""
    own = {field.name for field in dataclasses.fields(Lip2WavTextConfig)}
    inherited = {field.name for field in dataclasses.fields(Lip2WavTextConfig.__base__)}
    assert own - inherited <= NOT_IN_GRAPHS
    known = {field.name for field in dataclasses.fields(Lip2WavConfig)} | {"transformers_version", "_name_or_path"}
    assert NOT_IN_GRAPHS <= known | {"auto_map", "custom_pipelines"}, "a setting that there no longer is"


def test_half_of_the_cores_or_as_many_as_are_wanted(exported, monkeypatch):
    cores = available_cores()
    for value, threads in (("1", 1), ("100000000000", cores), ("", max(cores // 2, 1)), ("many", max(cores // 2, 1))):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        found = open_session(exported / ENCODER_FILE).get_session_options().intra_op_num_threads
        assert found == threads


def test_torch_stays_where_it_has_been_imported():
    import torch

    keep_torch_out(for_good=True)
    import torch as again

    assert again is torch
