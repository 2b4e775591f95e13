"""The built documentation, opened as files: nothing is served."""

import pytest


@pytest.mark.parametrize("width", [1280, 390])
def test_search_finds(open_file, screenshot, site, width):
    page = open_file(site / "index.html", width=width)
    if width < 960:
        page.locator("label.md-header__button[for=__search]").click()
    page.get_by_role("textbox", name="Search").press_sequentially("confidence")
    page.get_by_text("matching documents").wait_for()
    assert page.locator(".md-search-result__item").count() > 1
    screenshot(page)
    page.locator(".md-search-result__link").first.click()
    page.wait_for_url(lambda url: not url.endswith("index.html"))
    assert "confidence" in page.locator("article").inner_text()
