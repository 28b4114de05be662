"""Small grey images as the RGB images that the network takes."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def enlarged(
    images: NDArray[np.uint8], order: NDArray[np.int64], size: int
) -> Iterator[NDArray[np.uint8]]:
    """Resizes grey images bilinearly and repeats them in three channels.

    Pillow resizes in integers, so the result, and with it a fingerprint, is the same on any CPU.

    Args:
        images: (n, height, width).
        order: which images, in which order.
        size: side of the results in pixels.

    Yields:
        Arrays (size, size, 3).
    """
    for at in order:
        resized = Image.fromarray(images[at]).resize((size, size), Image.Resampling.BILINEAR)
        yield np.asarray(resized.convert("RGB"))
