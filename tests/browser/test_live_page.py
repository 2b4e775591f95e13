"""The live tab in a browser whose pretended camera shows the bundled sample, a rendered face."""

import json
import os
import shutil
import urllib.parse
from pathlib import Path

import numpy as np
import pytest

from browser.conftest import DEMO, FLAGS, PATIENCE, PLAIN_FLAGS, REPOSITORY, _write_camera
from lip2wav_hf import DEFAULT_CHECKPOINT
from lip2wav_hf.live import running


SAMPLE = REPOSITORY / "src" / "lip2wav_hf" / "assets" / "sample.mp4"
SECONDS = float(os.environ.get("LIVE_SECONDS", "6"))  # how long latency is measured; longer by hand
LOOK_AHEAD = 120.0  # ms: three pictures

LISTEN = """
window.live = {sounds: [], played: [], frames: []};
document.addEventListener("live-sound", ({detail}) => live.sounds.push(
  {time: detail.time, arrived: detail.arrived, number: detail.samples.length,
   peak: detail.samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0)}));
document.addEventListener("live-played", ({detail}) => live.played.push(detail));
document.addEventListener("live-frame", ({detail}) => live.frames.push(detail));
"""


WORDLESS = """
const now = performance.now.bind(performance);
live.later = 0;  // ms by which the page's clock is put on
performance.now = () => now() + live.later;
"""


@pytest.fixture(scope="module")
def live_address(chromium_path, serving, tmp_path_factory):
    """Address of the demo page."""
    with serving(tmp_path_factory.mktemp("served"), DEMO, ["--port", "0", "--concurrency", "1"]) as address:
        yield address


@pytest.fixture(scope="module")
def studio_address(chromium_path, serving, tmp_path_factory):
    """Address of a studio in which a voice has been trained, on whole videos only."""
    working = tmp_path_factory.mktemp("studio")
    folder = working / "recordings"
    with serving(working, "lip2wav_hf.commands.main", ["studio", "--folder", folder, "--port", "0"]) as address:
        voice = shutil.copytree(DEFAULT_CHECKPOINT, folder / "voice")
        config = json.loads((voice / "config.json").read_text("utf-8")) | {"live_look_ahead": None}
        (voice / "config.json").write_text(json.dumps(config), "utf-8")
        yield address


@pytest.fixture(scope="module")
def browser(playwright, chromium_path, tmp_path_factory):
    camera = tmp_path_factory.mktemp("camera") / "face.y4m"
    _write_camera(SAMPLE, camera)
    flags = [*FLAGS, f"--use-file-for-fake-video-capture={camera}"]
    browser = playwright.chromium.launch(executable_path=chromium_path, args=flags)
    yield browser
    browser.close()


@pytest.fixture
def open_live(new_page, live_address):
    """A function that opens the live tab as a new user, without pressing Start."""

    def open_live(**options):
        page = new_page(urllib.parse.urlsplit(live_address).netloc, **{"permissions": ["camera"]} | options)
        page.add_init_script(LISTEN)
        page.goto(live_address)
        page.get_by_role("tab", name="Live").click()
        page.get_by_role("button", name="Start").wait_for()
        return page

    return open_live


def start(page):
    page.get_by_role("button", name="Start").click()
    # The server may have to load the model first, on a machine with other work.
    page.wait_for_function("live.sounds.some(({peak}) => peak > 0.02)", timeout=5 * PATIENCE)


def stop(page):
    page.get_by_role("button", name="Stop").click()
    page.wait_for_function("!document.querySelector('.live-start').disabled")


def message(page):
    alert = page.locator(".live-message")
    alert.wait_for()
    return alert.inner_text()


def test_words_and_sound_come_while_the_face_speaks(open_live, screenshot):
    page = open_live()
    screenshot(page, "_before")
    start(page)
    page.locator(".live-words span").nth(2).wait_for(timeout=4 * PATIENCE)
    page.wait_for_function("document.querySelector('[data-number=latency]').textContent.endsWith(' ms')")
    assert page.locator(".live-status").inner_text().startswith("Live")
    assert not page.locator(".live-note").is_visible()  # the bundled model was trained for it
    screenshot(page)
    known = set(page.evaluate("[...document.querySelectorAll('.live-words span')].map((word) => word.textContent)"))
    from lip2wav_hf.grammar import VOCABULARY

    assert known <= set(VOCABULARY)
    assert page.evaluate("document.querySelector('.live-picture video').srcObject.getAudioTracks().length") == 0
    stop(page)
    assert page.evaluate("document.querySelector('.live-picture video').srcObject") is None
    assert not page.locator(".live-message").is_visible()
    screenshot(page, "_after")
    start(page)  # the server has freed the only session


