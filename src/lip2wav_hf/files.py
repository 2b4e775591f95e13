"""Files that appear whole or not at all, JSON, file objects of every origin, and where the named models lie."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

from .errors import Lip2WavError, VideoError, one_line


logger = logging.getLogger(__name__)

CHECKPOINTS = Path(__file__).parent / "checkpoints"
"""Folder of the bundled models; as remote code of the Hub, there is none."""

_OF_THE_SOURCES = Path(__file__).parents[2] / "baselines"
BASELINES = _OF_THE_SOURCES if _OF_THE_SOURCES.is_dir() else Path("baselines")
"""
Folder of the models to compare with, which are not installed with the package: that of the copy of the repository it
runs from, or the one in the working folder.
"""

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")  # owner/name


class FileError(Lip2WavError):
    """A file that cannot be read as what it should be."""


class MissingModelError(Lip2WavError, FileNotFoundError):
    """The name of a model that is neither a folder, nor a bundled model, nor `owner/name` on the Hub."""


def check_writable(folder: Path, what: str, error: type[Exception] = Lip2WavError) -> None:
    """
    See that a folder, or the nearest one above it that exists, takes new files: before the work is done.

    Args:
        folder (`Path`): where files are to be written; it need not exist.
        what (`str`): how the message names it, such as `-o out/mine`.
        error (`type`, *optional*, defaults to [`Lip2WavError`]): what is raised if it does not.
    """
    folder = nearest_folder(folder)
    if not folder.is_dir():
        raise error(f"{what}: {folder} is a file, not a folder. Choose another place.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise error(f"{what}: no permission to write into {folder}. Choose another place.")
    try:
        with tempfile.TemporaryFile(dir=folder):  # some places, such as /proc, only look as if they took files
            pass
    except OSError as problem:
        raise error(f"{what}: nothing can be written into {folder}. Choose another place.") from problem


def nearest_folder(path: Path) -> Path:
    """The path, or the nearest one above it that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def named_folder(name: str) -> Path | None:
    """The folder of a bundled model, or of one to compare with, by its name; `None` for any other name or path."""
    for folder in (CHECKPOINTS, BASELINES):
        if re.fullmatch(r"[\w-]+", name) and (folder / name / "config.json").is_file():
            return folder / name
    return None


def model_place(name: Any) -> Any:
    """
    What transformers' `from_pretrained` is to be given for a model: the folder of a model that is named, if nothing
    lies under that name; else the path or the repository as it is.

    Args:
        name (`str`, `os.PathLike` or `None`): as `from_pretrained` takes it.

    Raises:
        MissingModelError: for a name that can be none of them. As remote code, which has no bundled models, any name
            is left to transformers.
    """
    if not isinstance(name, str) or REPOSITORY.fullmatch(name) or os.path.exists(name):
        return name
    found = named_folder(name)
    if found is None and CHECKPOINTS.is_dir():
        names = sorted(
            path.parent.name for folder in (CHECKPOINTS, BASELINES) for path in folder.glob("*/config.json")
        )
        raise MissingModelError(
            f"model {name}: there is no such folder (working folder: {os.getcwd()}), and no bundled model has it."
            f" Give a folder, a repository of the Hub as owner/name, or one of {', '.join(names)}."
        )
    return name if found is None else str(found)


