"""How a speech encoder learns when words are said from sentences alone.

CTC by itself settles on a network that hears blanks nearly everywhere: it takes long until it hears words, and then
each in one frame or two (Huang et al. 2024, "Less peaky and more accurate CTC forced alignment by label priors"). As
with hidden Markov models (Young et al. 2002, "The HTK Book"), a sentence is therefore first divided evenly over the
part of the clip that is loud, and divided anew as the network learns. The new division is a soft one: that of CTC,
with more weight for blanks where it is quiet, for words where it is loud, and for a while for the even division; and
with each unit's probability over its share of the transcripts, as such models have it, else frequent words take time
from rare neighbours. So words fill their time, and need no correction when they are aligned.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


START = 5.0  # nats by which the class of the even division is preferred at first; all are our choices
END = 0.6  # share of the steps after which it is not any more
QUIET = 3.0  # nats by which blanks are preferred in quiet frames, and words in loud ones
LOUD = 0.35  # a frame is loud from this share of the way from the quietest to the loudest tenth of a clip

_NEVER = -1e9


def loud_frames(mel: torch.Tensor, frame_mask: torch.Tensor) -> torch.Tensor:
    """
    Which frames are loud enough for speech.

    Args:
        mel (`torch.Tensor` of shape `(batch, mel_frames, num_mel_bins)`): log-mel spectrogram, standardised or not.
        frame_mask (`torch.Tensor` of shape `(batch, frames)`): 1 for video frames of the clip.

    Returns:
        `torch.Tensor` of shape `(batch, frames)`: bool.
    """
    energy = mel.float().mean(-1).unflatten(1, (frame_mask.shape[1], -1)).mean(-1)
    known = energy.masked_fill(frame_mask == 0, torch.nan)
    low, high = known.nanquantile(0.1, 1, keepdim=True), known.nanquantile(0.95, 1, keepdim=True)
    return (energy > low + LOUD * (high - low)) & (frame_mask > 0)


def even_division(loud: torch.Tensor, labels: torch.Tensor, label_lengths: torch.Tensor) -> torch.Tensor:
    """
    The loud frames of each clip shared evenly by its units.

    Args:
        loud (`torch.Tensor` of shape `(batch, frames)`): bool.
        labels (`torch.LongTensor` of shape `(batch, units)`): classes, padded at the end.
        label_lengths (`torch.LongTensor` of shape `(batch,)`): units of each clip.

    Returns:
        `torch.LongTensor` of shape `(batch, frames)`: a class for each frame, 0 where it is quiet.
    """
    before = loud.cumsum(1) - loud.long()  # loud frames before each frame
    share = before * label_lengths[:, None] // loud.sum(1, keepdim=True).clamp(min=1)
    return torch.where(loud, labels.gather(1, share.clamp(max=labels.shape[1] - 1)), 0)


def path_scores(
    scores: torch.Tensor, frames: torch.Tensor, labels: torch.Tensor, label_lengths: torch.Tensor
) -> torch.Tensor:
    """
    Logarithm of the summed products of scores along all paths that CTC allows (Graves et al. 2006). Unlike
    `torch.nn.functional.ctc_loss`, its gradient holds for scores that are no log probabilities.

    Args:
        scores (`torch.Tensor` of shape `(batch, frames, classes)`): logarithms; class 0 is the blank.
        frames (`torch.LongTensor` of shape `(batch,)`): frames of each clip.
        labels (`torch.LongTensor` of shape `(batch, units)`), label_lengths (`torch.LongTensor` of shape `(batch,)`):
            classes of the units, and how many there are.

    Returns:
        `torch.Tensor` of shape `(batch,)`: near -1e9 where there are too few frames.
    """
    batch, length = scores.shape[:2]
    classes = labels.new_zeros(batch, 2 * labels.shape[1] + 1)
    classes[:, 1::2] = labels
    skips = torch.zeros_like(classes, dtype=torch.bool)
    skips[:, 2:] = (classes[:, 2:] != 0) & (classes[:, 2:] != classes[:, :-2])
    states = scores.gather(2, classes[:, None].expand(-1, length, -1))
    total = F.pad(states[:, 0, :2], (0, classes.shape[1] - 2), value=_NEVER)
    for frame in range(1, length):
        one = F.pad(total[:, :-1], (1, 0), value=_NEVER)
        two = F.pad(total[:, :-2], (2, 0), value=_NEVER).masked_fill(~skips, _NEVER)
        ahead = torch.stack([total, one, two]).logsumexp(0) + states[:, frame]
        total = torch.where((frame < frames)[:, None], ahead, total)
    ends = total.gather(1, torch.stack([2 * label_lengths, 2 * label_lengths - 1], 1))
    return ends.logsumexp(1)


def sentence_targets(
    text_logits: torch.Tensor,
    loud: torch.Tensor,
    frames: torch.Tensor,
    labels: torch.Tensor,
    label_lengths: torch.Tensor,
    counts: torch.Tensor,
    progress: float,
) -> torch.Tensor:
    """
    How likely each class is in each frame, given the sentence and what the network hears so far.

    Args:
        text_logits (`torch.Tensor` of shape `(batch, frames, classes)`).
        loud (`torch.Tensor` of shape `(batch, frames)`): see [`loud_frames`].
        frames, labels, label_lengths: as of [`path_scores`].
        counts (`torch.Tensor` of shape `(classes,)`): how often each unit is in the transcripts; that of the blank has
            no effect.
        progress (`float`): share of the training that is done; the even division counts less and less.

    Returns:
        `torch.Tensor` of shape `(batch, frames, classes)`: probabilities, without gradient; 0 everywhere in padding
        and in clips with too few frames.
    """
    with torch.enable_grad():
        scores = text_logits.detach().float().log_softmax(-1)
        even = F.one_hot(even_division(loud, labels, label_lengths), scores.shape[-1])
        scores = scores + START * max(0.0, 1 - progress / END) * even
        shares = counts[1:].clamp(min=1).log()
        blank = scores[..., :1] + torch.where(loud, -QUIET, QUIET)[..., None]
        scores = torch.cat([blank, scores[..., 1:] - (shares - shares.mean())], -1).requires_grad_()
        total = path_scores(scores, frames, labels, label_lengths)
        (targets,) = torch.autograd.grad(total.sum(), scores)
    return targets * (total.detach() > _NEVER / 2)[:, None, None]


def sentence_loss(text_logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each frame's class with [`sentence_targets`], a scalar; 0 where there are none."""
    losses = -(targets * text_logits.float().log_softmax(-1)).sum()
    return losses / targets.sum().clamp(min=1)


__all__ = ["even_division", "loud_frames", "path_scores", "sentence_loss", "sentence_targets"]
