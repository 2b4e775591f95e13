"""`report.html` of an evaluation in a browser: on a phone what is long is folded, on a desktop nothing."""

import pytest

from browser.conftest import SCREENSHOTS
from evaluation.test_report import report  # noqa: F401  a fixture


OPEN_ALL = "document.querySelectorAll('details').forEach(each => each.open = true)"
SMALLEST = """Math.min(...[...document.querySelectorAll('main *')].filter(
    each => [...each.childNodes].some(node => node.nodeType == 3 && node.textContent.trim())
).map(each => parseFloat(getComputedStyle(each).fontSize)))"""
UNSIGNED = """[...document.querySelectorAll('.scroll')].filter(each => each.scrollWidth > each.clientWidth + 1).filter(
    each => !each.previousElementSibling?.matches('.sideways')
        || getComputedStyle(each.previousElementSibling).display == 'none'
).map(each => each.getAttribute('aria-label'))"""


@pytest.fixture
def open_report(playwright, chromium_path, report):  # noqa: F811
    browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])

    def open_report(width, name="compared.html"):
        page = browser.new_page(viewport={"width": width, "height": 844})
        page.goto((report[3] / name).as_uri())
        return page

    yield open_report
    browser.close()


@pytest.mark.parametrize("name", ["report.html", "compared.html"])
def test_on_a_phone_what_is_long_is_folded_and_what_is_cut_off_says_so(open_report, name):
    page = open_report(390, name)
    folds = page.locator("details")
    assert folds.count() >= 8 and page.locator("details[open]").count() == 0
    folded = page.evaluate("document.documentElement.scrollHeight")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"phone-{name}.png")
    assert not page.locator("audio").first.is_visible()
    folds.first.locator("summary").click()
    assert folds.first.locator("table").is_visible()
    page.evaluate(OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollHeight") > 1.5 * folded
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(UNSIGNED) == [] and page.evaluate(SMALLEST) >= 13.6


def test_on_a_desktop_nothing_is_folded(open_report):
    page = open_report(1280)
    assert page.locator("audio").first.is_visible() and not page.locator("summary").first.is_visible()
    before = page.evaluate("document.documentElement.scrollHeight")
    page.evaluate(OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollHeight") == before
