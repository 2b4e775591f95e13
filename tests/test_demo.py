"""The demo page without a browser: its checks, its answers, its API, its command, its card."""

import configparser
import copy
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import av
import numpy as np
import pytest

from lip2wav_hf import DEFAULT_CHECKPOINT
from lip2wav_hf.audio import mux_audio, read_audio, write_audio
from lip2wav_hf.lite.graphs import GraphError
from lip2wav_hf.lite.stream import OnnxStreamingGenerator
from lip2wav_hf.models import bundled_models


pytest.importorskip("gradio", reason="the demo page needs gradio: make install")

REPOSITORY = Path(__file__).resolve().parents[1]
DEMO = REPOSITORY / "demo"
BUNDLED = Path(DEFAULT_CHECKPOINT).name


@pytest.fixture(scope="module")
def demo_path():
    """The folder of the app on the import path, as when Python runs `demo/app.py`."""
    sys.path.insert(0, str(DEMO))
    yield
    sys.path.remove(str(DEMO))


@pytest.fixture(scope="module")
def answers(demo_path):
    import answers

    return answers


@pytest.fixture(scope="module")
def bundled(demo_path):
    from checkpoints import load_checkpoints

    return load_checkpoints([])


@pytest.fixture
def page(bundled, answers, tmp_path, monkeypatch):
    from page import Page

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    return Page(bundled, answers.Limits(), concurrency=2)


@pytest.fixture(scope="module")
def faceless(tmp_path_factory):
    """A second of noise, without sound worth the name."""
    path = tmp_path_factory.mktemp("video") / "noise.mp4"
    frames = np.random.default_rng(0).integers(0, 255, (25, 96, 128, 3), dtype=np.uint8)
    mux_audio(frames, np.zeros(16000, np.float32), 16000, path, fps=25)
    return path


# ---------------------------------------------------------------------------------------------------------------------
# Which checkpoints
# ---------------------------------------------------------------------------------------------------------------------


def test_checkpoints_of_the_command_line_and_the_environment_come_before_the_bundled(
    demo_path, tiny_model_dir, tmp_path, monkeypatch
):
    from checkpoints import checkpoint_folders

    other = tmp_path / "other"
    shutil.copytree(tiny_model_dir, other)
    monkeypatch.setenv("LIP2WAV_CHECKPOINTS", f"{tiny_model_dir},")
    folders = checkpoint_folders([str(other)])
    assert list(folders)[:3] == ["other", "tiny", BUNDLED]
    assert list(checkpoint_folders([BUNDLED, str(other)]))[:3] == [BUNDLED, "other", "tiny"]
    assert (folders["tiny"], folders["other"]) == (tiny_model_dir, other)
    assert list(checkpoint_folders([str(tiny_model_dir)])) == ["tiny", *bundled_models()]  # named twice


def test_models_of_trainings_go_by_their_runs(demo_path, tiny_model_dir, tmp_path):
    """As `info`, `evaluate`, `compare` and the card call them."""
    from checkpoints import checkpoint_folders

    folders = [tmp_path / "runs" / run / "best" for run in ("tiny", "acc")]
    for folder in folders:
        shutil.copytree(tiny_model_dir, folder)
    found = checkpoint_folders([*map(str, folders), f"mine={folders[0]}"])
    assert list(found.items())[:3] == [("tiny", folders[0]), ("acc", folders[1]), ("mine", folders[0])]


def test_checkpoints_of_one_name_are_refused_until_one_gets_another(demo_path, tiny_model_dir, tmp_path):
    from checkpoints import checkpoint_folders

    shutil.copytree(tiny_model_dir, tmp_path / "tiny")
    with pytest.raises(ValueError, match="two systems are called 'tiny'.*Give LABEL=NAME"):
        checkpoint_folders([str(tiny_model_dir), str(tmp_path / "tiny")])
    assert list(checkpoint_folders([str(tiny_model_dir), f"copy={tmp_path / 'tiny'}"]))[:2] == ["tiny", "copy"]
    with pytest.raises(ValueError, match="--checkpoint copy=: give NAME, or LABEL=NAME"):
        checkpoint_folders(["copy="])


