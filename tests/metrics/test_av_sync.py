"""The metric `av_sync`: known shifts of real clips, defined cases, clear errors, and loading without a network."""

import dataclasses
import json
import re

import numpy as np
import pytest


evaluate = pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")

from lip2wav_hf.audio import mux_audio, read_audio  # noqa: E402
from lip2wav_hf.corpora.registry import load_split  # noqa: E402
from lip2wav_hf.face_tracking import FaceTrackingError  # noqa: E402
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor  # noqa: E402
from lip2wav_hf.metrics import metric_folder  # noqa: E402
from lip2wav_hf.metrics.av_sync.known_shifts import measure_shifts, put_off  # noqa: E402
from lip2wav_hf.metrics.av_sync.score import MIN_FRAMES, MouthCropsError, av_sync_clip, score_clip  # noqa: E402
from lip2wav_hf.metrics.pairs import SoundPair  # noqa: E402
from lip2wav_hf.metrics.synchrony import SYNC_CHECKPOINT, load_sync_network  # noqa: E402
from lip2wav_hf.metrics.waveforms import WaveformError  # noqa: E402


RATE = 16_000


@pytest.fixture(scope="module")
def crops(talking_video) -> np.ndarray:
    """Mouth of the synthetic face, `(75, 48, 72)`."""
    return Lip2WavFeatureExtractor().extract(str(talking_video)).regions


@pytest.fixture(scope="module")
def speech(talking_video) -> np.ndarray:
    return read_audio(talking_video, RATE)


@pytest.mark.slow
def test_known_shifts_of_unseen_speakers_are_found(grid_dir):
    results = measure_shifts(load_split(grid_dir, "unseen_validation"), shifts=(-5, 0, 5))
    assert (results["clips"], results["shifts"]) == (43, 3)
    assert results["found"] >= 0.9
    assert results["confidence"] > 1.5 * results["wrong_sound_confidence"]


def test_shifted_silence_is_put_in():
    sound = np.arange(1, 4 * 640 + 1, dtype=np.float32)
    late, early = put_off(sound, 1), put_off(sound, -1)
    assert len(late) == len(early) == len(sound)
    assert not late[:640].any() and late[640] == 1
    assert early[0] == 641 and not early[-640:].any()
    assert np.array_equal(put_off(sound, 0), sound)


def test_what_the_result_holds(crops, speech):
    result = av_sync_clip(speech, RATE, mouth_crops=crops)
    assert set(result) == {"offset", "confidence", "distance", "cut_samples", "cut_frames", "outcome"}
    assert (
        result["outcome"] == "scored" and result["offset"] == round(result["offset"]) and abs(result["offset"]) <= 15
    )
    assert 0 <= result["confidence"] <= 2 and 0 <= result["distance"] <= 2


def test_video_whole_and_centre_crops_give_the_same(talking_video, crops, speech):
    from_video = av_sync_clip(speech, RATE, video=talking_video)
    assert from_video == av_sync_clip(speech, RATE, mouth_crops=crops)
    assert from_video == av_sync_clip(speech, RATE, mouth_crops=crops[:, 4:44, 4:68])


def test_loudness_does_not_count_and_the_sampling_rate_hardly(crops, speech):
    from lip2wav_hf.metrics.waveforms import resample

    expected = av_sync_clip(speech, RATE, mouth_crops=crops)
    other = av_sync_clip(resample(speech.astype(np.float64), RATE, 48_000), 48_000, mouth_crops=crops)
    assert other["confidence"] == pytest.approx(expected["confidence"], abs=0.02)
    assert other["cut_samples"] == 3 * expected["cut_samples"]
    sixteen_bit = np.int16(speech * 32767)
    assert av_sync_clip(sixteen_bit, RATE, mouth_crops=crops)["confidence"] == pytest.approx(
        expected["confidence"], abs=0.02
    )


@pytest.mark.parametrize("level", [0.0, 0.3, 1e-6])
def test_silence_has_no_offset(crops, level):
    sound = level * (np.ones(48_000) if level == 0.3 else np.random.default_rng(0).normal(size=48_000))
    result = av_sync_clip(sound, RATE, mouth_crops=crops)
    assert (result["outcome"], result["confidence"]) == ("silent prediction", 0.0)
    assert np.isnan(result["offset"]) and np.isnan(result["distance"])


def test_a_still_picture_has_no_offset(crops, speech):
    result = av_sync_clip(speech, RATE, mouth_crops=crops[:1].repeat(75, 0))
    assert (result["outcome"], result["confidence"]) == ("still picture", 0.0)
    assert np.isnan(result["offset"])


def test_unequal_lengths_are_cut_and_told(crops, speech):
    longer = av_sync_clip(np.pad(speech[: 75 * 640], (0, 1000)), RATE, mouth_crops=crops[:50])
    assert (longer["cut_samples"], longer["cut_frames"]) == (25 * 640 + 1000, 0)
    shorter = av_sync_clip(speech[: 45 * 640], RATE, mouth_crops=crops)
    assert (shorter["cut_samples"], shorter["cut_frames"]) == (0, len(crops) - 45)
    assert shorter == av_sync_clip(speech[: 45 * 640], RATE, mouth_crops=crops[:45]) | {"cut_frames": len(crops) - 45}


