"""How long the pipeline takes to load and to speak, and what memory a long video needs.

    python benchmarks/pipeline_speed.py [VIDEO] [--minutes 10] [--repeats 20]

Prints a Markdown table: time from `import` to a loaded pipeline; time and real-time factor of VIDEO (the bundled
sample by default) once loaded, and its processor time beside that of decoding the file alone; then time and memory of
`lip2wav speak` for a video of some minutes, made by repeating VIDEO, and of the pipeline, which returns all sound at
once. Processor time (user and system, of all threads) hardly depends on what else the machine does.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path


def measure_short(video: str, repeats: int) -> dict:
    """Seconds to load, and for each repetition on one video."""
    start = time.perf_counter()
    from transformers import pipeline

    import lip2wav_hf

    speak = pipeline("video-to-speech")
    loaded = time.perf_counter() - start
    video = video or str(Path(lip2wav_hf.__file__).parent / "assets" / "sample.mp4")
    first = time.perf_counter()
    speak(video)
    first = time.perf_counter() - first
    times, processor, decoding = [], [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        speech = speak(video)
        times.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
        used = time.process_time()
        for _ in lip2wav_hf.VideoReader(video):
            pass
        decoding.append(time.process_time() - used)
    duration = len(speech["audio"]) / speech["sampling_rate"]
    measured = {"load": loaded, "first": first, "times": times, "duration": duration, "video": video}
    return measured | {"processor": processor, "decoding": decoding}


def measure_command(video: str, folder: str) -> dict:
    """Processor time, duration and memory in bytes of `lip2wav speak`: at most, and its growth in the second half."""
    source = str(Path(__file__).resolve().parents[1] / "src")
    command = [sys.executable, "-m", "lip2wav_hf.commands.main", "speak", video, "-o", f"{folder}/speech.wav"]
    environment = os.environ | {"PYTHONPATH": source, "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen([*command, "--json", "--device", "cpu"], env=environment, stdout=output)
        sizes: list[int] = []
        while process.poll() is None:
            sizes.append(resident(process.pid))
            time.sleep(0.5)
        output.seek(0)
        record = json.loads(output.read())
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    half = sizes[len(sizes) // 2 :]
    return {
        "peak": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "processor": used.ru_utime + used.ru_stime,
        "duration": record["duration"],
        "growth": max(half[-5:]) - max(half[:5]) if len(half) > 10 else 0,
    }


def resident(process: int) -> int:
    """Memory of a process, in bytes; 0 where `/proc` does not say."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def measure_long(video: str, minutes: float) -> dict:
    """Peak resident memory, in bytes, of this process after speaking a video file of that many minutes."""
    from transformers import pipeline

    import lip2wav_hf  # noqa: F401, registers the task

    speak = pipeline("video-to-speech")
    start = time.perf_counter()
    speech = speak(video)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024
    return {"peak": peak, "seconds": seconds, "duration": len(speech["audio"]) / speech["sampling_rate"]}


def write_repeated(video: str, minutes: float, path: Path):
    """The pictures of a video over and over, as an MPEG-1 file of that many minutes."""
    import av

    with av.open(video) as container:
        frames = [frame.reformat(format="yuv420p") for frame in container.decode(video=0)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg1video", rate=25)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        stream.bit_rate = 1_000_000
        for number in range(round(minutes * 60 * 25)):
            frame = frames[number % len(frames)]
            frame.pts, frame.time_base = number, Fraction(1, 25)
            frame.pict_type = av.video.frame.PictureType.NONE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def in_fresh_process(*arguments: str) -> dict:
    """This script's measurement in a process of its own, so that neither time nor memory is shared."""
    result = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", default="", help="a video of a face; the bundled sample by default")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the long video; 0 for none")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--measure", choices=("short", "long", "command"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        if options.measure == "command":
            with tempfile.TemporaryDirectory() as folder:
                measured = measure_command(options.video, folder)
        elif options.measure == "long":
            measured = measure_long(options.video, options.minutes)
        else:
            measured = measure_short(options.video, options.repeats)
        print(json.dumps(measured))
        return
    short = in_fresh_process(options.video, "--measure", "short", "--repeats", str(options.repeats))
    median, duration = statistics.median(short["times"]), short["duration"]
    print(f"{platform.platform()}, Python {platform.python_version()}\n\n| what | measured |\n|---|---|")
    print(f"| import and load | {short['load']:.1f} s |")
    print(f"| first {duration:.1f} s clip | {short['first']:.2f} s |")
    print(f"| a {duration:.1f} s clip once loaded, median of {options.repeats} | {median:.3f} s |")
    print(f"| slowest of them | {max(short['times']):.3f} s |")
    print(f"| real-time factor | {median / duration:.3f} |")
    used, decoding = statistics.median(short["processor"]), statistics.median(short["decoding"])
    print(f"| processor time of the clip; of decoding it alone | {used:.3f} s; {decoding:.3f} s |")
    print(f"| ratio of these | {used / decoding:.1f} |")
    if options.minutes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "long.mpg"
            write_repeated(short["video"], options.minutes, path)
            command = in_fresh_process(str(path), "--measure", "command")
            long = in_fresh_process(str(path), "--measure", "long")
        minutes = command["duration"] / 60
        print(f"| `lip2wav speak`, {minutes:.1f} minutes of video: peak memory | {command['peak'] / 1e6:.0f} MB |")
        print(f"| its growth in the second half, for each minute | {2 * command['growth'] / minutes / 1e6:.2f} MB |")
        print(f"| its processor time | {command['processor']:.0f} s |")
        print(f"| the pipeline, for the same: peak memory | {long['peak'] / 1e6:.0f} MB |")
        print(f"| its time | {long['seconds']:.0f} s |")


if __name__ == "__main__":
    main()
