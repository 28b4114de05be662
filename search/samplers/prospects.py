"""The rounds that could be run next, of which one after the other is taken."""

import numpy as np
from numpy.typing import NDArray

from search.samplers.outlook import Children, Front
from search.samplers.round_model import Array


class Prospects:
    """Rounds on the stages nearest to the front, and what each of them is worth.

    One that is taken counts on the front from then on, with the accuracy that is expected of it,
    so the next is not another of its kind. What may follow the rounds is not planned anew.

    Args:
        children: What R rounds are expected to make of m networks.
        epochs: Of the rounds (R,).
        possible: Which of them may be taken (m, R).
        front: The known points, and those that rounds in flight are expected to add.
        luck: Factors of what rounds add themselves, by which ties are broken (m, R).
    """

    def __init__(
        self,
        children: Children,
        epochs: NDArray[np.int_],
        possible: NDArray[np.bool_],
        front: Front,
        luck: Array,
    ) -> None:
        self.children = children
        """What the rounds are expected to make of the networks."""
        self._epochs = epochs
        self._possible = possible.copy()
        self._front = front
        self._luck = luck
        self._gain: Array | None = None
        self.then: Array = np.zeros(possible.shape)
        """What rounds are worth beyond what they add themselves (m, R)."""

    def gain(self, budget: float) -> Array:
        """What rounds are expected to add themselves (m, R); minus infinity if out of question."""
        if self._gain is None:
            self._gain = self.children.gain(self._front) * self._luck
        return np.where(self._possible & (self._epochs <= budget), self._gain, -np.inf)

    def take(self, budget: float) -> tuple[int, int] | None:
        """Take the best: its network's place and its own; None if none is left for the budget."""
        worth = self.gain(budget) + self.then
        network, round_ = np.unravel_index(worth.argmax(), worth.shape)
        if worth[network, round_] == -np.inf:
            return None
        self._possible[network, round_] = False
        self._front = self._front.with_points(
            self.children.x[[network], [round_]], self.children.mean[[network], [round_]]
        )
        self._gain = None
        return int(network), int(round_)
