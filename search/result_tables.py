"""The tables that people read, as pure functions of ledger and store."""

import json
from collections.abc import Iterable, Sequence

import pandas as pd

from pruning import Stage, StageStore
from search.campaign import front, path
from search.ledger import Trial

COLUMNS = (
    "stage",
    "trial",
    "round",
    "width_mult",
    "channels",
    "params",
    "macs",
    "size_bytes",
    "val_loss",
    "val_accuracy",
    "test_accuracy",
    "rates",
    "epochs",
    "lrs",
    "seconds",
    "executed_epochs",
)


def candidates_csv(store: StageStore, trials: Iterable[Trial]) -> str:
    """Every stage, in the order in which they were accepted, with a column `on_front`."""
    stages = sorted(
        store, key=lambda stage: (stage.executed_epochs, stage.schedule != (), stage.id)
    )
    members = {stage.id for stage in front(stages)}
    table = _table(stages, first_trials(store, trials))
    table["on_front"] = [stage.id in members for stage in stages]
    return str(table.to_csv(index=False))


def pareto_csv(store: StageStore, trials: Iterable[Trial]) -> str:
    """The front, by ascending parameters."""
    return str(_table(front(store), first_trials(store, trials)).to_csv(index=False))


def first_trials(store: StageStore, trials: Iterable[Trial]) -> dict[str, int]:
    """For each stage the number of the first trial whose schedule passes it; the root has 0."""
    first: dict[str, int] = {}
    root = store.child(None, None)
    if root is not None:
        first[root.id] = 0
    for trial in trials:
        for stage in path(store, trial.schedule):
            first.setdefault(stage.id, trial.number)
    return first


def _table(stages: Sequence[Stage], trials: dict[str, int]) -> pd.DataFrame:
    rows = [
        {
            "stage": stage.id,
            "trial": trials.get(stage.id),
            "round": len(stage.schedule),
            "width_mult": stage.width_mult,
            "channels": json.dumps(stage.channels),
            "params": stage.params,
            "macs": stage.macs,
            "size_bytes": stage.size_bytes,
            "val_loss": stage.val_loss,
            "val_accuracy": stage.val_accuracy,
            "test_accuracy": stage.test_accuracy,
            "rates": json.dumps([round_.rate for round_ in stage.schedule]),
            "epochs": json.dumps([round_.epochs for round_ in stage.schedule]),
            "lrs": json.dumps([round_.lr for round_ in stage.schedule]),
            "seconds": stage.seconds,
            "executed_epochs": stage.executed_epochs,
        }
        for stage in stages
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
