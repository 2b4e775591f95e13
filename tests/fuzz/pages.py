"""What a browser may send: to the live route, and to the studio. Asked in process, as a server would ask (ASGI)."""

import asyncio
import base64
import json
import random
import shutil
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from starlette.applications import Starlette

from lip2wav_hf import Lip2WavStreamer
from lip2wav_hf.files import json_ready
from lip2wav_hf.live import socket as live
from lip2wav_hf.studio import routes as studio_pages
from lip2wav_hf.studio.recordings import Recordings
from lip2wav_hf.studio.serving import guards_beside_gradio
from lip2wav_hf.studio.studio import Studio

from .mutations import mutate, mutate_json, mutate_text
from .targets import Target, Targets, void


SERVER = "127.0.0.1:7860"
LIMITS = live.LiveLimits(sessions=2, picture_bytes=60_000, pixels=640 * 480, waiting=40, idle_seconds=0.2, seconds=5.0)
LONGEST = 25.0  # seconds of a conversation by the clock
MOST_PATH = 65_536  # bytes, as much as uvicorn reads
HEADERS = (
    *(("host", SERVER), ("host", "localhost"), ("host", "evil.example"), ("host", "[::1]:80"), ("host", "[")),
    *(("host", ""), ("origin", f"http://{SERVER}"), ("origin", "null"), ("origin", "http://["), ("origin", "\xff")),
    *(("cookie", "a(b)=c; lip2wav_key=x"), ("cookie", "=;;\x01"), ("sec-fetch-site", "cross-site")),
    *(("content-length", "-1"), ("content-type", "x"), ("range", "bytes=9-1")),
)
NAMES = (
    "x",
    "..",
    "%2e%2e",
    "../../etc/passwd",
    "take-0001.webm",
    "take-9999.mp4",
    "\0",
    "é" * 300,
    "a" * 5000,
)
PATHS = (
    "state",
    "training",
    "consent",
    "propose",
    "choose",
    "delete",
    "train",
    "push",
    "stop",
    "look",
    "takes",
    "speak",
)


