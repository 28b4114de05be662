from collections.abc import Iterable

import numpy as np
import pytest

from search.samplers.outlook import Children, Front
from search.samplers.prospects import Prospects

SHORT, LONG, OTHER = range(3)
EPOCHS = np.array([10, 40, 10])
KINDS = np.array([0, 0, 1])  # the long round is a copy of the short one but for its length
COPY_ADDS = 0.05  # .7 for .6, from .5 on
OTHER_ADDS = 0.01  # .1 for 0, from .4 to .5


def prospects(price: float, in_flight: Iterable[tuple[int, int]]) -> Prospects:
    """One network and three rounds; after those of the first kind much may follow.

    Args:
        price: Of an epoch.
        in_flight: As `Prospects` takes it.
    """
    children = Children(
        np.array([[0.5, 0.5, 0.4]]), np.array([[0.6, 0.7, 0.1]]), np.full((1, 3), 1e-9)
    )
    front = Front(np.array([0.5, 1.0]), np.array([0.6, 0.9]))
    prices = price * EPOCHS
    return Prospects(
        children,
        EPOCHS,
        front,
        np.ones((1, 3)),
        children.gain(front),
        np.array([[0.3, 0.3, 0.0]]) - prices,
        prices,
        KINDS,
        in_flight,
    )


def test_what_may_follow_is_worth_taking_a_round_that_adds_little() -> None:
    assert prospects(0.0, []).take(100) == (0, LONG)


@pytest.mark.parametrize(
    ("price", "best"),
    [((COPY_ADDS - OTHER_ADDS) / 31, LONG), ((COPY_ADDS - OTHER_ADDS) / 29, OTHER)],
)
def test_a_copy_of_a_round_in_flight_is_worth_what_it_adds_less_its_epochs(
    price: float, best: int
) -> None:
    assert prospects(price, [(0, SHORT)]).take(100) == (0, best)


def test_a_round_is_taken_once_and_within_the_budget() -> None:
    offered = prospects(0.0, [])
    assert offered.take(20) == (0, SHORT)
    assert [offered.take(100), offered.take(100)] == [(0, LONG), (0, OTHER)]
    assert offered.take(100) is None
