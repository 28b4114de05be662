import io
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pruning import Stage, StageStore
from search.campaign.ledger import Ledger
from search.console import Console
from search.observer import Observer, describe_stage
from search.results.folder import ResultsFolder
from search.results.table_writer import TableWriter
from tests.search.landscape import SPACE, draft, grow, make_campaign, rounds, run_trial


def test_a_line_on_a_network_tells_its_rounds_apart() -> None:
    first, second = rounds(0.5, 0.9)
    schedule = (first, replace(second, allocation="global"))
    stage = Stage.accept(draft(schedule, 0.75), trial=0, executed_epochs=0, sha256="")
    assert describe_stage(stage) == (
        f"front: accuracy 0.7500 with {stage.params:,} parameters (0.5/1/0.001 0.9/1/0.001/global)"
    )


@pytest.mark.parametrize(
    ("max_epochs", "expected"),
    [
        (None, ("3/9 trials", "3 epochs", "1:00 left")),
        (4, ("3/9 trials", "3/4 epochs", "0:10 left")),
    ],
)
@pytest.mark.parametrize("before", [True, False], ids=["root there", "root trained"])
def test_the_time_left_is_that_of_the_budget_that_ends_first(
    tmp_path: Path,
    store: StageStore,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    before: bool,
    max_epochs: int | None,
    expected: tuple[str, ...],
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    if before:
        grow(store, ())
    space = replace(SPACE, epochs=(1,))
    campaign = make_campaign(store, ledger, trials=9, max_epochs=max_epochs, space=space)
    output = io.StringIO()
    tables = TableWriter(ResultsFolder(tmp_path), store)
    observer = Observer(campaign, tables, Console(output), dict)
    if not before:
        now = 600.0
        observer.on_stage(grow(store, ()))
    for _ in range(3):
        trial = campaign.next_trial()
        assert trial is not None
        run_trial(campaign, store, trial)
    now += 30.0
    observer.show()
    assert all(part in output.getvalue() for part in expected)
