"""Evaluation of words: which judge hears them, phrases and characters, recordings without sound."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest


pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")
pytest.importorskip("espeakng_loader", reason="the extra 'evaluate' is not installed")

from lip2wav_hf.audio import write_audio
from lip2wav_hf.errors import Lip2WavError
from lip2wav_hf.evaluation.clips import Clip, ClipRow
from lip2wav_hf.evaluation.evaluate import evaluate_folders
from lip2wav_hf.evaluation.judging import choose_metrics, find_words, judge_notes, language_remarks, without_sound
from lip2wav_hf.evaluation.options import EvaluationError, JudgeOptions
from lip2wav_hf.evaluation.report import markdown_table
from lip2wav_hf.evaluation.scoring import read_sound, score_files
from lip2wav_hf.hub.card_results import Measurement, results_table
from lip2wav_hf.metrics.heard import score_clip
from lip2wav_hf.metrics.judge import GRID_JUDGE, Judge
from lip2wav_hf.metrics.pairs import SoundPair
from lip2wav_hf.metrics.registry import METRICS
from little_grid import run
from little_recogniser import write_asr_model
from little_videos import mute


RATE = 16_000
PHRASES = ("Maybe tomorrow.", "The surface is slick!")
GRID = "bin blue at f two now"


def clips_of(sentences, suffix=".mp4"):
    return [Clip("a", str(n), Path(f"{n}{suffix}"), Path(f"{n}.wav"), each) for n, each in enumerate(sentences)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, talking_video):
    """Two people who say two phrases, twice each."""
    return write_corpus(tmp_path_factory.mktemp("phrases"), talking_video, PHRASES)


def write_corpus(folder, video, phrases, times=2, speakers=("ann", "ben")):
    rows = []
    for speaker in speakers:
        for number, phrase in enumerate(phrases * times):
            name = f"{speaker}-{number}.mp4"
            shutil.copy(video, folder / name)
            rows.append((name, phrase, speaker, "test"))
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("file_name", "transcription", "speaker", "split"), *rows])
    return folder


def test_the_judge_follows_from_what_is_said():
    nothing = JudgeOptions()
    assert find_words([GRID, GRID], nothing).judge == GRID_JUDGE and find_words([GRID], nothing).phrases is None
    words = find_words(["yes"], nothing, lambda: ["yes", "no", "no", "yes"])
    assert words.judge.kind == "sentences" and words.phrases == ("no", "yes")
    assert find_words(["hello"], nothing, lambda: ["hello", "you"]).judge.kind == "open"
    assert find_words(["γεια"], nothing).judge is None and not find_words([], nothing).judge
    assert find_words(["你好", "再见"], nothing).unspaced


def test_the_judge_of_sentences_knows_all_of_the_corpus():
    """However few of them are measured, of GRID too: what is spoken would else be easy to guess."""
    spoken = [GRID, "place red in b one soon", "lay white with p two please"]
    judge = find_words(spoken[:1], JudgeOptions("sentences"), lambda: spoken).judge
    assert judge.phrases == tuple(sorted(spoken)) and 0 < judge.chance_wer(spoken[:1]) < 1
    assert find_words(["yes"], JudgeOptions("sentences"), lambda: ["yes", "no"]).judge.phrases == ("no", "yes")
    assert find_words(spoken[:1], JudgeOptions("open"), lambda: pytest.fail("they do not matter")).judge


def test_a_judge_of_english_says_so_where_the_corpus_is_in_another_language():
    spoken = find_words(["guten tag"], JudgeOptions(), lambda: ["guten tag", "bitte sehr"])
    [remark] = language_remarks(spoken, ["de"])
    assert spoken.judge.kind == "open" and "in de," in remark and "--judge NAME" in remark and "floor" in remark
    of_list = find_words(["guten tag"] * 2, JudgeOptions())
    assert "--judge-language de" in language_remarks(of_list, ["de", "fr"])[0]
    for languages in ([], ["en"], ["en-GB", "de"]):
        assert language_remarks(spoken, languages) == []
    assert language_remarks(find_words(["guten tag"] * 2, JudgeOptions(language="de")), ["de"]) == []
    for other in (find_words([GRID], JudgeOptions()), find_words(["ja"], JudgeOptions("some/model"))):
        assert language_remarks(other, ["de"]) == []


def test_a_judge_that_does_not_understand_the_recordings_is_said_so():
    for floor, said in ((2.333, True), (0.2, False), (None, False)):
        results = {"judge": "pocketsphinx", "overall": {"floor_wer": {"value": floor}}}
        assert any("hears 233 % of the words wrong" in note for note in judge_notes(results)) == said
    assert len(judge_notes({"judge": "pocketsphinx"})) == 1


def test_the_judge_can_be_chosen(tmp_path):
    (tmp_path / "some.txt").write_text("Yes.\nNo!\n")
    words = find_words([GRID], JudgeOptions(grammar=str(tmp_path / "some.txt")))
    assert words.phrases == ("no", "yes") and words.judge.name == "some.txt"
    words = find_words(["yes"], JudgeOptions("open"), lambda: ["yes", "no", "no", "yes"])
    assert words.judge.kind == "open" and words.phrases == ("no", "yes")  # phrases are counted all the same
    assert find_words([GRID], JudgeOptions("open")).judge.kind == "open"
    assert JudgeOptions("open", None, "de").as_arguments() == ["--judge", "open", "--judge-language", "de"]
    with pytest.raises(EvaluationError, match="the judge open takes no grammar"):
        JudgeOptions("open", "some.txt")


@pytest.mark.parametrize(
    ("sentences", "there", "absent"),
    [
        ([GRID], {"grid_wer"}, {"wer", "cer", "phrase_accuracy"}),
        (["yes", "yes", "no", "no"], {"wer", "phrase_accuracy"}, {"grid_wer", "cer"}),
        (["你好", "再见", "谢谢"], {"cer"}, {"grid_wer", "phrase_accuracy"}),
        (["hello", "world"], {"wer"}, {"grid_wer", "cer", "phrase_accuracy"}),
        ([None], set(), {"wer", "cer", "phrase_accuracy"}),
    ],
)
def test_metrics_of_words_are_those_that_make_sense(sentences, there, absent):
    words = find_words(sentences, JudgeOptions())
    chosen, reasons = choose_metrics(clips_of(sentences), tuple(METRICS), False, words)
    assert there <= set(chosen) and not absent & set(chosen)
    if sentences == ["你好", "再见", "谢谢"]:
        assert "--judge NAME" in reasons["wer"]


def test_metrics_that_are_asked_for_are_not_left_out():
    for name, sentences, message in (
        ("grid_wer", ["hello"], "GRID's grammar only"),
        ("wer", ["γεια"], "--judge-grammar FILE"),
        ("phrase_accuracy", ["a", "b"], "no list of a few"),
        ("cer", [None], "no clip has a transcript"),
        ("av_sync", ["hello"], "not videos"),
    ):
        with pytest.raises(EvaluationError, match=f"the metric {name} is not available: .*{message}"):
            choose_metrics(clips_of(sentences, ".wav"), (name,), True, find_words(sentences, JudgeOptions()))
    words = find_words([GRID], JudgeOptions())
    assert choose_metrics(clips_of([GRID]), ("wer", "cer"), True, words)[0] == ("wer", "cer")


@pytest.mark.parametrize("suffix", [".jpg", ".wmv", ".ts", ".mpeg", "", ".wav"])
def test_lips_are_looked_at_wherever_one_original_is_no_sound(suffix):
    """What a table lists is a video, whatever it is called: that a photo is none turns out when it is read."""
    clips = [*clips_of(["hello"]), *clips_of(["hello"], suffix)]
    assert choose_metrics(clips, ("stoi", "av_sync"), True, find_words(["hello"], JudgeOptions()))[1] == {}
    assert ("av_sync" in choose_metrics(clips[1:], tuple(METRICS), False, find_words([None], JudgeOptions()))[0]) == (
        suffix != ".wav"
    )


def test_the_lips_of_a_video_of_any_suffix_are_scored(tmp_path, talking_video):
    write_audio(tmp_path / "sound.wav", read_sound(talking_video), RATE)
    shutil.copy(talking_video, tmp_path / "video.wmv")
    columns = score_files(tmp_path / "sound.wav", tmp_path / "video.wmv", metrics=("av_sync",))
    assert columns["av_offset"] == columns["av_offset_original"]


def test_judges_of_one_clip(tmp_path, talking_video):
    """The same numbers by either metric where the judge is that of GRID; others from the same transcripts."""
    write_audio(tmp_path / "sound.wav", read_sound(talking_video), RATE)
    files = (tmp_path / "sound.wav", talking_video, GRID)
    grid, other = (score_files(*files, metrics=(name,)) for name in ("grid_wer", "wer"))
    assert grid == other and "judge_errors" in grid
    judge = Judge.of_sentences([GRID, "place red in b one soon"])
    row = score_files(*files, ("wer", "cer", "phrase_accuracy"), text="bin blue", judge=judge, phrases=2)
    assert row["transcript"] in judge.phrases and row["text_phrase_right"] == 0
    assert row["text_character_errors"] == len(GRID) - len("bin blue") and row["characters"] == len(GRID)
    assert row["judge_phrase_right"] == (row["transcript"] == GRID) == (row["judge_character_errors"] == 0)


def test_a_corpus_of_phrases(corpus, tmp_path, tiny_model_dir, capfd):
    output = tmp_path / "out"
    options = ["--model", tiny_model_dir, "--data", corpus, "--split", "test", "--workers", 1, "-o", output]
    assert run("evaluate", *options, "--metrics", "wer,phrase_accuracy,cer") == 0
    captured = capfd.readouterr()
    judge = "pocketsphinx with the 2 sentences of the corpus"
    assert f"judge of the words: {judge}" in captured.err
    results = json.loads((output / "results.json").read_text())
    assert results["judge"] == judge and 0 < results["chance_wer"] < 2
    assert results["phrases"] == {
        "count": 2, "chance_accuracy": 0.5, "most_frequent": "maybe tomorrow", "most_frequent_accuracy": 0.5
    }  # fmt: skip
    for key in ("text_phrase_accuracy", "judge_phrase_accuracy", "floor_phrase_accuracy", "text_cer", "judge_wer"):
        assert {"value", "low", "high", "clips"} <= results["overall"][key].keys(), key
        assert key in results["speakers"]["ann"]
    assert results["overall"]["text_phrase_accuracy"]["value"] == 0  # it knows GRID's words only
    page = (output / "report.html").read_text()
    for text in (page.replace("&#34;", '"'), (output / "report.md").read_text(), captured.out):
        assert "Phrase accuracy, text head" in text and "Guessing one is right for 50.0 % of the clips" in text
    card = results_table([Measurement("test", results, "Phrases")], tmp_path)
    assert "Phrase accuracy, judge on the original audio (floor), %" in card and "Phrases: 2." in card
    assert f"Judge: {judge}" in card
    assert "judge hears in the original" in page
    assert run("evaluate", *options, "--metrics", "wer,phrase_accuracy,cer", "--judge", "open") == 2
    assert "other options (judge, " in capfd.readouterr().err.replace("judge_grammar_sha256, ", "")


def test_a_list_of_sentences_is_given(corpus, tmp_path, tiny_model_dir):
    (tmp_path / "list.txt").write_text("Maybe tomorrow\nNever\nThe surface is slick\nNobody knows\n")
    output = tmp_path / "out"
    options = ["--model", tiny_model_dir, "--data", corpus, "--split", "test", "--limit", 1, "--workers", 1]
    options += ["--metrics", "wer,phrase_accuracy", "--judge-grammar", tmp_path / "list.txt", "-o", output]
    assert run("evaluate", *options, "--no-report") == 0
    results = json.loads((output / "results.json").read_text())
    assert results["judge"] == "pocketsphinx with list.txt, 4 sentences"
    assert results["phrases"]["chance_accuracy"] == 0.25 and "--judge-grammar" in results["command"]
    (tmp_path / "list.txt").write_text("something else\n")
    corpus = options[3] = shutil.copytree(corpus, tmp_path / "german")
    (corpus / "README.md").write_text("---\nlanguage: de\n---\n")
    assert run("evaluate", *options, "--no-report", "--overwrite") == 0
    results = json.loads((output / "results.json").read_text())
    assert ["in de," in remark for remark in results["remarks"]] == [True]
    assert results["unknown_to_judge"] == 1
    assert "Clips whose sentence the judge does not know, and cannot hear: 1." in markdown_table(results)


def test_recordings_without_sound(tmp_path, talking_video, tiny_model_dir, capfd):
    """What needs no original is measured, the rest is reported; nothing fails."""
    silent = mute(talking_video, tmp_path / "silent.mp4")
    folder = tmp_path / "corpus"
    folder.mkdir()
    write_corpus(folder, silent, PHRASES, times=1)
    output = tmp_path / "out"
    options = ["--model", tiny_model_dir, "--data", folder, "--split", "test", "--workers", 1, "-o", output]
    assert run("evaluate", *options) == 0
    results = json.loads((output / "results.json").read_text())
    overall = results["overall"]
    assert results["without_sound"] == results["clips"] == 4 and not results["failures"]
    assert {"text_wer", "text_phrase_accuracy", "judge_wer", "judge_phrase_accuracy", "dnsmos_ovrl"} <= overall.keys()
    assert not {"pesq_nb", "stoi", "floor_wer", "floor_phrase_accuracy", "av_confidence_original"} & overall.keys()
    assert results["left_out"]["stoi"] == "the recordings have no sound to compare with."
    table = markdown_table(results)
    assert "Recordings without sound: 4 of 4" in table and "Recordings without sound: 4 of 4" in capfd.readouterr().out
    assert "Not measured: pesq: the recordings have no sound" in table
    assert "The recording has no sound" in (output / "report.html").read_text()
    shutil.copy(talking_video, folder / "ann-0.mp4")
    assert run("evaluate", *options, "--overwrite", "--metrics", "stoi,wer,phrase_accuracy") == 0
    results = json.loads((output / "results.json").read_text())
    assert results["without_sound"] == 3 and results["overall"]["stoi"]["clips"] == 1
    assert results["overall"]["floor_wer"]["clips"] == 1 and results["overall"]["judge_wer"]["clips"] == 4


def test_rows_without_sound_are_counted():
    rows = [ClipRow("a", "1", generated_seconds=3.0), ClipRow("a", "2", generated_seconds=3.0, original_seconds=3.0)]
    assert without_sound(rows, METRICS) == (1, {}) and without_sound([], METRICS) == (0, {})
    assert set(without_sound(rows[:1], METRICS)[1]) == {"pesq", "stoi", "mcd", "corr2d", "speaker_similarity"}


def test_a_judge_that_is_not_there_is_named(corpus, tmp_path, tiny_model_dir, capfd):
    options = ["--model", tiny_model_dir, "--data", corpus, "--split", "test", "--workers", 1, "--metrics", "wer"]
    for judge, message in (
        (["--judge", tmp_path / "nothing"], "cannot be loaded"),
        (["--judge-grammar", tmp_path / "nothing.txt"], "nothing.txt: there is no such file. Name a .jsgf file"),
        (["--judge-language", "xyz", "--judge-grammar", corpus / "metadata.csv"], "no voice 'xyz'"),
    ):
        assert run("evaluate", *options, *judge, "-o", tmp_path / "out") == 2
        assert message in capfd.readouterr().err
    assert issubclass(EvaluationError, Lip2WavError)


def test_a_model_judges(corpus, tmp_path, tiny_model_dir):
    judge, output = write_asr_model(tmp_path / "asr"), tmp_path / "out"
    options = ["--model", tiny_model_dir, "--data", corpus, "--split", "test", "--limit", 1, "--workers", 2]
    options += ["--metrics", "wer,phrase_accuracy", "--judge", judge, "--no-report", "-o", output]
    assert run("evaluate", *options) == 0
    results = json.loads((output / "results.json").read_text())
    assert results["judge"] == f"the speech recogniser {judge} (transformers)" and "chance_wer" not in results
    assert {"judge_wer", "floor_wer", "judge_phrase_accuracy"} <= results["overall"].keys()
    assert results["phrases"]["count"] == 2 and f"--judge {judge}" in results["command"]


def test_folders_of_grid_files_by_another_judge(tmp_path, talking_video):
    (tmp_path / "a").mkdir()
    write_audio(tmp_path / "a" / "bbaf2n.wav", read_sound(talking_video), RATE)
    results = evaluate_folders(tmp_path / "a", tmp_path / "a", metrics=["wer"], judge="open", progress=False)
    assert results["judge"] == "pocketsphinx with its language model of English" and "chance_wer" not in results
    assert results["overall"]["judge_wer"]["value"] == results["overall"]["floor_wer"]["value"]


def test_words_that_nobody_wrote_down_are_compared_with_those_of_the_original():
    """Of two sounds alone, as authors publish them: where a judge is named, and not without."""
    clips = [Clip("all", "Sample_1", Path("original/Sample_1.wav"), Path("predicted/Sample_1.wav"))]
    chosen, _ = choose_metrics(clips, tuple(METRICS), False, find_words([None], JudgeOptions("grid")))
    assert "grid_wer" in chosen and not {"wer", "cer", "phrase_accuracy", "av_sync"} & set(chosen)
    chosen, _ = choose_metrics(clips, tuple(METRICS), False, find_words([None], JudgeOptions("open")))
    assert "wer" in chosen and "grid_wer" not in chosen
    chosen, reasons = choose_metrics(clips, tuple(METRICS), False, find_words([None], JudgeOptions()))
    assert "grid_wer" not in chosen and "grid_wer" in reasons
    assert find_words([None], JudgeOptions()).judge is None


def test_the_columns_of_words_that_nobody_wrote_down():
    class Parrot:
        def transcribe(self, waveform, sampling_rate, name=""):
            return "bin red at f two" if waveform[0] else GRID

    sounds = {"prediction": np.ones(16), "reference": np.zeros(16)}
    metric = METRICS["grid_wer"]
    assert metric.can_score(SoundPair(**sounds, judge=Parrot)) and not metric.can_score(SoundPair(**sounds))
    assert not metric.can_score(SoundPair(np.ones(16), None, judge=Parrot))
    assert not metric.can_score(SoundPair(**sounds, sentence="hello", judge=Parrot)), (
        "another sentence is none of GRID"
    )
    assert score_clip(SoundPair(**sounds, judge=Parrot, compat=True)) == {
        "transcript": "bin red at f two",
        "floor_transcript": GRID,
        "original_words": 6,
        "errors_to_original": 2,
    }
