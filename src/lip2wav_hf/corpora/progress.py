"""Progress of a long job: a bar on a terminal or in a notebook; elsewhere, as in a log, a line every so often."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Self

from tqdm.auto import tqdm


LINE_SECONDS = 30.0  # from one line to the next, at least
LINE_SHARE = 0.05  # of the time so far: lines of a long job come less often


class ProgressLines:
    """
    What [`progress_bar`] gives where no bar can be drawn, with as much of `tqdm`'s interface as is needed.

    Nothing is printed of a job that is done within half a minute.

    Args:
        items (iterable, *optional*): what is gone through, each one a step.
        desc (`str`): what is done.
        total (`float`, *optional*): steps in all.
        unit (`str`): of a step, such as `"clip"`; `"B"` for bytes.
        initial (`float`): steps done before.
    """

    def __init__(self, items: Iterable | None, desc: str, total: float | None, unit: str, initial: float = 0) -> None:
        self.items, self.desc, self.total, self.unit = items, desc, total, unit
        self.n = self._initial = initial
        self._start = self._said = time.monotonic()
        self._postfix, self._unsaid = "", False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator:
        try:
            for item in self.items or ():
                yield item
                self.update()
        finally:
            self.close()

    def update(self, n: float = 1) -> None:
        """Count steps; print a line if it is time."""
        self.n += n
        self._unsaid = True
        now = time.monotonic()
        if now - self._said >= max(LINE_SECONDS, LINE_SHARE * (now - self._start)):
            self._say(now)

    def set_description(self, desc: str) -> None:
        """Say from now on that something else is done."""
        self.desc = desc

    def set_postfix(self, values: dict[str, Any]) -> None:
        """Values that the next lines end with."""
        self._postfix = "".join(f", {name} {value}" for name, value in values.items())

    def close(self) -> None:
        """Print where a job ended that has printed lines."""
        if self._unsaid and self._said > self._start:
            self._say(time.monotonic())

    def _say(self, now: float) -> None:
        self._said, self._unsaid = now, False
        print(self._line(now - self._start), file=sys.stderr, flush=True)

    def _line(self, seconds: float) -> str:
        """Such as `"checking clips: 400 of 1000 clips, 40 %, 5 clips/s, 02:00 left"`."""
        rate = (self.n - self._initial) / max(seconds, 1e-9)
        if self.unit == "B":
            done, total = f"{self.n / 1e6:.0f}", f"{(self.total or 0) / 1e6:.0f} MB"
            speed = f"{rate / 1e6:.1f} MB/s"
        else:
            done, total = f"{self.n:g}", f"{self.total or 0:g} {self.unit}s"
            speed = f"{rate:.1f} {self.unit}s/s" if rate >= 1 else f"{1 / max(rate, 1e-9):.1f} s per {self.unit}"
        if not self.total:
            return f"{self.desc}: {done} {total.partition(' ')[2]}, {speed}{self._postfix}"
        line = f"{self.desc}: {done} of {total}, {100 * self.n / self.total:.0f} %"
        if rate > 0:
            line += f", {speed}, {tqdm.format_interval((self.total - self.n) / rate)} left"
        return line + self._postfix


Bar = tqdm | ProgressLines


def progress_bar(
    items: Iterable | None = None,
    desc: str = "",
    total: float | None = None,
    unit: str = "clip",
    initial: float = 0,
    show: bool = True,
) -> Bar:
    """
    Progress on stderr, for a `for` loop or with `update`, as of `tqdm`.

    Args:
        items (iterable, *optional*): what is gone through.
        desc (`str`, *optional*): what is done.
        total (`float`, *optional*): steps in all.
        unit (`str`, *optional*, defaults to `"clip"`): of a step; `"B"` for bytes.
        initial (`float`, *optional*, defaults to 0): steps done before.
        show (`bool`, *optional*, defaults to `True`): show anything at all.

    Returns:
        `tqdm` or [`ProgressLines`].
    """
    if show and not sys.stderr.isatty() and not _in_notebook():
        return ProgressLines(items, desc, total, unit, initial)
    scaled = unit == "B"
    return tqdm(items, desc, total, unit=unit, unit_scale=scaled, initial=initial, disable=not show)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


__all__ = ["Bar", "ProgressLines", "progress_bar"]
