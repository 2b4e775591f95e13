import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from commands.command_line import damaged, error_line, errors, lip2wav
from conftest import REPOSITORY
from lip2wav_hf.audio import read_audio, write_audio
from lip2wav_hf.commands.speak import MOST_FAILURES, count_videos
from little_videos import write_video
from warm_processes import WarmProcesses, errors_of


def is_h264_with_sound(path):
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        return video.codec_context.name == "h264" and audio.codec_context.name == "aac"


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
    for word in ("text", "duration  3.00 s", "took", "speech.wav"):
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
    assert done["real_time_factor"] == pytest.approx(done["seconds"] / 3, rel=1e-3) and done["seconds"] > 0
    assert done["face_coverage"] > 0.95
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


def test_json_objects_hold_what_is_documented(run, tmp_path, talking_video):
    """Each key stands in the help and on the page about own videos; and nothing else is promised there."""
    status, out, _ = run("speak", talking_video, "-o", tmp_path / "a.wav", "--json")
    record = json.loads(out)
    assert status == 0
    described = run("speak", "--help", model=None)[1].partition("The JSON objects hold")[2].partition("Exit status")[0]
    page = (REPOSITORY / "docs" / "own-video.md").read_text().partition("`--json` prints")[2].partition("\n\n")[0]
    for key in (*record, *record["words"][0], "error"):
        assert re.search(rf"\b{key}\b", described), key
        assert f"`{key}`" in page, key
    assert set(re.findall(r"`(\w+)`", page)) == {*record, *record["words"][0], "error"}


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


def test_landmarks_on_some_frames_only(run, tmp_path, talking_video):
    said = {}
    for interval in (1, 3):
        arguments = ("-o", tmp_path / f"{interval}.wav", "--landmark-interval", interval, "--json")
        status, output, _ = run("speak", talking_video, *arguments)
        assert status == 0
        said[interval] = json.loads(output)
    assert run("speak", talking_video, "-o", tmp_path / "default.wav", "--quiet")[0] == 0
    assert said[3]["text"] == said[1]["text"] and said[3]["face_coverage"] == 1.0
    every, some, default = ((tmp_path / f"{name}.wav").read_bytes() for name in (1, 3, "default"))
    assert every == default != some and len(some) == len(every)


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
        ([], "VIDEO", "--help"),
        (["-o", "a.wav"], "VIDEO", "--help"),
        (["x.mp4"], "x.mp4", "no such file"),
        (["x.mp4", "-o", "a.wav", "--plto", "a.png"], "--plto", "--plot"),
        (["x.mp4", "-o", "a.wav", "--dtype", "int4"], "int8", "bfloat16"),
        (["x.mp4", "-o", "a.wav", "--landmark-interval", "0"], "--landmark-interval", "equal to 1"),
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
        (["there.mp4", "-o", "a.wav", "--device", "abacus"], "--device abacus", "here there is: cpu"),
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
    (tmp_path / "x.mp4").write_bytes(b"1")
    line = error_line(run("speak", tmp_path / "x.mp4", "-o", tmp_path / "a.wav", model=folder))
    assert str(folder) in line and named in line


@pytest.mark.parametrize("model", ["./nowhere", "/nowhere/at/all", "nowhere", "nobody/nothing"])
def test_models_that_are_not_there(run, tmp_path, model):
    line = error_line(run("speak", "x.mp4", "-o", tmp_path / "a.wav", model=model))
    assert model in line and "bundled model" in line


def test_an_unforeseen_fault_is_one_line_too(run, tmp_path, talking_video, monkeypatch):
    from lip2wav_hf.generator import SpeechGenerator

    def fail(self, *args, **kwargs):
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(SpeechGenerator, "forward", fail)
    line = error_line(run("speak", talking_video, "-o", tmp_path / "a.wav"))
    assert f"{talking_video}: RuntimeError: out of memory" in line and "LIP2WAV_DEBUG" in line


# --------------------------------------------------------------------------------------------------------------------
# what is made where
# --------------------------------------------------------------------------------------------------------------------


