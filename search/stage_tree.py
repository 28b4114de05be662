"""The stage-tree sampler: add to a known network the round that promises the most an epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from pruning import Round, Schedule, width_mult
from search.errors import ExhaustedError
from search.front import expected_gain, heights
from search.known_tree import KnownTree
from search.round_model import Array, RoundModel
from search.sampler_study import distributions
from search.space import SearchSpace

_PARENTS = 50  # that are looked at for one proposal
_AHEAD = 50  # children whose own children are looked at, too
_OBSERVATIONS = 200  # that the model learns from
_LEAST_COST = 0.5  # of a round, in epochs: one without epochs is evaluated too
_TIE = 1e-6  # rounds whose promises differ by less than this share promise the same
_UNIT = 0.3  # length scale of a parent's scaled accuracy and log-parameters


@dataclass(frozen=True, slots=True)
class _Networks:
    """Networks that are known, or expected.

    Attributes:
        schedules: What leads to them.
        x: Scaled log-parameters (n,).
        y: Scaled accuracies (n,).
        deviation: Standard deviations of these (n,).
    """

    schedules: list[Schedule]
    x: Array
    y: Array
    deviation: Array

    def __getitem__(self, places: list[int]) -> Self:
        return type(self)(
            [self.schedules[i] for i in places],
            self.x[places],
            self.y[places],
            self.deviation[places],
        )


class StageTreeSampler(BaseSampler):
    """Proposes a known schedule and one round more, so that a trial costs a single round.

    Of all rounds that could be added to the stages nearest to the front, it takes the most
    promising one. A round promises the hypervolume an epoch that is expected to be gained by it
    alone or, if that is more, by it and the best round after it: training that does not pay where
    it is done may pay in what is pruned from there.

    The parameters of a child are known beforehand (those of a global round's child are taken to be
    those of a uniform one's); its accuracy is a Gaussian variable, the parent's plus a change that
    a `RoundModel` has learnt from the rounds that were run. Rounds in flight count with the
    accuracy that is expected of them.

    Before there is anything to learn from, no round is expected to change the accuracy. That
    makes the harshest and shortest ones the most promising, so a search begins with a chain of
    them, which soon spans the front, and learns from it what such rounds cost.

    Args:
        space: The choices of the search.
        tree: Of this search, brought up to date here.
        seed: Of the choice among rounds that promise the same.
    """

    def __init__(self, space: SearchSpace, tree: KnownTree, *, seed: int) -> None:
        self._space = space
        self._tree = tree
        self._random = np.random.default_rng(seed)
        self._rounds = space.rounds()
        self._place = {round_: place for place, round_ in enumerate(self._rounds)}
        self._described = _describe(self._rounds)
        self._costs = np.array([max(r.epochs, _LEAST_COST) for r in self._rounds])

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All parameters at once; see Optuna's `BaseSampler`."""
        return distributions(self._space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Parameters of the proposal; see Optuna's `BaseSampler`.

        Raises:
            ExhaustedError: Every schedule that extends a known stage was tried or is running.
        """
        self._tree.update(study)
        proposal = self._most_promising()
        return dict.fromkeys(search_space, 0) | self._space.encode(proposal)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Never reached, since all parameters are sampled together."""
        raise NotImplementedError(param_name)

    def _most_promising(self) -> Schedule:
        tree = self._tree
        schedules, x, y = tree.schedules or [()], tree.x, tree.y
        if not tree.schedules:
            x, y = np.ones(1), np.ones(1)  # the root is being trained
        behind = heights(x, y, x) - y
        model = self._learnt(x, y, behind)
        front = self._with_pending(model, x, y)
        stages = _Networks(schedules, x, y, np.zeros(len(x)))
        nearest = [i for i in np.lexsort((x, behind)) if self._may_grow(schedules[i])]
        for first in range(0, len(nearest), _PARENTS):
            grown = self._children(model, stages[nearest[first : first + _PARENTS]])
            fresh = [i for i, one in enumerate(grown.schedules) if one not in tree.asked]
            if fresh:
                costs = self._costs[np.array(fresh) % len(self._rounds)]
                promise = self._promise(model, front, grown[fresh], costs)
                return grown.schedules[fresh[promise.argmax()]]
        raise ExhaustedError("every schedule of the search space was tried")

    def _promise(
        self, model: RoundModel, front: tuple[Array, Array], grown: _Networks, costs: Array
    ) -> Array:
        """Expected gain of hypervolume an epoch of children that cost some epochs."""
        gain = expected_gain(*front, grown.x, grown.y, grown.deviation)
        promise = gain / costs
        best = [i for i in np.argsort(-promise)[:_AHEAD] if self._may_grow(grown.schedules[i])]
        if best:
            next_ = self._children(model, grown[best])
            until = np.repeat(grown.x[best], len(self._rounds))
            more = expected_gain(*front, next_.x, next_.y, next_.deviation, until)
            both = gain[best][:, None] + more.reshape(len(best), -1)
            both /= costs[best][:, None] + self._costs
            promise[best] = np.maximum(promise[best], both.max(axis=1))
        untied: Array = promise * self._random.uniform(1 - _TIE, 1, len(promise))
        return untied

    def _children(self, model: RoundModel, parents: _Networks) -> _Networks:
        """What each of the rounds is expected to make of each of some networks, in that order."""
        count = len(self._rounds)
        x, y = np.repeat(parents.x, count), np.repeat(parents.y, count)
        change, deviation = model.predict(
            self._features(x, y, np.tile(np.arange(count), len(parents.x)))
        )
        return _Networks(
            [(*parent, round_) for parent in parents.schedules for round_ in self._rounds],
            x + np.concatenate([self._narrowing(parent) for parent in parents.schedules]),
            y + change,
            np.hypot(deviation, np.repeat(parents.deviation, count)),
        )

    def _may_grow(self, schedule: Schedule) -> bool:
        return len(schedule) < self._space.max_rounds

    def _learnt(self, x: Array, y: Array, behind: Array) -> RoundModel:
        """The model of the rounds that were run on the stages nearest to the front."""
        parents = self._tree.parents
        children = np.flatnonzero(parents >= 0)
        relevant = children[np.argsort(behind[parents[children]], kind="stable")][:_OBSERVATIONS]
        known = parents[relevant]
        rounds = np.array([self._place[self._tree.schedules[i][-1]] for i in relevant], dtype=int)
        return RoundModel.fit(self._features(x[known], y[known], rounds), y[relevant] - y[known])

    def _with_pending(self, model: RoundModel, x: Array, y: Array) -> tuple[Array, Array]:
        """The known points, and those that rounds in flight are expected to add."""
        for schedule in self._tree.pending:
            parent = self._tree.index(schedule[:-1])
            if parent is not None and self._tree.index(schedule) is None:
                features = self._features(x[[parent]], y[[parent]], self._place[schedule[-1]])
                change, _ = model.predict(features)
                narrowing = self._narrowing(schedule[:-1])[self._place[schedule[-1]]]
                x = np.append(x, x[parent] + narrowing)
                y = np.append(y, y[parent] + change)
        return x, y

    def _features(self, x: Array, y: Array, rounds: Any) -> Array:
        described = np.broadcast_to(self._described[rounds], (len(x), self._described.shape[1]))
        return np.column_stack((x / _UNIT, y / _UNIT, described))

    def _narrowing(self, parent: Schedule) -> Array:
        """How each of the rounds changes the scaled log-parameters of a stage."""
        width = width_mult(parent)
        now = self._tree.x_at(width)
        by = {rate: self._tree.x_at(width * rate) - now for rate in self._space.rates}
        return np.array([by[round_.rate] for round_ in self._rounds])


def _describe(rounds: Sequence[Round]) -> Array:
    """Allocation, and logarithms of rate, epochs and learning rate, over the choices' range."""
    numbers = np.array(
        [
            (r.allocation == "global", *np.log((r.rate, r.epochs + _LEAST_COST, r.lr)))
            for r in rounds
        ]
    )
    span = np.ptp(numbers, axis=0)
    described: Array = (numbers - numbers.min(axis=0)) / np.where(span > 0, span, 1)
    return described
