"""A front to which points are added one by one. Numbers only."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable


class GrowingFront:
    """Knows which points are on the front of all that were added; each costs what it changes.

    It says the same as `on_front`.

    Args:
        points: To begin with, as (cost, accuracy).
    """

    def __init__(self, points: Iterable[tuple[float, float]] = ()) -> None:
        # Distinct points of the front: both ascend.
        self._costs: list[float] = []
        self._accuracies: list[float] = []
        for cost, accuracy in points:
            self.add(cost, accuracy)

    def add(self, cost: float, accuracy: float) -> None:
        """Take note of a point."""
        before = bisect_right(self._costs, cost) - 1
        if before >= 0 and self._accuracies[before] >= accuracy:
            return  # dominated, or on the front already
        first = bisect_left(self._costs, cost)
        last = bisect_right(self._accuracies, accuracy)
        self._costs[first:last] = [cost]
        self._accuracies[first:last] = [accuracy]

    def __contains__(self, point: tuple[float, float]) -> bool:
        """Whether a point that was added is on the front."""
        cost, accuracy = point
        place = bisect_left(self._costs, cost)
        return self._costs[place : place + 1] == [cost] and self._accuracies[place] == accuracy
