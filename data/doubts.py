"""Why accuracies on a data set may mean less than they seem to."""

from collections.abc import Iterator

import torch

from data.packed import ImageData

_LEAST_A_CLASS, _LEAST = 10, 100  # images to validate
_LEAST_SEEN = 1 / 2  # of the shorter side
_USUAL_MARGIN = 8 / 7  # crops of 224 pixels are taken of images whose shorter side has 256


def doubts(data: ImageData) -> Iterator[str]:
    """A line on a validation split that is small, and one on images that are hardly seen."""
    count, classes = len(data.validation), len(data.classes)
    if count < max(_LEAST, _LEAST_A_CLASS * classes):
        yield (
            f"Only {count:,} images of {classes:,} classes validate: one is worth {1 / count:.1%}"
            " of accuracy, so that small differences mean little"
        )
    size, shorter = data.image_size, torch.minimum(data.train.heights, data.train.widths)
    if (side := int(shorter.median())) * _LEAST_SEEN > size:
        yield (
            f"Half of the images to train have {side:,} or more pixels a side, of which a network"
            f" sees a crop of {size}: --resize {round(_USUAL_MARGIN * size)} scales them down"
            " first"
        )
