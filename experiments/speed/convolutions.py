"""What share of a training step is its convolutions: how much could be gained beside them.

Claim: at 128 pixels and more most of a step of ours is the library's convolutions, at more than
half of the speed that large matrices are multiplied with; a step that took no time for anything
else would be 1.6 times as fast at most.

    python -m experiments.speed.convolutions                         # one thread, CPU, two minutes
    python -m experiments.speed.convolutions --sizes 32 --repeats 3  # in a hurry

Three things take turns in one process: an epoch of training of a full StudentNet, on the images of
throughput.py; as many steps of nothing but the forward and backward passes of its convolutions and
its linear layer, each alone, on random maps of the right size; and a product of two square
matrices. The first convolution has no gradient with respect to its input, as in training.

How to read it: the share divides the second by the first, turn by turn. throughput.py's ratio to
the notebook's loop, divided by the share, is what it would be if all but the convolutions took no
time. Speeds count two operations a multiply-add.

Result: convolutions.txt.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor, nn

from data import DataSource, open_data
from experiments.instruments.hardware import hardware_line
from experiments.instruments.spread import Spread
from experiments.speed.throughput import Side, Throughput, write_images
from models import StudentNet, multiply_adds
from pruning import keep_freed_memory

_CLASSES = 11
_MATRIX = 1024  # side of the matrices that are multiplied
_PASSES = 3  # of a step: forward, the gradients of the input and of the weights
_PIECES = (nn.Conv2d, nn.Linear)


@dataclass(frozen=True, kw_only=True, slots=True)
class Convolutions:
    """Measure the share of convolutions in training."""

    sizes: tuple[int, ...] = (32, 64, 128, 256)
    """Sides of the crops in pixels, at least 16."""
    repeats: int = 7
    """Turns of each that count."""
    batch_size: int = 32
    """Images a step."""
    images: int = 64
    """Images a turn, a multiple of the batch size."""
    seed: int = 0
    """Of images, weights and augmentation."""

    def __post_init__(self) -> None:
        if min(self.sizes, default=0) < 16 or self.repeats < 1:
            raise ValueError("sizes must be at least 16, and repeats at least 1")
        if self.images < self.batch_size or self.images % self.batch_size:
            raise ValueError("images must be a multiple of the batch size")


@dataclass(frozen=True, slots=True)
class Piece:
    """A convolution or linear layer, with an input and a gradient of its output to work on."""

    layer: nn.Module
    images: Tensor
    gradient: Tensor

    def __call__(self) -> None:
        """Forward and backward."""
        self.layer.zero_grad()
        self.images.grad = None
        self.layer(self.images).backward(self.gradient)


def pieces(net: StudentNet, images: Tensor) -> list[Piece]:
    """All convolutions and linear layers of a network, on random maps as large as theirs.

    Args:
        net: Left in evaluation mode, which convolutions know nothing of.
        images: (N, 3, H, W), of which the first layer sees the like.
    """
    found: list[Piece] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        maps = torch.rand_like(inputs[0]).requires_grad_(bool(found))
        found.append(Piece(layer, maps, torch.randn_like(output)))

    hooks = [
        layer.register_forward_hook(note) for layer in net.modules() if isinstance(layer, _PIECES)
    ]
    net.eval()(images)  # in training the first block may go another way than by its layers
    for hook in hooks:
        hook.remove()
    return found


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(asked: Convolutions, size: int, folder: Path) -> list[str]:
    """What there is to say of one size."""
    write_images(folder, size, asked.images, asked.seed)
    data = open_data(DataSource(data=str(folder), image_size=size))
    side = Side.of("ours", data, Throughput(batch_size=asked.batch_size, seed=asked.seed))
    steps = asked.images // asked.batch_size
    net = StudentNet(num_classes=_CLASSES)
    net.to(memory_format=torch.channels_last)
    images = torch.rand(asked.batch_size, 3, size, size)
    alone = pieces(net, images.contiguous(memory_format=torch.channels_last))
    matrix = torch.rand(_MATRIX, _MATRIX)

    def convolve() -> None:
        for _ in range(steps):
            for piece in alone:
                piece()

    works: tuple[Callable[[], object], ...] = (
        side.phases["training"],
        convolve,
        lambda: matrix @ matrix,
    )
    turns = [tuple(map(_seconds, works)) for _ in range(asked.repeats + 1)][1:]
    epoch, convolutions, product = map(statistics.median, zip(*turns, strict=True))
    share = Spread.of([theirs / whole for whole, theirs, _ in turns])
    stem = 27 * net.channels[0] * size**2  # the gradient of the images, which nobody needs
    multiplied = _PASSES * multiply_adds(net.channels, _CLASSES, size) - stem
    speed = 2 * multiplied * asked.images / convolutions / 1e9
    step, alone_ms = (1e3 * seconds / steps for seconds in (epoch, convolutions))
    peak = 2 * _MATRIX**3 / product / 1e9
    return [
        f"{size} px: a step takes {step:.1f} ms, its convolutions alone {alone_ms:.1f}",
        f"    share: {share}",
        f"    convolutions {speed:.0f} GFLOP/s, a matrix product {peak:.0f}",
    ]


def main() -> None:
    """Run the experiment and print what came of it."""
    asked = tyro.cli(Convolutions)
    torch.set_num_threads(1)
    keep_freed_memory()
    print(hardware_line())
    print(f"cpu, 1 thread, batches of {asked.batch_size}")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = str(Path(scratch, "cache"))
        for size in asked.sizes:
            print(*measure(asked, size, Path(scratch, str(size))), sep="\n", flush=True)
    print(hardware_line())


if __name__ == "__main__":
    main()
