"""
The live route of a page: the pictures of a browser's webcam in, speech and words out, over a WebSocket.

The page sends each picture as one message: when it was taken (float64, seconds, any clock, little-endian), then the
JPEG. Each is answered by a text message, JSON of the type `"frame"`; before it comes, where there is sound, a binary
one: the time of the oldest picture that the sound is of (float64), then PCM (int16, mono, little-endian). The text
`"stop"` asks for what still waits, and ends. The first message to the page has the type `"ready"`, the last `"end"`,
or `"error"` with a `message` for the person.
"""

from __future__ import annotations

import asyncio
import html
import json
import logging
import struct
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.middleware import Middleware
from starlette.routing import Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from ..errors import Lip2WavError
from .pictures import read_picture


if TYPE_CHECKING:  # they bring torch: the page is up before it
    from ..decoding import Word
    from .streamer import Lip2WavStreamer, LiveSpeech

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
TIME = struct.Struct("<d")
SEND_SECONDS = 5.0  # a page that does not read for so long is gone

HEAD = """<link rel="stylesheet" href="live/static/live.css">
<script type="module" src="live/static/main.js"></script>"""
"""What the head of a page needs; [`place`] says where on it the panel is."""

POLICY, TOO_LARGE, TRY_LATER, FAULT = 1008, 1009, 1013, 1011  # codes of RFC 6455 and its registry


class LiveError(Lip2WavError):
    """
    A live session that is refused or ended; the message is for the person at the page.

    Args:
        message (`str`): what is wrong, and what to do.
        code (`int`, *optional*, defaults to 1008): with which the socket is closed.
    """

    def __init__(self, message: str, code: int = POLICY) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class LiveLimits:
    """
    What a page may ask of the route.

    Args:
        sessions (`int`, *optional*, defaults to 2): at the same time; further ones are turned away.
        picture_bytes (`int`, *optional*, defaults to 500,000): largest JPEG.
        pixels (`int`, *optional*, defaults to 1280 x 720): largest picture.
        waiting (`int`, *optional*, defaults to 4): pictures that may wait for the worker.
        idle_seconds (`float`, *optional*, defaults to 10.0): without a picture, until the session ends.
        seconds (`float`, *optional*, defaults to 3600.0): longest session.
    """

    sessions: int = 2
    picture_bytes: int = 500_000
    pixels: int = 1280 * 720
    waiting: int = 4
    idle_seconds: float = 10.0
    seconds: float = 3600.0


