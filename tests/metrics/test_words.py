"""Words spoken against words recognised: by hand, and as jiwer counts them."""

import numpy as np
import pytest


jiwer = pytest.importorskip("jiwer", reason="the extra 'evaluate' is not installed")

from lip2wav_hf.metrics.words import align_words, correct_words, count_slots, heard_as, word_errors  # noqa: E402


SENTENCE = "bin blue at f two now"


@pytest.mark.parametrize(
    ("text", "errors", "correct"),
    [
        (SENTENCE, 0, [True] * 6),
        ("bin blue at s two now", 1, [True, True, True, False, True, True]),
        ("bin at f two now", 1, [True] * 5),
        ("bin blue at f two two now", 1, None),
        ("", 6, []),
        ("set red", 6, [False, False]),
    ],
)
def test_words_are_compared(text, errors, correct):
    assert word_errors(SENTENCE, text) == errors
    if correct is not None:
        assert correct_words(SENTENCE, text) == correct
    else:
        assert sum(correct_words(SENTENCE, text)) == 6 and len(correct_words(SENTENCE, text)) == 7


def test_counts_are_those_of_jiwer():
    generator = np.random.default_rng(0)
    words = [*SENTENCE.split(), "red", "s"]
    for _ in range(50):
        text = " ".join(generator.choice(words, generator.integers(1, 9)))
        aligned, expected = align_words(SENTENCE, text), jiwer.process_words(SENTENCE, text)
        assert aligned.substitutions == expected.substitutions and aligned.insertions == expected.insertions
        assert aligned.deletions == expected.deletions and sum(aligned.correct) == expected.hits
        assert aligned.errors == word_errors(SENTENCE, text) and list(aligned.heard_as) == heard_as(SENTENCE, text)
        for spoken, heard in zip(aligned.spoken, aligned.heard_as, strict=True):
            assert heard in ("", *aligned.recognised) and isinstance(spoken, str)
    assert word_errors("", "bin") == 1 and heard_as("", "bin") == []
    assert align_words("", "") == align_words(" ", "") and align_words("", "").errors == 0


def test_slots_of_no_sentence_have_no_rate():
    slots = count_slots([])
    assert all(np.isnan(rate) for rate in slots["slot_wer"].values()) and slots["empty"] == 0
    slots = count_slots([("bin", "lay"), ("bin", "")])
    assert slots["slot_wer"]["command"] == 1 and np.isnan(slots["slot_wer"]["letter"]) and slots["empty"] == 1
