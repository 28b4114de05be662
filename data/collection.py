"""What a source of images offers before they are packed."""

import hashlib
import json
import os
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
    images: Generator[NDArray[np.uint8] | str, None, None]
    """Arrays (height, width, 3), RGB: all of train, then validation, then test.

    In place of one that is left out, its name and why. Raises DataError where a file is refused,
    and OSError never.
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
    notes: tuple[str, ...] = ()
    """What was decided in finding its images, a line each."""


def file_state(status: os.stat_result) -> tuple[int, int, int, int]:
    """What changes when a file is written, or another takes its place, however alike they are.

    Size and time of writing are equal in two files of one archive that change places, and tools
    set that time as they like; the time of the inode's change they cannot set, and on most file
    systems the inode's number stays with the file.
    """
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def digest(value: object) -> str:
    """SHA-256, in hex, of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