ADD_WORDS = """async (told) => {
  const {LivePanel} = await import("./live/static/live.js"), panel = new LivePanel();
  return told.map(([words, written]) => {
    panel.addWords(words.map((word) => ({word, start: 0, end: 0, confidence: 1})), written);
    return panel.words.textContent.trim();
  });
}"""


def test_a_phrase_takes_its_written_form_when_it_is_over(open_live):
    told = [[["good"], ["good"]], [[], []], [["morning", "yes"], ["Good", "morning!", "yes"]]]
    assert open_live().evaluate(ADD_WORDS, told) == ["good", "good", "Good morning! yes"]


def test_latency_and_gaps(open_live, capsys):
    """Generous limits, for a machine with other work: from when a picture was taken to when its sound arrived, less
    the look-ahead; and how long the sound stays away."""
    page = open_live()
    start(page)
    page.wait_for_timeout(3000)  # the first face is searched for, and libraries are still loading
    page.evaluate("Object.assign(live, {sounds: [], played: [], frames: []})")
    gaps = int(page.locator("[data-number=gaps]").inner_text())
    page.wait_for_timeout(1000 * SECONDS)
    gaps = int(page.locator("[data-number=gaps]").inner_text()) - gaps
    skipped = page.locator("[data-number=skipped]").inner_text()
    found = page.evaluate("live")  # which may hold the page up: after ten minutes that is much
    sounds = found["sounds"]
    arrival = np.array([sound["arrived"] - sound["time"] for sound in sounds]) - LOOK_AHEAD
    heard = np.array([each["heard"] - each["time"] for each in found["played"]])
    pauses = np.diff([sound["arrived"] for sound in sounds])
    seconds = sum(sound["number"] for sound in sounds) / 16000
    with capsys.disabled():
        print(
            f"\n{SECONDS:g} s, load {os.getloadavg()[0]:.1f}: PCM after look-ahead {spread(arrival)} ms, heard"
            f" {spread(heard)} ms after the picture, longest pause {pauses.max():.0f} ms, {gaps} gaps, {skipped} left"
            f" out, {found['frames'][-1]['repeated']} filled in, {seconds:.1f} s of sound; server"
            f" {spread([frame['milliseconds'] for frame in found['frames']])} ms a picture"
        )
    assert 0 < np.median(arrival) < 1500 and np.median(heard) < 2000 and np.percentile(pauses, 90) < 2000
    assert sum(sound["peak"] > 0.02 for sound in sounds) > len(sounds) / 4


PLAY = """
([source, loud]) => {
  const posted = [], heard = [], rate = 16000, piece = 2560, block = 128;
  let Player;
  class Processor { port = {postMessage: (message) => posted.push(message)} }
  new Function("AudioWorkletProcessor", "registerProcessor", "sampleRate", "currentTime", source)(
    Processor, (name, type) => { Player = type; }, rate, 0);
  const player = new Player();
  for (let played = 0, number = 0; played < 30 * piece; played += block) {
    const late = {4: 600, 14: 700}[number] ?? 0;  // samples: 37 and 44 ms
    while (number < 30 && played >= number * piece + late)
      player.port.onmessage({data: {samples: new Float32Array(piece).fill(loud[number++]), time: 0}});
    const out = new Float32Array(block);
    player.process([], [[out]]);
    heard.push(...out);
  }
  return {gaps: posted.filter(({gap}) => gap).length, held: posted.filter(({held}) => held).length,
    loud: heard.filter((sample) => sample > 0.4).length};
}
"""


