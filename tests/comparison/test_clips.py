"""Which clips are shown."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lip2wav_hf.comparison.clips import corpus_shown, spread, videos_shown
from lip2wav_hf.comparison.systems import ComparisonError
from lip2wav_hf.corpora.clips import CorpusError
from lip2wav_hf.evaluation.clips import Clip
from lip2wav_hf.evaluation.options import ClipSelection


def clips(**counts):
    return [
        Clip(speaker, str(number), Path("x.mp4"), Path("x.wav"))
        for speaker, own in counts.items()
        for number in range(own)
    ]


def keys(chosen):
    return [f"{clip.speaker}/{clip.name}" for clip in chosen]


def test_clips_are_spread_over_speakers_and_their_lists():
    assert keys(spread(clips(a=6, b=2, c=9), 6)) == ["a/0", "a/3", "b/0", "b/1", "c/0", "c/4"]
    assert keys(spread(clips(a=1, b=8), 5)) == ["a/0", "b/0", "b/2", "b/4", "b/6"]
    assert keys(spread(clips(a=3), 9)) == keys(spread(clips(a=3), None)) == ["a/0", "a/1", "a/2"]
    assert len(spread(clips(a=5, b=5), 1)) == 1


def test_splits_of_unseen_speakers_are_a_part_of_their_own(seen_and_unseen, tmp_path):
    selection = ClipSelection(seen_and_unseen)
    shown = corpus_shown(selection, {"validation": None, "unseen_validation": 2}, "grid-s1", tmp_path)
    seen, unseen = shown.parts
    assert keys(seen.clips) == ["s1/bbaf2n", "s1/lrwe4p"] and not seen.unseen
    assert keys(unseen.clips) == ["s3/bbaf2n", "s26/bbaf2n"] and unseen.unseen
    assert "which has 4: spread evenly" in unseen.note and "which has" not in seen.note
    assert seen.clips[0].sentence == "bin blue at f two now"
    assert shown.words.judge is not None and shown.words.judge.kind == "grid"
    [part] = corpus_shown(ClipSelection(seen_and_unseen, speakers=("s3",)), {"all": 1}, "grid-s1", tmp_path).parts
    assert part.note.startswith(f"1 clip of {seen_and_unseen.name}, of s3 only, who has 2: spread")


def test_all_is_every_clip_once(seen_and_unseen, tmp_path):
    [part] = corpus_shown(ClipSelection(seen_and_unseen), {"all": None}, "grid-s1", tmp_path).parts
    assert set(keys(part.clips)) >= {"s1/bbaf2n", "s3/bbaf2n"} and len(part.clips) == len(set(keys(part.clips)))
    assert part.title == "All clips" and "split" not in part.note


def test_clips_of_all_splits_say_which_are_for_training(seen_and_unseen, tmp_path):
    """Not where a split is named, which says it, nor where the split is one that this package has made."""
    splits = {"train": {"s1": ["bbaf2n", "lrwe4p"]}, "test": {"s3": ["bbaf2n"]}}
    (tmp_path / "splits.json").write_text(json.dumps(splits), encoding="utf-8")
    selection = ClipSelection(seen_and_unseen, splits_file=tmp_path / "splits.json")
    [part] = corpus_shown(selection, {"all": None}, "grid-s1", tmp_path).parts
    assert part.learnt == {("s1", "bbaf2n"), ("s1", "lrwe4p")}
    remark = "2 of the 3 clips are of the split 'train': a model that has learnt from them does better there"
    assert part.remark == remark and part.note.endswith(f". {remark}.")
    [part] = corpus_shown(selection, {"all": 2}, "grid-s1", tmp_path).parts
    assert part.learnt == {("s1", "bbaf2n")} and part.remark.startswith("1 of the 2 clips")
    for other in (ClipSelection(seen_and_unseen), replace(selection, speakers=("s3",))):
        [part] = corpus_shown(other, {"all": None}, "grid-s1", tmp_path).parts
        assert not part.learnt and not part.remark
    [part] = corpus_shown(selection, {"train": None}, "grid-s1", tmp_path).parts
    assert not part.learnt and part.title == "Split train"


def test_a_split_that_is_not_there(seen_and_unseen, tmp_path):
    with pytest.raises(CorpusError, match="nosuch"):
        corpus_shown(ClipSelection(seen_and_unseen), {"nosuch": None}, "grid-s1", tmp_path)


def test_videos_of_one_name_are_told_apart(tmp_path):
    paths = [tmp_path / folder / "a.mp4" for folder in ("x", "y")]
    for path in paths:
        path.parent.mkdir()
        path.touch()
    assert [clip.name for clip in videos_shown([str(path) for path in paths], tmp_path).clips] == ["a", "a (2)"]
    with pytest.raises(ComparisonError, match="more than once"):
        videos_shown([str(paths[0]), f"{tmp_path}/y/../x/a.mp4"], tmp_path)
    with pytest.raises(ComparisonError, match="no such video file"):
        videos_shown([str(tmp_path / "b.mp4")], tmp_path)