def test_errors_name_the_clip(crops, speech, tmp_path):
    faceless = tmp_path / "faceless.mp4"
    mux_audio(np.full((50, 64, 64, 3), 90, np.uint8), speech, RATE, faceless, fps=25)
    with pytest.raises(MouthCropsError, match=f"clip 3 is too short: 39 frames.*{MIN_FRAMES} frames"):
        av_sync_clip(speech, RATE, mouth_crops=crops[:39], index=3)
    with pytest.raises(MouthCropsError, match="clip 3 is too short.*1.00 s of sound"):
        av_sync_clip(speech[:RATE], RATE, mouth_crops=crops, index=3)
    with pytest.raises(MouthCropsError, match="either a video or its mouth crops"):
        av_sync_clip(speech, RATE)
    with pytest.raises(MouthCropsError, match=r"uint8 of shape \(75, 30, 30\)"):
        av_sync_clip(speech, RATE, mouth_crops=crops[:, :30, :30])
    with pytest.raises(MouthCropsError, match="NaN"):
        av_sync_clip(speech, RATE, mouth_crops=np.full(crops.shape, np.nan))
    with pytest.raises(WaveformError, match="prediction 3 has 1 NaN"):
        av_sync_clip(np.append(speech, np.nan), RATE, mouth_crops=crops, index=3)
    with pytest.raises(FaceTrackingError, match="no face"):
        av_sync_clip(speech, RATE, video=faceless)
    with pytest.raises(ValueError, match="missing.mkv"):
        av_sync_clip(speech, RATE, video=tmp_path / "missing.mkv")


def test_words_too_short_for_all_shifts_have_no_value(talking_video, speech):
    """The other metrics of such a clip count all the same."""
    pair = SoundPair(speech[:RATE], speech[:RATE], "yes", talking_video)
    assert score_clip(pair) == {"av_outcome": "too short"}
    assert score_clip(dataclasses.replace(pair, prediction=speech, reference=speech))["av_outcome"] == "scored"


def test_evaluate_module(talking_video, crops, speech):
    metric = evaluate.load(metric_folder("av_sync"))
    silence = np.zeros_like(speech)
    result = metric.compute(
        predictions=[speech, silence], references=["spoken", "silent"], mouth_crops=[crops, crops], sampling_rate=RATE
    )
    one = av_sync_clip(speech, RATE, mouth_crops=crops)
    assert result["av_confidence_per_clip"] == [pytest.approx(one["confidence"]), 0.0]
    assert result["av_confidence"] == pytest.approx(one["confidence"] / 2)
    assert result["av_offset"] == one["offset"] and np.isnan(result["av_offset_per_clip"][1])
    assert result["av_absolute_offset"] == abs(one["offset"])
    assert result["av_within_one_frame"] == float(abs(one["offset"]) <= 1)
    assert (result["silent_predictions"], result["still_pictures"]) == (1, 0)
    from_file = metric.compute(predictions=[speech], references=[str(talking_video)], sampling_rate=RATE)
    assert from_file["av_confidence_per_clip"] == [pytest.approx(one["confidence"])]
    with pytest.raises(ValueError, match="mouth crops of 1 clips for 2 waveforms"):
        metric.compute(predictions=[speech, speech], references=["a", "b"], mouth_crops=[crops], sampling_rate=RATE)


def test_the_network_is_loaded_once():
    assert load_sync_network() is load_sync_network()


def test_checkpoint_is_small_and_its_card_says_what_was_measured():
    folder = SYNC_CHECKPOINT
    assert (folder / "model.safetensors").stat().st_size <= 2_000_000
    card = (folder / "README.md").read_text(encoding="utf-8")
    for path in sorted((folder / "results").glob("*.json")):
        results = json.loads(path.read_text(encoding="utf-8"))
        row = re.search(rf"^\| `{results['split']}` .*$", card, re.MULTILINE)
        assert row, f"the card has no row of {path.name}"
        numbers = [results["found"], results["clips_always_found"], results["right_sound_preferred"]]
        for number in numbers:
            assert f"{100 * number:.1f} %" in row.group(), path.name
        for number in (results["confidence"], results["wrong_sound_confidence"]):
            assert f" {number:.3f} " in row.group(), path.name


def test_space_page_measures_a_video(talking_video):
    pytest.importorskip("gradio", reason="the extra 'demo' is not installed")
    from lip2wav_hf.metrics.av_sync.app import build_page, measure

    offset, confidence, sentence = measure(str(talking_video), None)
    assert confidence > 0 and sentence.startswith("The sound is") and abs(offset) <= 15
    assert build_page().title == "Audio-visual synchrony"
