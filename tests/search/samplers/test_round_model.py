from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics.pairwise import rbf_kernel

from search.samplers.round_model import (
    LOG_EPOCHS,
    LOG_LR,
    LOG_RATE,
    Array,
    Beforehand,
    RoundModel,
    Rounds,
    accuracy_of,
)
from search.samplers.utility import Utility

RANDOM = np.random.default_rng(0)
ROOT = 0.95
UTILITY = Utility(2.5)
RATES = np.log2([0.1, 0.5, 0.8])


def described(count: int) -> Array:
    rounds = np.zeros((count, 5))
    rounds[:, LOG_RATE] = RANDOM.choice(RATES, count)
    rounds[:, LOG_EPOCHS] = np.log2(RANDOM.choice([2, 8, 30], count) + 0.5)
    rounds[:, LOG_LR] = np.log10(RANDOM.choice([4e-3, 1.6e-2], count))
    rounds[:, 3:] = RANDOM.integers(0, 2, (count, 2))
    return rounds


def seen(count: int) -> Rounds:
    uniform = RANDOM.uniform
    return Rounds(
        uniform(0, 1, count), described(count), uniform(0, 1, count), uniform(0, 0.9, count), ROOT
    )


SEEN, LEFT = seen(40), RANDOM.uniform(0.1, 0.9, 40)
NOTHING = RoundModel.fit(seen(0), np.empty(0))


def asked(networks: int, rounds: Array) -> Rounds:
    """Some networks, each with every round; rounds of one rate leave the same size."""
    sizes = RANDOM.uniform(0.1, 0.9, (networks, len(RATES)))
    before = RANDOM.uniform(0.3, 0.9, (2, networks, 1))
    return Rounds(sizes[:, np.searchsorted(RATES, rounds[:, LOG_RATE])], rounds, *before, ROOT)


def flat(pairs: Rounds) -> Rounds:
    networks, rounds = pairs.x.shape
    before = (np.repeat(column, rounds) for column in (pairs.x_before, pairs.y_before))
    return Rounds(pairs.x.ravel(), np.tile(pairs.described, (networks, 1)), *before, ROOT)


def test_single_rounds_are_expected_to_leave_what_they_do_among_others() -> None:
    pairs, model = asked(6, described(9)), RoundModel.fit(SEEN, LEFT)
    assert model.expect_each(flat(pairs), UTILITY) == pytest.approx(
        model.expect(pairs, UTILITY)[0].ravel()
    )


def kernel(a: Rounds, b: Rounds, stretch: float) -> Array:
    scales = np.array([2.0, 2.0, 0.5, 0.5, 1.0])
    columns = [np.column_stack((one.place(), one.described / scales)) / stretch for one in (a, b)]
    values: Array = a.trend() @ b.trend().T + rbf_kernel(*columns, gamma=0.5)
    return values


def moments(odds: Array, variance: Array) -> tuple[Array, Array]:
    """Mean and deviation of the utility of accuracies whose log-odds are Gaussian: quadrature."""
    points, weights = np.polynomial.hermite_e.hermegauss(3)
    weights /= weights.sum()
    y = (expit(odds[:, None] + np.sqrt(variance)[:, None] * points) - 0.04) / 0.92
    y = UTILITY.of(np.clip(y, 0, 1))
    return y @ weights, np.sqrt(y**2 @ weights - (y @ weights) ** 2)


def test_it_is_the_textbook_s_gaussian_process() -> None:
    model, pairs = RoundModel.fit(SEEN, LEFT), asked(6, described(7))
    new = flat(pairs)
    own = kernel(SEEN, SEEN, model.stretch) + model.noise**2 * np.eye(len(LEFT))
    cross = kernel(new, SEEN, model.stretch)
    departures = (logit(0.04 + 0.92 * LEFT) - SEEN.expected()) / SEEN.doubt()
    departures = np.clip(departures, -4, 4)
    odds = new.expected() + new.doubt() * (cross @ np.linalg.solve(own, departures))
    mean, deviation = moments(odds, model.variance * model.noise**2 * new.doubt() ** 2)
    found = model.expect(pairs, UTILITY)
    assert found[0].ravel() == pytest.approx(mean, abs=1e-6)
    assert found[1].ravel() == pytest.approx(deviation, abs=1e-5)


