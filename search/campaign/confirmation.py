"""Trains the last rounds of a front again with other seeds, to tell a real front from a lucky one.

The networks of a front were chosen by accuracy, and so are lucky on average. A repeat was not
chosen: the mean of some says what a schedule is worth, their spread how far it depends on luck.
"""

from dataclasses import dataclass, replace

from pruning import Schedule, Stage, StageStore
from search.campaign.failures import Deaths
from search.front.names import CostName
from search.front.stages import front


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """A schedule of the front, but for another draw of its last round."""

    number: int
    schedule: Schedule


class Confirmation:
    """The repeats of a front that are missing, handed out like a campaign's trials.

    Nothing of it is entered anywhere: what was asked follows from the front, and what is there
    from the store. So another run goes on where this one stops.

    Args:
        store: The stages of a search that is over.
        repeats: How often each network of the front shall have been trained again; the root is
            not.
        first_number: Of the numbers by which they are known to workers.
        ahead: How many may be in flight at most.
        cost: What accuracy is traded against.
    """

    def __init__(
        self,
        store: StageStore,
        repeats: int,
        *,
        first_number: int,
        ahead: int,
        cost: CostName = "params",
    ) -> None:
        self._store = store
        self.ahead = ahead
        schedules = [stage.schedule for stage in front(store, cost) if stage.schedule]
        wanted = [
            (*schedule[:-1], replace(schedule[-1], replicate=replicate))
            for replicate in range(1, repeats + 1)
            for schedule in schedules
        ]
        self._waiting = [
            Repeat(number=number, schedule=schedule)
            for number, schedule in enumerate(
                (schedule for schedule in wanted if not self._made(schedule)), first_number
            )
        ]
        self._in_flight: dict[int, Repeat] = {}
        self._deaths = Deaths()
        self.asked = len(self._waiting)
        """Repeats that were missing when this run began with them."""
        self.done = 0
        """Repeats of these that were made."""
        self.failures: list[str] = []
        """Why others could not be."""
        self.cut = False
        """Whether no round shall be started any more."""
        self.ended_by: str | None = None
        """Why, in that case."""
        self.broken: str | None = None
        """What makes it pointless to go on in this run."""

    @property
    def finished(self) -> bool:
        """Whether nothing will be handed out any more; some may still be in flight."""
        return not self._waiting or self.cut or self.broken is not None

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self.finished and not self._in_flight

    def next_trial(self) -> Repeat | None:
        """A repeat to train, or None if none is left."""
        if self.finished or len(self._in_flight) >= self.ahead:
            return None
        repeat = self._waiting.pop(0)
        self._in_flight[repeat.number] = repeat
        return repeat

    def close(self, reason: str) -> None:
        """Hand out nothing more, and let those in flight end."""
        self.ended_by = self.ended_by or reason
        self.cut = True

    def abandon(self, reason: str) -> None:
        """Give up this run."""
        self.broken = self.broken or reason

    def accept(self, stage_id: str) -> tuple[Stage, list[Stage]]:
        """Take note of a stage that was committed; none comes onto the front with it."""
        return self._store.adopt(stage_id), []

    def ends_with(self, number: int, stage: Stage) -> bool:
        """Whether a stage is the repeat that was asked for, or nothing more shall be trained."""
        return self.cut or stage.schedule == self._in_flight[number].schedule

    def end(self, number: int, *, too_long: bool = False) -> None:
        """A repeat is there, or was given up; without a limit of epochs none is too long."""
        self.done += self._made(self._in_flight.pop(number).schedule)

    def fail(self, number: int, reason: str) -> None:
        """A repeat could not be trained."""
        self.failures.append(reason)
        del self._in_flight[number]

    def retry(self, number: int, reason: str | None) -> None:
        """Have a repeat trained again whose worker died; see `Campaign.retry`."""
        if (failure := self._deaths.count(number, reason)) is not None:
            self.fail(number, failure)
        else:
            self._waiting.append(self._in_flight.pop(number))

    def _made(self, schedule: Schedule) -> bool:
        return len(self._store.path(schedule)) > len(schedule)
