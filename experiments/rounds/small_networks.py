r"""What a change of a round is worth to small networks, at equal epochs.

    python -m experiments.rounds.small_networks --data digits
    python -m experiments.rounds.small_networks --data fashion-mnist --train-images 1500 \
        --validation-images 3000 --root-epochs 40
    python -m experiments.rounds.small_networks --data digits --epochs 5 --lr 0.03 --rate 0.8 \
        --rounds 13 --seeds 200 201 202 203 204 --variants today "no least"

For each seed a root is trained and cut to a tenth of its width, as the command would. From there a
chain of rounds leads down, and one round of twice the epochs leads from the root to the width of
the chain's second network; under every variant alike but for one thing, with the same draws. Where
blocks are cut alike, networks of a width have fewer parameters. A variant with another root has
that and its first cut instead, for as many epochs, which for a slimmable root take about twice as
long.
Printed: the mean validation accuracy of each network; its mean paired difference to `today`, over
the chain and of the long round, with a 95 % interval (Student's t over the seeds); and the seconds
of all. What came out is in experiments/alternatives/log.txt, of short rounds in
small_networks.txt.

Learning-rate rewinding (Renda et al., arXiv:2003.02389) is no variant: a round's rate of learning
rises and falls as the root's does, so `today` rewinds it already, to the start.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
import torch
import tyro
from torch import nn

from data import ImageData
from experiments.instruments.spread import interval
from experiments.instruments.student_runner import (
    student_architecture,
    student_recipe,
    student_runner,
)
from experiments.instruments.subset import Images
from experiments.rounds.bench import Bench
from experiments.rounds.criteria import CRITERIA
from experiments.rounds.objectives import agreement, sandwich, sparsity, trained_for
from experiments.samplers.simulated_search import Rounds
from pruning import (
    Prune,
    Round,
    Stage,
    StageStore,
    evaluate,
    fine_tune,
    keep_channels,
    keep_freed_memory,
    load_tensors,
    recalibrate,
    transplant,
)

FIRST = Round(rate=0.1, epochs=20, lr=0.015)
LONG = 2  # times the epochs of the others


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A way to prune and to train.

    Attributes:
        faster: Times the usual learning rate.
        unaugmented: Share of the epochs, the last ones, whose images are not augmented.
        least_unaugmented: How many of these epochs there are at least, in rounds of so many.
        criterion: By which channels are kept; see `CRITERIA`.
        prune: How many are kept of each block.
        temperature: Of the root's outputs, from which rounds learn as much as from the labels;
            None is the labels alone.
        sparsity: Weight of the sum of |γ| in the loss of the root and of rounds.
        slimmable: Whether the root is trained with narrower networks that share its weights, and
            cut to one of them.
    """

    faster: float = 1.0
    unaugmented: float = 0.5
    least_unaugmented: int = 5
    criterion: str = "response"
    prune: Prune = "even"
    temperature: float | None = None
    sparsity: float = 0.0
    slimmable: bool = False

    @property
    def own_root(self) -> bool:
        """Whether it begins with another root than the rest."""
        return self.slimmable or self.sparsity > 0


