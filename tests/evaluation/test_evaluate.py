"""Evaluation: from folders and from models to results.json, clips.csv and reports; resuming, processes, baselines."""

import dataclasses
import functools
import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest


pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")

import typer
from typer.testing import CliRunner

from lip2wav_hf.audio import mux_audio, read_audio, write_audio
from lip2wav_hf.commands.evaluate import _print_results as print_results
from lip2wav_hf.commands.main import app
from lip2wav_hf.corpora import clips as corpora
from lip2wav_hf.evaluation import evaluate as evaluation
from lip2wav_hf.evaluation import options, run
from lip2wav_hf.evaluation.clips import Clip, scored_clip
from lip2wav_hf.evaluation.evaluate import EvaluationError
from lip2wav_hf.evaluation.options import EvaluationOptions
from lip2wav_hf.evaluation.report import markdown_report, markdown_table
from lip2wav_hf.evaluation.statistics import summarize
from lip2wav_hf.evaluation.summary import terminal_summary
from lip2wav_hf.evaluation.table import read_clips
from lip2wav_hf.grid.corpus import GridError, sentence_words
from lip2wav_hf.machine import process_pool
from lip2wav_hf.models import ModelError
from lip2wav_hf.synthetic.voice import synthesize_speech
from lip2wav_hf.video import VideoError
from warm_processes import WarmProcesses


RATE = 16_000
NAMES = ("lgbz3a", "swwk7p", "pbiv4n")
METRICS = ("pesq", "stoi", "grid_wer")  # the others have their own tests, and are slower to load
evaluate_model = functools.partial(evaluation.evaluate_model, metrics=METRICS, report=False, progress=False)
evaluate_folders = functools.partial(evaluation.evaluate_folders, metrics=METRICS, report=False, progress=False)


@pytest.fixture(scope="module")
def processes():
    """Evaluations as processes of their own."""
    imported = ("lip2wav_hf.evaluation.evaluate", "lip2wav_hf.speaking", "evaluate", "pystoi", "accelerate")
    with WarmProcesses(imported) as warm:
        yield warm


@pytest.fixture(scope="module")
def speech() -> dict[str, np.ndarray]:
    """Synthetic sentences by name, 16 kHz."""
    return {name: synthesize_speech(sentence_words(name), "synthetic1").waveform for name in NAMES}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, speech):
    """A GRID-shaped folder of two speakers; its pictures are gray, only the sound matters here."""
    folder = tmp_path_factory.mktemp("corpus")
    splits = {"validation": {"s1": list(NAMES[:2]), "s2": [NAMES[2]]}, "train": {}}
    for speaker, names in splits["validation"].items():
        (folder / "video" / speaker).mkdir(parents=True)
        for name in names:
            pictures = np.full((75, 48, 64, 3), 128, np.uint8)
            mux_audio(pictures, speech[name], RATE, folder / "video" / speaker / f"{name}.mp4", fps=25)
    (folder / "splits.json").write_text(json.dumps(splits), encoding="utf-8")
    return folder


class Recording:
    """The recording itself as the system under test, so that every number is known; it fails where it is told to."""

    def __init__(self, fails=()):
        self.fails, self.videos = fails, []

    def __call__(self, videos, batch_size):
        results = []
        for video in videos:
            if any(name in video for name in self.fails):
                raise VideoError(f"{video}: shows no face.")
            self.videos.append(video)
            name = video.rpartition("/")[2].partition(".")[0]
            words = [{"word": word, "start": 0.0, "end": 0.1, "confidence": 0.75} for word in sentence_words(name)]
            results.append(
                {
                    "audio": read_audio(video, RATE),
                    "sampling_rate": RATE,
                    "text": " ".join(word["word"] for word in words[:-1]),
                    "words": words,
                    "face_coverage": 0.5,
                }
            )
        return results


def write_folder(folder, waveforms, rate=RATE, suffix=".wav"):
    for name, waveform in waveforms.items():
        path = folder / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path, waveform, rate)
    return folder


