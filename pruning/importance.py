"""How important a channel is, and which ones to keep."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from pruning.errors import TransplantError
from pruning.groups import (
    Architecture,
    ChannelGroup,
    batch_norm_scale,
    path_norms,
    transplant,
)

Importance: TypeAlias = Literal["gamma", "signed-gamma"]
"""`gamma`: |γ|, as in the Network Slimming paper (arXiv:1708.06519, section 3).
`signed-gamma`: γ with its sign, as in the notebook; it drops strong negative channels."""

SCORES: Mapping[Importance, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"gamma": torch.abs, "signed-gamma": torch.clone}
)


def channel_scores(
    net: nn.Module, groups: Sequence[ChannelGroup], importance: Importance
) -> list[Tensor]:
    """For each group the importance of its channels, shape (channels,); higher is more.

    Channels that pass through no batch norm are ranked by `path_norms`.
    """
    return [
        path_norms(net, group)
        if group.batch_norm is None
        else SCORES[importance](batch_norm_scale(net, group.batch_norm))
        for group in groups
    ]


def keep_channels(scores: Sequence[Tensor], counts: Sequence[int]) -> list[Tensor]:
    """Choose the most important channels of each group.

    Args:
        scores: For each group, the importance of its channels, shape (channels,); higher is
            more important. Equal scores keep the lower index.
        counts: For each group, how many channels to keep.

    Returns:
        For each group the indices kept, int64, the most important first.

    Raises:
        TransplantError: A group is asked for more channels than it has.
    """
    for score, count in zip(scores, counts, strict=True):
        if count > len(score):
            raise TransplantError(f"{count} channels were asked of a group that has {len(score)}")
    return [
        torch.argsort(score, descending=True, stable=True)[:count]
        for score, count in zip(scores, counts, strict=True)
    ]


def slim(
    net: nn.Module,
    architecture: Architecture,
    channels: Sequence[int],
    importance: Importance = "gamma",
) -> nn.Module:
    """A new, narrower network that keeps the most important channels of `net`.

    With `channels` equal to the present ones the new network computes the same function, its
    channels reordered.

    Args:
        net: A network of this architecture; left as it is.
        architecture: What knows the network's channel groups.
        channels: The channel counts wanted, nowhere above the present ones.
        importance: The ranking of channels within a group.

    Returns:
        The new network, in `net`'s training mode and on its device.

    Raises:
        TransplantError: The target is wider than the source, or differs where it cannot.

    Source: Network Slimming, arXiv:1708.06519; notebook, `network_slimming`.
    """
    groups = architecture.groups()
    scores = channel_scores(net, groups, importance)
    target = architecture.build(channels).to(scores[0].device)
    kept = keep_channels(scores, [channels[group.block] for group in groups])
    return transplant(net, target, groups, kept).train(net.training)