VARIANTS = {
    "today": Variant(),
    "no least": Variant(least_unaugmented=0),
    "augmented": Variant(unaugmented=0.0, least_unaugmented=0),
    "unaugmented 1/4": Variant(unaugmented=0.25, least_unaugmented=0),
    "unaugmented 3/4": Variant(unaugmented=0.75, least_unaugmented=0),
    "unaugmented": Variant(unaugmented=1.0),
    "twice the lr": Variant(faster=2.0),
    "by |γ|": Variant(criterion="gamma"),
    "by Taylor": Variant(criterion="taylor"),
    "at random": Variant(criterion="random"),
    "blocks alike": Variant(prune="all"),
    "by |γ|, blocks alike": Variant(criterion="gamma", prune="all"),
    "taught, 1": Variant(temperature=1.0),
    "taught, 4": Variant(temperature=4.0),
    "sparse 1e-4": Variant(sparsity=1e-4),
    "sparse 1e-3": Variant(sparsity=1e-3),
    "slimmable": Variant(slimmable=True),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SmallNetworks(Images):
    """Compare ways to train on one data set."""

    root_epochs: int = 60
    """Epochs for which each seed's root is trained."""
    rate: float = 0.6
    """Of the chain's rounds."""
    epochs: int = 20
    """Of the chain's rounds; the one from the root has twice as many."""
    lr: float = 0.015
    """From which the learning rate falls, after the warm-up."""
    rounds: int = 5
    """Of the chain."""
    seeds: tuple[int, ...] = (200, 201, 202)
    """Seeds of roots and rounds."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """Names of the variants to run; today is the one that others are compared with."""
    stages: Path = Path("small-networks-stages")
    """Where roots are kept, for this run and later ones."""
    out: Path = Path("small-networks.csv")
    """File of all accuracies."""


def main() -> None:
    """Run the comparison and print its table."""
    asked = tyro.cli(SmallNetworks)
    torch.set_num_threads(1)
    keep_freed_memory()
    data = asked.opened()
    rows: list[dict[str, object]] = []
    for seed in asked.seeds:
        bench, first = _begun(data, asked, seed)
        for name in asked.variants:
            made = list(_trained(bench, first, VARIANTS[name], asked))
            rows += [{"seed": seed, "variant": name, **row} for row in made]
            print(seed, name, *(f"{row['accuracy']:.4f}" for row in made), flush=True)
        pd.DataFrame(rows).to_csv(asked.out, index=False)
    print("\n".join(_table(pd.DataFrame(rows), asked.variants)))


def _begun(data: ImageData, asked: SmallNetworks, seed: int) -> tuple[Bench, nn.Module]:
    """The root, and what is cut from it."""
    runner = student_runner(data, seed=seed, root_epochs=asked.root_epochs)
    store = StageStore(asked.stages / runner.origin.stage_id(None, None))
    rounds = Rounds(runner, store)
    root = rounds.root()
    first = rounds.child(root, FIRST)
    if first is None:
        raise RuntimeError(f"training diverged with seed {seed}")

    def network(stage: Stage) -> nn.Module:
        net = runner.architecture.build(stage.channels)
        load_tensors(net, safetensors.torch.load(store.weights(stage.id)))
        return net.eval()

    bench = Bench(
        data=data,
        architecture=student_architecture(len(data.classes)),
        root=network(root),
        batch_size=student_recipe(root_epochs=0).batch_size,
        seed=seed,
    )
    return bench, network(first)


def _trained(
    bench: Bench, first: nn.Module, variant: Variant, asked: SmallNetworks
) -> Iterator[dict[str, object]]:
    """Networks of a chain, and one from the root."""
    bench = replace(bench, architecture=replace(bench.architecture, prune=variant.prune))
    if variant.own_root:
        bench = replace(bench, root=_another_root(bench, variant, asked))
        first = _cut(bench, bench.root, variant, FIRST.rate)
        _train(bench, first, variant, epochs=FIRST.epochs, lr=FIRST.lr)
    net = first
    chain = [(str(depth), depth, asked.epochs) for depth in range(1, asked.rounds + 1)]
    for place, depth, epochs in (*chain, ("long", 2, LONG * asked.epochs)):
        parent = bench.root if place == "long" else net
        net = _cut(bench, parent, variant, FIRST.rate * asked.rate**depth)
        start = time.process_time()
        _train(bench, net, variant, epochs=epochs, lr=variant.faster * asked.lr)
        yield {
            "place": place,
            "params": sum(weight.numel() for weight in net.parameters()),
            "seconds": time.process_time() - start,
            "accuracy": evaluate(net, bench.data.validation, bench.data.image_size).accuracy,
        }


def _cut(bench: Bench, net: nn.Module, variant: Variant, width: float) -> nn.Module:
    groups, channels = bench.architecture.groups(), bench.architecture.channels_at(width)
    criterion = "first" if variant.slimmable and net is bench.root else variant.criterion
    scores = CRITERIA[criterion](bench, net)
    kept = keep_channels(scores, [channels[group.block] for group in groups])
    return transplant(net, bench.architecture.build(channels), groups, kept)


def _another_root(bench: Bench, variant: Variant, asked: SmallNetworks) -> nn.Module:
    """Trained as the recipe trains the root, and for what the variant asks beside."""
    architecture, recipe = bench.architecture, student_recipe(root_epochs=asked.root_epochs)
    torch.manual_seed(bench.seed)
    net = architecture.build(architecture.channels)
    draws = np.random.default_rng(bench.seed)

    def narrower() -> list[tuple[int, ...]]:
        narrowest = FIRST.rate * asked.rate**2
        widths = (narrowest, draws.uniform(narrowest, 1))
        return [architecture.channels_at(width) for width in widths]

    with ExitStack() as beside:
        if variant.slimmable:
            objective = sandwich(net, architecture.groups(), narrower)
            beside.enter_context(trained_for(net, objective, weight=1.0))
        alone = replace(variant, unaugmented=recipe.unaugmented, temperature=None)
        _train(bench, net, alone, epochs=asked.root_epochs, lr=recipe.root_lr)
    return net.eval()


def _train(bench: Bench, net: nn.Module, variant: Variant, *, epochs: int, lr: float) -> None:
    recipe = replace(
        student_recipe(root_epochs=0),
        unaugmented=variant.unaugmented,
        least_unaugmented=variant.least_unaugmented,
    )
    generator = torch.Generator().manual_seed(bench.seed)
    with ExitStack() as beside:
        if variant.temperature is not None:
            taught = agreement(bench.root, variant.temperature)
            beside.enter_context(trained_for(net, taught, weight=0.5, labels=0.5))
        if variant.sparsity:
            small = sparsity(net, bench.architecture.groups())
            beside.enter_context(trained_for(net, small, weight=variant.sparsity))
        fine_tune(
            net.to(memory_format=torch.channels_last),
            bench.data,
            epochs=epochs,
            lr=lr,
            batch_size=recipe.batch_size,
            weight_decay=recipe.weight_decay,
            generator=generator,
            decay=recipe.decay,
            warm_up=recipe.warm_up,
            unaugmented=recipe.unaugmented_of(epochs),
        )
    recalibrate(net, bench.data, generator=generator)


def _table(rows: pd.DataFrame, variants: Sequence[str]) -> Iterable[str]:
    places = list(dict.fromkeys(rows["place"]))
    yield f"{'':24}" + "".join(f"{place:>8}" for place in places) + "   less today's: chain, long"
    accuracy = rows.set_index(["variant", "place", "seed"])["accuracy"].sort_index()
    seconds = rows.groupby(["variant", "seed"])["seconds"].sum().groupby("variant").mean()
    for name in variants:
        gain = (accuracy[name] - accuracy["today"]).unstack("seed")
        cells = [f"{name:24}", *(f"{accuracy[name, place].mean():8.4f}" for place in places)]
        for of_seeds in (gain.drop("long").mean(), gain.loc["long"]):
            mean, half = interval(of_seeds.tolist())
            cells.append(f"{mean:+11.4f} ± {half:.4f}")
        yield "".join(cells) + f"{seconds[name]:7.0f} s"


if __name__ == "__main__":
    main()
