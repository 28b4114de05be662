"""What a round will do to a network's accuracy, learnt from the rounds that were run."""

from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

Array = NDArray[np.float64]

_STRETCH = (0.5, 1.0, 2.0)  # of all length scales
_NOISE = (0.1, 0.3, 1.0)  # standard deviation, relative to the signal's
_PRIOR_DEVIATION = 0.1  # of a change of accuracy, before anything was seen
_PRIOR_WEIGHT = 4.0  # how many observations that is worth


@dataclass(frozen=True, slots=True)
class RoundModel:
    """A Gaussian process from a network and a round to the change of accuracy that it makes.

    Its prior mean is no change. Its kernel is the product of one of networks and one of rounds;
    length scales are those of the features, stretched by a common factor; that factor and the
    share of noise are those of the greatest marginal likelihood on a small grid, and the
    signal's variance has an inverse gamma prior.

    Source: Rasmussen and Williams, "Gaussian processes for machine learning", 2006, algorithm
    2.1 and section 5.4.1.
    """

    networks: Array
    rounds: Array
    weights: Array
    factor: Array  # lower triangle
    stretch: float
    noise: float
    variance: float

    @classmethod
    def fit(cls, networks: Array, rounds: Array, changes: Array) -> Self:
        """Learn from rounds.

        Args:
            networks: That were pruned: features (n, a), each in units of its length scale.
            rounds: By which: features (n, b), likewise.
            changes: Of scaled accuracy (n,).
        """
        best: tuple[float, Self] | None = None
        squared = _squared_distances(networks, networks) + _squared_distances(rounds, rounds)
        count = len(changes)
        for stretch, noise in product(_STRETCH, _NOISE):
            kernel = np.exp(-0.5 * squared / stretch**2)
            kernel[np.diag_indices(count)] += noise**2
            factor = cholesky(kernel, lower=True)
            weights = cho_solve((factor, True), changes)
            squares = _PRIOR_WEIGHT * _PRIOR_DEVIATION**2 + changes @ weights
            degrees = _PRIOR_WEIGHT + count
            evidence = -np.log(np.diag(factor)).sum() - 0.5 * degrees * np.log(squares)
            if best is None or evidence > best[0]:
                variance = squares / degrees
                model = cls(networks, rounds, weights, factor, stretch, noise, variance)
                best = evidence, model
        assert best is not None
        return best[1]

    @property
    def noise_deviation(self) -> float:
        """Standard deviation of changes that networks and rounds do not explain."""
        return self.noise * float(np.sqrt(self.variance))

    def mean(self, networks: Array, rounds: Array) -> Array:
        """Mean of the changes that each of some rounds will make to each of some networks.

        Args:
            networks: (m, a), as in `fit`.
            rounds: (r, b), as in `fit`.

        Returns:
            (m, r).
        """
        near, alike = self._kernels(networks, rounds)
        return (near * self.weights) @ alike.T

    def predict(self, networks: Array, rounds: Array) -> tuple[Array, Array]:
        """Mean, as above, and standard deviation of the changes, noise included: (m, r) each."""
        near, alike = self._kernels(networks, rounds)
        shape = len(networks), len(rounds)
        cross = (near[:, None] * alike).reshape(shape[0] * shape[1], len(self.weights))
        explained = (solve_triangular(self.factor, cross.T, lower=True) ** 2).sum(0)
        variance = self.variance * (np.maximum(1 - explained, 0) + self.noise**2)
        return (cross @ self.weights).reshape(shape), np.sqrt(variance).reshape(shape)

    def _kernels(self, networks: Array, rounds: Array) -> tuple[Array, Array]:
        """How near the networks are to those that were seen (m, n), and the rounds (r, n)."""
        pairs = ((networks, self.networks), (rounds, self.rounds))
        near, alike = (
            np.exp(-0.5 * _squared_distances(new, seen) / self.stretch**2) for new, seen in pairs
        )
        return near, alike


def _squared_distances(a: Array, b: Array) -> Array:
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
    distances: Array = np.maximum(squares, 0)
    return distances
