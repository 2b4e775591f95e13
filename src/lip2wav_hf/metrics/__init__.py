"""The metrics: one `evaluate` module folder each, loaded offline by `evaluate.load(metric_folder("pesq"))`."""

from pathlib import Path


FOLDER = Path(__file__).parent

METRICS = tuple(sorted(path.stem for path in FOLDER.glob("*/*.py") if path.stem == path.parent.name))
"""Names of the metrics; what each is stands in `registry.py`."""


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
    return str(FOLDER / name)


__all__ = ["METRICS", "metric_folder"]
