"""Steps per second, memory and where the time goes, of each training configuration.

    python benchmarks/training_speed.py --data path/to/grid configs/grid_s1.yaml …

Each configuration runs in a process of its own: some steps to warm up, some that are timed, some that are profiled.
"""

import argparse
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path


GROUPS = {  # operators of the profile, by what they are part of
    "convolutions": ("conv", "mkldnn"),
    "matrix products": ("mm", "linear", "matmul"),
    "attention": ("attention",),
    "Fourier transforms": ("fft", "stft"),
    "normalisation": ("norm",),
    "optimiser": ("adam", "foreach", "lerp"),
}


def measure(config: str, arguments: argparse.Namespace) -> dict:
    """Times of one configuration, in this process."""
    import torch

    from lip2wav_hf.train import parse_arguments
    from lip2wav_hf.training import build, loop

    with tempfile.TemporaryDirectory() as output:
        options = [config, "--data_dir", *arguments.data, "--cache_dir", arguments.cache]
        options += ["--output_dir", output, "--with_tracking", "false", "--max_steps", "1000000"]
        options += ["--dataloader_workers", str(arguments.workers), *arguments.option]
        state = build.build_state(parse_arguments(options))
        state.objective.train()
        batches, clips = endless(state.train_loader), 0
        step_times, wait_times = [], []
        for number in range(arguments.warm_up + arguments.steps):
            start = time.perf_counter()
            batch = next(batches)
            loaded = time.perf_counter()
            loop.train_step(state, batch)
            state.progress.step += 1
            if number >= arguments.warm_up:
                wait_times.append(loaded - start)
                step_times.append(time.perf_counter() - start)
                clips += len(batch["labels"])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            for _ in range(arguments.profiled):
                loop.train_step(state, next(batches))
    return {
        "config": Path(config).name,
        "seconds_a_step": sum(step_times) / len(step_times),
        "clips_a_second": clips / sum(step_times),
        "waiting_for_data": sum(wait_times) / sum(step_times),
        "peak_gb": peak,
        "parameters": sum(parameter.numel() for parameter in state.model.parameters()),
        "profile": shares(profile),
    }


def endless(loader):
    """Batches without end."""
    while True:
        yield from loader


def shares(profile) -> dict[str, float]:
    """Share of each group of operators in the time of all."""
    totals = dict.fromkeys([*GROUPS, "other"], 0.0)
    for event in profile.key_averages():
        name = event.key.lower()
        group = next((group for group, parts in GROUPS.items() if any(part in name for part in parts)), "other")
        totals[group] += event.self_cpu_time_total
    whole = sum(totals.values())
    return {group: value / whole for group, value in sorted(totals.items(), key=lambda item: -item[1])}


def table(results: list[dict]) -> str:
    """Markdown."""
    lines = [
        "| configuration | network | s per step | clips/s | waiting for data | peak memory | where the time goes |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        where = ", ".join(f"{group} {share:.0%}" for group, share in list(result["profile"].items())[:5])
        cells = [
            f"`{result['config']}`",
            f"{result['parameters'] / 1e6:.1f} M",
            f"{result['seconds_a_step']:.2f}",
            f"{result['clips_a_second']:.1f}",
            f"{result['waiting_for_data']:.1%}",
            f"{result['peak_gb']:.1f} GB",
            where,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+", help="YAML files of lip2wav_hf.train")
    parser.add_argument("--data", nargs="+", required=True, help="folders of clips")
    parser.add_argument("--cache", default="runs/cache", help="where prepared clips are kept")
    parser.add_argument("--steps", type=int, default=15, help="timed steps")
    parser.add_argument("--warm-up", type=int, default=3, help="steps before that")
    parser.add_argument("--profiled", type=int, default=3, help="profiled steps after that")
    parser.add_argument("--workers", type=int, default=1, help="processes that load clips")
    parser.add_argument("--option", action="append", default=[], help="further words for lip2wav_hf.train")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as process:
        print(table(list(process.map(partial(measure, arguments=arguments), arguments.configs))))


if __name__ == "__main__":
    main()
