"""Other things to train a network for, by a hook on it: training itself stays the product's."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruning import ChannelGroup

Objective: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""A loss, shape (), from a batch's images (N, 3, H, W) and their logits (N, classes)."""


@contextmanager
def trained_for(
    net: nn.Module, objective: Objective, *, weight: float, labels: float = 1.0
) -> Iterator[None]:
    """Whoever trains `net` by a loss of its logits trains it for more.

    Args:
        net: The network.
        objective: What else is to become small.
        weight: Of the objective.
        labels: Weight of the loss that the trainer takes.
    """

    def beside(_: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> Tensor:
        if not logits.requires_grad:  # nothing is learnt from it
            return logits
        both: Tensor = _Beside.apply(logits, objective(inputs[0], logits), weight, labels)
        return both

    handle = net.register_forward_hook(beside)
    try:
        yield
    finally:
        handle.remove()


class _Beside(torch.autograd.Function):
    """Logits as they are, with a loss that is minimised where theirs is."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, loss: Tensor, weight: float, labels: float) -> Tensor:
        ctx.weight, ctx.labels = torch.full_like(loss, weight), labels
        return logits.view_as(logits)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None, None]:
        return ctx.labels * slope, ctx.weight, None, None


def agreement(teacher: nn.Module, temperature: float) -> Objective:
    """Divergence from a teacher's outputs, both softened, times the temperature's square.

    Args:
        teacher: Sees the same images; in evaluation mode.
        temperature: By which logits are divided, above 0.

    Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network",
    arXiv:1503.02531, section 2.
    """

    def divergence(images: Tensor, logits: Tensor) -> Tensor:
        with torch.no_grad():
            aims = F.log_softmax(teacher(images) / temperature, dim=1)
        own = F.log_softmax(logits / temperature, dim=1)
        return temperature**2 * F.kl_div(own, aims, reduction="batchmean", log_target=True)

    return divergence


def sparsity(net: nn.Module, groups: Sequence[ChannelGroup]) -> Objective:
    """Sum of |γ| over all batch norms of the groups.

    Source: Network Slimming, arXiv:1708.06519, section 3, equation 1.
    """
    names = [f"{name}.weight" for group in groups for name in group.norms]

    def sum_of_scales(_: Tensor, __: Tensor) -> Tensor:
        return torch.stack([net.get_parameter(name).abs().sum() for name in names]).sum()

    return sum_of_scales


def sandwich(
    net: nn.Module,
    groups: Sequence[ChannelGroup],
    narrower: Callable[[], Sequence[Sequence[int]]],
) -> Objective:
    """How far narrower networks that share the weights are from what the whole one puts out.

    Args:
        net: In training mode.
        groups: Its channel groups.
        narrower: Draws the narrower networks of a step: channels by block of each.

    Source: Yu and Huang, "Universally slimmable networks and improved training techniques",
    arXiv:1903.05134, algorithm 1.
    """

    def distance(images: Tensor, logits: Tensor) -> Tensor:
        aims = F.softmax(logits.detach(), dim=1)
        losses = []
        for channels in narrower():
            with first_channels(net, groups, channels):
                losses.append(F.cross_entropy(net.forward(images), aims))  # without its own hook
        return torch.stack(losses).sum()

    return distance


@contextmanager
def first_channels(
    net: nn.Module, groups: Sequence[ChannelGroup], channels: Sequence[int]
) -> Iterator[None]:
    """Let `net` compute what the network of its first `channels` (by block) would.

    Whatever puts out a group's channels puts out zeros for those that are not among the first. In
    training, where statistics are those of the batch, it is then as if the rest were not there.
    """

    def alone(count: int) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        def zeros_behind(_: nn.Module, __: Any, outputs: Tensor) -> Tensor:
            kept = torch.arange(outputs.shape[1], device=outputs.device) < count
            return outputs * kept.view(1, -1, *[1] * (outputs.dim() - 2))

        return zeros_behind

    handles = [
        net.get_submodule(name).register_forward_hook(alone(channels[group.block]))
        for group in groups
        for name in sorted({name.rpartition(".")[0] for name, axis in group.ties if axis == 0})
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
