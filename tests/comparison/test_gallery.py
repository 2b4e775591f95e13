"""What is built, from clips and systems to a folder."""

import json
import os
import shutil

import pytest

from lip2wav_hf.comparison import speaking
from lip2wav_hf.comparison.clips import Part, Shown, videos_shown
from lip2wav_hf.comparison.gallery import RECORD, build_gallery, check_output, work_folder
from lip2wav_hf.comparison.systems import ComparisonError, System
from lip2wav_hf.errors import MissingExtraError
from lip2wav_hf.evaluation.clips import Clip
from little_videos import write_video


@pytest.fixture
def tiny(tiny_model_dir):
    return System("tiny", str(tiny_model_dir))


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def build(videos, systems, tmp_path, work, **options):
    shown = videos_shown([str(video) for video in videos], work)
    return build_gallery(shown, systems, tmp_path / "site", work, progress=False, **options)


def test_a_video_that_nobody_can_speak_is_left_out_and_named(talking_video, tiny, tmp_path, work):
    faceless = write_video(tmp_path / "wall.mp4")
    built = build([talking_video, faceless], [tiny], tmp_path, work, metrics=[])
    assert built.clips == 1 and 0 < built.largest <= 2_000_000
    assert {failure.clip for failure in built.failures} == {"wall"}
    assert any("no face" in failure.error.lower() for failure in built.failures)
    record = json.loads((tmp_path / "site" / RECORD).read_text())
    (clip,) = record["parts"][0]["clips"]
    assert [sound["label"] for sound in clip["sounds"]] == ["Original", "tiny"]
    assert sorted(path.name for path in (tmp_path / "site" / "clips").iterdir()) == ["bbaf2n"]


def test_a_model_that_cannot_be_loaded_does_not_stop_the_others(talking_video, tiny, tiny_model_dir, tmp_path, work):
    """Found out after the others have spoken, perhaps for hours; and said in one line."""
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_model_dir, damaged)
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    built = build([talking_video], [tiny, System("bad", str(damaged))], tmp_path, work, metrics=[])
    assert built.clips == 1
    (failure,) = built.failures
    assert failure.error.startswith(f"bad: {damaged}: the weights are damaged (") and "\n" not in failure.error
    assert len(failure.error) < 300
    assert "bad could not speak this clip." in (tmp_path / "site" / "index.html").read_text()
    with pytest.raises(ComparisonError, match="no clip can be shown; the first failure: bad: .* are damaged"):
        build([talking_video], [System("bad", str(damaged))], tmp_path / "other", work, metrics=[])


def test_nothing_is_replaced_where_nothing_can_be_shown(tiny, tmp_path, work):
    faceless = write_video(tmp_path / "wall.mp4")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / RECORD).write_text("{}")
    with pytest.raises(ComparisonError, match="no clip can be shown; the first failure: tiny: wall"):
        build([faceless], [tiny], tmp_path, work, metrics=[])
    assert [path.name for path in (tmp_path / "site").iterdir()] == [RECORD]


def test_only_a_gallery_is_replaced(tmp_path):
    folder = tmp_path / "site"
    check_output(folder, overwrite=False)
    folder.mkdir()
    check_output(folder, overwrite=False)
    (folder / "thesis.tex").touch()
    for overwrite in (False, True):
        with pytest.raises(ComparisonError, match="holds other files and no gallery"):
            check_output(folder, overwrite)
    (folder / RECORD).touch()
    with pytest.raises(ComparisonError, match="--overwrite"):
        check_output(folder, overwrite=False)
    check_output(folder, overwrite=True)
    with pytest.raises(ComparisonError, match="this is a file"):
        check_output(folder / "thesis.tex", overwrite=True)


def test_without_the_metrics_it_still_speaks(talking_video, tiny, tmp_path, work, monkeypatch):
    """As where the extra `evaluate` is not installed."""
    import lip2wav_hf.comparison.speaking as speaking

    def missing(names):
        raise MissingExtraError("not installed")

    monkeypatch.setattr(speaking, "check_packages", missing)
    assert build([talking_video], [tiny], tmp_path, work).clips == 1
    page = (tmp_path / "site" / "index.html").read_text()
    assert "PESQ" not in page and "text head" in page


def test_unseen_speakers_alone_are_on_the_first_page(talking_video, tiny, tmp_path, work):
    clip = Clip("s3", "bbaf2n", talking_video, work, "bin blue at f two now")
    build_gallery(
        Shown([Part("Strangers", [clip], unseen=True)]), [tiny], tmp_path / "site", work, metrics=[], progress=False
    )
    names = sorted(path.name for path in (tmp_path / "site").iterdir())
    assert names == ["clips", "gallery.css", "gallery.js", "gallery.json", "index.html"]
    page = (tmp_path / "site" / "index.html").read_text()
    assert "Strangers" in page and "unseen.html" not in page
    assert "http://" not in page and "https://" not in page


def test_what_a_stopped_run_has_finished_is_not_done_again(talking_video, tiny, tmp_path, work, monkeypatch):
    """The first video was spoken when it was stopped; then only the second one is."""
    second = shutil.copy(talking_video, tmp_path / "second.mp4")
    speak, asked = speaking.speak_and_score, []

    def stopped(pipe, clips, *arguments):
        yield next(speak(pipe, clips[:1], *arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(speaking, "speak_and_score", stopped)
    with pytest.raises(KeyboardInterrupt):
        build([talking_video, second], [tiny], tmp_path, work, metrics=[])
    monkeypatch.setattr(
        speaking, "speak_and_score", lambda pipe, clips, *rest: asked.extend(clips) or speak(pipe, clips, *rest)
    )
    assert build([talking_video, second], [tiny], tmp_path, work, metrics=[]).clips == 2
    assert [clip.name for clip in asked] == ["second"]
    # Another version of a file is something else.
    os.utime(second, (1, 1))
    assert build([talking_video, second], [tiny], tmp_path, work, metrics=[]).clips == 2
    assert [clip.name for clip in asked] == ["second", "bbaf2n", "second"]


def test_the_folder_of_work_stays_where_it_was_stopped_and_belongs_to_one_run(tmp_path):
    site = tmp_path / "new" / "site"
    with pytest.raises(KeyboardInterrupt), work_folder(site) as folder:
        (folder / "done").touch()
        with pytest.raises(ComparisonError, match="another process is building a gallery there"), work_folder(site):
            pass
        raise KeyboardInterrupt
    with work_folder(site) as again:
        assert again == folder and (again / "done").exists()
    assert not folder.exists()
    with pytest.raises(ComparisonError, match="no clip"), work_folder(site):
        raise ComparisonError("no clip can be shown")
    assert not folder.exists()
