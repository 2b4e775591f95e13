"""What the page can ask for, as plain functions with plain data: everything but the web."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import counted
from ..files import read_json
from ..machine import missing_packages
from ..sources import open_container
from .learning import Learning, Status, adapt_to_recordings, last_status
from .phrases import (
    ALL_WORDS,
    PhraseError,
    check_phrases,
    covered_words,
    digit_phrases,
    grid_phrases,
)
from .recordings import STATEMENT, Recordings, StudioError, storage_error
from .voice import Voice


LONGEST_TAKE = 30.0  # seconds
LARGEST_TAKE = 64.0  # units of 10^6 bytes
MINUTES = (0.5, 120.0)
LEAST_TAKES = 3  # below which a training is not worth its name
CONTAINERS = {"webm": ".webm", "mp4": ".mp4", "matroska": ".mkv"}
MOST_PENDING = 20

Check = Callable[[Path, str], Any]
"""From a file and its transcript to a [`RecordingCheck`]."""


@dataclass(frozen=True)
class Pending:
    """A take that was neither kept nor discarded yet: its file, the phrase, and whether it is without a voice."""

    file: Path
    phrase: str
    silent: bool


class Studio:
    """
    A studio on one folder.

    Args:
        recordings ([`Recordings`]): the folder.
        model (`str`, *optional*): the starting model of the training; the bundled one by default.
        minutes (`float`, *optional*, defaults to 10.0): what the page proposes for a training.
        learn (function, *optional*): the training; see [`Learning`].
    """

    def __init__(
        self,
        recordings: Recordings,
        model: str | None = None,
        minutes: float = 10.0,
        learn: Callable[..., dict[str, Any]] = adapt_to_recordings,
    ) -> None:
        self.recordings, self.model, self.minutes = recordings, model, minutes
        notes = recordings.hidden / "learning.json"
        before = last_status(read_json(notes, StudioError)) if notes.is_file() else None
        self.learning = Learning(learn, notes, before)
        self._temporary = tempfile.TemporaryDirectory(prefix="lip2wav-studio-")
        self.temporary = Path(self._temporary.name)
        self.voice = Voice(recordings.voice, self.temporary / "answers")
        self._pending: dict[str, Pending] = {}
        self._change = threading.Lock()

    def close(self) -> None:
        """End the training, which saves its best model, and let go of the folder."""
        self.learning.close()
        self.recordings.close()
        self._temporary.cleanup()

    # -----------------------------------------------------------------------------------------------------------------
    # State
    # -----------------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that the page shows, from the folder: the same in every window and after every reload."""
        consent, settings, takes = self.recordings.consent, self.recordings.settings, self.recordings.takes
        counts = Counter(take.transcription for take in takes)
        return {
            "folder": str(self.recordings.path),
            "consent": None if consent is None else asdict(consent),
            "statement": STATEMENT,
            "settings": asdict(settings),
            "takes": [asdict(take) for take in takes],
            "done": sum(min(counts[phrase], settings.takes) for phrase in settings.phrases),
            "wanted": len(settings.phrases) * settings.takes,
            "enough": len(takes) >= LEAST_TAKES,
            "least": LEAST_TAKES,
            "all_words": ALL_WORDS,
            "training": self.training(),
            "minutes": self.minutes,
            "voice": self.voice.exists,
            "known": self.voice.phrases,
            "longest": LONGEST_TAKE,
            "notices": self._notices(),
        }

    def _notices(self) -> list[str]:
        missing = missing_packages("train")
        if not missing:
            return []
        return [
            f"You can record, but not train yet: {', '.join(missing)} must be installed. In a checkout of lip2wav_hf:"
            " pip install '.[demo,train]'"
        ]

    # -----------------------------------------------------------------------------------------------------------------
    # Consent and phrases
    # -----------------------------------------------------------------------------------------------------------------

    def consent(self, request: dict[str, Any]) -> dict[str, Any]:
        """Store who agreed: `name`, `purpose`, `agreed`."""
        self.recordings.give_consent(
            text_of(request, "name"), text_of(request, "purpose"), request.get("agreed") is True
        )
        return self.state()

    def propose(self, request: dict[str, Any]) -> dict[str, Any]:
        """The phrases of a choice, `kind` with `count` and `seed` or `text`, and what is wrong with them."""
        kind = text_of(request, "kind")
        problems: tuple[str, ...] = ()
        notes: tuple[str, ...] = ()
        if kind == "grid":
            try:
                phrases = grid_phrases(whole_of(request, "count"), whole_of(request, "seed"))
            except PhraseError as error:
                return {"phrases": [], "problems": [str(error)], "notes": []}
            notes = (f"{covered_words(phrases)} of GRID's 51 words are in these {len(phrases)} sentences.",)
        elif kind == "digits":
            phrases = digit_phrases()
        elif kind == "own":
            found = check_phrases(text_of(request, "text"))
            phrases, problems, notes = list(found.phrases), found.problems, found.notes
        else:
            raise StudioError(f"There are no phrases of the kind {kind[:40]!r}.")
        return {"phrases": phrases, "problems": list(problems), "notes": list(notes)}

    def choose(self, request: dict[str, Any]) -> dict[str, Any]:
        """Store a choice as [`propose`] takes it, with `takes` and `silent`."""
        proposed = self.propose(request)
        if proposed["problems"]:
            raise StudioError(f"The phrases cannot be recorded: {' '.join(proposed['problems'][:3])}")
        silent = request.get("silent") is True
        self.recordings.choose(request["kind"], proposed["phrases"], whole_of(request, "takes"), silent)
        return self.state()

    # -----------------------------------------------------------------------------------------------------------------
    # Takes
    # -----------------------------------------------------------------------------------------------------------------

    def receive(self, file: Path, phrase: str, silent: bool) -> dict[str, Any]:
        """
        Look at a take that has come in, and hold it until it is kept or discarded.

        Args:
            file (`Path`): the upload, in the folder of pending takes.
            phrase (`str`): what was to be said.
            silent (`bool`): whether without a voice.

        Returns:
            `dict`: `id`, `problems` (each with `message`, `advice`, `fatal`), and what was measured.

        Raises:
            StudioError: if it is no video; the file is removed.
        """
        from ..adaptation.checking import check_recording  # noqa: PLC0415  brings torch

        if phrase not in self.recordings.settings.phrases:
            file.unlink(missing_ok=True)
            raise StudioError("This phrase is no longer in the list. Reload the page.")
        file = self.check_upload(file)
        found = check_recording(file, phrase)
        problems = [asdict(problem) for problem in found.problems]
        if not silent and not found.has_sound and found.usable:
            problems.append(
                {
                    "kind": "no_voice",
                    "message": "No voice can be heard.",
                    "advice": "Look at the microphone and its level, or choose silent recordings in step 2.",
                    "fatal": False,
                }
            )
        with self._change:
            for old in list(self._pending)[: max(0, len(self._pending) - MOST_PENDING + 1)]:
                self._pending.pop(old).file.unlink(missing_ok=True)
            self._pending[file.stem] = Pending(file, phrase, silent)
        return {
            "id": file.stem,
            "problems": problems,
            "seconds": round(found.seconds, 2),
            "level": None if found.level is None else round(found.level, 1),
            "face_coverage": found.face_coverage,
        }

    def check_upload(self, file: Path) -> Path:
        """
        Look whether an upload is a video within the limits, and give it the suffix of its container.

        Raises:
            StudioError: if it is not; the file is removed.
        """
        from .uploads import Limits, RequestError, check_video  # noqa: PLC0415  brings torch

        if not file.is_file():  # another window has deleted everything
            raise StudioError("This recording was deleted while it came in. Record it again.")
        try:
            check_video(str(file), Limits(LONGEST_TAKE + 5, LARGEST_TAKE))
            with open_container(str(file)) as container:
                names = container.format.name.split(",")
                has_web_codecs = container.streams.video[0].codec_context.name in ("vp8", "vp9", "av1")
        except RequestError as error:
            file.unlink(missing_ok=True)
            raise StudioError(f"The recording cannot be used: {error}".replace(file.name, "it")) from error
        suffix = next((CONTAINERS[name] for name in ("mp4", "matroska", "webm") if name in names), None)
        if suffix is None:
            file.unlink(missing_ok=True)
            raise StudioError(
                f"This browser records {names[0]} files, which the studio does not keep; it keeps WebM, Matroska and"
                " MP4. Use another browser."
            )
        if suffix == ".mkv" and has_web_codecs:
            suffix = ".webm"
        return file.rename(file.with_suffix(suffix))

    def keep(self, name: str) -> dict[str, Any]:
        """Keep a take that [`receive`] has looked at."""
        with self._change:
            pending = self._pending.get(name)
            if pending is None:
                raise StudioError("This take is no longer there. Record it again.")
            self.recordings.keep(pending.file, pending.phrase, pending.silent)
            del self._pending[name]
        return self.state()

    def discard(self, name: str) -> dict[str, Any]:
        """Forget a take that [`receive`] has looked at."""
        with self._change:
            pending = self._pending.pop(name, None)
        if pending is not None:
            pending.file.unlink(missing_ok=True)
        return self.state()

    def delete_take(self, name: str) -> dict[str, Any]:
        """Delete a take that was kept."""
        self.recordings.delete_take(name)
        return self.state()

    def delete_everything(self, request: dict[str, Any]) -> dict[str, Any]:
        """Delete all recordings, and with `voice` the model too; `confirmed` must be true. A training ends at once."""
        if request.get("confirmed") is not True:
            raise StudioError("Deleting everything must be confirmed.")
        self.learning.cancel()
        with self._change:
            self._pending.clear()
        voice = request.get("voice") is True
        self.recordings.delete_everything(voice)
        if voice:
            self.learning.forget()
        return self.state()

    # -----------------------------------------------------------------------------------------------------------------
    # The voice
    # -----------------------------------------------------------------------------------------------------------------

    def training(self) -> dict[str, Any]:
        """Where the training is, see [`Status`]; of a model that `lip2wav adapt` has put in its place, what its own
        notes say."""
        status = self.learning.status()
        found = self.voice.summary if status.state in ("idle", "done") else None
        known = status.result or {}
        if found is not None and any(found[name] != known.get(name) for name in ("steps", "final_steps", "minutes")):
            takes, seconds = len(self.recordings.takes), 60 * found["minutes"]
            status = Status("done", fraction=1.0, seconds=seconds, takes=takes, result=found)
        return {**asdict(status), "active": status.active}

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        """Begin to train on the takes, for up to `minutes`; with `live`, for live speech too."""
        minutes = number_of(request, "minutes")
        if not MINUTES[0] <= minutes <= MINUTES[1]:
            raise StudioError(f"{minutes:g} minutes: choose from {MINUTES[0]:g} to {MINUTES[1]:g}.")
        live = request.get("live", False)
        if not isinstance(live, bool):
            raise StudioError("live: it must be true or false.")
        takes, settings = self.recordings.takes, self.recordings.settings
        if len(takes) < LEAST_TAKES:
            raise StudioError(
                f"There {'is' if len(takes) == 1 else 'are'} {counted(len(takes), 'take')}. Record at least"
                f" {LEAST_TAKES} first; ten are better."
            )
        missing = self._notices()
        if missing:
            raise StudioError(missing[0])
        # GRID's sentences are made of slots: a model of them may say others than those that were recorded. Takes of
        # phrases that were on an earlier list are learnt too, so the model may answer with them.
        said = (take.transcription for take in takes)
        phrases = None if settings.kind == "grid" else list(dict.fromkeys((*settings.phrases, *said)))
        options = {"model": self.model, "phrases": phrases, "live": live}
        self.learning.start(self.recordings.path, self.recordings.voice, len(takes), minutes, **options)
        return self.state()

    def stop(self) -> dict[str, Any]:
        """Let the training end and save the best."""
        self.learning.stop()
        return self.state()

    def speak(self, file: Path) -> dict[str, Any]:
        """Give a silently mouthed video its speech, see [`Voice.speak`]; the upload is removed."""
        file = self.check_upload(file)
        try:
            return self.voice.speak(file)
        finally:
            file.unlink(missing_ok=True)

    def pack(self) -> Path:
        """A zip archive of the model, in the temporary folder."""
        path = self.temporary / "my-voice.zip"
        try:
            self.voice.pack(path)
        except OSError as error:
            raise storage_error("The model was not packed", self.temporary, error) from error
        return path

    def push(self, request: dict[str, Any]) -> dict[str, Any]:
        """Publish the model as `repo_id`; private unless `public` is true. Only with `confirmed`; with `check`, see
        only whether that could be done."""
        name = text_of(request, "repo_id").strip()
        if request.get("check") is True:
            self.voice.check_push(name)
            return {}
        if request.get("confirmed") is not True:
            raise StudioError("Publishing must be confirmed.")
        return {"url": self.voice.push(name, request.get("public") is not True)}


def text_of(request: dict[str, Any], name: str) -> str:
    """A field of a request that must be text.

    Raises:
        StudioError: if it is not.
    """
    value = request.get(name)
    if not isinstance(value, str) or any("\ud800" <= character <= "\udfff" for character in value):
        raise StudioError(f"{name}: it must be text.")
    return value


def whole_of(request: dict[str, Any], name: str) -> int:
    """A field of a request that must be a whole number.

    Raises:
        StudioError: if it is not.
    """
    value = request.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise StudioError(f"{name}: it must be a whole number.")
    return value


def number_of(request: dict[str, Any], name: str) -> float:
    """A field of a request that must be a number.

    Raises:
        StudioError: if it is not.
    """
    value = request.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise StudioError(f"{name}: it must be a number.")
    return float(value)


__all__ = ["LARGEST_TAKE", "LONGEST_TAKE", "Pending", "Studio"]
