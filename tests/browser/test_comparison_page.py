"""`comparison.html` in a browser: on a phone, what is cut off says that it scrolls, and nothing else does."""

import pytest

from browser.conftest import SCREENSHOTS
from evaluation.test_report import make_results, make_rows
from lip2wav_hf.comparison.table import Column, Comparison
from lip2wav_hf.comparison.table_texts import write_comparison
from lip2wav_hf.comparison.trainings import Curve, Training


# Labels of all that scrolls, by whether a hint is shown before it.
SCROLLING = """[...document.querySelectorAll('.scroll')].map(each => [
    each.getAttribute('aria-label').split(',')[0],
    each.scrollWidth > each.clientWidth + 1,
    each.previousElementSibling?.matches('.sideways') === true
        && getComputedStyle(each.previousElementSibling).display != 'none',
])"""


@pytest.fixture(scope="module", params=[1, 3], ids="{} systems".format)
def page_file(request, tmp_path_factory):
    results = make_results(make_rows())
    curve = Curve([{"step": step, "validation/loss": 1 / step, "validation/wer": 0.5} for step in range(1, 9)], 8)
    numbers = results["overall"]
    columns = [Column("Original", "original", 6, numbers)]
    for number in range(request.param):
        difference = {"value": 0.1, "low": 0.05, "high": 0.15}
        against = {"differences": dict.fromkeys(numbers, difference), "clips": 6, "overall": numbers}
        training, first = Training(curve=curve), number == 0
        columns.append(
            Column(
                f"system-{number}", "system", 6, numbers, training, 16_000, against_first=None if first else against
            )
        )
    return write_comparison(Comparison("grid", columns, results), tmp_path_factory.mktemp("comparison"))


@pytest.fixture
def page(playwright, chromium_path, page_file):
    browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
    page = browser.new_page()
    page.goto(page_file.as_uri())
    yield page
    browser.close()


def test_what_is_cut_off_says_so(page, page_file):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for width in (390, 540, 820):
        page.set_viewport_size({"width": width, "height": 844})
        page.screenshot(path=SCREENSHOTS / f"comparison-{width}-{page_file.parent.name}.png")
        check(page, width)


def check(page, width):
    found, across = page.evaluate(SCROLLING), page.evaluate("document.documentElement.scrollWidth")
    shadow = page.evaluate("getComputedStyle(document.querySelector('.scroll')).backgroundImage")
    assert across <= width and "gradient" in shadow and "Learning curves" in [label for label, *_ in found]
    said = {label: hint for label, _, hint in found}
    cut = {label: is_cut for label, is_cut, _ in found}
    if width == 390:
        assert said == cut and any(cut.values())
    elif width == 540:  # where some tables of a few words just fit
        assert all(said[label] for label in cut if cut[label])
    else:  # what is cut off of a table shows by the shadow alone, and pictures are whole
        assert not any(said.values()) and not cut["Learning curves"]
