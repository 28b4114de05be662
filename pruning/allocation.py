"""How many channels a round leaves of each block: the same share of all, or what γ says."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pruning.groups import Architecture
from pruning.importance import Importance, channel_scores
from pruning.rounds import Schedule, width_mult

FLOOR = 0.5
"""Of the channels that the uniform rule would leave of a block, the share that it keeps in any
case; measured by `experiments/rounds/allocation.py`. If you change it, raise `RECIPE_VERSION`."""


def allocate(
    net: nn.Module,
    architecture: Architecture,
    channels: Sequence[int],
    schedule: Schedule,
    importance: Importance = "gamma",
    *,
    floor: float = FLOOR,
) -> tuple[int, ...]:
    """Channel counts that the last round of a schedule leaves.

    The *uniform rule* scales the root's counts by the running product of the rates, as the
    notebook does, for as long as the network keeps to it. After a global round it scales the
    network's own counts by the round's rate.

    A global round keeps as many channels as the uniform rule does in all, for as long as the
    network's total keeps to that rule: the most important ones of all prunable blocks together,
    of each block at least `floor` times what the uniform rule leaves of it. Blocks whose channels
    pass through no batch norm have no γ to be compared by, and keep to the uniform rule.

    Args:
        net: The network that is to be pruned.
        architecture: What knows the network's channel groups.
        channels: Its channel counts.
        schedule: All rounds from the root on; the last one is to be run.
        importance: The ranking of channels, within a block and between blocks.
        floor: In [0, 1]; of a global round.

    Returns:
        The counts, nowhere above the present ones.

    Example:
        Of (…, 4, 4, …) channels a global round of rate 0.5 keeps 4. With |γ| of (9, 8, 7, 6) and
        (5, 4, 3, 2) it keeps (9, 8, 7) and (5): a floor of 0.5 is one channel.

    Source: notebook, training loop; Network Slimming, arXiv:1708.06519, section 3, whose
    threshold has no floor.
    """
    uniform = _uniform(architecture, channels, schedule)
    groups = [group for group in architecture.groups() if group.batch_norm is not None]
    if schedule[-1].allocation == "uniform" or not groups:
        return uniform
    least = architecture.channels_at(0)  # of a block that is not pruned, all its channels
    floors = [
        min(now, max(fewest, int(floor * count)))
        for now, fewest, count in zip(channels, least, uniform, strict=True)
    ]
    counts = most_important(
        channel_scores(net, groups, importance),
        [floors[group.block] for group in groups],
        total=sum(uniform[group.block] for group in groups),
    )
    left = list(uniform)
    for group, count in zip(groups, counts, strict=True):
        left[group.block] = count
    return tuple(left)


def most_important(scores: Sequence[Tensor], floors: Sequence[int], *, total: int) -> list[int]:
    """How many channels each group has among the most important ones of all groups.

    Args:
        scores: For each group, the importance of its channels, shape (channels,); higher is
            more important. Of equal scores those of the earlier group are kept.
        floors: For each group, how many of its best channels are kept in any case.
        total: How many channels are kept; at least the floors together, at most all there are.

    Returns:
        The counts; they add up to `total`.
    """
    ranked = [torch.sort(score, descending=True).values for score in scores]
    above = [score[floor:] for score, floor in zip(ranked, floors, strict=True)]
    group_of = torch.cat([torch.full((len(score),), at) for at, score in enumerate(above)])
    order = torch.argsort(torch.cat(above), descending=True, stable=True)
    chosen = group_of[order.cpu()[: total - sum(floors)]]
    return [floor + int((chosen == at).sum()) for at, floor in enumerate(floors)]


def _uniform(
    architecture: Architecture, channels: Sequence[int], schedule: Schedule
) -> tuple[int, ...]:
    """What the uniform rule leaves: of the root's counts, or of the network's own.

    A uniform round needs the network to have the counts that the rule gives, a global one only
    as many channels in all.
    """
    *earlier, round_ = schedule
    planned = architecture.channels_at(width_mult(earlier))
    if round_.allocation == "uniform":
        by_rule = tuple(channels) == planned
    else:
        by_rule = sum(channels) == sum(planned)
    if by_rule:
        return architecture.channels_at(width_mult(schedule))
    return architecture.channels_at(round_.rate, of=channels)
