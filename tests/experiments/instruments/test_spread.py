import math

import pytest

from experiments.instruments.spread import Spread, interval


def test_quartiles_of_five_numbers_are_three_of_them() -> None:
    assert Spread.of([5.0, 1.0, 4.0, 2.0, 3.0]) == Spread(
        n=5, least=1.0, lower=2.0, median=3.0, upper=4.0, most=5.0
    )


def test_one_measurement_is_all_of_its_spread() -> None:
    assert Spread.of([2.0]) == Spread(n=1, least=2.0, lower=2.0, median=2.0, upper=2.0, most=2.0)


def test_nothing_has_no_spread() -> None:
    with pytest.raises(ValueError, match="no measurement"):
        Spread.of([])


def test_an_interval_is_that_of_students_t() -> None:
    """Of two numbers: t is that of one degree of freedom, the Cauchy distribution's."""
    mean, half = interval([1.0, 3.0])
    assert (mean, half) == (2.0, pytest.approx(math.tan(math.pi * 0.475)))


def test_one_measurement_has_no_interval() -> None:
    mean, half = interval([2.0])
    assert mean == 2.0
    assert math.isnan(half)
