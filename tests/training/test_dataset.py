"""Cached clips as examples: what they hold, how they are varied, and batches of them."""

import dataclasses
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lip2wav_hf import Lip2WavConfig, Lip2WavFeatureExtractor
from lip2wav_hf.grid.corpus import sentence_words
from lip2wav_hf.training.arguments import AugmentationArguments
from lip2wav_hf.training.cache import read_cached_clip, write_cached_clip
from lip2wav_hf.training.dataset import collate_clips
from lip2wav_hf.training.variation import ClipVariation

from .runs import clips_of


def test_validation_clips_are_what_the_pipeline_sees(cached_clip):
    item = clips_of(cached_clip)[0]
    assert item["pixel_values_videos"].shape == (75, 1, 40, 64)
    (path,) = cached_clip.files.values()
    expected = Lip2WavFeatureExtractor().normalize(read_cached_clip(path).regions[:, 4:44, 4:68])
    assert np.array_equal(item["pixel_values_videos"][:, 0].numpy(), expected)
    vocabulary = Lip2WavConfig().vocabulary
    assert [vocabulary[label - 1] for label in item["labels"]] == sentence_words("bbaf2n")
    assert (item["frame_classes"][:10] == 0).all() and item["frame_classes"][12] == item["labels"][0]


def test_variations_follow_seed_and_epoch(cached_clip):
    first, again, other = (clips_of(cached_clip, AugmentationArguments(), seed) for seed in (1, 1, 2))
    assert torch.equal(first[0]["pixel_values_videos"], again[0]["pixel_values_videos"])
    assert not torch.equal(first[0]["pixel_values_videos"], other[0]["pixel_values_videos"])
    again.set_epoch(1)
    assert not torch.equal(first[0]["pixel_values_videos"], again[0]["pixel_values_videos"])
    assert first[0]["pixel_values_videos"].shape == (64, 1, 40, 64)


def test_a_stretched_clip_keeps_picture_words_and_sound_together(cached_clip):
    dataset = clips_of(cached_clip, quiet_choices(stretch_probability=1.0, stretch=0.2, window_frames=40))
    for epoch in range(5):
        dataset.set_epoch(epoch)
        item = dataset[0]
        assert 0.8 <= item["stretch"] <= 1.2
        assert len(item["waveform"]) == math.ceil(40 * item["stretch"]) * 640
        # Brightness rises by the same amount each frame, so its slope is the speed.
        brightness = item["pixel_values_videos"].mean((1, 2, 3))
        slope = float(brightness[-1] - brightness[0]) / 39
        spread = float(brightness.std()) * math.sqrt(12)  # of a ramp
        assert slope * 39 == pytest.approx(spread, rel=0.1)
        assert len(item["frame_classes"]) == 40
    assert {int(label) for label in item["labels"]} == {int(c) for c in item["frame_classes"] if c > 0}


def quiet_choices(**changes):
    """No variation but those named."""
    off = {field.name: 0 for field in dataclasses.fields(AugmentationArguments) if field.name.endswith("probability")}
    return AugmentationArguments(**off | {"scale": 0, "rotation": 0, "shift": 0, "gamma": 0, "noise": 0} | changes)


def variation_of(**changes):
    return ClipVariation(quiet_choices(**changes), Lip2WavFeatureExtractor(), 640)


def test_with_the_looks_of_another_a_mouth_moves_as_before():
    rng = np.random.default_rng(0)
    looks, others = rng.integers(60, 120, (2, 1, 48, 72), dtype=np.uint8)
    moves = np.zeros((30, 48, 72))
    moves[:, 20:28, 24:48] = 20 * np.sin(np.arange(30))[:, None, None]
    clip, other = (looks + moves).astype(np.uint8), np.repeat(others, 9, 0)
    shares = []
    for seed in range(20):
        dressed = variation_of().disguise(clip, other, np.random.default_rng(seed))
        assert dressed.shape == clip.shape and dressed.dtype == np.uint8
        mean = dressed.mean(0)
        share = np.mean((mean - clip.mean(0)) * (others[0] - clip.mean(0))) / np.mean((others[0] - clip.mean(0)) ** 2)
        shares.append(share)
        moved = (dressed - mean)[:, 24, 30]
        assert np.corrcoef(moved, moves[:, 24, 30])[0, 1] > 0.99
        assert 0.55 < moved.std() / moves[:, 24, 30].std() < 1.8
    assert min(shares) < 0.2 and max(shares) > 0.8


