"""How long the pipeline takes to load and to speak, and what memory a long video needs.

    python benchmarks/pipeline_speed.py [VIDEO] [--minutes 10] [--repeats 20] [--dtype bfloat16]
        [--runtime onnx] [--landmark-interval 3] [--heights 720,1080] [--rate 30]

Prints a Markdown table: time from `import` to a loaded pipeline; time and real-time factor of VIDEO (the bundled
sample by default) once loaded, and its processor time beside that of decoding the file alone (with PyAV, to RGB) and
of the steps; the same video enlarged to other heights; then time and memory of `lip2wav speak` for a video of some
minutes, made by repeating VIDEO, and of the pipeline, which returns all sound at once. Processor time (user and
system, of all threads) hardly depends on what else the machine does; ratios within one run even less.
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


def load(dtype: str, runtime: str):
    """What speaks a video, and its steps, a `Speaker`."""
    if runtime == "onnx":
        from lip2wav_hf import Lip2WavFeatureExtractor
        from lip2wav_hf.lite.generator import OnnxGenerator
        from lip2wav_hf.lite.graphs import CLIPS, INT8_CLIPS, open_graphs
        from lip2wav_hf.models import find_model
        from lip2wav_hf.speaking import Speaker

        folder = find_model("grid-s1")
        generator = OnnxGenerator.from_folder(folder, open_graphs(folder, INT8_CLIPS if dtype == "int8" else CLIPS))
        speaker = Speaker(generator, Lip2WavFeatureExtractor.from_pretrained(folder))
        return lambda video: speaker([video])[0], speaker
    from transformers import pipeline

    import lip2wav_hf  # noqa: F401, registers the task

    speak = pipeline("video-to-speech", dtype=dtype)
    return speak, speak._speaker


def measure_short(video: str, repeats: int, dtype: str, runtime: str, landmark_interval: int) -> dict:
    """Seconds to load, and for each repetition on one video; processor time of the whole and of its steps."""
    start = time.perf_counter()
    import lip2wav_hf

    speak, speaker = load(dtype, runtime)
    loaded, extractor = time.perf_counter() - start, speaker.feature_extractor
    extractor.landmark_interval = landmark_interval or extractor.landmark_interval
    video = video or str(Path(lip2wav_hf.__file__).parent / "assets" / "sample.mp4")
    first = time.perf_counter()
    speech = speak(video)
    first = time.perf_counter() - first
    crops = extractor.center_crop(extractor.extract(video).regions)
    steps = {
        "decoding": lambda: decode(video),
        "reading": lambda: [None for _ in lip2wav_hf.VideoReader(video)],
        "reading, tracking, cropping": lambda: extractor.extract(video),
        "generating": lambda: generate(speaker, crops),
        "whole": lambda: speak(video),
    }
    times: list[float] = []
    processor: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats):  # in turn, so that what else the machine does falls on all of them
        for name, step in steps.items():
            start, used = time.perf_counter(), time.process_time()
            step()
            processor[name].append(time.process_time() - used)
        times.append(time.perf_counter() - start)
    duration = len(speech["audio"]) / speech["sampling_rate"]
    measured = {"load": loaded, "first": first, "times": times, "duration": duration, "video": video}
    return measured | {"processor": {name: statistics.median(each) for name, each in processor.items()}}


def decode(video: str) -> None:
    """All pictures of a video in RGB, with PyAV alone."""
    import av

    with av.open(video) as container:
        for frame in container.decode(video=0):
            frame.to_ndarray(format="rgb24")


def generate(speaker, crops) -> None:
    """What comes after the crops `(frames, height, width)` are known."""
    pixels = speaker._input(speaker.feature_extractor.normalize(crops)[None, :, None])
    mask = speaker._input([[1] * len(crops)])
    clip = {"name": "clip", "face_coverage": 1.0}
    speaker.finish(speaker.generate({"pixel_values_videos": pixels, "frame_mask": mask, "clip": clip}))


def write_enlarged(video: str, height: int, rate: int, path: Path) -> None:
    """A video with pictures of that height, so many in a second, in H.264."""
    import av

    with av.open(video) as source, av.open(str(path), "w") as target:
        shape = source.streams.video[0]
        stream = target.add_stream("libx264", rate=rate)
        stream.width, stream.height = round(shape.width * height / shape.height / 2) * 2, height
        stream.pix_fmt, stream.bit_rate = "yuv420p", 200 * height * height // 100
        for number, frame in enumerate(source.decode(video=0)):
            larger = frame.reformat(stream.width, stream.height, "yuv420p")
            larger.pts, larger.time_base = number, Fraction(1, rate)
            larger.pict_type = av.video.frame.PictureType.NONE
            target.mux(stream.encode(larger))
        target.mux(stream.encode(None))


def measure_command(video: str, folder: str, dtype: str, runtime: str, landmark_interval: int) -> dict:
    """Processor time, duration and memory in bytes of `lip2wav speak`: at most, and its growth in the second half."""
    source = str(Path(__file__).resolve().parents[1] / "src")
    command = [sys.executable, "-m", "lip2wav_hf.commands.main", "speak", video, "-o", f"{folder}/speech.wav"]
    command += [] if dtype == "auto" else ["--dtype", dtype]
    command += ["--landmark-interval", str(landmark_interval)] if landmark_interval else []
    command += ["--runtime", runtime]
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


def print_short(short: dict, repeats: int) -> None:
    """The rows on one video."""
    median, duration, used = statistics.median(short["times"]), short["duration"], short["processor"]
    print(f"| import and load | {short['load']:.1f} s |")
    print(f"| first {duration:.1f} s clip | {short['first']:.2f} s |")
    print(f"| a {duration:.1f} s clip once loaded, median of {repeats} | {median:.3f} s |")
    print(f"| slowest of them | {max(short['times']):.3f} s |")
    print(f"| real-time factor | {median / duration:.3f} |")
    print(f"| processor time of the clip | {used['whole']:.3f} s |")
    for name in ("reading", "reading, tracking, cropping", "generating"):
        print(f"| processor time of {name} | {used[name]:.3f} s |")
    print(f"| processor time of decoding the file alone, with PyAV | {used['decoding']:.3f} s |")
    print(f"| the clip's in units of that | {used['whole'] / used['decoding']:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", default="", help="a video of a face; the bundled sample by default")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the long video; 0 for none")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--dtype", default="auto", help="what the generator calculates in, such as bfloat16")
    parser.add_argument("--runtime", choices=("torch", "onnx"), default="torch", help="what the generator runs in")
    parser.add_argument("--landmark-interval", type=int, default=0, help="of the feature extractor")
    parser.add_argument("--rate", type=int, default=25, help="pictures per second of the enlarged videos")
    parser.add_argument("--heights", default="", help="enlarge the video to these heights too, such as 720,1080")
    parser.add_argument("--measure", choices=("short", "long", "command"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        how = (options.dtype, options.runtime, options.landmark_interval)
        if options.measure == "command":
            with tempfile.TemporaryDirectory() as folder:
                measured = measure_command(options.video, folder, *how)
        elif options.measure == "long":
            measured = measure_long(options.video, options.minutes)
        else:
            measured = measure_short(options.video, options.repeats, *how)
        print(json.dumps(measured))
        return
    settings = ("--measure", "short", "--repeats", str(options.repeats), "--dtype", options.dtype)
    settings += ("--runtime", options.runtime, "--landmark-interval", str(options.landmark_interval))
    short = in_fresh_process(options.video, *settings)
    print(f"{platform.platform()}, Python {platform.python_version()}\n\n| what | measured |\n|---|---|")
    print_short(short, options.repeats)
    with tempfile.TemporaryDirectory() as folder:
        for height in filter(None, options.heights.split(",")):
            path = Path(folder) / f"{height}.mp4"
            write_enlarged(short["video"], int(height), options.rate, path)
            larger = in_fresh_process(str(path), *settings)
            duration, used = larger["duration"], larger["processor"]
            print(f"| {height} lines: processor time | {used['whole']:.3f} s, of decoding {used['decoding']:.3f} s |")
            print(f"| video per second of it | {duration / used['whole']:.1f} s |")
        if options.minutes:
            print_long(short["video"], options.minutes, settings[4:], Path(folder) / "long.mpg")


def print_long(video: str, minutes: float, settings: tuple[str, ...], path: Path) -> None:
    """The rows on a long video, which is written to `path`."""
    write_repeated(video, minutes, path)
    start = time.perf_counter()
    command = in_fresh_process(str(path), "--measure", "command", *settings)
    seconds = time.perf_counter() - start
    minutes = command["duration"] / 60
    print(f"| `lip2wav speak`, {minutes:.1f} minutes of video: peak memory | {command['peak'] / 1e6:.0f} MB |")
    print(f"| its growth in the second half, for each minute | {2 * command['growth'] / minutes / 1e6:.2f} MB |")
    print(f"| its time, and processor time | {seconds:.0f} s, {command['processor']:.0f} s |")
    print(f"| video per second, and per second of processor time | {minutes * 60 / seconds:.1f} s,", end=" ")
    print(f"{minutes * 60 / command['processor']:.1f} s |")
    if minutes <= 20 and "onnx" not in settings:
        long = in_fresh_process(str(path), "--measure", "long")
        print(f"| the pipeline, for the same: peak memory | {long['peak'] / 1e6:.0f} MB |")
        print(f"| its time | {long['seconds']:.0f} s |")


if __name__ == "__main__":
    main()
