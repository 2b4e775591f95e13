"""What a person does on the demo page, done in a browser."""

import re
from pathlib import Path

import pytest

from lip2wav_hf import DEFAULT_CHECKPOINT
from lip2wav_hf.audio import read_audio
from lip2wav_hf.video import VideoReader


BUNDLED = Path(DEFAULT_CHECKPOINT).name
LINES = """cell => {
  const sides = ["borderTop", "borderRight", "borderBottom", "borderLeft"];
  const drawn = (element) => sides.map((side) => getComputedStyle(element)[side]).filter((line) => !/^0px/.test(line));
  const line = document.createElement("div");
  line.style.borderBottom = "1px solid var(--border-color-primary)";
  cell.append(line);
  const lines = [drawn(cell), drawn(cell.closest("table")), drawn(line)];
  line.remove();
  return lines;
}"""


def upload(page, path):
    """Choose a file, and wait until the page has it."""
    page.locator("#video input[type=file]").set_input_files(path)
    page.locator("#video").get_by_label("Clear").wait_for()


def press_speak(page):
    """Press the button; the message that comes."""
    page.get_by_role("button", name="Speak").click()
    return message(page)


def message(page):
    status = page.locator("#page-status [role]")
    status.wait_for()
    return status.inner_text()


def wait_for_time(page, place):
    """Wait until a clock tells more than nothing, in whole seconds."""
    clock = page.locator(place)
    page.wait_for_function("clock => clock.textContent.trim() > '0:00'", arg=clock.element_handle())
    return clock.inner_text()


def play(page, place):
    """Press Play once the sound is loaded; how far it gets, in seconds."""
    wait_for_time(page, f"{place} #duration")
    page.locator(place).get_by_label("Play", exact=True).click()
    return wait_for_time(page, f"{place} #time")


def download(page, button):
    with page.expect_download() as download:
        page.locator(button).click()
    return download.value


def test_upload_speaks(open_page, screenshot, talking_video, sentence, tmp_path):
    page = open_page()
    screenshot(page, "_before")
    upload(page, talking_video)
    assert re.match(r"Answered in \d+\.\d\d s", press_speak(page))
    assert page.locator("#first-text h2").inner_text() == sentence
    words = page.locator("#first-words tbody tr")
    assert [row.split("\t")[0].strip() for row in words.all_inner_texts()] == sentence.split()
    assert re.search(r"\d\.\d\d – \d\.\d\d s\s+\d+%", words.first.inner_text())
    assert play(page, "#first-speech") > "0:00"
    page.locator("#first-picture img").wait_for()
    for video in ("#first-video video", "#first-mouth video"):
        page.wait_for_function("video => video.videoWidth > 0", arg=page.locator(video).element_handle())
    for button, name in {"#first-wav": f"bbaf2n_{BUNDLED}.wav", "#first-mp4": f"bbaf2n_{BUNDLED}.mp4"}.items():
        file = download(page, button)
        assert file.suggested_filename == name
        file.save_as(tmp_path / name)
        assert len(read_audio(tmp_path / name)) >= 48000 - 1024
    with VideoReader(tmp_path / f"bbaf2n_{BUNDLED}.mp4") as reader:
        assert sum(1 for _ in reader) == 75
    assert "PESQ narrow band" in page.locator("#scores").inner_text()
    assert page.locator("#original").is_visible() and not page.locator("#second-text").is_visible()
    # What was done stands above the answer, not below the button; tables are drawn in the colours of the page.
    status, answer, button = (page.locator(part).bounding_box() for part in ("#page-status", "#first-text", "#speak"))
    assert status["x"] == answer["x"] > button["x"] + button["width"] and status["y"] < answer["y"]
    for cell in ("#first-words th", "#first-words td", "#scores td"):
        below, around, of_the_page = page.locator(cell).first.evaluate(LINES)
        assert below == of_the_page and not around, cell
    screenshot(page)