def test_a_system_that_reads_no_words_is_offered_too(demo_path, answers, talking_video, tmp_path):
    """Lip2AudSpec: it speaks, it is compared, and that it found no words is no reason for doubt."""
    from checkpoints import load_checkpoints

    from lip2wav_hf import Lip2WavFeatureExtractor
    from lip2wav_hf.lip2audspec.configuration_lip2audspec import Lip2AudSpecConfig
    from lip2wav_hf.lip2audspec.modeling_lip2audspec import Lip2AudSpecModel

    folder = tmp_path / "audspec"
    sizes = {"conv_channels": [4, 6], "pool_after": [1, 2], "dropout_after": [2], "lstm_size": 12, "dense_size": 10}
    sizes |= {"image_height": 40, "image_width": 64, "inversion_iterations": 2}
    Lip2AudSpecModel(Lip2AudSpecConfig(**sizes)).save_pretrained(folder)
    Lip2WavFeatureExtractor().save_pretrained(folder)
    pipes = load_checkpoints([str(folder)])
    answer = answers.answer_with(pipes["audspec"], "audspec", str(talking_video), tmp_path)
    assert answer.doubts == [] and answer.text == "" and len(read_audio(answer.wav)) == 48000
    (tmp_path / "compared").mkdir()
    page = answers.compare_with(pipes, str(talking_video), tmp_path / "compared")
    assert '<span class="name">audspec</span>' in page.read_text()


def test_a_folder_without_a_model_is_refused(demo_path, tmp_path):
    from checkpoints import load_checkpoints

    with pytest.raises(ValueError, match="config.json"):
        load_checkpoints([str(tmp_path)])


# ---------------------------------------------------------------------------------------------------------------------
# The comparison
# ---------------------------------------------------------------------------------------------------------------------


def test_a_comparison_is_a_page_in_the_cache(page, talking_video, tmp_path):
    status, shown = page.press_compare(str(talking_video), BUNDLED, "(none)")
    assert "The comparison is below." in status
    (address,) = re.findall(r'<iframe src="(comparisons/[0-9a-f]{32}/page/index\.html)"', shown)
    built = (tmp_path / "cache" / address).read_text()
    assert "bbaf2n" in built and str(tmp_path) not in built
    assert [path.name for path in (tmp_path / "cache" / address).parents[1].iterdir()] == ["page"]


def test_what_cannot_be_compared_is_told_and_leaves_nothing(page, faceless, tmp_path):
    status, shown = page.press_compare(str(faceless), BUNDLED, "(none)")
    assert 'role="alert"' in status and "noise" in status and str(faceless.parent) not in status and not shown
    assert not list((tmp_path / "cache" / "comparisons").iterdir())
    assert "There is no video yet" in page.press_compare(None, BUNDLED, "(none)")[0]


# ---------------------------------------------------------------------------------------------------------------------
# Which videos
# ---------------------------------------------------------------------------------------------------------------------


def test_a_good_video_passes(answers, talking_video):
    answers.check_video(str(talking_video), answers.Limits())


@pytest.mark.parametrize("content", [b"no video at all\n", b"", os.urandom(3000)], ids=["text", "empty", "noise"])
def test_what_is_no_video_is_refused_by_its_name(answers, tmp_path, content):
    path = tmp_path / "letter.mp4"
    path.write_bytes(content)
    with pytest.raises(answers.RequestError, match=r"^letter\.mp4: .*(not a video|empty)"):
        answers.check_video(str(path), answers.Limits())


def test_a_sound_file_is_refused(answers, tmp_path):
    write_audio(tmp_path / "song.wav", np.zeros(16000, np.float32), 16000)
    with pytest.raises(answers.RequestError, match=r"^song\.wav: "):
        answers.check_video(str(tmp_path / "song.wav"), answers.Limits())


def test_no_video_is_refused(answers):
    with pytest.raises(answers.RequestError, match="no video yet"):
        answers.check_video(None, answers.Limits())


def test_limits(answers, talking_video):
    path, limits = str(talking_video), answers.Limits
    answers.check_video(path, limits(seconds=3.0))
    with pytest.raises(answers.RequestError, match=r"bbaf2n\.mp4 is longer than 2\.5 seconds"):
        answers.check_video(path, limits(seconds=2.5))
    with pytest.raises(answers.RequestError, match=r"bbaf2n\.mp4 has .* MB; this page takes up to 0\.01 MB"):
        answers.check_video(path, limits(megabytes=0.01))
    with pytest.raises(answers.RequestError, match="larger pictures"):
        answers.check_video(path, limits(pixels=100 * 100))
    with pytest.raises(answers.RequestError, match="per second"):
        answers.check_video(path, limits(seconds=3.5, frame_rate=10))


