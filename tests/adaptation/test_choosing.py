"""Which recordings are held back, and which sentences a model answers with."""

from pathlib import Path

import pytest

from lip2wav_hf.adaptation.choosing import find_phrases, grammar_of, hold_back, in_turns, read_phrases, written_forms
from lip2wav_hf.adaptation.records import AdaptationError
from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.grammar import Grammar, TextNormalizer, TextUnits


KNOWN = TextUnits("words", ("yes", "no", "maybe", "later"))


def clips(*sentences):
    return [
        Clip("me", f"take{number}", Path(f"take{number}.mp4"), tuple(sentence.split()))
        for number, sentence in enumerate(sentences)
    ]


def test_a_fifth_is_held_back_and_every_sentence_stays():
    takes = clips(*["yes", "no", "maybe", "later", "never"] * 3)
    held = hold_back(takes, KNOWN, seed=0)
    assert len(held) == 3
    assert len({clip.words for clip in held}) == 3
    assert {clip.words for clip in takes if clip not in held} == {clip.words for clip in takes}


def test_other_seeds_hold_back_others():
    takes = clips(*["yes", "no", "maybe", "later", "never"] * 3)
    assert hold_back(takes, KNOWN, 0) == hold_back(takes, KNOWN, 0)
    assert len({tuple(clip.key for clip in hold_back(takes, KNOWN, seed)) for seed in range(8)}) > 1


def test_one_take_of_each_word_is_not_held_back():
    assert hold_back(clips("yes", "no", "maybe", "later", "never"), KNOWN, 0) == []


def test_sentences_of_known_words_are_held_back_and_those_with_new_words_are_not():
    held = hold_back(clips("yes no", "no yes", "maybe never", "later soon", "yes later"), KNOWN, 0)
    assert len(held) == 1
    assert not KNOWN.unknown(held[0].words)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_recordings_are_all_needed(count):
    assert hold_back(clips(*["yes no"] * count), KNOWN, 0) == []


def test_phrases_are_those_that_repeat_or_single_words():
    assert find_phrases(clips("yes no", "no yes", "yes no", "no yes")) == ("yes no", "no yes")
    assert find_phrases(clips("yes", "no", "maybe")) == ("yes", "no", "maybe")
    assert find_phrases(clips("yes no", "no yes", "maybe later")) == ()
    assert find_phrases(clips("yes no", "yes no")) == ()  # a list of one says nothing
    assert find_phrases(clips("yes no", "yes no"), ["yes no"]) == ("yes no",)


def test_phrases_are_such_also_where_there_was_no_time_for_all_takes():
    everything = clips("yes no", "no yes", "yes no", "no yes", "maybe later", "maybe later")
    assert find_phrases(everything[:2], listed=everything) == ("yes no", "no yes")
    assert find_phrases(everything[:1], listed=everything) == ()
    assert find_phrases(everything[:2], [], listed=everything) == ()


def test_chosen_phrases_go_first_and_must_have_what_was_recorded():
    assert find_phrases(clips("yes", "no"), ["Yes.", "No!", "maybe later"]) == ("yes", "no", "maybe later")
    assert find_phrases(clips("yes", "no"), []) == ()
    with pytest.raises(AdaptationError, match="'no'"):
        find_phrases(clips("yes", "no"), ["yes", "maybe"])


def test_a_grammar_stays_only_where_it_has_what_was_recorded():
    starting = Grammar.from_phrases(["yes no", "no yes"]).to_jsgf()
    assert grammar_of((), clips("yes no"), starting) == starting
    assert grammar_of((), clips("yes no", "maybe"), starting) is None
    assert Grammar.from_jsgf(grammar_of(("later", "yes no"), clips("later"), starting)).accepts("later")


def test_sentences_take_turns():
    taken = in_turns(clips("yes", "yes", "yes", "no", "maybe", "no"))
    assert [clip.name for clip in taken] == ["take0", "take3", "take4", "take1", "take5", "take2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_phrases_of_any_editor_are_read(tmp_path, encoding):
    (tmp_path / "phrases.txt").write_bytes("Grüße\r\n\r\nyes\r\n".encode(encoding))
    assert read_phrases(str(tmp_path / "phrases.txt")) == ["Grüße", "yes"]


def test_phrases_are_answered_as_they_were_written():
    texts = ("Good morning!", "I am  Ann.", "i am ann", "No")
    takes = [
        Clip("me", str(number), Path("take.mp4"), TextNormalizer()(text).words, text=text)
        for number, text in enumerate(texts)
    ]
    phrases = ("good morning", "i am ann", "no")
    assert written_forms(phrases, None, takes, TextNormalizer()) == {"good morning": "Good morning!", "no": "No"}
    chosen = ["Good  morning", "I am Ann", "no"]
    assert written_forms(phrases, chosen, takes, TextNormalizer()) == {
        "good morning": "Good morning",
        "i am ann": "I am Ann",
    }
    assert written_forms((), chosen, takes, TextNormalizer()) == {}
