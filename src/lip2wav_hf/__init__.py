"""lip2wav_hf: silent video of a talking face to speech.

Importing the package is light: public names are imported when they are used. The task `"video-to-speech"` and the Auto
classes become known to transformers when transformers imports what they belong to, or at once where it has done so.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import wrapt

from .models import BY_TYPE, CHECKPOINTS, DEFAULT_MODEL, NETWORKS, Network


os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime asks for it when it is imported

__version__ = "0.1.0"

DEFAULT_CHECKPOINT = str(CHECKPOINTS / DEFAULT_MODEL)
"""Folder of the bundled checkpoint, the default of `pipeline("video-to-speech")`."""

# Module of each public name. For type checkers, the same names are imported below.
_MODULES = {
    "Adaptation": "adaptation.records",
    "AdaptationProgress": "adaptation.records",
    "AuditorySpectrogram": "lip2audspec.auditory",
    "Clip": "corpora.clips",
    "FaceTrackingError": "face_tracking",
    "GRAMMAR": "grammar",
    "Lip2AudSpecAutoencoder": "lip2audspec.modeling_autoencoder",
    "Lip2AudSpecAutoencoderConfig": "lip2audspec.configuration_lip2audspec",
    "Lip2AudSpecConfig": "lip2audspec.configuration_lip2audspec",
    "Lip2AudSpecModel": "lip2audspec.modeling_lip2audspec",
    "Lip2WavConfig": "configuration_lip2wav",
    "Lip2WavCritic": "modeling_critic",
    "Lip2WavCriticConfig": "configuration_lip2wav",
    "Lip2WavCriticOutput": "modeling_critic",
    "Lip2WavError": "errors",
    "Lip2WavFeatureExtractor": "feature_extraction_lip2wav",
    "Lip2WavModel": "modeling_lip2wav",
    "Lip2WavOutput": "generator",
    "Lip2WavSpeechEncoder": "modeling_critic",
    "Lip2WavSpeechEncoderConfig": "configuration_lip2wav",
    "Lip2WavSpeechEncoderOutput": "modeling_critic",
    "Lip2WavStreamer": "live.streamer",
    "Lip2WavSyncNet": "modeling_syncnet",
    "Lip2WavSyncNetConfig": "configuration_lip2wav",
    "Lip2WavSyncNetOutput": "modeling_syncnet",
    "LiveSpeech": "live.streamer",
    "LogMelSpectrogram": "generator",
    "MouthRegions": "feature_extraction_lip2wav",
    "SpokenVideo": "speaking",
    "VOCABULARY": "grammar",
    "VideoError": "video",
    "VideoPart": "video",
    "VideoReader": "video",
    "VideoToSpeechPipeline": "pipeline_video_to_speech",
    "Word": "generator",
    "WordAligner": "corpora.alignment",
    "adapt": "adaptation.adapt",
    "align_words": "corpora.alignment",
    "check_recording": "adaptation.checking",
    "draw_speech": "evaluation.plotting",
    "evaluate_folders": "evaluation.evaluate",
    "evaluate_model": "evaluation.evaluate",
    "find_model": "models",
    "find_sound_offset": "metrics.synchrony",
    "load_clips": "corpora.load",
    "load_grid": "grid.load",
    "load_split": "corpora.registry",
    "metric_folder": "metrics",
    "mux_audio": "audio",
    "pipeline": "models",
    "plot_speech": "evaluation.plotting",
    "read_audio": "audio",
    "sentence_words": "grid.corpus",
    "write_audio": "audio",
}

__all__ = ["DEFAULT_CHECKPOINT", *_MODULES]

if TYPE_CHECKING:
    from .adaptation.adapt import adapt as adapt
    from .adaptation.checking import check_recording as check_recording
    from .adaptation.records import Adaptation as Adaptation
    from .adaptation.records import AdaptationProgress as AdaptationProgress
    from .audio import mux_audio as mux_audio
    from .audio import read_audio as read_audio
    from .audio import write_audio as write_audio
    from .configuration_lip2wav import Lip2WavConfig as Lip2WavConfig
    from .configuration_lip2wav import Lip2WavCriticConfig as Lip2WavCriticConfig
    from .configuration_lip2wav import Lip2WavSpeechEncoderConfig as Lip2WavSpeechEncoderConfig
    from .configuration_lip2wav import Lip2WavSyncNetConfig as Lip2WavSyncNetConfig
    from .corpora.alignment import WordAligner as WordAligner
    from .corpora.alignment import align_words as align_words
    from .corpora.clips import Clip as Clip
    from .corpora.load import load_clips as load_clips
    from .corpora.registry import load_split as load_split
    from .errors import Lip2WavError as Lip2WavError
    from .evaluation.evaluate import evaluate_folders as evaluate_folders
    from .evaluation.evaluate import evaluate_model as evaluate_model
    from .evaluation.plotting import draw_speech as draw_speech
    from .evaluation.plotting import plot_speech as plot_speech
    from .face_tracking import FaceTrackingError as FaceTrackingError
    from .feature_extraction_lip2wav import Lip2WavFeatureExtractor as Lip2WavFeatureExtractor
    from .feature_extraction_lip2wav import MouthRegions as MouthRegions
    from .generator import Lip2WavOutput as Lip2WavOutput
    from .generator import LogMelSpectrogram as LogMelSpectrogram
    from .generator import Word as Word
    from .grammar import GRAMMAR as GRAMMAR
    from .grammar import VOCABULARY as VOCABULARY
    from .grid.corpus import sentence_words as sentence_words
    from .grid.load import load_grid as load_grid
    from .lip2audspec.auditory import AuditorySpectrogram as AuditorySpectrogram
    from .lip2audspec.configuration_lip2audspec import Lip2AudSpecAutoencoderConfig as Lip2AudSpecAutoencoderConfig
    from .lip2audspec.configuration_lip2audspec import Lip2AudSpecConfig as Lip2AudSpecConfig
    from .lip2audspec.modeling_autoencoder import Lip2AudSpecAutoencoder as Lip2AudSpecAutoencoder
    from .lip2audspec.modeling_lip2audspec import Lip2AudSpecModel as Lip2AudSpecModel
    from .live.streamer import Lip2WavStreamer as Lip2WavStreamer
    from .live.streamer import LiveSpeech as LiveSpeech
    from .metrics import metric_folder as metric_folder
    from .metrics.synchrony import find_sound_offset as find_sound_offset
    from .modeling_critic import Lip2WavCritic as Lip2WavCritic
    from .modeling_critic import Lip2WavCriticOutput as Lip2WavCriticOutput
    from .modeling_critic import Lip2WavSpeechEncoder as Lip2WavSpeechEncoder
    from .modeling_critic import Lip2WavSpeechEncoderOutput as Lip2WavSpeechEncoderOutput
    from .modeling_lip2wav import Lip2WavModel as Lip2WavModel
    from .modeling_syncnet import Lip2WavSyncNet as Lip2WavSyncNet
    from .modeling_syncnet import Lip2WavSyncNetOutput as Lip2WavSyncNetOutput
    from .models import find_model as find_model
    from .models import pipeline as pipeline
    from .pipeline_video_to_speech import VideoToSpeechPipeline as VideoToSpeechPipeline
    from .speaking import SpokenVideo as SpokenVideo
    from .video import VideoError as VideoError
    from .video import VideoPart as VideoPart
    from .video import VideoReader as VideoReader


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# What is made known to transformers: as soon as both their module and ours are imported, whichever comes first. Theirs
# brings ours along.


def _register_configuration(theirs: ModuleType, network: Network) -> None:
    theirs.AutoConfig.register(network.model_type, network.config_class)


def _register_network(theirs: ModuleType, network: Network) -> None:
    theirs.AutoModel.register(network.config_class, network.model_class)


def _register_feature_extractor(theirs: ModuleType, network: Network) -> None:
    from .feature_extraction_lip2wav import Lip2WavFeatureExtractor

    theirs.AutoFeatureExtractor.register(network.config_class, Lip2WavFeatureExtractor)


def _register_pipeline(theirs: ModuleType, network: Network) -> None:
    from .pipeline_video_to_speech import VideoToSpeechPipeline

    theirs.PIPELINE_REGISTRY.register_pipeline(
        "video-to-speech",
        pipeline_class=VideoToSpeechPipeline,
        pt_model=theirs.AutoModel,
        default={"model": (DEFAULT_CHECKPOINT, "main")},
        type="video",
    )
    logging.getLogger("transformers.pipelines").addFilter(_is_not_about_our_default)


def _is_not_about_our_default(record: logging.LogRecord) -> bool:
    """False for transformers' advice to name a revision: the default model belongs to this package's version."""
    return not record.getMessage().startswith(f"No model was supplied, defaulted to {DEFAULT_CHECKPOINT} ")


@dataclass(frozen=True)
class _Registration:
    theirs: str
    ours: str
    register: Callable[[ModuleType, Network], None]
    network: Network = BY_TYPE["lip2wav"]


_AUTO = "transformers.models.auto"
_waiting = [
    *(_Registration(f"{_AUTO}.configuration_auto", n.config_module, _register_configuration, n) for n in NETWORKS),
    *(_Registration(f"{_AUTO}.modeling_auto", n.module, _register_network, n) for n in NETWORKS),
    *(
        _Registration(f"{_AUTO}.feature_extraction_auto", "feature_extraction_lip2wav", _register_feature_extractor, n)
        for n in NETWORKS
        if n.speaks
    ),
    _Registration("transformers.pipelines", "pipeline_video_to_speech", _register_pipeline),
]
_imported: set[str] = set()


def _on_import(module: ModuleType) -> None:
    _imported.add(module.__name__)
    for each in list(_waiting):
        ours = f"{__name__}.{each.ours}"
        if module.__name__ == each.theirs:
            importlib.import_module(ours)  # does nothing where the import of theirs comes from ours
        if each in _waiting and {each.theirs, ours} <= _imported:
            _waiting.remove(each)
            each.register(sys.modules[each.theirs], each.network)


for _name in {name for each in _waiting for name in (each.theirs, f"{__name__}.{each.ours}")}:
    wrapt.register_post_import_hook(_on_import, _name)
