from pathlib import Path

import pytest

from experiments.speed.sharing import Sharing, measure, split, summary


def test_processes_of_a_case_train_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = Sharing(cases=("1x1", "2x1"), image_size=16, seconds=0.1, repeats=2)
    rates = measure(asked)
    assert list(rates) == ["1x1", "2x1"]
    assert all(len(of_case) == 2 and min(of_case) > 0 for of_case in rates.values())


def test_ratios_are_to_the_first_case_turn_by_turn() -> None:
    first, second = summary({"2x1": [100.0, 200.0, 400.0], "1x2": [50.0, 100.0, 100.0]})
    assert "200 images/s" in first
    assert "ratio 1.00" in first
    assert "100 images/s" in second
    assert "ratio 0.50" in second


@pytest.mark.parametrize("case", ["2", "2x", "0x1", "ax1", "1x2x3", "-1x2"])
def test_other_cases_are_refused(case: str) -> None:
    with pytest.raises(ValueError, match="PROCESSESxTHREADS"):
        split(case)


def test_turns_without_time_are_refused() -> None:
    with pytest.raises(ValueError, match="seconds above 0"):
        Sharing(seconds=0)
