"""The downloader, against a local server that behaves badly."""

import hashlib
import io
import json
import os
import signal
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from lip2wav_hf.grid import download as grid_download
from lip2wav_hf.grid.download import DownloadError, Patience, download_grid, grid_files, unpack


QUICK = Patience(tries=3, first_wait=0.01, timeout=2.0)


def archive_of(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, contents in members.items():
            archive.writestr(name, contents)
    return buffer.getvalue()


class BadServer(ThreadingHTTPServer):
    """
    Zenodo's API for one record, with faults.

    `faults` maps a file's name to what happens to the next requests for it, one after the other: "drop" (the
    connection closes half way), "stall" (it says nothing more half way), "ignore range", "damage" (a byte is wrong),
    or an HTTP status. Every answer for the file `never_whole` is its first half. `requests` keeps (name, Range).
    """

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.requests = files, {}, []
        self.pause, self.never_whole = 0.0, None
        self.url = f"http://127.0.0.1:{self.server_port}/api"

    def record(self):
        return {
            "files": [
                {
                    "key": name,
                    "size": len(contents),
                    "checksum": "md5:" + hashlib.md5(contents).hexdigest(),
                    "links": {"self": f"{self.url}/records/3625687/files/{name}/content"},
                }
                for name, contents in self.files.items()
            ]
        }

    def handle_error(self, request, client_address):
        """A client that goes away is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Nothing on the terminal."""

    def do_GET(self):
        if self.path == "/api/records/3625687":
            return self.reply("record", json.dumps(self.server.record()).encode())
        parts = self.path.split("/")
        if len(parts) != 7 or parts[5] not in self.server.files:
            return self.send_error(404)
        return self.reply(parts[5], self.server.files[parts[5]])

    def reply(self, name, contents):
        wanted = self.headers.get("Range")
        self.server.requests.append((name, wanted))
        faults = self.server.faults.get(name, [])
        fault = faults.pop(0) if faults else None
        if name == self.server.never_whole:
            wanted, fault = None, "drop"
        if isinstance(fault, int):
            self.send_response(fault)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and fault != "ignore range" else 0
        if start >= len(contents):
            return self.send_error(416)
        body = contents[start:]
        if fault == "damage":
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(contents) - 1}/{len(contents)}")
        self.end_headers()
        sent = len(body) // 2 if fault in ("drop", "stall") else len(body)
        for position in range(0, sent, 1 << 16):
            self.wfile.write(body[position : min(position + (1 << 16), sent)])
            time.sleep(self.server.pause)
        self.wfile.flush()
        if fault == "stall":
            time.sleep(1.0)
        self.close_connection = fault in ("drop", "stall")


@pytest.fixture
def server():
    files = {
        "alignments.zip": archive_of({"alignments/s1/bbaf2n.align": "0 74500 sil\n"}),
        "audio_25k.zip": archive_of({"audio_25k/s1/bbaf2n.wav": os.urandom(1000)}),
        "s1.zip": archive_of({"s1/bbaf2n.mpg": os.urandom(1_500_000)}),
        "s2.zip": archive_of({"s2/bbaf2n.mpg": os.urandom(400_000)}),
    }
    server = BadServer(files)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def download(server, folder, speakers=("s1",), patience=QUICK, **options):
    return download_grid(folder, speakers, base_url=server.url, patience=patience, progress=False, **options)


def requests_for(server, name):
    return [wanted for asked, wanted in server.requests if asked == name]


def test_the_files_of_the_record():
    assert grid_files(["s2", "s1"]) == ["alignments.zip", "s1.zip", "s2.zip"]
    everything = grid_files(audio=True)
    assert (
        len(everything) == 35
        and "s21.zip" not in everything
        and everything[:2]
        == [
            "alignments.zip",
            "audio_25k.zip",
        ]
    )
    with pytest.raises(DownloadError, match="no video of this speaker"):
        grid_files(["s21"])
    with pytest.raises(DownloadError, match="s35: no such speaker"):
        grid_files(["s35"])


def test_files_arrive_whole_and_only_once(server, tmp_path):
    paths = download(server, tmp_path / "grid", ["s1", "s2"], audio=True)
    assert [path.name for path in paths] == ["alignments.zip", "audio_25k.zip", "s1.zip", "s2.zip"]
    for path in paths:
        assert path.read_bytes() == server.files[path.name]
    assert not list(tmp_path.rglob("*.part"))
    server.requests.clear()
    assert download(server, tmp_path / "grid", ["s1", "s2"], audio=True) == paths
    assert server.requests == [("record", None)]


