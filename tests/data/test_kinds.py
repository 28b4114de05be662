import io

import pytest
from PIL import Image

from data.kinds import HEAD, kind_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("JPEG", "a JPEG file"),
        ("PNG", "a PNG file"),
        ("GIF", "a GIF file"),
        ("BMP", "a BMP file"),
        ("TIFF", "a TIFF or camera's raw file"),
        ("WEBP", "a WebP file"),
        ("AVIF", "an AVIF file"),
        ("JPEG2000", "a JPEG 2000 file"),
        ("ICO", "an icon"),
        ("PDF", "a PDF file"),
    ],
)
def test_files_that_pillow_writes_are_known(name: str, kind: str) -> None:
    written = io.BytesIO()
    Image.new("RGB", (32, 32)).save(written, format=name)
    assert kind_of(written.getvalue()[:HEAD]) == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC file"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "an AVIF file"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "an MP4 or QuickTime video"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "a video or sound file"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL file"),
        (b"MM\0*\0\0\0\x08", "a TIFF or camera's raw file"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><html>", "an HTML page"),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', "an SVG file"),
        (b"PK\3\4\x14\0", "a ZIP archive"),
        (b"", None),
        (b"I am no image", None),
    ],
)
def test_others_are_known_by_their_first_bytes(head: bytes, kind: str | None) -> None:
    assert kind_of(head) == kind
