"""How the mouth moves with the voice."""

import numpy as np
import pytest

from lip2wav_hf.grammar import VOCABULARY
from lip2wav_hf.synthetic.mouth import BILABIALS, MOUTH_PARAMETERS, PHONEME_VISEMES, mouth_track
from lip2wav_hf.synthetic.voice import synthesize_speech


FRAME_TIMES = (np.arange(75) + 0.5) / 25


@pytest.mark.parametrize("word", VOCABULARY)
def test_every_sound_of_the_grammar_has_a_mouth_shape(word):
    speech = synthesize_speech([word], "synthetic2")
    assert {symbol for _, _, symbol in speech.phonemes} <= set(PHONEME_VISEMES)


def test_bilabials_close_the_lips(speech):
    opening = mouth_track(speech, FRAME_TIMES)[:, MOUTH_PARAMETERS.index("opening")]
    closures = [phoneme for phoneme in speech.phonemes if phoneme[2] in BILABIALS]
    assert len(closures) == 5  # place, blue, by, m, please
    for start, end, _ in closures:
        around = (FRAME_TIMES > start - 0.05) & (FRAME_TIMES < end + 0.05)
        assert opening[around].min() == 0
    assert opening.max() > 0.15


def test_rounded_and_spread_vowels_differ():
    def spread(word, symbol):
        speech = synthesize_speech([word], "synthetic1")
        start, end = next((start, end) for start, end, name in speech.phonemes if name == symbol)
        return mouth_track(speech, np.array([0.5 * (start + end)]))[0, MOUTH_PARAMETERS.index("spread")]

    assert spread("two", "u:") < 0.75 < 1.1 < spread("e", "i:")
