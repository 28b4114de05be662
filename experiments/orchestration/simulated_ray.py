"""Workers that are not there under Ray Tune's real controller.

Ray itself is replaced where Tune calls it (`SimulatedRay`): each call costs what it costs with a
real Ray, which is measured beforehand (`RayCosts`), and its answer is there when the worker or the
store would have given it. So an hour of a thousand workers passes in what the driver and the store
have to do in that hour.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import ray
from ray.air.execution import AcquiredResources, ResourceManager, ResourceRequest
from ray.air.execution._internal import actor_manager, event_manager
from ray.tune.execution import tune_controller

from experiments.orchestration.simulated_clock import Clock, own_seconds

_CALLS = 300
_WAITS = 30


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
        self.ObjectRef = Answer

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
