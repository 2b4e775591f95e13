"""From the scores of single clips to what a metric module returns: means, lists and counts."""

from __future__ import annotations

from collections.abc import Iterable

from lip2wav_hf.metrics.waveforms import mean_of_scored


def summarize_clips(clips: list[dict], keys: Iterable[str]) -> dict:
    """What an `evaluate` module returns for the scores of its clips.

    Args:
        clips (`list[dict]`): one per clip, with a float for each of `keys`, `outcome`, and perhaps `cut_samples` and
            `clipped_samples`.
        keys (iterable of `str`): the scores; those that the clips lack are left out.

    Returns:
        `dict`: each score's mean over the clips that could be scored (NaN if none could) and `<score>_per_clip`; then
        `cut_samples` and `clipped_samples` (list of int), where clips have them, and the numbers of
        `silent_predictions` and `unscorable` clips.
    """
    result: dict = {}
    for key in keys:
        if all(key in clip for clip in clips):
            values = [clip[key] for clip in clips]
            result |= {key: mean_of_scored(values), f"{key}_per_clip": values}
    for counter in ("cut_samples", "clipped_samples"):
        if all(counter in clip for clip in clips):
            result[counter] = [clip[counter] for clip in clips]
    result["silent_predictions"] = sum(clip["outcome"] == "silent prediction" for clip in clips)
    result["unscorable"] = sum(clip["outcome"] == "unscorable" for clip in clips)
    return result


__all__ = ["summarize_clips"]
