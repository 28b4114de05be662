"""The tables that people read, as pure functions of the stages."""

import json
from collections.abc import Sequence
from statistics import fmean, stdev

import pandas as pd

from pruning import Stage, StageStore
from search.front.names import CostName
from search.front.stages import front

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
    "allocations",
    "starts",
    "repeats",
    "repeats_val_mean",
    "repeats_val_std",
    "repeats_test_mean",
    "repeats_test_std",
    "latency_ms",
)
COST_COLUMNS: dict[CostName, str] = {
    "params": "params",
    "macs": "macs",
    "bytes": "size_bytes",
    "latency": "latency_ms",
}
"""Where each cost stands."""


def candidates(store: StageStore, cost: CostName = "params") -> pd.DataFrame:
    """Every stage, in the order in which they were accepted, with a column `on_front`.

    Lists are cells of JSON.
    """
    ordered = sorted(
        store, key=lambda stage: (stage.executed_epochs, len(stage.schedule), stage.id)
    )
    members = {stage.id for stage in front(ordered, cost)}
    table = _table(ordered, store)
    table["on_front"] = [stage.id in members for stage in ordered]
    return table


def candidates_csv(store: StageStore, cost: CostName = "params") -> str:
    """`candidates` as they are kept."""
    return str(candidates(store, cost).to_csv(index=False))


def pareto_csv(store: StageStore, cost: CostName = "params") -> str:
    """The front, by ascending cost."""
    return str(_table(front(store, cost), store).to_csv(index=False))


def _table(stages: Sequence[Stage], store: StageStore) -> pd.DataFrame:
    repeats = store.repeats
    rows = [
        {
            "stage": stage.id,
            "trial": stage.trial if stage.schedule else 0,
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
            "allocations": json.dumps([round_.allocation for round_ in stage.schedule]),
            "starts": json.dumps([round_.start for round_ in stage.schedule]),
            **_of_repeats(repeats.get(stage.id, [])),
            "latency_ms": stage.latency_ms,
        }
        for stage in stages
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _of_repeats(repeats: Sequence[Stage]) -> dict[str, float | None]:
    """Their number, and mean and sample standard deviation of their accuracies, where known."""
    cells: dict[str, float | None] = {"repeats": len(repeats)}
    for split in ("val", "test"):
        accuracies = [
            accuracy
            for repeat in repeats
            if (accuracy := getattr(repeat, f"{split}_accuracy")) is not None
        ]
        cells[f"repeats_{split}_mean"] = fmean(accuracies) if accuracies else None
        cells[f"repeats_{split}_std"] = stdev(accuracies) if len(accuracies) > 1 else None
    return cells
