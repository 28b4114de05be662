"""How many epochs of training each sampler needs for the same front.

    python -m experiments.samplers.efficiency --data fashion-mnist --seeds 12 13 14 15 16

For each seed a root is trained, and every sampler searches from it with a budget of executed
epochs. All runs of a seed share one store, so that a round which another sampler had run already
is read from disk; it is charged like one that is run. Workers are simulated; see
`simulated_search.py`. The curves (hypervolume over executed epochs) go into a CSV file, and
`efficiency_report.py` makes the table and the picture of it.

Stock samplers are given every advantage: each round that a schedule passes is an observation and
a candidate, rounds shared with earlier trials are free, trials that fall far behind are stopped,
and after a trial that asked for nothing new the next one is drawn at random, since some would ask
for the same until the end.
`stage-tree` plans for all of its epochs, so that its curve says little of what it would find with
fewer; `stage-tree 1/4` is a search with a quarter of them. `longer rounds` are of 10 epochs at
least, by which stock samplers end higher on the digits.
Two arms have less. `optuna default` is TPE as Optuna makes it, told of each schedule's end only;
shared rounds are still free and every round still a candidate. `stock usage` is what a search
with Optuna and no stage store costs: the last round of each trial is the result, and every trial
pays for all its rounds.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import optuna
import pandas as pd
import torch
import tyro
from optuna.samplers import BaseSampler, TPESampler

from experiments.instruments.hardware import hardware_line
from experiments.instruments.student_runner import by_params, student_architecture, student_runner
from experiments.instruments.subset import Images
from experiments.samplers.simulated_search import Curve, Rounds, Usage, simulate
from pruning import StageStore, keep_freed_memory
from search.configuration import SearchConfig
from search.front.cost import Pricing
from search.front.hypervolume import Scale
from search.opening import scale_of
from search.samplers.by_name import sampler_maker
from search.samplers.names import SamplerName
from search.samplers.space import SearchSpace
from search.samplers.study import NewSampler

MakerOf = Callable[[SearchSpace, Scale, Pricing, int], NewSampler]
"""What makes the samplers of a run: of its space, scale, costs and seed."""


_LONGER = 10, 20, 40  # epochs
_EVERYTHING = Usage()
_LAST_ONLY = Usage(observes="trials", early_stop=False)
_ALONE = replace(_LAST_ONLY, candidates="trials", shares=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """A sampler as it is used.

    Attributes:
        make: Makes its samplers.
        usage: What it is told, and what is charged.
        max_rounds: Rounds that a schedule may have.
        share: Of the budget, that it has.
        epochs: Choices of a round's epochs.
    """

    make: MakerOf
    usage: Usage = _EVERYTHING
    max_rounds: int = 16
    share: float = 1.0
    epochs: tuple[int, ...] = SearchConfig().epochs


def _named(name: SamplerName) -> MakerOf:
    return lambda space, scale, pricing, seed: sampler_maker(
        name, space, scale, pricing.at, seed=seed
    )


def _univariate(space: SearchSpace, scale: Scale, pricing: Pricing, seed: int) -> NewSampler:
    at_random = sampler_maker("random", space, scale, pricing.at, seed=seed)

    def make(draw: int, *, after_repeat: bool = False) -> BaseSampler:
        if after_repeat:
            return at_random(draw)
        return TPESampler(multivariate=False, seed=seed * 10**6 + draw)

    return make


ARMS = {
    "stage-tree": Arm(make=_named("stage-tree")),
    "stage-tree 1/4": Arm(make=_named("stage-tree"), share=0.25),
    "tpe": Arm(make=_named("tpe")),
    "tpe univariate": Arm(make=_univariate),
    "nsga2": Arm(make=_named("nsga2")),
    "gp": Arm(make=_named("gp")),
    "random": Arm(make=_named("random")),
    "tpe longer rounds": Arm(make=_named("tpe"), epochs=_LONGER),
    "nsga2 longer rounds": Arm(make=_named("nsga2"), epochs=_LONGER),
    "gp longer rounds": Arm(make=_named("gp"), epochs=_LONGER),
    "random longer rounds": Arm(make=_named("random"), epochs=_LONGER),
    "tpe 5 rounds": Arm(make=_named("tpe"), max_rounds=5),
    "gp 5 rounds": Arm(make=_named("gp"), max_rounds=5),
    "random 5 rounds": Arm(make=_named("random"), max_rounds=5),
    "optuna default": Arm(make=_named("tpe"), usage=_LAST_ONLY),
    "stock usage": Arm(make=_named("tpe"), usage=_ALONE),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Efficiency(Images):
    """Compare samplers by hypervolume over executed epochs."""

    data: str = "fashion-mnist"
    """digits, fashion-mnist, or a folder of images."""
    train_images: int | None = 1500
    """Use only the first training images."""
    validation_images: int | None = 3000
    """Use only the first validation images."""
    root_epochs: int = 40
    """Epochs for which each seed's root is trained."""
    budget: int = 300
    """Executed epochs of a run."""
    workers: int = 2
    """Simulated workers."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of roots and samplers."""
    arms: tuple[str, ...] = tuple(ARMS)
    """Names of the samplers to run."""
    processes: int = 1
    """Seeds that are run at a time, a core each."""
    stages: Path = Path("efficiency-stages")
    """Where stages are kept, for this run and later ones."""
    out: Path = Path("efficiency.csv")
    """File of the curves."""


def main() -> None:
    """Run the comparison, and write its curves."""
    asked = tyro.cli(Efficiency)
    print(hardware_line(), flush=True)
    rows: list[dict[str, object]] = []
    with ProcessPoolExecutor(asked.processes, mp_context=get_context("spawn")) as pool:
        for made in pool.map(_run_seed, asked.seeds, [asked] * len(asked.seeds)):
            rows += made
            pd.DataFrame(rows).to_csv(asked.out, index=False)


def _run_seed(seed: int, asked: Efficiency) -> list[dict[str, object]]:
    torch.set_num_threads(1)
    keep_freed_memory()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    data = asked.opened()
    runner = student_runner(data, seed=seed, root_epochs=asked.root_epochs)
    pricing = by_params(student_architecture(len(data.classes)))
    folder = asked.stages / runner.origin.stage_id(None, None)
    rounds = Rounds(runner, StageStore(folder))
    scale = scale_of(pricing, len(data.classes))
    rows: list[dict[str, object]] = []
    for name in asked.arms:
        curve = _run_arm(ARMS[name], rounds, scale, pricing, seed, asked)
        made = list(curve.rows(scale, rounds.test_accuracy))
        rows += [{"arm": name, "seed": seed, **row} for row in made]
        print(f"seed {seed}, {name}: {made[-1]}", flush=True)
    return rows


def _run_arm(
    arm: Arm,
    rounds: Rounds,
    scale: Scale,
    pricing: Pricing,
    seed: int,
    asked: Efficiency,
) -> Curve:
    space = SearchConfig(max_rounds=arm.max_rounds, epochs=arm.epochs).space()
    return simulate(
        rounds,
        space,
        scale,
        arm.make(space, scale, pricing, seed),
        arm.usage,
        budget=int(arm.share * asked.budget),
        workers=asked.workers,
    )


if __name__ == "__main__":
    main()
