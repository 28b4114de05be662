import os
from pathlib import Path

import pytest

from experiments.instruments.search_command import finished_stages
from experiments.speed.rounds_per_hour import (
    Output,
    RoundsPerHour,
    notebook_seconds,
    run_search,
    spread_evenly,
)
from models import student_channels
from pruning import Stage, StageStore
from tests.search.landscape import grow, rounds


@pytest.fixture
def stages(tmp_path: Path) -> list[Stage]:
    store = StageStore(tmp_path / "stages")
    rates = (0.9, 0.5, 0.8, 0.6, 0.7)
    return [stage for rate in rates for stage in grow(store, rounds(rate)) if stage.schedule]


def test_stages_are_taken_evenly_by_parameters(stages: list[Stage]) -> None:
    by_size = sorted(stages, key=lambda stage: stage.params)
    assert spread_evenly(stages, 5) == by_size
    assert spread_evenly(stages, 1) == [by_size[2]]
    assert spread_evenly(stages, 2) == [by_size[1], by_size[3]]
    assert len(spread_evenly(stages, 9)) == 9


def test_stages_are_ordered_by_the_time_of_their_weights(
    tmp_path: Path, stages: list[Stage]
) -> None:
    """Also when a record is written again later, as it is for the test accuracy."""
    store = StageStore(tmp_path / "stages")
    [root] = [stage for stage in store if not stage.schedule]
    for at, stage in enumerate([root, *stages]):
        os.utime(tmp_path / "stages" / stage.id / "model.safetensors", (at, at))
    store.set_test_accuracy(root.id, 0.5)
    found = finished_stages(tmp_path)
    assert [when for when, _ in found] == [0, 1, 2, 3, 4, 5]
    assert [stage.id for _, stage in found] == [root.id, *(stage.id for stage in stages)]


def test_rounds_an_hour() -> None:
    output = Output(seconds=20.0, params=(100, 300))
    assert output.rounds_an_hour == 360
    assert str(output) == "360 rounds an hour (2 in 20.0 s, 200 parameters on average)"


def test_the_notebook_s_rounds_are_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert notebook_seconds(16, [student_channels(base=4)], tmp_path, epochs=1) > 0
    assert (tmp_path / "best.bin").stat().st_size > 0


@pytest.mark.slow
def test_a_search_s_time_is_that_of_its_rounds(tmp_path: Path) -> None:
    asked = RoundsPerHour(trials=3, image_size=16, root_epochs=1, workers=1)
    output, made = run_search(asked, tmp_path)
    assert len(made) == len(output.params) == 3
    assert all(stage.schedule[-1].epochs == 5 for stage in made)
    assert output.seconds > sum(stage.seconds for stage in made)
