from dataclasses import replace
from typing import Any, get_args

import pytest

from models import student_channels
from pruning import Allocation, InvalidRoundError, Round, Start, StudentArchitecture, width_mult

NOTEBOOK_ROUND = Round(rate=0.95, epochs=5, lr=1e-3)


@pytest.mark.parametrize(
    "numbers",
    [
        {"rate": 0.0},
        {"rate": -0.5},
        {"rate": 1.01},
        {"rate": float("nan")},
        {"epochs": -1},
        {"epochs": 1.5},
        {"epochs": True},
        {"lr": 0.0},
        {"lr": float("inf")},
        {"lr": float("nan")},
        {"replicate": -1},
        {"rate": 1.0, "epochs": 0},
        {"allocation": "local"},
        {"allocation": None},
        {"allocation": ["uniform"]},
        {"start": "again"},
        {"start": "fresh", "epochs": 0},
    ],
)
def test_numbers_outside_their_range_are_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(InvalidRoundError):
        Round(**({"rate": 0.5, "epochs": 1, "lr": 1e-3} | numbers))


def test_the_message_names_rule_and_value() -> None:
    with pytest.raises(InvalidRoundError, match=r"rate must be in \(0, 1\], got 1\.5"):
        Round(rate=1.5, epochs=1, lr=1e-3)


def test_whole_numbers_make_the_same_round_as_floats() -> None:
    assert Round(rate=1, epochs=1, lr=1).to_json() == Round(rate=1.0, epochs=1, lr=1.0).to_json()


@pytest.mark.parametrize("allocation", get_args(Allocation))
@pytest.mark.parametrize("start", get_args(Start))
def test_json_round_trip(allocation: Allocation, start: Start) -> None:
    round_ = replace(NOTEBOOK_ROUND, allocation=allocation, start=start)
    assert Round(**round_.to_json()) == round_


def test_a_usual_round_is_written_as_before_there_was_a_choice() -> None:
    expected = {"rate": 0.95, "epochs": 5, "lr": 0.001, "replicate": 0}
    assert NOTEBOOK_ROUND.to_json() == expected
    for unusual in ({"allocation": "global"}, {"start": "fresh"}):
        assert replace(NOTEBOOK_ROUND, **unusual).to_json() == expected | unusual


def test_channels_follow_the_product_of_rates_not_the_floor_of_a_floor() -> None:
    architecture = StudentArchitecture(channels=student_channels(), num_classes=11)
    params = [
        architecture.params(architecture.channels_at(width_mult((NOTEBOOK_ROUND,) * rounds)))
        for rounds in range(6)
    ]
    assert params == [256_779, 236_066, 217_850, 200_354, 185_091, 171_606]


def test_no_block_loses_all_channels() -> None:
    architecture = StudentArchitecture(channels=student_channels(), num_classes=11)
    assert architecture.channels_at(0) == (16, 32, 64, 1, 1, 1, 1, 256)
