import math
from itertools import pairwise

import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.front.dominance import on_front
from search.front.hypervolume import Scale, expected_gain
from tests.search.front.points import POINTS, split

SCALE = Scale(least_cost=10, root_cost=1000, chance=0.1)


def test_axes() -> None:
    assert SCALE.x([10, 100, 1000]) == pytest.approx([0, 0.5, 1])
    assert SCALE.y([0.1, 0.55, 1.0]) == pytest.approx([0, 0.5, 1])


@given(points=st.lists(st.tuples(st.integers(10, 2000), st.floats(0, 1)), min_size=0, max_size=8))
def test_hypervolume_is_the_area_of_the_union(points: list[tuple[int, float]]) -> None:
    """Cut the unit square into cells at every coordinate; a cell counts if a point covers it."""
    corners = [
        (min(max(math.log(p / 10) / math.log(100), 0), 1), min(max((a - 0.1) / 0.9, 0), 1))
        for p, a in points
    ]
    xs = sorted({0.0, 1.0, *(x for x, _ in corners)})
    ys = sorted({0.0, 1.0, *(y for _, y in corners)})
    area = sum(
        (right - left) * (high - low)
        for left, right in pairwise(xs)
        for low, high in pairwise(ys)
        if any(x <= left and y >= high for x, y in corners)
    )
    assert SCALE.hypervolume(*split(points)) == pytest.approx(area, abs=1e-12)


@given(points=POINTS)
def test_growth_is_the_hypervolume_of_every_beginning(points: list[tuple[int, float]]) -> None:
    scaled = [(10 * cost, accuracy) for cost, accuracy in points]
    grown = SCALE.growth(*split(scaled))
    expected = [SCALE.hypervolume(*split(scaled[:end])) for end in range(1, len(scaled) + 1)]
    assert grown == pytest.approx(expected)


def test_hypervolume_of_corner_cases() -> None:
    assert SCALE.hypervolume([], []) == 0
    assert SCALE.hypervolume([1000], [1.0]) == 0
    assert SCALE.hypervolume([10], [1.0]) == 1
    assert SCALE.hypervolume([10], [0.05]) == 0
    assert SCALE.hypervolume([100, 100], [0.55, 0.55]) == pytest.approx(0.25)


@given(points=POINTS)
def test_only_the_front_counts(points: list[tuple[int, float]]) -> None:
    params, accuracy = split(points)
    mask = on_front(params, accuracy)
    scale = Scale(least_cost=1, root_cost=6, chance=0)
    assert scale.hypervolume(params, accuracy) == pytest.approx(
        scale.hypervolume(params[mask], accuracy[mask])
    )


@given(points=POINTS)
def test_hypervolume_agrees_with_a_library(points: list[tuple[int, float]]) -> None:
    params, accuracy = split(points)
    scale = Scale(least_cost=1, root_cost=8, chance=0)
    losses = np.column_stack((scale.x(params), -scale.y(accuracy)))
    expected = moocore.hypervolume(losses, ref=[1, 0]) if points else 0
    assert scale.hypervolume(params, accuracy) == pytest.approx(expected)


@given(
    points=st.lists(st.tuples(st.integers(10, 1000), st.floats(0.1, 1)), max_size=6),
    new=st.tuples(st.integers(10, 1000), st.floats(0.1, 1)),
)
def test_a_certain_gain_is_the_hypervolume_added(
    points: list[tuple[int, float]], new: tuple[int, float]
) -> None:
    params, accuracy = split(points)
    new_params, new_accuracy = split([new])
    gain = expected_gain(
        SCALE.x(params),
        SCALE.y(accuracy),
        SCALE.x(new_params),
        SCALE.y(new_accuracy),
        np.array([1e-9]),
    )
    before = SCALE.hypervolume(params, accuracy)
    after = SCALE.hypervolume(np.append(params, new_params), np.append(accuracy, new_accuracy))
    assert gain == pytest.approx(after - before, abs=1e-8)


def test_an_uncertain_gain_is_the_mean_over_its_outcomes() -> None:
    x, y = np.array([0.2, 0.5, 0.9]), np.array([0.3, 0.6, 0.7])
    new_x, mean, deviation = np.array([0.1, 0.6]), np.array([0.4, 0.62]), np.array([0.05, 0.1])
    drawn = np.random.default_rng(0).normal(size=20_000)
    for at, middle, spread, gain in zip(
        new_x, mean, deviation, expected_gain(x, y, new_x, mean, deviation), strict=True
    ):
        outcomes = np.array(
            [
                expected_gain(x, y, np.array([at]), np.array([value]), np.array([1e-9]))[0]
                for value in middle + spread * drawn
            ]
        )
        error = outcomes.std() / math.sqrt(len(drawn))
        assert abs(gain - outcomes.mean()) < 4 * error


def test_a_gain_counts_only_so_far() -> None:
    x, y = np.array([0.2, 0.5]), np.array([0.3, 0.6])
    new_x, mean, deviation = np.array([0.1]), np.array([0.7]), np.array([1e-9])
    gain = expected_gain(x, y, new_x, mean, deviation, np.array([0.4]))
    assert gain == pytest.approx(0.1 * 0.7 + 0.2 * 0.4)
    assert expected_gain(x, y, new_x, mean, deviation, np.array([0.05])) == 0
