r"""What a round is worth under one training recipe or another, at equal epochs.

    python -m experiments.rounds.recipe --data digits
    python -m experiments.rounds.recipe --data fashion-mnist --image-size 16 --train-images 1500 \
        --root-epochs 40

For each seed a root is trained. Under every variant it is then pruned in two rounds, gentle ones
(rate 0.85) and harsh ones (0.5), with the same epochs, the same learning rates and the same draws
of images and augmentation; validation accuracy is taken after each round. A variant differs from
`decay` in one thing, except for `notebook`: constant rate, signed γ, optimizer built anew.

Printed: for each variant the mean accuracy after a round at the learning rate that suits it best,
and its mean paired difference to `notebook` with a 95 % interval (Student's t over the seeds).
All accuracies go into a CSV file. The runs by which the recipe was chosen, five seeds each, are in
recipe-digits.txt and recipe-fashion-mnist.txt with their accuracies beside them. Adopted: `decay`
and `recalibrated after`, together the `measured` recipe. Recalibration *before* the epochs changes
next to nothing, since training goes by each batch's own statistics. |γ| and signed γ choose the
same channels here: trained γ are positive. Without any epoch a recalibrated round of 0.85 is as
good as a trained one. Distillation pays as well, for a third more time; it is not adopted.
Ten seeds more, in recipe-digits-confirmed.txt and recipe-fashion-mnist-confirmed.txt, confirm it.
"""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
import tyro
from torch import Tensor, nn

from experiments.instruments.spread import interval
from experiments.instruments.subset import Images
from experiments.rounds.bench import Bench
from experiments.rounds.criteria import CRITERIA, Criterion, batches
from pruning import (
    evaluate,
    keep_channels,
    keep_freed_memory,
    new_optimizer,
    recalibrate,
    transplant,
)

