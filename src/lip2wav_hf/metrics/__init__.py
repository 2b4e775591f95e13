"""The metrics: one `evaluate` module folder each, loaded offline by `evaluate.load(metric_folder("pesq"))`."""

from pathlib import Path


METRICS = ("pesq", "stoi", "mcd", "corr2d", "grid_wer", "dnsmos", "speaker_similarity", "av_sync")


def metric_folder(name: str) -> str:
    """Folder of a metric module, to be given to `evaluate.load`.

    Args:
        name (`str`): one of `METRICS`.

    Returns:
        `str`: the folder's path.

    Raises:
        ValueError: if there is no such metric.
    """
    if name not in METRICS:
        raise ValueError(f"no metric {name!r}: the metrics are {', '.join(METRICS)}.")
    return str(Path(__file__).parent / name)


__all__ = ["METRICS", "metric_folder"]
