"""Builds narrow networks of what builds the wide one, and counts their parameters."""

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pruning.groups import ChannelGroup, Part, cut
from pruning.layers import KINDS, replace

_Integers = npt.NDArray[np.int64]


class Factory(Protocol):
    """Builds a network; to travel to other processes it must be picklable."""

    def build(self) -> nn.Module:
        """The whole network, freshly initialised, on the CPU."""


def build_without_weights(factory: Factory) -> nn.Module | None:
    """The network with no memory for its weights (on the meta device); None if it needs them."""
    try:
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("error")
            net = factory.build()
    except Exception:  # others' code may do anything with the values of its weights
        return None
    on_meta = all(tensor.is_meta for tensor in (*net.parameters(), *net.buffers()))
    return net if on_meta else None


def build_narrow(
    factory: Factory, groups: Sequence[ChannelGroup], channels: Sequence[int]
) -> nn.Module:
    """A freshly initialised network with these channel counts, which alone decide its shape.

    Layers are initialised as PyTorch initialises such layers by default, tensors of no layer as
    those of the wide network's first channels.
    """
    net = build_without_weights(factory)
    if net is None or not all(map(_fills_itself, net.modules())):
        net = factory.build()
    shrink(net, groups, channels)
    if any(parameter.is_meta for parameter in net.parameters()):
        net.to_empty(device="cpu")
    for module in net.modules():
        if isinstance(module, KINDS):
            module.reset_parameters()
    return net


def shrink(net: nn.Module, groups: Sequence[ChannelGroup], channels: Sequence[int]) -> None:
    """Leave a network the first channels of each group."""
    state = net.state_dict()
    kept = [torch.arange(channels[group.block]) for group in groups]
    narrow: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in cut(state, groups, kept).items():
        if tensor.shape != state[name].shape:
            owner, _, own_name = name.rpartition(".")
            narrow[owner][own_name] = tensor
    for owner, tensors in narrow.items():
        replace(net.get_submodule(owner), tensors)


def _fills_itself(module: nn.Module) -> bool:
    """Whether a module has no tensors but those that `reset_parameters` fills."""
    has_tensors = any(
        tensor is not None for tensor in (*module._parameters.values(), *module._buffers.values())
    )
    own = isinstance(module, KINDS) and type(module).__module__.startswith("torch.nn.")
    return own or not has_tensors


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tally:
    """A total over a network's tensors as a function of its channel counts.

    A tensor has as many values as the product of its axes' sizes, each of them a constant and a
    multiple of each block's channels; at most two of them vary.

    Attributes:
        constant: For each tensor, the product of the sizes that do not vary and of its weight.
        axes: For each tensor its two varying axes, rows of `offset` and `slope`; the last row
            is of size 1 and stands for none.
        offset: For each varying axis, the places that are nobody's.
        slope: For each varying axis and block, the places of each channel.
    """

    constant: _Integers
    axes: _Integers
    offset: _Integers
    slope: _Integers

    def __call__(self, channels: Sequence[int]) -> int:
        """The total at these counts."""
        sizes = self.offset + self.slope @ np.asarray(channels, dtype=np.int64)
        return int((self.constant * sizes[self.axes].prod(1)).sum())


def count_parameters(net: nn.Module, groups: Sequence[ChannelGroup]) -> Tally:
    """The parameters of a network, which is whole; frozen ones among them."""
    parameters = dict(net.named_parameters())
    return _tally(parameters, groups, dict.fromkeys(parameters, 1))


def count_bytes(net: nn.Module, groups: Sequence[ChannelGroup]) -> Tally:
    """The bytes of the state dict of a network, which is whole."""
    state = net.state_dict()
    return _tally(state, groups, {name: tensor.itemsize for name, tensor in state.items()})


def _tally(
    tensors: Mapping[str, Tensor], groups: Sequence[ChannelGroup], weights: Mapping[str, int]
) -> Tally:
    parts: dict[tuple[str, int], tuple[Part, ...]] = {}
    for group in groups:
        parts |= dict.fromkeys(group.ties, (Part(group.block, 1),))
        parts |= {(one.tensor, one.axis): one.parts for one in group.shared}
    rows = {key: row for row, key in enumerate(parts)}
    offset = np.zeros(len(rows) + 1, dtype=np.int64)
    slope = np.zeros((len(rows) + 1, len(groups)), dtype=np.int64)
    offset[-1] = 1
    for key, row in rows.items():
        for block, places in parts[key]:
            if block is None:
                offset[row] += places
            else:
                slope[row, block] += places
    constant, axes = [], []
    for name, tensor in tensors.items():
        varying = [axis for axis in range(tensor.dim()) if (name, axis) in rows]
        sizes = [size for axis, size in enumerate(tensor.shape) if axis not in varying]
        constant.append(weights[name] * int(np.prod(sizes, dtype=np.int64)))
        axes.append(([rows[name, axis] for axis in varying] + [-1, -1])[:2])
    return Tally(constant=np.array(constant), axes=np.array(axes), offset=offset, slope=slope)