def test_more_waits_from_the_next_quiet_place_on(browser):
    """In the page's player, a piece nearly comes too late, and a later one does unless there was a pause before."""
    source = (Path(running.__file__).parent / "static" / "player.js").read_text("utf-8")
    page = browser.new_page()
    speech, pause = ([0.5] * 30, [0.5] * 8 + [0.001] * 2 + [0.5] * 20)
    without, found = (page.evaluate(PLAY, [source, loud]) for loud in (speech, pause))
    page.close()
    assert without["gaps"] == 1 and without["held"] == 0
    assert found["gaps"] == 0 and 5 <= found["held"] <= 7  # blocks of 8 ms: 50 ms wait now, even where one is late
    assert found["loud"] >= 27 * 2560  # nothing is lost; what has been put off comes a little later


def spread(values):
    return f"{np.median(values):.0f} (95 %: {np.percentile(values, 95):.0f}, most {np.max(values):.0f})"


def test_the_studio_speaks_live_too(new_page, studio_address, screenshot):
    page = new_page(urllib.parse.urlsplit(studio_address).netloc, permissions=["camera"], width=390, height=844)
    page.add_init_script(LISTEN)
    page.goto(f"{studio_address}#live")
    page.locator(".live-start").wait_for()
    assert page.locator("#step-live").get_attribute("aria-current") == "step"
    start(page)
    screenshot(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert "expect many wrong words" in page.locator(".live-note").inner_text()
    page.evaluate(WORDLESS)
    said = "No words were recognised lately. If you speak, the sound is probably not what you say"
    status = "document.querySelector('.live-status').textContent"
    page.wait_for_function(f"live.later += 11000, {status}.startsWith('{said}')")  # also where words come now and then
    words, note = page.locator(".live-words").bounding_box(), page.locator(".live-note").bounding_box()
    assert note["y"] - words["y"] - words["height"] > 5, "the note touches the words"
    page.locator("#step-speak").click()  # the camera is lent to the other step
    page.locator("#mouth").wait_for()
    page.locator("#step-live").click()
    page.evaluate("live.sounds = []")
    start(page)
    stop(page)


def test_a_second_person_is_told_to_wait(open_live):
    first = open_live()
    start(first)
    second = open_live()
    second.get_by_role("button", name="Start").click()
    assert message(second).startswith("Others are speaking live")
    assert second.evaluate("document.querySelector('.live-picture video').srcObject") is None
    first.goto("about:blank")  # without Stop
    start(second)


def test_leaving_the_tab_stops_the_camera(open_live):
    page = open_live()
    start(page)
    page.get_by_role("tab", name="A video").click()
    page.wait_for_function("document.querySelector('.live-picture video').srcObject === null")
    page.get_by_role("tab", name="Live").click()
    assert "when you left it" in message(page)


def test_camera_denied(open_live, live_address, chromium_path, screenshot):
    browser = open_live().context.browser.browser_type.launch(
        executable_path=chromium_path, args=[*PLAIN_FLAGS, "--use-fake-device-for-media-stream"]
    )
    try:
        page = browser.new_page()
        page.goto(live_address)
        page.get_by_role("tab", name="Live").click()
        page.get_by_role("button", name="Start").click()
        assert "does not let this page use the camera" in message(page)
        assert page.get_by_role("button", name="Start").is_enabled()
        screenshot(page)
    finally:
        browser.close()


def test_a_server_that_goes_away(open_live):
    page = open_live()
    page.route_web_socket("**/live/socket*", lambda socket: socket.close())
    page.reload()  # what is routed is only what a page opens that is loaded after
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Start").click()
    assert "connection to the server has ended" in message(page)


def test_keyboard_and_phone(open_live, screenshot):
    page = open_live(width=390, height=844)
    page.get_by_role("tab", name="Live").focus()
    for _ in range(5):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.live-start')"):
            break
    page.keyboard.press("Enter")
    page.wait_for_function("live.sounds.length > 2", timeout=2 * PATIENCE)
    assert page.evaluate("document.activeElement.matches('.live-stop')")
    screenshot(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    button = page.locator(".live-stop").bounding_box()
    assert button["height"] >= 44
    assert page.get_by_role("region", name="Live").get_by_label("Live picture of your camera").is_visible()
    assert page.get_by_role("log", name="Words as they come").is_visible()
    page.keyboard.press("Space")
    page.wait_for_function("document.activeElement.matches('.live-start')")
