import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics.pairwise import rbf_kernel

from search.samplers.round_model import LOG_EPOCHS, LOG_LR, LOG_RATE, Array, RoundModel, Rounds

RANDOM = np.random.default_rng(0)
ROOT = 0.95
RATES = np.log2([0.1, 0.5, 0.8])
NOTHING = RoundModel.fit(ROOT, Rounds(np.empty(0), np.empty(0), np.empty((0, 5))), np.empty(0))


def described(count: int) -> Array:
    rounds = np.zeros((count, 5))
    rounds[:, LOG_RATE] = RANDOM.choice(RATES, count)
    rounds[:, LOG_EPOCHS] = np.log2(RANDOM.choice([2, 8, 30], count) + 0.5)
    rounds[:, LOG_LR] = np.log10(RANDOM.choice([4e-3, 1.6e-2], count))
    rounds[:, 3:] = RANDOM.integers(0, 2, (count, 2))
    return rounds


SEEN = Rounds(RANDOM.uniform(0, 1, 40), RANDOM.uniform(0.2, 0.9, 40), described(40))
LEFT = RANDOM.uniform(0.1, 0.9, 40)
ROUNDS = described(7)
BEFORE = RANDOM.uniform(0.3, 0.9, 6)
X = RANDOM.uniform(0.1, 0.9, (6, 3))[:, np.searchsorted(RATES, ROUNDS[:, LOG_RATE])]


def kernel(a: Rounds, b: Rounds, stretch: float) -> Array:
    scales = np.array([2.0, 2.0, 0.5, 0.5, 1.0])
    columns = [np.column_stack((one.place(), one.described / scales)) / stretch for one in (a, b)]
    values: Array = a.trend() @ b.trend().T + rbf_kernel(*columns, gamma=0.5)
    return values


def moments(odds: Array, variance: Array) -> tuple[Array, Array]:
    """Of scaled accuracies, by many points rather than three."""
    points, weights = np.polynomial.hermite_e.hermegauss(3)
    weights /= weights.sum()
    y = np.clip((expit(odds[:, None] + np.sqrt(variance)[:, None] * points) - 0.04) / 0.92, 0, 1)
    return y @ weights, np.sqrt(y**2 @ weights - (y @ weights) ** 2)


def test_it_is_the_textbook_s_gaussian_process() -> None:
    model = RoundModel.fit(ROOT, SEEN, LEFT)
    new = Rounds(X.ravel(), np.repeat(BEFORE, len(ROUNDS)), np.tile(ROUNDS, (len(BEFORE), 1)))
    own = kernel(SEEN, SEEN, model.stretch) + model.noise**2 * np.eye(len(LEFT))
    cross = kernel(new, SEEN, model.stretch)
    departures = logit(0.04 + 0.92 * LEFT) - SEEN.expected(ROOT)
    odds = new.expected(ROOT) + cross @ np.linalg.solve(own, departures)
    unknown = np.diag(kernel(new, new, model.stretch) - cross @ np.linalg.solve(own, cross.T))
    for found, variance in (
        (model.predict(X, BEFORE, ROUNDS), unknown + model.noise**2),
        (model.expect(X, BEFORE, ROUNDS), np.full(len(odds), model.noise**2)),
    ):
        mean, deviation = moments(odds, model.variance * variance)
        assert found[0].ravel() == pytest.approx(mean, abs=1e-6)
        assert found[1].ravel() == pytest.approx(deviation, abs=1e-5)


def test_its_kernel_is_the_likeliest_of_those_it_tries() -> None:
    """A smooth function with little noise, and noise alone, are told apart."""
    smooth = RoundModel.fit(ROOT, SEEN, 0.2 + 0.5 * SEEN.x)
    assert smooth.noise == 0.15
    assert RoundModel.fit(ROOT, SEEN, LEFT).noise == 0.6


def test_before_anything_is_seen_it_knows_what_small_networks_are_like() -> None:
    sizes = np.linspace(0, 1, 9)[:, None]
    round_ = np.array([[-1.0, np.log2(8.5), -2.0, 0, 0]])
    longer = np.array([[-1.0, np.log2(34), -2.0, 0, 0]])
    usual, long = (
        NOTHING.expect(sizes, np.full(9, 0.9), one)[0][:, 0] for one in (round_, longer)
    )
    assert (np.diff(usual) > 0).all()
    assert (long > usual).all()
    assert usual[0] < 0.1  # one channel in every block
    assert long[-1] < ROOT + 0.01


def test_it_is_certain_only_near_what_it_has_seen() -> None:
    model = RoundModel.fit(ROOT, SEEN, 0.2 + 0.5 * SEEN.x)
    known = (SEEN.x[:1, None], SEEN.y[:1], SEEN.described[:1])
    assert model.predict(*known)[1] < 0.5 * NOTHING.predict(*known)[1]
