"""The live route, asked as the page asks it."""

import json
import struct
import threading
import time

import cv2
import numpy as np
import pytest


pytest.importorskip("starlette", reason="the page needs gradio: make install")

from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from lip2wav_hf import Lip2WavFeatureExtractor, Lip2WavStreamer
from lip2wav_hf.live.pictures import PictureError, jpeg_size, read_picture
from lip2wav_hf.live.socket import LiveError, LiveLimits, LiveServer, pcm, place
from lip2wav_hf.studio.serving import free_port, guards_beside_gradio, launch

from .test_streamer import model, pictures  # noqa: F401  fixtures
from .test_streaming import build


PIXELS = 1280 * 720
GRAY = np.full((48, 64, 3), 128, np.uint8)


def jpeg(picture, *options):
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), list(options))[1].tobytes()


def packed(picture, seconds):
    return struct.pack("<d", seconds) + jpeg(picture)


@pytest.fixture
def serve(model):  # noqa: F811
    """A function that gives a client of a server with some limits; the server is its attribute `live`."""
    clients = []

    def serve(open_session=None, **limits):
        def open_own(name):
            if name:
                raise LiveError(f"there is no model {name!r}.")
            return Lip2WavStreamer(model, Lip2WavFeatureExtractor(), 3)

        live = LiveServer(open_session or open_own, LiveLimits(**limits))
        app = Starlette(routes=[live.routes(guards_beside_gradio("127.0.0.1"))])
        client = TestClient(app, base_url="http://127.0.0.1:7860").__enter__()  # one event loop for all sessions
        clients.append(client)
        client.live = live
        return client

    yield serve
    for client in clients:
        client.__exit__(None, None, None)


def connect(client, query="", **headers):
    return client.websocket_connect(f"/live/socket{query}", headers={"host": "127.0.0.1:7860"} | headers)


def ready(socket):
    message = socket.receive_json()
    assert message["type"] == "ready", message
    return message


def answer(socket):
    """Sound, its time, and what is told of the picture."""
    sound, seconds = b"", None
    while True:
        message = socket.receive()
        assert message["type"] == "websocket.send", message
        if message.get("bytes"):
            sound, seconds = message["bytes"][8:], struct.unpack("<d", message["bytes"][:8])[0]
            continue
        return sound, seconds, json.loads(message["text"])


def refusal(socket):
    """The message and code of a session that is refused or ended."""
    message = socket.receive_json()
    assert message["type"] == "error", message
    with pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_json()
    return message["message"], closed.value.code


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def live_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("live")]


WHOLE_VIDEOS = (
    "This model was trained on whole videos. Live it sees 3 pictures ahead (120 ms): expect many wrong words."
)


@pytest.mark.parametrize(
    ("field", "doubt"), [("live_look_ahead", None), ("look_ahead", None), ("dropout", WHOLE_VIDEOS)]
)
def test_a_page_is_told_whether_the_model_was_trained_for_it(serve, model, monkeypatch, field, doubt):  # noqa: F811
    monkeypatch.setattr(model.config, field, 2)
    client = serve()
    with connect(client) as socket:
        assert ready(socket)["doubt"] == doubt


def test_speech_is_that_of_a_session_with_the_same_jpegs(serve, model, pictures):  # noqa: F811
    client, sent = serve(), [jpeg(picture) for picture in pictures]
    own = Lip2WavStreamer(model, Lip2WavFeatureExtractor(), 3)
    spoken = [own.push(read_picture(data, PIXELS), 100 + n / 25) for n, data in enumerate(sent)]
    spoken.append(own.flush())
    with connect(client) as socket:
        assert ready(socket) == {
            "type": "ready",
            "sampling_rate": 16000,
            "frame_rate": 25.0,
            "look_ahead": 3,
            "doubt": WHOLE_VIDEOS,
            "reads_words": True,
        }
        answers = []
        for number, data in enumerate(sent):
            socket.send_bytes(struct.pack("<d", 100 + number / 25) + data)
            answers.append(answer(socket))
        socket.send_text("stop")
        answers.append(answer(socket))
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == 1000
    assert [sound for sound, _, _ in answers] == [pcm(speech.audio) for speech in spoken]
    assert sum(len(sound) for sound, _, _ in answers) == 2 * 30 * 640
    assert [seconds for sound, seconds, _ in answers if sound] == [part.time for part in spoken if part.audio.size]
    assert answers[7][1] == pytest.approx(100 + 4 / 25)
    assert [told["type"] for _, _, told in answers] == ["frame"] * 30 + ["end"]
    told = answers[10][2]
    assert told["face"] and (told["repeated"], told["dropped"], told["restarts"]) == (0, 0, 0)
    assert told["milliseconds"] > 0
    heard = [word["word"] for _, _, told in answers for word in told["words"]]
    assert heard == [word["word"] for speech in spoken for word in speech.words]
    assert [told["written"] for _, _, told in answers] == [speech.written for speech in spoken]


