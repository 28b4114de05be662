"""The epochs that a search may still execute, and what they are enough for."""

import itertools
import math
from collections import Counter

from pruning import Schedule, StageStore


class Budget:
    """Counts what is missing of schedules against a limit of executed epochs.

    Args:
        store: The stages that exist, and what they have cost.
        limit: Fine-tuning epochs that may be executed over all runs; None is no limit.
    """

    def __init__(self, store: StageStore, limit: int | None) -> None:
        self._store = store
        self._limit = math.inf if limit is None else limit
        self._reserved: Counter[Schedule] = Counter()  # how many need the last round of each
        self._reserved_epochs = 0

    @property
    def unspent(self) -> float:
        """Epochs that were not executed."""
        return self._limit - self._store.executed_epochs

    @property
    def left(self) -> float:
        """Epochs that are neither spent nor reserved."""
        return self.unspent - self._reserved_epochs

    def reserve(self, schedule: Schedule) -> None:
        """Set aside what a schedule needs to its end; what several need is needed once."""
        for part in self._missing(schedule):
            if part not in self._reserved:
                self._reserved_epochs += part[-1].epochs
            self._reserved[part] += 1

    def release(self, schedule: Schedule) -> None:
        """A schedule for which epochs were reserved needs no more of them."""
        for length in range(1, len(schedule) + 1):
            part = schedule[:length]
            if self._reserved[part] > 1:
                self._reserved[part] -= 1
            else:
                self.settle(part)

    def settle(self, schedule: Schedule) -> None:
        """The last round of a schedule was executed, or is needed by none."""
        if self._reserved.pop(schedule, 0):
            self._reserved_epochs -= schedule[-1].epochs

    def fitting_part(self, schedule: Schedule, epochs: float) -> Schedule:
        """A schedule up to the last round for which so many epochs are enough.

        Returns:
            A beginning of the schedule; none if they are too few for the first missing round.
        """
        missing = self._missing(schedule)
        if not missing:
            return schedule
        costs = itertools.accumulate(part[-1].epochs for part in missing)
        fitting = [part for part, cost in zip(missing, costs, strict=True) if cost <= epochs]
        return fitting[-1] if fitting else ()

    def _missing(self, schedule: Schedule) -> list[Schedule]:
        """The beginnings of a schedule whose stages are missing, the shortest first."""
        made = len(self._store.path(schedule))
        return [schedule[:length] for length in range(max(1, made), len(schedule) + 1)]
