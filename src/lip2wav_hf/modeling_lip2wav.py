"""The networks' common base on transformers, and the generator as a transformers model."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import logging as transformers_logging
from transformers.utils.hub import cached_file

from .configuration_lip2wav import Lip2WavConfig, Lip2WavTextConfig
from .decoding import NGRAM_FILE, NGram, TextDecoder, Word, decode_words
from .encoders import ClipNorm, ConvNeXtBlock
from .errors import WeightsError, check_dtype, check_fit, check_speaks
from .files import follow_umask, model_place, write_json, write_text
from .generator import InverseSTFTDecoder, Lip2WavOutput, SpeechGenerator
from .grammar import TOKENIZER_FILES


HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token")


class Lip2WavPreTrainedModel(PreTrainedModel):
    """What the package's networks share: initialisation and loading of weights, and the reading of text logits."""

    config_class = Lip2WavConfig
    base_model_prefix = "lip2wav"
    main_input_name = "pixel_values_videos"
    input_modalities = ["video"]

    # `save_pretrained` writes the code beside the weights, and `AutoModel` finds it there.
    _auto_class = "AutoModel"

    def save_pretrained(self, save_directory: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """
        Save weights, configuration and code, see `PreTrainedModel.save_pretrained`; and, of a network that reads
        words, the tokenizer that `AutoTokenizer` loads, which follows from the configuration.

        Weights that a type of half the size holds exactly, such as those of a published model, are saved in it.
        Whoever may read other new files there may read them.
        """
        if not args and kwargs.get("state_dict") is None:
            kwargs["state_dict"] = _smallest(self.state_dict())
        super().save_pretrained(save_directory, *args, **kwargs)
        for path in Path(save_directory).glob("*.safetensors"):  # which are written for their owner alone
            follow_umask(path)
        if isinstance(self.config, Lip2WavTextConfig) and self.config.reads_words:
            save_tokenizer(self.config, save_directory)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike | None,
        *model_args: Any,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        use_safetensors: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """
        Load trained weights from a folder or a Hub repository, see `PreTrainedModel.from_pretrained`. It is stricter:
        weights come from safetensors files only (a pickle can run code), and they must fit the configuration, key by
        key and shape by shape.

        Args:
            pretrained_model_name_or_path (`str` or `os.PathLike`):
                Folder, name of a Hub repository, or where the package is installed that of a bundled model.
            ignore_mismatched_sizes (`bool`, *optional*, defaults to `False`):
                Initialise at random what is missing or has another shape, to continue training from it.
            output_loading_info (`bool`, *optional*, defaults to `False`):
                Return a dictionary of missing, unexpected and mismatched keys too.
            use_safetensors (`bool`, *optional*): anything but `False`.

        Raises:
            WeightsError: if the weights are damaged, pickled, or do not fit.
            Lip2WavError: if there is no such `dtype`.
            OSError: if there are none.
        """
        if use_safetensors is False:
            raise WeightsError("`use_safetensors=False`: weights of this model are never loaded from a pickle.")
        for name in ("dtype", "torch_dtype"):
            check_dtype(kwargs.get(name), name)
        place = model_place(pretrained_model_name_or_path)
        try:
            with without_bars():
                loaded: Any = super().from_pretrained(
                    place,
                    *model_args,
                    ignore_mismatched_sizes=True,
                    output_loading_info=True,
                    use_safetensors=True,
                    **kwargs,
                )
        except SafetensorError as error:
            raise WeightsError(
                f"{pretrained_model_name_or_path}: the weights are damaged ({error}). Download or save them again."
            ) from error
        model, report = loaded
        if not ignore_mismatched_sizes and kwargs.get("state_dict") is None:
            check_fit(pretrained_model_name_or_path, report)
        return loaded if output_loading_info else model

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d)):
            init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.GRU):
            bound = module.hidden_size**-0.5
            for parameter in module.parameters():
                init.uniform_(parameter, -bound, bound)
        elif isinstance(module, ConvNeXtBlock):
            init.constant_(module.scale, module.initial_scale)
            init.normal_(module.depthwise.weight, std=module.depthwise.kernel_size[0] ** -0.5)
        elif isinstance(module, ClipNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, InverseSTFTDecoder):
            init.copy_(module.window, torch.hann_window(module.n_fft))

    def decode_text(
        self,
        text_logits: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        grammar: TextDecoder | None = None,
    ) -> list[list[Word]]:
        """
        Words with their times: those that a decoder finds; or, without one, the likeliest classes of the frames,
        where each change of class costs `config.word_change_penalty`, with repeats merged and blanks dropped.

        Args:
            text_logits (`torch.FloatTensor` of shape `(batch, frames, classes)`): as the model returns them.
            frame_mask (`torch.Tensor` of shape `(batch, frames)`, *optional*): as for `forward`.
            grammar ([`GrammarDecoder`] or [`BeamDecoder`], *optional*): finds the words.

        Returns:
            `list[list[Word]]`: for each clip, words as `{"word", "start", "end", "confidence"}`: times in seconds,
            and the mean probability of the word over its frames.
        """
        return decode_words(text_logits, frame_mask, self.config, grammar)


