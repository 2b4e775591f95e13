"""The network that an adaptation begins with: a saved model, with room for new words."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..configuration_lip2wav import Lip2WavConfig
from ..modeling_lip2wav import Lip2WavModel


SHORTEST_WAY = 0.1  # of a word from the mean, in mean distances of a frame: nearer, nothing tells it from the others


def load_starting_model(folder: Path) -> Lip2WavModel:
    """The generator of a folder, in float32."""
    return Lip2WavModel.from_pretrained(folder, dtype=torch.float32)


def grow(model: Lip2WavModel, words: Iterable[str], grammar: str | None, seed: int = 0) -> Lip2WavModel:
    """
    The same network with more words (or characters to spell them), and another grammar. What it knows stays as it was:
    its units keep their classes, and their scores.

    Args:
        model ([`Lip2WavModel`]): the network; it is not changed.
        words (iterable of `str`): the new words; those that it knows are left out.
        grammar (`str`, *optional*): JSGF for its configuration.
        seed (`int`, *optional*, defaults to 0): of the new weights: as spread as those of the other words, around
            their mean.

    Returns:
        [`Lip2WavModel`].
    """
    known, units = list(model.config.vocabulary), model.config.units
    new = [unit for unit in dict.fromkeys(unit for word in words for unit in units.spell(word)) if unit not in known]
    content = copy.deepcopy(model.config).to_dict() | {"vocabulary": [*known, *new], "grammar": grammar}
    config = Lip2WavConfig.from_dict(content)
    grown = Lip2WavModel(config)
    weights = model.state_dict()
    random = torch.Generator().manual_seed(seed)
    weights["text_head.weight"] = _more_rows(weights["text_head.weight"], len(new), random)
    weights["text_head.bias"] = _more_rows(weights["text_head.bias"][:, None], len(new), random, spread=0.0)[:, 0]
    if "word_projection.weight" in weights:  # (hidden_size, classes)
        weights["word_projection.weight"] = _more_rows(weights["word_projection.weight"].T, len(new), random).T
    grown.load_state_dict(weights)
    return grown.to(torch.float32)


def _more_rows(rows: torch.Tensor, count: int, random: torch.Generator, spread: float = 1.0) -> torch.Tensor:
    """Rows `(classes, channels)` with others after them; the first, of the blank, has no part in the statistics."""
    if not count:
        return rows
    words = rows[1:]
    noise = torch.randn(count, rows.shape[1], generator=random) * spread
    deviation = words.std(0, unbiased=False) if len(words) > 1 else torch.zeros(rows.shape[1])
    return torch.cat([rows, words.mean(0) + noise * deviation])


@torch.no_grad()
def imprint(model: Lip2WavModel, new: Iterable[str], shown: Iterable[tuple[torch.Tensor, np.ndarray]]) -> list[str]:
    """
    Let the text head know new words from the first step on: the weights of one are what the network sees while it is
    said, less what it sees on average. After Qi, Brown, Lowe (2018), "Low-shot learning with imprinted weights"; that
    the scores are as large as those of known words is our choice.

    Args:
        model ([`Lip2WavModel`]): the network, with room for the words, as from [`grow`].
        new (iterable of `str`): the words.
        shown (iterable of `tuple`): recordings: normalised mouth crops `(frames, height, width)`, and the class of
            the word in each frame, `(frames,)`; 0 where nothing is said.

    Returns:
        `list[str]`: the words that were shown, but for those that look like all that was seen.
    """
    units, head = model.config.units, model.text_head
    words = {units.classes[word]: word for word in new} if units.kind == "words" else {}
    if not words or min(words) == 1 or model.config.speaker_embedding_size:  # it reads only voices that it was given
        return []
    was_training, examples = model.training, dict[int, list[torch.Tensor]]()
    model.eval()
    seen, scores, best = [], [], []
    for pixels, classes in shown:
        hidden, logits, _ = model.encode(pixels[None, :, None])
        known, said = logits[0, :, 1 : min(words)], torch.from_numpy(classes)
        seen.append(hidden[0])
        scores.append(known)
        best.append(known[said > 0].amax(1))
        for place in words.keys() & set(classes.tolist()):
            examples.setdefault(place, []).append(hidden[0][said == place])
    model.train(was_training)
    if not examples:
        return []
    everything, found = torch.cat(seen), list[str]()
    mean, low, high = everything.mean(0), torch.cat(scores).mean(), torch.cat(best).median()
    shortest = SHORTEST_WAY * (everything - mean).norm(dim=1).mean() + 1e-6
    for place, frames in sorted(examples.items()):
        way = torch.cat(frames).mean(0) - mean
        if way.norm() > shortest:
            head.weight[place] = (high - low) * way / way.square().sum()
            head.bias[place] = low - head.weight[place] @ mean
            found.append(words[place])
    return found


def freeze_speech(model: Lip2WavModel) -> None:
    """Leave what makes the sound as it is: only the lips' encoders and the text head learn."""
    for name in ("mel_decoder", "decoder", "word_projection", "speaker_projection"):
        part: nn.Module | None = getattr(model, name, None)
        if part is not None:
            part.requires_grad_(False)


def keep_unsaid(model: Lip2WavModel, words: Iterable[str]) -> None:
    """
    Leave what the text head knows of words that nobody says in the recordings as it is. They would be unlearnt: each
    step makes them less likely, and Adam makes all such steps equally large, however small their gradients are.

    Args:
        model ([`Lip2WavModel`]): the network, before it is trained.
        words (iterable of `str`): those of the recordings.
    """
    units = model.config.units
    said = torch.zeros(model.config.num_classes)
    said[[0, *{units.classes[unit] for word in words for unit in units.spell(word)}]] = 1
    if units.delimiter is not None:
        said[units.delimiter] = 1
    model.text_head.weight.register_hook(lambda gradient: gradient * said.to(gradient)[:, None])
    model.text_head.bias.register_hook(lambda gradient: gradient * said.to(gradient))
    if model.word_projection is not None:  # (hidden_size, classes)
        model.word_projection.weight.register_hook(lambda gradient: gradient * said.to(gradient))


__all__ = ["freeze_speech", "grow", "imprint", "keep_unsaid", "load_starting_model"]
