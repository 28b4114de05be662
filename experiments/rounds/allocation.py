r"""Whether it pays to divide the channels that a round keeps by γ, at equal parameters and epochs.

    python -m experiments.rounds.allocation --data digits
    python -m experiments.rounds.allocation --data fashion-mnist --train-images 1500 \
        --image-size 16

For each seed a root is trained, and pruned in three rounds of one rate and two epochs each,
uniformly and globally, for gentle rates and harsh ones, with the same draws of images and
augmentation. Global rounds are run with several floors: the least share that a block keeps of what
the uniform rule would leave of it; at 0 that is one channel.

Equal rates do not give equal parameters. So a network that was pruned globally is compared with
the uniform ones of the same seed and as many rounds, and so epochs: their accuracy at its number
of parameters is interpolated, linearly over log-parameters, between those of the rates. Networks
beyond them, which there is nothing to compare with, are left out and counted. How good the
interpolation is shows in the uniform networks, each compared with the other ones, over twice the
distance and so with some four times the error. (Hypervolumes of all that the rates gave would
flatter global rounds, which leave fewer parameters.)

Printed: for each floor the mean difference in validation accuracy over the rounds of a rate and of
all rates, with a 95 % interval (Student's t over the seeds); and where the channels are left. All
networks go into a CSV file. The floor was chosen by short runs, on the digits with seeds 10 and 11
and on Fashion-MNIST with seed 0; the runs in allocation-digits.txt and
allocation-fashion-mnist.txt confirm it: without one, harsh rounds cut the last block to a channel
or two on Fashion-MNIST, whose γ are the smallest there.
"""

import math
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import tyro
from torch import nn

from experiments.instruments.spread import interval
from experiments.instruments.subset import Images
from experiments.rounds.bench import Bench
from pruning import (
    Allocation,
    Recipe,
    Round,
    allocate,
    evaluate,
    fine_tune,
    keep_freed_memory,
    recalibrate,
    slim,
)
from pruning.allocation import FLOOR

RATES, ROUNDS = (0.5, 0.6, 0.7, 0.8), 3
HARSHER = 0.45  # uniform only: equal rates leave fewer parameters after global rounds


