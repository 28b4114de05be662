"""What a network is worth for the rounds that may follow it: planning on a grid."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from search.front.dominance import heights
from search.front.hypervolume import expected_gain
from search.samplers.round_model import Array

Places = NDArray[np.intp]

_BELOW = np.array([-0.2, -0.1, -0.05, -0.02])  # the front, in utility
_ABOVE = np.array([0, 0.05, 0.15, 0.4, 1])  # the front, in shares of what is left to the top
_LEVELS = np.concatenate((_BELOW, _ABOVE))
_CORNERS = np.array([[0, 1], [len(_LEVELS), len(_LEVELS) + 1]])  # around a point, as nodes
_LEAST_SPAN = 0.1  # from the front to the top
_ABSCISSAS = np.array([-np.sqrt(3), 0, np.sqrt(3)])  # of three-point Gauss-Hermite quadrature
_WEIGHTS = np.array([1 / 6, 2 / 3, 1 / 6])  # of its points
_NEGLIGIBLE = 4.0  # standard deviations below the front
_PRICES = (0.03, 0.1, 0.2, 0.35, 0.6, 1.0)  # of an epoch, in shares of the most that it can be


@dataclass(frozen=True, slots=True)
class Front:
    """Known points, and the coordinate that tells how a network stands to their front.

    Attributes:
        x: Scaled costs (n,).
        y: Utilities of the accuracies (n,).
    """

    x: Array
    y: Array

    def with_points(self, x: Array, y: Array) -> "Front":
        """This front and more points, each (k,)."""
        return Front(np.append(self.x, x), np.append(self.y, y))

    def heights(self, at: Array) -> Array:
        """The front's height at some abscissas."""
        return heights(self.x, self.y, at)

    def level(self, x: Array, y: Array) -> Array:
        """How far points are above the front (in shares of what is left) or below it."""
        height = self.heights(x)
        excess = y - height
        level: Array = np.where(excess < 0, excess, excess / self._span(height))
        return level

    def at_level(self, x: Array, level: Array) -> Array:
        """The utility at some levels: the inverse of `level`."""
        height = self.heights(x)
        y: Array = height + np.where(level < 0, level, level * self._span(height))
        return y

    def _span(self, height: Array) -> Array:
        span: Array = np.maximum(self.y.max() - height, 0) + _LEAST_SPAN
        return span


@dataclass(frozen=True, slots=True)
class Children:
    """What each of R rounds is expected to make of each of m networks.

    Attributes:
        x: Scaled costs (m, R).
        mean: Of the utilities, which are Gaussian (m, R).
        deviation: Their standard deviations (m, R), above 0.
    """

    x: Array
    mean: Array
    deviation: Array

    def gain(self, front: Front, until: Array | None = None) -> Array:
        """Hypervolume that each is expected to add alone (m, R); see `expected_gain`.

        Args:
            front: What is there already.
            until: Abscissas beyond which nothing counts (m,).
        """
        near = self.mean + _NEGLIGIBLE * self.deviation > front.heights(self.x)
        if until is not None:
            until = np.broadcast_to(until[:, None], near.shape)[near]
        gain = np.zeros(near.shape)
        gain[near] = expected_gain(
            front.x, front.y, self.x[near], self.mean[near], self.deviation[near], until
        )
        return gain


@dataclass(frozen=True, slots=True)
class Grid:
    """Nodes at some parameter counts, and at each of them at levels around the front.

    Attributes:
        front: What the levels are measured from.
        columns: Scaled costs, ascending (c,).
    """

    front: Front
    columns: Array

    @property
    def x(self) -> Array:
        """Scaled costs of the nodes (s,), column by column."""
        return np.repeat(self.columns, len(_LEVELS))

    @property
    def y(self) -> Array:
        """Utilities of the nodes (s,)."""
        return self.front.at_level(self.x, np.tile(_LEVELS, len(self.columns)))

    def expectation(self, x: Array, mean: Array, deviation: Array) -> csr_array:
        """The matrix that takes values at the nodes to the expected ones of some networks.

        Between nodes values are interpolated, beyond the outermost ones they stay the same.

        Args:
            x: Scaled costs (m,).
            mean: Of the utilities, which are Gaussian (m,).
            deviation: Their standard deviations (m,).

        Returns:
            (m, s); rows sum to 1.
        """
        x = x[:, None]
        y = mean[:, None] + deviation[:, None] * _ABSCISSAS
        column, right = _between(self.columns, x)
        level, upper = _between(_LEVELS, self.front.level(x, y))
        corners = np.empty((*y.shape, 2, 2), dtype=np.int32)
        corners[...] = (column * len(_LEVELS) + level)[..., None, None] + _CORNERS
        shares = np.empty(corners.shape)
        for along, part in enumerate((1 - upper, upper)):
            shares[..., 0, along] = _WEIGHTS * (1 - right) * part
            shares[..., 1, along] = _WEIGHTS * right * part
        starts = np.arange(0, corners.size + 1, 4 * len(_ABSCISSAS), dtype=np.int32)
        shape = (len(mean), len(self.columns) * len(_LEVELS))
        return csr_array((shares.ravel(), corners.ravel(), starts), shape=shape)