@pytest.mark.parametrize("fault", ["drop", "stall"])
def test_a_connection_that_breaks_off_is_resumed(server, tmp_path, fault):
    server.faults["s1.zip"] = [fault, fault, 503]
    (path,) = download(server, tmp_path, patience=Patience(3, 0.01, 0.5))[1:]
    assert path.read_bytes() == server.files["s1.zip"]
    starts = [
        int((wanted or "bytes=0-").removeprefix("bytes=").rstrip("-")) for wanted in requests_for(server, path.name)
    ]
    size = len(server.files["s1.zip"])
    assert starts[:2] == [0, size // 2]  # every byte that came was kept
    assert starts == sorted(starts) and starts[-1] > size // 2


def test_a_server_that_ignores_ranges(server, tmp_path):
    server.faults["s1.zip"] = ["drop", "ignore range"]
    (path,) = download(server, tmp_path)[1:]
    assert path.read_bytes() == server.files["s1.zip"]
    assert len(requests_for(server, "s1.zip")) == 2


def test_a_server_that_never_recovers_ends_in_an_error_and_the_part_stays(server, tmp_path):
    server.faults["s1.zip"] = ["drop", *[503] * 10]
    with pytest.raises(DownloadError, match="503.*it continues from here"):
        download(server, tmp_path)
    have = (tmp_path / "s1.zip.part").stat().st_size
    assert have == len(server.files["s1.zip"]) // 2
    assert requests_for(server, "s1.zip") == [None, *[f"bytes={have}-"] * 3]
    server.faults.clear()
    assert download(server, tmp_path)[1].read_bytes() == server.files["s1.zip"]


def test_a_server_that_ignores_ranges_and_always_drops_ends_in_an_error(server, tmp_path):
    server.never_whole = "s1.zip"
    with pytest.raises(DownloadError, match="it continues from here"):
        download(server, tmp_path)
    assert len(requests_for(server, "s1.zip")) == 4  # the first one brought something


def test_wrong_bytes_once_are_fetched_again(server, tmp_path, caplog):
    server.faults["s1.zip"] = ["damage"]
    (path,) = download(server, tmp_path)[1:]
    assert path.read_bytes() == server.files["s1.zip"]
    assert "s1.zip: damaged in transfer" in caplog.text


def test_wrong_bytes_twice_are_an_error_and_nothing_wrong_stays(server, tmp_path):
    server.faults["s1.zip"] = ["damage", "damage"]
    with pytest.raises(DownloadError, match="twice different from what was published: MD5"):
        download(server, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alignments.zip"]


def test_a_part_with_wrong_bytes_is_found_at_the_end(server, tmp_path):
    (tmp_path / "s1.zip.part").write_bytes(b"x" * 1000)
    assert download(server, tmp_path)[1].read_bytes() == server.files["s1.zip"]
    assert requests_for(server, "s1.zip") == ["bytes=1000-", None]
    (tmp_path / "s1.zip").unlink()
    (tmp_path / "s1.zip.part").write_bytes(b"x" * 2_000_000)
    assert download(server, tmp_path)[1].read_bytes() == server.files["s1.zip"]


def test_a_whole_part_only_needs_its_name(server, tmp_path):
    (tmp_path / "s1.zip.part").write_bytes(server.files["s1.zip"])
    download(server, tmp_path)
    assert requests_for(server, "s1.zip") == []


def test_statuses_that_do_not_pass_are_errors_at_once(server, tmp_path):
    server.faults["record"] = [403]
    with pytest.raises(DownloadError, match="answers 403"):
        download(server, tmp_path)
    assert len(server.requests) == 1
    server.faults["record"] = [503, 429]
    assert len(download(server, tmp_path)) == 2


def test_a_list_of_files_that_breaks_off_is_asked_for_again(server, tmp_path):
    server.faults["record"] = ["drop", "stall"]
    assert len(download(server, tmp_path, patience=Patience(3, 0.01, 0.5))) == 2
    assert requests_for(server, "record") == [None] * 3


@pytest.mark.parametrize("address", ["zenodo.example/api", "ftp://zenodo.example/api"])
def test_what_is_no_address_is_an_error_at_once(tmp_path, address):
    with pytest.raises(DownloadError, match="no address.*https://"):
        download_grid(tmp_path, base_url=address, patience=QUICK, progress=False)


def test_another_file_of_the_name_is_not_touched(server, tmp_path):
    (tmp_path / "s1.zip").write_bytes(b"mine")
    with pytest.raises(DownloadError, match="not the published one"):
        download(server, tmp_path)
    assert (tmp_path / "s1.zip").read_bytes() == b"mine"


def test_a_record_without_the_file(server, tmp_path):
    with pytest.raises(DownloadError, match="has no s3.zip; it has alignments.zip"):
        download(server, tmp_path, ["s3"])
    server.record = lambda: {"message": "moved"}
    with pytest.raises(DownloadError, match="not a list of files"):
        download(server, tmp_path)


def test_no_server_at_all(tmp_path):
    with pytest.raises(DownloadError, match="no connection, 2 times"):
        download_grid(tmp_path, base_url="http://127.0.0.1:9/api", patience=Patience(2, 0.01), progress=False)


def test_too_little_room_is_known_before(server, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr(grid_download.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(DownloadError, match="GB are needed"):
        download(server, tmp_path)
    assert requests_for(server, "s1.zip") == []


def test_a_full_disk_keeps_what_there_is(server, tmp_path):
    """A real limit: for a moment, this process may write no file larger than 1 MB."""
    resource = pytest.importorskip("resource", reason="the system has no limits on file sizes to try this with")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(DownloadError, match="the disk is full"):
            download(server, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    have = (tmp_path / "s1.zip.part").stat().st_size
    assert 0 < have <= 1_000_000
    assert download(server, tmp_path)[1].read_bytes() == server.files["s1.zip"]
    assert requests_for(server, "s1.zip") == [None, f"bytes={have}-"]


def test_ctrl_c_loses_nothing(server, tmp_path, capfd):
    from lip2wav_hf.commands.main import main

    part = tmp_path / "s1.zip.part"

    def interrupt():
        while not (part.exists() and part.stat().st_size > 200_000):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    server.pause = 0.05  # 1.5 MB take more than a second
    threading.Thread(target=interrupt, daemon=True).start()
    command = ["download", "grid", str(tmp_path), "--speakers", "s1", "--base-url", server.url]
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert stop.value.code == 130 and "Run the same command again" in capfd.readouterr().err
    assert part.stat().st_size > 200_000 and not (tmp_path / "s1.zip").exists()
    server.pause = 0.0
    with pytest.raises(SystemExit) as stop:
        main([*command, "s2", "--unpack"])
    assert not stop.value.code
    assert (tmp_path / "s1.zip").read_bytes() == server.files["s1.zip"]
    assert requests_for(server, "s1.zip")[-1].startswith("bytes=")
    assert (tmp_path / "s2" / "bbaf2n.mpg").is_file()
    assert "s2.zip  0.4 MB, checked" in capfd.readouterr().out


def test_unpacking(server, tmp_path):
    for path in download(server, tmp_path, ["s1", "s2"]):
        assert unpack(path, tmp_path, progress=False) == 1
        assert unpack(path, tmp_path, progress=False) == 0
    assert (tmp_path / "s2" / "bbaf2n.mpg").stat().st_size == 400_000
    assert (tmp_path / "alignments" / "s1" / "bbaf2n.align").is_file()
    (tmp_path / "bad.zip").write_bytes(b"no archive")
    with pytest.raises(DownloadError, match="damaged"):
        unpack(tmp_path / "bad.zip", tmp_path)


def test_progress_counts_every_byte_once(server, tmp_path):
    from tqdm.auto import tqdm

    with httpx.Client() as client, tqdm(disable=False, file=io.StringIO()) as bar:
        file = grid_download.read_record(client, server.url)["s1.zip"]
        server.faults["s1.zip"] = ["drop", "ignore range"]
        grid_download.download_file(client, file, Path(tmp_path, "s1.zip"), QUICK, bar)
        assert bar.n == file.size
        (tmp_path / "s1.zip").unlink()
        server.faults["s1.zip"] = ["damage"]
        grid_download.download_file(client, file, Path(tmp_path, "s1.zip"), QUICK, bar)
        assert bar.n == 2 * file.size
