"""Decoded images of many sizes as a few flat tensors."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.collection import SPLITS, SplitName
from data.errors import DataError, name_some

_NAMED_CLASSES = 5

_TENSORS = ("pixels", "offsets", "heights", "widths", "labels")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """The images of one split, one after another, row by row.

    Image `i` is `pixels[offsets[i] : offsets[i] + heights[i] * widths[i]]`.

    Raises:
        DataError: the tensors' types or shapes do not fit together.
    """

    pixels: Tensor
    """uint8 (P, 3), RGB."""
    offsets: Tensor
    """int64 (n,), the first pixel of each image."""
    heights: Tensor
    """int64 (n,), in pixels."""
    widths: Tensor
    """int64 (n,), in pixels."""
    labels: Tensor
    """int64 (n,), -1 throughout where the split has no labels."""
    labelled: bool = field(init=False)
    """Whether there are images, and every one has a label."""

    def __post_init__(self) -> None:
        if self.pixels.dtype != torch.uint8 or self.pixels.shape[1:] != (3,):
            raise DataError(
                f"pixels must be uint8 of shape (P, 3), found {self.pixels.dtype} of shape"
                f" {tuple(self.pixels.shape)}"
            )
        for name in ("offsets", "heights", "widths", "labels"):
            values: Tensor = getattr(self, name)
            if values.dtype != torch.int64 or values.shape != (len(self.offsets),):
                raise DataError(
                    f"{name} must be int64 of shape ({len(self.offsets)},), found"
                    f" {values.dtype} of shape {tuple(values.shape)}"
                )
        # Found once here, because on a GPU it waits for the device.
        object.__setattr__(self, "labelled", len(self) > 0 and bool((self.labels >= 0).all()))

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def nbytes(self) -> int:
        """What its tensors take, in bytes."""
        return sum(getattr(self, name).nbytes for name in _TENSORS)

    def to(self, device: torch.device | str) -> "Split":
        """The same split with its tensors on `device`; nothing is copied that is there already."""
        return replace(self, **{name: getattr(self, name).to(device) for name in _TENSORS})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageData:
    """A data set ready for training: three splits and how its crops are taken."""

    classes: tuple[str, ...]
    """Names of the classes; a label is a position here."""
    image_size: int
    """Side of the crops in pixels."""
    padding: int
    """Symmetric padding in pixels on every side before the random crop."""
    flip: bool
    """Whether a mirrored image still shows its class."""
    fingerprint: str
    """Hex digest of all that shapes a crop: equal for equal content, wherever it lies."""
    train: Split
    validation: Split
    test: Split
    folder: Path
    """Where its pack lies."""
    notes: tuple[str, ...] = ()
    """What a user should know of how it was read, a line each."""

    @property
    def summary(self) -> str:
        """How many images and classes there are, in a line."""
        counts = [
            f"{len(split):,} {use}{' (unlabelled)' if len(split) and not split.labelled else ''}"
            for use, split in (
                ("to train", self.train),
                ("to validate", self.validation),
                ("to test", self.test),
            )
        ]
        return (
            f"Images: {', '.join(counts)}; {len(self.classes)} classes:"
            f" {name_some(self.classes, most=_NAMED_CLASSES)}"
        )

    def to(
        self, device: torch.device | str, *, only: Collection[SplitName] = SPLITS
    ) -> "ImageData":
        """The same data set with its tensors on `device`, or `only` those of some splits."""
        splits: dict[str, Any] = {split: getattr(self, split).to(device) for split in only}
        return replace(self, **splits)
