"""Judges of any words: which one is chosen, what it is told, what it hears."""

import pickle

import numpy as np
import pytest


evaluate = pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")
pytest.importorskip("espeakng_loader", reason="the extra 'evaluate' is not installed")

from lip2wav_hf import load_clips, read_audio  # noqa: E402
from lip2wav_hf.corpora.espeak import Espeak  # noqa: E402
from lip2wav_hf.grammar import GRAMMAR, Grammar  # noqa: E402
from lip2wav_hf.metrics import metric_folder  # noqa: E402
from lip2wav_hf.metrics.judge import GRID_JUDGE, Judge, JudgeError, choose_judge  # noqa: E402
from lip2wav_hf.metrics.recognizers import GrammarRecognizer, recognizer  # noqa: E402
from lip2wav_hf.metrics.waveforms import WaveformError, resample  # noqa: E402
from little_recogniser import write_asr_model  # noqa: E402


RATE = 16_000
SENTENCES = ("It's eleven o'clock.", "The surface is slick.", "Don't forget a jacket.", "Zorblax wants a flumbit!")
WORDS = ("it's eleven o'clock", "the surface is slick", "don't forget a jacket", "zorblax wants a flumbit")
GREEK = ("καλημέρα σου", "τι ώρα είναι", "καληνύχτα μαρία", "πού είναι το βιβλίο")


def speak(text, language="en-us"):
    """A sentence in eSpeak's voice, 16 kHz, with silence around."""
    espeak = Espeak("evaluate", "a test")
    espeak.set_voice(language)
    pcm, _ = espeak.speak(text, 140, 50, 50)
    espeak.close()
    return np.pad(resample(pcm / 32768, espeak.sampling_rate, RATE), 4000)


@pytest.mark.parametrize(
    ("sentences", "corpus", "language", "kind"),
    [
        (["bin blue at f two now"], None, None, "grid"),
        (["one"], ["one", "two", "one", "two"], None, "sentences"),
        (["one"], ["one", "two", "three"], None, "open"),
        (["bin blue at f two now", "hello"], None, None, "open"),
        (["καλημέρα"], ["καλημέρα", "γεια"], None, None),
        (["guten morgen"], None, "de", None),
        ([], None, None, None),
    ],
)
def test_a_judge_is_chosen_by_what_is_said(sentences, corpus, language, kind):
    judge = choose_judge(sentences, corpus, language)
    assert (judge.kind if judge else None) == kind


def test_a_judge_is_told_sentences_in_normalised_words():
    judge = Judge.of_sentences([*SENTENCES, "it's eleven o'clock"])
    assert judge.phrases == tuple(sorted(WORDS)) and judge.accepts("the surface is slick")
    assert not judge.accepts("the surface") and judge.language == "en-us"
    assert judge.describe() == "pocketsphinx with the 4 sentences of the corpus"
    assert pickle.loads(pickle.dumps(judge)) == judge and hash(judge) == hash(pickle.loads(pickle.dumps(judge)))
    assert "judge_grammar_sha256" in judge.settings() and not GRID_JUDGE.settings()
    greek = Judge.of_sentences(["Γεια σου!"])
    assert greek.language == "el"
    assert greek.describe().endswith("one sentence of the corpus, pronounced by eSpeak NG's voice 'el'")


def test_a_grammar_is_read_from_a_file(tmp_path):
    (tmp_path / "some.jsgf").write_text("#JSGF V1.0; grammar g; public <s> = Bin (Blue | well-known) [now];")
    judge = Judge.of_grammar(tmp_path / "some.jsgf")
    assert judge.phrases == ("bin blue", "bin blue now", "bin well known", "bin well known now")
    assert judge.describe() == "pocketsphinx with some.jsgf, 4 sentences"
    grid = Judge.of_grammar(GRAMMAR)
    assert grid.phrases is None and grid.accepts("bin blue at f two now")
    endless = Judge.of_grammar("public <s> = (yes | well-known)+;")
    assert endless.phrases is None and endless.accepts("yes well known yes") and not endless.accepts("well")
    with pytest.raises(JudgeError, match=r"'\.\.\.' is no word"):
        Judge.of_grammar('public <s> = yes+ "...";')


