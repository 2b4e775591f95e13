"""Configurations of the networks: what they see and hear, and how they are built.

Of Vougioukas et al. (2019) only the outline is known. Every field is our choice, except 25 frames/s of video and,
in `configs/vougioukas2019.json`, sound at 50 kHz.
"""

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig

from .errors import Lip2WavError, check_dtype, one_line, readable_settings
from .files import model_place
from .grammar import BLANK, UNIT_KINDS, VOCABULARY, WORD_DELIMITER, Grammar, TextNormalizer, TextUnits, written_text


MOST_WEIGHTS = 10**9  # of a network, by a rough estimate; more than 4 GB
MOST_ENTRIES = 64  # of a list of sizes

_LAYERS, _SHARE = (0, 512), (0, 1)
_BOUNDS: dict[str, tuple[float, float]] = {  # least and largest value; of whole numbers that are not here, 1 to 65,536
    **dict.fromkeys(("num_layers", "num_mel_layers", "num_decoder_layers"), _LAYERS),
    **dict.fromkeys(("dropout", "conv_dropout", "dense_dropout"), _SHARE),
    **dict.fromkeys(
        ("griffin_lim_iterations", "speaker_embedding_size", "ngram_order", "attention_window"), (0, 65_536)
    ),
    "lip_states_size": (0, 65_536),
    **dict.fromkeys(("image_height", "image_width"), (1, 4096)),
    "sampling_rate": (1, 768_000),
    "frame_rate": (0.1, 1000),
    "num_mel_bins": (1, 1024),
    "n_fft": (2, 65_536),
    "beam_width": (1, 1000),
    "mel_floor": (1e-30, 1000),
    "mel_std": (1e-6, 1e6),
    "initializer_range": (0, 10),
    "kernel_size": (1, 1001),
    "window_samples": (1, 1_000_000),
    "slice_frames": (1, 1000),
    # what is below 0 has a message of its own
    **dict.fromkeys(("look_ahead", "live_look_ahead"), (-math.inf, 65_536)),
}
_TYPES = ("float64", "float32", "float16", "bfloat16", "auto")


class ConfigurationError(Lip2WavError):
    """A configuration whose values make no model."""


class Chunks(NamedTuple):
    """
    Pieces of a sequence: what is made of one sees none of those after it.

    Attributes:
        size (`int`): frames of a chunk.
        start (`int`): where one begins; the frames before it are one too.
    """

    size: int
    start: int = 0


