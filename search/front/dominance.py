"""Dominance among (cost, accuracy) points. Arrays only."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def on_front(cost: ArrayLike, accuracy: ArrayLike) -> NDArray[np.bool_]:
    """Which points no other one dominates.

    A point dominates another if it has at most the cost and at least the accuracy,
    one of the two strictly. Points that tie exactly do not dominate each other.

    Args:
        cost: Costs (n,), such as parameters; lower is better.
        accuracy: Accuracies (n,), higher is better; finite.

    Returns:
        A mask (n,).
    """
    x = np.asarray(cost, dtype=np.float64)
    y = np.asarray(accuracy, dtype=np.float64)
    order = np.lexsort((-y, x))
    x, y = x[order], y[order]
    best_so_far = np.maximum.accumulate(y)
    best_of_smaller = np.concatenate(([-np.inf], best_so_far))[np.searchsorted(x, x, side="left")]
    mask = np.empty(len(x), dtype=np.bool_)
    mask[order] = (y == best_so_far) & (y > best_of_smaller)
    return mask


def heights(
    x: NDArray[np.float64], y: NDArray[np.float64], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The front's height: the greatest y among points whose x is at most `at`; 0 of none.

    Args:
        x: Scaled costs of the points (n,).
        y: Their scaled accuracies (n,).
        at: Where the height is wanted (m,).

    Returns:
        Heights (m,), never below 0.
    """
    order = np.argsort(x, kind="stable")
    best_so_far = np.maximum.accumulate(np.concatenate(([0.0], y[order])))
    found: NDArray[np.float64] = best_so_far[np.searchsorted(x[order], at, side="right")]
    return found