def test_identical_folders_are_ideal(tmp_path, speech):
    folder = write_folder(tmp_path / "a", {f"s1/{name}": waveform for name, waveform in speech.items()})
    results = evaluate_folders(folder, folder, tmp_path / "out", report=True)
    overall = results["overall"]
    assert overall["pesq_nb"]["value"] == pytest.approx(4.549, abs=0.001) and overall["stoi"][
        "value"
    ] == pytest.approx(1)
    assert overall["judge_wer"]["value"] == overall["floor_wer"]["value"]
    assert overall["judge_wer_above_floor"]["value"] == overall["wer_to_original"]["value"] == 0
    assert list(results["speakers"]) == ["s1"] and results["speakers"]["s1"]["clips"] == 3
    assert json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["overall"] == overall
    assert (tmp_path / "out" / "report.md").read_text(encoding="utf-8") == markdown_report(results)
    assert "<h1>" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    rows = read_clips(tmp_path / "out" / "clips.csv")
    assert [row.name for row in rows] == sorted(NAMES) and summarize(rows) == overall


def test_noise_lowers_every_number(tmp_path, speech):
    reference = write_folder(tmp_path / "reference", {f"s1/{name}": x * 0.5 for name, x in speech.items()})
    overall = []
    for snr in (20, 10, 0):
        noisy = {}
        for name, x in speech.items():
            noise = np.random.default_rng(0).normal(size=len(x)) * np.sqrt(np.mean(x**2) / 10 ** (snr / 10))
            noisy[f"s1/{name}"] = (x + noise) * 0.5
        folder = write_folder(tmp_path / f"noise{snr}", noisy)
        overall.append(evaluate_folders(folder, reference)["overall"])
    for key in ("pesq_nb", "pesq_wb", "stoi", "estoi"):
        assert overall[0][key]["value"] > overall[1][key]["value"] > overall[2][key]["value"]
    errors = [o["judge_wer"]["value"] for o in overall]
    assert errors == sorted(errors) and overall[0]["floor_wer"] == overall[2]["floor_wer"]


@pytest.mark.slow
def test_folders_of_other_forms(tmp_path, speech, corpus):
    """Flat, not GRID's names, another rate and format; and videos as originals; and two processes."""
    write_folder(tmp_path / "a", {"clip_1": speech[NAMES[0]][::2]}, rate=8000)
    write_folder(tmp_path / "b", {"clip_1": speech[NAMES[0]], "clip_2": speech[NAMES[1]]}, suffix=".flac")
    with pytest.raises(
        EvaluationError, match="grid_wer is not available: the files are not all named as GRID sentences"
    ):
        evaluate_folders(tmp_path / "a", tmp_path / "b")
    results = evaluate_folders(tmp_path / "a", tmp_path / "b", metrics=METRICS[:2])
    assert results["references_unused"] == 1 and list(results["speakers"]) == ["all"]
    assert "judge_wer" not in results["overall"] and "judge" not in results
    assert results["overall"]["stoi"]["value"] > 0.9
    write_folder(tmp_path / "c", {f"s1/{NAMES[0]}": speech[NAMES[0]], f"s1/{NAMES[1]}": speech[NAMES[1]]})
    results = evaluate_folders(tmp_path / "c", corpus / "video", workers=2)
    assert results["overall"]["stoi"]["value"] > 0.95 and results["overall"]["pesq_nb"]["value"] > 3
    assert results["longest_cut_seconds"] < 0.1


def test_folder_errors_are_named(tmp_path, speech):
    a = write_folder(tmp_path / "a", {"one": speech[NAMES[0]]})
    b = write_folder(tmp_path / "b", {"two": speech[NAMES[0]]})
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        ((tmp_path / "nowhere", b), "nowhere: no such folder"),
        ((tmp_path / "empty", b), "empty: holds no sound file"),
        ((a, b), "no original for 1 of 1 generated files: one"),
    ):
        with pytest.raises(EvaluationError, match=message):
            evaluate_folders(*arguments, metrics=["stoi"])
    write_folder(b, {"one": np.zeros(100, np.float32)})
    with pytest.raises(EvaluationError, match="one: reference is too short"):
        evaluate_folders(a, b, metrics=["stoi"])
    (b / "one.wav").write_bytes(b"RIFFnothing")
    with pytest.raises(EvaluationError, match="one.wav: not a readable"):
        evaluate_folders(a, b, metrics=["stoi"])


