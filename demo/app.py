"""A page on which to try video-to-speech: `python demo/app.py`, and the app of a Gradio Space on the Hub.

It listens on 127.0.0.1 by default, asks no other machine for anything, and leaves no file behind.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time

from lip2wav_hf.errors import require_packages
from lip2wav_hf.machine import ending_by, leave, rest_waiting_threads, without_collections
from lip2wav_hf.studio.serving import free_port, guards_beside_gradio, is_loopback, launch, page_folder, prepare


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options of the command line, with their defaults from the environment."""
    parser = argparse.ArgumentParser(prog="app.py", description=__doc__.split(":")[0] + ".")
    on_space = bool(os.environ.get("SPACE_ID"))
    parser.add_argument(
        "--host",
        default=os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if on_space else "127.0.0.1"),
        help="address to listen on (GRADIO_SERVER_NAME; default 127.0.0.1, on a Space 0.0.0.0)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=int(os.environ.get("GRADIO_SERVER_PORT") or 7860),
        help="port to listen on (GRADIO_SERVER_PORT; default 7860); 0 takes any free one",
    )
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="MODEL",
        help="a folder or a repository of the Hub to offer before the bundled ones, or LABEL=MODEL; may be given again"
        " (also: LIP2WAV_CHECKPOINTS)",
    )
    parser.add_argument(
        "--device", help="where the models run, such as cpu or cuda:0 (default: an accelerator if any)"
    )
    parser.add_argument("--max-seconds", type=float, default=30.0, help="longest video taken (default 30)")
    parser.add_argument("--max-megabytes", type=float, default=50.0, help="largest file taken (default 50)")
    parser.add_argument("--concurrency", type=int, default=2, help="videos spoken at the same time (default 2)")
    parser.add_argument(
        "--allow-private",
        action="store_true",
        help="take playlists too, also those that name files of this machine or addresses of private networks",
    )
    parser.add_argument(
        "--live",
        action=argparse.BooleanOptionalAction,
        default=_switch(os.environ.get("LIP2WAV_LIVE", "")),
        help="the tab on which the webcam is spoken live (LIP2WAV_LIVE=1 or 0; by default only where the page listens"
        " on this machine alone)",
    )
    options = parser.parse_args(arguments)
    if options.live is None:
        options.live = is_loopback(options.host)
    if min(options.max_seconds, options.max_megabytes, options.concurrency) <= 0:
        parser.error("--max-seconds, --max-megabytes and --concurrency must be above 0.")
    return options


def _switch(text: str) -> bool | None:
    """A setting of the environment that is on, off, or not there."""
    return None if not text.strip() else text.strip().lower() not in ("0", "no", "off", "false")


def serve(options: argparse.Namespace, folder: str) -> None:
    """Load the checkpoints, open the page, and stay until interrupted. Files live in `folder` alone."""
    require_packages("demo", "The demo", "gradio")
    if options.live:
        require_packages("demo", "Speaking live (--no-live does without)", "websockets")
    port = free_port(options.host, options.port)
    prepare(folder)  # before Gradio is imported
    with without_collections():
        from answers import Limits, metric_functions
        from checkpoints import load_checkpoints
        from page import CSS, HEAD, Page, comparison_routes
        from transformers.utils import logging as transformers_logging

        from lip2wav_hf.live.socket import HEAD as LIVE_HEAD

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    logging.getLogger("lip2wav_hf").setLevel(logging.ERROR)  # doubts are shown on the page, files of people in no log
    start = time.perf_counter()
    checkpoints = load_checkpoints(options.checkpoint, options.device)
    metric_functions()
    limits = Limits(options.max_seconds, options.max_megabytes, allow_private=options.allow_private)
    page = Page(checkpoints, limits, options.concurrency, options.live)
    page.warm_up()
    loaded = time.perf_counter()
    blocks = page.build()
    routes, head = comparison_routes(folder), HEAD
    if page.live_names:
        routes, head = [*routes, page.live_server().routes(guards_beside_gradio(options.host))], HEAD + LIVE_HEAD
    url = launch(blocks, options.host, port, options.max_megabytes, css=CSS, head=head, app_kwargs={"routes": routes})
    print(
        f"{url}  checkpoints: {', '.join(checkpoints)} (loaded in {loaded - start:.1f} s,"
        f" page up {time.perf_counter() - loaded:.1f} s later). Ctrl-C ends it.",
        flush=True,
    )
    blocks.block_thread()


def main(arguments: list[str] | None = None) -> int:
    """Run the page; errors become one line on stderr and exit status 2."""
    options = parse_options(arguments)
    rest_waiting_threads()
    signal.signal(signal.SIGTERM, ending_by(lambda: SystemExit(0)))
    try:
        with page_folder("lip2wav-demo-", os.environ.get("GRADIO_TEMP_DIR")) as folder:
            serve(options, folder)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while it is loading; later Gradio takes it as the end
        print("error: interrupted.", file=sys.stderr)
        return 130
    except SystemExit:  # SIGTERM
        return 0
    return 0


if __name__ == "__main__":
    leave(main())
