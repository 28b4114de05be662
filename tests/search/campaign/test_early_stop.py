import numpy as np
import pytest

from search.campaign.early_stop import far_behind
from search.front.hypervolume import Scale

SCALE = Scale(least_cost=10, root_cost=1000, chance=0.1)
BAND = [100, 101, 99, 102, 100]  # log-params within a twentieth of the span
GOOD = [0.8, 0.82, 0.84, 0.86, 0.88]


@pytest.mark.parametrize(("accuracy", "expected"), [(0.7, True), (0.819, True), (0.83, False)])
def test_below_the_lower_quartile_of_the_band(accuracy: float, expected: bool) -> None:
    assert far_behind(103, accuracy, BAND, GOOD, SCALE) is expected


def test_too_little_company_is_no_judgement() -> None:
    assert not far_behind(103, 0.2, BAND[:4], GOOD[:4], SCALE)
    assert not far_behind(103, 0.2, [], [], SCALE)


def test_networks_of_other_sizes_are_no_company() -> None:
    far = (np.array(BAND) * 3).tolist()
    assert not far_behind(103, 0.2, far, GOOD, SCALE)


def test_a_network_on_the_front_is_never_behind() -> None:
    """The smallest of its band can be below the quartile, and is still worth going on with."""
    assert not far_behind(95, 0.7, BAND, GOOD, SCALE)
    assert far_behind(95, 0.7, [*BAND, 50], [*GOOD, 0.75], SCALE)
