import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pruning import Round, StageStore
from search import read_front
from search.results.tables import COLUMNS, candidates_csv, pareto_csv
from tests.search.landscape import draft, grow, rounds


@pytest.fixture
def searched(store: StageStore) -> StageStore:
    for trial, schedule in enumerate((rounds(0.5, 0.7), rounds(0.5, 0.9), rounds(0.9))):
        grow(store, schedule, trial=trial)
    store.commit(draft(rounds(0.7), 0.2), b"", trial=3)
    return store


def read(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def test_candidates_hold_every_stage_in_order(searched: StageStore) -> None:
    table = read(candidates_csv(searched))
    assert list(table.columns) == [*COLUMNS, "on_front"]
    assert set(table["stage"]) == {stage.id for stage in searched}
    assert table["executed_epochs"].is_monotonic_increasing
    for row in table.to_dict("records"):
        stage = searched[row["stage"]]
        assert tuple(json.loads(row["channels"])) == stage.channels
        assert json.loads(row["rates"]) == [round_.rate for round_ in stage.schedule]
        assert json.loads(row["epochs"]) == [round_.epochs for round_ in stage.schedule]
        assert json.loads(row["lrs"]) == [round_.lr for round_ in stage.schedule]
        assert json.loads(row["allocations"]) == [r.allocation for r in stage.schedule]
        assert json.loads(row["starts"]) == [round_.start for round_ in stage.schedule]
        assert row["round"] == len(stage.schedule)
        for column in ("width_mult", "params", "macs", "size_bytes", "val_loss", "val_accuracy"):
            assert row[column] == getattr(stage, column)
        assert row["seconds"] == stage.seconds


def test_tables_are_read_again_with_lists(searched: StageStore, tmp_path: Path) -> None:
    (tmp_path / "pareto.csv").write_text(pareto_csv(searched))
    (tmp_path / "candidates.csv").write_text(candidates_csv(searched))
    front, networks = read_front(tmp_path), read_front(tmp_path / "candidates.csv")
    assert set(front["stage"]) == set(networks[networks["on_front"]]["stage"])
    for row in networks.to_dict("records"):
        stage = searched[row["stage"]]
        assert row["channels"] == list(stage.channels)
        assert row["rates"] == [round_.rate for round_ in stage.schedule]
        assert row["starts"] == [round_.start for round_ in stage.schedule]


def test_on_front_is_the_definition_in_every_row(searched: StageStore) -> None:
    table = read(candidates_csv(searched))
    for row in table.itertuples():
        better = (table.params <= row.params) & (table.val_accuracy >= row.val_accuracy)
        strictly = (table.params < row.params) | (table.val_accuracy > row.val_accuracy)
        assert row.on_front == (not (better & strictly).any())
    assert table["on_front"].dtype == bool
    assert set(table["on_front"]) == {True, False}


def test_pareto_is_the_front_by_ascending_parameters(searched: StageStore) -> None:
    table, candidates = read(pareto_csv(searched)), read(candidates_csv(searched))
    assert list(table.columns) == list(COLUMNS)
    assert table["params"].is_monotonic_increasing
    assert set(table["stage"]) == set(candidates[candidates["on_front"]]["stage"])


def test_trial_is_the_first_that_asked(searched: StageStore) -> None:
    trials = read(candidates_csv(searched)).set_index("stage")["trial"]
    assert [trials[draft(rounds(*rates)).id] for rates in ((), (0.5,), (0.5, 0.7))] == [0, 0, 0]
    assert trials[draft(rounds(0.5, 0.9)).id] == 1
    assert trials[draft(rounds(0.9)).id] == 2


def test_the_root_is_trial_0s_whoever_trained_it(store: StageStore) -> None:
    store.commit(draft(()), b"", trial=1)
    assert read(candidates_csv(store))["trial"].tolist() == [0]


def test_parents_come_before_children_that_cost_nothing(store: StageStore) -> None:
    free = tuple(Round(rate=rate, epochs=0, lr=1e-3) for rate in (0.9, 0.8, 0.7, 0.6))
    grow(store, free)
    assert read(candidates_csv(store))["round"].tolist() == [0, 1, 2, 3, 4]


def test_test_accuracy_is_empty_until_it_is_known(searched: StageStore) -> None:
    assert read(pareto_csv(searched))["test_accuracy"].isna().all()
    root = searched.child(None, None)
    assert root is not None
    searched.set_test_accuracy(root.id, 0.625)
    table = read(pareto_csv(searched)).set_index("stage")
    assert table.loc[root.id, "test_accuracy"] == 0.625


def test_repeats_stand_in_the_row_of_what_they_repeat(searched: StageStore) -> None:
    before = read(candidates_csv(searched))
    assert (before["repeats"] == 0).all()
    assert before["repeats_val_mean"].isna().all()
    (half,) = rounds(0.5)
    for replicate, accuracy in ((1, 0.6), (2, 0.7), (3, 0.95)):
        made = draft((replace(half, replicate=replicate),), accuracy)
        stage = searched.commit(made, b"", trial=9)
        if replicate < 3:
            searched.set_test_accuracy(stage.id, accuracy - 0.1)
    table = read(candidates_csv(searched))
    row = table.set_index("stage").loc[draft((half,)).id]
    assert row["repeats"] == 3
    assert row["repeats_val_mean"] == pytest.approx(0.75)
    assert row["repeats_val_std"] == pytest.approx(np.std([0.6, 0.7, 0.95], ddof=1))
    assert row["repeats_test_mean"] == pytest.approx(0.55)
    assert row["repeats_test_std"] == pytest.approx(np.std([0.5, 0.6], ddof=1))
    columns = [name for name in table.columns if not name.startswith("repeats")]
    pd.testing.assert_frame_equal(table[columns], before[columns])


def test_an_empty_search_gives_tables_without_rows(store: StageStore) -> None:
    assert list(read(candidates_csv(store)).columns) == [*COLUMNS, "on_front"]
    assert len(read(pareto_csv(store))) == 0
