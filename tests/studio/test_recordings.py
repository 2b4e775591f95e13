import csv
import errno
import json
import os
import shutil

import pytest

from lip2wav_hf import load_clips
from lip2wav_hf.machine import take_lock
from lip2wav_hf.studio.recordings import Recordings, StudioError, Take, storage_error


@pytest.fixture
def recordings(tmp_path):
    folder = Recordings(tmp_path / "recordings")
    yield folder
    folder.close()


def agree(recordings):
    recordings.give_consent("Ada  Lovelace", "To speak again", True)


def record(recordings, video, phrase="bin blue at f two now", silent=False):
    """A take that is kept."""
    pending = recordings.new_pending(".mp4")
    shutil.copyfile(video, pending)
    return recordings.keep(pending, phrase, silent)


def test_consent_comes_first_and_is_stored(recordings, talking_video):
    with pytest.raises(StudioError, match="before consent"):
        recordings.new_pending(".mp4")
    agree(recordings)
    stored = json.loads((recordings.path / "consent.json").read_text(encoding="utf-8"))
    assert (stored["name"], stored["purpose"]) == ("Ada Lovelace", "To speak again")
    assert stored["at"].endswith("+00:00") and "I agree" in stored["statement"]
    record(recordings, talking_video)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "x", True), "Say who is recorded"),
        (("A" * 81, "x", True), "up to 80 characters"),
        (("Ada", " ", True), "what the recordings are for"),
        (("Ada", "x", False), "Without consent nothing is recorded"),
        (("Ada", "x", "yes"), "Without consent nothing is recorded"),
    ],
)
def test_no_consent(recordings, arguments, message):
    with pytest.raises(StudioError, match=message):
        recordings.give_consent(*arguments)
    assert recordings.consent is None


def test_a_folder_is_of_one_person(recordings, talking_video):
    agree(recordings)
    recordings.give_consent("Ada", "another spelling is no harm yet", True)
    record(recordings, talking_video)
    with pytest.raises(StudioError, match="These recordings are of Ada"):
        recordings.give_consent("Grace", "x", True)


