"""The addresses of the page, asked as the page asks them, with a training that learns nothing."""

import io
import json
import math
import shutil
import time
import zipfile
from urllib.parse import urlencode

import av
import cv2
import numpy as np
import pytest

from lip2wav_hf import DEFAULT_CHECKPOINT
from lip2wav_hf.audio import mux_audio
from lip2wav_hf.video import VideoReader


pytest.importorskip("gradio", reason="the studio needs gradio: make install")

from starlette.applications import Starlette
from starlette.testclient import TestClient

from lip2wav_hf.studio.learning import Status
from lip2wav_hf.studio.recordings import Recordings, StudioError
from lip2wav_hf.studio.routes import studio_routes
from lip2wav_hf.studio.studio import Studio
from studio import learners


PHRASE = "bin blue at f two now"


@pytest.fixture
def studio(tmp_path):
    studio = Studio(Recordings(tmp_path / "recordings"), learn=learners.patient)
    yield studio
    studio.learning.cancel()
    studio.close()


@pytest.fixture
def client(studio):
    with TestClient(Starlette(routes=[studio_routes(studio)]), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def ready(client):
    """A client of a studio that is ready to record."""
    client.post("/studio/consent", json={"name": "Ada", "purpose": "to speak", "agreed": True})
    chosen = client.post("/studio/choose", json={"kind": "own", "text": PHRASE, "takes": 3, "silent": False})
    assert chosen.status_code == 200
    return client


@pytest.fixture(scope="session")
def recorded(tmp_path_factory, talking_video):
    """The talking face as Chromium's recorder writes it: VP8 and Opus in WebM, as a stream without a duration."""
    path = tmp_path_factory.mktemp("recorder") / "blob"
    with VideoReader(talking_video) as reader, av.open(str(talking_video)) as source:
        with av.open(str(path), "w", format="webm", options={"live": "1"}) as container:
            video = container.add_stream("libvpx", rate=25)
            video.width, video.height, video.pix_fmt, video.bit_rate = 360, 288, "yuv420p", 2_000_000
            sound = container.add_stream("libopus", rate=48000, layout="mono")
            for number, picture in enumerate(reader):
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts = number
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
            resampler = av.AudioResampler("flt", "mono", 48000, 960)
            for frame in source.decode(audio=0):
                for piece in resampler.resample(frame):
                    container.mux(sound.encode(piece))
            container.mux(sound.encode(None))
    return path.read_bytes()


def send(client, content, phrase=PHRASE, silent=False):
    query = urlencode({"phrase": phrase, "silent": str(silent).lower()})
    return client.post(f"/studio/takes?{query}", content=content, headers={"content-type": "video/webm"})


def error_of(response, status=400):
    assert response.status_code == status, response.text
    return response.json()["error"]


def test_from_consent_to_deletion(ready, studio, recorded):
    for _ in range(3):
        take = send(ready, recorded).json()
        assert take["problems"] == [] and take["seconds"] == pytest.approx(3.0, abs=0.1)
        state = ready.post(f"/studio/pending/{take['id']}/keep").json()
    assert (state["done"], state["wanted"], state["enough"]) == (3, 3, True)
    assert [take["file_name"] for take in state["takes"]] == [f"take-000{k}.webm" for k in (1, 2, 3)]
    played = ready.get("/studio/takes/take-0001.webm")
    assert played.content == recorded and played.headers["content-type"] == "video/webm"
    part = ready.get("/studio/takes/take-0001.webm", headers={"range": "bytes=0-9"})
    assert part.status_code == 206 and part.content == recorded[:10]
    assert len(ready.delete("/studio/takes/take-0002.webm").json()["takes"]) == 2
    assert "at least 3" in error_of(ready.post("/studio/train", json={"minutes": 1}))
    assert "must be confirmed" in error_of(ready.post("/studio/delete", json={"voice": True}))
    state = ready.post("/studio/delete", json={"voice": True, "confirmed": True}).json()
    assert state["consent"] is None and not state["takes"]
    assert [path.name for path in studio.recordings.path.iterdir()] == [".studio"]


def test_takes_of_an_earlier_list_are_phrases_of_the_training_too(tmp_path, talking_video):
    recordings = Recordings(tmp_path / "recordings")
    recordings.give_consent("Ada", "to speak", True)
    for number in range(3):
        file = recordings.new_pending(".mp4")
        shutil.copy(talking_video, file)
        recordings.keep(file, f"phrase {number}", False)
    recordings.choose("own", ["a new one"], 1, False)
    studio = Studio(recordings, learn=learners.quick)
    try:
        for wish in ({}, {"live": True}):
            studio.train({"minutes": 1.0, **wish})
            while studio.learning.status().active:
                time.sleep(0.05)
            result = studio.learning.status().result
            assert result["phrases"] == ["a new one", "phrase 0", "phrase 1", "phrase 2"]
            assert result["live"] is bool(wish)
    finally:
        studio.close()


def test_a_recording_that_another_window_has_deleted_is_an_error_of_its_own(studio, ready):
    with pytest.raises(StudioError, match="was deleted while it came in"):
        studio.receive(studio.recordings.new_pending(".upload"), PHRASE, False)


def test_training_and_speaking(ready, studio, recorded):
    for _ in range(3):
        ready.post(f"/studio/pending/{send(ready, recorded).json()['id']}/keep")
    assert "There is no voice yet" in error_of(ready.post("/studio/speak", content=recorded))
    assert ready.post("/studio/train", json={"minutes": 1}).json()["training"]["state"] == "running"
    assert "running already" in error_of(ready.post("/studio/train", json={"minutes": 1}))
    assert ready.post("/studio/stop").json()["training"]["state"] == "stopping"
    end = time.monotonic() + 60
    while ready.get("/studio/training").json()["active"]:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert ready.get("/studio/state").json()["training"]["state"] == "done"
    shutil.copytree(DEFAULT_CHECKPOINT, studio.recordings.voice, dirs_exist_ok=True)
    assert ready.get("/studio/state").json()["voice"] is True
    answer = ready.post("/studio/speak", content=recorded).json()
    assert answer["text"] == answer["written"] == PHRASE
    assert ready.get(f"/studio/answers/{answer['wav']}").content[:4] == b"RIFF"
    assert ready.get("/studio/answers/" + "0" * 32 + ".wav").status_code == 404
    assert not list(studio.recordings.pending_folder.iterdir())
    archive = ready.get("/studio/my-voice.zip")
    assert "my-voice/config.json" in zipfile.ZipFile(io.BytesIO(archive.content)).namelist()
    assert "must be confirmed" in error_of(ready.post("/studio/push", json={"repo_id": "me/my-voice"}))
    assert "'a b' is not the name" in error_of(ready.post("/studio/push", json={"repo_id": "a b", "check": True}))


def test_nothing_without_consent(client, recorded, studio):
    assert "Nothing is recorded before consent" in error_of(send(client, recorded))
    assert not list(studio.recordings.pending_folder.iterdir())
    refused = client.post("/studio/consent", json={"name": "Ada", "purpose": "x", "agreed": "true"})
    assert "Without consent" in error_of(refused)


def test_discarded_takes_are_gone(ready, studio, recorded):
    take = send(ready, recorded).json()
    assert ready.delete(f"/studio/pending/{take['id']}").json()["takes"] == []
    assert not list(studio.recordings.pending_folder.iterdir())
    assert "no longer there" in error_of(ready.post(f"/studio/pending/{take['id']}/keep"))


def test_takes_that_nobody_decides_on_do_not_pile_up(ready, studio, recorded, monkeypatch):
    monkeypatch.setattr("lip2wav_hf.studio.studio.MOST_PENDING", 2)
    ids = [send(ready, recorded).json()["id"] for _ in range(3)]
    assert {path.stem for path in studio.recordings.pending_folder.iterdir()} == set(ids[1:])


def test_a_take_without_a_voice(ready, talking_video, tmp_path):
    mute = tmp_path / "mute.mp4"
    mux_audio(str(talking_video), np.zeros(48000, np.float32), 16000, mute)
    (problem,) = send(ready, mute.read_bytes()).json()["problems"]
    assert problem["message"] == "No voice can be heard." and not problem["fatal"]
    assert send(ready, mute.read_bytes(), silent=True).json()["problems"] == []


def test_a_take_without_a_face(ready, tmp_path):
    wall = tmp_path / "wall.mp4"
    mux_audio(np.full((50, 96, 128, 3), 90, np.uint8), np.zeros(32000, np.float32), 16000, wall, fps=25)
    (problem,) = send(ready, wall.read_bytes()).json()["problems"]
    assert problem["kind"] == "no_face" and problem["fatal"]


def avi_of(video):
    target = io.BytesIO()
    with VideoReader(video) as reader, av.open(target, "w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 360, 288, "yuvj420p"
        for picture in reader:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuvj420p")))
        container.mux(stream.encode(None))
    return target.getvalue()


@pytest.mark.parametrize("content", [b"", b"no video", b"\x1aE\xdf\xa3" + b"\0" * 100], ids=["empty", "text", "torn"])
def test_what_is_no_video_is_not_kept(ready, studio, content):
    assert "The recording cannot be used: it: " in error_of(send(ready, content))
    assert not list(studio.recordings.pending_folder.iterdir())


def test_a_container_that_browsers_do_not_record(ready, studio, talking_video):
    assert "This browser records avi files" in error_of(send(ready, avi_of(talking_video)))
    assert not list(studio.recordings.pending_folder.iterdir())


def test_safari_records_mp4(ready, talking_video):
    take = send(ready, talking_video.read_bytes()).json()
    state = ready.post(f"/studio/pending/{take['id']}/keep").json()
    assert state["takes"][0]["file_name"] == "take-0001.mp4"


def test_too_large(ready, studio, monkeypatch):
    monkeypatch.setattr("lip2wav_hf.studio.routes.LARGEST_TAKE", 0.001)
    assert "more than 0.001 MB" in error_of(send(ready, b"x" * 2000), 413)
    assert not list(studio.recordings.pending_folder.iterdir())
    assert "more than 1 MB" in error_of(ready.post("/studio/consent", content=b"x" * 1_000_001), 413)


def test_a_phrase_that_is_no_longer_there(ready, studio, recorded):
    assert "no longer in the list" in error_of(send(ready, recorded, "something else"))
    assert not list(studio.recordings.pending_folder.iterdir())


def test_phrases_are_proposed(client):
    found = client.post("/studio/propose", json={"kind": "grid", "count": 25, "seed": 0}).json()
    assert len(found["phrases"]) == 25 and found["notes"] == ["51 of GRID's 51 words are in these 25 sentences."]
    found = client.post("/studio/propose", json={"kind": "grid", "count": 0, "seed": 0}).json()
    assert found["phrases"] == [] and "choose a number" in found["problems"][0]
    assert len(client.post("/studio/propose", json={"kind": "digits"}).json()["phrases"]) == 10
    found = client.post("/studio/propose", json={"kind": "own", "text": "yes\n!\nYes"}).json()
    assert found["phrases"] == ["yes"] and len(found["problems"]) == len(found["notes"]) == 1


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("consent", b"{", "no JSON"),
        ("consent", b"[]", "no JSON object"),
        ("consent", b"[" * 100_000, "no JSON"),
        ("consent", b'{"name": 7}', "name: it must be text"),
        ("consent", b'{"name": "\\ud800", "purpose": "x", "agreed": true}', "name: it must be text"),
        ("propose", b'{"kind": "songs"}', "no phrases of the kind 'songs'"),
        ("propose", b'{"kind": "grid", "count": "9", "seed": 0}', "count: it must be a whole number"),
        ("choose", b'{"kind": "own", "text": "", "takes": 1}', "there is no phrase yet"),
        ("choose", b'{"kind": "digits", "takes": 99}', "choose from 1 to 20"),
        ("train", b'{"minutes": 1e9}', "choose from 0.5 to 120"),
        ("train", b'{"minutes": NaN}', "choose from 0.5 to 120"),
        ("train", b'{"minutes": true}', "minutes: it must be a number"),
        ("train", b'{"minutes": 1, "live": 1}', "live: it must be true or false"),
    ],
)
def test_requests_that_are_refused(client, path, content, message):
    assert message in error_of(client.post(f"/studio/{path}", content=content))