def test_missing_pictures_are_filled_in_and_counted(serve, pictures):  # noqa: F811
    with connect(serve()) as socket:
        ready(socket)
        samples = 0
        for number in (0, 1, 2, 5, 6, 7):
            socket.send_bytes(packed(pictures[number], number / 25))
            sound, _, told = answer(socket)
            samples += len(sound) // 2
    assert samples == 8 * 640 and told["repeated"] == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "https://127.0.0.1.evil.example"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_pages_of_other_servers_are_refused(serve, headers):
    client = serve()
    with pytest.raises(WebSocketDisconnect) as refused, connect(client, **headers):
        pass
    assert refused.value.code == 1008 and client.live.sessions == 0


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860"])
def test_the_own_page_comes_in(serve, host):
    client = serve()
    with connect(client, origin=f"http://{host}", host=host) as socket:
        ready(socket)


def test_another_name_of_this_machine_is_refused(serve):
    """DNS rebinding: a page elsewhere whose name is made to point here is of the same origin, by its name."""
    client = serve()
    headers = {"host": "evil.example:7860", "origin": "http://evil.example:7860"}
    with pytest.raises(WebSocketDisconnect), connect(client, **headers):
        pass
    assert client.get("/live/static/live.js", headers={"host": "evil.example:7860"}).status_code == 403
    assert client.get("/live/static/live.js").status_code == 200


def test_a_login_of_gradio_counts_here_too(serve):
    client = serve()
    page = client.app
    page.auth, page.cookie_id, page.tokens = {"ada": "secret"}, "abc", {"token": "ada"}
    for cookie in ("", "access-token-abc=wrong", "access-token-other=token"):
        headers = {"cookie": cookie}
        with pytest.raises(WebSocketDisconnect), connect(client, **headers):
            pass
        assert client.get("/live/static/live.js", headers=headers).status_code == 401
    with connect(client, cookie="access-token-unsecure-abc=token") as socket:
        ready(socket)
    page.auth, page.auth_dependency = None, lambda request: "ada"
    with pytest.raises(WebSocketDisconnect), connect(client):
        pass