def test_a_video_that_is_still_loading_says_so(open_page, screenshot, talking_video):
    """On a slow connection the place of the answer's video is no empty box."""
    page, held, released = open_page(), [], []
    page.route("**/*_mouth.mp4", lambda route: route.continue_() if released else held.append(route))
    upload(page, talking_video)
    press_speak(page)
    page.locator("#first-mouth").wait_for()

    def note(place):
        return page.evaluate("place => getComputedStyle(document.querySelector(place), '::before').content", place)

    page.wait_for_function("v => v.readyState > 1", arg=page.locator("#first-video video").element_handle())
    assert note("#first-mouth") == '"Loading the video …"' and note("#first-video") == "none"
    screenshot(page)
    released.append(True)
    for route in held:
        route.continue_()
    page.wait_for_function("v => v.readyState > 1", arg=page.locator("#first-mouth video").element_handle())
    assert note("#first-mouth") == "none"


def test_example_has_no_original_to_compare_with(open_page, screenshot):
    page = open_page()
    page.locator(".gallery-item").click()
    page.locator("#video").get_by_label("Clear").wait_for()
    press_speak(page)
    assert page.locator("#first-text h2").inner_text()
    assert not page.locator("#original").is_visible()
    screenshot(page)


def test_two_checkpoints(open_page, screenshot, talking_video, sentence):
    page = open_page()
    upload(page, talking_video)
    page.get_by_label("Compare with").click()
    page.get_by_role("option", name="twin").click()
    press_speak(page)
    assert page.locator("#second-text h2").inner_text() == sentence
    assert page.locator("#scores th").all_inner_texts()[1:] == [BUNDLED, "twin"]
    assert play(page, "#second-speech") > "0:00"
    screenshot(page)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("no face", r"No face was found in wall\.mp4"),
        ("too long", r"lecture\.mp4 is longer than 6 seconds"),
        ("not a video", r"letter\.mp4: .* not a video"),
    ],
    ids=["no_face", "too_long", "not_a_video"],
)
def test_refused(open_page, screenshot, bad_videos, fault, expected):
    page = open_page()
    upload(page, bad_videos[fault])
    assert re.match(expected, press_speak(page))
    assert page.locator("#page-status [role=alert]").is_visible()
    assert not page.locator("#first-speech").is_visible()
    screenshot(page)


def test_no_video(open_page, screenshot):
    page = open_page()
    assert press_speak(page).startswith("There is no video yet")
    screenshot(page)


def test_too_large(open_page, screenshot, bad_videos):
    page = open_page()
    page.locator("#video input[type=file]").set_input_files(bad_videos["too large"])
    page.get_by_text("exceed the maximum allowed size").wait_for()
    page.wait_for_timeout(500)  # the message slides in
    screenshot(page)


def test_a_new_video_takes_the_old_answer_away(open_page, bad_videos, talking_video):
    page = open_page()
    upload(page, talking_video)
    press_speak(page)
    page.locator("#video").get_by_label("Clear").click()
    page.locator("#first-speech").wait_for(state="hidden")
    upload(page, bad_videos["no face"])
    assert press_speak(page).startswith("No face")


def test_a_format_that_browsers_do_not_play(open_page, screenshot, mpeg1_video):
    page = open_page()
    upload(page, mpeg1_video)
    assert note_on_the_format(page, "readable all the same")
    press_speak(page)
    assert page.locator("#first-text h2").inner_text()
    assert not page.get_by_text("not playable").is_visible()
    page.wait_for_function("v => v.videoWidth > 0", arg=page.locator("#first-video video").element_handle())
    screenshot(page)


def note_on_the_format(page, text):
    """Wait until the place of the video says this below it, or nothing."""
    note = """text => {
      const style = getComputedStyle(document.querySelector("#video"), "::after");
      const shown = style.display === "none" || style.content === "none" ? "" : style.content;
      return text ? shown.includes(text) : !shown;
    }"""
    return page.wait_for_function(note, arg=text)


