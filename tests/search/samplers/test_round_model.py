import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from search.samplers.round_model import Array, RoundModel

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.uniform(size=(40, 3))
CHANGES = np.sin(3 * FEATURES[:, 0]) - FEATURES[:, 1] + RANDOM.normal(size=40) * 0.05
NETWORKS = RANDOM.uniform(-0.5, 1.5, size=(6, 1))
ROUNDS = RANDOM.uniform(-0.5, 1.5, size=(5, 2))
ELSEWHERE = np.array([[*network, *round_] for network in NETWORKS for round_ in ROUNDS])


def fit(changes: Array, features: Array = FEATURES) -> RoundModel:
    return RoundModel.fit(features[:, :1], features[:, 1:], changes)


def test_it_predicts_what_a_library_does_with_the_same_kernel() -> None:
    model = fit(CHANGES)
    kernel = ConstantKernel(model.variance) * RBF(model.stretch) + WhiteKernel(
        model.variance * model.noise**2
    )
    library = GaussianProcessRegressor(kernel, alpha=0, optimizer=None).fit(FEATURES, CHANGES)
    expected, deviation = library.predict(ELSEWHERE, return_std=True)
    change, found = model.predict(NETWORKS, ROUNDS)
    assert change.ravel() == pytest.approx(expected, abs=1e-9)
    assert found.ravel() == pytest.approx(deviation)
    assert model.mean(NETWORKS, ROUNDS) == pytest.approx(change)
    assert model.noise_deviation == pytest.approx(kernel.k2.noise_level**0.5)


def test_its_kernel_is_the_likeliest_of_those_it_tries() -> None:
    """A smooth function with little noise, and noise alone, are told apart."""
    smooth = fit(FEATURES.sum(1))
    noise = fit(RANDOM.normal(size=40))
    assert (smooth.stretch, smooth.noise) == (2.0, 0.1)
    assert noise.noise == 1.0


def test_without_observations_no_change_is_expected() -> None:
    change, deviation = fit(np.empty(0), np.empty((0, 3))).predict(NETWORKS, ROUNDS)
    assert not change.any()
    assert np.ptp(deviation) == 0
    assert deviation[0, 0] > 0


def test_it_is_certain_only_near_what_it_has_seen() -> None:
    model = fit(CHANGES)
    _, deviation = model.predict(np.array([FEATURES[0, :1], [9.0]]), FEATURES[:1, 1:])
    near, far = deviation[:, 0]
    assert near < far
