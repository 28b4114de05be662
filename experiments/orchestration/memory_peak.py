"""The most memory that was in use on this machine while something ran."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_MEMORY = Path("/proc/meminfo")
_INTERVAL = 0.2  # seconds


@dataclass(kw_only=True, slots=True)
class MemoryPeak:
    """In bytes, of all processes: in use at first, and at most since."""

    before: int
    most: int

    def __str__(self) -> str:
        return (
            f"{self.most / 2**30:.1f} GiB, {(self.most - self.before) / 2**30:.1f} GiB of it new"
        )


def used_memory() -> int:
    """Bytes that are in use on this machine; 0 where the system does not tell."""
    known = _known()
    return known["MemTotal"] - known["MemAvailable"] if known else 0


def available_memory() -> float:
    """Bytes that more processes may use; infinite where the system does not tell."""
    return _known().get("MemAvailable", math.inf)


def _known() -> dict[str, int]:
    lines = _MEMORY.read_text().splitlines() if _MEMORY.is_file() else []
    pairs = (line.partition(":") for line in lines)
    return {name: 1024 * int(value.split()[0]) for name, _, value in pairs}


@contextmanager
def memory_peak(used: Callable[[], int] = used_memory) -> Iterator[MemoryPeak]:
    """Watch the memory in use until the context ends; what is yielded is kept up to date.

    Args:
        used: Tells how many bytes are in use.
    """
    before = used()
    peak = MemoryPeak(before=before, most=before)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_INTERVAL):
            peak.most = max(peak.most, used())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()
