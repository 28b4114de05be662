"""Image files to RGB arrays, in threads, with the files that cannot be used named."""

import os
import struct
import warnings
import zlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from data.errors import DataError, name_some
from data.kinds import HEAD, kind_of
from data.scaling import scaled_down

# What photos come in, whatever their names say. Pillow's other readers are left out: the fewer
# parsers a downloaded file reaches, the better.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "PPM")
_MOST_THREADS = 8
# What Pillow's readers raise on damaged files; several are no OSError.
_PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
)


class UnusableImageError(DataError):
    """A file that is no image, is damaged, or holds too many pixels; the message says which."""


def decode_images(
    root: Path, names: Sequence[str], shorter_side: int | None = None
) -> Generator[NDArray[np.uint8], None, None]:
    """Decodes files in order, some ahead of the reader.

    Args:
        root: the folder that the names are relative to.
        names: paths of image files.
        shorter_side: to which images are scaled down; see `scaled_down`.

    Yields:
        Arrays (height, width, 3).

    Raises:
        DataError: files cannot be used; raised once all were tried, naming the first ten.
    """
    refused: list[str] = []
    for name, image in zip(names, attempts(root, names, shorter_side), strict=True):
        if isinstance(image, UnusableImageError):
            refused.append(f"{name} ({image})")
        elif not refused:
            yield image
    if refused:
        raise DataError(
            f"every image must decode; {len(refused)} of {len(names)} in {root} cannot be used:\n"
            f"{name_some(refused)}; repair or remove them, or leave them out with --skip-broken"
        )


def decode_image(path: Path) -> NDArray[np.uint8]:
    """Decodes one file, upright by its EXIF orientation, without resizing it.

    Grey is repeated in three channels, 16-bit grey is scaled to 8 bits, and what is transparent
    is laid over black, as the black that rotation brings in. Of an animation, or of several pages,
    the first frame counts.

    Returns:
        Array (height, width, 3), RGB.

    Raises:
        UnusableImageError: see there.
    """
    limit = Image.MAX_IMAGE_PIXELS
    try:
        # Opening a pipe, say, would wait for ever.
        if not path.is_file():
            raise UnusableImageError("no regular file")
        if path.stat().st_size == 0:
            raise UnusableImageError("empty file")
        with Image.open(path, formats=_FORMATS) as image:
            # Pillow only warns of up to twice the limit.
            if limit is not None and image.width * image.height > limit:
                raise UnusableImageError(f"more than {limit} pixels")
            _scale_key(image)
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            # A PGM file's 16 bits, which Pillow stretches to 0..65535.
            wide = image.format == "PPM" and image.mode == "I"
            return _as_rgb(image.convert("I;16") if wide else image)
    except UnusableImageError:
        raise
    except Image.DecompressionBombError:
        raise UnusableImageError(f"more than {limit} pixels") from None
    except UnidentifiedImageError:
        raise UnusableImageError(_undecoded(path)) from None
    except _PILLOW_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnusableImageError(f"does not decode: {reason}") from error


def _undecoded(path: Path) -> str:
    """What a file is that none of the readers takes."""
    with path.open("rb") as file:
        kind = kind_of(file.read(HEAD))
    return "not an image" if kind is None else f"{kind}, which cannot be decoded"


def _scale_key(image: ImageFile) -> None:
    """Brings the transparent grey or colour of a PNG file to the range of the decoded pixels.

    Pillow stretches pixels of 2 and 4 bits and takes the upper half of colours of 16, but leaves
    the key as it is in the file, where it matches nothing or something else.
    """
    key = image.info.get("transparency")
    layout = image.tile[0].args if image.format == "PNG" and image.tile else None
    if isinstance(key, int) and layout in {"L;2", "L;4"}:
        image.info["transparency"] = key * {"L;2": 85, "L;4": 17}[layout]
    elif isinstance(key, tuple) and layout == "RGB;16B":
        image.info["transparency"] = tuple(part >> 8 for part in key)


def _as_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16"):
        # Pillow's own conversion would clip 16-bit values to 255 instead of scaling them.
        values = np.asarray(image).astype(np.int32)
        grey = ((values + 128) // 257).astype(np.uint8)
        if "transparency" in image.info:
            grey[values == image.info["transparency"]] = 0
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in {"I", "F"}:
        raise UnusableImageError("grey of 32 bits, of which nobody knows what is white")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), layer)
    # Pillow copies even where there is nothing to convert.
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def attempts(
    root: Path, names: Sequence[str], shorter_side: int | None = None
) -> Iterator[NDArray[np.uint8] | UnusableImageError]:
    """Decodes files in order, and scales them; what a file cannot be used for takes its place.

    It does so in threads, which run in parallel because Pillow's decoders free the interpreter. At
    most two images a thread are held, so memory does not grow with the number of files.
    """
    threads = min(_MOST_THREADS, os.cpu_count() or 1)
    pending: deque[Future[NDArray[np.uint8] | UnusableImageError]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    with warnings.catch_warnings():
        # Bombs are refused and damaged EXIF blocks do no harm; neither needs a line on stderr.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            for name in names:
                pending.append(pool.submit(_attempt, root / name, shorter_side))
                if len(pending) == 2 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _attempt(path: Path, shorter_side: int | None) -> NDArray[np.uint8] | UnusableImageError:
    try:
        return scaled_down(decode_image(path), shorter_side)
    except UnusableImageError as error:
        return error
