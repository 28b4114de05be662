from pathlib import Path

import pytest
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from pruning import Round, StageStore
from search.campaign.ledger import Ledger
from search.front.stages import front, hypervolume
from search.samplers.by_name import sampler_maker
from search.samplers.space import SearchSpace
from tests.search.landscape import (
    PRICING,
    SAMPLERS,
    SCALE,
    SPACE,
    draft,
    grow,
    make_campaign,
    rounds,
    run_all,
    run_trial,
)


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
    assert [trial.running for trial in again] == [True, False, True]
    for trial in (before[0], before[2]):
        assert trial is not None
        run_trial(resumed, store, trial)
    run_all(resumed, store)
    assert [trial.number for trial in again] == list(range(6))
    assert not any(trial.running for trial in again)


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


def test_after_a_proposal_without_a_new_round_the_next_sampler_is_told(
    store: StageStore, ledger: Ledger
) -> None:
    space = SearchSpace(rates=(0.5, 0.7), epochs=(1,), lrs=(1e-3,), max_rounds=2)
    told: list[bool] = []
    at_random = sampler_maker("random", space, SCALE, PRICING.at, seed=0)

    def make(draw: int, *, after_repeat: bool = False) -> BaseSampler:
        told.append(after_repeat)
        return at_random(draw)

    campaign = make_campaign(store, ledger, space=space, new_sampler=make)
    repeated = [False]
    while (trial := campaign.next_trial()) is not None:
        repeated.append(len(store.path(trial.schedule)) > len(trial.schedule))
        run_trial(campaign, store, trial)
    assert told == repeated[:-1]
    assert {True, False} == set(told)


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
    for place in range(6):
        round_ = Round(rate=0.7, epochs=1, lr=1e-4 * (1 + place))
        store.commit(draft((round_,), 0.8 + 0.01 * place), b"", trial=0)
    while (trial := good.next_trial()) is not None and len(trial.schedule) < 2:
        run_trial(good, store, trial)
    assert trial is not None
    first = (Round(rate=0.7, epochs=2, lr=1e-3),)
    behind = store.commit(draft(first, 0.3), b"", trial=0)
    assert good.ends_with(trial.number, behind) is expected
    ahead = store.commit(draft((Round(rate=0.7, epochs=2, lr=3e-3),), 0.95), b"", trial=0)
    assert not good.ends_with(trial.number, ahead)


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
