import numpy as np
import pytest

from search.front.dominance import on_front
from search.front.growing import GrowingFront


@pytest.mark.parametrize("levels", [3, 1000], ids=["many ties", "few ties"])
@pytest.mark.parametrize("seed", range(5))
def test_it_says_what_a_look_at_all_points_says(seed: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    points = [(float(cost), float(y)) for cost, y in random.integers(0, levels, (60, 2))]
    front = GrowingFront()
    for count, point in enumerate(points, 1):
        front.add(*point)
        known = points[:count]
        mask = on_front([cost for cost, _ in known], [y for _, y in known])
        assert [one in front for one in known] == mask.tolist()


def test_it_may_begin_with_points() -> None:
    front = GrowingFront([(1, 0.5), (2, 0.4), (3, 0.9)])
    assert [point in front for point in ((1, 0.5), (2, 0.4), (3, 0.9))] == [True, False, True]
    assert (2, 0.9) not in front
