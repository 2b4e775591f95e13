"""The report: what stands in it, that it needs nothing from outside, and that it looks right in a browser."""

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import numpy as np
import pytest


pytest.importorskip("jinja2", reason="the extra 'evaluate' is not installed")
pytest.importorskip("jiwer", reason="the extra 'evaluate' is not installed")

from lip2wav_hf.audio import write_audio  # noqa: E402
from lip2wav_hf.evaluation.calibration import word_errors  # noqa: E402
from lip2wav_hf.evaluation.evaluate import build_results, json_ready  # noqa: E402
from lip2wav_hf.evaluation.published import PUBLISHED  # noqa: E402
from lip2wav_hf.evaluation.report import cell, html_report, markdown_report, markdown_table, marked_words, pick_clips  # noqa: E402
from lip2wav_hf.grid.corpus import sentence_words  # noqa: E402


NAMES = ("lgbz3a", "swwk7p", "pbiv4n", "bbaf2n")


def make_rows():
    """Clips of two speakers with made-up numbers; one word of each is misheard."""
    generator = np.random.default_rng(0)
    rows = []
    for speaker in ("s1", "s2"):
        for number, name in enumerate(NAMES):
            words = sentence_words(name)
            heard = " ".join([*words[:3], "f" if number % 2 else "s", *words[4:]])
            row = {"speaker": speaker, "name": name, "sentence": " ".join(words), "text": heard, "transcript": heard}
            row |= {"floor_transcript": " ".join(words), "word_confidences": " ".join(["0.9"] * 6), "words": 6}
            errors = word_errors(row["sentence"], heard)
            row |= {"text_errors": errors, "judge_errors": errors, "floor_errors": 0, "original_words": 6}
            row |= {"errors_to_original": errors, "text_confidence": 0.9 - 0.01 * number, "face_coverage": 1.0}
            for key in ("pesq_nb", "stoi", "estoi", "aligned_stoi", "mcd", "av_confidence"):
                row[key] = float(generator.uniform(0.2, 0.9))
            row |= {"av_offset": float(generator.integers(-2, 3)), "av_offset_original": 0.0, "pesq_outcome": "scored"}
            row |= {"shift_seconds": 0.01 * number, "generated_seconds": 1.0, "original_seconds": 1.0}
            rows.append(row | {"cut_seconds": 0.0, "process_seconds": 0.1})
    return rows


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Rows, results, the page, and its folder."""
    folder = tmp_path_factory.mktemp("report")
    rows = make_rows()
    settings = {
        "title": "<b>mine</b> on grid",
        "metrics": ["pesq", "stoi", "grid_wer", "mcd", "av_sync"],
        "left_out": {},
    }
    results = json_ready(build_results(rows, [{"clip": "s1/x", "error": "s1/x: shows no face."}], settings))
    results = json.loads(json.dumps(results))
    sounds = {}
    for number, row in enumerate(rows):
        key = row["speaker"], row["name"]
        sounds[key] = {kind: folder / f"{number}_{kind}.wav" for kind in ("generated", "original")}
        for path in sounds[key].values():
            write_audio(path, 0.3 * np.sin(np.arange(16_000) * (0.05 + 0.01 * number)), 16_000)
    page = html_report(rows, results, sounds)
    (folder / "report.html").write_text(page, encoding="utf-8")
    return rows, results, page, folder


class Outline(HTMLParser):
    """Tags, addresses and identifiers of a page; and whether its tags are closed in order."""

    VOID = {"meta", "link", "img", "br"}

    def __init__(self):
        super().__init__()
        self.tags, self.addresses, self.identifiers, self.open = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        self.addresses += [values[key] for key in ("src", "href") if key in values]
        self.identifiers += [values["id"]] if "id" in values else []
        if tag == "img":
            assert values.get("alt")
        if tag == "audio":
            assert values.get("aria-label") and "controls" in values
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_whole_and_needs_nothing_from_outside(report):
    outline = Outline()
    outline.feed(report[2])
    assert not outline.open and "script" not in outline.tags
    outside = [address for address in outline.addresses if not address.startswith(("data:", "#"))]
    assert sorted(outside) == ["clips.csv", "results.json"]
    assert "http" not in re.sub(r"data:[^\"]+", "", report[2]) and "url(" not in report[2]
    anchors = {address[1:] for address in outline.addresses if address.startswith("#")}
    assert anchors <= set(outline.identifiers) and len(outline.identifiers) == len(set(outline.identifiers))
    assert outline.tags.count("audio") == 2 * 6  # generated and original; two of best, median and worst each


def test_page_tells_the_numbers(report):
    rows, results, page, _ = report
    assert "&lt;b&gt;mine&lt;/b&gt; on grid" in page and "<b>mine</b>" not in page
    for key in ("judge_wer", "text_wer", "stoi", "aligned_stoi", "mcd", "av_offset"):
        assert f"<td>{cell(key, results['overall'][key], True)}</td>" in page
        assert f"<td>{cell(key, results['speakers']['s2'][key])}</td>" in page
    assert "shows no face." in page and "Expected calibration error" in page
    assert "Confused words: text head" in page and page.count("data:image/svg+xml") == 5
    assert '<span class="wrong">' in page


def test_published_rows_are_marked(report):
    text = markdown_report(report[1])
    for told in (text, report[2]):
        assert "s published, other split" in told
        for row in PUBLISHED:
            assert row.system in told
        assert "26.6" in told and "17.9" in told
    for recalled in ("Lip2Wav 2020", "VCA-GAN", "38.14"):  # numbers that nobody has looked up
        assert recalled not in text and recalled not in report[2]


def test_markdown_has_the_calibration(report):
    text = markdown_report(report[1])
    assert "| 50 % (4) |" in text and "| 80 % (7) |" in text and "| 100 % (8) |" in text
    assert text.startswith(markdown_table(report[1]))
    assert "Not asked for: corr2d, dnsmos, speaker_similarity." in text
    widths = [line.count("|") for line in text.splitlines() if line.startswith("| Judge WER, %")]
    assert widths == [5]  # metric, all, s1, s2


def test_best_median_and_worst_are_distinct():
    rows = make_rows()
    for count in range(1, len(rows) + 1):
        picked = pick_clips(rows[:count])
        keys = [(row["speaker"], row["name"]) for chosen in picked.values() for row in chosen]
        assert len(keys) == len(set(keys)) and picked["best"]
    values = [[row["estoi"] for row in chosen] for chosen in pick_clips(rows).values()]
    assert min(values[0]) >= max(values[1]) >= min(values[1]) >= max(values[2])
    assert pick_clips([{"estoi": float("nan")}])["best"] == [] == pick_clips([])["worst"]


def test_wrong_words_are_marked():
    assert marked_words("bin blue at f two now", "bin red at f") == [
        ("bin", True),
        ("red", False),
        ("at", True),
        ("f", True),
    ]
    assert marked_words(None, "bin") == [("bin", False)]


def test_sounds_that_are_gone_are_told_of(report, tmp_path):
    rows, results, _, _ = report
    sounds = {(row["speaker"], row["name"]): {"generated": tmp_path / "gone.wav"} for row in rows}
    page = html_report(rows, results, sounds)
    assert "The file gone.wav is not there any more." in page and "<audio" not in page


def test_rows_with_the_least(tmp_path):
    """One clip, no words, no text head: as from a folder of anybody's files."""
    row = {"speaker": "all", "name": "<one>", "stoi": 0.5, "estoi": float("nan"), "shift_seconds": 0.0}
    row |= {"generated_seconds": 1.0, "original_seconds": 1.0, "cut_seconds": 0.0, "stoi_outcome": "scored"}
    results = json_ready(build_results([row], [], {"title": "a against b", "metrics": ["stoi"]}))
    page = html_report([row], results, {})
    assert "&lt;one&gt;" in page and "Confidence" not in page and "Best by STOI" in page
    assert "| STOI | 0.500 (0.500 – 0.500) |" in markdown_report(results)


def look_at(address, playwright, chromium) -> tuple[list[str], list[str]]:
    """Open the report on a phone and use it; what it asked for, and what it wrote to the console."""
    flags = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required"
    with playwright.sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=chromium, args=flags.split())
        page = browser.new_page(viewport={"width": 390, "height": 800})
        requests, messages = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: messages.append(message.text))
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.evaluate("document.querySelector('audio').play()")
        page.wait_for_function("document.querySelector('audio').currentTime > 0", timeout=20_000)
        browser.close()
    return requests, messages


def test_page_in_a_browser(report):
    """Wide and narrow: no sideways scrolling of the page, every picture shown, sound plays, nothing is fetched."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium is installed")
    # In a thread of its own, for other tests' browsers keep an event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        address = (report[3] / "report.html").as_uri()
        requests, messages = thread.submit(look_at, address, playwright, chromium).result()
    assert [url for url in requests if not url.startswith(("data:", "file:"))] == [] == messages
