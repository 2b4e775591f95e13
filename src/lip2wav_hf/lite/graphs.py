"""The ONNX graphs of a model: where they lie, whether they belong to it, and how they are opened."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import Lip2WavError, one_line, require_packages
from ..files import read_fields
from ..machine import available_cores
from ..models import weight_files


if TYPE_CHECKING:
    from onnxruntime import InferenceSession

EXTRA = "lite"
ENCODER_FILE, DECODER_FILE = "encoder_model.onnx", "decoder_model.onnx"  # as Optimum names such parts
STREAM_ENCODER_FILE, STREAM_DECODER_FILE = f"stream_{ENCODER_FILE}", f"stream_{DECODER_FILE}"
INT8_DECODER_FILE = f"int8_{DECODER_FILE}"
CLIPS, STREAMS = (ENCODER_FILE, DECODER_FILE), (STREAM_ENCODER_FILE, STREAM_DECODER_FILE)  # what speaks which
INT8_CLIPS = (ENCODER_FILE, INT8_DECODER_FILE)
KINDS = {CLIPS: "", INT8_CLIPS: " for int8", STREAMS: " for live speech"}
"""Pairs of files, and what they are for beside speaking videos, in messages."""

FRAMES, PAST, PRESENT = "frames", "past.", "present."  # of a stream: how many were seen, and names of its state
SEAL = b"lip2wav_seal"  # among the metadata of a graph

NOT_IN_GRAPHS = frozenset(
    {
        *("_name_or_path", "architectures", "auto_map", "custom_pipelines", "transformers_version"),
        *("dropout", "initializer_range", "live_look_ahead"),
        *("vocabulary", "text_units", "text_case", "text_punctuation", "text_numbers", "text_unicode"),
        *("word_change_penalty", "grammar", "beam_width", "ngram_order", "ngram_weight", "word_bonus"),
    }
)
"""Settings in config.json that a graph does not depend on; how many classes there are, the weights say."""


class GraphError(Lip2WavError):
    """ONNX graphs that are not there, that cannot be made, or that are not of the model beside them."""


@dataclass(frozen=True)
class Graphs:
    """
    Two opened graphs of a model.

    Attributes:
        encoder (`InferenceSession`): from mouth crops to hidden states and text logits.
        decoder (`InferenceSession`): from these to the magnitude and phase of the speech.
        files (`tuple[str, str]`): which two, of `KINDS`.

    Those for streams also take what they remember of what was before, and return it.
    """

    encoder: InferenceSession
    decoder: InferenceSession
    files: tuple[str, str] = CLIPS


def open_graphs(folder: str | os.PathLike, files: tuple[str, str] = CLIPS) -> Graphs:
    """
    Open the graphs of a saved model.

    Args:
        folder (`str` or `os.PathLike`): holds config.json, the weights and the graphs.
        files (`tuple[str, str]`, *optional*): which two, of `KINDS`.

    Raises:
        MissingExtraError: if ONNX Runtime is not installed.
        GraphError: if there are none, or they were made of another model.
    """
    require_packages(EXTRA, "to speak with ONNX Runtime", "onnxruntime")
    folder = Path(folder)
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        kind = f"ONNX graphs{KINDS[files]}"
        what = f"there are no {kind} in it" if missing == list(files) else f"its {missing[0]} is missing"
        raise GraphError(f"model {folder}: {what}. Where PyTorch is, write them: lip2wav lite {folder}")
    again, sessions = f"Write it again: lip2wav lite {folder}", []
    for name in files:
        graph, found = split_seal((folder / name).read_bytes())
        check_weights_lie_with(folder, folder / name)
        if found != seal(folder, name, graph):  # before it is opened: its weights may lie elsewhere now
            raise GraphError(f"{folder / name}: it is damaged, or not of the model that lies beside it. {again}")
        try:
            sessions.append(open_session(folder / name, 1 if files == STREAMS else None))
        except Exception as error:
            raise GraphError(f"{folder / name}: it cannot be used ({one_line(error)}). {again}") from error
    return Graphs(*sessions, files)


def copy_graphs(source: Path, folder: Path) -> list[Path]:
    """
    Give a model the graphs of another one of the same network, such as the one that its training began from: they take
    their numbers from the weights beside them.

    Args:
        source (`Path`): folder of a saved model, perhaps with graphs.
        folder (`Path`): of another one.

    Returns:
        `list[Path]`: the new files; none where there are no graphs, or where they would calculate something else.

    Raises:
        GraphError: if the weights or config.json of one are damaged.
    """
    graphs: dict[Path, bytes] = {}
    for files in KINDS:
        found = {name: split_seal((source / name).read_bytes()) for name in files if has_graphs(source, files)}
        if all(own == seal(source, name, graph) for name, (graph, own) in found.items()):
            graphs |= {folder / name: graph for name, (graph, _) in found.items()}
    if not graphs or _network(source) != _network(folder):
        return []
    for path, graph in graphs.items():
        path.write_bytes(graph + seal(folder, path.name, graph))
    return list(graphs)


def _network(folder: Path) -> tuple[dict[str, Any], list[Any]]:
    """What graphs depend on, whether config.json writes it or leaves it to the defaults."""
    from ..configuration_lip2wav import Lip2WavConfig  # noqa: PLC0415  brings transformers

    config = Lip2WavConfig.from_pretrained(folder).to_dict()
    weights = [(path.name, *weights_header(path)) for path in weight_files(folder)]
    return {field: value for field, value in config.items() if field not in NOT_IN_GRAPHS}, weights


def open_session(path: Path, threads: int | None = None) -> InferenceSession:
    """A graph; by default with half of the cores: another thread may read the next pictures meanwhile."""
    from onnxruntime import InferenceSession, SessionOptions  # noqa: PLC0415  of an extra

    options = SessionOptions()
    options.intra_op_num_threads = threads or _threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what is fatal
    return InferenceSession(path, options, providers=["CPUExecutionProvider"], enable_fallback=0)


def _threads() -> int:
    given, cores = os.environ.get("OMP_NUM_THREADS", ""), available_cores()
    return min(int(given), cores) if given.isdecimal() and int(given) else max(cores // 2, 1)


def has_graphs(folder: Path, files: tuple[str, str] = CLIPS) -> bool:
    """Whether a folder has both files."""
    return all((folder / name).is_file() for name in files)


def graph_files(folder: Path) -> tuple[list[Path], list[str]]:
    """
    The graphs that lie beside a saved model.

    Returns:
        `tuple[list[Path], list[str]]`: those that speak for it; and for those of each kind that do not, or cannot be
        checked because ONNX Runtime is missing, a message with its files, what is wrong and what to do.
    """
    found, problems = [], []
    for kinds in ((CLIPS, INT8_CLIPS), (STREAMS,)):
        names = dict.fromkeys(itertools.chain(*kinds))
        present = [folder / name for name in names if (folder / name).is_file()]
        if not present:
            continue
        try:
            require_packages(EXTRA, "checking them", "onnxruntime")
            for files in kinds:
                if files != INT8_CLIPS or folder / INT8_DECODER_FILE in present:  # older models have none in int8
                    open_graphs(folder, files)
            found += present
        except Lip2WavError as error:
            problems.append(f"{', '.join(path.name for path in present)}: left out. {one_line(error)}")
    return found, problems


def check_weights_lie_with(folder: Path, path: Path) -> None:
    """Raises `GraphError` where the weights of a model are links to another folder than that of a graph."""
    for weights in weight_files(folder):
        if weights.resolve().parent != path.resolve().parent:
            raise GraphError(
                f"{weights}: it is a link to another folder, where ONNX Runtime reads no weights. Copy the file."
            )


def seal(folder: Path, name: str, graph: bytes) -> bytes:
    """
    What a file ends with behind its graph, an entry of its metadata: a digest of the graph and of what it depends on,
    the architecture in config.json and where the numbers lie in the files of weights.

    Args:
        folder (`Path`): of the model.
        name (`str`): of the file.
        graph (`bytes`): the serialised graph.
    """
    config = read_fields(folder / "config.json", GraphError)
    known = {field: value for field, value in config.items() if field not in NOT_IN_GRAPHS}
    digest = hashlib.sha256(json.dumps([name, known], sort_keys=True).encode())
    for path in weight_files(folder):
        digest.update(json.dumps([path.name, *weights_header(path)], sort_keys=True).encode())
    digest.update(graph)
    return _metadata(digest.hexdigest().encode())


def split_seal(content: bytes) -> tuple[bytes, bytes]:
    """A file as its graph and its seal."""
    length = len(_metadata(hashlib.sha256().hexdigest().encode()))
    return content[:-length], content[-length:]


def _metadata(value: bytes) -> bytes:
    """An entry of the field `metadata_props` (14) of ONNX' `ModelProto`, as protocol buffers are serialised."""
    entry = b"\x0a" + bytes([len(SEAL)]) + SEAL + b"\x12" + bytes([len(value)]) + value
    return b"\x72" + bytes([len(entry)]) + entry


