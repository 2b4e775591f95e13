"""Evaluation: from folders and from models to results.json, clips.csv and the table; resuming; errors."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest


pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")

from lip2wav_hf.evaluation import (  # noqa: E402
    EvaluationError,
    evaluate_folders,
    evaluate_model,
    markdown_table,
    read_clips,
    read_sound,
    summarize,
)
from lip2wav_hf.grid import GridError, sentence_words  # noqa: E402
from lip2wav_hf.synthetic import synthesize_speech  # noqa: E402
from lip2wav_hf.video import VideoError, mux_audio, read_audio, write_audio  # noqa: E402


RATE = 16_000
NAMES = ("lgbz3a", "swwk7p", "pbiv4n")


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


def test_summary_by_hand():
    rows = [{"words": 6, "judge_errors": 1, "floor_errors": 0, "stoi": 0.5}] * 3
    rows = rows + [{"words": 6, "judge_errors": 5, "floor_errors": 2, "stoi": float("nan")}]
    summary = summarize(rows)
    assert summary["judge_wer"]["value"] == pytest.approx(8 / 24)
    assert summary["judge_wer_above_floor"]["value"] == pytest.approx(6 / 24)
    assert summary["judge_wer"]["low"] == pytest.approx(1 / 6) and summary["judge_wer"]["high"] <= 5 / 6
    assert summary["stoi"] == {"value": 0.5, "low": 0.5, "high": 0.5, "clips": 3}
    assert "pesq_nb" not in summary and "text_wer" not in summary
    assert summarize(rows) == summary


def test_interval_covers_what_theory_says():
    errors = np.random.default_rng(0).integers(0, 2, 400)
    interval = summarize([{"words": 1, "judge_errors": int(error)} for error in errors])["judge_wer"]
    half_width = 1.96 * np.sqrt(interval["value"] * (1 - interval["value"]) / 400)
    assert interval["high"] - interval["low"] == pytest.approx(2 * half_width, rel=0.1)


def test_identical_folders_are_ideal(tmp_path, speech):
    folder = write_folder(tmp_path / "a", {f"s1/{name}": waveform for name, waveform in speech.items()})
    results = evaluate_folders(folder, folder, tmp_path / "out", progress=False)
    overall = results["overall"]
    assert overall["pesq_nb"]["value"] == pytest.approx(4.549, abs=0.001) and overall["stoi"][
        "value"
    ] == pytest.approx(1)
    assert overall["judge_wer"]["value"] == overall["floor_wer"]["value"]
    assert overall["judge_wer_above_floor"]["value"] == overall["wer_to_original"]["value"] == 0
    assert list(results["speakers"]) == ["s1"] and results["speakers"]["s1"]["clips"] == 3
    assert json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["overall"] == overall
    assert (tmp_path / "out" / "results.md").read_text(encoding="utf-8") == markdown_table(results)
    rows = read_clips(tmp_path / "out" / "clips.csv")
    assert [row["name"] for row in rows] == sorted(NAMES) and summarize(rows) == overall


def test_noise_lowers_every_number(tmp_path, speech):
    reference = write_folder(tmp_path / "reference", {f"s1/{name}": x * 0.5 for name, x in speech.items()})
    overall = []
    for snr in (20, 10, 0):
        noisy = {}
        for name, x in speech.items():
            noise = np.random.default_rng(0).normal(size=len(x)) * np.sqrt(np.mean(x**2) / 10 ** (snr / 10))
            noisy[f"s1/{name}"] = (x + noise) * 0.5
        folder = write_folder(tmp_path / f"noise{snr}", noisy)
        overall.append(evaluate_folders(folder, reference, progress=False)["overall"])
    for key in ("pesq_nb", "pesq_wb", "stoi", "estoi"):
        assert overall[0][key]["value"] > overall[1][key]["value"] > overall[2][key]["value"]
    errors = [o["judge_wer"]["value"] for o in overall]
    assert errors == sorted(errors) and overall[0]["floor_wer"] == overall[2]["floor_wer"]


def test_folders_of_other_forms(tmp_path, speech, corpus):
    """Flat, not GRID's names, another rate and format; and videos as originals; and two processes."""
    write_folder(tmp_path / "a", {"clip_1": speech[NAMES[0]][::2]}, rate=8000)
    write_folder(tmp_path / "b", {"clip_1": speech[NAMES[0]], "clip_2": speech[NAMES[1]]}, suffix=".flac")
    results = evaluate_folders(tmp_path / "a", tmp_path / "b", progress=False)
    assert results["references_unused"] == 1 and list(results["speakers"]) == ["all"]
    assert "judge_wer" not in results["overall"] and "judge" not in results
    assert results["overall"]["stoi"]["value"] > 0.9
    write_folder(tmp_path / "c", {f"s1/{NAMES[0]}": speech[NAMES[0]], f"s1/{NAMES[1]}": speech[NAMES[1]]})
    results = evaluate_folders(tmp_path / "c", corpus / "video", workers=2, progress=False)
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
            evaluate_folders(*arguments, progress=False)
    write_folder(b, {"one": np.zeros(100, np.float32)})
    with pytest.raises(EvaluationError, match="one: reference is too short"):
        evaluate_folders(a, b, progress=False)
    (b / "one.wav").write_bytes(b"RIFFnothing")
    with pytest.raises(EvaluationError, match="one.wav: not a readable"):
        evaluate_folders(a, b, progress=False)


