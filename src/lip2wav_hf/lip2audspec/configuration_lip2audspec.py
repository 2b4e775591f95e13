"""Configurations of Lip2AudSpec: of the autoencoder of auditory spectra, and of the network that reads the lips.

The defaults are those of Akbari et al. (2018), as far as they are known; what is our choice is marked.
"""

from typing import Any

from huggingface_hub.dataclasses import strict

from ..configuration_lip2wav import Lip2WavPreTrainedConfig
from .auditory import AuditorySpectrogram


PICTURE_SCALES = ("frame", "clip")


@strict
class Lip2AudSpecSoundConfig(Lip2WavPreTrainedConfig):
    """Base of both configurations: the sound, its auditory spectrogram, and the autoencoder of its frames."""

    measured_fields = ("spectrogram_mean", "spectrogram_std")
    _auto_class = None  # the code stays in the package: see docs/lip2audspec.md

    sampling_rate: int = 8000
    frame_rate: float | int = 25.0
    frame_ms: float | int = 10.0
    integration_ms: float | int = 10.0
    power: float = 0.3
    inversion_iterations: int = 20
    inversion_momentum: float | int = 0.9
    spectrogram_mean: float | int = 0.0
    spectrogram_std: float | int = 1.0
    encoder_sizes: list[int] | tuple[int, ...] = (512, 128, 64)
    code_size: int = 32
    decoder_sizes: list[int] | tuple[int, ...] = (64, 128)
    code_noise: float = 0.05
    negative_slope: float = 0.3

    @property
    def auditory(self) -> AuditorySpectrogram:
        """What makes auditory spectrograms of sound, and sound of them."""
        return AuditorySpectrogram(
            self.sampling_rate, float(self.frame_ms), float(self.integration_ms), float(self.power)
        )

    @property
    def samples_per_frame(self) -> int:
        """Waveform samples for one video frame."""
        return int(self.sampling_rate // self.frame_rate)

    @property
    def spectra_per_frame(self) -> int:
        """Frames of the auditory spectrogram for one video frame."""
        return self.samples_per_frame // self.auditory.frame_samples

    def validate_sound(self) -> None:
        """Part of `@strict`-powered validation: fields that must fit each other."""
        if self.frame_rate <= 0 or self.sampling_rate % self.frame_rate:
            raise ValueError(
                f"`sampling_rate` ({self.sampling_rate}) must be a multiple of `frame_rate` ({self.frame_rate}), which"
                " must be positive."
            )
        if self.samples_per_frame % self.auditory.frame_samples:
            raise ValueError(
                f"a video frame ({1000 / self.frame_rate:g} ms) must hold a whole number of frames of the spectrogram"
                f" (`frame_ms`, {self.frame_ms:g})."
            )
        if self.spectrogram_std <= 0:
            raise ValueError("`spectrogram_std` must be above 0.")
        if min(self.code_size, self.inversion_iterations, *self.encoder_sizes, *self.decoder_sizes) < 1:
            raise ValueError("sizes of layers, `code_size` and `inversion_iterations` must be at least 1.")


@strict
class Lip2AudSpecAutoencoderConfig(Lip2AudSpecSoundConfig):
    r"""
    Configuration of a [`Lip2AudSpecAutoencoder`].

    Args:
        sampling_rate (`int`, *optional*, defaults to 8000): of the sound, in Hz.
        frame_rate (`float`, *optional*, defaults to 25.0): of the videos whose sound it is, in frames/s.
        frame_ms (`float`, *optional*, defaults to 10.0): length of a frame of the spectrogram, in ms.
        integration_ms (`float`, *optional*, defaults to 10.0):
            Time constant of the spectrogram's leaky integration, in ms. Our choice.
        power (`float`, *optional*, defaults to 0.3): which compresses the spectrogram.
        inversion_iterations (`int`, *optional*, defaults to 20), inversion_momentum (`float`, *optional*, defaults to
            0.9): of the way back to sound, see [`AuditorySpectrogram`]. Our choice.
        spectrogram_mean (`float`, *optional*, defaults to 0.0), spectrogram_std (`float`, *optional*, defaults to
            1.0): mean and standard deviation of the training sound's spectrogram, which the autoencoder sees
            standardised; measured when a training begins. Our choice.
        encoder_sizes (`list[int]`, *optional*, defaults to `[512, 128, 64]`), decoder_sizes (`list[int]`, *optional*,
            defaults to `[64, 128]`): channels of the hidden layers before and after the code.
        code_size (`int`, *optional*, defaults to 32): length of the code of a frame, the bottleneck.
        code_noise (`float`, *optional*, defaults to 0.05): standard deviation of the noise on the code in training.
        negative_slope (`float`, *optional*, defaults to 0.3): of the leaky rectifiers. Our choice.

    Raises:
        ValueError: if fields contradict each other; the message says which.
    """

    model_type = "lip2audspec_autoencoder"


@strict
class Lip2AudSpecConfig(Lip2AudSpecSoundConfig):
    r"""
    Configuration of a [`Lip2AudSpecModel`]: the fields of [`Lip2AudSpecAutoencoderConfig`], which a training takes
    from its autoencoder, and those of the network that reads the lips.

    Args:
        image_height (`int`, *optional*, defaults to 128), image_width (`int`, *optional*, defaults to 128):
            Of the pictures, in pixels.
        picture_scale (`str`, *optional*, defaults to `"frame"`):
            `"frame"`: each picture is scaled to [0, 1]; `"clip"`: as the feature extractor standardises the clip. The
            latter is our choice.
        picture_pooling (`int`, *optional*, defaults to 1):
            Pixels to either direction that are averaged before anything else; 1 for the pictures as they are. Our
            choice.
        slice_frames (`int`, *optional*, defaults to 5): video frames from which the network makes the sound of just
            these frames.
        conv_channels (`list[int]`, *optional*, defaults to `[32, 32, 32, 64, 64, 128, 128]`):
            Of the 3-D convolutions.
        pool_after (`list[int]`, *optional*, defaults to `[1, 2, 3, 5, 7]`):
            Convolutions, counted from 1, after which height and width are halved.
        dropout_after (`list[int]`, *optional*, defaults to `[3, 5, 7]`), conv_dropout (`float`, *optional*, defaults
            to 0.25): convolutions after which there is dropout, and its probability.
        lstm_size (`int`, *optional*, defaults to 512): channels of the LSTM over the frames of a slice.
        dense_size (`int`, *optional*, defaults to 2048), dense_dropout (`float`, *optional*, defaults to 0.4): of the
            layer after it.

    Raises:
        ValueError: if fields contradict each other; the message says which.

    Example:

    ```python
    >>> from lip2wav_hf import Lip2AudSpecConfig, Lip2AudSpecModel

    >>> model = Lip2AudSpecModel(Lip2AudSpecConfig())  # the published size, random weights
    ```
    """

    model_type = "lip2audspec"

    image_height: int = 128
    image_width: int = 128
    picture_scale: str = "frame"
    picture_pooling: int = 1
    slice_frames: int = 5
    conv_channels: list[int] | tuple[int, ...] = (32, 32, 32, 64, 64, 128, 128)
    pool_after: list[int] | tuple[int, ...] = (1, 2, 3, 5, 7)
    dropout_after: list[int] | tuple[int, ...] = (3, 5, 7)
    conv_dropout: float = 0.25
    lstm_size: int = 512
    dense_size: int = 2048
    dense_dropout: float = 0.4

    def __post_init__(self, **kwargs: Any) -> None:
        if not __name__.startswith("transformers_modules."):  # see Lip2WavConfig
            kwargs.pop("custom_pipelines", None)
        super().__post_init__(**kwargs)

    @property
    def estimated_weights(self) -> int:
        """As of any network; and those of the layers that take all that the convolutions make of a frame."""
        return super().estimated_weights + self.features_per_frame * (4 * self.lstm_size + self.dense_size)

    @property
    def context_frames(self) -> int:
        """Video frames before a slice that its differences reach back to."""
        return 2

    @property
    def features_per_frame(self) -> int:
        """Length of what the convolutions make of a video frame."""
        pooling = max(self.picture_pooling, 1)
        height, width = self.image_height // pooling, self.image_width // pooling
        for _ in self.pool_after:
            height, width = height // 2, width // 2
        return height * width * (self.conv_channels or [0])[-1]

    def validate_network(self) -> None:
        """Part of `@strict`-powered validation: fields that must fit each other."""
        if self.picture_scale not in PICTURE_SCALES:
            raise ValueError(
                f"`picture_scale` must be one of {', '.join(PICTURE_SCALES)}, not {self.picture_scale!r}."
            )
        if (
            self.picture_pooling < 1
            or self.image_height % self.picture_pooling
            or self.image_width % self.picture_pooling
        ):
            raise ValueError("`picture_pooling` must divide `image_height` and `image_width`.")
        if not self.conv_channels or min(self.slice_frames, self.lstm_size, self.dense_size, *self.conv_channels) < 1:
            raise ValueError("`conv_channels`, `lstm_size`, `dense_size` and `slice_frames` must be at least 1.")
        for name in ("pool_after", "dropout_after"):
            places = list(getattr(self, name))
            if len(set(places)) < len(places) or not set(places) <= set(range(1, len(self.conv_channels) + 1)):
                raise ValueError(
                    f"`{name}` counts the {len(self.conv_channels)} convolutions from 1, each once; got {places}."
                )
        if not self.features_per_frame:
            raise ValueError(
                f"pictures of {self.image_height} x {self.image_width} pixels cannot be halved"
                f" {len(self.pool_after)} times (`pool_after`)."
            )


__all__ = ["Lip2AudSpecAutoencoderConfig", "Lip2AudSpecConfig", "Lip2AudSpecSoundConfig"]