def weights_header(path: Path) -> tuple[dict[str, Any], int]:
    """
    Where the numbers of a safetensors file lie.

    Returns:
        `tuple`: for each name its `dtype`, `shape` and `data_offsets`, and the byte that these count from.

    Raises:
        GraphError: if it is no such file.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = dict(json.loads(file.read(min(length, 100_000_000))))  # as long as the format allows
        header.pop("__metadata__", None)
        end = 8 + length + max(place["data_offsets"][1] for place in header.values())
        if end > path.stat().st_size:
            raise ValueError(f"{path.stat().st_size} bytes of {end}")
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise GraphError(
            f"{path}: the weights are damaged ({one_line(error)}). Download or save them again."
        ) from error
    return header, 8 + length


def keep_torch_out(for_good: bool) -> None:
    """
    Let transformers, unless it has been imported already, do without torch, which saves most of the time and memory of
    a short run.

    Args:
        for_good (`bool`): for the rest of this process; otherwise only where it is not installed.
    """
    if "transformers" in sys.modules:
        return
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # that there is no torch
    if for_good:
        sys.modules.setdefault("torch", cast(Any, None))  # `import torch` then says that there is none


def has_torch() -> bool:
    """Whether torch is installed, and not kept out."""
    return "torch" in sys.modules and sys.modules["torch"] is not None or find_spec("torch") is not None


__all__ = [
    "CLIPS",
    "DECODER_FILE",
    "ENCODER_FILE",
    "EXTRA",
    "FRAMES",
    "INT8_CLIPS",
    "INT8_DECODER_FILE",
    "KINDS",
    "PAST",
    "PRESENT",
    "SEAL",
    "STREAMS",
    "STREAM_DECODER_FILE",
    "STREAM_ENCODER_FILE",
    "GraphError",
    "Graphs",
    "check_weights_lie_with",
    "copy_graphs",
    "graph_files",
    "has_graphs",
    "has_torch",
    "keep_torch_out",
    "open_graphs",
    "open_session",
    "seal",
    "split_seal",
    "weights_header",
]
