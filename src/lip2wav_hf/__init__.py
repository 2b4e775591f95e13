"""lip2wav_hf: silent video of a talking face to speech.

Importing the package registers the task `"video-to-speech"` and the Auto classes with transformers.
"""

import importlib
from pathlib import Path

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration_lip2wav import Lip2WavConfig
from .feature_extraction_lip2wav import Lip2WavFeatureExtractor
from .modeling_critic import Lip2WavCritic
from .modeling_lip2wav import Lip2WavModel
from .modeling_speech_encoder import Lip2WavSpeechEncoder
from .modeling_syncnet import Lip2WavSyncNet
from .pipeline_video_to_speech import VideoToSpeechPipeline


__version__ = "0.1.0"

DEFAULT_CHECKPOINT = str(Path(__file__).parent / "checkpoints" / "grid-s1")
"""Folder of the bundled checkpoint, the default of `pipeline("video-to-speech")`."""

_LAZY = {
    "Clip": "corpora.clips",
    "LogMelSpectrogram": "mel",
    "Lip2WavCritic": "modeling_critic",
    "Lip2WavCriticConfig": "configuration_lip2wav",
    "Lip2WavOutput": "modeling_lip2wav",
    "Lip2WavSpeechEncoder": "modeling_speech_encoder",
    "Lip2WavSpeechEncoderConfig": "configuration_lip2wav",
    "Lip2WavSyncNet": "modeling_syncnet",
    "Lip2WavSyncNetConfig": "configuration_lip2wav",
    "VideoReader": "video",
    "load_grid": "grid.load",
    "load_split": "corpora.registry",
    "sentence_words": "grid.corpus",
}

__all__ = [
    "DEFAULT_CHECKPOINT",
    "Lip2WavConfig",
    "Lip2WavFeatureExtractor",
    "Lip2WavModel",
    "VideoToSpeechPipeline",
    *sorted(_LAZY),
]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _register():
    AutoConfig.register("lip2wav", Lip2WavConfig)
    AutoModel.register(Lip2WavConfig, Lip2WavModel)
    AutoFeatureExtractor.register(Lip2WavConfig, Lip2WavFeatureExtractor)
    Lip2WavConfig.register_for_auto_class()
    Lip2WavModel.register_for_auto_class("AutoModel")
    Lip2WavFeatureExtractor.register_for_auto_class()
    for network in (Lip2WavCritic, Lip2WavSpeechEncoder, Lip2WavSyncNet):
        AutoConfig.register(network.config_class.model_type, network.config_class)
        AutoModel.register(network.config_class, network)
    PIPELINE_REGISTRY.register_pipeline(
        "video-to-speech",
        pipeline_class=VideoToSpeechPipeline,
        pt_model=AutoModel,
        default={"model": (DEFAULT_CHECKPOINT, "main")},
        type="video",
    )


_register()
