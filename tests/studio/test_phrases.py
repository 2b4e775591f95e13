import pytest

from lip2wav_hf.grammar import VOCABULARY
from lip2wav_hf.studio.phrases import (
    ALL_WORDS,
    PhraseError,
    check_phrases,
    covered_words,
    digit_phrases,
    grid_phrases,
)


def test_sentences_cover_all_words_and_follow_the_seed():
    phrases = grid_phrases()
    assert len(phrases) == len(set(phrases)) == ALL_WORDS == 25
    assert covered_words(phrases) == len(VOCABULARY) == 51
    assert all(len(phrase.split()) == 6 for phrase in phrases)
    assert grid_phrases(seed=3) == grid_phrases(seed=3) != phrases
    assert covered_words(grid_phrases(4)) < 51


@pytest.mark.parametrize("count", [0, -1, 201])
def test_a_number_of_sentences_out_of_range(count):
    with pytest.raises(PhraseError, match=f"{count} sentences: choose a number from 1 to 200"):
        grid_phrases(count)


def test_digits():
    assert digit_phrases() == "zero one two three four five six seven eight nine".split()


def test_a_list_in_any_script():
    text = "\ufeffGood morning!\r\n\n  Καλημέρα   κόσμε\n早上好\nمرحبا\t\n"
    found = check_phrases(text)
    assert found.phrases == ("Good morning!", "Καλημέρα κόσμε", "早上好", "مرحبا")
    assert not found.problems and not found.notes


def test_repetitions_are_left_out_with_a_note():
    found = check_phrases("Yes, please\nno\nyes please!\nNO")
    assert found.phrases == ("Yes, please", "no")
    assert found.notes == ("line 3 repeats line 1 and is left out.", "line 4 repeats line 2 and is left out.")
    assert not found.problems


@pytest.mark.parametrize(
    ("text", "symbol", "words"),
    [("C\nc++!", "+", "c"), ("C#\nC", "#", "c"), ("5 %\n5 €\n", "€", "5"), ("Ｃ＋\nc", "+", "c")],
)
def test_lines_that_differ_in_symbols_only_are_told_why_they_are_one(text, symbol, words):
    found = check_phrases(text)
    assert len(found.phrases) == 1 and found.notes == (
        f"line 2 reads as the same words as line 1, “{words}”, and is left out: symbols such as “{symbol}” are not"
        " read. Write them as words, as in “C plus plus”.",
    )
    assert check_phrases("C++\nc++.").notes == ("line 2 repeats line 1 and is left out.",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no phrase yet"),
        (" \n\t\n", "there is no phrase yet"),
        ("yes\n?!…", "line 2: there is no word in “?!…”"),
        ("w " * 26, "line 1: “w w w w w w w w w w w w w w w w w w w w…” is too long"),
        ("x" * 201, "is too long: a phrase has up to 25 words and 200 characters"),
        ("P\0K\x03\x04", "line 1: it is not readable text. Save the file as UTF-8."),
        ("caf\ufffd", "it is not readable text"),
        ("\n".join(f"phrase {number}" for number in range(501)), "501 phrases are too many: 500 can be recorded"),
    ],
)
def test_problems(text, problem):
    problems = check_phrases(text).problems
    assert len(problems) == 1 and problem in problems[0]
