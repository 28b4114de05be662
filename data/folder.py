"""A folder of image files, such as food-11."""

import os
from pathlib import Path

import numpy as np

from data.collection import SPLITS, Collection, Contents, SplitName, digest, file_state
from data.decoding import decode_images
from data.errors import DataError, name_some
from data.layout import FOLDERS, Layout, Listing, lay_out
from data.pack import FORMAT
from data.source import NAMED_SETS

_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


def image_folder(root: Path) -> Collection:
    """The images under `training/`, `validation/` and `testing/` of a folder.

    Images keep their size. Hidden files, and files that do not end in .jpg, .jpeg, .png or .webp
    (in any case), are ignored. Layouts: see `data.layout`.

    Args:
        root: an absolute path.

    Raises:
        DataError: the folder or a split is missing or cannot be read, or its layout is refused.
    """
    try:
        layout = _layout(root)
    except OSError as error:
        raise DataError(f"{root} cannot be read ({error.strerror}); allow it") from error
    return Collection(
        state=digest([str(root), FORMAT, layout.classes, _file_states(root, layout)]),
        classes=layout.classes,
        padding=0,
        flip=True,
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
    return lay_out({split: _list(root / FOLDERS[split]) for split in SPLITS})


def _list(folder: Path) -> Listing:
    """The images of one split, sorted by name as the notebook sorts them."""
    return Listing(
        direct=_images_in(folder),
        grouped={
            entry.name: _images_in(Path(entry.path))
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)
            if entry.is_dir() and not entry.name.startswith(".")
        },
    )


def _images_in(folder: Path) -> tuple[str, ...]:
    return tuple(
        sorted(
            entry.name
            for entry in os.scandir(folder)
            if entry.name.lower().endswith(_ENDINGS)
            and not entry.name.startswith(".")
            and not entry.is_dir()
        )
    )


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
