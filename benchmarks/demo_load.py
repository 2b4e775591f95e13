"""How the demo page holds up: when it is ready, how long an answer takes, and what 20 requests at once leave behind.

    python benchmarks/demo_load.py [VIDEO] [--requests 20] [--repeats 10]
    python benchmarks/demo_load.py --seconds 600      20 visitors for ten minutes, one answer after the other

Starts `python demo/app.py` on a free port of 127.0.0.1, asks it through `gradio_client` as a program would, and stops
it. VIDEO is a rendered talking face of 3 s with sound by default. Prints a Markdown table. A browser sends the same
requests, and fetches the files that it shows besides.
"""

import argparse
import contextlib
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from gradio_client import Client, handle_file


APP = Path(__file__).resolve().parents[1] / "demo" / "app.py"
ROUNDS = 2  # of requests at once: what grows in the second too is a leak
SETTLE_SECONDS = 2.0


class Server:
    """The page in a process of its own, whose files all lie in `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder
        environment = {**os.environ, "TMPDIR": str(folder), "HF_HUB_OFFLINE": "1"}
        start = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, str(APP), "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment
        )
        line = self.process.stdout.readline()
        self.start_seconds = time.perf_counter() - start
        found = re.search(r"^(\S+) .*loaded in ([\d.]+) s, page up ([\d.]+) s later", line)
        if not found:
            raise SystemExit(f"error: {APP} did not start: {line!r}")
        self.url, self.load_seconds, self.up_seconds = found[1], float(found[2]), float(found[3])
        start = time.perf_counter()
        with urllib.request.urlopen(self.url) as response:
            response.read()
        self.ready_seconds = self.up_seconds + time.perf_counter() - start

    def memory(self) -> int:
        """Resident memory of the process and what it started, in bytes."""
        process = psutil.Process(self.process.pid)
        return sum(part.memory_info().rss for part in (process, *process.children(recursive=True)))

    def processor_seconds(self) -> float:
        """Processor time that the process has used: hardly changed by what else the machine does."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def files(self) -> int:
        """How many files the server keeps."""
        return sum(path.is_file() for path in self.folder.rglob("*"))

    def stop(self) -> int:
        """End it; how many files it leaves."""
        self.process.terminate()
        self.process.wait(timeout=60)
        return self.files()


class Peak:
    """The largest of a server's memory sizes while the block runs, in bytes."""

    def __init__(self, server: Server):
        self.server, self.value = server, 0
        self._over = threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._over.set()
        self._thread.join()

    def _watch(self):
        while not self._over.wait(0.1):
            self.value = max(self.value, self.server.memory())


def ask(client: Client, video: str, checkpoint: str) -> tuple[float, str]:
    """(seconds until the answer is there, the words)."""
    start = time.perf_counter()
    _, _, details = client.predict(handle_file(video), checkpoint, api_name="/speak")
    return time.perf_counter() - start, details["text"]


def ask_at_once(clients: list[Client], video: str, checkpoint: str) -> tuple[float, list[float], int]:
    """(seconds until the last answer, seconds of each, how many answers were the right one)."""
    expected = ask(clients[0], video, checkpoint)[1]
    start = time.perf_counter()
    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(lambda client: ask(client, video, checkpoint), clients))
    total = time.perf_counter() - start
    return total, [seconds for seconds, _ in answers], sum(text == expected for _, text in answers)


