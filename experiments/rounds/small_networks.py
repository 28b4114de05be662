r"""What a change of a round is worth to small networks, at equal epochs.

    python -m experiments.rounds.small_networks --data digits
    python -m experiments.rounds.small_networks --data fashion-mnist --train-images 1500 \
        --validation-images 3000 --root-epochs 40

For each seed a root is trained and cut to a tenth of its width, as the command would. From there a
chain of five rounds of rate 0.6 leads down, each of 20 epochs, and one round of 40 epochs leads
from the root to the width of the chain's second network; under every variant alike but for one
thing, with the same draws. Where blocks are cut alike, networks of a width have fewer parameters.
Printed: the mean validation accuracy of each network; its mean paired
difference to `today`, over the chain and of the long round, with a 95 % interval (Student's t over
the seeds); and the seconds of all. What came out is in experiments/alternatives/log.txt.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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
from experiments.samplers.simulated_search import Rounds
from pruning import (
    Importance,
    Prune,
    Round,
    Stage,
    StageStore,
    evaluate,
    fine_tune,
    keep_freed_memory,
    load_tensors,
    recalibrate,
    slim,
)

FIRST = Round(rate=0.1, epochs=20, lr=0.015)
RATE, EPOCHS, LONG = 0.6, 20, 40
ROUNDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A way to prune and to train.

    Attributes:
        lr: From which the learning rate falls, after the warm-up.
        unaugmented: Share of the epochs, the last ones, whose images are not augmented.
        importance: By which channels are kept.
        prune: How many are kept of each block.
    """

    lr: float = 0.015
    unaugmented: float = 0.5
    importance: Importance = "response"
    prune: Prune = "even"


VARIANTS = {
    "today": Variant(),
    "augmented": Variant(unaugmented=0.0),
    "unaugmented 1/4": Variant(unaugmented=0.25),
    "unaugmented 3/4": Variant(unaugmented=0.75),
    "unaugmented": Variant(unaugmented=1.0),
    "lr .03": Variant(lr=0.03),
    "by |γ|": Variant(importance="gamma"),
    "blocks alike": Variant(prune="all"),
    "by |γ|, blocks alike": Variant(importance="gamma", prune="all"),
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
    """Networks of a chain, and one from the root."""
    architecture = replace(student_architecture(len(data.classes)), prune=variant.prune)
    net = first
    chain = [(str(halvings), halvings, EPOCHS) for halvings in range(1, ROUNDS + 1)]
    for place, halvings, epochs in (*chain, ("long", 2, LONG)):
        channels = architecture.channels_at(FIRST.rate * RATE**halvings)
        net = slim(root if place == "long" else net, architecture, channels, variant.importance)
        start = time.process_time()
        generator = torch.Generator().manual_seed(seed)
        recipe = student_recipe(root_epochs=0)
        fine_tune(
            net.to(memory_format=torch.channels_last),
            data,
            epochs=epochs,
            lr=variant.lr,
            batch_size=recipe.batch_size,
            weight_decay=recipe.weight_decay,
            generator=generator,
            decay=recipe.decay,
            warm_up=recipe.warm_up,
            unaugmented=variant.unaugmented,
        )
        recalibrate(net, data, generator=generator)
        yield {
            "place": place,
            "params": architecture.params(channels),
            "seconds": time.process_time() - start,
            "accuracy": evaluate(net, data.validation, data.image_size).accuracy,
        }


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
