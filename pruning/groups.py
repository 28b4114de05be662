"""Channel groups: which tensors must lose a channel together, and how networks are narrowed."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from pruning.errors import TransplantError

Activation: TypeAlias = Callable[[Tensor], Tensor]
"""What is done to each number of a tensor alone."""


class Part(NamedTuple):
    """Neighbouring places of an axis.

    Attributes:
        block: Whose channels lie there, all of them in their order; None where the places are
            nobody's and always stay.
        places: How many lie side by side: for each channel, or, where they are nobody's, in all.
    """

    block: int | None
    places: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedAxis:
    """An axis of a tensor on which a place is not just a channel.

    Attributes:
        tensor: Its name in the state dict.
        axis: Which of its axes.
        parts: What lies there, from the first place to the last.

    Example:
        Block 0 has 8 channels, block 1 has 4. A convolution that reads their concatenation:
        parts = (Part(0, 1), Part(1, 1)), 12 places. A linear layer behind block 0's flattened
        maps of 7 x 7 pixels: (Part(0, 49),), 392 places. A convolution in 2 groups that puts out
        block 1's channels twice, once a group: (Part(1, 1), Part(1, 1)), 8 places.
    """

    tensor: str
    axis: int
    parts: tuple[Part, ...]

    def index(self, block: int, counts: Mapping[int, int]) -> Tensor:
        """The places of each channel of a block, shape (channels, places a channel).

        Args:
            block: Whose.
            counts: The channels of each block that has a part.
        """
        return torch.cat([at for owner, at in self._laid_out(counts) if owner == block], dim=1)

    def kept(self, kept: Mapping[int, Tensor], counts: Mapping[int, int]) -> Tensor:
        """The places that stay, in the new order, when blocks keep these channels of theirs."""
        chosen = [at if owner is None else at[kept[owner]] for owner, at in self._laid_out(counts)]
        return torch.cat([at.flatten() for at in chosen])

    def _laid_out(self, counts: Mapping[int, int]) -> Iterator[tuple[int | None, Tensor]]:
        start = 0
        for owner, places in self.parts:
            rows = 1 if owner is None else counts[owner]
            yield owner, torch.arange(start, start + rows * places).view(rows, places)
            start += rows * places


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelGroup:
    """Channels that live and die together.

    Attributes:
        block: Where, in the architecture's list of channel counts, these channels are counted.
        batch_norm: Name of the batch norm whose scale γ tells the channels' importance; None where
            the channels pass through none.
        ties: (tensor name, axis) of every place in the state dict that holds these channels, one
            place a channel and nothing else.
        shared: Axes that hold these channels and others, or several places of each.
        further_norms: Names of the other batch norms that these channels pass through.
        activation: What the norms' outputs go through next, element by element; None where that
            is not known.

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
    shared: tuple[SharedAxis, ...] = ()
    further_norms: tuple[str, ...] = ()
    activation: Activation | None = None

    @property
    def norms(self) -> tuple[str, ...]:
        """Names of all batch norms that these channels pass through."""
        return () if self.batch_norm is None else (self.batch_norm, *self.further_norms)


def in_multiples(share: int, count: int, multiple: int) -> int:
    """How many of `count` channels a `share` of them leaves, in multiples where they allow it.

    Args:
        share: Channels that a width would leave, any multiple aside.
        count: Channels that there are.
        multiple: At least one of it is left, or all channels where there are fewer.
    """
    least = max(multiple, share // multiple * multiple)
    return count if share >= count else min(count, least)


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
        """Parameters of such a network, frozen ones among them."""

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
    tensors = cut(source.state_dict(), groups, kept)
    for name, tensor in target.state_dict().items():
        if tensor.shape != tensors[name].shape:
            raise TransplantError(
                f"{name}: {tuple(tensors[name].shape)} was kept of the source, "
                f"but the target needs {tuple(tensor.shape)}"
            )
    load_tensors(target, tensors)
    return target


def load_tensors(net: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a network the tensors of one that this same code built.

    Unlike `load_state_dict` alone it says so: some networks ask which version of theirs a state
    dict is of.
    """
    state = OrderedDict(tensors)
    state._metadata = net.state_dict()._metadata  # type: ignore[attr-defined]
    net.load_state_dict(state)


def cut(
    tensors: Mapping[str, Tensor], groups: Sequence[ChannelGroup], kept: Sequence[Tensor]
) -> dict[str, Tensor]:
    """What is left of a network's tensors when each group keeps these channels, in this order."""
    left = dict(tensors)
    counts = channel_counts(tensors, groups)
    indices = {group.block: chosen for group, chosen in zip(groups, kept, strict=True)}
    for group in groups:
        for name, axis in group.ties:
            left[name] = left[name].index_select(axis, indices[group.block])
    shared = {(one.tensor, one.axis): one for group in groups for one in group.shared}
    local = {block: chosen.cpu() for block, chosen in indices.items()} if shared else {}
    for (name, axis), one in shared.items():
        places = one.kept(local, counts).to(left[name].device)
        left[name] = left[name].index_select(axis, places)
    return left


def channel_counts(
    tensors: Mapping[str, Tensor], groups: Sequence[ChannelGroup]
) -> dict[int, int]:
    """How many channels each block has in a network with these tensors.

    Each group needs a tie, or an axis that it shares with no other.
    """
    counts = {}
    for group in groups:
        if group.ties:
            name, axis = group.ties[0]
            counts[group.block] = tensors[name].shape[axis]
            continue
        own = next(one for one in group.shared if is_own(one, group.block))
        fixed = sum(places for owner, places in own.parts if owner is None)
        a_channel = sum(places for owner, places in own.parts if owner is not None)
        counts[group.block] = (tensors[own.tensor].shape[own.axis] - fixed) // a_channel
    return counts


def is_own(axis: SharedAxis, block: int) -> bool:
    """Whether no other block has a part of this axis."""
    return {owner for owner, _ in axis.parts} <= {block, None}


def places_of(
    group: ChannelGroup, counts: Mapping[int, int]
) -> dict[tuple[str, int], Tensor | None]:
    """Where, on which axis of which tensor, each channel of a group lies.

    The places have shape (channels, places a channel); None says that place and channel are one.
    """
    plain: dict[tuple[str, int], Tensor | None] = dict.fromkeys(group.ties)
    return plain | {(one.tensor, one.axis): one.index(group.block, counts) for one in group.shared}
