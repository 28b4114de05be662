"""A folder of image files, such as food-11."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from data.collection import SPLITS, Collection, Contents, SplitName, digest, file_state
from data.decoding import decode_images
from data.errors import DataError, name_some
from data.layout import FOLDERS, Layout, lay_out
from data.listing import ignored, list_split
from data.pack import FORMAT
from data.source import NAMED_SETS


def image_folder(root: Path) -> Collection:
    """The images under `training/`, `validation/` and `testing/` of a folder.

    Images keep their size. Which files are images is decided by their suffix, see `data.listing`.
    Layouts: see `data.layout`.

    Args:
        root: an absolute path.

    Raises:
        DataError: the folder or a split is missing or cannot be read, or its layout is refused.
    """
    try:
        layout = _layout(root)
    except OSError as error:
        raise DataError(
            f"{error.filename or root} cannot be read ({error.strerror}); allow it"
        ) from error
    labels = {split: layout.splits[split].labels for split in SPLITS}
    return Collection(
        state=digest([str(root), FORMAT, layout.classes, labels, _file_states(root, layout)]),
        classes=layout.classes,
        padding=0,
        flip=True,
        notes=layout.notes,
        read=lambda: _read(root, layout),
    )


def _layout(root: Path) -> Layout:
    if not root.is_dir():
        raise DataError(
            f"no folder {root}; --data takes {', '.join(NAMED_SETS)} or a folder with"
            f" {', '.join(FOLDERS.values())}"
        )
    missing = [folder for folder in FOLDERS.values() if not (root / folder).is_dir()]
    if missing:
        raise DataError(
            f"{root} must hold the folders {', '.join(FOLDERS.values())}; missing:"
            f" {', '.join(missing)}; add them, with images"
        )
    listings = {split: list_split(root, FOLDERS[split]) for split in SPLITS}
    layout = lay_out(listings)
    return replace(layout, notes=(*layout.notes, *ignored(listings.values())))


def _file_states(root: Path, layout: Layout) -> list[tuple[str, tuple[int, int, int, int]]]:
    """Each file's name, and what changes with its content."""
    states = []
    broken = []
    for name in _all_names(layout):
        try:
            states.append((name, file_state((root / name).stat())))
        except OSError:
            broken.append(name)
    if broken:
        raise DataError(
            f"every image file must be there; {len(broken)} in {root} lead nowhere:"
            f" {name_some(broken)}; repair or remove them"
        )
    return states


def _all_names(layout: Layout) -> tuple[str, ...]:
    return tuple(name for split in SPLITS for name in layout.splits[split].names)


def _read(root: Path, layout: Layout) -> Contents:
    labels: dict[SplitName, np.ndarray[tuple[int], np.dtype[np.int64]]] = {
        split: np.array(layout.splits[split].labels, dtype=np.int64) for split in SPLITS
    }
    return Contents(labels=labels, images=decode_images(root, _all_names(layout)))
