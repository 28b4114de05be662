"""What trackers plot of a search over its executed epochs."""

from search.front.names import CostName
from search.results.tables import COST_COLUMNS
from search.watch.events import Event


class Scalars:
    """Picks the numbers that are plotted out of events.

    Args:
        cost: What accuracy is traded against.
    """

    def __init__(self, cost: CostName) -> None:
        self._of_a_network = ("val_accuracy", COST_COLUMNS[cost])
        self._progress: dict[str, float] = {}

    def of(self, event: Event) -> dict[str, float]:
        """The numbers of an event by their names, to be plotted at its `executed_epochs`.

        Where a search stands is plotted when it has changed.
        """
        if event.name == "stage":
            return {f"network/{name}": event.fields[name] for name in self._of_a_network}
        if event.name != "progress":
            return {}
        before = self._progress
        self._progress = {
            f"search/{name}": event.fields[name] for name in ("hypervolume", "networks", "front")
        }
        return self._progress if self._progress != before else {}
