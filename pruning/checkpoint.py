"""Trained StudentNets, of any width, from files that others wrote."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models import StudentNet
from pruning.errors import CheckpointError
from pruning.weights import read_weights

_BLOCKS = 8


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Checkpoint:
    """A trained StudentNet.

    Attributes:
        channels: The eight blocks' channels.
        num_classes: Size of the output.
        tensors: Exactly the state dict of `StudentNet(channels=…, num_classes=…)`, in its order:
            contiguous, on the CPU, float32; batch norms' counters int64.
        sha256: Of the tensors. The same weights have the same digest, whatever file they are in.
    """

    channels: tuple[int, ...]
    num_classes: int
    tensors: Mapping[str, Tensor]
    sha256: str


def read_checkpoint(path: Path) -> Checkpoint:
    """The StudentNet whose weights a file holds, such as the notebook's; see `read_weights`.

    Raises:
        CheckpointError: The file cannot be read, needs code to be read, or holds anything but
            the finite weights of one StudentNet.

    Source: notebook, `student_custom_small.bin` and `custom_small_rate_*.bin`.
    """
    weights = read_weights(
        path,
        _skeleton((1,) * _BLOCKS, 1),
        lambda state: _skeleton(*_widths(state)),
        kind="StudentNet",
    )
    channels, num_classes = _widths(weights.tensors)
    return Checkpoint(
        channels=channels,
        num_classes=num_classes,
        tensors=weights.tensors,
        sha256=weights.sha256,
    )


def _widths(state: Mapping[str, Tensor]) -> tuple[tuple[int, ...], int]:
    """Channels of the blocks and number of classes, as the leading sides of the weights."""
    blocks = [f"cnn.{block}.3.weight" for block in range(1, _BLOCKS)]
    *channels, num_classes = (
        _leading_side(name, state[name]) for name in ["cnn.0.0.weight", *blocks, "fc.0.weight"]
    )
    return tuple(channels), num_classes


def _leading_side(name: str, tensor: Tensor) -> int:
    if tensor.dim() == 0 or len(tensor) == 0:
        raise CheckpointError(
            f"holds no StudentNet: {name} has shape {tuple(tensor.shape)}, "
            "expected at least one channel."
        )
    return len(tensor)


def _skeleton(channels: tuple[int, ...], num_classes: int) -> dict[str, Tensor]:
    """The state dict of such a net in shapes and types alone."""
    with torch.device("meta"):
        return dict(StudentNet(channels=channels, num_classes=num_classes).state_dict())