def test_numbers_that_json_cannot_hold_are_null(client, studio):
    """Those of a training that diverges, for example."""
    numbers = {"loss": math.nan, "held_out_error": math.inf}
    studio.learning._note({"stage": "training", "fraction": 0.5, "step": 3, "message": "", "notes": ()} | numbers)
    assert client.get("/studio/state").json()["training"]["loss"] is None
    assert client.get("/studio/training").json()["history"] == [[3, None]]


def test_live_checks(client, talking_video):
    with VideoReader(talking_video) as reader:
        picture = cv2.imencode(".jpg", cv2.cvtColor(next(reader), cv2.COLOR_RGB2BGR))[1].tobytes()
    assert client.post("/studio/look", content=picture).json()["face"] is True
    assert "no picture" in error_of(client.post("/studio/look", content=b"x"))


def test_a_fault_of_the_program_tells_nothing_of_the_machine(client, studio, monkeypatch, caplog):
    monkeypatch.setattr(studio.recordings, "give_consent", lambda *_: 1 / 0)
    consent = {"name": "Ada", "purpose": "x", "agreed": True}
    assert error_of(client.post("/studio/consent", json=consent), 500).startswith("Something went wrong")
    assert "ZeroDivisionError" in caplog.text


def test_the_files_of_the_page(client):
    assert "javascript" in client.get("/studio/static/main.js").headers["content-type"]
    assert client.get("/studio/static/../page.py").status_code == 404
    assert client.get("/studio/takes/..%2Fconsent.json").status_code in (400, 404)


