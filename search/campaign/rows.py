"""The ledger's rows as Optuna keeps them in SQLite, each written in a few statements.

Optuna's own calls ask the database several times for each parameter, in case others write to it,
too: a proposal of six rounds takes them some 25 ms, here 2. What is written is the same, into the
tables that Optuna has made; a test compares the rows.
"""

import json
from collections.abc import Mapping, Sequence
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
from sqlalchemy import Connection, insert, update

_TRIALS, _PARAMS, _VALUES, _ATTRIBUTES = (
    model.__table__
    for model in (TrialModel, TrialParamModel, TrialValueModel, TrialUserAttributeModel)
)


class StudyRows:
    """Writes trials of one study; nobody else does.

    Args:
        storage: That has made the study's tables.
        study_id: The study's.
        distributions: Of all parameters that a trial may have.
    """

    def __init__(
        self, storage: RDBStorage, study_id: int, distributions: Mapping[str, BaseDistribution]
    ) -> None:
        self._engine = storage.engine
        self._study_id = study_id
        self._distributions = distributions
        self._encoded = {name: distribution_to_json(of) for name, of in distributions.items()}

    def add(
        self,
        number: int,
        state: TrialState,
        params: Mapping[str, Any],
        attributes: Mapping[str, Any],
    ) -> int:
        """Add a trial in one transaction; returns its id in the database."""
        now = datetime.now()
        row = {
            "study_id": self._study_id,
            "number": number,
            "state": state,
            "datetime_start": now,
            "datetime_complete": now if state.is_finished() else None,
        }
        with self._engine.begin() as connection:
            (row_id,) = connection.execute(
                insert(_TRIALS).returning(_TRIALS.c.trial_id), row
            ).one()
            if params:
                rows = [self._param(row_id, *param) for param in params.items()]
                connection.execute(insert(_PARAMS), rows)
            _set_attributes(connection, row_id, attributes)
        return int(row_id)

    def end(
        self,
        row_id: int,
        state: TrialState,
        values: Sequence[float],
        attributes: Mapping[str, Any],
    ) -> None:
        """End a trial in one transaction; finite values, or none."""
        with self._engine.begin() as connection:
            changed = {"state": state, "datetime_complete": datetime.now()}
            connection.execute(update(_TRIALS).where(_TRIALS.c.trial_id == row_id).values(changed))
            if values:
                rows = [_value(row_id, *value) for value in enumerate(values)]
                connection.execute(insert(_VALUES), rows)
            _set_attributes(connection, row_id, attributes)

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


def _set_attributes(connection: Connection, row_id: int, attributes: Mapping[str, Any]) -> None:
    if attributes:
        rows = [
            {"trial_id": row_id, "key": key, "value_json": json.dumps(value)}
            for key, value in attributes.items()
        ]
        connection.execute(insert(_ATTRIBUTES), rows)
