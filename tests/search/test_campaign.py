from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState
from ray import cloudpickle

from pruning import Round, StageStore
from search.campaign import Campaign, front, hypervolume
from search.ledger import Ledger, Trial
from search.space import SearchSpace
from tests.search.landscape import SCALE, SPACE, draft, grow, make_campaign, rounds, run_trial

SAMPLERS = ["stage-tree", "tpe", "nsga2", "gp", "random"]


def run_all(campaign: Campaign, store: StageStore) -> list[int]:
    numbers = []
    while (trial := campaign.next_trial()) is not None:
        run_trial(campaign, store, trial)
        numbers.append(trial.number)
    return numbers


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_exactly_the_asked_trials_are_run(store: StageStore, ledger: Ledger, sampler: str) -> None:
    campaign = make_campaign(store, ledger, trials=12, sampler=sampler)
    assert run_all(campaign, store) == list(range(12))
    assert campaign.finished
    assert [trial.state for trial in ledger] == [TrialState.COMPLETE] * 12
    for trial in ledger:
        assert len(store.path(trial.schedule)) == len(trial.schedule) + 1


def test_no_more_than_ahead_are_in_flight(store: StageStore, ledger: Ledger) -> None:
    campaign = make_campaign(store, ledger, trials=10, ahead=3)
    first, *_ = in_flight = [campaign.next_trial() for _ in range(3)]
    assert None not in in_flight
    assert campaign.next_trial() is None
    assert not campaign.finished
    assert first is not None
    run_trial(campaign, store, first)
    assert campaign.next_trial() is not None


def test_unfinished_trials_are_handed_out_again_by_number(
    tmp_path: Path, store: StageStore, ledger: Ledger
) -> None:
    campaign = make_campaign(store, ledger, trials=6)
    before = [campaign.next_trial() for _ in range(3)]
    assert before[1] is not None
    run_trial(campaign, store, before[1])

    again = Ledger(tmp_path / "study.db", SPACE)
    resumed = make_campaign(StageStore(tmp_path / "stages"), again, trials=6)
    assert [resumed.next_trial() for _ in range(2)] == [before[0], before[2]]
    for trial in (before[0], before[2]):
        assert trial is not None
        run_trial(resumed, store, trial)
    run_all(resumed, store)
    assert [trial.number for trial in again] == list(range(6))
    assert not any(trial.running for trial in again)


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


def test_exhaustion_waits_for_what_is_in_flight(store: StageStore, ledger: Ledger) -> None:
    """A running trial may become a parent with children to try."""
    space = SearchSpace(rates=(0.5,), epochs=(1,), lrs=(1e-3,), max_rounds=2)
    campaign = make_campaign(store, ledger, trials=9, space=space)
    first = campaign.next_trial()
    assert first is not None
    assert campaign.next_trial() is None
    assert not campaign.finished
    run_trial(campaign, store, first)
    second = campaign.next_trial()
    assert second is not None
    assert second.schedule == rounds(0.5, 0.5)
    run_trial(campaign, store, second)
    assert campaign.next_trial() is None
    assert campaign.finished
    assert campaign.ended_by == "every schedule of the search space was tried"


def test_news_of_a_child_may_come_before_its_parents(
    tmp_path: Path, store: StageStore, ledger: Ledger
) -> None:
    reader = StageStore(tmp_path / "stages")
    campaign = make_campaign(reader, ledger)
    line = grow(store, rounds(0.5, 0.7))
    assert campaign.accept(line[-1].id) == (line[-1], line)  # all three are on the front
    assert len(reader) == 3
    assert campaign.accept(line[1].id) == (line[1], [])


def test_accept_tells_whether_a_new_stage_is_on_the_front(
    tmp_path: Path, store: StageStore, ledger: Ledger
) -> None:
    campaign = make_campaign(StageStore(tmp_path / "stages"), ledger)
    root = store.commit(draft((), 0.9), b"", trial=0)
    good = store.commit(draft(rounds(0.5), 0.8), b"", trial=0)
    bad = store.commit(draft(rounds(0.7), 0.7), b"", trial=0)
    assert campaign.accept(good.id) == (good, [root, good])
    assert campaign.accept(good.id) == (good, [])
    assert campaign.accept(good.id) == (good, [])
    assert campaign.accept(bad.id) == (bad, [])


def test_progress_counts(store: StageStore, ledger: Ledger) -> None:
    campaign = make_campaign(store, ledger, trials=10)
    one, two, three = (campaign.next_trial() for _ in range(3))
    assert one is not None
    assert two is not None
    run_trial(campaign, store, one)
    campaign.fail(two.number, "diverged: loss nan")
    progress = campaign.progress()
    assert (progress.trials, progress.asked_trials) == (2, 10)
    assert (progress.running, progress.failed) == (1, 1)
    assert progress.stages == len(store) == len(one.schedule) + 1
    assert progress.executed_epochs == sum(round_.epochs for round_ in one.schedule)
    assert progress.hypervolume == hypervolume(front(store), SCALE) > 0
    assert three is not None


def test_it_can_be_pickled_as_tune_does(store: StageStore, ledger: Ledger) -> None:
    campaign = make_campaign(store, ledger)
    assert campaign.next_trial() is not None
    assert cloudpickle.loads(cloudpickle.dumps(campaign)).progress() == campaign.progress()


def test_front_is_sorted_and_keeps_ties(store: StageStore) -> None:
    for schedule, accuracy in (
        (rounds(), 0.9),
        (rounds(0.5), 0.8),
        (rounds(0.7), 0.7),
        (rounds(0.9), 0.85),
        ((Round(rate=0.5, epochs=2, lr=1e-3),), 0.8),
    ):
        store.commit(draft(schedule, accuracy), b"", trial=0)
    members = front(store)
    assert [stage.val_accuracy for stage in members] == [0.8, 0.8, 0.85, 0.9]
    assert [stage.params for stage in members] == sorted(stage.params for stage in members)


