"""The search: what is tried, what came of it, and the command that runs it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame

_LISTS = ("channels", "rates", "epochs", "lrs", "allocations", "starts")

__all__ = ["read_front"]


def read_front(path: str | Path) -> "DataFrame":
    """The front of a search as a table, with lists where the file has JSON.

    Args:
        path: A results folder, or a table in one: pareto.csv, or candidates.csv for all networks.

    Returns:
        A row for each network; the columns are those of the file.

    Raises:
        OSError: There is no such table.
    """
    import pandas as pd  # spares --help its second

    table = Path(path)
    if table.is_dir():
        table /= "pareto.csv"
    return pd.read_csv(table, converters=dict.fromkeys(_LISTS, json.loads))
