"""Hypervolume of (cost, accuracy) points, and what a new one would add. Arrays only."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from search.front.dominance import heights, on_front


def expected_gain(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    new_x: NDArray[np.float64],
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
    until: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Hypervolume that each of some new points is expected to add, if it alone is added.

    A point adds, at each abscissa from its own to 1, what it exceeds the front's height by. The
    front is a staircase, so the expectation is a sum over its steps of their width times the
    expected excess of a Gaussian variable over their height.

    Args:
        x: Scaled costs of the known points (n,).
        y: Their scaled accuracies (n,).
        new_x: Scaled costs of the new points (m,).
        mean: Of their scaled accuracies (m,).
        deviation: Standard deviations of these (m,), above 0.
        until: Abscissas beyond which a point's gain does not count (m,); by default 1.

    Returns:
        Expected gains (m,), at least 0.

    Source: Emmerich et al., "Hypervolume-based expected improvement: monotonicity properties
    and exact computation", 2011, for one objective that is known.
    """
    starts = np.unique(np.concatenate(([0.0], np.clip(x, 0, 1))))
    step = heights(np.clip(x, 0, 1), y, starts)
    higher = np.diff(step, prepend=-1.0) > 0
    starts, step = starts[higher], step[higher]
    ends = np.append(starts[1:], 1.0)
    first = np.maximum(starts, np.clip(new_x, 0, 1)[:, None])
    last = ends if until is None else np.minimum(ends, until[:, None])
    widths = last - first
    points, steps = np.nonzero(widths > 0)  # a point counts over few of the steps
    excess = (mean[points] - step[steps]) / deviation[points]
    density = np.exp(-0.5 * excess**2) / math.sqrt(2 * math.pi)
    expected = widths[points, steps] * (excess * ndtr(excess) + density)
    gains: NDArray[np.float64] = deviation * np.bincount(points, expected, minlength=len(mean))
    return gains


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Maps points to the unit square in which hypervolume is measured.

    Attributes:
        least_cost: Cost with one channel in every prunable block, such as its parameters; x = 0.
        root_cost: Cost of the root; x = 1. x is linear in the logarithm.
        chance: Accuracy of guessing; y = 0. An accuracy of 1 is y = 1.
    """

    least_cost: float
    root_cost: float
    chance: float

    def x(self, cost: ArrayLike) -> NDArray[np.float64]:
        """Scaled logarithm of the cost, lower is better."""
        span = math.log(self.root_cost / self.least_cost)
        scaled: NDArray[np.float64] = (
            np.log(np.asarray(cost, dtype=np.float64) / self.least_cost) / span
        )
        return scaled

    def y(self, accuracy: ArrayLike) -> NDArray[np.float64]:
        """Scaled accuracy, higher is better."""
        scaled: NDArray[np.float64] = (np.asarray(accuracy, dtype=np.float64) - self.chance) / (
            1 - self.chance
        )
        return scaled

    def growth(self, cost: ArrayLike, accuracy: ArrayLike) -> NDArray[np.float64]:
        """Hypervolume of the first point alone, of the first two, and so on up to all (n,)."""
        points = np.column_stack([np.asarray(cost, np.float64), np.asarray(accuracy, np.float64)])
        grown = np.empty(len(points))
        members = points[:0]
        for number, point in enumerate(points):
            members = np.vstack([members, point])
            members = members[on_front(*members.T)]
            grown[number] = self.hypervolume(*members.T)
        return grown

    def hypervolume(self, cost: ArrayLike, accuracy: ArrayLike) -> float:
        """Area that the points dominate within the unit square; its reference is (1, 0).

        Returns:
            A number in [0, 1]; points outside the square count only with what lies inside.
        """
        x = np.clip(self.x(cost), 0, 1)
        y = np.clip(self.y(accuracy), 0, 1)
        order = np.argsort(x, kind="stable")
        heights = np.maximum.accumulate(y[order])
        widths = np.diff(np.append(x[order], 1.0))
        return float(widths @ heights)
