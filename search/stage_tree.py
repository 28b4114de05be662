"""The stage-tree sampler: add one round to a stage where the front has a gap."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pruning import Schedule
from search.errors import ExhaustedError
from search.front import Scale, on_front
from search.sampler_study import distributions, root_accuracy
from search.space import SearchSpace


class StageTreeSampler(BaseSampler):
    """Proposes a known schedule and one round more, so that a trial costs a single round.

    The known schedule is drawn from the front, with a probability proportional to the gap in
    scaled log-parameters between it and the next smaller stage of the front: that is where its
    children land. The round is drawn uniformly from those that were not yet tried there.
    Behind the front are stages whose children are tried only when the front has none left.

    Args:
        space: The choices of the search.
        scale: Maps parameters to the axis on which gaps are measured.
        seed: Of the draws of this sampler.
    """

    def __init__(self, space: SearchSpace, scale: Scale, *, seed: int) -> None:
        self._space = space
        self._scale = scale
        self._random = np.random.default_rng(seed)

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
        known = _Known(study, self._space, self._scale)
        for parents in known.by_preference():
            gaps = known.gaps(parents)
            for chosen in self._drawn_without_replacement(gaps):
                proposal = self._child(known, parents[chosen])
                if proposal is not None:
                    return dict.fromkeys(search_space, 0) | self._space.encode(proposal)
        raise ExhaustedError("every schedule of the search space was tried")

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Never reached, since all parameters are sampled together."""
        raise NotImplementedError(param_name)

    def _drawn_without_replacement(self, weights: NDArray[np.float64]) -> NDArray[np.intp]:
        """Indices in random order, heavier ones sooner (Efraimidis and Spirakis, 2006)."""
        return np.argsort(self._random.exponential(size=len(weights)) / weights)

    def _child(self, known: "_Known", parent: Schedule) -> Schedule | None:
        rounds = self._space.rounds()
        for index in self._random.permutation(len(rounds)):
            proposal = (*parent, rounds[index])
            if proposal not in known.asked:
                return proposal
        return None


class _Known:
    """The stages of a sampler study, and the schedules that were asked for."""

    def __init__(self, study: Study, space: SearchSpace, scale: Scale) -> None:
        self._max_rounds = space.max_rounds
        self.asked: set[Schedule] = set()
        self._schedules: list[Schedule] = [()]
        params = [float(scale.root_params)]
        accuracies = [root_accuracy(study) or 0.0]
        for row in study.get_trials(deepcopy=False):
            if len(row.params) < len(space.sizes()):
                continue  # a proposal that is being made, or came to nothing
            schedule = space.decode(row.params)
            self.asked.add(schedule)
            if row.state is TrialState.COMPLETE:
                self._schedules.append(schedule)
                accuracies.append(row.values[0])
                params.append(row.values[1])
        self._x = dict(zip(self._schedules, scale.x(params), strict=True))
        self._front = on_front(params, accuracies)

    def by_preference(self) -> list[list[Schedule]]:
        """The stages that may have children: those on the front, then the others."""
        parents = list(zip(self._schedules, self._front, strict=True))
        return [
            [
                schedule
                for schedule, on_the_front in parents
                if on_the_front == wanted and len(schedule) < self._max_rounds
            ]
            for wanted in (True, False)
        ]

    def gaps(self, parents: list[Schedule]) -> NDArray[np.float64]:
        """For each stage, how far the next smaller stage of the front is, or the least network."""
        front = [0.0] + [
            self._x[schedule]
            for schedule, on_the_front in zip(self._schedules, self._front, strict=True)
            if on_the_front
        ]
        x = np.array([self._x[schedule] for schedule in parents])
        ordered = np.unique(front)
        smaller = ordered[np.maximum(np.searchsorted(ordered, x, side="left") - 1, 0)]
        gaps: NDArray[np.float64] = np.maximum(x - smaller, 1e-6)
        return gaps
