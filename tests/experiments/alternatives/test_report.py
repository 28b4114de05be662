from pathlib import Path

import pandas as pd
import pytest

from experiments.alternatives.report import draw, sizes_of, table

_AXES = {"least_cost": 100, "root_cost": 10_000, "chance": 0.0}
ROWS = pd.DataFrame(
    [
        ("search", 1, 10, 2.0, 100, 0.2, 0.2),
        ("search", 1, 30, 6.0, 1000, 0.9, 0.8),
        ("search", 2, 30, 6.0, 1000, 0.7, 0.7),
        ("scratch", 1, 15, 3.0, 1000, 0.6, 0.7),
        ("scratch", 1, 30, 9.0, 10_000, 0.8, 0.9),
        ("scratch", 2, 15, 3.0, 1000, 0.6, 0.6),
        ("scratch", 2, 30, 9.0, 10_000, 0.8, 0.8),
        ("notebook", 1, 30, 6.0, 5000, 0.9, 0.9),
        ("notebook", 2, 30, 6.0, 500, 0.9, 0.9),
    ],
    columns=["arm", "seed", "epochs", "seconds", "params", "val_accuracy", "test_accuracy"],
).assign(**_AXES)


def blocks(rows: pd.DataFrame) -> list[list[str]]:
    return [block.split("\n") for block in "\n".join(table(rows)).split("\n\n")]


def test_hypervolumes_and_what_the_search_has_more() -> None:
    """On the whole scale, 0 to 1, the search has .9/2 + .2/2 and .7/2, scratch .6/2 twice."""
    _, spent, whole, whole_test, common, _, _, _ = blocks(ROWS)
    assert spent[1].split() == ["search", "30", "6"]
    assert whole[0].startswith("hypervolume, whole scale, validation")
    assert whole[1].split()[:2] == ["search", "0.4500"]
    assert whole[2].split()[:2] == ["scratch", "0.3000"]
    assert "+0.1500 ±" in whole[2]
    assert whole[2].endswith("2 of 2")
    assert whole_test[2].split()[:2] == ["scratch", "0.3250"]
    assert common[0].startswith("hypervolume, from the narrowest, validation")
    assert common[2].split()[:4] == ["scratch", "0.6000", "±", "0.0000"]
    assert "+0.2000 ±" in common[2]


def test_accuracies_at_each_size() -> None:
    """The notebook has no network of at most 1,000 parameters in one of the seeds."""
    validation, test = blocks(ROWS)[-2:]
    assert validation[2].split() == [
        *("1,000", "0.8000", "±", "1.2706", "0.6000", "±", "0.0000", "-"),
        *("+0.2000", "±", "1.2706"),
    ]
    assert validation[3].split()[-3:] == ["+0.0000", "±", "1.2706"]
    assert test[0] == "accuracy on test with at most so many parameters"
    assert test[3].split()[1] == "0.7500"


@pytest.mark.parametrize(
    ("scratch", "behind"),
    [(0.5, "none"), ((0.71, 0.74), "none"), (0.99, "1,000"), ((0.9, 0.91), "1,000")],
)
def test_where_scratch_is_better(scratch: float | tuple[float, float], behind: str) -> None:
    """Differences .02 and .01 are within their interval of seven times their half distance."""
    rows = ROWS[(ROWS["params"] == 1000)].copy()
    rows.loc[rows["arm"] == "search", "val_accuracy"] = (0.7, 0.72)
    rows.loc[rows["arm"] == "scratch", "val_accuracy"] = scratch
    assert blocks(rows)[-2][-1] == f"scratch is better by more than the interval at: {behind}"


def test_a_single_seed_has_no_interval() -> None:
    validation, test = blocks(ROWS[ROWS["seed"] == 1])[-2:]
    assert validation[2].split()[1:4] == ["0.9000", "±", "nan"]
    assert test[-1].startswith("10,000")


def test_the_search_alone_is_missing() -> None:
    """Other arms are shown, compared with nothing."""
    lines = "\n".join(table(ROWS[ROWS["arm"] != "search"]))
    assert "+" not in lines
    assert "better" not in lines


def test_what_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="no arm scratch"):
        sizes_of(ROWS[ROWS["arm"] == "search"])
    others = pd.concat([ROWS, ROWS.assign(chance=0.5)])
    with pytest.raises(ValueError, match="2 scales"):
        next(table(others))


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture_is_drawn(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"alternatives.{suffix}"
    draw(ROWS, path)
    assert path.stat().st_size > 10_000
