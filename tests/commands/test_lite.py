"""`lip2wav lite`, and `lip2wav speak` with and without torch."""

import json
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from commands.command_line import error_line, lip2wav
from lip2wav_hf import DEFAULT_CHECKPOINT
from lip2wav_hf.commands import lite as lite_module
from lip2wav_hf.commands import speak as speak_module
from lip2wav_hf.commands.options import Runtime
from lip2wav_hf.lite import export
from lip2wav_hf.lite.graphs import CLIPS, ENCODER_FILE, INT8_DECODER_FILE, STREAMS
from lip2wav_hf.machine import may_have_gpu


pytest.importorskip("onnxscript", reason="the extra `lite` is not installed")


def samples(path):
    with wave.open(str(path)) as sound:
        return np.frombuffer(sound.readframes(sound.getnframes()), np.int16).astype(int)


def test_a_model_of_ones_own(run, tmp_path, talking_video, tiny_model_dir, monkeypatch):
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "mine"))
    status, out, err = run("lite", folder)
    assert (status, err) == (0, "writing ONNX graphs, and comparing them with PyTorch: about a minute\n")
    *written, following = out.splitlines()
    files = (*CLIPS, INT8_DECODER_FILE, *STREAMS)
    assert [line.removeprefix("wrote ") for line in written] == [str(folder / name) for name in files]
    assert following == f"next: lip2wav speak --model {folder} VIDEO"
    for runtime in ("onnx", "torch"):
        options = ("-o", tmp_path / f"{runtime}.wav", "--runtime", runtime)
        assert run("speak", talking_video, *options, model=folder)[0] == 0
    difference = samples(tmp_path / "onnx.wav") - samples(tmp_path / "torch.wav")
    assert np.abs(difference).max() <= 4  # of 32768
    assert run("speak", talking_video, "-o", tmp_path / "int8.wav", "--dtype", "int8", model=folder)[0] == 0
    difference = samples(tmp_path / "int8.wav") - samples(tmp_path / "onnx.wav")
    assert 0 < np.abs(difference).max() < 100  # another graph
    (folder / INT8_DECODER_FILE).unlink()
    status, out, err = run("speak", talking_video, "-o", tmp_path / "a.wav", "--dtype", "int8", model=folder)
    assert f"its {INT8_DECODER_FILE} is missing. Where PyTorch is, write them: lip2wav lite" in error_line(
        (status, out, err)
    )

    (folder / ENCODER_FILE).write_bytes(b"")
    arguments = ("speak", talking_video, "-o", tmp_path / "a.wav", "-y")
    assert "Write it again: lip2wav lite" in error_line(run(*arguments, "--runtime", "onnx", model=folder))
    status, _, err = run(*arguments, model=folder)
    assert status == 0 and err.count("PyTorch speaks") == 1
    content = (folder / ENCODER_FILE).read_bytes()
    (folder / ENCODER_FILE).unlink()
    status, _, err = run(*arguments, model=folder)
    assert status == 0 and f"warning: PyTorch speaks. model {folder}: its {ENCODER_FILE} is missing" in err
    (folder / ENCODER_FILE).write_bytes(content)
    monkeypatch.setattr(speak_module, "has_torch", lambda: False)
    assert "Write it again" in error_line(run(*arguments, model=folder))
    assert "no ONNX graphs" in error_line(run(*arguments))

    live = ("live", talking_video, "-o", tmp_path / "live.wav", "-y", "--seconds", 0.2, "--model", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speak_module, "has_torch", lambda: True)
        for options, warnings in (("--runtime", "onnx"), 0), (("--runtime", "torch"), 0), ((), 1):
            if warnings:
                (folder / STREAMS[1]).write_bytes(b"")
            status, _, err = run(*live, *options)
            assert status == 0 and err.count("PyTorch speaks") == warnings, err
    for name in STREAMS:
        (folder / name).unlink()
    assert f"no ONNX graphs for live speech in it. Where PyTorch is, write them: lip2wav lite {folder}" in error_line(
        run(*live, "--runtime", "onnx")
    )


