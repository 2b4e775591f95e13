"""`lip2wav studio` without a browser: what it serves, and what it refuses."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from commands.command_line import error_line
from lip2wav_hf.commands.studio import _announce
from lip2wav_hf.studio.page import Address


pytest.importorskip("gradio", reason="the studio needs gradio: make install")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(process, address, its working folder): `lip2wav studio`, as a user starts it."""
    with _served(tmp_path_factory.mktemp("served")) as started:
        yield started


@contextlib.contextmanager
def _served(folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "lip2wav_hf.commands.main", "studio", "--port", "0"],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    line, where = process.stdout.readline(), process.stdout.readline()
    assert where == f"Recordings are kept in {folder / 'recordings'}.\n"
    yield process, line.split()[0] if line else "", folder
    process.kill()
    process.wait()


def test_the_page_and_its_rules(served):
    _, url, folder = served
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(url) as response:
        page, policy = response.read().decode(), response.headers["Content-Security-Policy"]
    assert "studio/static/main.js" in page and "default-src 'self'" in policy and "http" not in policy
    with urllib.request.urlopen(f"{url}studio/state") as response:
        assert str(folder / "recordings") in response.read().decode()
    foreign = urllib.request.Request(f"{url}studio/stop", method="POST", headers={"Origin": "http://evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(foreign)
    (folder / "recordings" / "secret").write_text("x", encoding="utf-8")
    for path in ("studio/takes/secret", "gradio_api/file=" + str(folder / "recordings" / "secret")):
        with pytest.raises(urllib.error.HTTPError, match="400|403|404"):
            urllib.request.urlopen(url + path)


def test_a_second_studio_on_the_same_folder(served, run, monkeypatch):
    monkeypatch.chdir(served[2])
    assert "another studio is open on this folder" in error_line(run("studio", "--port", "0"))


def test_no_temporary_file_is_left_when_it_ends(served):
    process, _, folder = served
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert (folder / "recordings").is_dir() and not list(folder.glob("lip2wav-*"))


def test_ctrl_c_is_the_end_that_was_announced(tmp_path):
    """Gradio swallows it; nothing is left, and no error is said."""
    with _served(tmp_path) as (process, _, _):
        assert list(tmp_path.glob("lip2wav-studio-page-*"))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    assert not list(tmp_path.glob("lip2wav-*"))


def test_who_comes_from_another_device_is_told_the_address(capsys):
    address = Address("0.0.0.0", 8000, None, None)
    _announce(Path("r"), address, "http://localhost:8000/?key=k")
    told = capsys.readouterr().out
    assert "in place of localhost" in told and "--certificate" in told
    _announce(Path("r"), Address("127.0.0.1", 8000, None, None), "http://127.0.0.1:8000/")
    assert "other devices" not in capsys.readouterr().out


@pytest.mark.parametrize("folder", [["--folder", "r"], ["r"], ["r", "--folder", "r"]])
def test_a_taken_port_and_the_folder_in_every_form(run, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        arguments = (*folder, "--port", str(taken.getsockname()[1]))
        assert "Choose another with --port" in error_line(run("studio", *map(str, arguments)))
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--certificate", "cert.pem"], "--certificate and --key belong together"),
        (["--certificate", "cert.pem", "--key", "key.pem"], "--certificate cert.pem: there is no such file"),
        (["--from", "no-such-model"], "no-such-model"),
        (["anna", "--folder", "bert"], "two folders are named, anna and bert"),
        (["--minutes", "0"], "--minutes"),
        (["--port", "70000"], "--port"),
    ],
)
def test_options_that_are_refused(run, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    assert message in error_line(run("studio", *options))
    assert not list(tmp_path.iterdir())


def test_without_gradio_it_says_how_to_install_it(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "gradio", None)
    find_spec = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *a: None if name == "gradio" else find_spec(name, *a))
    assert "needs the package gradio: pip install '.[demo]'" in error_line(run("studio"))
    assert not list(tmp_path.iterdir())
