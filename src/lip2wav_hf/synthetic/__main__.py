"""`python -m lip2wav_hf.synthetic`."""

import sys

from .corpus import main


sys.exit(main())
