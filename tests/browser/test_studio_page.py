"""The studio from consent to deletion in a browser, before a pretended camera and microphone: a rendered face."""

import csv
import io
import json
import re
import urllib.parse
import zipfile

import numpy as np
import pytest

from browser.conftest import PATIENCE, PLAIN_FLAGS
from lip2wav_hf import load_clips
from lip2wav_hf.audio import read_audio
from lip2wav_hf.studio.recordings import Recordings


PHRASE = "bin blue at f two now"
TAKE = 3200  # milliseconds: the face says the phrase over and over, every three seconds
SHORT_TAKE = 1500  # milliseconds, where it does not matter what is said

# Of a good take; but the pretended camera and microphone begin their loops apart, by some frames.
FINDINGS = re.compile(r"A good take of \d+\.\d s\.|Its sound seems to be \d+ ms (early|late)\. .*")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studio") / "recordings"


@pytest.fixture(scope="module")
def studio_address(chromium_path, serving, folder):
    """Address of `lip2wav studio`."""
    with serving(folder.parent, "lip2wav_hf.commands.main", ["studio", "--folder", folder, "--port", "0"]) as address:
        yield address
    assert not list(folder.parent.glob("lip2wav-*")), "the studio leaves files behind"
    Recordings(folder).close()  # nobody holds it any more


@pytest.fixture
def open_studio(new_page, browser, studio_address):
    """A function that opens the page as a new user; the folder is empty at first."""

    def open_studio(**options):
        page = new_page(urllib.parse.urlsplit(studio_address).netloc, **options)
        page.goto(studio_address)
        page.locator("#studio h1").wait_for()
        return page

    context = browser.new_context()
    answer = context.request.post(f"{studio_address}studio/delete", data={"confirmed": True, "voice": True})
    assert answer.ok, answer.text()
    context.close()
    return open_studio


def agree(page):
    page.fill("#name", "Ada")
    page.check("#agreed")
    page.click("#agree")


def choose(page, text=PHRASE, takes=1):
    page.fill("#own-text", text)
    page.fill("#takes", str(takes))
    page.click("#choose")
    wait_for(page, "live")


def wait_for(page, phase):
    # The first take is looked at while libraries are still loading.
    page.locator(f".frame[data-phase={phase}]").wait_for(timeout=3 * PATIENCE)


def record(page, key="Space"):
    page.keyboard.press(key)
    wait_for(page, "record")
    page.wait_for_timeout(SHORT_TAKE)
    page.keyboard.press(key)
    wait_for(page, "review")


def trained_longer(route):
    """The state of the studio, as if the training had made more steps than a test has time for."""
    state = route.fetch().json()
    assert state["training"]["result"]["few_steps"] is True
    state["training"]["result"]["few_steps"] = False
    route.fulfill(json=state)


def test_why_nothing_can_be_trained_yet_stands_beside_the_button(open_studio, screenshot):
    """Also where step 2 asks for fewer takes than a training needs."""
    page = open_studio()
    agree(page)
    choose(page, takes=2)
    button, reason = page.locator("#to-train"), page.locator("#to-train-reason")
    assert button.is_disabled() and reason.inner_text() == "Not yet: a training needs 3 takes, and there are 0."
    assert button.get_attribute("aria-describedby") == reason.get_attribute("id")
    beside, place = button.bounding_box(), reason.bounding_box()
    assert beside["y"] <= place["y"] < beside["y"] + beside["height"] + 20
    assert "needs" not in page.locator(".position").first.inner_text()
    screenshot(page)
    enough = [False, True]
    page.route("**/studio/state", lambda route: with_two_takes(route, enough[0]))
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    page.locator("#to-train-reason", has_text="and there are 2.").wait_for()
    enough.pop(0)
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    page.locator("#to-train:enabled").wait_for()
    assert reason.inner_text() == ""


def with_two_takes(route, enough):
    """The state of the studio, as if two takes had been recorded."""
    state = route.fetch().json()
    state["takes"] = [{"file_name": f"{number}.webm", "transcription": PHRASE} for number in range(2)]
    route.fulfill(json=state | {"enough": enough})


