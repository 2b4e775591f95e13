"""Which languages are spoken in a corpus."""

import pytest

from lip2wav_hf.corpora.clips import CorpusError
from lip2wav_hf.corpora.languages import check_language, folder_languages, languages_of
from lip2wav_hf.corpora.registry import open_corpus
from little_grid import write_corpus


def test_a_reader_or_a_card_says_which(tmp_path):
    video = tmp_path / "video.mp4"
    video.touch()
    grid = open_corpus(write_corpus(tmp_path / "grid", video))
    assert languages_of([grid]) == ["en"]
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.mp4").touch()
    (own / "metadata.csv").write_text("file_name,transcription\na.mp4,ναι\n", encoding="utf-8")
    corpus = open_corpus(own)
    assert languages_of([corpus]) == languages_of([grid, corpus]) == []  # unknown: nothing is claimed
    (own / "README.md").write_text("---\nlanguage:\n- el\nlicense: unknown\n---\n# Mine\n", encoding="utf-8")
    assert languages_of([corpus]) == ["el"] and languages_of([grid, corpus, grid]) == ["en", "el"]


@pytest.mark.parametrize(
    "text", ["# Mine", "---\nlanguage: [\n---\n", "---\nlanguage: 3\n---\n", "---\n- de\n---\n", ""]
)
def test_a_card_that_says_nothing(tmp_path, text):
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    assert folder_languages(tmp_path) == []


def test_codes_are_checked():
    assert [check_language(code) for code in ("en", "pt-BR", "yue")] == ["en", "pt-BR", "yue"]
    for code in ("English", "e", "en_US", ""):
        with pytest.raises(CorpusError, match="give its code, such as en, de"):
            check_language(code)