class LiveServer:
    """
    Speaks to the pages of some browsers, each with a session and a thread of its own.

    Args:
        open_session (function): from the name of a model, or an empty text for the default one, to a
            [`Lip2WavStreamer`]. It is called in the session's thread, and may take its time. A `Lip2WavError` becomes
            a message on the page.
        limits ([`LiveLimits`], *optional*): what pages may ask.
    """

    def __init__(self, open_session: Callable[[str], Lip2WavStreamer], limits: LiveLimits | None = None) -> None:
        self.open_session = open_session
        self.limits = limits or LiveLimits()
        self.sessions = 0  # that are open; only the event loop counts them

    def routes(self, middleware: Sequence[Middleware] = ()) -> Mount:
        """
        The addresses below `/live`, to be put into the application of a page.

        Args:
            middleware (sequence of `Middleware`): what decides who may come in. Without any, every page of the web
                that the browser shows could use the route.
        """
        routes = [
            WebSocketRoute("/socket", self.converse),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
        return Mount("/live", routes=routes, middleware=middleware)

    async def converse(self, socket: WebSocket) -> None:
        """Serve one page, until it stops, goes away, or breaks a rule."""
        await socket.accept()
        try:
            if self.sessions >= self.limits.sessions:
                raise LiveError("Others are speaking live just now. Try again in a while.", TRY_LATER)
            self.sessions += 1
            try:
                await self._speak(socket)
            finally:
                self.sessions -= 1
        except (WebSocketDisconnect, TimeoutError):
            logger.debug("a live page has gone")
        except Lip2WavError as error:
            await _end(socket, {"type": "error", "message": str(error)}, getattr(error, "code", POLICY))
        except Exception:
            logger.exception("a live session failed")
            message = "Something went wrong on this server. Press Start to try again."
            await _end(socket, {"type": "error", "message": message}, FAULT)

    async def _speak(self, socket: WebSocket) -> None:
        """One session: a reader of what comes, and a worker that computes."""
        worker = ThreadPoolExecutor(1, thread_name_prefix="live", initializer=_compute_on_one_thread)
        inbox = _Inbox(socket, self.limits)
        reading = asyncio.create_task(inbox.fill())
        loop = asyncio.get_running_loop()
        try:
            name = socket.query_params.get("model", "")
            session = await loop.run_in_executor(worker, self._open, name)
            inbox.begin()
            await _send(socket, socket.send_text(json.dumps(_welcome(session))))
            while (message := await inbox.next()) is not None:
                start = time.perf_counter()
                speech = await loop.run_in_executor(worker, self._push, session, message)
                await _answer(socket, "frame", session, speech, time.perf_counter() - start)
            await _answer(socket, "end", session, await loop.run_in_executor(worker, session.flush), 0.0)
            await _send(socket, socket.close())
        finally:
            reading.cancel()
            worker.shutdown(wait=False, cancel_futures=True)

    def _open(self, name: str) -> Lip2WavStreamer:
        try:
            session = self.open_session(name)
        except Lip2WavError:
            raise
        except ValueError as error:  # of the configuration: the network cannot be bounded
            raise LiveError(f"This model cannot speak live: {error}") from error
        if session.model.config.speaker_embedding_size:
            raise LiveError("This model needs a speaker embedding, which the page cannot give. Choose another one.")
        session.warm_up()
        return session

    def _push(self, session: Lip2WavStreamer, message: bytes) -> LiveSpeech:
        (taken,) = TIME.unpack_from(message)
        return session.push(read_picture(message[TIME.size :], self.limits.pixels), taken)


class _Inbox:
    """What a page has sent and nobody has looked at yet; it is read at once, so that little waits in the socket."""

    def __init__(self, socket: WebSocket, limits: LiveLimits) -> None:
        self.socket, self.limits = socket, limits
        self._messages: asyncio.Queue[bytes | str | Exception] = asyncio.Queue()
        self._end = time.monotonic() + limits.seconds

    def begin(self) -> None:
        """The worker is ready: the time of the session counts from now."""
        self._end = time.monotonic() + self.limits.seconds

    async def fill(self) -> None:
        """Read until the page goes away or breaks a rule."""
        try:
            while True:
                self._messages.put_nowait(self._checked(await self.socket.receive()))
        except (Lip2WavError, WebSocketDisconnect, RuntimeError) as error:
            while not self._messages.empty():  # what it has said before counts no more
                self._messages.get_nowait()
            self._messages.put_nowait(error if isinstance(error, Lip2WavError) else WebSocketDisconnect())

    def _checked(self, message: Any) -> bytes | str:
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        data, text = message.get("bytes"), message.get("text")
        if data is None:
            if text != "stop":
                raise LiveError("The page sent something else than pictures. Reload it.")
            return text
        if len(data) > TIME.size + self.limits.picture_bytes:
            raise LiveError(f"A picture has more than {self.limits.picture_bytes / 1e6:g} MB.", TOO_LARGE)
        if len(data) <= TIME.size:
            raise LiveError("The page sent an empty picture. Reload it.")
        if self._messages.qsize() >= self.limits.waiting:
            raise LiveError("The page sent pictures faster than they can be read. Press Start to try again.")
        return data

    async def next(self) -> bytes | None:
        """The next picture with its time; `None` where the page has asked for the end."""
        rest = self._end - time.monotonic()
        try:
            message = await asyncio.wait_for(self._messages.get(), min(self.limits.idle_seconds, max(rest, 0.0)))
        except TimeoutError as error:
            if rest < self.limits.idle_seconds:
                raise LiveError("The session has reached its longest time. Press Start to go on.") from error
            seconds = f"{self.limits.idle_seconds:g} seconds"
            raise LiveError(f"No picture came for {seconds}, so this has ended. Press Start to go on.") from error
        if isinstance(message, Exception):
            raise message
        return message if isinstance(message, bytes) else None


def place(models: Sequence[str] = ()) -> str:
    """The HTML of the place where [`HEAD`] puts the panel; with several models it lets the person choose."""
    return f'<div data-live-voice="{html.escape(json.dumps(list(models)))}"></div>'


def _compute_on_one_thread() -> None:
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)  # two wait for each other on a busy machine, for half a second now and then


def _welcome(session: Lip2WavStreamer) -> dict[str, Any]:
    config = session.model.config
    return {
        "type": "ready",
        "sampling_rate": session.sampling_rate,
        "frame_rate": config.frame_rate,
        "look_ahead": session.look_ahead,
        "doubt": session.doubt,
        "reads_words": config.reads_words,
    }


async def _answer(socket: WebSocket, kind: str, session: Lip2WavStreamer, speech: LiveSpeech, seconds: float) -> None:
    """Send what a picture has brought."""
    if speech.audio.size and speech.time is not None:
        await _send(socket, socket.send_bytes(TIME.pack(speech.time) + pcm(speech.audio)))
    answer = {
        "type": kind,
        "face": speech.face,
        "words": [_plain(word) for word in speech.words],
        "written": speech.written,
        "repeated": session.repeated,
        "dropped": session.dropped,
        "restarts": session.restarts,
        "milliseconds": round(1000 * seconds, 1),
    }
    await _send(socket, socket.send_text(json.dumps(answer)))


def _plain(word: Word) -> dict[str, Any]:
    numbers = {"start": word["start"], "end": word["end"], "confidence": word["confidence"]}
    return {"word": word["word"]} | {name: round(float(number), 3) for name, number in numbers.items()}


def pcm(audio: np.ndarray) -> bytes:
    """Speech, float in [-1, 1], as 16-bit samples, little-endian."""
    return np.rint(audio * 32767.0).astype("<i2").tobytes()


async def _send(socket: WebSocket, sending: Coroutine[Any, Any, None]) -> None:
    """Send, unless the page does not read."""
    try:
        await asyncio.wait_for(sending, SEND_SECONDS)
    except RuntimeError as error:  # it has gone in the meantime
        raise WebSocketDisconnect from error


async def _end(socket: WebSocket, message: dict[str, Any], code: int) -> None:
    """Say why, and close."""
    if socket.client_state is not WebSocketState.CONNECTED:
        return
    try:
        await _send(socket, socket.send_text(json.dumps(message)))
        await _send(socket, socket.close(code))
    except (WebSocketDisconnect, TimeoutError):
        logger.debug("a live page has gone before it was told why")


__all__ = ["HEAD", "LiveError", "LiveLimits", "LiveServer", "pcm", "place"]
