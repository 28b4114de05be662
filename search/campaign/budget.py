"""The epochs that a search may still execute, and what they are enough for."""

import itertools
import math
from collections.abc import Iterable

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

    def left(self, in_flight: Iterable[Schedule] = ()) -> float:
        """Epochs that are neither spent nor needed by schedules in flight, to their ends."""
        reserved = {part for schedule in in_flight for part in self._missing(schedule)}
        spent = self._store.executed_epochs
        return self._limit - spent - sum(part[-1].epochs for part in reserved)

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
