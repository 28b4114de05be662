"""The script that goes with a network, against what it must do alike."""

import ast
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from data import Split, gather_center
from data.decoding import UnusableImageError, decode_image
from data.grey import enlarged
from data.scaling import scaled_down
from search.takehome import predict
from tests.data.test_decoding import write_png

RNG = np.random.default_rng(0)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_odd(folder: Path) -> Iterator[Path]:
    """Files such as photos come in."""
    image = Image.fromarray(noise(7, 5))
    for mode in ("1", "L", "P", "RGB", "RGBA", "LA"):
        image.convert(mode).save(folder / f"{mode}.png")
    for ending in ("jpg", "png", "webp", "gif", "bmp", "tif", "avif", "jp2", "ppm", "mpo"):
        image.save(folder / f"a.{ending}")
    image.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.array([[0, 128, 129, 257, 65535]], dtype=np.uint16)).save(folder / "w.png")
    (folder / "w.pgm").write_bytes(b"P5 2 1 65535\n" + struct.pack(">2H", 0x1234, 0xFFFF))
    faint = image.convert("RGBA")
    faint.putalpha(100)
    faint.save(folder / "faint.png")
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    palette.save(folder / "palette.png", transparency=1)
    for depth, row, key in (
        (1, bytes([0b01010101]), 1),
        (2, bytes([0b00011011]), 2),
        (4, bytes([0x2F, 0xF3]), 15),
        (16, struct.pack(">4H", 0x1234, 0x1235, 0xFFFF, 0), 0x1234),
    ):
        write_png(folder / f"key{depth}.png", depth, 0, row, struct.pack(">H", key))
    colours = struct.pack(">6H", *(257 * part for part in (1, 2, 3, 4, 5, 6)))
    write_png(folder / "colour.png", 16, 2, colours, colours[:6])
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x112] = orientation
        image.save(folder / f"turned{orientation}.png", exif=exif)
    yield from sorted(folder.iterdir())


def test_files_are_decoded_as_those_that_the_search_read(tmp_path: Path) -> None:
    count = 0
    for path in write_odd(tmp_path):
        expected = decode_image(path)
        np.testing.assert_array_equal(predict.decoded(path), expected, err_msg=path.name)
        count += 1
    assert count > 30


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_the_search_refuses_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(noise(40, 40)).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-200])
    (tmp_path / "text.jpg").write_text("I am no image")
    Image.fromarray(np.zeros((2, 2), dtype=np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(noise(10, 11)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)
    for path in (*tmp_path.iterdir(), tmp_path / "none.jpg"):
        with pytest.raises(UnusableImageError):
            decode_image(path)
        with pytest.raises((OSError, ValueError, Image.DecompressionBombError)):
            predict.decoded(path)


@pytest.mark.parametrize("size", [16, 17])
def test_crops_are_those_of_evaluation(size: int) -> None:
    for height in range(11, 23):
        for width in (size - 3, size - 2, size, size + 1, size + 2, size + 3, size + 6):
            pixels = noise(height, width)
            split = Split(
                pixels=torch.from_numpy(pixels.reshape(-1, 3)),
                offsets=torch.tensor([0]),
                heights=torch.tensor([height]),
                widths=torch.tensor([width]),
                labels=torch.tensor([0]),
            )
            crop = gather_center(split, torch.tensor([0]), size)[0].numpy()
            found = predict.prepared(pixels, {"size": size, "resize": None, "shorter_side": None})
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, crop.transpose(2, 0, 1).astype(np.float32) / 255)


def test_images_are_enlarged_as_those_of_the_named_sets() -> None:
    grey = RNG.integers(0, 256, (3, 8, 9), dtype=np.uint8)
    for image, expected in zip(grey, enlarged(grey, np.arange(3), 32), strict=True):
        wanted = {"size": 32, "resize": "bilinear", "shorter_side": None}
        found = predict.prepared(np.repeat(image[..., None], 3, axis=2), wanted)
        np.testing.assert_array_equal(found, expected.transpose(2, 0, 1) / np.float32(255))


@pytest.mark.parametrize("shape", [(61, 40), (40, 83), (20, 30), (19, 90), (17, 40)])
def test_images_are_scaled_down_as_those_of_the_search(shape: tuple[int, int]) -> None:
    pixels = noise(*shape)
    wanted = {"size": 16, "resize": None, "shorter_side": 20}
    expected = predict.prepared(scaled_down(pixels, 20), wanted | {"shorter_side": None})
    np.testing.assert_array_equal(predict.prepared(pixels, wanted), expected)


def test_probabilities() -> None:
    logits = RNG.normal(size=(5, 7)).astype(np.float32) * 50
    found = predict.softmax(logits)
    expected = torch.softmax(torch.from_numpy(logits), 1).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_it_imports_nothing_of_ours() -> None:
    tree = ast.parse(Path(predict.__file__).read_text())
    modules: set[str | None] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            modules.add(node.module)
        elif isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
    packages = {str(module).partition(".")[0] for module in modules}
    assert packages - sys.stdlib_module_names == {"numpy", "PIL", "torch", "onnxruntime"}
