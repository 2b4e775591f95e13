"""What the parts of the system are worth: training without each of them, or with one more, at equal compute, on s1.

    python benchmarks/ablation.py --data path/to/grid --speech-encoder runs/speech_encoder/final --minutes 10

Each variant first takes some timed steps, half of them with the critic, then trains for as many as fit the minutes of
processor time, on one core; the critic joins half-way. All are scored on the validation clips of s1. The table goes to
docs/ablation.md between its markers, the pictures to docs/ablation.png.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np


BASE = "configs/ablation.yaml"
# Four convolutions: a fifth leaves one row of pixels, whose bf16 gradient is not finite in oneDNN (torch 2.14).
FRAME_DECODER = {"model_type": "lip2wav", "decoder_type": "frame", "visual_channels": [32, 64, 64, 160]}
VARIANTS = {
    "full": [],
    "sound in sync": ["--synchronize", "s1"],
    "without critic": ["--adversarial", "0"],
    "without perceptual loss": ["--perceptual", "0", "--heard_words", "0"],
    "without text head": ["--ctc", "0", "--words", "0"],
    "without spectral losses": ["--mel", "0", "--envelope", "0", "--magnitude", "0", "--stft", "0"]
    + ["--spoken_envelope", "0"],
    # It has no windows: the base's count goes back to its default.
    '"frame" decoder': ["--config", "{frame}", "--stft", "1", "--waveform", "1", "--decoder_windows", "8"],
}
COLUMNS = {
    "judge_wer": ("judge WER, %", 100),
    "text_wer": ("text WER, %", 100),
    "pesq_nb": ("PESQ-nb", 1),
    "stoi": ("STOI", 1),
    "estoi": ("ESTOI", 1),
    "in_sync_stoi": ("STOI in sync", 1),
    "in_sync_estoi": ("ESTOI in sync", 1),
    "dnsmos_ovrl": ("DNSMOS", 1),
}
START, END = "<!-- ablation:begin -->", "<!-- ablation:end -->"
PICTURED = 3  # validation clip whose generated spectrograms are shown

TIME_STEPS = """
import sys, time, torch
from lip2wav_hf.training import build, loop
from lip2wav_hf.train import parse_arguments
state = build.build_state(parse_arguments(sys.argv[1:]))
state.objective.train()
times = []
for number, batch in enumerate(state.train_loader):
    state.progress.step = number
    start = time.process_time()
    loop.train_step(state, batch)
    times.append(time.process_time() - start)
    if number == 17:
        break
print(sum(times[2:]) / len(times[2:]))
"""


def options_of(variant: str, arguments: argparse.Namespace) -> list[str]:
    """Words for `lip2wav_hf.train`."""
    frame = arguments.output / "frame.json"
    frame.write_text(json.dumps(FRAME_DECODER))
    options = [BASE, "--data_dir", arguments.data, "--cache_dir", arguments.cache, "--with_tracking", "false"]
    options += ["--speech_encoder", arguments.speech_encoder, "--dataloader_workers", "0"]
    return options + [word.format(frame=frame) for word in VARIANTS[variant]]


def folder_of(variant: str, arguments: argparse.Namespace) -> Path:
    """Where a variant's run goes."""
    return arguments.output / variant.replace(" ", "_").replace('"', "")


