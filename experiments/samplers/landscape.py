r"""Searches on landscapes that were learnt from real rounds: many of them, some seconds each.

    python -m experiments.samplers.landscape digits.csv fashion-mnist.csv --searches 12

Takes files of `experiments.samplers.expectation run`. All rounds of one root teach a `RoundModel`;
its word, and noise as it found it, is what every round of a search leaves there, but nothing
better than the best of those rounds, on which the model would build ever better ones. So one can
see what a change of the sampler, or of its choices, does before it is tried on real images, where
a search takes a minute or two and two of the same settings lie .01 to .02 apart. What the model
does not know a search on it cannot find out, and it begins with the sampler's own expectations:
differences here are to be confirmed on real rounds.

Printed for each file: the hypervolume of the default search, and its accuracy with at most so many
parameters, means ± half of the 95 % interval. Searches share out the roots.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import optuna
import pandas as pd
import tyro

from experiments.alternatives.widths import even_widths
from experiments.instruments.spread import interval
from experiments.instruments.student_runner import by_params, student_architecture
from experiments.samplers.expectation import by_root
from experiments.samplers.simulated_search import Usage, simulate
from pruning import Round, Schedule, Stage, width_mult
from search.configuration import SearchConfig
from search.front.cost import Pricing
from search.front.hypervolume import Scale
from search.opening import scale_of
from search.samplers.by_name import sampler_maker
from search.samplers.round_model import RoundModel, Rounds, accuracy_of, describe

_NARROWEST = 1 / 64  # of the sizes at which accuracy is told


@dataclass(frozen=True, kw_only=True, slots=True)
class Searches:
    """Search on landscapes."""

    rounds: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files of rounds, one a set of images."""
    classes: int = 10
    """Of the images."""
    searches: int = 12
    """How many on each file."""
    budget: int = 300
    """Epochs of each."""
    workers: int = 2
    """Simulated workers of each."""
    rates: tuple[float, ...] = SearchConfig().rates
    """Of rounds."""
    epochs: tuple[int, ...] = SearchConfig().epochs
    """Of rounds."""
    processes: int = 1
    """Searches that are run at a time, a core each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Landscape:
    """Stands for the rounds of a root: see `Runs`.

    Attributes:
        model: What rounds leave.
        most: Scaled accuracy that none exceeds.
        pricing: What networks cost.
        scale: The axes on which the model thinks.
        seed: Of the luck of rounds.
    """

    model: RoundModel
    most: float
    pricing: Pricing
    scale: Scale
    seed: int

    @classmethod
    def learnt(cls, rows: pd.DataFrame, pricing: Pricing, scale: Scale, *, seed: int) -> Self:
        """From rounds that `expectation run` wrote, those of the root whose turn it is."""
        roots = list(by_root(rows))
        seen, left = roots[seed % len(roots)]
        model, most = RoundModel.fit(seen, left), max(seen.root, left.max())
        return cls(model=model, most=most, pricing=pricing, scale=scale, seed=seed)

    def root(self) -> Stage:
        """Has the accuracy of the root that is stood for."""
        return self._stage(None, (), self.model.seen.root)

    def child(self, parent: Stage, round_: Round) -> Stage:
        """What the model expects, and luck, which is the same whenever the round is asked for."""
        schedule = (*parent.schedule, round_)
        asked = Rounds(
            x=self.scale.x([self._params(schedule)]),
            described=describe([round_]),
            x_before=self.scale.x([parent.params]),
            y_before=self.scale.y([parent.val_accuracy]),
            root=self.model.seen.root,
        )
        odds, deviation = self.model.odds_each(asked)
        luck = np.random.default_rng(int(self._id(schedule), 16)).standard_normal()
        left = float(accuracy_of(odds + luck * deviation)[0])
        return self._stage(parent.id, schedule, min(left, self.most))

    def _stage(self, parent: str | None, schedule: Schedule, scaled: float) -> Stage:
        """Of which a search asks no more than its place, its size and its accuracy."""
        chance = self.scale.chance
        return Stage(
            id=self._id(schedule),
            parent=parent,
            schedule=schedule,
            channels=(1,),
            params=self._params(schedule),
            macs=1,
            size_bytes=1,
            val_loss=0.0,
            val_accuracy=chance + (1 - chance) * scaled,
            seconds=0.0,
            trial=0,
            executed_epochs=0,
            sha256="",
        )

    def _params(self, schedule: Schedule) -> int:
        return int(self.pricing.at(width_mult(schedule)))

    def _id(self, schedule: Schedule) -> str:
        return hashlib.sha256(repr((self.seed, schedule)).encode()).hexdigest()[:16]


def main(arguments: Sequence[str] | None = None) -> None:
    """Search on each file's landscapes, and print what came out."""
    asked = tyro.cli(Searches, args=arguments)
    with ProcessPoolExecutor(asked.processes, mp_context=get_context("spawn")) as pool:
        for path in asked.rounds:
            found = list(pool.map(_searched, range(asked.searches), repeat(path), repeat(asked)))
            print("\n".join(_lines(path, pd.DataFrame(found))), flush=True)


def _searched(seed: int, path: Path, asked: Searches) -> dict[str, float]:
    """Hypervolume, and accuracy by size, of one search."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    architecture = student_architecture(asked.classes)
    pricing, scale = by_params(architecture), scale_of(by_params(architecture), asked.classes)
    rows = pd.read_csv(path)
    landscape = Landscape.learnt(rows[rows["fresh"] == 0], pricing, scale, seed=seed)
    space = SearchConfig(rates=asked.rates, epochs=asked.epochs).space()
    curve = simulate(
        landscape,
        space,
        scale,
        sampler_maker("stage-tree", space, scale, pricing.at, seed=seed),
        Usage(),
        budget=asked.budget,
        workers=asked.workers,
    )
    params = np.array([stage.params for stage in curve.stages])
    accuracy = np.array([stage.val_accuracy for stage in curve.stages])
    sizes = [int(pricing.at(width)) for width in even_widths(architecture, narrowest=_NARROWEST)]
    at_most = {f"{most:,}": accuracy[params <= most].max(initial=scale.chance) for most in sizes}
    return {"hypervolume": scale.hypervolume(params, accuracy), **at_most}


def _lines(path: Path, found: pd.DataFrame) -> Iterator[str]:
    yield f"{path.name}, {len(found)} searches"
    for name in found:
        mean, half = interval(found[name].tolist())
        yield f"{name:>12}  {mean:.4f} ± {half:.4f}"


if __name__ == "__main__":
    main()
