"""Channel groups: which tensors must lose a channel together, and how networks are narrowed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from pruning.errors import TransplantError


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelGroup:
    """Channels that live and die together.

    Attributes:
        block: Where, in the architecture's list of channel counts, these channels are counted.
        batch_norm: Name of the batch norm whose scale γ tells the channels' importance; None where
            the channels pass through none.
        ties: (tensor name, axis) of every place in the state dict that holds these channels.

    Example:
        The output channels of StudentNet's block 3 are the outputs of its pointwise
        convolution, every channel of block 4's depthwise convolution and batch norm, and the
        inputs of block 4's pointwise convolution:

        ties = (("cnn.3.3.weight", 0), ("cnn.3.3.bias", 0), ("cnn.4.0.weight", 0), …,
                ("cnn.4.1.weight", 0), …, ("cnn.4.3.weight", 1))
    """

    block: int
    batch_norm: str | None
    ties: tuple[tuple[str, int], ...]


class Architecture(Protocol):
    """All that pruning needs to know of a kind of network.

    Widths are a list of channel counts, one per block; which of them pruning may change, and
    how they follow from a width multiplier, is the architecture's own business.
    """

    @property
    def channels(self) -> tuple[int, ...]:
        """Channel counts of the root, the network that is pruned."""

    def channels_at(self, width_mult: float, of: Sequence[int] | None = None) -> tuple[int, ...]:
        """Channel counts at a width relative to those `of` a network, by default the root.

        They are the network's own at 1, nowhere more below, and the least possible ones at 0.
        """

    def build(self, channels: Sequence[int]) -> nn.Module:
        """A freshly initialised network with these channel counts."""

    def groups(self) -> tuple[ChannelGroup, ...]:
        """The channel groups, in one order for every width."""

    def params(self, channels: Sequence[int]) -> int:
        """Trainable parameters of such a network."""

    def size_bytes(self, channels: Sequence[int]) -> int:
        """Bytes of such a network's fp32 state dict, buffers included."""

    def macs(self, channels: Sequence[int], image_size: int) -> int:
        """Multiply-adds of such a network on one square image."""


def transplant(
    source: nn.Module,
    target: nn.Module,
    groups: Sequence[ChannelGroup],
    kept: Sequence[Tensor],
) -> nn.Module:
    """Give `target` the weights that `source` has at the kept channels.

    Args:
        source: The wide network; left as it is.
        target: A network of the same kind, nowhere wider; its weights are overwritten.
        groups: The channel groups of both networks.
        kept: For each group, the 1-D int64 indices of the source's channels that the target
            gets, in the target's order.

    Returns:
        `target`.

    Raises:
        TransplantError: A kept selection does not have the target's shape.

    Source: notebook, `network_slimming`.
    """
    tensors = dict(source.state_dict())
    for group, indices in zip(groups, kept, strict=True):
        for name, axis in group.ties:
            tensors[name] = tensors[name].index_select(axis, indices)
    for name, tensor in target.state_dict().items():
        if tensor.shape != tensors[name].shape:
            raise TransplantError(
                f"{name}: {tuple(tensors[name].shape)} was kept of the source, "
                f"but the target needs {tuple(tensor.shape)}"
            )
    target.load_state_dict(tensors)
    return target


def batch_norm_scale(net: nn.Module, name: str) -> Tensor:
    """The scale γ (channels,) of a batch norm, detached.

    Raises:
        TransplantError: The module of that name is none.
    """
    norm = net.get_submodule(name)
    if not isinstance(norm, nn.BatchNorm2d):
        raise TransplantError(f"{name} is a {type(norm).__name__}, no batch norm")
    return norm.weight.detach()


def path_norms(net: nn.Module, group: ChannelGroup) -> Tensor:
    """What weights alone tell of a group's channels (channels,).

    For each channel, the product of the norms of the weights that make it and of those that read
    it: scaling the one up and the other down, which changes no output, changes no norm.
    """
    state = net.state_dict()
    weights = [
        state[name].transpose(0, axis) for name, axis in group.ties if state[name].dim() > 1
    ]
    return torch.stack([weight.flatten(1).norm(dim=1) for weight in weights]).prod(0)