class Lip2WavPreTrainedConfig(PreTrainedConfig):
    """Base of the package's configurations: refuses a file that describes another type of model."""

    _auto_class = "AutoConfig"

    @property
    def reads_words(self) -> bool:
        """Whether the network finds the words that are said."""
        return False

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Self:
        """
        A configuration from a dictionary, see `PreTrainedConfig.from_dict`.

        Raises:
            ValueError: if its `model_type` is another one, or its values make no model.
        """
        if not isinstance(config_dict, dict):
            raise ConfigurationError("config.json holds no fields. Take it from where the weights are from.")
        check_dtype(kwargs.get("dtype"))  # which `AutoModel` hands on before it loads anything
        found = config_dict.get("model_type", cls.model_type)
        if cls.model_type and found != cls.model_type:
            raise ValueError(
                f"config.json describes a model of the type {found!r}, not {cls.model_type!r}: this is another model,"
                " or the file was changed. Take it from where the weights are from."
            )
        try:
            return super().from_dict(config_dict, **kwargs)
        except StrictDataclassError as error:
            raise ConfigurationError(f"config.json: {one_line(error.__cause__ or error)}") from error
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError) as error:
            raise ConfigurationError(
                f"config.json: its values make no model ({one_line(error)}). Take it from where the weights are from."
            ) from error

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """
        The fields of a config.json, see `PreTrainedConfig.get_config_dict`; also of a bundled model, by its name.

        Raises:
            ValueError: if it holds no fields.
            OSError: if there is none.
        """
        place = model_place(pretrained_model_name_or_path)
        with readable_settings("config.json"):
            return super().get_config_dict(place, **kwargs)

    @property
    def estimated_weights(self) -> int:
        """How many weights the network has, roughly: by its depth and its widest layer."""
        widths, depth = [1], 1
        for name, numbers in self._numbers():
            if name.endswith(("layers", "channels", "sizes")):
                depth += len(numbers) if isinstance(getattr(self, name), (list, tuple)) else int(numbers[0])
            if name.endswith(("channels", "sizes", "_size")) and name != "kernel_size":
                widths += [int(number) for number in numbers]
        return depth * max(widths) ** 2 + getattr(self, "n_fft", 0) * max(widths)

    def _numbers(self) -> Iterator[tuple[str, list[float]]]:
        """The fields of this package that hold numbers, and these."""
        foreign = {field.name for field in dataclasses.fields(PreTrainedConfig)}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            numbers = list(value) if isinstance(value, (list, tuple)) else [value]
            if field.name not in foreign and numbers and all(type(number) in (int, float) for number in numbers):
                yield field.name, numbers

    def validate_amounts(self) -> None:
        """Part of `@strict`-powered validation, the first: numbers that no network has, before it takes memory."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        for name, numbers in self._numbers():
            is_real = isinstance(defaults[name], float)
            least, most = _BOUNDS.get(name, (-1e9, 1e9) if is_real else (1, 65_536))
            wrong = [number for number in numbers if not least <= number <= most]
            if wrong:
                kind = "a number" if is_real else "a whole number"
                raise ValueError(f"`{name}` must be {kind} from {least:g} to {most:g}, not {wrong[0]!r}.")
            if len(numbers) > MOST_ENTRIES:
                raise ValueError(f"`{name}` has {len(numbers)} entries; {MOST_ENTRIES} are the most.")
        kind = str(self.dtype).removeprefix("torch.")
        if self.dtype is not None and kind not in _TYPES:
            raise ValueError(f"`dtype` must be one of {', '.join(_TYPES)}, not {kind[:40]!r}.")
        if self.estimated_weights > MOST_WEIGHTS:
            raise ValueError(
                f"these sizes make a network of about {self.estimated_weights:,} weights; {MOST_WEIGHTS:,} are the"
                " most. Lower its widths or its number of layers."
            )


@strict
class Lip2WavSoundConfig(Lip2WavPreTrainedConfig):
    """Base of the configurations of these networks: the sound and its mel spectrogram, see [`Lip2WavConfig`]."""

    measured_fields = ("mel_mean", "mel_std")

    sampling_rate: int = 16000
    num_mel_bins: int = 80
    mel_mean: float | int = -5.0
    mel_std: float | int = 2.0
    mel_floor: float = 1e-4
    n_fft: int = 640
    hop_length: int = 160
    initializer_range: float = 0.02


@strict
class Lip2WavVideoConfig(Lip2WavSoundConfig):
    """Base of the configurations of networks that run at a video's frame rate, see [`Lip2WavConfig`]."""

    frame_rate: float | int = 25.0
    visual_normalization: str = "batch"

    @property
    def samples_per_frame(self) -> int:
        """Waveform samples for one video frame."""
        return int(self.sampling_rate // self.frame_rate)

    @property
    def mel_frames_per_frame(self) -> int:
        """Spectrogram frames for one video frame."""
        return self.samples_per_frame // self.hop_length


@strict
class Lip2WavTextConfig(Lip2WavVideoConfig):
    """Base of the configurations of networks that recognise words, see [`Lip2WavConfig`]."""

    text_units: str = "words"
    vocabulary: list[str] | tuple[str, ...] = tuple(VOCABULARY)
    text_case: str = "lower"
    text_punctuation: str = "drop"
    text_numbers: str = "keep"
    text_unicode: str = "NFKC"
    word_change_penalty: float | int = 1.0

    @property
    def reads_words(self) -> bool:
        """Whether the network finds the words that are said."""
        return True

    def __post_init__(self, **kwargs: Any) -> None:
        if self.text_units == "characters" and list(self.vocabulary) == VOCABULARY:  # nobody chose it
            self.vocabulary = TextUnits.collect("characters", VOCABULARY).vocabulary
        super().__post_init__(**kwargs)

    @property
    def num_classes(self) -> int:
        """Classes of the text head: the units and the CTC blank."""
        return len(self.vocabulary) + 1

    @property
    def units(self) -> TextUnits:
        """What the classes of the text head stand for."""
        return TextUnits(self.text_units, tuple(self.vocabulary))

    @property
    def normalizer(self) -> TextNormalizer:
        """What makes the words of transcripts and phrases that this network knows."""
        return TextNormalizer(self.text_case, self.text_punctuation, self.text_numbers, self.text_unicode)

    @property
    def change_penalty(self) -> float:
        """What a change of class costs in decoding, in nats: nothing for characters, which change all the time."""
        return 0.0 if self.units.is_open else float(self.word_change_penalty)

    def validate_text(self) -> None:
        """Part of `@strict`-powered validation: fields of the text that must fit each other."""
        if self.text_units not in UNIT_KINDS:
            raise ValueError(f"`text_units` must be one of {', '.join(UNIT_KINDS)}, not {self.text_units!r}.")
        if len(set(self.vocabulary)) < len(self.vocabulary) or BLANK in self.vocabulary:
            raise ValueError(f"`vocabulary` has a unit twice, or {BLANK!r}, which is the CTC blank's name.")
        if self.text_units == "characters":
            long = [unit for unit in self.vocabulary if len(unit) != 1]
            if long:
                raise ValueError(f"`vocabulary` of characters must hold single characters; {long[0]!r} is none.")
            if WORD_DELIMITER not in self.vocabulary:
                raise ValueError(f"`vocabulary` of characters must have {WORD_DELIMITER!r}, which separates words.")
        self.normalizer  # noqa: B018  raises for rules that do not exist


@strict
class Lip2WavConfig(Lip2WavTextConfig):
    r"""
    Configuration of a [`Lip2WavModel`].

    Args:
        decoder_type (`str`, *optional*, defaults to `"istft"`):
            `"istft"`: ConvNeXt blocks at the spectrogram's frame rate and an inverse short-time Fourier transform.
            `"frame"`: the 2019 design as reconstructed: a 3-D convolutional encoder of frame windows, a GRU and
            transposed convolutions that emit half-overlapping audio frames.
        sampling_rate (`int`, *optional*, defaults to 16000):
            Of the waveform, in Hz; a multiple of `frame_rate`.
        frame_rate (`float`, *optional*, defaults to 25.0):
            Of the video, in frames/s.
        image_height (`int`, *optional*, defaults to 40):
            Height of the mouth crops, in pixels.
        image_width (`int`, *optional*, defaults to 64):
            Width of the mouth crops, in pixels.
        text_recognition (`bool`, *optional*, defaults to `True`):
            Whether the text head has been trained, so that it reads words. The trainer says `False` where neither
            `ctc` nor `words` ever had a weight, as in the 2019 system: such a model gives no text.
        text_units (`str`, *optional*, defaults to `"words"`):
            What the text head recognises: `"words"`, a closed vocabulary, or `"characters"`, which spell any word.
        vocabulary (`list[str]`, *optional*, defaults to the 51 words of GRID, or their characters):
            Units of the text head. Class 0 is the CTC blank, unit `i` of the list is class `i + 1`. Of characters, `|`
            stands between words.
        text_case (`str`, *optional*, defaults to `"lower"`), text_punctuation (`str`, *optional*, defaults to
            `"drop"`), text_numbers (`str`, *optional*, defaults to `"keep"`), text_unicode (`str`, *optional*,
            defaults to `"NFKC"`):
            How transcripts became the words of the training, see [`TextNormalizer`]. Evaluation and lists of phrases
            follow it.
        word_change_penalty (`float`, *optional*, defaults to 1.0):
            What each change of word costs when words are read off the text head, in nats: less flicker. Our choice. Of
            no effect with characters.
        grammar (`str`, *optional*):
            The sentences that are read and said unless a call says otherwise, in JSGF; any words by default.
        beam_width (`int`, *optional*, defaults to 1):
            Beginnings of sentences that a beam search keeps, where a call names neither a width nor a grammar; with 1,
            each frame has its likeliest class.
        ngram_order (`int`, *optional*, defaults to 0):
            Of the word n-gram in `ngram.arpa` beside the weights, which the beam search takes; 0 for none.
        ngram_weight (`float`, *optional*, defaults to 0.5), word_bonus (`float`, *optional*, defaults to 0.0):
            Weight of its log probabilities in the beam search, and what each word earns there, in nats. Our choice.
        written_words (`dict[str, str]`, *optional*), written_sentences (`dict[str, str]`, *optional*):
            How transcripts write words and whole sentences, where that is another form than the normalised one and
            always the same.
        word_conditioning (`bool`, *optional*, defaults to `False`):
            Whether the decoder is told, frame by frame, which words are said, so that speech and text agree. "istft"
            only; our choice.
        speaker_embedding_size (`int`, *optional*, defaults to 0):
            Length of the speaker embedding that may be given to the model; 0 for a model without one.
        hidden_size (`int`, *optional*, defaults to 256):
            Channels of the temporal encoder and of the decoder (of the GRU with the "frame" decoder).
        dropout (`float`, *optional*, defaults to 0.2):
            Dropout probability in the temporal encoder and before the mel spectrogram.
        stem_frames (`int`, *optional*, defaults to 5):
            Neighbouring frames that the visual encoder sees together, odd. Our choice ("frame" decoder included).
        stem_channels (`int`, *optional*, defaults to 32):
            Channels after the visual encoder's first convolution.
        visual_channels (`list[int]`, *optional*, defaults to `[32, 64, 64, 160, 160]`):
            Channels of the visual encoder's residual blocks; a block that widens also halves height and width. With
            the "frame" decoder: channels of its 3-D convolutions, each of which halves height and width.
        visual_normalization (`str`, *optional*, defaults to `"batch"`):
            Statistics that the visual encoder normalises by: `"batch"`: stored ones of the training clips; `"clip"`:
            those of the clip itself, or of a long video's chunk with its context (`synthesize`), so that people differ
            less. "istft" only.
        num_layers (`int`, *optional*, defaults to 3):
            Layers of the temporal encoder: a ConvNeXt block and a transformer layer each. "istft" only.
        num_attention_heads (`int`, *optional*, defaults to 4):
            Attention heads of each transformer layer. "istft" only.
        intermediate_size (`int`, *optional*, defaults to 512):
            Channels inside the feed-forward part of each transformer layer. "istft" only.
        attention_window (`int`, *optional*, defaults to 16):
            Video frames to either side that attention reaches. It makes the receptive field finite, so that long
            videos can be spoken in chunks. "istft" only.
        kernel_size (`int`, *optional*, defaults to 7):
            Of the ConvNeXt blocks' depthwise convolutions, odd. "istft" only.
        num_mel_layers (`int`, *optional*, defaults to 4):
            ConvNeXt blocks between the temporal encoder and the mel spectrogram. "istft" only.
        num_mel_bins (`int`, *optional*, defaults to 80):
            Bands of the mel spectrogram between encoder and waveform decoder. "istft" only.
        mel_mean (`float`, *optional*, defaults to -5.0), mel_std (`float`, *optional*, defaults to 2.0):
            Mean and standard deviation of the natural-log mel spectrogram of the training speech. "istft" only.
        mel_floor (`float`, *optional*, defaults to 1e-4):
            Smallest mel magnitude before the logarithm. "istft" only.
        num_decoder_layers (`int`, *optional*, defaults to 6):
            ConvNeXt blocks of the waveform decoder. "istft" only.
        n_fft (`int`, *optional*, defaults to 640), hop_length (`int`, *optional*, defaults to 160):
            Of the short-time Fourier transform, in samples. `hop_length` divides the samples of a video frame.
            "istft" only.
        griffin_lim_iterations (`int`, *optional*, defaults to 0):
            Iterations of fast Griffin-Lim that make the predicted magnitude and phase consistent, outside training.
            "istft" only.
        mirror_average (`bool`, *optional*, defaults to `False`):
            Outside training, average the predictions of a clip and of its mirror image. "istft" only.
        look_ahead (`int`, *optional*):
            Later video frames on which the speech of a frame may depend, unless a call says otherwise; by default all
            that the layers reach. "istft" only.
        live_look_ahead (`int`, *optional*):
            The `look_ahead` for which this network was trained too; live speech takes it. The trainer writes it.
        decoder_strides (`list[int]`, *optional*, defaults to `[4, 4, 4, 4]`):
            Strides of the transposed convolutions that make an audio frame of twice the samples of a video frame,
            which their product divides. "frame" only; our choice.
        decoder_channels (`int`, *optional*, defaults to 256):
            Channels before the first transposed convolution, halved by each. "frame" only; our choice.
        frame_window (`str`, *optional*, defaults to `"rectangular"`):
            How audio frames that overlap by half are joined: `"rectangular"`: their mean; `"hann"`: one fades into the
            other. "frame" only; our choice.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of the weights at the start.

    Raises:
        ValueError: if fields contradict each other; the message says which.

    Example:

    ```python
    >>> from lip2wav_hf import Lip2WavConfig, Lip2WavModel

    >>> config = Lip2WavConfig()
    >>> model = Lip2WavModel(config)  # random weights
    ```
    """

    model_type = "lip2wav"

    decoder_type: str = "istft"
    image_height: int = 40
    image_width: int = 64
    text_recognition: bool = True
    grammar: str | None = None
    beam_width: int = 1
    ngram_order: int = 0
    ngram_weight: float | int = 0.5
    word_bonus: float | int = 0.0
    written_words: dict[str, str] | None = None
    written_sentences: dict[str, str] | None = None
    word_conditioning: bool = False
    speaker_embedding_size: int = 0
    hidden_size: int = 256
    dropout: float | int = 0.2
    stem_frames: int = 5
    stem_channels: int = 32
    visual_channels: list[int] | tuple[int, ...] = (32, 64, 64, 160, 160)
    num_layers: int = 3
    num_attention_heads: int = 4
    intermediate_size: int = 512
    attention_window: int = 16
    kernel_size: int = 7
    num_mel_layers: int = 4
    num_decoder_layers: int = 6
    griffin_lim_iterations: int = 0
    mirror_average: bool = False
    look_ahead: int | None = None
    live_look_ahead: int | None = None
    decoder_strides: list[int] | tuple[int, ...] = (4, 4, 4, 4)
    decoder_channels: int = 256
    frame_window: str = "rectangular"

    def __post_init__(self, **kwargs: Any) -> None:
        # In a Hub repo this file is imported as `transformers_modules.*` and must keep the key; the installed package
        # knows the pipeline already, and would ask for `trust_remote_code` because of it.
        if not __name__.startswith("transformers_modules."):
            kwargs.pop("custom_pipelines", None)
        super().__post_init__(**kwargs)

    @property
    def estimated_weights(self) -> int:
        """As of any network; and those of the layer that makes mel frames of video frames."""
        return super().estimated_weights + self.mel_frames_per_frame * self.hidden_size**2

    @property
    def reads_words(self) -> bool:
        """Whether the text head has been trained."""
        return self.text_recognition

    @property
    def context_frames(self) -> int:
        """Video frames to either side on which an output sample can depend; an estimate for the "frame" decoder."""
        if self.decoder_type == "frame":
            return 2 * int(self.frame_rate)
        reach = self.kernel_size // 2
        spectrogram_frames = (self.num_mel_layers + self.num_decoder_layers + 1) * reach
        spectrogram_frames += (1 + self.griffin_lim_iterations) * (self.n_fft // self.hop_length)
        encoder_frames = self.stem_frames // 2 + self.num_layers * (reach + self.attention_window)
        return encoder_frames + -(-spectrogram_frames // self.mel_frames_per_frame)

    def spans(self, frames: int, chunk_frames: int) -> Iterator[tuple[int, int, int, int]]:
        """Where the context of each chunk of a clip begins, the chunk itself, its end, and that of the context."""
        for start in range(0, frames, chunk_frames):
            end, context = min(start + chunk_frames, frames), self.context_frames + 1
            yield max(start - context, 0), start, end, min(end + context, frames)

    def chunks(self, look_ahead: int | None = None) -> Chunks | None:
        """
        The chunks of video frames that are seen at once, so that the speech of a frame depends on `look_ahead` later
        ones at most: one frame more than that each.

        Args:
            look_ahead (`int`, *optional*): in video frames; the field by default. `None` in both for the whole video.

        Raises:
            ValueError: if it is negative, or this network cannot be bounded.
        """
        look_ahead = self.look_ahead if look_ahead is None else look_ahead
        if look_ahead is None:
            return None
        self._check_look_ahead(look_ahead)
        return Chunks(look_ahead + 1)

    def mel_chunks(self, look_ahead: int | None = None) -> Chunks | None:
        """
        The same chunks in mel frames. They begin later by as much as a window of the inverse transform begins earlier
        than its mel frame.
        """
        chunks = self.chunks(look_ahead)
        overlap = -(-(self.n_fft - self.hop_length) // (2 * self.hop_length))
        return None if chunks is None else Chunks(chunks.size * self.mel_frames_per_frame, overlap)

    def _check_look_ahead(self, frames: int) -> None:
        if frames < 0:
            raise ValueError(f"`look_ahead` is a number of video frames, 0 or more, or None for all; not {frames}.")
        overlap = (self.n_fft - self.hop_length) // 2
        if overlap > self.samples_per_frame:
            raise ValueError(
                f"`look_ahead` needs windows that overlap by a video frame at most: lower `n_fft` ({self.n_fft})."
            )
        if self.decoder_type != "istft" or self.griffin_lim_iterations or self.mirror_average:
            raise ValueError(
                '`look_ahead` needs the "istft" decoder, without `griffin_lim_iterations` and `mirror_average`.'
            )

    def written(self, text: str, sentences: Mapping[str, str] | None = None) -> str:
        """A normalised text as transcripts write it, as far as that is known, or as further `sentences` do."""
        known = {**(self.written_sentences or {}), **(sentences or {})}
        return written_text(text, known, self.written_words or {})

    def validate_decoding(self) -> None:
        """Part of `@strict`-powered validation: fields of the search for words."""
        if self.beam_width < 1 or self.ngram_order < 0:
            raise ValueError("`beam_width` must be 1 or more, and `ngram_order` 0 or more.")

    def validate_architecture(self) -> None:
        """Part of `@strict`-powered validation: fields that must fit each other."""
        if self.decoder_type not in ("istft", "frame"):
            raise ValueError(f"`decoder_type` must be 'istft' or 'frame', not {self.decoder_type!r}.")
        if self.frame_window not in ("rectangular", "hann"):
            raise ValueError(f"`frame_window` must be 'rectangular' or 'hann', not {self.frame_window!r}.")
        if self.frame_rate <= 0 or self.sampling_rate % self.frame_rate != 0:
            raise ValueError(
                f"`sampling_rate` ({self.sampling_rate}) must be a multiple of `frame_rate` ({self.frame_rate}), which"
                " must be positive: each video frame stands for a whole number of samples."
            )
        if self.stem_frames % 2 == 0 or self.kernel_size % 2 == 0:
            raise ValueError("`stem_frames` and `kernel_size` must be odd, so that windows have a centre.")
        if self.visual_normalization not in ("batch", "clip"):
            raise ValueError(f"`visual_normalization` must be 'batch' or 'clip', not {self.visual_normalization!r}.")
        if self.word_conditioning and self.decoder_type != "istft":
            raise ValueError('`word_conditioning` is of the "istft" decoder; the "frame" decoder has none.')
        self._validate_grammar()
        for look_ahead in (self.look_ahead, self.live_look_ahead):
            if look_ahead is not None:
                self._check_look_ahead(look_ahead)
        if self.decoder_type == "istft":
            self._validate_istft()
        elif (2 * self.samples_per_frame) % self._total_stride:
            raise ValueError(
                f"the product of `decoder_strides` ({self._total_stride}) must divide the"
                f" {2 * self.samples_per_frame} samples of an audio frame (twice the samples of a video frame)."
            )

    def _validate_grammar(self) -> None:
        if self.grammar is None:
            return
        unknown = self.units.unknown(Grammar.from_jsgf(self.grammar, "`grammar`").words)
        if unknown:
            raise ValueError(f"`grammar` has words that are not in `vocabulary`: {', '.join(unknown[:5])}.")

    @property
    def _total_stride(self) -> int:
        product = 1
        for stride in self.decoder_strides:
            product *= stride
        return product

    def _validate_istft(self) -> None:
        if (
            self.samples_per_frame % self.hop_length
            or self.n_fft % self.hop_length
            or self.n_fft // self.hop_length < 2
        ):
            raise ValueError(
                f"`hop_length` ({self.hop_length}) must divide the {self.samples_per_frame} samples of a video frame,"
                f" and `n_fft` ({self.n_fft}) into two windows or more."
            )
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError("`hidden_size` must be a multiple of twice `num_attention_heads` (rotary attention).")
        if self.image_height % 2 or self.image_width % 2:
            raise ValueError("`image_height` and `image_width` must be even.")


@strict
class Lip2WavSpeechEncoderConfig(Lip2WavTextConfig):
    r"""
    Configuration of a [`Lip2WavSpeechEncoder`]. All of it is our choice.

    Args:
        sampling_rate (`int`, *optional*, defaults to 16000): of the speech, in Hz.
        frame_rate (`float`, *optional*, defaults to 25.0): of the video, in frames/s; words are scored per frame.
        text_units, vocabulary, text_case, text_punctuation, text_numbers, text_unicode, word_change_penalty: as in
            [`Lip2WavConfig`].
        hidden_size (`int`, *optional*, defaults to 192): channels.
        num_layers (`int`, *optional*, defaults to 5): ConvNeXt blocks.
        kernel_size (`int`, *optional*, defaults to 7): of their depthwise convolutions, odd.
        dropout (`float`, *optional*, defaults to 0.1): dropout probability.
        lip_states_size (`int`, *optional*, defaults to 0): of [`Lip2WavSpeechEncoder.imagine_lips`]; 0 for words only.
        num_mel_bins, mel_mean, mel_std, mel_floor, n_fft, hop_length: of the mel spectrogram, as in [`Lip2WavConfig`].
        initializer_range (`float`, *optional*, defaults to 0.02): standard deviation of the weights at the start.
    """

    model_type = "lip2wav_speech_encoder"

    hidden_size: int = 192
    num_layers: int = 5
    kernel_size: int = 7
    dropout: float | int = 0.1
    lip_states_size: int = 0

    def validate_architecture(self) -> None:
        """Part of `@strict`-powered validation: fields that must fit each other."""
        if self.kernel_size % 2 == 0:
            raise ValueError("`kernel_size` must be odd, so that windows have a centre.")
        if self.sampling_rate % (self.frame_rate * self.hop_length):
            raise ValueError("`hop_length` must divide the samples of a video frame.")


@strict
class Lip2WavSyncNetConfig(Lip2WavVideoConfig):
    r"""
    Configuration of a [`Lip2WavSyncNet`]. All of it is our choice.

    Args:
        sampling_rate (`int`, *optional*, defaults to 16000): of the sound, in Hz.
        frame_rate (`float`, *optional*, defaults to 25.0): of the video, in frames/s.
        image_height (`int`, *optional*, defaults to 40): height of the mouth crops, in pixels.
        image_width (`int`, *optional*, defaults to 64): width of the mouth crops, in pixels.
        normalization_frames (`int`, *optional*, defaults to 49):
            Video frames whose average is subtracted from the pictures and the spectrogram.
        max_shift (`int`, *optional*, defaults to 15): largest offset looked for, in video frames.
        stem_frames (`int`, *optional*, defaults to 5): neighbouring frames that the visual encoder sees together, odd.
        stem_channels (`int`, *optional*, defaults to 16): channels after the visual encoder's first convolution.
        visual_channels (`list[int]`, *optional*, defaults to `[32, 64, 96]`):
            Channels of the visual encoder's residual blocks; a block that widens also halves height and width.
        hidden_size (`int`, *optional*, defaults to 128): channels of both streams.
        num_layers (`int`, *optional*, defaults to 2): ConvNeXt blocks of each stream.
        kernel_size (`int`, *optional*, defaults to 7): of their depthwise convolutions, odd.
        dropout (`float`, *optional*, defaults to 0.1): dropout probability.
        embedding_size (`int`, *optional*, defaults to 64): length of the vectors that are compared.
        num_mel_bins, mel_mean, mel_std, mel_floor, n_fft, hop_length: of the mel spectrogram, as in [`Lip2WavConfig`].
        initializer_range (`float`, *optional*, defaults to 0.02): standard deviation of the weights at the start.
    """

    model_type = "lip2wav_syncnet"

    image_height: int = 40
    image_width: int = 64
    normalization_frames: int = 49
    max_shift: int = 15
    stem_frames: int = 5
    stem_channels: int = 16
    visual_channels: list[int] | tuple[int, ...] = (32, 64, 96)
    hidden_size: int = 128
    num_layers: int = 2
    kernel_size: int = 7
    dropout: float | int = 0.1
    embedding_size: int = 64

    def validate_architecture(self) -> None:
        """Part of `@strict`-powered validation: fields that must fit each other."""
        if self.kernel_size % 2 == 0 or self.stem_frames % 2 == 0:
            raise ValueError("`kernel_size` and `stem_frames` must be odd, so that windows have a centre.")
        if self.sampling_rate % (self.frame_rate * self.hop_length):
            raise ValueError("`hop_length` must divide the samples of a video frame.")
        if self.image_height % 2 or self.image_width % 2:
            raise ValueError("`image_height` and `image_width` must be even.")
        if self.max_shift < 1 or self.normalization_frames < 1:
            raise ValueError("`max_shift` and `normalization_frames` must be at least 1 frame.")


@strict
class Lip2WavCriticConfig(Lip2WavSoundConfig):
    r"""
    Configuration of a [`Lip2WavCritic`]. That it judges waveforms comes from Vougioukas et al. (2019); all else is our
    choice.

    Args:
        sampling_rate (`int`, *optional*, defaults to 16000): of the speech, in Hz.
        window_samples (`int`, *optional*, defaults to 10240): length of the pieces that are judged, in samples.
        channels (`list[int]`, *optional*, defaults to `[16, 32, 64, 128, 128, 128, 128]`):
            Of the waveform critic's convolutions; an empty list for no waveform critic.
        strides (`list[int]`, *optional*, defaults to `[4, 4, 4, 4, 2, 2, 2]`): of the same convolutions.
        kernel_size (`int`, *optional*, defaults to 11): of the same convolutions, odd.
        spectral_channels (`list[int]`, *optional*, defaults to `[]`):
            Of the convolutions of a second critic, on the mel spectrogram; empty for none.
        negative_slope (`float`, *optional*, defaults to 0.2): of the leaky rectifiers.
        num_mel_bins, mel_mean, mel_std, mel_floor, n_fft, hop_length: of the mel spectrogram, as in [`Lip2WavConfig`].
        initializer_range (`float`, *optional*, defaults to 0.02): standard deviation of the weights at the start.
    """

    model_type = "lip2wav_critic"

    window_samples: int = 10240
    channels: list[int] | tuple[int, ...] = (16, 32, 64, 128, 128, 128, 128)
    strides: list[int] | tuple[int, ...] = (4, 4, 4, 4, 2, 2, 2)
    kernel_size: int = 11
    spectral_channels: list[int] | tuple[int, ...] = ()
    negative_slope: float = 0.2

    @property
    def estimated_weights(self) -> int:
        """As of any network; and those of the layers that score all that is left of a window."""
        channels = (self.channels or [0])[-1] + (self.spectral_channels or [0])[-1] * self.num_mel_bins
        return super().estimated_weights + channels * self.window_samples

    def validate_architecture(self) -> None:
        """Part of `@strict`-powered validation: fields that must fit each other."""
        if not self.channels and not self.spectral_channels:
            raise ValueError("a critic needs `channels`, `spectral_channels`, or both.")
        if self.channels and len(self.channels) != len(self.strides):
            raise ValueError(
                f"`channels` and `strides` are of the same convolutions; there are {len(self.channels)} and"
                f" {len(self.strides)}."
            )
        if self.kernel_size % 2 == 0:
            raise ValueError("`kernel_size` must be odd, so that windows have a centre.")
        if self.window_samples < 1 or (self.spectral_channels and self.window_samples % self.hop_length):
            raise ValueError(
                "`window_samples` must be positive and, for a spectral critic, a multiple of `hop_length`."
            )


__all__ = [
    "Chunks",
    "Lip2WavConfig",
    "Lip2WavCriticConfig",
    "Lip2WavSpeechEncoderConfig",
    "Lip2WavSyncNetConfig",
    "Lip2WavTextConfig",
]