def pipeline_seconds(video: str, repeats: int) -> float:
    """Median time of the pipeline alone, in this process."""
    from transformers import pipeline
    from transformers.utils import logging

    import lip2wav_hf

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    speak = pipeline("video-to-speech", model=lip2wav_hf.DEFAULT_CHECKPOINT)
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        speak(video, return_crops=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def default_video(folder: Path) -> str:
    from lip2wav_hf.synthetic.corpus import write_clip

    path = folder / "bbaf2n.mp4"
    write_clip(path, "bbaf2n")
    return str(path)


def client_of(server: Server, folder: Path) -> Client:
    """A visitor of the page, who keeps the answers in a folder."""
    downloads = str(folder / "downloads")
    return Client(server.url, verbose=False, download_files=downloads, httpx_kwargs={"timeout": 300.0})


def measure(video: str, requests: int, repeats: int, folder: Path) -> list[tuple[str, str]]:
    """The rows of the table."""
    served = folder / "served"
    served.mkdir()
    alone = pipeline_seconds(video, repeats)
    server = Server(served)
    with contextlib.ExitStack() as stack:
        stack.callback(server.process.kill)
        clients = [client_of(server, folder) for _ in range(requests)]
        checkpoint = clients[0].predict(api_name="/checkpoints")[0]
        times = [ask(clients[0], video, checkpoint)[0]]
        processor = server.processor_seconds()
        times += [ask(clients[0], video, checkpoint)[0] for _ in range(repeats)]
        processor = (server.processor_seconds() - processor) / repeats
        before = server.memory()
        rows = [
            ("start of the process until the models are loaded", f"{server.start_seconds - server.up_seconds:.1f} s"),
            ("models loaded until the page is served", f"{server.ready_seconds:.2f} s"),
            ("first answer", f"{times[0]:.2f} s"),
            (f"an answer, median of {repeats}", f"{statistics.median(times[1:]):.2f} s"),
            ("slowest of them", f"{max(times[1:]):.2f} s"),
            ("processor time of the server for it, all cores", f"{processor:.2f} s"),
            ("the pipeline alone, in a process of its own", f"{alone:.2f} s"),
            ("memory before", f"{before / 1e6:.0f} MB"),
        ]
        for number in range(1, ROUNDS + 1):
            with Peak(server) as peak:
                total, each, right = ask_at_once(clients, video, checkpoint)
            time.sleep(SETTLE_SECONDS)
            rows += [
                (f"{requests} requests at once, round {number}: answered", f"{right} of {requests}"),
                ("first, median and last answer", f"{min(each):.1f}, {statistics.median(each):.1f}, {total:.1f} s"),
                ("memory at most, and after", f"{peak.value / 1e6:.0f}, {server.memory() / 1e6:.0f} MB"),
            ]
        rows.append(("files kept while it runs (removed after 15 minutes)", str(server.files())))
        rows.append(("files left after it has ended", str(server.stop())))
    return rows


def visit(client: Client, video: str, checkpoint: str, until: float) -> list[tuple[float, str]]:
    """(seconds until it was there, the words or the error) of each answer that a visitor gets, one after the other."""
    answers = []
    while time.monotonic() < until:
        start = time.perf_counter()
        try:
            answers.append(ask(client, video, checkpoint))
        except Exception as error:
            answers.append((time.perf_counter() - start, f"{type(error).__name__}: {error}"))
    return answers


def endure(video: str, visitors: int, seconds: float, folder: Path) -> list[tuple[str, str]]:
    """The rows of the table of visitors who ask for some time without a pause."""
    served = folder / "served"
    served.mkdir()
    server = Server(served)
    with contextlib.ExitStack() as stack:
        stack.callback(server.process.kill)
        clients = [client_of(server, folder) for _ in range(visitors)]
        checkpoint = clients[0].predict(api_name="/checkpoints")[0]
        expected = ask(clients[0], video, checkpoint)[1]
        ask_at_once(clients, video, checkpoint)  # what the first visitors need is kept for the next
        before, processor, until = server.memory(), server.processor_seconds(), time.monotonic() + seconds
        memory = []
        with ThreadPoolExecutor(visitors) as pool, Peak(server) as peak:
            visits = [pool.submit(visit, client, video, checkpoint, until) for client in clients]
            while not all(each.done() for each in visits):
                memory.append(server.memory())
                time.sleep(1)
        answers = [answer for each in visits for answer in each.result()]
        lost = [text for _, text in answers if text != expected]
        processor = server.processor_seconds() - processor
        quarter = max(len(memory) // 4, 1)
        second, last = memory[quarter : 2 * quarter] or memory, memory[-quarter:]
        time.sleep(SETTLE_SECONDS)
        return [
            ("visitors, minutes", f"{visitors}, {seconds / 60:g}"),
            ("answers, of which wrong or lost", f"{len(answers)}, {len(lost)}"),
            *(("of these", text[:200]) for text in sorted(set(lost))[:3]),
            ("of the visitor with the fewest and with the most", spread([len(each.result()) for each in visits])),
            ("median and slowest answer", "{:.1f}, {:.1f} s".format(*median_and_most([each for each, _ in answers]))),
            ("processor time of the server per answer, all cores", f"{processor / max(len(answers), 1):.2f} s"),
            ("memory before, at most, and after", megabytes(before, peak.value, server.memory())),
            (
                "mean memory in the second and in the last quarter",
                megabytes(statistics.mean(second), statistics.mean(last)),
            ),
            ("files left after it has ended", str(server.stop())),
        ]


def megabytes(*sizes: float) -> str:
    """Sizes in bytes."""
    return ", ".join(f"{size / 1e6:.0f}" for size in sizes) + " MB"


def spread(counts: list[int]) -> str:
    """The least and the most."""
    return f"{min(counts)}, {max(counts)}"


def median_and_most(times: list[float]) -> tuple[float, float]:
    """The median, and the largest of them."""
    return statistics.median(times), max(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", help="a video of a face; a rendered one by default")
    parser.add_argument("--requests", type=int, default=20, help="how many at once")
    parser.add_argument("--repeats", type=int, default=10, help="answers one after the other")
    parser.add_argument("--seconds", type=float, help="ask without a pause for this long, instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video = options.video or default_video(Path(folder))
        load = os.getloadavg()[0]
        if options.seconds:
            rows = endure(video, options.requests, options.seconds, Path(folder))
        else:
            rows = measure(video, options.requests, options.repeats, Path(folder))
    print(
        f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores, load before {load:.1f}\n"
    )
    print("| what | measured |\n|---|---|")
    for what, measured in rows:
        print(f"| {what} | {measured} |")


if __name__ == "__main__":
    main()
