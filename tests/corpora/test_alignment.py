"""CTC forced alignment: the best path, the times of words, and real speech."""

import itertools

import numpy as np
import pytest
import torch

from lip2wav_hf.audio import read_audio
from lip2wav_hf.configuration_lip2wav import Lip2WavSpeechEncoderConfig
from lip2wav_hf.corpora.alignment import AlignmentError, FrameTimes, WordAligner, align_words, forced_path
from lip2wav_hf.corpora.alignment_check import boundary_differences, check_alignment, measure
from lip2wav_hf.corpora.registry import load_split
from lip2wav_hf.grammar import TextUnits
from lip2wav_hf.modeling_critic import Lip2WavSpeechEncoder


UNITS = TextUnits("words", ("a", "b"))


def scores_of(frames, classes, seed):
    values = np.random.default_rng(seed).normal(0, 2, (frames, classes))
    return values - np.logaddexp.reduce(values, axis=1, keepdims=True)


def collapse(path):
    """What CTC reads off the classes of frames."""
    return [key for key, _ in itertools.groupby(path) if key]


@pytest.mark.parametrize("units", [[1], [1, 2], [2, 2], [1, 2, 1]])
def test_the_path_is_the_best_of_all(units):
    scores = scores_of(6, 3, seed=len(units))
    path = forced_path(scores, units)
    classes = [units[number] if number >= 0 else 0 for number in path]
    assert collapse(classes) == units and sorted(set(path[path >= 0])) == list(range(len(units)))
    paths = [each for each in itertools.product(range(3), repeat=6) if collapse(each) == units]
    best = max(sum(scores[range(6), each]) for each in paths)
    assert scores[range(6), classes].sum() == pytest.approx(best)


def test_the_path_is_that_of_torchaudio():
    forced_align = getattr(pytest.importorskip("torchaudio").functional, "forced_align", None)
    if forced_align is None:
        pytest.skip("this torchaudio has no forced_align any more")
    for seed in range(20):
        units = np.random.default_rng(seed).integers(1, 6, 4).tolist()
        scores = scores_of(25, 6, seed)
        path = forced_path(scores, units)
        theirs, _ = forced_align(torch.from_numpy(scores)[None].float(), torch.tensor([units]), blank=0)
        assert [units[number] if number >= 0 else 0 for number in path] == theirs[0].tolist()


def test_too_few_frames_are_refused():
    assert forced_path(scores_of(3, 3, 0), [1, 1]).tolist() == [0, -1, 1]
    with pytest.raises(AlignmentError, match="2 frames, too few for its 2 words"):
        forced_path(scores_of(2, 3, 0), [1, 1])


def test_times_and_scores_of_words():
    probabilities = np.full((8, 3), 0.05)
    for frame, best in enumerate([0, 1, 1, 1, 0, 2, 2, 0]):
        probabilities[frame, best] = 0.9
    probabilities[6] = [0.6, 0.1, 0.3]  # half as likely as silence
    probabilities[7] = [0.05, 0.05, 0.9]
    found = align_words(np.log(probabilities), ["a", "b"], UNITS, FrameTimes(0.04, 0.02, 0.32))
    assert [word for _, _, word in found.words] == ["a", "b"]
    assert np.allclose([edge for *edges, _ in found.words for edge in edges], [0.04, 0.16, 0.20, 0.32])
    assert found.scores == pytest.approx((1.0, (1 + 0.5 + 1) / 3)) and not found.doubtful
    with pytest.raises(AlignmentError, match="unknown words: c"):
        align_words(np.log(probabilities), ["a", "c"], UNITS, FrameTimes(0.04, 0.02, 0.32))


@pytest.mark.parametrize("between", ["|", " "])
def test_words_of_characters(between):
    """ "ab ba", the two `b` parted by the delimiter or by a pause."""
    units = TextUnits.collect("characters", ["ab", "ba"])
    said = [" ", "a", "a", "b", between, "b", "a", " "]
    probabilities = np.full((8, 4), 0.02)
    for frame, unit in enumerate(said):
        probabilities[frame, units.classes.get(unit, 0)] = 0.94
    found = align_words(np.log(probabilities), ["ab", "ba"], units, FrameTimes(0.04, 0.02, 0.32))
    assert np.allclose([edge for *edges, _ in found.words for edge in edges], [0.04, 0.16, 0.20, 0.28])
    assert found.scores == pytest.approx((1.0, 1.0))
    with pytest.raises(AlignmentError, match="unknown words: cab"):
        align_words(np.log(probabilities), ["cab"], units, FrameTimes(0.04, 0.02, 0.32))


class Loud(Lip2WavSpeechEncoder):
    """Hears word 1 where it is loud."""

    def forward(self, mel, frame_mask=None):
        loud = mel.unflatten(1, (-1, self.factor)).mean((2, 3)) * 5
        output = super().forward(mel, frame_mask)
        output.text_logits = torch.stack([-loud, loud], -1)
        return output


def test_boundaries_are_as_fine_as_the_spectrogram():
    """A sound that comes 10 ms later has boundaries that come 10 ms later, though a frame is 40 ms long."""
    config = Lip2WavSpeechEncoderConfig(vocabulary=["tone"], hidden_size=8, num_layers=1, mel_mean=-5.0, mel_std=4.0)
    aligner, sound = WordAligner(Loud(config)), np.zeros(24000)
    sound[8000:16000] = 0.5 * np.random.default_rng(0).normal(size=8000)
    for late in range(6):
        ((start, end, _),) = aligner.align(np.roll(sound, 160 * late), ["tone"]).words
        assert (start, end) == pytest.approx((0.475 + 0.01 * late, 1.025 + 0.01 * late))  # windows reach 20 ms further


def test_errors_of_boundaries_by_hand():
    pairs = boundary_differences([(0.0, 0.5, "a"), (0.6, 1.0, "b")], [(0.1, 0.5, "a"), (0.5, 0.8, "b")])
    assert np.allclose(pairs, [[-100, 0], [100, 200]])
    errors = measure([pairs])
    assert (errors.clips, errors.boundaries) == (1, 4)
    assert (errors.median, errors.bias) == pytest.approx((100, 50))
    assert errors.percentile_90 == pytest.approx(170)


def test_real_speech_is_aligned_to_milliseconds(grid_dir):
    clips = load_split(grid_dir, "validation")[:20]
    found = check_alignment(clips, "grid-s1")
    assert found.overall.clips == 20 and not found.problems
    assert found.overall.median <= 15 and found.overall.percentile_90 <= 45  # 5 and 35 ms of all 50
    aligner = WordAligner.load("grid-s1")
    sound = read_audio(clips[0].source)
    assert aligner.align(sound, clips[0].words).score > 0.5 > aligner.align(sound, clips[0].words[::-1]).score
