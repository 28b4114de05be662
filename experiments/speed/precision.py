"""From which size of image on bf16 should pay on a GPU: operations and bytes of a training step.

Claim: a step in bf16 has the same number of further operations at every size, conversions all of
them, while the bytes that it saves grow with the pixels; so fp32 is the default of
`python search/run.py` below 128 pixels a side, and bf16 from there on where a GPU has it.

    python -m experiments.speed.precision

Nothing is timed, and no GPU is needed: a step of the unpruned StudentNet is run on the CPU, in the
forms that a GPU takes, and each operation of torch that is no view is counted, with the bytes of
the tensors that it reads and writes. A GPU launches about one kernel an operation, which takes
some microseconds. `pays below` is the time of a launch at which the further ones take as long as
the bytes that are saved, on a card that moves so many a second.

Result: precision.txt. It was not measured on a card.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
import tyro
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from experiments.instruments.notebook_loop import LR
from models import StudentNet
from models.stem import Stem
from pruning import Precision, new_optimizer

_CLASSES = 11
_WEIGHT_DECAY = 0.01
_CARDS = (0.5, 1.0, 3.0)  # TB/s; about those of an RTX 3070, an RTX 4090 and an H100
# Operations that launch nothing.
_IDLE = frozenset(
    (
        *("_record_function_enter_new", "_record_function_exit", "alias", "as_strided", "detach"),
        *("as_strided_", "empty", "expand", "permute", "t", "transpose", "view"),
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """Count the operations and bytes of a training step in fp32 and in bf16."""

    sizes: tuple[int, ...] = (32, 64, 96, 128, 256)
    """Sides of the images in pixels."""
    batch_size: int = 32
    """Images a step."""


@dataclass(kw_only=True, slots=True)
class Tally:
    """What a step does: `operations`, and `moved` bytes that they read and write."""

    operations: int = 0
    moved: int = 0


class _Counting(TorchDispatchMode):
    """Counts what runs within it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tally = Tally()

    def __torch_dispatch__(
        self,
        function: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if function.overloadpacket.__name__ not in _IDLE:
            tensors = tree_leaves((args, kwargs, result))
            self.tally.operations += 1
            self.tally.moved += sum(one.nbytes for one in tensors if torch.is_tensor(one))
        return result


def count(size: int, batch_size: int, precision: Precision) -> Tally:
    """Count one step after another that makes the optimizer's state."""
    step = _step(size, batch_size, precision)
    step()
    counting = _Counting()
    with counting:
        step()
    return counting.tally


def _step(size: int, batch_size: int, precision: Precision) -> Callable[[], None]:
    net = StudentNet(num_classes=_CLASSES).train()
    for module in net.modules():  # what a GPU runs
        if isinstance(module, nn.Conv2d):
            module.__class__ = nn.Conv2d
        elif isinstance(module, Stem):
            module.__class__ = nn.Sequential  # type: ignore[assignment]
    net.to(memory_format=torch.channels_last)
    optimizer = new_optimizer(net, lr=LR, weight_decay=_WEIGHT_DECAY)
    images = torch.rand(batch_size, size, size, 3).permute(0, 3, 1, 2)
    labels = torch.zeros(batch_size, dtype=torch.int64)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            logits = net(images)
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def main() -> None:
    """Run the experiment and print what came of it."""
    asked = tyro.cli(Count)
    print(f"a step of {asked.batch_size} images, torch {torch.__version__}")
    for size in asked.sizes:
        full, half = (count(size, asked.batch_size, name) for name in ("fp32", "bf16"))
        further, saved = half.operations - full.operations, full.moved - half.moved
        launches = (f"{saved / further / card / 1e6:.1f} µs at {card:g} TB/s" for card in _CARDS)
        print(
            f"{size:4} px: fp32 {full.operations} operations, {full.moved / 1e9:.2f} GB; "
            f"bf16 {half.operations}, {half.moved / 1e9:.2f} GB; pays below {', '.join(launches)}"
        )


if __name__ == "__main__":
    main()
