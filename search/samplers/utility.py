"""What an accuracy counts for in the hypervolume that the stage-tree sampler works for."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Of accuracy, tried beside 1 to 3.5: experiments/alternatives/log.txt.
_POWER = 2.5


def utility(y: ArrayLike) -> NDArray[np.float64]:
    """The utility of scaled accuracies, in [0, 1].

    It grows faster the better a network is. By accuracy itself most of what a budget can still add
    lies at the smallest networks, which are good for little, and those that are nearly as good as
    the root are trained too briefly.
    """
    return np.clip(y, 0, 1) ** _POWER


def accuracy_for(utilities: ArrayLike) -> NDArray[np.float64]:
    """The scaled accuracies of some utilities: the inverse of `utility`."""
    return np.clip(utilities, 0, 1) ** (1 / _POWER)
