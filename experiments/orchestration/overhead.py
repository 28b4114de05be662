"""What a round costs besides its training: worker time outside rounds, and the cold start.

Targets, printed beside what was measured: workers spend at most 0.1 s a round outside it, however
many there are; and 15 s after its start on a machine with no images cached, a search on the digits
has finished its first round.

    python -m experiments.orchestration.overhead                         # needs memory for 64
    python -m experiments.orchestration.overhead --workers 2 --rounds 5  # in a hurry
    python -m experiments.orchestration.overhead --cold-starts 0
    python -m experiments.orchestration.overhead --on-gpus --workers 4 --seconds 5 --cold-starts 0

Rounds sleep for a known time and leave weights of the real size. All else is the project's own:
campaign, sampler, Ray Tune with a private Ray, workers that import torch and open the images, the
store's actor and its disk, the tables. More workers are declared than there are cores, since
those who sleep need none; but starting them, and whatever a round costs Ray, does need the cores,
so that many workers on a small machine look worse than they would on a machine of their own.

How to read it: `steady` is the stretch from the moment at which every worker has begun a round
until no trial is left to hand out; `in all` is from the start of Ray to the end of the last round,
so it holds the workers' start and the time in which they run out of trials. A worker that waits
for a round of another trial counts as idle. stage-tree's trials are one round each, the other
samplers' several. `processes` are those that ran a round: more than the workers if some were
started twice, fewer if some were still starting when the last trial was handed out; `steady` is
then of the fewer, and --rounds should be raised. Memory is that of the whole machine, whoever
uses it. A case for which there is not enough is skipped: 64 workers need about 25 GiB.

With --on-gpus every worker holds a GPU, as Ray hands them out; they are declared and need not be
there. `in flight` is how many rounds were being run at a time, on average.

The cold start is from launching `python search/run.py` on the digits, with a cache without
images, a root of one epoch and a round of one, to the file of the first round's weights.
"""

import io
import tempfile
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import ray
import tyro

from experiments.instruments.hardware import hardware_line
from experiments.instruments.search_command import finished_stages, start_search
from experiments.instruments.spread import Spread
from experiments.orchestration.idle import Idle, all_up
from experiments.orchestration.memory_peak import MemoryPeak, available_memory, memory_peak
from experiments.orchestration.sleeping import SleepingPlan, SleptRound, read_trace
from search.configuration import SearchConfig
from search.console import Console
from search.images import open_images
from search.opening import Search, open_search
from search.results.folder import ResultsFolder
from search.results.writer import ResultsWriter
from search.root import find_root
from search.samplers.names import SamplerName
from search.watch.events import Events
from search.watch.observer import Desk, Observer
from search.workers.devices import Cards, Pool, PoolRequest, make_pool
from search.workers.ray_cluster import Activities, start_store
from search.workers.ray_start import start_ray
from search.workers.tune_loop import run_trials

