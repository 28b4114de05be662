import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data import DataSource, ImageData, open_data
from experiments.speed.throughput import (
    Side,
    SideName,
    Throughput,
    Turn,
    measure,
    summary,
    write_csv,
    write_images,
)

ASKED = Throughput(sizes=(16,), repeats=2, images=44)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("food")
    write_images(folder, 16, 44, seed=0)
    return folder


@pytest.fixture
def data(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageData:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return open_data(DataSource(data=str(folder), image_size=16))


def turn(side: SideName, repeat: int, wall: float, cpu: float) -> Turn:
    return Turn(
        size=32,
        phase="training",
        side=side,
        repeat=repeat,
        images=100,
        wall_seconds=wall,
        cpu_seconds=cpu,
    )


def test_images_are_of_food_11_s_kind(data: ImageData) -> None:
    """Eleven classes, mixed sizes about the crop's, as many to train as to validate."""
    assert len(data.classes) == 11
    assert len(data.train) == len(data.validation) == 44
    assert set(data.train.labels.tolist()) == set(range(11))
    sides = torch.stack((data.train.heights, data.train.widths))
    assert 14 <= sides.min() < 16 < sides.max() <= 25


def test_the_same_images_are_written_again(data: ImageData, tmp_path: Path) -> None:
    write_images(tmp_path / "again", 16, 44, seed=0)
    again = open_data(DataSource(data=str(tmp_path / "again"), image_size=16))
    assert again.fingerprint == data.fingerprint


@pytest.mark.parametrize("name", ["notebook", "ours"])
def test_a_side_trains_and_only_evaluates(data: ImageData, name: SideName) -> None:
    side = Side.of(name, data, ASKED)
    wall, cpu = side.take_turn("training", "cpu")
    assert wall > 0
    assert cpu > 0
    first, second = (side.phases["evaluation"]() for _ in range(2))
    assert first == second
    side.phases["training"]()
    assert side.phases["evaluation"]() != first


def test_both_sides_start_from_the_same_weights(data: ImageData) -> None:
    theirs = Side.of("notebook", data, ASKED).phases["evaluation"]()
    ours = Side.of("ours", data, ASKED).phases["evaluation"]()
    assert theirs == pytest.approx((ours.loss, ours.accuracy), rel=1e-5)  # type: ignore[attr-defined]


def test_summary_pairs_turns_and_divides_theirs_by_ours() -> None:
    turns = [
        turn("notebook", 0, wall=4.0, cpu=3.0),
        turn("ours", 0, wall=2.0, cpu=2.0),
        turn("ours", 1, wall=1.0, cpu=1.0),
        turn("notebook", 1, wall=4.0, cpu=3.0),
    ]
    assert summary(turns) == [
        "32 px, training, 100 images a turn: 75.0 images/s, the notebook's loop 25.0",
        "    ratio, wall: 3.00 (quartiles 2.50 to 3.50, all 2.00 to 4.00, n=2)",
        "    ratio, CPU:  2.25 (quartiles 1.88 to 2.62, all 1.50 to 3.00, n=2)",
    ]


def test_csv_has_a_row_a_turn(tmp_path: Path) -> None:
    write_csv(tmp_path / "turns.csv", [turn("ours", 0, 2.0, 1.0)])
    with (tmp_path / "turns.csv").open() as file:
        [row] = csv.DictReader(file)
    assert (row["side"], row["size"], row["wall_seconds"]) == ("ours", "32", "2.0")


def test_turns_have_from_64_to_512_images() -> None:
    asked = Throughput()
    assert [asked.images_of(size) for size in asked.sizes] == [512, 256, 64, 64]


@pytest.mark.parametrize(
    "wrong", [{"sizes": ()}, {"sizes": (8,)}, {"repeats": 0}, {"images": 1}, {"images": 33}]
)
def test_what_cannot_be_measured_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"at least|needs"):
        replace(ASKED, **wrong)


@pytest.mark.slow
def test_processes_take_turns(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    turns = measure(ASKED, 16, folder)
    assert [(turn.phase, turn.repeat, turn.side) for turn in turns] == [
        (phase, repeat, side)
        for phase in ("training", "evaluation")
        for repeat in range(2)
        for side in ("notebook", "ours")
    ]
