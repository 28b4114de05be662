"""What an accuracy counts for in the hypervolume that the stage-tree sampler works for."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

_POWERS = 1.0, 2.5  # both chosen beside others: experiments/alternatives/log.txt
_BUDGETS = 0.25, 0.75  # for which they were, in whole schedules


@dataclass(frozen=True, slots=True)
class Utility:
    """What scaled accuracies count for: a power of them.

    With a power above 1 it grows faster the better a network is. By accuracy itself most of what
    a budget can still add lies at the smallest networks, which are good for little, and those that
    are nearly as good as the root are trained too briefly.

    Attributes:
        power: At least 1.
    """

    power: float

    @classmethod
    def for_budget(cls, schedules: float) -> Self:
        """Of a search with epochs for so many whole schedules of rounds of average length.

        A small budget is for networks of all sizes, by accuracy itself; a large one is for better
        ones.
        """
        return cls(float(np.interp(schedules, _BUDGETS, _POWERS)))

    def of(self, y: ArrayLike) -> NDArray[np.float64]:
        """The utility of scaled accuracies, in [0, 1]."""
        return np.clip(y, 0, 1) ** self.power

    def accuracy(self, utilities: ArrayLike) -> NDArray[np.float64]:
        """The scaled accuracies of some utilities: the inverse of `of`."""
        return np.clip(utilities, 0, 1) ** (1 / self.power)
