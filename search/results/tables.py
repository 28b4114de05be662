"""The tables that people read, as pure functions of the stages."""

import json
from collections.abc import Sequence
from statistics import fmean, stdev

import pandas as pd

from pruning import Stage, StageStore
from search.front.names import CostName
from search.front.stages import front

COLUMNS = {
    "stage": "id of the network, and the name of its folder in stages/",
    "trial": "the first trial that asked for it; the root's is 0",
    "round": "rounds from the root to it",
    "width_mult": "product of the rates",
    "channels": "channels of the eight blocks, or of another network's groups; a JSON list",
    "params": "parameters, frozen ones too",
    "macs": "multiply-adds for one image",
    "size_bytes": "bytes of the fp32 state dict, buffers included",
    "val_loss": "mean cross-entropy on validation images",
    "val_accuracy": "accuracy on validation images, in [0, 1]",
    "test_accuracy": "accuracy on test images, of the front when the search has ended",
    "rates": "the schedule's rates, the share of the present width that each round kept; JSON",
    "epochs": "the schedule's fine-tuning epochs, one number a round; JSON",
    "lrs": "the schedule's learning rates, one a round; JSON",
    "seconds": "what its last round took on its worker, training and evaluation",
    "executed_epochs": "fine-tuning epochs of the search up to and including it",
    "allocations": "how the schedule's rounds divided the channels they kept; JSON",
    "starts": "what the schedule's rounds began with, inherited weights or fresh ones; JSON",
    "repeats": "how often --confirm has trained its last round again",
    "repeats_val_mean": "mean accuracy of the repeats on validation images",
    "repeats_val_std": "sample standard deviation of the same",
    "repeats_test_mean": "mean accuracy of the repeats on test images",
    "repeats_test_std": "sample standard deviation of the same",
    "latency_ms": "milliseconds of a forward pass of one image, fp32, eager, on the worker's "
    "device; on a CPU, of one thread",
}
"""What stands in both tables, in this order."""

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
