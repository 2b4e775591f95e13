"""A word n-gram from transcripts, for the beam search."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from ..decoding import NGram
from ..grammar import UNKNOWN


START, END = "<s>", "</s>"
NEVER = -99 * math.log(10)  # what ARPA files give the start of a sentence, which is only ever a history

Grams = Counter[tuple[str, ...]]


def estimate_ngram(sentences: Iterable[Sequence[str]], order: int) -> NGram:
    """
    Interpolated Kneser-Ney with one discount per order (Kneser and Ney 1995; Chen and Goodman 1999):
    `n1 / (n1 + 2 n2)`, of the n-grams that are there once and twice, or 1/2 where that says nothing.

    Args:
        sentences (iterable of sequences of `str`): words.
        order (`int`): the longest n-grams, in words; 1 or more.

    Returns:
        [`NGram`]: for each history, the probabilities of all words, of the end and of `"<unk>"` sum to one.
    """
    counts = _counts(sentences, order)
    words = sorted({END, UNKNOWN} | {gram[0] for gram in counts[0]} - {START})
    probabilities: dict[tuple[str, ...], float] = {}
    weights: dict[tuple[str, ...], float] = {}
    for grams in counts:
        discount = _discount(grams)
        totals: Counter[tuple[str, ...]] = Counter()
        kinds: Counter[tuple[str, ...]] = Counter()
        for gram, count in grams.items():
            if gram != (START,):
                totals[gram[:-1]] += count
                kinds[gram[:-1]] += 1
        weights |= {history: discount * kinds[history] / totals[history] for history in totals}
        if not probabilities:  # single words are mixed with equal ones
            seen = {word: max(grams[word,] - discount, 0.0) / totals[()] for word in words}
            probabilities |= {(word,): seen[word] + weights[()] / len(words) for word in words}
            continue
        for gram, count in sorted(grams.items()):
            rest = weights[gram[:-1]] * probabilities[gram[1:]]
            probabilities[gram] = (count - discount) / totals[gram[:-1]] + rest
    del weights[()]
    scores = {gram: math.log(probability) for gram, probability in probabilities.items()}
    return NGram(scores | {(START,): NEVER}, {history: math.log(weight) for history, weight in weights.items()})


def _counts(sentences: Iterable[Sequence[str]], order: int) -> list[Grams]:
    """
    What is counted of each order: of the highest how often, of the others after how many different words; where
    nothing can come before, because a sentence begins, how often.
    """
    raw: list[Grams] = [Counter() for _ in range(order)]
    for sentence in sentences:
        padded = (START, *sentence, END)
        for size, grams in enumerate(raw, 1):
            grams.update(padded[start : start + size] for start in range(len(padded) - size + 1))
    counts = []
    for size, grams in enumerate(raw, 1):
        if size == order:
            counts.append(grams)
            continue
        before: dict[tuple[str, ...], int] = defaultdict(int)
        for longer in raw[size]:
            before[longer[1:]] += 1
        counts.append(Counter({gram: grams[gram] if gram[0] == START else before[gram] for gram in grams}))
    return counts


def _discount(grams: Grams) -> float:
    once, twice = (sum(count == wanted for gram, count in grams.items() if gram != (START,)) for wanted in (1, 2))
    return once / (once + 2 * twice) if once and twice else 0.5


__all__ = ["estimate_ngram"]
