"""Who may ask the server for what."""

import os
import socket
import stat
import urllib.parse
from pathlib import Path

import pytest


pytest.importorskip("gradio", reason="the studio needs gradio: make install")

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from lip2wav_hf.studio.serving import (
    ContentPolicy,
    Guard,
    PortError,
    free_port,
    guard_options,
    host_name,
    is_loopback,
    launch,
    page_folder,
)


def client_of(host, base_url="http://127.0.0.1:7861"):
    """A client of a guarded server that listens on `host`, and the key."""
    options = guard_options(host)

    async def endpoint(request):
        return PlainTextResponse("in")

    routes = [Route(path, endpoint, methods=["GET", "POST"]) for path in ("/", "/x", "/gradio_api/startup-events")]
    app = Starlette(routes=routes, middleware=[Middleware(ContentPolicy), Middleware(Guard, **options)])
    # By the header, since some versions of the client cannot take an address of IPv6 apart.
    host_header = {"host": urllib.parse.urlsplit(base_url).netloc}
    client = TestClient(app, base_url=base_url.replace("[::1]", "127.0.0.1"), headers=host_header)
    client.follow_redirects = False
    return client, options["key"]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
def test_this_machine_needs_no_key(name):
    client, key = client_of("127.0.0.1", f"http://{name}:7861")
    assert key is None and client.get("/").text == "in"
    assert client.post("/x", headers={"origin": f"http://{name}:7861"}).status_code == 200
    assert client.post("/x").status_code == 200  # a program, not a page


def test_another_name_is_refused():
    """A page elsewhere whose name is made to point here (DNS rebinding)."""
    client, _ = client_of("127.0.0.1", "http://evil.example:7861")
    answer = client.get("/")
    assert answer.status_code == 403 and "does not answer to the name 'evil.example:7861'" in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_pages_may_change_nothing(headers):
    client, _ = client_of("127.0.0.1")
    assert client.post("/x", headers=headers).status_code == 403


@pytest.mark.parametrize("host", ["[", "[::1", "a]b", "\u2100.example"])
def test_what_is_no_address_is_refused(host):
    client, _ = client_of("127.0.0.1")
    assert client.get("/", headers={"host": host.encode("latin-1", "replace")}).status_code == 403
    assert client.post("/x", headers={"origin": f"http://{host}".encode("latin-1", "replace")}).status_code == 403


@pytest.mark.parametrize("port", [-1, 70000])
def test_what_is_no_port_is_refused(port):
    with pytest.raises(
        PortError, match=f"^port {port}: ports have numbers from 0 to 65535. Choose another with --port."
    ):
        free_port("127.0.0.1", port)


def test_a_port_that_is_taken_is_said_in_our_own_words():
    """Before anything is loaded, and if it is taken meanwhile, which Gradio finds."""
    import gradio

    with socket.create_server(("127.0.0.1", 0)) as other, gradio.Blocks() as page:
        port = other.getsockname()[1]
        for opens in (free_port, lambda host, port: launch(page, host, port, 1.0)):
            with pytest.raises(PortError, match=rf"^port {port} of 127.0.0.1 cannot be opened \(.+\). Choose another"):
                opens("127.0.0.1", port)


def test_malformed_cookies_of_other_pages_do_no_harm():
    """A browser sends those of every server of the machine, whatever its port."""
    client, key = client_of("0.0.0.0", "http://192.168.0.7:7861")
    headers = {"cookie": f'a(b)=c; x"=; lip2wav_key={key}; ="'}
    assert client.get("/", headers=headers).text == "in"
    assert client.get("/", headers={"cookie": "a(b)=c"}).status_code == 401


def test_elsewhere_the_address_has_a_key():
    client, key = client_of("0.0.0.0", "http://192.168.0.7:7861")
    assert len(key) > 20 and client_of("0.0.0.0")[1] != key
    assert client.get("/").status_code == client.get("/x").status_code == client.get("/?key=no").status_code == 401
    assert client.get(f"/x?key={key}").status_code == 401  # only the page itself takes it
    assert client.get("/gradio_api/startup-events").status_code == 200  # Gradio asks itself
    answer = client.get(f"/?key={key}")
    assert answer.status_code == 303 and answer.headers["location"] == "./"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie
    assert client.get("/").text == client.post("/x").text == "in"
    client.cookies.set("lip2wav_key", "wrong")
    client.cookies.delete("lip2wav_key", domain="192.168.0.7")
    assert client.get("/").status_code == 401


def test_over_https_the_cookie_stays_there():
    client, key = client_of("192.168.0.7", "https://192.168.0.7:7861")
    assert "; Secure" in client.get(f"/?key={key}").headers["set-cookie"]


def test_names():
    assert [host_name(h) for h in ("LocalHost:80", "[::1]:80", "1.2.3.4", "")] == ["localhost", "::1", "1.2.3.4", ""]
    assert is_loopback("127.0.0.9") and is_loopback("::1") and is_loopback("localhost")
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "my-machine")))


def test_a_page_leaves_no_folder_whenever_its_end_comes(tmp_path, monkeypatch):
    with page_folder("page-", str(tmp_path)) as folder:
        Path(folder, "upload").touch()
        assert [path.name for path in tmp_path.iterdir()] == [Path(folder).name]
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert not list(tmp_path.iterdir())
    make = os.mkdir

    def make_and_end(path, mode):
        make(path, mode)
        raise SystemExit(0)

    monkeypatch.setattr(os, "mkdir", make_and_end)
    with pytest.raises(SystemExit), page_folder("page-", str(tmp_path)):
        pass
    assert not list(tmp_path.iterdir())
