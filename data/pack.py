"""The packed form on disk: for each split its pixels and its index, and pack.json over all.

A pack is complete when its folder bears its final name, which `data.cache` sees to.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from data.collection import SPLITS, Contents, Progress, SplitName, digest
from data.packed import Split

FORMAT = 1
"""Raised whenever the files, or how images are decoded, change."""

FILES = ("pack.json", *(f"{split}.{kind}" for split in SPLITS for kind in ("npy", "pixels")))
"""The names of a pack's files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A pack that is mapped into memory."""

    splits: dict[SplitName, Split]
    content: str
    """Hex digest of all pixels, shapes and labels."""
    left_out: tuple[str, ...]
    """Images that could not be used and are not in it, each with its reason."""


def write_pack(folder: Path, contents: Contents, progress: Progress | None) -> None:
    """Decodes all images into an empty folder, one at a time, and flushes it to the disk.

    Raises:
        DataError: an image is refused.
        OSError: the folder cannot be written.
    """
    left_out: list[str] = []
    # Closed here so that an interrupt ends the decoding threads at once.
    with closing(contents.images) as images:
        splits = {
            split: _write_split(folder, split, contents.labels[split], images, left_out, progress)
            for split in SPLITS
        }
    about = {"format": FORMAT, "splits": splits, "left_out": left_out}
    _write_flushed(folder / "pack.json", [json.dumps(about).encode()])
    flush_folder(folder)


def read_pack(folder: Path) -> Pack | None:
    """Maps a pack into memory; None where it is missing, damaged, short or of another format.

    An index is held to its digest; of the pixels only the number is, since reading them all would
    cost more than mapping them saves.
    """
    try:
        about = json.loads((folder / "pack.json").read_bytes())
        if about["format"] != FORMAT:
            return None
        return Pack(
            splits={split: _map_split(folder, split, about["splits"][split]) for split in SPLITS},
            content=digest(about["splits"]),
            left_out=tuple(about["left_out"]),
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None


def flush_folder(folder: Path) -> None:
    """Makes the names in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_split(
    folder: Path,
    split: SplitName,
    labels: NDArray[np.int64],
    images: Iterable[NDArray[np.uint8] | str],
    left_out: list[str],
    progress: Progress | None,
) -> dict[str, str]:
    """Writes one split; returns the digests of its pixels and of its index file.

    What is left out is added to `left_out`, and has no row in the index.
    """
    index: list[tuple[int, ...]] = []
    pixels_digest = hashlib.sha256()

    def rows() -> Iterable[memoryview]:
        for at, (label, image) in enumerate(zip(labels, islice(images, len(labels)), strict=True)):
            if isinstance(image, str):
                left_out.append(image)
            else:
                index.append((*image.shape[:2], label))
                pixels = np.ascontiguousarray(image).data
                pixels_digest.update(pixels)
                yield pixels
            if progress is not None:
                progress(split, at + 1, len(labels))

    _write_flushed(folder / f"{split}.pixels", rows())
    encoded = io.BytesIO()
    np.lib.format.write_array(
        encoded, np.array(index, dtype="<i8").reshape(-1, 3), allow_pickle=False
    )
    _write_flushed(folder / f"{split}.npy", [encoded.getvalue()])
    return {
        "pixels": pixels_digest.hexdigest(),
        "index": hashlib.sha256(encoded.getvalue()).hexdigest(),
    }


def _map_split(folder: Path, split: SplitName, digests: dict[str, str]) -> Split:
    """Maps one split; raises ValueError where its files do not fit together."""
    encoded = (folder / f"{split}.npy").read_bytes()
    if hashlib.sha256(encoded).hexdigest() != digests["index"]:
        raise ValueError(f"{split}.npy is not the index that was written")
    index = np.lib.format.read_array(io.BytesIO(encoded), allow_pickle=False).astype(np.int64)
    heights, widths, labels = torch.from_numpy(index).T.contiguous()
    ends = (heights * widths).cumsum(0)
    path = folder / f"{split}.pixels"
    size = 3 * int((heights * widths).sum())
    if path.stat().st_size != size:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes, not {size}")
    # Mode "c" lets torch take the array as writable, while pages stay shared between processes
    # and nothing that is written to them reaches the file.
    pixels = np.memmap(path, dtype=np.uint8, mode="c") if size else np.empty(0, dtype=np.uint8)
    return Split(
        pixels=torch.from_numpy(pixels.reshape(-1, 3)),
        offsets=ends - heights * widths,
        heights=heights,
        widths=widths,
        labels=labels,
    )


def _write_flushed(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    with path.open("wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())
