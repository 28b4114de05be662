"""The ledger: which schedules were asked for, and how each ended.

An Optuna study in SQLite, one row a trial. A proposal enters in one transaction, so a driver
that is killed leaves a whole row in state RUNNING or none. The driver, which holds the folder's
lock, is the only writer.
"""

import sqlite3
import tempfile
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
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from models import first_line
from pruning import Round, Schedule, Stage
from pruning.durable import replace_file
from search.campaign.rows import StudyRows
from search.errors import LedgerError
from search.front.cost import cost_of
from search.front.names import CostName
from search.samplers.space import SearchSpace

_STUDY = "search"
_BUSY_SECONDS = 30  # how long another process may hold the file
REASON = "reason"
"""User attribute of a FAIL row, and of a PRUNED one: why the trial has not all its rounds."""

ROUNDS_REACHED = "rounds_reached"
"""User attribute of these rows, too: how many of its rounds are in the store; -1 of a FAIL row if
not even the root is."""

_FORGOTTEN = "its schedule was lost with study.db"
_WAY_OUT = "Move it away, and its trials are restored from the stages."


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A row of the ledger.

    Attributes:
        number: The place in the ledger.
        schedule: What was asked for; empty if that was lost.
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
        cost: What accuracy is traded against: the second of a complete trial's two values.

    Raises:
        LedgerError: The file cannot be read or written, or has a row that is no trial of this
            search. So do all methods.
    """

    def __init__(self, path: Path, space: SearchSpace, cost: CostName = "params") -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would write over the status
        self._path = path
        self._space = space
        self._cost: CostName = cost
        with self._storage_errors():
            storage = RDBStorage(
                URL.create("sqlite", database=str(path.absolute())).render_as_string(),
                engine_kwargs={"connect_args": {"timeout": _BUSY_SECONDS}},
            )
            study = optuna.create_study(
                storage=storage,
                study_name=_STUDY,
                directions=["maximize", "minimize"],
                load_if_exists=True,
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)  # names are for dashboards
                study.set_metric_names(["val_accuracy", cost])
            rows = study.get_trials(deepcopy=False)
            self._engine = storage.engine
            self._rows = StudyRows(
                storage, storage.get_study_id_from_name(_STUDY), _distributions(space)
            )
            self._trials = [self._read(row) for row in rows]
            self._row_ids = [row._trial_id for row in rows]
        self._completed: dict[int, tuple[float, float]] = {}  # in memory, not in the file

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    def add(self, schedule: Schedule) -> Trial:
        """Enter a proposal, in state RUNNING."""
        return self._add(
            Trial(number=len(self._trials), schedule=schedule, state=TrialState.RUNNING)
        )

    def complete(self, number: int, *, val_accuracy: float, cost: float) -> None:
        """Record that all rounds of a trial are in the store; the values are its last stage's.

        It reaches the file with what is written next; see `flush`. If the search is killed before,
        the stages tell the next run that the trial was complete.
        """
        if self._trials[number].running:
            self._trials[number] = replace(self._trials[number], state=TrialState.COMPLETE)
            self._completed[number] = val_accuracy, float(cost)

    def flush(self) -> None:
        """Write what was not written yet; so does the next trial, or the next that fails."""
        if self._completed:
            with self._writing():
                pass

    def stop(self, number: int, reason: str, *, rounds_reached: int) -> None:
        """Record that a trial was ended before its last round; the stages it made stay."""
        self._end(number, TrialState.PRUNED, reason, rounds_reached)

    def fail(self, number: int, reason: str, *, rounds_reached: int) -> None:
        """Record that a trial could not be finished."""
        self._end(number, TrialState.FAIL, reason, rounds_reached)

    def restore(self, last: Stage | None) -> None:
        """Enter a trial that was lost, by the last stage that it had trained, if it had any."""
        if last is not None:
            number = self.add(last.schedule).number
            self.complete(number, val_accuracy=last.val_accuracy, cost=cost_of(last, self._cost))
            return
        self._add(
            Trial(
                number=len(self._trials),
                schedule=(),
                state=TrialState.PRUNED,
                reason=_FORGOTTEN,
                rounds_reached=0,
            )
        )

    def disconnect(self) -> None:
        """Let go of the file; the ledger is of no use any more."""
        self.flush()
        self._engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write, in one transaction, what was not written yet and what is written in here."""
        with self._storage_errors(), self._rows.writing():
            for number, values in self._completed.items():
                self._rows.end(self._row_ids[number], TrialState.COMPLETE, values, {})
            yield
        self._completed.clear()

    def _add(self, trial: Trial) -> Trial:
        params = _parameters(trial.schedule, self._space)
        with self._writing():
            row = self._rows.add(trial.number, trial.state, params, _how(trial))
        self._trials.append(trial)
        self._row_ids.append(row)
        return trial

    def _end(self, number: int, state: TrialState, reason: str, rounds_reached: int) -> None:
        """End a trial that has not all its rounds, unless it has ended."""
        if not self._trials[number].running:
            return
        ended = replace(
            self._trials[number], state=state, reason=reason, rounds_reached=rounds_reached
        )
        with self._writing():
            self._rows.end(self._row_ids[number], state, (), _how(ended))
        self._trials[number] = ended

    def _read(self, row: FrozenTrial) -> Trial:
        return Trial(
            number=row.number,
            schedule=self._schedule(row),
            state=row.state,
            reason=row.user_attrs.get(REASON),
            rounds_reached=row.user_attrs.get(ROUNDS_REACHED),
        )

    def _schedule(self, row: FrozenTrial) -> Schedule:
        if not row.params and row.state is TrialState.PRUNED:
            return ()
        try:
            return tuple(
                Round(
                    rate=row.params[f"rate_{position}"],
                    epochs=row.params[f"epochs_{position}"],
                    lr=row.params[f"lr_{position}"],
                    allocation=row.params.get(f"allocation_{position}", "uniform"),
                    start=row.params.get(f"start_{position}", "inherit"),
                )
                for position in range(1, row.params["rounds"] + 1)
            )
        except KeyError:
            raise LedgerError(
                f"{self._path}: row {row.number} ({row.state.name}) is no trial of this search. "
                + _WAY_OUT
            ) from None

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, StorageInternalError) as error:
            cause = error.__cause__ if isinstance(error, StorageInternalError) else error
            origin = getattr(cause, "orig", None)
            reason = first_line(origin or cause or error)
            message = f"{self._path} cannot be used: {reason}."
            if type(origin) is sqlite3.DatabaseError:  # not one of its kinds: the file is damaged
                message += f" {_WAY_OUT}"
            raise LedgerError(message) from error


