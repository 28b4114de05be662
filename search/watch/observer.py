"""Follows a running search: shows where it stands and keeps the tables up to date."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from pruning import Stage
from search.campaign.campaign import Campaign, Progress
from search.campaign.confirmation import Confirmation
from search.console import Console, duration
from search.results.throttle import Throttle
from search.results.writer import ResultsWriter
from search.watch.events import Events
from search.watch.expectation import Expectation
from search.watch.panel import panel
from search.watch.snapshot import Snapshot, describe_activity
from search.watch.words import describe_stage
from search.workers.store_actor import Activity

_EVENT_SECONDS = 10.0
_STATUS_SHARE = 0.05  # of the time, at most, goes into showing where a search stands


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """Where it is shown and kept what happens in a search.

    Attributes:
        results: Are refreshed as stages come in.
        console: Where progress is shown.
        events: Tells others what happens.
    """

    results: ResultsWriter
    console: Console
    events: Events


class Follower(Protocol):
    """What a driver does besides having rounds run."""

    def on_stage(self, stage: Stage, newcomers: list[Stage]) -> None:
        """A stage has come in; some stages, itself or ancestors, are new and on the front."""

    def show(self) -> None:
        """Show where things stand, if it is time to."""

    def finish(self) -> None:
        """All is over, or broken off: keep what was not kept yet."""


class Observer:
    """Follows a campaign.

    Args:
        campaign: That is followed.
        desk: Where it is shown and kept.
        activities: Asks what the workers are doing, by trial.
        expectation: Of the root; where it falls short of that, this is said.
        time_share: Tells how much of the hours is used that the search may take, from 0 to 1.
    """

    def __init__(
        self,
        campaign: Campaign,
        desk: Desk,
        activities: Callable[[], dict[int, Activity]],
        *,
        expectation: Expectation | None = None,
        time_share: Callable[[], float] = float,
    ) -> None:
        self._campaign = campaign
        self._desk = desk
        self._activities = activities
        self._expectation = expectation
        self._time_share = time_share
        self._start = self._told = time.monotonic()
        self._status = Throttle(_STATUS_SHARE)
        progress = campaign.progress()
        self._share_before = self._share(progress)
        # The pace of rounds is not that of the root's training.
        self._root_there = self._start if progress.stages else None
        self._ended = {trial.number for trial in campaign.ledger if not trial.running}

    def on_stage(self, stage: Stage, newcomers: list[Stage]) -> None:
        """A stage has come in; some stages, itself or ancestors, are new and on the front."""
        if self._root_there is None:
            self._root_there = time.monotonic()
        if newcomers:
            self._desk.results.write_front()
        for newcomer in newcomers:
            if newcomer.parent is None:
                self._greet(newcomer)
        on_front = stage.id in {newcomer.id for newcomer in newcomers}
        self._desk.events.add("stage", **_fields(stage), on_front=on_front)
        self._desk.results.refresh()

    def _greet(self, root: Stage) -> None:
        self._desk.console.news(f"root: {describe_stage(root, self._campaign.cost)}")
        doubt = None if self._expectation is None else self._expectation.doubt(root.val_accuracy)
        if doubt is not None:
            self._desk.console.line(doubt)

    def show(self) -> None:
        """Show where the search stands, and tell others, if it is time to."""
        if self._desk.console.status_is_due() and self._status.due:
            with self._status.doing():
                snapshot = self._snapshot()
                self._desk.console.status(snapshot.line(), partial(panel, snapshot))
        if self._desk.events.wanted and time.monotonic() - self._told >= _EVENT_SECONDS:
            self.finish()

    def finish(self) -> None:
        """Tell others what trials have come to, and where the search stands."""
        self._told = time.monotonic()
        for trial in self._campaign.ledger:
            if not trial.running and trial.number not in self._ended:
                self._ended.add(trial.number)
                state = "failed" if trial.failed else "stopped" if trial.stopped else "complete"
                self._desk.events.add(
                    "trial", trial=trial.number, state=state, reason=trial.reason
                )
        progress = self._campaign.progress()
        self._desk.events.add(
            "progress",
            trials=progress.trials,
            networks=progress.stages,
            front=progress.front,
            hypervolume=progress.hypervolume,
            executed_epochs=progress.executed_epochs,
            seconds=self._told - self._start,
        )

    def _snapshot(self) -> Snapshot:
        now = time.monotonic()
        progress = self._campaign.progress()
        share = self._share(progress)
        done = share - self._share_before
        there = self._root_there
        return Snapshot.of(
            self._campaign,
            progress,
            self._activities(),
            share=share,
            seconds=now - self._start,
            left=None if there is None or done <= 0 else (now - there) / done * (1 - share),
        )

    def _share(self, progress: Progress) -> float:
        return min(1.0, max(progress.share, self._time_share()))


class ConfirmationObserver:
    """Follows the confirmation of a front.

    Args:
        confirmation: That is followed.
        desk: Where it is shown and kept.
        activities: Asks what the workers are doing, by trial.
    """

    def __init__(
        self,
        confirmation: Confirmation,
        desk: Desk,
        activities: Callable[[], dict[int, Activity]],
    ) -> None:
        self._confirmation = confirmation
        self._desk = desk
        self._activities = activities
        self._start = time.monotonic()

    def on_stage(self, stage: Stage, newcomers: list[Stage]) -> None:
        """A repeat has come in; it stands in the row of what it repeats."""
        self._desk.events.add("repeat", **_fields(stage))
        self._desk.results.write_front()
        self._desk.results.refresh()

    def show(self) -> None:
        """Show where the confirmation stands, if it is time to."""
        if self._desk.console.status_is_due():
            counts = f"{self._confirmation.done}/{self._confirmation.asked} repeats"
            passed = duration(time.monotonic() - self._start)
            doing = map(describe_activity, self._activities().values())
            self._desk.console.status(" | ".join([counts, passed, *doing]))

    def finish(self) -> None:
        """Nothing is missing: each repeat was kept when it came."""


def _fields(stage: Stage) -> dict[str, Any]:
    return {
        "stage": stage.id,
        "parent": stage.parent,
        "trial": stage.trial,
        "round": len(stage.schedule),
        "params": stage.params,
        "macs": stage.macs,
        "size_bytes": stage.size_bytes,
        "latency_ms": stage.latency_ms,
        "val_accuracy": stage.val_accuracy,
        "executed_epochs": stage.executed_epochs,
    }
