import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from data.decoding import UnusableImageError, decode_image, decode_images
from data.errors import DataError

Noise = Callable[..., NDArray[np.uint8]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_opaque_png_modes_become_rgb(tmp_path: Path, noise: Noise, mode: str) -> None:
    image = Image.fromarray(noise(7, 5)).convert(mode)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(
        decode_image(tmp_path / "a.png"), np.asarray(image.convert("RGB"))
    )


def test_lossless_webp(tmp_path: Path, noise: Noise) -> None:
    pixels = noise(7, 5)
    Image.fromarray(pixels).save(tmp_path / "a.WEBP", lossless=True)
    np.testing.assert_array_equal(decode_image(tmp_path / "a.WEBP"), pixels)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_modes_progressive_or_not(tmp_path: Path, mode: str) -> None:
    flat = Image.new("RGB", (24, 16), (200, 120, 40)).convert(mode)
    for progressive in (False, True):
        flat.save(tmp_path / "a.jpg", quality=95, progressive=progressive)
        decoded = decode_image(tmp_path / "a.jpg").astype(int)
        assert decoded.shape == (16, 24, 3)
        assert np.abs(decoded - np.asarray(flat.convert("RGB"))).max() <= 4


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 128, 129, 257, 32896, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert decode_image(tmp_path / "a.png")[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_over_black(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (3, 1), (200, 200, 200, 255))
    image.putpixel((1, 0), (200, 200, 200, 0))
    image.putpixel((2, 0), (200, 200, 200, 128))
    image.convert(mode).save(tmp_path / "a.png")
    assert decode_image(tmp_path / "a.png")[0, :, 0].tolist() == [200, 0, 100]


def test_a_transparent_palette_colour_is_black(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=1)
    assert decode_image(tmp_path / "a.png").tolist() == [[[10, 20, 30], [0, 0, 0]]]


def write_png(path: Path, depth: int, colour: int, row: bytes, key: bytes) -> None:
    """One row, grey (colour type 0) or RGB (2), with a transparent value, as Pillow saves few."""
    width = len(row) * 8 // depth // (3 if colour == 2 else 1)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0)),
        (b"tRNS", key),
        (b"IDAT", zlib.compress(b"\0" + row)),
        (b"IEND", b""),
    )
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in chunks
        )
    )


@pytest.mark.parametrize(
    ("depth", "row", "key", "expected"),
    [
        (1, bytes([0b01010101]), 1, [0] * 8),
        (2, bytes([0b00011011]), 2, [0, 85, 0, 255]),
        (4, bytes([0x2F, 0xF3]), 15, [34, 0, 0, 51]),
        (8, bytes([7, 200, 201]), 200, [7, 0, 201]),
        (16, struct.pack(">4H", 0x1234, 0x1235, 0xFFFF, 0), 0x1234, [0, 18, 255, 0]),
    ],
)
def test_a_transparent_grey_is_black_at_any_depth(
    tmp_path: Path, depth: int, row: bytes, key: int, expected: list[int]
) -> None:
    write_png(tmp_path / "a.png", depth, 0, row, struct.pack(">H", key))
    decoded = decode_image(tmp_path / "a.png")
    assert decoded.tolist() == [[[level] * 3 for level in expected]]


def test_a_transparent_colour_is_black_at_any_depth(tmp_path: Path) -> None:
    colours = (0x12, 0x56, 0x9A, 0x13, 0x56, 0x9A)
    write_png(tmp_path / "8.png", 8, 2, bytes(colours), struct.pack(">3H", *colours[:3]))
    wide = [257 * part for part in colours]
    row, key = struct.pack(">6H", *wide), struct.pack(">3H", *wide[:3])
    write_png(tmp_path / "16.png", 16, 2, row, key)
    for name in ("8.png", "16.png"):
        assert decode_image(tmp_path / name).tolist() == [[[0, 0, 0], [0x13, 0x56, 0x9A]]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, noise: Noise, orientation: int) -> None:
    pixels = noise(4, 6)
    turned = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, -1),
        7: np.rot90(pixels, 2).transpose(1, 0, 2),
        8: np.rot90(pixels),
    }
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(decode_image(tmp_path / "a.png"), turned[orientation])


