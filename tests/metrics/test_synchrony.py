"""Offsets of sounds against mouths, in fractions of a frame: known delays of real clips, what is kept and moved."""

import json
import re
import shutil
import warnings

import numpy as np
import pytest
import torch
import yaml

from conftest import REPOSITORY
from greek_corpus import write_greek_corpus
from lip2wav_hf.audio import read_audio
from lip2wav_hf.configuration_lip2wav import Lip2WavConfig
from lip2wav_hf.corpora.clips import Clip
from lip2wav_hf.corpora.registry import load_split, open_corpus
from lip2wav_hf.feature_extraction_lip2wav import Lip2WavFeatureExtractor
from lip2wav_hf.grid.splits import BUNDLED_SPLIT
from lip2wav_hf.metrics import synchrony
from lip2wav_hf.metrics.synchrony import find_sound_offset
from lip2wav_hf.modeling_syncnet import Lip2WavSyncNet
from lip2wav_hf.train.__main__ import parse_arguments
from lip2wav_hf.training import arguments, build, sound_offsets
from lip2wav_hf.training.sound_offsets import find_sound_offsets
from lip2wav_hf.training.state import TrainingError


RATE = 16_000


def put_off(waveform: np.ndarray, seconds: float) -> np.ndarray:
    """A sound that starts later (earlier, if negative), of the same length."""
    samples = round(seconds * RATE)
    padded = np.pad(waveform, (max(samples, 0), max(-samples, 0)))
    return padded[max(-samples, 0) :][: len(waveform)]