def test_what_a_short_clip_allows_is_measured(tmp_path, speech):
    """Too short for one of the metrics: it has no value, the clip does not fail, and that is said."""
    folder = write_folder(tmp_path / "a", {"long": speech[NAMES[0]], "short": speech[NAMES[0]][8000:14400]})
    results = evaluate_folders(folder, folder, tmp_path / "out", metrics=["pesq", "stoi"])
    assert results["clips"] == 2 and results["too_short"] == {"stoi": 1} and not results["left_out"]
    assert (results["overall"]["pesq_wb"]["clips"], results["overall"]["stoi"]["clips"]) == (2, 1)
    note = "Clips that are too short for a metric, which has no value for them: stoi 1."
    assert note in markdown_table(results) and note in terminal_summary(results)


def test_model_from_video_files(tmp_path, corpus):
    system = Recording()
    results = evaluate_model(system, corpus, output_dir=tmp_path, batch_size=2)
    overall = results["overall"]
    assert results["clips"] == 3 and not results["failures"]
    assert overall["stoi"]["value"] == pytest.approx(1, abs=0.01) and overall["judge_wer_above_floor"]["value"] == 0
    assert overall["text_wer"]["value"] == pytest.approx(1 / 6)  # the last word is missing
    assert overall["face_coverage"]["value"] == 0.5 and overall["text_confidence"]["value"] == 0.75
    assert results["slots"]["text"]["slot_wer"]["adverb"] == 1 and results["chance_wer"] == pytest.approx(0.81)
    assert results["timing"]["real_time_factor"] > 0 and results["machine"]["torch"]
    assert [row.name for row in read_clips(tmp_path / "clips.csv")] == list(NAMES)
    assert sorted(path.stem for path in tmp_path.glob("wav/*/*.wav")) == sorted(NAMES)
    table = markdown_table(results)
    assert "| Text-head WER, % | 16.7 (16.7 – 16.7) | 16.7 | 16.7 |" in table and "Chance" in table


def test_clips_of_all_splits_say_how_many_were_for_learning(tmp_path, corpus):
    """A user who measures everything there is takes clips that the model has learnt from for others."""
    folder = shutil.copytree(corpus, tmp_path / "grid")

    def remarks(splits, split):
        (folder / "splits.json").write_text(json.dumps(splits), encoding="utf-8")
        results = evaluate_model(
            Recording(), folder, split, output_dir=tmp_path / "out", metrics=["stoi"], overwrite=True
        )
        return results.get("remarks", [])

    splits = {"train": {"s1": list(NAMES[:2])}, "test": {"s2": [NAMES[2]]}}
    (remark,) = remarks(splits, "all")
    assert remark.startswith("2 of the 3 clips are of the split 'train'")
    assert not remarks(splits, "test") and not remarks(splits, "train")
    assert not remarks({"validation": splits["train"], "test": splits["test"]}, "all")


def test_run_goes_on_where_it_stopped(tmp_path, corpus):
    whole = evaluate_model(Recording(), corpus, output_dir=tmp_path / "whole")
    folder = tmp_path / "stopped"
    evaluate_model(Recording(), corpus, output_dir=folder, limit=2)
    lines = (folder / "clips.csv").read_bytes()
    (folder / "clips.csv").write_bytes(lines[:-9])  # killed while the second row was written
    system = Recording()
    results = evaluate_model(system, corpus, output_dir=folder)
    assert {video.rpartition("/")[2][:6] for video in system.videos} == set(NAMES[1:])
    assert results["overall"] == whole["overall"]
    system = Recording()
    evaluate_model(system, corpus, output_dir=folder)
    assert not system.videos
    with pytest.raises(EvaluationError, match="another model or split"):
        evaluate_model(lambda videos, batch_size: None, corpus, output_dir=folder)
    evaluate_model(system, corpus, output_dir=folder, overwrite=True, limit=1)
    assert len(read_clips(folder / "clips.csv")) == 1


