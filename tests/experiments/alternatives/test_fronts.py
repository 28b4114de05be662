import math

import pandas as pd
import pytest

from experiments.alternatives.fronts import (
    Estimate,
    accuracy_within,
    by_seed,
    difference,
    hypervolume,
)
from search.front.hypervolume import Scale

SCALE = Scale(least_cost=100, root_cost=10_000, chance=0.0)
CANDIDATES = pd.DataFrame(
    [(100, 0.4, 0.3), (1000, 0.8, 0.6), (1000, 0.7, 1.0), (10_000, 0.8, 0.9)],
    columns=["params", "val_accuracy", "test_accuracy"],
)


def test_hypervolume_of_the_front_that_validation_chooses() -> None:
    """The second half is at .8, the first at .4; on test .6 and .3, whatever others have there."""
    assert hypervolume(CANDIDATES, SCALE) == pytest.approx(0.6)
    assert hypervolume(CANDIDATES, SCALE, "test_accuracy") == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("params", "validation", "test"),
    [(100, 0.4, 0.3), (999, 0.4, 0.3), (1000, 0.8, 0.6), (10_000, 0.8, 0.6)],
)
def test_accuracy_within_is_that_of_the_smallest_best(
    params: int, validation: float, test: float
) -> None:
    assert accuracy_within(CANDIDATES, params) == validation
    assert accuracy_within(CANDIDATES, params, "test_accuracy") == test


def test_no_candidate_is_so_small() -> None:
    assert math.isnan(accuracy_within(CANDIDATES, 99))


def test_estimates() -> None:
    """Of 0 and 2 the standard error is 1; Student's t of one degree of freedom is 12.706."""
    estimate = Estimate.of(pd.Series([0.0, 2.0]))
    assert estimate is not None
    assert estimate.mean == 1
    assert estimate.half == pytest.approx(12.706, abs=1e-3)
    assert Estimate.of(pd.Series([0.5, float("nan")])) is None
    assert Estimate.of(pd.Series([], dtype=float)) is None


def test_everything_is_said_of_each_arm_and_seed() -> None:
    spent = CANDIDATES.assign(arm="search", epochs=[1, 2, 3, 4], seconds=[0.5, 1.0, 1.5, 2.0])
    rows = pd.concat([spent.assign(seed=3), spent[:1].assign(seed=4)])
    found = by_seed(rows, {"whole": SCALE}, [1000])
    assert found["epochs", ""].to_dict() == {("search", 3): 4, ("search", 4): 1}
    assert found["seconds", ""].to_dict() == {("search", 3): 2, ("search", 4): 0.5}
    assert found["test_accuracy", 1000].to_list() == [0.6, 0.3]
    assert found["val_accuracy", "whole"].to_list() == pytest.approx([0.6, 0.4])


def test_differences_are_paired_by_seed() -> None:
    """In whatever order the seeds come, and of those that both arms have."""
    values = pd.Series({("a", 1): 5.0, ("a", 2): 7.0, ("b", 2): 4.0, ("b", 1): 3.0, ("b", 9): 0.0})
    assert difference(values, "a", "b").to_dict() == {1: 2, 2: 3}
