r"""The table and the picture of what `efficiency.py` measured.

    python -m experiments.samplers.efficiency_report experiments/samplers/efficiency.csv \
        --picture efficiency.png

The table says, for each way to search, the hypervolume that it had when its budget was spent, on
validation and, of the front that was chosen there, on test images; and how many epochs the
stage-tree sampler needed for the same hypervolume on the same seed. `best of these` is, in each
seed, the best of all stock samplers that were given every advantage. Medians over the seeds; a
seed in which the hypervolume is never reached counts as infinitely many epochs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

OURS = "stage-tree"
_QUARTER = "stage-tree 1/4"
LESSER = ("optuna default", "stock usage")  # not given every advantage
_BEST = "best of these"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Make the table and the picture of measured curves."""

    curves: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files that efficiency.py wrote."""
    picture: Path | None = None
    """File of the picture; none is drawn without it."""


def main() -> None:
    """Print the table, and draw the picture."""
    asked = tyro.cli(Report)
    curves = pd.concat([pd.read_csv(path) for path in asked.curves], ignore_index=True)
    print("\n".join(table(curves)))
    if asked.picture is not None:
        _draw(curves, asked.picture)


def epochs_to_reach(curve: pd.DataFrame, height: float) -> float:
    """Executed epochs at which a curve first has a hypervolume; infinite if it never has.

    Args:
        curve: Columns epochs, hypervolume.
        height: A hypervolume.
    """
    reached = curve.loc[curve["hypervolume"] >= height, "epochs"]
    return float(reached.min()) if len(reached) else math.inf


def finals(curves: pd.DataFrame) -> pd.DataFrame:
    """Hypervolume at the end of each run: a row a seed, a column an arm, and `best of these`."""
    ends = curves.groupby(["seed", "arm"])["hypervolume"].max().unstack()
    stock = ends.drop(columns=[OURS, _QUARTER, *LESSER], errors="ignore")
    return ends.assign(**{_BEST: stock.max(axis=1)})


def table(curves: pd.DataFrame) -> Iterator[str]:
    """Lines of the table.

    Args:
        curves: Columns arm, seed, epochs, hypervolume, and test_hypervolume where a run ends.
    """
    ends = finals(curves)
    tests = curves.groupby(["seed", "arm"])["test_hypervolume"].max().unstack().median().to_dict()
    ours = curves[curves["arm"] == OURS]
    budget, wide = curves["epochs"].max(), max(map(len, ends.columns)) + 2
    yield f"{len(ends)} seeds, {budget} executed epochs; medians, quartiles in brackets"
    yield (
        f"{'':{wide}}{'hypervolume':26}{'on test':10}{'lower than':12}"
        f"{'epochs of stage-tree for the same':36}fewer by"
    )
    yield f"{'':{wide + 38}}{'stage-tree':12}"
    for arm, final in ends.items():
        low, middle, high = np.quantile(final, (0.25, 0.5, 0.75))
        line = f"{arm:{wide}}{middle:.4f} [{low:.4f}, {high:.4f}]  "
        line += f"{tests[arm]:.4f}    " if arm in tests else " " * 10
        if arm == OURS:
            yield line
            continue
        needed = [
            epochs_to_reach(ours[ours["seed"] == seed], height) for seed, height in final.items()
        ]
        median = float(np.median(needed))
        each = " ".join("never" if math.isinf(n) else f"{n:.0f}" for n in needed)
        below = f"{(final < ends[OURS]).sum()} of {len(final)}"
        shown = "never" if math.isinf(median) else f"{median:.0f}"
        yield f"{line}{below:12}{f'{shown} ({each})':36}{budget / median:.1f}"


def _draw(curves: pd.DataFrame, path: Path) -> None:
    """Median and quartiles over the seeds, of each arm's hypervolume at every epoch."""
    at = np.arange(curves["epochs"].max() + 1)
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for arm, runs in curves.groupby("arm", sort=False):
        heights = np.array([_heights(run, at) for _, run in runs.groupby("seed")])
        low, middle, high = np.quantile(heights, (0.25, 0.5, 0.75), axis=0)
        (line,) = axes.plot(at, middle, label=arm, linewidth=2.5 if arm == OURS else 1.2)
        axes.fill_between(at, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set(xlabel="executed fine-tuning epochs", ylabel="hypervolume (validation)")
    axes.set_xlim(0, at[-1])
    axes.legend(loc="lower right", frameon=False, ncols=2)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def _heights(run: pd.DataFrame, at: NDArray[np.int64]) -> NDArray[np.float64]:
    ordered = run.sort_values("epochs", kind="stable")
    place = np.searchsorted(ordered["epochs"], at, side="right") - 1
    return ordered["hypervolume"].to_numpy()[place]


if __name__ == "__main__":
    main()
