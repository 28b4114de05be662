"""The stage tree as a sampler study shows it, brought up to date row by row."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pruning import Round, Schedule, width_mult
from search.front.hypervolume import Scale
from search.samplers.space import SearchSpace
from search.samplers.study import root_accuracy


class KnownTree:
    """Every schedule that was asked for, and what is known of it.

    A finished row is read once, so that an update costs what has changed. Nothing is lost with
    this object: another one reads the same from the study.

    Args:
        space: The choices of the search.
        scale: The axes of the trade-off.
        cost_at: Tells the cost of the network at a width.

    Attributes:
        schedules: Of the stages; the root's, which is empty, is one.
    """

    def __init__(
        self, space: SearchSpace, scale: Scale, cost_at: Callable[[float], float]
    ) -> None:
        self._space = space
        self._scale = scale
        self._cost_at = cost_at
        self._x_at: dict[float, float] = {}
        self._parameters = len(space.sizes())
        self._rows_read = 0
        self._running: dict[int, Schedule | None] = {}  # None: its proposal is being made
        self._depths: list[int] = []
        self._widths: list[float] = []
        self._costs: list[float] = []
        self._accuracies: list[float] = []
        self._parents: list[int] = []
        self._index: dict[Schedule, int] = {}
        self._orphans: dict[Schedule, list[int]] = {}
        self._asked: dict[Schedule, set[Round]] = {}
        self._settled: list[Schedule] = []
        self.schedules: list[Schedule] = []

    def update(self, study: Study) -> None:
        """Read the rows that are new, and those that were not finished."""
        accuracy = root_accuracy(study)
        if accuracy is not None and () not in self._index:
            self._add((), self._scale.root_cost, accuracy)
        rows = study.get_trials(deepcopy=False)
        for number in [*self._running, *range(self._rows_read, len(rows))]:
            self._read(rows[number])
        self._rows_read = len(rows)

    @property
    def pending(self) -> list[Schedule]:
        """Schedules that are being run."""
        return [schedule for schedule in self._running.values() if schedule is not None]

    @property
    def depths(self) -> NDArray[np.intp]:
        """Rounds that lead to the stages (n,)."""
        return np.array(self._depths, dtype=np.intp)

    @property
    def widths(self) -> NDArray[np.float64]:
        """Products of the rates that lead to the stages (n,)."""
        return np.array(self._widths, dtype=np.float64)

    @property
    def x(self) -> NDArray[np.float64]:
        """Scaled costs of the stages (n,)."""
        return self._scale.x(self._costs)

    @property
    def y(self) -> NDArray[np.float64]:
        """Scaled accuracy of the stages (n,)."""
        return self._scale.y(self._accuracies)

    @property
    def parents(self) -> NDArray[np.intp]:
        """Places in `schedules` of the stages' parents (n,); -1 where there is none."""
        return np.array(self._parents, dtype=np.intp)

    @property
    def epochs(self) -> int:
        """Of all rounds that were asked for, whatever came of them."""
        return sum(round_.epochs for rounds in self._asked.values() for round_ in rounds)

    def failed(self) -> Iterator[Round]:
        """Rounds that came to nothing when run on a stage."""
        for schedule in self._settled:
            if schedule[:-1] in self._index and schedule not in self._index:
                yield schedule[-1]

    def x_at(self, width: float) -> float:
        """Scaled cost of the network at a width."""
        if width not in self._x_at:
            self._x_at[width] = float(self._scale.x(self._cost_at(width)))
        return self._x_at[width]

    def asked(self, schedule: Schedule) -> set[Round]:
        """Rounds that were asked for after a schedule, whatever came of them."""
        return self._asked.get(schedule, set())

    def index(self, schedule: Schedule) -> int | None:
        """Place of a stage in `schedules`, or None if there is none."""
        return self._index.get(schedule)

    def _read(self, row: FrozenTrial) -> None:
        running = row.state is TrialState.RUNNING
        schedule = self._running.get(row.number)
        if schedule is None:
            schedule = self._proposed(row)
        elif running:
            return  # as it was
        self._running.pop(row.number, None)
        if running:
            self._running[row.number] = schedule
        if schedule is None:
            return
        self._asked.setdefault(schedule[:-1], set()).add(schedule[-1])
        if row.state is TrialState.FAIL:
            self._settled.append(schedule)
        elif row.state is TrialState.COMPLETE and schedule not in self._index:
            self._add(schedule, row.values[1], row.values[0])

    def _proposed(self, row: FrozenTrial) -> Schedule | None:
        """The schedule of a row; None if the proposal is being made, or came to nothing."""
        complete = len(row.params) == self._parameters
        return self._space.decode(row.params) if complete else None

    def _add(self, schedule: Schedule, cost: float, accuracy: float) -> None:
        index = self._index[schedule] = len(self.schedules)
        self.schedules.append(schedule)
        self._depths.append(len(schedule))
        self._widths.append(width_mult(schedule))
        self._costs.append(cost)
        self._accuracies.append(accuracy)
        self._parents.append(self._index.get(schedule[:-1], -1) if schedule else -1)
        if schedule and self._parents[index] < 0:
            self._orphans.setdefault(schedule[:-1], []).append(index)
        for child in self._orphans.pop(schedule, ()):
            self._parents[child] = index
