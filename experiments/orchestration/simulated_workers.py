"""Workers of a search that take their time in events, and the store's process that serves them."""

from dataclasses import dataclass
from typing import Any

from experiments.orchestration.simulated_clock import Clock, Server
from experiments.orchestration.simulated_ray import Answer, RayCosts
from experiments.orchestration.sleeping import SleptRound, made_up
from pruning import RoundRunner, Stage
from pruning.stages import stage_seed
from search.workers.store_actor import StoreActor, Task
from search.workers.worker import OVER, STAGE, trial_of

_WAIT_SECONDS = 0.1  # as workers wait
_SPREAD = 0.2  # of rounds' seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What simulated workers need to know, and where they leave what they did.

    Attributes:
        clock: Of the simulation.
        server: The store's process.
        store: The store's writer, which it runs.
        runner: Makes up what rounds come to.
        seconds: That a round takes.
        weights: Bytes a byte of a network's.
        slept: When which worker was in a round beyond the root.
    """

    clock: Clock
    server: Server
    store: StoreActor
    runner: RoundRunner
    seconds: float
    weights: float
    slept: list[SleptRound]


class SimulatedWorker:
    """Does what a `ScheduleTrial` does, in events."""

    def __init__(self, number: int, work: Work, config: dict[str, Any]) -> None:
        self._number = number
        self._work = work
        self.reset(config)

    def reset(self, config: dict[str, Any]) -> None:
        """Take up another schedule."""
        self._config = config
        self._trial, self._schedule = trial_of(config)
        self._end: dict[str, Any] | None = None
        self._steps = 0

    def stop(self) -> None:
        """Nothing is left of it."""

    def train(self, answer: Answer) -> None:
        """Do a step."""
        self._answer = answer
        if self._end is not None:
            self._work.clock.after(_WAIT_SECONDS, lambda: self._reply(self._end or {}))
        else:
            self._ask()

    def _ask(self) -> None:
        trial, schedule, store = self._trial, self._schedule, self._work.store
        self._work.server.ask(lambda: store.next_task(trial, schedule), self._take)

    def _take(self, task: Task) -> None:
        clock = self._work.clock
        if task.step == "over":
            self._finish({OVER: True})
        elif task.step == "done":
            self._reached(task.reached)
        elif task.step == "wait":
            clock.after(_WAIT_SECONDS, self._ask)
        else:
            clock.after(*self._round(task.reached, clock.time))

    def _round(self, parent: Stage | None, start: float) -> tuple[float, Any]:
        round_ = None if parent is None else self._schedule[len(parent.schedule)]
        seconds = self._work.seconds
        draft, weights = made_up(self._work.runner, parent, round_, seconds)
        seconds *= 1 + _SPREAD * (2 * stage_seed(draft.id) / 2**63 - 1)
        weights *= max(1, round(self._work.weights))
        trial, store = self._trial, self._work.store

        def commit() -> None:
            if parent is not None:
                end = self._work.clock.time
                slept = SleptRound(process=self._number, start=start, end=end)
                self._work.slept.append(slept)
            self._work.server.ask(lambda: store.commit(trial, draft, weights), self._reached)

        return seconds, commit

    def _reached(self, stage: Stage | None) -> None:
        result = {STAGE: stage.id if stage is not None else ""}
        if stage is not None and stage.schedule == self._schedule:
            self._finish(result)
        else:
            self._reply(result)

    def _finish(self, result: dict[str, Any]) -> None:
        self._end = result
        self._reply(result)

    def _reply(self, result: dict[str, Any]) -> None:
        self._steps += 1
        self._answer.give(
            {
                **result,
                "done": False,
                "training_iteration": self._steps,
                "trial_id": "",
                "date": "2026-01-01_00-00-00",
                "timestamp": 0,
                "time_this_iter_s": self._work.seconds,
                "time_total_s": self._work.seconds,
                "pid": self._number,
                "hostname": "simulated",
                "node_ip": "127.0.0.1",
                "config": self._config,
                "time_since_restore": self._work.seconds,
                "iterations_since_restore": self._steps,
            }
        )


class StoreHandle:
    """What the driver calls of the store's writer."""

    def __init__(self, clock: Clock, costs: RayCosts, server: Server, store: StoreActor) -> None:
        self._clock = clock
        self._costs = costs
        self._server = server
        self._store = store

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune gives a copy to workers, of which there are none

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _StoreMethod(self, name)

    def send(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Send a call, to whose answer nobody listens."""

        def ask() -> None:
            self._server.ask(lambda: getattr(self._store, name)(*arguments), lambda _: None)

        with self._clock.calling(self._costs.call):
            self._clock.after(self._costs.call, ask)


@dataclass(frozen=True, slots=True)
class _StoreMethod:
    handle: StoreHandle
    name: str

    def remote(self, *arguments: Any) -> None:
        self.handle.send(self.name, arguments)