@dataclass(frozen=True, slots=True)
class Outlook:
    """The best plans for networks on a grid, with any number of rounds left.

    Source: dynamic programming, Bellman 1957; a budget by its price: Everett, "Generalized
    Lagrange multiplier method for solving problems of optimum allocation of resources", 1963.

    Attributes:
        grid: The networks.
        gain: Of hypervolume by each round, down from the network's own cost (s, R).
        costs: Of the rounds, in epochs (R,).
        next_: Takes values at the nodes to expected ones after each round (s * R, s).
        most_rounds: That can be left.
    """

    grid: Grid
    gain: Array
    costs: Array
    next_: csr_array
    most_rounds: int

    @classmethod
    def of(cls, grid: Grid, children: Children, costs: Array, most_rounds: int) -> Self:
        """Plan from what is expected of each round at each node."""
        next_ = grid.expectation(
            children.x.ravel(), children.mean.ravel(), children.deviation.ravel()
        )
        return cls(grid, children.gain(grid.front, grid.x), costs, next_, most_rounds)

    def worth(
        self, children: Children, costs: Array, gain: Array, left: Places, budget: float
    ) -> tuple[Array, float]:
        """What some rounds are worth by what may follow them, less the price of all epochs.

        An epoch is as cheap as the budget allows: its price is the least of some at which the best
        plan costs no more than is left to spend. So with a large budget rounds may be long that
        with a small one are short. At the highest of these prices, what is left to gain if epochs
        were free over what is left to spend, no plan that pays costs more than the budget.

        Args:
            children: Of m networks, by rounds of which plans need not know.
            costs: Of these rounds, in epochs (R,).
            gain: What they are expected to add themselves (m, R); minus infinity where a round
                is out of question.
            left: Rounds that may follow these (m,).
            budget: Epochs that are left to spend, above 0.

        Returns:
            Hypervolume to add to what they are expected to add themselves (m, R), minus infinity
            where a round is out of question; and the price of an epoch.
        """
        chance = np.isfinite(gain)
        places, rounds = np.nonzero(chance)
        gain, costs = gain[chance], costs[rounds]
        after = self.grid.expectation(
            *(of[chance] for of in (children.x, children.mean, children.deviation))
        )
        then = np.arange(len(places)), left[places]

        def with_plans(price: float) -> tuple[Array, Array]:
            more, longer = self.plan(price)
            return (after @ more)[then], costs + (after @ longer)[then]

        dearest = float((gain + with_plans(0)[0]).max()) / budget
        for share in _PRICES:
            price = share * dearest
            more, all_costs = with_plans(price)
            if all_costs[(gain + more - price * all_costs).argmax()] <= budget:
                break
        worth = np.full(chance.shape, -np.inf)
        worth[chance] = more - price * all_costs
        return worth, price

    def plan(self, price: float) -> tuple[Array, Array]:
        """What to expect of the best that can follow, if an epoch costs so much hypervolume.

        Returns:
            Gains, and costs in epochs, by node and by rounds left: (s, most_rounds + 1) each.
        """
        nodes, rounds = self.gain.shape
        gains = np.zeros((nodes, self.most_rounds + 1))
        costs = np.zeros_like(gains)
        worth = self.gain - price * self.costs
        for left in range(1, self.most_rounds + 1):
            then = self.next_ @ (gains[:, left - 1] - price * costs[:, left - 1])
            total = worth + then.reshape(worth.shape)
            best = total.argmax(1)
            pays = np.flatnonzero(total[np.arange(nodes), best] > 0)
            best = best[pays]
            next_ = self.next_[pays * rounds + best]
            gains[pays, left] = self.gain[pays, best] + next_ @ gains[:, left - 1]
            costs[pays, left] = self.costs[best] + next_ @ costs[:, left - 1]
        return gains, costs


def _between(axis: Array, at: Array) -> tuple[Places, Array]:
    """The intervals of an axis in which points lie, and how far in it they are, from 0 to 1."""
    inside = np.clip(at, axis[0], axis[-1])
    interval = np.clip(np.searchsorted(axis, inside, side="right") - 1, 0, len(axis) - 2)
    return interval, (inside - axis[interval]) / np.diff(axis)[interval]