def test_length_is_counted_where_the_header_tells_none(answers, tmp_path):
    """As the recorders of browsers write it: Matroska as a live stream."""
    path = tmp_path / "recorded.webm"
    with av.open(str(path), "w", format="webm", options={"live": "1"}) as container:
        stream = container.add_stream("libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(100):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert container.duration is None
    answers.check_video(str(path), answers.Limits(seconds=4))
    with pytest.raises(answers.RequestError, match="longer than 3 seconds"):
        answers.check_video(str(path), answers.Limits(seconds=3))


# ---------------------------------------------------------------------------------------------------------------------
# What is answered
# ---------------------------------------------------------------------------------------------------------------------


def test_answer(answers, bundled, talking_video, tmp_path):
    pytest.importorskip("pesq")
    answer = answers.answer_with(bundled[BUNDLED], BUNDLED, str(talking_video), tmp_path)
    result = bundled[BUNDLED](str(talking_video), return_crops=True)
    assert answer.text == result["text"] and answer.words == result["words"] and answer.words
    speech = read_audio(answer.wav)
    np.testing.assert_allclose(speech, np.clip(result["audio"], -1, 1), atol=2 / 32768)
    assert Path(answer.wav).name == f"bbaf2n_{BUNDLED}.wav"
    for path, (height, width) in {answer.mp4: (288, 360), answer.mouth: result["crops"].shape[1:]}.items():
        with av.open(path) as container:
            video, sound = container.streams.video[0], container.streams.audio[0]
            assert (video.codec_context.name, sound.codec_context.name) == ("h264", "aac")
            assert (video.height, video.width, video.frames) == (height, width, len(result["crops"]))
    assert Path(answer.picture).read_bytes()[:4] == b"\x89PNG"
    assert set(answer.scores) == set(answers.METRICS)
    assert -1 <= answer.scores["estoi"] <= 1 and 1 <= answer.scores["pesq_nb"] <= 4.6
    np.testing.assert_allclose(read_audio(answer.original), read_audio(talking_video), atol=2 / 32768)


def test_a_silent_video_has_no_original(answers, bundled, talking_video, tmp_path):
    mute = tmp_path / "mute.mp4"
    mux_audio(str(talking_video), np.zeros(48000, np.float32), 16000, mute)
    answer = answers.answer_with(bundled[BUNDLED], BUNDLED, str(mute), tmp_path)
    assert answer.original is None and answer.scores == {}


def test_without_metrics_there_are_no_scores(answers, monkeypatch):
    monkeypatch.setattr(answers, "metric_functions", lambda: ())
    assert answers.score(np.ones(16000, np.float32), np.ones(16000, np.float32), 16000) == {}


def test_doubts(answers):
    sure = [{"word": "bin", "start": 0.0, "end": 0.5, "confidence": 0.95}]
    assert answers.doubts({"face_coverage": 1.0, "words": sure}) == []
    unsure = [{**sure[0], "confidence": 0.4}]
    assert len(answers.doubts({"face_coverage": 0.5, "words": unsure})) == 2
    (doubt,) = answers.doubts({"face_coverage": 1.0, "words": sure, "other_face": True})
    assert doubt.startswith("another face of about the same size is in the picture: the larger one was followed")
    assert answers.doubts({"face_coverage": 1.0, "words": []}) == ["no words were recognised"]
    short = {"face_coverage": 1.0, "words": sure, "audio": np.zeros(640), "sampling_rate": 16_000}
    assert answers.doubts(short) == ["the video is very short, too short for a sentence"]
    assert answers.doubts({"face_coverage": 1.0, "words": []}, reads_words=False) == []


# ---------------------------------------------------------------------------------------------------------------------
# The page
# ---------------------------------------------------------------------------------------------------------------------


def outputs_of_button(page):
    blocks = page.build()
    return next(f for f in blocks.fns.values() if f.fn is not None and f.fn.__name__ == "press_speak").outputs


def test_the_button_fills_every_output(page, bundled, talking_video):
    outputs = outputs_of_button(page)
    values = page.press_speak(str(talking_video), BUNDLED, "(none)")
    assert len(values) == len(outputs)
    names = {output.elem_id: value for output, value in zip(outputs, values, strict=True) if output.elem_id}
    assert 'role="status"' in names["page-status"]
    text = bundled[BUNDLED](str(talking_video))["text"]
    assert text in names["first-text"]
    assert re.search(rf"\| {text.split()[-1]} \| \d\.\d\d – \d\.\d\d s \| \d+% \|", names["first-words"])
    assert names["second-text"] is None and "PESQ" in names["scores"]


def test_two_checkpoints_side_by_side(page, bundled, talking_video):
    page.checkpoints = {**bundled, "twin": bundled[BUNDLED]}
    values = page.press_speak(str(talking_video), BUNDLED, "twin")
    names = {o.elem_id: value for o, value in zip(outputs_of_button(page), values, strict=True) if o.elem_id}
    assert "twin says" in names["second-text"]
    assert names["first-speech"] != names["second-speech"]
    assert f"| {BUNDLED} | twin |" in names["scores"]


def test_a_failure_is_a_message_and_leaves_no_files(page, faceless, tmp_path):
    values = page.press_speak(str(faceless), BUNDLED, "(none)")
    assert 'role="alert"' in values[0] and "No face was found in noise.mp4" in values[0]
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_an_unexpected_failure_tells_nothing_of_the_server(page, talking_video, monkeypatch, caplog):
    monkeypatch.setattr("page.answer_with", lambda *_: 1 / 0)
    assert "Something went wrong on this server" in page.press_speak(str(talking_video), BUNDLED, "(none)")[0]
    assert "ZeroDivisionError" in caplog.text


def test_messages_are_escaped(page, tmp_path):
    path = tmp_path / "<img src=x>.mp4"
    path.write_bytes(b"nothing")
    assert "&lt;img src=x&gt;.mp4" in page.press_speak(str(path), BUNDLED, "(none)")[0]


# ---------------------------------------------------------------------------------------------------------------------
# The command and its API
# ---------------------------------------------------------------------------------------------------------------------


def test_it_listens_on_this_machine_alone_unless_told_otherwise(demo_path, monkeypatch):
    from app import parse_options

    for name in ("SPACE_ID", "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert (parse_options([]).host, parse_options([]).port) == ("127.0.0.1", 7860)
    monkeypatch.setenv("SPACE_ID", "me/space")
    assert parse_options([]).host == "0.0.0.0"
    monkeypatch.setenv("GRADIO_SERVER_NAME", "::1")
    assert parse_options([]).host == "::1"
    assert parse_options(["--host", "localhost"]).host == "localhost"


def test_without_the_metrics_it_says_how_to_install_them(page, monkeypatch):
    """The package is on no index: what can be installed is an extra of a checkout."""
    monkeypatch.setattr("page.metric_functions", lambda: ())
    from page import _score_table

    assert _score_table([]) == "Scores need the metrics: pip install '.[evaluate]' in a checkout of lip2wav_hf."


def test_options_out_of_range(demo_path, capsys):
    from app import parse_options

    with pytest.raises(SystemExit, match="2"):
        parse_options(["--concurrency", "0"])
    assert "must be above 0" in capsys.readouterr().err


def test_old_files_go_and_the_example_stays(page, talking_video, tmp_path):
    """In this process, where the fixture `no_network` watches the server too."""
    from gradio.route_utils import delete_files_created_by_app
    from gradio_client import Client, handle_file
    from page import CSS, HEAD, remove_old_folders

    from lip2wav_hf.studio.serving import free_port, launch

    cache = tmp_path / "cache"
    blocks = page.build()
    try:
        client = Client(launch(blocks, "127.0.0.1", free_port("127.0.0.1", 0), 50, css=CSS, head=HEAD), verbose=False)
        client.predict(handle_file(str(talking_video)), BUNDLED, api_name="/speak")
        assert {path.suffix for path in cache.rglob("*") if path.is_file()} >= {".wav", ".mp4", ".png"}
        delete_files_created_by_app(blocks, age=0)  # what the server does every minute, with an age of 15
        assert "bbaf2n.mp4" not in [path.name for path in cache.rglob("*")]
        remove_old_folders(cache, seconds=-1)
        assert [path.name for path in cache.rglob("*") if path.is_file()] == ["sample.mp4"]
        assert not list((cache / "answers").iterdir())
    finally:
        blocks.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory, tiny_model_dir):
    """(process, address, its temporary folder): `python demo/app.py`, as a user starts it; what it says is beside."""
    folder = tmp_path_factory.mktemp("served")
    # Without what torch has set in this process: it would be spared a folder of its own.
    environment = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    command = [sys.executable, str(DEMO / "app.py"), "--port", "0", "--max-seconds", "4"]
    with folder.with_suffix(".log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--checkpoint", str(tiny_model_dir)],
            cwd=folder,
            env={**environment, "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    line = process.stdout.readline()
    yield process, line.split()[0] if line else "", folder
    process.kill()
    process.wait()


def test_api(served, bundled, talking_video, faceless, tmp_path):
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    _, url, _ = served
    client = Client(url, download_files=tmp_path, verbose=False, analytics_enabled=False)
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/speak", "/checkpoints"}
    assert client.predict(api_name="/checkpoints") == ["tiny", BUNDLED]
    wav, mp4, details = client.predict(handle_file(str(talking_video)), BUNDLED, api_name="/speak")
    assert (
        details["text"]
        == bundled[BUNDLED](str(talking_video))["text"]
        == " ".join(w["word"] for w in details["words"])
    )
    assert len(read_audio(wav)) == 48000 and read_audio(mp4) is not None
    for bad, message in {faceless: "No face was found", Path(__file__): "not a video"}.items():
        with pytest.raises(AppError, match=message):
            client.predict(handle_file(str(bad)), BUNDLED, api_name="/speak")


def test_pages_forbid_requests_to_other_machines(served):
    with urllib.request.urlopen(served[1]) as response:
        page, policy = response.read().decode(), response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "http" not in policy
    assert not re.findall(r"<(?:script|link)[^>]+(?:src|href)=[\"'](?:https?:)?//(?!127\.0\.0\.1)", page)


def test_files_that_were_not_uploaded_are_not_served(served):
    for path in ("/etc/passwd", str(DEMO / "app.py"), str(REPOSITORY / "setup.cfg")):
        with pytest.raises(urllib.error.HTTPError, match="403|404"):
            urllib.request.urlopen(f"{served[1]}gradio_api/file={path}")


def test_without_gradio_it_says_how_to_install_it(tmp_path):
    """Not how to install the next package that is missing too."""
    code = (
        "import runpy, sys; sys.modules['gradio'] = sys.modules['websockets'] = None; sys.argv = ['app.py']\n"
        f"runpy.run_path({str(DEMO / 'app.py')!r}, run_name='__main__')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2 and "needs the package gradio" in result.stderr, result.stderr


def test_a_taken_port_is_an_error_of_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, str(DEMO / "app.py"), "--port", str(taken.getsockname()[1])]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and "port" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "number, status, said", [(signal.SIGINT, 130, "error: interrupted.\n"), (signal.SIGTERM, 0, "")]
)
def test_it_can_be_stopped_while_it_is_loading(tmp_path, number, status, said):
    with subprocess.Popen(
        [sys.executable, str(DEMO / "app.py"), "--port", "0"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        end = time.monotonic() + 60
        while not list(tmp_path.glob("lip2wav-demo-*")):  # not what Python itself tries to write first
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (status, said)
    assert not list(tmp_path.iterdir())


def test_no_import_swallows_the_end_while_it_is_loading(tmp_path):
    """As gradio's do, which tries packages with a bare `except:`."""
    (tmp_path / "gradio.py").write_text(
        "import os\ntry:\n    os.kill(os.getpid(), 15); [None for _ in range(9)]\nexcept:\n    pass\n"
    )
    (tmp_path / "files").mkdir()
    done = subprocess.run(
        [sys.executable, str(DEMO / "app.py"), "--port", "0", "--no-live"],
        env={
            **os.environ,
            "TMPDIR": str(tmp_path / "files"),
            "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not list((tmp_path / "files").iterdir())


def test_no_file_is_left_when_it_ends(served):
    """Nor anything about videos in the log: doubts are for who asks."""
    process, url, folder = served
    assert "uncertain" not in folder.with_suffix(".log").read_text()
    assert list(folder.glob("lip2wav-demo-*"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    assert not list(folder.iterdir())


# ---------------------------------------------------------------------------------------------------------------------
# The Space
# ---------------------------------------------------------------------------------------------------------------------


def test_the_card_of_the_space_is_valid():
    from huggingface_hub import SpaceCard

    data = SpaceCard.load(DEMO / "README.md").data
    assert data.sdk == "gradio" and data.license == "apache-2.0"
    assert (DEMO / data.app_file).is_file() and len(data.short_description) <= 60
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    extras = config["options.extras_require"]
    least = re.search(r"gradio>=([\d.]+)", extras["demo"])[1]
    assert [int(n) for n in data.sdk_version.split(".")] >= [int(n) for n in least.split(".")]
    requirement = re.search(r"^# lip2wav_hf\[(.*)\]:", (DEMO / "requirements.txt").read_text(), re.MULTILINE)[1]
    assert set(requirement.split(",")) <= set(extras)


def test_the_example_holds_nobodys_recording(demo_path):
    from page import SAMPLE

    assert Path(SAMPLE) == REPOSITORY / "src" / "lip2wav_hf" / "assets" / "sample.mp4"
    assert not [path for path in DEMO.rglob("*") if path.suffix in {".mp4", ".mpg", ".wav", ".png", ".jpg"}]


def test_real_clip(answers, bundled, grid_dir, tmp_path):
    clips = sorted((grid_dir / "original" / "s1").glob("*.mpg"))
    if not clips:
        pytest.skip("no untouched clips of GRID are there")
    start = time.perf_counter()
    answer = answers.answer_with(bundled[BUNDLED], BUNDLED, str(clips[0]), tmp_path)
    assert answer.words and answer.scores and time.perf_counter() - start < 60


@pytest.mark.parametrize(
    ("arguments", "environment", "live"),
    [
        ([], {}, True),
        (["--host", "localhost"], {}, True),
        (["--no-live"], {}, False),
        ([], {"LIP2WAV_LIVE": "0"}, False),
        (["--host", "0.0.0.0"], {}, False),
        (["--host", "192.168.0.7"], {"LIP2WAV_LIVE": "1"}, True),
        (["--host", "0.0.0.0", "--live"], {"LIP2WAV_LIVE": "0"}, True),
        ([], {"SPACE_ID": "me/demo"}, False),
        ([], {"SPACE_ID": "me/demo", "LIP2WAV_LIVE": "1"}, True),
    ],
)
def test_live_speech_is_for_this_machine_unless_it_is_turned_on(demo_path, monkeypatch, arguments, environment, live):
    from app import parse_options

    for name in ("LIP2WAV_LIVE", "SPACE_ID", "GRADIO_SERVER_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert parse_options(arguments).live is live


def test_the_page_says_what_each_model_knows(bundled, answers, monkeypatch):
    """A voice of phrases, offered beside the bundled model, does not know GRID's words and nothing else."""
    from page import OF_GRID, Page, known_by

    pipe = bundled[BUNDLED]
    assert known_by(pipe) == OF_GRID and "**It knows 51 words**" in str(
        Page(bundled, answers.Limits(), 1).build().config
    )
    own = copy.copy(pipe)
    own.model = SimpleNamespace(config=copy.deepcopy(pipe.model.config))
    own.model.config.grammar = "#JSGF V1.0;\ngrammar g;\npublic <s> = bin blue | soon;\n"
    own.model.config.written_sentences = {"bin blue": "Bin blue!"}
    assert known_by(own) == "soon; Bin blue!"
    own.model.config.grammar, own.model.config.vocabulary = None, ["yes", "no"]
    assert known_by(own) == "2 words, such as yes, no"
    page = Page({"own": own, BUNDLED: pipe}, answers.Limits(), 1)
    assert page._knowledge() == "the words of the checkpoint that you choose"
    assert "- own: 2 words, such as yes, no" in str(page.build().config)


def test_only_models_that_can_speak_live_are_on_the_tab(bundled, answers, monkeypatch):
    from page import Page

    pipe = bundled[BUNDLED]
    page = Page({"own": pipe, BUNDLED: pipe}, answers.Limits(), 1, live=True)
    assert page.live_names == ["own", BUNDLED] and page.live_server().limits.sessions == 1
    first, second = page._open_session(""), page._open_session("own")
    assert first.model is second.model, "sessions share the loaded model"
    if find_spec("onnxruntime") is not None:
        assert isinstance(first.model, OnnxStreamingGenerator)
    for error in (GraphError("none"), PermissionError("of others")):
        monkeypatch.setattr(OnnxStreamingGenerator, "from_folder", Mock(side_effect=error))
        assert Page({"own": pipe}, answers.Limits(), 1, live=True)._open_session("").model is pipe.model
    with pytest.raises(ValueError, match="no model 'grid-sync' that speaks live"):
        page._open_session("grid-sync")
    assert Page(bundled, answers.Limits(), 1).live_names == []