def check_repository_name(name: str, error: type[Lip2WavError] = Lip2WavError) -> None:
    """
    Raises:
        `error`: if the Hub does not accept this as the name of a repository.
    """
    from huggingface_hub.utils import HFValidationError, validate_repo_id  # noqa: PLC0415  not for files

    try:
        validate_repo_id(name)
    except HFValidationError as refusal:
        why = one_line(refusal).partition(" Use `repo_type` ")[0]  # advice on an argument of that library
        raise error(f"{name!r} is not the name of a repository, such as 'me/my-voice'. {why}") from refusal


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Generator[Path]:
    """
    A temporary path beside `path`, with the same suffix, which takes its place when the block ends well and vanishes
    otherwise. A reader sees the old file or the new one, never half of it.

    Args:
        path (`str` or `os.PathLike`): the file to write; its folder must exist.

    Yields:
        `Path`: where the block writes.
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a UTF-8 text file whole or not at all; makes its folder."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, content: Any, indent: int | None = 2, **options: Any) -> None:
    """Write a JSON file whole or not at all; `options` are those of `json.dumps`."""
    write_text(path, json.dumps(content, indent=indent, ensure_ascii=False, **options) + "\n")


def json_ready(value: Any) -> Any:
    """The same value with NaN as null, which JSON can hold."""
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def decode_text(content: bytes) -> str:
    """
    Text that is UTF-8, or UTF-16 with its mark, as some spreadsheets and editors of Windows write it.

    Raises:
        UnicodeDecodeError: if it is neither.
    """
    return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def read_text(path: str | os.PathLike) -> str:
    """
    A text file that somebody wrote, as [`decode_text`].

    Raises:
        OSError: if it cannot be read.
        UnicodeDecodeError: if it is no such text.
    """
    return decode_text(Path(path).read_bytes())


def parse_json(text: str | bytes, **options: Any) -> Any:
    """As `json.loads`; but what is nested too deeply is a `ValueError` like everything else that is no JSON."""
    try:
        return json.loads(text, **options)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: str | os.PathLike, error: type[Lip2WavError] = FileError) -> Any:
    """
    The content of a JSON file.

    Args:
        path (`str` or `os.PathLike`): the file.
        error (subclass of [`Lip2WavError`], *optional*): what to raise; [`FileError`] by default.

    Raises:
        Lip2WavError: of the given class, if the file is missing or is not JSON.
    """
    try:
        return parse_json(read_text(path))
    except FileNotFoundError as problem:
        raise error(f"{path}: there is no such file.") from problem
    except (OSError, ValueError) as problem:
        raise error(f"{path}: it cannot be read as JSON ({one_line(problem)}).") from problem


def read_fields(path: str | os.PathLike, error: type[Lip2WavError] = FileError) -> dict[str, Any]:
    """As [`read_json`], of a file that must hold an object: its fields."""
    content = read_json(path, error)
    if not isinstance(content, dict):
        raise error(f"{path}: it holds no fields, but a {type(content).__name__}. Get the file again.")
    return content


def replace_folder(temporary: str | os.PathLike, folder: str | os.PathLike) -> None:
    """
    Replace a folder, if there is one, by a finished one; there is never half a folder under that name.

    Args:
        temporary (`str` or `os.PathLike`): the finished folder, on the same file system.
        folder (`str` or `os.PathLike`): its place.
    """
    folder = Path(folder)
    for path in (*Path(temporary).rglob("*"), Path(temporary)):
        _flush(path)
    outdated = folder.with_name(f"tmp-outdated-{folder.name}")
    shutil.rmtree(outdated, ignore_errors=True)
    if folder.exists():
        os.replace(folder, outdated)
    os.replace(temporary, folder)
    _flush(folder.absolute().parent)
    shutil.rmtree(outdated, ignore_errors=True)


def _flush(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk: they survive a power cut. Not every system can do that."""
    with contextlib.suppress(OSError):
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def follow_umask(path: str | os.PathLike) -> None:
    """
    Give a file the permissions that any new file gets there: some libraries write files for their owner alone.

    Args:
        path (`str` or `os.PathLike`): the file.
    """
    path = Path(path)
    probe = path.with_name(f".{uuid.uuid4().hex}")
    probe.touch()
    try:
        path.chmod(probe.stat().st_mode & 0o777)
    finally:
        probe.unlink()


class PlainReader:
    """A file object as PyAV may see it: it would guess from a mode, and let exceptions through FFmpeg."""

    def __init__(self, file: Any, name: str) -> None:
        self._file, self._name = file, name
        self.fault: str | None = None

    @property
    def closed(self) -> bool:
        return bool(getattr(self._file, "closed", False))

    def read(self, size: int = -1) -> bytes:
        """A block; from a fault on, nothing."""
        if self.fault is None:
            try:
                return read_block(self._file, size, self._name)
            except Exception as error:
                self.fault = one_line(error)
                logger.warning("%s: reading it failed (%s); what follows is missing.", self._name, self.fault)
        return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._file.seek(offset, whence)
        return self._file.tell()

    def tell(self) -> int:
        return self._file.tell()


def binary_file(file: Any) -> Any:
    """What reads bytes: a web framework's upload, whose own methods are coroutines, keeps a plain file inside."""
    from inspect import iscoroutinefunction  # noqa: PLC0415  slow to import

    inner = getattr(file, "file", None)
    if not iscoroutinefunction(file.read):
        return file
    if hasattr(inner, "read") and not iscoroutinefunction(inner.read):
        return inner
    raise VideoError(f"A {type(file).__name__} is read with await. Pass its content: await file.read().")


def rewind(file: Any) -> bool:
    """Whether a file object can be read from its beginning, as often as need be."""
    seekable = getattr(file, "seekable", None)
    if not hasattr(file, "seek") or not hasattr(file, "tell") or (seekable is not None and not seekable()):
        return False
    try:
        file.seek(0)
    except (OSError, NotImplementedError):
        return False
    return True


def read_block(file: Any, size: int, name: str) -> bytes:
    """What a file object gives; raises `VideoError` if that is not bytes."""
    block = file.read(size)
    if not isinstance(block, (bytes, bytearray, memoryview)):
        kind = type(block).__name__
        raise VideoError(f"{name}: reading the file object gives {kind}, not bytes. Open it in binary mode.")
    return bytes(block)


__all__ = [
    "BASELINES",
    "CHECKPOINTS",
    "FileError",
    "MissingModelError",
    "REPOSITORY",
    "PlainReader",
    "binary_file",
    "check_repository_name",
    "check_writable",
    "follow_umask",
    "json_ready",
    "model_place",
    "named_folder",
    "nearest_folder",
    "parse_json",
    "read_block",
    "read_fields",
    "read_json",
    "replace_folder",
    "replacing",
    "rewind",
    "write_json",
    "write_text",
]
