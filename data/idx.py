"""Reads the idx files that MNIST and its successors come in."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError

_UNSIGNED_BYTE = 8


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Reads one idx file of unsigned bytes, plain or compressed (`.gz`).

    The header is two zero bytes, the type, the number of dimensions, then each dimension as a
    big-endian 32-bit number (the format's description on the MNIST page).

    Args:
        path: the file.
        dimensions: how many dimensions it must have.

    Raises:
        DataError: it cannot be read, or has another type, shape or length than it must.
    """
    header_size = 4 + 4 * dimensions
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(header_size)
            shape = tuple(int(n) for n in np.frombuffer(header[4:], dtype=">u4"))
            if header[:4] != bytes((0, 0, _UNSIGNED_BYTE, dimensions)) or len(shape) != dimensions:
                raise _refusal(path, f"its header is {header.hex()}")
            # One byte more than there may be, so that a longer file is noticed.
            content = file.read(math.prod(shape) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _refusal(path, str(error)) from error
    if len(content) != math.prod(shape):
        raise _refusal(path, f"its header promises {math.prod(shape)} bytes and it has others")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _refusal(path: Path, found: str) -> DataError:
    return DataError(
        f"{path} must be a whole idx file of unsigned bytes: {found};"
        " remove it, and fetch it again or give another --data-root"
    )