def load_speaking_network(folder: str | os.PathLike, dtype: str | torch.dtype = "auto") -> Any:
    """
    A saved network of any type that transformers knows and that makes speech of a video, for speaking.

    Args:
        folder (`str` or `os.PathLike`): holds `config.json` and `model*.safetensors`.
        dtype (`str` or `torch.dtype`, *optional*, defaults to `"auto"`): what to calculate in, such as `"bfloat16"`.

    Raises:
        Lip2WavError: if it does not speak, or the weights do not fit the configuration.
        OSError, ValueError: if it cannot be loaded.
    """
    from transformers import AutoModel  # noqa: PLC0415  which brings this very module

    network = AutoModel.from_pretrained(folder, dtype=dtype)
    check_speaks(network)
    return network.eval()


def save_tokenizer(config: Lip2WavTextConfig, folder: str | os.PathLike) -> None:
    """Write the files of the tokenizer that belongs to a configuration, in place of those of another."""
    files = config.units.tokenizer_files(config.normalizer)
    for name in TOKENIZER_FILES:
        if name in files:
            write_json(Path(folder, name), files[name])
        else:
            Path(folder, name).unlink(missing_ok=True)


@contextlib.contextmanager
def without_bars() -> Generator[None]:
    """No progress bar of transformers, where something is loaded in a moment."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _smallest(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights, as float16 or bfloat16 where not a single one changes by that."""
    for dtype in (torch.float16, torch.bfloat16):
        smaller = {name: each.to(dtype) if each.dtype == torch.float32 else each for name, each in weights.items()}
        if all(torch.equal(smaller[name].to(each.dtype), each) for name, each in weights.items()):
            return smaller
    return weights


class Lip2WavModel(SpeechGenerator, Lip2WavPreTrainedModel):
    """
    From a silent video of a talking mouth to speech.

    Args:
        config ([`Lip2WavConfig`]): the architecture. `Lip2WavModel.from_pretrained` loads trained weights.
    """

    def __init__(self, config: Lip2WavConfig) -> None:
        super().__init__(config)
        self.add_layers(config)
        self.post_init()

    def save_pretrained(self, save_directory: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """Save everything, the n-gram included; see [`Lip2WavPreTrainedModel.save_pretrained`]."""
        self.config.ngram_order = 0 if self.ngram is None else self.ngram.order
        super().save_pretrained(save_directory, *args, **kwargs)
        path = Path(save_directory, NGRAM_FILE)
        if self.ngram is not None:
            write_text(path, self.ngram.to_arpa())
        else:
            path.unlink(missing_ok=True)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike | None, *args: Any, **kwargs: Any
    ) -> Any:
        """Load everything, the n-gram included; see [`Lip2WavPreTrainedModel.from_pretrained`]."""
        place = model_place(pretrained_model_name_or_path)
        loaded = super().from_pretrained(place, *args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        if place is not None and model.config.ngram_order:
            chosen = {name: kwargs[name] for name in HUB_OPTIONS if name in kwargs}
            path = cached_file(place, NGRAM_FILE, **chosen)
            model.ngram = NGram.from_arpa(path or NGRAM_FILE)
        return loaded


__all__ = [
    "HUB_OPTIONS",
    "Lip2WavModel",
    "Lip2WavOutput",
    "Lip2WavPreTrainedModel",
    "WeightsError",
    "load_speaking_network",
    "without_bars",
]
