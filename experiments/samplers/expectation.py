r"""What to expect of a round before a search has seen any.

    python -m experiments.samplers.expectation run --data digits --image-size 16 --out digits.csv
    python -m experiments.samplers.expectation run --data fashion-mnist --data-root DIR \
        --image-size 16 --train-images 1500 --validation-images 3000 --root-epochs 40 \
        --out fashion-mnist.csv
    python -m experiments.samplers.expectation fit digits.csv fashion-mnist.csv

`run` trains a root for each seed, runs chains of rounds from it, long and short, gentle and harsh,
tries five learning rates on networks of one of them, and writes a row for each round in the folder
of stages, those of other scripts among them: sizes and accuracies, scaled as samplers see them,
before and after it. `fit` looks for the constants of `Beforehand` under which what these rounds
left is the likeliest: departures from what is expected, in log-odds, are taken to have Student's t
distribution with 5 degrees of freedom, of a scale that `doubt` tells up to a factor; every set
counts alike. Printed: today's constants and the fitted ones, with the factor, each set's mean
negative log-likelihood (but for a constant), and its root mean square error of accuracy. Rounds
that start fresh are left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import tyro
from scipy.optimize import minimize

from data import ImageData
from experiments.instruments.student_runner import (
    by_params,
    student_architecture,
    student_runner,
)
from experiments.instruments.subset import Images
from experiments.samplers.simulated_search import Rounds as RealRounds
from pruning import Round, Schedule, Stage, StageStore, keep_freed_memory, width_mult
from search.opening import scale_of
from search.samplers.round_model import (
    BEFOREHAND,
    Array,
    Beforehand,
    Rounds,
    accuracy_of,
    describe,
    odds_of,
)

_DESCRIBED = ["log_rate", "log_epochs", "log_lr", "fresh", "global"]
_DEVIATION = 0.7  # of the smallest networks' log-odds, to begin with
_FREEDOM = 5  # degrees of it
_RESTARTS = 3
_NARROWEST = 1 / 320  # to which chains lead
_LRS = 0.008, 0.015, 0.03, 0.06, 0.12


def _round(rate: float, epochs: int, lr: float = 0.015) -> Round:
    return Round(rate=rate, epochs=epochs, lr=lr)


def _chain(*first: Round, then: Round) -> Schedule:
    """Rounds, and one that is repeated for as long as there is something to prune."""
    count = int(np.log(_NARROWEST / width_mult(first)) / np.log(then.rate))
    return (*first, *(then,) * count)


def _each_lr() -> Iterator[Schedule]:
    """From every network of a chain one round at each learning rate."""
    down = _round(0.1, 20, 0.03), *(_round(0.6, 20, 0.03),) * 4
    steps = (0.8, 5), (0.8, 10), (0.6, 10), (0.6, 20)
    for depth, step, lr in product(range(1, 6), steps, _LRS):
        yield (*down[:depth], _round(*step, lr))


CHAINS = (
    _chain(_round(0.1, 20), then=_round(0.6, 20)),
    _chain(_round(0.1, 20, 0.03), then=_round(0.6, 20, 0.03)),
    _chain(_round(0.1, 40), then=_round(0.8, 10, 0.03)),
    _chain(_round(0.1, 10, 0.03), then=_round(0.6, 10, 0.03)),
    _chain(_round(0.3, 20), _round(0.3, 20), then=_round(0.6, 40)),
    (_round(0.6, 20),) * 3,
    _chain(_round(0.1, 40, 0.03), then=_round(0.8, 20, 0.03)),
    _chain(_round(0.3, 5), then=_round(0.6, 5, 0.03)),
    _chain(_round(0.1, 10, 0.03), then=_round(0.8, 5, 0.03)),
    _chain(_round(0.1, 10, 0.03), then=_round(0.8, 5, 0.06)),
    _chain(_round(0.35, 5, 0.03), _round(0.35, 5, 0.03), then=_round(0.6, 5, 0.06)),
    *((_round(width, 40),) for width in (0.02, 0.04, 0.08, 0.2)),
    *_each_lr(),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run(Images):
    """Run rounds on one set of images."""

    root_epochs: int = 60
    """Epochs for which each seed's root is trained."""
    seeds: tuple[int, ...] = (200, 201)
    """Seeds of roots and rounds; none of a comparison."""
    stages: Path = Path("expectation-stages")
    """Where stages are kept, for this run and later ones."""
    out: Path = Path("expectation.csv")
    """File of the rounds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """Fit what to expect to the rounds of some sets."""

    rounds: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files that `run` wrote."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run rounds, or fit to them."""
    asked = tyro.extras.subcommand_cli_from_dict({"run": Run, "fit": Fit}, args=arguments)
    if isinstance(asked, Run):
        torch.set_num_threads(1)
        keep_freed_memory()
        data = asked.opened()
        rows = [row for seed in asked.seeds for row in rows_of(data, asked, seed)]
        pd.DataFrame(rows).to_csv(asked.out, index=False)
    else:
        print("\n".join(fitted([pd.read_csv(path) for path in asked.rounds])))