RATES, ROUNDS = (0.85, 0.5), 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A way to run a round.

    Attributes:
        criterion: Ranks channels; see `CRITERIA`.
        schedule: Factor of the learning rate at a share of the round's steps, in [0, 1].
        warm_up: Share of the steps in which the rate rises from 0.
        weight_decay: Of AdamW.
        smoothing: Label smoothing.
        distillation: Weight of the root's softened outputs in the loss, against the labels'.
        recalibrate: "before" or "after" the epochs, or not at all, the batch norms' statistics
            are taken anew from the training images' centre crops.
        epochs: In place of the run's, where given.
    """

    criterion: str = "gamma"
    schedule: Callable[[float], float] = lambda share: 1 - share
    warm_up: float = 0.0
    weight_decay: float = 0.01
    smoothing: float = 0.0
    distillation: float = 0.0
    recalibrate: str = ""
    epochs: int | None = None


def _constant(_: float) -> float:
    return 1.0


def _cosine(share: float) -> float:
    return (1 + float(torch.cos(torch.tensor(torch.pi * share)))) / 2


VARIANTS = {
    "notebook": Variant(criterion="signed-gamma", schedule=_constant),
    "constant": Variant(schedule=_constant),
    "decay": Variant(),
    "cosine": Variant(schedule=_cosine),
    "warm-up": Variant(warm_up=0.1),
    "weight decay 0": Variant(weight_decay=0.0),
    "weight decay 0.1": Variant(weight_decay=0.1),
    "smoothing 0.1": Variant(smoothing=0.1),
    "distillation 0.5": Variant(distillation=0.5),
    "distillation 0.9": Variant(distillation=0.9),
    "signed γ": Variant(criterion="signed-gamma"),
    "filter norm": Variant(criterion="filter-norm"),
    "γ × fan-out": Variant(criterion="gamma-fan-out"),
    "Taylor": Variant(criterion="taylor"),
    "random channels": Variant(criterion="random"),
    "recalibrated before": Variant(recalibrate="before"),
    "recalibrated after": Variant(recalibrate="after"),
    "distilled, recalibrated": Variant(distillation=0.5, recalibrate="after"),
    "0 epochs": Variant(epochs=0),
    "0 epochs, recalibrated": Variant(epochs=0, recalibrate="before"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeRun(Images):
    """Compare recipes on one data set."""

    image_size: int = 32
    """Side of the crops in pixels."""
    validation_images: int = 2000
    """Use at most so many validation images."""
    root_epochs: int = 60
    """Epochs for which each seed's root is trained."""
    epochs: int = 2
    """Epochs a round."""
    lrs: tuple[float, ...] = (1e-3, 3e-3)
    """Learning rates at which each variant is tried."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of root, shuffling and augmentation."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """Names of the variants to run; notebook is the one that others are compared with."""
    out: Path = Path("recipe.csv")
    """File of all accuracies."""


def main() -> None:
    """Run the comparison and print its table."""
    asked = tyro.cli(RecipeRun)
    torch.set_num_threads(1)
    keep_freed_memory()
    data = asked.opened()
    rows: list[dict[str, object]] = []
    for seed in asked.seeds:
        bench = Bench.trained(data, root_epochs=asked.root_epochs, seed=seed)
        start = evaluate(bench.root, data.validation, data.image_size).accuracy
        print(f"seed {seed}: root {start:.4f}", flush=True)
        for name, lr, rate in product(asked.variants, asked.lrs, RATES):
            accuracies = _schedule(bench, VARIANTS[name], rate=rate, lr=lr, epochs=asked.epochs)
            run = {"seed": seed, "variant": name, "lr": lr, "rate": rate}
            rows += [run | {"round": at, "acc": acc} for at, acc in enumerate(accuracies, 1)]
        pd.DataFrame(rows).to_csv(asked.out, index=False)
    print(
        f"{asked.data}, {len(data.train)} training and {len(data.validation)} validation images "
        f"of {data.image_size} pixels, root {asked.root_epochs} epochs, {asked.epochs} epochs a "
        f"round at {asked.lrs}; n = {len(asked.seeds)} seeds; torch {torch.__version__}, CPU"
    )
    print("\n".join(_table(pd.DataFrame(rows), asked.variants)))


def _schedule(
    bench: Bench, variant: Variant, *, rate: float, lr: float, epochs: int
) -> list[float]:
    """Validation accuracy after each of the rounds."""
    accuracies = []
    net, width = bench.root, 1.0
    generator = torch.Generator().manual_seed(bench.seed)
    for _ in range(ROUNDS):
        width *= rate
        net = _pruned(bench, net, width, CRITERIA[variant.criterion])
        if variant.recalibrate == "before":
            recalibrate(net, bench.data, generator=generator)
        steps = variant.epochs if variant.epochs is not None else epochs
        _train(bench, net, variant, lr=lr, epochs=steps, generator=generator)
        if variant.recalibrate == "after":
            recalibrate(net, bench.data, generator=generator)
        metrics = evaluate(net, bench.data.validation, bench.data.image_size)
        accuracies.append(metrics.accuracy)
    return accuracies


def _pruned(bench: Bench, net: nn.Module, width: float, criterion: Criterion) -> nn.Module:
    groups = bench.architecture.groups()
    target = bench.architecture.build(bench.architecture.channels_at(width))
    counts = [len(target.get_submodule(group.batch_norm).weight) for group in groups]  # type: ignore[arg-type]
    kept = keep_channels(criterion(bench, net), counts)
    pruned = transplant(net, target, groups, kept)
    return pruned.to(memory_format=torch.channels_last)


def _train(
    bench: Bench,
    net: nn.Module,
    variant: Variant,
    *,
    lr: float,
    epochs: int,
    generator: torch.Generator,
) -> None:
    net.train()
    optimizer = new_optimizer(net, lr=lr, weight_decay=variant.weight_decay)
    steps = epochs * -(-len(bench.data.train) // bench.batch_size)
    for step, (images, labels) in enumerate(batches(bench, epochs, generator)):
        share = step / steps
        rising = min(1.0, share / variant.warm_up) if variant.warm_up else 1.0
        optimizer.param_groups[0]["lr"] = lr * variant.schedule(share) * rising
        loss = _loss(net(images), labels, variant, bench.root, images)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _loss(
    logits: Tensor, labels: Tensor, variant: Variant, root: nn.Module, images: Tensor
) -> Tensor:
    """Cross-entropy, and for distillation that of outputs softened by temperature 2.

    Source: Hinton, Vinyals and Dean, arXiv:1503.02531.
    """
    loss = F.cross_entropy(logits, labels, label_smoothing=variant.smoothing)
    if not variant.distillation:
        return loss
    temperature = 2.0
    with torch.no_grad():
        taught = root(images)
    softened = F.kl_div(
        F.log_softmax(logits / temperature, 1),
        F.log_softmax(taught / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    return (1 - variant.distillation) * loss + variant.distillation * temperature**2 * softened


def _table(rows: pd.DataFrame, variants: Iterable[str]) -> list[str]:
    lines = [f"{'':24}{'rate 0.85':>11}{'difference':>20}{'rate 0.5':>12}{'difference':>20}"]
    base = {rate: _best(rows, "notebook", rate) for rate in RATES}
    for name in variants:
        cells = [f"{name:24}"]
        for rate in RATES:
            mine = _best(rows, name, rate)
            mean, half = interval([a - b for a, b in zip(mine, base[rate], strict=True)])
            cells.append(f"{statistics.mean(mine):11.4f}{mean:+12.4f} ± {half:.4f}")
        lines.append(" ".join(cells))
    return lines


def _best(rows: pd.DataFrame, name: str, rate: float) -> list[float]:
    """Each seed's mean accuracy after a round, at the rate that is best over all seeds."""
    mine = rows[(rows.variant == name) & (rows.rate == rate)]
    best = mine.groupby("lr").acc.mean().idxmax()
    return list(mine[mine.lr == best].groupby("seed").acc.mean())


if __name__ == "__main__":
    main()
