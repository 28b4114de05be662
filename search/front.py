"""Dominance and hypervolume of (parameters, accuracy) points. Arrays only."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


def on_front(params: ArrayLike, accuracy: ArrayLike) -> NDArray[np.bool_]:
    """Which points no other one dominates.

    A point dominates another if it has at most as many parameters and at least the accuracy,
    one of the two strictly. Points that tie exactly do not dominate each other.

    Args:
        params: Parameter counts (n,), lower is better.
        accuracy: Accuracies (n,), higher is better; finite.

    Returns:
        A mask (n,).
    """
    x = np.asarray(params, dtype=np.float64)
    y = np.asarray(accuracy, dtype=np.float64)
    order = np.lexsort((-y, x))
    x, y = x[order], y[order]
    best_so_far = np.maximum.accumulate(y)
    best_of_smaller = np.concatenate(([-np.inf], best_so_far))[np.searchsorted(x, x, side="left")]
    mask = np.empty(len(x), dtype=np.bool_)
    mask[order] = (y == best_so_far) & (y > best_of_smaller)
    return mask


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Maps points to the unit square in which hypervolume is measured.

    Attributes:
        least_params: Parameters with one channel in every prunable block; x = 0.
        root_params: Parameters of the root; x = 1. x is linear in the logarithm.
        chance: Accuracy of guessing; y = 0. An accuracy of 1 is y = 1.
    """

    least_params: int
    root_params: int
    chance: float

    def x(self, params: ArrayLike) -> NDArray[np.float64]:
        """Scaled log-parameters, lower is better."""
        span = math.log(self.root_params / self.least_params)
        scaled: NDArray[np.float64] = (
            np.log(np.asarray(params, dtype=np.float64) / self.least_params) / span
        )
        return scaled

    def y(self, accuracy: ArrayLike) -> NDArray[np.float64]:
        """Scaled accuracy, higher is better."""
        scaled: NDArray[np.float64] = (np.asarray(accuracy, dtype=np.float64) - self.chance) / (
            1 - self.chance
        )
        return scaled

    def hypervolume(self, params: ArrayLike, accuracy: ArrayLike) -> float:
        """Area that the points dominate within the unit square; its reference is (1, 0).

        Returns:
            A number in [0, 1]; points outside the square count only with what lies inside.
        """
        x = np.clip(self.x(params), 0, 1)
        y = np.clip(self.y(accuracy), 0, 1)
        order = np.argsort(x, kind="stable")
        heights = np.maximum.accumulate(y[order])
        widths = np.diff(np.append(x[order], 1.0))
        return float(widths @ heights)
