"""A data set cut down until an epoch takes a fraction of a second."""

from dataclasses import dataclass, replace
from pathlib import Path

from data import DataSource, ImageData, Split, open_data


def open_subset(
    source: DataSource, *, train_images: int | None, validation_images: int | None
) -> ImageData:
    """The first images of a set's training and validation splits; the test split is whole.

    The fingerprint of what was cut differs from that of the whole set.

    Args:
        source: The set.
        train_images: Most training images; None is all of them.
        validation_images: Most validation images; None is all of them.
    """
    data = open_data(source)
    train, validation = (
        _first(data.train, train_images),
        _first(data.validation, validation_images),
    )
    return replace(
        data,
        train=train,
        validation=validation,
        fingerprint=f"{data.fingerprint}-{len(train)}-{len(validation)}",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Images:
    """Which images a script is asked to use."""

    data: str = "digits"
    """digits, fashion-mnist, or a folder of images."""
    data_root: Path | None = None
    """Where fashion-mnist's files lie."""
    image_size: int = 16
    """Side of the crops in pixels."""
    train_images: int | None = None
    """Use only the first training images."""
    validation_images: int | None = None
    """Use only the first validation images."""

    def opened(self) -> ImageData:
        """These images; see `open_subset`."""
        return open_subset(
            DataSource(data=self.data, data_root=self.data_root, image_size=self.image_size),
            train_images=self.train_images,
            validation_images=self.validation_images,
        )


def _first(split: Split, count: int | None) -> Split:
    return replace(
        split,
        offsets=split.offsets[:count],
        heights=split.heights[:count],
        widths=split.widths[:count],
        labels=split.labels[:count],
    )
