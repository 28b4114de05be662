import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning import Round
from search.space import SearchSpace
from tests.search.landscape import SPACE, rounds

SCHEDULES = st.lists(st.sampled_from(SPACE.rounds()), min_size=1, max_size=4).map(tuple)


@given(schedule=SCHEDULES)
def test_decode_reverses_encode(schedule: tuple[Round, ...]) -> None:
    indices = SPACE.encode(schedule)
    assert SPACE.decode(indices) == schedule
    assert all(indices[name] in SPACE.sizes()[name] for name in indices)


def test_decode_ignores_positions_beyond_the_end() -> None:
    indices = dict.fromkeys(SPACE.sizes(), 1)
    assert SPACE.decode(indices) == (Round(rate=0.7, epochs=2, lr=3e-3),)


def test_every_round_is_listed_once() -> None:
    assert len(SPACE.rounds()) == len(set(SPACE.rounds())) == 3 * 2 * 2


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
