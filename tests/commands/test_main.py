import json
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import lip2wav_hf
from lip2wav_hf.commands import main as cli
from lip2wav_hf.commands import speak


@pytest.fixture
def run(capfd, tiny_model_dir):
    """Calls the command in this process: exit status, stdout and stderr."""

    def run(*arguments, model=tiny_model_dir):
        arguments = [str(argument) for argument in arguments]
        if arguments[0] == "speak" and model is not None:
            arguments += ["--model", str(model)]
            arguments += [] if "--device" in arguments else ["--device", "cpu"]
        capfd.readouterr()
        with pytest.raises(SystemExit) as exit_:
            cli.main(arguments)
        return exit_.value.code, *capfd.readouterr()

    return run


def lip2wav(*arguments, **environment):
    """Calls the command as a user does."""
    command = [sys.executable, "-m", "lip2wav_hf.commands.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)


def error_line(result):
    """The one line on stderr of a call that failed."""
    status, out, err = result
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1 and err.startswith("error: "), err
    return err


def errors(err):
    return [line for line in err.splitlines() if line.startswith("error: ")]


def is_h264_with_sound(path):
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        return video.codec_context.name == "h264" and audio.codec_context.name == "aac"


# --------------------------------------------------------------------------------------------------------------------
# as a user calls it
# --------------------------------------------------------------------------------------------------------------------


def test_one_pass_makes_sound_video_and_picture(tmp_path, talking_video, tiny_model_dir):
    out = tmp_path / "out"
    result = lip2wav(
        *("speak", talking_video, "-o", out / "speech.wav", "-o", out / "speech.mp4", "--plot", out / "speech.png"),
        *("--model", tiny_model_dir, "--device", "cpu"),
    )
    assert result.returncode == 0, result.stderr
    with wave.open(str(out / "speech.wav")) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getnframes()) == (16000, 1, 48000)
    assert is_h264_with_sound(out / "speech.mp4")
    assert (out / "speech.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in out.iterdir()) == ["speech.mp4", "speech.png", "speech.wav"]
    for word in ("text", "duration  3.00 s", "real-time factor", "speech.wav"):
        assert word in result.stdout
    # Random weights are not sure of their words: one warning, and nothing else on stderr.
    assert result.stderr.count("\n") == 1 and result.stderr.startswith(f"warning: {talking_video}: "), result.stderr


def test_a_bad_file_among_good_ones(tmp_path, talking_video, tiny_model_dir):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video at all")
    out = tmp_path / "out"
    result = lip2wav("speak", bad, talking_video, "-o", out, "--json", "--model", tiny_model_dir, "--device", "cpu")
    assert result.returncode == 2
    failed, done = map(json.loads, result.stdout.splitlines())
    assert failed["file"] == str(bad) and set(failed) == {"file", "error"}
    assert done["file"] == str(talking_video) and done["output"] == str(out / "bbaf2n.wav")
    assert done["outputs"] == [done["output"]]
    assert done["duration"] == 3.0 and done["sampling_rate"] == 16000
    assert done["real_time_factor"] > 0 and done["face_coverage"] > 0.95
    assert done["text"] == " ".join(word["word"] for word in done["words"])
    assert len(done["warnings"]) == 1
    assert len(errors(result.stderr)) == 1 and str(bad) in errors(result.stderr)[0]
    assert "Traceback" not in result.stderr
    assert [path.name for path in out.iterdir()] == ["bbaf2n.wav"]


def test_without_any_request_even_where_the_hub_is_allowed(tmp_path, talking_video, tiny_model_dir):
    guard = tmp_path / "sitecustomize.py"
    guard.write_text(
        "import socket, os\n"
        "def refuse(self, address):\n"
        "    os.write(2, f'CONNECTION to {address}\\n'.encode())\n"
        "    raise OSError('no network')\n"
        "socket.socket.connect = socket.socket.connect_ex = refuse\n"
        "socket.getaddrinfo = lambda host, *rest, **options: refuse(None, host)\n"
    )
    arguments = ("speak", talking_video, "-o", tmp_path / "a.wav", "--model", tiny_model_dir, "--device", "cpu")
    python_path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    result = lip2wav(*arguments, HF_HUB_OFFLINE="0", PYTHONPATH=python_path)
    assert result.returncode == 0, result.stderr
    assert "CONNECTION" not in result.stderr


def test_version():
    result = lip2wav("--version")
    assert (result.returncode, result.stdout) == (0, f"lip2wav {lip2wav_hf.__version__}\n")


# --------------------------------------------------------------------------------------------------------------------
# speak
# --------------------------------------------------------------------------------------------------------------------


def test_help(run):
    status, out, err = run("speak", "--help", model=None)
    assert (status, err) == (0, "")
    for word in ("Examples:", "--model", "--plot", "--json", "Exit status", "51 words"):
        assert word in out


def test_flac_and_quiet(run, tmp_path, talking_video):
    status, out, err = run("speak", talking_video, "-o", tmp_path / "a.flac", "--quiet")
    assert (status, out) == (0, "")
    assert err.startswith("warning: ")
    assert (tmp_path / "a.flac").read_bytes().startswith(b"fLaC")


def test_a_batch_with_a_bad_file_does_the_others(run, tmp_path, talking_video):
    copies = [tmp_path / f"{name}.mp4" for name in "abc"]
    for copy in copies:
        shutil.copy(talking_video, copy)
    copies[1].write_bytes(b"")
    out = tmp_path / "out"
    status, stdout, err = run("speak", *copies, "-o", out, "--plot", out, "--batch-size", 3, "--json")
    assert status == 2
    assert [json.loads(line)["file"] for line in stdout.splitlines()] == list(map(str, copies))
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "a.wav", "c.png", "c.wav"]
    assert len(errors(err)) == 1 and "b.mp4" in err


