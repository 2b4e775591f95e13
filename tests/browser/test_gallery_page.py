"""The page of a gallery, opened from the disk: nothing is served, and nothing may be asked of any server."""

import json
import re
import shutil

import pytest

from lip2wav_hf.audio import read_audio
from lip2wav_hf.comparison.clips import Part, Shown
from lip2wav_hf.comparison.gallery import build_gallery
from lip2wav_hf.comparison.systems import System
from lip2wav_hf.evaluation.clips import Clip
from lip2wav_hf.evaluation.judging import Words
from lip2wav_hf.metrics.judge import GRID_JUDGE
from lip2wav_hf.synthetic.corpus import write_clip


LABELS = ["Original", "grid-s1", 'Noise <b>&"']
SENTENCE = "bin blue at f two now"

PLAYING = "!document.querySelector('#s1-bbaf2n video').paused"
# On a busy machine three seconds may be over before the next key is pressed.
SLOWLY = """() => { const own = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "playbackRate");
  Object.defineProperty(HTMLMediaElement.prototype, "playbackRate",
    { get() { return own.get.call(this); }, set(rate) { own.set.call(this, rate / 10); } }); }"""
# How far each sound of a clip is from the pictures, in seconds.
DRIFT = """id => { const clip = document.getElementById(id), video = clip.querySelector("video");
  return [...clip.querySelectorAll("audio")].map((sound) => sound.currentTime - video.currentTime); }"""


@pytest.fixture(scope="session")
def gallery(tmp_path_factory, chromium_path, talking_video, tiny_model_dir):
    """Three clips of a rendered face: of a seen speaker, without sound, and of an unseen one."""
    for module in ("jiwer", "pesq", "pocketsphinx"):
        pytest.importorskip(module, reason="the extra `evaluate` is not installed")
    folder = tmp_path_factory.mktemp("gallery")
    silent = folder / "silent <i>.mp4"
    write_clip(folder / "silent.mp4", "lrwe4p", sound=False)
    shutil.move(folder / "silent.mp4", silent)
    seen = [
        Clip("s1", "bbaf2n", talking_video, folder, SENTENCE),
        Clip("s1", silent.stem, silent, folder, "lay red with e four please"),
    ]
    unseen = [Clip("s3", "bbaf2n", talking_video, folder, SENTENCE)]
    parts = [Part("Split validation", seen, "2 clips."), Part("Unseen", unseen, unseen=True)]
    systems = [System(LABELS[1], "grid-s1"), System(LABELS[2], str(tiny_model_dir))]
    work = folder / "work"
    work.mkdir()
    metrics = ["pesq", "stoi", "grid_wer"]
    build_gallery(Shown(parts, Words(GRID_JUDGE)), systems, folder / "site", work, metrics=metrics, progress=False)
    return folder / "site"


@pytest.fixture
def open_gallery(open_file, gallery):
    def open_gallery(name="index.html", mark="", **options):
        page = open_file(gallery / name, **options)
        if mark:
            page.goto(f"{page.url}{mark}")
            page.reload()
        return page

    return open_gallery


def clip(page, name="s1-bbaf2n"):
    return page.locator(f"#{name}")


def start(page, name="s1-bbaf2n"):
    """Play, and wait until it is under way."""
    clip(page, name).get_by_role("button", name="Play").click()
    page.wait_for_function("id => document.querySelector(`#${id} video`).currentTime > 0.3", arg=name)


def position(page, name="s1-bbaf2n"):
    return page.evaluate("id => document.querySelector(`#${id} video`).currentTime", name)


def heard(page, name="s1-bbaf2n"):
    """Which sounds are not muted."""
    return page.evaluate("id => [...document.querySelectorAll(`#${id} audio`)].map((sound) => !sound.muted)", name)