def train(variant: str, arguments: argparse.Namespace) -> tuple[int, float]:
    """Steps that fit the processor time, and the seconds per step; the run goes on where it was if it is there."""
    folder, options = folder_of(variant, arguments), options_of(variant, arguments)
    record = folder / "plan.json"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    if not record.is_file():
        words = [sys.executable, "-c", TIME_STEPS, *options, "--output_dir", str(folder)]
        words += ["--critic_start", "10", "--critic_warmup", "0"]
        done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        seconds = float(done.stdout.splitlines()[-1])
        folder.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"steps": int(arguments.minutes * 60 / seconds), "seconds": seconds}))
    plan = json.loads(record.read_text())
    stages = ["--critic_start", str(plan["steps"] // 2), "--critic_warmup", str(plan["steps"] // 10)]
    words = [sys.executable, "-m", "lip2wav_hf.train", *options, "--output_dir", str(folder), "--resume", "latest"]
    with (folder / "log.txt").open("a") as log:
        subprocess.run(
            [*words, "--max_steps", str(plan["steps"]), *stages], env=environment, stdout=log, stderr=log, check=True
        )
    return plan["steps"], plan["seconds"]


def score(variant: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Metrics on the validation clips of s1."""
    from lip2wav_hf.evaluation.evaluate import evaluate_model

    results = evaluate_model(
        str(folder_of(variant, arguments) / "final"),
        arguments.data,
        "validation",
        ["s1"],
        folder_of(variant, arguments) / "evaluation",
        metrics=["pesq", "stoi", "grid_wer", "dnsmos"],
        report=False,
        progress=False,
    )
    return {name: results["overall"][name]["value"] for name in COLUMNS}


def draw(arguments: argparse.Namespace, path: Path):
    """Spectrograms of what each variant says to the same lips, side by side."""
    from matplotlib.figure import Figure

    from lip2wav_hf.evaluation.plotting import log_mel_spectrogram
    from lip2wav_hf.evaluation.scoring import read_sound

    figure = Figure(figsize=(14, 6), layout="constrained")
    axes = figure.subplots(2, -(-len(VARIANTS) // 2), sharex=True, sharey=True)
    for panel in axes.flat[len(VARIANTS) :]:
        panel.set_axis_off()
    for variant, panel in zip(VARIANTS, axes.flat, strict=False):
        sounds = sorted((folder_of(variant, arguments) / "evaluation" / "wav" / "s1").glob("*.wav"))
        sound = read_sound(sounds[PICTURED])
        panel.imshow(
            log_mel_spectrogram(np.asarray(sound), 16000),
            aspect="auto",
            origin="lower",
            vmin=-80,
            vmax=0,
            cmap="magma",
        )
        panel.set_title(variant)
    figure.supxlabel("10 ms frames")
    figure.supylabel("mel band")
    figure.savefig(path, dpi=80)


def table(rows: dict[str, tuple[int, float, dict[str, float]]]) -> str:
    """Markdown."""
    heads = ["", "steps", "s per step", *(label for label, _ in COLUMNS.values())]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for variant, (steps, seconds, scores) in rows.items():
        values = [f"{scores[name] * factor:.{1 if factor == 100 else 3}f}" for name, (_, factor) in COLUMNS.items()]
        lines.append("| " + " | ".join([variant, str(steps), f"{seconds:.2f}", *values]) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of GRID")
    parser.add_argument("--speech-encoder", required=True, help="folder of a trained speech encoder")
    parser.add_argument("--minutes", type=float, default=10, help="processor time of each variant")
    parser.add_argument("--jobs", type=int, default=2, help="variants at once, on a core each")
    parser.add_argument("--cache", default="runs/cache", help="where prepared clips are kept")
    parser.add_argument("--output", type=Path, default=Path("runs/ablation"), help="where the runs go")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where table and pictures go")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        trained = list(pool.map(lambda variant: train(variant, arguments), VARIANTS))
    rows = {variant: (*plan, score(variant, arguments)) for variant, plan in zip(VARIANTS, trained, strict=True)}
    page = arguments.docs / "ablation.md"
    before, _, rest = page.read_text().partition(START)
    time = (
        f"{arguments.minutes:g} minutes of processor time on one core for each variant; the seconds per step are"
        " processor time too."
    )
    made = f"{START}\n{table(rows)}\n\n{time}\n{END}"
    page.write_text(before + made + rest.partition(END)[2])
    draw(arguments, arguments.docs / "ablation.png")
    print(table(rows))


if __name__ == "__main__":
    main()
