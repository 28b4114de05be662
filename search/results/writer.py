"""Writes what is derived of a search, and not more often than it pays."""

from collections.abc import Callable

from models import first_line
from pruning import StageStore
from search.front.names import CostName
from search.results.folder import ResultsFolder
from search.results.page import Subject, publish
from search.results.tables import candidates_csv, pareto_csv
from search.results.throttle import Throttle

_TABLE_SHARE = 0.05  # of the time, at most, goes into writing candidates.csv
_PAGE_SHARE, _PAGE_REST = 0.01, 60.0  # and into the page, at most once a minute


class ResultsWriter:
    """The tables and the page of a results folder; all that they say is in store and description.

    Args:
        folder: Of a search.
        store: Its stages.
        cost: What accuracy is traded against.
        command: Starts such a search.
        say: Is told why there is no page; a search does not end for want of one.
    """

    def __init__(
        self,
        folder: ResultsFolder,
        store: StageStore,
        cost: CostName = "params",
        *,
        command: str = "",
        say: Callable[[str], None] = print,
    ) -> None:
        self._folder = folder
        self._store = store
        self._cost: CostName = cost
        self._command = command
        self._say = say
        self._said: str | None = None
        self._candidates = Throttle(_TABLE_SHARE)
        self._page = Throttle(_PAGE_SHARE, _PAGE_REST)

    def write_front(self) -> None:
        """Write pareto.csv."""
        self._folder.put("pareto.csv", pareto_csv(self._store, self._cost))

    def write_all(self) -> None:
        """Write all there is."""
        self.write_front()
        self._write_candidates()
        self._write_page()

    def refresh(self) -> None:
        """Write what else there is, unless too little time has passed since it was written."""
        if self._candidates.due:
            self._write_candidates()
        if self._page.due:
            self._write_page()

    def _write_candidates(self) -> None:
        with self._candidates.doing():
            self._folder.put("candidates.csv", candidates_csv(self._store, self._cost))

    def _write_page(self) -> None:
        subject = Subject(
            folder=self._folder, store=self._store, cost=self._cost, command=self._command
        )
        try:
            with self._page.doing():
                publish([subject], self._folder)
        except Exception as error:  # whatever it is, days of training are not lost for a picture
            reason = f"report.html and pareto.png could not be written: {first_line(error)}"
            if reason != self._said:
                self._say(reason)
            self._said = reason
