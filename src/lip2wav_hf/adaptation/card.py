"""The card of an adapted model, and the record of its adaptation; neither names who was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import counted
from ..evaluation.systems import model_sha256
from ..files import write_json
from ..hub.card_results import FURTHER
from ..hub.facts import FACTS_FILE, write_facts
from ..hub.model_card import write_model_card
from ..machine import machine
from ..models import REPOSITORY, bundled_models
from .learning import FEWEST_TO_CHOOSE
from .records import Adaptation, Scores
from .scoring import SPLIT, Measurement, results_of
from .starting import load_starting_model


ONE_PERSON = "one person"
CONSENT = (
    "**One person's {what}.** It was made of recordings of {people}, who must have agreed to that, and to"
    " every use of it; so must whoever is seen in a video that it speaks for."
)
CONSENTS = (
    "**{what} of people.** It was made of recordings of {people}, each of whom must have agreed to"
    " that, and to every use of it; so must whoever is seen in a video that it speaks for."
)
GIVEN_VOICE = (
    "**A voice that was given.** It does not speak with the voice of the {recorded}, but with one like that of"
    " {sounds}, perhaps of somebody else, who must have agreed to that, and to every use of it, too."
)
VOICE_ALONE = (
    "**A voice that was given.** It speaks with one like that of {sounds}; whoever speaks there must have agreed to"
    " that, and to every use of it, and so must whoever is seen in a video that it speaks for."
)
OTHER_VOICE = "**Not the voice of the {recorded}.** No recording had sound: it speaks with the voice of `{starting}`."


@dataclass(frozen=True)
class Facts:
    """
    What a card says of an adaptation.

    Attributes:
        name (`str`): of the new model.
        starting (`str`): name of the starting model.
        result ([`Adaptation`]): what was done.
        seconds (`float`): how long the recordings are in all; where there are none, what is learnt from of the sound
            files.
        silent (`int`): how many of those learnt from have no sound.
        language (`list[str]`): codes of what is said; empty where it is unknown.
    """

    name: str
    starting: str
    result: Adaptation
    seconds: float
    silent: int
    language: list[str]

    @property
    def starting_name(self) -> str:
        """The starting model without the path to it."""
        if self.starting in bundled_models(None) or REPOSITORY.fullmatch(self.starting):
            return self.starting
        return Path(self.starting).name

    @property
    def people(self) -> str:
        """Whom the recordings are of, as far as is known; `"one person"` where nothing says otherwise."""
        if self.result.people > 1:
            return f"{self.result.people} people"
        return "perhaps two people" if self.result.other_voice else ONE_PERSON

    @property
    def recorded(self) -> str:
        """What they are called in a sentence."""
        return "person recorded" if self.people == ONE_PERSON else "people recorded"

    @property
    def voice(self) -> str:
        """Whose voice the model has; empty where it is that of the recordings."""
        if self.result.given_voice:
            return f"one like that of {counted(self.result.given_voice, 'sound file')}, given with `--voice`"
        return f"that of `{self.starting_name}`" if self.silent >= self.result.clips > 0 else ""

    @property
    def limits(self) -> list[str]:
        """Who must have agreed, and whose voice it is not."""
        if not self.result.clips:
            return [VOICE_ALONE.format(sounds=counted(self.result.given_voice, "sound file"))]
        what, others = ("face", "Faces") if self.voice else ("face and voice", "Faces and voices")
        one = self.people == ONE_PERSON
        limits = [(CONSENT if one else CONSENTS).format(what=what if one else others, people=self.people)]
        if self.result.given_voice:
            sounds = counted(self.result.given_voice, "sound file")
            limits.append(GIVEN_VOICE.format(recorded=self.recorded, sounds=sounds))
        elif self.voice:
            limits.append(OTHER_VOICE.format(recorded=self.recorded, starting=self.starting_name))
        return limits


def write_card(folder: Path, facts: Facts, after: Measurement | None) -> None:
    """
    Write card.yaml, `results/` and README.md of a saved model.

    Args:
        folder (`Path`): of the model.
        facts ([`Facts`]): what it says.
        after ([`Measurement`], *optional*): of the recordings held back.
    """
    content = _content(facts)
    if after is not None:
        results = results_of(after, facts.name)
        if facts.result.final_steps:
            model = load_starting_model(folder)
            results |= {FURTHER: {"steps": facts.result.final_steps, "model_sha256": model_sha256(model)}}
        write_json(folder / "results" / f"{SPLIT}.json", results)
        if facts.result.before is not None:
            content["selection"] = _selection(
                facts.result.before, after.scores, len(facts.result.held_out), facts.result.final_steps
            )
    write_facts(folder / FACTS_FILE, content)
    write_model_card(folder, overwrite=True)


def _content(facts: Facts) -> dict[str, Any]:
    """The fields of card.yaml."""
    hardware, result, name = machine(), facts.result, facts.starting_name
    sentences = f", of {counted(len(result.phrases), 'phrase')}" if result.phrases else ""
    lips = f"; {facts.silent} of them without sound" if facts.silent else ""
    accelerator = hardware["accelerator"]
    further = f", then {result.final_steps} on all recordings" if result.final_steps else ""
    further += f", then {result.voice_steps} that teach the voice" if result.voice_steps else ""
    held_out = " with those held back" if result.held_out else ""
    hours = max(round(result.minutes * (1 if accelerator else hardware["torch_threads"]) / 60, 3), 0.001)
    people, recorded, voice = facts.people, facts.recorded, facts.voice
    owners = f"the {recorded}{', and by whoever speaks in the sound files' if result.given_voice else ''}"
    if people == ONE_PERSON:
        seen, own = people, "that person's own recordings"
    else:
        seen, own = "a speaker", f"recordings of {people}"
    content = {
        "name": facts.name,
        "summary": f"From a silent, frontal video of {seen} to speech: `{name}`, adapted to {own} with"
        f" `lip2wav adapt`{sentences}.{f' Its voice is {voice}.' if voice else ''}",
        "license": "other",
        "license_name": f"all rights reserved by {owners}",
        "license_note": f"what comes from `{name}` is under that model's licence",
        "data": f"{counted(result.clips, 'recording')} of {people};{held_out} {facts.seconds:.0f} s{lips}."
        + (f" The voice: {counted(result.given_voice, 'sound file')}." if result.given_voice else ""),
        "data_license": f"The recordings belong to {owners.replace(' by ', ' to ')}, and are not published.",
        "training": f"{counted(result.steps, 'step')} from the weights of `{name}`{further}, in"
        f" {result.minutes:.1f} minutes.",
        "training_type": "fine-tuning",
        **({"language": facts.language} if facts.language else {}),
        "limits": facts.limits,
        **({"voice": voice} if voice else {}),
        ("gpu_hours" if accelerator else "core_hours"): hours,
        "hardware": str(accelerator or hardware["cpu"]),
    }
    return content if result.clips else content | _of_voice_alone(facts)


def _of_voice_alone(facts: Facts) -> dict[str, Any]:
    """What card.yaml says of a model that has learnt a voice and no lips."""
    name, sounds = facts.starting_name, counted(facts.result.given_voice, "sound file")
    owners = "whoever speaks in the sound files"
    return {
        "summary": f"From a silent, frontal video of a face to speech: `{name}`, with a voice that `lip2wav adapt` has"
        f" learnt from {sounds}.",
        "license_name": f"all rights reserved by {owners}",
        "data": f"{sounds}, {facts.seconds:.0f} s, of a voice.",
        "training": f"{counted(facts.result.voice_steps, 'step')} from the weights of `{name}`, in"
        f" {facts.result.minutes:.1f} minutes.",
        "data_license": f"The sound belongs to {owners}, and is not published.",
    }


def _selection(before: Scores, after: Scores, held_out: int, final_steps: int) -> str:
    pairs = [
        f"{label} {first:.{digits}{kind}} before, {second:.{digits}{kind}} after"
        for label, name, digits, kind in (
            ("word error rate of the lips", "text_wer", 1, "%"),
            ("phrases read right", "phrase_accuracy", 0, "%"),
            ("PESQ", "pesq", 2, "f"),
            ("ESTOI", "estoi", 2, "f"),
            ("speaker similarity", "speaker_similarity", 2, "f"),
        )
        if (first := getattr(before, name)) is not None and (second := getattr(after, name)) is not None
    ]
    further = (
        f" After that this model has also learnt from them, in {counted(final_steps, 'further step')}: the numbers are"
        " those of the model before."
        if final_steps
        else ""
    )
    few = held_out < FEWEST_TO_CHOOSE
    what = (
        f"The last step counts: {counted(held_out, 'recording')} held back {'is' if held_out == 1 else 'are'} too few"
        f" to choose one by. What is scored here is {'that one' if held_out == 1 else 'those'}"
        if few
        else f"The step was chosen by the loss on the {held_out} recordings that were held back, the same that are"
        " scored here, so the numbers are somewhat optimistic"
    )
    return f"{what}: {'; '.join(pairs)}.{further}"


__all__ = ["write_card"]
