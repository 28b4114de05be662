"""`python search/run.py` as people run it, and when its stages came to be."""

import os
import subprocess
import sys
from pathlib import Path

from pruning import Stage, StageStore

_RUN = Path(__file__).parents[2] / "search" / "run.py"


def start_search(folder: Path, cache: Path, *flags: str) -> subprocess.Popen[bytes]:
    """Start a search in a process of its own, its folder and its cache of images given."""
    return subprocess.Popen(
        [sys.executable, str(_RUN), "--out", str(folder), *flags],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.DEVNULL,
    )


def finished_stages(folder: Path) -> list[tuple[float, Stage]]:
    """The stages of a search's folder with the times at which they came to be, in that order.

    The time is that of the weights' file. It is written a moment before stage.json and never
    again; stage.json is written anew in the end, for the test accuracy of the front.
    """
    store = StageStore(folder / "stages")
    written = [
        ((folder / "stages" / stage.id / "model.safetensors").stat().st_mtime, stage)
        for stage in store
    ]
    return sorted(written, key=lambda pair: pair[0])
