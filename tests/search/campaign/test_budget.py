from pruning import Round, Schedule, StageStore
from search.campaign.budget import Budget
from tests.search.landscape import grow


def schedule(*epochs: int) -> Schedule:
    return tuple(Round(rate=0.9, epochs=each, lr=1e-3) for each in epochs)


def test_what_is_spent_or_needed_in_flight_is_not_left(store: StageStore) -> None:
    budget = Budget(store, 20)
    assert budget.left() == 20
    grow(store, schedule(3))
    assert budget.left() == 17
    assert budget.left([schedule(3, 4), schedule(3, 5)]) == 8
    assert budget.left([schedule(3, 4, 1), schedule(3, 4, 2)]) == 10  # they share the 4 epochs
    assert budget.left([schedule(20)]) == -3


def test_without_a_limit_there_is_no_end(store: StageStore) -> None:
    budget = Budget(store, None)
    assert budget.left([schedule(10**9)]) > 10**9
    assert budget.fitting_part(schedule(10**9), budget.left()) == schedule(10**9)


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
