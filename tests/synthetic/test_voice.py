"""The synthetic voice."""

import numpy as np

from lip2wav_hf.grid.corpus import sentence_words
from lip2wav_hf.synthetic.face import render_frames
from lip2wav_hf.synthetic.voice import synthesize_speech


def test_speech_shape_and_times(speech):
    assert speech.waveform.shape == (48_000,) and speech.waveform.dtype == np.float32
    assert speech.sampling_rate == 16_000 and 0.3 < np.abs(speech.waveform).max() < 1
    assert [word for _, _, word in speech.word_times] == ["place", "blue", "by", "m", "five", "please"]
    for times in (speech.word_times, speech.phonemes):
        edges = np.array([(start, end) for start, end, _ in times])
        assert (edges[:, 1] > edges[:, 0]).all() and (edges[1:, 0] >= edges[:-1, 1] - 1e-9).all()
        assert edges[0, 0] >= 0.25 and edges[-1, 1] <= 2.75
    assert 1.6 < speech.word_times[-1][1] - speech.word_times[0][0] < 2.4


def test_sound_lies_between_the_words_limits(speech):
    start, end = (int(16_000 * time) for time in (speech.word_times[0][0], speech.word_times[-1][1]))
    spoken = np.square(speech.waveform[start:end]).mean()
    silence = np.concatenate([speech.waveform[: start - 800], speech.waveform[end + 1600 :]])
    assert np.square(silence).mean() < 1e-3 * spoken


def test_same_seed_same_clip_whatever_was_said_before(speech, frames):
    synthesize_speech(sentence_words("swwz9a"), "synthetic3", seed=1)
    again = synthesize_speech(sentence_words("pbbm5p"), "synthetic1", seed=3)
    np.testing.assert_array_equal(again.waveform, speech.waveform)
    assert again.phonemes == speech.phonemes
    for _, old, new in zip(range(5), frames, render_frames(again, "synthetic1", seed=3), strict=False):
        np.testing.assert_array_equal(old, new)
    other = synthesize_speech(sentence_words("pbbm5p"), "synthetic1", seed=4)
    assert not np.array_equal(other.waveform, speech.waveform)
    assert not np.array_equal(next(render_frames(speech, "synthetic1", seed=4)), frames[0])