def test_beside_a_page_of_gradio_with_a_login(model, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    gradio = pytest.importorskip("gradio", reason="the page needs gradio: make install")
    httpx = pytest.importorskip("httpx")
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect as connect_to

    live = LiveServer(lambda name: Lip2WavStreamer(model, Lip2WavFeatureExtractor(), 3))
    with gradio.Blocks(analytics_enabled=False) as page:
        gradio.Markdown("A page")
    routes = {"routes": [live.routes(guards_beside_gradio("127.0.0.1"))]}
    url = launch(page, "127.0.0.1", free_port("127.0.0.1", 0), 1.0, auth=("ada", "secret"), app_kwargs=routes)
    address, origin = f"ws{url.removeprefix('http')}live/socket", url.rstrip("/")
    try:
        with pytest.raises(InvalidStatus, match="403"):
            connect_to(address, origin=origin)
        with httpx.Client(base_url=url) as client:
            assert client.post("login", data={"username": "ada", "password": "secret"}).status_code == 200
            cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
        with pytest.raises(InvalidStatus, match="403"):
            connect_to(address, origin="http://evil.example", additional_headers=cookie)
        with connect_to(address, origin=origin, additional_headers=cookie) as socket:
            assert json.loads(socket.recv(timeout=60))["type"] == "ready"
    finally:
        page.close()


def test_more_sessions_than_allowed_are_turned_away_until_one_ends(serve, pictures):  # noqa: F811
    client = serve(sessions=1)
    with connect(client) as socket:
        ready(socket)
        with connect(client) as other:
            message, code = refusal(other)
            assert "Others are speaking live" in message and code == 1013
        assert client.live.sessions == 1
    wait_until(lambda: client.live.sessions == 0)
    with connect(client) as socket:
        ready(socket)


def test_a_page_that_goes_away_frees_its_session_and_its_thread(serve, pictures):  # noqa: F811
    client = serve()
    for _ in range(3):
        with connect(client) as socket:
            ready(socket)
            for number in range(3):
                socket.send_bytes(packed(pictures[number], number / 25))  # and goes without waiting for answers
    wait_until(lambda: client.live.sessions == 0)
    wait_until(lambda: not live_threads())


def test_computing_is_done_in_one_thread_of_the_session(serve, model):  # noqa: F811
    import torch

    seen = []

    class Watched(Lip2WavStreamer):
        def push(self, picture, time=None):
            seen.append((threading.current_thread().name, torch.get_num_threads()))
            return super().push(picture, time)

    client = serve(open_session=lambda name: Watched(model, Lip2WavFeatureExtractor(), 3))
    with connect(client) as socket:
        ready(socket)
        for number in range(5):
            socket.send_bytes(packed(GRAY, number / 25))
            answer(socket)
    assert len(set(seen)) == 1 and seen[0] == (seen[0][0], 1) and seen[0][0].startswith("live")


def broken(data, place, value):
    return data[:place] + value + data[place + len(value) :]


PLAIN = jpeg(GRAY)
SIZE_AT = PLAIN.index(b"\xff\xc0") + 5


@pytest.mark.parametrize(
    ("data", "message", "code"),
    [
        (b"", "empty picture", 1008),
        (b"GIF89a" + b"x" * 60, "must be a JPEG", 1008),
        (PLAIN[:100], "header of a picture is damaged", 1008),
        (broken(PLAIN, SIZE_AT, b"\xff\xff\xff\xff"), "65535 x 65535 pixels is too large", 1008),
        (broken(PLAIN, SIZE_AT, b"\x00\x00"), "header of a picture is damaged", 1008),
        (jpeg(GRAY, cv2.IMWRITE_JPEG_PROGRESSIVE, 1), "sequential JPEG", 1008),
        (PLAIN + b"\xff\xda" * 9, "more than 4 scans", 1008),
        (PLAIN[: SIZE_AT + 15] + b"\xff\xd9", "damaged", 1008),
        (b"x" * 500_001, "more than 0.5 MB", 1009),
    ],
    ids=["empty", "gif", "cut", "bomb", "no_height", "progressive", "scans", "no_content", "long"],
)
def test_what_is_no_picture_ends_the_session(serve, data, message, code):
    client = serve()
    with connect(client) as socket:
        ready(socket)
        socket.send_bytes(struct.pack("<d", 0.0) + data)
        said, closed = refusal(socket)
    assert message in said and closed == code
    wait_until(lambda: client.live.sessions == 0)


def test_other_messages_end_the_session(serve):
    client = serve()
    with connect(client) as socket:
        ready(socket)
        socket.send_text('{"grammar": "anything"}')
        assert "something else than pictures" in refusal(socket)[0]
    with connect(client) as socket:
        ready(socket)
        socket.send_bytes(packed(GRAY, float("nan")))
        assert "time of a picture" in refusal(socket)[0]
    with connect(client, "?model=other") as socket:
        assert refusal(socket)[0] == "there is no model 'other'."


def test_a_flood_of_pictures_ends_the_session(serve):
    with connect(serve(waiting=3)) as socket:
        ready(socket)
        for number in range(200):
            socket.send_bytes(packed(GRAY, number / 25))
        message = {}
        while message.get("type") != "error":
            received = socket.receive()
            message = json.loads(received["text"]) if received.get("text") else {}
        assert "faster than they can be read" in message["message"]


def test_an_idle_page_and_a_long_session_end(serve):
    with connect(serve(idle_seconds=0.2)) as socket:
        ready(socket)
        assert refusal(socket)[0].startswith("No picture came for 0.2 seconds")
    with connect(serve(seconds=0.3, waiting=1000)) as socket:
        ready(socket)
        number = 0
        while True:
            socket.send_bytes(packed(GRAY, number / 25))
            message = socket.receive()
            if '"error"' in message.get("text", ""):
                break
            number += 1
        assert "longest time" in message["text"]


def test_a_model_that_cannot_speak_live_says_so(serve):
    def unable(name):
        return Lip2WavStreamer(build(mirror_average=True), Lip2WavFeatureExtractor())

    def speaker(name):
        return Lip2WavStreamer(build(speaker_embedding_size=6), Lip2WavFeatureExtractor())

    def fault(name):
        raise RuntimeError("/home/ada/secret")

    for function, expected, code in (
        (unable, "mirror_average", 1008),
        (speaker, "speaker embedding", 1008),
        (fault, "Something went wrong", 1011),
    ):
        with connect(serve(open_session=function)) as socket:
            message, closed = refusal(socket)
        assert expected in message and "ada" not in message and closed == code


def test_the_size_is_that_of_the_picture(pictures):  # noqa: F811
    data = jpeg(pictures[0])
    assert jpeg_size(data) == pictures[0].shape[:2] == read_picture(data, PIXELS).shape[:2]
    assert np.abs(read_picture(data, PIXELS).astype(int) - pictures[0]).mean() < 4
    with pytest.raises(PictureError, match="too large"):
        read_picture(data, 1000)


def test_names_of_models_are_text_on_the_page():
    assert '"' not in place(['a"><script>']).removeprefix('<div data-live-voice="').removesuffix('"></div>')
