"""Follows a running search: shows where it stands and keeps the tables up to date."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Protocol, Self

from data import Split
from pruning import Round, Stage
from search.campaign.campaign import Campaign
from search.campaign.confirmation import Confirmation
from search.configuration import MANY_TRIALS
from search.console import Console, duration
from search.front.cost import cost_of, shown
from search.front.names import CostName
from search.results.table_writer import TableWriter
from search.workers.store_actor import Activity

_DEVIATIONS = 3
_LEAST_GAIN = 0.2


class Follower(Protocol):
    """What a driver does besides having rounds run."""

    def on_stage(self, newcomers: list[Stage]) -> None:
        """A stage has come in, and some stages with it onto the front."""

    def show(self) -> None:
        """Show where things stand, if it is time to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """What accuracy a root must have if it was trained on images such as these.

    Attributes:
        images: Size of the validation split.
        guess: Accuracy of always naming its commonest class.
        trained_elsewhere: Whether the root is a checkpoint's.
    """

    images: int
    guess: float
    trained_elsewhere: bool

    @classmethod
    def of(cls, split: Split, *, trained_elsewhere: bool) -> Self:
        """The expectation of a root that is validated on a split."""
        commonest = int(split.labels.bincount().max())
        return cls(
            images=len(split), guess=commonest / len(split), trained_elsewhere=trained_elsewhere
        )

    def doubt(self, accuracy: float) -> str | None:
        """A line on a root that falls short of this; None on one that does not.

        Hits of a guess are binomial: in one of 700 searches they lie three standard deviations
        above their mean. Of a checkpoint that somebody kept more is expected, a fifth of the way
        from there to 1: with classes in another order some may yet be in their place.
        """
        least = self.guess + _DEVIATIONS * sqrt(self.guess * (1 - self.guess) / self.images)
        if self.trained_elsewhere:
            least = max(least, self.guess + _LEAST_GAIN * (1 - self.guess))
        if accuracy > least:
            return None
        usually = (
            "usually the checkpoint has its classes in another order than --data, or was trained "
            "on images prepared otherwise than here (RGB divided by 255)"
            if self.trained_elsewhere
            else "usually more --root-epochs help"
        )
        return (
            f"The root's accuracy on {self.images:,} validation images is {accuracy:.4f}, where "
            f"always naming the commonest class has {self.guess:.4f}: {usually}."
        )


class Observer:
    """Follows a campaign.

    Args:
        campaign: That is followed.
        tables: Are refreshed as stages come in.
        console: Where progress is shown.
        activities: Asks what the workers are doing, by trial.
        expectation: Of the root; where it falls short of that, this is said.
    """

    def __init__(
        self,
        campaign: Campaign,
        tables: TableWriter,
        console: Console,
        activities: Callable[[], dict[int, Activity]],
        expectation: Expectation | None = None,
    ) -> None:
        self._campaign = campaign
        self._tables = tables
        self._console = console
        self._activities = activities
        self._expectation = expectation
        progress = campaign.progress()
        self._start = time.monotonic()
        self._share_before = progress.share
        # The pace of rounds is not that of the root's training.
        self._root_there = self._start if progress.stages else None

    def on_stage(self, newcomers: list[Stage]) -> None:
        """A stage has come in, and some stages with it onto the front."""
        if self._root_there is None:
            self._root_there = time.monotonic()
        if newcomers:
            self._tables.write_front()
        for stage in newcomers:
            self._console.line(describe_stage(stage, self._campaign.cost))
            if stage.parent is None and self._expectation is not None:
                doubt = self._expectation.doubt(stage.val_accuracy)
                if doubt is not None:
                    self._console.line(doubt)
        self._tables.write_candidates_if_due()

    def show(self) -> None:
        """Show where the search stands, if it is time to."""
        if self._console.status_is_due():
            self._console.status(self._status())

    def _status(self) -> str:
        progress = self._campaign.progress()
        now = time.monotonic()
        parts = [
            f"{_of(progress.trials, progress.asked_trials)} trials",
            f"{progress.stages} networks, {progress.front} on the front",
            f"hypervolume {progress.hypervolume:.4f}",
            f"{_of(progress.executed_epochs, progress.max_epochs)} epochs",
            duration(now - self._start),
        ]
        done = progress.share - self._share_before
        if done > 0 and self._root_there is not None:
            left = (now - self._root_there) / done * (1 - progress.share)
            parts.append(f"about {duration(left)} left")
        for count, what in ((progress.failed, "failed"), (progress.stopped, "stopped early")):
            if count:
                parts.insert(1, f"{count} {what}")
        return " | ".join([*parts, *_doing(self._activities())])


class ConfirmationObserver:
    """Follows the confirmation of a front.

    Args:
        confirmation: That is followed.
        tables: Are refreshed as repeats come in.
        console: Where progress is shown.
        activities: Asks what the workers are doing, by trial.
    """

    def __init__(
        self,
        confirmation: Confirmation,
        tables: TableWriter,
        console: Console,
        activities: Callable[[], dict[int, Activity]],
    ) -> None:
        self._confirmation = confirmation
        self._tables = tables
        self._console = console
        self._activities = activities
        self._start = time.monotonic()

    def on_stage(self, newcomers: list[Stage]) -> None:
        """A repeat has come in; it stands in the row of what it repeats."""
        self._tables.write_front()
        self._tables.write_candidates_if_due()

    def show(self) -> None:
        """Show where the confirmation stands, if it is time to."""
        if self._console.status_is_due():
            counts = f"{self._confirmation.done}/{self._confirmation.asked} repeats"
            passed = duration(time.monotonic() - self._start)
            self._console.status(" | ".join([counts, passed, *_doing(self._activities())]))


def _of(count: int, limit: int | None) -> str:
    return str(count) if limit in (None, MANY_TRIALS) else f"{count}/{limit}"


def describe_stage(stage: Stage, cost: CostName = "params") -> str:
    """One line on a network that came onto the front."""
    rounds = " ".join(map(_shown, stage.schedule))
    return (
        f"front: accuracy {stage.val_accuracy:.4f} with {shown(cost_of(stage, cost), cost)}"
        f" ({rounds or 'the root'})"
    )


def _shown(round_: Round) -> str:
    unusual = {round_.allocation, round_.start} - {"uniform", "inherit"}
    return "/".join([f"{round_.rate:g}/{round_.epochs}/{round_.lr:g}", *sorted(unusual)])


def _doing(activities: dict[int, Activity]) -> Iterable[str]:
    for trial, activity in sorted(activities.items()):
        what = f"round {activity.round}" if activity.round else "root"
        yield f"trial {trial}: {what}, epoch {activity.epoch}/{activity.epochs}"
