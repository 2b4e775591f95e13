"""Decoding with a grammar, against an enumeration of all paths."""

import itertools

import numpy as np
import pytest

from lip2wav_hf import decoding
from lip2wav_hf.decoding import BeamDecoder, DecodingOptions, GrammarDecoder, WordReader, read_words
from lip2wav_hf.grammar import GRAMMAR, VOCABULARY, Grammar, GrammarError, TextUnits


UNITS = TextUnits("words", ("a", "b", "c"))
CLASSES = UNITS.classes
OPTIONS = DecodingOptions(change_penalty=0.7, sentence_penalty=2.0)


def all_paths(grammar: Grammar, scores: np.ndarray) -> list[tuple[float, list[int]]]:
    """Score and classes of every path through the frames, by the definition: edges and pauses, with penalties."""
    edges, finals, paths = grammar.edges, grammar.finals, []

    def followers(kind, number):
        yield kind, number, 0.0
        if kind == "edge":
            target = edges[number][2]
            yield "pause", target, OPTIONS.change_penalty
            yield from (("edge", k, OPTIONS.change_penalty) for k, edge in enumerate(edges) if edge[0] == target)
        else:
            yield from (("edge", k, OPTIONS.change_penalty) for k, edge in enumerate(edges) if edge[0] == number)
            if number in finals:
                cost = OPTIONS.change_penalty + OPTIONS.sentence_penalty
                yield from (("edge", k, cost) for k, edge in enumerate(edges) if edge[0] == 0)

    def walk(frame, kind, number, score, classes):
        label = CLASSES[edges[number][1]] if kind == "edge" else 0
        score, classes = score + scores[frame, label], [*classes, label]
        if frame + 1 < len(scores):
            for next_kind, next_number, cost in followers(kind, number):
                walk(frame + 1, next_kind, next_number, score - cost, classes)
        elif (edges[number][2] if kind == "edge" else number) in finals:
            paths.append((score, classes))

    walk(0, "pause", 0, 0.0, [])
    for number, edge in enumerate(edges):
        if edge[0] == 0:
            walk(0, "edge", number, 0.0, [])
    return paths


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("frames", [2, 5])
def test_best_path_and_posteriors_equal_an_enumeration(seed, frames):
    grammar = Grammar.of(["a b", "b", "a a c"])
    scores = np.log(np.random.default_rng(seed).dirichlet(np.ones(4), frames))
    paths = all_paths(grammar, scores)
    decoder = GrammarDecoder(grammar, UNITS, OPTIONS)
    best_score, best_classes = max(paths)
    decoded = decoder.decode(scores)
    assert decoded.score == pytest.approx(best_score) and decoded.classes.tolist() == best_classes
    total = np.logaddexp.reduce([score for score, _ in paths])
    expected = np.zeros((frames, 4))
    for score, classes in paths:
        expected[np.arange(frames), classes] += np.exp(score - total)
    np.testing.assert_allclose(decoder.posteriors(scores), expected, atol=1e-12)


def frames_of(text: str, noise: float = 0.02) -> np.ndarray:
    """Log probabilities `(frames, 52)`, four frames a word and two of a pause between them."""
    classes = [0, 0]
    for word in text.split():
        classes += [VOCABULARY.index(word) + 1] * 4 + [0, 0]
    probabilities = np.full((len(classes), 52), noise / 51)
    probabilities[np.arange(len(classes)), classes] = 1 - noise
    return np.log(probabilities)


@pytest.fixture
def grid() -> GrammarDecoder:
    return GrammarDecoder(Grammar.from_slots(GRAMMAR), TextUnits("words", tuple(VOCABULARY)))


def test_words_have_their_frames(grid):
    decoded = grid.decode(frames_of("bin blue at f two now"))
    assert decoded.words[:2] == [("bin", 2, 6), ("blue", 8, 12)] and len(decoded.words) == 6


def test_a_word_in_the_wrong_slot_is_put_right(grid):
    scores = frames_of("bin blue at f two now")
    scores[8:12] = np.log(0.5 / 50)
    scores[8:12, VOCABULARY.index("please") + 1] = np.log(0.5)  # an adverb where a colour belongs
    scores[8:12, VOCABULARY.index("green") + 1] = np.log(0.3)
    assert [word for word, _, _ in grid.decode(scores).words] == "bin green at f two now".split()


def test_several_sentences_in_one_video(grid):
    two = np.concatenate([frames_of("bin blue at f two now"), frames_of("set red by z zero again")])
    assert [word for word, _, _ in grid.decode(two).words] == "bin blue at f two now set red by z zero again".split()


def test_too_short_for_a_sentence(grid):
    scores = np.log(np.full((3, 52), 1 / 52))
    decoded = grid.decode(scores)
    assert (decoded.words, decoded.score, decoded.classes.tolist()) == ([], -np.inf, [0, 0, 0])
    np.testing.assert_allclose(grid.posteriors(scores), np.exp(scores))
    assert grid.decode(scores[:0]).words == [] and grid.posteriors(scores[:0]).shape == (0, 52)


def test_posteriors_are_probabilities(grid):
    scores = np.log(np.random.default_rng(0).dirichlet(np.ones(52), 75))
    posteriors = grid.posteriors(scores)
    assert posteriors.shape == (75, 52) and (posteriors >= 0).all()
    np.testing.assert_allclose(posteriors.sum(1), 1)