def test_its_kernel_is_the_likeliest_of_those_it_tries() -> None:
    """A smooth function with little noise, and noise alone, are told apart."""
    for departure, noise in ((1 - 2 * SEEN.x, 0.15), (RANDOM.standard_normal(40), 0.6)):
        left = accuracy_of(SEEN.expected() + 0.7 * SEEN.doubt() * departure)
        assert RoundModel.fit(SEEN, left).noise == noise


def before(*, x: Array, y: float, rate: float = 0.5, epochs: int = 8, lr: float = 0.01) -> Array:
    """Accuracies that are expected before anything was seen, of networks twice as large."""
    round_ = np.array([[np.log2(rate), np.log2(epochs + 0.5), np.log10(lr), 0, 0]])
    parents = np.minimum(x + 0.1, 1)[:, None], np.full((len(x), 1), y)
    return UTILITY.accuracy(
        NOTHING.expect(Rounds(x[:, None], round_, *parents, ROOT), UTILITY)[0][:, 0]
    )


def test_before_anything_is_seen_it_knows_what_small_networks_are_like() -> None:
    sizes = np.linspace(0, 0.7, 8)  # for larger ones the learning rate is too high
    usual = before(x=sizes, y=0.9)
    assert (np.diff(usual) > 0).all()
    assert usual[0] < 0.15  # one channel in every block
    assert (before(x=sizes, y=0.9, epochs=32) > usual).all()
    assert (before(x=sizes, y=0.95) > usual).all()  # the round inherits
    assert (before(x=sizes, y=0.9) - before(x=sizes, y=0.5) > 0.02).all()


def test_before_anything_is_seen_gentle_rounds_are_known_to_need_fewer_epochs() -> None:
    """The weights that they keep were trained before."""
    size = np.array([0.3])
    gentle, harsh = (
        before(x=size, y=0.9, rate=rate, epochs=40) - before(x=size, y=0.9, rate=rate, epochs=5)
        for rate in (0.8, 0.1)
    )
    assert 0 < gentle < harsh - 0.02


def test_before_anything_is_seen_small_networks_are_known_to_bear_high_learning_rates() -> None:
    small, large = np.array([0.15]), np.array([0.7])
    high, low = 0.06, 0.015
    assert before(x=small, y=0.9, lr=high) > before(x=small, y=0.9, lr=low) + 0.02
    assert before(x=large, y=0.9, lr=high) < before(x=large, y=0.9, lr=low)


def test_a_learning_rate_far_from_all_that_were_measured_is_no_ruin() -> None:
    decade, two = (before(x=np.array([0.7]), y=0.9, lr=lr) for lr in (2e-3, 2e-4))
    assert 0.7 < two < decade - 0.02


def test_what_starts_fresh_inherits_nothing() -> None:
    pairs = asked(5, described(3))
    pairs.described[:, 3] = 1
    other = replace(pairs, y_before=pairs.y_before / 2)
    assert NOTHING.expect(pairs, UTILITY)[0] == pytest.approx(NOTHING.expect(other, UTILITY)[0])


def test_it_believes_what_it_has_seen_of_large_networks_and_doubts_it_of_small_ones() -> None:
    """Noise, and what is still unknown, are the smaller the larger the network."""
    sizes = np.linspace(0, 1, 9)[:, None]
    round_, parents = described(1), (np.ones((9, 1)), np.full((9, 1), ROOT))
    doubt = Rounds(sizes, round_, *parents, ROOT).doubt()[:, 0]
    assert doubt[0] == 1
    assert (np.diff(doubt) < 0).all()
    assert doubt[-1] == pytest.approx(Beforehand().least_doubt, rel=0.05)


def test_one_ruined_network_is_not_the_rule() -> None:
    """A round that left chance of a large network says little of small ones."""
    sizes = np.linspace(0.1, 0.9, 12)
    rounds, parents = described(12), (sizes + 0.05, np.full(12, 0.9))
    rounds[:, 3:] = 0
    usual = Rounds(sizes, rounds, *parents, ROOT)
    left = accuracy_of(usual.expected())
    ruined = Rounds(*(np.append(of, of[-1:], axis=0) for of in (sizes, rounds, *parents)), ROOT)
    small = Rounds(sizes[:1, None], rounds[:1], *(of[:1, None] for of in parents), ROOT)
    before = RoundModel.fit(usual, left).expect(small, UTILITY)
    after = RoundModel.fit(ruined, np.append(left, 0)).expect(small, UTILITY)
    assert after[0] == pytest.approx(before[0], abs=0.1)
    assert (after[1] < 0.1).all()
