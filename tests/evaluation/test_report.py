"""The report: what stands in it, that it needs nothing from outside, and that it looks right in a browser."""

import dataclasses
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import numpy as np
import pytest


pytest.importorskip("jinja2", reason="the extra 'evaluate' is not installed")
pytest.importorskip("jiwer", reason="the extra 'evaluate' is not installed")

from browser.conftest import FLAGS
from lip2wav_hf.audio import write_audio
from lip2wav_hf.evaluation.clips import ClipRow
from lip2wav_hf.evaluation.marking import marked_words
from lip2wav_hf.evaluation.published import PUBLISHED
from lip2wav_hf.evaluation.report import cell, markdown_report, markdown_table, notes
from lip2wav_hf.evaluation.results import build_results
from lip2wav_hf.evaluation.run import Failure
from lip2wav_hf.evaluation.summary import terminal_summary
from lip2wav_hf.evaluation.systems import Measured
from lip2wav_hf.evaluation.web_report import html_report, pick_clips
from lip2wav_hf.files import json_ready
from lip2wav_hf.grid.corpus import sentence_words
from lip2wav_hf.metrics.words import word_errors


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
            row |= {"floor_transcript": " ".join(words), "word_confidences": (0.9,) * 6, "words": 6}
            errors = word_errors(row["sentence"], heard)
            row |= {"text_errors": errors, "judge_errors": errors, "floor_errors": 0, "original_words": 6}
            row |= {"errors_to_original": errors, "text_confidence": 0.9 - 0.01 * number, "face_coverage": 1.0}
            for key in ("pesq_nb", "stoi", "estoi", "aligned_stoi", "mcd", "av_confidence"):
                row[key] = float(generator.uniform(0.2, 0.9))
            row |= {"av_offset": float(generator.integers(-2, 3)), "av_offset_original": 0.0, "pesq_outcome": "scored"}
            row |= {"shift_seconds": 0.01 * number, "generated_seconds": 1.0, "original_seconds": 1.0}
            rows.append(ClipRow.from_columns(row | {"cut_seconds": 0.0, "process_seconds": 0.1}))
    return rows


def make_results(rows, others=()):
    """What an evaluation of them is about, beside that of other systems."""
    settings = {
        "title": "<b>mine</b> on grid",
        "metrics": ["pesq", "stoi", "grid_wer", "mcd", "av_sync"],
        "left_out": {},
    }
    failures = [Failure("s1/x", "s1/x: shows no face.")]
    return json_ready(build_results(Measured("mine", rows, {}, failures, settings), others))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Rows, results, the page, and its folder."""
    folder = tmp_path_factory.mktemp("report")
    rows = make_rows()
    results = json.loads(json.dumps(make_results(rows)))
    sounds = {}
    for number, row in enumerate(rows):
        sounds[row.key] = {kind: folder / f"{number}_{kind}.wav" for kind in ("generated", "original")}
        for path in sounds[row.key].values():
            write_audio(path, 0.3 * np.sin(np.arange(16_000) * (0.05 + 0.01 * number)), 16_000)
    page = html_report(rows, results, sounds)
    (folder / "report.html").write_text(page, encoding="utf-8")
    other = Measured("a-model-with-a-rather-long-name", rows, {})
    (folder / "compared.html").write_text(html_report(rows, make_results(rows, [other]), sounds), encoding="utf-8")
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
    page = page.replace("\N{NO-BREAK SPACE}", " ").replace("\N{WORD JOINER}", "")
    assert "&lt;b&gt;mine&lt;/b&gt; on grid" in page and "<b>mine</b>" not in page
    for key in ("judge_wer", "text_wer", "stoi", "aligned_stoi", "mcd", "av_offset"):
        assert f"<td>{cell(key, results['overall'][key], True)}</td>" in page
        assert f"<td>{cell(key, results['speakers']['s2'][key])}</td>" in page
    assert page.count("lower is better; the original: 0.0 %") == 1  # the judge's floor, beside what it hears
    assert "shows no face." in page and "Expected calibration error" in page
    assert "Confused words: text head" in page and page.count("data:image/svg+xml") == 3 + 2 * 6
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
        keys = [row.key for chosen in picked.values() for row in chosen]
        assert len(keys) == len(set(keys)) and picked["best"]
    values = [[row.value("estoi") for row in chosen] for chosen in pick_clips(rows).values()]
    assert min(values[0]) >= max(values[1]) >= min(values[1]) >= max(values[2])
    assert pick_clips([ClipRow("s1", "x", numbers={"estoi": float("nan")})])["best"] == [] == pick_clips([])["worst"]


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
    sounds = {row.key: {"generated": tmp_path / "gone.wav"} for row in rows}
    page = html_report(rows, results, sounds)
    assert "The file gone.wav is not there any more." in page and "<audio" not in page


def test_rows_with_the_least(tmp_path):
    """One clip, no words, no text head: as from a folder of anybody's files."""
    row = {"speaker": "all", "name": "<one>", "stoi": 0.5, "estoi": float("nan"), "shift_seconds": 0.0}
    row |= {"generated_seconds": 1.0, "original_seconds": 1.0, "cut_seconds": 0.0, "stoi_outcome": "scored"}
    rows = [ClipRow.from_columns(row)]
    results = json_ready(
        build_results(Measured("a", rows, {}, settings={"title": "a against b", "metrics": ["stoi"]}))
    )
    page = html_report(rows, results, {})
    assert "&lt;one&gt;" in page and "Confidence" not in page and "Best by STOI" in page
    assert "| STOI | 0.500 (0.500 – 0.500) |" in markdown_report(results)


