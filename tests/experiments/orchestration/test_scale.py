from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import ray

from experiments.orchestration.scale import Scale, simulate
from search.campaign.ledger import Ledger
from search.configuration import SearchConfig

WORKERS, ROUNDS, SECONDS = 3, 4, 100.0


@pytest.fixture
def private_ray() -> Iterator[None]:
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("private_ray")
def test_a_simulated_search_is_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked = Scale(seconds=SECONDS, rounds=ROUNDS, megabytes=2.0)
    case = simulate(asked, WORKERS, tmp_path)
    assert len(case.slept) == WORKERS * ROUNDS
    for worker in range(WORKERS):
        mine = [one for one in case.slept if one.process == worker]
        assert mine
        for one, after in pairwise(mine):
            assert one.end <= after.start
    assert all(0.8 * SECONDS <= one.seconds <= 1.2 * SECONDS for one in case.slept)
    first = min(one.start for one in case.slept)
    assert first >= 0.8 * SECONDS  # the root was trained before
    assert max(one.end for one in case.slept) <= case.clock
    assert case.driver < case.clock  # hours of workers in seconds of the driver
    folder = tmp_path / "search"
    ledger = Ledger(folder / "study.db", SearchConfig().space())
    assert len(ledger) == WORKERS * ROUNDS
    assert not any(trial.running or trial.failed for trial in ledger)
    table = pd.read_csv(folder / "candidates.csv")
    assert len(table) == 1 + WORKERS * ROUNDS
    (root,) = table.stage[table["round"] == 0]
    weights = folder / "stages" / root / "model.safetensors"
    assert weights.stat().st_size == pytest.approx(2e6, rel=0.1)
    assert list(case.lines())
