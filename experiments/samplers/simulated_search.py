"""A search without Ray: real rounds, a simulated pool of workers, and an exact bill of epochs.

Time is simulated: a round takes as long as it has epochs, so that W workers finish rounds in the
order in which W real ones would. Rounds themselves are run one after another, or are found in a
store that many runs share; a round that was found is charged like one that was run.
"""

import heapq
import itertools
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from pruning import Draft, NonFiniteError, Round, RoundRunner, Schedule, Stage, StageStore
from search.campaign.early_stop import far_behind
from search.errors import ExhaustedError
from search.front.dominance import on_front
from search.front.hypervolume import Scale
from search.samplers.space import SearchSpace
from search.samplers.study import NewSampler, SamplerStudy

Told: TypeAlias = Literal["stages", "trials"]

_MOST_REPEATS = 200  # trials in a row that asked for nothing new, before a search gives up


class Runs(Protocol):
    """What runs rounds for a search."""

    def root(self) -> Stage:
        """The root."""

    def child(self, parent: Stage, round_: Round) -> Stage | None:
        """What a round makes of a stage; None if it diverges."""


class Rounds:
    """Runs rounds, each once, over all runs that share a store.

    Args:
        runner: What runs them.
        store: Where their stages are kept.
    """

    def __init__(self, runner: RoundRunner, store: StageStore) -> None:
        self._runner = runner
        self._store = store

    def root(self) -> Stage:
        """The root, trained or found."""
        found = self._store.child(None, None)
        return found or self._commit(*self._runner.root())

    def child(self, parent: Stage, round_: Round) -> Stage | None:
        """What a round makes of a stage, run or found; None if it diverges."""
        found = self._store.child(parent.id, round_)
        if found is not None:
            return found
        try:
            made = self._runner.child(parent, self._store.weights(parent.id), round_)
        except NonFiniteError:
            return None
        return self._commit(*made)

    def test_accuracy(self, stage: Stage) -> float:
        """Accuracy of a stage on the test split."""
        known = self._store[stage.id]
        if known.test_accuracy is None:
            accuracy = self._runner.test_accuracy(known, self._store.weights(stage.id))
            known = self._store.set_test_accuracy(stage.id, accuracy)
        return known.test_accuracy or 0.0

    def _commit(self, draft: Draft, weights: bytes) -> Stage:
        return self._store.commit(draft, weights, trial=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What a sampler is told, and what its user gets and pays.

    Attributes:
        observes: Whether the sampler learns from every stage that a trial passes, or from the
            last one of each trial.
        candidates: Whether every stage counts as a result, or the last one of each trial.
        shares: Whether rounds that an earlier trial ran are free.
        early_stop: Whether trials end when a stage has fallen far behind; see `far_behind`.
    """

    observes: Told = "stages"
    candidates: Told = "stages"
    shares: bool = True
    early_stop: bool = True


@dataclass(slots=True)
class Curve:
    """Candidates of a run in the order in which they were made.

    Attributes:
        epochs: Epochs executed when each candidate was there.
        stages: The candidates; the first is the root, at 0 epochs.
    """

    epochs: list[int] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)

    def rows(
        self, scale: Scale, test_accuracy: Callable[[Stage], float]
    ) -> Iterator[dict[str, float]]:
        """Each candidate, and the hypervolume with it; at the last, the front's on test images.

        Args:
            scale: Of the hypervolume.
            test_accuracy: Of a candidate; asked of those on the front.
        """
        params = [stage.params for stage in self.stages]
        accuracy = [stage.val_accuracy for stage in self.stages]
        for end, epochs in enumerate(self.epochs, 1):
            row = {
                "epochs": epochs,
                "params": params[end - 1],
                "val_accuracy": accuracy[end - 1],
                "hypervolume": scale.hypervolume(params[:end], accuracy[:end]),
            }
            if end == len(params):
                members = [
                    stage
                    for stage, member in zip(self.stages, on_front(params, accuracy), strict=True)
                    if member
                ]
                row["test_hypervolume"] = scale.hypervolume(
                    [stage.params for stage in members], [test_accuracy(one) for one in members]
                )
            yield row


def simulate(
    rounds: Runs,
    space: SearchSpace,
    scale: Scale,
    new_sampler: NewSampler,
    usage: Usage,
    *,
    budget: int,
    workers: int,
) -> Curve:
    """Search until a budget of executed epochs is spent, or no schedule is left.

    Args:
        rounds: Runs the rounds.
        space: The choices.
        scale: Of the hypervolume.
        new_sampler: Makes the sampler of each proposal.
        usage: What it is told, and what is charged.
        budget: Epochs; the round that would pass it is not run, and ends the search.
        workers: Trials at a time.
    """
    return _Simulation(rounds, space, scale, new_sampler, usage, budget).run(workers)


class _Simulation:
    """Workers are generators that yield how long they are busy."""

    def __init__(
        self,
        rounds: Runs,
        space: SearchSpace,
        scale: Scale,
        new_sampler: NewSampler,
        usage: Usage,
        budget: int,
    ) -> None:
        self._rounds = rounds
        self._scale = scale
        self._new_sampler = new_sampler
        self._usage = usage
        self._left = budget
        self._root = rounds.root()
        self._study = SamplerStudy(space)
        self._study.observe(self._root)
        self._curve = Curve(epochs=[0], stages=[self._root])
        self._counted = {self._root.id}
        self._executed = 0
        self._rounds_run = 0
        self._proposals = 0
        self._repeats = 0
        self._now = 0.0
        self._known: dict[tuple[str, Round], Stage | None] = {}
        self._ready: dict[tuple[str, Round], float] = {}  # when a round in flight is done

    def run(self, workers: int) -> Curve:
        events = [(0.0, number, self._worker()) for number in range(workers)]  # a heap
        order = itertools.count(workers)
        while events:
            self._now, _, worker = heapq.heappop(events)
            for busy in itertools.islice(worker, 1):
                heapq.heappush(events, (self._now + busy, next(order), worker))
        return self._curve

    def _worker(self) -> Iterator[float]:
        while self._repeats < _MOST_REPEATS:
            try:
                sampler = self._new_sampler(self._proposals, after_repeat=self._repeats > 0)
                row, schedule = self._study.propose(sampler, self._left)
            except ExhaustedError:
                if not self._ready:
                    return
                yield min(self._ready.values()) - self._now
                continue
            self._proposals += 1
            before = self._rounds_run
            enough = yield from self._trial(schedule)
            self._repeats = self._repeats + 1 if self._rounds_run == before else 0
            self._study.settle(row)
            if not enough:
                return

    def _trial(self, schedule: Schedule) -> Generator[float, None, bool]:
        """Run a trial's rounds; returns whether there were epochs enough for them."""
        stage = self._root
        for position, round_ in enumerate(schedule, 1):
            edge = (stage.id, round_)
            if edge in self._ready:
                yield self._ready[edge] - self._now
            known = self._usage.shares and edge in self._known
            if known:
                made = self._known[edge]
            else:
                if round_.epochs > self._left:
                    return False
                self._left -= round_.epochs
                self._ready[edge] = self._now + round_.epochs
                yield round_.epochs
                self._ready.pop(edge, None)
                made = self._known[edge] = self._rounds.child(stage, round_)
                self._executed += round_.epochs
                self._rounds_run += 1
            if made is None:
                return True
            stage = made
            last = position == len(schedule)
            self._take(stage, last=last)
            if not (last or known) and self._usage.early_stop and self._far_behind(stage):
                return True
        return True

    def _take(self, stage: Stage, *, last: bool) -> None:
        if last or self._usage.observes == "stages":
            self._study.observe(stage)
        counts = last or self._usage.candidates == "stages"
        if counts and stage.id not in self._counted:
            self._counted.add(stage.id)
            self._curve.epochs.append(self._executed)
            self._curve.stages.append(stage)

    def _far_behind(self, stage: Stage) -> bool:
        others = [other for other in self._curve.stages if other.id != stage.id]
        return far_behind(
            stage.params,
            stage.val_accuracy,
            [other.params for other in others],
            [other.val_accuracy for other in others],
            self._scale,
        )
