"""A real browser, Debian's Chromium, on the real demo page, `python demo/app.py`, and on the built documentation.
Nothing is mocked.

Where there is no Chromium or no playwright, all tests here are skipped, with the reason. Screenshots go to
`out/browser`.
"""

import contextlib
import os
import shutil
import urllib.parse
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lip2wav_hf import DEFAULT_CHECKPOINT
from lip2wav_hf.audio import mux_audio, read_audio, write_audio
from lip2wav_hf.video import VideoReader
from warm_processes import SERVING, WarmProcesses


REPOSITORY = Path(__file__).resolve().parents[2]
# What `python demo/app.py` runs.
DEMO = f"""
import runpy, sys
sys.path.insert(0, {str(REPOSITORY / "demo")!r})
runpy.run_path({str(REPOSITORY / "demo" / "app.py")!r}, run_name="__main__")
"""
SCREENSHOTS = REPOSITORY / "out" / "browser"
# Chromium prepares, for each page, two more behind its address bar and a process for the next one: a second of
# processor time, and nobody sees them. The last such flag counts, so that what playwright switches off is named again.
SWITCHED_OFF = (
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "SpareRendererForSitePerProcess"),
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades", "LensOverlay"),
    *("HttpsFirstBalancedModeAutoEnable", "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning"),
    *("AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled"),
    *("PreconnectToSearch", "Translate"),
)
PLAIN_FLAGS = ["--no-sandbox", f"--disable-features={','.join(SWITCHED_OFF)}"]
FLAGS = [
    *PLAIN_FLAGS,
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
MAX_SECONDS = 6
MAX_MEGABYTES = 2
PATIENCE = 60_000  # milliseconds: for a machine that has other work to do


@pytest.fixture(scope="session")
def chromium_path() -> str:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("no browser: install Debian's chromium (`make browser`), or name one in CHROMIUM")
    return path


@pytest.fixture(scope="session")
def serving():
    """A function that serves a page in a process which need not import everything; for use in `with`: the address."""
    pytest.importorskip("gradio", reason="the pages need gradio: make install")

    @contextlib.contextmanager
    def serving(folder, code, arguments):
        environment = {"TMPDIR": str(folder), "HF_HUB_OFFLINE": "1"}
        said = processes.serving(
            folder.with_name(f"{folder.name}.log"), code, arguments, environment=environment, cwd=folder
        )
        with said as line:
            yield line.split()[0]

    with WarmProcesses(SERVING) as processes:
        yield serving


@pytest.fixture(scope="session")
def address(chromium_path, serving, tmp_path_factory) -> str:
    """Address of the page, with the bundled checkpoint and a second one, a copy of it."""
    folder = tmp_path_factory.mktemp("served")
    twin = folder / "twin"
    shutil.copytree(DEFAULT_CHECKPOINT, twin)
    options = ["--port", "0", "--max-seconds", MAX_SECONDS, "--max-megabytes", MAX_MEGABYTES]
    options += ["--checkpoint", Path(DEFAULT_CHECKPOINT).name, "--checkpoint", twin]
    with serving(folder, DEMO, options) as address:
        yield address


@pytest.fixture(scope="session")
def playwright():
    """The one of a process: there can be no second."""
    pytest.importorskip("playwright", reason="no playwright: make install")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright, chromium_path, talking_video, tmp_path_factory):
    folder = tmp_path_factory.mktemp("camera")
    camera, microphone = folder / "face.y4m", folder / "voice.wav"
    _write_camera(talking_video, camera)
    write_audio(microphone, read_audio(talking_video, 48000), 48000)
    flags = [*FLAGS, f"--use-file-for-fake-video-capture={camera}"]
    flags.append(f"--use-file-for-fake-audio-capture={microphone}")
    browser = playwright.chromium.launch(executable_path=chromium_path, args=flags)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def sentence(talking_video) -> str:
    """What the pipeline says to the talking face."""
    from transformers import pipeline

    return pipeline("video-to-speech", model=DEFAULT_CHECKPOINT)(str(talking_video))["text"]


@pytest.fixture
def new_page(browser):
    """
    A function that gives an empty page to a new user. Requests to places that are not allowed, such as other machines,
    and failing scripts fail the test.
    """
    contexts, elsewhere, errors = [], [], []

    def new_page(allowed, width=1280, height=900, **options):
        def note(request):
            place = urllib.parse.urlsplit(request.url)
            if place.scheme in ("http", "https", "ws", "wss") and place.netloc != allowed:
                elsewhere.append(request.url)

        context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.on("request", note)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield new_page
    for context in contexts:
        context.close()
    assert not elsewhere, f"the page asks other machines: {elsewhere}"
    assert not errors, f"the page's scripts fail: {errors}"


@pytest.fixture
def open_page(new_page, address):
    """A function that opens the demo page as a new user."""

    def open_page(**options):
        page = new_page(urllib.parse.urlsplit(address).netloc, **options)
        page.goto(address)
        page.get_by_role("button", name="Speak").wait_for()
        return page

    return open_page


@pytest.fixture
def open_file(new_page):
    """A function that opens a file as a page, which may ask no server for anything."""

    def open_file(path, **options):
        page = new_page(None, **options)
        page.goto(path.as_uri())
        return page

    return open_file


@pytest.fixture
def screenshot(request):
    """A function that keeps a picture of a page, named after the test."""

    def keep(page, name=""):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        test = request.node.name.removeprefix("test_").translate(str.maketrans("[]", "--")).strip("-")
        page.screenshot(path=SCREENSHOTS / f"{test}{name}.png", full_page=True)

    return keep


@pytest.fixture(scope="session")
def bad_videos(talking_video, tmp_path_factory) -> dict[str, Path]:
    """Files that the page must refuse, by what is wrong with them."""
    folder = tmp_path_factory.mktemp("bad")
    noise = np.random.default_rng(0)
    faceless, long, letter, large = (folder / name for name in ("wall.mp4", "lecture.mp4", "letter.mp4", "film.mp4"))
    grey = noise.integers(90, 110, (25, 96, 128, 3), dtype=np.uint8)
    mux_audio(grey, np.zeros(16000, np.float32), 16000, faceless, fps=25)
    still = np.repeat(grey[:1], 25 * (MAX_SECONDS + 2), axis=0)
    mux_audio(still, np.zeros(16000, np.float32), 16000, long, fps=25)
    letter.write_text("Dear video,\n" * 50)
    large.write_bytes(talking_video.read_bytes() + noise.bytes(int(MAX_MEGABYTES * 1e6)))
    return {"no face": faceless, "too long": long, "not a video": letter, "too large": large}


@pytest.fixture(scope="session")
def mpeg1_video(talking_video, tmp_path_factory) -> Path:
    """The talking face in MPEG-1, which browsers do not play: the format of GRID."""
    path = tmp_path_factory.mktemp("mpeg") / "bbaf2n.mpg"
    with VideoReader(talking_video) as reader, av.open(str(path), "w", format="mpeg") as container:
        stream = container.add_stream("mpeg1video", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 360, 288, "yuv420p", 2_000_000
        for number, picture in enumerate(reader):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(360, 288, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _write_camera(video: Path, path: Path):
    """What Chromium's pretended camera shows, over and over: raw pictures, 25 per second."""
    with VideoReader(video) as reader, path.open("wb") as file:
        file.write(b"YUV4MPEG2 W360 H288 F25:1 Ip A1:1 C420mpeg2\n")
        for picture in reader:
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(360, 288, "yuv420p")
            file.write(b"FRAME\n" + frame.to_ndarray().tobytes())
