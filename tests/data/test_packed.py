from pathlib import Path

import pytest
import torch

from data import DataError, ImageData, Split


def split(labels: list[int]) -> Split:
    n = len(labels)
    return Split(
        pixels=torch.zeros((4 * n, 3), dtype=torch.uint8),
        offsets=torch.arange(n) * 4,
        heights=torch.full((n,), 2),
        widths=torch.full((n,), 2),
        labels=torch.tensor(labels),
    )


def test_length_and_labelled() -> None:
    assert len(split([0, 1, 2])) == 3
    assert split([0, 1, 2]).labelled
    assert not split([-1, -1]).labelled


def test_to_keeps_what_is_there_already() -> None:
    data = ImageData(
        classes=("a", "b"),
        image_size=16,
        padding=2,
        flip=True,
        fingerprint="00",
        folder=Path("packs"),
        train=split([0, 1]),
        validation=split([1]),
        test=split([-1]),
    )
    moved = data.to("cpu")
    assert moved.train.pixels.data_ptr() == data.train.pixels.data_ptr()
    assert (moved.fingerprint, moved.classes) == ("00", ("a", "b"))
    assert moved.validation.labels.tolist() == [1]
    assert not moved.test.labelled


def test_only_some_splits_are_moved() -> None:
    data = ImageData(
        classes=("a", "b"),
        image_size=16,
        padding=2,
        flip=True,
        fingerprint="00",
        folder=Path("packs"),
        train=split([0, 1]),
        validation=split([1]),
        test=split([0]),
    )
    moved = data.to("meta", only=())
    assert {moved.train, moved.validation, moved.test} == {data.train, data.validation, data.test}


def test_the_bytes_of_a_split_are_those_of_its_tensors() -> None:
    assert split([0, 1]).nbytes == 2 * 4 * 3 + 4 * 2 * 8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_to_moves_every_tensor() -> None:
    moved = split([0, 1]).to("cuda")
    for name in ("pixels", "offsets", "heights", "widths", "labels"):
        assert getattr(moved, name).is_cuda
    assert moved.labelled


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("pixels", torch.zeros((8, 3))),
        ("pixels", torch.zeros((8, 4), dtype=torch.uint8)),
        ("labels", torch.zeros(3, dtype=torch.int64)),
        ("heights", torch.zeros(2, dtype=torch.int32)),
    ],
)
def test_tensors_that_do_not_fit_are_refused(name: str, wrong: torch.Tensor) -> None:
    good = split([0, 1])
    tensors = {
        key: getattr(good, key) for key in ("pixels", "offsets", "heights", "widths", "labels")
    }
    with pytest.raises(DataError, match=f"{name} must be"):
        Split(**(tensors | {name: wrong}))
