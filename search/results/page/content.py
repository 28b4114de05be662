"""What a page and a picture show, as values that are equal to the tables'."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from pruning import StageStore
from search.errors import RefusedError
from search.front.cost import costs_of
from search.front.hypervolume import Scale
from search.front.names import UNITS, CostName
from search.front.stages import front
from search.results.folder import ResultsFolder
from search.results.luck import luck
from search.results.page.choices import KNOBS, choices
from search.results.page.facts import Facts, facts, figures, settings
from search.results.tables import COST_COLUMNS, candidates


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A search that is shown.

    Attributes:
        folder: Where it lives.
        store: Its stages.
        cost: What accuracy is traded against.
        command: Starts such a search.
    """

    folder: ResultsFolder
    store: StageStore
    cost: CostName
    command: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What is shown of one search or several.

    Attributes:
        cost: What accuracy is traded against.
        searches: What is said of each, as JSON values.
        table: The rows of all their candidates.csv, one search after another, with columns
            `search`, the place of the row's search; `parent`, the place of its parent's row, or
            none; `hypervolume`, of its search up to and including it, or none.
    """

    cost: CostName
    searches: list[dict[str, Any]]
    table: pd.DataFrame

    @classmethod
    def of(cls, subjects: Sequence[Subject]) -> "Content":
        """The content of a page on some searches.

        Raises:
            RefusedError: They cannot be compared.
        """
        descriptions = [subject.folder.read() for subject in subjects]
        for what, values in (
            ("another --cost", [subject.cost for subject in subjects]),
            ("other images", [one.get("data", {}).get("fingerprint") for one in descriptions]),
        ):
            for subject, value in zip(subjects, values, strict=True):
                if value != values[0]:
                    raise RefusedError(
                        f"{subject.folder.path} has {what} than {subjects[0].folder.path}: "
                        "their fronts cannot be compared."
                    )
        scale = _common_scale([_scale(*one) for one in zip(subjects, descriptions, strict=True)])
        names = [subject.folder.path.resolve().name for subject in subjects]
        if len(set(names)) < len(names):
            names = [str(subject.folder.path) for subject in subjects]
        searches, tables, rows = [], [], 0
        for number, subject in enumerate(subjects):
            tables.append(_rows(subject, scale).assign(search=number))
            tables[-1]["parent"] += rows
            rows += len(tables[-1])
            searches.append(
                {"name": names[number]} | _said(subject, descriptions[number], tables[-1], scale)
            )
        return cls(
            cost=subjects[0].cost,
            searches=searches,
            table=pd.concat(tables, ignore_index=True),
        )

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values; NaN is null."""
        columns = {
            name: [None if pd.isna(cell) else cell for cell in column.tolist()]
            for name, column in self.table.items()
        }
        return {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "cost": COST_COLUMNS[self.cost],
            "unit": UNITS[self.cost],
            "knobs": KNOBS,
            "searches": self.searches,
            "columns": columns,
        }


def _scale(subject: Subject, description: dict[str, Any]) -> Scale | None:
    scale = description.get("scale")
    try:
        return None if scale is None else Scale(**scale)
    except TypeError:
        raise RefusedError(
            f"search.json of {subject.folder.path} is damaged: its scale is {scale}."
        ) from None


def _common_scale(scales: Sequence[Scale | None]) -> Scale | None:
    """One scale for all, so that hypervolumes can be compared; None if one does not have any."""
    known = [scale for scale in scales if scale is not None]
    if len(known) < len(scales):
        return None
    return Scale(
        least_cost=min(scale.least_cost for scale in known),
        root_cost=max(scale.root_cost for scale in known),
        chance=known[0].chance,
    )


def _rows(subject: Subject, scale: Scale | None) -> pd.DataFrame:
    table = candidates(subject.store, subject.cost)
    places = {stage: place for place, stage in enumerate(table["stage"])}
    parents = [places.get(subject.store[stage].parent or "") for stage in table["stage"]]
    table["parent"] = pd.array(parents, dtype="Int64")
    table["hypervolume"] = None
    if scale is not None:
        stages = [subject.store[stage] for stage in table["stage"]]
        costs = costs_of(stages, subject.cost)
        table["hypervolume"] = scale.growth(costs, table["val_accuracy"])
    return table


def _said(
    subject: Subject, description: dict[str, Any], table: pd.DataFrame, scale: Scale | None
) -> dict[str, Any]:
    store, cost = subject.store, subject.cost
    stages = list(store)
    members = front(stages, cost)
    chance = 0.0 if scale is None else scale.chance
    numbers: Facts = figures(stages, members, store.executed_epochs, cost, chance)
    if len(table) and table["hypervolume"].notna().all():
        numbers.append(("hypervolume", f"{table['hypervolume'].iloc[-1]:.4f}"))
    return {
        "folder": str(subject.folder.path),
        "command": subject.command,
        "figures": numbers,
        "facts": facts(description, float(table["seconds"].sum())),
        "settings": settings(description),
        "luck": list(luck(store, cost)),
        "choices": [asdict(choice) for choice in choices(stages, members)],
    }