def few_results(rows, **more):
    """Results of two folders that are no GRID."""
    settings = {"title": "a against b", "metrics": ["pesq", "stoi"]}
    return json_ready(build_results(Measured("a", rows, {}, settings=settings), more=more))


def test_folders_of_anybody_hear_nothing_of_grid():
    """With few metrics, and names that are no sentences: no note on numbers that are not there, none on GRID."""
    columns = {"pesq_nb": 2.0, "stoi": 0.5, "aligned_stoi": 0.5, "shift_seconds": 0.0, "generated_seconds": 1.0}
    rows = [ClipRow.from_columns({"speaker": "all", "name": name} | columns) for name in ("one", "two")]
    results = few_results(rows)
    text, page = markdown_report(results), html_report(rows, results, {})
    told = " ".join(notes(results))
    assert "in sync" not in told and "sync network" not in told and "For the aligned numbers" in told
    assert "GRID" not in text and "GRID" not in re.sub(r"data:[^\"]+", "", page)
    with_sync = few_results([ClipRow("s1", "x", numbers={"in_sync_stoi": 0.5})])
    assert "For the numbers in sync" in " ".join(notes(with_sync))


def test_other_people_saying_sentences_of_grid_hear_nothing_of_its_faults():
    """Rendered faces, or one's own recordings: neither GRID's late sound nor what was published on it is theirs."""
    columns = {"in_sync_stoi": 0.5, "aligned_stoi": 0.5, "shift_seconds": 0.0, "generated_seconds": 1.0}
    sentence = " ".join(sentence_words(NAMES[0]))
    for speaker, of_grid in (("s1", True), ("s21", False), ("synthetic1", False), ("all", False)):
        rows = [ClipRow.from_columns({"speaker": speaker, "name": NAMES[0], "sentence": sentence} | columns)]
        results = few_results(rows)
        assert results["grid_sentences"]
        for told in (markdown_report(results), html_report(rows, results, {})):
            assert ("Published results on GRID" in told) == of_grid
            assert ("early or late" in told) == of_grid
        assert "For the numbers in sync" in markdown_report(results)


