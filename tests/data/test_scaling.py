from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import Resize

from data import DataError, DataSource, open_data
from data.decoding import decode_image
from data.scaling import scaled_down

Noise = Callable[..., NDArray[np.uint8]]


@pytest.mark.parametrize("shape", [(61, 40), (40, 83), (21, 21), (301, 77)])
def test_large_images_are_scaled_as_by_torchvision(noise: Noise, shape: tuple[int, int]) -> None:
    pixels = noise(*shape)
    expected = np.asarray(Resize(20)(Image.fromarray(pixels)))
    np.testing.assert_array_equal(scaled_down(pixels, 20), expected)
    assert min(expected.shape[:2]) == 20


@pytest.mark.parametrize("shorter_side", [None, 40, 50])
def test_small_images_stay(noise: Noise, shorter_side: int | None) -> None:
    pixels = noise(61, 40)
    assert scaled_down(pixels, shorter_side) is pixels


@pytest.mark.parametrize("skip_broken", [True, False])
def test_images_are_packed_scaled(food: Path, noise: Noise, skip_broken: bool) -> None:
    large = food / "training" / "0_0.png"
    Image.fromarray(noise(90, 60)).save(large)
    as_they_are, scaled = (
        open_data(
            DataSource(data=str(food), image_size=16, resize=resize, skip_broken=skip_broken)
        )
        for resize in (None, 18)
    )
    assert as_they_are.train.heights[0] == 90
    assert scaled.train.heights.tolist()[1:] == as_they_are.train.heights.tolist()[1:]
    pixels = scaled.train.pixels[: 27 * 18].view(27, 18, 3)
    np.testing.assert_array_equal(pixels, scaled_down(decode_image(large), 18))
    assert scaled.fingerprint != as_they_are.fingerprint


@pytest.mark.parametrize(
    ("data", "resize", "message"),
    [
        ("digits", 32, "--resize is for folders"),
        ("photos", 63, "--resize must be at least the image size, 64, found 63"),
    ],
)
def test_what_cannot_be_scaled_is_refused(data: str, resize: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        DataSource(data=data, image_size=64, resize=resize)
    assert DataSource(data="photos", image_size=64, resize=64).resize == 64