def test_sound_is_read_at_16_khz(tmp_path):
    from scipy.io import wavfile

    wavfile.write(tmp_path / "stereo.wav", 8000, np.tile(np.array([[16384, 0]], np.int16), (8000, 1)))
    waveform = read_sound(tmp_path / "stereo.wav")
    assert len(waveform) == RATE and waveform[RATE // 2] == pytest.approx(0.25, abs=0.01)


def test_model_from_video_files(tmp_path, corpus):
    system = Recording()
    results = evaluate_model(system, corpus, output_dir=tmp_path, batch_size=2, progress=False)
    overall = results["overall"]
    assert results["clips"] == 3 and not results["failures"]
    assert overall["stoi"]["value"] == pytest.approx(1, abs=0.01) and overall["judge_wer_above_floor"]["value"] == 0
    assert overall["text_wer"]["value"] == pytest.approx(1 / 6)  # the last word is missing
    assert overall["face_coverage"]["value"] == 0.5 and overall["text_confidence"]["value"] == 0.75
    assert results["slots"]["text"]["slot_wer"]["adverb"] == 1 and results["chance_wer"] == pytest.approx(0.81)
    assert results["timing"]["real_time_factor"] > 0 and results["machine"]["torch"]
    assert [row["name"] for row in read_clips(tmp_path / "clips.csv")] == list(NAMES)
    assert sorted(path.stem for path in tmp_path.glob("wav/*/*.wav")) == sorted(NAMES)
    table = markdown_table(results)
    assert "| Text-head WER, % | 16.7 (16.7 – 16.7) | 16.7 | 16.7 |" in table and "Chance" in table


def test_run_goes_on_where_it_stopped(tmp_path, corpus):
    whole = evaluate_model(Recording(), corpus, output_dir=tmp_path / "whole", progress=False)
    folder = tmp_path / "stopped"
    evaluate_model(Recording(), corpus, output_dir=folder, limit=2, progress=False)
    lines = (folder / "clips.csv").read_bytes()
    (folder / "clips.csv").write_bytes(lines[:-9])  # killed while the second row was written
    system = Recording()
    results = evaluate_model(system, corpus, output_dir=folder, progress=False)
    assert {video.rpartition("/")[2][:6] for video in system.videos} == set(NAMES[1:])
    assert results["overall"] == whole["overall"]
    system = Recording()
    evaluate_model(system, corpus, output_dir=folder, progress=False)
    assert not system.videos
    with pytest.raises(EvaluationError, match="another model or split"):
        evaluate_model(lambda videos, batch_size: None, corpus, output_dir=folder, progress=False)
    evaluate_model(system, corpus, output_dir=folder, overwrite=True, limit=1, progress=False)
    assert len(read_clips(folder / "clips.csv")) == 1


def test_bad_clip_is_reported_and_the_others_are_done(tmp_path, corpus):
    results = evaluate_model(Recording([NAMES[1]]), corpus, output_dir=tmp_path / "a", batch_size=3, progress=False)
    assert results["clips"] == 2 and [failure["clip"] for failure in results["failures"]] == [f"s1/{NAMES[1]}"]
    assert "shows no face" in results["failures"][0]["error"] and "failed 1" in markdown_table(results)
    with pytest.raises(EvaluationError, match="no clip could be scored; the first failure: s1/.*no face"):
        evaluate_model(Recording(NAMES), corpus, output_dir=tmp_path / "b", progress=False)


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
    results = evaluate_model(pipe, tmp_path, output_dir=tmp_path / "out", progress=False)
    assert results["clips"] == 1 and len(results["model_sha256"]) == 64
    assert results["overall"]["face_coverage"]["value"] > 0.9
    assert {"judge_wer", "floor_wer", "text_wer", "pesq_nb", "pesq_wb", "stoi", "estoi"} <= set(results["overall"])


def test_command(tmp_path, speech):
    folder = write_folder(tmp_path / "a", {f"s1/{NAMES[0]}": speech[NAMES[0]]})
    command = [sys.executable, "-m", "lip2wav_hf.evaluation"]
    arguments = ["--generated", folder, "--reference", folder, "-o", tmp_path / "out", "--json"]
    done = subprocess.run(command + arguments, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["overall"]["pesq_wb"]["value"] == pytest.approx(4.644, abs=0.001)
    failed = subprocess.run(command + ["--data", tmp_path / "nowhere"], capture_output=True, text=True)
    assert failed.returncode == 2 and failed.stdout == ""
    assert failed.stderr.startswith("error: ") and "nowhere" in failed.stderr and failed.stderr.count("\n") == 1