def test_guessing_has_a_word_error_rate():
    judge = Judge.of_sentences(["a b", "a c"])
    assert judge.chance_wer(["a b", "a c", "a c"]) == pytest.approx(1.5 / 6)
    assert Judge("open").chance_wer(["a b"]) is None and GRID_JUDGE.chance_wer([]) == pytest.approx(0.81, abs=0.01)


def test_names_of_judges():
    assert Judge.named("grid") == GRID_JUDGE and Judge.named("open").kind == "open"
    assert Judge.named("sentences", ["one", "one", "two"]).phrases == ("one", "two")
    assert Judge.named("some/model").name == "some/model"
    with pytest.raises(JudgeError, match="needs 1 to 1000, not 0: choose another judge"):
        Judge.named("sentences", [])


@pytest.mark.parametrize(("sentences", "language"), [(SENTENCES, "en-us"), (GREEK, "el")])
def test_every_sentence_of_a_list_is_heard(sentences, language):
    """Words that no dictionary has, and another script, in a voice that did not make the acoustic model."""
    judge = Judge.of_sentences(sentences)
    hear = recognizer(judge).transcribe
    assert [hear(speak(sentence, language), RATE) for sentence in sentences] == [
        " ".join(Judge.of_sentences([sentence]).grammar.sentences()) for sentence in sentences
    ]
    assert hear(np.zeros(RATE), RATE) == "" == hear(np.zeros(10), RATE)
    with pytest.raises(WaveformError, match="NaN"):
        hear(np.full(RATE, np.nan), RATE)


def test_sentences_are_equally_likely_and_loops_are_possible():
    from lip2wav_hf.metrics.recognizers import _transitions

    grammar = Grammar.from_phrases(["a b", "a c", "d"])
    tokens = {word: word for word in grammar.words}
    steps, end = _transitions(grammar, tokens)
    assert {word: share for _, _, share, word in (step for step in steps if len(step) == 4)} == pytest.approx(
        {"a": 2 / 3, "d": 1 / 3, "b": 1 / 2, "c": 1 / 2}
    )
    assert all(step[1] == end for step in steps if len(step) == 3)
    loop = GrammarRecognizer(Grammar.from_jsgf("public <s> = (yes | no)+;"))
    assert loop.transcribe(speak("no yes yes"), RATE) == "no yes yes"


def test_words_of_the_dictionary_keep_its_pronunciations():
    recognizer = GrammarRecognizer(Grammar.from_phrases(["a zorblax"]))
    assert recognizer.pronunciations("a") == ["AH", "EY"] and len(recognizer.pronunciations("zorblax")) == 1
    assert recognizer.pronunciations("a", "de") == ["AA"]


def test_open_english_hears_words_of_its_dictionary():
    hears = recognizer(Judge("open"))
    heard = hears.transcribe(speak("the president of the united states"), RATE).split()
    assert len(heard) > 2 and all(hears.decoder.lookup_word(word) for word in heard)


@pytest.fixture(scope="module")
def asr_model(tmp_path_factory):
    return write_asr_model(tmp_path_factory.mktemp("asr"))


def test_a_recogniser_of_transformers_is_a_judge(asr_model, capsys):
    judge = Judge.named(str(asr_model))
    hears = recognizer(judge)
    assert "Loading" not in capsys.readouterr().err  # no bar of its weights
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE)
    heard = hears.transcribe(noise, RATE)
    assert heard == hears.transcribe(noise, RATE) and isinstance(heard, str)
    hears.pipe = lambda sound, **options: {
        "text": f" The 7 B. {sound['sampling_rate']}, {len(sound['raw'])} {options}"
    }
    assert hears.transcribe(noise, RATE).startswith("the seven b eight thousand sixteen thousand")
    assert "chunk" in hears.transcribe(np.tile(noise, 16), RATE)
    hears.pipe = lambda sound: {"text": "B 7.7.7"}
    assert hears.transcribe(noise, RATE) == "b 7 7 7"  # no number, but no reason to stop
    assert hears.transcribe(np.zeros(RATE), RATE) == ""
    assert str(asr_model) in judge.describe()
    recognizer.cache_clear()


