"""The time of a simulation, in which what is done for real takes as long as it takes.

Between two calls of what is simulated the clock goes on with the calling thread's own seconds;
where that would wait, the clock jumps to what happens next.
"""

import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SCHEDULING = Path("/proc/thread-self/schedstat")


def own_seconds() -> float:
    """A clock of the calling thread that stands still while it waits for a core (on Linux).

    It goes on while the thread waits for a disk.
    """
    waited = 0
    if _SCHEDULING.is_file():
        waited = int(_SCHEDULING.read_text().split()[1])
    return time.perf_counter() - waited / 1e9


@dataclass(order=True, slots=True)
class _Event:
    at: float
    order: int
    happen: Callable[[], None] = field(compare=False)


class Clock:
    """The time of a simulation: what the driver has done, and what is to happen.

    Attributes:
        now: Seconds since the start, of the driver.
        busy: Of these, those in which the driver did something.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.busy = 0.0
        self._at: float | None = None  # of an event that is happening
        self._events: list[_Event] = []
        self._order = itertools.count()
        self._last = own_seconds()

    @property
    def time(self) -> float:
        """The present: of the event that is happening, or else of the driver."""
        return self.now if self._at is None else self._at

    def after(self, seconds: float, happen: Callable[[], None]) -> None:
        """Have something happen some seconds from the present."""
        heapq.heappush(self._events, _Event(self.time + seconds, next(self._order), happen))

    def monotonic(self) -> float:
        """For those who ask a module `time`."""
        return self.now + own_seconds() - self._last

    @contextmanager
    def calling(self, cost: float) -> Iterator[None]:
        """The driver calls Ray, which takes so long; what is done in here takes no time."""
        own = own_seconds() - self._last
        self.now += own + cost
        self.busy += own + cost
        try:
            yield
        finally:
            self._last = own_seconds()

    def wait(self, until: Callable[[], bool], seconds: float) -> None:
        """Let happen what has happened by now; then wait, so long at most."""
        deadline = self.now + seconds
        while self._events and self._events[0].at <= self.now:
            self._let_happen()
        while not until() and self._events and self._events[0].at <= deadline:
            self.now = self._events[0].at
            self._let_happen()
        if not until():
            self.now = deadline

    def _let_happen(self) -> None:
        event = heapq.heappop(self._events)
        self._at = event.at
        try:
            event.happen()
        finally:
            self._at = None


class Server:
    """A process that does one thing after the other, for real: what it takes is its time.

    Attributes:
        busy: Seconds that it has worked.
        served: Calls.
    """

    def __init__(self, clock: Clock, *, call: float) -> None:
        self._clock = clock
        self._call = call
        self._free = 0.0
        self.busy = 0.0
        self.served = 0

    def ask(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Have it do something, and the answer come back."""
        start = own_seconds()
        value = work()
        seconds = own_seconds() - start + self._call
        self.busy += seconds
        self.served += 1
        self._free = max(self._free, self._clock.time) + seconds
        self._clock.after(self._free - self._clock.time + self._call, lambda: then(value))
