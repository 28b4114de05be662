import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import cloudpickle
from ray.tune.experiment import Trial

from pruning import StageStore
from search.campaign.campaign import Campaign
from search.campaign.ledger import Ledger
from search.workers.crew import Crew
from search.workers.tune_loop import (
    _AssignmentCallback,
    _AssignmentScheduler,
    _AssignmentSearcher,
    _AssignmentStopper,
)
from tests.search.landscape import grow, make_campaign


class Searching:
    """A searcher as Tune drives it, with trials whose rounds are run at once."""

    def __init__(self, campaign: Campaign, store: StageStore, ledger: Ledger) -> None:
        self._campaign, self._store, self._ledger = campaign, store, ledger
        self._numbers: dict[str, int] = {}
        self.crew = Crew(2)
        released = SimpleNamespace(remote=lambda *_: None)
        self.searcher = _AssignmentSearcher(
            campaign, self.crew, SimpleNamespace(release=released), self._numbers
        )

    def ask(self, trial_id: str) -> dict[str, Any] | str | None:
        return self.searcher.suggest(trial_id)

    def complete(self, trial_id: str) -> None:
        number = self._numbers[trial_id]
        trial = next(trial for trial in self._ledger if trial.number == number)
        for stage in grow(self._store, trial.schedule, number):
            self._campaign.accept(stage.id)
        self._campaign.end(number)
        self.searcher.on_trial_complete(trial_id, {})


@pytest.fixture
def searching(store: StageStore, ledger: Ledger) -> Searching:
    """Two workers are busy, and a trial waits."""
    searching = Searching(make_campaign(store, ledger, ahead=3), store, ledger)
    for trial_id in ("first", "second", "third"):
        assert isinstance(searching.ask(trial_id), dict)
    for trial_id in ("first", "second"):
        searching.crew.start(trial_id)
    assert searching.ask("fourth") is None  # enough are in flight
    return searching


def test_what_waits_begins_before_another_proposal_is_made(searching: Searching) -> None:
    searching.complete("first")
    assert searching.ask("fourth") is None
    searching.crew.start("third")
    assert isinstance(searching.ask("fourth"), dict)


def test_of_two_free_workers_one_begins_before_a_proposal_is_made_for_the_other(
    searching: Searching,
) -> None:
    searching.complete("first")
    searching.complete("second")
    assert searching.ask("fourth") is None
    searching.crew.start("third")
    assert isinstance(searching.ask("fourth"), dict)
    assert searching.ask("fifth") is None
    searching.crew.start("fourth")
    assert isinstance(searching.ask("fifth"), dict)


def test_a_dead_worker_is_missing(searching: Searching) -> None:
    searching.searcher.on_trial_complete("second", error=True)
    assert searching.crew.missing == 1


def test_only_a_worker_that_had_begun_counts_against_its_trial(tmp_path: Path) -> None:
    heard: list[object] = []
    assignments = SimpleNamespace(
        retry=lambda number, reason: heard.append((number, reason)), abandon=heard.append
    )
    crew = Crew(1)
    numbers = {"late": 1, "early": 2, "last": 3}
    failed: list[str] = []
    callback = _AssignmentCallback(assignments, crew, numbers, set(), failed.append, lambda: None)
    (tmp_path / "error.txt").write_text("a traceback\nRuntimeError: no memory\n")

    def die(trial_id: str) -> None:
        trial = SimpleNamespace(trial_id=trial_id, error_file=str(tmp_path / "error.txt"))
        crew.lose(trial_id)
        callback.on_trial_error(0, [], trial)

    callback.on_trial_start(0, [], SimpleNamespace(trial_id="late"))
    die("late")
    for _ in range(4):
        crew.wait("early")
        die("early")
    assert failed == ["RuntimeError: no memory"] * 4
    assert heard == [
        (1, "RuntimeError: no memory"),
        *[(2, None)] * 3,
        "no worker can start, the last one for RuntimeError: no memory",
        (2, None),
    ]


@pytest.mark.parametrize(("missing", "chosen"), [(0, "b"), (1, "d"), (2, "e"), (3, None)])
def test_the_first_waiting_trials_are_left_to_the_workers_that_start(
    missing: int, chosen: str | None
) -> None:
    states = {
        "a": Trial.RUNNING,
        "b": Trial.PENDING,
        "c": Trial.TERMINATED,
        "d": Trial.PENDING,
        "e": Trial.PENDING,
    }
    trials = [SimpleNamespace(name=name, status=status) for name, status in states.items()]
    scheduler = _AssignmentScheduler(Crew(missing))
    found = scheduler.choose_trial_to_run(SimpleNamespace(get_trials=lambda: trials))
    assert (found and found.name) == chosen


def test_tune_pickles_nothing_of_the_search() -> None:
    """It would fail with the lock, as it would with a terminal's or a tracker's."""
    held: Any = threading.Lock()
    given = (
        _AssignmentSearcher(held, held, held, held),
        _AssignmentStopper(held, held, held, held, held, keep_workers=True),
        _AssignmentCallback(held, held, held, held, held, held),
    )
    for one in given:
        assert vars(cloudpickle.loads(cloudpickle.dumps(one))) == {}
        assert held in vars(one).values()
