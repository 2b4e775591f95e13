"""Word error rate of speech, heard by an independent recogniser: of any sentences, in any script.

The recogniser is pocketsphinx, told which sentences there are or with its language model of English, or a speech
recogniser of transformers. `judge.py` says which it is where nobody chooses.
"""

from typing import Any

import datasets
import evaluate
from evaluate.utils.file_utils import add_start_docstrings

from lip2wav_hf.grammar import TextNormalizer
from lip2wav_hf.metrics.judge import Judge, JudgeError, choose_judge
from lip2wav_hf.metrics.recognizers import recognizer
from lip2wav_hf.metrics.waveforms import WaveformError
from lip2wav_hf.metrics.words import score_transcripts


_DESCRIPTION = """\
Word error rate of speech as an independent recogniser hears it: substituted, deleted and inserted words over the
words of all sentences. The recogniser is pocketsphinx with the sentences, with a grammar or with its language model of
English, or one of transformers. 0 is best; the recogniser itself errs, so its floor on original recordings belongs
beside every number.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of float sequences, or of str): the generated waveforms, full scale at 1; or transcripts, to
        score text.
    references (list of str): the sentences, in the same order; case and punctuation do not count.
    sampling_rate (int, optional): the rate of the waveforms, in Hz; required with waveforms.
    reference_waveforms (list of float sequences, optional): the original audio, at the same rate: adds the floor.
    judge (str, optional): "grid", "sentences" (the references), "open" (English), or a speech recogniser of
        transformers: a folder, or a repository on the Hub. By default what fits the references.
    grammar (optional): instead, the sentences that there are: a list, JSGF, or the path of a file of either.
    language (str, optional): of words that the dictionary lacks, such as "de"; by their script by default.
    compat (bool, optional, defaults to False): also compute the mean of the clips' own rates.
Returns:
    wer (float): errors over words, over all clips. errors, words, substitutions, deletions, insertions (int).
    transcripts (list of str), errors_per_clip (list of int); empty (int): clips in which nothing was heard.
    judge (str): who heard the waveforms. chance_wer (float): of saying any of its sentences, where it knows a list.
    wer_compat (float): where asked for. With reference_waveforms also: floor_wer, floor_errors_per_clip,
    reference_transcripts.
Examples:
    >>> wer = evaluate.load(metric_folder("wer"))
    >>> wer.compute(predictions=["maybe tomorrow"], references=["Maybe today."])["wer"]
    0.5
"""

_CITATION = """\
@inproceedings{huggins2006pocketsphinx,
  title={PocketSphinx: A free, real-time continuous speech recognition system for hand-held devices},
  author={Huggins-Daines, David and Kumar, Mohit and Chan, Arthur and Black, Alan W. and Ravishankar, Mosur and
    Rudnicky, Alexander I.},
  booktitle={ICASSP}, year={2006}
}
"""


def find_judge(references: list[str], judge: str | None, grammar: Any, language: str | None) -> Judge:
    """The judge of some sentences; see the module's description.

    Raises:
        JudgeError: if both a judge and a grammar are given, or none fits the sentences.
    """
    if grammar is not None:
        if judge is not None:
            raise JudgeError(f"the judge {judge!r} takes no grammar: give one of the two.")
        return Judge.of_grammar(grammar, language)
    found = choose_judge(references, None, language) if judge is None else Judge.named(judge, references, language)
    if found is None:
        raise JudgeError("no judge knows these words: name one (judge=), or say which sentences there are (grammar=).")
    return found


@add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class Wer(evaluate.Metric):
    """Word error rate, from waveforms (through a recogniser) or from transcripts."""

    def _info(self) -> evaluate.MetricInfo:
        sentence = datasets.Value("string")
        waveform = datasets.Sequence(datasets.Value("float32"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[
                datasets.Features({"predictions": sentence, "references": sentence}),
                datasets.Features({"predictions": waveform, "references": sentence}),
            ],
            reference_urls=["https://github.com/cmusphinx/pocketsphinx"],
        )

    def _compute(
        self,
        predictions: list,
        references: list[str],
        sampling_rate: int | None = None,
        reference_waveforms: list | None = None,
        judge: str | None = None,
        grammar: Any = None,
        language: str | None = None,
        compat: bool = False,
    ) -> dict[str, Any]:
        normalize = TextNormalizer()
        references = [" ".join(normalize(sentence).words) for sentence in references]
        if all(isinstance(prediction, str) for prediction in predictions):
            texts = [" ".join(normalize(prediction).words) for prediction in predictions]
            return score_transcripts(references, texts, compat)
        if sampling_rate is None:
            raise WaveformError("sampling_rate is missing: give the rate of the waveforms, in Hz.")
        chosen = find_judge(references, judge, grammar, language)
        hear = recognizer(chosen).transcribe
        heard = [hear(sound, sampling_rate, f"prediction {index}") for index, sound in enumerate(predictions)]
        chance = chosen.chance_wer(references)
        result = score_transcripts(references, heard, compat) | {"judge": chosen.describe()}
        result |= {} if chance is None else {"chance_wer": chance}
        if reference_waveforms is None:
            return result
        if len(reference_waveforms) != len(references):
            raise WaveformError(f"{len(reference_waveforms)} reference_waveforms for {len(references)} references.")
        originals = [
            hear(sound, sampling_rate, f"reference waveform {index}")
            for index, sound in enumerate(reference_waveforms)
        ]
        floor = score_transcripts(references, originals, compat)
        return result | {
            "floor_wer": floor["wer"],
            "floor_errors_per_clip": floor["errors_per_clip"],
            "reference_transcripts": originals,
        }


__all__ = ["Wer", "find_judge", "score_transcripts"]
