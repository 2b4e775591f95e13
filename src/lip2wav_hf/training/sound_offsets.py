"""Offsets between the sound and the mouth of the clips that a training uses, found once and kept."""

from __future__ import annotations

import hashlib
import logging
import os
from functools import partial
from pathlib import Path

import numpy as np

from ..corpora.clips import Clip
from ..corpora.progress import progress_bar
from ..errors import counted
from ..files import read_json, write_json
from ..machine import worker_processes
from ..metrics.synchrony import MIN_CONFIDENCE, SYNC_CHECKPOINT, find_sound_offset, load_sync_network
from .cache import read_cached_clip
from .clips import cached_name, prepare_clips


logger = logging.getLogger(__name__)


def find_sound_offsets(
    clips: list[Clip],
    cache_dir: str | os.PathLike,
    num_workers: int = 2,
    progress: bool = True,
    sync_network: str | os.PathLike = SYNC_CHECKPOINT,
) -> dict[str, float]:
    """
    Find by how much the sound of each clip is late, once: results are kept beside the cached clips.

    Args:
        clips (`list[Clip]`): the clips. They are prepared for the sync network, where they are not yet.
        cache_dir (`str` or `os.PathLike`): as for [`prepare_clips`].
        num_workers (`int`, *optional*, defaults to 2): processes.
        progress (`bool`, *optional*, defaults to `True`): show a progress bar.
        sync_network (`str` or `os.PathLike`, *optional*): as for [`find_sound_offset`].

    Returns:
        `dict[str, float]`: seconds by `clip.key`; 0 where no offset stands out. Clips that cannot be used are left
        out.
    """
    if not clips:
        return {}
    network, _, extractor = load_sync_network(os.fspath(sync_network))
    weights = hashlib.sha256(b"".join(value.numpy().tobytes() for value in network.state_dict().values()))
    path = Path(cache_dir, f"sound_offsets-{weights.hexdigest()[:12]}.json")
    known: dict[str, float] = read_json(path) if path.is_file() else {}
    missing = [clip for clip in clips if _key(clip) not in known]
    if missing:
        rate = network.config.sampling_rate
        files = prepare_clips(missing, extractor, cache_dir, rate, num_workers, progress).files
        with worker_processes(num_workers, chunksize=4) as map_:
            offsets = map_(partial(_cached_offset, sync_network=os.fspath(sync_network)), files.values())
            found = progress_bar(offsets, "sound offsets", len(files), show=progress)
            keys = {clip.key: _key(clip) for clip in missing}
            known |= {keys[key]: offset for key, offset in zip(files, found, strict=True)}
        write_json(path, known, indent=0, sort_keys=True)
    offsets = {clip.key: known[_key(clip)] for clip in clips if _key(clip) in known}
    if offsets:
        spread = 1000 * float(np.std(list(offsets.values())))
        moved = counted(len(offsets), "clip")
        logger.info("the sound of %s is moved to the mouths (offsets: std %.1f ms).", moved, spread)
    else:
        logger.warning("no sound is moved: none of %s to synchronize can be used.", counted(len(clips), "clip"))
    return offsets


def _key(clip: Clip) -> str:
    return f"{clip.speaker}/{cached_name(clip)}"


def _cached_offset(path: Path, sync_network: str) -> float:
    clip = read_cached_clip(path)
    offset, confidence = find_sound_offset(clip.regions, clip.waveform.astype(np.float32) / 32767, sync_network)
    return offset if confidence >= MIN_CONFIDENCE else 0.0


__all__ = ["find_sound_offsets"]