def test_a_clip_that_has_changed_is_measured_again(tmp_path, corpus, speech):
    """Another video, or other words; the others are taken over, and what is gone from the corpus is gone."""
    folder = shutil.copytree(corpus, tmp_path / "grid")
    output = tmp_path / "out"
    before = evaluate_model(Recording(), folder, output_dir=output, metrics=["stoi"])

    def measured_again():
        system = Recording()
        results = evaluate_model(system, folder, output_dir=output, metrics=["stoi"])
        return {video.rpartition("/")[2][:6] for video in system.videos}, results

    assert measured_again()[0] == set()
    videos = [folder / "video" / "s1" / f"{name}.mp4" for name in NAMES[:2]]
    videos[0].write_bytes(videos[1].read_bytes())
    again, results = measured_again()
    assert again == {NAMES[0]} and results["clips"] == before["clips"] == 3
    (folder / "splits.json").write_text(json.dumps({"validation": {"s1": list(NAMES[:2])}}), encoding="utf-8")
    again, results = measured_again()
    assert again == set() and results["clips"] == len(read_clips(output / "clips.csv")) == 2
    clip = Clip("s1", NAMES[0], videos[0], tmp_path / "a.wav", "bin red")
    assert clip.version() != dataclasses.replace(clip, sentence="bin blue").version()


def test_a_video_that_has_changed_in_its_archive_or_table_is_copied_again(tmp_path):
    archive = tmp_path / "s1.zip"

    def copied(video):
        scored = scored_clip(corpora.Clip("s1", "a", video), tmp_path / "out")
        return scored.original.read_bytes(), scored.version()

    def zipped(content, seconds):
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("s1/a.mpg", content)
        os.utime(archive, (seconds, seconds))
        return copied(corpora.ZippedFile(archive, "s1/a.mpg"))

    first = zipped(b"one", 1e9)
    assert first[0] == b"one" and first == copied(corpora.ZippedFile(archive, "s1/a.mpg"))
    second = zipped(b"two", 2e9)
    assert second[0] == b"two" and second[1] != first[1]
    third, fourth = (copied(corpora.StoredVideo("b.mp4", content)) for content in (b"three", b"four"))
    assert (third[0], fourth[0]) == (b"three", b"four") and third[1] != fourth[1]
    assert copied(corpora.StoredVideo("b.mp4", b"four")) == fourth


def test_bad_clip_is_reported_and_the_others_are_done(tmp_path, corpus, capsys):
    results = evaluate_model(Recording([NAMES[1]]), corpus, output_dir=tmp_path / "a", batch_size=3)
    assert results["clips"] == 2 and [failure["clip"] for failure in results["failures"]] == [f"s1/{NAMES[1]}"]
    assert "shows no face" in results["failures"][0]["error"] and "failed 1" in markdown_table(results)
    with pytest.raises(typer.Exit) as ended:
        print_results(results, tmp_path / "report.md", verbose=False, as_json=True)
    *errors, last = capsys.readouterr().err.splitlines()
    assert ended.value.exit_code == 2 and "shows no face" in errors[-1]
    assert last == "3 clips: 2 measured, 1 failed."
    with pytest.raises(EvaluationError, match="no clip could be scored; the first failure: s1/.*no face"):
        evaluate_model(Recording(NAMES), corpus, output_dir=tmp_path / "b")


