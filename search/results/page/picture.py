"""The picture of a front: what the page's first chart shows, for where there is no browser."""

import io
import warnings
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from search.front.names import UNITS
from search.results.page.content import Content
from search.results.tables import COST_COLUMNS

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_LONGEST = 40  # characters of a name
_DECADE = 10


def picture(content: Content) -> bytes:
    """The content of `pareto.png`.

    No state of matplotlib is touched, whoever else draws in this process.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    several = len(content.searches) > 1
    for number, search in enumerate(content.searches):
        rows = content.table[content.table["search"] == number]
        name = f", {search['name'][-_LONGEST:]}" if several else ""
        _draw(axes, rows, COST_COLUMNS[content.cost], number, name)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    wide = high > _DECADE * low
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.3f}".rstrip("0").rstrip(".")))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(UNITS[content.cost])
    axes.set_ylabel("accuracy")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(content.table):
        for text in axes.legend(loc="lower right", frameon=False).get_texts():
            text.set_parse_math(False)  # it is a folder's name
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # of such a name, that no font here has
        figure.savefig(file, format="png", dpi=150)
    return file.getvalue()


def _draw(axes: Axes, rows: pd.DataFrame, cost: str, number: int, name: str) -> None:
    colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
    on_front = rows["on_front"].astype(bool)
    members, others = rows[on_front].sort_values([cost, "stage"]), rows[~on_front]
    style: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "none"}
    axes.plot(others[cost], others["val_accuracy"], **style, markersize=3, alpha=0.25)
    axes.step(members[cost], members["val_accuracy"], where="post", color=colour, linewidth=1)
    axes.plot(members[cost], members["val_accuracy"], **style, label=f"validation{name}")
    tested = members.dropna(subset=["test_accuracy"])
    if len(tested):
        axes.plot(
            tested[cost],
            tested["test_accuracy"],
            **style,
            markerfacecolor="none",
            label=f"test{name}",
        )
