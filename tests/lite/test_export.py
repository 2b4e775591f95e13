"""Writing graphs: which models cannot have them, and what is left of an attempt."""

import shutil
import sys

import numpy as np
import pytest
import torch

from conftest import TINY_CONFIG
from lip2wav_hf import Lip2WavConfig, Lip2WavModel
from lip2wav_hf.errors import MissingExtraError
from lip2wav_hf.lite import export
from lip2wav_hf.lite.export import export_graphs
from lip2wav_hf.lite.graphs import DECODER_FILE, ENCODER_FILE, SEAL, GraphError, open_graphs, weights_header


onnx = pytest.importorskip("onnx", reason="the extra `lite` is not installed")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"griffin_lim_iterations": 2}, "refines the phase"),
        ({"mirror_average": True}, "mirrored video"),
        ({"look_ahead": 3}, "bounded look-ahead"),
        ({"dtype": "bfloat16"}, "calculates in bfloat16"),
        ({"decoder_type": "frame"}, "of the type 'frame'"),
    ],
)
def test_models_that_cannot_be_written(tmp_path, settings, reason):
    model = Lip2WavModel(Lip2WavConfig(**TINY_CONFIG | settings))
    model.to(getattr(torch, settings.get("dtype", "float32"))).save_pretrained(tmp_path)
    with pytest.raises(GraphError, match=reason):
        export_graphs(tmp_path)
    assert not list(tmp_path.glob("*.onnx"))


def test_a_graph_that_differs_is_not_kept(copied, monkeypatch):
    """The one that was there stays."""
    (copied / ENCODER_FILE).write_bytes(b"older")
    monkeypatch.setattr(export, "_graph", lambda part: onnx.load(copied / DECODER_FILE, load_external_data=False))

    def compare(path, part):
        assert path.parent == copied and path.stat().st_size > 1000
        raise GraphError("it differs")

    monkeypatch.setattr(export, "_compare", compare)
    before = sorted((path.name, path.stat().st_size) for path in copied.iterdir())
    with pytest.raises(GraphError, match="it differs"):
        export_graphs(copied)
    assert sorted((path.name, path.stat().st_size) for path in copied.iterdir()) == before


def test_a_disk_that_is_full_is_named(copied, monkeypatch):
    def full(path, part):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "_graph", lambda part: onnx.load(copied / DECODER_FILE, load_external_data=False))
    monkeypatch.setattr(export, "_compare", full)
    with pytest.raises(GraphError, match=f"{ENCODER_FILE}: it cannot be written .*No space left"):
        export_graphs(copied)


def test_numbers_that_differ_are_reported(exported, monkeypatch):
    class Other:
        def run(self, names, given):
            frames = given["hidden_states"].shape[1]
            return [np.ones((1, 4 * frames, 321), np.float32)] * 2

    monkeypatch.setattr(export, "open_session", lambda path: Other())
    part = export._Decoder(export.Generator.from_folder(exported))
    with pytest.raises(GraphError, match="log_magnitude of the graph differs .* for 1 frames"):
        export._compare(exported / DECODER_FILE, part)


def test_graphs_hold_no_weights_of_their_own(exported):
    """Each is in model.safetensors, where another program finds it too."""
    header, first = weights_header(exported / "model.safetensors")
    for name in (ENCODER_FILE, DECODER_FILE):
        model = onnx.load(exported / name, load_external_data=False)
        assert [entry.key.encode() for entry in model.metadata_props] == [SEAL]
        graph = model.graph
        outside = [each for each in graph.initializer if each.external_data]
        inside = [each for each in graph.initializer if not each.external_data]
        assert outside and sum(np.prod(each.dims) for each in inside) < 200
        for each in outside:
            place = {entry.key: entry.value for entry in each.external_data}
            assert place["location"] == "model.safetensors"
            assert int(place["offset"]) == first + header[each.name]["data_offsets"][0]
        assert not graph.input[0].name.startswith("generator.")
        assert not [node for node in graph.node if node.metadata_props or node.doc_string]


def test_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match="onnxscript: .*lite"):
        export_graphs(tmp_path)


def test_a_copy_of_the_folder_works(exported, tmp_path):
    """Where the weights lie is said relative to the graphs."""
    open_graphs(shutil.copytree(exported, tmp_path / "elsewhere"))
