"""How words and sentences of transcripts are written, restored where it is certain; and the n-gram that is kept."""

import dataclasses
from pathlib import Path

import pytest

from conftest import TINY_CONFIG
from lip2wav_hf import Clip, Lip2WavConfig, Lip2WavModel
from lip2wav_hf.grammar import TextNormalizer
from lip2wav_hf.training.arguments import TrainingError
from lip2wav_hf.training.transcripts import keep_transcripts, written_sentences, written_words

from .runs import run


def texts(*sentences, **rules):
    return [TextNormalizer(**rules)(sentence) for sentence in sentences]


def test_words_come_back_as_they_are_written():
    found = written_words(
        texts("It is I, Anna! It rains.", "Is Anna here? I hope (so).", "Rain, it says.", "well-known")
    )
    assert found == {"i": "I", "anna": "Anna"}  # "It", "Rain" only begin sentences; "it" is as it is
    assert written_words(texts("A Cat.", "a cat, a dog")) == {}  # two forms
    assert written_words(texts("das Haus", "ein Haus und ein Hof")) == {"haus": "Haus", "hof": "Hof"}
    pytest.importorskip("num2words")
    assert written_words(texts("we have 21 Cats", numbers="en")) == {"cats": "Cats"}


def test_sentences_of_a_list_come_back():
    phrases = ["It's eleven o'clock.", "Don't forget a jacket!", "yes"]
    assert written_sentences(texts(*phrases, *phrases)) == {
        "it's eleven o'clock": "It's eleven o'clock.",
        "don't forget a jacket": "Don't forget a jacket!",
    }
    assert written_sentences(texts(*phrases)) == {}  # nothing says that there are no others
    assert written_sentences(texts("Yes.", "Yes!", "yes", "No.", "No.", "No.")) == {"no": "No."}
    assert written_sentences([]) == {}


def clips(*sentences):
    normalize = TextNormalizer()
    return [
        Clip("s", str(number), Path("v.mp4"), normalize(sentence).words, text=sentence)
        for number, sentence in enumerate(sentences)
    ]


def test_a_generator_keeps_them_in_its_folder(tmp_path):
    model = Lip2WavModel(Lip2WavConfig(**TINY_CONFIG, vocabulary=["anna", "is", "here", "who"]))
    said = clips("Who is Anna?", "Who is Anna?", "here is Anna", "here is Anna")
    other = dataclasses.replace(said[0], name="other", words=("anna",))  # whose words are not those of its text
    keep_transcripts(model, [*said, other], 2)
    model.save_pretrained(tmp_path)
    loaded = Lip2WavModel.from_pretrained(tmp_path)
    assert loaded.config.written("here is anna") == "here is Anna" == loaded.config.written_sentences["here is anna"]
    assert loaded.config.written("who is anna") == "Who is Anna?"
    assert loaded.config.written("who is anna here is anna who is anna") == "Who is Anna? here is Anna Who is Anna?"
    assert loaded.config.written("here is anna who") == "here is Anna who"  # no sequence of sentences
    assert loaded.config.written("who is here anna", {"who is": "Who's", "here anna": "here?"}) == "Who's here?"
    assert loaded.config.written("anna is here") == "Anna is here" and loaded.config.written("") == ""
    assert loaded.ngram.order == 2 == loaded.config.ngram_order
    assert loaded.ngram.scores == pytest.approx(model.ngram.scores)

    keep_transcripts(loaded, clips("yes"), None)  # a fine-tuning that says nothing keeps what is there
    assert loaded.ngram is not None and loaded.config.written("who is anna") == "Who is Anna?"
    keep_transcripts(loaded, clips("yes"), 0)
    loaded.save_pretrained(tmp_path)
    assert not (tmp_path / "ngram.arpa").exists() and Lip2WavModel.from_pretrained(tmp_path).ngram is None
    with pytest.raises(TrainingError, match="--ngram_order -1"):
        keep_transcripts(loaded, said, -1)


def test_a_run_goes_on_with_what_it_kept(run_arguments, tmp_path):
    options = ("--text_units", "characters", "--ngram_order", 2, "--save_steps", 1)
    run(run_arguments, tmp_path, *options, "--max_steps", 1)
    state = run(run_arguments, tmp_path, *options, "--max_steps", 2, "--resume", "latest")
    assert state.progress.step == 2 and state.model.ngram.order == 2 and state.model.config.units.is_open
    with pytest.raises(TrainingError, match="text_units"):
        run(run_arguments, tmp_path, "--max_steps", 3, "--resume", "latest")
