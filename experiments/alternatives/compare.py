r"""The front beside what a user would do instead, each with the same epochs.

    python -m experiments.alternatives.compare --data digits --image-size 16 --tune
    python -m experiments.alternatives.compare --data digits --image-size 16 --processes 2 \
        --scratch-lr 4e-3 --cut-lr 2e-3
    python -m experiments.alternatives.report alternatives.csv --picture alternatives.png

For each seed a root is trained, and every arm gets the root's epochs and the budget's: `search`,
our default search from the root; `scratch`, eight networks of even distance in the logarithm of
their parameters, trained from nothing, with no root to pay; `cut once`, seven of them cut from the
root by |γ| in one step and fine-tuned long; `random channels`, the same with channels drawn at
random; `notebook`, its rounds of 0.95 for as long as there are epochs, with an optimizer a round,
or the one that trains nothing (`notebook stale`). `scratch x3` has three times the epochs.

Every alternative is given its best: learning rates that fall to 0 and are chosen for it, on seeds
of their own (`--tune`, which trains each network at each of five rates and prints the flags), and
the batch-norm statistics of unaugmented images, as our rounds; the notebook keeps its own recipe.

A row of the CSV file is a candidate: of the search its front and its last one, of the others all.
`epochs` and `seconds` are what the arm had spent by then, the root's included where there is one;
seconds are of training and validation, added up over workers. `hypervolume` is that of all the
arm's candidates so far, on validation. Stages are kept, so that another run does not train them
again and has the seconds of the run that did; those of random channels and of the notebook are
not stages, and are trained again.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import optuna
import pandas as pd
import torch
import tyro

from experiments.alternatives import tune
from experiments.alternatives.arms import cut_once, scratch, search, spread_out
from experiments.alternatives.case import Candidate, Case, Plan
from experiments.alternatives.notebook_rounds import notebook
from experiments.alternatives.random_channels import random_channels
from experiments.instruments.hardware import hardware_line
from experiments.instruments.student_runner import by_params
from experiments.instruments.subset import Images
from pruning import keep_freed_memory
from search.front.hypervolume import Scale
from search.opening import scale_of

ARMS: dict[str, Callable[[Case], Iterator[Candidate]]] = {
    "search": search,
    "scratch": scratch,
    "cut once": cut_once,
    "random channels": random_channels,
    "notebook": notebook,
    "notebook stale": partial(notebook, stale=True),
    "scratch x3": partial(scratch, times=3),
}
_WIDTHS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison(Images):
    """Compare our search with its alternatives at equal epochs."""

    root_epochs: int = 60
    """Epochs for which each seed's root is trained."""
    budget: int = 300
    """Epochs that every arm has beside the root's."""
    narrowest: float = 1 / 64
    """Width of the narrowest of the eight networks, relative to the root."""
    scratch_lr: tuple[float, ...] = (4e-3,)
    """Learning rate of scratch: one, or one for each of the eight widths, the narrowest first."""
    cut_lr: tuple[float, ...] = (2e-3,)
    """Learning rate after one cut: one, or one for each of the seven widths below the root's."""
    workers: int = 2
    """Simulated workers of the search."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of roots and of all arms."""
    arms: tuple[str, ...] = tuple(ARMS)
    """Names of the arms to run."""
    tune: bool = False
    """Compare nothing, but find the learning rates of scratch and of one cut."""
    tune_seeds: tuple[int, ...] = (100, 101)
    """Seeds for that; never those of a comparison."""
    processes: int = 1
    """Seeds that are run at a time, a core each."""
    stages: Path = Path("alternatives-stages")
    """Where stages are kept, for this run and later ones."""
    out: Path = Path("alternatives.csv")
    """File of the candidates, or with --tune of the accuracies by learning rate."""

    def __post_init__(self) -> None:
        if unknown := set(self.arms) - set(ARMS):
            raise ValueError(f"arms are {', '.join(ARMS)}; got {', '.join(sorted(unknown))}")
        if self.budget < _WIDTHS or self.root_epochs < 0:
            raise ValueError(f"budget must be at least {_WIDTHS}, and root_epochs 0")
        if set(self.seeds) & set(self.tune_seeds):
            raise ValueError("seeds for tuning must be others than those of the comparison")
        spread_out(self.scratch_lr, _WIDTHS)
        spread_out(self.cut_lr, _WIDTHS - 1)

    @property
    def plan(self) -> Plan:
        """What is trained."""
        return Plan(
            root_epochs=self.root_epochs,
            budget=self.budget,
            narrowest=self.narrowest,
            workers=self.workers,
            scratch_lr=self.scratch_lr,
            cut_lr=self.cut_lr,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison, or the choice of learning rates, and write its table."""
    asked = tyro.cli(Comparison, args=arguments)
    print(hardware_line(), asked, sep="\n", flush=True)
    seeds = asked.tune_seeds if asked.tune else asked.seeds
    rows: list[dict[str, object]] = []
    with ProcessPoolExecutor(asked.processes, mp_context=get_context("spawn")) as pool:
        for made in pool.map(_run_seed, seeds, [asked] * len(seeds)):
            rows += made
            pd.DataFrame(rows).to_csv(asked.out, index=False)
    if asked.tune:
        print("\n".join(tune.table(pd.DataFrame(rows))))


def _run_seed(seed: int, asked: Comparison) -> list[dict[str, object]]:
    torch.set_num_threads(1)
    keep_freed_memory()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    data = asked.opened()
    case = Case.opened(data, asked.plan, seed=seed, stages=asked.stages)
    if asked.tune:
        return tune.rows(case)
    scale = scale_of(by_params(case.architecture), case.architecture.num_classes)
    axes = asdict(scale)
    found: list[dict[str, object]] = []
    for arm in asked.arms:
        made = candidate_rows(list(ARMS[arm](case)), scale)
        found += [{"arm": arm, "seed": seed, **row, **axes} for row in made]
        print(f"seed {seed}, {arm}: {made[-1] if made else 'nothing'}", flush=True)
    return found


def candidate_rows(candidates: Sequence[Candidate], scale: Scale) -> list[dict[str, object]]:
    """Those candidates whose accuracy on test images is known, with the hypervolume so far.

    Args:
        candidates: All of an arm, in the order in which they were made.
        scale: Of the hypervolume.
    """
    params = [one.params for one in candidates]
    accuracy = [one.val_accuracy for one in candidates]
    return [
        {**asdict(one), "hypervolume": scale.hypervolume(params[:end], accuracy[:end])}
        for end, one in enumerate(candidates, 1)
        if one.test_accuracy is not None
    ]


if __name__ == "__main__":
    main()
