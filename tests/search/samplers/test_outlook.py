from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from search.front.hypervolume import expected_gain
from search.samplers.outlook import Children, Front, Grid, Outlook

FLAT = Front(np.array([0.0, 1.0]), np.array([0.5, 0.9]))  # 0.5 everywhere below 1
COLUMNS = np.linspace(0, 0.9, 10)
GRID = Grid(FLAT, COLUMNS)
LEVELS = len(GRID.x) // len(COLUMNS)
COSTS = np.array([1.0, 3.0, 2.0])
SURE = 1e-12
MOST = 3


def node(column: int, level: int) -> int:
    return max(column, 0) * LEVELS + max(level, 0)


def after(place: int) -> list[int]:
    """Rounds of a world of nodes: narrower, narrower at a loss, or trained and hardly narrower."""
    column, level = divmod(place, LEVELS)
    return [
        node(column - 1, level - 1),
        node(column - 3, level),
        node(column, min(level + 1, LEVELS - 1)),
    ]


def children_of(places: list[int]) -> Children:
    to = np.array([after(place) for place in places])
    return Children(GRID.x[to], GRID.y[to], np.full(to.shape, SURE))


WORLD = Outlook.of(GRID, children_of(list(range(len(GRID.x)))), COSTS, MOST)


def gain_of(start: int, end: int) -> float:
    """From a node to one that is nowhere wider."""
    return max(GRID.y[end] - 0.5, 0) * (GRID.x[start] - GRID.x[end])


def plans(place: int, left: int) -> Iterator[tuple[float, float]]:
    """Gain and costs of everything that can be done."""
    yield 0.0, 0.0
    if left:
        for to, cost in zip(after(place), COSTS, strict=True):
            for gain, costs in plans(to, left - 1):
                yield gain_of(place, to) + gain, cost + costs


@pytest.mark.parametrize("rate", [0.0, 0.005, 0.02, 0.05])
def test_plans_are_the_best_of_all(rate: float) -> None:
    gains, costs = WORLD.plan(rate)
    for place, left in product(range(0, len(GRID.x), 5), range(MOST + 1)):
        best = max(gain - rate * cost for gain, cost in plans(place, left))
        assert gains[place, left] - rate * costs[place, left] == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("budget", [1.0, 5.0, 40.0])
def test_the_plan_is_worth_the_most_at_the_least_price_at_which_it_fits_the_budget(
    budget: float,
) -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        places = random.integers(3 * LEVELS, len(GRID.x), 4).tolist()
        left = random.integers(0, MOST + 1, 4)
        children = children_of(places)
        gain = children.gain(FLAT)
        gain[random.random(gain.shape) < 0.3] = -np.inf
        if not np.isfinite(gain).any():
            continue
        every = {
            (network, round_): [
                (gain[network, round_] + more, COSTS[round_] + longer)
                for more, longer in plans(after(place)[round_], left[network])
            ]
            for network, place in enumerate(places)
            for round_ in range(len(COSTS))
        }
        dearest = max(most for plan in every.values() for most, _ in plan) / budget
        for share in (0.03, 0.1, 0.2, 0.35, 0.6, 1):
            price = share * dearest
            worth, cost = max(
                (most - price * cost, cost) for plan in every.values() for most, cost in plan
            )
            if cost <= budget + 1e-9:
                break
        found = gain + WORLD.worth(children, COSTS, gain, left, budget)[0]
        for place, plan in every.items():
            best = max(most - price * cost for most, cost in plan)
            assert found[place] == pytest.approx(best, abs=1e-9)
        assert found.max() == pytest.approx(worth)


def test_levels_and_accuracies_are_inverse() -> None:
    random = np.random.default_rng(0)
    front = Front(random.random(20), random.random(20))
    x, y = random.random((2, 50))
    assert front.at_level(x, front.level(x, y)) == pytest.approx(y)
    assert np.array_equal(front.level(x, y) >= 0, y >= front.heights(x))


def test_expectations_are_exact_of_what_is_linear_in_between() -> None:
    """Of x, and of the accuracy, where the front is flat and all that is likely is on the grid."""
    random = np.random.default_rng(0)
    x, mean = random.uniform(0, 0.9, 30), random.uniform(0.55, 0.8, 30)
    matrix = GRID.expectation(x, mean, np.full(30, 0.01))
    assert matrix.sum(1) == pytest.approx(np.ones(30))
    assert matrix @ GRID.x == pytest.approx(x)
    assert matrix @ GRID.y == pytest.approx(mean)


def test_gains_are_those_of_the_front() -> None:
    random = np.random.default_rng(0)
    front = Front(random.random(9), random.random(9))
    x, mean = random.random((2, 8, 5))
    until = np.minimum(x.max(1) + 0.1, 1)
    children = Children(x, mean, np.full(x.shape, 0.02))
    for end in (None, until):
        each = None if end is None else np.repeat(end, 5)
        expected = expected_gain(
            front.x, front.y, x.ravel(), mean.ravel(), np.full(40, 0.02), each
        )
        assert children.gain(front, end).ravel() == pytest.approx(expected, abs=1e-5)
