"""Word error rate of spoken GRID sentences, heard by an independent recogniser that knows GRID's grammar.

The recogniser is pocketsphinx with its US English acoustic model and a JSGF grammar of the six slots of a GRID
sentence. It is given two facts about GRID: the letter A is pronounced as its name, and Z may be the British "zed".
Each clip is heard whole and afresh, so that a transcript does not depend on the clips before it.
"""

from typing import Any

import datasets
import evaluate
from evaluate.utils.file_utils import add_start_docstrings

from lip2wav_hf.grammar import GRAMMAR
from lip2wav_hf.metrics.recognizers import GridRecognizer
from lip2wav_hf.metrics.waveforms import WaveformError
from lip2wav_hf.metrics.words import CHANCE_WER, count_slots, drop_silences
from lip2wav_hf.metrics.words import score_transcripts as score_words


_DESCRIPTION = """\
Word error rate of GRID sentences as an independent recogniser (pocketsphinx with a grammar of GRID, British "zed"
added) hears them: substituted, deleted and inserted words over the words of all sentences. 0 is best; guessing from
the grammar gives 0.81; on original recordings the recogniser itself errs, so its floor on them belongs beside every
number.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of float sequences, or of str): the generated waveforms, full scale at 1; or transcripts, to
        score text.
    references (list of str): the sentences, such as "bin blue at f two now", in the same order.
    sampling_rate (int, optional): the rate of the waveforms, in Hz; required with waveforms.
    reference_waveforms (list of float sequences, optional): the original audio, at the same rate: adds the floor.
    compat (bool, optional, defaults to False): also compute the mean of the clips' own rates, as Vougioukas et al. and
        Mira et al. do.
Returns:
    wer (float): errors over words, over all clips. errors, words, substitutions, deletions, insertions (int).
    slot_wer (dict): errors of each slot of the sentence over clips (insertions belong to no slot).
    confusions (dict): {slot: {word: {word heard or "": count}}}, errors only.
    transcripts (list of str), errors_per_clip (list of int); empty (int): clips in which nothing was heard, six
        deletions each.
    chance_wer (float): of guessing each word from the grammar. wer_compat (float): where asked for.
    With reference_waveforms also: floor_wer, floor_slot_wer, floor_errors_per_clip, reference_transcripts: of the
    original audio; and wer_to_original: of the generated audio against the transcript of the original audio.
    With both: floor_wer_compat and wer_to_original_compat.
Examples:
    >>> grid_wer = evaluate.load(metric_folder("grid_wer"))
    >>> grid_wer.compute(predictions=["bin blue at f two now"], references=["bin red at f two now"])["wer"]
    0.16666666666666666
"""

_CITATION = """\
@article{cooke2006audio,
  title={An audio-visual corpus for speech perception and automatic speech recognition},
  author={Cooke, Martin and Barker, Jon and Cunningham, Stuart and Shao, Xu},
  journal={The Journal of the Acoustical Society of America}, volume={120}, number={5}, year={2006}
}
"""


def score_transcripts(references: list[str], transcripts: list[str], compat: bool = False) -> dict[str, Any]:
    """Corpus-level word error rate of transcripts, as [`lip2wav_hf.metrics.words.score_transcripts`], with the errors
    of each slot of a GRID sentence: `slot_wer` and `confusions`."""
    slots = count_slots(zip(references, transcripts, strict=True))
    scores = score_words(references, transcripts, compat)
    return scores | {"slot_wer": slots["slot_wer"], "confusions": slots["confusions"]}


def check_sentence(sentence: str, index: int) -> str:
    """A reference sentence in lower case, without `sil` and `sp`; `ValueError` if it is not one of GRID's."""
    words = drop_silences(sentence.lower()).split()
    fits = len(words) == len(GRAMMAR) and all(
        word in choices for word, choices in zip(words, GRAMMAR.values(), strict=True)
    )
    if not fits:
        raise ValueError(
            f"reference {index} is {sentence!r}, not a GRID sentence: six words are needed, as in "
            "'bin blue at f two now'."
        )
    return " ".join(words)


@add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class GridWer(evaluate.Metric):
    """Word error rate of GRID sentences, from waveforms (through the recogniser) or from transcripts."""

    def _info(self) -> evaluate.MetricInfo:
        sentence = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[
                datasets.Features({"predictions": sentence, "references": sentence}),
                datasets.Features(
                    {"predictions": datasets.Sequence(datasets.Value("float32")), "references": sentence}
                ),
            ],
            reference_urls=["https://github.com/cmusphinx/pocketsphinx", "https://zenodo.org/records/3625687"],
        )

    def _compute(
        self,
        predictions: list,
        references: list[str],
        sampling_rate: int | None = None,
        reference_waveforms: list | None = None,
        compat: bool = False,
    ) -> dict[str, Any]:
        references = [check_sentence(sentence, index) for index, sentence in enumerate(references)]
        from_sound = not all(isinstance(prediction, str) for prediction in predictions)
        if from_sound:
            transcripts = _hear(predictions, sampling_rate, "prediction")
        else:
            transcripts = [drop_silences(prediction.lower()) for prediction in predictions]
        result = score_transcripts(references, transcripts, compat) | {"chance_wer": CHANCE_WER}
        if reference_waveforms is None:
            return result
        if len(reference_waveforms) != len(references):
            raise WaveformError(f"{len(reference_waveforms)} reference_waveforms for {len(references)} references.")
        originals = _hear(reference_waveforms, sampling_rate, "reference waveform")
        return result | _beside_originals(references, originals, transcripts, compat)


def _hear(waveforms: list, sampling_rate: int | None, name: str) -> list[str]:
    if sampling_rate is None:
        raise WaveformError("sampling_rate is missing: give the rate of the waveforms, in Hz.")
    recognizer = GridRecognizer()
    return [
        recognizer.transcribe(waveform, sampling_rate, f"{name} {index}") for index, waveform in enumerate(waveforms)
    ]


def _beside_originals(
    references: list[str], originals: list[str], transcripts: list[str], compat: bool
) -> dict[str, Any]:
    """What is known with transcripts of the original audio."""
    floor = score_transcripts(references, originals, compat)
    to_original = score_transcripts(originals, transcripts, compat)
    result = {
        "floor_wer": floor["wer"],
        "floor_slot_wer": floor["slot_wer"],
        "floor_errors_per_clip": floor["errors_per_clip"],
        "reference_transcripts": originals,
        "wer_to_original": to_original["wer"],
    }
    if compat:
        result |= {"floor_wer_compat": floor["wer_compat"], "wer_to_original_compat": to_original["wer_compat"]}
    return result


__all__ = ["GridRecognizer", "GridWer", "check_sentence", "score_transcripts"]
