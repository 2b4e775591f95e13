"""Learning when words are said from sentences alone."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lip2wav_hf.configuration_lip2wav import Lip2WavSpeechEncoderConfig
from lip2wav_hf.corpora.alignment import WordAligner
from lip2wav_hf.corpora.alignment_check import boundary_differences, measure
from lip2wav_hf.modeling_critic import Lip2WavSpeechEncoder
from lip2wav_hf.training.arguments import LossArguments
from lip2wav_hf.training.dataset import UNKNOWN_CLASS
from lip2wav_hf.training.flat_start import (
    START,
    even_division,
    loud_frames,
    path_scores,
    sentence_loss,
    sentence_targets,
)
from lip2wav_hf.training.objectives import SpeechEncoderObjective


def test_an_even_division_by_hand():
    loud = torch.tensor([[0, 1, 1, 0, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0, 0]]).bool()
    labels = torch.tensor([[7, 8, 9], [5, 0, 0]])
    divided = even_division(loud, labels, torch.tensor([3, 1]))
    assert divided.tolist() == [[0, 7, 7, 0, 8, 8, 9, 0], [0] * 8]


def test_loud_frames_are_relative_to_the_clip_and_not_in_its_padding():
    mel = torch.full((2, 8, 3), -9.0)
    mel[0, 2:4] = mel[1, 4:6] = 1.0
    mel[1] += 5.0
    mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0]])
    assert loud_frames(mel, mask).tolist() == [[False, True, False, False], [False, False, True, False]]


def test_scores_of_paths_are_those_of_all_that_ctc_allows():
    torch.manual_seed(0)
    scores = torch.randn(3, 5, 3, dtype=torch.double, requires_grad=True)  # no log probabilities
    frames, labels, lengths = torch.tensor([5, 4, 2]), torch.tensor([[1, 2], [1, 1], [2, 0]]), torch.tensor([2, 2, 1])
    total = path_scores(scores, frames, labels, lengths)
    for clip in range(3):
        wanted = labels[clip, : lengths[clip]].tolist()
        paths = itertools.product(range(3), repeat=int(frames[clip]))
        fit = [path for path in paths if [key for key, _ in itertools.groupby(path) if key] == wanted]
        each = torch.stack([scores[clip, range(len(path)), path].sum() for path in fit])
        assert total[clip].item() == pytest.approx(each.logsumexp(0).item())
        share = torch.zeros(5, 3, dtype=torch.double)
        for path, weight in zip(fit, each.softmax(0).detach(), strict=True):
            share[range(len(path)), list(path)] += weight
        (gradient,) = torch.autograd.grad(total[clip], scores, retain_graph=True)
        assert torch.allclose(gradient[clip], share)


def test_scores_of_paths_are_torchs_where_they_are_log_probabilities():
    torch.manual_seed(0)
    scores = torch.randn(4, 12, 6).log_softmax(-1)
    frames, labels = torch.tensor([12, 9, 5, 2]), torch.randint(1, 6, (4, 3))
    lengths = torch.tensor([3, 2, 1, 3])
    theirs = F.ctc_loss(scores.transpose(0, 1), labels, frames, lengths, reduction="none")
    ours = path_scores(scores, frames, labels, lengths)
    assert torch.allclose(ours[:3], -theirs[:3], atol=1e-4) and theirs[3] == torch.inf and ours[3] < -1e8


def test_targets_are_the_even_division_first_and_what_is_heard_later():
    loud = torch.ones(2, 6, dtype=torch.bool)
    labels, lengths, frames = torch.tensor([[1, 2], [1, 2]]), torch.tensor([2, 2]), torch.tensor([6, 1])
    logits = torch.zeros(2, 6, 4)
    logits[:, 0, 1] = logits[:, 1:, 2] = START / 2  # word 1 is heard in one frame, word 2 in five
    even = torch.ones(4)
    first, last = (sentence_targets(logits, loud, frames, labels, lengths, even, share) for share in (0.0, 1.0))
    assert first[0].argmax(-1).tolist() == [1, 1, 1, 2, 2, 2]
    assert last[0].argmax(-1).tolist() == [1, 2, 2, 2, 2, 2]
    assert torch.allclose(first[0].sum(-1), torch.ones(6)) and not first[1].any()  # too few frames teach nothing
    rare = torch.tensor([1.0, 1.0, 10000.0, 1.0])  # word 2 is frequent, so that it is heard for nothing
    told = sentence_targets(logits, loud, frames, labels, lengths, rare, 1.0)
    assert told[0].argmax(-1).tolist() == [1, 1, 1, 1, 1, 2]
    assert sentence_loss(logits, torch.zeros_like(first)) == 0
    assert sentence_loss(last.clamp(min=1e-6).log(), last) < sentence_loss(logits, last)


TONES = {"low": 300.0, "mid": 900.0, "high": 2200.0, "top": 4500.0}


def tone_clip(rng):
    """Two seconds of three tones, each a word, of very different lengths; with the true times."""
    words = [str(word) for word in rng.choice(list(TONES), 3, replace=False)]
    waveform, times, start = 0.002 * rng.normal(size=32000), [], 0.1 + 0.3 * rng.random()
    for word in words:
        end = start + float(rng.choice([0.12, 0.28, 0.5]))
        samples = np.arange(round(start * 16000), round(end * 16000))
        breath = 0.05 * rng.normal(size=len(samples))
        waveform[samples] += breath + 0.3 * np.sin(2 * np.pi * TONES[word] * samples / 16000)
        times.append((start, end, word))
        start = end
    return waveform.astype(np.float32), times


def tone_batch(rng, units, clips=8):
    sounds, times = zip(*(tone_clip(rng) for _ in range(clips)), strict=True)
    return {
        "waveform": torch.from_numpy(np.stack(sounds)),
        "frame_mask": torch.ones(clips, 50, dtype=torch.long),
        "stretch": torch.ones(clips),
        "frame_classes": torch.full((clips, 50), UNKNOWN_CLASS),
        "labels": torch.tensor([[units.classes[word] for *_, word in each] for each in times]),
        "label_lengths": torch.full((clips,), 3),
    }


def test_a_speech_encoder_learns_times_from_sentences_alone():
    torch.manual_seed(0)
    rng, steps = np.random.default_rng(0), 240
    config = Lip2WavSpeechEncoderConfig(
        vocabulary=list(TONES), hidden_size=48, num_layers=2, mel_mean=-1.0, mel_std=2.0, dropout=0.0
    )
    encoder = Lip2WavSpeechEncoder(config)
    objective = SpeechEncoderObjective(encoder, LossArguments(ctc=0.1, words=1.0)).train()
    optimizer = torch.optim.AdamW(encoder.parameters(), 5e-3)
    for step in range(steps):
        batch = tone_batch(rng, config.units) | {"progress": torch.tensor(step / steps)}
        loss = torch.stack(list(objective(batch).losses.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    aligner, differences = WordAligner(encoder), []
    for _ in range(10):
        waveform, times = tone_clip(rng)
        differences.append(boundary_differences(aligner.align(waveform, [word for *_, word in times]).words, times))
    errors = measure(differences)
    assert errors.median <= 20 and errors.percentile_90 <= 60, errors
    assert objective.eval()(tone_batch(rng, config.units)).losses["words"] == 0  # nothing to measure against


def test_clips_with_and_without_times_share_the_losses():
    torch.manual_seed(0)
    config = Lip2WavSpeechEncoderConfig(vocabulary=list(TONES), hidden_size=8, num_layers=1, dropout=0.0)
    objective = SpeechEncoderObjective(Lip2WavSpeechEncoder(config), LossArguments(ctc=1.0, words=1.0)).train()
    batch = tone_batch(np.random.default_rng(0), config.units, clips=4)
    objective.unit_counts.fill_(1e9)  # so many that these clips change nothing
    batch["frame_classes"][1:] = 0
    batch["frame_classes"][1:, 10:20] = batch["labels"][1:, :1]

    def losses(clips):
        torch.manual_seed(1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lip2wav_hf.training.objectives.vary_mel", lambda mel: mel)
            return objective({name: value[clips] for name, value in batch.items()}).losses

    bare, timed, both = losses(slice(0, 1)), losses(slice(1, 4)), losses(slice(0, 4))
    assert bare["ctc"] == 0 and bare["words"] > 0
    assert both["ctc"].item() == pytest.approx(0.75 * timed["ctc"].item(), rel=1e-5)
    assert both["words"].item() == pytest.approx(0.25 * bare["words"].item() + 0.75 * timed["words"].item(), rel=1e-5)
