"""Beam search against an enumeration of all sentences, and n-grams as files hold them."""

import itertools
import math

import numpy as np
import pytest

from lip2wav_hf.decoding import BeamDecoder, BeamOptions, NGram, read_words
from lip2wav_hf.grammar import GrammarError, TextUnits


WORDS = TextUnits("words", ("a", "b"))
CHARACTERS = TextUnits("characters", ("|", "a", "b"))
EVERYTHING = BeamOptions(width=10**6, ngram_weight=0.7, word_bonus=0.3, least=-math.inf)
NGRAM = NGram(
    {
        ("<s>",): -99 * math.log(10),  # it is only ever a history
        ("<unk>",): -4.0,
        ("</s>",): -1.2,
        ("a",): -0.9,
        ("b",): -1.5,
        ("ab",): -1.1,
        ("<s>", "a"): -0.4,
        ("a", "b"): -0.2,
        ("b", "</s>"): -0.3,
        ("<s>", "ab"): -0.8,
    },
    {("<s>",): -0.5, ("a",): -0.6, ("b",): -0.1},
)


def labels_of(path):
    """What CTC reads in a path: repeats merged, blanks dropped."""
    return tuple(now for now, before in zip(path, (None, *path), strict=False) if now and now != before)


def ngram_by_hand(words):
    """The formula of a back-off bigram, written out."""
    total, before = 0.0, "<s>"
    for word in (*words, "</s>"):
        known = word if (word,) in NGRAM.scores else "<unk>"
        pair = (before, known)
        total += (
            NGRAM.scores[pair] if pair in NGRAM.scores else (NGRAM.backoffs.get((before,), 0.0) + NGRAM.scores[known,])
        )
        before = word
    return total


@pytest.mark.parametrize("units", [WORDS, CHARACTERS], ids=["words", "characters"])
@pytest.mark.parametrize("ngram", [None, NGRAM], ids=["alone", "n-gram"])
@pytest.mark.parametrize("seed", range(4))
def test_the_best_sentence_is_that_of_an_enumeration(units, ngram, seed):
    classes = len(units.vocabulary) + 1
    scores = np.log(np.random.default_rng(seed).dirichlet(np.ones(classes), 5))
    totals = {}
    for path in itertools.product(range(classes), repeat=len(scores)):
        labels = labels_of(path)
        totals[labels] = np.logaddexp(totals.get(labels, -np.inf), scores[np.arange(len(scores)), path].sum())
    rated = {}
    for labels, total in totals.items():
        words = units.text(labels).split()
        weight = 0.0 if ngram is None else 0.7 * ngram_by_hand(words)
        rated[labels] = total + weight + 0.3 * len(words)
    best = max(rated, key=rated.get)
    words, score = BeamDecoder(units, EVERYTHING, ngram).search(scores)
    assert score == pytest.approx(rated[best]) and list(words) == units.text(best).split()


def test_a_sum_of_paths_wins_over_the_best_path():
    """Graves' example: the likeliest path is blank throughout, the likeliest sentence is not empty."""
    scores = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    units = TextUnits("words", ("a",))
    assert read_words(scores, units, 25.0, 0.0) == []
    words = read_words(scores, units, 25.0, 0.0, BeamDecoder(units, EVERYTHING))
    assert [word["word"] for word in words] == ["a"] and words[0]["confidence"] == pytest.approx(0.4)


def frames_of(units, text, noise=0.05):
    path = [number for unit in units.encode(text.split()) for number in (0, unit, unit, 0)]
    return np.log(np.eye(len(units.vocabulary) + 1)[path] * (1 - 2 * noise) + noise / 2)


@pytest.mark.parametrize("kind", ["words", "characters"])
@pytest.mark.parametrize("width", [1, 4, 16])
def test_words_have_their_frames(kind, width):
    units = TextUnits.collect(kind, ["ναι", "όχι", "ίσως"])
    decoder = BeamDecoder(units, BeamOptions(width=width))
    scores = frames_of(units, "όχι ναι ίσως ναι")
    plain, searched = read_words(scores, units, 25.0, 0.0), read_words(scores, units, 25.0, 0.0, decoder)
    assert [word["word"] for word in searched] == "όχι ναι ίσως ναι".split()
    assert plain == searched
    posteriors = decoder.posteriors(scores)
    np.testing.assert_allclose(posteriors.sum(1), 1)
    assert (posteriors.argmax(1) == scores.argmax(1)).all()


def test_silence_has_no_words():
    decoder = BeamDecoder(CHARACTERS)
    scores = np.log(np.eye(4)[[0] * 6] * 0.9 + 0.02)
    decoded = decoder.decode(scores)
    assert decoded.words == [] and decoded.classes.tolist() == [0] * 6
    np.testing.assert_allclose(decoder.posteriors(scores), np.exp(scores))
    assert decoder.decode(scores[:0]).words == []


def test_an_n_gram_survives_its_file(tmp_path):
    path = tmp_path / "ngram.arpa"
    path.write_text(NGRAM.to_arpa(), encoding="utf-8")
    again = NGram.from_arpa(path)
    assert again.scores == pytest.approx(NGRAM.scores) and again.backoffs == pytest.approx(NGRAM.backoffs)
    assert again.order == 2 and path.read_text().startswith("\\data\\\nngram 1=6\nngram 2=4\n\n\\1-grams:\n")
    assert again.log_probability(("x", "b"), "a") == pytest.approx(-0.1 - 0.9)
    assert again.log_probability(("<s>",), "zebra") == pytest.approx(-0.5 - 4.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "has no <unk>"),
        ("\\1-grams:\nx\t<unk>\n", "no n-gram in the ARPA format"),
        ("\\2-grams:\n-1\t<unk>\n", "'<unk>' is not of order 2"),
        ("\\1-grams:\n-1\n", "no n-gram in the ARPA format"),
    ],
)
def test_what_is_no_n_gram_is_refused(tmp_path, text, complaint):
    path = tmp_path / "ngram.arpa"
    path.write_text(text)
    with pytest.raises(GrammarError, match=complaint):
        NGram.from_arpa(path)
    with pytest.raises(GrammarError, match="nowhere"):
        NGram.from_arpa(tmp_path / "nowhere")