def test_data_errors_are_named(tmp_path, corpus):
    with pytest.raises(EvaluationError, match="nowhere: no such folder"):
        evaluate_model(Recording(), tmp_path / "nowhere", output_dir=tmp_path / "out")
    with pytest.raises(GridError, match="no split 'test'; it has validation"):
        evaluate_model(Recording(), corpus, "test", output_dir=tmp_path / "out")
    with pytest.raises(GridError, match="no speaker s9"):
        evaluate_model(Recording(), corpus, speakers=["s9"], output_dir=tmp_path / "out")
    with pytest.raises(EvaluationError, match="holds no clip"):
        evaluate_model(Recording(), corpus, "train", output_dir=tmp_path / "out")
    broken = shutil.copytree(corpus, tmp_path / "broken")
    (broken / "video" / "s2" / f"{NAMES[2]}.mp4").unlink()
    with pytest.raises(GridError, match=f"no video of clip s2/{NAMES[2]}"):
        evaluate_model(Recording(), broken, output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_real_pipeline(tmp_path, talking_video, tiny_model_dir):
    """A tiny model with random weights speaks a synthetic face: the numbers are bad, and all there."""
    from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
    from lip2wav_hf.modeling_lip2wav import Lip2WavModel
    from lip2wav_hf.pipeline_video_to_speech import VideoToSpeechPipeline

    (tmp_path / "video" / "s1").mkdir(parents=True)
    shutil.copy(talking_video, tmp_path / "video" / "s1" / "bbaf2n.mp4")
    (tmp_path / "splits.json").write_text('{"validation": {"s1": ["bbaf2n"]}}', encoding="utf-8")
    pipe = VideoToSpeechPipeline(
        model=Lip2WavModel.from_pretrained(tiny_model_dir),
        feature_extractor=Lip2WavFeatureExtractor.from_pretrained(tiny_model_dir),
    )
    results = evaluate_model(pipe, tmp_path, output_dir=tmp_path / "out")
    assert results["clips"] == 1 and len(results["model_sha256"]) == 64
    assert results["overall"]["face_coverage"]["value"] > 0.9
    assert {"judge_wer", "floor_wer", "text_wer", "pesq_nb", "pesq_wb", "stoi", "estoi"} <= set(results["overall"])


def tiny_corpus(folder, video, names=("bbaf2n", "lrbf3s", "sgwz8p")):
    """A GRID-shaped folder in which one synthetic face is seen under several names."""
    (folder / "video" / "s1").mkdir(parents=True)
    for name in names:
        shutil.copy(video, folder / "video" / "s1" / f"{name}.mp4")
    (folder / "splits.json").write_text(json.dumps({"validation": {"s1": list(names)}}), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_two_processes_give_what_one_gives(processes, tmp_path, talking_video, tiny_model_dir):
    pytest.importorskip("accelerate", reason="the extra 'evaluate' is not installed")
    corpus = tiny_corpus(tmp_path / "corpus", talking_video)
    arguments = ["--data", corpus, "--model", tiny_model_dir, "--device", "cpu", "--metrics", "stoi"]
    arguments += ["--batch-size", "1", "--workers", "1", "--no-report"]
    module = "lip2wav_hf.evaluation"
    one = processes.run(tmp_path / "log-one", module, [*arguments, "-o", tmp_path / "one"])
    two = processes.run_group(tmp_path / "log-two", 2, module, [*arguments, "-o", tmp_path / "two"])
    assert [done.returncode for done in (one, *two)] == [0, 0, 0], one.stderr + two[0].stderr
    assert sum(done.stdout.count("tiny on corpus, split validation") for done in two) == 1  # one process reports
    rows = {}
    for name in ("one", "two"):
        timed = read_clips(tmp_path / name / "clips.csv")
        assert all(row.process_seconds > 0 for row in timed)
        rows[name] = [dataclasses.replace(row, process_seconds=None) for row in timed]
    assert rows["one"] == rows["two"] and len(rows["two"]) == 3
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == sorted(
        ["clips.csv", "report.md", "results.json", "settings.json", "wav"]
    )


def test_part_files_of_a_stopped_run_are_taken_up(tmp_path, corpus):
    """Two processes were stopped after a clip each: one process goes on with the third."""
    evaluate_model(Recording(), corpus, output_dir=tmp_path, limit=2)
    header, *lines = (tmp_path / "clips.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "clips.csv").write_text(header, encoding="utf-8")
    for number, line in enumerate(lines):
        (tmp_path / f"clips.{number}.csv").write_text(header + line, encoding="utf-8")
    (tmp_path / "failures.0.json").write_text("[]", encoding="utf-8")
    system = Recording()
    assert evaluate_model(system, corpus, output_dir=tmp_path)["clips"] == 3
    assert {video.rpartition("/")[2][:6] for video in system.videos} == {NAMES[2]}
    assert not list(tmp_path.glob("*.0.*")) and not list(tmp_path.glob("clips.1.csv"))


@pytest.mark.slow
def test_baselines_are_compared_clip_by_clip(tmp_path, corpus, speech):
    """A folder of noisy sound, and the results of an earlier run, beside the recording itself."""
    generator = np.random.default_rng(0)
    noisy = {f"s1/{name}": 0.5 * speech[name] + 0.05 * generator.normal(size=len(speech[name])) for name in NAMES[:2]}
    write_folder(tmp_path / "noisy", noisy)
    earlier = evaluate_model(Recording(), corpus, output_dir=tmp_path / "earlier")
    baselines = [tmp_path / "noisy", tmp_path / "earlier" / "results.json"]
    results = evaluate_model(Recording(), corpus, output_dir=tmp_path / "out", baselines=baselines, report=True)
    noise, same = results["baselines"]
    assert (noise["name"], noise["clips"], same["name"], same["clips"]) == ("noisy", 2, "earlier", 3)
    assert noise["differences"]["stoi"]["low"] > 0 and noise["differences"]["pesq_wb"]["value"] > 0.5
    assert noise["overall"]["stoi"]["value"] < results["overall"]["stoi"]["value"]
    assert "text_wer" not in noise["differences"]  # a folder of sound has no text
    assert same["overall"] == earlier["overall"] and same["differences"]["stoi"]["value"] == 0
    assert len(read_clips(tmp_path / "out" / "baselines" / "noisy" / "clips.csv")) == 2
    more = [write_folder(tmp_path / place / "original", noisy) for place in ("a", "b")]  # names that clash
    results = evaluate_model(Recording(), corpus, output_dir=tmp_path / "out", baselines=more)
    assert [baseline["name"] for baseline in results["baselines"]] == ["original 2", "original 3"]
    results = evaluate_model(Recording(), corpus, output_dir=tmp_path / "out", baselines=baselines, report=True)
    assert "against noisy (2 clips)" in markdown_table(results)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Against noisy" in page and page.count("<figcaption>noisy</figcaption>") == 2


def test_a_folder_is_compared_with_a_folder(tmp_path, speech):
    original = write_folder(tmp_path / "original", {f"s1/{NAMES[0]}": speech[NAMES[0]]})
    quiet = write_folder(tmp_path / "quiet", {f"s1/{NAMES[0]}": 0.1 * speech[NAMES[0]]})
    results = evaluate_folders(original, original, tmp_path / "out", metrics=["stoi"], baselines=[quiet])
    assert results["baselines"][0]["differences"]["stoi"]["value"] == pytest.approx(0, abs=0.01)
    with pytest.raises(EvaluationError, match="a model needs videos"):
        evaluate_folders(original, original, tmp_path / "out", metrics=["stoi"], baselines=["grid-s1"])


def test_baseline_errors_are_named(tmp_path, corpus, speech):
    (tmp_path / "lone").mkdir()
    (tmp_path / "lone" / "results.json").write_text("{}", encoding="utf-8")
    other = write_folder(tmp_path / "other", {"s9/bbaf2n": speech[NAMES[0]]})
    (tmp_path / "empty").mkdir()
    for baseline, message in (
        (tmp_path / "lone", "needs clips.csv beside it"),
        (tmp_path / "gone.json", "no such file"),
        (tmp_path / "empty", "holds no sound file"),
        (other, "holds none of the 3 clips"),
        (corpus / "video" / "s1" / f"{NAMES[0]}.mp4", "give a model, a folder of sound files, or a results.json"),
    ):
        with pytest.raises(EvaluationError, match=message):
            evaluate_model(Recording(), corpus, output_dir=tmp_path / "out", baselines=[baseline], metrics=["stoi"])
    system = Recording()
    with pytest.raises(ModelError, match="absent: there is no such folder"):
        evaluate_model(system, corpus, output_dir=tmp_path / "more", baselines=["absent"], metrics=["stoi"])
    assert not system.videos  # it is missed before anything is spoken


def test_changed_folder_is_scored_anew(tmp_path, speech):
    original = write_folder(tmp_path / "original", {"one": speech[NAMES[0]]})
    generated = write_folder(tmp_path / "generated", {"one": speech[NAMES[1]]})
    first = evaluate_folders(generated, original, tmp_path / "out", metrics=["stoi"])
    write_folder(generated, {"one": speech[NAMES[0]]})
    second = evaluate_folders(generated, original, tmp_path / "out", metrics=["stoi"])
    assert first["overall"]["stoi"]["value"] < 0.9 < 0.99 < second["overall"]["stoi"]["value"]
    with pytest.raises(EvaluationError, match=r"or with other options \(metrics\)"):
        evaluate_folders(generated, original, tmp_path / "out", metrics=["pesq"])
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(EvaluationError, match="file: is a file"):
        evaluate_folders(generated, original, tmp_path / "file", metrics=["stoi"])


def test_files_without_a_partner_are_said(tmp_path, speech, capfd):
    """An original without a generated file, a generated file without an original: never silently out of a mean."""
    reference = write_folder(tmp_path / "ref", {"a": speech[NAMES[0]], "b": speech[NAMES[1]]})
    generated = write_folder(tmp_path / "gen", {"b": speech[NAMES[1]], "c": speech[NAMES[2]]})
    (generated / "._b.wav").write_bytes(b"of a Mac")
    with pytest.raises(EvaluationError, match=r"no original for 1 of 2 generated files: c; .*`skip_missing=True`"):
        evaluate_folders(generated, reference, tmp_path / "out", metrics=["stoi"])
    options = {"metrics": ["stoi"], "skip_missing": True, "progress": True, "report": True}
    results = evaluation.evaluate_folders(generated, reference, tmp_path / "out", **options)
    assert results["clips"] == results["references_unused"] == results["generated_unused"] == 1
    told = ("1 of 2 originals have no generated file; not scored: a.", "1 of 2 generated files have no original")
    pages = [(tmp_path / "out" / name).read_text(encoding="utf-8") for name in ("report.md", "report.html")]
    for text in (*pages, capfd.readouterr().err):
        assert all(sentence in text for sentence in told)
    assert "--skip-missing" in results["command"]


def test_folders_are_checked_before_anything_slow_is_loaded(tmp_path, speech):
    generated = write_folder(tmp_path / "gen", {"b": speech[NAMES[1]]})
    reference = write_folder(tmp_path / "ref", {"a": speech[NAMES[0]]})
    code = (
        "import sys\nfrom lip2wav_hf.evaluation.evaluate import EvaluationError, evaluate_folders\n"
        f"try:\n    evaluate_folders({str(generated)!r}, {str(reference)!r})\n"
        "except EvaluationError as error:\n    print(error)\n"
        "print(sorted({'torch', 'transformers', 'evaluate', 'datasets', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "no original for 1 of 1 generated files: b." in done.stdout and done.stdout.endswith("[]\n")


def test_metrics_are_loaded_before_the_clock_starts(tmp_path, corpus, capfd, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)  # where a bar is drawn
    evaluation.evaluate_model(Recording(), corpus, output_dir=tmp_path, metrics=["stoi"], report=False, limit=1)
    told = capfd.readouterr().err
    assert told.index("loading the metrics: stoi") < told.index("0/1")
    evaluation.evaluate_model(Recording(), corpus, output_dir=tmp_path, metrics=["stoi"], report=False, limit=1)
    assert "loading" not in capfd.readouterr().err  # all clips are done


def test_results_say_what_was_measured_and_how_to_do_it_again(tmp_path, talking_video, tiny_model_dir):
    """The command in results.json is one that the command line takes, with the part of the data that was measured."""
    best = shutil.copytree(tiny_model_dir, tmp_path / "runs" / "my voice" / "best")
    final = shutil.copytree(best, best.parent / "final")
    corpus = tiny_corpus(tmp_path / "mine", talking_video)
    choices = {"metrics": ["stoi"], "limit": 1, "baselines": [final], "report": False, "progress": False}
    results = evaluation.evaluate_model(best, corpus, "validation", ["s1"], tmp_path / "out", **choices)
    assert results["baselines"][0]["name"] == "my voice final"
    assert (results["data"], results["split"], results["limit"]) == ("mine", "validation", 1)
    assert results["title"] == "my voice on mine, split validation, speaker s1" and results["model"] == "my voice"
    words = shlex.split(results["command"])
    assert words[:2] == ["lip2wav", "evaluate"] and words[words.index("--model") + 1] == str(best)
    assert words[words.index("--limit") + 1] == "1" and words[words.index("--speaker") + 1] == "s1"
    again = CliRunner().invoke(app, [*words[1:], "--json", "--no-report"])
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout)["command"] == results["command"]
    assert evaluate_model(Recording(), corpus, output_dir=tmp_path / "own", metrics=["stoi"])["command"] is None


def test_a_published_split_is_measured_by_name(tmp_path, corpus, talking_video, tiny_model_dir, capfd):
    """Of GRID without a splits.json, as it is downloaded."""
    folder = shutil.copytree(corpus, tmp_path / "grid")
    (folder / "splits.json").unlink()
    with pytest.raises(GridError, match="no such splits file.*`split_scheme=`: seen4, unseen33, overlap33, grid_s1"):
        evaluate_model(Recording(), folder, output_dir=tmp_path / "out")
    choice = {"split_scheme": "overlap33", "metrics": ["stoi"]}
    results = evaluation.evaluate_model(
        Recording(), folder, "test", output_dir=tmp_path / "out", report=True, progress=True, **choice
    )
    assert results["clips"] == 1 and results["split_scheme"] == "overlap33"
    assert results["remarks"][0].startswith("The split test of overlap33 is smaller than published: there are no vid")
    assert results["remarks"][0] in capfd.readouterr().err
    assert "<dt>split scheme</dt><dd>overlap33</dd>" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")

    folder = tiny_corpus(tmp_path / "faces", talking_video)
    (folder / "splits.json").unlink()
    words = ["evaluate", "--model", str(tiny_model_dir), "--data", str(folder), "--split_scheme", "overlap33"]
    words += ["--split", "train", "--speakers", "s1", "--metrics", "stoi", "--no-report", "--json", "--workers", "1"]
    done = CliRunner().invoke(app, [*words, "--device", "cpu", "-o", str(tmp_path / "faces-out")])
    assert done.exit_code == 0, done.stderr
    assert "--split-scheme overlap33 --split train --speaker s1" in json.loads(done.stdout)["command"]


def test_one_clip_starts_no_other_process(tmp_path, speech, monkeypatch):
    """Each would take seconds to import what the metrics need, and then find no clip."""
    monkeypatch.setattr(run, "process_pool", lambda number, *_: pytest.fail(f"{number} processes for one clip"))
    folder = write_folder(tmp_path / "a", {NAMES[0]: speech[NAMES[0]]})
    assert evaluate_folders(folder, folder, metrics=["stoi"], workers=8)["clips"] == 1


def test_few_clips_start_no_other_process_of_themselves(tmp_path, speech, monkeypatch):
    """It would import for longer than it saves; whoever names a number gets it."""
    started = []
    monkeypatch.setattr(run, "process_pool", lambda *given: started.append(given[0]) or process_pool(*given))
    monkeypatch.setattr(options, "available_cores", lambda: 6)
    folder = write_folder(tmp_path / "a", {name: speech[name] for name in NAMES[:2]})
    done = CliRunner().invoke(app, few_clips(folder, tmp_path / "out"))
    assert done.exit_code == 0 and not started, done.output
    done = CliRunner().invoke(app, [*few_clips(folder, tmp_path / "two"), "--workers", "2"])
    assert done.exit_code == 0 and started == [2], done.output
    default = EvaluationOptions(tmp_path, workers=None)
    assert [default.processes(sounds) for sounds in (0, 1, 7, 8, 100)] == [1, 1, 1, 6, 6]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert default.processes(100) == 2


def few_clips(folder, output):
    words = [
        "evaluate",
        "--generated",
        folder,
        "--reference",
        folder,
        "--metrics",
        "stoi",
        "--no-report",
        "-o",
        output,
    ]
    return [str(word) for word in words]


@pytest.mark.slow
def test_command(processes, tmp_path, speech):
    folder = write_folder(tmp_path / "a", {f"s1/{NAMES[0]}": speech[NAMES[0]]})
    arguments = ["--generated", folder, "--reference", folder, "-o", tmp_path / "out", "--json"]
    done = processes.run(tmp_path / "log", "lip2wav_hf.evaluation", [*arguments, "--metrics", "pesq,stoi"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["overall"]["pesq_wb"]["value"] == pytest.approx(4.644, abs=0.001)
    failed = CliRunner().invoke(app, ["evaluate", "--data", str(tmp_path / "nowhere")])
    assert failed.exit_code == 2 and failed.stdout == ""
    assert failed.stderr.startswith("error: ") and "nowhere" in failed.stderr and failed.stderr.count("\n") == 1
