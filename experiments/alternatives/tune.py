"""Which learning rate suits each alternative best, by validation accuracy."""

from collections.abc import Iterator

import pandas as pd

from experiments.alternatives.arms import cut_rounds, scratch_rounds
from experiments.alternatives.case import Case

_ARMS = {"scratch": scratch_rounds, "cut": cut_rounds}
_LRS = 4e-3, 8e-3, 1.6e-2, 3e-2, 6e-2


def rows(case: Case) -> list[dict[str, object]]:
    """Each network of scratch and of one cut, trained at each learning rate.

    Returns:
        Columns arm, seed, params, lr, val_accuracy; a network that diverges has accuracy 0.
    """
    found: list[dict[str, object]] = []
    for arm, rounds_of in _ARMS.items():
        for lr in _LRS:
            rounds = rounds_of(case, (lr,))
            for round_, stage in zip(rounds, case.children(rounds), strict=True):
                channels = case.architecture.channels_at(round_.rate)
                row = {"arm": arm, "seed": case.seed, "params": case.architecture.params(channels)}
                accuracy = 0.0 if stage is None else stage.val_accuracy
                found.append({**row, "lr": lr, "val_accuracy": accuracy})
            print(f"seed {case.seed}, {arm} at {lr:g}: {accuracy:.4f} at the widest", flush=True)
    return found


def table(tried: pd.DataFrame) -> Iterator[str]:
    """Mean accuracy over the seeds for each width and learning rate, and the flags that follow.

    The first flag has the rate that is best on average over the widths, the second the best one
    of each width; with few seeds that one follows luck, too.

    Args:
        tried: Columns arm, seed, params, lr, val_accuracy.
    """
    for arm in _ARMS:
        means = (
            tried[tried["arm"] == arm]
            .groupby(["params", "lr"])["val_accuracy"]
            .mean()
            .unstack("lr")
        )
        yield f"{arm}, {tried['seed'].nunique()} seeds"
        yield f"{'parameters':12}" + "".join(f"{lr:>10g}" for lr in means.columns)
        for params, line in means.iterrows():
            yield f"{params:<12,}" + "".join(
                f"{value:>9.4f}{'*' if value == line.max() else ' '}" for value in line
            )
        yield f"--{arm}-lr {means.mean().idxmax():g}"
        yield f"--{arm}-lr " + " ".join(f"{lr:g}" for lr in means.idxmax(axis="columns"))
