"""The page: a Gradio page with the demo's look, whose inside `static/` draws in the browser; and its server."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import require_packages
from ..machine import without_collections
from .serving import Guard, free_port, guard_options, launch, page_folder, prepare


if TYPE_CHECKING:
    from .studio import Studio


@dataclass(frozen=True)
class Address:
    """
    Where the page is served.

    Attributes:
        host (`str`): address to listen on.
        port (`int`): 0 for any free one.
        certificate (`Path`, *optional*), key (`Path`, *optional*): PEM files for HTTPS.
    """

    host: str = "127.0.0.1"
    port: int = 7861
    certificate: Path | None = None
    key: Path | None = None


HEAD = """<link rel="stylesheet" href="studio/static/studio.css">
<link rel="stylesheet" href="live/static/live.css">
<script type="module" src="studio/static/main.js"></script>"""

INSIDE = """<div id="studio"><p class="waiting" role="status">The studio opens …</p>
<noscript>The studio needs JavaScript: it records with the browser's own recorder.</noscript></div>"""


def serve(studio: Studio, address: Address, ready: Callable[[str], None]) -> None:
    """
    Serve the page until interrupted, which is its end and no error.

    Args:
        studio ([`Studio`]): what the page asks.
        address ([`Address`]): where.
        ready (function): called with the page's address once it is up.

    Raises:
        MissingExtraError: without Gradio.
        OSError: if the port is taken.
    """
    require_packages("demo", "The studio", "gradio", "websockets")
    port = free_port(address.host, address.port)
    with page_folder("lip2wav-studio-page-") as folder:
        prepare(folder)  # before Gradio is imported
        with without_collections():
            import gradio as gr  # noqa: PLC0415
            from starlette.middleware import Middleware  # noqa: PLC0415

            from ..live.socket import LiveServer  # noqa: PLC0415  brings torch
            from .routes import studio_routes  # noqa: PLC0415

        logging.getLogger("lip2wav_hf").setLevel(logging.ERROR)  # doubts are shown on the page
        with gr.Blocks(title="Your own voice", analytics_enabled=False) as page:
            gr.HTML(INSIDE, padding=False)
        guard = guard_options(address.host)
        live = LiveServer(lambda _: studio.voice.live_session())
        url = launch(
            page,
            address.host,
            port,
            1.0,
            head=HEAD,
            footer_links=[],
            **_tls(address),
            app_kwargs={"middleware": [Middleware(Guard, **guard)], "routes": [studio_routes(studio), live.routes()]},
        )
        threading.Thread(target=_warm_up, args=(studio,), daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):  # the end that is announced
            ready(url if guard["key"] is None else f"{url}?key={guard['key']}")
            page.block_thread()


def _tls(address: Address) -> dict[str, Any]:
    """Arguments of `Blocks.launch` for HTTPS; Gradio, which asks itself once, takes a certificate of one's own."""
    if address.certificate is None or address.key is None:
        return {}
    return {"ssl_certfile": str(address.certificate), "ssl_keyfile": str(address.key), "ssl_verify": False}


def _warm_up(studio: Studio) -> None:
    """Import and load what the first take needs, while the person reads the first page."""
    from transformers.utils import logging as transformers_logging  # noqa: PLC0415

    from ..adaptation import checking  # noqa: F401, PLC0415  brings torch
    from ..face_tracking import FaceFinder  # noqa: PLC0415

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    FaceFinder()
    studio.voice.warm_up()


__all__ = ["Address", "serve"]
