"""Makes channel groups of traced channels."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TypeAlias

from torch import nn

from pruning.admission import of_stubborn_layers
from pruning.errors import UnprunableError
from pruning.groups import ChannelGroup, Part, SharedAxis, is_own
from pruning.layers import BATCH_NORMS
from pruning.tracing import Labels, TracedAxis, trace

_Signature: TypeAlias = tuple[tuple[int, int], ...]  # (which axis, how many places)


def find_groups(net: nn.Module, image_size: int) -> tuple[ChannelGroup, ...]:
    """The groups of channels of a network that can be cut, in the order of its layers.

    Channels that have as many places on the same axes are one group.

    Args:
        net: The network; its tensors may be on the meta device, since only shapes matter.
        image_size: Side of the square images that it is meant for.

    Raises:
        UnprunableError: The network cannot be followed, has no such group, or one whose channels
            lie in another order somewhere.
    """
    axes = trace(net, image_size)
    members = _members(axes)
    place = {
        label: (block, at) for block, one in enumerate(members) for at, label in enumerate(one)
    }
    sizes = [len(one) for one in members]
    ties: dict[int, list[tuple[str, int]]] = defaultdict(list)
    shared: dict[int, list[SharedAxis]] = defaultdict(list)
    for tensor, axis, labels in axes:
        parts = tuple(_parts(tensor, labels, place, sizes))
        owners = {owner for owner, _ in parts if owner is not None}
        for owner in owners:
            if parts == (Part(owner, 1),):
                ties[owner].append((tensor, axis))
            else:
                shared[owner].append(SharedAxis(tensor=tensor, axis=axis, parts=parts))
    groups = tuple(_group(net, block, ties[block], shared[block]) for block in range(len(sizes)))
    _check(net, groups)
    return groups


def _members(axes: Sequence[TracedAxis]) -> list[list[int]]:
    """For each group the labels of its channels, in the order in which they first appear."""
    places: dict[int, dict[int, int]] = {}
    for number, (*_, labels) in enumerate(axes):
        for label in labels[labels >= 0].tolist():
            on = places.setdefault(label, {})
            on[number] = on.get(number, 0) + 1
    groups: dict[_Signature, list[int]] = defaultdict(list)
    for label, on in places.items():
        groups[tuple(on.items())].append(label)
    return [members for members in groups.values() if len(members) > 1]


def _parts(
    tensor: str, labels: Labels, place: Mapping[int, tuple[int, int]], sizes: Sequence[int]
) -> Iterator[Part]:
    """What lies along an axis.

    Raises:
        UnprunableError: A group's channels are not in their order.
    """
    owners = [place.get(label, (None, 0)) for label in labels.tolist()]
    runs = [(owner, len(list(same))) for owner, same in groupby(owners)]
    at = 0
    while at < len(runs):
        (block, _), width = runs[at]
        channels = 1 if block is None else sizes[block]
        if runs[at : at + channels] != [((block, one), width) for one in range(channels)]:
            raise UnprunableError(
                f"{tensor}: the channels that it shares with other layers lie in another order "
                "there, as after a shuffle; such a network cannot be pruned here."
            )
        yield Part(block, width)
        at += channels


def _group(
    net: nn.Module, block: int, ties: Sequence[tuple[str, int]], shared: Sequence[SharedAxis]
) -> ChannelGroup:
    tensors = [name for name, _ in ties] + [axis.tensor for axis in shared]
    layers = {name.rpartition(".")[0] for name in tensors}
    norms = [
        name
        for name, module in net.named_modules()
        if name in layers and isinstance(module, BATCH_NORMS)
    ]
    return ChannelGroup(
        block=block,
        batch_norm=norms[0] if norms else None,
        ties=tuple(ties),
        shared=tuple(shared),
        further_norms=tuple(norms[1:]),
    )


def _check(net: nn.Module, groups: Sequence[ChannelGroup]) -> None:
    if not groups:
        raise UnprunableError(
            f"{type(net).__name__} has no channels that can be cut: all of them reach its output, "
            f"an operation that takes channels by number{of_stubborn_layers(net)}."
        )
    for group in groups:
        if not group.ties and not any(is_own(axis, group.block) for axis in group.shared):
            raise UnprunableError(
                f"{group.shared[0].tensor}: its channels lie beside others' everywhere, so that "
                "they cannot be counted; such a network cannot be pruned here."
            )
