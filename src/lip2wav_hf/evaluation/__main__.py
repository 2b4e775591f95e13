"""`torchrun … -m lip2wav_hf.evaluation`: the command `lip2wav evaluate`, by several processes."""

import typer

from ..commands.evaluate import evaluate


typer.run(evaluate)
