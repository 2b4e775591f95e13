"""The metrics' Spaces: each page is built, and its function scores two sounds and refuses what cannot be scored."""

import importlib
from pathlib import Path

import numpy as np
import pytest


gradio = pytest.importorskip("gradio", reason="the extra 'demo' is not installed")
pytest.importorskip("speechmos", reason="the extra 'evaluate' is not installed")

from lip2wav_hf.grid.corpus import sentence_words  # noqa: E402
from lip2wav_hf.metrics import METRICS, metric_folder  # noqa: E402
from lip2wav_hf.metrics.space import as_waveform  # noqa: E402
from lip2wav_hf.metrics.waveforms import WaveformError  # noqa: E402
from lip2wav_hf.synthetic.voice import synthesize_speech  # noqa: E402


RATE = 16_000
IDEAL = {
    "pesq": ("pesq_nb", 4.5486),
    "stoi": ("stoi", 1.0),
    "mcd": ("mcd_dtw", 0.0),
    "corr2d": ("corr2d", 1.0),
    "speaker_similarity": ("speaker_similarity", 1.0),
}


@pytest.fixture(scope="module")
def sound() -> tuple[int, np.ndarray]:
    """What an audio field of a page holds."""
    waveform = synthesize_speech(sentence_words("lgbz3a"), "synthetic1").waveform
    return RATE, (np.asarray(waveform) * 32767).astype(np.int16)


def build(name):
    return importlib.import_module(f"lip2wav_hf.metrics.{name}.app").build_page()


@pytest.mark.parametrize("name", METRICS)
def test_space_folder_is_complete(name):
    folder = Path(metric_folder(name))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "sdk: gradio" in card and "app_file: app.py" in card
    requirements = (folder / "requirements.txt").read_text(encoding="utf-8")
    assert "# lip2wav_hf[evaluate]: in a checkout, pip install '.[evaluate]'" in requirements
    assert "gradio" in requirements
    assert isinstance(build(name), gradio.Blocks)


@pytest.mark.parametrize("name", IDEAL)
def test_page_scores_two_sounds(name, sound):
    page = build(name)
    assert len(page.input_components) == 2
    key, ideal = IDEAL[name]
    assert page.fn(sound, sound)[key] == pytest.approx(ideal, abs=1e-3)
    stereo = (RATE, np.stack([sound[1], sound[1]], axis=1))
    assert page.fn(stereo, sound)[key] == pytest.approx(ideal, abs=1e-3)
    assert page.fn(sound, (RATE, np.zeros(len(sound[1]), np.int16)))[key] is None
    with pytest.raises(gradio.Error, match="the original is missing"):
        page.fn(sound, None)


def test_page_of_dnsmos_takes_one_sound(sound):
    page = build("dnsmos")
    assert len(page.input_components) == 1
    assert 1 < page.fn(sound)["dnsmos_ovrl"] < 5
    with pytest.raises(gradio.Error, match="too short"):
        page.fn((RATE, sound[1][:100]))


def test_page_of_grid_wer_takes_sound_or_text(sound):
    page, sentence = build("grid_wer"), " ".join(sentence_words("lgbz3a"))
    assert page.fn(sound, "", sentence)["heard"] == sentence
    by_text = page.fn(None, sentence.replace("green", "blue"), sentence)
    assert by_text["wer"] == pytest.approx(1 / 6, abs=1e-4)
    assert by_text["confusions"] == {"colour": {"green": {"blue": 1}}}
    with pytest.raises(gradio.Error, match="not a GRID sentence"):
        page.fn(sound, "", "hello")


def test_page_of_wer_takes_a_list_of_sentences(sound):
    page, sentence = build("wer"), " ".join(sentence_words("lgbz3a"))
    heard = page.fn(sound, "", sentence.title(), f"{sentence}\nPlace red at c four soon.")
    assert heard["heard"] == sentence and heard["wer"] == 0
    assert heard["judge"] == "pocketsphinx with a grammar, 2 sentences"
    assert page.fn(None, "Hello, you!", "hello there", "") == {"heard": "hello you", "wer": 0.5, "errors": 1}
    with pytest.raises(gradio.Error, match="the sentence is missing"):
        page.fn(sound, "", "", "")


def test_pages_of_texts():
    assert build("cer").fn("我能吞下玻", "我能吞下玻璃") == {"cer": 0.1667, "errors": 1, "characters": 6}
    page = build("phrase_accuracy")
    assert page.fn("yes\nyes", "yes\nno") == {
        "accuracy": 0.5, "chance_accuracy": 0.5, "most_frequent_accuracy": 0.5, "phrases": 2
    }  # fmt: skip
    for name, texts in (("cer", ("a", "")), ("phrase_accuracy", ("yes", "yes\nno"))):
        with pytest.raises(gradio.Error, match="the sentence is missing|1 texts for 2 sentences"):
            build(name).fn(*texts)


def test_sounds_of_other_rates_meet(sound):
    from lip2wav_hf.metrics.waveforms import resample

    at_48 = (48_000, resample(sound[1] / 32768, RATE, 48_000))
    assert build("stoi").fn(at_48, sound)["stoi"] > 0.99


def test_empty_sound_is_refused():
    for nothing in (None, (RATE, np.zeros(0, np.int16))):
        with pytest.raises(WaveformError, match="the sound is missing"):
            as_waveform(nothing, "the sound")
