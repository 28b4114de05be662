"""What an arm's candidates are worth to whoever chooses among them by validation accuracy."""

from dataclasses import dataclass

import pandas as pd

from experiments.instruments.spread import interval
from search.front.dominance import on_front
from search.front.hypervolume import Scale


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A mean over seeds with half of its 95 % interval, which a single seed does not give."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: pd.Series) -> "Estimate | None":
        """Of a value a seed; None if a seed has none, as the others would not speak for it."""
        if not len(values) or values.isna().any():
            return None
        mean, half = interval(values.tolist())
        return cls(mean=mean, half=half)


def hypervolume(candidates: pd.DataFrame, scale: Scale, accuracy: str = "val_accuracy") -> float:
    """Hypervolume of the front that validation chooses.

    Args:
        candidates: Columns params, val_accuracy, and `accuracy`.
        scale: Of the hypervolume.
        accuracy: val_accuracy, or test_accuracy, by which the chosen front is then measured.
    """
    mask = on_front(candidates["params"], candidates["val_accuracy"])
    members = candidates[mask]
    return scale.hypervolume(members["params"], members[accuracy])


def accuracy_within(
    candidates: pd.DataFrame, params: int, accuracy: str = "val_accuracy"
) -> float:
    """Accuracy of the candidate that validation chooses among those of at most so many parameters.

    Of equal ones the smallest is chosen.

    Args:
        candidates: Columns params, val_accuracy, and `accuracy`.
        params: The most parameters.
        accuracy: val_accuracy or test_accuracy.

    Returns:
        NaN if no candidate is so small.
    """
    allowed = candidates[candidates["params"] <= params]
    best = allowed.sort_values(["val_accuracy", "params"], ascending=[False, True])
    return float(best[accuracy].iloc[0]) if len(best) else float("nan")


def by_seed(rows: pd.DataFrame, scales: dict[str, Scale], sizes: list[int]) -> pd.DataFrame:
    """All that is said of each arm and seed: a row each, whose index is (arm, seed).

    Args:
        rows: The candidates: columns arm, seed, epochs, seconds, params, val_accuracy and
            test_accuracy.
        scales: Scales of hypervolume by their names.
        sizes: Parameters at which accuracy is wanted.

    Returns:
        Columns (epochs, ""), (seconds, ""), and for each accuracy, val_accuracy or
        test_accuracy, (accuracy, name of a scale) and (accuracy, parameters).
    """
    found = {}
    for (arm, seed), candidates in rows.groupby(["arm", "seed"], sort=False):
        row: dict[tuple[str, str | int], float] = {
            ("epochs", ""): candidates["epochs"].max(),
            ("seconds", ""): candidates["seconds"].max(),
        }
        for accuracy in ("val_accuracy", "test_accuracy"):
            for name, scale in scales.items():
                row[accuracy, name] = hypervolume(candidates, scale, accuracy)
            for size in sizes:
                row[accuracy, size] = accuracy_within(candidates, size, accuracy)
        found[arm, seed] = row
    return pd.DataFrame.from_dict(found, orient="index")


def difference(values: pd.Series, ours: str, theirs: str) -> pd.Series:
    """One arm's values less another's, for each seed that both have.

    Args:
        values: One a row, with the index (arm, seed).
        ours: An arm.
        theirs: Another.

    Returns:
        Index seed.
    """
    mine, other = values.loc[ours], values.loc[theirs]
    both = mine.index.intersection(other.index)
    return pd.Series(mine.loc[both] - other.loc[both])
