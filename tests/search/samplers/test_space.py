from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning import Round
from search.samplers.space import SearchSpace
from tests.search.landscape import SPACE, rounds

DIVIDED = replace(SPACE, rates=(0.5, 1.0), allocations=("global", "uniform"))


STARTED = replace(SPACE, epochs=(0, 2), starts=("fresh", "inherit"))


@pytest.mark.parametrize(
    "space", [SPACE, DIVIDED, STARTED, replace(SPACE, allocations=("global",))]
)
@given(data=st.data())
def test_decode_reverses_encode(space: SearchSpace, data: st.DataObject) -> None:
    rounds = st.lists(st.sampled_from(space.rounds()), min_size=1, max_size=4)
    schedule = tuple(data.draw(rounds))
    indices = space.encode(schedule)
    assert space.decode(indices) == schedule
    assert all(indices[name] in space.sizes()[name] for name in indices)


def test_decode_ignores_positions_beyond_the_end() -> None:
    indices = dict.fromkeys(SPACE.sizes(), 1)
    assert SPACE.decode(indices) == (Round(rate=0.7, epochs=2, lr=3e-3),)


def test_every_round_is_listed_once() -> None:
    assert len(SPACE.rounds()) == len(set(SPACE.rounds())) == 3 * 2 * 2


def test_parameters_of_uniform_rounds_are_those_of_earlier_versions() -> None:
    space = replace(SPACE, max_rounds=2)
    numbers = ["rounds", "rate_1", "epochs_1", "lr_1", "rate_2", "epochs_2", "lr_2"]
    assert list(space.sizes()) == list(space.encode(rounds(0.5, 0.7))) == numbers


def test_rounds_of_both_allocations_are_listed_but_where_nothing_is_pruned() -> None:
    space = replace(DIVIDED, epochs=(1,), lrs=(1e-3,))
    assert [(round_.rate, round_.allocation) for round_ in space.rounds()] == [
        (0.5, "global"),
        (0.5, "uniform"),
        (1.0, "global"),
    ]
    indices = {"rounds": 1, "rate_1": 1, "epochs_1": 0, "lr_1": 0, "allocation_1": 1}
    assert space.decode(indices) == space.rounds()[2:]


def test_rounds_start_fresh_where_they_have_epochs() -> None:
    space = replace(STARTED, rates=(0.5,), lrs=(1e-3,))
    assert [(round_.epochs, round_.start) for round_ in space.rounds()] == [
        (0, "inherit"),
        (2, "fresh"),
        (2, "inherit"),
    ]
    assert list(space.choices()) == ["rate", "epochs", "lr", "start"]


def test_without_epochs_one_learning_rate_is_enough() -> None:
    space = SearchSpace(rates=(0.5,), epochs=(0, 1), lrs=(1e-3, 1e-2), max_rounds=1)
    assert [(round_.epochs, round_.lr) for round_ in space.rounds()] == [
        (0, 1e-3),
        (1, 1e-3),
        (1, 1e-2),
    ]


def test_a_round_off_the_grid_is_an_error() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        SPACE.encode(rounds(0.6))
