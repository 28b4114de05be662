"""What a source of images offers before they are packed."""

import hashlib
import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

Progress = Callable[[str, int, int], None]
"""Called with a split's name, the images packed so far and the images in all, after each image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The images of a collection, decoded one at a time."""

    labels: Mapping[SplitName, NDArray[np.int64]]
    """One label an image, -1 throughout a split without labels."""
    images: Generator[NDArray[np.uint8], None, None]
    """Arrays (height, width, 3), RGB: all of train, then validation, then test.

    Raises DataError where a file is refused, and OSError never.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A data set as it lies at its source, known but not yet read."""

    state: str
    """Hex digest of what is packed and of the state of its source; it names the pack."""
    classes: tuple[str, ...]
    padding: int
    flip: bool
    read: Callable[[], Contents]
    """Starts to decode; only called when there is no pack of this state."""


def digest(value: object) -> str:
    """SHA-256, in hex, of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