SWITCHING = f"""async (keys) => {{ const clip = document.querySelector("#s1-bbaf2n"), found = [];
  const video = clip.querySelector("video"), sounds = [...clip.querySelectorAll("audio")];
  const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", {{ key, bubbles: true }}));
  const until = async (holds) => {{ const end = Date.now() + 5000;
    while (!holds() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 10)); return holds(); }};
  clip.querySelector(".play").click();
  await until(() => video.currentTime > 0.3);
  for (const key of keys) {{ const before = video.currentTime;
    press(key);
    const switched = {{ moved: video.currentTime - before, heard: sounds.map((sound) => !sound.muted) }};
    const near = () => Math.abs(({DRIFT})("s1-bbaf2n")[key - 1]) < 0.05 && !video.paused;
    found.push({{ ...switched, playing: !video.paused, near: await until(near) }});
    if (video.currentTime > 1.5) {{ press("ArrowLeft"); press("ArrowLeft"); }} }}
  return found; }}"""
"""Press keys while a clip plays. All of it happens in the page: a busy machine may need longer than the clip to answer
a question about it."""


def test_switching_keeps_the_position_and_goes_on_playing(open_gallery):
    page = open_gallery()
    keys = ["2", "3", "1", "3"]
    for key, switched in zip(keys, page.evaluate(SWITCHING, keys), strict=True):
        assert 0 <= switched["moved"] < 0.05
        assert switched["heard"] == [str(index + 1) == key for index in range(3)]
        assert switched["playing"] and switched["near"]


