"""The rounds that could be run next, of which one after the other is taken."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from search.samplers.outlook import Children, Front
from search.samplers.round_model import Array


class Prospects:
    """Rounds on the stages nearest to the front, and what each of them is worth.

    One that is taken counts on the front from then on, with the utility that is expected of it,
    and what may follow it is its own: another of its kind on the same network is worth only what
    it adds itself, less the price of its epochs. What may follow the rounds is not planned anew.

    Args:
        children: What R rounds are expected to make of m networks.
        epochs: Of the rounds (R,).
        front: The known points, and those that rounds in flight are expected to add.
        luck: Factors of what rounds add themselves, by which ties are broken (m, R).
        gain: What rounds are expected to add themselves, times that (m, R).
        then: What rounds are worth beyond what they add themselves (m, R); minus infinity where
            one is out of question.
        prices: Of the rounds' own epochs (R,).
        kinds: Numbers that rounds share which differ in length and learning rate alone (R,).
        in_flight: Places of networks and of rounds that are being run on them.
    """

    def __init__(
        self,
        children: Children,
        epochs: NDArray[np.int_],
        front: Front,
        luck: Array,
        gain: Array,
        then: Array,
        prices: Array,
        kinds: NDArray[np.int_],
        in_flight: Iterable[tuple[int, int]],
    ) -> None:
        self._children = children
        self._epochs = epochs
        self._front = front
        self._luck = luck
        self._gain: Array | None = gain  # None: the front has grown since
        self._then = then.copy()
        self._prices = prices
        self._kinds = kinds
        for network, round_ in in_flight:
            self._leave_future_to(network, round_)

    def take(self, budget: float) -> tuple[int, int] | None:
        """Take the best: its network's place and its own; None if none is left for the budget."""
        if self._gain is None:
            self._gain = self._children.gain(self._front) * self._luck
        worth = np.where(self._epochs <= budget, self._gain + self._then, -np.inf)
        network, round_ = np.unravel_index(worth.argmax(), worth.shape)
        if worth[network, round_] == -np.inf:
            return None
        self._leave_future_to(network, round_)
        self._then[network, round_] = -np.inf
        self._front = self._front.with_points(
            self._children.x[[network], [round_]], self._children.mean[[network], [round_]]
        )
        self._gain = None
        return int(network), int(round_)

    def _leave_future_to(self, network: np.intp | int, round_: np.intp | int) -> None:
        alike = self._kinds == self._kinds[round_]
        self._then[network, alike] = np.minimum(self._then[network, alike], -self._prices[alike])
