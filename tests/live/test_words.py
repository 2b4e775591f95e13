"""Words as they come off a text head whose frames are made up."""

import numpy as np
import pytest

from lip2wav_hf.decoding import DecodingOptions, GrammarDecoder
from lip2wav_hf.grammar import Grammar, TextUnits
from lip2wav_hf.live.words import MOST_FRAMES, LiveWords


WORDS = TextUnits("words", ("one", "two", "three"))
CHARACTERS = TextUnits.collect("characters", ("ab", "abc"))


def scores(units, length, said, strength=9.0):
    """Log probabilities of frames: `said` are (unit, first frame, end)."""
    frames = np.full((length, len(units.vocabulary) + 1), -strength, np.float32)
    frames[:, 0] = 0.0
    for unit, begin, end in said:
        frames[begin:end, 0], frames[begin:end, units.classes[unit]] = -strength, 0.0
    return frames


def heard(words, frames, step=4):
    """(number of frames known, word) of each word, in the order in which they come."""
    found = []
    for start in range(0, len(frames), step):
        found += [(start + step, word["word"]) for word in words.push(frames[start : start + step])]
    return found + [(len(frames), word["word"]) for word in words.push(frames[:0], is_last=True)]


def test_words_come_once_when_they_have_ended():
    words, frames = LiveWords(WORDS, 25.0, 1.0), scores(WORDS, 60, [("one", 5, 15), ("two", 30, 40)])
    found = [words.push(frames[start : start + 4]) for start in range(0, 60, 4)]
    assert [word["word"] for part in found for word in part] == ["one", "two"]
    assert found[5] and found[5][0]["start"] == pytest.approx(0.2) and found[5][0]["end"] == pytest.approx(0.6)
    assert not any(found[:5]) and words.push(frames[:0], is_last=True) == []


def test_times_go_on_for_as_long_as_the_stream():
    words, frames = LiveWords(WORDS, 25.0, 1.0), scores(WORDS, 2000, [("one", 1900, 1910)])
    found = [word for start in range(0, 2000, 4) for word in words.push(frames[start : start + 4])]
    assert [(word["word"], word["start"]) for word in found] == [("one", pytest.approx(76.0))]
    assert len(words._frames) <= MOST_FRAMES


def decoder(units, *phrases):
    return GrammarDecoder(Grammar.from_phrases(phrases), units, DecodingOptions(1.0))


def test_words_of_a_grammar_come_before_the_sentence_is_over():
    words = LiveWords(WORDS, 25.0, 1.0, decoder(WORDS, "one two three"))
    said = [("one", 5, 15), ("two", 30, 40), ("three", 60, 70)]
    found = heard(words, scores(WORDS, 120, said))
    assert [word for _, word in found] == ["one", "two", "three"]
    assert [frames for frames, _ in found] == [24, 48, 80]


def test_a_grammar_corrects_what_is_read():
    """Here "two" looks a little more like "three", which may not follow "one"."""
    frames = scores(WORDS, 60, [("one", 5, 15)])
    frames[20:30] = (-9.0, -9.0, -1.0, -0.5)
    assert [word for _, word in heard(LiveWords(WORDS, 25.0, 1.0), frames)] == ["one", "three"]
    words = LiveWords(WORDS, 25.0, 1.0, decoder(WORDS, "one two", "three one"))
    assert [word for _, word in heard(words, frames)] == ["one", "two"]


def test_sentences_follow_each_other_and_one_may_be_broken_off():
    """After "one two" and a pause, "one" is the beginning of a sentence again."""
    words = LiveWords(WORDS, 25.0, 1.0, decoder(WORDS, "one two three"))
    sentence = [("one", 5, 15), ("two", 20, 30), ("three", 35, 45)]
    again = [(unit, begin + 60, end + 60) for unit, begin, end in sentence]
    broken = [("one", 130, 140), ("two", 150, 160), ("one", 200, 210), ("two", 215, 225), ("three", 230, 240)]
    found = [word for _, word in heard(words, scores(WORDS, 300, [*sentence, *again, *broken]))]
    assert found == ["one", "two", "three"] * 2 + ["one", "two"] + ["one", "two", "three"]
    assert len(words._frames) <= 60


@pytest.mark.parametrize("grammar", [False, True])
def test_a_word_of_characters_is_not_told_before_it_is_over(grammar):
    """Half a second after "ab" a "c" makes "abc" of it."""
    said = [("a", 5, 7), ("b", 9, 11), ("c", 24, 26), ("|", 30, 32), ("a", 35, 37), ("b", 39, 41), ("|", 43, 45)]
    phrases = decoder(CHARACTERS, "abc ab") if grammar else None
    found = heard(LiveWords(CHARACTERS, 25.0, 1.0, phrases), scores(CHARACTERS, 90, said))
    assert [word for _, word in found] == ["abc", "ab"] and found[0][0] <= 48


def test_the_last_word_of_characters_ends_with_a_pause():
    found = heard(LiveWords(CHARACTERS, 25.0, 1.0), scores(CHARACTERS, 90, [("a", 5, 7), ("b", 9, 11)]))
    assert [word for _, word in found] == ["ab"] and found[0][0] == 36
