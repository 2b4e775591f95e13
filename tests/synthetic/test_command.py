"""`python -m lip2wav_hf.synthetic`."""

import subprocess
import sys

import pytest

from lip2wav_hf.errors import MissingExtraError
from lip2wav_hf.synthetic import corpus
from lip2wav_hf.synthetic.__main__ import main
from lip2wav_hf.synthetic.speakers import SyntheticError
from lip2wav_hf.synthetic.voice import synthesize_speech


@pytest.mark.parametrize("arguments", [["corpus", "FOLDER"], ["clip", "bbaf2n", "-o", "FOLDER/clip.mp4"]])
def test_missing_voice_says_what_to_install_before_any_work(monkeypatch, tmp_path, capsys, arguments):
    """The extra that has nothing else in it; and no bar that stands at 0."""
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[synthetic\]'"):
        synthesize_speech(["bin"], "synthetic1")
    assert main([argument.replace("FOLDER", str(tmp_path / "new")) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: The synthetic voice needs the package espeakng_loader: pip install '.[synthetic]'")
    assert error.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_command_line(tmp_path, capsys):
    assert main(["clip", "bbaf2n", "-o", str(tmp_path / "clip.mkv"), "--silent"]) == 0
    assert (tmp_path / "clip.mkv").is_file()
    assert capsys.readouterr().out == f"written: {tmp_path / 'clip.mkv'}\n"
    assert main(["clip", "nonsense", "-o", str(tmp_path / "other.mkv")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert issubclass(SyntheticError, ValueError)


def test_a_corpus_says_what_is_in_it(tmp_path, capsys):
    assert main(["corpus", str(tmp_path), "--speakers", "synthetic1", "--sentences", "2"]) == 0
    assert capsys.readouterr().out == f"written: {tmp_path}, train 1, validation 1 clips\n"


def test_ctrl_c_is_no_crash(tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(corpus, "write_clip", interrupted)
    assert main(["clip", "bbaf2n", "-o", str(tmp_path / "clip.mkv")]) == 130
    assert capsys.readouterr().err == "error: interrupted. The same command begins again.\n"


def test_module_runs():
    done = subprocess.run([sys.executable, "-m", "lip2wav_hf.synthetic", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "clip" in done.stdout and "corpus" in done.stdout
