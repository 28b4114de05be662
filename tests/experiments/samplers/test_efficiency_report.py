import math
from pathlib import Path

import pandas as pd
import pytest

from experiments.samplers.efficiency_report import _draw, epochs_to_reach, finals, table

CURVES = pd.DataFrame(
    [
        ("stage-tree", 1, 0, 0.1),
        ("stage-tree", 1, 5, 0.5),
        ("stage-tree", 1, 20, 0.9),
        ("stage-tree", 2, 0, 0.1),
        ("stage-tree", 2, 10, 0.6),
        ("random", 1, 0, 0.1),
        ("random", 1, 20, 0.5),
        ("random", 2, 15, 0.7),
        ("tpe", 1, 20, 0.6),
        ("tpe", 2, 20, 0.3),
        ("stock usage", 1, 20, 0.95),
        ("stock usage", 2, 20, 0.1),
    ],
    columns=["arm", "seed", "epochs", "hypervolume"],
).assign(test_hypervolume=lambda rows: rows["hypervolume"] - 0.01)


def test_epochs_to_reach_a_hypervolume() -> None:
    curve = CURVES[(CURVES["arm"] == "stage-tree") & (CURVES["seed"] == 1)]
    assert epochs_to_reach(curve, 0.05) == 0
    assert epochs_to_reach(curve, 0.5) == 5
    assert epochs_to_reach(curve, 0.51) == 20
    assert epochs_to_reach(curve, 0.91) == math.inf


def test_the_best_stock_sampler_is_chosen_in_each_seed() -> None:
    """Neither ours nor those that were not given every advantage are among them."""
    assert finals(CURVES)["best of these"].tolist() == [0.6, 0.7]


def test_the_table_counts_a_hypervolume_never_reached_as_infinitely_far() -> None:
    rows = {line.split("  ")[0]: line for line in table(CURVES)}
    assert "0.6000 [0.5500, 0.6500]  0.5900" in rows["random"]
    assert rows["random"].endswith("0.0")
    assert "1 of 2" in rows["random"]
    assert "never (5 never)" in rows["random"]
    assert "15 (20 10)" in rows["tpe"]
    assert rows["tpe"].endswith("1.3")


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture_is_drawn(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"curves.{suffix}"
    _draw(CURVES, path)
    assert path.stat().st_size > 10_000
