"""How often something may be done that takes time away from the search."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Throttle:
    """Says when a thing may be done again; at first it may.

    Args:
        share: Of the time, at most, that it may take.
        rest: Seconds that pass at least before it is done again.
    """

    def __init__(self, share: float, rest: float = 0.0) -> None:
        self._share = share
        self._rest = rest
        self._due = 0.0

    @property
    def due(self) -> bool:
        """Whether enough time has passed since it was done."""
        return time.monotonic() >= self._due

    @contextmanager
    def doing(self) -> Iterator[None]:
        """Measure it."""
        start = time.monotonic()
        try:
            yield
        finally:
            end = time.monotonic()
            self._due = end + max((end - start) / self._share, self._rest)