def test_a_file_that_is_no_video_is_not_called_readable(open_page, bad_videos, mpeg1_video, talking_video):
    page = open_page()
    upload(page, bad_videos["not a video"])
    assert note_on_the_format(page, "readable all the same")
    assert "not a video" in press_speak(page)
    assert note_on_the_format(page, "")
    for other in (mpeg1_video, talking_video):
        page.locator("#video").get_by_label("Clear").click()
        page.locator("#video input[type=file]").wait_for(state="attached")
        assert note_on_the_format(page, "")
        upload(page, other)
        assert note_on_the_format(page, "readable all the same" if other == mpeg1_video else "")


def test_webcam(open_page, screenshot):
    page = open_page(permissions=["camera", "microphone"])
    page.get_by_label("Capture from camera").click()
    page.locator("#video").get_by_text("Click to Access Webcam").click()
    page.locator("#video").get_by_text("Record", exact=True).click()
    page.wait_for_timeout(3000)
    page.locator("#video").get_by_text("Stop", exact=True).click()
    page.locator("#video").get_by_label("Clear").wait_for()
    assert press_speak(page).startswith("Answered")
    assert page.locator("#first-text h2").inner_text()
    screenshot(page)


def test_two_users_at_once(open_page, talking_video, bad_videos, sentence):
    first, second = open_page(), open_page()
    upload(first, talking_video)
    upload(second, bad_videos["no face"])
    first.get_by_role("button", name="Speak").click()
    second.get_by_role("button", name="Speak").click()
    assert message(second).startswith("No face was found in wall.mp4")
    assert message(first).startswith("Answered")
    assert first.locator("#first-text h2").inner_text() == sentence
    assert not second.locator("#first-text").is_visible()


def test_compare_in_turn(open_page, screenshot, talking_video):
    """The page of `lip2wav gallery`, for the uploaded video and the chosen checkpoints."""
    page = open_page()
    upload(page, talking_video)
    page.get_by_label("Compare with").click()
    page.get_by_role("option", name="twin").click()
    page.get_by_role("button", name="Compare in turn").click()
    assert message(page) == "The comparison is below."
    comparison = page.frame_locator("#compared iframe")
    names = comparison.locator(".sound .name")
    names.first.wait_for()
    assert names.all_inner_texts() == ["Original", BUNDLED, "twin"]
    comparison.get_by_role("button", name="Play bbaf2n").click()
    comparison.get_by_role("button", name="Pause bbaf2n").wait_for()
    comparison.get_by_role("radio", name="twin").check()
    screenshot(page)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open the comparison").click()
    opened.value.locator("#bbaf2n video").wait_for()
    page.locator("#video").get_by_label("Clear").click()
    page.locator("#compared iframe").wait_for(state="detached")


def test_phone(open_page, screenshot, talking_video):
    page = open_page(width=390, height=844, has_touch=True, is_mobile=True, device_scale_factor=2)
    upload(page, talking_video)
    page.get_by_role("button", name="Speak").tap()
    assert message(page).startswith("Answered")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for part in ("#first-text", "#first-speech", "#first-wav", "#first-words", "#first-picture", "#first-mouth"):
        page.locator(part).wait_for()
        box = page.locator(part).bounding_box()
        assert 0 <= box["x"] and box["x"] + box["width"] <= 390, part
    screenshot(page)


def test_keyboard_alone(open_page, screenshot, talking_video):
    page = open_page()

    def tab_to(selector):
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"the Tab key does not lead to {selector}")

    page.on("filechooser", lambda _: None)  # without a listener, one would open on a screen that there is not
    tab_to("#video button")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(talking_video)
    page.locator("#video").get_by_label("Clear").wait_for()
    tab_to("#speak")
    screenshot(page, "_focus")
    page.keyboard.press("Enter")
    assert message(page).startswith("Answered")
    wait_for_time(page, "#first-speech #duration")
    tab_to("#first-speech [aria-label=Play]")
    page.keyboard.press("Enter")
    wait_for_time(page, "#first-speech #time")
    tab_to("#first-wav")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename.endswith(".wav")
