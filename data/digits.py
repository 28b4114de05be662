"""The handwritten digits that scikit-learn carries: 1,797 images of 8x8 pixels."""

from collections.abc import Generator
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from data.collection import SPLITS, Collection, Contents, SplitName, digest
from data.grey import enlarged
from data.pack import FORMAT

_LARGEST_VALUE = 16
# Of every five images of a class, in order: two to train, two to validate, one to test. There are
# few digits and they are easy: a large validation split is what tells good networks apart.
_PARTS: dict[SplitName, tuple[int, ...]] = {"train": (0, 1), "validation": (2, 3), "test": (4,)}


def digits(image_size: int) -> Collection:
    """The digits, enlarged to `image_size`, with grey levels 0..16 spread over 0..255."""
    return Collection(
        state=digest(["digits", FORMAT, image_size, version("scikit-learn"), str(_PARTS)]),
        classes=tuple(str(digit) for digit in range(10)),
        padding=image_size // 8,
        # A mirrored digit is no digit, or another.
        flip=False,
        read=lambda: _read(image_size),
    )


def _read(image_size: int) -> Contents:
    # scikit-learn takes seconds to import and is needed only to build the pack.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    labels = np.asarray(bunch.target, dtype=np.int64)
    images = np.rint(bunch.images * (255 / _LARGEST_VALUE)).astype(np.uint8)
    places = _places_in_class(labels)
    chosen = {split: np.flatnonzero(np.isin(places % 5, _PARTS[split])) for split in SPLITS}

    def decoded() -> Generator[NDArray[np.uint8], None, None]:
        for split in SPLITS:
            yield from enlarged(images, chosen[split], image_size)

    return Contents(
        labels={split: labels[chosen[split]] for split in SPLITS},
        images=decoded(),
    )


def _places_in_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each image, how many earlier ones have its label."""
    places = np.empty_like(labels)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        places[members] = np.arange(len(members))
    return places
