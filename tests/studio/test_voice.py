import json
import shutil
import zipfile
from pathlib import Path

import pytest

from lip2wav_hf import DEFAULT_CHECKPOINT
from lip2wav_hf.audio import mux_audio, read_audio
from lip2wav_hf.generator import Generator
from lip2wav_hf.lite.graphs import CLIPS, STREAMS
from lip2wav_hf.lite.stream import OnnxStreamingGenerator
from lip2wav_hf.studio.recordings import StudioError
from lip2wav_hf.studio.voice import MOST_ANSWERS, Voice


@pytest.fixture
def voice(tmp_path):
    shutil.copytree(DEFAULT_CHECKPOINT, tmp_path / "voice")
    return Voice(tmp_path / "voice", tmp_path / "answers")


def test_a_mouthed_phrase_is_spoken(voice, talking_video):
    found = voice.speak(talking_video)
    assert found["text"] == found["written"] == "bin blue at f two now" and found["doubts"] == []
    for kind in ("wav", "mp4"):
        assert len(read_audio(voice.answers / found[kind])) == pytest.approx(48000, abs=1024)


def test_old_answers_go(voice, talking_video):
    for _ in range(MOST_ANSWERS + 2):
        found = voice.speak(talking_video)
    assert len(list(voice.answers.iterdir())) == 2 * MOST_ANSWERS
    assert (voice.answers / found["wav"]).is_file()


def test_no_face(voice, tmp_path):
    import numpy as np

    mux_audio(np.zeros((25, 96, 128, 3), np.uint8), np.zeros(16000, np.float32), 16000, tmp_path / "dark.mp4", fps=25)
    with pytest.raises(StudioError, match="No face was found"):
        voice.speak(tmp_path / "dark.mp4")


def test_a_new_voice_is_loaded(voice, tiny_model_dir, talking_video):
    voice.warm_up()
    first = voice._speaker
    voice.speak(talking_video)
    assert voice._speaker is first
    shutil.rmtree(voice.folder)
    shutil.copytree(tiny_model_dir, voice.folder)
    voice.speak(talking_video)
    assert voice._speaker is not first


def test_without_a_voice(tmp_path, talking_video):
    voice = Voice(tmp_path / "voice", tmp_path / "answers")
    voice.warm_up()
    assert not voice.exists
    for action in (lambda: voice.speak(talking_video), lambda: voice.pack(tmp_path / "x.zip")):
        with pytest.raises(StudioError, match="There is no voice yet"):
            action()
    with pytest.raises(StudioError, match="There is no voice yet"):
        voice.push("me/my-voice", private=True)


def test_the_archive_is_a_model_without_recordings(voice, tmp_path):
    (voice.folder / ".adaptation").mkdir()
    (voice.folder / ".adaptation" / "state.json").write_text("{}", encoding="utf-8")
    (voice.folder / "adaptation.json").write_text("{}", encoding="utf-8")
    (voice.folder / "take-0001.webm").write_bytes(b"")
    voice.pack(tmp_path / "my-voice.zip")
    with zipfile.ZipFile(tmp_path / "my-voice.zip") as archive:
        names = {name.removeprefix("my-voice/") for name in archive.namelist()}
        archive.extractall(tmp_path / "unpacked")
    assert {"config.json", "preprocessor_config.json", "model.safetensors", "README.md", *CLIPS, *STREAMS} <= names
    assert not [name for name in names if "adaptation" in name or name.endswith((".webm", ".mp4"))]
    unpacked = Voice(tmp_path / "unpacked" / "my-voice", tmp_path / "answers")
    unpacked.warm_up()
    assert unpacked._speaker is not None


def test_pushing_needs_a_login_and_a_name(voice, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(StudioError, match="not the name of a repository"):
        voice.push("a b", private=True)
    with pytest.raises(StudioError) as caught:
        voice.push("me/my-voice", private=True)
    assert "HF_HUB_OFFLINE" in str(caught.value) and "--token" not in str(caught.value)
    assert Path(voice.folder, "model.safetensors").is_file()


def test_whether_it_can_be_pushed_is_known_before(voice, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_secret")
    voice.check_push("me/my-voice")
    with pytest.raises(StudioError, match="'bad name!!' is not the name of a repository"):
        voice.check_push("bad name!!")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(StudioError, match="Nobody is logged in on this machine. Run `hf auth login`"):
        voice.check_push("me/my-voice")


@pytest.mark.parametrize("option", ["--token", "`token=`"])
def test_a_page_names_no_option(voice, monkeypatch, option):
    def refuse(*arguments, **options):
        raise ValueError(f"anna: whose? or run `hf auth login`, set HF_TOKEN or pass {option}, and it will be yours.")

    monkeypatch.setattr("lip2wav_hf.hub.push.push", refuse)
    with pytest.raises(StudioError, match="^anna: whose. or run `hf auth login` or set HF_TOKEN, and it"):
        voice.push("anna", private=True)


def test_what_it_answers_with_is_known_as_it_is_written(voice, talking_video):
    assert voice.phrases == []
    (voice.folder / "adaptation.json").write_text('{"phrases": ["bin blue at f two now", "no"]}')
    config = json.loads((voice.folder / "config.json").read_text())
    config["written_sentences"] = {"bin blue at f two now": "Bin blue at F two now!"}
    (voice.folder / "config.json").write_text(json.dumps(config))
    assert voice.phrases == ["Bin blue at F two now!", "no"]
    assert voice.speak(talking_video)["written"] == "Bin blue at F two now!"
    (voice.folder / "adaptation.json").write_text("[]")
    assert voice.phrases == []


def test_a_live_session_reads_the_phrases_of_the_voice(voice, talking_video):
    from lip2wav_hf.grammar import Grammar
    from lip2wav_hf.video import VideoReader

    config = json.loads((voice.folder / "config.json").read_text())
    phrases = ["bin blue at f two now", "set red by g nine soon"]
    config |= {"grammar": Grammar.of(phrases).to_jsgf(), "look_ahead": 8}
    (voice.folder / "config.json").write_text(json.dumps(config))
    session = voice.live_session()
    words, samples = [], 0
    with VideoReader(talking_video) as reader:
        for number, picture in enumerate(reader):
            speech = session.push(picture, number / 25)
            words, samples = words + speech.words, samples + len(speech.audio)
    speech = session.flush()
    words, samples = words + speech.words, samples + len(speech.audio)
    assert " ".join(word["word"] for word in words) == phrases[0] and session.look_ahead == 8
    assert samples == pytest.approx(48000, abs=1280)
    assert voice.live_session().model is session.model, "sessions share the loaded model"


def test_a_live_session_takes_the_graphs_of_the_voice(voice):
    pytest.importorskip("onnxruntime", reason="the extra `lite` is not installed")
    session = voice.live_session()
    assert isinstance(session.model, OnnxStreamingGenerator)
    assert voice.live_session().model is session.model
    (voice.folder / STREAMS[0]).unlink()
    (voice.folder / "config.json").touch()
    assert isinstance(voice.live_session().model, Generator)


def test_without_a_voice_nobody_speaks_live(tmp_path):
    with pytest.raises(StudioError, match="no voice yet"):
        Voice(tmp_path, tmp_path / "answers").live_session()
