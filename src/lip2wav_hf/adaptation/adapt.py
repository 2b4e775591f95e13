"""`adapt`: from a folder of recordings of a person to a model that reads and speaks them."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import require_packages
from .earlier import check_options
from .inputs import read_inputs
from .records import FINAL_PASS, STEPS, Adaptation, AdaptationError, AdaptationProgress, Options


if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ..corpora.clips import Clip


logger = logging.getLogger(__name__)


def adapt(
    recordings: str | os.PathLike | Iterable[Clip] | None,
    output_dir: str | os.PathLike,
    *,
    model: str | os.PathLike | None = None,
    minutes: float = 10.0,
    voice: str | os.PathLike | None = None,
    phrases: Sequence[str] | str | None = None,
    seed: int = 0,
    steps: int = STEPS,
    final_pass: float = FINAL_PASS,
    progress: Callable[[AdaptationProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    resume: bool = True,
    language: str | None = None,
    live: bool = False,
) -> Adaptation:
    """
    Make a model of one's own: a model that reads and speaks one person, from a few recordings of that person; or, from
    the sound of a voice alone, one that speaks with it, whosever face it sees.

    The recordings are checked; some are held back, see [`hold_back`]; the starting model is trained on the others
    until those held back get no better, or the minutes are over; and both models are measured on those held back. In
    the end it learns from all recordings, those held back too, see `final_pass`. With the same recordings, options,
    seed, machine and enough minutes, the result is the same, if no other program uses the cores: else it uses fewer
    threads, which round otherwise. A run that was stopped goes on when it is started again.

    Args:
        recordings (`str`, `os.PathLike` or iterable of [`Clip`], *optional*): a folder as for [`load_clips`], such as
            videos with `metadata.csv` or with transcripts beside them; or clips. Recordings without sound teach the
            lips alone. `None` to learn a `voice` alone; nothing is measured then.
        output_dir (`str` or `os.PathLike`): folder of the new model: a new one, or one that this function has written.
        model (`str` or `os.PathLike`, *optional*): the starting model: a folder, a bundled model or a Hub repository;
            the bundled default if none is given.
        minutes (`float`, *optional*, defaults to 10.0): wall clock of the whole call, at most; with a quarter of a
            minute or so of tolerance, or one step where that takes longer. Where hardly any steps fit, a warning says
            so after the first ones, and a note in the result.
        voice (`str` or `os.PathLike`, *optional*): a sound file, or a folder of such, of the voice that the model is
            to have: where there are no recordings, or they have no sound or the wrong voice. The bundled model learns
            it from the sound alone, see [`HeardObjective`]; a starting model without a speech encoder of its own that
            imagines lips takes pitch, formants and long-term spectrum from it, no more, see [`convert`].
        phrases (`list[str]` or `str`, *optional*): the sentences that the model answers with unless a call says
            `grammar=None`: a list, or a text file with one on each line, or `"none"`; see [`find_phrases`].
        seed (`int`, *optional*, defaults to 0): of all random numbers.
        steps (`int`, *optional*, defaults to 200): of the training, at most.
        final_pass (`float`, *optional*, defaults to 0.5): how many further steps are made on all recordings, those
            held back included, as a share of the steps before; 0 for none. They begin with the best weights, at half
            of the learning rate. What was measured is the model before them.
        progress (`Callable`, *optional*): is called with an [`AdaptationProgress`] now and then.
        stop (`Callable`, *optional*): is asked after each step whether to end; the best model so far is kept.
        resume (`bool`, *optional*, defaults to `True`): go on with a run that was stopped, if there is one of the same
            recordings and options; begin again where most of its recordings are there, and others. With `False`, begin
            again in any case, and replace what is there.
        language (`str`, *optional*): of what is said, for the card: its code, such as `"de"`. By default that which
            the README.md of the recordings names, else that of the starting model, if it knows all their words.
        live (`bool`, *optional*, defaults to `False`): keep what the starting model can do live: each batch is seen
            with another look-ahead, and the new model has its `live_look_ahead`. Otherwise it learns from whole clips
            alone, and has none.

    Returns:
        [`Adaptation`].

    Raises:
        AdaptationError: if no recording can be used, `output_dir` holds something else, or an argument is out of
            range; without recordings, if there is no voice, the starting model cannot learn one so, or an argument is
            of recordings.
        OtherAdaptationError: if `output_dir` holds an adaptation with other options, from another model, or to other
            recordings, and `resume` is not `False`.
        CorpusError: if there is no such folder of recordings.
        ModelError: if there is no such model.
        MissingExtraError: if the packages of the extra `train` are not installed.
    """
    began = time.monotonic()
    options = Options(model, minutes, voice, phrases, seed, steps, final_pass, resume, language, live)
    require_packages("train", "an adaptation", "accelerate", "jiwer")
    inputs = read_inputs(recordings, output_dir, options)
    check_options(inputs)
    if progress is not None:
        progress(AdaptationProgress("loading", 0.0, message="PyTorch and the trainer, which takes some seconds"))
    from .running import run  # noqa: PLC0415  brings the trainer, for which a typing error need not wait

    return run(inputs, progress, stop, began)


def with_voice(model: PreTrainedModel, voice: str | os.PathLike) -> PreTrainedModel:
    """
    The same model with another voice, learnt from its sound alone, as by [`adapt`] without recordings.

    Args:
        model ([`Lip2WavModel`]): as `from_pretrained` has loaded it: the speech encoder in its folder is needed.
        voice (`str` or `os.PathLike`): a sound file, or a folder of such.

    Returns:
        A model of the same class, type and device.

    Raises:
        AdaptationError: if the model was not loaded, or cannot learn a voice so, or there is too little sound.
    """
    source = model.name_or_path
    if not source:
        raise AdaptationError(
            "voice=: this model was made in memory, and a voice is learnt with the speech encoder that lies in a"
            " model's folder. Save it, and load it from there."
        )

    def tell(progress: AdaptationProgress) -> None:
        if progress.stage == "training" and not progress.step:
            logger.warning("learning the voice of %s, which takes a minute or two", voice)

    with tempfile.TemporaryDirectory() as folder:
        made = adapt(None, os.path.join(folder, "voice"), model=source, voice=voice, progress=tell)
        again = type(model).from_pretrained(made.model, dtype=model.dtype)
    return again.to(model.device).eval()


__all__ = ["adapt", "with_voice"]
