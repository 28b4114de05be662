"""How many workers one driver keeps at work: a search of thousands, simulated; the driver is real.

    python -m experiments.orchestration.scale                                # all the cases below
    python -m experiments.orchestration.scale --workers 24 --seconds 1 --rounds 60
    python -m experiments.orchestration.scale --workers 1024 --profile

Workers are simulated, on a clock of its own (`simulated_ray`); rounds take a known time, a fifth
more or less, and leave weights of the size that the network's would have, or of more. All else is
the project's own, and runs for real: campaign, sampler, ledger in SQLite, the stage store and its
files, Ray Tune's controller, the tables. What the driver and the store's process do takes the time
that it takes here, waiting for a core left out, waiting for the disk included. What Ray's calls
take is measured beforehand with a real Ray. The network between machines is not simulated.

How to read it: `steady` is from the moment at which every worker has been in a round beyond the
root until no trial is left to hand out, `in all` from the first round beyond the root on. A worker
is idle when it is in no round. `driver` and `store` are what one round costs their processes, and
how much of the time they are at work. `memory` is what the driver's process has grown by, the
store's included.
"""

import cProfile
import io
import resource
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any
from unittest.mock import patch

import ray
import torch
import tyro

from experiments.instruments.hardware import hardware_line
from experiments.orchestration.idle import Idle, all_up
from experiments.orchestration.simulated_ray import (
    Answer,
    Clock,
    RayCosts,
    Server,
    SimulatedRay,
    own_seconds,
)
from experiments.orchestration.sleeping import SleptRound, made_up
from pruning import RoundRunner, Stage
from pruning.stages import stage_seed
from search import console as console_module
from search.configuration import SearchConfig
from search.console import Console
from search.images import open_images
from search.opening import open_search
from search.results import throttle
from search.results.folder import ResultsFolder
from search.results.writer import ResultsWriter
from search.root import find_root
from search.samplers.names import SamplerName
from search.watch import observer as observer_module
from search.watch.events import Events
from search.watch.observer import Desk, Observer
from search.workers.devices import Cards, PoolRequest, make_pool
from search.workers.store_actor import StoreActor, Task
from search.workers.tune_loop import run_trials
from search.workers.worker import OVER, STAGE, trial_of

_WAIT_SECONDS = 0.1  # as workers wait
_SPREAD = 0.2  # of rounds' seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Simulate searches of many workers."""

    workers: tuple[int, ...] = (24, 256, 1024)
    """Numbers of workers."""
    seconds: float = 20.0
    """How long a round takes."""
    rounds: int = 20
    """Rounds a worker, about."""
    megabytes: float = 1.0
    """Weights of the root; those of smaller networks are as much smaller as they are."""
    sampler: SamplerName = "stage-tree"
    """What proposes schedules."""
    start_seconds: float = 10.0
    """How long a worker takes to start."""
    profile: bool = False
    """Whether to print where the driver's time goes."""


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


class _StoreHandle:
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
        def ask() -> None:
            self._server.ask(lambda: getattr(self._store, name)(*arguments), lambda _: None)

        with self._clock.calling(self._costs.call):
            self._clock.after(self._costs.call, ask)


@dataclass(frozen=True, slots=True)
class _StoreMethod:
    handle: _StoreHandle
    name: str

    def remote(self, *arguments: Any) -> None:
        self.handle.send(self.name, arguments)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What came of a search; seconds of the simulation."""

    workers: int
    slept: list[SleptRound]
    handed_out: float
    driver: float
    clock: float
    store: float
    grown: int
    real: float

    def lines(self) -> Iterator[str]:
        """What there is to say."""
        rounds = len(self.slept)
        up = all_up(self.slept, self.workers)
        first, last = self.slept[0].start, max(one.end for one in self.slept)
        if up is None or up >= self.handed_out:
            yield "    steady: never were all workers at work; give more --rounds"
        else:
            steady = Idle.between(up, self.handed_out, self.slept, self.workers)
            yield f"    steady:  {steady}; all were at work {up - first:.0f} s after the first"
        yield f"    in all:  {Idle.between(first, last, self.slept, self.workers)}"
        for name, busy in (("driver", self.driver), ("store", self.store)):
            share = busy / self.clock
            yield f"    {name}:{1000 * busy / rounds:9.1f} ms a round, {share:6.1%} at work"
        yield (
            f"    memory:  {self.grown / 2**20:.0f} MiB, {self.grown / rounds / 2**10:.0f} KiB a "
            f"round; simulated in {self.real:.0f} s"
        )


def simulate(asked: Scale, workers: int, scratch: Path) -> Case:
    """Simulate a search in an empty folder."""
    rounds = workers * asked.rounds
    config = SearchConfig(sampler=asked.sampler, trials=rounds, workers=workers, gpus=0)
    pool = make_pool(PoolRequest(gpus=0, workers=workers), cards=Cards(), cores=workers)
    folder = ResultsFolder(scratch / "search")
    console = Console(io.StringIO())
    data = open_images(config, console)
    costs = RayCosts.measured(workers)
    print(
        f"{workers} workers, rounds of {asked.seconds:g} s, {asked.sampler}; {costs}", flush=True
    )
    with folder.locked(resume=False), ExitStack() as patches:
        search = open_search(config, folder, data, find_root(config, folder, data), pool)
        campaign = search.campaign(pool.ahead)
        clock = Clock()
        server = Server(clock, call=costs.call)
        work = Work(
            clock=clock,
            server=server,
            store=StoreActor(folder.stages),
            runner=search.plan.runner(torch.device("cpu"), copyfile),
            seconds=asked.seconds,
            weights=asked.megabytes / (4e-6 * search.pricing.at(1)),
            slept=[],
        )
        for module in (throttle, observer_module, console_module):
            patches.enter_context(patch.object(module, "time", clock))
        handle = _StoreHandle(clock, costs, server, work.store)
        numbers = iter(range(10**9))
        simulated = SimulatedRay(
            clock,
            costs,
            lambda kwargs: SimulatedWorker(next(numbers), work, kwargs["config"]),
            start_seconds=asked.start_seconds,
        )
        patches.enter_context(simulated.in_place(workers))
        results = ResultsWriter(folder, search.store)
        desk = Desk(results=results, console=console, events=Events())
        observer = Observer(campaign, desk, dict)
        handed_out: list[float] = []

        def on_step() -> None:
            observer.show()
            if campaign.finished and not handed_out:
                handed_out.append(clock.now)

        before, start = _memory(), own_seconds()
        with _profiled(on=asked.profile):
            run_trials(
                campaign,
                pool,
                search.plan,
                handle,
                scratch=folder.scratch,
                on_stage=observer.on_stage,
                on_failed_start=console.line,
                on_machines=console.line,
                on_step=on_step,
            )
        return Case(
            workers=workers,
            slept=work.slept,
            handed_out=handed_out[0] if handed_out else clock.now,
            driver=clock.busy,
            clock=clock.now,
            store=server.busy,
            grown=_memory() - before,
            real=own_seconds() - start,
        )


@contextmanager
def _profiled(*, on: bool) -> Iterator[None]:
    if not on:
        yield
        return
    with cProfile.Profile() as profile:
        yield
    profile.print_stats("cumulative")


def _memory() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Simulate all that was asked for, and print what came of it."""
    asked = tyro.cli(Scale)
    torch.set_num_threads(1)
    print(hardware_line())
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    for workers in asked.workers:
        with tempfile.TemporaryDirectory() as folder:
            print(*simulate(asked, workers, Path(folder)).lines(), sep="\n", flush=True)


if __name__ == "__main__":
    main()
