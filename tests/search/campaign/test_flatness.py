from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from search.campaign.flatness import LEAST_EPOCHS, is_flat
from search.front.hypervolume import Scale
from tests.search.landscape import SCALE as STUDENTS

SCALE = Scale(least_cost=10, root_cost=1000, chance=0.0)
HALF = LEAST_EPOCHS // 2


def after(*gains: tuple[int, float], until: int = LEAST_EPOCHS) -> bool:
    """Whether a search is flat whose hypervolume had these values from these epochs on."""
    epochs = [*(at for at, _ in gains), until]
    accuracies = [*(height for _, height in gains), 0.0]
    return is_flat(epochs, [10] * len(epochs), accuracies, SCALE)


@pytest.mark.parametrize(
    ("later", "flat"), [(0.8, True), (0.807, True), (0.8081, False), (0.9, False)]
)
def test_the_last_half_must_add_a_hundredth(later: float, *, flat: bool) -> None:
    assert after((HALF, 0.8), (HALF + 1, later)) is flat


def test_a_gain_in_the_first_half_is_none_in_the_last() -> None:
    assert after((1, 0.1), (HALF, 0.8))


def test_there_must_be_something_to_judge_by() -> None:
    assert not after((1, 0.8), until=LEAST_EPOCHS - 1)
    assert not is_flat([], [], [], SCALE)


def test_the_longer_a_search_the_longer_it_may_take_for_a_gain() -> None:
    gains = (1, 0.6), (HALF + 1, 0.8)
    assert not after(*gains, until=LEAST_EPOCHS)
    assert after(*gains, until=2 * LEAST_EPOCHS + 2)


def test_order_does_not_matter() -> None:
    random = np.random.default_rng(0)
    epochs = random.integers(0, 150, 40)
    params, accuracy = random.integers(10, 1000, 40), random.uniform(size=40)
    order = random.permutation(40)
    assert is_flat(epochs, params, accuracy, SCALE) == is_flat(
        epochs[order], params[order], accuracy[order], SCALE
    )


def test_on_recorded_searches_little_is_lost_and_much_is_saved() -> None:
    """Runs of `experiments/samplers/efficiency.py` on Fashion-MNIST, of 300 epochs each."""
    recorded = pd.read_csv(Path(__file__).with_name("recorded_curves.csv"))
    ends, losses = [], []
    for _, run in recorded.groupby(["arm", "seed"]):
        for made in range(1, len(run) + 1):
            now = run.iloc[:made]
            if is_flat(now["epochs"], now["params"], now["val_accuracy"], STUDENTS):
                break
        ends.append(int(now["epochs"].max()))
        losses.append(1 - now["hypervolume"].max() / run["hypervolume"].max())
    assert ends == [298, 100, 298, 103, 194]
    assert max(losses) < 0.015
