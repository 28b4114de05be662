"""The stage-tree sampler: add to a known network the round that is worth the most."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from pruning import Round, Schedule
from search.errors import ExhaustedError
from search.front.dominance import heights, on_front
from search.samplers.known_tree import KnownTree
from search.samplers.outlook import Children, Front, Grid, Outlook
from search.samplers.prospects import Prospects
from search.samplers.round_model import Array, RoundModel, Rounds, describe
from search.samplers.space import SearchSpace
from search.samplers.study import affordable_epochs, distributions
from search.samplers.utility import Utility

_PARENTS = 50  # that are looked at for one proposal
_OBSERVATIONS = 200  # that the model learns from
_WIDTHS = np.geomspace(1 / 320, 1, 100)  # from which rounds are planned, 6 % apart: interpolated
# between coarser ones, a plan would reach parameter counts that no round does
_LEAST_COST = 0.5  # of a round, in epochs: one without epochs is evaluated too
_TIE = 1e-6  # rounds whose promises differ by less than this share promise the same


class StageTreeSampler(BaseSampler):
    """Proposes a known schedule and one round more, so that a trial costs a single round.

    Of all rounds that could be added to the stages nearest to the front, it takes the one that
    is worth the most: the hypervolume that is expected to be gained by it and the best that may
    follow, with the rounds that a schedule then has left, less the price of their epochs. In that
    hypervolume accuracies count by their `Utility`. Training that does not pay where it is done
    may pay in what is pruned from there. Only the round itself is proposed; what follows is
    planned anew when its result is known.

    The price of an epoch is the one at which the best plan spends the epochs that are left, or an
    equal share of them with the plans of rounds in flight. The greedy choice, of the most gain an
    epoch, would spend them on short rounds, whose networks longer ones then make worthless.

    The cost of a child is known beforehand (that of a global round's child is taken to be
    that of a uniform one's); its utility is a Gaussian variable, which a `RoundModel` has learnt
    from the rounds that were run. The model's word is taken for what was not seen: the noise of a
    round counts, not what is unknown of it. Rounds in flight count with the utility that is
    expected of them, and what may follow is theirs alone. Of a learning rate of which rounds
    failed, rounds are worth less.

    Rounds that start fresh are added to the root alone: their network is that of its shape,
    whatever was trained before, and a shorter schedule leads there as well.

    Asked again and again, one sampler learns and plans once: what came in since is for the next,
    but rounds that were asked for meanwhile count, so that they are not asked for again nor others
    that are worth little beside them. Where many workers finish rounds quickly, that is what
    keeps them at work.

    Before there is anything to learn from, the model knows what small networks are like: so a
    search begins with rounds that are to lead, one after the other, down to the smallest.

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
        self._described = describe(self._rounds)
        self._epochs = np.array([round_.epochs for round_ in self._rounds])
        self._costs = np.maximum(self._epochs, _LEAST_COST)
        self._rates = np.array([space.rates.index(round_.rate) for round_ in self._rounds])
        self._inherits = np.array([round_.start == "inherit" for round_ in self._rounds])
        self._alike = _but_for_lr(self._rounds)
        self._kinds = _kinds(self._rounds)
        self._parents: list[Schedule] = []
        self._prospects: Prospects | None = None

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
            ExhaustedError: Every schedule that extends a known stage, by a round for which there
                are epochs left, was tried or is running.
        """
        self._tree.update(study)
        budget = affordable_epochs(study)
        proposal = self._take(budget)
        if proposal is None:
            self._look(budget)
            proposal = self._take(budget)
            assert proposal is not None
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

    def _look(self, budget: float) -> None:
        """Find out what could be run next, and what it is worth by all that is known now."""
        tree = self._tree
        schedules, depths, widths, x, y = tree.schedules, tree.depths, tree.widths, tree.x, tree.y
        if not schedules:  # the root is being trained
            schedules, depths = [()], np.zeros(1, np.intp)
            widths, x, y = np.ones(1), np.ones(1), np.ones(1)
        behind = heights(x, y, x) - y
        model, utility = self._learnt(widths, y, behind), self._utility(budget)
        ahead = on_front(x, y)  # all that a front needs; quicker than all that there is
        front = Front(x[ahead], utility.of(y[ahead]))
        front = front.with_points(*self._in_flight(model, utility))
        left, chances = self._space.max_rounds - depths, self._chances()
        order = np.lexsort((x, behind))
        nearest = order[left[order] > 0]
        for first in range(0, len(nearest), _PARENTS):
            some = nearest[first : first + _PARENTS]
            open_ = (self._epochs <= budget) & [self._open(schedules[i]) for i in some]
            if not open_.any():
                continue
            asked = self._asked(widths[some], x[some], y[some])
            children = Children(asked.x, *model.expect(asked, utility))
            luck = self._random.uniform(1 - _TIE, 1, open_.shape) * chances
            gain = children.gain(front) * luck
            then, price = self._outlook(model, front, utility).worth(
                children,
                self._costs,
                np.where(open_, gain, -np.inf),
                left[some] - 1,
                max(budget / (1 + len(tree.pending)), _LEAST_COST),
            )
            self._parents = [schedules[i] for i in some]
            self._prospects = Prospects(
                children,
                self._epochs,
                front,
                luck,
                gain,
                np.where(then > 0, then * chances, then),
                price * self._costs,
                self._kinds,
                self._being_run(),
            )
            return
        raise ExhaustedError("every schedule was tried")

    def _take(self, budget: float) -> Schedule | None:
        """The best of what was found, but for what was taken; None if nothing is left."""
        taken = None if self._prospects is None else self._prospects.take(budget)
        return None if taken is None else (*self._parents[taken[0]], self._rounds[taken[1]])

    def _being_run(self) -> Iterator[tuple[int, int]]:
        """Places of parents and of rounds in flight."""
        place = {parent: at for at, parent in enumerate(self._parents)}
        for schedule in self._tree.pending:
            if schedule and schedule[:-1] in place:
                yield place[schedule[:-1]], self._place[schedule[-1]]

    def _open(self, parent: Schedule) -> NDArray[np.bool_]:
        """Which of the rounds may be asked for after a schedule, and were not."""
        open_ = self._inherits.copy() if parent else np.ones(len(self._rounds), dtype=np.bool_)
        open_[[self._place[round_] for round_ in self._tree.asked(parent)]] = False
        return open_

    def _outlook(self, model: RoundModel, front: Front, utility: Utility) -> Outlook:
        """What may be planned from any network, as far as the model tells.

        Of rounds that differ in the learning rate alone a plan takes the best.
        """
        first = [places[0] for places in self._alike]
        columns = {self._tree.x_at(width): width for width in _WIDTHS}
        grid = Grid(front, np.array(list(columns)))
        widths = np.repeat(list(columns.values()), len(grid.x) // len(columns))
        asked = self._asked(widths, grid.x, utility.accuracy(grid.y))
        every = model.expect(asked, utility)
        best = np.column_stack([places[every[0][:, places].argmax(1)] for places in self._alike])
        mean, deviation = (np.take_along_axis(of, best, axis=1) for of in every)
        children = Children(asked.x[:, first], mean, deviation)
        return Outlook.of(grid, children, self._costs[first], self._space.max_rounds - 1)

    def _asked(self, widths: Array, x: Array, y: Array) -> Rounds:
        """Every round on each of some networks."""
        different, places = np.unique(widths, return_inverse=True)
        steps = np.array([self._narrowing(width) for width in different])
        steps = steps.reshape(len(different), len(self._space.rates))
        return Rounds(
            x=(x[:, None] + steps[places])[:, self._rates],
            described=self._described,
            x_before=x[:, None],
            y_before=y[:, None],
            root=self._root_accuracy(),
        )

    def _utility(self, budget: float) -> Utility:
        """By what the whole search may spend."""
        schedule = self._space.max_rounds * self._costs.mean()
        return Utility.for_budget((self._tree.epochs + budget) / schedule)

    def _root_accuracy(self) -> float:
        root = self._tree.index(())
        return 1.0 if root is None else float(self._tree.y[root])

    def _learnt(self, widths: Array, y: Array, behind: Array) -> RoundModel:
        """The model of the rounds that were run on the stages nearest to the front."""
        tree = self._tree
        children = np.flatnonzero(tree.parents >= 0)
        nearest = np.argsort(behind[tree.parents[children]], kind="stable")[:_OBSERVATIONS]
        relevant = children[nearest]
        rounds = [tree.schedules[child][-1] for child in relevant]
        return RoundModel.fit(self._each(tree.parents[relevant], rounds, widths, y), y[relevant])

    def _chances(self) -> Array:
        """That each of the rounds does not fail (R,), by those of its learning rate that did.

        One round more is counted as one that did not.
        """
        failed = Counter(round_.lr for round_ in self._tree.failed())
        ended = Counter(schedule[-1].lr for schedule in self._tree.schedules if schedule)
        return np.array(
            [(1 + ended[one.lr]) / (1 + ended[one.lr] + failed[one.lr]) for one in self._rounds]
        )

    def _in_flight(self, model: RoundModel, utility: Utility) -> tuple[Array, Array]:
        """The points that rounds in flight are expected to add."""
        tree = self._tree
        pending = [one for one in tree.pending if one and tree.index(one) is None]
        places = [tree.index(schedule[:-1]) for schedule in pending]
        known = np.array([place for place in places if place is not None], dtype=np.intp)
        rounds = [
            schedule[-1]
            for schedule, place in zip(pending, places, strict=True)
            if place is not None
        ]
        each = self._each(known, rounds, tree.widths, tree.y)
        return each.x, model.expect_each(each, utility)

    def _each(
        self, networks: NDArray[np.intp], rounds: Sequence[Round], widths: Array, y: Array
    ) -> Rounds:
        """One round on each of some networks: arrays of (n,) and (n, 5)."""
        tree = self._tree
        places = np.array([self._place[round_] for round_ in rounds], dtype=np.intp)
        asked = self._asked(widths[networks], tree.x[networks], y[networks])
        return Rounds(
            x=asked.x[np.arange(len(networks)), places],
            described=self._described[places],
            x_before=tree.x[networks],
            y_before=y[networks],
            root=asked.root,
        )

    def _narrowing(self, width: float) -> Array:
        """How each of the rates changes the scaled cost of a network of a width."""
        now = self._tree.x_at(width)
        return np.array([self._tree.x_at(width * rate) - now for rate in self._space.rates])


def _but_for_lr(rounds: Sequence[Round]) -> list[NDArray[np.intp]]:
    """Places of the rounds that inherit, those together that differ in the learning rate alone."""
    alike: dict[Round, list[int]] = {}
    for place, round_ in enumerate(rounds):
        if round_.start == "inherit":
            alike.setdefault(replace(round_, lr=1.0), []).append(place)
    return [np.array(places) for places in alike.values()]


def _kinds(rounds: Sequence[Round]) -> NDArray[np.int_]:
    """Numbers that rounds share which differ in length and learning rate alone (R,)."""
    numbers: dict[Round, int] = {}
    of_kind = [replace(one, epochs=1, lr=1.0) for one in rounds]
    return np.array([numbers.setdefault(kind, len(numbers)) for kind in of_kind])
