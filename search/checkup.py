"""Starts the check-up; this file is the one that is run, and `search.checking` what it does."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).resolve().parent  # our packages stand first, whatever bears their names
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if entry != str(here))]
    from search.interruption import heed

    heed(lambda *_: os._exit(130))  # without a word: each file is put in place whole
    from search.console import open_streams

    open_streams()
    from search.checking import main

    sys.exit(main())
