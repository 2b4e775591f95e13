"""Speaking on a GPU: clips in batches, what of the time is the generator's, and what travels between the two.

    python benchmarks/gpu.py [VIDEO] [--device cuda] [--batches 1,8,32,128] [--repeats 20]

Prints a Markdown table for VIDEO (the bundled sample by default), read once and spoken in batches of so many copies:
milliseconds of the generator alone, with its inputs on the device; of all steps after reading; video seconds spoken
per second; memory; and how often the processor waits for the device (copies in either direction) in one batch.
Without a GPU it says so, and measures nothing unless `--device cpu` asks for it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def seconds(step: Callable[[], object], wait: Callable[[], object], repeats: int) -> float:
    """Median time of a step, until the device is done."""
    times = []
    for number in range(repeats + 2):
        wait()
        start = time.perf_counter()
        step()
        wait()
        if number >= 2:  # the first ones warm up
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def waits(step: Callable[[], object], is_cuda: bool) -> str:
    """How often the processor waited for the device in a step, as CUDA's own debugging mode counts it."""
    import warnings

    import torch

    if not is_cuda:
        return "-"
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return str(sum("synchroniz" in str(each.message) for each in caught))


def rows(video: str, place: str, dtype: str, batches: list[int], repeats: int) -> None:
    """Print a row for each size of batch."""
    import torch

    import lip2wav_hf
    from lip2wav_hf.models import DEFAULT_MODEL, SPEAKING, find_model
    from lip2wav_hf.speaking import Speaker

    speaker = Speaker.from_folder(find_model(DEFAULT_MODEL, SPEAKING), place, dtype)
    device, is_cuda = speaker.model.device, speaker.model.device.type == "cuda"
    wait = torch.cuda.synchronize if is_cuda else lambda: None
    name = torch.cuda.get_device_name(device) if is_cuda else f"{torch.get_num_threads()} threads of the processor"
    one = speaker.prepare(video or str(Path(lip2wav_hf.__file__).parent / "assets" / "sample.mp4"))
    print(f"{name}, torch {torch.__version__}, {speaker.model.dtype}\n")
    print("| clips at once | generator, ms | all after reading, ms | video s per s | MB on the device | waits |")
    print("|---|---|---|---|---|---|")
    for size in batches:
        inputs: dict[str, Any] = {
            key: one[key].expand(size, *one[key].shape[1:]).contiguous()
            for key in ("pixel_values_videos", "frame_mask")
        }
        there = {key: value.to(device) for key, value in inputs.items()}
        given = inputs | {"clip": [one["clip"]] * size}
        if is_cuda:
            torch.cuda.reset_peak_memory_stats(device)
        with torch.inference_mode():
            alone = seconds(lambda there=there: speaker.model(**there), wait, repeats)
            whole = seconds(lambda given=given: speaker.generate(given)["waveform"].cpu(), wait, repeats)
            waited = waits(lambda there=there: speaker.model(**there), is_cuda)
        memory = f"{torch.cuda.max_memory_allocated(device) / 1e6:.0f}" if is_cuda else "-"
        duration = size * inputs["frame_mask"].shape[1] / speaker.model.config.frame_rate
        print(f"| {size} | {1000 * alone:.1f} | {1000 * whole:.1f} | {duration / whole:.0f} | {memory} | {waited} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", default="", help="a video of a face; the bundled sample by default")
    parser.add_argument("--device", default="cuda", help="such as cuda:1; cpu for a comparison (default cuda)")
    parser.add_argument("--dtype", default="auto", help="what the generator calculates in, such as bfloat16")
    parser.add_argument("--batches", default="1,8,32,128", help="clips at once (default 1,8,32,128)")
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    import torch

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no GPU: torch finds none here. For the same table of the processor: --device cpu", file=sys.stderr)
        return
    rows(
        options.video,
        options.device,
        options.dtype,
        [int(each) for each in options.batches.split(",")],
        options.repeats,
    )


if __name__ == "__main__":
    main()