def rows_of(data: ImageData, asked: Run, seed: int) -> Iterator[dict[str, float]]:
    """Run the chains of a seed, and describe every round in its store."""
    runner = student_runner(data, seed=seed, root_epochs=asked.root_epochs)
    store = StageStore(asked.stages / runner.origin.stage_id(None, None))
    runs = RealRounds(runner, store)
    root = runs.root()
    classes = len(data.classes)
    scale = scale_of(by_params(student_architecture(classes)), classes)
    for number, schedule in enumerate(CHAINS, 1):
        chain: list[Stage] = [root]
        for round_ in schedule:
            if (child := runs.child(chain[-1], round_)) is None:
                break
            chain.append(child)
        found = [one.params for one in chain], [one.val_accuracy for one in chain]
        epochs = sum(round_.epochs for round_ in schedule)
        print(f"seed {seed}, chain {number}, {epochs} epochs: {scale.hypervolume(*found):.4f}")
    for stage in store:
        if stage.parent is None:
            continue
        parent, round_ = store[stage.parent], stage.schedule[-1]
        x = scale.x([stage.params, parent.params])
        y = scale.y([stage.val_accuracy, parent.val_accuracy, root.val_accuracy])
        described = dict(zip(_DESCRIBED, describe([round_])[0], strict=True))
        places = {"x": x[0], "x_before": x[1], "y": y[0], "y_before": y[1], "root": y[2]}
        yield {"seed": seed, **described, **places}


def fitted(sets: Sequence[pd.DataFrame]) -> Iterator[str]:
    """Lines of today's constants, and of those that fit the rows of `run` best.

    Args:
        sets: Rows of one set of images each.
    """
    sets = [rows[rows["fresh"] == 0] for rows in sets]
    found = np.log([*asdict(BEFOREHAND).values(), _DEVIATION])
    for _ in range(_RESTARTS):  # the simplex shrinks too soon in so many dimensions
        found = minimize(
            lambda logs: sum(_surprise(rows, *_constants(logs)) for rows in sets),
            found,
            method="Nelder-Mead",
            options={"maxfev": 10_000, "xatol": 1e-4, "fatol": 1e-7, "adaptive": True},
        ).x
    today = BEFOREHAND, _DEVIATION
    for whose, (constants, deviation) in (("today's", today), ("fitted", _constants(found))):
        shown = ", ".join(f"{name} {value:.3f}" for name, value in asdict(constants).items())
        odd = " ".join(f"{_surprise(rows, constants, deviation):.3f}" for rows in sets)
        far = " ".join(f"{_error(rows, constants):.4f}" for rows in sets)
        yield f"{whose}: {shown}, deviation {deviation:.3f}; surprise {odd}; error {far}"
    yield "rounds: " + " ".join(str(len(rows)) for rows in sets)


def _constants(logs: Array) -> tuple[Beforehand, float]:
    *values, deviation = np.exp(logs)
    return Beforehand(*values), deviation


def _surprise(rows: pd.DataFrame, constants: Beforehand, deviation: float) -> float:
    """Mean negative logarithm of the likelihood of what rounds left, but for a constant."""
    mean = []
    for asked, left in by_root(rows, constants):
        scale = deviation * asked.doubt()
        off = (odds_of(left) - asked.expected()) / scale
        mean.append(np.log(scale) + (_FREEDOM + 1) / 2 * np.log1p(off**2 / _FREEDOM))
    return float(np.concatenate(mean).mean())


def _error(rows: pd.DataFrame, constants: Beforehand) -> float:
    """Root mean square of what was expected less what was left, in scaled accuracy."""
    errors = [accuracy_of(asked.expected()) - left for asked, left in by_root(rows, constants)]
    return float(np.sqrt((np.concatenate(errors) ** 2).mean()))


def by_root(
    rows: pd.DataFrame, constants: Beforehand = BEFOREHAND
) -> Iterator[tuple[Rounds, Array]]:
    """The rounds of each root, as `run` wrote them, and what they left (n,)."""
    for root, some in rows.groupby("root"):
        asked = Rounds(
            x=some["x"].to_numpy(),
            described=some[_DESCRIBED].to_numpy(),
            x_before=some["x_before"].to_numpy(),
            y_before=some["y_before"].to_numpy(),
            root=float(root),  # type: ignore[arg-type]
            before=constants,
        )
        yield asked, some["y"].to_numpy()


if __name__ == "__main__":
    main()