def test_a_clip_takes_the_looks_of_clips_of_the_training(cached_clip):
    """Of two speakers, one is bright below; either may lend the looks."""
    (clip,), (path,) = cached_clip.clips, cached_clip.files.values()
    other = dataclasses.replace(clip, speaker="s2")
    regions = np.repeat(np.arange(48, dtype=np.uint8)[None, :, None] * 4, 75, 0).repeat(72, 2)
    write_cached_clip(path.with_name("other.safetensors"), replace(read_cached_clip(path), regions=regions))
    files = cached_clip.files | {other.key: path.with_name("other.safetensors")}
    dressed = clips_of(
        replace(cached_clip, clips=[clip, other], files=files), quiet_choices(appearance_probability=1.0)
    )
    slopes = []
    for epoch in range(12):
        dressed.set_epoch(epoch)
        picture = dressed[0]["pixel_values_videos"].mean((0, 1))
        slopes.append(float(picture[-8:].mean() - picture[:8].mean()))
    assert max(slopes) > 0.5  # the looks of the other
    assert collate_clips([dressed[0], dressed[1], dressed[0]])["speakers"].tolist() == [0, 1, 0]
    assert sum(abs(slope) < 0.01 for slope in slopes) >= 2  # its own


def test_a_coarse_picture_has_lost_what_is_fine_and_nothing_else():
    fine = np.random.default_rng(0).integers(80, 120, (3, 48, 72), dtype=np.uint8) + np.arange(72, dtype=np.uint8)
    sharp = variation_of().warp(fine, np.random.default_rng(0))
    coarse = variation_of(coarse_probability=1.0).warp(fine, np.random.default_rng(0))
    assert np.abs(np.diff(coarse, axis=1)).mean() < 0.5 * np.abs(np.diff(sharp, axis=1)).mean()
    assert np.abs(coarse.mean((0, 1)) - sharp.mean((0, 1)))[6:-6].max() < 5  # the slope stays


def test_a_bend_is_smooth_and_the_same_for_all_frames():
    ramp = np.broadcast_to(np.arange(72, dtype=np.uint8) * 3, (5, 48, 72)).copy()
    straight = variation_of().warp(ramp, np.random.default_rng(0))
    bent = variation_of(bend=1.5).warp(ramp, np.random.default_rng(0))
    assert (bent == bent[:1]).all()
    moved = (bent - straight)[0, 4:-4, 6:-6] / 3  # pixels
    assert 0.5 < moved.std() < 3
    assert np.abs(np.diff(moved, axis=0)).max() < 1  # no fold


@pytest.mark.parametrize(("late", "samples", "frames"), [(0.1, 1600, 2), (-0.035, -560, -1), (0.004, 64, 0)])
def test_a_late_sound_is_moved_with_its_words(cached_clip, late, samples, frames):
    (clip,) = cached_clip.clips
    before = clips_of(cached_clip)[0]
    after = clips_of(replace(cached_clip, sound_offsets={clip.key: late}))[0]
    assert torch.equal(after["pixel_values_videos"], before["pixel_values_videos"])
    inner = slice(2000, -2000)  # what comes in at an end is mirrored
    assert torch.equal(after["waveform"][inner], before["waveform"].roll(-samples)[inner])
    assert torch.equal(after["frame_classes"][5:-5], before["frame_classes"].roll(-frames)[5:-5])
    assert len(after["waveform"]) == len(before["waveform"]) and torch.equal(after["labels"], before["labels"])


