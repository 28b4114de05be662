"""Whether a search has stopped to gain anything."""

import numpy as np
from numpy.typing import ArrayLike

from search.front.hypervolume import Scale

LEAST_EPOCHS = 100
"""Executed epochs before which there is nothing to judge by."""
SHARE = 0.01
"""Of the hypervolume, what the last half of the epochs must have added."""


def is_flat(
    executed_epochs: ArrayLike, cost: ArrayLike, accuracy: ArrayLike, scale: Scale
) -> bool:
    """Whether the last half of a search's epochs added less than a hundredth of its hypervolume.

    At least 100 epochs must have been executed. The stretch that is looked at grows with the
    search, so that a longer one must have been in vain for longer.

    Args:
        executed_epochs: Of the search, when each stage was there (n,); see `Stage`.
        cost: The stages' costs (n,).
        accuracy: Their accuracies (n,).
        scale: Of the hypervolume.
    """
    epochs = np.asarray(executed_epochs)
    latest = epochs.max(initial=0)
    if latest < LEAST_EPOCHS:
        return False
    earlier = epochs <= latest / 2
    now = scale.hypervolume(cost, accuracy)
    then = scale.hypervolume(np.asarray(cost)[earlier], np.asarray(accuracy)[earlier])
    return now - then < SHARE * now
