"""The checkpoint that comes with the package: its size, its card, and what it says."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from transformers import pipeline

import lip2wav_hf
from lip2wav_hf.audio import read_audio
from lip2wav_hf.corpora.registry import load_split
from lip2wav_hf.evaluation.systems import weights_sha256
from lip2wav_hf.generator import LogMelSpectrogram
from lip2wav_hf.hub.card_results import update_card
from lip2wav_hf.metrics.grid_wer.grid_wer import GridRecognizer


FOLDER = Path(lip2wav_hf.DEFAULT_CHECKPOINT)
SAMPLE = Path(lip2wav_hf.__file__).parent / "assets" / "sample.mp4"
SAMPLE_TEXT = "bin blue at f two now"


@pytest.fixture(scope="module")
def speak():
    return pipeline("video-to-speech")


def test_the_sample_is_spoken_right(speak, caplog):
    speech = speak(str(SAMPLE))
    assert speech["text"] == SAMPLE_TEXT
    assert speech["face_coverage"] == 1.0
    assert len(speech["audio"]) == 48000
    assert GridRecognizer().transcribe(speech["audio"], speech["sampling_rate"]) == SAMPLE_TEXT
    assert "uncertain" not in caplog.text


def test_landmarks_on_every_second_frame_leave_the_crops_where_they_were(speak):
    """Half of the face network's work; where the crop lies changes by a fraction of a pixel."""
    extractor = speak.feature_extractor
    second = lip2wav_hf.Lip2WavFeatureExtractor(**{**extractor.to_dict(), "landmark_interval": 2})
    ours, theirs = (each.extract(str(SAMPLE)).regions.astype(float) for each in (second, extractor))
    difference = np.abs(ours - theirs).mean((1, 2))  # gray levels
    moved = np.abs(theirs[:, :, 1:] - theirs[:, :, :-1]).mean((1, 2))  # what a shift by a pixel changes
    assert 0 < np.median(difference / moved) < 0.25 and (difference / moved).max() < 1.0


def test_real_clips_are_spoken_right(speak, grid_dir):
    """Ten clips that the model was not trained on; the model card has the rates over all 50."""
    clips = load_split(grid_dir, "validation")[::5]
    errors = 0
    for clip in clips:
        heard = speak(str(clip.video))["text"].split()
        errors += sum(word not in heard for word in clip.words)
    assert errors <= 6  # of 60 words


@torch.inference_mode()
def test_the_speech_encoder_imagines_what_is_seen_of_lips(speak, grid_dir):
    """What it makes of sound, against what the generator sees, less their means; of clips nothing was learnt from."""
    encoder = lip2wav_hf.Lip2WavSpeechEncoder.from_pretrained(FOLDER / "speech_encoder", dtype=torch.float32)
    log_mel, model = LogMelSpectrogram(encoder.config), speak.model.float()
    left = whole = 0.0
    for clip in load_split(grid_dir, "validation")[::10]:
        crops = speak.feature_extractor(str(clip.video), return_tensors="pt")["pixel_values_videos"]
        hidden, logits, _ = model.encode(crops.float())
        seen = model.add_words(hidden, logits)
        sound = np.resize(read_audio(str(clip.video)), seen.shape[1] * 640)
        imagined = encoder.eval().imagine_lips(log_mel.standardised(torch.from_numpy(sound)[None]))
        seen, imagined = seen - seen.mean(1, keepdim=True), imagined - imagined.mean(1, keepdim=True)
        left += float((seen - imagined).square().sum())
        whole += float(seen.square().sum())
    assert 1 - left / whole > 0.5


def test_the_card_tells_what_was_measured():
    """Every number of the card comes from results/*.json, and those are of these weights."""
    text = update_card(FOLDER, check=True)
    told = ModelCard(text).data.eval_results
    for split in ("validation", "unseen_validation"):
        results = json.loads((FOLDER / "results" / f"{split}.json").read_text(encoding="utf-8"))
        assert results["failures"] == []
        assert {entry.metric_type for entry in told if entry.dataset_split == split} == set(results["overall"])


def test_the_results_are_of_these_weights(speak):
    for path in (FOLDER / "results").glob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))["model_sha256"] == weights_sha256(speak)
