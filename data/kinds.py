"""What a file is by its first bytes, whatever its name says."""

HEAD = 64
"""Bytes that tell."""

_BEGINNINGS = (
    (b"\xff\xd8\xff", "a JPEG file"),
    (b"\x89PNG\r\n\x1a\n", "a PNG file"),
    (b"GIF8", "a GIF file"),
    (b"BM", "a BMP file"),
    (b"II*\0", "a TIFF or camera's raw file"),
    (b"MM\0*", "a TIFF or camera's raw file"),
    (b"II+\0", "a BigTIFF file"),
    (b"MM\0+", "a BigTIFF file"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 file"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (b"\xff\x0a", "a JPEG XL file"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL file"),
    (b"8BPS", "a Photoshop file"),
    (b"\0\0\1\0", "an icon"),
    (b"%!PS", "a PostScript file"),
    (b"%PDF", "a PDF file"),
    (b"PK\3\4", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself"),
)
_TEXTS = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<svg", "an SVG file"),
)
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def kind_of(head: bytes) -> str | None:
    """What a file is, with its article, or None where its first bytes do not tell.

    Args:
        head: The first `HEAD` bytes, or all that there are.
    """
    if head[4:8] == b"ftyp":
        return _kind_of_media(head)
    if head[:4] == b"RIFF":
        return "a WebP file" if head[8:12] == b"WEBP" else "a video or sound file"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    beginnings = [kind for beginning, kind in _BEGINNINGS if head.startswith(beginning)]
    texts = [kind for beginning, kind in _TEXTS if text.startswith(beginning)]
    return next(iter((*beginnings, *texts)), None)


def _kind_of_media(head: bytes) -> str:
    """Of the ISO base media formats: by the chief brand, then by those it is compatible with."""
    brand = head[8:12]
    if brand in {b"avif", b"avis"} or (brand in _HEIC and b"avif" in head):
        return "an AVIF file"
    return "a HEIC file" if brand in _HEIC else "an MP4 or QuickTime video"
