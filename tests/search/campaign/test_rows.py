from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.campaign.rows import StudyRows

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "rounds": IntDistribution(1, 3),
    "rate_1": CategoricalDistribution((0.5, 0.9)),
    "start_1": CategoricalDistribution(("inherit", "fresh")),
    "rate_2": CategoricalDistribution((0.5, 0.9)),
}
PARAMS = ({"rounds": 1, "rate_1": 0.9, "start_1": "fresh"}, {"rounds": 2, "rate_2": 0.5}, {})
HOW: dict[str, Any] = {"reason": 'it "diverged": é', "rounds_reached": -1}


def study_at(path: Path) -> tuple[optuna.Study, RDBStorage]:
    storage = RDBStorage(f"sqlite:///{path}")
    directions = ["maximize", "minimize"]
    return optuna.create_study(storage=storage, study_name="s", directions=directions), storage


def told(trial: FrozenTrial) -> tuple[Any, ...]:
    """All that a trial says, but for times."""
    ended = trial.datetime_complete
    assert trial.datetime_start is not None
    assert ended is None or ended >= trial.datetime_start
    return (
        trial.number,
        trial.state,
        trial.values,
        trial.params,
        trial.distributions,
        trial.user_attrs,
        trial.system_attrs,
        trial.intermediate_values,
        ended is None,
    )


def test_rows_are_those_that_optuna_writes(tmp_path: Path) -> None:
    theirs, storage = study_at(tmp_path / "theirs.db")
    for params in PARAMS:
        of_these = {name: DISTRIBUTIONS[name] for name in params}
        theirs.add_trial(
            create_trial(state=TrialState.RUNNING, params=params, distributions=of_these)
        )
    theirs.tell(0, (0.75, 1234.0))
    for name, value in HOW.items():
        storage.set_trial_user_attr(theirs.get_trials()[1]._trial_id, name, value)
    theirs.tell(1, state=TrialState.FAIL)
    theirs.add_trial(create_trial(state=TrialState.PRUNED, user_attrs=HOW))

    ours, storage = study_at(tmp_path / "ours.db")
    rows = StudyRows(storage, storage.get_study_id_from_name("s"), DISTRIBUTIONS)
    with rows.writing():
        ids = [
            rows.add(number, TrialState.RUNNING, each, {}) for number, each in enumerate(PARAMS)
        ]
    with rows.writing():
        rows.end(ids[0], TrialState.COMPLETE, (0.75, 1234.0), {})
        rows.end(ids[1], TrialState.FAIL, (), HOW)
    with rows.writing():
        rows.add(3, TrialState.PRUNED, {}, HOW)

    assert [*map(told, ours.get_trials())] == [*map(told, theirs.get_trials())]
    again = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'ours.db'}")
    assert [*map(told, again.trials)] == [*map(told, theirs.trials)]
    again.tell(2, (0.5, 1.0))  # Optuna goes on with it
    assert again.trials[2].values == [0.5, 1.0]


def test_a_transaction_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    study, storage = study_at(tmp_path / "study.db")
    rows = StudyRows(storage, storage.get_study_id_from_name("s"), DISTRIBUTIONS)
    with pytest.raises(KeyError), rows.writing():
        rows.add(0, TrialState.RUNNING, PARAMS[0] | {"rate_9": 0.5}, {})
    assert study.get_trials() == []
