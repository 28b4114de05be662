"""Rounds an hour of a whole search, beside the notebook's process as people run it.

Claim: on the same machine and the same images, a search finishes several times as many rounds of
five epochs an hour as the notebook does, at equal widths.

    python -m experiments.speed.rounds_per_hour                         # some minutes on two cores
    python -m experiments.speed.rounds_per_hour --trials 6 --repeats 1  # in a hurry

The search is `python search/run.py` on the digits with its own number of workers. All its rounds
have five epochs; they differ in rate and learning rate only, so that there are enough schedules.
Its time is from the file of the root's weights to that of the last stage's, so it holds all but
the start and the root's training: proposals, transplants, fine-tuning, evaluation, the store, and
at the end the time in which workers run out of trials.

The notebook's side is one process, in which PIL images go through the notebook's loop
(notebook_loop.py): five epochs a round, a validation after each, the best weights saved. It is
given the channels of some of the search's own stages, spread evenly over their order by
parameters, so that both sides train networks of about the same size; the mean parameters of both
are printed for the reader to judge. Its images are loaded, and its first batch is trained on,
before its time begins. The sides take turns: the search, the notebook with torch's own number of
threads, as people run it, and the notebook with one thread; then all over again.

How to read it: a ratio divides the search's rounds an hour by the notebook's of the same turn. On
a machine that others use too, threads that wait for each other at every operation crawl, and the
ratio to torch's own number of threads says more of that than of the loops; the ratio to one
thread is then the one to look at.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import torch
import tyro

from data import DataSource, open_data
from experiments.instruments.hardware import hardware_line
from experiments.instruments.notebook_loop import (
    EPOCHS,
    NotebookLoop,
    training_loader,
    validation_loader,
)
from experiments.instruments.search_command import finished_stages, start_search
from experiments.instruments.spread import Spread
from models import StudentNet
from pruning import Stage

_DATA = "digits"
_CHOICES = (
    *("--rates", "0.8", "0.85", "0.9", "0.95"),
    *("--epochs", str(EPOCHS)),
    *("--lrs", "5e-4", "1e-3", "2e-3"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundsPerHour:
    """Measure rounds an hour of a search and of the notebook's process."""

    trials: int = 24
    """Trials of the search, each a round or more."""
    notebook_rounds: int = 5
    """Rounds of the notebook's process in each turn."""
    notebook_threads: tuple[int, ...] = (0, 1)
    """Threads of torch in the notebook's process; 0 is torch's own number."""
    repeats: int = 2
    """Turns of each side."""
    image_size: int = 32
    """Side of the images in pixels."""
    root_epochs: int = 5
    """Epochs of the root's training, which is not timed."""
    workers: int | None = None
    """Workers of the search; by default one a core."""
    seed: int = 0
    """Of the search."""

    def __post_init__(self) -> None:
        if min(self.trials, self.notebook_rounds, self.repeats, self.root_epochs) < 1:
            raise ValueError("trials, rounds, repeats and epochs must be at least 1")
        if min(self.notebook_threads, default=-1) < 0:
            raise ValueError("threads must be one number or more, each at least 0")

    def flags(self) -> tuple[str, ...]:
        """Of the search."""
        workers = () if self.workers is None else ("--workers", str(self.workers))
        return (
            *("--data", _DATA, "--image-size", str(self.image_size)),
            *("--trials", str(self.trials), "--root-epochs", str(self.root_epochs)),
            *("--seed", str(self.seed), "--gpus", "0"),
            *workers,
            *_CHOICES,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """What a side did in one turn.

    Attributes:
        seconds: From the first round's start to the last one's end.
        params: Trainable parameters of the network of each round.
    """

    seconds: float
    params: tuple[int, ...]

    @property
    def rounds_an_hour(self) -> float:
        """At this pace."""
        return 3600 * len(self.params) / self.seconds

    def __str__(self) -> str:
        return (
            f"{self.rounds_an_hour:.0f} rounds an hour ({len(self.params)} in {self.seconds:.1f} s"
            f", {statistics.mean(self.params):,.0f} parameters on average)"
        )


def run_search(asked: RoundsPerHour, scratch: Path) -> tuple[Output, list[Stage]]:
    """Run a whole search; returns what it did and its stages but the root."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        results = Path(folder, "search")
        process = start_search(results, scratch / "cache", *asked.flags())
        if process.wait() != 0:
            raise RuntimeError(f"the search ended with exit code {process.returncode}")
        (root_time, _), *rounds = finished_stages(results)
    stages = [stage for _, stage in rounds]
    seconds = rounds[-1][0] - root_time
    return Output(seconds=seconds, params=tuple(stage.params for stage in stages)), stages


def spread_evenly(stages: Sequence[Stage], count: int) -> list[Stage]:
    """Some of the stages, evenly spaced in their order by parameters."""
    ordered = sorted(stages, key=lambda stage: (stage.params, stage.id))
    return [ordered[int((at + 0.5) * len(ordered) / count)] for at in range(count)]


def run_notebook(
    asked: RoundsPerHour, scratch: Path, stages: Sequence[Stage], threads: int
) -> Output:
    """Run rounds of the notebook's loop in a process of its own, at the stages' channels."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    widths = [stage.channels for stage in stages]
    arguments = (theirs, threads, asked.image_size, widths, scratch)
    process = context.Process(target=_notebook_process, args=arguments)
    process.start()
    theirs.close()  # so that the end of the process ends the wait for it
    seconds: float = ours.recv()
    process.join()
    return Output(seconds=seconds, params=tuple(stage.params for stage in stages))


def _notebook_process(
    connection: Connection,
    threads: int,
    image_size: int,
    widths: Sequence[tuple[int, ...]],
    scratch: Path,
) -> None:
    if threads:
        torch.set_num_threads(threads)
    connection.send(notebook_seconds(image_size, widths, scratch))


def notebook_seconds(
    image_size: int, widths: Sequence[tuple[int, ...]], scratch: Path, epochs: int = EPOCHS
) -> float:
    """Seconds of the notebook's loop for a round at each of some channels."""
    data = open_data(DataSource(data=_DATA, image_size=image_size))
    training, validation = training_loader(data), validation_loader(data)
    device = torch.device("cpu")

    def loop(channels: tuple[int, ...]) -> NotebookLoop:
        net = StudentNet(num_classes=len(data.classes), channels=channels)
        return NotebookLoop.of(net, device)

    loop(widths[0]).train(list(islice(training, 1)))
    start = time.perf_counter()
    for channels in widths:
        loop(channels).run_round(training, validation, scratch / "best.bin", epochs)
    return time.perf_counter() - start


def main() -> None:
    """Run the experiment and print what came of it."""
    asked = tyro.cli(RoundsPerHour)
    print(hardware_line())
    print("search/run.py", *asked.flags())
    ratios: dict[int, list[float]] = {threads: [] for threads in asked.notebook_threads}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        os.environ["XDG_CACHE_HOME"] = str(scratch / "cache")
        for _ in range(asked.repeats):
            search, stages = run_search(asked, scratch)
            print(f"search: {search}", flush=True)
            chosen = spread_evenly(stages, asked.notebook_rounds)
            for threads, found in ratios.items():
                notebook = run_notebook(asked, scratch, chosen, threads)
                found.append(search.rounds_an_hour / notebook.rounds_an_hour)
                print(
                    f"notebook, {_named(threads)}: {notebook}; ratio {found[-1]:.2f}", flush=True
                )
    for threads, found in ratios.items():
        print(f"ratio to the notebook, {_named(threads)}: {Spread.of(found)}")
    print(hardware_line())


def _named(threads: int) -> str:
    return f"{threads} thread(s)" if threads else "torch's own threads"


if __name__ == "__main__":
    main()