def test_a_batch_of_good_files_equals_single_ones(run, tmp_path, talking_video):
    copies = [tmp_path / f"{name}.mp4" for name in "ab"]
    for copy in copies:
        shutil.copy(talking_video, copy)
    assert run("speak", *copies, "-o", tmp_path / "batch", "--batch-size", 2, "--quiet")[0] == 0
    assert run("speak", copies[0], "-o", tmp_path / "one.wav", "--quiet")[0] == 0
    alone, *batched = (
        np.frombuffer(wave.open(str(path)).readframes(48000), np.int16).astype(int)
        for path in (tmp_path / "one.wav", tmp_path / "batch" / "a.wav", tmp_path / "batch" / "b.wav")
    )
    for samples in batched:
        assert np.abs(samples - alone).max() <= 1


def test_bfloat16(run, tmp_path, talking_video):
    assert run("speak", talking_video, "-o", tmp_path / "a.wav", "--dtype", "bfloat16", "--quiet")[0] == 0
    with wave.open(str(tmp_path / "a.wav")) as sound:
        assert sound.getnframes() == 48000


def test_no_face_leaves_nothing_behind(run, tmp_path):
    path = tmp_path / "grey.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((120, 160, 3), 90, np.uint8))))
        container.mux(stream.encode(None))
    line = error_line(run("speak", path, "-o", tmp_path / "out" / "a.wav"))
    assert "grey.mp4" in line and "face" in line
    assert sorted(os.listdir(tmp_path)) == ["grey.mp4"]


@pytest.mark.parametrize(
    "arguments, named, remedy",
    [
        (["x.mp4"], "--output", "--help"),
        (["-o", "a.wav"], "VIDEO", "--help"),
        (["x.mp4", "-o", "a.wav", "--plto", "a.png"], "--plto", "--plot"),
        (["x.mp4", "-o", "a.wav", "--dtype", "int8"], "int8", "bfloat16"),
        (["x.mp4", "-o", "a.mp3"], "a.mp3", ".flac"),
        (["x.mp4", "-o", "a.wav", "--plot", "a.bmp"], "a.bmp", ".png"),
        (["x.mp4", "y.mp4", "-o", "a.wav"], "a.wav", "folder"),
        (["x.mp4", "x.mp4", "-o", "out"], "x.mp4", "once"),
        (["x.mp4", "-o", "folder.wav"], "folder.wav", "folder"),
        (["x.mp4", "-o", "file.txt/a.wav"], "file.txt", "another place"),
        (["there.mp4", "-o", "./there.mp4"], "there.mp4", "another name"),
        (["x.mp4", "-o", "a.wav"], "x.mp4", "no such file"),
        (["folder.wav", "-o", "a.wav"], "folder.wav", "folder"),
        (["file.txt", "-o", "a.wav"], "file.txt", "Pass a video file"),
        (["x.mp4", "-o", "a.wav", "--device", "abacus"], "abacus", "--device cpu"),
    ],
)
def test_unusable_arguments(run, tmp_path, monkeypatch, arguments, named, remedy):
    monkeypatch.chdir(tmp_path)
    Path("folder.wav").mkdir()
    Path("file.txt").write_text("some text\n" * 50)
    Path("there.mp4").write_bytes(b"1")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    line = error_line(run("speak", *arguments))
    assert named in line and remedy in line
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder(run, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "locked" in error_line(run("speak", "x.mp4", "-o", tmp_path / "locked" / "a.wav"))


def damaged(folder, kind):
    """Make a copy of a good model unusable."""
    if kind == "no weights":
        (folder / "model.safetensors").unlink()
    elif kind == "no preprocessor":
        (folder / "preprocessor_config.json").unlink()
    elif kind == "cut weights":
        weights = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    elif kind == "missing weight":
        weights = load_file(folder / "model.safetensors")
        del weights["text_head.weight"]
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    elif kind == "other shape":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "hidden_size": 32}))
    elif kind == "other type":
        (folder / "config.json").write_text('{"model_type": "bert"}')
    elif kind == "no json":
        (folder / "config.json").write_text("{")
    return folder


