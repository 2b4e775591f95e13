"""Results on GRID published by others, on other splits and with other recognisers: for orientation only.

Only what was read in a primary source, or in a later paper's account of one, stands here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


NOTE = (
    "As published, other split: other clips, other recognisers and, for some, other variants of the metrics than "
    "above. For orientation; a difference from the numbers above means little."
)
PRIMARY = "primary source"
SECONDARY = "as a later source reports it"


@dataclass(frozen=True)
class PublishedRow:
    """One published result.

    Attributes:
        system (`str`): whose.
        setting (`str`): on which speakers of GRID.
        pesq, stoi, estoi, mcd, wer, sync, corr2d (`str`): as published; "" where not given. WER in %, MCD without
            factor; sync: confidence and offset.
        source (`str`): where it was read: `PRIMARY` or `SECONDARY`.
    """

    system: str
    setting: str
    pesq: str = ""
    stoi: str = ""
    estoi: str = ""
    mcd: str = ""
    wer: str = ""
    sync: str = ""
    corr2d: str = ""
    source: str = PRIMARY

    def cells(self) -> tuple[str, ...]:
        """What a table shows, in the order of `HEADINGS`."""
        *values, source = dataclasses.astuple(self)
        return tuple(value or "–" for value in values) + (source,)


HEADINGS = (
    "system",
    "setting",
    "PESQ",
    "STOI",
    "ESTOI",
    "MCD",
    "WER, %",
    "lip-sync confidence / offset",
    "Corr2D",
    "read in",
)

_PAPER = "Vougioukas, Ma, Petridis, Pantic 2019 (arXiv 1906.06301)"
PUBLISHED = (
    PublishedRow(_PAPER, "seen s1 s2 s4 s29", "1.71", ".518", "", "22.29", "26.6", "4.4 / 1 frame"),
    PublishedRow(f"{_PAPER}, its wavs scored again by others", "seen", "1.72", ".525", wer="27.1"),
    PublishedRow(_PAPER, "unseen", "1.24", ".445", "", "24.29", "40.5"),
    PublishedRow(f"{_PAPER}, scored again by others", "unseen, 9 speakers x 50 clips", "1.24", ".449", wer="40.1"),
    PublishedRow("Lip2AudSpec (arXiv 1710.09798)", "4 seen speakers", "1.88", corr2d=".88", source=SECONDARY),
    PublishedRow("Vid2Speech, in the paper of Lip2AudSpec", "4 seen speakers", "1.76", corr2d=".61", source=SECONDARY),
    PublishedRow("SVTS 2022", "33 seen speakers", "1.97", ".705", ".523", wer="2.36", source=SECONDARY),
    PublishedRow("SVTS 2022", "unseen", "1.40", ".588", ".318", wer="17.9", source=SECONDARY),
    PublishedRow("Kefalas 2023", "4 seen speakers", "1.95", ".698", ".532", wer="3.7", source=SECONDARY),
    PublishedRow("Kefalas 2023", "33 seen speakers", "2.10", ".723", ".553", wer="2.7", source=SECONDARY),
    PublishedRow("Recognisers of these papers on the original audio", "", wer="0.1 – 1.7"),
    PublishedRow("Best lip reading, text only", "overlapped speakers", wer="1.2"),
    PublishedRow("Best lip reading, text only", "unseen", wer="4.8"),
)


__all__ = ["HEADINGS", "NOTE", "PUBLISHED", "PublishedRow"]
