"""Starts the command; this file is the one that is run, and `search.command` what it does."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).resolve().parent  # our packages stand first, whatever bears their names
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if entry != str(here))]
    from search.interruption import heed

    # While modules are imported there is nothing to put in order, and an exception may be lost
    # in them: torch takes KeyboardInterrupt for a part of it that is missing, and goes on.
    heed(lambda *_: os._exit(130))
    from search.console import open_streams

    open_streams()
    from search.command import main

    sys.exit(main())