def test_weights_that_are_pickled_are_refused(asr_model, tmp_path):
    import shutil

    import torch
    from safetensors.torch import load_file

    folder = shutil.copytree(asr_model, tmp_path / "pickled")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    for name in (str(folder), str(tmp_path / "nothing")):
        with pytest.raises(JudgeError, match="cannot be loaded.*weights in safetensors"):
            recognizer(Judge.named(name))


def test_module_judges_any_sentences():
    wer = evaluate.load(metric_folder("wer"))
    sounds = [speak(sentence) for sentence in SENTENCES[:2]]
    options = {"sampling_rate": RATE, "grammar": SENTENCES}
    result = wer.compute(predictions=sounds, references=SENTENCES[:2], reference_waveforms=sounds[::-1], **options)
    assert result["wer"] == 0 < result["floor_wer"] and result["transcripts"] == list(WORDS[:2])
    assert result["judge"] == "pocketsphinx with a grammar, 4 sentences" and 0.5 < result["chance_wer"] < 1.2
    assert wer.compute(predictions=["The surface"], references=["the surface is slick"])["deletions"] == 2
    said = "bin blue at f two now"
    grid = wer.compute(predictions=[speak(said)], references=[said], sampling_rate=RATE)
    assert grid["judge"] == GRID_JUDGE.describe() and grid["chance_wer"] == pytest.approx(0.81, abs=0.01)
    for arguments, message in (
        ({"grammar": SENTENCES, "judge": "open"}, "takes no grammar"),
        ({"grammar": []}, "there is no sentence in it"),
    ):
        with pytest.raises(ValueError, match=message):
            wer.compute(predictions=sounds[:1], references=SENTENCES[:1], sampling_rate=RATE, **arguments)
    with pytest.raises(WaveformError, match="sampling_rate is missing"):
        wer.compute(predictions=sounds[:1], references=SENTENCES[:1])


def test_characters_are_counted():
    cer = evaluate.load(metric_folder("cer"))
    result = cer.compute(predictions=["我能吞下玻", "ab c"], references=["我能吞下玻璃", "ab d"])
    assert (result["errors"], result["characters"], result["deletions"]) == (2, 10, 1)
    assert cer.compute(predictions=["我 能"], references=["我能"])["cer"] == 0  # words that a decoder put there
    assert cer.compute(predictions=["abc"], references=["a bc"])["errors"] == 1  # a space is a character
    assert cer.compute(predictions=[""], references=["abc"])["cer"] == 1
    assert cer.compute(predictions=["e\u0301"], references=["\u00e9"])["cer"] == 0


def test_phrases_are_counted():
    phrase_accuracy = evaluate.load(metric_folder("phrase_accuracy"))
    result = phrase_accuracy.compute(
        predictions=["yes", "no", "no way", ""], references=["yes", "yes", "no", "no"], phrases=["yes", "no", "maybe"]
    )
    assert result["accuracy"] == 0.25 and result["chance_accuracy"] == pytest.approx(1 / 3)
    assert result["most_frequent_accuracy"] == 0.5 and result["right"] == [True, False, False, False]
    with pytest.raises(ValueError, match="the reference 'yes' is not among the 1 phrases"):
        phrase_accuracy.compute(predictions=["yes"], references=["yes"], phrases=["no"])


def test_real_people_who_say_twelve_sentences(grid_dir):
    """The floor of CREMA-D: the original sound of every fourth clip."""
    folder = grid_dir.parent / "crema-d"
    if not folder.is_dir():
        pytest.skip(f"no real data: there is no folder {folder}")
    clips = [clip for own in load_clips(folder).values() for clip in own]
    sentences = [" ".join(clip.words) for clip in clips]
    judge = choose_judge(sentences)
    assert judge.describe() == "pocketsphinx with the 12 sentences of the corpus"
    hear = recognizer(judge).transcribe
    pairs = list(zip(clips, sentences, strict=True))[::4]
    right = [hear(read_audio(clip.source, RATE), RATE) == sentence for clip, sentence in pairs]
    assert np.mean(right) > 0.9
    said = clips[sentences.index("that is exactly what happened")]
    heard = recognizer(Judge("open")).transcribe(read_audio(said.source, RATE), RATE)
    assert len({"that", "is", "exactly", "what", "happened"} & set(heard.split())) >= 2
