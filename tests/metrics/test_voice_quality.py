"""DNSMOS and speaker similarity: known order, defined cases, and where they clip."""

import sys

import numpy as np
import pytest


evaluate = pytest.importorskip("evaluate", reason="the extra 'evaluate' is not installed")
pytest.importorskip("speechmos", reason="the extra 'evaluate' is not installed")

from lip2wav_hf.corpora.registry import load_split  # noqa: E402
from lip2wav_hf.grid.corpus import sentence_words  # noqa: E402
from lip2wav_hf.metrics import metric_folder  # noqa: E402
from lip2wav_hf.metrics.dnsmos.score import SCORES, dnsmos_clip  # noqa: E402
from lip2wav_hf.metrics.speaker_similarity.score import (  # noqa: E402
    speaker_embedding,
    speaker_similarity_pair,
)
from lip2wav_hf.metrics.waveforms import resample  # noqa: E402
from lip2wav_hf.synthetic.voice import synthesize_speech  # noqa: E402


RATE = 16_000


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """A synthetic sentence, 16 kHz."""
    return np.asarray(synthesize_speech(sentence_words("lgbz3a"), "synthetic1").waveform, np.float64)


def test_dnsmos_of_the_package_itself(speech):
    from speechmos import dnsmos

    expected = dnsmos.run(np.clip(speech, -1, 1), RATE)
    scores = dnsmos_clip(speech, RATE)
    for key, name in SCORES.items():
        assert scores[key] == pytest.approx(float(expected[name]), abs=1e-3)
        assert 1 <= scores[key] <= 5


def test_dnsmos_clips_what_is_beyond_full_scale_and_counts_it(speech):
    loud = speech / np.abs(speech).max() * 1.5
    scores = dnsmos_clip(loud, RATE)
    assert scores["clipped_samples"] == (np.abs(loud) > 1).sum() > 0
    assert scores["outcome"] == "scored"


def test_dnsmos_module_needs_no_reference(speech):
    module = evaluate.load(metric_folder("dnsmos"))
    result = module.compute(predictions=[speech, np.zeros(RATE)], sampling_rate=RATE)
    assert result["dnsmos_ovrl_per_clip"][1] == 1.0 and result["silent_predictions"] == 1
    assert result["dnsmos_p808"] == pytest.approx(np.mean(result["dnsmos_p808_per_clip"]))
    assert result["clipped_samples"] == [0, 0]


def test_dnsmos_of_other_rates(speech):
    at_48 = dnsmos_clip(resample(speech, RATE, 48_000), 48_000)
    assert at_48["dnsmos_ovrl"] == pytest.approx(dnsmos_clip(speech, RATE)["dnsmos_ovrl"], abs=0.1)


def test_embedding_has_length_one_and_leaves_no_stand_in(speech):
    had = "pkg_resources" in sys.modules
    embedding = speaker_embedding(speech)
    assert embedding.shape == (256,) and np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
    assert ("pkg_resources" in sys.modules) == had


def test_no_voice_has_a_defined_similarity(speech):
    hiss = np.random.default_rng(0).normal(size=len(speech)) * 1e-4
    for nothing in (np.zeros(len(speech)), hiss):
        assert speaker_embedding(nothing) is None
        generated = speaker_similarity_pair(nothing, speech, RATE)
        assert (generated["speaker_similarity"], generated["outcome"]) == (0.0, "silent prediction")
        original = speaker_similarity_pair(speech, nothing, RATE)
        assert np.isnan(original["speaker_similarity"]) and original["outcome"] == "unscorable"


def test_similarity_module_and_cut(speech):
    module = evaluate.load(metric_folder("speaker_similarity"))
    result = module.compute(predictions=[speech], references=[np.append(speech, [0.0] * 80)], sampling_rate=RATE)
    assert result["speaker_similarity"] == pytest.approx(1, abs=1e-5)
    assert (result["cut_samples"], result["silent_predictions"], result["unscorable"]) == ([80], 0, 0)


def test_clipping_barely_changes_the_voice(speech):
    loud = speech / np.abs(speech).max() * 1.2
    assert speaker_similarity_pair(loud, speech, RATE)["speaker_similarity"] > 0.9


def test_real_voices_are_told_apart(grid_dir):
    """The same voice in two sentences is nearer than another voice is, for speakers s1, s3, s26 and s33."""
    from lip2wav_hf.audio import read_audio

    clips = load_split(grid_dir, "validation", ["s1"])[:2]
    for speaker in ("s3", "s26", "s33"):
        clips += load_split(grid_dir, "unseen_validation", [speaker])[:2]
    embeddings = np.array([speaker_embedding(np.asarray(read_audio(clip.video, RATE))) for clip in clips])
    similarity = embeddings @ embeddings.T
    same = [similarity[i, i + 1] for i in range(0, len(clips), 2)]
    others = [similarity[i, j] for i in range(len(clips)) for j in range(len(clips)) if i // 2 != j // 2]
    assert min(same) > max(others)
    assert np.mean(same) > 0.7 > np.mean(others)
