"""The search itself, without Ray: proposals go out, stages come in, nothing is held twice.

Whoever runs rounds (Ray Tune's workers, or a loop in a test) asks a campaign for trials and
tells it what became of them. The campaign keeps ledger, store and sampler study in step.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from pruning import Round, Schedule, Stage, StageStore
from search.errors import ExhaustedError
from search.front import Scale, on_front
from search.ledger import Ledger, Trial
from search.sampler_study import SamplerStudy
from search.space import SearchSpace

NewSampler = Callable[[int], BaseSampler]
"""Makes the sampler of one proposal, given the proposal's number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where a search stands."""

    trials: int
    asked_trials: int
    running: int
    failed: int
    stages: int
    front: int
    hypervolume: float
    executed_epochs: int


class Campaign:
    """One search's proposals and results.

    Args:
        ledger: The trials; those in state RUNNING are handed out first.
        store: The stages; committed by others, looked up here.
        space: The choices of the search.
        scale: Of the hypervolume.
        new_sampler: Makes the sampler of each proposal.
        trials: How many trials the ledger shall have in the end.
        ahead: How many trials may be in flight at most. Few, so that every proposal is made
            with as much evidence as there can be.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        store: StageStore,
        space: SearchSpace,
        scale: Scale,
        new_sampler: NewSampler,
        trials: int,
        ahead: int,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._scale = scale
        self._new_sampler = new_sampler
        self._asked_trials = trials
        self._ahead = ahead
        self._study = SamplerStudy(space)
        for stage in store:
            self._study.observe(stage)
        self._rows: dict[int, int] = {}
        for trial in ledger:
            if trial.state in (TrialState.RUNNING, TrialState.FAIL):
                self._rows[trial.number] = self._study.adopt(trial.schedule)
            if trial.state is TrialState.FAIL:
                self._study.settle(self._rows.pop(trial.number))
        self._adopted = ledger.running()
        self._in_flight: dict[int, Trial] = {}
        self.exhausted = False

    @property
    def finished(self) -> bool:
        """Whether no trial will be handed out any more; some may still be in flight."""
        return not self._adopted and (
            len(self._ledger) >= self._asked_trials or (self.exhausted and not self._in_flight)
        )

    def next_trial(self) -> Trial | None:
        """A trial to run, or None while enough are in flight or none is left."""
        if self.finished or len(self._in_flight) >= self._ahead:
            return None
        trial = self._adopted.pop(0) if self._adopted else self._propose()
        if trial is not None:
            self._in_flight[trial.number] = trial
        return trial

    def accept(self, stage_id: str) -> tuple[Stage, bool]:
        """Take note of a stage that was committed, and of its ancestors.

        The news of an ancestor, which another trial may have trained, can be still on its way.

        Returns:
            The stage, and whether it is on the front.
        """
        stage = self._store.adopt(stage_id)
        self._study.observe(stage)
        if stage.parent is not None and stage.parent not in self._store:
            self.accept(stage.parent)
        return stage, any(other.id == stage_id for other in front(self._store))

    def complete(self, number: int) -> None:
        """Record that all rounds of a trial are done."""
        last = path(self._store, self._in_flight[number].schedule)[-1]
        self._ledger.complete(number, val_accuracy=last.val_accuracy, params=last.params)
        self._settle(number)

    def fail(self, number: int, reason: str) -> None:
        """Record that a trial could not be finished."""
        self._ledger.fail(number, reason)
        self._settle(number)

    def progress(self) -> Progress:
        """Where the search stands."""
        states = [trial.state for trial in self._ledger]
        points = front(self._store)
        return Progress(
            trials=sum(state.is_finished() for state in states),
            asked_trials=self._asked_trials,
            running=len(self._in_flight),
            failed=states.count(TrialState.FAIL),
            stages=len(self._store),
            front=len(points),
            hypervolume=hypervolume(points, self._scale),
            executed_epochs=self._store.executed_epochs,
        )

    def _propose(self) -> Trial | None:
        try:
            row, schedule = self._study.propose(self._new_sampler(len(self._ledger)))
        except ExhaustedError:
            self.exhausted = True
            return None
        trial = self._ledger.add(schedule)
        self._rows[trial.number] = row
        return trial

    def _settle(self, number: int) -> None:
        self._study.settle(self._rows.pop(number))
        del self._in_flight[number]
        self.exhausted = False  # the stages that it left may have children to try


def path(store: StageStore, schedule: Schedule) -> list[Stage]:
    """The stages of a schedule that exist, from the root on, up to the first that does not."""
    stages: list[Stage] = []
    steps: tuple[Round | None, ...] = (None, *schedule)
    for round_ in steps:
        stage = store.child(stages[-1].id if stages else None, round_)
        if stage is None:
            break
        stages.append(stage)
    return stages


def front(stages: Iterable[Stage]) -> list[Stage]:
    """The stages that no other dominates, by ascending parameters; ties by id."""
    all_stages = list(stages)
    mask = on_front(
        [stage.params for stage in all_stages], [stage.val_accuracy for stage in all_stages]
    )
    members = [stage for stage, member in zip(all_stages, mask, strict=True) if member]
    return sorted(members, key=lambda stage: (stage.params, stage.id))


def hypervolume(stages: Iterable[Stage], scale: Scale) -> float:
    """Hypervolume of some stages' validation accuracy over their parameters; 0 of none."""
    members = list(stages)
    return scale.hypervolume(
        [stage.params for stage in members], [stage.val_accuracy for stage in members]
    )
