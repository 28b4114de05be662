"""How a folder of images is laid out, and which class each file has. Names only, no disk.

Two layouts are known. *Flat*, food-11's: every split holds files named `{class}_{index}`, and the
class is read from the file's own name, never from a folder above it. *Grouped*: every split holds
one folder a class.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from data.collection import SPLITS, SplitName
from data.errors import DataError, name_some

FOLDERS: dict[SplitName, str] = {
    "train": "training",
    "validation": "validation",
    "test": "testing",
}
# A larger class is a mistyped name: the network gets one output for each number below it.
_MOST_CLASSES = 10_000
_STEM = re.compile(r"(\d+)_\d+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The image files of one split, by name."""

    folder: str
    """The split's, relative to the data set's."""
    direct: tuple[str, ...]
    """Those that lie in the split's folder itself, in order."""
    grouped: Mapping[str, tuple[str, ...]]
    """Those in each folder of the split and below it, relative to it; folders and files in order.

    Folders that hold files, but no image, are among them.
    """
    ignored: tuple[str, ...] = ()
    """Files of the split that are no images."""
    empty: tuple[str, ...] = ()
    """Folders of the split that hold no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFiles:
    """The files of one split, and their classes."""

    names: tuple[str, ...]
    """Paths relative to the data set's folder."""
    labels: tuple[int, ...]
    """As many; -1 throughout a split without labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The files of all splits."""

    classes: tuple[str, ...]
    splits: Mapping[SplitName, LabelledFiles]
    notes: tuple[str, ...] = ()
    """What was decided, a line each."""


def lay_out(listings: Mapping[SplitName, Listing]) -> Layout:
    """Finds the classes and each file's label.

    A testing split in which no file has a class is unlabelled. The flat layout has the classes 0
    to the largest that a training file has; in the grouped layout they are the names of the
    training split's folders, in order (numbers by their value, so that 2 comes before 10 and the
    labels are those of files named `{class}_{index}`), and a flat testing split is unlabelled.

    Raises:
        DataError: a split is empty or mixes layouts, training has fewer than two images, a file
            that needs a class has none, a class is not one of the training split's, or one of
            those has no training image.
    """
    for listing in listings.values():
        if not listing.direct and not any(listing.grouped.values()):
            found = f" (found {name_some(listing.ignored)})" if listing.ignored else ""
            raise DataError(
                f"every split needs images, but {listing.folder}/ holds none{found};"
                " put .jpg, .png, .webp, .tif or .bmp files there"
            )
        if listing.direct and any(listing.grouped.values()):
            raise DataError(
                f"{listing.folder}/ holds image files ({name_some(listing.direct)}) and"
                f" folders of images ({name_some(tuple(listing.grouped))});"
                " keep one of the two"
            )
    train = listings["train"]
    names = [*train.direct, *(name for group in train.grouped.values() for name in group)]
    if len(names) < 2:
        raise DataError(f"training needs at least 2 images, found {names[0]} alone; add more")
    layout = _flat(listings) if train.direct else _grouped(listings)
    return replace(layout, notes=(*layout.notes, *_empty(listings)))


def _empty(listings: Mapping[SplitName, Listing]) -> tuple[str, ...]:
    names = [f"{listing.folder}/{name}" for listing in listings.values() for name in listing.empty]
    return (f"Empty folders are no classes: {name_some(names)}",) if names else ()


def stem_class(name: str) -> int | None:
    """The class in a file's name: the first number of a stem `{class}_{index}`, else None.

    Example:
        `3_120.jpg` has class 3; `0001.jpg` has none.
    """
    match = _STEM.fullmatch(name.rpartition(".")[0])
    return None if match is None else int(match[1])