@pytest.mark.slow
def test_the_whole_way(open_studio, studio_address, folder, screenshot, tmp_path):
    page = open_studio()
    screenshot(page, "_1_consent")
    assert page.locator("#step-record").is_disabled() and page.locator("#delete-everything").is_hidden()
    agree(page)
    page.locator(".choice", has_text="A list of my own").wait_for()
    screenshot(page, "_2_phrases")
    choose(page, takes=3)
    page.get_by_text("Face found").wait_for()
    page.get_by_text("Light is good").wait_for()
    screenshot(page, "_3_live")
    for number in range(3):
        page.keyboard.press("Space")
        wait_for(page, "record")
        page.wait_for_timeout(TAKE)
        if not number:
            assert page.locator("#check-sound.good").inner_text() == "Sound is heard"
            screenshot(page, "_3_recording")
        page.keyboard.press("Space")
        wait_for(page, "review")
        assert FINDINGS.fullmatch(page.locator("#findings").inner_text())
        screenshot(page, "_3_review")
        page.keyboard.press("k")
        wait_for(page, "live")
    assert "3 of 3 takes are recorded" in page.locator(".position").first.inner_text()
    clips = [clip for own in load_clips(folder).values() for clip in own]
    assert [clip.text for clip in clips] == [PHRASE] * 3 and {clip.speaker for clip in clips} == {"Ada"}
    assert all(np.ptp(read_audio(str(clip.video))) > 0.1 for clip in clips)
    page.click("#to-train")
    page.fill("#minutes", "5")
    page.check("#train-live")
    page.click("#train")
    page.locator("#stop").wait_for()
    screenshot(page, "_4_training")
    assert "running already" in page.request.post(f"{studio_address}studio/train", data={"minutes": 1}).text()
    page.close()  # the training goes on without it
    page = open_studio()
    page.locator("#train-status", has_text="step").wait_for(timeout=300_000)
    page.click("#stop")
    page.locator("#to-speak").wait_for(timeout=300_000)
    assert "The voice has hardly learnt yet" in page.locator("#result").inner_text()  # in a few steps
    assert "It was stopped" in page.locator("#result").inner_text()
    screenshot(page, "_4_done")
    page.route("**/studio/state", trained_longer)
    page.reload()
    page.click("#step-train")
    page.get_by_role("heading", name="The voice is ready").wait_for()
    page.unroute("**/studio/state")
    page.click("#to-speak")
    wait_for(page, "live")
    page.keyboard.press("Enter")
    wait_for(page, "record")
    page.wait_for_timeout(TAKE)
    page.keyboard.press("Enter")
    page.locator("#said").wait_for()
    assert page.locator("#said").inner_text().startswith(PHRASE)
    screenshot(page, "_5_said")
    speech = tmp_path / "speech.wav"
    with page.expect_download() as download:
        page.click("#get-wav")
    download.value.save_as(speech)
    assert np.abs(read_audio(speech)).max() > 0.05 and len(read_audio(speech)) > 2 * 16000
    with page.expect_download() as download:
        page.click("#get-model")
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as archive:
        assert "my-voice/model.safetensors" in archive.namelist()
        assert json.loads(archive.read("my-voice/config.json"))["live_look_ahead"] > 0
    page.click("#delete-everything")
    screenshot(page, "_6_delete")
    page.locator("dialog .danger").click()
    page.get_by_text("Everything was deleted").wait_for()
    assert [path.name for path in folder.iterdir()] == [".studio"]
    assert not [path for path in (folder / ".studio").rglob("*") if path.is_file() and path.name != "lock"]


def test_keyboard_reload_and_a_second_window(open_studio, folder, screenshot):
    page = open_studio()
    page.locator("#name").focus()
    page.keyboard.type("Ada")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#own-text").wait_for()
    choose(page, f"{PHRASE}\nplace red by g nine soon")
    record(page, "Enter")
    assert page.locator("#keep:focus").count() == 1
    page.keyboard.press("r")
    wait_for(page, "live")
    assert not (folder / "metadata.csv").exists()
    page.keyboard.press("Space")
    wait_for(page, "count")
    page.keyboard.press("Escape")
    wait_for(page, "live")
    page.click("#record")
    wait_for(page, "count")
    page.click("#record")  # cancels too
    wait_for(page, "live")
    record(page)
    page.keyboard.press("k")
    wait_for(page, "live")
    assert page.locator("#prompt").inner_text() == "place red by g nine soon"
    page.reload()
    page.locator("#prompt").wait_for()
    assert "1 of 2 takes are recorded" in page.locator(".position").first.inner_text()
    other = open_studio()
    other.locator("#prompt").wait_for()
    assert other.locator("#prompt").inner_text() == "place red by g nine soon"
    other.locator(".phrase", has_text=PHRASE).click()
    screenshot(other, "_takes")
    other.get_by_role("button", name="Play Take 1").click()
    video = other.locator("dialog video").element_handle()
    other.wait_for_function("video => video.videoWidth > 0", arg=video)
    other.get_by_role("button", name="Close").click()
    other.get_by_role("button", name="Delete Take 1").click()
    other.locator("dialog .danger").click()
    other.locator(".takes").wait_for(state="detached")
    assert not list(folder.glob("take-*"))
    page.evaluate("window.dispatchEvent(new Event('focus'))")  # as when a person comes back to it
    page.get_by_text("0 of 2 takes are recorded").wait_for()