def test_unknown_words_are_named():
    with pytest.raises(GrammarError, match="1 word.*'hello'.*knows 3"):
        GrammarDecoder(Grammar.of(["a hello"]), UNITS)


SPELT = TextUnits("characters", ("|", "a", "b", "c"))


def spelt_paths(grammar: Grammar, scores: np.ndarray) -> dict[tuple[int, ...], float]:
    """Every sequence of classes whose characters, with blanks and repeats anywhere, are a sentence: by its score."""
    sentences = {sentence.replace(" ", "|") for sentence in grammar.sentences()}
    symbols = ("", *SPELT.vocabulary)

    def fits(classes: tuple[int, ...], sentence: str) -> bool:
        """Whether frames can be shared among the characters, in order, each with one frame or more in a row."""
        reached = {(0, False)}  # characters begun, and whether the last one still lasts
        for symbol in (symbols[number] for number in classes):
            stay = {(count, True) for count, lasts in reached if lasts and symbol == sentence[count - 1]}
            go = {(count + 1, True) for count, _ in reached if sentence[count : count + 1] == symbol != ""}
            pause = {(count, False) for count, _ in reached} if not symbol else set()
            reached = stay | go | pause
        return any(count == len(sentence) for count, _ in reached)

    return {
        classes: float(scores[np.arange(len(classes)), classes].sum())
        for classes in itertools.product(range(len(symbols)), repeat=len(scores))
        if any(fits(classes, sentence) for sentence in sentences)
    }


@pytest.mark.parametrize("seed", range(4))
def test_a_grammar_is_spelt_in_characters(seed):
    grammar = Grammar.of(["a b", "ab", "cc"])
    scores = np.log(np.random.default_rng(seed).dirichlet(np.ones(5), 5))
    paths = spelt_paths(grammar, scores)
    decoded = GrammarDecoder(grammar, SPELT, DecodingOptions(0.0, 1e9)).decode(scores)
    assert decoded.score == pytest.approx(max(paths.values()))
    assert paths[tuple(decoded.classes.tolist())] == pytest.approx(decoded.score)
    assert grammar.accepts(" ".join(word for word, _, _ in decoded.words))


def test_sentences_of_characters_that_follow_each_other():
    frames = [2, 0, 3, 1, 4, 0, 0, 2, 3]  # "ab|c", a pause, "ab"
    scores = np.log(np.eye(5)[frames] * 0.9 + 0.02)
    decoder = GrammarDecoder(Grammar.of(["ab c", "ab"]), SPELT, DecodingOptions(0.0, 1.0))
    assert decoder.decode(scores).words == [("ab", 0, 3), ("c", 4, 5), ("ab", 7, 9)]
    with pytest.raises(GrammarError, match="does not know, e.g. 'day'. It knows 3 characters, e.g. a, b, c"):
        GrammarDecoder(Grammar.of(["a day"]), SPELT)


# --- clips of any length ---------------------------------------------------------------------------------------------


def said(sentences: int, seed: int = 0) -> np.ndarray:
    """Log probabilities of sentences "a b c" with pauses, in 30 frames each, not quite sure."""
    classes = [0] * 6 + [CLASSES["a"]] * 6 + [CLASSES["b"]] * 6 + [0] * 2 + [CLASSES["c"]] * 6 + [0] * 4
    scores = np.random.default_rng(seed).normal(size=(30 * sentences, 4))
    scores[np.arange(len(scores)), classes * sentences] += 5
    return scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)


@pytest.mark.parametrize("kind", ["greedy", "grammar", "beam"])
def test_long_clips_are_read_in_passages(monkeypatch, kind):
    """The words, times and confidences are those of the whole clip, however its frames come."""
    decoder = {
        "greedy": None,
        "grammar": GrammarDecoder(Grammar.from_phrases(["a b c", "c a", "b"]), UNITS, DecodingOptions()),
        "beam": BeamDecoder(UNITS, change_penalty=0.7),
    }[kind]
    scores, longest = said(40), []
    whole = read_words(scores, UNITS, 25.0, 0.7, decoder)
    assert [word["word"] for word in whole] == ["a", "b", "c"] * 40
    monkeypatch.setattr(decoding, "PASSAGE_SECONDS", 5.0)
    assert read_words(scores, UNITS, 25.0, 0.7, decoder) == whole
    for size in (1, 70, 400):
        reader = WordReader(UNITS, 25.0, 0.7, decoder)
        for start in range(0, len(scores), size):
            reader.push(scores[start : start + size])
            longest.append(sum(map(len, reader._waiting)))
        assert reader.finish() == whole
    assert max(longest) <= 2 * 125


def test_a_clip_without_a_pause_is_read_in_passages_too(monkeypatch):
    monkeypatch.setattr(decoding, "PASSAGE_SECONDS", 1.0)
    scores = np.log(np.tile([[0.01, 0.97, 0.01, 0.01]], (500, 1)))
    words = read_words(scores, UNITS, 25.0, 0.7)
    assert {word["word"] for word in words} == {"a"}
    assert (words[0]["start"], words[-1]["end"]) == (0.0, 20.0)
