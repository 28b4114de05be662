"""When a trial is not worth its remaining rounds."""

import numpy as np
from numpy.typing import ArrayLike

from search.front.dominance import on_front
from search.front.hypervolume import Scale

_HALF_BAND = 0.05  # of the scaled logarithm: a twentieth of the way from the root to the least
_LEAST_COMPANY = 5  # other networks in the band, below which there is nothing to judge by


def far_behind(
    cost: float,
    accuracy: float,
    other_costs: ArrayLike,
    other_accuracies: ArrayLike,
    scale: Scale,
) -> bool:
    """Whether a network has fallen far behind those of about its cost.

    Its *band* holds the other networks the scaled logarithms of whose costs differ from its own
    by at most 0.05. It has fallen far behind if there are at least five of them, its accuracy is
    below the lower quartile of theirs, and one of all networks dominates it. What is pruned from
    it would start with that handicap.

    Like the median stopping rule, with bands of cost in place of steps and the lower
    quartile in place of the median, since rounds differ in how much they ask of a network.

    Args:
        cost: Of the network, such as its parameters.
        accuracy: Its accuracy.
        other_costs: Those of all other networks (n,).
        other_accuracies: Their accuracies (n,).
        scale: The axes of the trade-off.

    Source: Golovin et al., "Google Vizier: a service for black-box optimization", 2017.
    """
    others = np.asarray(other_accuracies, dtype=np.float64)
    distance = np.abs(scale.x(other_costs) - scale.x(cost))
    company = others[distance <= _HALF_BAND]
    if len(company) < _LEAST_COMPANY or accuracy >= np.quantile(company, 0.25):
        return False
    return not on_front(np.append(other_costs, cost), np.append(others, accuracy))[-1]
