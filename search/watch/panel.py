"""What a terminal shows of a search while it runs."""

import math
from collections.abc import Iterator

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pruning import Stage
from search.front.cost import cost_of, shown
from search.front.names import CostName
from search.watch.snapshot import STARTING, Snapshot, describe_activity

_COLUMNS, _LINES = 44, 9  # of the plot
_WORKERS, _REASONS = 8, 3  # that are shown
_FRONT, _OTHER = "●", "·"


def panel(snapshot: Snapshot) -> RenderableType:
    """The panel of a search."""
    sides = Columns(  # or one below the other, where both do not fit
        [_plot(snapshot), Group(_best(snapshot), Text(), _workers(snapshot))], padding=(0, 3)
    )
    failures = [
        Text(f"{count} failed: {reason}", style="red", overflow="ellipsis", no_wrap=True)
        for reason, count in snapshot.failures.most_common(_REASONS)
    ]
    if len(snapshot.failures) > _REASONS:
        failures.append(Text(f"and {len(snapshot.failures) - _REASONS} other failures"))
    counts = Text(" · ".join(snapshot.counts()), overflow="ellipsis", no_wrap=True)
    return Panel(Group(_bar(snapshot), counts, Text(), sides, *failures), border_style="dim")


def _bar(snapshot: Snapshot) -> RenderableType:
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(ratio=1)
    row.add_column(no_wrap=True)
    times = ", ".join(snapshot.times())
    bar = ProgressBar(total=1.0, completed=snapshot.share)
    row.add_row(bar, f"{snapshot.share:.0%}  {times}")
    return row


def _plot(snapshot: Snapshot) -> Text:
    """Networks by the logarithm of their cost, to the right, and by accuracy, upwards."""
    if snapshot.root is None:
        doing = "" if snapshot.activities else f" The {STARTING}."
        return Text(f"The root is trained first.{doing}", style="dim")
    networks, members, cost = snapshot.networks, snapshot.members, snapshot.cost
    costs = [cost_of(stage, cost) for stage in networks]
    left, right = math.log(min(costs)), math.log(max(costs))
    bottom = min(stage.val_accuracy for stage in members)
    top = max(stage.val_accuracy for stage in members)
    grid = [[" "] * _COLUMNS for _ in range(_LINES)]
    for stages, mark in ((networks, _OTHER), (members, _FRONT)):
        for stage in stages:
            if stage.val_accuracy >= bottom:
                across = _place(math.log(cost_of(stage, cost)), left, right, _COLUMNS)
                down = _LINES - 1 - _place(stage.val_accuracy, bottom, top, _LINES)
                grid[down][across] = mark
    text = Text(no_wrap=True)
    for number, line in enumerate(grid):
        label = {0: f"{top:.3f}", _LINES - 1: f"{bottom:.3f}"}.get(number, "")
        text.append(f"{label:>5} ", style="dim")
        text.append("".join(line) + "\n", style="cyan")
    first, last = shown(min(costs), cost), shown(max(costs), cost)
    text.append(" " * 6 + first + last.rjust(_COLUMNS - len(first)), style="dim")
    return text


def _place(value: float, least: float, most: float, places: int) -> int:
    return 0 if most <= least else round((value - least) / (most - least) * (places - 1))


def _best(snapshot: Snapshot) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for share, stage in snapshot.best():
        table.add_row(f"≤ {share:.0%} of the root", *_cells(stage, snapshot.cost))
    return table


def _cells(stage: Stage, cost: CostName) -> Iterator[str]:
    yield f"{stage.val_accuracy:.4f}"
    yield shown(cost_of(stage, cost), cost)


def _workers(snapshot: Snapshot) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    doing = sorted(snapshot.activities.items())
    for trial, activity in doing[:_WORKERS]:
        table.add_row(Text(f"trial {trial}", style="dim"), describe_activity(activity))
    if len(doing) > _WORKERS:
        table.add_row("", f"and {len(doing) - _WORKERS} more")
    return table
