import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.samplers import expectation
from experiments.samplers.expectation import main
from pruning import Round
from search.samplers.round_model import Beforehand, Rounds, accuracy_of, describe

COUNT = 400
COLUMNS = ["log_rate", "log_epochs", "log_lr", "fresh", "global"]


def test_constants_are_found_in_the_rounds_that_they_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Beforehand(
        knee=0.3,
        sharpness=2.0,
        doubled=0.2,
        best_lr=0.05,
        cooling=0.5,
        off_lr=0.8,
        carried=10.0,
        inherited=0.4,
        polished=0.1,
        steadied=0.2,
        least_doubt=0.2,
    )
    random = np.random.default_rng(0)
    files = []
    for root in (0.8, 0.97):
        rounds = [
            Round(rate=rate, epochs=int(epochs), lr=lr)
            for rate, epochs, lr in zip(
                random.choice([0.1, 0.6, 0.8], COUNT),
                random.choice([5, 10, 40], COUNT),
                random.choice([0.008, 0.02, 0.08], COUNT),
                strict=True,
            )
        ]
        x, x_before = np.sort(random.uniform(0.15, 1, (2, COUNT)), axis=0)
        y_before = random.uniform(0.2, root, COUNT)
        asked = Rounds(x, describe(rounds), x_before, y_before, root, made)
        rows = pd.DataFrame(asked.described, columns=COLUMNS)
        left = accuracy_of(asked.expected() + 0.1 * asked.doubt() * random.standard_t(5, COUNT))
        places = {"x": x, "x_before": x_before, "y": left, "y_before": y_before, "root": root}
        files.append(tmp_path / f"{root}.csv")
        rows.assign(**places).to_csv(files[-1], index=False)
    main(["fit", *map(str, files)])
    _, found, count = capsys.readouterr().out.splitlines()
    for name, value in asdict(made).items():
        (shown,) = re.findall(rf"{name} ([0-9.]+)", found)
        assert float(shown) == pytest.approx(value, rel=0.2)
    (deviation,) = re.findall(r"deviation ([0-9.]+)", found)
    assert float(deviation) == pytest.approx(0.1, rel=0.1)
    assert count == f"rounds: {COUNT} {COUNT}"


def test_every_round_that_was_run_is_a_row(
    tmp_path: Path, packs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(packs))
    first, second = Round(rate=0.1, epochs=1, lr=0.01), Round(rate=0.5, epochs=0, lr=0.01)
    monkeypatch.setattr(expectation, "CHAINS", ((first, second), (second,)))
    out = tmp_path / "rounds.csv"
    sizes = ("--image-size", "16", "--train-images", "48", "--validation-images", "64")
    where = ("--stages", str(tmp_path / "stages"), "--out", str(out))
    main(["run", *sizes, "--root-epochs", "0", "--seeds", "7", *where])
    rows = pd.read_csv(out).sort_values(["x_before", "x"])
    assert rows["x"].is_monotonic_increasing
    below, *of_root = rows.to_dict("records")
    assert [row["x_before"] for row in of_root] == [1, 1]
    assert (below["x_before"], below["y_before"]) == (of_root[0]["x"], of_root[0]["y"])
    assert [row["y_before"] for row in of_root] == [row["root"] for row in of_root]
    described = [[row[name] for name in COLUMNS] for row in (below, *of_root)]
    np.testing.assert_allclose(described, describe([second, first, second]))
