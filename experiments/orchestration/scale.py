"""How many workers one driver keeps at work: a search of thousands, simulated; the driver is real.

    python -m experiments.orchestration.scale                                # all the cases below
    python -m experiments.orchestration.scale --workers 24 --seconds 1 --rounds 60

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

import io
import resource
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from unittest.mock import patch

import ray
import torch
import tyro

from experiments.instruments.hardware import hardware_line
from experiments.orchestration.idle import Idle, all_up
from experiments.orchestration.simulated_clock import Clock, Server, own_seconds
from experiments.orchestration.simulated_ray import RayCosts, SimulatedRay
from experiments.orchestration.simulated_workers import SimulatedWorker, StoreHandle, Work
from experiments.orchestration.sleeping import SleptRound
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
from search.workers.store_actor import StoreActor
from search.workers.tune_loop import run_trials

_START_SECONDS = 10.0  # of a worker


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
        handle = StoreHandle(clock, costs, server, work.store)
        numbers = iter(range(10**9))
        simulated = SimulatedRay(
            clock,
            costs,
            lambda kwargs: SimulatedWorker(next(numbers), work, kwargs["config"]),
            start_seconds=_START_SECONDS,
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
