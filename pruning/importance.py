"""How important a channel is, and which ones to keep."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from pruning.errors import TransplantError
from pruning.groups import (
    Activation,
    Architecture,
    ChannelGroup,
    channel_counts,
    places_of,
    transplant,
)
from pruning.layers import BATCH_NORMS

Importance: TypeAlias = Literal["gamma", "signed-gamma", "response"]
"""`gamma`: |γ|, as in the Network Slimming paper (arXiv:1708.06519, section 3).
`signed-gamma`: γ with its sign, as in the notebook; it drops strong negative channels.
`response`: how much a channel varies behind the activation that follows its batch norm. Under
|γ|, channels that a shift β keeps on the activation's flat sides are important; networks of few
channels end with nothing but these, and do not learn again (Kang and Han, "Operation-aware soft
channel pruning using differentiable masks", ICML 2020, section 3, of the observation). Where the
activation is not known, |γ| up to a factor."""

_LEVELS = 1024  # of the standard normal distribution, of equal probability


def channel_scores(
    net: nn.Module, groups: Sequence[ChannelGroup], importance: Importance
) -> list[Tensor]:
    """For each group the importance of its channels, shape (channels,); higher is more.

    A channel that passes through several batch norms, as the sums of a residual network do, or at
    several places of one, has the mean of its scores at all of them: so groups with many norms
    and with one compare. Channels that pass through none are ranked by `path_norms`. Other rules
    were no better on two networks: experiments/rounds/group_importance.txt.
    """
    state = net.state_dict()
    counts = channel_counts(state, groups)
    return [
        _norm_scores(net, group, counts, importance)
        if group.norms
        else path_norms(state, group, counts)
        for group in groups
    ]


def _norm_scores(
    net: nn.Module, group: ChannelGroup, counts: Mapping[int, int], importance: Importance
) -> Tensor:
    places, scores = places_of(group, counts), []
    for name in group.norms:
        score = _norm_score(*scale_and_shift(net, name), group.activation, importance)
        at = places[f"{name}.weight", 0]
        scores.append(score[:, None] if at is None else score[at.to(score.device)])
    return torch.cat(scores, dim=1).mean(1)


def _norm_score(
    scale: Tensor, shift: Tensor, activation: Activation | None, importance: Importance
) -> Tensor:
    if importance == "response":
        return response(scale, shift, activation)
    return scale.abs() if importance == "gamma" else scale


def response(scale: Tensor, shift: Tensor, activation: Activation | None) -> Tensor:
    """Standard deviations (channels,) of what leaves an activation behind a batch norm.

    The outputs of a batch norm are taken to be Gaussian, of mean β and standard deviation |γ|.

    Args:
        scale: γ (channels,).
        shift: β (channels,).
        activation: What they go through, element by element; None is nothing.
    """
    places = (torch.arange(_LEVELS, dtype=torch.float64) + 0.5) / _LEVELS
    levels = torch.special.ndtri(places).to(scale.device)
    outputs = shift.double()[:, None] + scale.double()[:, None] * levels
    return (outputs if activation is None else activation(outputs)).std(dim=1, correction=0)


def scale_and_shift(net: nn.Module, name: str) -> tuple[Tensor, Tensor]:
    """γ and β of a batch norm (channels,) each, detached.

    Raises:
        TransplantError: The module of that name is none.
    """
    norm = net.get_submodule(name)
    if not isinstance(norm, BATCH_NORMS):
        raise TransplantError(f"{name} is a {type(norm).__name__}, no batch norm")
    return norm.weight.detach(), norm.bias.detach()


def path_norms(
    tensors: Mapping[str, Tensor], group: ChannelGroup, counts: Mapping[int, int]
) -> Tensor:
    """What weights alone tell of a group's channels (channels,).

    For each channel, the product of the norms of the weights that make it and of those that read
    it: scaling the one up and the other down, which changes no output, changes no norm.
    """
    norms = []
    for (name, axis), at in places_of(group, counts).items():
        if tensors[name].dim() > 1:
            weight = tensors[name].transpose(0, axis)
            rows = weight if at is None else weight[at.to(weight.device)]
            norms.append(rows.flatten(1).norm(dim=1))
    return torch.stack(norms).prod(0)


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
