"""Confirmations without Ray: repeats are handed out like trials, and are committed at once."""

from dataclasses import replace

import pytest

from pruning import Schedule, StageStore
from search.campaign.confirmation import Confirmation
from search.front.stages import front
from tests.search.landscape import draft, grow, rounds


@pytest.fixture
def searched(store: StageStore) -> StageStore:
    """A search with a root and two networks on its front, and one that is not."""
    for schedule, accuracy in (
        ((), 0.9),
        (rounds(0.5), 0.8),
        (rounds(0.5, 0.5), 0.7),
        (rounds(0.7), 0.6),
    ):
        store.commit(draft(schedule, accuracy), b"weights", trial=0)
    assert {stage.schedule for stage in front(store)} == {(), rounds(0.5), rounds(0.5, 0.5)}
    return store


def repeat(schedule: Schedule, number: int) -> Schedule:
    return (*schedule[:-1], replace(schedule[-1], replicate=number))


def confirmation(store: StageStore, repeats: int, ahead: int = 100) -> Confirmation:
    return Confirmation(store, repeats, first_number=10, ahead=ahead)


def handed_out(source: Confirmation) -> dict[int, Schedule]:
    found = {}
    while (assignment := source.next_trial()) is not None:
        found[assignment.number] = assignment.schedule
    return found


def run(source: Confirmation, store: StageStore, number: int, schedule: Schedule) -> None:
    stage = store.commit(draft(schedule), b"weights", trial=number)
    assert source.accept(stage.id) == (stage, [])
    assert source.ends_with(number, stage)
    source.end(number)


def test_the_last_round_of_each_network_on_the_front_is_asked_for(searched: StageStore) -> None:
    source = confirmation(searched, 2)
    expected = {
        repeat(schedule, number)
        for schedule in (rounds(0.5), rounds(0.5, 0.5))
        for number in (1, 2)
    }
    out = handed_out(source)
    assert set(out.values()) == expected
    assert source.asked == len(out) == 4
    assert min(out) == 10
    assert source.finished
    assert not source.over
    for number, schedule in out.items():
        run(source, searched, number, schedule)
    assert source.over
    assert source.done == 4


def test_what_is_there_is_not_asked_for_again(searched: StageStore) -> None:
    first = confirmation(searched, 2)
    number, schedule = next(iter(handed_out(first).items()))
    run(first, searched, number, schedule)
    missing = handed_out(confirmation(searched, 2))
    assert schedule not in missing.values()
    assert len(missing) == 3
    assert confirmation(searched, 0).over


def test_no_more_than_asked_are_in_flight(searched: StageStore) -> None:
    source = confirmation(searched, 2, ahead=1)
    assert len(handed_out(source)) == 1
    assert not source.finished


def test_repeats_are_no_candidates_and_cost_the_search_nothing(searched: StageStore) -> None:
    members, epochs, count = front(searched), searched.executed_epochs, len(searched)
    lucky = searched.commit(draft(repeat(rounds(0.5), 1), 0.99), b"weights", trial=10)
    assert front(searched) == members
    assert (searched.executed_epochs, len(searched)) == (epochs, count)
    half = searched.path(rounds(0.5))[-1]
    assert searched.repeats == {half.id: [lucky]}
    assert handed_out(confirmation(searched, 1)) == {10: repeat(rounds(0.5, 0.5), 1)}
    grow(searched, rounds(0.9))
    assert searched.executed_epochs == epochs + 1


def test_a_closed_confirmation_hands_out_nothing_and_counts_what_was_made(
    searched: StageStore,
) -> None:
    source = confirmation(searched, 2, ahead=2)
    out = handed_out(source)
    source.close("it is late")
    assert (source.cut, source.ended_by) == (True, "it is late")
    assert source.finished
    assert not source.over
    number, schedule = out.popitem()
    run(source, searched, number, schedule)
    source.end(out.popitem()[0])  # had not begun
    assert source.over
    assert (source.done, source.asked) == (1, 4)


def test_a_repeat_is_tried_again_when_its_worker_dies_but_not_for_ever(
    searched: StageStore,
) -> None:
    source = confirmation(searched, 1, ahead=1)
    number, schedule = next(iter(handed_out(source).items()))
    for _ in range(3):
        source.retry(number, "bad luck")
        again = handed_out(confirmation(searched, 1))
        assert schedule in again.values()
        while (assignment := source.next_trial()) is not None and assignment.number != number:
            source.fail(assignment.number, "training failed")
    source.retry(number, "bad luck")
    assert source.over
    assert source.failures == [
        "training failed",
        "worker died: 4 times, the last time of bad luck",
    ]