class _Page:
    """Targets of both pages, with what they share."""

    def __init__(self, base: Targets) -> None:
        self.base, self.faults = base, []
        for module in (live, studio_pages):  # what would be answered with "Something went wrong"
            module.logger.exception = lambda *arguments: self.faults.append(sys.exc_info()[1])
        picture = base.frames[0]
        self.jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
        self.png = cv2.imencode(".png", picture[:40, :40])[1].tobytes()
        gray = cv2.imencode(".jpg", np.zeros((300, 8), np.uint8), [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes()
        progressive = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
        self.pictures = (self.jpeg, self.jpeg, gray, progressive, self.png)

    def raise_fault(self) -> None:
        """The fault that a page hid from its visitor, if there was one."""
        faults = [fault for fault in self.faults if fault is not None]
        self.faults.clear()
        if faults:
            raise faults[0]

    def headers(self, rng: random.Random) -> list[tuple[bytes, bytes]]:
        """Those of the page itself; sometimes others."""
        fields = [("host", SERVER), ("origin", f"http://{SERVER}")]
        if rng.random() < 0.1:
            fields = [rng.choice(HEADERS) for _ in range(rng.randrange(5))]
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]


class _LivePage(_Page):
    """Conversations over the WebSocket: messages of every kind, size and order; ends in the middle; no reader."""

    def __init__(self, base: Targets) -> None:
        super().__init__(base)
        extractor = base.speaker.feature_extractor

        def open_session(name: str) -> Lip2WavStreamer:
            if name:
                raise live.LiveError(f"there is no model {name[:40]!r}.")
            return Lip2WavStreamer(base.speaker.model, extractor, 3)

        self.server = live.LiveServer(open_session, LIMITS)
        self.app = Starlette(routes=[self.server.routes(guards_beside_gradio("127.0.0.1"))])

    def target(self) -> Target:
        frames = [live.TIME.pack(number / 25) + self.jpeg for number in range(8)]
        talk = [_binary(frame) for frame in frames] + [{"text": "stop"}]
        gone = [_binary(frame) for frame in frames[:3]] + [{"close": 1001}]
        seeds = {"talk.json": {"query": "", "messages": talk}, "gone.json": {"query": "model=", "messages": gone}}
        packed = {name: json.dumps(seed).encode() for name, seed in seeds.items()}
        return Target(packed, self.read, self.change)

    def change(self, content: bytes, others: Any, rng: random.Random) -> bytes:
        """Other messages, in another order."""
        talk = json.loads(content)
        messages = talk["messages"]
        for _ in range(rng.choice((0, 1, 1, 2, 4, 9))):
            place = rng.randrange(len(messages) + 1)
            kind = rng.randrange(4)
            if kind == 0 and messages:
                del messages[place - 1]
            elif kind == 1:
                messages[place:place] = messages[: rng.choice((1, 8, 60))]
            elif kind == 2:
                rng.shuffle(messages)
            else:
                messages.insert(place, self._message(rng))
        if rng.random() < 0.1:
            talk["query"] = rng.choice(("model=x", "model=%ff%00", "\x00&&=;", "model=" + "x" * 9999))
        return json.dumps(talk).encode()

    def _message(self, rng: random.Random) -> dict[str, Any]:
        kind = rng.randrange(9)
        if kind == 0:
            return {"text": rng.choice(("stop", "stop ", "", "{}", "\0", "\ud800", "x" * 10**6, '{"type": "stop"}'))}
        if kind == 1:
            return rng.choice(({"close": 1000}, {"close": 1006}, {"close": None}, {"wait": 0.05}, {"wait": 0.3}))
        if kind == 2:
            return _binary(rng.randbytes(rng.choice((0, 1, 7, 8, 9, 100, 60_008, 60_009, 10**6))))
        if kind == 3:
            return rng.choice(({}, {"bytes": None, "text": None}, {"text": 3}))
        clock = rng.choice(
            (0.0, 0.04, 1e-320, -5.0, 1e18, 1e308, float("nan"), float("inf"), -float("inf"), rng.random())
        )
        picture = rng.choice(self.pictures)
        if kind < 7:
            picture = mutate(picture, self.pictures, rng)
        return _binary(live.TIME.pack(clock) + picture)

    def read(self, path: Path, rng: random.Random) -> None:
        talk = json.loads(path.read_bytes())
        scope = {
            "type": "websocket",
            "path": rng.choice(("/live/socket",) * 9 + ("/live/static/../socket", "/live/static/%2e", "/live")),
            "query_string": talk["query"].encode("utf-8", "surrogatepass"),
            "headers": self.headers(rng),
            "subprotocols": [],
        }
        asyncio.run(self._converse(scope, talk["messages"], rng.choice((None, None, None, 0, 1, 4))))
        self.raise_fault()
        if self.server.sessions:
            raise AssertionError(f"{self.server.sessions} sessions are left open")

    async def _converse(self, scope: dict[str, Any], messages: list[dict[str, Any]], lost_after: int | None) -> None:
        coming = iter([{"type": "websocket.connect"}, *map(_event, messages)])
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            for event in coming:
                if "wait" not in event:
                    await asyncio.sleep(0)
                    return event
                await asyncio.sleep(event["wait"])
            return await asyncio.get_running_loop().create_future()  # the page says no more

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            if sent[0]["type"] == "websocket.accept" and lost_after is not None and len(sent) > lost_after + 1:
                raise OSError("the page has gone")

        await asyncio.wait_for(self.app(scope, receive, send), LONGEST)
        for message in sent:
            if message.get("text"):
                json.loads(message["text"], parse_constant=_no_constant)  # what a browser can read


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def _binary(content: bytes) -> dict[str, Any]:
    return {"bytes": base64.b64encode(content).decode()}


def _event(message: dict[str, Any]) -> dict[str, Any]:
    """A message of a conversation as a server hands it over."""
    if "wait" in message:
        return message
    if "close" in message:
        return {"type": "websocket.disconnect"} | ({} if message["close"] is None else {"code": message["close"]})
    content = message.get("bytes")
    return {"type": "websocket.receive"} | message | ({} if content is None else {"bytes": base64.b64decode(content)})


class _StudioPage(_Page):
    """A few requests to a new studio, one after the other."""

    def __init__(self, base: Targets) -> None:
        super().__init__(base)
        self.videos = base.all["video"].seeds

    def target(self) -> Target:
        take = next(content for name, content in self.videos.items() if name.endswith(".webm"))
        consent = {"name": "Ada", "purpose": "to speak", "agreed": True}
        choice = {"kind": "own", "text": "bin blue at f two now", "takes": 3, "silent": False}
        begin = [["POST", "consent", consent], ["POST", "choose", choice]]
        recording = ["POST", "takes?phrase=bin+blue+at+f+two+now&silent=false", {"bytes": _binary(take)["bytes"]}]
        seeds = {
            "record.json": [
                *begin,
                recording,
                ["POST", "pending/{id}/keep", None],
                ["GET", "takes/take-0001.webm", None],
            ],
            "look.json": [["POST", "look", _binary(self.jpeg)], ["GET", "state", None]],
            "choose.json": [
                *begin,
                ["POST", "propose", {"kind": "grid", "count": 30, "seed": 1}],
                ["POST", "choose", {"kind": "grid", "count": 5, "seed": 1, "takes": 1, "silent": True}],
                ["POST", "train", {"minutes": 1}],
                ["POST", "push", {"repo_id": "me/voice", "public": False, "confirmed": True}],
                ["POST", "delete", {"voice": True, "confirmed": True}],
            ],
            "speak.json": [*begin, ["POST", "speak", _binary(take)], ["GET", f"answers/{'0' * 32}.wav", None]],
        }
        return Target({name: json.dumps(seed).encode() for name, seed in seeds.items()}, self.read, self.change)

    def change(self, content: bytes, others: Any, rng: random.Random) -> bytes:
        requests = json.loads(content)
        for _ in range(rng.choice((1, 1, 2, 3, 6))):
            place = rng.randrange(len(requests))
            method, path, body = requests[place]
            kind = rng.randrange(6)
            if kind == 0:
                requests.insert(place, rng.choice(requests))
            elif kind == 1:
                path = rng.choice(
                    (rng.choice(PATHS), f"takes/{rng.choice(NAMES)}", f"pending/{rng.choice(NAMES)}/keep")
                )
            elif kind == 2:
                method = rng.choice(("GET", "POST", "DELETE", "HEAD", "PUT", "OPTIONS", ""))
            elif isinstance(body, dict) and "bytes" in body:
                content = base64.b64decode(body["bytes"])
                body = _binary(mutate(content, [*self.videos.values(), self.png], rng))
            elif body is not None:
                body = _binary(mutate_json(json.dumps(body).encode(), [content], rng))
            else:
                path = mutate_text(path.encode(), [content], rng)[:MOST_PATH].decode(errors="replace")
            requests[place] = [method, path, body]
        return json.dumps(requests).encode()

    def read(self, path: Path, rng: random.Random) -> None:
        folder = self.base.folder / "recordings"
        shutil.rmtree(folder, ignore_errors=True)
        studio = Studio(Recordings(folder))
        studio.learning.start = lambda *arguments, **options: None  # another process, which would train
        app = Starlette(routes=[studio_pages.studio_routes(studio)], middleware=guards_beside_gradio("127.0.0.1"))
        taken = "0" * 32
        try:
            for method, place, body in json.loads(path.read_bytes()):
                if isinstance(body, dict) and set(body) == {"bytes"}:
                    content = base64.b64decode(body["bytes"])
                else:
                    content = b"" if body is None else json.dumps(body).encode()
                answer = asyncio.run(self._ask(app, method, place.replace("{id}", taken), content, rng))
                self.raise_fault()
                if isinstance(answer, dict) and isinstance(answer.get("id"), str):
                    taken = answer["id"]
        finally:
            studio.close()

    async def _ask(self, app: Any, method: str, place: str, content: bytes, rng: random.Random) -> Any:
        name, _, query = place.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": f"/studio/{name}",
            "raw_path": urllib.parse.quote(name, errors="replace").encode(),
            "query_string": query.encode("utf-8", "replace"),
            "headers": self.headers(rng),
            "scheme": "http",
            "http_version": "1.1",
            "extensions": {},
        }
        pieces = [content[:1000], content[1000:]] if rng.random() < 0.5 else [content]
        events = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        events[-1]["more_body"] = rng.random() < 0.05  # and then the browser goes away
        coming, told = iter([*events, {"type": "http.disconnect"}]), bytearray()

        async def receive() -> dict[str, Any]:
            return next(coming, {"type": "http.disconnect"})

        async def send(message: dict[str, Any]) -> None:
            told.extend(message.get("body", b""))

        await asyncio.wait_for(app(scope, receive, send), LONGEST)
        return json.loads(told) if told.startswith(b"{") else None


