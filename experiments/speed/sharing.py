"""How many trials should share a machine or a GPU: images a second of all together.

Claim: on a CPU one worker a core with one thread each, the default of `python search/run.py`,
trains at least as many images a second as fewer workers with more threads, or as more workers.

    python -m experiments.speed.sharing                                        # some minutes
    python -m experiments.speed.sharing --device cuda --cases 1x1 2x1 4x1 8x1  # share a GPU

A case WxT is W processes at a time, each with T threads of torch, that train networks of their own
on the digits, as workers of a search do: the same trainer, channels-last, freed memory kept. All
start together, train whole epochs until the given seconds are over, and their images a second add
up. Cases take turns; the processes of the others wait meanwhile.

How to read it: a ratio divides what a case trains by what the first case trains in the same turn.
On a GPU the processes share it by time slices unless NVIDIA's MPS runs
(`nvidia-cuda-mps-control -d`), which lets their kernels run side by side.

Result: sharing.txt.
"""

import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Literal

import torch
import tyro

from data import DataSource, open_data
from experiments.instruments.hardware import hardware_line
from experiments.instruments.notebook_loop import BATCH_SIZE, LR
from experiments.instruments.spread import Spread
from models import StudentNet
from pruning import Precision, keep_freed_memory, new_optimizer, train_epoch
from search.workers.devices import usable_cores

_DATA = "digits"
_WEIGHT_DECAY = 0.01


def _default_cases() -> tuple[str, ...]:
    cores = usable_cores()
    cases = (f"{cores}x1", f"1x{cores}", "1x1", f"{2 * cores}x1", f"{cores}x2")
    return tuple(dict.fromkeys(cases))


@dataclass(frozen=True, kw_only=True, slots=True)
class Sharing:
    """Compare numbers of processes and threads by the images that they train on together."""

    cases: tuple[str, ...] = _default_cases()
    """Processes x threads; the others are compared with the first."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where they train."""
    image_size: int = 32
    """Side of the images in pixels."""
    precision: Precision = "fp32"
    """Of the arithmetic, as the search's --precision."""
    seconds: float = 5.0
    """How long a turn lasts at least."""
    repeats: int = 7
    """Turns of each case that count."""

    def __post_init__(self) -> None:
        if not self.cases or self.repeats < 1 or self.seconds <= 0:
            raise ValueError("give at least one case and one turn, and seconds above 0")
        for case in self.cases:
            split(case)


def split(case: str) -> tuple[int, int]:
    """Processes and threads of a case such as 2x1.

    Raises:
        ValueError: It is not of this form.
    """
    numbers = case.split("x")
    if len(numbers) != 2 or not all(number.isdecimal() and int(number) for number in numbers):
        raise ValueError(f"a case is PROCESSESxTHREADS, such as 2x1, not {case}")
    return int(numbers[0]), int(numbers[1])


def measure(asked: Sharing) -> dict[str, list[float]]:
    """Images a second of each case, turn by turn."""
    connections = {case: _start(case, asked) for case in asked.cases}
    rates: dict[str, list[float]] = {case: [] for case in asked.cases}
    for turn in range(-1, asked.repeats):
        for case, processes in connections.items():
            for process in processes:
                process.send(asked.seconds)
            rate = sum(process.recv() for process in processes)
            if turn >= 0:
                rates[case].append(rate)
    for processes in connections.values():
        for process in processes:
            process.send(None)
    return rates


def summary(rates: dict[str, list[float]]) -> list[str]:
    """A line a case."""
    first = next(iter(rates.values()))
    lines = []
    for case, mine in rates.items():
        ratio = Spread.of([one / other for one, other in zip(mine, first, strict=True)])
        lines.append(f"{case:>6}: {Spread.of(mine).median:7.0f} images/s; ratio {ratio}")
    return lines


def _start(case: str, asked: Sharing) -> list[Connection]:
    """Start a case's processes; returns when all are ready to train."""
    context = get_context("spawn")
    processes, threads = split(case)
    ours = []
    for seed in range(processes):
        mine, theirs = context.Pipe()
        arguments = (theirs, threads, seed, asked)
        context.Process(target=_train, args=arguments, daemon=True).start()
        theirs.close()  # so that the end of the process ends the wait for it
        ours.append(mine)
    for connection in ours:
        connection.recv()
    return ours


def _train(connection: Connection, threads: int, seed: int, asked: Sharing) -> None:
    """The life of a process: seconds come in, images a second go out."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    device = torch.device(asked.device)
    data = open_data(DataSource(data=_DATA, image_size=asked.image_size)).to(device)
    net = StudentNet(num_classes=len(data.classes))
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = new_optimizer(net, lr=LR, weight_decay=_WEIGHT_DECAY)
    generator = torch.Generator().manual_seed(seed)
    connection.send("ready")
    while (seconds := connection.recv()) is not None:
        start = time.perf_counter()
        epochs = 0
        while (spent := time.perf_counter() - start) < seconds:
            # Returns numbers, so the device has done its work.
            train_epoch(
                net,
                data,
                optimizer,
                batch_size=BATCH_SIZE,
                generator=generator,
                precision=asked.precision,
            )
            epochs += 1
        connection.send(epochs * len(data.train) / spent)


def main() -> None:
    """Run the experiment and print what came of it."""
    asked = tyro.cli(Sharing)
    print(hardware_line())
    print(f"{asked.device}, {asked.precision}, {_DATA} at {asked.image_size} px, ", end="")
    print(f"batches of {BATCH_SIZE}")
    print(*summary(measure(asked)), sep="\n")
    print(hardware_line())


if __name__ == "__main__":
    main()
