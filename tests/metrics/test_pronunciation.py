"""Pronunciations from eSpeak NG: beside the dictionary of pocketsphinx, and of other scripts."""

import random

import pytest


pocketsphinx = pytest.importorskip("pocketsphinx", reason="the extra 'evaluate' is not installed")
pytest.importorskip("espeakng_loader", reason="the extra 'evaluate' is not installed")

from lip2wav_hf.corpora.espeak import Espeak, EspeakError  # noqa: E402
from lip2wav_hf.metrics.pronunciation import (  # noqa: E402
    ENGLISH_PHONES,
    OTHER_PHONES,
    PronunciationError,
    is_unspaced,
    language_of,
    pronounce,
    script_of,
    to_arpabet,
)
from lip2wav_hf.metrics.words import word_errors  # noqa: E402


WORDS = 3000
PHONE_ERROR_RATE = 0.11  # 0.100 to 0.104 on samples of 3000
COMMON = {"blue", "green", "o'clock", "tomorrow", "airplane", "surface", "minutes", "doctor", "seven", "yesterday"}
TEXTS = {
    "de": "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich",
    "fr": "Portez ce vieux whisky au juge blond qui fume un bon œuf cueilli",
    "es": "El veloz murciélago hindú comía feliz cardillo y kiwi, la cigüeña tocaba",
    "el": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία, καλημέρα σου",
    "ru": "Съешь же ещё этих мягких французских булок да выпей чаю",
    "hi": "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश",
    "ar": "نص حكيم له سر قاطع وذو شأن عظيم",
    "ur": "ٹھنڈ میں ایک قحط زدہ گاؤں سے گذرتے وقت",
    "ja": "いろはにほへと ちりぬるを",
    "ko": "키스의 고유조건은 입술끼리 만나야 하고",
    "cmn": "我能吞下玻璃而不伤身体",
    "th": "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "vi": "Do bạch kim rất quý nên sẽ dùng để lắp vô xương",
    "tr": "Pijamalı hasta yağız şoföre çabucak güvendi",
    "pl": "Zażółć gęślą jaźń, pchnąć w tę łódź jeża",
    "ka": "სწრაფი ყავისფერი მელა",
    "he": "דג סקרן שט בים מאוכזב",
    "sw": "Mbweha mwepesi wa kahawia anaruka",
}


@pytest.fixture(scope="module")
def dictionary() -> dict[str, list[str]]:
    words: dict[str, list[str]] = {}
    with open(f"{pocketsphinx.get_model_path()}/en-us/cmudict-en-us.dict", encoding="utf-8") as file:
        for line in file:
            word, phones = line.strip().split(" ", 1)
            words.setdefault(word.partition("(")[0], []).append(phones)
    return words


def test_english_is_close_to_the_dictionary(dictionary):
    """Names and foreign words are most of the dictionary: common words are closer."""
    words = random.Random(0).sample(sorted(word for word in dictionary if word.isalpha()), WORDS)
    errors = phones = right = 0
    for word in words:
        found = pronounce(word)
        wrong, nearest = min((word_errors(phones, found), phones) for phones in dictionary[word])
        errors, phones, right = errors + wrong, phones + len(nearest.split()), right + (wrong == 0)
    print(f"phone error rate {errors / phones:.3f}, words all right {right / WORDS:.3f}, of {WORDS} words")
    assert errors / phones < PHONE_ERROR_RATE and right / WORDS > 0.55
    assert sum(min(word_errors(each, pronounce(word)) for each in dictionary[word]) for word in COMMON) <= 3


def test_phones_are_those_of_the_recogniser(dictionary):
    known = {phone for each in dictionary.values() for phones in each for phone in phones.split()}
    for table in (ENGLISH_PHONES, OTHER_PHONES):
        assert {phone for phones in table.values() for phone in phones.split()} <= known


@pytest.mark.parametrize("language", TEXTS)
def test_every_letter_sound_of_other_languages_has_a_phone(language):
    """What is not in the table is a mark: of stress, tone, length or manner."""
    espeak = Espeak("evaluate", "a test")
    espeak.set_voice(language)
    symbols = {symbol for phoneme in espeak.phonemes(TEXTS[language]) for symbol in phoneme}
    espeak.close()
    sounds = {symbol for symbol in symbols if symbol.isalpha() and symbol not in "ʰʲˤːˈˌˑʷᵊᵝ"}
    silent = {symbol for symbol in sounds if not to_arpabet([symbol], english=False)}
    assert silent <= set("ʔʕ"), silent
    assert all(len(pronounce(word, language)) for word in TEXTS[language].replace(",", "").split())


@pytest.mark.parametrize(
    ("word", "language", "phones"),
    [
        ("hello", "en-us", "HH AH L OW"),
        ("καλημέρα", "el", "K AA L IY M EH R AA"),
        ("καλημέρα", "en-us", "K AA L IY M EH R AA"),  # the script goes before the language
        ("hello", "el", "HH AH L OW"),
        ("brötchen", "de", "B R ER T HH AH N"),
        ("7", "de", "Z IY B AH N"),
        ("Hello", "ta", "HH AH L OW"),
    ],
)
def test_words_are_read_in_their_language(word, language, phones):
    assert pronounce(word, language) == phones


def test_what_cannot_be_spoken_is_refused():
    with pytest.raises(PronunciationError, match="the word '…' has no pronunciation: write it with letters"):
        pronounce("…")
    with pytest.raises(EspeakError, match="no voice 'xyz': choose a language, such as en-us or de"):
        pronounce("hello", "xyz")


def test_scripts():
    assert script_of("Γεια σου, Bob") == "GREEK" and script_of("12, …") is None
    assert language_of(["γεια", "σου"]) == "el" and language_of(["bin blue"]) == language_of([]) == "en-us"
    assert is_unspaced(["我能吞下玻璃"]) and is_unspaced(["สวัสดี"]) and is_unspaced(["こんにちは 世界"])
    assert not is_unspaced(["안녕 세상"]) and not is_unspaced(["hello"]) and not is_unspaced([])