def test_the_terminal_gets_the_lines_that_matter(report):
    settings = {"title": "mine on grid, split test", "metrics": ["stoi"]}
    rows = report[0]
    worse = [
        dataclasses.replace(row, numbers={**row.numbers, "stoi": row.value("stoi") - 0.1, "judge_errors": 3})
        for row in rows
    ]
    results = json_ready(build_results(Measured("mine", rows, {}, settings=settings), [Measured("theirs", worse, {})]))
    results["speakers"]["s2"]["judge_wer"]["value"] = 0.5
    lines = terminal_summary(results).splitlines()
    assert lines[0] == "mine on grid, split test: 8 clips" and len(lines) <= 12
    assert any(re.fullmatch(r"  Judge WER, % +[\d.]+ \([\d.]+ – [\d.]+\)", line) for line in lines)
    assert any(line.startswith("worst speaker of 2: s2, Judge WER, % 50.0 (4 clips)") for line in lines)
    assert lines[-1].startswith("against theirs (8 clips): better in ") and "STOI" in lines[-1]
    one = terminal_summary(json_ready(build_results(Measured("mine", rows[:1], {}, settings=settings))))
    assert one.startswith("mine on grid, split test: 1 clip\n") and "worst" not in one
    assert "1 clips" not in one + markdown_report(few_results(rows[:1])) + html_report(
        rows[:1], few_results(rows[:1]), {}
    )


def test_what_is_left_out_is_said():
    rows = [ClipRow.from_columns({"speaker": "all", "name": "b", "stoi": 0.5})]
    results = few_results(rows, remarks=["1 of 2 originals have no generated file; not scored: a."])
    for told in (markdown_table(results), html_report(rows, results, {})):
        assert "1 of 2 originals have no generated file; not scored: a." in told


def test_a_part_of_the_split_is_named():
    assert "Only the first 6 clips" in markdown_table(few_results(make_rows(), limit=6))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_clips_without_a_value_have_a_report():
    rows = [ClipRow("all", "x", numbers={"stoi": float("nan")}, texts={"stoi_outcome": "unscorable"})]
    results = few_results(rows)
    assert "Spread" not in html_report(rows, results, {}) and results["unscorable"] == 1
    assert "original without speech (not scored) 1" in markdown_report(results)


def test_a_model_that_says_nothing_gets_no_empty_matrices():
    sentence = " ".join(sentence_words(NAMES[0]))
    rows = [
        ClipRow.from_columns({"speaker": "s1", "name": name, "sentence": sentence, "words": 6, "text_errors": 6})
        for name in NAMES
    ]
    page = html_report(rows, few_results(rows), {})
    assert "Not a word was recognised in any of the 4 clips." in page and 'class="matrices"' not in page


def test_the_comparison_comes_before_the_numbers(report):
    rows = report[0]
    settings = {"title": "mine", "metrics": ["stoi"]}
    system, other = Measured("mine", rows, {}, settings=settings), Measured("theirs", rows, {})
    page = html_report(rows, json_ready(build_results(system, [other])), {})
    assert page.index('id="comparison"') < page.index('id="numbers"')
    assert "Lip-sync offset of the original" not in page[page.index('id="comparison"') : page.index('id="numbers"')]


def look_at(address, playwright, chromium) -> tuple[list[str], list[str]]:
    """Open the report on a phone and use it; what it asked for, and what it wrote to the console."""
    with playwright.sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 390, "height": 800})
        requests, messages = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: messages.append(message.text))
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        tables = "[...document.querySelectorAll('.comparison')].map(table => table.parentElement)"
        cut = f"{tables}.map(box => box.scrollWidth - box.clientWidth)"
        assert page.evaluate(cut) == [0]  # the verdicts are seen without scrolling
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
        address = (report[3] / "compared.html").as_uri()
        requests, messages = thread.submit(look_at, address, playwright, chromium).result()
    assert [url for url in requests if not url.startswith(("data:", "file:"))] == [] == messages
