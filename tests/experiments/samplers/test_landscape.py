from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.instruments.student_runner import by_params, student_architecture
from experiments.samplers.landscape import Landscape, main
from pruning import Round
from search.opening import scale_of
from search.samplers.round_model import accuracy_of, odds_of

PRICING = by_params(student_architecture(10))
SCALE = scale_of(PRICING, 10)
ROOTS = (0.7, 0.9)
HALF = Round(rate=0.5, epochs=8, lr=0.01)


def rounds_with(odds: float, deviation: float) -> pd.DataFrame:
    """Rounds like `HALF` on networks of many sizes, which leave about the same log-odds."""
    draws = np.random.default_rng(0)
    rows = []
    for seed, root in enumerate(ROOTS):
        for x in np.linspace(0.2, 1, 40):
            left = float(accuracy_of(odds + deviation * draws.standard_normal()))
            done = {"log_rate": -1.0, "log_epochs": np.log2(8.5), "log_lr": -2.0}
            which = {"seed": seed, **done, "fresh": 0.0, "global": 0.0, "root": root}
            rows.append({**which, "x": x - 0.15, "x_before": x, "y": left, "y_before": root})
    return pd.DataFrame(rows)


def learnt(seed: int, odds: float = 0.0, deviation: float = 0.1) -> Landscape:
    return Landscape.learnt(rounds_with(odds, deviation), PRICING, SCALE, seed=seed)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_searches_share_out_the_roots(seed: int) -> None:
    root = learnt(seed).root()
    assert SCALE.y([root.val_accuracy]) == pytest.approx(ROOTS[seed % 2])
    assert (root.params, root.schedule, root.parent) == (SCALE.root_cost, (), None)


def test_a_round_leaves_the_same_whenever_it_is_asked_for_and_luck_differs() -> None:
    one, other = learnt(0), learnt(2)
    made = one.child(one.root(), HALF)
    assert one.child(one.root(), HALF) == made
    assert other.child(other.root(), HALF).val_accuracy != made.val_accuracy
    assert (made.schedule, made.parent) == ((HALF,), one.root().id)
    assert made.params == PRICING.at(0.5)


def test_rounds_leave_what_they_were_seen_to_leave() -> None:
    """But for what the model holds to be luck."""
    low, high = (
        odds_of(np.array([SCALE.y([one.child(one.root(), HALF).val_accuracy])[0] for one in of]))
        for of in ([learnt(2 * draw, odds) for draw in range(30)] for odds in (0.3, 0.6))
    )
    assert high.mean() - low.mean() == pytest.approx(0.3, abs=0.15)
    assert low.std() > 0.01


def test_nothing_is_better_than_all_that_was_seen() -> None:
    landscape = learnt(0, 0.6)
    long = Round(rate=0.99, epochs=4000, lr=0.01)
    stage = landscape.root()
    for _ in range(4):
        stage = landscape.child(stage, long)
    assert SCALE.y([stage.val_accuracy]) == pytest.approx(ROOTS[0])


def test_the_command_tells_what_searches_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rounds.csv"
    rounds_with(0.5, 0.1).to_csv(path, index=False)
    main([str(path), "--searches", "2", "--budget", "40", "--epochs", "10"])
    head, hypervolume, *by_size = capsys.readouterr().out.splitlines()
    assert head == "rounds.csv, 2 searches"
    assert float(hypervolume.split()[1]) > 0
    accuracies = [float(line.split()[1]) for line in by_size]
    assert len(accuracies) == 8
    assert accuracies == sorted(accuracies)
    assert by_size[-1].split()[0] == "256,522"
