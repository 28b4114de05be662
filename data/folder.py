"""A folder of image files, such as food-11."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from data.collection import SPLITS, Collection, Contents, SplitName, digest, file_state
from data.decoding import decode_images
from data.errors import DataError, name_some
from data.layout import Layout, labelled_part, lay_out
from data.listing import ignored, list_split
from data.pack import FORMAT
from data.skipping import decode_usable
from data.source import NAMED_SETS
from data.splits import LAYOUTS, find_splits


def image_folder(root: Path, *, skip_broken: bool, shorter_side: int | None = None) -> Collection:
    """The images of a folder that holds one for each split.

    Which folders are splits: see `data.splits`; which files are images,
    by their suffix: `data.listing`; which classes they have: `data.layout`.

    Args:
        root: an absolute path.
        skip_broken: whether files that do not decode are left out, and not refused.
        shorter_side: to which images are scaled down; None keeps their size.

    Raises:
        DataError: the folder or a split is missing or cannot be read, or its layout is refused.
    """
    try:
        root, layout = _layout(root)
    except OSError as error:
        raise DataError(
            f"{error.filename or root} cannot be read ({error.strerror}); allow it"
        ) from error
    labels = {split: layout.splits[split].labels for split in SPLITS}
    states = _file_states(root, layout, skip_broken=skip_broken)
    scaled = [] if shorter_side is None else [shorter_side]
    return Collection(
        state=digest([str(root), FORMAT, layout.classes, labels, states, skip_broken, *scaled]),
        classes=layout.classes,
        padding=0,
        flip=True,
        notes=layout.notes,
        read=lambda: _read(root, layout, shorter_side, skip_broken=skip_broken),
    )


def _layout(root: Path) -> tuple[Path, Layout]:
    """The folder that the splits lie in, and what they hold."""
    if not root.is_dir():
        raise DataError(
            f"no folder {root}; --data takes {', '.join(NAMED_SETS)} or a folder that holds"
            f" {LAYOUTS}"
        )
    splits = find_splits(root)
    listings = {split: list_split(splits.root, name) for split, name in splits.folders.items()}
    notes = []
    part = labelled_part(listings)
    if part is not None:
        train = splits.folders["train"]
        notes.append(f"Of {train}/ only {part}/ is read, as other images have no class")
        listings["train"] = list_split(splits.root, f"{train}/{part}")
    if splits.unread:
        notes.append(f"Folders beside the splits are not read: {name_some(splits.unread)}")
    layout = lay_out(listings)
    notes += [*layout.notes, *ignored(listings.values())]
    return splits.root, replace(layout, notes=tuple(notes))


def _file_states(
    root: Path, layout: Layout, *, skip_broken: bool
) -> list[tuple[str, tuple[int, int, int, int]]]:
    """The name of each file that is there, and what changes with its content."""
    states = []
    broken = []
    for name in _all_names(layout):
        try:
            states.append((name, file_state((root / name).stat())))
        except OSError:
            broken.append(name)
    if broken and not skip_broken:
        raise DataError(
            f"every image file must be there; {len(broken)} in {root} lead nowhere:"
            f" {name_some(broken)}; repair or remove them,"
            " or leave them out with --skip-broken"
        )
    return states


def _all_names(layout: Layout) -> tuple[str, ...]:
    return tuple(name for split in SPLITS for name in layout.splits[split].names)


def _read(root: Path, layout: Layout, shorter_side: int | None, *, skip_broken: bool) -> Contents:
    labels: dict[SplitName, np.ndarray[tuple[int], np.dtype[np.int64]]] = {
        split: np.array(layout.splits[split].labels, dtype=np.int64) for split in SPLITS
    }
    if skip_broken:
        return Contents(labels=labels, images=decode_usable(root, layout, shorter_side))
    images = decode_images(root, _all_names(layout), shorter_side)
    return Contents(labels=labels, images=images)