def test_graphs_that_fit_are_left_alone(run, tmp_path, monkeypatch):
    """And those of an installation, whatever they are, unless it is asked for."""
    written = []
    monkeypatch.setattr(export, "export_graphs", lambda folder, parts, report: written.append((folder, len(parts))))
    status, out, err = run("lite", "grid-s1")
    assert (status, out) == (0, "next: lip2wav speak --model grid-s1 VIDEO\n")
    assert err == "model grid-s1: its ONNX graphs are there and fit its weights; --overwrite writes them again.\n"
    folder = Path(shutil.copytree(DEFAULT_CHECKPOINT, tmp_path / "mine"))
    (folder / ENCODER_FILE).write_bytes(b"damaged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lite_module, "CHECKPOINTS", tmp_path)
        assert "part of this installation, which is not changed unasked" in error_line(run("lite", folder))
        assert not written
        assert run("lite", folder, "--overwrite")[0] == 0 and written == [(folder, 5)]
    assert run("lite", folder)[0] == 0 and written == [(folder, 5)] * 2


@pytest.mark.parametrize("options", [("--dtype", "bfloat16"), ("--device", "cuda")])
def test_onnx_is_for_the_processor(run, talking_video, options):
    arguments = ("speak", talking_video, "--runtime", "onnx", *options)
    assert "--runtime onnx: it speaks on the processor, in float32" in error_line(run(*arguments, model=None))


@pytest.mark.parametrize("options", [("--runtime", "torch"), ("--device", "cuda")])
def test_int8_is_for_onnx_runtime(run, talking_video, options):
    arguments = ("speak", talking_video, "--dtype", "int8", *options)
    assert "--dtype int8: it needs ONNX Runtime, on the processor." in error_line(run(*arguments, model=None))


def test_only_folders_get_graphs(run, tmp_path):
    assert "there is no such folder" in error_line(run("lite", tmp_path / "none"))
    assert "hf download owner/name --local-dir" in error_line(run("lite", "owner/name"))


WITHOUT = """
import sys
sys.modules["torch"] = None
from lip2wav_hf.commands.main import main
main()
"""

CALLED = """
import sys
from lip2wav_hf.commands.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
import torch
"""


def test_speaking_needs_no_torch(tmp_path, talking_video):
    """Nor does it import it where it is installed. All outputs; nothing is said but the report."""
    outputs = [tmp_path / name for name in ("a.wav", "a.mp4", "a.srt", "a.flac")]
    options = [word for path in outputs for word in ("-o", str(path))]
    options += ["--plot", str(tmp_path / "a.png")]
    command = [sys.executable, "-c", WITHOUT, "speak", str(talking_video), *options]
    result = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=300)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    assert json.loads(result.stdout)["text"] == "bin blue at f two now"
    assert all(path.stat().st_size for path in [*outputs, tmp_path / "a.png"])

    live = [*command[:3], "live", str(talking_video), "--seconds", "2", "-o", str(tmp_path / "live.wav")]
    result = subprocess.run(live, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0 and "\nWords: " in result.stderr, result.stderr

    command[2] = CALLED  # from Python, it keeps torch from nobody
    result = subprocess.run([*command, "-y", "-q"], capture_output=True, text=True, timeout=300)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr

    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nclass Guard:\n    def find_spec(self, name, *rest):\n"
        "        assert name != 'torch' or sys._getframe(2).f_code.co_name == 'find_spec', 'torch is imported'\n"
        "sys.meta_path.insert(0, Guard())\n"
    )
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    result = lip2wav("speak", talking_video, "-o", tmp_path / "b.wav", "--device", "cpu", PYTHONPATH=path)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    np.testing.assert_array_equal(samples(tmp_path / "a.wav"), samples(tmp_path / "b.wav"))


def test_torch_where_there_may_be_a_gpu(monkeypatch):
    for gpu in (True, False):
        monkeypatch.setattr(speak_module, "may_have_gpu", lambda gpu=gpu: gpu)
        graphs = speak_module.chosen_graphs(Path(DEFAULT_CHECKPOINT), Runtime.AUTO)
        assert (graphs is None) == gpu
    monkeypatch.setattr("os.path.exists", lambda path: path == "/dev/kfd")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert may_have_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not may_have_gpu()
