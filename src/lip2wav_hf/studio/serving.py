"""Serve a Gradio page to browsers of this machine: its look, its rules, its address. For the demo page and the studio.

Import nothing of Gradio before [`prepare`]: Gradio reads its environment when it is imported.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import shutil
import socket
import tempfile
import urllib.parse
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import Lip2WavError


if TYPE_CHECKING:  # Gradio is imported late
    import gradio as gr
    from starlette.middleware import Middleware
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A page loads nothing from elsewhere: the browser itself refuses it.
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:;"
    " connect-src 'self' data: blob:; worker-src 'self' blob:"
)

LOOK = """
.failure { padding: .7rem 1rem; border-radius: .5rem; border: 1px solid #b91c1c; background: #fef2f2; color: #7f1d1d; }
.success { opacity: .75; }
.waiting { opacity: .6; }
.prose table { width: 100%; border: 0 !important; border-collapse: collapse; }
.prose tr { border: 0 !important; }
.prose th, .prose td { border: 0 !important; border-bottom: 1px solid var(--border-color-primary) !important;
  padding: .35rem .75rem .35rem 0 !important; text-align: left; }
"""
"""Styles that all pages share, beside Gradio's theme."""

COOKIE = "lip2wav_key"
EVERY_HOST = ("0.0.0.0", "::")
OPEN_PATHS = ("/gradio_api/startup-events",)  # what Gradio asks of itself when it starts
CHANGING = ("POST", "PUT", "PATCH", "DELETE")


class ContentPolicy:
    """ASGI middleware that adds the header `Content-Security-Policy` to every response."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", CONTENT_POLICY.encode()),
                ]
            await send(message)

        await self.app(scope, receive, send_with_policy)


class Guard:
    """
    ASGI middleware that lets in only the page itself.

    Requests to another host name (DNS rebinding) and requests that change something from the page of another server
    (forgery) are refused. With a key, a browser must have opened the address that holds it.

    Args:
        app (ASGI application): what is guarded.
        hosts (sequence of `str`, *optional*): names under which the server may be asked; any if empty.
        key (`str`, *optional*): what the address must have held, in `?key=`; a cookie remembers it.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = (), key: str | None = None):
        self.app = app
        self.hosts = {name.lower() for name in hosts}
        self.key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is None and self._holds_key(scope):
            await _respond(send, 303, "", {"location": "./", "set-cookie": self._cookie(scope)})
        elif refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _respond(send, *refusal)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Status and text of the refusal; `None` for who may go on."""
        host = headers.get("host", "")
        if self.hosts and host_name(host) not in self.hosts:
            return 403, f"This server does not answer to the name {host[:80]!r}. Open the address that it printed."
        origin = headers.get("origin")
        foreign = origin is not None and _split(origin).netloc.lower() != host.lower()
        if scope["type"] == "websocket" or scope["method"] in CHANGING:
            if foreign or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return 403, "Only the page of this server itself may ask for that."
        if self.key is None or scope["path"] in OPEN_PATHS or self._holds_key(scope):
            return None
        from starlette.requests import HTTPConnection  # noqa: PLC0415  of the extra `demo`

        # Browsers send cookies of all servers of a machine, whatever their port: some of other pages are malformed.
        cookie = HTTPConnection(scope).cookies.get(COOKIE)
        if cookie is not None and secrets.compare_digest(cookie.encode(), self.key.encode()):
            return None
        return 401, "Open the whole address that the server printed, with its key."

    def _holds_key(self, scope: Scope) -> bool:
        given = urllib.parse.parse_qs(scope.get("query_string", b"").decode("latin-1")).get("key", [""])[0]
        is_page = scope["type"] == "http" and scope["path"] == "/"
        return is_page and self.key is not None and secrets.compare_digest(given.encode(), self.key.encode())

    def _cookie(self, scope: Scope) -> str:
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        return f"{COOKIE}={self.key}; Path=/; HttpOnly; SameSite=Strict{secure}"


class GradioLogin:
    """
    ASGI middleware for routes beside Gradio's own, which its login (`auth=` of `launch`) does not guard: where there
    is a login, only those who have logged in come in. A login by `auth_dependency` cannot be asked, so nobody does.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_in(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _respond(send, 401, "Log in first.")

    def _is_in(self, scope: Scope) -> bool:
        from starlette.requests import HTTPConnection  # noqa: PLC0415  of the extra `demo`

        page: Any = scope.get("app")
        if getattr(page, "auth_dependency", None) is not None:
            return False
        if getattr(page, "auth", None) is None:
            return True
        cookies = HTTPConnection(scope).cookies
        names = (f"access-token-{page.cookie_id}", f"access-token-unsecure-{page.cookie_id}")
        return any(page.tokens.get(cookies.get(name)) is not None for name in names)


def guards_beside_gradio(host: str) -> list[Middleware]:
    """
    What guards a route beside Gradio's own, for a server that listens on `host`: no page of another server may ask
    it; on this machine alone, no other name leads to it; and where Gradio asks for a login, it does too.
    """
    from starlette.middleware import Middleware  # noqa: PLC0415  of the extra `demo`

    return [Middleware(Guard, hosts=guard_options(host)["hosts"]), Middleware(GradioLogin)]


async def _respond(send: Send, status: int, text: str, headers: dict[str, str] | None = None) -> None:
    fields = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store", **(headers or {})}
    encoded = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": text.encode()})


def host_name(host: str) -> str:
    """The name in a `Host` header, without the port and the brackets of an IPv6 address, in lower case."""
    return (_split(f"//{host}").hostname or "") if host else ""


def _split(address: str) -> urllib.parse.SplitResult:
    """The parts of an address that a browser names; empty ones for what is no address."""
    try:
        return urllib.parse.urlsplit(address)
    except ValueError:
        return urllib.parse.urlsplit("")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def guard_options(host: str) -> dict[str, Any]:
    """
    Arguments of a [`Guard`] for a server that listens on `host`: on this machine alone, its names; elsewhere a new
    key, which the server must print.
    """
    if is_loopback(host):
        return {"hosts": tuple({"127.0.0.1", "localhost", "::1", host.lower()}), "key": None}
    return {"hosts": (), "key": secrets.token_urlsafe(16)}


@contextlib.contextmanager
def page_folder(prefix: str, parent: str | None = None) -> Generator[str]:
    """
    A private folder for the files of a page, which is gone at the end, also where that comes while the folder is made.

    Args:
        prefix (`str`): of its name.
        parent (`str`, *optional*): where it lies; where temporary files do by default.
    """
    folder = os.path.join(parent or tempfile.gettempdir(), prefix + secrets.token_hex(8))
    try:
        os.mkdir(folder, 0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prepare(folder: str) -> None:
    """
    Set what Gradio, the Hub's library and torch read when they are imported.

    Args:
        folder (`str`): where Gradio keeps files, and torch what it compiles: it makes a folder for that in any case.
    """
    os.environ["GRADIO_TEMP_DIR"] = folder
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(folder, "torchinductor"))
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


class PortError(Lip2WavError, OSError):
    """A port on which a page cannot be served."""


def free_port(host: str, port: int) -> int:
    """
    The port, or any free one for 0, tried out before anything slow is loaded.

    Raises:
        PortError: if there is none of this number, it is taken, or the address is not this machine's.
    """
    if not 0 <= port < 2**16:
        raise PortError(f"port {port}: ports have numbers from 0 to {2**16 - 1}. Choose another with --port.")
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind(address)
        except OSError as error:
            raise _taken(host, port, error.strerror or str(error)) from error
        return probe.getsockname()[1]


def _taken(host: str, port: int, why: str) -> PortError:
    return PortError(f"port {port} of {host} cannot be opened ({why}). Choose another with --port.")


def launch(page: gr.Blocks, host: str, port: int, max_megabytes: float, **options: Any) -> str:
    """
    Start the server of a page, without waiting for its end.

    Args:
        page (`gr.Blocks`): the page.
        host (`str`), port (`int`): where it listens.
        max_megabytes (`float`): largest file that Gradio takes, in units of 10^6 bytes.
        options: further arguments of `Blocks.launch`; of `app_kwargs`, `middleware` comes after our own. `css` is
            added to [`LOOK`].

    Returns:
        `str`: the page's address.

    Raises:
        PortError: if another program has taken the port since [`free_port`], or has it on this machine's own address.
    """
    import gradio as gr  # noqa: PLC0415  after `prepare`
    from starlette.middleware import Middleware  # noqa: PLC0415  of the same extra

    app_kwargs = dict(options.pop("app_kwargs", {}))
    app_kwargs["middleware"] = [Middleware(ContentPolicy), *app_kwargs.get("middleware", ())]
    theme = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    settings: dict[str, Any] = {"footer_links": ["api"]} | options
    try:
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            max_file_size=int(max_megabytes * 1e6),
            theme=theme,
            css=LOOK + settings.pop("css", ""),
            app_kwargs=app_kwargs,
            prevent_thread_lock=True,
            share=False,
            inbrowser=False,
            quiet=True,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            run_history=False,
            **settings,
        )
    except OSError as error:
        if "Cannot find empty port" not in str(error):  # which names variables and arguments of Gradio's
            raise
        raise _taken(host, port, "another program has it") from error
    return url


__all__ = [
    "CONTENT_POLICY",
    "EVERY_HOST",
    "LOOK",
    "ContentPolicy",
    "GradioLogin",
    "Guard",
    "free_port",
    "guard_options",
    "guards_beside_gradio",
    "host_name",
    "is_loopback",
    "launch",
    "page_folder",
    "prepare",
]
