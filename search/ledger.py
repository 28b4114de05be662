"""The ledger: which schedules were asked for, and how each ended.

An Optuna study in SQLite, one row a trial. A proposal enters in one transaction, so a driver
that is killed leaves a whole row in state RUNNING or none. The driver, which holds the folder's
lock, is the only writer.
"""

import sqlite3
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from pruning import Round, Schedule, Stage
from search.errors import LedgerError
from search.space import SearchSpace

_STUDY = "search"
_BUSY_SECONDS = 30  # how long another process may hold the file
REASON = "reason"
"""User attribute of a FAIL row, and of a PRUNED one: why the trial has not all its rounds."""

ROUNDS_REACHED = "rounds_reached"
"""User attribute of these rows, too: how many of its rounds are in the store; -1 of a FAIL row if
not even the root is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A row of the ledger.

    Attributes:
        number: The place in the ledger.
        schedule: What was asked for.
        state: Optuna's.
        reason: Why it has not all its rounds, if it ended so.
        rounds_reached: After how many of them it ended; -1 if there was no root.
    """

    number: int
    schedule: Schedule
    state: TrialState
    reason: str | None = None
    rounds_reached: int | None = None

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.state is TrialState.RUNNING

    @property
    def failed(self) -> bool:
        """Whether it could not be finished."""
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

    Raises:
        LedgerError: The file cannot be read or written. So do all methods.
    """

    def __init__(self, path: Path, space: SearchSpace) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would write over the status
        self._path = path
        self._space = space
        with self._storage_errors():
            self._storage = RDBStorage(
                URL.create("sqlite", database=str(path.absolute())).render_as_string(),
                engine_kwargs={"connect_args": {"timeout": _BUSY_SECONDS}},
            )
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=_STUDY,
                directions=["maximize", "minimize"],
                load_if_exists=True,
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)  # names are for dashboards
                self._study.set_metric_names(["val_accuracy", "params"])
            self._trials = [_read(row) for row in self._study.get_trials(deepcopy=False)]

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    def add(self, schedule: Schedule) -> Trial:
        """Enter a proposal, in state RUNNING."""
        params, distributions = _parameters(schedule, self._space)
        with self._storage_errors():
            self._study.add_trial(
                create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
            )
        trial = Trial(number=len(self._trials), schedule=schedule, state=TrialState.RUNNING)
        self._trials.append(trial)
        return trial

    def complete(self, number: int, *, val_accuracy: float, params: int) -> None:
        """Record that all rounds of a trial are in the store; the values are its last stage's."""
        with self._storage_errors():
            self._study.tell(number, (val_accuracy, float(params)), skip_if_finished=True)
        self._close(number, TrialState.COMPLETE)

    def stop(self, number: int, reason: str, *, rounds_reached: int) -> None:
        """Record that a trial was ended before its last round; the stages it made stay."""
        attributes = {REASON: reason, ROUNDS_REACHED: rounds_reached}
        self._end_short(number, TrialState.PRUNED, attributes)

    def fail(self, number: int, reason: str, *, rounds_reached: int) -> None:
        """Record that a trial could not be finished."""
        attributes = {REASON: reason, ROUNDS_REACHED: rounds_reached}
        self._end_short(number, TrialState.FAIL, attributes)

    def restore(self, stages: Iterable[Stage]) -> None:
        """Enter the trials that made some stages, where the ledger itself was lost.

        A stage knows the number of the trial that had it trained. The last stage of each is its
        schedule; trials that trained nothing, or failed, are forgotten.
        """
        last: dict[int, Stage] = {}
        for stage in stages:
            if stage.schedule and len(stage.schedule) >= _depth(last.get(stage.trial)):
                last[stage.trial] = stage
        for number in sorted(last):
            stage = last[number]
            trial = self.add(stage.schedule)
            self.complete(trial.number, val_accuracy=stage.val_accuracy, params=stage.params)

    def _end_short(self, number: int, state: TrialState, attributes: dict[str, Any]) -> None:
        if not self._trials[number].running:
            return
        with self._storage_errors():
            study_id = self._storage.get_study_id_from_name(_STUDY)
            row = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
            for name, value in attributes.items():
                self._storage.set_trial_user_attr(row, name, value)
            self._study.tell(number, state=state, skip_if_finished=True)
        self._close(number, state, **attributes)

    def _close(self, number: int, state: TrialState, **how: Any) -> None:
        self._trials[number] = replace(self._trials[number], state=state, **how)

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, StorageInternalError) as error:
            cause = error.__cause__ if isinstance(error, StorageInternalError) else error
            origin = getattr(cause, "orig", None)
            text = str(origin or cause or error).splitlines()[0]
            message = f"{self._path} cannot be used: {text}."
            if type(origin) is sqlite3.DatabaseError:  # not one of its kinds: the file is damaged
                message += " Move it away, and its trials are restored from the stages."
            raise LedgerError(message) from error


def _depth(stage: Stage | None) -> int:
    return 0 if stage is None else len(stage.schedule)


def _parameters(
    schedule: Schedule, space: SearchSpace
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    params: dict[str, Any] = {"rounds": len(schedule)}
    distributions: dict[str, BaseDistribution] = {"rounds": IntDistribution(1, space.max_rounds)}
    for position, round_ in enumerate(schedule, start=1):
        for name, choices in space.choices().items():
            params[f"{name}_{position}"] = getattr(round_, name)
            distributions[f"{name}_{position}"] = CategoricalDistribution(choices)
    return params, distributions


def _read(row: FrozenTrial) -> Trial:
    schedule = tuple(
        Round(
            rate=row.params[f"rate_{position}"],
            epochs=row.params[f"epochs_{position}"],
            lr=row.params[f"lr_{position}"],
            allocation=row.params.get(f"allocation_{position}", "uniform"),
        )
        for position in range(1, row.params["rounds"] + 1)
    )
    return Trial(
        number=row.number,
        schedule=schedule,
        state=row.state,
        reason=row.user_attrs.get(REASON),
        rounds_reached=row.user_attrs.get(ROUNDS_REACHED),
    )
