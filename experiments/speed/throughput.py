"""Images a second, in training and in evaluation, beside the notebook's own loop.

Claim: on the same images, weights, batch size and number of threads, an epoch of training
(augmentation included) and an evaluation take a fraction of the notebook's time, at every size of
image. The ratios are the result; a ratio of 2 is twice as many images a second.

    python -m experiments.speed.throughput                         # one thread, CPU
    python -m experiments.speed.throughput --sizes 32 --repeats 3  # in a hurry
    python -m experiments.speed.throughput --device cuda           # where torch sees a GPU

Images of mixed sizes, most of them a bit larger than the crop as in food-11, are written as
JPEGs to a temporary folder like food-11 and packed in a temporary cache; both sides get their
pixels from that pack, the notebook's side as PIL images. Each side lives in a process of its own,
since what is done about memory and threads is done to a process, and the two take turns: A B A B
and so on, after a warm-up of each that is not counted. Loading is not timed.

How to read it: `wall` divides the two sides' seconds of each pair of turns; `CPU` does so with the
seconds of computing by all threads, which other people's load on the machine disturbs less. Where
the two disagree on one thread, the machine was not quiet. --csv keeps every turn. On a GPU only
`wall` means anything.

Result: throughput.txt, on an idle machine (its load is in the first line and the last).
"""

import csv
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal, Self, get_args

import numpy as np
import torch
import tyro
from PIL import Image

from data import DataSource, ImageData, open_data
from experiments.instruments.hardware import hardware_line
from experiments.instruments.notebook_loop import (
    LR,
    NotebookLoop,
    training_loader,
    validation_loader,
)
from experiments.instruments.spread import Spread
from models import StudentNet
from pruning import evaluate, new_optimizer, train_epoch
from pruning.memory import keep_freed_memory

SideName = Literal["notebook", "ours"]
Phase = Literal["training", "evaluation"]
_SIDES: tuple[SideName, ...] = get_args(SideName)
_PHASES: tuple[Phase, ...] = get_args(Phase)

_CLASSES = 11
_WEIGHT_DECAY = 0.01  # AdamW's default, which the notebook takes
_LEAST_SIDE, _MOST_SIDE = 0.9, 1.6  # of an image, in sides of the crop
_CHUNK_PIXELS = 2**20  # of the crops of one turn, within the two limits below
_FEWEST_IMAGES, _MOST_IMAGES = 64, 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """Measure images a second beside the notebook's loop."""

    sizes: tuple[int, ...] = (32, 64, 128, 256)
    """Sides of the crops in pixels, at least 16."""
    repeats: int = 7
    """Turns of each side that count."""
    threads: int = 1
    """Threads of torch, on both sides."""
    batch_size: int = 32
    """Images a step."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where both sides compute."""
    images: int | None = None
    """Images of one turn; by default 512 of 32 pixels a side to 64 of 128 or more."""
    seed: int = 0
    """Of images, weights and augmentation."""
    csv: Path | None = None
    """Where to write every turn, a row each."""

    def __post_init__(self) -> None:
        if min(self.sizes, default=0) < 16 or min(self.repeats, self.threads) < 1:
            raise ValueError("sizes must be at least 16, repeats and threads at least 1")
        if self.batch_size < 2 or (self.images is not None and self.images < _CLASSES):
            raise ValueError(f"a batch needs 2 images and a turn {_CLASSES}")
        if any(self.images_of(size) % self.batch_size == 1 for size in self.sizes):
            raise ValueError("the notebook's loop needs more than one image in its last batch")

    def images_of(self, size: int) -> int:
        """Images of one turn at a size."""
        fitting = _CHUNK_PIXELS // size**2
        return self.images or max(_FEWEST_IMAGES, min(_MOST_IMAGES, fitting))


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One side's pass over the images."""

    size: int
    phase: Phase
    side: SideName
    repeat: int
    images: int
    wall_seconds: float
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """What a side does in each phase."""

    phases: Mapping[Phase, Callable[[], object]]

    @classmethod
    def of(cls, name: SideName, data: ImageData, asked: Throughput) -> Self:
        """A side with its network; both sides' networks start from the same weights."""
        torch.manual_seed(asked.seed)
        net = StudentNet(num_classes=_CLASSES)
        device = torch.device(asked.device)
        make = _notebook_phases if name == "notebook" else _our_phases
        return cls(phases=make(net, data, device, asked))

    def take_turn(self, phase: Phase, device: str) -> tuple[float, float]:
        """Run a phase; returns its wall and CPU seconds."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.phases[phase]()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - wall, time.process_time() - cpu


def _notebook_phases(
    net: StudentNet, data: ImageData, device: torch.device, asked: Throughput
) -> dict[Phase, Callable[[], object]]:
    loop = NotebookLoop.of(net, device)
    training = training_loader(data, asked.batch_size)
    validation = validation_loader(data, asked.batch_size)
    return {
        "training": lambda: loop.train(training),
        "evaluation": lambda: loop.validate(validation),
    }


def _our_phases(
    net: StudentNet, data: ImageData, device: torch.device, asked: Throughput
) -> dict[Phase, Callable[[], object]]:
    data = data.to(device)
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = new_optimizer(net, lr=LR, weight_decay=_WEIGHT_DECAY)
    generator = torch.Generator().manual_seed(asked.seed)
    return {
        "training": lambda: train_epoch(
            net, data, optimizer, batch_size=asked.batch_size, generator=generator
        ),
        "evaluation": lambda: evaluate(net, data.validation, data.image_size),
    }


def write_images(folder: Path, size: int, count: int, seed: int) -> None:
    """A food-11 of smooth coloured noise: `count` images in training and in validation."""
    random = np.random.default_rng((seed, size))
    for split, images in (("training", count), ("validation", count), ("testing", 1)):
        (folder / split).mkdir(parents=True)
        for index in range(images):
            shape = random.integers(int(_LEAST_SIDE * size), int(_MOST_SIDE * size) + 1, size=2)
            coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            image = coarse.resize((int(shape[0]), int(shape[1])), Image.Resampling.BICUBIC)
            image.save(folder / split / f"{index % _CLASSES}_{index}.jpg", quality=90)


def _serve(
    connection: Connection, name: SideName, folder: Path, size: int, asked: Throughput
) -> None:
    """The life of a side's process: a phase comes in, its seconds go out."""
    torch.set_num_threads(asked.threads)
    if name == "ours":
        keep_freed_memory()
    side = Side.of(name, open_data(DataSource(data=str(folder), image_size=size)), asked)
    while (phase := connection.recv()) is not None:
        connection.send(side.take_turn(phase, asked.device))


