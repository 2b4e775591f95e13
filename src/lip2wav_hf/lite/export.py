"""A saved generator as ONNX graphs, which take their weights from the files beside them."""

from __future__ import annotations

import collections.abc
import contextlib
import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from ..errors import one_line, require_packages
from ..files import replacing
from ..generator import Generator, InverseSTFTDecoder
from ..models import weight_files
from .graphs import (
    DECODER_FILE,
    ENCODER_FILE,
    EXTRA,
    INT8_DECODER_FILE,
    GraphError,
    check_weights_lie_with,
    open_session,
    seal,
    weights_header,
)


OPSET = 20
TOLERANCE = 1e-3  # by which a graph's numbers, which are around 1, may differ from torch's
INT8_TOLERANCE = 0.5  # in int8, of the norm of all numbers: of made-up inputs; another graph has 1.4
EXAMPLE_FRAMES, OTHER_FRAMES = 12, 31  # the graphs are made with the one, and tried with both
INT8_MATRICES = (".expand.weight", ".contract.weight")  # of the residual blocks
PREFIX = "generator."  # of the names of weights in a graph, as torch exports it


class Part(nn.Module):
    """
    A part of a generator that becomes a graph.

    Attributes:
        inputs, outputs (`tuple[str, ...]`): names of what goes in and out, in this order.
        in_int8 (`bool`): whether it is the part before it once more, with its matrices multiplied in 8-bit numbers.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    in_int8 = False

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.calculate(dict(zip(self.inputs, values, strict=True)))

    def calculate(self, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Outputs, of inputs by name."""
        raise NotImplementedError

    def shapes(self, frames: int) -> dict[str, tuple[int, ...]]:
        """Of inputs for so many frames; perhaps of others too."""
        config = self.generator.config
        return {
            "pixel_values_videos": (1, frames, 1, config.image_height, config.image_width),
            "speaker_embedding": (1, config.speaker_embedding_size),
            "hidden_states": (1, frames, config.hidden_size),
            "words": (1, frames, config.num_classes),
        }

    def examples(self, frames: int) -> dict[str, torch.Tensor]:
        """Inputs for so many frames, made up."""
        random, shapes = torch.Generator().manual_seed(frames), self.shapes(frames)
        values = {name: torch.randn(shapes[name], generator=random) for name in self.inputs}
        if "words" in values:
            values["words"] = values["words"].softmax(-1)
        return values


