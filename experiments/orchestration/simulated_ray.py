"""Workers that are not there under Ray Tune's real controller, on a clock of its own.

What the driver does is done for real and takes as long as it takes; what workers do is an event at
a time to come. Between two calls of Ray the clock goes on with the driver's own seconds; where the
driver would wait, it jumps to what happens next. So an hour of a thousand workers passes in what
the driver and the store have to do in that hour.

Ray itself is replaced where Tune calls it (`SimulatedRay`): each call costs what it costs with a
real Ray, which is measured beforehand (`RayCosts`), and its answer is there when the worker or the
store would have given it.
"""

import heapq
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ray
from ray.air.execution import AcquiredResources, ResourceManager, ResourceRequest
from ray.air.execution._internal import actor_manager, event_manager
from ray.tune.execution import tune_controller

_SCHEDULING = Path("/proc/thread-self/schedstat")
_CALLS = 300
_WAITS = 30


def own_seconds() -> float:
    """A clock of the calling thread that stands still while it waits for a core (on Linux).

    It goes on while the thread waits for a disk.
    """
    waited = 0
    if _SCHEDULING.is_file():
        waited = int(_SCHEDULING.read_text().split()[1])
    return time.perf_counter() - waited / 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class RayCosts:
    """Seconds of the driver that Ray's calls take.

    Attributes:
        call: To send a call to an actor.
        get: To read an answer that has come.
        wait: To wait for the first of as many answers as there are workers, if one has come.
    """

    call: float
    get: float
    wait: float

    @classmethod
    def measured(cls, workers: int) -> "RayCosts":
        """Of the Ray that this process has started."""
        config = {"trial": 1, "schedule": [{"rate": 0.5, "epochs": 5, "lr": 0.01}] * 4}
        actor = ray.remote(_Echo).options(num_cpus=0, max_concurrency=2).remote()
        ray.get(actor.answer.remote(config))
        start = own_seconds()
        answers = [actor.answer.remote(config) for _ in range(_CALLS)]
        call = (own_seconds() - start) / _CALLS
        ray.wait(answers, num_returns=_CALLS)
        start = own_seconds()
        for answer in answers:
            ray.get(answer)
        get = (own_seconds() - start) / _CALLS
        pending = [actor.never.remote() for _ in range(workers)]
        seconds = []
        for answer in answers[:_WAITS]:
            random.shuffle(pending)
            start = own_seconds()
            ray.wait([*pending, answer], num_returns=1, timeout=1)
            seconds.append(own_seconds() - start)
        ray.kill(actor)
        return cls(call=call, get=get, wait=sorted(seconds)[_WAITS // 2])

    def __str__(self) -> str:
        call, get, wait = (1000 * seconds for seconds in (self.call, self.get, self.wait))
        return f"Ray: {call:.2f} ms a call, {get:.2f} an answer, {wait:.2f} to wait for one"


class _Echo:
    def answer(self, what: Any) -> Any:
        return what

    def never(self) -> None:
        time.sleep(1e6)


class Answer:
    """What a call of a simulated actor will have returned."""

    def __init__(self) -> None:
        self.there = False
        self.value: Any = None

    def give(self, value: Any) -> None:
        """It is there."""
        self.there, self.value = True, value


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


class _Places(ResourceManager):  # type: ignore[misc]
    """As many places as workers; whether one is free costs no time, as with placement groups."""

    def __init__(self, count: int) -> None:
        self._free = count

    def request_resources(self, resource_request: ResourceRequest) -> None:
        pass

    def cancel_resource_request(self, resource_request: ResourceRequest) -> None:
        pass

    def has_resources_ready(self, resource_request: ResourceRequest) -> bool:
        return self._free > 0

    def acquire_resources(self, resource_request: ResourceRequest) -> "_Place | None":
        if not self._free:
            return None
        self._free -= 1
        return _Place(resource_request)

    def free_resources(self, acquired_resource: "_Place") -> None:
        self._free += 1

    def clear(self) -> None:
        pass


@dataclass
class _Place(AcquiredResources):  # type: ignore[misc]
    def _annotate_remote_entity(self, entity: Any, bundle: Any, bundle_index: int) -> Any:
        return entity


class SimulatedRay:
    """What Tune's actor manager asks of the module `ray`.

    Args:
        clock: Of the simulation.
        costs: Of calls.
        new_worker: Makes a worker; see `Handle`.
        start_seconds: How long a worker takes to start.
    """

    def __init__(
        self,
        clock: Clock,
        costs: RayCosts,
        new_worker: Callable[[dict[str, Any]], Any],
        *,
        start_seconds: float,
    ) -> None:
        self._clock = clock
        self._costs = costs
        self._new_worker = new_worker
        self._start_seconds = start_seconds
        self.actor = self  # whose ActorClass is asked for
        self.ActorClass = SimulatedRay

    @contextmanager
    def in_place(self, workers: int) -> Iterator[None]:
        """Have Tune use this in place of Ray, with as many CPUs as workers."""
        with (
            patch.object(actor_manager, "ray", self),
            patch.object(event_manager, "ray", self),
            patch.object(
                tune_controller, "PlacementGroupResourceManager", lambda: _Places(workers)
            ),
            patch.object(tune_controller._ActorClassCache, "get", lambda *_: self),
        ):
            yield

    def wait(
        self, answers: Sequence[Answer], *, num_returns: int, timeout: float | None
    ) -> tuple[list[Answer], list[Answer]]:
        """The first of some answers that is there, if one comes in time; see `ray.wait`."""
        with self._clock.calling(self._costs.wait):
            self._clock.wait(
                lambda: any(answer.there for answer in answers),
                float("inf") if timeout is None else timeout,
            )
            there = [answer for answer in answers if answer.there][:num_returns]
        return there, []

    def get(self, answer: Answer) -> Any:
        """An answer; see `ray.get`."""
        with self._clock.calling(self._costs.get):
            return answer.value

    def remote(self, **kwargs: Any) -> "Handle":
        """Start a worker: as an actor's class."""
        with self._clock.calling(self._costs.call):
            return Handle(self._clock, self._costs, self._new_worker(kwargs), self._start_seconds)


class Handle:
    """Of a simulated worker: `handle.train.remote()`, and so on.

    A worker has `train(answer)`, `reset(config)` and `stop()`.
    """

    def __init__(self, clock: Clock, costs: RayCosts, worker: Any, start_seconds: float) -> None:
        self._clock = clock
        self._costs = costs
        self._worker = worker
        self._start_seconds = start_seconds

    def __getattr__(self, name: str) -> "_Method":
        return _Method(self, name)

    def call(self, name: str, arguments: Sequence[Any]) -> Answer:
        """Send a call."""
        answer = Answer()
        with self._clock.calling(self._costs.call):
            match name:
                case "__ray_ready__":
                    self._clock.after(self._start_seconds, lambda: answer.give(None))
                case "get_auto_filled_metrics":
                    answer.give({})
                case "train":
                    self._clock.after(self._costs.call, lambda: self._worker.train(answer))
                case "reset":

                    def reset() -> None:
                        self._worker.reset(arguments[0])
                        answer.give(True)

                    self._clock.after(2 * self._costs.call, reset)
                case "stop":
                    self._worker.stop()
                    self._clock.after(2 * self._costs.call, lambda: answer.give(None))
                case _:
                    raise NotImplementedError(name)
        return answer


@dataclass(frozen=True, slots=True)
class _Method:
    handle: Handle
    name: str

    def remote(self, *arguments: Any, **_: Any) -> Answer:
        return self.handle.call(self.name, arguments)