def test_a_sampler_that_only_repeats_ends_the_search(store: StageStore, ledger: Ledger) -> None:
    space = SearchSpace(rates=(0.5,), epochs=(1,), lrs=(1e-3,), max_rounds=2)
    campaign = make_campaign(store, ledger, trials=1000, sampler="random", space=space)
    numbers = run_all(campaign, store)
    assert campaign.ended_by == "the last 25 proposals had no new round to run"
    assert campaign.over
    assert 26 <= len(numbers) < 60
    assert len(store) == 3
    assert store.executed_epochs == 2
    assert all(trial.state is TrialState.COMPLETE for trial in ledger)


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
    assert in_vain < 5 or campaign.ended_by == "the last 25 proposals had no new round to run"


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
    assert campaign.next_trial() is not None


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
    space = replace(SPACE, rates=(0.5,), epochs=(1, 2), lrs=(1e-3,), max_rounds=1)
    campaign = make_campaign(store, ledger, space=space, max_epochs=2)
    run_all(campaign, store)
    assert store.executed_epochs == 1
    assert campaign.ended_by is not None
    assert campaign.ended_by.endswith("that the rest of --max-epochs allows")


def test_a_flat_search_ends_and_goes_on_when_it_is_told_to(
    store: StageStore, ledger: Ledger
) -> None:
    """In this landscape nothing is left to find long before 1000 trials."""
    campaign = make_campaign(store, ledger, trials=1000, stop_when_flat=True)
    run_all(campaign, store)
    assert campaign.finished
    assert campaign.ended_by is not None
    assert "--no-stop-when-flat" in campaign.ended_by
    assert 100 <= store.executed_epochs < 400
    assert all(trial.state is TrialState.COMPLETE for trial in ledger)
    assert make_campaign(store, ledger, trials=1000, stop_when_flat=True).next_trial() is None
    assert make_campaign(store, ledger, trials=1000).next_trial() is not None


def test_a_closed_campaign_lets_trials_end_after_their_round(
    store: StageStore, ledger: Ledger
) -> None:
    campaign = make_campaign(store, ledger, trials=9, sampler="random", early_stop=False)
    while (trial := campaign.next_trial()) is not None and len(trial.schedule) < 3:
        run_trial(campaign, store, trial)
    assert trial is not None
    grow(store, trial.schedule[:1])
    first = store.path(trial.schedule)[1]
    campaign.accept(first.id)
    assert not campaign.ends_with(trial.number, first)
    campaign.close("the hours are over")
    assert campaign.next_trial() is None
    assert campaign.finished
    assert campaign.ends_with(trial.number, first)
    campaign.end(trial.number)
    assert [other.number for other in ledger if other.stopped] == [trial.number]


def test_closing_stops_what_an_earlier_run_left(
    tmp_path: Path, store: StageStore, ledger: Ledger
) -> None:
    make_campaign(store, ledger).next_trial()
    resumed = make_campaign(store, ledger)
    resumed.close("the hours are over")
    assert resumed.next_trial() is None
    assert [trial.state for trial in Ledger(tmp_path / "study.db", SPACE)] == [TrialState.PRUNED]


def test_closing_completes_what_an_earlier_run_had_finished_but_not_told(
    store: StageStore, ledger: Ledger
) -> None:
    trial = make_campaign(store, ledger).next_trial()
    assert trial is not None
    grow(store, trial.schedule)
    make_campaign(store, ledger).close("the hours are over")
    assert [other.state for other in ledger] == [TrialState.COMPLETE]


@pytest.mark.parametrize(("early_stop", "expected"), [(True, True), (False, False)])
def test_a_trial_far_behind_is_stopped(
    store: StageStore, ledger: Ledger, early_stop: bool, expected: bool
) -> None:
    good = make_campaign(store, ledger, sampler="random", early_stop=early_stop)
    store.commit(draft(()), b"", trial=0)
    for replicate in range(6):
        round_ = Round(rate=0.7, epochs=1, lr=1e-3, replicate=replicate)
        store.commit(draft((round_,), 0.8 + 0.01 * replicate), b"", trial=0)
    while (trial := good.next_trial()) is not None and len(trial.schedule) < 2:
        run_trial(good, store, trial)
    assert trial is not None
    first = (Round(rate=0.7, epochs=2, lr=1e-3),)
    behind = store.commit(draft(first, 0.3), b"", trial=0)
    assert good.ends_with(trial.number, behind) is expected
    ahead = store.commit(draft((Round(rate=0.7, epochs=2, lr=3e-3),), 0.95), b"", trial=0)
    assert not good.ends_with(trial.number, ahead)


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


def test_a_finished_trial_whose_stages_are_lost_is_run_again(
    tmp_path: Path, store: StageStore, ledger: Ledger
) -> None:
    campaign = make_campaign(store, ledger, trials=3)
    run_all(campaign, store)
    lost = list(ledger)[1]
    store.put_aside(store.path(lost.schedule)[-1].id, "flipped bit")
    resumed = make_campaign(store, ledger, trials=3)
    assert not resumed.finished
    depth = len(lost.schedule)
    through_it = [t.number for t in ledger if t.schedule[:depth] == lost.schedule]
    assert run_all(resumed, store) == through_it
    assert [trial.state for trial in Ledger(tmp_path / "study.db", SPACE)] == [
        TrialState.COMPLETE
    ] * 3