class _Encoder(Part):
    """From mouth crops to hidden states and text logits."""

    outputs = ("hidden_states", "text_logits")

    def __init__(self, generator: Generator) -> None:
        super().__init__(generator)
        voice = ("speaker_embedding",) if generator.config.speaker_embedding_size else ()
        self.inputs = ("pixel_values_videos", *voice)

    def calculate(self, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return self.generator.encode(given["pixel_values_videos"], None, given.get("speaker_embedding"))[:2]


class _Decoder(Part):
    """From hidden states, and how likely each word is, to log-magnitude and phase of the speech."""

    outputs = ("log_magnitude", "phase")

    def __init__(self, generator: Generator) -> None:
        super().__init__(generator)
        self.inputs = ("hidden_states", *(("words",) if generator.config.word_conditioning else ()))

    def calculate(self, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        hidden_states, words = given["hidden_states"], given.get("words")
        mask = hidden_states.new_ones(hidden_states.shape[:2])[..., None]
        told = hidden_states if words is None else self.generator.add_words(hidden_states, words, words)
        decoder = cast(InverseSTFTDecoder, self.generator.decoder)
        return decoder.spectrum(*self.generator.predict_mel(told, mask))


class _Int8Decoder(_Decoder):
    """The same, by matrices of 8-bit numbers. The encoder stays as it is, so the same words are read."""

    in_int8 = True


CLIP_PARTS: dict[str, type[Part]] = {
    ENCODER_FILE: _Encoder,
    DECODER_FILE: _Decoder,
    INT8_DECODER_FILE: _Int8Decoder,
}
"""File: what becomes a graph there."""


def export_graphs(
    folder: str | os.PathLike,
    parts: dict[str, type[Part]] = CLIP_PARTS,
    report: Callable[[Path], object] = lambda path: None,
) -> list[Path]:
    """
    Write the graphs of a saved model beside its weights, once they have been seen to calculate the same.

    Args:
        folder (`str` or `os.PathLike`): holds `config.json` and `model*.safetensors`.
        parts (`dict[str, type[Part]]`, *optional*): files, and what becomes a graph there; by default those for
            whole clips.
        report (`Callable`, *optional*): called with each file once it is written.

    Returns:
        `list[Path]`: the files.

    Raises:
        MissingExtraError: if the extra `lite` is not installed.
        GraphError: if the model cannot be written as graphs.
    """
    require_packages(EXTRA, "to write ONNX graphs", "onnx", "onnxscript", "onnxruntime")
    folder = Path(folder)
    check_weights_lie_with(folder, folder.resolve() / ENCODER_FILE)
    generator = Generator.from_folder(folder)
    _check(folder, generator)
    written: list[Path] = []
    graph: Any = None
    for name, make in parts.items():
        part = make(generator)
        if part.in_int8:
            _multiply_in_int8(graph)
        else:
            graph = _share_weights(_graph(part.eval()), folder)
        content = graph.SerializeToString()
        try:
            with replacing(folder / name) as temporary:
                temporary.write_bytes(content + seal(folder, name, content))
                _compare(temporary, part)
        except OSError as error:
            raise GraphError(f"{folder / name}: it cannot be written ({one_line(error)}).") from error
        written.append(folder / name)
        report(folder / name)
    return written


def _check(folder: Path, generator: Generator) -> None:
    config: Any = generator.config
    reasons = {
        "its decoder is of the type 'frame'": config.decoder_type != "istft",
        "it averages over the mirrored video": config.mirror_average,
        "it refines the phase": config.griffin_lim_iterations,
        f"it calculates in {str(generator.dtype).removeprefix('torch.')}": generator.dtype != torch.float32,
        "it has a bounded look-ahead": config.look_ahead is not None,
    }
    for reason, holds in reasons.items():
        if holds:
            raise GraphError(f"model {folder}: there are no graphs of such a model ({reason}). Speak with torch.")


def _graph(part: Part) -> Any:
    """The graph of a part, an `onnx.ModelProto`; its weights are inputs."""
    import onnx  # noqa: PLC0415  of an extra
    import onnxscript.optimizer  # noqa: PLC0415

    frames = torch.export.Dim("frames", min=2)
    few, more = part.shapes(EXAMPLE_FRAMES), part.shapes(OTHER_FRAMES)
    moving = tuple(None if few[name] == more[name] else {1: frames} for name in part.inputs)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            part,
            tuple(part.examples(EXAMPLE_FRAMES).values()),
            dynamo=True,
            dynamic_shapes=(moving,),
            input_names=part.inputs,
            output_names=part.outputs,
            opset_version=OPSET,
            optimize=False,  # it would calculate with weights, and write what comes out
            verbose=False,
        )
        assert program is not None
        model = program.model_proto
        graph = model.graph
        weights = [each for each in graph.initializer if each.name.startswith(PREFIX)]
        others = [each for each in graph.initializer if not each.name.startswith(PREFIX)]
        del graph.initializer[:]
        graph.initializer.extend(others)
        graph.input.extend(
            onnx.helper.make_tensor_value_info(each.name, onnx.TensorProto.FLOAT, list(each.dims)) for each in weights
        )
        return onnxscript.optimizer.optimize(model)


def _share_weights(model: Any, folder: Path) -> Any:
    """Let a graph take its weights from the files of a saved model."""
    from onnx import TensorProto, helper  # noqa: PLC0415  of an extra

    types = {"F32": TensorProto.FLOAT, "F16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16}
    graph, places = model.graph, {}
    for path in weight_files(folder):
        header, first = weights_header(path)
        places |= {name: (path.name, first, place) for name, place in header.items()}
    nodes = []
    for given in [each for each in graph.input if each.name.startswith(PREFIX)]:
        name = given.name.removeprefix(PREFIX)
        file, first, place = places[name]
        begin, end = place["data_offsets"]
        weight = graph.initializer.add(name=name, dims=place["shape"], data_type=types[place["dtype"]])
        weight.data_location = TensorProto.EXTERNAL
        for key, value in (("location", file), ("offset", first + begin), ("length", end - begin)):
            weight.external_data.add(key=key, value=str(value))
        nodes.append(helper.make_node("Cast", [name], [given.name], to=TensorProto.FLOAT))
        graph.input.remove(given)
    nodes.extend(graph.node)
    del graph.node[:], graph.value_info[:], model.metadata_props[:]
    graph.node.extend(nodes)
    for node in graph.node:  # where in the code each came from
        node.doc_string = ""
        del node.metadata_props[:]
    return model


def _multiply_in_int8(model: Any) -> None:
    """
    Let a graph multiply by the matrices of its residual blocks, nearly all of its work, in 8-bit numbers: each column
    of a matrix has a scale of its own, as has what it is multiplied by, each time anew. ONNX Runtime makes these
    numbers of the same weights while it opens the graph.
    """
    from onnx import TensorProto, helper  # noqa: PLC0415  of an extra

    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}

    def is_of_a_block(name: str) -> bool:
        while (maker := makers.get(name)) is not None and maker.op_type in ("Cast", "Transpose"):
            name = maker.input[0]
        return name.endswith(INT8_MATRICES)

    graph.initializer.add(name="int8_rows", data_type=TensorProto.INT64, dims=[1], int64_data=[0])
    graph.initializer.add(name="int8_most", data_type=TensorProto.FLOAT, float_data=[127.0])
    nodes = []
    for node in graph.node:
        if node.op_type != "MatMul" or not is_of_a_block(node.input[1]):
            nodes.append(node)
            continue
        values, matrix = node.input
        size, most, scale, nothing, zero, small = (f"{node.output[0]}_int8_{step}" for step in range(6))
        nodes += [
            helper.make_node("Abs", [matrix], [size]),
            helper.make_node("ReduceMax", [size, "int8_rows"], [most], keepdims=0),
            helper.make_node("Div", [most, "int8_most"], [scale]),
            helper.make_node("Sub", [most, most], [nothing]),
            helper.make_node("Cast", [nothing], [zero], to=TensorProto.INT8),
            helper.make_node("QuantizeLinear", [matrix, scale, zero], [small], axis=1),
            helper.make_node(
                "DynamicQuantizeMatMul", [values, small, scale, zero], list(node.output), domain="com.microsoft"
            ),
        ]
    del graph.node[:]
    graph.node.extend(nodes)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _compare(path: Path, part: Part) -> None:
    """Raises `GraphError` if a graph calculates something else than its part in torch."""
    try:
        session = open_session(path)
    except Exception as error:
        raise GraphError(f"ONNX Runtime cannot open the graph ({one_line(error)}).") from error
    for frames in (1, EXAMPLE_FRAMES, OTHER_FRAMES):
        examples = part.examples(frames)
        with torch.inference_mode():
            wanted = [each.numpy() for each in part(*examples.values())]
        given = {name: each.numpy() for name, each in examples.items()}
        for name, value, found in zip(part.outputs, wanted, cast(Any, session.run(None, given)), strict=True):
            if not _agree(value, found, part.in_int8):
                raise GraphError(
                    f"{name} of the graph differs from torch's by {float(np.abs(value - found).max()):.2g} for"
                    f" {frames} frames, which is a fault: please report it, with the versions of torch and"
                    " onnxscript."
                )


def _agree(wanted: np.ndarray, found: np.ndarray, in_int8: bool) -> bool:
    if in_int8:
        return bool(np.linalg.norm(found - wanted) <= INT8_TOLERANCE * np.linalg.norm(wanted))
    return np.allclose(wanted, found, atol=TOLERANCE, rtol=TOLERANCE)


@contextlib.contextmanager
def _quiet() -> collections.abc.Generator[None]:
    """Without what torch says of packages that are not installed, and of names of axes."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


__all__ = ["CLIP_PARTS", "Part", "export_graphs"]
