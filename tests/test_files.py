"""Files of all rooms."""

import os

import pytest

from lip2wav_hf.errors import Lip2WavError
from lip2wav_hf.files import read_fields, read_json, replace_folder
from warm_processes import FSYNC


def test_a_file_that_is_missing_is_not_one_that_cannot_be_read(tmp_path):
    with pytest.raises(Lip2WavError, match=r"results\.json: there is no such file\.$"):
        read_json(tmp_path / "results.json")
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(Lip2WavError, match=r"results\.json: it cannot be read as JSON \(Expecting property name"):
        read_json(tmp_path / "results.json")
    (tmp_path / "results.json").write_text("[" * 100_000)
    with pytest.raises(Lip2WavError, match=r"it cannot be read as JSON \(it is nested too deeply\)"):
        read_json(tmp_path / "results.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_of_any_editor_is_read(tmp_path, encoding):
    (tmp_path / "splits.json").write_bytes('{"train": {"ännchen": ["a"]}}'.encode(encoding))
    assert read_json(tmp_path / "splits.json") == {"train": {"ännchen": ["a"]}}


@pytest.mark.parametrize("content", ["[]", "null", "3", '"text"'])
def test_a_file_that_should_hold_fields_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(Lip2WavError, match=r"config\.json: it holds no fields"):
        read_fields(tmp_path / "config.json")


def test_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """And then its name is."""
    flushed = []

    def flush(file):
        FSYNC(file)
        flushed.append((os.fstat(file).st_ino, (tmp_path / "voice").exists()))

    part = tmp_path / "part"
    (part / "inner").mkdir(parents=True)
    for name in ("weights", "inner/words"):
        (part / name).write_text("new")
    inside = {path.stat().st_ino for path in (part, *part.rglob("*"))}
    monkeypatch.setattr(os, "fsync", flush)
    replace_folder(part, tmp_path / "voice")
    assert {number for number, named in flushed if not named} == inside and len(inside) == 4
    assert [number for number, named in flushed if named] == [tmp_path.stat().st_ino]
    assert (tmp_path / "voice" / "inner" / "words").read_text() == "new"
