from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState

from pruning import StageStore
from search.campaign.ledger import Ledger, Trial
from search.samplers.space import SearchSpace
from tests.search.landscape import (
    SAMPLERS,
    SPACE,
    grow,
    make_campaign,
    rounds,
    run_all,
    run_trial,
)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_epochs_of_the_budget_are_spent_and_not_passed(
    tmp_path: Path, store: StageStore, sampler: str
) -> None:
    """Nothing but proposals sees to it here, where no actor refuses a round."""
    space = SearchSpace(rates=(0.5, 0.9), epochs=(1, 4), lrs=(1e-3,), max_rounds=4)
    ledger = Ledger(tmp_path / "study.db", space)
    for budget in (7, 10):
        campaign = make_campaign(
            store, ledger, trials=1000, sampler=sampler, space=space, max_epochs=budget
        )
        while not campaign.over:
            run_all(campaign, store)
        assert campaign.ended_by == f"the {budget} epochs of --max-epochs are spent"
        assert store.executed_epochs == budget
    stopped = [trial for trial in ledger if trial.state is not TrialState.COMPLETE]
    assert all("too few epochs" in str(trial.reason) for trial in stopped)
    assert sampler != "stage-tree" or not stopped


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_trials_in_flight_leave_the_rest_of_the_budget_to_others(
    tmp_path: Path, store: StageStore, sampler: str
) -> None:
    """What does not fit beside them waits, and may fit when one of them has ended early."""
    space = SearchSpace(rates=(0.5, 0.7, 0.9), epochs=(2, 5, 10), lrs=(1e-3,), max_rounds=6)
    ledger = Ledger(tmp_path / "study.db", space)
    campaign = make_campaign(
        store, ledger, trials=1000, sampler=sampler, space=space, max_epochs=120, ahead=5
    )
    grow(store, ())
    random = np.random.default_rng(0)
    in_flight: list[Trial] = []
    while not campaign.over:
        while (trial := campaign.next_trial()) is not None:
            in_flight.append(trial)
        if not in_flight:
            continue  # a proposal that was in vain
        trial = in_flight.pop(0)
        length = len(store.path(trial.schedule))  # the next round
        for stage in grow(store, trial.schedule[:length], trial.number):
            campaign.accept(stage.id)
        if length >= len(trial.schedule) or campaign.cut or random.random() < 0.15:
            campaign.end(trial.number)
        else:
            in_flight.append(trial)
    assert 118 <= store.executed_epochs <= 120  # rounds have 2 epochs or more
    in_vain = sum("too few epochs" in str(trial.reason) for trial in ledger)
    rest = " but for 1, too few for a round" if store.executed_epochs == 119 else ""
    assert campaign.ended_by == "the 120 epochs of --max-epochs are spent" + rest
    assert in_vain < (1 if sampler == "stage-tree" else 25)


def test_epochs_that_are_being_spent_are_not_spent_twice(
    store: StageStore, ledger: Ledger
) -> None:
    """A trial with a round of two epochs takes all that there are, unless it fails."""
    space = replace(SPACE, epochs=(2,))
    campaign = make_campaign(store, ledger, space=space, max_epochs=3)
    first = campaign.next_trial()
    assert first is not None
    assert campaign.next_trial() is None
    assert not campaign.finished
    campaign.fail(first.number, "out of memory")
    again = campaign.next_trial()
    assert again is not None
    run_trial(campaign, store, again)
    assert campaign.next_trial() is None
    assert campaign.ended_by == (
        "the 3 epochs of --max-epochs are spent but for 1, too few for a round"
    )


def test_a_trial_for_which_no_epochs_are_left_ends_alone_and_may_be_proposed_again(
    store: StageStore, ledger: Ledger
) -> None:
    space = replace(SPACE, rates=(0.5,), epochs=(1,), lrs=(1e-3,), max_rounds=1)
    campaign = make_campaign(store, ledger, space=space)
    trial = campaign.next_trial()
    assert trial is not None
    campaign.end(trial.number, too_long=True)
    assert [other.stopped for other in ledger] == [True]
    assert not campaign.finished
    again = make_campaign(store, ledger, space=space).next_trial()
    assert again is not None
    assert again.schedule == trial.schedule


def test_a_budget_that_allows_no_untried_round_ends_the_search(
    store: StageStore, ledger: Ledger
) -> None:
    space = replace(SPACE, rates=(0.5,), epochs=(1, 3), lrs=(1e-3,), max_rounds=1)
    grow(store, rounds(0.5))
    campaign = make_campaign(store, ledger, space=space, max_epochs=3)
    run_all(campaign, store)
    assert store.executed_epochs == 1
    assert campaign.ended_by is not None
    assert campaign.ended_by.endswith("that the rest of --max-epochs allows")


@pytest.mark.parametrize("by_budget", [False, True])
def test_only_what_a_budget_cut_may_be_proposed_again(
    store: StageStore, ledger: Ledger, by_budget: bool
) -> None:
    space = SearchSpace(rates=(0.5, 0.7), epochs=(1,), lrs=(1e-3,), max_rounds=1)
    campaign = make_campaign(store, ledger, space=space)
    first = campaign.next_trial()
    assert first is not None
    if by_budget:
        campaign.close("the hours are over")
    campaign.end(first.number)  # without a stage, as if it had fallen behind
    assert next(iter(ledger)).stopped
    resumed = make_campaign(store, ledger, trials=9, space=space)
    asked = [trial.schedule for _ in range(3) if (trial := resumed.next_trial()) is not None]
    assert len(asked) == 1 + by_budget
    assert (first.schedule in asked) is by_budget
