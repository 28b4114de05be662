"""The ledger: which schedules were asked for, and how each ended.

An Optuna study in SQLite, one row a trial. A proposal enters in one transaction, so a driver
that is killed leaves a whole row in state RUNNING or none. The driver, which holds the folder's
lock, is the only writer.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from pruning import Round, Schedule
from search.space import SearchSpace

_STUDY = "search"
REASON = "reason"
"""User attribute of a FAIL row, and of a PRUNED one: why the trial has not all its rounds."""

ROUNDS_REACHED = "rounds_reached"
"""User attribute of a PRUNED row: how many of its rounds are in the store."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A row of the ledger."""

    number: int
    schedule: Schedule
    state: TrialState

    @property
    def failed(self) -> bool:
        """Whether it ended without all its rounds."""
        return self.state is TrialState.FAIL

    @property
    def stopped(self) -> bool:
        """Whether it was ended before its last round."""
        return self.state is TrialState.PRUNED


class Ledger:
    """The trials of one search.

    Args:
        path: The SQLite file; made if it is not there.
        space: The choices of the search.
    """

    def __init__(self, path: Path, space: SearchSpace) -> None:
        self._storage = RDBStorage(f"sqlite:///{path.absolute()}")
        self._study = optuna.create_study(
            storage=self._storage,
            study_name=_STUDY,
            directions=["maximize", "minimize"],
            load_if_exists=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # names are for dashboards only
            self._study.set_metric_names(["val_accuracy", "params"])
        self._space = space
        self._trials = [_read(row) for row in self._study.get_trials(deepcopy=False)]

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    def add(self, schedule: Schedule) -> Trial:
        """Enter a proposal, in state RUNNING."""
        params, distributions = _parameters(schedule, self._space)
        self._study.add_trial(
            create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
        )
        trial = Trial(number=len(self._trials), schedule=schedule, state=TrialState.RUNNING)
        self._trials.append(trial)
        return trial

    def complete(self, number: int, *, val_accuracy: float, params: int) -> None:
        """Record that all rounds of a trial are in the store; the values are its last stage's."""
        self._study.tell(number, (val_accuracy, float(params)), skip_if_finished=True)
        self._close(number, TrialState.COMPLETE)

    def stop(self, number: int, reason: str, *, rounds_reached: int) -> None:
        """Record that a trial was ended before its last round; the stages it made stay."""
        self._end_short(
            number, TrialState.PRUNED, {REASON: reason, ROUNDS_REACHED: rounds_reached}
        )

    def fail(self, number: int, reason: str) -> None:
        """Record that a trial could not be finished."""
        self._end_short(number, TrialState.FAIL, {REASON: reason})

    def running(self) -> list[Trial]:
        """The trials that have not ended, in the order in which they were asked for."""
        return [trial for trial in self._trials if trial.state is TrialState.RUNNING]

    def _end_short(self, number: int, state: TrialState, attributes: dict[str, Any]) -> None:
        study_id = self._storage.get_study_id_from_name(_STUDY)
        row = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        for name, value in attributes.items():
            self._storage.set_trial_user_attr(row, name, value)
        self._study.tell(number, state=state, skip_if_finished=True)
        self._close(number, state)

    def _close(self, number: int, state: TrialState) -> None:
        trial = self._trials[number]
        self._trials[number] = Trial(number=number, schedule=trial.schedule, state=state)


def _parameters(
    schedule: Schedule, space: SearchSpace
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    params: dict[str, Any] = {"rounds": len(schedule)}
    distributions: dict[str, BaseDistribution] = {"rounds": IntDistribution(1, space.max_rounds)}
    for position, round_ in enumerate(schedule, start=1):
        for name, value, choices in (
            (f"rate_{position}", round_.rate, space.rates),
            (f"epochs_{position}", round_.epochs, space.epochs),
            (f"lr_{position}", round_.lr, space.lrs),
        ):
            params[name] = value
            distributions[name] = CategoricalDistribution(choices)
    return params, distributions


def _read(row: FrozenTrial) -> Trial:
    schedule = tuple(
        Round(
            rate=row.params[f"rate_{position}"],
            epochs=row.params[f"epochs_{position}"],
            lr=row.params[f"lr_{position}"],
        )
        for position in range(1, row.params["rounds"] + 1)
    )
    return Trial(number=row.number, schedule=schedule, state=row.state)
