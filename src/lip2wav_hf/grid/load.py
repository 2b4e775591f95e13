"""`load_grid`: the GRID corpus as a dataset of the library `datasets`."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, cast

from ..errors import require_packages


if TYPE_CHECKING:
    import datasets

logger = logging.getLogger(__name__)


def load_grid(
    data_dir: str | os.PathLike,
    split_scheme: str = "seen4",
    speakers: list[str] | None = None,
    split: str | None = None,
    splits_file: str | os.PathLike | None = None,
    streaming: bool = False,
    check: str = "fast",
    minimum_frames: int = 70,
    cache_dir: str | os.PathLike | None = None,
    num_proc: int | None = None,
) -> datasets.DatasetDict | datasets.IterableDatasetDict | datasets.Dataset | datasets.IterableDataset:
    """The GRID corpus as a dataset.

    Example:

    ```python
    from lip2wav_hf import load_grid

    grid = load_grid("data/grid", split_scheme="seen4")
    grid["train"][0]["sentence"]                        # "bin blue at f two now"
    ```

    Args:
        data_dir (`str` or `os.PathLike`): the folder, in any layout, unpacked or zipped.
        split_scheme (`str`, *optional*, defaults to `"seen4"`): `"seen4"`, `"unseen33"`, `"overlap33"` or `"custom"`.
        speakers (`list[str]`, *optional*): only these.
        split (`str`, *optional*): only this one, such as `"train"` or `"train[:10%]"`; all by default.
        splits_file (`str` or `os.PathLike`, *optional*): of `"custom"`; `data_dir/splits.json` by default.
        streaming (`bool`, *optional*, defaults to `False`): read clip by clip, without preparing anything first.
        check (`str`, *optional*, defaults to `"fast"`): `"none"`, `"fast"` or `"full"`, see [`GridConfig`].
        minimum_frames (`int`, *optional*, defaults to 70): of a usable clip.
        cache_dir (`str` or `os.PathLike`, *optional*): where the table is kept (videos stay where they are, but those
            in archives are copied into it).
        num_proc (`int`, *optional*): processes that prepare the table.

    Returns:
        `DatasetDict` or `IterableDatasetDict`, or one dataset if `split` is given. What was left out is logged; the
        whole list is in `Grid(...).report`, and in `defects.json` beside the table.

    Raises:
        GridError: if the folder, a speaker or the splits file is missing or an option is unknown.
        MissingExtraError: if the library `datasets` is not installed.
    """
    require_packages("train", "load_grid", "datasets")
    from .builder import Grid  # noqa: PLC0415  needs the library

    builder = Grid(
        data_dir=data_dir,
        split_scheme=split_scheme,
        speakers=speakers,
        splits_file=splits_file,
        check=check,
        minimum_frames=minimum_frames,
        cache_dir=None if cache_dir is None else os.fspath(cache_dir),
    )
    if streaming:
        return cast(
            "datasets.IterableDatasetDict | datasets.IterableDataset", builder.as_streaming_dataset(split=split)
        )
    builder.download_and_prepare(num_proc=num_proc)
    report = builder.report
    if report is not None and report.defects:
        logger.warning("%s: %s", data_dir, report.summary())
    return builder.as_dataset(split=split)


__all__ = ["load_grid"]