def test_without_an_output_the_sound_goes_into_the_current_folder(run, tmp_path, talking_video, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = run("speak", talking_video)
    assert status == 0 and "output    bbaf2n.wav" in out
    assert [path.name for path in tmp_path.iterdir()] == ["bbaf2n.wav"]


def test_a_sound_is_not_replaced_by_its_own_speech(run, tmp_path, talking_video, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(talking_video, "clip.wav")
    status, _, error = run("speak", "clip.wav")
    assert status == 2
    assert "clip.wav: its speech would overwrite clip.wav itself. Choose another name with -o." in error
    status, _, error = run("speak", "clip.wav", "-o", "clip.wav", "--overwrite")
    assert status == 2 and "-o clip.wav: this would overwrite clip.wav itself. Choose another name" in error
    assert Path("clip.wav").stat().st_size == talking_video.stat().st_size


@pytest.mark.parametrize("options", [(), ("-o", "sound.wav")])
def test_a_sound_is_no_video_rather_than_a_bad_name(run, tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    write_audio("sound.wav", np.zeros(16_000, np.float32), 16_000)
    status, _, error = run("speak", "sound.wav", *options)
    assert status == 2 and error.startswith("error: sound.wav: it has only sound, no video stream. Pass a file with a")


def test_a_folder_stands_for_its_videos(run, tmp_path, talking_video):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("b.mp4", "a.MP4"):
        shutil.copy(talking_video, folder / name)
    (folder / "notes.txt").write_text("no video")
    (folder / "._a.MP4").write_bytes(b"of a Mac")
    write_video(folder / "c.ts", 2)  # shows no face, but is looked at
    status, out, _ = run("speak", folder, "-o", tmp_path / "out", "--json")
    assert status == 2
    assert [Path(json.loads(line)["file"]).name for line in out.splitlines()] == ["a.MP4", "b.mp4", "c.ts"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.wav", "b.wav"]


def test_words_as_subtitles(run, tmp_path, talking_video):
    status, out, _ = run("speak", talking_video, "-o", tmp_path / "a.srt", "-o", tmp_path / "a.vtt", "--json")
    assert status == 0
    text = json.loads(out)["text"]
    for name, start in (("a.srt", "1\n00:00:0"), ("a.vtt", "WEBVTT\n\n1\n00:00:0")):
        subtitles = (tmp_path / name).read_text()
        assert subtitles.startswith(start)
        lines = [line for line in subtitles.splitlines() if line and not line.isdigit() and "-->" not in line]
        assert " ".join(lines).removeprefix("WEBVTT").split() == text.split()


def test_subtitles_are_written_as_the_phrases_are(run, tmp_path, talking_video):
    (tmp_path / "phrases.txt").write_text("Bin blue at F two now!\n")
    options = ("--grammar", tmp_path / "phrases.txt", "-o", tmp_path / "a.srt")
    assert run("speak", talking_video, *options)[0] == 0
    lines = [line for line in (tmp_path / "a.srt").read_text().splitlines() if "-->" not in line]
    assert "Bin blue at F two now!" in " ".join(lines)


def test_what_exists_is_replaced_only_when_asked_to(run, tmp_path, talking_video):
    """As FFmpeg does: a script is refused, before any work; a terminal is asked (below)."""
    files = [tmp_path / name for name in ("a.wav", "a.png")]
    arguments = ("speak", talking_video, "-o", files[0], "--plot", files[1])
    for file in files:
        file.write_bytes(b"mine")
    line = error_line(run(*arguments))
    assert "a.wav and 1 more" in line and "they exist already" in line and "--overwrite (-y)" in line
    assert [file.read_bytes() for file in files] == [b"mine"] * 2
    files[1].unlink()
    assert "a.wav: it exists already" in error_line(run(*arguments))
    assert not files[1].exists()
    for option in ("--overwrite", "-y"):
        files[0].write_bytes(b"mine")
        assert run(*arguments, option)[0] == 0
        assert files[0].read_bytes().startswith(b"RIFF")


@pytest.mark.parametrize("answer, replaced", [("y", True), ("n", False), ("", False)])
def test_a_terminal_is_asked_before_a_file_is_replaced(tmp_path, answer, replaced):
    pty = pytest.importorskip("pty", reason="the system has no pseudo-terminals")
    file = tmp_path / "a.wav"
    file.write_bytes(b"mine")
    # The question alone: what follows a yes is in the test above.
    code = f"""
from pathlib import Path
from lip2wav_hf.commands.messages import reporting
from lip2wav_hf.commands.outputs import Job
from lip2wav_hf.commands.speak import ask_to_overwrite
reporting(ask_to_overwrite)([Job("x.mp4", [Path({str(file)!r})])])
print("written")
"""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=theirs, stderr=theirs, stdout=subprocess.PIPE
    ) as process:
        os.close(theirs)
        asked = b""
        while b"[y/N]" not in asked:
            asked += os.read(ours, 1000)
        os.write(ours, f"{answer}\n".encode())
        out = process.communicate(timeout=60)[0]
    os.close(ours)
    assert b"a.wav: it exists already. Replace it?" in asked
    assert (out == b"written\n") == replaced == (process.returncode == 0)


# --------------------------------------------------------------------------------------------------------------------
# standard output
# --------------------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_the_sound_and_nothing_else(tmp_path, talking_video, tiny_model_dir, monkeypatch):
    """The report is on stderr, and files are written beside it. A folder called - is not what is meant."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").mkdir()
    command = [sys.executable, "-m", "lip2wav_hf.commands.main", "speak", "-", "-o", "-", "-o", "a.wav"]
    command += ["--model", tiny_model_dir, "--device", "cpu"]
    with talking_video.open("rb") as video:
        done = subprocess.run(command, stdin=video, capture_output=True, timeout=300)
    report = done.stderr.decode()
    assert done.returncode == 0 and "output    -, a.wav" in report and "duration  3.00 s" in report, report
    Path("piped.wav").write_bytes(done.stdout)
    assert done.stdout.startswith(b"RIFF")
    np.testing.assert_array_equal(read_audio("piped.wav"), read_audio("a.wav"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["-", "a.wav", "piped.wav"]
    assert not list(Path("-").iterdir())


def test_who_reads_a_pipe_no_longer_ends_it(talking_video, tiny_model_dir):
    command = [sys.executable, "-m", "lip2wav_hf.commands.main", "speak", talking_video, "-o", "-"]
    reader, writer = os.pipe()
    os.close(reader)
    command += ["--model", tiny_model_dir, "--device", "cpu", "-q"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=300)
    os.close(writer)
    assert done.returncode == 1 and not errors(done.stderr) and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.mp4", "b.mp4", "-o", "-"], "-o -: one pipe cannot hold 2 videos. Name a folder instead."),
        (["a.mp4", "-o", "-", "--json"], "-o - and --json: both are written to standard output."),
        (["a.mp4", "--plot", "-"], "--plot -: no picture is written into a pipe."),
    ],
)
def test_what_does_not_go_into_a_pipe_is_said(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in error_line(run("speak", *arguments))
    assert not list(tmp_path.iterdir())


def test_no_sound_is_written_onto_a_terminal(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "standard output is the terminal. Pipe it into a player" in error_line(run("speak", "a.mp4", "-o", "-"))
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------------------------------------------------------
# how it ends
# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="other shells close no streams")
@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&- 2>&-", "<&- >&-", "<&- 2>&-", ">&-"])
def test_closed_streams_are_no_fault(tmp_path, talking_video, tiny_model_dir, closed):
    """As services are started: nothing to read from, and nowhere to write; files get no number of a stream."""
    out = tmp_path / "x.wav"
    command = [sys.executable, "-m", "lip2wav_hf.commands.main", "speak", talking_video, "-o", out]
    command += ["--model", tiny_model_dir, "--device", "cpu"]
    assert subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *map(str, command)], timeout=300).returncode == 0
    with wave.open(str(out)) as sound:
        assert sound.getnframes() == 48_000


def test_many_videos_end_with_a_count(run, tmp_path, talking_video):
    """What was done, and why the rest was not, are the last lines: errors above have scrolled away."""
    for name in "ab":
        shutil.copy(talking_video, tmp_path / f"{name}.mp4")
    (tmp_path / "c.mp4").write_bytes(b"no video at all")
    videos = [tmp_path / f"{name}.mp4" for name in "abc"] + [tmp_path / "missing.mp4"]
    for options in ([], ["--json"], ["--quiet"]):
        status, out, err = run("speak", *videos, "-o", tmp_path / "out", "-y", *options)
        assert status == 2
        *_, head, first, second = err.splitlines()
        assert head == "4 videos: 2 done, 2 failed:"
        assert first.startswith(f"  {videos[2]}: ") and second.startswith(f"  {videos[3]}: ")
        assert "no such file" in second
        assert all(json.loads(line) for line in out.splitlines()) if "--json" in options else True
    status, _, err = run("speak", *videos[:2], "-o", tmp_path / "out", "-y")
    assert status == 0 and err.splitlines()[-1] == "2 videos: all done."
    assert "all done" not in run("speak", *videos[:2], "-o", tmp_path / "out", "-y", "--quiet")[2]
    assert "all done" not in run("speak", videos[0], "-o", tmp_path / "out", "-y")[2]


def test_a_count_of_very_many_failures_stays_readable():
    failures = {f"{number}.mp4": "broken" for number in range(MOST_FAILURES + 5)}
    lines = count_videos(100, failures).splitlines()
    assert lines[0] == "100 videos: 75 done, 25 failed:" and len(lines) == MOST_FAILURES + 2
    assert "and 5 more" in lines[-1]


@pytest.mark.parametrize("kind", ["interrupt", "kill"])
def test_a_run_that_is_stopped_leaves_no_file(tmp_path, talking_video, tiny_model_dir, kind):
    """Neither after Ctrl-C nor after a kill is half a file under its name; Ctrl-C leaves nothing at all."""
    long = tmp_path / "long.mp4"
    with av.open(str(talking_video)) as source, av.open(str(long), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.size]
        for turn in range(60):  # three minutes
            for packet in packets:
                again = av.Packet(bytes(packet))
                again.stream, again.time_base, again.is_keyframe = copy, packet.time_base, packet.is_keyframe
                shift = turn * round(3 / packet.time_base)
                again.pts, again.dts, again.duration = packet.pts + shift, packet.dts + shift, packet.duration
                target.mux(again)
    out = tmp_path / "out"
    outputs = ("-o", out / "a.wav", "-o", out / "a.mp4", "-o", out / "a.srt")
    arguments = ("speak", long, *outputs, "--model", tiny_model_dir, "--device", "cpu")
    log = tmp_path / "log"
    with WarmProcesses(("lip2wav_hf.commands.main", "lip2wav_hf.speaking")) as processes:
        process = processes.start(log, "from lip2wav_hf.commands.main import main; main()", arguments)
        deadline = time.monotonic() + 240
        while not any(
            path.stat().st_size > 300_000 for path in out.glob(".*.wav")
        ):  # ten seconds of sound are written
            assert time.monotonic() < deadline, errors_of(log).read_text()
            time.sleep(0.05)
        os.kill(process, signal.SIGINT if kind == "interrupt" else signal.SIGKILL)
        status = processes.wait(process)
    assert status == (130 if kind == "interrupt" else -signal.SIGKILL)
    assert not [name for name in os.listdir(out) if not name.startswith(".")]
    if kind == "interrupt":
        assert errors_of(log).read_text() == "error: interrupted.\n" and os.listdir(out) == []


# --------------------------------------------------------------------------------------------------------------------
# what it costs
# --------------------------------------------------------------------------------------------------------------------


def test_the_warm_up_is_not_called_speed(run, tmp_path, talking_video):
    """The first video takes longer than the later ones: only of those a real-time factor is reported."""
    for name in "ab":
        shutil.copy(talking_video, tmp_path / f"{name}.mp4")
    status, out, errors = run("speak", tmp_path / "a.mp4", tmp_path / "b.mp4", "-o", tmp_path / "out")
    assert status == 0
    assert errors.count("the words are uncertain") == 2 and errors.count("vocabulary of 51 words") == 1
    first, second = (line for line in out.splitlines() if "took" in line)
    assert "warm-up" in first and "real-time factor" not in first
    assert "real-time factor" in second and "(time taken / duration)" in second


def test_speaking_imports_only_what_it_uses(tmp_path, talking_video, tiny_model_dir):
    """Transformers' models and pipelines take seconds and 200 MB; the drawing of pictures is not asked for."""
    arguments = ["speak", str(talking_video), "-o", str(tmp_path / "a.wav"), "--model", str(tiny_model_dir)]
    unwanted = ["transformers.modeling_utils", "transformers.pipelines", "transformers.models.auto.modeling_auto"]
    unwanted += ["torch._dynamo", "sympy", "scipy", "matplotlib", "accelerate", "datasets"]
    code = f"""
import sys
from lip2wav_hf.commands.main import main
try:
    main({arguments + ["--device", "cpu"]})
except SystemExit as end:
    assert not end.code, end.code
found = [name for name in {unwanted} if name in sys.modules]
assert not found, found
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "a.wav").is_file()


def test_a_beam_on_the_command_line(run, tmp_path, talking_video):
    options = ("-o", tmp_path / "a.wav", "-y", "--json", "--beam", 8, "--device", "cpu")
    status, output, _ = run("speak", talking_video, *options, model=None)
    found = json.loads(output)
    assert status == 0 and found["text"] == found["written"] == "bin blue at f two now"
    (tmp_path / "phrases.txt").write_text("set red by a one again\n")
    status, _, errors = run("speak", talking_video, *options, "--grammar", tmp_path / "phrases.txt", model=None)
    assert status == 2 and "give one of them" in errors


def test_a_grammar_on_the_command_line(run, tmp_path, talking_video):
    (tmp_path / "phrases.txt").write_text("set red by a one again\nbin blue at f two now\n")
    (tmp_path / "one.jsgf").write_text("#JSGF V1.0;\ngrammar g;\npublic <s> = place white [soon];\n")
    texts = {}
    for grammar in ("phrases.txt", "one.jsgf"):
        options = ("-o", tmp_path / "a.wav", "-y", "--json", "--grammar", tmp_path / grammar, "--device", "cpu")
        status, output, _ = run("speak", talking_video, *options, model=None)
        texts[grammar] = json.loads(output)["text"]
        assert status == 0
    assert texts["phrases.txt"] == "bin blue at f two now" and texts["one.jsgf"] in ("place white", "place white soon")
    status, _, errors = run("speak", talking_video, "-o", tmp_path / "b.wav", "--grammar", tmp_path / "none.txt")
    assert status == 2 and "none.txt: there is no such file" in errors and not (tmp_path / "b.wav").exists()
