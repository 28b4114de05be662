r"""By what channels of networks other than StudentNet are ranked, where γ alone does not say it.

Claim: where a channel passes through several batch norms, the mean of |γ| over them keeps, once
fine-tuned, as much accuracy as any rule tried here; where it passes through none, the product of
the norms of what makes and of what reads it keeps more than either alone.

    python -m experiments.rounds.group_importance --data-root DIR

DIR has Fashion-MNIST's idx files, of which some images are learnt by networks of torchvision's.
Each is cut once to a share of its width by each rule, and takes its batch-norm statistics anew:
that is "cut". Then it is fine-tuned: "tuned". Printed are validation accuracies, one a seed of
root, cut and fine-tuning. How to read it: `random` is what no rule has.

Result: group_importance.txt.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import TypeAlias

import torch
import tyro
from torch import Tensor, nn

from data import DataSource, ImageData
from experiments.instruments.hardware import hardware_line
from experiments.instruments.subset import open_subset
from experiments.rounds.bench import trained_accuracy
from models import NamedNetwork
from pruning import ChannelGroup, GraphArchitecture, Recipe, evaluate, recalibrate
from pruning.groups import channel_counts, places_of, transplant
from pruning.importance import keep_channels, path_norms, scale_and_shift

_IMAGE_SIZE = 32
_CLASSES = 10

Rule: TypeAlias = Callable[[nn.Module, ChannelGroup, Mapping[int, int]], Tensor]
"""Ranks the channels (channels,) of a group; higher is more important."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Compare rules by which channels of several places are ranked."""

    data_root: Path
    """Of Fashion-MNIST's idx files."""
    networks: tuple[str, ...] = ("resnet18", "squeezenet1_1")
    """Of torchvision's."""
    rates: tuple[float, ...] = (0.3, 0.6)
    """Share of the width that is kept."""
    seeds: tuple[int, ...] = (1, 2, 3)
    root_epochs: int = 15
    root_lr: float = Recipe().root_lr
    """Networks without batch norms need a lower one."""
    epochs: int = 3
    lr: float = 4e-3
    train: int = 2000
    validation: int = 2000


def _scores_of_norms(
    net: nn.Module, group: ChannelGroup, counts: Mapping[int, int], norms: tuple[str, ...]
) -> Tensor:
    """|γ| of a group's channels at all their places in some norms, (channels, places)."""
    places = places_of(group, counts)
    found = []
    for name in norms:
        score, at = scale_and_shift(net, name)[0].abs(), places[f"{name}.weight", 0]
        found.append(score[:, None] if at is None else score[at])
    return torch.cat(found, dim=1)


def _by_norms(reduce: Callable[[Tensor], Tensor]) -> Rule:
    return lambda net, group, counts: reduce(_scores_of_norms(net, group, counts, group.norms))


def _first_norm(net: nn.Module, group: ChannelGroup, counts: Mapping[int, int]) -> Tensor:
    return _scores_of_norms(net, group, counts, group.norms[:1]).mean(1)


def _product(net: nn.Module, group: ChannelGroup, counts: Mapping[int, int]) -> Tensor:
    return path_norms(net.state_dict(), group, counts)


def _side(axis: int) -> Rule:
    """Norms of the weights that make the channels (axis 0), or that read them (axis 1)."""

    def rule(net: nn.Module, group: ChannelGroup, counts: Mapping[int, int]) -> Tensor:
        state = net.state_dict()
        squares = []
        for (name, along), at in places_of(group, counts).items():
            if state[name].dim() > 1 and along == axis:
                weight = state[name].transpose(0, axis)
                rows = weight if at is None else weight[at]
                squares.append(rows.flatten(1).square().sum(1))
        return torch.stack(squares).sum(0)

    return rule


def _random(_: nn.Module, group: ChannelGroup, counts: Mapping[int, int]) -> Tensor:
    return torch.rand(counts[group.block])


_MEAN = _by_norms(lambda scores: scores.mean(1))
_RULES: dict[str, tuple[Rule, Rule]] = {
    "ours": (_MEAN, _product),
    "max": (_by_norms(lambda scores: scores.amax(1)), _product),
    "first": (_first_norm, _product),
    "product": (_product, _product),
    "makers": (_MEAN, _side(0)),
    "readers": (_MEAN, _side(1)),
    "random": (_random, _random),
}
"""For groups with batch norms, and for those without."""

_FOR_SEVERAL = ("ours", "max", "first", "product", "random")
_FOR_NONE = ("ours", "makers", "readers", "random")


def main(asked: Comparison) -> None:
    """Run the comparison and print it."""
    torch.set_num_threads(1)
    data = open_subset(
        DataSource(data="fashion-mnist", data_root=asked.data_root, image_size=_IMAGE_SIZE),
        train_images=asked.train,
        validation_images=asked.validation,
    )
    print(hardware_line())
    print(asked)
    for name in asked.networks:
        network = NamedNetwork.found(f"torchvision:{name}", _CLASSES)
        _compare(GraphArchitecture.of(network, image_size=_IMAGE_SIZE), data, name, asked)


def _compare(
    architecture: GraphArchitecture, data: ImageData, name: str, asked: Comparison
) -> None:
    groups = architecture.groups()
    several = sum(len(group.norms) > 1 for group in groups)
    none = sum(not group.norms for group in groups)
    print(f"{name}: {len(groups)} groups, {several} with several norms, {none} with none")
    names = _FOR_SEVERAL if several else _FOR_NONE
    found: dict[tuple[float, str], list[tuple[float, float]]] = {}
    for seed in asked.seeds:
        torch.manual_seed(seed)
        root = architecture.build(architecture.channels)
        accuracy = trained_accuracy(
            root, data, epochs=asked.root_epochs, lr=asked.root_lr, seed=seed
        )
        print(f"  seed {seed}: root {accuracy:.4f}", flush=True)
        for rate, rule in product(asked.rates, names):
            torch.manual_seed(seed)
            net = _cut(root, architecture, rate, *_RULES[rule])
            recalibrate(net, data, generator=torch.Generator().manual_seed(seed))
            cut = evaluate(net, data.validation, _IMAGE_SIZE).accuracy
            tuned = trained_accuracy(net, data, epochs=asked.epochs, lr=asked.lr, seed=seed)
            found.setdefault((rate, rule), []).append((cut, tuned))
    for (rate, rule), pairs in found.items():
        for what, values in zip(("cut", "tuned"), zip(*pairs, strict=True), strict=True):
            shown = " ".join(f"{value:.4f}" for value in values)
            print(f"  {rate:g} {rule:<8} {what:<6} mean {fmean(values):.4f}  {shown}", flush=True)


def _cut(
    root: nn.Module, architecture: GraphArchitecture, rate: float, normed: Rule, bare: Rule
) -> nn.Module:
    groups = architecture.groups()
    counts = channel_counts(root.state_dict(), groups)
    channels = architecture.channels_at(rate)
    scores = [(normed if group.norms else bare)(root, group, counts) for group in groups]
    kept = keep_channels(scores, [channels[group.block] for group in groups])
    return transplant(root, architecture.build(channels), groups, kept)


if __name__ == "__main__":
    main(tyro.cli(Comparison))
