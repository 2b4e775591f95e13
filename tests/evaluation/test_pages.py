"""Sentences on web pages."""

import pytest

from lip2wav_hf.evaluation.pages import page_templates, with_code


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("run `lip2wav average` and `a < b`.", "run <code>lip2wav average</code> and <code>a &lt; b</code>."),
        ("one ` alone, <b>", "one ` alone, &lt;b&gt;"),
        ("`` and nothing", "`` and nothing"),
        ("`<script>`", "<code>&lt;script&gt;</code>"),
    ],
)
def test_what_stands_between_backticks_is_code(text, shown):
    assert with_code(text) == shown
    assert page_templates().from_string("{{ text|code }}").render(text=text) == shown
