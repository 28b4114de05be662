"""Data sets on machines that have not their images: the pack is copied there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from data.cache import cached_pack, pack_folder
from data.collection import digest
from data.pack import FILES, FORMAT, Pack
from data.packed import ImageData

Bring = Callable[[Path, Path], object]
"""Copies a file of the machine on which images were packed to a path on this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedImages:
    """A packed data set, as any machine can open it. For the fields, see `ImageData`."""

    folder: Path
    classes: tuple[str, ...]
    image_size: int
    padding: int
    flip: bool

    @classmethod
    def of(cls, data: ImageData) -> Self:
        """What it takes to open a data set elsewhere."""
        return cls(
            folder=data.folder,
            classes=data.classes,
            image_size=data.image_size,
            padding=data.padding,
            flip=data.flip,
        )

    def open(self, bring: Bring) -> ImageData:
        """Opens it on this machine, to which its pack is brought unless it is here.

        Raises:
            DataError: the cache folder cannot be written.
        """

        def write(folder: Path) -> None:
            for name in FILES:
                bring(self.folder / name, folder / name)

        return self.mapped(cached_pack(self.folder.name, write))

    def mapped(self, pack: Pack, notes: tuple[str, ...] = ()) -> ImageData:
        """The data set whose pack is mapped; `notes` are what a user should know of it."""
        return ImageData(
            classes=self.classes,
            image_size=self.image_size,
            padding=self.padding,
            flip=self.flip,
            fingerprint=digest(
                {
                    "format": FORMAT,
                    "content": pack.content,
                    "classes": self.classes,
                    "image_size": self.image_size,
                    "padding": self.padding,
                    "flip": self.flip,
                }
            ),
            train=pack.splits["train"],
            validation=pack.splits["validation"],
            test=pack.splits["test"],
            folder=pack_folder(self.folder.name),
            notes=notes,
        )