@pytest.mark.parametrize(
    "kind, named",
    [
        ("no weights", "model.safetensors"),
        ("no preprocessor", "preprocessor_config.json"),
        ("cut weights", "cannot be loaded"),
        ("missing weight", "text_head.weight"),
        ("other shape", ""),
        ("other type", "bert"),
        ("no json", "config.json"),
    ],
)
def test_unusable_models(run, tmp_path, tiny_model_dir, kind, named):
    folder = damaged(Path(shutil.copytree(tiny_model_dir, tmp_path / "model")), kind)
    line = error_line(run("speak", "x.mp4", "-o", tmp_path / "a.wav", model=folder))
    assert str(folder) in line and named in line


@pytest.mark.parametrize("model", ["./nowhere", "/nowhere/at/all", "nowhere", "nobody/nothing"])
def test_models_that_are_not_there(run, tmp_path, model):
    line = error_line(run("speak", "x.mp4", "-o", tmp_path / "a.wav", model=model))
    assert model in line and "bundled model" in line


def test_an_unforeseen_fault_is_one_line_too(run, tmp_path, talking_video, monkeypatch):
    from lip2wav_hf.modeling_lip2wav import Lip2WavModel

    def fail(self, *args, **kwargs):
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(Lip2WavModel, "forward", fail)
    line = error_line(run("speak", talking_video, "-o", tmp_path / "a.wav"))
    assert f"{talking_video}: RuntimeError: out of memory" in line and "LIP2WAV_DEBUG" in line


# --------------------------------------------------------------------------------------------------------------------
# names of the outputs
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "videos, names",
    [
        (["a.mpg", "b.mp4"], ["a", "b"]),
        (["s1/a.mpg", "s2/a.mpg", "s2/b.mpg"], ["s1-a", "s2-a", "b"]),
        (["s1/a.mpg", "s1/a.mp4"], ["s1-a-mpg", "s1-a-mp4"]),
        (["https://example.org/clips/my%20clip.mp4?size=large", "file:///s/b.mp4"], ["my clip", "b"]),
    ],
)
def test_names_in_a_folder_are_distinct(tmp_path, videos, names):
    jobs = speak.plan_jobs(videos, [tmp_path])
    assert [job.outputs for job in jobs] == [[tmp_path / f"{name}.wav"] for name in names]


def test_names_that_cannot_be_told_apart(tmp_path):
    with pytest.raises(speak.CommandError, match="same output name"):
        speak.plan_jobs(["1/s/a.mpg", "2/s/a.mpg"], [tmp_path])


# --------------------------------------------------------------------------------------------------------------------
# info
# --------------------------------------------------------------------------------------------------------------------

CARD = """---
license: apache-2.0
model-index:
- name: tiny
  results:
  - task:
      type: video-to-speech
    dataset:
      name: GRID
      type: grid
      split: s1 validation
    metrics:
    - type: stoi
      name: STOI
      value: 0.5
---
# A card
"""


def test_info(run, tmp_path, tiny_model_dir):
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))
    status, out, _ = run("info", folder)
    assert status == 0
    for fact in ("16000 Hz", "25 frames/s", "51 words", "istft", "the model card has none"):
        assert fact in out
    (folder / "README.md").write_text(CARD)
    status, out, _ = run("info", folder, "--json")
    facts = json.loads(out)
    assert facts["results"] == ["STOI 0.5 (GRID s1 validation)"]
    assert len(facts["vocabulary"]) == 51
    weights = load_file(folder / "model.safetensors")
    assert facts["parameters"] == sum(array.size for array in weights.values() if array.dtype.kind == "f")


def test_info_of_a_damaged_model(run, tmp_path, tiny_model_dir):
    folder = damaged(Path(shutil.copytree(tiny_model_dir, tmp_path / "model")), "cut weights")
    assert "model.safetensors" in error_line(run("info", folder))
