"""Writes the tables of a results folder, and not more often than it pays."""

import time

from pruning import StageStore
from search.front.names import CostName
from search.results.folder import ResultsFolder
from search.results.tables import candidates_csv, pareto_csv

_TABLE_SHARE = 0.05  # of the time, at most, goes into writing candidates.csv


class TableWriter:
    """The tables of a results folder; all that they say is in the store."""

    def __init__(
        self, folder: ResultsFolder, store: StageStore, cost: CostName = "params"
    ) -> None:
        self._folder = folder
        self._store = store
        self._cost: CostName = cost
        self._due = 0.0

    def write_front(self) -> None:
        """Write pareto.csv."""
        self._folder.write_table("pareto.csv", pareto_csv(self._store, self._cost))

    def write_candidates(self) -> None:
        """Write candidates.csv."""
        start = time.monotonic()
        self._folder.write_table("candidates.csv", candidates_csv(self._store, self._cost))
        end = time.monotonic()
        self._due = end + (end - start) / _TABLE_SHARE

    def write_candidates_if_due(self) -> None:
        """Write candidates.csv, unless too little time has passed since it was written."""
        if time.monotonic() >= self._due:
            self.write_candidates()
