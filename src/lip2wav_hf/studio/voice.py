"""The trained voice at work: silently mouthed phrases to speech, and the model as a file to take along."""

from __future__ import annotations

import contextlib
import re
import threading
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Lip2WavError, one_line
from ..files import check_repository_name, read_fields, replacing
from .learning import summary_of
from .recordings import StudioError


if TYPE_CHECKING:
    from ..live.streamer import Lip2WavStreamer
    from ..speaking import Speaker

TOKEN = re.compile(r", set HF_TOKEN,? or pass (?:--token|`token=`)")  # which nobody can do on a page
MOST_ANSWERS = 10  # that are kept; older ones are removed
NETWORK_FOLDERS = ("critic", "speech_encoder", "results", "face_models")
PRIVATE_FILES = ("adaptation.json",)  # names the files of the recordings
MODEL_SUFFIXES = (".json", ".safetensors", ".md", ".yaml", ".txt", ".tflite", ".py", ".csv", ".jsgf", ".onnx")


class Voice:
    """
    A model's folder, loaded when it is first asked for, and again when it has changed.

    Args:
        folder (`Path`): where the model is, or will be.
        answers (`Path`): a folder for what it says.
    """

    def __init__(self, folder: Path, answers: Path) -> None:
        self.folder, self.answers = folder, answers
        self._busy = threading.Lock()
        self._speaker: Speaker | None = None
        self._live: Speaker | None = None
        self._version: tuple[int, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether there is a model."""
        return (self.folder / "config.json").is_file() and any(self.folder.glob("model*.safetensors"))

    def _load(self) -> Speaker:
        from ..speaking import Speaker  # noqa: PLC0415  brings torch

        if not self.exists:
            raise StudioError("There is no voice yet. Train it in step 4.")
        files = sorted([*self.folder.glob("*.json"), *self.folder.glob("model*.safetensors")])
        version = tuple(file.stat().st_mtime_ns for file in files)
        if self._speaker is None or version != self._version:
            self._speaker, self._live, self._version = Speaker.from_folder(self.folder), None, version
        return self._speaker

    @property
    def phrases(self) -> list[str]:
        """What the model answers with, as people write it; empty where there is no model, or it says any words."""
        try:
            known = read_fields(self.folder / "adaptation.json")["phrases"] if self.exists else []
            forms = read_fields(self.folder / "config.json").get("written_sentences") if known else {}
            return [str((forms or {}).get(phrase, phrase)) for phrase in known]
        except (Lip2WavError, AttributeError, KeyError, TypeError):  # not the notes of an adaptation
            return []

    def warm_up(self) -> None:
        """Load the model, if there is one, so that the first phrase is answered as quickly as the others."""
        with self._busy, contextlib.suppress(ValueError, OSError):  # what is wrong with it is said when it is used
            if self.exists:
                self._load()

    def live_session(self) -> Lip2WavStreamer:
        """
        A session that speaks picture by picture with the voice as it is now, and reads the phrases that it knows.

        Raises:
            StudioError: if there is no voice.
            ValueError: if it cannot speak live.
        """
        from ..live.streamer import Lip2WavStreamer, live_speaker  # noqa: PLC0415  brings torch

        with self._busy:
            speaker = self._load()
            self._live = self._live or live_speaker(speaker, self.folder)
        return Lip2WavStreamer.from_speaker(self._live)

    def speak(self, video: Path) -> dict[str, Any]:
        """
        Give a silent video its speech.

        Args:
            video (`Path`): what was mouthed.

        Returns:
            `dict`: `text`, `written` (the same as people write it), `doubts` (why it is probably wrong), and the names
            of the files `wav` and `mp4` in `answers`.

        Raises:
            StudioError: if there is no voice, or no face in the video.
        """
        from ..audio import mux_audio, write_audio  # noqa: PLC0415  brings PyAV's encoders
        from ..face_tracking import FaceTrackingError  # noqa: PLC0415
        from .uploads import doubts  # noqa: PLC0415  brings torch

        with self._busy:
            try:
                result = self._load()([str(video)])[0]
            except FaceTrackingError as error:
                raise StudioError("No face was found. Look into the camera, in good light, and try again.") from error
            name = uuid.uuid4().hex
            files = {"wav": f"{name}.wav", "mp4": f"{name}.mp4"}
            self.answers.mkdir(parents=True, exist_ok=True)
            write_audio(self.answers / files["wav"], result["audio"], result["sampling_rate"])
            mux_audio(str(video), result["audio"], result["sampling_rate"], str(self.answers / files["mp4"]))
            self._remove_old()
        return {"text": result["text"], "written": result["written"], "doubts": doubts(result), **files}

    def _remove_old(self) -> None:
        files = sorted(self.answers.iterdir(), key=lambda path: -path.stat().st_mtime_ns)
        for path in files[2 * MOST_ANSWERS :]:
            path.unlink(missing_ok=True)

    def model_files(self) -> Iterator[Path]:
        """What makes the model: not the notes of its training, nor a recording."""
        for path in sorted(self.folder.rglob("*")):
            inside = path.relative_to(self.folder).parts
            wanted = len(inside) == 1 or inside[0] in NETWORK_FOLDERS
            if path.is_file() and wanted and path.suffix in MODEL_SUFFIXES and path.name not in PRIVATE_FILES:
                yield path

    def pack(self, path: Path) -> None:
        """
        Write the model into a zip archive.

        Raises:
            StudioError: if there is no voice.
        """
        if not self.exists:
            raise StudioError("There is no voice yet. Train it in step 4.")
        with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for file in self.model_files():
                archive.write(file, f"my-voice/{file.relative_to(self.folder).as_posix()}")

    def check_push(self, repo_id: str) -> None:
        """
        Look whether the model could be published under a name; nothing is sent.

        Raises:
            StudioError: if there is no voice, the name is none, or nobody is logged in on this machine.
        """
        from huggingface_hub import get_token  # noqa: PLC0415

        if not self.exists:
            raise StudioError("There is no voice yet. Train it in step 4.")
        check_repository_name(repo_id, StudioError)
        if not get_token():
            raise StudioError("Nobody is logged in on this machine. Run `hf auth login` there, or set HF_TOKEN.")

    @property
    def summary(self) -> dict[str, Any] | None:
        """What the model's own notes say of its training, as [`summary_of`]; `None` where there are none."""
        try:
            record = read_fields(self.folder / "adaptation.json") if self.exists else {}
            return summary_of(record) if record else None
        except (Lip2WavError, AttributeError, KeyError, TypeError, ValueError):  # not the notes of an adaptation
            return None

    def push(self, repo_id: str, private: bool) -> str:
        """
        Publish the model on the Hugging Face Hub, with the login of this machine.

        Returns:
            `str`: the address of the commit.

        Raises:
            StudioError: if there is no voice, or the Hub refuses.
        """
        from ..hub.push import push  # noqa: PLC0415  brings torch and transformers

        if not self.exists:
            raise StudioError("There is no voice yet. Train it in step 4.")
        try:
            upload = push(self.folder, repo_id, private=private)
        except (ValueError, OSError, ImportError) as error:
            raise StudioError(TOKEN.sub(" or set HF_TOKEN", one_line(error))) from error
        return upload.commit_url or ""


__all__ = ["Voice"]
