"""What samplers see: an in-memory Optuna study with every stage as a finished row.

A prefix of a schedule is a schedule, so each stage that a trial passes is an observation.
The study is rebuilt from ledger and store whenever a search starts; nothing in it is saved.
"""

from functools import cache
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial
from threadpoolctl import ThreadpoolController

from pruning import Schedule, Stage
from search.front.cost import cost_of
from search.front.names import CostName
from search.samplers.space import SearchSpace


class NewSampler(Protocol):
    """Makes the sampler of one proposal."""

    def __call__(self, draw: int, *, after_repeat: bool = False) -> BaseSampler:
        """The sampler.

        Args:
            draw: Number of the proposal.
            after_repeat: Whether the proposal before it had no new round to run.
        """


_ROOT_ACCURACY = "root_accuracy"
_AFFORDABLE = "affordable_epochs"


class SamplerStudy:
    """Stages as COMPLETE rows and trials in flight as RUNNING ones.

    Rows have the fixed-length parameters of `SearchSpace.sizes`, as indices into the choices.
    Positions beyond the end of a schedule are filled at random, the same way for the same
    schedule, so that no model sees a pattern where there is none. The objectives are
    `val_accuracy` (maximize) and the cost (minimize). The root, which has no round, is no row;
    its accuracy is an attribute of the study, and so are the epochs that a proposal may cost.

    Args:
        space: The choices of the search.
        cost: What accuracy is traded against.
    """

    def __init__(self, space: SearchSpace, cost: CostName = "params") -> None:
        self._space = space
        self._cost: CostName = cost
        self._distributions = distributions(space)
        self._study = optuna.create_study(directions=["maximize", "minimize"])
        self._observed: set[Schedule] = set()

    def observe(self, stage: Stage) -> None:
        """Add a stage; one that was added before changes nothing."""
        if not stage.schedule:
            self._study.set_user_attr(_ROOT_ACCURACY, stage.val_accuracy)
        elif stage.schedule not in self._observed:
            self._observed.add(stage.schedule)
            values = (stage.val_accuracy, float(cost_of(stage, self._cost)))
            self._study.add_trial(self._row(stage.schedule, TrialState.COMPLETE, values))

    def propose(self, sampler: BaseSampler, affordable: float) -> tuple[int, Schedule]:
        """Ask a sampler for a schedule.

        Args:
            sampler: Of this proposal.
            affordable: Epochs that are left to spend, and so the most that its missing rounds may
                have; stock samplers know nothing of it.

        Returns:
            The number of the row that stands for the proposal until it is settled, and the
            schedule.

        Raises:
            ExhaustedError: The sampler has no schedule left.
        """
        self._study.sampler = sampler
        self._study.set_user_attr(_AFFORDABLE, affordable)
        with _threads().limit(limits=1):  # small matrices; the other cores are the workers'
            row = self._study.ask(self._distributions)
        return row.number, self._space.decode(row.params)

    def adopt(self, schedule: Schedule) -> int:
        """Add a row for a trial that an earlier run proposed; returns its number."""
        self._study.add_trial(self._row(schedule, TrialState.RUNNING, None))
        return len(self._study.get_trials(deepcopy=False)) - 1

    def settle(self, row: int) -> None:
        """End the row of a proposal: its stages, observed one by one, now speak for it."""
        self._study.tell(row, state=TrialState.FAIL)

    def _row(
        self, schedule: Schedule, state: TrialState, values: tuple[float, float] | None
    ) -> FrozenTrial:
        params = self._space.encode(schedule)
        random = np.random.default_rng(list(params.values()))
        filling = {
            name: int(random.integers(valid.start, valid.stop))
            for name, valid in self._space.sizes().items()
        }
        return create_trial(
            state=state,
            values=values,
            params=filling | params,
            distributions=self._distributions,
        )


@cache
def _threads() -> ThreadpoolController:
    """Of the libraries that are loaded by now."""
    return ThreadpoolController()


class _Indices(IntDistribution):
    """Integers of which Optuna need not make copies, as it does for each row, of all of them."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Indices":
        return self


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Optuna's form of the parameters: ordered integers, which every sampler can model."""
    return {name: _Indices(valid.start, valid.stop - 1) for name, valid in space.sizes().items()}


def root_accuracy(study: Study) -> float | None:
    """Validation accuracy of the root, or None while it is not trained."""
    accuracy: float | None = study.user_attrs.get(_ROOT_ACCURACY)
    return accuracy


def affordable_epochs(study: Study) -> float:
    """Epochs that are left to spend."""
    epochs: float = study.user_attrs[_AFFORDABLE]
    return epochs
