"""From text to words and back."""

import pytest

from lip2wav_hf.grammar import NormalizationError, TextNormalizer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("It's 5 o'clock — don’t panic", ["it's", "5", "o'clock", "don't", "panic"]),
        ("'quoted' well-known", ["quoted", "well", "known"]),
        ("ＦＵＬＬ ｗｉｄｔｈ", ["full", "width"]),
        ("Straße ΣΊΣΥΦΟΣ", ["straße", "σίσυφος"]),
        ("こんにちは、世界。", ["こんにちは", "世界"]),
        ("السلام عليكم", ["السلام", "عليكم"]),
        ("  ", []),
        ("...", []),
    ],
)
def test_words(text, words):
    assert list(TextNormalizer()(text).words) == words


def test_rules_can_be_chosen():
    keep = TextNormalizer(case="keep", punctuation="keep")
    assert keep("Hello, World!").words == ("Hello,", "World!")
    assert TextNormalizer(unicode="NFD")("é").words == ("e\u0301",)
    assert TextNormalizer(**keep.to_dict()) == keep


def test_numbers_are_spelt_out():
    pytest.importorskip("num2words")
    normalize = TextNormalizer(numbers="en")
    assert normalize("I have 21 cats, 2.5 dogs").words == tuple("i have twenty one cats two point five dogs".split())
    assert TextNormalizer(numbers="de")("42").words == ("zweiundvierzig",)
    with pytest.raises(NormalizationError, match="'7'.*write it in words"):
        TextNormalizer(numbers="xx")("7")


def test_the_original_comes_back():
    original = "Well,  it's  well-known: YES!"
    text = TextNormalizer()(original)
    assert text.words == ("well", "it's", "well", "known", "yes")
    assert text.restore() == original
    assert text.restore(1, 2) == "it's" and text.restore(3, 5) == "well-known: YES!" and text.restore(9) == ""


@pytest.mark.parametrize("rules", [{"case": "upper"}, {"punctuation": "some"}, {"unicode": "utf-8"}])
def test_unknown_rules_are_refused(rules):
    with pytest.raises(NormalizationError, match="there are"):
        TextNormalizer(**rules)


def test_marks_that_nobody_sees():
    words = TextNormalizer()("\u200fمی\u200cروم\u200e soft\u00adly a\u200bb").words
    assert words == ("می\u200cروم", "softly", "a", "b")


def test_numbers_are_spelt_one_by_one():
    pytest.importorskip("num2words")
    assert TextNormalizer(numbers="en")("12:30 or 3-4?").words == ("twelve", "thirty", "or", "three", "four")
