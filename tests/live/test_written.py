"""How words of a stream are written, word by word and once a sentence is over."""

import pytest

from lip2wav_hf.configuration_lip2wav import Lip2WavConfig
from lip2wav_hf.decoding import GrammarDecoder
from lip2wav_hf.grammar import Grammar
from lip2wav_hf.live.running import LiveProgress
from lip2wav_hf.live.written import WrittenWords
from lip2wav_hf.speaking import written_sentences


VOCABULARY = ["good", "morning", "everybody", "yes", "well", "known", "i", "am"]
PHRASES = ["Good morning!", "Good morning, everybody!", "yes", "Well-known.", "I am"]


def follower(phrases=(), **settings):
    config = Lip2WavConfig(vocabulary=VOCABULARY, **settings)
    grammar = Grammar.of(list(phrases), config.normalizer) if phrases else None
    return WrittenWords(config, grammar and GrammarDecoder(grammar, config.units))


def told(words, *sentences):
    """What a session has written after each word; between sentences lie two seconds."""
    progress, shown, start = LiveProgress(), [], 0.0
    for sentence in sentences:
        for word in sentence.split():
            [new] = [{"word": word, "start": start, "end": start + 0.2, "confidence": 1.0}]
            progress.add([new], words.push([new]))
            shown.append(progress.text)
            start += 0.3
        start += 2.0
    assert words.push([]) == []
    return shown


def test_a_phrase_is_written_once_it_is_over():
    shown = told(follower(PHRASES), "good morning everybody", "yes good morning yes")
    assert shown[:4] == ["good", "Good morning!", "Good morning, everybody!", "Good morning, everybody! yes"]
    assert shown[-1] == "Good morning, everybody! yes Good morning! yes"


def test_a_phrase_that_is_broken_off_stays_in_its_words():
    assert told(follower(PHRASES), "good", "good morning")[-1] == "good Good morning!"
    assert told(follower(PHRASES), "good morning good")[-1] == "Good morning! good"


def test_fewer_words_are_written_than_are_read():
    words = follower(PHRASES)
    assert told(words, "yes well known yes")[-1] == "yes Well-known. yes"
    assert words.push([{"word": "well", "start": 9.0, "end": 9.1, "confidence": 1.0}]) == ["yes", "well"]


def test_words_have_forms_of_their_own():
    forms = {"i": "I", "good": "Good"}
    assert told(follower(written_words=forms), "i am good")[-1] == "I am Good"
    assert told(follower(PHRASES, written_words={"yes": "Yes"}), "yes i am")[-1] == "Yes I am"


@pytest.mark.parametrize("said", ["i am well known", "i am good well known", "i am", "i am well known yes", "good i"])
@pytest.mark.parametrize("phrases", [(), ["I am well, known!", "yes I am"]], ids=["any words", "phrases"])
def test_a_stream_is_written_as_a_whole_video_is(said, phrases):
    """Outside of phrases too: a word that transcripts always write alike, such as a name, comes back in both."""
    settings = {"written_sentences": {"i am well known": "I am WELL known!"}, "written_words": {"i": "I", "well": "W"}}
    words = follower(phrases, **settings)
    config = Lip2WavConfig(vocabulary=VOCABULARY, **settings)
    grammar = Grammar.of(list(phrases), config.normalizer) if phrases else None
    known = written_sentences(config, grammar and GrammarDecoder(grammar, config.units))
    assert told(words, said)[-1] == config.written(said, known)
    assert "I" in config.written(said, known).split()


@pytest.mark.parametrize("phrases", [(), ["known", "good morning"]], ids=["any words", "phrases"])
def test_a_model_whose_words_are_all_there_is(phrases):
    assert told(follower(phrases), "good morning", "known")[-1] == "good morning known"


def test_of_any_words_only_what_begins_a_sentence_may_be_one():
    words = follower(written_sentences={"good morning": "Good morning!", "am": "Am?"})
    assert told(words, "i am good morning", "good morning am", "everybody")[-1] == (
        "i am good morning Good morning! Am? everybody"
    )


def test_a_sentence_longer_than_what_is_remembered():
    long = " ".join(["yes"] * 60)
    assert told(follower([f"{long}!"]), long)[-1] == " ".join(["yes"] * 49 + ["yes!"])
