"""The comparison of samplers once more, through the command line that people use.

    python -m experiments.samplers.efficiency_command --out commands.csv
    python -m experiments.samplers.efficiency_report commands.csv

Every search is `python search/run.py` with nothing simulated: Ray, workers, trials that run at the
same time. Data, choices of a round and seeds are not those on which the sampler was made
(`efficiency.py`). Hypervolume is over the epochs that the search itself counted. Optuna's
samplers have what this program gives all samplers: shared rounds, every stage an observation and a
candidate, early stopping.
"""

import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pandas as pd
import tyro

from experiments.instruments.hardware import hardware_line
from experiments.instruments.search_command import start_search
from experiments.instruments.student_runner import by_params
from experiments.samplers.simulated_search import Curve
from pruning import StageStore, StudentArchitecture
from search.opening import scale_of
from search.results.folder import ResultsFolder
from search.samplers.names import SamplerName

_CHOICES = ("--rates", "0.6", "0.8", "0.9", "--epochs", "1", "3", "--lrs", "5e-4", "2e-3")
_MANY = "100000"  # trials; the epochs end a search


@dataclass(frozen=True, kw_only=True, slots=True)
class Commands:
    """Compare samplers by hypervolume over executed epochs, through the command line."""

    data: str = "digits"
    """digits, fashion-mnist, or a folder of images."""
    data_root: Path | None = None
    """Where fashion-mnist's files lie."""
    image_size: int = 16
    """Side of the crops in pixels."""
    samplers: tuple[SamplerName, ...] = ("stage-tree", "tpe", "nsga2", "gp", "random")
    """Samplers to compare."""
    seeds: tuple[int, ...] = (20, 21, 22, 23, 24)
    """Seeds of the searches."""
    budget: int = 300
    """Executed epochs of a search."""
    out: Path = Path("commands.csv")
    """File of the curves."""


def main() -> None:
    """Run the searches, and write their curves."""
    asked = tyro.cli(Commands)
    print(hardware_line(), flush=True)
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed, sampler in product(asked.seeds, asked.samplers):
            folder = Path(scratch, f"{sampler}-{seed}")
            made = list(_searched(asked, sampler, seed, folder))
            rows += [{"arm": sampler, "seed": seed, **row} for row in made]
            pd.DataFrame(rows).to_csv(asked.out, index=False)
            print(f"seed {seed}, {sampler}: {made[-1]}", flush=True)


def _searched(
    asked: Commands, sampler: SamplerName, seed: int, folder: Path
) -> list[dict[str, float]]:
    root = () if asked.data_root is None else ("--data-root", str(asked.data_root))
    search = start_search(
        folder,
        folder.parent / "cache",
        *("--data", asked.data, *root, "--image-size", str(asked.image_size)),
        *("--sampler", sampler, "--seed", str(seed), *_CHOICES),
        *("--max-epochs", str(asked.budget), "--trials", _MANY),
    )
    if search.wait() != 0:
        raise SystemExit(f"the search with {sampler} and seed {seed} failed")
    root_of = ResultsFolder(folder).read()["root"]
    architecture = StudentArchitecture(
        channels=tuple(root_of["channels"]),
        num_classes=root_of["num_classes"],
        prune=root_of.get("prune", "notebook"),
    )
    scale = scale_of(by_params(architecture), architecture.num_classes)
    stages = sorted(StageStore(folder / "stages"), key=lambda stage: stage.executed_epochs)
    curve = Curve(epochs=[stage.executed_epochs for stage in stages], stages=stages)
    return list(curve.rows(scale, lambda stage: stage.test_accuracy or 0.0))


if __name__ == "__main__":
    main()
