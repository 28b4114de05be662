import pytest

from pruning import Round, Stage
from search.results.page.choices import choices
from tests.search.landscape import stage_of


def round_(rate: float, lr: float = 1e-3) -> Round:
    return Round(rate=rate, epochs=2, lr=lr)


def test_what_each_choice_brought_by_hand() -> None:
    half, most = round_(0.5), round_(0.9)
    stages = [
        stage_of((), 0.75),
        stage_of((half,), 0.625),
        stage_of((half, most), 0.6875),
        stage_of((half, half), 0.5),
        stage_of((most,), 0.5),
    ]
    members = [stages[0], stages[2]]
    of_half, of_most = choices(stages, members)
    assert (of_half.knob, of_half.value, of_most.value) == ("rate", 0.5, 0.9)
    assert (of_half.rounds, of_half.leading, of_half.epochs) == (2, 1, 4)
    assert of_half.change == pytest.approx((-0.125 - 0.125) / 2)
    assert (of_most.rounds, of_most.leading, of_most.epochs) == (2, 1, 4)
    assert of_most.change == pytest.approx((0.0625 - 0.25) / 2)


def test_only_what_was_chosen_is_listed() -> None:
    stages = [stage_of((round_(0.5, lr),), 0.5) for lr in (3e-3, 1e-3)]
    found = choices(stages, [])
    assert [(one.knob, one.value) for one in found] == [("lr", 1e-3), ("lr", 3e-3)]
    assert [one.change for one in found] == [None, None]
    assert choices([stage_of(())], []) == []


def test_paths_end_where_a_parent_is_lost() -> None:
    stages: list[Stage] = [stage_of((round_(0.5), round_(rate)), 0.5) for rate in (0.5, 0.9)]
    assert [one.leading for one in choices(stages, stages[:1])] == [1, 0]