def _flat(listings: Mapping[SplitName, Listing]) -> Layout:
    splits: dict[SplitName, LabelledFiles] = {}
    for split in SPLITS:
        listing = listings[split]
        if not listing.direct:
            raise DataError(
                f"training/ holds image files, so {listing.folder}/ must; found the folders"
                f" {name_some(tuple(listing.grouped))}; lay all splits out alike"
            )
        splits[split] = LabelledFiles(
            names=tuple(f"{listing.folder}/{name}" for name in listing.direct),
            labels=_stem_labels(listing, unlabelled=split == "test"),
        )
    classes = max(splits["train"].labels) + 1
    if classes > _MOST_CLASSES:
        _refuse_outside(splits["train"], _MOST_CLASSES)
    _refuse_gaps(splits["train"], classes)
    for split in SPLITS:
        if max(splits[split].labels) >= classes:
            _refuse_outside(splits[split], classes)
    return Layout(classes=tuple(str(label) for label in range(classes)), splits=splits)


def _stem_labels(listing: Listing, *, unlabelled: bool) -> tuple[int, ...]:
    """The classes in the names of a split that may be unlabelled, or must not."""
    found = [stem_class(name) for name in listing.direct]
    without = [
        f"{listing.folder}/{name}"
        for name, label in zip(listing.direct, found, strict=True)
        if label is None
    ]
    if unlabelled and len(without) == len(found):
        return (-1,) * len(found)
    if without:
        raise DataError(
            "file names must hold their class, as in 3_120.jpg; found none in"
            f" {len(without)} of {len(found)}: {name_some(without)}; rename or remove them"
        )
    return tuple(label for label in found if label is not None)


def _refuse_outside(files: LabelledFiles, classes: int) -> None:
    outside = [n for n, label in zip(files.names, files.labels, strict=True) if label >= classes]
    raise DataError(
        f"classes must lie in 0..{classes - 1}, the range of the training files; outside"
        f" it {len(outside)} of {len(files.names)}: {name_some(outside)}; rename or remove them"
    )


def _refuse_gaps(train: LabelledFiles, classes: int) -> None:
    """A class without training images would be an output that is never right."""
    gaps = sorted(set(range(classes)) - set(train.labels))
    if gaps:
        last = train.names[train.labels.index(classes - 1)]
        raise DataError(
            f"every class needs training images, from 0 to {classes - 1}, that of"
            f" {name_some((last,))}; found none of {name_some([str(label) for label in gaps])};"
            " add some, or renumber the classes"
        )


def _grouped(listings: Mapping[SplitName, Listing]) -> Layout:
    classes = _in_order(listings["train"].grouped)
    empty = [name for name in classes if not listings["train"].grouped[name]]
    if empty:
        raise DataError(
            f"every class needs training images; found none in training/: {name_some(empty)};"
            " add some, or remove the folders"
        )
    return Layout(
        classes=classes,
        splits={split: _grouped_files(split, listings[split], classes) for split in SPLITS},
    )


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    names = sorted(names)
    if all(name.isascii() and name.isdecimal() for name in names):
        names.sort(key=int)
    return tuple(names)


def _grouped_files(split: SplitName, listing: Listing, classes: tuple[str, ...]) -> LabelledFiles:
    folder = listing.folder
    if listing.direct and split == "test":
        return LabelledFiles(
            names=tuple(f"{folder}/{name}" for name in listing.direct),
            labels=(-1,) * len(listing.direct),
        )
    if listing.direct:
        raise DataError(
            f"training/ has a folder for each class, so {folder}/ must; found the files"
            f" {name_some(listing.direct)}; lay all splits out alike"
        )
    unknown = [name for name, files in listing.grouped.items() if files and name not in classes]
    if unknown:
        raise DataError(
            f"the classes of {folder}/ must be among those of training/ ({name_some(classes)});"
            f" found {name_some(unknown)}; rename or remove them"
        )
    files = [(group, name) for group, names in listing.grouped.items() for name in names]
    return LabelledFiles(
        names=tuple(f"{folder}/{group}/{name}" for group, name in files),
        labels=tuple(classes.index(group) for group, _ in files),
    )
