"""Word n-grams of transcripts: probabilities that sum to one, and the formulas by hand."""

import itertools
import math

import pytest

from lip2wav_hf.training.language_model import estimate_ngram


SENTENCES = [sentence.split() for sentence in ("the cat sat", "the dog sat", "the cat ran", "a cat sat down", "run")]
WORDS = sorted({word for sentence in SENTENCES for word in sentence})


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_sum_to_one_after_any_history(order):
    ngram = estimate_ngram(SENTENCES, order)
    assert ngram.order == order
    for length in range(4):
        for history in itertools.product(["<s>", "the", "cat", "sat", "zebra"], repeat=length):
            total = sum(math.exp(ngram.log_probability(history, word)) for word in [*WORDS, "</s>", "<unk>"])
            assert total == pytest.approx(1), history


def test_a_bigram_by_hand():
    """ "a b", "a b", "a c": the discounts are those of counts 1 and 2 (2, 1 of 4 pairs), and of 1s and 2s of words."""
    ngram = estimate_ngram([["a", "b"], ["a", "b"], ["a", "c"]], 2)
    # Pairs: (<s> a) 3, (a b) 2, (a c) 1, (b </s>) 2, (c </s>) 1: n1 = 2, n2 = 2.
    discount = 2 / (2 + 2 * 2)
    # Words by how many differ before them: a 1, b 1, c 1, </s> 2: n1 = 3, n2 = 1; five words with <unk>.
    single = 3 / (3 + 2)
    of_b = (1 - single) / 5 + single * 4 / 5 / 5
    assert math.exp(ngram.log_probability((), "b")) == pytest.approx(of_b)
    assert math.exp(ngram.log_probability(("a",), "b")) == pytest.approx((2 - discount) / 3 + discount * 2 / 3 * of_b)
    of_unknown = single * 4 / 5 / 5
    assert math.exp(ngram.log_probability(("a",), "x")) == pytest.approx(discount * 2 / 3 * of_unknown)


def test_what_was_heard_is_likelier():
    ngram = estimate_ngram(SENTENCES, 3)

    def score(sentence):
        words = ("<s>", *sentence.split(), "</s>")
        return sum(ngram.log_probability(words[:place], words[place]) for place in range(1, len(words)))

    assert score("the cat sat") > score("the dog ran") > score("sat the cat") > score("sat the zebra")


def test_one_sentence_is_enough():
    ngram = estimate_ngram([["yes"]], 3)
    assert ngram.log_probability(("<s>",), "yes") > ngram.log_probability(("<s>",), "no")
