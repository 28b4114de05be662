import pytest
from spread import Spread


def test_quartiles_of_five_numbers_are_three_of_them() -> None:
    assert Spread.of([5.0, 1.0, 4.0, 2.0, 3.0]) == Spread(
        n=5, least=1.0, lower=2.0, median=3.0, upper=4.0, most=5.0
    )


def test_one_measurement_is_all_of_its_spread() -> None:
    assert Spread.of([2.0]) == Spread(n=1, least=2.0, lower=2.0, median=2.0, upper=2.0, most=2.0)


def test_nothing_has_no_spread() -> None:
    with pytest.raises(ValueError, match="no measurement"):
        Spread.of([])
