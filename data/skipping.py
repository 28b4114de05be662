"""A folder of images without those that do not decode."""

from collections import Counter
from collections.abc import Generator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.collection import SPLITS
from data.decoding import UnusableImageError, attempts
from data.errors import DataError, name_some
from data.layout import Layout


def decode_usable(
    root: Path, layout: Layout, shorter_side: int | None
) -> Generator[NDArray[np.uint8] | str, None, None]:
    """Decodes the files of all splits in order, and scales them down; see `scaled_down`.

    Yields:
        Arrays (height, width, 3), and for files that cannot be used their names and why.

    Raises:
        DataError: no image of a split, or of a class that is trained, would be left.
    """
    files = [
        (split, label if split == "train" else None, name)
        for split in SPLITS
        for name, label in zip(
            layout.splits[split].names, layout.splits[split].labels, strict=True
        )
    ]
    left = Counter((split, label) for split, label, _ in files)
    images = attempts(root, [name for _, _, name in files], shorter_side)
    for (split, label, name), image in zip(files, images, strict=True):
        if not isinstance(image, UnusableImageError):
            yield image
            continue
        left[split, label] -= 1
        if left[split, label] == 0:
            which = "" if label is None else f" of class {name_some((layout.classes[label],))}"
            raise DataError(
                f"--skip-broken leaves no {split} image{which}: the last, {name_some((name,))}"
                f" ({image}), cannot be used either; repair some"
            )
        yield f"{name} ({image})"
