"""What all web pages share: how their templates are read, and how code in a sentence is shown."""

from __future__ import annotations

import html
import re

from jinja2 import Environment, PackageLoader
from jinja2.filters import do_mark_safe

from ..errors import counted


def page_templates() -> Environment:
    """The templates of the package; what they are given is text, and not HTML."""
    environment = Environment(
        loader=PackageLoader("lip2wav_hf", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"code": with_code, "counted": counted}
    return environment


def with_code(text: str) -> str:
    """A sentence, as cards and messages have them, with what stands between backticks as code."""
    return do_mark_safe(re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text)))


__all__ = ["page_templates", "with_code"]