@pytest.mark.parametrize(
    "ending", ["jpg", "png", "webp", "gif", "bmp", "dib", "tif", "avif", "jp2", "ppm", "mpo"]
)
def test_truncated_files_are_refused(tmp_path: Path, noise: Noise, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.fromarray(noise(40, 40)).save(path)
    assert decode_image(path).shape == (40, 40, 3)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnusableImageError):
        decode_image(path)


@pytest.mark.parametrize(
    "kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "MPO"]
)
def test_a_name_does_not_decide_how_a_file_is_decoded(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (24, 16), (90, 90, 90)).save(tmp_path / "a.jpg", format=kind)
    decoded = decode_image(tmp_path / "a.jpg").astype(int)
    assert decoded.shape == (16, 24, 3)
    assert np.abs(decoded - 90).max() <= 2


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC file, which cannot be decoded"),
        (b"%PDF-1.7", "a PDF file, which cannot be decoded"),
        (b"<html><title>404", "an HTML page, which cannot be decoded"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
    ],
)
def test_what_does_not_decode_is_called_what_it_is(
    tmp_path: Path, content: bytes, kind: str
) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UnusableImageError, match=kind):
        decode_image(tmp_path / "a.jpg")


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("I am no image")
    (tmp_path / "pickle.jpg").write_bytes(b"cos\nabort\n(tR.")  # run, it would end the tests
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, reason in (
        ("text.jpg", "not an image"),
        ("pickle.jpg", "not an image"),
        ("empty.jpg", "empty file"),
        ("none.jpg", "no regular file"),
        ("pipe.jpg", "no regular file"),
    ):
        with pytest.raises(UnusableImageError, match=reason):
            decode_image(tmp_path / name)


# Pillow's warning must not be what refuses: a caller may have silenced it.
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("limit", [60, 150], ids=["pillow raises", "pillow warns"])
def test_bombs_are_refused(
    tmp_path: Path, noise: Noise, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    Image.fromarray(noise(10, 20)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(UnusableImageError, match=f"more than {limit}"):
        decode_image(tmp_path / "a.png")


def test_many_are_decoded_in_order(tmp_path: Path) -> None:
    names = [f"{at}.png" for at in range(60)]
    for at, name in enumerate(names):
        Image.new("RGB", (1 + at % 7, 1), (at, 0, 0)).save(tmp_path / name)
    decoded = list(decode_images(tmp_path, names))
    assert [int(image[0, 0, 0]) for image in decoded] == list(range(60))
    assert [image.shape for image in decoded] == [(1, 1 + at % 7, 3) for at in range(60)]


def test_the_first_ten_of_the_bad_are_named(tmp_path: Path) -> None:
    names = [f"{at:02}.png" for at in range(15)]
    for name in names:
        (tmp_path / name).write_bytes(b"bad")
    Image.new("RGB", (1, 1)).save(tmp_path / "02.png")
    with pytest.raises(DataError) as caught:
        list(decode_images(tmp_path, names))
    message = str(caught.value)
    assert message.count("\n") == 1
    assert "14 of 15" in message
    assert "10.png (not an image), and 4 more" in message
    assert "02.png" not in message
    assert "11.png" not in message


def test_odd_names_do_not_break_the_message(tmp_path: Path) -> None:
    (tmp_path / "a\nb.png").touch()
    with pytest.raises(DataError) as caught:
        list(decode_images(tmp_path, ["a\nb.png"]))
    assert str(caught.value).count("\n") == 1


def test_only_a_few_images_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{at}.png" for at in range(50)]
    for name in names:
        Image.new("RGB", (1, 1)).save(tmp_path / name)
    decoded = []

    def noted(path: Path) -> NDArray[np.uint8]:
        decoded.append(path)
        return decode_image(path)

    monkeypatch.setattr("data.decoding.os.cpu_count", lambda: 2)
    monkeypatch.setattr("data.decoding.decode_image", noted)
    images = decode_images(tmp_path, names)
    next(images)
    # Long enough for the threads to decode all that they were given.
    time.sleep(0.2)
    images.close()
    assert 1 <= len(decoded) <= 5
