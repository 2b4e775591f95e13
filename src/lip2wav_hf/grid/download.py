"""GRID from Zenodo, record 3625687: resumed where it broke off, checked against the published MD5 sums.

The loop is our own: `huggingface_hub.file_download.http_get` gives up at the first 503, starts again from nothing
where a server ignores `Range`, loses what has come of a block of 10 MB at each break, and does not work while
HF_HUB_OFFLINE is set.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx

from ..corpora.progress import Bar, progress_bar
from ..errors import counted
from .corpus import SPEAKERS, GridError


logger = logging.getLogger(__name__)

ZENODO_API = "https://zenodo.org/api"
RECORD = "3625687"
ALIGNMENTS_FILE = "alignments.zip"
AUDIO_FILE = "audio_25k.zip"

LONGEST_WAIT = 60.0  # seconds between two tries
TRANSIENT = (408, 425, 429, 500, 502, 503, 504, 520, 522, 524)  # HTTP statuses that may pass


class DownloadError(GridError):
    """A file that cannot be downloaded; the message says which and what to do. What has arrived is kept."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a Zenodo record.

    Attributes:
        name (`str`): such as `"s1.zip"`.
        size (`int`): bytes.
        md5 (`str`): hexadecimal.
        url (`str`): where its contents are.
    """

    name: str
    size: int
    md5: str
    url: str


def _log(problem: str) -> None:
    logger.warning("%s", problem)


@dataclass(frozen=True)
class Patience:
    """How long to wait and how often to try.

    Attributes:
        tries (`int`): attempts without a single new byte before giving up.
        first_wait (`float`): seconds before the second attempt; each further wait is twice as long.
        timeout (`float`): seconds without an answer after which a connection counts as lost.
        report (callable): called with one line about each problem and the next attempt; by default it goes to the
            log.
    """

    tries: int = 8
    first_wait: float = 1.0
    timeout: float = 30.0
    report: Callable[[str], None] = _log

    def wait(self, problem: str, failures: int, answer: httpx.Response | None = None) -> None:
        """Report a problem and sleep before the next attempt, at least as long as the server asks for."""
        asked = answer.headers.get("Retry-After", "") if answer is not None else ""
        seconds = self.first_wait * 2 ** (max(failures, 1) - 1)
        seconds = min(max(seconds, float(asked) if asked.isdigit() else 0.0), LONGEST_WAIT)
        count = f" ({failures + 1} of {self.tries})" if failures else ""
        self.report(f"{problem}, trying again in {seconds:g} s{count}")
        time.sleep(seconds)


def grid_files(speakers: Sequence[str] | None = None, audio: bool = False) -> list[str]:
    """Names of the files of the record that hold the alignments and the videos of speakers.

    Args:
        speakers (`Sequence[str]`, *optional*): such as `["s1", "s2"]`; all 33 by default.
        audio (`bool`, *optional*, defaults to `False`): also the sound apart from the videos, of all speakers.

    Raises:
        DownloadError: if a speaker does not exist.
    """
    for speaker in speakers or ():
        if speaker == "s21":
            raise DownloadError("s21: GRID has no video of this speaker.")
        if speaker not in SPEAKERS:
            raise DownloadError(f"{speaker}: no such speaker in GRID; there are s1 to s34.")
    chosen = [speaker for speaker in SPEAKERS if not speakers or speaker in speakers]
    return [ALIGNMENTS_FILE, *([AUDIO_FILE] if audio else []), *(f"{speaker}.zip" for speaker in chosen)]


def read_record(
    client: httpx.Client, base_url: str = ZENODO_API, patience: Patience = Patience()
) -> dict[str, RemoteFile]:
    """The files of the Zenodo record, by name.

    Raises:
        DownloadError: if the record cannot be downloaded or is not understood.
    """
    url = f"{base_url.rstrip('/')}/records/{RECORD}"
    answer = _get(client, url, {}, patience, whole=True)
    try:
        files = [
            RemoteFile(file["key"], int(file["size"]), file["checksum"].removeprefix("md5:"), file["links"]["self"])
            for file in answer.json()["files"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise DownloadError(f"{url}: the answer is not a list of files ({type(error).__name__}: {error}).") from None
    return {file.name: file for file in files}


def _get(
    client: httpx.Client, url: str, headers: dict[str, str], patience: Patience, whole: bool = False
) -> httpx.Response:
    """
    An answer that is worth reading (200, 206 or 416), after as many tries as it takes.

    Args:
        client (`httpx.Client`): sends the request.
        url (`str`), headers (`dict[str, str]`): of the request.
        patience ([`Patience`]): timeouts and tries.
        whole (`bool`, *optional*, defaults to `False`): read the answer to its end; else the caller reads and closes
            it.
    """
    problem = ""
    for failures in range(1, patience.tries + 1):
        answer = None
        try:
            request = client.build_request("GET", url, headers=headers, timeout=patience.timeout)
            answer = client.send(request, stream=not whole)
            if answer.status_code in (200, 206, 416):
                return answer
            problem = f"the server answers {answer.status_code} {answer.reason_phrase}".rstrip()
            answer.close()
            if answer.status_code not in TRANSIENT:
                raise DownloadError(f"{url}: {problem}. Is this the right address?")
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise DownloadError(f"{url}: this is no address: begin it with https://. ({error})") from None
        except httpx.HTTPError as error:
            problem = _reason(error)
        if failures < patience.tries:
            patience.wait(f"{server_of(url)}: {problem}", failures, answer)
    raise DownloadError(
        f"{url}: {problem}, {counted(patience.tries, 'time')}. Run the same command later: it continues from here."
    )


def server_of(url: str) -> str:
    """The name of a server, with its port if the address has one, for messages; of what is no address, all of it."""
    return url.rpartition("://")[2].partition("/")[0]


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError):
        return "no connection"
    return f"the transfer broke off ({type(error).__name__})"


def download_grid(
    folder: str | os.PathLike,
    speakers: Sequence[str] | None = None,
    audio: bool = False,
    base_url: str = ZENODO_API,
    patience: Patience = Patience(),
    progress: bool = True,
) -> list[Path]:
    """Download GRID's archives into a folder. Complete files are kept, partial ones resumed.

    Args:
        folder (`str` or `os.PathLike`): made if missing.
        speakers (`Sequence[str]`, *optional*), audio (`bool`, *optional*): as for [`grid_files`].
        base_url (`str`, *optional*): of an API like Zenodo's.
        patience ([`Patience`], *optional*): timeouts, tries, and where they are reported.
        progress (`bool`, *optional*, defaults to `True`): show a progress bar.

    Returns:
        `list[Path]`: the files.

    Raises:
        DownloadError: if a file cannot be downloaded whole and correct, or the disk is full. `.part` files are kept.
    """
    names = grid_files(speakers, audio)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"{folder}: no such folder can be made ({error.strerror}).") from None
    headers = {"User-Agent": "lip2wav_hf", "Accept-Encoding": "identity"}
    with httpx.Client(headers=headers, follow_redirects=True) as client:
        remote = read_record(client, base_url, patience)
        absent = [name for name in names if name not in remote]
        if absent:
            raise DownloadError(f"record {RECORD} has no {', '.join(absent)}; it has {', '.join(sorted(remote))}.")
        files = [remote[name] for name in names]
        _check_space(folder, files)
        paths = []
        with progress_bar(None, "", sum(file.size for file in files), "B", show=progress) as bar:
            for file in files:
                bar.set_description(file.name)
                paths.append(download_file(client, file, folder / file.name, patience, bar))
    return paths


def _check_space(folder: Path, files: list[RemoteFile]) -> None:
    """Raise if the disk is too full for the download."""
    needed = 0
    for file in files:
        path = folder / file.name
        part = _part(path)
        if not path.exists():
            needed += file.size - (min(part.stat().st_size, file.size) if part.exists() else 0)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(
            f"{folder}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free. Make room, choose another"
            " folder, or fewer speakers."
        )


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def download_file(
    client: httpx.Client, file: RemoteFile, path: Path, patience: Patience = Patience(), bar: Bar | None = None
) -> Path:
    """Download one file, resuming from its `.part` file if there is one. It gets its name only once it is correct.

    Raises:
        DownloadError: if it cannot be downloaded, is wrong twice, or the disk is full; or if its name is taken.
    """
    bar = bar if bar is not None else progress_bar(show=False)
    if path.exists():
        if path.stat().st_size != file.size or _md5(path) != file.md5:
            raise DownloadError(
                f"{path}: a file of this name is there, but it is not the published one ({file.size} bytes, MD5"
                f" {file.md5}). Move it away, then run the same command again."
            )
        bar.update(file.size)
        return path
    part = _part(path)
    for attempt in (1, 2):
        before = bar.n
        _fetch(client, file, part, patience, bar)
        found = _md5(part)
        if found == file.md5:
            os.replace(part, path)
            return path
        part.unlink()
        bar.update(before - bar.n)
        if attempt == 1:
            patience.report(f"{file.name}: damaged in transfer (MD5 {found} instead of {file.md5}); once more.")
    raise DownloadError(
        f"{file.url}: twice different from what was published: MD5 {found} instead of {file.md5}. Try again later."
    )


def _fetch(client: httpx.Client, file: RemoteFile, part: Path, patience: Patience, bar: Bar) -> None:
    """Fill the `.part` file up to its size, over as many connections as it takes."""
    if part.exists() and part.stat().st_size > file.size:
        part.unlink()
    have = part.stat().st_size if part.exists() else 0
    bar.update(have)
    failures = 0
    while have < file.size or not part.exists():
        with closing(_get(client, file.url, {"Range": f"bytes={have}-"} if have else {}, patience)) as answer:
            start = _first_byte(answer)
            if start is None or start > have:
                part.unlink(missing_ok=True)
                bar.update(-have)
                have, received, problem = 0, 0, "the server sends different bytes from those asked for"
            else:  # a server that does not know ranges starts at 0: what is there already is passed over
                received, problem = _append(answer, part, start, have, file, bar)
        have += received
        failures = 0 if received else failures + 1
        if have < file.size:
            if failures >= patience.tries:
                raise DownloadError(
                    f"{file.url}: {problem}, {counted(failures, 'time')}, after {have} of {file.size} bytes. Run the"
                    " same command later: it continues from here."
                )
            patience.wait(f"{file.name}: {problem} after {have} of {file.size} bytes", failures)


def _first_byte(answer: httpx.Response) -> int | None:
    """Position in the file of the first byte of an answer; `None` if it has no such part."""
    if answer.status_code == 200:
        return 0
    if answer.status_code == 416:
        return None
    unit, _, span = answer.headers.get("Content-Range", "").partition(" ")
    start = span.partition("-")[0]
    return int(start) if unit == "bytes" and start.isdigit() else None


def _append(answer: httpx.Response, part: Path, start: int, have: int, file: RemoteFile, bar: Bar) -> tuple[int, str]:
    """Write what an answer brings beyond the bytes that are there; how much that was, and what ended it."""
    position, problem = start, "the connection closed"
    try:
        with part.open("ab") as target:
            for block in answer.iter_bytes():  # as it comes, so that nothing of it is lost
                new = block[max(have - position, 0) : file.size - position]
                position += len(block)
                target.write(new)
                bar.update(len(new))
                if position >= file.size:
                    break
    except httpx.HTTPError as error:
        problem = _reason(error)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DownloadError(f"{part}: it cannot be written ({error.strerror or error}).") from None
        missing = (file.size - part.stat().st_size) / 1e9
        raise DownloadError(
            f"{part}: the disk is full; {missing:.2f} GB of {file.name} are missing. Make room and run the same"
            " command again: it continues from here."
        ) from None
    return part.stat().st_size - have, problem


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def unpack(archive: str | os.PathLike, folder: str | os.PathLike, progress: bool = True) -> int:
    """Unpack an archive; files that are there in full are left as they are. Returns the number of files written.

    Raises:
        DownloadError: if the archive is damaged or the disk is full.
    """
    written = 0
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.filename.startswith("__MACOSX")]
            for member in progress_bar(
                members, f"unpacking {Path(archive).name}", len(members), "file", show=progress
            ):
                target = Path(folder, member.filename)
                if member.is_dir() or (target.is_file() and target.stat().st_size == member.file_size):
                    continue
                opened.extract(member, folder)
                written += 1
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DownloadError(
            f"{archive}: this archive is damaged ({error}). Delete it and download it again."
        ) from None
    except OSError as error:
        raise DownloadError(f"{folder}: {archive} cannot be unpacked there ({error.strerror or error}).") from None
    return written


__all__ = [
    "ZENODO_API",
    "DownloadError",
    "Patience",
    "RemoteFile",
    "download_file",
    "download_grid",
    "grid_files",
    "read_record",
    "server_of",
    "unpack",
]
