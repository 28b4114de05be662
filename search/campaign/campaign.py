"""The search itself, without Ray: proposals go out, stages come in, nothing is held twice.

Whoever runs rounds (Ray Tune's workers, or a loop in a test) asks a campaign for trials and
tells it what became of them. The campaign keeps ledger, store and sampler study in step.
"""

from dataclasses import dataclass

from pruning import Schedule, Stage, StageStore
from search.campaign.budget import Budget
from search.campaign.early_stop import far_behind
from search.campaign.failures import Deaths, Failures
from search.campaign.flatness import is_flat
from search.campaign.ledger import Ledger, Trial
from search.errors import ExhaustedError
from search.front.cost import cost_of, costs_of
from search.front.growing import GrowingFront
from search.front.hypervolume import Scale
from search.front.names import CostName
from search.front.stages import front, hypervolume
from search.samplers.space import SearchSpace
from search.samplers.study import NewSampler, SamplerStudy

_MOST_REPEATS = 25  # proposals in a row that ask for nothing new, before a search gives up
_FAR_BEHIND = "fell far behind networks of about its size"
_TOO_LONG = "too few epochs of --max-epochs were left for its next round"


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where a search stands."""

    trials: int
    asked_trials: int
    running: int
    failed: int
    stopped: int
    stages: int
    front: int
    hypervolume: float
    executed_epochs: int
    max_epochs: int | None

    @property
    def share(self) -> float:
        """How much is used up of the budget of which the most is, from 0 to 1."""
        of_epochs = self.executed_epochs / self.max_epochs if self.max_epochs else 0.0
        return max(self.trials / self.asked_trials, of_epochs)


class Campaign:
    """One search's proposals and results.

    Args:
        ledger: The trials; those in state RUNNING are handed out first.
        store: The stages; committed by others, looked up here.
        space: The choices of the search.
        scale: Of the hypervolume.
        cost: What accuracy is traded against.
        new_sampler: Makes the sampler of each proposal.
        trials: How many trials the ledger shall have in the end.
        max_epochs: Fine-tuning epochs that may be executed over all runs; None is no limit.
        early_stop: Whether trials end when a stage has fallen far behind.
        stop_when_flat: Whether the search ends when it has stopped to gain; see `is_flat`.
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
        max_epochs: int | None = None,
        early_stop: bool = True,
        stop_when_flat: bool = False,
        cost: CostName = "params",
    ) -> None:
        self.ledger = ledger
        """The trials; others read only."""
        self.store = store
        """The stages; others read only."""
        self._scale = scale
        self.cost: CostName = cost
        """What accuracy is traded against."""
        self._new_sampler = new_sampler
        self._asked_trials = trials
        self.ahead = ahead
        self._max_epochs = max_epochs
        self._budget = Budget(store, max_epochs)
        self._early_stop = early_stop
        self._stop_when_flat = stop_when_flat
        self._judged = 0  # stages, when flatness was last looked at
        self._least_epochs, self._most_epochs = min(space.epochs), max(space.epochs)
        self._repeats = 0
        self._study = SamplerStudy(space, cost)
        for stage in store:
            self._study.observe(stage)
        self._front = GrowingFront(map(self._point, store))
        self._rows: dict[int, int] = {}
        self._failures = Failures()
        self._adopted: list[Trial] = []
        for trial in ledger:
            self._take_up(trial)
        self._in_flight: dict[int, Trial] = {}
        self._deaths = Deaths()
        self._exhausted = False
        self.cut = False
        """Whether no round shall be started any more."""
        self.ended_by: str | None = None
        """Why no more trials are handed out, other than that all were."""
        self.broken: str | None = None
        """What makes it pointless to go on in this run."""

    @property
    def finished(self) -> bool:
        """Whether no trial will be handed out any more; some may still be in flight."""
        if self.broken is not None:
            return True
        asked = self.ended_by is not None or len(self.ledger) >= self._asked_trials
        return asked and not self._adopted

    @property
    def over(self) -> bool:
        """Whether nothing is left to do: `finished`, and no trial in flight may come back."""
        return self.finished and not self._in_flight

    def next_trial(self) -> Trial | None:
        """A trial to run, or None while enough are in flight or none is left."""
        self._check_epochs()
        self._check_flatness()
        trial = None
        if not self.finished and len(self._in_flight) < self.ahead:
            trial = self._adopted.pop(0) if self._adopted else self._propose()
        if trial is None:
            self.ledger.flush()
        else:
            self._send(trial)
        return trial

    def close(self, reason: str) -> None:
        """Hand out no more trials, and let those in flight end after their present round."""
        self.ended_by = self.ended_by or reason
        self.cut = True
        for trial in self._adopted:
            self._conclude(trial, reason)
            self._study.settle(self._rows.pop(trial.number))
        self._adopted = []

    def abandon(self, reason: str) -> None:
        """Give up this run; its unfinished trials stay as they are, for the next one."""
        self.broken = self.broken or reason

    def accept(self, stage_id: str) -> tuple[Stage, list[Stage]]:
        """Take note of a stage that was committed, and of its ancestors.

        The news of an ancestor, which another trial may have trained, can be still on its way.

        Returns:
            The stage; and those of it and its ancestors that are new and on the front.
        """
        known = stage_id in self.store
        line = [self.store.adopt(stage_id)]
        while (parent := line[0].parent) is not None and parent not in self.store:
            line.insert(0, self.store.adopt(parent))
        for stage in line:
            self._study.observe(stage)
            self._budget.settle(stage.schedule)
            self._front.add(*self._point(stage))
        new = line[:-1] if known else line
        return line[-1], [stage for stage in new if self._point(stage) in self._front]

    def ends_with(self, number: int, stage: Stage) -> bool:
        """Whether a trial should end with a stage that it has just reached."""
        if stage.schedule == self._in_flight[number].schedule:
            return True
        return self.cut or (self._early_stop and self._far_behind(stage))

    def end(self, number: int, *, too_long: bool = False) -> None:
        """Record that a trial has ended: complete, or stopped after one of its rounds.

        Args:
            number: Of the trial.
            too_long: Whether the store has refused its next round, for want of epochs.
        """
        if too_long and not self.cut:
            self.store.rescan()  # a stage may be gone that was found damaged
            self._front = GrowingFront(map(self._point, self.store))
        reason = (self.cut and self.ended_by) or (_TOO_LONG if too_long else _FAR_BEHIND)
        self._conclude(self._in_flight[number], reason)
        self._settle(number)

    def fail(self, number: int, reason: str) -> None:
        """Record that a trial could not be finished.

        Args:
            number: Of the trial.
            reason: What happened; up to a colon, the kind of failure.
        """
        made = len(self.store.path(self._in_flight[number].schedule))
        self._fail(number, reason, made - 1)

    def retry(self, number: int, reason: str | None) -> None:
        """Have a trial run again whose worker died; after the fourth death it has failed.

        Args:
            number: Of the trial.
            reason: What the worker died of; None if it was yet to begin, which does not count.
        """
        if (failure := self._deaths.count(number, reason)) is not None:
            self.fail(number, failure)
        elif self.cut:
            self.end(number)
        else:
            self._adopted.append(self._called_back(number))

    def progress(self) -> Progress:
        """Where the search stands."""
        trials = list(self.ledger)
        points = front(self.store, self.cost)
        return Progress(
            trials=sum(not trial.running for trial in trials),
            asked_trials=self._asked_trials,
            running=len(self._in_flight),
            failed=sum(trial.failed for trial in trials),
            stopped=sum(trial.stopped for trial in trials),
            stages=len(self.store),
            front=len(points),
            hypervolume=hypervolume(points, self._scale, self.cost),
            executed_epochs=self.store.executed_epochs,
            max_epochs=self._max_epochs,
        )

    def _conclude(self, trial: Trial, reason: str) -> None:
        """Tell the ledger that a trial is complete, or else stopped for a reason."""
        stages = self.store.path(trial.schedule)
        if len(stages) > len(trial.schedule):
            self._complete(trial, stages[-1])
            self._failures.end_row()
        else:
            self.ledger.stop(trial.number, reason, rounds_reached=max(0, len(stages) - 1))

    def _complete(self, trial: Trial, last: Stage) -> None:
        self.ledger.complete(
            trial.number, val_accuracy=last.val_accuracy, cost=cost_of(last, self.cost)
        )

    def _check_epochs(self) -> None:
        unspent = self._budget.unspent
        if unspent < self._least_epochs:
            rest = f" but for {unspent:g}, too few for a round" if unspent > 0 else ""
            self.close(f"the {self._max_epochs} epochs of --max-epochs are spent{rest}")

    def _check_flatness(self) -> None:
        if not self._stop_when_flat or len(self.store) == self._judged:
            return
        stages = list(self.store)
        self._judged = len(stages)
        if is_flat(
            [stage.executed_epochs for stage in stages],
            costs_of(stages, self.cost),
            [stage.val_accuracy for stage in stages],
            self._scale,
        ):
            self.close(
                "the last half of its epochs added less than 1 % of the hypervolume; "
                "--resume with --no-stop-when-flat goes on"
            )

    def _propose(self) -> Trial | None:
        if self._exhausted or self.ended_by is not None:
            return None
        affordable = self._budget.left
        if affordable < self._least_epochs:
            return None  # what is in flight may take the rest
        try:
            sampler = self._new_sampler(len(self.ledger), after_repeat=self._repeats > 0)
            most = (self._asked_trials - len(self.ledger)) * self._most_epochs
            row, schedule = self._study.propose(sampler, min(affordable, most))
        except ExhaustedError:
            self._exhausted = True
            if not self._in_flight:
                self.ended_by = "every schedule of the search space was tried"
                if affordable < self._most_epochs:
                    self.ended_by += " that the rest of --max-epochs allows"
            return None
        part = self._budget.fitting_part(schedule, affordable)
        if not part and self._in_flight:  # which may need less than it is reckoned to
            self._exhausted = True
            self._study.settle(row)
            return None
        return self._enter(row, part or schedule, too_long=not part)

    def _enter(self, row: int, schedule: Schedule, *, too_long: bool) -> Trial | None:
        """Enter a proposal into the ledger, and its end if it is known beforehand."""
        failure = self._failures.known(schedule)
        in_vain = too_long or failure is not None
        self._count_repeats(schedule, in_vain=in_vain)
        trial = self.ledger.add(schedule)
        self._rows[trial.number] = row
        if not in_vain:
            return trial
        self._send(trial)
        if failure is None:
            self._conclude(trial, _TOO_LONG)
            self._settle(trial.number)
        else:
            reached, reason = failure
            self._fail(trial.number, reason, reached)
        return None

    def _take_up(self, trial: Trial) -> None:
        """Go on with a trial of an earlier run: to its end, or to mend what is lost of it."""
        made = self.store.path(trial.schedule)
        if trial.failed or trial.stopped:
            if trial.reason is not None and trial.rounds_reached is not None:
                self._failures.remember(trial.schedule, trial.reason, trial.rounds_reached)
            cut = trial.stopped and trial.reason != _FAR_BEHIND
            if not cut:  # what a budget cut may be proposed again
                self._study.settle(self._study.adopt(trial.schedule))
        elif len(made) > len(trial.schedule):
            self._complete(trial, made[-1])  # unless the file was told before
        else:
            self._rows[trial.number] = self._study.adopt(trial.schedule)
            self._adopted.append(trial)

    def _fail(self, number: int, reason: str, reached: int) -> None:
        self._failures.remember(self._in_flight[number].schedule, reason, reached)
        self.ledger.fail(number, reason, rounds_reached=reached)
        self._settle(number)
        diagnosis = self._failures.count(reason)
        if diagnosis is not None:
            self.abandon(diagnosis)

    def _count_repeats(self, schedule: Schedule, *, in_vain: bool) -> None:
        known = in_vain or len(self.store.path(schedule)) > len(schedule)
        asked = any(trial.schedule == schedule for trial in self._in_flight.values())
        self._repeats = self._repeats + 1 if known or asked else 0
        if self._repeats == _MOST_REPEATS:
            self.ended_by = f"the last {_MOST_REPEATS} proposals had no new round to run"

    def _far_behind(self, stage: Stage) -> bool:
        others = [other for other in self.store if other.id != stage.id]
        return far_behind(
            cost_of(stage, self.cost),
            stage.val_accuracy,
            costs_of(others, self.cost),
            [other.val_accuracy for other in others],
            self._scale,
        )

    def _settle(self, number: int) -> None:
        self._study.settle(self._rows.pop(number))
        self._called_back(number)
        self._exhausted = False  # the stages that it left may have children to try

    def _send(self, trial: Trial) -> None:
        self._in_flight[trial.number] = trial
        self._budget.reserve(trial.schedule)

    def _called_back(self, number: int) -> Trial:
        trial = self._in_flight.pop(number)
        self._budget.release(trial.schedule)
        return trial

    def _point(self, stage: Stage) -> tuple[float, float]:
        return cost_of(stage, self.cost), stage.val_accuracy
