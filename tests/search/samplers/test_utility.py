import numpy as np
import pytest

from search.samplers.utility import accuracy_for, utility


def test_better_networks_count_for_more_and_each_step_up_for_more_than_the_last() -> None:
    counted = utility(np.linspace(0, 1, 21))
    assert counted[[0, -1]].tolist() == [0, 1]
    assert (np.diff(counted) > 0).all()
    assert (np.diff(counted, 2) > 0).all()


def test_an_accuracy_is_found_by_its_utility() -> None:
    accuracies = np.linspace(0, 1, 21)
    assert accuracy_for(utility(accuracies)) == pytest.approx(accuracies)


def test_below_chance_is_as_bad_as_chance() -> None:
    assert utility([-0.3, 0, 1.2]).tolist() == [0, 0, 1]
