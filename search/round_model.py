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
    """A Gaussian process from features of a round to the change of accuracy that it makes.

    Its prior mean is no change. Its length scales are those of the features, stretched by a
    common factor; that factor and the share of noise are those of the greatest marginal
    likelihood on a small grid, and the signal's variance has an inverse gamma prior.

    Source: Rasmussen and Williams, "Gaussian processes for machine learning", 2006, algorithm
    2.1 and section 5.4.1.
    """

    features: Array
    weights: Array
    factor: Array  # lower triangle
    stretch: float
    noise: float
    variance: float

    @classmethod
    def fit(cls, features: Array, changes: Array) -> Self:
        """Learn from rounds.

        Args:
            features: (n, d), each in units of its length scale.
            changes: Of scaled accuracy (n,).
        """
        best: tuple[float, Self] | None = None
        squared = _squared_distances(features, features)
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
                model = cls(features, weights, factor, stretch, noise, squares / degrees)
                best = evidence, model
        assert best is not None
        return best[1]

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the change that rounds will show, noise included.

        Args:
            features: (m, d), as in `fit`.

        Returns:
            Two arrays (m,).
        """
        cross = np.exp(-0.5 * _squared_distances(features, self.features) / self.stretch**2)
        explained = (solve_triangular(self.factor, cross.T, lower=True) ** 2).sum(0)
        variance = self.variance * (np.maximum(1 - explained, 0) + self.noise**2)
        return cross @ self.weights, np.sqrt(variance)


def _squared_distances(a: Array, b: Array) -> Array:
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
    distances: Array = np.maximum(squares, 0)
    return distances
