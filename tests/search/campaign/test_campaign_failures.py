from pathlib import Path

from pruning import StageStore
from search.campaign.ledger import Ledger
from search.samplers.space import SearchSpace
from tests.search.landscape import (
    grow,
    make_campaign,
    rounds,
    run_trial,
)


def test_a_failed_trial_is_not_proposed_again(
    tmp_path: Path, store: StageStore, ledger: Ledger
) -> None:
    space = SearchSpace(rates=(0.5, 0.7), epochs=(1,), lrs=(1e-3,), max_rounds=1)
    grow(store, ())
    campaign = make_campaign(store, ledger, trials=9, space=space)
    failed = campaign.next_trial()
    assert failed is not None
    campaign.fail(failed.number, "diverged: loss nan")
    other = campaign.next_trial()
    assert other is not None
    assert other.schedule != failed.schedule
    campaign.fail(other.number, "diverged: loss nan")
    assert campaign.next_trial() is None
    assert campaign.finished
    resumed = make_campaign(store, ledger, trials=9, space=space)
    assert resumed.next_trial() is None
    assert resumed.finished


def test_a_divergence_is_remembered_for_what_diverged_when_its_parents_are_lost(
    tmp_path: Path, store: StageStore, ledger: Ledger
) -> None:
    """An ancestor that was set aside, or is lost, says nothing of where a trial diverged."""
    space = SearchSpace(rates=(0.5, 0.7), epochs=(1,), lrs=(1e-3,), max_rounds=2)
    bad = rounds(0.5, 0.7)
    grow(store, bad[:1])
    trial = ledger.add(bad)
    ledger.fail(trial.number, "diverged: loss nan", rounds_reached=1)
    emptied = StageStore(tmp_path / "other")
    campaign = make_campaign(emptied, ledger, trials=9, space=space, sampler="random")
    proposals = [campaign.next_trial() for _ in range(8)]
    handed = [one.schedule for one in proposals if one is not None]
    assert handed
    assert bad not in handed
    assert all(row.schedule == bad for row in ledger if row.failed)


def test_a_diverging_round_fails_every_schedule_that_holds_it_at_once(
    tmp_path: Path, store: StageStore, ledger: Ledger
) -> None:
    """Stock samplers do not know of it; it costs no epochs and ends the search when it repeats."""
    space = SearchSpace(rates=(0.5,), epochs=(1,), lrs=(1e-3,), max_rounds=3)
    grow(store, ())
    campaign = make_campaign(store, ledger, trials=99, sampler="random", space=space)
    trial = campaign.next_trial()
    assert trial is not None
    campaign.fail(trial.number, "diverged: loss nan")
    for again in (
        campaign,
        make_campaign(store, ledger, trials=99, sampler="random", space=space),
    ):
        assert again.next_trial() is None
        assert list(ledger)[-1].reason == "diverged: loss nan"
    while not campaign.finished:
        assert campaign.next_trial() is None
    assert campaign.broken is not None
    assert "5 trials in a row failed" in campaign.broken


def test_other_failures_are_not_held_against_a_round(store: StageStore, ledger: Ledger) -> None:
    space = SearchSpace(rates=(0.5,), epochs=(1,), lrs=(1e-3,), max_rounds=3)
    campaign = make_campaign(store, ledger, trials=99, sampler="random", space=space)
    for _ in range(3):
        trial = campaign.next_trial()
        assert trial is not None
        campaign.fail(trial.number, "out of memory")
    trial = campaign.next_trial()
    assert trial is not None
    run_trial(campaign, store, trial)
    assert campaign.broken is None


def test_a_diverging_root_ends_a_search(store: StageStore, ledger: Ledger) -> None:
    campaign = make_campaign(store, ledger, trials=99)
    trial = campaign.next_trial()
    assert trial is not None
    campaign.fail(trial.number, "diverged: loss nan")
    while not campaign.finished:
        assert campaign.next_trial() is None
    assert len(ledger) == 5


def test_failures_of_different_kinds_do_not_end_a_search(
    store: StageStore, ledger: Ledger
) -> None:
    grow(store, ())
    campaign = make_campaign(store, ledger, trials=99)
    for turn in range(12):
        trial = campaign.next_trial()
        assert trial is not None
        campaign.fail(trial.number, ("diverged: loss nan", "out of memory")[turn % 2])
    assert campaign.broken is None


def test_a_trial_is_run_again_when_its_worker_dies_but_not_for_ever(
    store: StageStore, ledger: Ledger
) -> None:
    campaign = make_campaign(store, ledger, trials=1)
    first = campaign.next_trial()
    assert first is not None
    for _ in range(3):
        campaign.retry(first.number, "killed")
        assert not campaign.over
        assert campaign.next_trial() == first
    campaign.retry(first.number, "killed")
    assert campaign.over
    (trial,) = ledger
    assert trial.failed
    assert trial.reason == "worker died: 4 times, the last time of killed"


def test_an_abandoned_run_leaves_its_trials_to_the_next(store: StageStore, ledger: Ledger) -> None:
    campaign = make_campaign(store, ledger)
    one, two = campaign.next_trial(), campaign.next_trial()
    campaign.abandon("no space left")
    assert campaign.next_trial() is None
    resumed = make_campaign(store, ledger)
    assert [resumed.next_trial(), resumed.next_trial()] == [one, two]