def test_silent_takes_use_no_microphone(open_studio, folder):
    page = open_studio()
    agree(page)
    page.locator(".choice", has_text="Silently").click()
    choose(page)
    page.get_by_text("No sound is recorded").wait_for()
    tracks = page.evaluate("document.querySelector('.live').srcObject.getTracks().map((track) => track.kind)")
    assert tracks == ["video"]
    record(page)
    page.keyboard.press("k")
    wait_for(page, "live")
    with (folder / "metadata.csv").open(encoding="utf-8") as file:
        assert [row["sound"] for row in csv.DictReader(file)] == ["no"]
    assert read_audio(folder / "take-0001.webm") is None


def test_phrases_are_checked_while_they_are_written(open_studio, screenshot, tmp_path):
    page = open_studio()
    agree(page)
    page.fill("#own-text", "Καλημέρα κόσμε\nκαλημέρα, κόσμε!\n?!")
    page.get_by_text("line 2 repeats line 1 and is left out.").wait_for()
    page.get_by_text("line 3: there is no word in “?!”.").wait_for()
    page.click("#choose")
    page.get_by_text("The phrases cannot be recorded").wait_for()
    screenshot(page)
    file = tmp_path / "phrases.txt"
    file.write_text("yes\nno\n", encoding="utf-8")
    page.set_input_files("#own-file", file)
    page.get_by_text("2 phrases.").wait_for()
    file.write_bytes("Grüße\r\nнет\r\nja\r\n".encode("utf-16"))
    page.set_input_files("#own-file", file)
    page.get_by_text("3 phrases.").wait_for()
    assert page.locator(".preview li").all_inner_texts() == ["Grüße", "нет", "ja"]
    page.locator(".choice", has_text="GRID sentences").click()
    page.get_by_text("51 of GRID's 51 words are in these 25 sentences.").wait_for()
    page.locator(".choice", has_text="Digits").click()
    page.get_by_text("10 phrases.").wait_for()


def test_phone(open_studio, screenshot):
    page = open_studio(width=390, height=844, has_touch=True, is_mobile=True, device_scale_factor=2)

    def fits(name):
        screenshot(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390

    fits("_consent")
    page.fill("#name", "Ada")
    page.locator("#agreed").tap()
    page.locator("#agree").tap()
    page.locator("#own-text").wait_for()
    page.fill("#own-text", "x" * 300)
    page.get_by_text("is too long").wait_for()
    fits("_long_word")
    cut = "[...document.querySelectorAll('#studio *')].filter((e) => e.getBoundingClientRect().right > 391)"
    assert page.evaluate(f"{cut}.map((e) => e.outerHTML.slice(0, 200))") == []
    page.fill("#own-text", PHRASE)
    fits("_phrases")
    page.locator("#choose").tap()
    wait_for(page, "live")
    fits("_record")
    button = page.locator("#record").bounding_box()
    assert button["y"] + button["height"] < 844 and button["height"] >= 44, "the button is in sight, and can be hit"
    page.locator("#record").tap()
    wait_for(page, "record")
    page.wait_for_timeout(SHORT_TAKE)
    page.locator("#record").tap()
    wait_for(page, "review")
    fits("_review")
    page.locator("#keep").tap()
    wait_for(page, "live")


@pytest.mark.parametrize(
    ("flags", "permissions", "message"),
    [
        ([], ["camera", "microphone"], "No camera was found"),
        (
            ["--use-fake-device-for-media-stream"],
            [],
            "The browser does not let this page use the camera and microphone",
        ),
        (["--use-fake-device-for-media-stream"], ["camera"], "use the microphone. Allow it"),
    ],
    ids=["no_camera", "not_allowed", "no_microphone"],
)
def test_without_a_camera(open_studio, studio_address, chromium_path, screenshot, flags, permissions, message):
    """A browser on a machine without a camera, and one that may not use it."""
    page = open_studio()
    agree(page)
    choose(page)
    page.close()
    browser = page.context.browser.browser_type.launch(executable_path=chromium_path, args=[*PLAIN_FLAGS, *flags])
    try:
        other = browser.new_context(permissions=permissions).new_page()
        other.goto(f"{studio_address}#record")
        alert = other.locator("#record-message [role=alert]")
        alert.wait_for()
        assert message in alert.inner_text()
        assert other.locator("#try-again").is_visible() and other.locator("#record").is_disabled()
        screenshot(other)
    finally:
        browser.close()
