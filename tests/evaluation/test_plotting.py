"""The picture of what was seen and said: every word can be read, and nothing heavy is imported before it is drawn."""

import itertools
import subprocess
import sys
import warnings

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

from lip2wav_hf.evaluation import plotting, report_plots
from lip2wav_hf.evaluation.clips import ClipRow
from lip2wav_hf.evaluation.plotting import draw_speech, log_mel_spectrogram, mel_positions, plot_speech
from lip2wav_hf.evaluation.report_plots import data_uri, draw_boxes, draw_confusion
from lip2wav_hf.grammar import GRAMMAR


RATE = 16000
CROWDED = "bin red at four blue four two please"


def speech(seconds=3.0):
    return np.random.default_rng(0).normal(0, 0.1, int(seconds * RATE)).astype(np.float32).clip(-1, 1)


def said(sentence, step, start=0.0):
    """The words one after the other, each `step` seconds long, less and less sure."""
    words = sentence.split()
    return [
        {"word": word, "start": start + index * step, "end": start + (index + 1) * step, "confidence": 1 / (1 + index)}
        for index, word in enumerate(words)
    ]


def colliding(figure) -> list[tuple[str, str]]:
    """Labels of ticks and axes that lie over each other, or partly outside of the picture, as they are drawn."""
    FigureCanvasAgg(figure).draw()
    found = []
    for axes in (*figure.axes, *(child for parent in figure.axes for child in parent.child_axes)):
        for axis in (axes.xaxis, axes.yaxis) if axes.axison else ():
            low, high = sorted(axis.get_view_interval())
            ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=False)  # an axis without labels
            labels = [label for place, label in ticks if low <= place <= high and label.get_visible()]
            found += [label for label in (*labels, axis.label) if label.get_text()]
    boxes = [(label.get_text(), label.get_rotation() % 90, label.get_window_extent()) for label in found]
    pairs = [
        (first, second)
        for (first, turned, box), (second, also, other) in itertools.combinations(boxes, 2)
        if not (turned and also) and box.overlaps(other)
    ]
    whole = figure.bbox.padded(1)
    return pairs + [(text, "outside") for text, _, box in boxes if box.x0 < whole.x0 or box.y0 < whole.y0]


@pytest.mark.parametrize("seconds", [0.5, 3.0])
@pytest.mark.parametrize("loudness", [0.0, 0.02, 0.1, 1.0])
@pytest.mark.parametrize("rate", [8000, 16_000, 50_000])
def test_labels_of_ticks_do_not_collide(seconds, loudness, rate):
    sound = np.random.default_rng(0).uniform(-loudness, loudness, int(seconds * rate)).astype(np.float32)
    assert colliding(draw_speech(sound, rate)) == []


@pytest.mark.parametrize("names", [["s1"], ["ann", "benedict", "cleopatra"], [f"synthetic{n}" for n in range(6)]])
def test_names_below_box_plots_do_not_collide(names):
    values = {"stoi": 0.5, "estoi": 0.4, "pesq_nb": 2.0, "pesq_wb": 1.5, "mcd": 5.0}
    rows = [
        ClipRow(name, str(n), numbers={key: value + n / 10 for key, value in values.items()})
        for name in names
        for n in range(4)
    ]
    assert colliding(draw_boxes(rows)) == []