def _read_recordings(base: Targets, path: Path, rng: random.Random) -> None:
    """A folder that a studio has left, and somebody has edited."""
    folder = base.folder / "recordings"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / ".studio").mkdir(parents=True)
    for name, content in LEFT.items():
        (folder / name).write_bytes(content)
    target = folder / (".studio/learning.json" if path.name == "learning.json" else path.name)
    target.write_bytes(path.read_bytes())
    recordings = Recordings(folder)
    try:
        studio = Studio(recordings)
        void(json.dumps(json_ready(studio.state()), allow_nan=False))
        studio.close()
    finally:
        recordings.close()


LEFT = {
    "consent.json": b'{"name": "Ada", "purpose": "to speak", "at": "2026-01-01T00:00:00+00:00", "statement": "yes"}',
    "studio.json": b'{"kind": "own", "phrases": ["bin blue", "set red"], "takes": 2, "silent": false}',
    "metadata.csv": b"file_name,transcription,speaker,sound,recorded\ntake-0001.webm,bin blue,Ada,yes,2026-01-01\n",
    ".studio/learning.json": b'{"state": "done", "stage": "saving", "fraction": 1.0, "step": 20, "loss": 2.5,'
    b' "seconds": 9.0, "history": [[10, 2.0], [20, 1.5]], "result": {"scores": [["words", "1", "2"]]}, "error": ""}',
}


def pages(base: Targets) -> dict[str, Target]:
    """The targets by name."""
    seeds = {Path(name).name: content for name, content in LEFT.items()}

    def change(content: bytes, others: Any, rng: random.Random) -> bytes:
        return (mutate_json if content.startswith(b"{") else mutate_text)(content, others, rng)

    return {
        "live": _LivePage(base).target(),
        "studio": _StudioPage(base).target(),
        "recordings": Target(seeds, lambda path, rng: _read_recordings(base, path, rng), change),
    }
