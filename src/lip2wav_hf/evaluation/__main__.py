"""`torchrun … -m lip2wav_hf.evaluation`: the command `lip2wav evaluate`, by several processes."""

import typer

from ..commands.evaluate import evaluate


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
app.command()(evaluate)
app()
