"""`torchrun … -m lip2wav_hf.evaluation`: the command `lip2wav evaluate`, by several processes."""

import sys

from ..commands.main import main


main(["evaluate", *sys.argv[1:]])
