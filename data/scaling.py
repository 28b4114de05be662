"""Photos scaled down, so that a crop shows more of them."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def scaled_down(pixels: NDArray[np.uint8], shorter_side: int | None) -> NDArray[np.uint8]:
    """An image whose shorter side is at most so many pixels, of the shape that it had.

    Equal to torchvision's Resize on a PIL image, but for images that are small already.

    Args:
        pixels: (height, width, 3).
        shorter_side: In pixels; None leaves the image as it is.
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    if shorter_side is None or side <= shorter_side:
        return pixels
    size = (shorter_side * width // side, shorter_side * height // side)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
