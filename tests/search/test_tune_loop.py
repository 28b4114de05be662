from types import SimpleNamespace
from typing import Any

import pytest

from pruning import StageStore
from search.campaign import Campaign
from search.ledger import Ledger
from search.tune_loop import _CampaignSearcher
from search.worker import STAGE
from tests.search.landscape import grow, make_campaign


class Searching:
    """A searcher as Tune drives it, with trials whose rounds are run at once."""

    def __init__(self, campaign: Campaign, store: StageStore, ledger: Ledger) -> None:
        self._campaign, self._store, self._ledger = campaign, store, ledger
        self._numbers: dict[str, int] = {}
        released = SimpleNamespace(remote=lambda *_: None)
        self.searcher = _CampaignSearcher(
            campaign, SimpleNamespace(release=released), self._numbers
        )

    def ask(self, trial_id: str) -> dict[str, Any] | str | None:
        return self.searcher.suggest(trial_id)

    def start(self, trial_id: str) -> None:
        self.searcher.on_trial_start(trial_id)

    def complete(self, trial_id: str) -> None:
        number = self._numbers[trial_id]
        trial = next(trial for trial in self._ledger if trial.number == number)
        for stage in grow(self._store, trial.schedule, number):
            self._campaign.accept(stage.id)
        self.searcher.on_trial_complete(trial_id, {STAGE: "", "done": True})


@pytest.fixture
def searching(store: StageStore, ledger: Ledger) -> Searching:
    """Two workers are busy, and a trial waits."""
    searching = Searching(make_campaign(store, ledger, ahead=3), store, ledger)
    for trial_id in ("first", "second", "third"):
        assert isinstance(searching.ask(trial_id), dict)
    for trial_id in ("first", "second"):
        searching.start(trial_id)
    assert searching.ask("fourth") is None  # enough are in flight
    return searching


def test_what_waits_begins_before_another_proposal_is_made(searching: Searching) -> None:
    searching.complete("first")
    assert searching.ask("fourth") is None
    searching.start("third")
    assert isinstance(searching.ask("fourth"), dict)


def test_of_two_free_workers_one_begins_before_a_proposal_is_made_for_the_other(
    searching: Searching,
) -> None:
    searching.complete("first")
    searching.complete("second")
    assert searching.ask("fourth") is None
    searching.start("third")
    assert isinstance(searching.ask("fourth"), dict)
    assert searching.ask("fifth") is None
    searching.start("fourth")
    assert isinstance(searching.ask("fifth"), dict)