@dataclass(frozen=True, kw_only=True, slots=True)
class AllocationRun(Images):
    """Compare uniform and global allocation on one data set."""

    image_size: int = 32
    """Side of the crops in pixels."""
    validation_images: int = 2000
    """Use at most so many validation images."""
    root_epochs: int = 20
    """Epochs for which each seed's root is trained."""
    epochs: int = 2
    """Epochs a round."""
    lr: float = 3e-3
    """Learning rate at which a round starts; it falls to 0."""
    floors: tuple[float, ...] = (0.0, FLOOR)
    """Of global rounds: least share of the uniform rule's channels that a block keeps."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of root, shuffling and augmentation."""
    out: Path = Path("allocation.csv")
    """File of all networks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """A network after some rounds of one rate; `floor` is of global rounds."""

    seed: int
    allocation: Allocation
    floor: float | None
    rate: float
    rounds: int
    channels: tuple[int, ...]
    params: int
    accuracy: float


def main() -> None:
    """Run the comparison and print its tables."""
    asked = tyro.cli(AllocationRun)
    torch.set_num_threads(1)
    keep_freed_memory()
    data = asked.opened()
    nets: list[Pruned] = []
    for seed in asked.seeds:
        bench = Bench.trained(data, root_epochs=asked.root_epochs, seed=seed)
        start = evaluate(bench.root, data.validation, data.image_size).accuracy
        print(f"seed {seed}: root {start:.4f}", flush=True)
        for rate in (HARSHER, *RATES):
            nets += _prune(bench, asked, rate, None)
        for rate, floor in product(RATES, asked.floors):
            nets += _prune(bench, asked, rate, floor)
        pd.DataFrame([asdict(net) for net in nets]).to_csv(asked.out, index=False)
    print(
        f"{asked.data}, {len(data.train)} training and {len(data.validation)} validation images "
        f"of {data.image_size} pixels, root {asked.root_epochs} epochs, {asked.epochs} epochs a "
        f"round at {asked.lr:g}; n = {len(asked.seeds)} seeds; torch {torch.__version__}, CPU"
    )
    print("\n".join(_report(nets, asked.floors)))


def _prune(
    bench: Bench, asked: AllocationRun, rate: float, floor: float | None
) -> Iterator[Pruned]:
    """The networks after each of the rounds: uniform ones, or global ones of some floor."""
    allocation: Allocation = "uniform" if floor is None else "global"
    round_ = Round(rate=rate, epochs=asked.epochs, lr=asked.lr, allocation=allocation)
    net, channels = bench.root, bench.architecture.channels
    generator = torch.Generator().manual_seed(bench.seed)
    for rounds in range(1, ROUNDS + 1):
        schedule = (round_,) * rounds
        channels = allocate(net, bench.architecture, channels, schedule, floor=floor or 0.0)
        net = slim(net, bench.architecture, channels).to(memory_format=torch.channels_last)
        _train(net, bench, round_, generator)
        yield Pruned(
            seed=bench.seed,
            allocation=allocation,
            floor=floor,
            rate=rate,
            rounds=rounds,
            channels=channels,
            params=bench.architecture.params(channels),
            accuracy=evaluate(net, bench.data.validation, bench.data.image_size).accuracy,
        )


def _train(net: nn.Module, bench: Bench, round_: Round, generator: torch.Generator) -> None:
    recipe = Recipe()
    fine_tune(
        net,
        bench.data,
        epochs=round_.epochs,
        lr=round_.lr,
        batch_size=recipe.batch_size,
        weight_decay=recipe.weight_decay,
        generator=generator,
        decay=recipe.decay,
    )
    recalibrate(net, bench.data, generator=generator)


def _report(nets: Sequence[Pruned], floors: Iterable[float]) -> list[str]:
    uniform = [net for net in nets if net.floor is None]
    heads = [*(f"rate {rate:g}" for rate in RATES), "all rates"]
    gains_of = [
        "",
        "accuracy less that of uniform networks at equal parameters and epochs",
        f"{'':11}" + "".join(f"{head:>19}" for head in heads) + "   beyond",
    ]
    means_of = [
        "",
        f"means after {ROUNDS} rounds: channels of blocks 3 to 6, parameters, accuracy",
    ]
    for floor in (None, *floors):
        name = "uniform" if floor is None else f"global {floor:g}"
        mine = [net for net in nets if net.floor == floor and net.rate in RATES]
        gains = {net: net.accuracy - _accuracy_at(uniform, net) for net in mine}
        cells = [_cell(_by_seed(gains, rates)) for rates in (*((one,) for one in RATES), RATES)]
        beyond = sum(map(math.isnan, gains.values()))
        gains_of.append(f"{name:11}" + "".join(cells) + f"{beyond:9}")
        means_of.append(f"{name:11}" + _means(mine))
    return gains_of + means_of


def _accuracy_at(uniform: Iterable[Pruned], net: Pruned) -> float:
    """Of the other uniform networks of its seed and rounds, at its parameters; NaN beyond them."""
    peers = sorted(
        (peer.params, peer.accuracy)
        for peer in uniform
        if peer != net and (peer.seed, peer.rounds) == (net.seed, net.rounds)
    )
    params, accuracies = zip(*peers, strict=True)
    x = math.log(net.params)
    return float(np.interp(x, np.log(params), accuracies, left=math.nan, right=math.nan))


def _by_seed(gains: Mapping[Pruned, float], rates: Collection[float]) -> list[list[float]]:
    """For each seed the gains that are known, over all rounds of some rates."""
    return [
        [
            gain
            for net, gain in gains.items()
            if net.seed == seed and net.rate in rates and not math.isnan(gain)
        ]
        for seed in sorted({net.seed for net in gains})
    ]


def _cell(by_seed: Sequence[Sequence[float]]) -> str:
    if not all(by_seed):
        return f"{'all beyond':>19}"  # for a seed; the others would not speak for it
    mean, half = interval([statistics.mean(gains) for gains in by_seed])
    return f"{mean:+10.4f} ± {half:.4f}"


def _means(nets: Iterable[Pruned]) -> str:
    cells = []
    for rate in RATES:
        chosen = [net for net in nets if (net.rate, net.rounds) == (rate, ROUNDS)]
        blocks = zip(*(net.channels[3:7] for net in chosen), strict=True)
        counts = " ".join(f"{statistics.mean(block):3.0f}" for block in blocks)
        params = statistics.mean(net.params for net in chosen)
        accuracy = statistics.mean(net.accuracy for net in chosen)
        cells.append(f"{rate:g}: {counts} {params:7,.0f} {accuracy:.4f}")
    return "  ".join(cells)


if __name__ == "__main__":
    main()
