"""Any network as an `Architecture`, by its dependency graph."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models import Normalization, normalized
from pruning.admission import check_again, check_parts
from pruning.errors import UnprunableError
from pruning.grouping import find_groups
from pruning.groups import ChannelGroup, channel_counts, in_multiples
from pruning.narrow import (
    Factory,
    Tally,
    build_narrow,
    build_without_weights,
    count_bytes,
    count_parameters,
    shrink,
)
from pruning.verification import verify_narrow, verify_wide


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GraphArchitecture:
    """A network of a factory as an `Architecture`; make it by `of`.

    Every group of channels that can be cut is a block, in the order of the network's layers.

    Attributes:
        factory: Builds the root.
        channels: The groups' channels in the root.
        num_classes: Size of the output.
        round_to: Counts that follow from a width are multiples of it, where the root's allows.
        normalization: What networks do with their images first, if anything.
    """

    factory: Factory
    channels: tuple[int, ...]
    num_classes: int
    round_to: int
    _groups: tuple[ChannelGroup, ...]
    _parameters: Tally
    _bytes: Tally
    normalization: Normalization | None = None

    @classmethod
    def of(cls, factory: Factory, *, image_size: int, round_to: int = 1) -> Self:
        """Find the groups of a factory's network, and try out that it can be cut.

        The caller's random numbers are left as they are.

        Args:
            factory: Builds the network; images (N, 3, H, W) to logits (N, classes).
            image_size: Side of the square images that it is meant for.
            round_to: Multiples in which a width leaves channels, at least one of them.

        Raises:
            UnprunableError: The network cannot be run, followed or cut.
        """
        if round_to < 1:
            raise UnprunableError(f"channels are left in multiples of 1 or more, not {round_to}.")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = factory.build()
            check_parts(net)
            num_classes = verify_wide(net, image_size)
            shadow = _shadow(factory, image_size)
            check_again(net, factory.build() if shadow is None else shadow)
            groups = find_groups(net if shadow is None else shadow, image_size)
            counts = channel_counts(net.state_dict(), groups)
            architecture = cls(
                factory=factory,
                channels=tuple(counts[group.block] for group in groups),
                num_classes=num_classes,
                round_to=round_to,
                _groups=groups,
                _parameters=count_parameters(net, groups),
                _bytes=count_bytes(net, groups),
            )
            verify_narrow(net, architecture.build(architecture._uneven()), groups, image_size)
        return architecture

    def normalizing(self, normalization: Normalization | None) -> Self:
        """The same networks, but for what they do with their images first."""
        return replace(self, normalization=normalization)

    def channels_at(self, width_mult: float, of: Sequence[int] | None = None) -> tuple[int, ...]:
        """Every group at its share, rounded down to a multiple of `round_to`, at least one."""
        return tuple(
            in_multiples(int(count * width_mult), count, self.round_to)
            for count in (self.channels if of is None else of)
        )

    def _uneven(self) -> list[int]:
        """A half or a third of each group's channels: few that must be alike are so by chance."""
        return [-(-count // (2 + block % 2)) for block, count in enumerate(self.channels)]

    def build(self, channels: Sequence[int]) -> nn.Module:
        """A fresh network: the factory's own at the root's counts, else as `build_narrow` says."""
        if tuple(channels) == self.channels:
            net = self.factory.build()
        else:
            net = build_narrow(self.factory, self._groups, channels)
        return normalized(net, self.normalization)

    def groups(self) -> tuple[ChannelGroup, ...]:
        """One group per block."""
        return self._groups

    def params(self, channels: Sequence[int]) -> int:
        """Parameters, frozen ones among them."""
        return self._parameters(channels)

    def size_bytes(self, channels: Sequence[int]) -> int:
        """Bytes of the state dict."""
        return self._bytes(channels)

    def macs(self, channels: Sequence[int], image_size: int) -> int:
        """Multiply-adds of convolutions and matrix products for one image."""
        return _macs(self, tuple(channels), image_size)


@lru_cache(maxsize=4096)
def _macs(architecture: GraphArchitecture, channels: tuple[int, ...], image_size: int) -> int:
    net = _shadow(architecture.factory, image_size)
    if net is None:
        net = architecture.build(channels)
    else:
        shrink(net, architecture.groups(), channels)
    with FlopCounterMode(display=False) as counter:
        _look_at_an_image(net, image_size)
    return int(counter.get_total_flops()) // 2


def _shadow(factory: Factory, image_size: int) -> nn.Module | None:
    """The network without weights; None if it needs their values to run, as few do."""
    net = build_without_weights(factory)
    if net is None:
        return None
    try:
        _look_at_an_image(net, image_size)
    except Exception:  # others' code may do anything with values
        return None
    return net


def _look_at_an_image(net: nn.Module, image_size: int) -> None:
    device = next(net.parameters()).device
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, image_size, image_size, device=device))
