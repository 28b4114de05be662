"""What the tests of data/ share: a cache of their own, and real image files to put on disk."""

import gzip
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that packs lie in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pruning-schedule-search" / "packs"


@pytest.fixture
def noise() -> Callable[..., Pixels]:
    """Random RGB pixels of a shape."""
    rng = np.random.default_rng(0)

    def make(height: int = 9, width: int = 12) -> Pixels:
        return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)

    return make


@pytest.fixture
def write_folder(noise: Callable[..., Pixels]) -> Callable[..., Path]:
    """Writes an image file for each name, relative to a root."""

    def write(root: Path, names: tuple[str, ...]) -> Path:
        for at, name in enumerate(names):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise(8 + at, 20 - at)).save(path)
        return root

    return write


@pytest.fixture
def food(tmp_path: Path, write_folder: Callable[..., Path]) -> Path:
    """A small folder in food-11's layout, unlabelled testing split included."""
    names = (
        "training/0_0.png",
        "training/0_1.jpg",
        "training/1_0.png",
        "validation/0_7.webp",
        "validation/1_0.png",
        "testing/0001.png",
    )
    return write_folder(tmp_path / "food-11", names)


@pytest.fixture
def write_idx() -> Callable[[Path, Pixels], None]:
    """Writes an idx file of unsigned bytes, compressed where the name asks for it."""

    def write(path: Path, values: Pixels) -> None:
        header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
        content = header + values.tobytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)

    return write


@pytest.fixture
def fashion(
    write_idx: Callable[[Path, Pixels], None],
) -> Callable[..., Path]:
    """Writes a small Fashion-MNIST: each class has 7 training and 2 test images."""

    def write(folder: Path, ending: str = ".gz") -> Path:
        rng = np.random.default_rng(1)
        for part, each in (("train", 7), ("t10k", 2)):
            labels = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), each))
            images = rng.integers(0, 256, (10 * each, 28, 28), dtype=np.uint8)
            write_idx(folder / f"{part}-images-idx3-ubyte{ending}", images)
            write_idx(folder / f"{part}-labels-idx1-ubyte{ending}", labels)
        return folder

    return write
