"""The speech encoder: recognises the words in a mel spectrogram. Frozen, it teaches the generator to keep them.

Vougioukas et al. (2019) use a pretrained speech encoder to preserve the speech content; that ours takes mel
spectrograms, and how it is built, are our choices.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from transformers.utils import ModelOutput

from .configuration_lip2wav import Lip2WavSpeechEncoderConfig
from .generator import ConvNeXtBlock
from .modeling_lip2wav import Lip2WavPreTrainedModel


@dataclass
class Lip2WavSpeechEncoderOutput(ModelOutput):
    """
    Output of [`Lip2WavSpeechEncoder`].

    Args:
        text_logits (`torch.FloatTensor` of shape `(batch, frames, classes)`):
            Scores of the CTC blank (class 0) and of each word, at the video's frame rate.
        hidden_states (`tuple[torch.FloatTensor, ...]`, each of shape `(batch, frames, hidden_size)`):
            After each block; what perceptual losses compare.
    """

    text_logits: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None


class Lip2WavSpeechEncoder(Lip2WavPreTrainedModel):
    """
    From a standardised log-mel spectrogram to words, frame by frame.

    Args:
        config ([`Lip2WavSpeechEncoderConfig`]): the architecture.
    """

    config_class = Lip2WavSpeechEncoderConfig
    base_model_prefix = "speech_encoder"
    main_input_name = "mel"
    input_modalities = ["audio"]
    config: Lip2WavSpeechEncoderConfig

    def __init__(self, config: Lip2WavSpeechEncoderConfig):
        super().__init__(config)
        size, self.factor = config.hidden_size, config.mel_frames_per_frame
        self.embed = nn.Conv1d(config.num_mel_bins, size, self.factor, stride=self.factor)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(size, 3 * size, config.kernel_size, config.dropout) for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(size)
        self.text_head = nn.Linear(size, config.num_classes)
        self.post_init()

    def forward(self, mel: torch.Tensor, frame_mask: torch.Tensor | None = None) -> Lip2WavSpeechEncoderOutput:
        """
        Args:
            mel (`torch.FloatTensor` of shape `(batch, mel_frames, num_mel_bins)`):
                Standardised log-mel spectrogram; a whole number of video frames.
            frame_mask (`torch.Tensor` of shape `(batch, frames)`, *optional*):
                1 for video frames of the clip, 0 for padding. All count by default.

        Returns:
            [`Lip2WavSpeechEncoderOutput`]

        Raises:
            ValueError: if a shape does not fit the config.
        """
        if mel.ndim != 3 or mel.shape[2] != self.config.num_mel_bins or mel.shape[1] % self.factor or not mel.shape[1]:
            raise ValueError(
                f"`mel` must have shape (batch, mel_frames, {self.config.num_mel_bins}), with mel_frames a multiple of"
                f" {self.factor}; got {tuple(mel.shape)}."
            )
        frames = mel.shape[1] // self.factor
        if frame_mask is None:
            frame_mask = torch.ones(mel.shape[0], frames, device=mel.device)
        mask = frame_mask.to(mel.dtype)[..., None]
        hidden = self.embed((mel * mask.repeat_interleave(self.factor, 1)).transpose(1, 2)).transpose(1, 2)
        hidden_states = []
        for block in self.blocks:
            hidden = block(hidden, mask)
            hidden_states.append(hidden)
        return Lip2WavSpeechEncoderOutput(
            text_logits=self.text_head(self.norm(hidden)), hidden_states=tuple(hidden_states)
        )


__all__ = ["Lip2WavSpeechEncoder", "Lip2WavSpeechEncoderOutput"]
