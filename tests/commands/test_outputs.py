from pathlib import Path

import pytest

from lip2wav_hf.commands.messages import CommandError
from lip2wav_hf.commands.outputs import find_videos, plan_jobs, subtitles


@pytest.mark.parametrize(
    "videos, names",
    [
        (["a.mpg", "b.mp4"], ["a", "b"]),
        (["s1/a.mpg", "s2/a.mpg", "s2/b.mpg"], ["s1-a", "s2-a", "b"]),
        (["s1/a.mpg", "s1/a.mp4"], ["s1-a-mpg", "s1-a-mp4"]),
        (["1/s/a.mpg", "2/s/a.mpg", "2/a.mpg"], ["1-s-a-mpg", "2-s-a-mpg", "2-a"]),
        (["https://example.org/clips/my%20clip.mp4?size=large", "file:///s/b.mp4"], ["my clip", "b"]),
    ],
)
def test_names_in_a_folder_are_distinct(tmp_path, videos, names):
    jobs = plan_jobs(videos, [tmp_path])
    assert [job.outputs for job in jobs] == [[tmp_path / f"{name}.wav"] for name in names]


def test_names_that_cannot_be_told_apart(tmp_path):
    with pytest.raises(CommandError, match="same output name"):
        plan_jobs(["https://example.org/a.mpg", "https://example.com/a.mpg"], [tmp_path])


def test_a_folder_without_videos(tmp_path):
    (tmp_path / "notes.txt").write_text("no video")
    with pytest.raises(CommandError, match="no video in this folder"):
        find_videos([str(tmp_path)])


def test_a_folder_of_folders_stands_for_the_videos_in_them(tmp_path):
    """As a corpus is, with a folder for each speaker; hidden ones hold takes that nobody has kept."""
    for name in ("ann/b.mp4", "ann/a.mp4", "bob/deep/c.mkv", ".studio/d.mp4", "ann/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_videos([str(tmp_path)])
    assert found == [str(tmp_path / name) for name in ("ann/a.mp4", "ann/b.mp4", "bob/deep/c.mkv")]
    assert [job.outputs[0].name for job in plan_jobs(found, [tmp_path / "out"])] == ["a.wav", "b.wav", "c.wav"]
    (tmp_path / "e.mp4").touch()
    assert find_videos([str(tmp_path)]) == [str(tmp_path / "e.mp4")]


def test_folders_that_are_not_looked_into_are_told_of(tmp_path, capfd):
    """Those that are named too, and those without videos, are not."""
    for name in ("a.mp4", "x/b.mkv", "x/y/c.mp4", "z/d.mp4", "z/e.mp4", "text/f.txt", ".hidden/g.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    top = str(tmp_path)
    assert find_videos([top]) == [f"{top}/a.mp4"]
    assert capfd.readouterr().err == (
        f"warning: {top}: without 4 videos in 3 sub-folders; to take them too, name the folders, such as {top}/x.\n"
    )
    assert len(find_videos([top, f"{top}/x", f"{top}/z"])) == 4
    err = capfd.readouterr().err
    assert f"warning: {top}: without 1 video in 1 sub-folder;" in err and f"such as {top}/x/y." in err
    assert f"warning: {top}/x: without 1 video in 1 sub-folder;" in err and err.count("\n") == 2
    assert len(find_videos([f"{top}/x/y", f"{top}/z"])) == 3 and capfd.readouterr().err == ""


def test_by_default_names_lie_in_the_current_folder():
    assert [str(job.outputs[0]) for job in plan_jobs(["s1/a.mpg", "s2/a.mpg"])] == ["s1-a.wav", "s2-a.wav"]


def word(text, start, end):
    return {"word": text, "start": start, "end": end, "confidence": 1.0}


def test_subtitles_end_at_pauses_and_before_they_grow_long():
    words = [word("bin", 0.5, 0.75), word("blue", 0.75, 1.0), word("now", 3661.9996, 3662.25)]
    assert subtitles(words) == (
        "1\n00:00:00,500 --> 00:00:01,000\nbin blue\n\n2\n01:01:02,000 --> 01:01:02,250\nnow\n"
    )
    assert subtitles(words, ".vtt").startswith("WEBVTT\n\n1\n00:00:00.500 --> 00:00:01.000\nbin blue\n")
    long = [word("seven", 0.3 * i, 0.3 * i + 0.3) for i in range(20)]
    lines = [line for line in subtitles(long).splitlines() if "seven" in line]
    assert len(lines) == 3 and max(map(len, lines)) <= 42
    assert " ".join(lines).count("seven") == 20
    assert subtitles([]) == ""


def test_each_sentence_is_a_subtitle():
    """Six short words each, with half a second between them: neither one cue for all, nor a break after 42 letters."""
    sentences = ("bin blue at f two now", "set red by a one again", "lay green in z nine soon")
    words = [
        word(text, start, start + 0.25)
        for number, sentence in enumerate(sentences)
        for text, start in zip(sentence.split(), [2 * number + 0.25 * step for step in range(6)], strict=True)
    ]
    cues = subtitles(words).split("\n\n")
    assert [cue.strip().splitlines()[-1] for cue in cues] == list(sentences)
    assert "00:00:02,000 --> 00:00:03,500" in cues[1]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has such a place")
@pytest.mark.parametrize(
    "words",
    [
        ("speak", "x.mp4", "-o"),
        ("evaluate", "--data", "x", "-o"),
        ("gallery", "x.mp4", "-o"),
        ("prepare", "x", "--cache"),
        ("download", "grid"),
    ],
    ids=lambda words: words[0],
)
def test_a_place_that_only_looks_as_if_it_took_files_is_refused_at_once(run, words):
    """As /proc does to root: before anything is read."""
    status, _, told = run(*words, "/proc/x")
    assert status == 2 and told.splitlines()[-1].endswith("into /proc. Choose another place."), told
    assert told.startswith("error: ") and "/proc/x: " in told and told.count("\n") == 1