def test_sounds_stay_with_the_pictures(open_gallery):
    """Over a whole clip, and every sound: also those that are not heard, so that a switch finds them in place."""
    page = open_gallery()
    drifts = page.evaluate(
        f"""() => new Promise((resolve) => {{ const found = [], clip = document.querySelector("#s1-bbaf2n");
        const look = () => {{ const video = clip.querySelector("video");
          if (video.currentTime > 2.4) return resolve(found);
          if (video.currentTime > 0.8) found.push(({DRIFT})("s1-bbaf2n"));
          requestAnimationFrame(look); }};
        clip.querySelector(".play").click(); look(); }})"""
    )
    assert drifts
    middles = [sorted(map(abs, each))[len(drifts) // 2] for each in zip(*drifts, strict=True)]
    assert max(middles) < 0.05, middles


def test_switching_while_it_is_paused_keeps_the_position(open_gallery):
    page = open_gallery()
    clip(page).locator(".spectrogram").first.click(position={"x": 300, "y": 20})
    before = position(page)
    clip(page).get_by_role("radio", name="grid-s1").check()
    assert position(page) == pytest.approx(before, abs=1e-5) and before > 0.5  # seconds; browsers round to 1e-6
    assert max(map(abs, page.evaluate(DRIFT, "s1-bbaf2n"))) < 0.05
    assert page.locator("#live").inner_text() == "Now grid-s1"


def test_the_playhead_goes_with_the_playing_and_a_click_seeks(open_gallery, screenshot):
    page = open_gallery()
    place = clip(page).locator(".spectrogram").nth(2)
    box = place.bounding_box()
    place.click(position={"x": box["width"] / 2, "y": 10})
    page.wait_for_function("Math.abs(document.querySelector('#s1-bbaf2n video').currentTime - 1.5) < 0.02")
    assert heard(page) == [False, False, True]
    page.evaluate(
        """async () => { const clip = document.querySelector("#s1-bbaf2n"), video = clip.querySelector("video");
        clip.querySelector(".play").click();
        while (video.currentTime <= 1.8) await new Promise((resolve) => setTimeout(resolve, 10));
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key: " ", bubbles: true })); }"""
    )
    now = position(page)
    screenshot(page, "_sought")
    assert now > 1.8
    for head in clip(page).locator(".head").all():
        spot, whole = head.bounding_box(), head.locator("..").bounding_box()
        assert (spot["x"] + 1 - whole["x"]) / whole["width"] == pytest.approx(now / 3, abs=0.02)
    assert float(clip(page).locator(".position").input_value()) == pytest.approx(now, abs=0.03)
    assert clip(page).locator(".clock").inner_text() == f"{now:.1f} / 3.0 s"


def test_keyboard_alone(open_gallery):
    page = open_gallery()
    page.evaluate(SLOWLY)
    page.keyboard.press("Space")
    page.wait_for_function(PLAYING)
    page.keyboard.press("2")
    assert heard(page) == [False, True, False]
    page.keyboard.press("Space")
    page.wait_for_function(f"!({PLAYING}) && document.getElementById('live').textContent.startsWith('Paused')")
    assert re.fullmatch(r"Paused at \d\.\d seconds", page.locator("#live").inner_text())
    before = position(page)
    page.keyboard.press("ArrowRight")
    assert position(page) == pytest.approx(before + 0.5, abs=0.01)
    page.keyboard.press("ArrowLeft")
    assert position(page) == pytest.approx(before, abs=0.01)
    for _ in range(40):  # with Tab to the sounds
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "radio":
            break
    page.keyboard.press("ArrowDown")
    assert heard(page) == [False, False, True]
    page.keyboard.press("ArrowUp")
    assert heard(page) == [False, True, False]
    assert page.evaluate("document.activeElement.value") == "1"
    page.keyboard.press("ArrowRight")
    assert heard(page) == [False, True, False], "this arrow moves in time, also where a sound has the focus"
    page.keyboard.press("n")
    assert page.evaluate("document.querySelector('.current').id") == "s1-silent-i"
    page.keyboard.press("p")
    assert page.evaluate("document.querySelector('.current').id") == "s1-bbaf2n"
    page.keyboard.press("9")
    assert heard(page) == [False, True, False]


def test_pictures_that_start_late_do_not_hide_that_it_is_paused(open_gallery):
    page = open_gallery()
    video = page.locator("#s1-bbaf2n video")
    video.evaluate("video => { video.play = () => new Promise((resolve) => { window.started = resolve; }); }")
    page.keyboard.press("Space")
    page.wait_for_function("'started' in window")
    page.keyboard.press("Space")
    video.evaluate("() => new Promise((resolve) => { window.started(); setTimeout(resolve); })")
    assert page.locator("#live").inner_text() == "Paused at 0.0 seconds"


def test_it_plays_to_its_end_and_again(open_gallery):
    page = open_gallery()
    clip(page).locator(".spectrogram").first.click(position={"x": 1, "y": 5})
    page.evaluate("document.querySelector('#s1-bbaf2n .position').value = 2.6")
    page.locator("#s1-bbaf2n .position").dispatch_event("input")
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('#s1-bbaf2n video').ended")
    clip(page).get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('#s1-bbaf2n video').currentTime < 1.5")
    start(page, "s1-silent-i")
    assert not page.evaluate(PLAYING), "one clip plays at a time"


def test_a_clip_without_sound_has_what_the_systems_say(open_gallery):
    page = open_gallery()
    silent = clip(page, "s1-silent-i")
    assert "The recording has no sound." in silent.inner_text()
    assert silent.locator(".name").all_inner_texts() == LABELS[1:]
    start(page, "s1-silent-i")
    page.keyboard.press("2")
    assert heard(page, "s1-silent-i") == [False, True]


def test_words_and_numbers(open_gallery):
    page = open_gallery()
    rows = clip(page).locator(".sound")
    assert rows.locator(".name").all_inner_texts() == LABELS
    assert "judge hears" in rows.nth(0).inner_text() and "text head" not in rows.nth(0).inner_text()
    assert re.search(r"PESQ-nb \(8 kHz\) \d\.\d{3}", rows.nth(1).inner_text())
    wrong = rows.nth(2).locator(".wrong")
    assert wrong.count() and all(text.endswith("(wrong)") for text in wrong.all_text_contents())
    assert SENTENCE in clip(page).locator("h3").inner_text()


def test_a_link_leads_to_its_clip(open_gallery, gallery):
    page = open_gallery(mark="#s1-silent-i")
    assert page.evaluate("document.querySelector('.current').id") == "s1-silent-i"
    assert page.evaluate("document.activeElement.id") == "s1-silent-i"
    top = "document.getElementById('s1-silent-i').getBoundingClientRect().top"
    page.wait_for_function(f"0 <= {top} && {top} < 500")  # a slow machine lays out the page meanwhile
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    clip(page).get_by_role("link", name="Copy the link").click()
    page.wait_for_function("document.getElementById('live').textContent.startsWith('The link')")
    assert page.url == f"{(gallery / 'index.html').as_uri()}#s1-bbaf2n"


@pytest.mark.parametrize("mark", ["#%E0%A4%A", "#nosuch", "#"])
def test_a_link_that_leads_nowhere_breaks_nothing(open_gallery, mark):
    """A script that fails fails the test, see `new_page`."""
    page = open_gallery(mark=mark)
    assert page.evaluate("document.querySelector('.current').id") == "s1-bbaf2n"
    page.keyboard.press("2")
    assert heard(page) == [False, True, False]


def test_unseen_speakers_have_their_own_page(open_gallery, screenshot):
    page = open_gallery()
    page.get_by_role("link", name="Unseen speakers").click()
    page.wait_for_url(re.compile("unseen.html$"))
    assert page.locator("article").count() == 1 and page.locator("#s3-bbaf2n").count() == 1
    screenshot(page)
    assert page.get_by_role("link", name="Unseen speakers").get_attribute("aria-current") == "page"
    page.get_by_role("link", name="Clips", exact=True).click()
    page.wait_for_url(re.compile("index.html$"))


def test_what_a_screen_reader_is_told(open_gallery):
    page = open_gallery()
    group = clip(page).get_by_role("radiogroup", name="Which sound of s1/bbaf2n is heard")
    assert group.get_by_role("radio").count() == 3
    assert clip(page).get_by_role("slider", name="Position in s1/bbaf2n").count() == 1
    assert page.get_by_role("article", name="s1/bbaf2n").count() == 1
    assert page.get_by_role("status").get_attribute("aria-live") == "polite"
    assert page.get_by_role("img", name="Mel spectrogram of s1/bbaf2n, grid-s1").count() == 1
    pressed = page.evaluate(
        """() => { const live = document.getElementById("live"), play = document.querySelector("#s1-bbaf2n .play");
        window.told = [];
        new MutationObserver(() => told.push(live.textContent)).observe(live, { childList: true });
        play.click(); return play.getAttribute("aria-label"); }"""
    )
    assert pressed == "Pause s1/bbaf2n"
    page.wait_for_function("told.some((text) => text === 'Playing s1/bbaf2n, Original')")
    page.wait_for_function("told.some((text) => /^Paused at/.test(text))")
    assert clip(page).get_by_role("button", name="Play s1/bbaf2n").count() == 1


def test_what_others_wrote_is_text(open_gallery):
    page = open_gallery()
    assert page.locator("article b, article i:not(.head)").filter(has_text=re.compile("&|^$|mp4")).count() == 0
    assert page.locator("#s1-silent-i h3").inner_text().startswith("s1/silent <i>")


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits(open_gallery, screenshot, width):
    phone = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2} if width < 500 else {}
    page = open_gallery(width=width, height=844, **phone)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    start(page)
    target = clip(page).locator(".sound label").nth(1)
    assert target.bounding_box()["height"] >= (44 if phone else 30)
    target.tap() if phone else target.click()
    assert heard(page) == [False, True, False]
    screenshot(page)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_longest_names_fit(open_gallery, width):
    """File systems allow 255 characters, without a place to break a line."""
    page = open_gallery(width=width)
    page.evaluate(
        """() => document.querySelectorAll("h1, h2, h3, .contents a, .pages a, .name, .note, dt, dd")
        .forEach((place) => { place.textContent = "n".repeat(250); })"""
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_record_and_the_sizes(gallery):
    record = json.loads((gallery / "gallery.json").read_text())
    assert record["systems"] == LABELS[1:]
    for part in record["parts"]:
        for each in part["clips"]:
            files = list((gallery / "clips" / each["id"]).iterdir())
            assert each["bytes"] == sum(path.stat().st_size for path in files) <= 2_000_000
            for sound in each["sounds"]:
                assert len(read_audio(gallery / sound["file"])) >= 48000
    assert not list(gallery.parent.glob(".site*"))
