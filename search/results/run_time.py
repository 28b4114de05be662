"""How long a search has been running, over all its runs."""

import math
import time

from search.results.folder import ResultsFolder

_HOURS = "hours"
_SAVE_SECONDS = 60.0  # what a kill can make a search forget of its time


class RunTime:
    """Hours over all runs of a search, kept in its search.json.

    Args:
        folder: Of the search, which is described there.
    """

    def __init__(self, folder: ResultsFolder) -> None:
        self._folder = folder
        before = folder.read().get(_HOURS, 0.0)
        known = isinstance(before, int | float) and math.isfinite(before)
        self._before = max(0.0, float(before)) if known else 0.0
        self._start = self._saved = time.monotonic()

    @property
    def hours(self) -> float:
        """Hours up to now."""
        return self._before + (time.monotonic() - self._start) / 3600

    def save_if_due(self) -> None:
        """Save, unless it was done a moment ago."""
        if time.monotonic() - self._saved >= _SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Write the hours up to now."""
        self._saved = time.monotonic()
        self._folder.write(self._folder.read() | {_HOURS: self.hours})
