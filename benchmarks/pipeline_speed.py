"""How long the pipeline takes to load and to speak, and what memory a long video needs.

    python benchmarks/pipeline_speed.py [VIDEO] [--minutes 10] [--repeats 20]

Prints a Markdown table: time from `import` to a loaded pipeline, time and real-time factor of VIDEO (the bundled
sample by default) once loaded, and the peak memory of a process that speaks a video of some minutes, made by
repeating VIDEO.
"""

import argparse
import json
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
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        speech = speak(video)
        times.append(time.perf_counter() - start)
    duration = len(speech["audio"]) / speech["sampling_rate"]
    return {"load": loaded, "first": first, "times": times, "duration": duration, "video": video}


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
    parser.add_argument("--measure", choices=("short", "long"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measured = (
            measure_short(options.video, options.repeats)
            if options.measure == "short"
            else measure_long(options.video, options.minutes)
        )
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
    if options.minutes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "long.mpg"
            write_repeated(short["video"], options.minutes, path)
            long = in_fresh_process(str(path), "--measure", "long")
        print(f"| peak memory, {long['duration'] / 60:.1f} minutes of video | {long['peak'] / 1e9:.2f} GB |")
        print(f"| time for it | {long['seconds']:.0f} s |")


if __name__ == "__main__":
    main()
