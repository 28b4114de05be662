"""Criteria by which the channels of a network can be ranked."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data import draw_crops, gather_train
from experiments.rounds.bench import Bench
from pruning.importance import channel_scores

Criterion: TypeAlias = Callable[[Bench, nn.Module], list[Tensor]]
"""For each channel group the importance of its channels, shape (channels,); higher is better."""


def batches(
    bench: Bench, epochs: int, generator: torch.Generator
) -> Iterable[tuple[Tensor, Tensor]]:
    """Augmented images (N, 3, H, W) in [0, 1] and labels (N,) of some epochs."""
    data = bench.data
    for _ in range(epochs):
        order = torch.randperm(len(data.train), generator=generator)
        for indices in torch.split(order, bench.batch_size):
            crops = draw_crops(
                data.train,
                indices,
                size=data.image_size,
                padding=data.padding,
                flip=data.flip,
                generator=generator,
            )
            images = gather_train(data.train, indices, crops, data.image_size)
            yield _normalized(images), data.train.labels[indices]


def _normalized(images_NHWC: Tensor) -> Tensor:  # noqa: N803
    return images_NHWC.permute(0, 3, 1, 2).float() / 255


def _gammas(bench: Bench, net: nn.Module) -> list[Tensor]:
    return channel_scores(net, bench.architecture.groups(), "signed-gamma")


def _weights(bench: Bench, net: nn.Module, axis: int) -> list[Tensor]:
    """Each group's dense weights that put its channels out (axis 0) or take them in (axis 1)."""
    state = net.state_dict()
    found = []
    for group in bench.architecture.groups():
        names = [name for name, at in group.ties if at == axis and state[name].dim() == 4]
        found.append(state[names[0]].transpose(0, axis).flatten(1))
    return found


def _filter_norm(bench: Bench, net: nn.Module) -> list[Tensor]:
    """L1 norm of the filters that put the channels out (Li et al., arXiv:1608.08710)."""
    return [weight.abs().sum(1) for weight in _weights(bench, net, 0)]


def _gamma_fan_out(bench: Bench, net: nn.Module) -> list[Tensor]:
    """|γ| times the norm of the weights that read the channel."""
    pairs = zip(_gammas(bench, net), _weights(bench, net, 1), strict=True)
    return [gamma.abs() * weight.norm(dim=1) for gamma, weight in pairs]


def _taylor(bench: Bench, net: nn.Module) -> list[Tensor]:
    """(θ · ∂loss/∂θ)², over an epoch's first batches (Molchanov et al., arXiv:1906.10771).

    θ is a channel's γ, or, where it has none, the filter that puts it out.
    """
    gates = [
        net.get_parameter(f"{group.batch_norm}.weight" if group.norms else group.ties[0][0])
        for group in bench.architecture.groups()
    ]
    sums = [torch.zeros(len(gate)) for gate in gates]
    net.eval()
    draws = torch.Generator().manual_seed(bench.seed)
    for _, (images, labels) in zip(range(20), batches(bench, 1, draws), strict=False):
        slopes = torch.autograd.grad(F.cross_entropy(net(images), labels), gates)
        for total, gate, slope in zip(sums, gates, slopes, strict=True):
            total.add_((gate.detach() * slope).view(len(gate), -1).sum(1) ** 2)
    return sums


def _response(bench: Bench, net: nn.Module) -> list[Tensor]:
    return channel_scores(net, bench.architecture.groups(), "response")


def _first(bench: Bench, net: nn.Module) -> list[Tensor]:
    """The first channels of each block, which a slimmable network has trained alone."""
    return [-torch.arange(len(gamma)) for gamma in _gammas(bench, net)]


def _random(bench: Bench, net: nn.Module) -> list[Tensor]:
    draws = torch.Generator().manual_seed(bench.seed)
    return [torch.rand(len(gamma), generator=draws) for gamma in _gammas(bench, net)]


CRITERIA: dict[str, Criterion] = {
    "gamma": lambda bench, net: [gamma.abs() for gamma in _gammas(bench, net)],
    "signed-gamma": _gammas,
    "filter-norm": _filter_norm,
    "gamma-fan-out": _gamma_fan_out,
    "taylor": _taylor,
    "response": _response,
    "first": _first,
    "random": _random,
}
