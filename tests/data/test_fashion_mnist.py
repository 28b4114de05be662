import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray

from data import DataError, DataSource, ImageData, gather_center, open_data
from data.idx import read_idx

Fashion = Callable[..., Path]
WriteIdx = Callable[[Path, NDArray[np.uint8]], None]
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def open_fashion(root: Path, size: int = 28) -> ImageData:
    return open_data(DataSource(data="fashion-mnist", data_root=root, image_size=size))


def forbid_download(*args: Any, **kwargs: Any) -> None:
    (Path(args[0]) / "FashionMNIST" / "raw").mkdir(parents=True)
    raise URLError("no network\nat all")


@pytest.mark.parametrize("folder", [".", "fashion-mnist", "FashionMNIST/raw"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_files_are_found_and_read(
    tmp_path: Path, fashion: Fashion, folder: str, ending: str
) -> None:
    files = fashion(tmp_path / "root" / folder, ending)
    data = open_fashion(tmp_path / "root")
    assert (len(data.train), len(data.validation), len(data.test)) == (60, 10, 20)
    assert (data.classes[0], data.classes[9]) == ("T-shirt/top", "Ankle boot")
    assert (data.padding, data.flip) == (3, True)
    expected = read_idx(files / f"t10k-images-idx3-ubyte{ending}", 3)
    crops = gather_center(data.test, torch.arange(20), 28)
    np.testing.assert_array_equal(crops[..., 1], expected)


def test_the_last_sixth_of_each_class_validates(tmp_path: Path, fashion: Fashion) -> None:
    fashion(tmp_path)
    data = open_fashion(tmp_path)
    images = read_idx(tmp_path / "train-images-idx3-ubyte.gz", 3)
    labels = read_idx(tmp_path / "train-labels-idx1-ubyte.gz", 1)
    crops = gather_center(data.validation, torch.arange(10), 28)[..., 0].numpy()
    assert sorted(data.validation.labels.tolist()) == list(range(10))
    for crop, label in zip(crops, data.validation.labels.tolist(), strict=True):
        np.testing.assert_array_equal(crop, images[np.flatnonzero(labels == label)[-1]])
    kept = gather_center(data.train, torch.arange(60), 28)[..., 0].numpy()
    assert not {crop.tobytes() for crop in crops} & {image.tobytes() for image in kept}


def test_other_images_in_a_file_as_long_and_as_old_are_noticed(
    tmp_path: Path, fashion: Fashion
) -> None:
    fashion(tmp_path, "")
    before = open_fashion(tmp_path)
    images = tmp_path / "train-images-idx3-ubyte"
    content, state = images.read_bytes(), images.stat()
    images.write_bytes(content[:16] + content[:15:-1])
    os.utime(images, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert open_fashion(tmp_path).fingerprint != before.fingerprint


def test_without_files_or_network_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", forbid_download)
    (tmp_path / "empty").mkdir()
    for root in (tmp_path / "empty", tmp_path / "not" / "there"):
        with pytest.raises(DataError, match="--data-root") as caught:
            open_fashion(root)
        assert str(root) in str(caught.value)
        assert str(caught.value).count("\n") == 0
    assert list((tmp_path / "empty").iterdir()) == []
    assert not (tmp_path / "not").exists()


def test_missing_files_are_downloaded(
    tmp_path: Path, fashion: Fashion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(root: str, *, download: bool) -> None:
        assert download
        fashion(Path(root) / "FashionMNIST" / "raw")

    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", download)
    data = open_data(DataSource(data="fashion-mnist"))
    assert (len(data.train), data.image_size) == (60, 32)
    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", forbid_download)
    assert open_data(DataSource(data="fashion-mnist")).fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-images-idx3-ubyte", b"", "its header is ;"),
        (
            "train-images-idx3-ubyte",
            b"\0\0\x08\x03" + b"\0\0\0\x46",
            "its header is 0000080300000046",
        ),
        ("train-images-idx3-ubyte", b"\0\0\x0d\x03" + bytes(12), "its header is 00000d03"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x46" + bytes(69), "promises 70 bytes"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x46" + bytes(71), "promises 70 bytes"),
        (
            "train-labels-idx1-ubyte",
            b"\0\0\x08\x01\0\0\0\x45" + bytes(69),
            "found 70 in .* and 69",
        ),
        ("t10k-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x14" + b"\x0a" * 20, "under 10, found 10"),
    ],
)
def test_damaged_files_are_refused(
    tmp_path: Path, fashion: Fashion, name: str, content: bytes, message: str
) -> None:
    fashion(tmp_path, "")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        open_fashion(tmp_path)
    assert name in str(caught.value)


@pytest.mark.parametrize("content", [b"not gzip", None], ids=["no gzip", "truncated"])
def test_damaged_compression_is_refused(
    tmp_path: Path, fashion: Fashion, content: bytes | None
) -> None:
    fashion(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-500] if content is None else content)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz must be a whole idx file"):
        open_fashion(tmp_path)


def test_too_few_images_to_validate_are_refused(tmp_path: Path, write_idx: WriteIdx) -> None:
    for part in ("train", "t10k"):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", np.zeros((10, 28, 28), dtype=np.uint8))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", np.arange(10, dtype=np.uint8))
    with pytest.raises(DataError, match="at least 6 training images"):
        open_fashion(tmp_path)


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_real_files() -> None:
    data = open_fashion(DEBIAN, size=16)
    assert data.train.labels.bincount().tolist() == [5000] * 10
    assert data.validation.labels.bincount().tolist() == [1000] * 10
    assert data.test.labels.bincount().tolist() == [1000] * 10
    assert (int(data.train.pixels.min()), int(data.train.pixels.max())) == (0, 255)