def measure(asked: Throughput, size: int, folder: Path) -> list[Turn]:
    """All turns of both sides at one size, the sides taking turns in two processes."""
    connections = {name: _start(name, folder, size, asked) for name in _SIDES}
    turns = []
    for phase in _PHASES:
        for repeat in range(-1, asked.repeats):
            for side, connection in connections.items():
                connection.send(phase)
                wall, cpu = connection.recv()
                turn = Turn(
                    size=size,
                    phase=phase,
                    side=side,
                    repeat=repeat,
                    images=asked.images_of(size),
                    wall_seconds=wall,
                    cpu_seconds=cpu,
                )
                turns.append(turn)
    for connection in connections.values():
        connection.send(None)
    return [turn for turn in turns if turn.repeat >= 0]


def _start(name: SideName, folder: Path, size: int, asked: Throughput) -> Connection:
    """Start a side's process; it ends when it is sent None, or with this one."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    context.Process(target=_serve, args=(theirs, name, folder, size, asked), daemon=True).start()
    theirs.close()  # so that the end of a side's process ends the wait for it
    return ours


def summary(turns: Sequence[Turn]) -> list[str]:
    """Three lines on the turns of one size and phase."""
    theirs, ours = (
        sorted((turn for turn in turns if turn.side == side), key=lambda turn: turn.repeat)
        for side in _SIDES
    )
    pairs = list(zip(theirs, ours, strict=True))
    wall = Spread.of([a.wall_seconds / b.wall_seconds for a, b in pairs])
    cpu = Spread.of([a.cpu_seconds / b.cpu_seconds for a, b in pairs])
    their_rate, our_rate = (
        Spread.of([turn.images / turn.wall_seconds for turn in side]).median
        for side in (theirs, ours)
    )
    first = turns[0]
    what = f"{first.size} px, {first.phase}, {first.images} images a turn"
    return [
        f"{what}: {our_rate:.1f} images/s, the notebook's loop {their_rate:.1f}",
        f"    ratio, wall: {wall}",
        f"    ratio, CPU:  {cpu}",
    ]


def write_csv(path: Path, turns: Sequence[Turn]) -> None:
    """A row a turn."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(field.name for field in fields(Turn))
        rows.writerows(map(astuple, turns))


def main() -> None:
    """Run the experiment and print what came of it."""
    asked = tyro.cli(Throughput)
    print(hardware_line())
    print(f"{asked.device}, {asked.threads} thread(s), batches of {asked.batch_size}")
    turns: list[Turn] = []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = str(Path(scratch, "cache"))
        for size in asked.sizes:
            folder = Path(scratch, str(size))
            write_images(folder, size, asked.images_of(size), asked.seed)
            measured = measure(asked, size, folder)
            turns += measured
            for phase in _PHASES:
                lines = summary([turn for turn in measured if turn.phase == phase])
                print(*lines, sep="\n", flush=True)
    if asked.csv is not None:
        write_csv(asked.csv, turns)
    print(hardware_line())


if __name__ == "__main__":
    main()