def open_ledger(
    path: Path, space: SearchSpace, stages: Iterable[Stage], cost: CostName = "params"
) -> Ledger:
    """The ledger at a path; if its rows were lost, restored from the stages of the search.

    A stage knows the number of the trial that had it trained; the last stage of each is its
    schedule. Of trials that had nothing trained, what they asked for stays unknown, so they are
    entered as stopped; those after the last that had are entered not at all. The restored file is
    put in place at once, so that none is ever there with a part of the rows.

    Raises:
        LedgerError: See `Ledger`.
    """
    last: dict[int, Stage] = {}
    for stage in sorted(stages, key=lambda stage: len(stage.schedule)):
        if stage.schedule:
            last[stage.trial] = stage
    ledger = Ledger(path, space, cost)
    if len(ledger) or not last:
        return ledger
    ledger.disconnect()
    with tempfile.TemporaryDirectory() as scratch:
        restored = Ledger(Path(scratch) / path.name, space, cost)
        for number in range(max(last) + 1):
            restored.restore(last.get(number))
        restored.disconnect()
        replace_file(path, (Path(scratch) / path.name).read_bytes())
    return Ledger(path, space, cost)


def _parameters(schedule: Schedule, space: SearchSpace) -> dict[str, Any]:
    if not schedule:
        return {}  # it was lost
    return {"rounds": len(schedule)} | {
        f"{name}_{position}": getattr(round_, name)
        for position, round_ in enumerate(schedule, start=1)
        for name in space.choices()
    }


def _distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Of all parameters that a row may have; a row has those of its own rounds."""
    rounds: dict[str, BaseDistribution] = {"rounds": IntDistribution(1, space.max_rounds)}
    return rounds | {
        f"{name}_{position}": CategoricalDistribution(choices)
        for position in range(1, space.max_rounds + 1)
        for name, choices in space.choices().items()
    }


def _how(trial: Trial) -> dict[str, Any]:
    """Why a trial has not all its rounds, as user attributes."""
    how = {REASON: trial.reason, ROUNDS_REACHED: trial.rounds_reached}
    return {name: value for name, value in how.items() if value is not None}
