"""The ledger's rows as Optuna keeps them in SQLite, each written in a few statements.

Optuna's own calls ask the database several times for each parameter, in case others write to it,
too: a proposal of six rounds takes them some 25 ms, here 2. What is written is the same, into the
tables that Optuna has made; a test compares the rows.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import (
    TrialModel,
    TrialParamModel,
    TrialUserAttributeModel,
    TrialValueModel,
)
from optuna.trial import TrialState
from sqlalchemy import Connection, CursorResult, Executable, insert, update

_TRIALS, _PARAMS, _VALUES, _ATTRIBUTES = (
    model.__table__
    for model in (TrialModel, TrialParamModel, TrialValueModel, TrialUserAttributeModel)
)


class StudyRows:
    """Writes trials of one study, as nobody else does, in transactions (`writing`).

    Args:
        storage: That has made the study's tables.
        study_id: The study's.
        distributions: Of all parameters that a trial may have.
    """

    def __init__(
        self, storage: RDBStorage, study_id: int, distributions: Mapping[str, BaseDistribution]
    ) -> None:
        self._engine = storage.engine
        self._connection: Connection | None = None
        self._study_id = study_id
        self._distributions = distributions
        self._encoded = {name: distribution_to_json(of) for name, of in distributions.items()}

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What is written in here is one transaction."""
        with self._engine.begin() as self._connection:
            yield

    def add(
        self,
        number: int,
        state: TrialState,
        params: Mapping[str, Any],
        attributes: Mapping[str, Any],
    ) -> int:
        """Add a trial; returns its id in the database."""
        now = datetime.now()
        row = {
            "study_id": self._study_id,
            "number": number,
            "state": state,
            "datetime_start": now,
            "datetime_complete": now if state.is_finished() else None,
        }
        (row_id,) = self._execute(insert(_TRIALS).returning(_TRIALS.c.trial_id), row).one()
        if params:
            rows = [self._param(row_id, *param) for param in params.items()]
            self._execute(insert(_PARAMS), rows)
        self._set_attributes(row_id, attributes)
        return int(row_id)

    def end(
        self,
        row_id: int,
        state: TrialState,
        values: Sequence[float],
        attributes: Mapping[str, Any],
    ) -> None:
        """End a trial; finite values, or none."""
        changed = {"state": state, "datetime_complete": datetime.now()}
        self._execute(update(_TRIALS).where(_TRIALS.c.trial_id == row_id).values(changed))
        if values:
            self._execute(insert(_VALUES), [_value(row_id, *value) for value in enumerate(values)])
        self._set_attributes(row_id, attributes)

    def _execute(self, statement: Executable, rows: Any = None) -> CursorResult[Any]:
        assert self._connection is not None
        return self._connection.execute(statement, rows)

    def _set_attributes(self, row_id: int, attributes: Mapping[str, Any]) -> None:
        if attributes:
            rows = [
                {"trial_id": row_id, "key": key, "value_json": json.dumps(value)}
                for key, value in attributes.items()
            ]
            self._execute(insert(_ATTRIBUTES), rows)

    def _param(self, row_id: int, name: str, value: Any) -> dict[str, Any]:
        return {
            "trial_id": row_id,
            "param_name": name,
            "param_value": self._distributions[name].to_internal_repr(value),
            "distribution_json": self._encoded[name],
        }


def _value(row_id: int, objective: int, value: float) -> dict[str, Any]:
    stored, kind = TrialValueModel.value_to_stored_repr(value)
    return {"trial_id": row_id, "objective": objective, "value": stored, "value_type": kind}
