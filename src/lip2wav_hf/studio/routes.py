"""The addresses below `/studio/` that the page asks: JSON in and out, recordings as they come from the browser."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ..errors import Lip2WavError
from ..files import json_ready, parse_json
from .looking import look
from .recordings import StudioError, storage_error
from .studio import LARGEST_TAKE, Studio


logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
LARGEST_JSON, LARGEST_PICTURE = 1_000_000, 2_000_000  # bytes
ANSWER = re.compile(r"[0-9a-f]{32}\.(wav|mp4)")
PRIVATE = {"cache-control": "no-store"}
TYPES = {".webm": "video/webm", ".mkv": "video/x-matroska", ".mp4": "video/mp4", ".wav": "audio/wav"}

Endpoint = Callable[[Request], Awaitable[Response]]


class TooLargeError(StudioError):
    """A request with more content than is taken."""


def studio_routes(studio: Studio) -> Mount:
    """All addresses of a studio, to be put into the application of its page."""
    routes = [
        Route("/state", _answer(studio.state), methods=["GET"]),
        Route("/training", _answer(studio.training), methods=["GET"]),
        *(
            Route(f"/{name}", _json(function), methods=["POST"])
            for name, function in {
                "consent": studio.consent,
                "propose": studio.propose,
                "choose": studio.choose,
                "delete": studio.delete_everything,
                "train": studio.train,
                "push": studio.push,
            }.items()
        ),
        Route("/stop", _answer(studio.stop), methods=["POST"]),
        Route("/look", _look, methods=["POST"]),
        Route("/takes", _receive(studio), methods=["POST"]),
        Route("/pending/{name}/keep", _named(studio.keep), methods=["POST"]),
        Route("/pending/{name}", _named(studio.discard), methods=["DELETE"]),
        Route("/takes/{name}", _take(studio), methods=["GET"]),
        Route("/takes/{name}", _named(studio.delete_take), methods=["DELETE"]),
        Route("/speak", _speak(studio), methods=["POST"]),
        Route("/answers/{name}", _spoken(studio), methods=["GET"]),
        Route("/my-voice.zip", _model(studio), methods=["GET"]),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    return Mount("/studio", routes=routes)


def _reporting(endpoint: Endpoint) -> Endpoint:
    """Our errors become messages for the page; a fault of the program is logged, and says nothing of this machine."""

    @functools.wraps(endpoint)
    async def wrapper(request: Request) -> Response:
        try:
            return await endpoint(request)
        except TooLargeError as error:
            return _failure(413, str(error))
        except Lip2WavError as error:
            return _failure(400, str(error))
        except ClientDisconnect:
            return _failure(400, "The upload was interrupted.")
        except Exception:
            logger.exception("a request to the studio failed")
            return _failure(500, "Something went wrong in the studio. Its window shows what. Try again.")

    return wrapper


def _success(content: dict[str, Any]) -> JSONResponse:
    return JSONResponse(json_ready(content), headers=PRIVATE)


def _failure(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers=PRIVATE)


def _answer(function: Callable[[], dict[str, Any]]) -> Endpoint:
    @_reporting
    async def endpoint(request: Request) -> Response:
        return _success(await run_in_threadpool(function))

    return endpoint


def _named(function: Callable[[str], dict[str, Any]]) -> Endpoint:
    @_reporting
    async def endpoint(request: Request) -> Response:
        return _success(await run_in_threadpool(function, request.path_params["name"]))

    return endpoint


def _json(function: Callable[[dict[str, Any]], dict[str, Any]]) -> Endpoint:
    @_reporting
    async def endpoint(request: Request) -> Response:
        try:
            content = parse_json(await _body(request, LARGEST_JSON))
        except ValueError as error:
            if isinstance(error, Lip2WavError):
                raise
            raise StudioError("The request is no JSON.") from error
        if not isinstance(content, dict):
            raise StudioError("The request is no JSON object.")
        return _success(await run_in_threadpool(function, content))

    return endpoint


@_reporting
async def _look(request: Request) -> Response:
    picture = await _body(request, LARGEST_PICTURE)
    return _success(asdict(await run_in_threadpool(look, picture)))


def _receive(studio: Studio) -> Endpoint:
    @_reporting
    async def endpoint(request: Request) -> Response:
        file = await _store(request, studio)
        phrase, silent = request.query_params.get("phrase", ""), request.query_params.get("silent") == "true"
        return _success(await run_in_threadpool(studio.receive, file, phrase, silent))

    return endpoint


def _speak(studio: Studio) -> Endpoint:
    @_reporting
    async def endpoint(request: Request) -> Response:
        file = await _store(request, studio)
        return _success(await run_in_threadpool(studio.speak, file))

    return endpoint


def _take(studio: Studio) -> Endpoint:
    @_reporting
    async def endpoint(request: Request) -> Response:
        return _file(await run_in_threadpool(studio.recordings.file_of, request.path_params["name"]))

    return endpoint


def _spoken(studio: Studio) -> Endpoint:
    @_reporting
    async def endpoint(request: Request) -> Response:
        name = request.path_params["name"]
        path = studio.voice.answers / name
        if not ANSWER.fullmatch(name) or not path.is_file():
            return _failure(404, "This answer is no longer there. Mouth the phrase again.")
        return _file(path)

    return endpoint


def _model(studio: Studio) -> Endpoint:
    @_reporting
    async def endpoint(request: Request) -> Response:
        path = await run_in_threadpool(studio.pack)
        return FileResponse(path, filename="my-voice.zip", media_type="application/zip", headers=PRIVATE)

    return endpoint


def _file(path: Path) -> FileResponse:
    return FileResponse(path, media_type=TYPES[path.suffix], headers=PRIVATE)


async def _body(request: Request, most: int) -> bytes:
    """The content of a request of up to `most` bytes."""
    content = bytearray()
    async for block in request.stream():
        content += block
        if len(content) > most:
            raise TooLargeError(f"The request has more than {most / 1e6:g} MB.")
    return bytes(content)


async def _store(request: Request, studio: Studio) -> Path:
    """A video that is uploaded, as a file among the pending takes."""
    path = studio.recordings.new_pending(".upload")
    size = 0
    try:
        with path.open("wb") as file:
            async for block in request.stream():
                size += len(block)
                if size > LARGEST_TAKE * 1e6:
                    raise TooLargeError(f"The recording has more than {LARGEST_TAKE:g} MB. Record a shorter one.")
                file.write(block)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise storage_error("The recording was not stored", studio.recordings.path, error) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


__all__ = ["studio_routes"]
