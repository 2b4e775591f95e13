"""eSpeak NG, of the package `espeakng-loader`: speech with the times of its phonemes, and the phonemes of words."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import Lip2WavError, require_packages


EVENT_WORD, EVENT_PHONEME = 1, 7
_EVENT_END_OF_LIST = 0
_AUDIO_OUTPUT_SYNCHRONOUS, _INITIALIZE_PHONEME_EVENTS = 2, 1
_CHARS_UTF8, _TEXT_WITH_PHONEMES = 1, 0x100
_PHONEMES_IPA, _SEPARATOR = 0x02, "_"
_PARAMETER_RATE, _PARAMETER_VOLUME, _PARAMETER_PITCH, _PARAMETER_RANGE, _PARAMETER_WORD_GAP = 1, 2, 3, 4, 7

SpeechEvent = tuple[int, int, str]
"""Kind (`EVENT_WORD` or `EVENT_PHONEME`), sample, phoneme."""


class EspeakError(Lip2WavError):
    """A voice that eSpeak NG does not have, or data that it cannot load."""


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


_SYNTH_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """A private copy of the eSpeak NG library of `espeakng-loader`.

    The library keeps state from one utterance to the next, so that what it says depends on what it said before; a
    fresh copy for each clip makes the clip follow from its seed alone.

    Args:
        extra (`str`): of this package, which brings the library.
        purpose (`str`): what needs it; begins the message where it is missing.

    Raises:
        MissingExtraError: if `espeakng-loader` is not installed.
        EspeakError: if the library cannot load its data.
    """

    def __init__(self, extra: str, purpose: str) -> None:
        require_packages(extra, purpose, "espeakng_loader")
        import espeakng_loader  # noqa: PLC0415  of an extra

        source = Path(espeakng_loader.get_library_path())
        self.folder = tempfile.TemporaryDirectory(prefix="espeak-", ignore_cleanup_errors=True)
        self.library = ctypes.CDLL(str(shutil.copy(source.resolve(), Path(self.folder.name) / source.name)))
        self.library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self.library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
        self.library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        data = espeakng_loader.get_data_path().encode()
        self.sampling_rate = self.library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _INITIALIZE_PHONEME_EVENTS
        )
        if self.sampling_rate <= 0:
            raise EspeakError("eSpeak NG could not load its data: reinstall the package espeakng-loader.")
        self._pcm: list[bytes] = []
        self._events: list[SpeechEvent] = []
        self._callback = _SYNTH_CALLBACK(self._collect)  # kept alive: the library holds only its address
        self.library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._pcm.append(ctypes.string_at(samples, 2 * count))
        position = 0
        while events[position].type != _EVENT_END_OF_LIST:
            event = events[position]
            if event.type == EVENT_WORD:
                self._events.append((event.type, event.sample, ""))
            elif event.type == EVENT_PHONEME:
                self._events.append((event.type, event.sample, bytes(event.id).decode("utf-8", "ignore")))
            position += 1
        return 0

    def set_voice(self, name: str) -> None:
        """
        Choose a voice.

        Args:
            name (`str`): a language, such as `"en-us"`, *optionally* with a variant, such as `"en+m3"`.

        Raises:
            EspeakError: if there is none of this name.
        """
        if self.library.espeak_SetVoiceByName(name.encode()) != 0:
            wanted = "a variant of its folder voices/!v" if "+" in name else "a language, such as en-us or de"
            raise EspeakError(f"eSpeak NG has no voice {name!r}: choose {wanted}.")

    def speak(self, text: str, rate: int, pitch: int, pitch_range: int) -> tuple[np.ndarray, list[SpeechEvent]]:
        """Samples (int16, at `self.sampling_rate`) and events of a text, in the voice chosen.

        Args:
            text (`str`): may hold eSpeak's phonemes in `[[ ]]`.
            rate (`int`): in words per minute.
            pitch (`int`), pitch_range (`int`): in eSpeak's units, 0 to 100.
        """
        self._pcm.clear()
        self._events.clear()
        self.library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        for parameter, value in (
            (_PARAMETER_RATE, rate),
            (_PARAMETER_VOLUME, 100),
            (_PARAMETER_PITCH, pitch),
            (_PARAMETER_RANGE, pitch_range),
            (_PARAMETER_WORD_GAP, 0),
        ):
            self.library.espeak_SetParameter(parameter, value, 0)
        encoded = text.encode()
        self.library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _CHARS_UTF8 | _TEXT_WITH_PHONEMES, None, None)
        return np.frombuffer(b"".join(self._pcm), np.int16), list(self._events)

    def phonemes(self, text: str) -> list[str]:
        """The phonemes of a text in the International Phonetic Alphabet, with stress marks, in the voice chosen."""
        rest, found = ctypes.c_char_p(text.encode()), []
        while rest.value is not None:  # the library moves it on, a clause at a time
            clause = self.library.espeak_TextToPhonemes(
                ctypes.byref(rest), _CHARS_UTF8, _PHONEMES_IPA | ord(_SEPARATOR) << 8
            )
            found += (clause or b"").decode().replace(" ", _SEPARATOR).replace("\n", _SEPARATOR).split(_SEPARATOR)
        return [
            phoneme for phoneme in found if phoneme and not phoneme.startswith("(")
        ]  # "(en)": it changes its voice

    def close(self) -> None:
        """Free the library's memory and its copy on disk."""
        self.library.espeak_Terminate()
        self.folder.cleanup()


__all__ = ["EVENT_PHONEME", "EVENT_WORD", "Espeak", "EspeakError", "SpeechEvent"]
