"""Metadata from spreadsheets and other systems."""

import unicodedata

import pytest

from lip2wav_hf.corpora.columns import VideoFolderError
from lip2wav_hf.corpora.metadata import ListedFiles, read_rows
from lip2wav_hf.corpora.video_folder import VideoFolder


TABLE = "file_name,transcription\na.mp4,schöner Tag\n"


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode(),
        TABLE.encode("utf-8-sig"),
        TABLE.replace("\n", "\r\n").encode("utf-16"),
        TABLE.replace(",", ";").encode(),
        TABLE.replace(",", "\t").encode("utf-16"),
        TABLE.replace("\n", ",,\n").encode(),
        (TABLE + ",\n,\n").encode(),
        b'{"file_name": "a.mp4", "transcription": "sch\xc3\xb6ner Tag"}\n\n',
    ],
)
def test_what_spreadsheets_write_is_read(tmp_path, content):
    file = tmp_path / ("metadata.jsonl" if content.startswith(b"{") else "metadata.csv")
    file.write_bytes(content)
    [(_, row)] = read_rows(file)
    assert (row["file_name"], row["transcription"]) == ("a.mp4", "schöner Tag")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file_name,transcription\na.mp4,yes, sir\n", r"line 2: it has more cells.*' sir'.*double quotes"),
        (TABLE.encode("latin-1"), "line 2: it is no UTF-8. Save it as such"),
        (b"name;text\na.mp4;yes\n", "file_name among them.*Rename name to file_name"),
        (b"Video ,text\na.mp4,yes\n", "Rename Video  to file_name"),
        (b"take;text\na.mp4;yes\n", "it is take, text.$"),
        (b'file_name,text\na.mp4,yes\nb.mp4,"no\nc.mp4,yes\n', r"line 3: a double quote .* not closed"),
        (b"", "it is empty"),
        (b"file_name\n" + b"a" * 200_000 + b"\n", "it is no table"),
        (b"[" * 100_000, "line 1: it is not JSON"),
    ],
)
def test_what_would_be_lost_is_refused(tmp_path, content, message):
    file = tmp_path / ("metadata.jsonl" if content.startswith(b"[") else "metadata.csv")
    file.write_bytes(content)
    with pytest.raises(VideoFolderError, match=message):
        list(read_rows(file))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("name", ["Schön.mp4", "schön.MP4", "in/Größe 1.mov", "in\\Größe 1.mov", "1: a.mp4"])
def test_files_are_found_as_another_system_spells_them(tmp_path, form, name):
    (tmp_path / "in").mkdir()
    files = [tmp_path / unicodedata.normalize("NFD", each) for each in ("Schön.mp4", "in/Größe 1.mov", "1: a.mp4")]
    for file in files:
        file.touch()
    assert ListedFiles(tmp_path).find(unicodedata.normalize(form, name)) in files


def test_names_that_could_be_several_files_or_lead_out_are_none(tmp_path):
    for name in ("a.mp4", "A.mp4"):
        (tmp_path / name).touch()
    (tmp_path.parent / "secret.mp4").touch()
    files = ListedFiles(tmp_path)
    assert files.find("a.mp4") == tmp_path / "a.mp4"
    assert files.find("a.MP4") is None
    assert files.find("absent/a.mp4") is None
    for name in ("../secret.mp4", "..\\secret.mp4", str(tmp_path.parent / "secret.mp4"), "C:\\secret.mp4"):
        with pytest.raises(ValueError, match="is not inside"):
            files.find(name)


@pytest.mark.parametrize("suffix", [".MOV", ".m4v", ".3gp", ".MP4"])
def test_videos_of_phones_with_a_transcript_beside_them_are_clips(tmp_path, suffix):
    (tmp_path / f"VID 1{suffix}").touch()
    (tmp_path / "VID 1.txt").write_text("Good morning", encoding="utf-8")
    assert [clip.words for clip in VideoFolder(tmp_path).clips] == [("good", "morning")]


def test_a_folder_of_a_phone_and_a_spreadsheet_is_a_corpus(tmp_path):
    (tmp_path / "IMG_1.MOV").touch()
    (tmp_path / "metadata.csv").write_bytes("file_name;transcription\r\nimg_1.mov;Good morning\r\n".encode("utf-16"))
    [clip] = VideoFolder(tmp_path).clips
    assert (clip.video, clip.words) == (tmp_path / "IMG_1.MOV", ("good", "morning"))


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("metadata.csv", "file_name,text,text,,\na.mp4,x,y,,\n", r"metadata\.csv: two columns are called text\. Re"),
        ("metadata.csv", "file_name,text, Text\na.mp4,x,y\n", r"two columns are called 'text' and ' Text'\. Rename"),
        (
            "metadata.jsonl",
            '{"file_name": "a.mp4", "text": "x", "text": "y"}',
            r"line 1: two columns are called text\.",
        ),
        ("metadata.jsonl", '{"file_name": "a.mp4", "text": {}, "TEXT": {"text": 1}}', r"called 'text' and 'TEXT'\."),
    ],
)
def test_two_columns_of_one_name_are_refused(tmp_path, name, table, message):
    (tmp_path / name).write_text(table)
    with pytest.raises(VideoFolderError, match=message):
        list(read_rows(tmp_path / name))


def test_columns_without_a_name_are_none(tmp_path):
    (tmp_path / "metadata.csv").write_text("file_name,text,,\na.mp4,x,,\n")
    assert len(list(read_rows(tmp_path / "metadata.csv"))) == 1
