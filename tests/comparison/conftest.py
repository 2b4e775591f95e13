"""What the tests of comparisons share: a corpus of two splits."""

import json
import shutil

import pytest

from little_grid import write_alignment


@pytest.fixture(scope="session")
def seen_and_unseen(tmp_path_factory, talking_video):
    """A GRID-shaped folder in which three people say the same sentence, two of them never seen in training."""
    root = tmp_path_factory.mktemp("people")
    for speaker in ("s1", "s3", "s26"):
        for name in ("bbaf2n", "lrwe4p"):
            (root / "video" / speaker).mkdir(parents=True, exist_ok=True)
            shutil.copy(talking_video, root / "video" / speaker / f"{name}.mp4")
            write_alignment(root / "alignments" / speaker / f"{name}.align", name)
    names = ["bbaf2n", "lrwe4p"]
    splits = {"validation": {"s1": names}, "unseen_validation": {"s3": names, "s26": names}}
    (root / "splits.json").write_text(json.dumps(splits))
    return root
