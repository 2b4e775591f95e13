"""What an adaptation is given, and what of it is refused before anything is learnt."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lip2wav_hf import adapt, write_audio
from lip2wav_hf.adaptation.records import AdaptationError
from lip2wav_hf.corpora.clips import CorpusError


RATE = 16000


def test_what_is_missing_is_said_before_anything_heavy_is_imported(tmp_path):
    code = (
        "import sys; from lip2wav_hf import adapt\n"
        f"try: adapt('absent', {str(tmp_path / 'out')!r})\n"
        "except ValueError as error: print(error); print(sorted({'torch', 'transformers', 'av'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.splitlines() == ["absent: no such folder. Give the folder that holds the recordings.", "[]"]
    (tmp_path / "metadata.csv").write_text("filename,transcription\n")
    code = code.replace("'absent'", repr(str(tmp_path)))
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "Rename filename to file_name.\n" in found and "torch" not in found


def test_too_little_of_a_voice_is_said_before_pytorch_is_loaded(one_recording, starting_model, tmp_path):
    write_audio(tmp_path / "voice.wav", np.full(RATE, 0.1, np.float32), RATE)
    code = (
        "import sys; from lip2wav_hf import adapt\n"
        f"places = {[str(one_recording), str(tmp_path / 'out')]!r}\n"
        f"try: adapt(*places, model={str(starting_model)!r}, voice={str(tmp_path / 'voice.wav')!r})\n"
        "except ValueError as error: print(error); print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    [message, heavy] = done.stdout.splitlines()
    assert "1.0 s of audible sound in 1 file; 3 s are needed" in message and heavy == "[]"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has such a place")
def test_a_place_that_only_looks_as_if_it_took_files_is_refused(one_recording, starting_model):
    with pytest.raises(AdaptationError, match=r"^/proc/x: .* into /proc\. Choose another place\.$"):
        adapt(one_recording, "/proc/x", model=starting_model)


def test_a_model_that_reads_no_words_is_no_beginning(recordings, starting_model, tmp_path):
    start = shutil.copytree(starting_model, tmp_path / "wordless")
    config = json.loads((start / "config.json").read_text()) | {"text_recognition": False}
    (start / "config.json").write_text(json.dumps(config))
    with pytest.raises(AdaptationError, match="wordless: it reads no words.*such as grid-s1"):
        adapt(recordings, tmp_path / "out", model=start)


def test_a_model_that_does_not_speak_live_cannot_keep_it(recordings, starting_model, tmp_path):
    with pytest.raises(AdaptationError, match="not trained to speak live.*Leave that out, or begin with"):
        adapt(recordings, tmp_path / "out", model=starting_model, live=True)
    assert not (tmp_path / "out").exists()


def test_folders_that_hold_something_else_are_left_alone(recordings, starting_model, tmp_path):
    (tmp_path / "mine.txt").write_text("important")
    with pytest.raises(AdaptationError, match="holds something else"):
        adapt(recordings, tmp_path, model=starting_model)
    with pytest.raises(AdaptationError, match="the starting model lies there"):
        adapt(recordings, starting_model, model=starting_model)
    assert (tmp_path / "mine.txt").read_text() == "important"


@pytest.mark.parametrize(
    "options",
    [{"minutes": 0}, {"minutes": float("nan")}, {"steps": 0}, {"final_pass": -1.0}, {"final_pass": float("nan")}],
)
def test_numbers_out_of_range_are_refused(recordings, starting_model, tmp_path, options):
    with pytest.raises(AdaptationError, match=r"above 0|0 or more"):
        adapt(recordings, tmp_path / "out", model=starting_model, **options)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"minutes": "10"}, "minutes='10': it must be a number, not a str."),
        ({"minutes": True}, "minutes=True: it must be a number, not a bool."),
        ({"final_pass": None}, "final_pass=None: it must be a number, not a NoneType."),
        ({"steps": 2.5}, "steps=2.5: it must be a whole number, not a float."),
        ({"seed": "a"}, "seed='a': it must be a whole number, not a str."),
        ({"voice": 3}, "voice=3: it must be a sound file or a folder of such, not an int."),
        ({"model": 3}, "model=3: it must be a folder or the name of a model, not an int."),
        ({"language": 3}, 'language=3: it must be a code such as "en", not an int.'),
        ({"phrases": [1]}, "an entry of phrases=1: it must be a sentence, not an int."),
        ({"phrases": 1}, "phrases=1: it must be a list of sentences, the name of a text file or 'none', not an int."),
        ({"output_dir": None}, "output_dir=None: it must be the folder of the new model, not a NoneType."),
        ({"recordings": None}, "recordings=None: it must be a folder, or clips; or give a `voice`, to learn that"),
        ({"recordings": ["a.mp4"]}, "recordings: one of them is 'a.mp4', not a clip. Give a folder, or clips as from"),
    ],
    ids=str,
)
def test_arguments_of_another_type_are_named(recordings, starting_model, tmp_path, changed, message):
    arguments = {"recordings": recordings, "output_dir": tmp_path / "out", "model": starting_model} | changed
    with pytest.raises((AdaptationError, CorpusError), match=f"^{re.escape(message)}"):
        adapt(**arguments)
    assert not (tmp_path / "out").exists()
