from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from pruning import Round, Schedule, StageStore
from search.campaign.budget import Budget
from tests.search.landscape import grow


def schedule(*epochs: int) -> Schedule:
    return tuple(Round(rate=0.9, epochs=each, lr=1e-3) for each in epochs)


def test_what_is_spent_or_needed_in_flight_is_not_left(store: StageStore) -> None:
    budget = Budget(store, 20)
    assert budget.left == 20
    grow(store, schedule(3))
    assert budget.left == budget.unspent == 17
    budget.reserve(schedule(3, 4))
    budget.reserve(schedule(3, 5))
    assert (budget.left, budget.unspent) == (8, 17)
    budget.release(schedule(3, 4))
    budget.release(schedule(3, 5))
    budget.reserve(schedule(20))
    assert budget.left == -3


def test_what_several_schedules_need_is_reserved_once(store: StageStore) -> None:
    budget = Budget(store, 20)
    grow(store, schedule(3))
    first, second = schedule(3, 4, 1), schedule(3, 4, 2)
    budget.reserve(first)
    budget.reserve(second)
    assert budget.left == 10
    budget.release(first)
    assert budget.left == 11
    grow(store, schedule(3, 4))
    budget.settle(schedule(3, 4))
    assert budget.left == 11  # executed, no more reserved
    budget.release(second)
    assert budget.left == 13


@given(st.lists(st.tuples(st.sampled_from(["reserve", "release", "make"]), st.integers(0, 11))))
def test_it_counts_as_a_look_at_all_in_flight_does(events: list[tuple[str, int]]) -> None:
    every = [schedule(*epochs) for n in (1, 2, 3) for epochs in product((2, 5), repeat=n)]
    with TemporaryDirectory() as folder:
        store = StageStore(Path(folder))
        budget = Budget(store, 1000)
        in_flight: list[Schedule] = []
        for what, which in events:
            asked = every[which]
            if what == "reserve":
                in_flight.append(asked)
                budget.reserve(asked)
            elif what == "release" and in_flight:
                budget.release(in_flight.pop(which % len(in_flight)))
            elif what == "make":
                grow(store, asked)
                for length in range(1, len(asked) + 1):
                    budget.settle(asked[:length])
        needed = {
            one[:length]
            for one in in_flight
            for length in range(1, len(one) + 1)
            if len(store.path(one)) <= length
        }
        missing = sum(part[-1].epochs for part in needed)
        assert budget.left == 1000 - store.executed_epochs - missing


def test_without_a_limit_there_is_no_end(store: StageStore) -> None:
    budget = Budget(store, None)
    budget.reserve(schedule(10**9))
    assert budget.left > 10**9
    assert budget.fitting_part(schedule(10**9), budget.left) == schedule(10**9)


def test_a_schedule_is_cut_to_what_fits(store: StageStore) -> None:
    grow(store, schedule(9))
    budget = Budget(store, 20)
    asked = schedule(9, 2, 3, 4)
    cut = {epochs: budget.fitting_part(asked, epochs) for epochs in (1, 2, 4, 5, 8, 9, 99)}
    assert cut == {
        1: (),
        2: asked[:2],
        4: asked[:2],
        5: asked[:3],
        8: asked[:3],
        9: asked,
        99: asked,
    }
    assert budget.fitting_part(schedule(9), 0) == schedule(9)  # it exists