def test_step_4_tells_of_the_model_that_is_there(ready, studio, tiny_model_dir):
    """One that `lip2wav adapt` has put in its place, after a training of the studio."""
    studio.learning._status = Status(
        "done", history=[(10, 1.0)], result={"steps": 5, "final_steps": 0, "minutes": 2.0}
    )
    assert ready.get("/studio/state").json()["training"]["result"]["steps"] == 5
    shutil.copytree(tiny_model_dir, studio.recordings.voice)
    scores = {"clips": 1, "text_wer": 0.5}
    record = {"before": scores, "after": scores | {"text_wer": 0.25}, "steps": 30, "final_steps": 4, "minutes": 3.5}
    record |= {"clips": 4, "held_out": ["a.mp4"], "stopped": "finished", "notes": ["A note."], "given_voice": 2}
    (studio.recordings.voice / "adaptation.json").write_text(json.dumps(record))
    training = ready.get("/studio/training").json()
    assert (training["state"], training["seconds"], training["history"]) == ("done", 210.0, [])
    result = training["result"]
    assert result["scores"] == [["words read wrong", "50.0%", "25.0%"]] and result["given_voice"] == 2
    assert (result["steps"], result["clips"], result["held_out"], result["notes"]) == (30, 4, 1, ["A note."])
    studio.learning._status = Status("failed", error="no recording can be used")
    assert ready.get("/studio/training").json()["state"] == "failed"
    (studio.recordings.voice / "adaptation.json").write_text("[]")
    studio.learning._status = Status()
    assert ready.get("/studio/training").json()["result"] is None
