"""Writes what is derived of a search, and not more often than it pays."""

from pruning import StageStore
from search.front.names import CostName
from search.results.folder import ResultsFolder
from search.results.tables import candidates_csv, pareto_csv
from search.results.throttle import Throttle

_TABLE_SHARE = 0.05  # of the time, at most, goes into writing candidates.csv


class ResultsWriter:
    """The tables of a results folder; all that they say is in the store."""

    def __init__(
        self, folder: ResultsFolder, store: StageStore, cost: CostName = "params"
    ) -> None:
        self._folder = folder
        self._store = store
        self._cost: CostName = cost
        self._candidates = Throttle(_TABLE_SHARE)

    def write_front(self) -> None:
        """Write pareto.csv."""
        self._folder.put("pareto.csv", pareto_csv(self._store, self._cost))

    def write_all(self) -> None:
        """Write all there is."""
        self.write_front()
        self._write_candidates()

    def refresh(self) -> None:
        """Write what else there is, unless too little time has passed since it was written."""
        if self._candidates.due:
            self._write_candidates()

    def _write_candidates(self) -> None:
        with self._candidates.doing():
            self._folder.put("candidates.csv", candidates_csv(self._store, self._cost))
