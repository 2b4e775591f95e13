"""Which languages are spoken in a corpus, as far as it says so."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from .clips import CorpusError
from .registry import Corpus


CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
"""A language as the Hub writes it: ISO 639, perhaps with a script or a region, such as `de` or `pt-BR`."""


def check_language(code: str) -> str:
    """
    A code as [`CODE`] describes it.

    Raises:
        CorpusError: if it is none.
    """
    if not CODE.fullmatch(code):
        raise CorpusError(f"language {code!r}: give its code, such as en, de or pt-BR (ISO 639).")
    return code


def languages_of(corpora: Iterable[Corpus]) -> list[str]:
    """
    Languages of corpora: those that a reader knows, such as GRID's, or that the card of a folder names, `language:` at
    the head of its README.md. None where one of the corpora does not say.

    Args:
        corpora (iterable of [`Corpus`]): the corpora.

    Returns:
        `list[str]`: codes, each once.
    """
    found: list[str] = []
    for corpus in corpora:
        own = list(getattr(corpus, "languages", ())) or folder_languages(corpus.path)
        if not own:
            return []
        found += [code for code in own if code not in found]
    return found


def folder_languages(folder: Path) -> list[str]:
    """The languages that README.md of a folder names; none where there is no such file, or it does not say."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
        head = yaml.safe_load(text.split("---")[1]) if text.startswith("---") else None
    except (OSError, UnicodeDecodeError, IndexError, yaml.YAMLError):
        return []
    named = head.get("language") if isinstance(head, dict) else None
    codes = named if isinstance(named, list) else [named]
    return [code for code in codes if isinstance(code, str) and CODE.fullmatch(code)]


__all__ = ["CODE", "check_language", "folder_languages", "languages_of"]
