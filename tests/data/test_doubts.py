from pathlib import Path

import pytest
import torch

from data import ImageData, Split, doubts


def split(count: int, height: int = 16, width: int = 16) -> Split:
    none = torch.zeros(count, dtype=torch.int64)
    return Split(
        pixels=torch.zeros(1, 3, dtype=torch.uint8),
        offsets=none,
        heights=none + height,
        widths=none + width,
        labels=none,
    )


def said(train: Split, validation: Split, classes: int = 2) -> list[str]:
    data = ImageData(
        classes=tuple(map(str, range(classes))),
        image_size=16,
        padding=0,
        flip=True,
        fingerprint="",
        train=train,
        validation=validation,
        test=split(0),
        folder=Path("packed"),
    )
    return list(doubts(data))


@pytest.mark.parametrize(
    ("count", "classes", "worth"),
    [(99, 2, "1.0%"), (100, 2, None), (100, 10, None), (199, 20, "0.5%"), (200, 20, None)],
)
def test_few_images_to_validate(count: int, classes: int, worth: str | None) -> None:
    found = said(split(1), split(count), classes)
    assert len(found) == (worth is not None)
    if worth is not None:
        assert f"Only {count} images of {classes} classes validate" in found[0]
        assert f"one is worth {worth} of accuracy" in found[0]


@pytest.mark.parametrize(
    ("height", "width", "hardly"),
    [(32, 32, False), (33, 33, True), (3000, 4000, True), (8, 400, False), (400, 32, False)],
)
def test_images_that_are_hardly_seen(height: int, width: int, hardly: bool) -> None:
    """Food-11's, of at most 512 x 512 pixels in crops of 256, are seen."""
    found = said(split(3, height, width), split(100))
    assert len(found) == hardly
    if hardly:
        assert f"have {min(height, width):,} or more pixels a side" in found[0]
        assert "--resize 18 scales" in found[0]
