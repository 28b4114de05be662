import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as tv

from data import CropParameters, Split, draw_crops, gather_center, gather_train
from data.transforms import fold

SIZES = st.integers(1, 40)
# One pixel, one row, one column, odd and even, smaller and larger than a crop of 16, panoramas.
SHAPES = [(1, 1), (1, 50), (50, 1), (3, 2), (15, 16), (16, 16), (17, 16), (19, 21), (12, 90)]


def split_of(shapes: list[tuple[int, int]], seed: int = 0) -> Split:
    generator = torch.Generator().manual_seed(seed)
    heights, widths = torch.tensor(shapes).T.contiguous()
    ends = (heights * widths).cumsum(0)
    return Split(
        pixels=torch.randint(0, 256, (int(ends[-1]), 3), dtype=torch.uint8, generator=generator),
        offsets=ends - heights * widths,
        heights=heights,
        widths=widths,
        labels=torch.zeros(len(shapes), dtype=torch.int64),
    )


def picture(split: Split, at: int) -> Image.Image:
    height, width = int(split.heights[at]), int(split.widths[at])
    start = int(split.offsets[at])
    pixels = split.pixels[start : start + height * width]
    return Image.fromarray(pixels.view(height, width, 3).numpy())


def parameters(batch: int, **given_values: Tensor | int) -> CropParameters:
    values: dict[str, Tensor | int] = {
        "top": torch.zeros(batch, dtype=torch.int64),
        "left": torch.zeros(batch, dtype=torch.int64),
        "flipped": torch.zeros(batch, dtype=torch.bool),
        "angle": torch.zeros(batch),
        "padding": 0,
    }
    return CropParameters(**(values | given_values))


def torchvision_train(image: Image.Image, drawn: CropParameters, at: int, size: int) -> np.ndarray:
    """RandomCrop.forward with its numbers given, then the flip and the rotation."""
    if drawn.padding:
        image = tv.pad(image, drawn.padding, padding_mode="symmetric")
    if image.width < size:
        image = tv.pad(image, [size - image.width, 0], padding_mode="symmetric")
    if image.height < size:
        image = tv.pad(image, [0, size - image.height], padding_mode="symmetric")
    top, left = int(drawn.top[at]), int(drawn.left[at])
    assert 0 <= top <= image.height - size
    assert 0 <= left <= image.width - size
    image = tv.crop(image, top, left, size, size)
    if drawn.flipped[at]:
        image = tv.hflip(image)
    return np.asarray(tv.rotate(image, float(drawn.angle[at])))


@settings(deadline=None)
@given(length=st.integers(1, 9), before=st.integers(0, 60), after=st.integers(0, 60))
def test_fold_is_numpys_symmetric_padding(length: int, before: int, after: int) -> None:
    expected = np.pad(np.arange(length), (before, after), mode="symmetric")
    folded = fold(torch.arange(-before, length + after), torch.tensor(length))
    assert folded.tolist() == expected.tolist()