def test_collate_pads_ragged_clips(cached_clip):
    items = [clips_of(cached_clip)[0] for _ in range(2)]
    items[1] = items[1] | {
        "pixel_values_videos": items[1]["pixel_values_videos"][:30],
        "frame_classes": items[1]["frame_classes"][:30],
        "labels": items[1]["labels"][:2],
    }
    batch = collate_clips(items)
    assert batch["pixel_values_videos"].shape == (2, 75, 1, 40, 64)
    assert batch["frame_mask"].sum(1).tolist() == [75, 30]
    assert batch["label_lengths"].tolist() == [6, 2]
    assert (batch["frame_classes"][1, 30:] == -100).all()


def test_a_clip_without_word_times_stays_whole(cached_clip):
    """A window of it would have the labels of all its words: nobody knows which ones it shows."""
    (path,) = cached_clip.files.values()
    cached = read_cached_clip(path)
    write_cached_clip(path, replace(cached, frame_words=np.full(75, -2, np.int8)))
    for stretch in (0.0, 1.0):
        choices = AugmentationArguments(window_frames=40, stretch_probability=stretch)
        for seed in range(5):
            item = clips_of(cached_clip, choices, seed)[0]
            assert len(item["labels"]) == 6 and (item["frame_classes"] == -100).all()
            assert len(item["waveform"]) == 48_000  # all of the sound
            shown = len(item["pixel_values_videos"])
            assert shown * item["stretch"] == pytest.approx(75, abs=item["stretch"])


def test_clips_that_are_shorter_than_the_window_are_joined(cached_clip):
    """Two takes of one word: each fills a third of the window, so that three words are heard one after the other."""
    (clip,), (path,) = cached_clip.clips, cached_clip.files.values()
    cached = read_cached_clip(path)
    short = dataclasses.replace(
        cached, regions=cached.regions[:24], waveform=cached.waveform[: 24 * 640], frame_words=cached.frame_words[:24]
    )
    write_cached_clip(path, dataclasses.replace(short, frame_words=np.where(short.frame_words >= 0, 0, -1)))
    one_word = replace(cached_clip, clips=[dataclasses.replace(clip, words=("bin",))])
    off = {field.name: 0 for field in dataclasses.fields(AugmentationArguments) if field.name.endswith("probability")}
    item = clips_of(one_word, AugmentationArguments(**off | {"join_probability": 1.0}))[0]
    assert item["pixel_values_videos"].shape[0] == 64
    assert item["waveform"].shape == (64 * 640,)
    starts = torch.diff((item["frame_classes"] > 0).int(), prepend=torch.zeros(1, dtype=torch.int32)) == 1
    assert len(item["labels"]) == int(starts.sum()) >= 2
    assert len(clips_of(one_word, AugmentationArguments(**off))[0]["pixel_values_videos"]) == 24


def test_joined_clips_have_no_times_where_one_has_none(cached_clip):
    (clip,), (path,) = cached_clip.clips, cached_clip.files.values()
    cached = read_cached_clip(path)
    write_cached_clip(
        path,
        dataclasses.replace(
            cached,
            regions=cached.regions[:40],
            waveform=cached.waveform[: 40 * 640],
            frame_words=np.full(40, -2, np.int8),
        ),
    )
    off = {field.name: 0 for field in dataclasses.fields(AugmentationArguments) if field.name.endswith("probability")}
    item = clips_of(cached_clip, AugmentationArguments(**off | {"join_probability": 1.0}))[0]
    assert item["pixel_values_videos"].shape[0] == 80
    assert len(item["labels"]) == 2 * len(clip.words)
    assert (item["frame_classes"] == -100).all()


def test_a_clip_without_sound_says_so(cached_clip):
    (clip,) = cached_clip.clips
    silent = clips_of(replace(cached_clip, silent=frozenset({clip.key})))
    batch = collate_clips([silent[0], clips_of(cached_clip)[0]])
    assert batch["has_sound"].tolist() == [False, True]
