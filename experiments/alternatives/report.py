r"""The table and the picture of what `compare.py` measured.

    python -m experiments.alternatives.report alternatives.csv --picture alternatives.png

For each arm: epochs and seconds that it took, and its hypervolume, on validation and, of the front
that was chosen there, on test images; how far the search is above it, seed by seed. Hypervolume is
measured on the whole scale, from one channel in every prunable block to the root, and once more
`from the narrowest` of the eight widths on: nobody trained a smaller network on purpose, while the
search may go further down, which the whole scale rewards and this one does not.
Then the accuracy at each of the eight widths: that of the arm's candidate of at most so many
parameters which is best on validation. Means over the seeds, ± half of the 95 % interval
(Student's t); `-` where an arm has no such network in one of the seeds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tyro
from matplotlib.axes import Axes

from experiments.alternatives.fronts import Estimate, by_seed, difference
from search.front.hypervolume import Scale

OURS, THEIRS = "search", "scratch"
SPLITS = {"val_accuracy": "validation", "test_accuracy": "test"}
_WHOLE, _COMMON = "whole scale", "from the narrowest"
_POINTS = 200  # of a curve


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Make the table and the picture of a comparison."""

    rows: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files that compare.py wrote, of one data set."""
    picture: Path | None = None
    """File of the picture; none is drawn without it."""


def main() -> None:
    """Print the table, and draw the picture."""
    asked = tyro.cli(Report)
    rows = pd.concat([pd.read_csv(path) for path in asked.rows], ignore_index=True)
    print("\n".join(table(rows)))
    if asked.picture is not None:
        draw(rows, asked.picture)


def sizes_of(rows: pd.DataFrame) -> list[int]:
    """Parameters of the networks that were trained from scratch, ascending.

    Raises:
        ValueError: None were.
    """
    sizes = rows.loc[rows["arm"] == THEIRS, "params"]
    if not len(sizes):
        raise ValueError(f"the rows have no arm {THEIRS}, whose networks' sizes are compared at")
    return sorted(int(size) for size in sizes.unique())


def measured(rows: pd.DataFrame) -> pd.DataFrame:
    """What is said of each arm and seed; see `by_seed`.

    Raises:
        ValueError: The rows are of several data sets or networks, or there is no scratch.
    """
    axes = rows[["least_cost", "root_cost", "chance"]].drop_duplicates()
    if len(axes) != 1:
        raise ValueError(f"the rows are measured on {len(axes)} scales; give files of one set")
    least, root, chance = axes.iloc[0]
    sizes = sizes_of(rows)
    scales = {
        _WHOLE: Scale(least_cost=int(least), root_cost=int(root), chance=chance),
        _COMMON: Scale(least_cost=sizes[0], root_cost=int(root), chance=chance),
    }
    return by_seed(rows, scales, sizes)


def table(rows: pd.DataFrame) -> Iterator[str]:
    """Lines of the table.

    Args:
        rows: As compare.py writes them.
    """
    found, sizes = measured(rows), sizes_of(rows)
    arms = list(rows["arm"].unique())
    yield f"{rows['seed'].nunique()} seeds; means ± half of the 95 % interval"
    yield ""
    yield f"{'':16}{'epochs':>8}{'seconds':>9}"
    for arm in arms:
        spent = found.loc[arm]
        yield f"{arm:16}{spent['epochs', ''].mean():8.0f}{spent['seconds', ''].mean():9.0f}"
    for scale in (_WHOLE, _COMMON):
        for accuracy, split in SPLITS.items():
            yield ""
            yield f"{f'hypervolume, {scale}, {split}':56}{OURS} less it   above it in"
            yield from _hypervolumes(found[accuracy, scale], arms)
    for accuracy, split in SPLITS.items():
        yield ""
        yield f"accuracy on {split} with at most so many parameters"
        yield from _accuracies(pd.DataFrame(found[accuracy]), arms, sizes)


def _hypervolumes(values: pd.Series, arms: list[str]) -> Iterator[str]:
    for arm in arms:
        line = f"{arm:16}{_cell(Estimate.of(values.loc[arm])):>18}"
        if arm != OURS and OURS in arms:
            gains = difference(values, OURS, arm)
            line += f"{'':16}{_cell(Estimate.of(gains), signed=True):>18}"
            line += f"   {(gains > 0).sum()} of {len(gains)}"
        yield line


def _accuracies(found: pd.DataFrame, arms: list[str], sizes: list[int]) -> Iterator[str]:
    compared = OURS in arms
    heads = [*arms, f"{OURS} less {THEIRS}"] if compared else arms
    yield f"{'parameters':12}" + "".join(f"{head:>21}" for head in heads)
    behind = []
    for size in sizes:
        cells = [_cell(Estimate.of(found[size].loc[arm])) for arm in arms]
        if compared:
            gain = Estimate.of(difference(found[size], OURS, THEIRS))
            cells.append(_cell(gain, signed=True))
            if gain is None or gain.mean + gain.half < 0:
                behind.append(f"{size:,}")
        yield f"{size:<12,}" + "".join(f"{cell:>21}" for cell in cells)
    if compared and len(found.loc[OURS]) > 1:  # a single seed has no interval
        yield f"{THEIRS} is better by more than the interval at: {', '.join(behind) or 'none'}"


def _cell(estimate: Estimate | None, *, signed: bool = False) -> str:
    if estimate is None:
        return "-"
    return f"{estimate.mean:{'+' if signed else '-'}z.4f} ± {estimate.half:.4f}"


def draw(rows: pd.DataFrame, path: Path) -> None:
    """What each arm offers at any size, means over the seeds; intervals at the eight widths.

    Where an arm has no network so small, its accuracy is chance.
    """
    sizes = sizes_of(rows)
    least, root, chance = rows[["least_cost", "root_cost", "chance"]].iloc[0]
    every = sorted({int(size) for size in np.geomspace(least, root, _POINTS)} | set(sizes))
    found = by_seed(rows, {}, every)
    figure, both = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for axes, (accuracy, split) in zip(both, SPLITS.items(), strict=True):
        for arm in rows["arm"].unique():
            _line(axes, arm, found[accuracy].loc[arm].fillna(chance), sizes)
        axes.set(title=split, xlabel="parameters at most", xscale="log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=30)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    both[0].set_ylabel("accuracy")
    both[1].legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _line(axes: Axes, arm: str, accuracies: pd.DataFrame, sizes: list[int]) -> None:
    means = accuracies.mean()
    if arm not in (OURS, THEIRS):
        axes.step(means.index, means, where="post", label=arm, linewidth=1, linestyle="--")
        return
    (line,) = axes.step(means.index, means, where="post", label=arm, linewidth=2.2, zorder=3)
    known = {size: Estimate.of(accuracies[size]) for size in sizes}
    bars = [(size, one.mean, one.half) for size, one in known.items() if one is not None]
    x, mean, half = zip(*bars, strict=True)
    axes.errorbar(x, mean, half, fmt="none", ecolor=line.get_color(), capsize=4, zorder=3)


if __name__ == "__main__":
    main()
