"""`metadata.csv` and `.jsonl` as people write them: with any spreadsheet, and files named as another system does."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ..files import parse_json, read_text
from .columns import VideoFolderError, plain_names


MISNAMED = ("file", "filename", "file name", "file-name", "filepath", "file_path", "path", "name", "clip", "video")
DELIMITERS = (",", ";", "\t")  # the second where a comma is the decimal sign


def read_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """
    Number of the line, and what it says, of each row.

    Raises:
        VideoFolderError: if it is no text, no table with the column `file_name`, or no JSON lines.
    """
    try:
        text = read_text(file)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise VideoFolderError(
            f"{file}, line {line}: it is no UTF-8. Save it as such (in Excel: CSV UTF-8)."
        ) from error
    except OSError as error:
        raise VideoFolderError(f"{file}: it cannot be read ({error.strerror}).") from error
    try:
        yield from _csv_rows(file, text) if file.suffix.lower() == ".csv" else _json_rows(file, text)
    except csv.Error as error:
        raise VideoFolderError(f"{file}: it is no table ({error}).") from error


def _csv_rows(file: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    columns: list[str] = []
    for delimiter in DELIMITERS:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        columns = max(columns, list(reader.fieldnames or ()), key=len)
        if "file_name" in plain_names(dict.fromkeys(reader.fieldnames or ())):
            break
    else:
        meant = next((name for name in columns if name.strip().lower() in MISNAMED), None)
        raise VideoFolderError(
            f"{file}: its first line must name the columns, file_name among them; it is"
            f" {', '.join(columns) or 'empty'}.{f' Rename {meant} to file_name.' if meant else ''}"
        )
    _refuse_twins(str(file), reader.fieldnames or ())
    is_open, began = text.count('"') % 2 == 1, reader.line_num
    for row in reader:
        if is_open and any("\n" in str(cell) for cell in row.values()):
            raise VideoFolderError(
                f'{file}, line {began + 1}: a double quote (") is opened and not closed. Close it, or take it away.'
            )
        began = reader.line_num
        more = [cell for cell in row.pop(None, ()) if cell.strip()]
        if more:
            raise VideoFolderError(
                f"{file}, line {reader.line_num}: it has more cells than there are columns, such as {more[0]!r}. Put"
                f' a transcription with a {delimiter!r} in it between double quotes ("").'
            )
        if any((cell or "").strip() for cell in row.values()):
            yield reader.line_num, plain_names(row)


def _json_rows(file: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    columns: list[str] = []

    def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        columns[:] = [name for name, _ in pairs]  # at last of the row itself, what is in it comes before
        return dict(pairs)

    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, object_pairs_hook=read_object)
        except ValueError as error:
            raise VideoFolderError(f"{file}, line {number}: it is not JSON ({error}).") from error
        if not isinstance(row, dict):
            raise VideoFolderError(f"{file}, line {number}: it is no JSON object.")
        _refuse_twins(f"{file}, line {number}", columns)
        yield number, plain_names(row)


def _refuse_twins(place: str, columns: Sequence[str]) -> None:
    """
    Refuse columns of one name, whatever their case and the spaces around them.

    Raises:
        VideoFolderError: if there are such.
    """
    names = [name.strip().lower() for name in columns]
    twins = [column for column, name in zip(columns, names, strict=True) if name and names.count(name) > 1][:2]
    if twins:
        called = " and ".join(map(repr, twins)) if len(set(twins)) > 1 else twins[0]
        raise VideoFolderError(f"{place}: two columns are called {called}. Rename one, or take it away.")


class ListedFiles:
    """
    Finds the files that metadata list. A name need not have the case of the file's, nor its Unicode form, which is
    another one on a Mac; and its folders may be separated as on Windows.

    Args:
        folder (`Path`): that the names are relative to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[Path, dict[str, list[Path]]] = {}

    def find(self, name: str) -> Path | None:
        """
        The file of a name; `None` where there is none, or several would do.

        Raises:
            ValueError: if the name leads out of the folder.
        """
        name = self._inside(name)
        if _is_file(self.folder / name) and PurePosixPath(name).parts and not _leads_out(name):
            return self.folder / name
        name = name.replace("\\", "/")
        if _leads_out(name):
            raise ValueError(f"{name} is not inside {self.folder}.")
        place = self.folder
        for part in PurePosixPath(name).parts:
            found = [place / part] if _exists(place / part) else self._alike(place).get(_folded(part), [])
            if len(found) != 1:
                return None
            place = found[0]
        return place if _is_file(place) else None

    def _inside(self, name: str) -> str:
        """A whole path that leads into the folder, from the folder on; anything else as it is."""
        try:
            return str(Path(name).relative_to(self.folder.absolute())) if Path(name).is_absolute() else name
        except ValueError:
            return name

    def _alike(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._names:
            names: dict[str, list[Path]] = {}
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                names.setdefault(_folded(path.name), []).append(path)
            self._names[folder] = names
        return self._names[folder]


def _exists(path: Path) -> bool:
    """Whether it is there; nothing is of a name that no system takes."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _is_file(path: Path) -> bool:
    return _exists(path) and path.is_file()


def _leads_out(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or Path(name).is_absolute() or ".." in path.parts or name[1:3] == ":/"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


__all__ = ["ListedFiles", "read_rows"]
