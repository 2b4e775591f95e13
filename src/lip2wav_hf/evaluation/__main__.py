"""`torchrun … -m lip2wav_hf.evaluation`: the command `lip2wav evaluate`, by several processes."""

import typer

from .evaluate import evaluate_command


typer.run(evaluate_command)
