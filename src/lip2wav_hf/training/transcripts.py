"""What a generator keeps of the transcripts it learns from: how words and sentences are written, and an n-gram."""

from __future__ import annotations

import logging
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

from ..corpora.clips import Clip
from ..grammar import NormalizedText, TextNormalizer
from ..modeling_lip2wav import Lip2WavModel
from .arguments import TrainingError
from .language_model import estimate_ngram


logger = logging.getLogger(__name__)

MOST_SENTENCES = 1000  # of a list of phrases; what is longer, or hardly repeats, is no list
SENTENCE_ENDS = ".!?…:;\u037e\u0964\u3002\uff01\uff1f\u061f\u06d4"


def keep_transcripts(model: Lip2WavModel, clips: list[Clip], ngram_order: int | None) -> None:
    """
    Put into a generator what it is to keep of the transcripts of its training clips.

    Args:
        model ([`Lip2WavModel`]): the generator; forms that it has already stay where these clips have none.
        clips (`list[Clip]`): those that it is trained on.
        ngram_order (`int`, *optional*): of the n-gram; the generator's own one stays by default, 0 removes it.

    Raises:
        TrainingError: if the order is negative.
    """
    if ngram_order is not None and ngram_order < 0:
        raise TrainingError(f"--ngram_order {ngram_order}: it is a number of words; 0 for no n-gram.")
    config = model.config
    texts = list(_texts(clips, config.normalizer))
    config.written_words = (config.written_words or {}) | written_words(texts) or None
    config.written_sentences = (config.written_sentences or {}) | written_sentences(texts) or None
    if ngram_order is None:
        return
    model.ngram = estimate_ngram([clip.words or () for clip in clips], ngram_order) if ngram_order else None
    config.ngram_order = ngram_order
    if model.ngram is not None:
        logger.info("n-gram: %d n-grams of up to %d words.", len(model.ngram.scores), ngram_order)


def _texts(clips: Iterable[Clip], normalizer: TextNormalizer) -> Iterator[NormalizedText]:
    """The transcripts whose words are those of their clips."""
    for clip in clips:
        text = normalizer(clip.text) if clip.text else None
        if text is not None and text.words == clip.words:
            yield text


def written_words(texts: Iterable[NormalizedText]) -> dict[str, str]:
    """
    How words are written inside of sentences, where that is another form and always the same one. At the beginning of
    a sentence a capital letter says nothing.
    """
    forms: dict[str, set[str]] = defaultdict(set)
    for text in texts:
        end, boundary = 0, True
        for number, (word, (start, stop)) in enumerate(zip(text.words, text.spans, strict=True)):
            alone = text.spans.count((start, stop)) == 1  # else several words stand for a number, or for a joined word
            boundary = boundary if start < end else number == 0 or text.original[:start].rstrip()[-1] in SENTENCE_ENDS
            if alone and not boundary:
                forms[word].add(_bare(text.original[start:stop]))
            end = stop
    return {word: form for word, (form, *others) in sorted(forms.items()) if not others and form != word}


def _bare(piece: str) -> str:
    """A piece of text without the punctuation around it."""
    inner = [place for place, character in enumerate(piece) if unicodedata.category(character)[0] not in "PSCZ"]
    return piece[inner[0] : inner[-1] + 1] if inner else piece


def written_sentences(texts: Iterable[NormalizedText]) -> dict[str, str]:
    """How whole sentences are written, where they are few, repeat, and each is always written in the same way."""
    forms: dict[str, set[str]] = defaultdict(set)
    count = 0
    for text in texts:
        forms[" ".join(text.words)].add(" ".join(text.original.split()))
        count += 1
    if not forms or len(forms) > MOST_SENTENCES or count < 2 * len(forms):
        return {}
    return {text: form for text, (form, *others) in sorted(forms.items()) if not others and form != text}


__all__ = ["keep_transcripts", "written_sentences", "written_words"]
