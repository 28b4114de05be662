r"""What a change of training is worth to small networks, at equal epochs.

    python -m experiments.rounds.small_networks --data digits
    python -m experiments.rounds.small_networks --data fashion-mnist --train-images 1500 \
        --validation-images 3000 --root-epochs 40

For each seed a root is trained and cut to a tenth of its width, as the command would. From there a
chain of three rounds of rate 0.6 leads down, each of 20 epochs, and one round of 40 epochs leads
from the root to the width of the chain's second network; under every variant alike but for one
thing, with the same draws. Printed: the mean validation accuracy of each network; its mean paired
difference to `today`, over the chain and of the long round, with a 95 % interval (Student's t over
the seeds); and the seconds of all. What came out is in experiments/alternatives/log.txt.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import safetensors.torch
import torch
import torch.nn.functional as F
import tyro
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from data import ImageData, draw_crops, gather_train
from experiments.instruments.spread import interval
from experiments.instruments.student_runner import (
    student_architecture,
    student_recipe,
    student_runner,
)
from experiments.instruments.subset import Images
from experiments.samplers.simulated_search import Rounds
from pruning import (
    Round,
    Stage,
    StageStore,
    center_crops,
    evaluate,
    keep_freed_memory,
    load_tensors,
    new_optimizer,
    recalibrate,
    slim,
)

FIRST = Round(rate=0.1, epochs=20, lr=0.015)
RATE, EPOCHS, LONG = 0.6, 20, 40
_EVERY = 5  # steps, of which one's weights are averaged


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A way to train.

    Attributes:
        lr: From which the learning rate falls, after the warm-up.
        least: Share of it at which it ends.
        power: Of the decay; 1 is linear.
        weight_decay: Of AdamW.
        batch_size: Images a step.
        unaugmented: Share of the epochs, the last ones, whose images are not augmented.
        averaged: Share of the steps, the last ones, of which the weights are averaged.
        taught: Weight of the root's outputs in the loss, against the labels'.
    """

    lr: float = 0.015
    least: float = 0.0
    power: float = 1.0
    weight_decay: float = 0.01
    batch_size: int = 32
    unaugmented: float = 0.5
    averaged: float = 0.0
    taught: float = 0.0


VARIANTS = {
    "today": Variant(),
    "augmented": Variant(unaugmented=0.0),
    "unaugmented 1/4": Variant(unaugmented=0.25),
    "unaugmented 3/4": Variant(unaugmented=0.75),
    "unaugmented": Variant(unaugmented=1.0),
    "lr .008": Variant(lr=0.008),
    "lr .03": Variant(lr=0.03),
    "lr .03, squared decay": Variant(lr=0.03, power=2.0),
    "no weight decay": Variant(weight_decay=0.0),
    "averaged 1/4": Variant(averaged=0.25),
    "averaged 1/2, least .3": Variant(averaged=0.5, least=0.3),
    "batches of 64, lr .03": Variant(batch_size=64, lr=0.03),
    "taught 1/2": Variant(taught=0.5),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SmallNetworks(Images):
    """Compare ways to train on one data set."""

    root_epochs: int = 60
    """Epochs for which each seed's root is trained."""
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
        root, first = _begun(data, asked, seed)
        for name in asked.variants:
            made = list(_trained(data, root, first, VARIANTS[name], seed))
            rows += [{"seed": seed, "variant": name, **row} for row in made]
            print(seed, name, *(f"{row['accuracy']:.4f}" for row in made), flush=True)
        pd.DataFrame(rows).to_csv(asked.out, index=False)
    print("\n".join(_table(pd.DataFrame(rows), asked.variants)))


def _begun(data: ImageData, asked: SmallNetworks, seed: int) -> tuple[nn.Module, nn.Module]:
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

    return network(root), network(first)


def _trained(
    data: ImageData, root: nn.Module, first: nn.Module, variant: Variant, seed: int
) -> Iterator[dict[str, object]]:
    """Three networks of a chain, and one from the root."""
    architecture = student_architecture(len(data.classes))
    net = first
    for place, halvings, epochs in (
        ("1", 1, EPOCHS),
        ("2", 2, EPOCHS),
        ("3", 3, EPOCHS),
        ("long", 2, LONG),
    ):
        channels = architecture.channels_at(FIRST.rate * RATE**halvings)
        net = slim(root if place == "long" else net, architecture, channels)
        start = time.process_time()
        generator = torch.Generator().manual_seed(seed)
        net = _train(
            net.to(memory_format=torch.channels_last), data, variant, root, epochs, generator
        )
        yield {
            "place": place,
            "params": architecture.params(channels),
            "seconds": time.process_time() - start,
            "accuracy": evaluate(net, data.validation, data.image_size).accuracy,
        }


def _train(
    net: nn.Module,
    data: ImageData,
    variant: Variant,
    teacher: nn.Module,
    epochs: int,
    generator: torch.Generator,
) -> nn.Module:
    """Train a network; what is left may be another one, of averaged weights."""
    optimizer = new_optimizer(net, lr=variant.lr, weight_decay=variant.weight_decay)
    steps = epochs * -(-len(data.train) // variant.batch_size)
    rising = max(1, int(student_recipe(root_epochs=0).warm_up * steps))
    average = AveragedModel(net)
    net.train()
    for step, (images, labels) in enumerate(_batches(data, variant, epochs, generator)):
        falling = variant.least + (1 - variant.least) * (1 - step / steps) ** variant.power
        optimizer.param_groups[0]["lr"] = variant.lr * min(1.0, (step + 1) / rising) * falling
        logits = net(images)
        loss = F.cross_entropy(logits, labels)
        if variant.taught:
            with torch.no_grad():
                taught = teacher(images).softmax(1)
            loss = (1 - variant.taught) * loss + variant.taught * F.cross_entropy(logits, taught)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step >= (1 - variant.averaged) * steps and step % _EVERY == 0:
            average.update_parameters(net)
    trained = average.module if variant.averaged else net
    recalibrate(trained, data, generator=generator)
    return trained


def _batches(
    data: ImageData, variant: Variant, epochs: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images (N, 3, H, W) in [0, 1] and labels (N,) of some epochs."""
    train, size = data.train, data.image_size
    for epoch in range(epochs):
        order = torch.randperm(len(train), generator=generator)
        if epoch < epochs - int(variant.unaugmented * epochs):
            crops = draw_crops(
                train, order, size=size, padding=data.padding, flip=data.flip, generator=generator
            )
            images_NHWC = gather_train(train, order, crops, size)  # noqa: N806
            images = images_NHWC.permute(0, 3, 1, 2).float() / 255
        else:
            images = center_crops(train, order, size)
        labels = train.labels[order]
        parts = torch.split(images, variant.batch_size), torch.split(labels, variant.batch_size)
        yield from zip(*parts, strict=True)


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
