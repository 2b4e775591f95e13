"""Which recordings are held back, and which sentences the model may answer with."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence

from ..corpora.clips import Clip
from ..corpora.made_splits import shuffled
from ..errors import check_path, counted, with_article
from ..files import read_text
from ..grammar import Grammar, GrammarError, TextNormalizer, TextUnits
from .records import AdaptationError


FEWEST_TO_HOLD_BACK = 4  # of recordings; with less, each is needed for learning
SHARE_HELD_BACK = 0.2
MOST_HELD_BACK = 12
SHORT_PHRASE = 1  # words: a list of such is one of phrases, also where none is said twice
MOST_PHRASES = 2000


def hold_back(clips: Sequence[Clip], known: TextUnits, seed: int) -> list[Clip]:
    """
    The recordings that a model is measured on, and does not learn from: a fifth, at most twelve.

    One is held back only if nothing would go unlearnt: its sentence is said in a recording that stays, or it is a
    sentence of several words that the starting model knows. Sentences take turns, so that as many as possible are
    measured.

    Args:
        clips (sequence of [`Clip`]): all that can be used.
        known ([`TextUnits`]): what the starting model knows.
        seed (`int`): of the choice.

    Returns:
        `list[Clip]`: in the order of `clips`; empty for three recordings or fewer, and where each is needed.
    """
    if len(clips) < FEWEST_TO_HOLD_BACK:
        return []
    wanted = min(max(round(SHARE_HELD_BACK * len(clips)), 1), MOST_HELD_BACK)
    left, taken = Counter(clip.words for clip in clips), Counter()
    order = {key: place for place, key in enumerate(shuffled(str(seed), [clip.key for clip in clips]))}
    held: set[str] = set()
    while len(held) < wanted:
        candidates = [
            clip
            for clip in clips
            if clip.key not in held
            and (
                left[clip.words] > 1 or (len(clip.words or ()) > SHORT_PHRASE and not known.unknown(clip.words or ()))
            )
        ]
        if not candidates:
            break
        clip = min(candidates, key=lambda clip: (taken[clip.words], order[clip.key]))
        held.add(clip.key)
        left[clip.words] -= 1
        taken[clip.words] += 1
    return [clip for clip in clips if clip.key in held]


def in_turns(clips: Sequence[Clip]) -> list[Clip]:
    """The clips with sentences taking turns: the first recording of each, then the second of each, and so on."""
    turns: Counter[tuple[str, ...] | None] = Counter()
    order = []
    for place, clip in enumerate(clips):
        order.append((turns[clip.words], place))
        turns[clip.words] += 1
    return [clips[place] for _, place in sorted(order)]


def find_phrases(
    clips: Sequence[Clip],
    phrases: Sequence[str] | None = None,
    normalizer: TextNormalizer | None = None,
    listed: Sequence[Clip] = (),
) -> tuple[str, ...]:
    """
    The sentences that the model answers with, unless a call says otherwise.

    Args:
        clips (sequence of [`Clip`]): all recordings that can be used.
        phrases (sequence of `str`, *optional*): what somebody chose; empty for none.
        normalizer ([`TextNormalizer`], *optional*): of the starting model; lower case without
            punctuation by default.
        listed (sequence of [`Clip`], *optional*): all recordings, also those that cannot be used, or for which there
            was no time. Whether sentences are phrases is seen in them too.

    Returns:
        `tuple[str, ...]`: as the vocabulary spells them. Those that were chosen; else those of the recordings, where
        there are two or more, and each is said twice or more on average, or all are single words; else none: any
        sentence may be said.

    Raises:
        AdaptationError: if the phrases that were chosen lack a sentence that was recorded, or have a word that no
            recording has.
    """
    said = _sentences(clips)
    if phrases is None:
        groups = (clips, [clip for clip in listed if clip.words])
        is_list = len(said) > 1 and any(_are_phrases(group) for group in groups)
        return said if is_list and len(said) <= MOST_PHRASES else ()
    normalizer = normalizer or TextNormalizer()
    chosen = tuple(dict.fromkeys(" ".join(normalizer(phrase).words) for phrase in phrases if phrase.strip()))
    if not chosen:
        return ()
    missing = [phrase for phrase in said if phrase not in chosen]
    if missing:
        raise AdaptationError(
            f"the phrases lack {counted(len(missing), 'sentence')} of the recordings, such as {missing[0]!r}: add it,"
            " or take the recording away."
        )
    return chosen


def _sentences(clips: Sequence[Clip]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(" ".join(clip.words or ()) for clip in clips))


def _are_phrases(clips: Sequence[Clip]) -> bool:
    """Whether each sentence is said twice or more on average, or all are single words."""
    said = _sentences(clips)
    return bool(said) and (len(clips) >= 2 * len(said) or all(" " not in phrase for phrase in said))


def read_phrases(phrases: Sequence[str] | str | None) -> list[str] | None:
    """A list of phrases, or the file of one, a sentence on each line; `"none"` for any sentence.

    Raises:
        AdaptationError: if the file cannot be read, or holds no sentence.
    """
    if phrases is None:
        return None
    if isinstance(phrases, os.PathLike):
        phrases = os.fspath(phrases)
    if not isinstance(phrases, str):
        if isinstance(phrases, bytes) or not isinstance(phrases, Iterable):
            raise AdaptationError(
                f"phrases={phrases!r}: it must be a list of sentences, the name of a text file or 'none', not"
                f" {with_article(type(phrases).__name__)}."
            )
        found = list(phrases)
        for phrase in found:
            check_path(phrase, "an entry of phrases", "a sentence", AdaptationError)
        return found
    if phrases == "none":
        return []
    try:
        found = [line.strip() for line in read_text(phrases).splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise AdaptationError(
            f"phrases {phrases}: it cannot be read as text ({why}). Name a file with a sentence on each line."
        ) from error
    if not found:
        raise AdaptationError(
            f"phrases {phrases}: there is no sentence in this file. Write one on each line, or say none for any words."
        )
    return found


def written_forms(
    phrases: Sequence[str], chosen: Sequence[str] | None, clips: Sequence[Clip], normalizer: TextNormalizer
) -> dict[str, str]:
    """
    How people write the sentences that the model answers with.

    Args:
        phrases (sequence of `str`): as from [`find_phrases`].
        chosen (sequence of `str`, *optional*): what somebody chose.
        clips (sequence of [`Clip`]): all recordings that can be used.
        normalizer ([`TextNormalizer`]): of the starting model.

    Returns:
        `dict[str, str]`: phrase -> how it is written, where that is another form: as it was chosen; else as all its
        transcripts have it.
    """
    asked, said = {}, {}
    for text in chosen or ():
        asked.setdefault(" ".join(normalizer(text).words), " ".join(text.split()))
    for clip in clips:
        said.setdefault(" ".join(clip.words or ()), set()).add(" ".join((clip.text or "").split()))
    always = {phrase: form for phrase, (form, *others) in said.items() if form and not others}
    forms = always | asked
    return {phrase: forms[phrase] for phrase in phrases if forms.get(phrase, phrase) != phrase}


def grammar_of(phrases: Sequence[str], clips: Sequence[Clip], starting: str | None) -> str | None:
    """
    The grammar that the model's configuration gets.

    Args:
        phrases (sequence of `str`): as from [`find_phrases`].
        clips (sequence of [`Clip`]): all recordings that can be used.
        starting (`str`, *optional*): grammar of the starting model, in JSGF.

    Returns:
        `str`, *optional*: JSGF of the phrases; without any, that of the starting model, if it has all sentences that
        were recorded; else none.
    """
    if phrases:
        return Grammar.from_phrases(phrases).to_jsgf("phrases")
    if starting is None:
        return None
    try:
        grammar = Grammar.from_jsgf(starting)
    except GrammarError:
        return None
    return starting if all(grammar.accepts(" ".join(clip.words or ())) for clip in clips) else None


__all__ = ["find_phrases", "grammar_of", "hold_back", "in_turns", "read_phrases", "written_forms"]
