"""What the classes of a text head stand for, and the tokenizer that says so to transformers."""

import json

import numpy as np
import pytest
from transformers import AutoTokenizer

from conftest import TINY_CONFIG
from lip2wav_hf import Lip2WavConfig, Lip2WavModel, Lip2WavSpeechEncoder, Lip2WavSpeechEncoderConfig
from lip2wav_hf.decoding import read_words
from lip2wav_hf.grammar import TOKENIZER_FILES, VOCABULARY, Grammar, TextNormalizer, TextUnits


GREEK = TextUnits.collect("characters", ["καλημέρα", "άννα"])


def test_words_are_listed_and_characters_spell():
    words = TextUnits.collect("words", ["two", "bin", "two"])
    assert words.vocabulary == ("bin", "two") and words.encode(["two", "bin"]) == [2, 1]
    assert words.text([2, 1]) == "two bin" and words.delimiter is None
    assert words.unknown(["bin", "lay", "at", "lay"]) == ["at", "lay"]
    assert GREEK.vocabulary[0] == "|" and GREEK.delimiter == 1
    classes = GREEK.encode(["άννα", "καλή", "άννα"][::2])
    assert GREEK.text(classes) == "άννα άννα" and classes.count(1) == 1
    assert GREEK.unknown(["λάμα", "καλά", "και", "α|α"]) == ["α|α", "και"]
    assert GREEK.text([1, 1]) == "" and GREEK.text([]) == ""


def test_a_grammar_in_characters_has_the_same_sentences():
    grammar = Grammar.of(["at bed", "a bed", "ate"])
    spelt = grammar.spelled()
    assert spelt.count() == 3
    assert {sentence.replace(" ", "") for sentence in spelt.sentences()} == {"at|bed", "a|bed", "ate"}
    again = Grammar.from_jsgf("public <s> = (no | yes)+;").spelled()
    assert again.accepts(" ".join("no|yes|no")) and not again.accepts(" ".join("noyes"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text_units": "syllables"}, "must be one of words, characters, not 'syllables'"),
        ({"text_units": "characters", "vocabulary": ["|", "ab"]}, "must hold single characters; 'ab' is none"),
        ({"text_units": "characters", "vocabulary": ["a"]}, "must have '|', which separates words"),
        ({"vocabulary": ["yes", "no", "yes"]}, "has a unit twice"),
        ({"vocabulary": ["yes", "<pad>"]}, "the CTC blank's name"),
        ({"text_case": "upper"}, "there are lower, keep"),
        ({"text_units": "characters", "vocabulary": ["|", "o"], "grammar": "public <s> = on;"}, "`vocabulary`: on"),
    ],
)
def test_fields_of_the_text_must_fit_each_other(fields, message):
    with pytest.raises(Exception, match=message.replace("|", r"\|")):
        Lip2WavConfig(**fields)


def test_characters_without_a_vocabulary_are_those_of_grid():
    config = Lip2WavConfig(text_units="characters")
    assert not config.units.unknown(VOCABULARY) and config.num_classes == 28 and config.change_penalty == 0
    assert Lip2WavConfig().vocabulary == tuple(VOCABULARY) and Lip2WavConfig().change_penalty == 1


@pytest.mark.parametrize("kind", ["words", "characters"])
def test_a_saved_model_has_a_tokenizer(tmp_path, kind):
    """`AutoTokenizer` gives the classes of a sentence, and reads frames as the greedy decoder does."""
    words = ["γεια", "μέρα", "σου", "α", "αα"]
    units = TextUnits.collect(kind, words)
    config = Lip2WavConfig(**TINY_CONFIG, text_units=kind, vocabulary=list(units.vocabulary))
    Lip2WavModel(config).save_pretrained(tmp_path)
    assert Lip2WavConfig.from_pretrained(tmp_path).units == units
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    sentence = "γεια σου αα μέρα α"
    ids = tokenizer(sentence).input_ids
    assert ids == units.encode(sentence.split()) and tokenizer.pad_token_id == 0
    assert tokenizer("w").input_ids == [tokenizer.unk_token_id] == [len(units.vocabulary) + 1]
    frames = np.repeat([each for number in ids for each in (number, 0)], 2)
    assert tokenizer.decode(frames) == sentence
    scores = np.log(np.eye(config.num_classes)[frames] * 0.9 + 0.01)
    assert " ".join(word["word"] for word in read_words(scores, units, 25.0, 0.0)) == sentence
    if kind == "words":
        assert tokenizer("ΓΕΙΑ  Σου").input_ids == units.encode(["γεια", "σου"])


def test_the_tokenizer_of_another_vocabulary_does_not_stay(tmp_path):
    encoder = Lip2WavSpeechEncoderConfig(hidden_size=8, num_layers=1)
    Lip2WavSpeechEncoder(encoder).save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {"tokenizer.json", "tokenizer_config.json"}
    config = Lip2WavSpeechEncoderConfig(hidden_size=8, num_layers=1, text_units="characters")
    Lip2WavSpeechEncoder(config).save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} & set(TOKENIZER_FILES) == {"vocab.json", "tokenizer_config.json"}
    assert json.loads((tmp_path / "vocab.json").read_text())["|"] == 1


def test_words_of_characters_have_times_and_confidence():
    units = TextUnits("characters", ("|", "a", "b", "l"))
    frames = [0, 3, 3, 2, 4, 0, 4, 0, 1, 1, 0, 2, 0, 1]
    scores = np.log(np.eye(5)[frames] * 0.8 + 0.04)
    scores[6] = np.log([0.1, 0.1, 0.1, 0.1, 0.6])
    words = read_words(scores, units, 25.0, 0.0)
    assert [word["word"] for word in words] == ["ball", "a"]
    assert [(round(word["start"] * 25), round(word["end"] * 25)) for word in words] == [(1, 7), (11, 12)]
    assert words[0]["confidence"] == pytest.approx((4 * 0.84 + 0.6) / 5)
    assert words[1]["confidence"] == pytest.approx(0.84)
    assert read_words(scores[:1], units, 25.0, 0.0) == [] == read_words(scores[:0], units, 25.0, 0.0)


def test_the_tokenizer_applies_the_form_of_the_text():
    files = TextUnits("words", ("Yes",)).tokenizer_files(TextNormalizer(case="keep", unicode="NFC"))
    assert files["tokenizer.json"]["normalizer"]["normalizers"] == [{"type": "NFC"}]