@settings(deadline=None)
@given(shapes=st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_folder_crops_are_torchvisions(shapes: list[tuple[int, int]], seed: int) -> None:
    split = split_of(shapes, seed)
    generator = torch.Generator().manual_seed(seed)
    indices = torch.randint(0, len(shapes), (5,), generator=generator)
    drawn = draw_crops(split, indices, size=16, padding=0, flip=True, generator=generator)
    crops = gather_train(split, indices, drawn, 16)
    assert crops.shape == (5, 16, 16, 3)
    for at, index in enumerate(indices.tolist()):
        expected = torchvision_train(picture(split, index), drawn, at, 16)
        np.testing.assert_array_equal(crops[at], expected)


@pytest.mark.parametrize("size", [16, 17, 32])
def test_named_crops_are_torchvisions(size: int) -> None:
    split = split_of([(size, size)] * 40)
    indices = torch.arange(40).flip(0)
    generator = torch.Generator().manual_seed(size)
    drawn = draw_crops(
        split, indices, size=size, padding=size // 8, flip=True, generator=generator
    )
    assert drawn.flipped.any()
    assert not drawn.flipped.all()
    crops = gather_train(split, indices, drawn, size)
    for at, index in enumerate(indices.tolist()):
        expected = torchvision_train(picture(split, index), drawn, at, size)
        np.testing.assert_array_equal(crops[at], expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_place_of_a_crop(shape: tuple[int, int]) -> None:
    """No draw is left out: crop alone, at the first, the last and a middle place of each side."""
    size = 16
    split = split_of([shape])
    last = [side - size if side >= size else size - side for side in shape]
    places = [(t, n) for t in {0, last[0] // 2, last[0]} for n in {0, last[1] // 2, last[1]}]
    top, left = torch.tensor(places).T.contiguous()
    drawn = parameters(len(places), top=top, left=left)
    crops = gather_train(split, torch.zeros(len(places), dtype=torch.int64), drawn, size)
    for at in range(len(places)):
        expected = torchvision_train(picture(split, 0), drawn, at, size)
        np.testing.assert_array_equal(crops[at], expected)


def test_flip_mirrors_left_to_right() -> None:
    split = split_of([(16, 16)])
    indices = torch.zeros(2, dtype=torch.int64)
    crops = gather_train(split, indices, parameters(2, flipped=torch.tensor([False, True])), 16)
    assert torch.equal(crops[1], crops[0].flip(1))
    assert not torch.equal(crops[1], crops[0])


@pytest.mark.parametrize("size", [16, 17, 32, 33, 256])
def test_rotation_is_pillows_on_every_pixel(size: int) -> None:
    # No pixel is excused for lying near a rounding boundary: the map is computed in the same
    # 16.16 fixed point as Pillow's, so both fall on the same side of it.
    split = split_of([(size, size)])
    angle = torch.empty(30).uniform_(-15, 15, generator=torch.Generator().manual_seed(size))
    angle[:4] = torch.tensor([0.0, -15.0, 15.0, 1e-3])
    crops = gather_train(
        split, torch.zeros(30, dtype=torch.int64), parameters(30, angle=angle), size
    )
    for at in range(30):
        expected = tv.rotate(picture(split, 0), float(angle[at]))
        np.testing.assert_array_equal(crops[at], np.asarray(expected))


@settings(deadline=None)
@given(st.floats(-180, 180, width=32))
def test_no_angle_leaves_the_margin(angle: float) -> None:
    """Were a line too short, a pixel would be read from another image's line."""
    split = split_of([(16, 16)] * 3)
    white = Split(
        pixels=torch.full_like(split.pixels, 255),
        offsets=split.offsets,
        heights=split.heights,
        widths=split.widths,
        labels=split.labels,
    )
    crops = gather_train(
        white, torch.arange(3), parameters(3, angle=torch.tensor([angle] * 3)), 16
    )
    expected = np.asarray(tv.rotate(picture(white, 0), angle))
    for crop in crops:
        np.testing.assert_array_equal(crop, expected)


@settings(deadline=None)
@given(shapes=st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=6))
def test_center_crops_are_torchvisions(shapes: list[tuple[int, int]]) -> None:
    split = split_of(shapes)
    crops = gather_center(split, torch.arange(len(shapes)), 16)
    for at in range(len(shapes)):
        expected = tv.center_crop(picture(split, at), [16, 16])
        np.testing.assert_array_equal(crops[at], np.asarray(expected))


def test_draws_cover_their_range_evenly() -> None:
    split = split_of([(20, 10)])
    generator = torch.Generator().manual_seed(0)
    indices = torch.zeros(20_000, dtype=torch.int64)
    drawn = draw_crops(split, indices, size=16, padding=0, flip=True, generator=generator)
    # A height of 20 leaves 5 places; a width of 10 is padded to 22 and leaves 7.
    for places, count in ((drawn.top, 5), (drawn.left, 7)):
        shares = places.bincount() / len(indices)
        assert len(shares) == count
        assert (shares - 1 / count).abs().max() < 0.015
    assert abs(float(drawn.flipped.float().mean()) - 0.5) < 0.015
    assert drawn.angle.dtype == torch.float32
    assert -15 <= float(drawn.angle.min()) < -14.9
    assert 14.9 < float(drawn.angle.max()) <= 15
    assert abs(float(drawn.angle.mean())) < 0.3


def test_draws_repeat_with_their_generator_and_ignore_options() -> None:
    split = split_of([(40, 40)] * 8)
    indices = torch.arange(8)

    def draw(flip: bool) -> CropParameters:
        generator = torch.Generator().manual_seed(3)
        return draw_crops(split, indices, size=16, padding=2, flip=flip, generator=generator)

    first, again, unflipped = draw(True), draw(True), draw(False)
    for name in ("top", "left", "flipped", "angle"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert torch.equal(first.angle, unflipped.angle)
    assert torch.equal(first.top, unflipped.top)
    assert not unflipped.flipped.any()


def test_gathering_leaves_the_images_alone() -> None:
    split = split_of(SHAPES)
    before = split.pixels.clone()
    indices = torch.arange(len(SHAPES))
    generator = torch.Generator().manual_seed(0)
    drawn = draw_crops(split, indices, size=16, padding=0, flip=True, generator=generator)
    gather_train(split, indices, drawn, 16).fill_(7)
    gather_center(split, indices, 16).fill_(7)
    assert torch.equal(split.pixels, before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_takes_the_same_crops() -> None:
    split = split_of(SHAPES * 4)
    indices = torch.arange(len(split))
    crops = []
    for at in (split, split.to("cuda")):
        generator = torch.Generator().manual_seed(0)
        drawn = draw_crops(at, indices, size=16, padding=0, flip=True, generator=generator)
        crops.append((gather_train(at, indices, drawn, 16), gather_center(at, indices, 16)))
    for on_cpu, on_gpu in zip(*crops, strict=True):
        assert on_gpu.is_cuda
        assert torch.equal(on_gpu.cpu(), on_cpu)
