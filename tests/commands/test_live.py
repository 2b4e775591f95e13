"""`lip2wav live`: what the user types, hears and sees."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from lip2wav_hf import Lip2WavStreamer, VideoReader
from lip2wav_hf.audio import read_audio
from lip2wav_hf.commands.live import _report, _StatusLine
from lip2wav_hf.commands.messages import waiting
from lip2wav_hf.errors import Lip2WavError
from lip2wav_hf.live import player
from lip2wav_hf.live.running import LiveProgress
from warm_processes import SERVING, WarmProcesses, errors_of

from .command_line import error_line


PATTERN = "lavfi:testsrc=size=160x120:rate=25,realtime"
COMMAND = [sys.executable, "-m", "lip2wav_hf.commands.main", "live"]
MAIN = "from lip2wav_hf.commands.main import main; main()"


@pytest.fixture
def live(run, tiny_model_dir):
    """Calls the command in this process."""
    return lambda *arguments: run("live", *arguments, "--model", tiny_model_dir)


@contextlib.contextmanager
def started(*arguments, environment=None, **options):
    """The command in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | (environment or {})
    process = subprocess.Popen([*COMMAND, *map(str, arguments)], env=environment, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def piped(pipe, *arguments):
    """What the command, in a process of its own, writes to a pipe; and what waits for its status and stderr."""
    os.mkfifo(pipe)
    with WarmProcesses(SERVING) as processes:
        process = processes.start(pipe, MAIN, ["live", *arguments, "-o", "-", "-q"])
        try:
            with pipe.open("rb") as out:
                yield out, lambda: (processes.wait(process), errors_of(pipe).read_bytes())
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            raise


@pytest.fixture(scope="module")
def expected(talking_video, tiny_model_dir):
    """The speech of the video when it is pushed picture by picture."""
    streamer, sound = Lip2WavStreamer.from_pretrained(tiny_model_dir, 3), []
    with VideoReader(talking_video) as reader:
        sound = [streamer.push(picture, number / 25).audio for number, picture in enumerate(reader)]
    return np.concatenate([*sound, streamer.flush().audio])


def test_a_video_is_spoken_into_files(live, tmp_path, talking_video, expected):
    begin = time.monotonic()
    files = tmp_path / "out" / "a.wav", tmp_path / "b.flac"
    status, out, errors = live(talking_video, "-o", files[0], "-o", files[1])
    assert status == 0 and out == ""
    assert time.monotonic() - begin > len(expected) / 16000 - 0.1  # at its own speed
    for file in files:
        sound = read_audio(file, 16000)
        assert sound.shape == expected.shape and np.abs(sound - expected).max() < 1e-3 < np.abs(expected).max()
    assert f"{len(expected) / 16000:.2f} s of sound in {files[0]}, {files[1]}." in errors
    assert (
        "75 pictures; 0 dropped" in errors and "No face" not in errors and "Latency" in errors and "\x1b" not in errors
    )


@pytest.mark.timeout(120, func_only=True)
def test_a_pipe_gets_the_same(talking_video, tiny_model_dir, expected, tmp_path):
    with piped(tmp_path / "pipe", talking_video, "-m", tiny_model_dir) as (out, wait):
        (tmp_path / "a.wav").write_bytes(out.read())
        assert wait() == (0, b"")
    assert np.abs(read_audio(tmp_path / "a.wav", 16000) - expected).max() < 1e-3


@pytest.mark.parametrize("folder", [False, True])
def test_standard_input_is_read_too(tmp_path, talking_video, tiny_model_dir, expected, folder):
    """Also where a folder is called so."""
    if folder:
        (tmp_path / "-").mkdir()
    with talking_video.open("rb") as video:
        piped = {"stdin": video, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
        with started("-", "-o", "a.wav", "-m", tiny_model_dir, **piped) as process:
            _, errors = process.communicate(timeout=120)
    assert process.returncode == 0 and "75 pictures; 0 dropped" in errors, errors
    assert np.abs(read_audio(tmp_path / "a.wav", 16000) - expected).max() < 1e-3


def test_a_model_of_whole_videos_is_told_of_once(run, live, tmp_path, talking_video, tiny_model_dir):
    doubt = "This model was trained on whole videos. Live it sees 1 picture ahead (40 ms): expect many wrong words.\n"
    options = (talking_video, "-o", tmp_path / "a.wav", "--overwrite", "--seconds", 0.2, "--look-ahead", 1)
    assert live(*options)[2].count(doubt) == 1
    assert doubt not in live(*options, "--quiet")[2]
    trained = shutil.copytree(tiny_model_dir, tmp_path / "trained")
    config = json.loads((trained / "config.json").read_text()) | {"live_look_ahead": 1}
    (trained / "config.json").write_text(json.dumps(config))
    assert "whole videos" not in run("live", *options, "--model", trained)[2]


def test_seconds_and_other_sentences(live, tmp_path, talking_video):
    (tmp_path / "phrases.txt").write_text("bin blue at f two now\n")
    options = ("--seconds", 0.4, "--look-ahead", 1, "--grammar", tmp_path / "phrases.txt")
    status, _, errors = live(talking_video, "-o", tmp_path / "a.wav", *options)
    assert status == 0 and len(read_audio(tmp_path / "a.wav", 16000)) == 6400, errors


def test_a_pattern_for_a_camera(live, tmp_path):
    status, _, errors = live("--camera", PATTERN, "--seconds", 1, "-o", tmp_path / "a.wav")
    sound = read_audio(tmp_path / "a.wav", 16000)
    assert status == 0 and not sound.any() and len(sound) == pytest.approx(16000, abs=3200), errors
    assert "No face was seen in any picture" in errors


@pytest.mark.parametrize(("number", "expected_status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_the_file_is_whole(live, tmp_path, number, expected_status):
    """The graph shows a camera that never ends."""

    def interrupt():
        until = time.monotonic() + 60
        while not list(tmp_path.iterdir()) and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(1.0)  # of pictures, which the command has begun to take
        os.kill(os.getpid(), number)

    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=interrupt)
    thread.start()
    status, out, errors = live("--camera", PATTERN, "-o", tmp_path / "a.wav")
    thread.join()
    assert status == expected_status and out == ""
    seconds = len(read_audio(tmp_path / "a.wav", 16000)) / 16000
    lines = errors.splitlines()
    assert lines[1] == f"{seconds:.2f} s of sound in {tmp_path / 'a.wav'}." and seconds > 0
    assert not any(line.startswith("error") for line in lines)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


@pytest.mark.timeout(60, func_only=True)
def test_whoever_listens_may_go_and_the_file_is_kept(tmp_path, tiny_model_dir):
    arguments = ("--camera", PATTERN, "-o", tmp_path / "a.wav", "-m", tiny_model_dir)
    with piped(tmp_path / "pipe", *arguments) as (out, wait):
        out.read(44 + 2 * 8000)
        out.close()
        assert wait() == (1, b"")
    assert len(read_audio(tmp_path / "a.wav", 16000)) >= 8000


def test_what_cannot_be_done_is_said_at_once(run, tmp_path, talking_video):
    (tmp_path / "there.wav").write_bytes(b"mine")
    for arguments, message in [
        ((talking_video, "--camera", "0", "-o", "a.wav"), "give one of them"),
        (("-o", tmp_path / "a.mp3"), r".wav or .flac"),
        (("-o", tmp_path), r".wav or .flac"),
        (("-o", tmp_path / "there.wav"), "exists already"),
        (("-m", tmp_path / "nowhere", "-o", tmp_path / "a.wav"), "nowhere"),
    ]:
        assert message in error_line(run("live", *arguments))
    assert (tmp_path / "there.wav").read_bytes() == b"mine" and not (tmp_path / "a.wav").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--camera", "/nowhere/video9"), "camera /nowhere/video9: it cannot be opened"),
        (("nowhere.mp4",), "nowhere.mp4"),
    ],
)
def test_a_missing_source_leaves_no_file(live, tmp_path, arguments, message):
    assert message in error_line(live(*arguments, "-o", tmp_path / "a.wav"))
    assert list(tmp_path.iterdir()) == []


def test_without_a_sound_device_the_way_out_is_named(live, talking_video):
    """Nor without PortAudio, which Linux has to bring."""
    with contextlib.suppress(Lip2WavError):
        if player.list_sound_devices():
            pytest.skip("this machine has a sound device")
    line = error_line(live(talking_video))
    assert re.match("error: (no sound device: |PortAudio|Playing sound needs)", line)
    assert "-o FILE" in line and "-o -" in line


@pytest.mark.parametrize("arguments", [("--device", "no such device"), ("--camera", "/nowhere/video9", "-o", "a.wav")])
def test_what_is_not_there_is_said_before_the_model_is_loaded(tmp_path, arguments):
    code = (
        f"import sys; from lip2wav_hf.commands.main import main\ntry: main(['live', *{arguments!r}])\n"
        "finally: print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (found.returncode, found.stdout) == (2, "False\n")
    assert re.match(r"error: (camera|sound device|PortAudio|Playing)", found.stderr)


@pytest.fixture(scope="module")
def portaudio():
    """Needed to play anything."""
    try:
        player.sound_library()
    except Lip2WavError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def null_sink(tmp_path_factory, portaudio):
    """Variables under which the sound device is PulseAudio's null sink, which keeps real time and can be heard."""
    for program in ("pulseaudio", "parec"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt install pulseaudio pulseaudio-utils libasound2-plugins")
    folder = tmp_path_factory.mktemp("pulse")
    (folder / ".asoundrc").write_text("pcm.!default { type pulse }\n")
    home = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PULSE_SERVER": f"unix:{folder}/pulse.sock"}
    modules = (
        "module-null-sink sink_name=test rate=16000",
        (f"module-native-protocol-unix socket={folder}/pulse.sock auth-anonymous=1"),
    )
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes"]
    command += [word for module in modules for word in ("-L", module)]
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(command, env=os.environ | home, stdout=log, stderr=log)
    until = time.monotonic() + 20
    while not (folder / "pulse.sock").exists() and server.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    if server.poll() is not None:
        pytest.skip(f"pulseaudio does not run here: {(folder / 'log').read_text()[-300:]}")
    yield home
    server.terminate()
    server.wait()


def test_a_sound_device_plays_what_is_said(null_sink, talking_video, tiny_model_dir, expected, tmp_path):
    record = ["parec", "-d", "test.monitor", "--rate=16000", "--channels=1", "--format=s16le", "--latency-msec=10"]
    with (tmp_path / "heard.raw").open("wb") as file:  # a pipe that nobody reads meanwhile is full after two seconds
        recorder = subprocess.Popen(record, env=os.environ | null_sink, stdout=file)
    try:
        with started(
            talking_video, "-m", tiny_model_dir, environment=null_sink, stderr=subprocess.PIPE, text=True
        ) as process:
            errors = process.communicate(timeout=120)[1]
        time.sleep(0.5)
    finally:
        recorder.terminate()
        recorder.wait()
    heard = np.fromfile(tmp_path / "heard.raw", "<i2").astype(np.float32) / 32767
    assert process.returncode == 0 and "; 0 ms left out" in errors and "ALSA" not in errors, errors
    spoken = np.flatnonzero(heard)
    heard, length, best = heard[spoken[0] : spoken[-1] + 1], 4000, 0.0
    for start in range(0, len(expected) - length, length):  # on a busy machine there may be gaps between these
        part = expected[start : start + length]
        energy = np.sqrt(np.convolve(heard**2, np.ones(len(part)), "valid")) * np.linalg.norm(part) + 1e-9
        best = max(best, float((np.correlate(heard, part, "valid") / energy).max()))
    assert best > 0.98, (best, errors)


def test_devices_are_listed(null_sink):
    with started("--list-devices", environment=null_sink, stdout=subprocess.PIPE, text=True) as process:
        out = process.communicate(timeout=120)[0]
    assert process.returncode == 0 and "default  (default)" in out and out.startswith("Cameras:\n")


@pytest.mark.usefixtures("portaudio")
def test_a_device_of_another_name(live, talking_video):
    line = error_line(live(talking_video, "--device", "no such device"))
    assert "no such device" in line and "--list-devices" in line


class Terminal(io.StringIO):
    def isatty(self):
        return True


def as_terminal(monkeypatch):
    """What stderr shows, as on a terminal."""
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    return terminal


def test_the_report_repeats_the_words_and_knows_no_latency_that_was_not_measured():
    words = [{"word": "bin", "start": 0.0, "end": 0.1, "confidence": 1.0}] * 2
    progress, output = LiveProgress(), player.SoundPipe(io.BytesIO(), 16000, 640)
    assert "Words" not in _report(progress, [output], []) and "Latency" not in _report(progress, [output], [])
    assert "recognised" not in _report(progress, [output], [])  # without a face, that is what is said
    progress.seen = True
    assert "\nNo words were recognised: the sound is probably not" in _report(progress, [output], [])
    assert "\nThis model reads no words." in _report(progress, [output], [], reads_words=False)
    progress.add(words, ["Bin", "bin"])
    assert "recognised" not in _report(progress, [output], [])
    assert "\nWords: Bin bin" in _report(progress, [output], []) and "wrong" not in _report(progress, [output], [])
    progress.add([words[0] | {"confidence": 0.2}], ["bin"])
    assert "\nThey were read with a confidence of 0.73: some are probably wrong." in _report(progress, [output], [])
    assert "a larger --look-ahead, such as 8, reads more surely" in _report(progress, [output], [])
    progress.add(words * 30, ["bin"] * 60)
    assert "\nWords: … bin bin" in _report(progress, [output], [])  # the newest ones
    for seconds, said in ((0.1, "100 ms, 95 % within 100 ms"), (8.0, "100 ms, more than 5000 ms at times")):
        output.latencies.add(seconds)
        assert f"to its sound: {said}." in _report(progress, [output], [])
    for _ in range(38):
        output.latencies.add(0.1)
    often = "100 ms, 95 % within 100 ms, more than 5000 ms at times"
    assert f"to its sound: {often}." in _report(progress, [output], [])
    for _ in range(50):
        output.latencies.add(9.0)
    assert "to its sound: more than 5000 ms: this machine is too slow, or busy." in _report(progress, [output], [])


def test_the_report_does_not_hide_what_is_rare():
    """A most within twice the usual is none of its lines; a device that began late, or not at all, is."""
    device = player.SoundDevice.__new__(player.SoundDevice)
    device.queue = player.PlayQueue(16000)
    device.latencies, device.began = device.queue.latencies, 1.9
    for seconds in [0.2] * 99 + [0.4]:
        device.latencies.add(seconds)
    report = _report(LiveProgress(), [device], [])
    assert "200 ms, 95 % within 200 ms." in report and "The sound device" not in report
    device.latencies.add(2.1)
    device.began = 2.44
    report = _report(LiveProgress(), [device], [])
    assert "to its sound: 200 ms, 95 % within 200 ms, at most 2100 ms." in report
    assert "\nThe sound device began 2.4 s after it was opened: what was said before is late or left out." in report
    device.began = float("inf")
    assert "\nThe sound device has not begun: " in _report(LiveProgress(), [device], [])


def test_a_terminal_says_what_is_waited_for(monkeypatch):
    terminal = as_terminal(monkeypatch)
    with waiting("loading grid-s1"):
        assert terminal.getvalue() == "loading grid-s1 …"
    assert terminal.getvalue().endswith("\r\x1b[K")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with waiting("loading grid-s1"):
        pass
    assert sys.stderr.getvalue() == ""  # a file or a pipe gets messages only


def test_a_terminal_shows_how_it_goes_in_one_line(monkeypatch):
    terminal = as_terminal(monkeypatch)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_, **__: os.terminal_size((60, 24)))
    progress = LiveProgress(samples=83 * 16000, behind=2, face=True, latency=0.1724)
    for word in ["bin"] + ["blue"] * 20 + ["Now!"]:
        progress.add([{"word": word, "start": 0.0, "end": 0.1, "confidence": 1.0}], [word])
    with _StatusLine(True) as line:
        line.show(progress)
        line.show(progress)  # too soon for another one
    shown = terminal.getvalue().split("\r\x1b[K")
    assert len(shown) == 3 and shown[0] == shown[2] == "" and len(shown[1]) == 59
    assert shown[1].startswith("1:23  172 ms  2 dropped  face  ") and shown[1].endswith(" blue Now!")
