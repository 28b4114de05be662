import io
import json

import pandas as pd
import pytest

from pruning import StageStore
from search.ledger import Ledger
from search.result_tables import COLUMNS, candidates_csv, first_trials, pareto_csv
from tests.search.landscape import draft, grow, rounds


@pytest.fixture
def searched(store: StageStore, ledger: Ledger) -> tuple[StageStore, Ledger]:
    for schedule in (rounds(0.5, 0.7), rounds(0.5, 0.9), rounds(0.9)):
        ledger.add(schedule)
        grow(store, schedule)
    store.commit(draft(rounds(0.7), 0.2), b"")
    return store, ledger


def read(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def test_candidates_hold_every_stage_in_order(searched: tuple[StageStore, Ledger]) -> None:
    store, ledger = searched
    table = read(candidates_csv(store, ledger))
    assert list(table.columns) == [*COLUMNS, "on_front"]
    assert set(table["stage"]) == {stage.id for stage in store}
    assert table["executed_epochs"].is_monotonic_increasing
    for row in table.to_dict("records"):
        stage = store[row["stage"]]
        assert tuple(json.loads(row["channels"])) == stage.channels
        assert json.loads(row["rates"]) == [round_.rate for round_ in stage.schedule]
        assert json.loads(row["epochs"]) == [round_.epochs for round_ in stage.schedule]
        assert json.loads(row["lrs"]) == [round_.lr for round_ in stage.schedule]
        assert row["round"] == len(stage.schedule)
        for column in ("width_mult", "params", "macs", "size_bytes", "val_loss", "val_accuracy"):
            assert row[column] == getattr(stage, column)
        assert row["seconds"] == stage.seconds


def test_on_front_is_the_definition_in_every_row(searched: tuple[StageStore, Ledger]) -> None:
    table = read(candidates_csv(*searched))
    for row in table.itertuples():
        better = (table.params <= row.params) & (table.val_accuracy >= row.val_accuracy)
        strictly = (table.params < row.params) | (table.val_accuracy > row.val_accuracy)
        assert row.on_front == (not (better & strictly).any())
    assert table["on_front"].dtype == bool
    assert set(table["on_front"]) == {True, False}


def test_pareto_is_the_front_by_ascending_parameters(
    searched: tuple[StageStore, Ledger],
) -> None:
    table, candidates = read(pareto_csv(*searched)), read(candidates_csv(*searched))
    assert list(table.columns) == list(COLUMNS)
    assert table["params"].is_monotonic_increasing
    assert set(table["stage"]) == set(candidates[candidates["on_front"]]["stage"])


def test_trial_is_the_first_that_asked(searched: tuple[StageStore, Ledger]) -> None:
    store, ledger = searched
    trials = first_trials(store, ledger)

    def trial_of(*rates: float) -> int:
        return trials[draft(rounds(*rates)).id]

    assert trial_of() == trial_of(0.5) == trial_of(0.5, 0.7) == 0
    assert trial_of(0.5, 0.9) == 1
    assert trial_of(0.9) == 2


def test_test_accuracy_is_empty_until_it_is_known(searched: tuple[StageStore, Ledger]) -> None:
    store, ledger = searched
    assert read(pareto_csv(store, ledger))["test_accuracy"].isna().all()
    root = store.child(None, None)
    assert root is not None
    store.set_test_accuracy(root.id, 0.625)
    table = read(pareto_csv(store, ledger)).set_index("stage")
    assert table.loc[root.id, "test_accuracy"] == 0.625


def test_an_empty_search_gives_tables_without_rows(store: StageStore, ledger: Ledger) -> None:
    assert list(read(candidates_csv(store, ledger)).columns) == [*COLUMNS, "on_front"]
    assert len(read(pareto_csv(store, ledger))) == 0
