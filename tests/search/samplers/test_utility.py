import math

import numpy as np
import pytest

from search.samplers.utility import Utility

UTILITY = Utility(2.5)


def test_better_networks_count_for_more_and_each_step_up_for_more_than_the_last() -> None:
    counted = UTILITY.of(np.linspace(0, 1, 21))
    assert counted[[0, -1]].tolist() == [0, 1]
    assert (np.diff(counted) > 0).all()
    assert (np.diff(counted, 2) > 0).all()


def test_an_accuracy_is_found_by_its_utility() -> None:
    accuracies = np.linspace(0, 1, 21)
    assert UTILITY.accuracy(UTILITY.of(accuracies)) == pytest.approx(accuracies)


def test_below_chance_is_as_bad_as_chance() -> None:
    assert UTILITY.of([-0.3, 0, 1.2]).tolist() == [0, 0, 1]


def test_a_small_budget_is_for_accuracy_itself_and_a_large_one_for_the_better_networks() -> None:
    powers = [Utility.for_budget(schedules).power for schedules in (0.1, 0.25, 0.5, 1, 20)]
    assert powers == [1, 1, 1.75, 2.5, 2.5]
    assert Utility.for_budget(math.inf) == Utility.for_budget(1)