@pytest.fixture(scope="module")
def real_clips(grid_dir) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mouth regions and sounds of four clips of s1 that no network was trained on."""
    extractor = Lip2WavFeatureExtractor()
    clips = load_split(grid_dir, "validation")[::14]
    return [(extractor.extract(str(clip.video)).regions, read_audio(clip.video, RATE)) for clip in clips]


@pytest.fixture(scope="module")
def corpus(four_clips):
    return four_clips()


@pytest.mark.parametrize("delay", [-0.060, -0.013, 0.010, 0.033, 0.050])
def test_a_known_delay_of_real_clips_is_found_within_a_fifth_of_a_frame(real_clips, delay):
    for regions, waveform in real_clips:
        before, confidence = find_sound_offset(regions, waveform)
        after, _ = find_sound_offset(regions, put_off(waveform, delay))
        assert confidence > synchrony.MIN_CONFIDENCE
        assert after - before == pytest.approx(delay, abs=0.008)


def test_what_lies_beyond_the_search_has_no_confidence(real_clips):
    regions, waveform = real_clips[0]
    far = [find_sound_offset(regions, put_off(waveform, delay)) for delay in (-0.5, 0.5)]
    assert all(abs(offset) > 0.15 or confidence < synchrony.MIN_CONFIDENCE for offset, confidence in far)
    at_the_end = find_sound_offset(regions, put_off(waveform, 0.2 - find_sound_offset(regions, waveform)[0]))
    assert at_the_end[1] == 0.0


def test_offsets_are_kept_and_found_once(corpus, tmp_path, monkeypatch):
    clips = load_split(corpus, "train")
    first = find_sound_offsets(clips[:2], tmp_path, num_workers=1, progress=False)
    assert set(first) == {clip.key for clip in clips[:2]}
    (kept,) = tmp_path.glob("sound_offsets-*.json")
    assert json.loads(kept.read_text()) == first
    measured = []
    once = sound_offsets.find_sound_offset
    monkeypatch.setattr(sound_offsets, "find_sound_offset", lambda *pair: measured.append(1) or once(*pair))
    again = find_sound_offsets(clips[:3], tmp_path, num_workers=1, progress=False)
    assert len(measured) == 1 and {key: again[key] for key in first} == first
    assert len(json.loads(kept.read_text())) == 3


def test_clips_that_cannot_be_used_have_no_offsets(tmp_path, caplog):
    broken = Clip("s9", "bbaf2n", tmp_path / "bbaf2n.mkv", ("bin", "blue"))
    broken.video.write_bytes(b"nothing")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_sound_offsets([broken], tmp_path, num_workers=1, progress=False) == {}
    assert "no sound is moved: none of 1 clip to synchronize can be used" in caplog.text
    assert "nan" not in caplog.text


def test_a_clip_that_cannot_be_used_is_reported_once(corpus, tmp_path, caplog):
    folder = tmp_path / "grid"
    shutil.copytree(corpus, folder)
    victim = next((folder / "video").rglob("*.mkv"))
    victim.write_bytes(b"nothing")
    data = arguments.DataArguments(
        data_dir=[str(folder)], cache_dir=str(tmp_path), preprocessing_workers=1, synchronize=["synthetic1"]
    )
    build.build_datasets(data, Lip2WavFeatureExtractor(), Lip2WavConfig(), None, 0, False)
    assert caplog.text.count(f"not used: synthetic1/{victim.stem}") == 1


def test_an_offset_that_does_not_stand_out_is_none(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(sound_offsets, "MIN_CONFIDENCE", 2.0)  # no confidence is higher
    clips = load_split(corpus, "train")[:1]
    assert find_sound_offsets(clips, tmp_path, num_workers=1, progress=False) == {clips[0].key: 0.0}


def test_training_moves_the_sound_of_the_speakers_it_is_told(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(sound_offsets, "find_sound_offset", lambda *_: (0.04, 1.0))
    data = arguments.DataArguments(
        data_dir=[str(corpus)], cache_dir=str(tmp_path), preprocessing_workers=1, synchronize=["synthetic1"]
    )
    options = (Lip2WavFeatureExtractor(), Lip2WavConfig(), None, 0, False)
    moved, _ = build.build_datasets(data, *options)
    data.synchronize = None
    unmoved, _ = build.build_datasets(data, *options)
    for now, before in zip(moved, unmoved, strict=True):
        assert now["waveform"].shape == before["waveform"].shape
        assert np.array_equal(now["waveform"][:-640], before["waveform"][640:])
        assert np.array_equal(now["frame_classes"][:-1], before["frame_classes"][1:])
        assert np.array_equal(now["pixel_values_videos"], before["pixel_values_videos"])


def test_recipes_and_documentation_name_the_speakers_that_the_sync_network_has_learnt_from():
    """Of others, its offsets are not to be trusted."""
    learnt_from = set(json.loads(BUNDLED_SPLIT.read_text(encoding="utf-8"))["train"])
    sentence = (
        (REPOSITORY / "docs" / "train.md").read_text(encoding="utf-8").partition("of the bundled one these are ")
    )
    assert set(re.findall(r"s\d+", sentence[2].partition(".")[0])) == learnt_from
    recipes = {path.name: yaml.safe_load(path.read_text()) for path in (REPOSITORY / "configs").glob("*.yaml")}
    named = {name: set(recipe["synchronize"]) for name, recipe in recipes.items() if "synchronize" in recipe}
    assert "grid_s1.yaml" in named and all(speakers <= learnt_from for speakers in named.values()), named


def test_training_says_what_it_cannot_move(corpus, talking_video, tmp_path, caplog):
    options = ["--data_dir", str(corpus), "--cache_dir", str(tmp_path), "--preprocessing_workers", "1"]
    grid, speakers = [open_corpus(corpus)], {"synthetic1"}
    build.warn_of_absent_speakers(parse_arguments([*options, "--synchronize", "s99"]), grid, speakers)
    assert "--synchronize: there are no clips of s99. The sound of synthetic1 stays where" in caplog.text
    caplog.clear()
    recipe = parse_arguments(["grid_s1", *options])
    build.warn_of_absent_speakers(recipe, grid, speakers)
    assert "the recipe moves the sound of s1, s2" in caplog.text and "--synchronize synthetic1." in caplog.text
    caplog.clear()
    build.warn_of_absent_speakers(recipe, grid, {"s1"})  # of all that the recipe names, these are here
    write_greek_corpus(tmp_path / "greek", talking_video, faults=False)
    build.warn_of_absent_speakers(recipe, [open_corpus(tmp_path / "greek")], {"maria"})  # which the recipe cannot know
    assert not caplog.text
    with pytest.raises(TrainingError, match="cannot be used to train one"):
        # The precision of the other tests: a process has only one.
        options += ["--network", "syncnet", "--synchronize", "synthetic1", "--mixed_precision", "no"]
        build.build_state(parse_arguments(options))


def test_another_sync_network_has_offsets_of_its_own(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(sound_offsets, "MIN_CONFIDENCE", -1.0)  # drawn mouths are near the limit
    clips = load_split(corpus, "train")[:2]
    bundled = find_sound_offsets(clips, tmp_path, num_workers=1, progress=False)
    network, _, extractor = synchrony.load_sync_network()
    torch.manual_seed(0)
    other = Lip2WavSyncNet(network.config)
    for part in (other, extractor):
        part.save_pretrained(tmp_path / "other")
    arguments = {"num_workers": 1, "progress": False, "sync_network": str(tmp_path / "other")}
    assert find_sound_offsets(clips, tmp_path, **arguments) != bundled
    assert len(list(tmp_path.glob("sound_offsets-*.json"))) == 2
    assert find_sound_offsets(clips, tmp_path, num_workers=1, progress=False) == bundled


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--synchronize", "synthetic1", "--sync_network", "nowhere"], "nowhere: no sync network can be loaded"),
        (["--sync_network", "nowhere"], "--sync_network: name the speakers whose sounds it moves"),
    ],
)
def test_a_sync_network_that_cannot_be_used_is_named(corpus, options, message):
    options = ["--data_dir", str(corpus), *options, "--mixed_precision", "no"]
    with pytest.raises(TrainingError, match=message):
        build.build_state(parse_arguments(options))


@pytest.mark.parametrize(
    ("frames", "height", "sample", "message"),
    [
        (24, 48, 0.0, "24 mouth regions and 3.00 s of sound"),
        (75, 40, 0.0, r"shape \(frames, 48, 72\), .* got \(75, 40, 72\)"),
        (75, 48, np.nan, "finite samples"),
    ],
)
def test_inputs_are_checked(frames, height, sample, message):
    with pytest.raises(ValueError, match=message):
        find_sound_offset(np.zeros((frames, height, 72), np.uint8), np.full(3 * RATE, sample, np.float32))