def drawn_labels(figure) -> list[tuple[str, Bbox]]:
    """The texts in the words' panel and where they lie, in pixels, as they are really drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    panel = figure.axes[3]
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in panel.texts]


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        (said("bin blue at f three soon", 0.35, 0.3), 3.0),
        (said(CROWDED, 0.1, 0.5), 3.0),
        (said(CROWDED, 0.04), 3.0),
        (said(CROWDED, 0.04, 2.68), 3.0),  # up to the end of the sound
        (said(CROWDED, 0.01), 0.2),
        (said(" ".join([CROWDED] * 40), 0.25), 90.0),
        (said("please", 0.3), 1.0),
    ],
    ids=["calm", "crowded", "a frame each", "at the end", "short clip", "long clip", "one word"],
)
def test_every_word_is_labelled_and_no_two_labels_overlap(words, seconds):
    figure = draw_speech(speech(seconds), RATE, words)
    labels = drawn_labels(figure)
    assert [text for text, _ in labels] == [f"{word['word']} {word['confidence']:.0%}" for word in words]
    page, panel = figure.bbox, figure.axes[3].get_window_extent()
    for index, (text, box) in enumerate(labels):
        assert page.x0 <= box.x0 and box.x1 <= page.x1, f"{text} is cut off"
        assert panel.y0 <= box.y0 and box.y1 <= panel.y1, f"{text} lies outside of its panel"
        for other, other_box in labels[:index]:
            assert not box.overlaps(other_box), f"{text} overlaps {other}"


def test_labels_stand_below_their_words():
    words = said("bin blue at f three soon", 0.35, 0.3)
    figure = draw_speech(speech(), RATE, words)
    for word, text in zip(words, figure.axes[3].texts, strict=True):
        assert word["start"] < text.get_position()[0] < word["end"]


def test_the_picture_without_words_and_crops():
    figure = draw_speech(speech(0.1), RATE)
    assert [axes.get_ylabel() for axes in figure.axes] == ["mouth", "waveform", "mel spectrogram [kHz]", "words"]
    assert not drawn_labels(figure)


def test_panels_share_the_time_axis():
    crops = np.zeros((75, 40, 64), np.uint8)
    figure = draw_speech(speech(), RATE, said(CROWDED, 0.2), crops, title="clip.mpg")
    FigureCanvasAgg(figure).draw()
    edges = {(round(axes.get_window_extent().x0), round(axes.get_window_extent().x1)) for axes in figure.axes[:4]}
    assert len(edges) == 1 and all(axes.get_xlim() == (0, 3) for axes in figure.axes[:4])
    assert 5 < len(figure.axes[0].images) <= 24


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_file_appears_whole_and_can_be_read_by_others(tmp_path, suffix):
    path = tmp_path / f"speech{suffix}"
    plot_speech(path, speech(), RATE, said(CROWDED, 0.1))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    beside = tmp_path / "beside"
    beside.touch()
    assert path.stat().st_mode == beside.stat().st_mode
    if suffix == ".png":
        with Image.open(path) as picture:
            assert picture.width > 800 and picture.height > 400


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(ValueError):
        plot_speech(tmp_path / "speech.nothing", speech(), RATE)
    assert not list(tmp_path.iterdir())


def test_spectrogram_of_a_tone():
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    decibels = log_mel_spectrogram(tone, RATE)
    assert decibels.shape[0] == 80 and decibels.max() == 0 and decibels.min() == -80
    loudest = decibels[:, 20].argmax()
    assert abs(loudest + 0.5 - mel_positions([1000], RATE, 80)[0]) < 1


def test_matplotlib_waits_until_something_is_drawn():
    code = "import sys, lip2wav_hf.evaluation.plotting; assert 'matplotlib' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_characters_that_no_font_has_are_named_once(tmp_path, caplog, recwarn):
    word = {"word": "\U0001f9ff", "start": 0.1, "end": 0.4, "confidence": 1.0}
    for title in ("speaker \U0001f9ff", "again"):
        plot_speech(tmp_path / "a.png", np.zeros(8000, np.float32), 16000, [word], title=title)
    assert [record.getMessage() for record in caplog.records] == [
        "no font that pictures are drawn with has \U0001f9ff: boxes stand there instead"
    ]
    with pytest.warns(UserWarning, match="^another$"), plotting.naming_missing_glyphs():
        warnings.warn("another", UserWarning, stacklevel=1)
    assert not [each for each in recwarn if "Glyph" in str(each.message)]


def test_reports_name_them_too(caplog, recwarn):
    figure = Figure(figsize=(2, 2))
    figure.subplots().set_title("\U0001f9fe")
    data_uri(figure)
    assert "has \U0001f9fe: boxes" in caplog.text and not list(recwarn)


@pytest.mark.parametrize("slot", ["digit", "letter"])
def test_confused_words_are_where_they_were_laid_out_with_their_numbers(slot):
    words = GRAMMAR[slot]
    counts = dict.fromkeys(words, 900)
    confusions = {word: {words[0]: 400, "": 100} for word in words[1:]}
    laid_out = report_plots._confusion_figure(slot, layout="constrained")
    report_plots._draw_confusion(laid_out.subplots(), slot, counts, confusions)
    assert data_uri(draw_confusion(slot, counts, confusions)) == data_uri(laid_out)
