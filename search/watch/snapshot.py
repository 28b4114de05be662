"""Where a search stands, in numbers, and in a line."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pruning import Stage
from search.campaign.campaign import Campaign, Progress
from search.campaign.ledger import Trial
from search.console import duration
from search.front.cost import cost_of
from search.front.names import CostName
from search.front.stages import front
from search.rules import MANY_TRIALS
from search.workers.store_actor import Activity

STARTING = "workers are starting"
"""What is shown before the first of them trains."""

_SHARES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A search at one moment.

    Attributes:
        progress: Its counts.
        saved_epochs: That trials which have ended had in their schedules and did not cost, since
            they share stages.
        share: How much of the budget is used of which the most is, from 0 to 1.
        seconds: That this run has taken.
        left: Seconds that it will still take at this pace; None if there is no telling.
        cost: What accuracy is traded against.
        networks: All that were made.
        members: Of the front, by ascending cost.
        failures: How many trials failed for which reason.
        activities: What workers are doing, by trial.
    """

    progress: Progress
    saved_epochs: int
    share: float
    seconds: float
    left: float | None
    cost: CostName
    networks: Sequence[Stage]
    members: Sequence[Stage]
    failures: Counter[str]
    activities: Mapping[int, Activity]

    @classmethod
    def of(
        cls,
        campaign: Campaign,
        progress: Progress,
        activities: Mapping[int, Activity],
        *,
        share: float,
        seconds: float,
        left: float | None,
    ) -> "Snapshot":
        """Where a campaign stands, of which `progress` are the counts of now."""
        reasons = (trial.reason or "unknown" for trial in campaign.ledger if trial.failed)
        asked_for = sum(map(_epochs, campaign.ledger))
        return cls(
            progress=progress,
            saved_epochs=max(0, asked_for - progress.executed_epochs),
            share=share,
            seconds=seconds,
            left=left,
            cost=campaign.cost,
            networks=list(campaign.store),
            members=front(campaign.store, campaign.cost),
            failures=Counter(reasons),
            activities=activities,
        )

    @property
    def root(self) -> Stage | None:
        """The network that is pruned; None while it is not there."""
        return next((stage for stage in self.networks if stage.parent is None), None)

    def counts(self) -> Iterator[str]:
        """What was done, in a few words each."""
        progress = self.progress
        yield f"{_of(progress.trials, progress.asked_trials)} trials"
        for count, what in ((progress.stopped, "stopped early"), (progress.failed, "failed")):
            if count:
                yield f"{count} {what}"
        yield f"{progress.stages} networks, {progress.front} on the front"
        yield f"hypervolume {progress.hypervolume:.4f}"
        saved = f" (and {self.saved_epochs} saved)" if self.saved_epochs else ""
        yield f"{_of(progress.executed_epochs, progress.max_epochs)} epochs{saved}"

    def times(self) -> Iterator[str]:
        """How long it has taken, and may still take."""
        yield duration(self.seconds)
        if self.left is not None:
            yield f"about {duration(self.left)} left"

    def line(self) -> str:
        """All of it in a line."""
        parts = [*self.counts(), *self.times()]
        if self.root is None:
            doing = [*map(describe_activity, self.activities.values())] or [STARTING]
            parts = [*doing, *self.times()]
        return " | ".join(parts)

    def best(self) -> Iterator[tuple[float, Stage]]:
        """For shares of the root's cost the most accurate network that has no more."""
        if self.root is None:
            return
        whole = cost_of(self.root, self.cost)
        for share in _SHARES:
            fitting = [one for one in self.members if cost_of(one, self.cost) <= share * whole]
            if fitting:
                yield share, fitting[-1]


def describe_activity(activity: Activity) -> str:
    """What a worker is doing."""
    what = f"round {activity.round}" if activity.round else "root"
    epoch = f"epoch {activity.epoch}/{activity.epochs}"
    return f"{what}, {epoch}, in training {activity.accuracy:.3f}"


def _epochs(trial: Trial) -> int:
    """Of the rounds that a trial has reached, once it has ended."""
    if trial.running:
        return 0
    reached = trial.rounds_reached
    done = trial.schedule if reached is None else trial.schedule[: max(0, reached)]
    return sum(round_.epochs for round_ in done)


def _of(count: int, limit: int | None) -> str:
    return str(count) if limit in (None, MANY_TRIALS) else f"{count}/{limit}"
