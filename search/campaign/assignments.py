"""What workers' rounds come from, as whoever hands them to workers sees it."""

from typing import Protocol

from pruning import Schedule, Stage


class Assignment(Protocol):
    """A schedule whose missing rounds a worker shall run."""

    @property
    def number(self) -> int:
        """By which the worker is told from others."""

    @property
    def schedule(self) -> Schedule:
        """What shall be there in the end."""


class Assignments(Protocol):
    """Hands out schedules and hears what became of them; see `Campaign` and `Confirmation`."""

    ahead: int
    """How many may be in flight at most; more when workers are added."""

    @property
    def finished(self) -> bool:
        """Whether none will be handed out any more; some may still be in flight."""

    @property
    def over(self) -> bool:
        """Whether none is left to do, in flight neither."""

    @property
    def broken(self) -> str | None:
        """What makes it pointless to go on in this run."""

    @property
    def cut(self) -> bool:
        """Whether no round shall be started any more."""

    def next_trial(self) -> Assignment | None:
        """A schedule to run, or None while enough are in flight or none is left."""

    def accept(self, stage_id: str) -> tuple[Stage, list[Stage]]:
        """Take note of a stage; returns it, and those that came onto the front with it."""

    def ends_with(self, number: int, stage: Stage) -> bool:
        """Whether a schedule's run should end with a stage that it has just reached."""

    def end(self, number: int, *, too_long: bool = False) -> None:
        """A run has ended; `too_long`: since the store has refused its next round."""

    def fail(self, number: int, reason: str) -> None:
        """A schedule cannot be run to its end."""

    def retry(self, number: int, reason: str | None) -> None:
        """The worker that ran a schedule has died of `reason`; None if it was yet to begin."""

    def abandon(self, reason: str) -> None:
        """Give up; what is unfinished is for another run."""

    def close(self, reason: str) -> None:
        """Hand out no more, and let those in flight end after their present round."""
