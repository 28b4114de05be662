"""Fashion-MNIST: 70,000 grey images of clothes, 28x28 pixels, in four idx files."""

from collections.abc import Generator, Iterable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from data.cache import cache_root, make_writable
from data.collection import Collection, Contents, digest, file_state
from data.errors import DataError
from data.grey import enlarged
from data.idx import read_idx
from data.pack import FORMAT

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# The validation images are one of this many parts of each class of the training files.
_PARTS = 6


def fashion_mnist(data_root: Path | None, image_size: int) -> Collection:
    """Fashion-MNIST from the files under `data_root`, which are downloaded if there are none.

    The last sixth of each class of the training files, in their order, validates.

    Args:
        data_root: a folder that holds the idx files, compressed or not, itself or in
            `fashion-mnist` or `FashionMNIST/raw`; None is a folder of the user's cache.
        image_size: side of the resized images in pixels.

    Raises:
        DataError: there are no files and they cannot be downloaded.
    """
    root = cache_root() / "datasets" if data_root is None else data_root.expanduser().resolve()
    files = _find(root) or _download(root)
    states = [(str(file), file_state(file.stat())) for file in files]
    return Collection(
        state=digest(["fashion-mnist", FORMAT, image_size, states]),
        classes=CLASSES,
        padding=image_size // 8,
        flip=True,
        read=lambda: _read(files, image_size),
    )


def _find(root: Path) -> tuple[Path, ...] | None:
    """The four files, in the first folder that has them all."""
    for folder in (root, root / "fashion-mnist", root / "FashionMNIST" / "raw"):
        found = [
            next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
            for name in _FILES
        ]
        files = tuple(path for path in found if path is not None)
        if len(files) == len(_FILES):
            return files
    return None


def _download(root: Path) -> tuple[Path, ...]:
    # torchvision takes seconds to import and is needed only to download.
    from torchvision.datasets import FashionMNIST

    folders = (root / "FashionMNIST" / "raw", root / "FashionMNIST", root, *root.parents)
    made = [folder for folder in folders if not folder.exists()]
    try:
        make_writable(cache_root())
        with FileLock(cache_root() / "download.lock"):
            # Another process may have downloaded them while this one waited.
            files = _find(root)
            if files is None:
                root.mkdir(parents=True, exist_ok=True)
                FashionMNIST(str(root), download=True)
                files = _find(root)
    except (OSError, EOFError, RuntimeError, HTTPException) as error:
        _remove_empty(made)
        reason = " ".join(str(error).split())
        raise DataError(
            f"no Fashion-MNIST files in {root}, and the download failed ({reason});"
            " give the folder that holds the idx files with --data-root"
        ) from error
    if files is None:
        raise DataError(
            f"no Fashion-MNIST files in {root} after their download;"
            " give the folder that holds the idx files with --data-root"
        )
    return files


def _remove_empty(folders: Iterable[Path]) -> None:
    """Removes folders, inner ones first, as far as they exist and hold nothing."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _read(files: tuple[Path, ...], image_size: int) -> Contents:
    train_images, train_labels = _read_pair(files[0], files[1])
    test_images, test_labels = _read_pair(files[2], files[3])
    validates = _last_parts(train_labels)
    train, validation = np.flatnonzero(~validates), np.flatnonzero(validates)
    if len(validation) == 0:
        raise DataError(
            f"each class needs at least {_PARTS} training images, so that some can validate;"
            f" found {len(train_labels)} images in {files[1]}; give another --data-root"
        )

    def decoded() -> Generator[NDArray[np.uint8], None, None]:
        yield from enlarged(train_images, train, image_size)
        yield from enlarged(train_images, validation, image_size)
        yield from enlarged(test_images, np.arange(len(test_images)), image_size)

    return Contents(
        labels={
            "train": train_labels[train],
            "validation": train_labels[validation],
            "test": test_labels,
        },
        images=decoded(),
    )


def _read_pair(
    images_path: Path, labels_path: Path
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, height, width) and their labels (n,)."""
    images = read_idx(images_path, 3)
    labels = read_idx(labels_path, 1).astype(np.int64)
    if len(images) != len(labels) or images.size == 0:
        raise DataError(
            f"images and labels must be as many, and some; found {len(images)} in {images_path}"
            f" and {len(labels)} in {labels_path}; give another --data-root"
        )
    if labels.max() >= len(CLASSES):
        raise DataError(
            f"labels must be under {len(CLASSES)}, found {labels.max()} in {labels_path};"
            " give another --data-root"
        )
    return images, labels


def _last_parts(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Marks the last sixth of each class."""
    marked = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        marked[members[len(members) - len(members) // _PARTS :]] = True
    return marked
