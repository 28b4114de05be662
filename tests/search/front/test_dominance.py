import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.front.dominance import heights, on_front
from tests.search.front.points import POINTS, split

SQUARE = st.lists(st.tuples(st.floats(-0.2, 1.2), st.floats(-0.2, 1.2)), max_size=6)


@given(points=POINTS)
def test_on_front_is_the_definition(points: list[tuple[int, float]]) -> None:
    def dominates(one: tuple[int, float], other: tuple[int, float]) -> bool:
        return one[0] <= other[0] and one[1] >= other[1] and one != other

    expected = [not any(dominates(one, other) for one in points) for other in points]
    assert on_front(*split(points)).tolist() == expected


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64])
def test_on_front_takes_any_number_type(dtype: type) -> None:
    params = np.array([3, 1, 2, 1], dtype)
    accuracy = np.array([3, 1, 1, 1], dtype)
    assert on_front(params, accuracy).tolist() == [True, True, False, True]


@given(points=SQUARE, at=st.floats(-0.5, 1.5))
def test_height_is_the_definition(points: list[tuple[float, float]], at: float) -> None:
    x, y = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    expected = max((b for a, b in points if a <= at), default=0)
    assert heights(x, y, np.array([at])) == pytest.approx(max(expected, 0))