def test_takes_are_a_corpus(recordings, talking_video):
    agree(recordings)
    record(recordings, talking_video)
    record(recordings, talking_video, "Guten Tag, „Welt“")
    record(recordings, talking_video, silent=True)
    with (recordings.path / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file_name"] for row in rows] == ["take-0001.mp4", "take-0002.mp4", "take-0003.mp4"]
    assert [row["sound"] for row in rows] == ["yes", "yes", "no"]
    clips = [clip for own in load_clips(recordings.path).values() for clip in own]
    assert {clip.speaker for clip in clips} == {"Ada Lovelace"}
    assert {clip.text for clip in clips} == {"bin blue at f two now", "Guten Tag, „Welt“"}
    assert recordings.counts()["bin blue at f two now"] == 2
    assert not list(recordings.pending_folder.iterdir())


def test_another_studio_finds_all_of_it(recordings, talking_video):
    agree(recordings)
    recordings.choose("own", ["yes", "no"], 3, True)
    take = record(recordings, talking_video, "yes")
    recordings.close()
    again = Recordings(recordings.path)
    assert again.consent == recordings.consent
    assert (again.settings.phrases, again.settings.takes, again.settings.silent) == (("yes", "no"), 3, True)
    assert again.takes == [take] and isinstance(take, Take)
    again.close()


def test_a_number_is_never_used_again(recordings, talking_video):
    agree(recordings)
    names = [record(recordings, talking_video).file_name for _ in range(3)]
    recordings.delete_take(names[0])
    assert not (recordings.path / names[0]).exists()
    assert record(recordings, talking_video).file_name == "take-0004.mp4"
    assert [take.file_name for take in recordings.takes] == [*names[1:], "take-0004.mp4"]
    for take in recordings.takes:
        recordings.delete_take(take.file_name)
    assert not (recordings.path / "metadata.csv").exists()


@pytest.mark.parametrize("name", ["../consent.json", "consent.json", "take-0009.mp4", "take-0001.mp4/..", ""])
def test_only_takes_are_files_of_the_studio(recordings, talking_video, name):
    agree(recordings)
    record(recordings, talking_video)
    with pytest.raises(StudioError, match="There is no take"):
        recordings.file_of(name)
    with pytest.raises(StudioError, match="There is no take"):
        recordings.delete_take(name)


def test_deleting_everything_leaves_what_is_not_ours(recordings, talking_video):
    agree(recordings)
    recordings.choose("digits", ["one"], 1, False)
    record(recordings, talking_video, "one")
    own = recordings.path / "holiday.mp4"
    shutil.copyfile(talking_video, own)
    (recordings.voice / ".adaptation").mkdir(parents=True)
    (recordings.voice / "config.json").write_text("{}", encoding="utf-8")
    recordings.new_pending(".mp4").write_bytes(b"video")
    recordings.delete_everything(voice=False)
    left = {path.name for path in recordings.path.iterdir()}
    assert left == {"holiday.mp4", "voice", "studio.json", ".studio"}
    assert [path.name for path in recordings.voice.iterdir()] == ["config.json"]
    assert not list(recordings.pending_folder.iterdir())
    recordings.delete_everything()
    assert {path.name for path in recordings.path.iterdir()} == {"holiday.mp4", ".studio"}
    assert recordings.consent is None and not recordings.takes and not recordings.settings.phrases


def test_nothing_of_the_studio_stays_where_all_was_deleted(recordings, talking_video):
    agree(recordings)
    recordings.choose("digits", ["one"], 1, False)
    recordings.new_pending(".mp4").write_bytes(b"video")
    recordings.delete_everything()
    assert [path.name for path in recordings.hidden.iterdir()] == ["lock"]  # the studio goes on
    recordings.delete_everything()
    agree(recordings)
    record(recordings, talking_video)
    recordings.close()
    assert (recordings.hidden / "lock").exists() and len(list(recordings.path.iterdir())) == 4
    again = Recordings(recordings.path)
    again.delete_everything()
    again.close()
    assert not list(recordings.path.iterdir())


def test_a_lock_that_has_gone_keeps_nobody_out_and_nobody_in(recordings, monkeypatch):
    """Another studio ends, and takes its lock with it, between the opening of the file and the lock on it."""
    taken = []

    def take(path):
        handle = take_lock(path)
        taken.append(handle)
        if len(taken) == 1:
            path.unlink()
        return handle

    monkeypatch.setattr("lip2wav_hf.studio.recordings.take_lock", take)
    recordings.close()
    other = Recordings(recordings.path)
    with pytest.raises(StudioError, match="another studio is open on this folder"):
        Recordings(recordings.path)
    assert len(taken) == 2
    other.close()


def test_one_studio_at_a_time(recordings):
    with pytest.raises(StudioError, match="another studio is open on this folder"):
        Recordings(recordings.path)


def test_a_corpus_of_somebody_else_is_refused_and_untouched(tmp_path):
    (tmp_path / "metadata.csv").write_text("file_name,transcription\n", encoding="utf-8")
    with pytest.raises(StudioError, match="recordings that the studio did not make"):
        Recordings(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["metadata.csv"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("consent.json", "[1]", "it does not hold what the studio wrote"),
        ("consent.json", "{", "cannot be read as JSON"),
        ("studio.json", '{"takes": 2, "phrases": 7}', "does not hold what the studio wrote"),
        ("metadata.csv", "file_name,text\na.mp4,yes\n", "its columns are not file_name"),
    ],
)
def test_damaged_files_are_named(recordings, name, content, message):
    agree(recordings)
    (recordings.path / name).write_text(content, encoding="utf-8")
    with pytest.raises(StudioError, match=message) as caught:
        assert recordings.consent and recordings.settings and recordings.takes
    assert name in str(caught.value)


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "file"
    path.write_text("", encoding="utf-8")
    with pytest.raises(StudioError, match="cannot be used for recordings"):
        Recordings(path)


def test_a_full_disk_loses_no_take(recordings, talking_video, monkeypatch):
    """The file is where it was, and the list is the old one, so that the same button works once there is space."""
    agree(recordings)
    record(recordings, talking_video)
    before = (recordings.path / "metadata.csv").read_bytes()
    pending = recordings.new_pending(".mp4")
    shutil.copyfile(talking_video, pending)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("lip2wav_hf.studio.recordings.write_text", full)
        with pytest.raises(StudioError, match="The take was not stored: the disk is full. Free some space"):
            recordings.keep(pending, "yes", False)
    assert pending.is_file() and (recordings.path / "metadata.csv").read_bytes() == before
    assert recordings.keep(pending, "yes", False).file_name == "take-0002.mp4"


def test_what_failures_of_the_disk_mean(tmp_path):
    assert "may not be written" in str(storage_error("x", tmp_path, PermissionError(errno.EACCES, "denied")))
    assert "Input/output error" in str(storage_error("x", tmp_path, OSError(errno.EIO, "Input/output error")))
