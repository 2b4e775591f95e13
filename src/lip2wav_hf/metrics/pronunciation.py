"""Pronunciations of words that a recogniser's dictionary lacks: eSpeak NG's phonemes as ARPAbet.

For English the result is close to the dictionary of pocketsphinx (`tests/metrics/test_pronunciation.py` measures how
close). Phonemes of other languages become the nearest of English, which is rough: an acoustic model of English tells
such words apart where their vowels and consonants differ broadly, and no finer.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache

from lip2wav_hf.corpora.espeak import Espeak
from lip2wav_hf.errors import Lip2WavError


EXTRA, PURPOSE = "evaluate", "The pronunciation of words that the judge does not know"
ENGLISH = "en-us"

# Sequences come before what they begin with: the longest that fits is taken.
ENGLISH_PHONES = {
    "aɪɚ": "AY ER", "aɪə": "AY AH", "aɪ": "AY", "aʊ": "AW", "ɔɪ": "OY", "oɪ": "OY", "eɪ": "EY", "oʊ": "OW",
    "ɜːɹ": "ER", "ɜː": "ER", "ɜ": "ER", "ɚɹ": "ER", "ɚ": "ER", "oːɹ": "AO R", "ɔːɹ": "AO R", "ɑːɹ": "AA R",
    "ɛɹ": "EH R", "ɪɹ": "IH R", "ʊɹ": "UH R", "iə": "IY AH", "n̩": "AH N", "l̩": "AH L", "m̩": "AH M", "əl": "AH L",
    "iː": "IY", "i": "IY", "ɪ": "IH", "ᵻ": "AH", "ɛ": "EH", "e": "EH", "æ": "AE", "a": "AE", "ɐ": "AH", "ə": "AH",
    "ʌ": "AH", "ɑː": "AA", "ɑ": "AA", "ɔː": "AO", "ɔ": "AO", "oː": "AO", "o": "OW", "ʊ": "UH", "uː": "UW", "u": "UW",
    "tʃ": "CH", "dʒ": "JH", "p": "P", "b": "B", "t": "T", "ɾ": "T", "d": "D", "k": "K", "ɡ": "G", "f": "F", "v": "V",
    "θ": "TH", "ð": "DH", "s": "S", "z": "Z", "ʃ": "SH", "ʒ": "ZH", "h": "HH", "m": "M", "n": "N", "ŋ": "NG",
    "l": "L", "ɫ": "L", "ɹ": "R", "r": "R", "j": "Y", "w": "W", "ʔ": "T", "x": "K",
}  # fmt: skip
OTHER_PHONES = {
    "ai": "AY", "aɪ": "AY", "au": "AW", "aʊ": "AW", "ɔi": "OY", "oi": "OY", "ɔɪ": "OY", "ɔʏ": "OY", "ei": "EY",
    "eɪ": "EY", "ɛi": "EY", "ou": "OW", "oʊ": "OW", "əʊ": "OW", "əw": "OW",
    "i": "IY", "ɪ": "IH", "ᵻ": "IH", "ɨ": "IH", "ɿ": "IH", "ʅ": "IH", "y": "UW", "ʏ": "UW", "ʉ": "UW", "ɯ": "UW",
    "u": "UW", "ʊ": "UH", "e": "EH", "ɛ": "EH", "ø": "ER", "œ": "ER", "ɶ": "ER", "ɘ": "AH", "ɵ": "ER", "ɤ": "AH",
    "o": "OW", "ɔ": "AO", "ə": "AH", "ɜ": "ER", "ɞ": "ER", "ɐ": "AH", "ʌ": "AH", "ɚ": "ER", "ɝ": "ER", "æ": "AE",
    "a": "AA", "ɑ": "AA", "ɒ": "AA",
    "tʃ": "CH", "tɕ": "CH", "tʂ": "CH", "dʒ": "JH", "dʑ": "JH", "dʐ": "JH", "ts": "T S", "dz": "D Z",
    "p": "P", "b": "B", "ɓ": "B", "t": "T", "ʈ": "T", "d": "D", "ɖ": "D", "ɗ": "D", "c": "K", "k": "K", "q": "K",
    "ɟ": "G", "ɡ": "G", "g": "G", "ɠ": "G", "ɢ": "G", "ʄ": "G", "ʔ": "", "ʕ": "", "ʡ": "",
    "f": "F", "ɸ": "F", "v": "V", "ʋ": "V", "β": "V", "θ": "TH", "ð": "DH", "s": "S", "z": "Z", "ɬ": "L", "ɮ": "L",
    "ʃ": "SH", "ɕ": "SH", "ʂ": "SH", "ɧ": "SH", "ʒ": "ZH", "ʑ": "ZH", "ʐ": "ZH", "ç": "HH", "x": "HH", "χ": "HH",
    "ħ": "HH", "h": "HH", "ɦ": "HH", "ɣ": "G", "ʁ": "R", "r": "R", "ɹ": "R", "ɾ": "R", "ʀ": "R", "ɻ": "R", "ɽ": "R",
    "ɺ": "R", "m": "M", "ɱ": "M", "n": "N", "ɳ": "N", "ɲ": "N Y", "ŋ": "NG", "ɴ": "NG", "l": "L", "ɭ": "L", "ʎ": "L Y",
    "ʟ": "L", "ɫ": "L", "j": "Y", "ʝ": "Y", "ɥ": "Y", "w": "W", "ʍ": "W", "ɰ": "W",
}  # fmt: skip
NASAL = "\N{COMBINING TILDE}"
DEVOICED = str.maketrans("", "", "ˈˌ")

SCRIPTS = {
    "LATIN": ENGLISH, "GREEK": "el", "CYRILLIC": "ru", "ARMENIAN": "hy", "GEORGIAN": "ka", "HEBREW": "he",
    "ARABIC": "ar", "DEVANAGARI": "hi", "BENGALI": "bn", "GURMUKHI": "pa", "GUJARATI": "gu", "ORIYA": "or",
    "TAMIL": "ta", "TELUGU": "te", "KANNADA": "kn", "MALAYALAM": "ml", "SINHALA": "si", "THAI": "th",
    "MYANMAR": "my", "ETHIOPIC": "am", "HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja", "CJK": "cmn",
}  # fmt: skip
"""Scripts by the first word of Unicode's names of their letters, and a language of each that eSpeak NG reads."""

UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""Scripts that are written without spaces between words."""


class PronunciationError(Lip2WavError):
    """A word that cannot be pronounced."""


@cache
def _espeak() -> Espeak:
    return Espeak(EXTRA, PURPOSE)


def script_of(text: str) -> str | None:
    """
    The script that most letters of a text are of.

    Args:
        text (`str`): any text.

    Returns:
        `str`, *optional*: the first word of its letters' Unicode names, such as `"LATIN"`; `None` without a letter.
    """
    names = [unicodedata.name(letter, "").split("-")[0].split(" ")[0] for letter in text if letter.isalpha()]
    return Counter(names).most_common(1)[0][0] if names else None


def is_unspaced(texts: Iterable[str]) -> bool:
    """Whether texts are mostly in a script without spaces between words, so that words are no unit to count."""
    return script_of("".join(texts)) in UNSPACED


def language_of(texts: Iterable[str]) -> str:
    """
    A language that texts may be in, judged by their script: the one of `SCRIPTS`, `"en-us"` for Latin letters.

    Args:
        texts (iterable of `str`): words or sentences.
    """
    return SCRIPTS.get(script_of(" ".join(texts)) or "", ENGLISH)


def pronounce(word: str, language: str = ENGLISH) -> str:
    """
    The pronunciation of a word as eSpeak NG reads it.

    Args:
        word (`str`): the word, in any script.
        language (`str`, *optional*, defaults to `"en-us"`): the voice that reads it. A word in another script than
            that of the language, such as an English name in a Greek sentence, is read in the language of `SCRIPTS`.

    Returns:
        `str`: phones of ARPAbet without stress, such as `"HH AH L OW"`.

    Raises:
        PronunciationError: if nothing of it is spoken, as of a smiley.
        EspeakError: if there is no such language.
        MissingExtraError: if the package `espeakng-loader` is not installed.
    """
    espeak = _espeak()
    script = script_of(word)
    own = _script_of_language(language)
    espeak.set_voice(language if script in (None, own) or own is None else SCRIPTS.get(script or "", language))
    english = language.startswith("en") and script in (None, "LATIN")
    phones = to_arpabet(espeak.phonemes(word), english)
    if not phones:
        raise PronunciationError(f"the word {word!r} has no pronunciation: write it with letters, as it is spoken.")
    return " ".join(phones)


def _script_of_language(language: str) -> str | None:
    """The script that a language is written in; `None` for one in Latin letters that is not in `SCRIPTS`, or more."""
    names = [script for script, own in SCRIPTS.items() if own == language]
    return names[0] if len(names) == 1 else None


def to_arpabet(phonemes: Iterable[str], english: bool = True) -> list[str]:
    """
    ARPAbet, without stress, for phonemes of the International Phonetic Alphabet.

    Args:
        phonemes (iterable of `str`): as `Espeak.phonemes` gives them; stress, tones and lengths do not count.
        english (`bool`, *optional*, defaults to `True`): whether they are English; the same symbol may stand for
            another sound in other languages.

    Returns:
        `list[str]`: phones; symbols that stand for no sound of their own, such as a glottal stop, are left out.
    """
    table = ENGLISH_PHONES if english else OTHER_PHONES
    text = "".join(phonemes).translate(DEVOICED)
    text = unicodedata.normalize("NFC" if english else "NFD", text)
    if not english:
        text = text.replace("c\N{COMBINING CEDILLA}", "ç")
    found: list[str] = []
    position = 0
    while position < len(text):
        for length in (3, 2, 1):
            if text[position : position + length] in table:
                found += table[text[position : position + length]].split()
                break
        else:
            length = 1
            if text[position] == NASAL:
                found.append("N")
        position += length
    return found


__all__ = [
    "ENGLISH",
    "PronunciationError",
    "is_unspaced",
    "language_of",
    "pronounce",
    "script_of",
    "to_arpabet",
]