_TARGET_SECONDS_A_ROUND = 0.1
_TARGET_COLD_START = 15.0
_ROUNDS_A_TRIAL = 3  # roughly, of samplers that propose whole schedules
_COLD = ("--root-epochs", "1", "--trials", "1", "--epochs", "1", "--max-rounds", "1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Overhead:
    """Measure what rounds cost besides training, and how long a search takes to start."""

    workers: tuple[int, ...] = (2, 8, 16, 64)
    """Numbers of workers to declare."""
    samplers: tuple[SamplerName, ...] = ("stage-tree", "tpe")
    """What proposes schedules."""
    seconds: float = 1.0
    """How long a round sleeps."""
    rounds: int = 30
    """Rounds a worker, about."""
    on_gpus: bool = False
    """Whether each worker holds a declared GPU, and not a core."""
    cold_starts: int = 3
    """Cold starts to time."""
    worker_gib: float = 0.4
    """Memory that a worker is reckoned to need, most of it for torch's libraries."""

    def __post_init__(self) -> None:
        if min(self.workers, default=1) < 1 or self.rounds < 1 or self.seconds <= 0:
            raise ValueError("workers and rounds must be at least 1, and seconds above 0")

    def config(self, sampler: SamplerName, workers: int) -> SearchConfig:
        """A search that gives every worker about as many rounds as were asked for."""
        rounds = workers * self.rounds
        trials = rounds if sampler == "stage-tree" else max(workers, rounds // _ROUNDS_A_TRIAL)
        return SearchConfig(sampler=sampler, trials=trials)

    def pool(self, workers: int) -> Pool:
        """So many workers, of a Ray that is told that there is room for them."""
        if self.on_gpus:
            cards = Cards(count=workers, device_type="cpu")
            return make_pool(PoolRequest(gpus=workers), cards=cards, cores=workers)
        return make_pool(PoolRequest(gpus=0, workers=workers), cards=Cards(), cores=workers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What was seen of one number of workers and one sampler; times in the machine's clock."""

    workers: int
    sampler: SamplerName
    slept: list[SleptRound]
    started: float
    handed_out: float
    memory: MemoryPeak

    def lines(self) -> list[str]:
        """What there is to say."""
        ended = max(one.end for one in self.slept)
        processes = len({one.process for one in self.slept})
        present = min(self.workers, processes)
        up = all_up(self.slept, present)
        lines = [f"{self.workers} workers, {self.sampler}: {processes} processes"]
        if up is None or up >= self.handed_out:
            lines.append("    steady: never were all workers at work; give more --rounds")
        else:
            steady = Idle.between(up, self.handed_out, self.slept, present)
            lines.append(f"    steady: {steady} [target {_TARGET_SECONDS_A_ROUND} s a round]")
            lines.append(f"    {present} workers at work after {up - self.started:.1f} s")
        whole = Idle.between(self.started, ended, self.slept, self.workers)
        return [*lines, f"    in all: {whole}", f"    memory in use: {self.memory}"]


def observe(asked: Overhead, sampler: SamplerName, workers: int, scratch: Path) -> Case:
    """Run one search of sleeping rounds in an empty folder."""
    trace = scratch / "trace"
    trace.mkdir()
    config = asked.config(sampler, workers)
    pool = asked.pool(workers)
    folder = ResultsFolder(scratch / "search")
    console = Console(io.StringIO())
    data = open_images(config, console)
    with folder.locked(resume=False):
        search = open_search(config, folder, data, find_root(config, folder, data), pool)
        plan = SleepingPlan.of(search.plan, round_seconds=asked.seconds, trace=trace)
        started = time.time()
        try:
            with memory_peak() as memory:
                handed_out = _run(search, plan, pool, console)
        finally:
            ray.shutdown()
    return Case(
        workers=workers,
        sampler=sampler,
        slept=read_trace(trace),
        started=started,
        handed_out=handed_out,
        memory=memory,
    )


def _run(search: Search, plan: SleepingPlan, pool: Pool, console: Console) -> float:
    """Run a search's trials as its driver does; returns when the last one was handed out."""
    campaign = search.campaign(pool.ahead)
    start_ray(pool)
    writer = start_store(search.folder.stages, None)
    results = ResultsWriter(search.folder, search.store)
    desk = Desk(results=results, console=console, events=Events())
    observer = Observer(campaign, desk, Activities(writer))
    handed_out: list[float] = []

    def on_step() -> None:
        observer.show()
        if campaign.finished and not handed_out:
            handed_out.append(time.time())

    run_trials(
        campaign,
        pool,
        plan,
        writer,
        scratch=search.folder.scratch,
        on_stage=observer.on_stage,
        on_failed_start=console.line,
        on_machines=console.line,
        on_step=on_step,
    )
    failed = campaign.progress().failed
    if failed or campaign.broken is not None:
        raise RuntimeError(
            f"{failed} trials failed, so their times mean nothing: {campaign.broken}"
        )
    return handed_out[0] if handed_out else time.time()


def cold_start(scratch: Path) -> float:
    """Seconds from launching a search to its first finished round."""
    folder = scratch / "search"
    launched = time.time()
    process = start_search(folder, scratch / "cache", *_COLD)
    if process.wait() != 0:
        raise RuntimeError(f"the search ended with exit code {process.returncode}")
    first = next(when for when, stage in finished_stages(folder) if stage.schedule)
    return first - launched


def main() -> None:
    """Run the experiment and print what came of it."""
    asked = tyro.cli(Overhead)
    print(hardware_line())
    print(f"rounds of {asked.seconds:g} s")
    for workers, sampler in product(asked.workers, asked.samplers):
        needed, free = workers * asked.worker_gib, available_memory() / 2**30
        if needed > free:
            print(
                f"{workers} workers, {sampler}: skipped, they need about {needed:.0f} GiB of "
                f"memory and {free:.0f} are free"
            )
            continue
        with tempfile.TemporaryDirectory() as folder:
            case = observe(asked, sampler, workers, Path(folder))
            print(*case.lines(), sep="\n", flush=True)
    seconds = []
    for _ in range(asked.cold_starts):
        with tempfile.TemporaryDirectory() as folder:
            seconds.append(cold_start(Path(folder)))
    if seconds:
        print(f"cold start, seconds: {Spread.of(seconds)} [target {_TARGET_COLD_START:g} s]")
    print(hardware_line())


if __name__ == "__main__":
    main()
