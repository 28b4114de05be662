"""Which class each file of a split has, by either of two layouts. Names only, no disk.

*Flat*, food-11's: every split holds files named `{class}_{index}`, and the class is read from the
file's own name, never from a folder above it. *Grouped*: every split holds one folder a class.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from data.collection import SplitName
from data.errors import DataError, name_some
from data.listing import Listing

# A larger class is a mistyped name: the network gets one output for each number below it.
_MOST_CLASSES = 10_000
_STEM = re.compile(r"(\d+)_\d+", re.ASCII)

Listings = Mapping[SplitName, Listing]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFiles:
    """The files of one split, and their classes."""

    names: tuple[str, ...]
    """Paths relative to the data set's folder."""
    labels: tuple[int, ...]
    """As many; -1 throughout a split without labels."""


Labelling = tuple[tuple[str, ...], dict[SplitName, LabelledFiles]]
"""The classes, and the files of each split that was listed."""


def stem_class(name: str) -> int | None:
    """The class in a file's name: the first number of a stem `{class}_{index}`, else None.

    Example:
        `3_120.jpg` has class 3; `0001.jpg` has none.
    """
    match = _STEM.fullmatch(name.rpartition("/")[2].rpartition(".")[0])
    return None if match is None else int(match[1])


def lone_folder(listing: Listing) -> str | None:
    """The one folder that holds all images of a split, if there is one."""
    folders = [name for name, files in listing.grouped.items() if files]
    return folders[0] if len(folders) == 1 and not listing.direct else None


def label_flat(listings: Listings) -> Labelling:
    """Labels splits of files that bear their class in their name.

    Classes are the numbers from 0, or from 1 where no file has class 0, to the largest of a
    training file. The testing files may all lie in one folder, and may all be without a class.

    Raises:
        DataError: a split holds folders, a file has no class or one outside the range, or a class
            in it has no training file.
    """
    names = {split: _paths(listing) for split, listing in listings.items()}
    numbers = {
        split: _stem_classes(split, listing, names[split]) for split, listing in listings.items()
    }
    first = int(min(number for of in numbers.values() for number in of if number >= 0) == 1)
    _refuse_outside(names["train"], numbers["train"], range(first, first + _MOST_CLASSES))
    classes = range(first, max(numbers["train"]) + 1)
    _refuse_gaps(names["train"], numbers["train"], classes)
    for split in listings:
        _refuse_outside(names[split], numbers[split], classes)
    return tuple(map(str, classes)), {
        split: LabelledFiles(
            names=names[split],
            labels=tuple(max(number - first, -1) for number in numbers[split]),
        )
        for split in listings
    }


def label_grouped(listings: Listings) -> Labelling:
    """Labels splits of one folder a class.

    Classes are the names of the training split's folders, in order (numbers by their value, so
    that 2 comes before 10 and the labels are those of files named `{class}_{index}`). Testing
    files without folders, or in a single one beside several classes, have no labels.

    Raises:
        DataError: a split holds files, a class has no training image, or a folder is no class.
    """
    train = listings["train"]
    classes = _in_order(train.grouped)
    empty = [name for name in classes if not train.grouped[name]]
    if empty:
        raise DataError(
            f"every class needs training images; found none in {train.folder}/:"
            f" {name_some(empty)}; add some, or remove the folders"
        )
    files: dict[SplitName, LabelledFiles] = {}
    for split, listing in listings.items():
        lone = lone_folder(listing) is not None and len(classes) > 1
        unlabelled = split == "test" and (lone or bool(listing.direct))
        names = _paths(listing)
        labels = (-1,) * len(names) if unlabelled else _folder_classes(train, listing, classes)
        files[split] = LabelledFiles(names=names, labels=labels)
    return classes, files


def _paths(listing: Listing) -> tuple[str, ...]:
    """The files of a split, relative to the data set's folder."""
    grouped = (f"{group}/{name}" for group, names in listing.grouped.items() for name in names)
    return tuple(f"{listing.folder}/{name}" for name in (*listing.direct, *grouped))


def _stem_classes(split: SplitName, listing: Listing, names: tuple[str, ...]) -> tuple[int, ...]:
    """The numbers in the names of a split, -1 throughout a testing split that has none."""
    if not listing.direct and not (split == "test" and lone_folder(listing)):
        raise DataError(
            f"the training split holds image files, so {listing.folder}/ must; found the folders"
            f" {name_some(tuple(listing.grouped))}; lay all splits out alike"
        )
    found = [stem_class(name) for name in names]
    without = [name for name, label in zip(names, found, strict=True) if label is None]
    if split == "test" and len(without) == len(names):
        return (-1,) * len(names)
    if without:
        raise DataError(
            "file names must begin with their class, which must be a number, as in 3_120.jpg;"
            f" found none in {len(without)} of {len(names)}: {name_some(without)}; rename or"
            " remove them, or lay all splits out in one folder a class"
        )
    return tuple(label for label in found if label is not None)


def _refuse_outside(names: tuple[str, ...], numbers: tuple[int, ...], classes: range) -> None:
    outside = [
        name
        for name, number in zip(names, numbers, strict=True)
        if number >= 0 and number not in classes
    ]
    if outside:
        raise DataError(
            f"classes must lie in {classes[0]}..{classes[-1]}, the range of the training files;"
            f" outside it {len(outside)} of {len(names)}: {name_some(outside)}; rename or remove"
            " them"
        )


def _refuse_gaps(names: tuple[str, ...], numbers: tuple[int, ...], classes: range) -> None:
    """A class without training images would be an output that is never right."""
    gaps = sorted(set(classes) - set(numbers))
    if gaps:
        last = names[numbers.index(classes[-1])]
        raise DataError(
            f"every class needs training images, from {classes[0]} to {classes[-1]}, that of"
            f" {name_some((last,))}; found none of {name_some([str(label) for label in gaps])};"
            " add some, or renumber the classes"
        )


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    names = sorted(names)
    if all(name.isascii() and name.isdecimal() for name in names):
        names.sort(key=int)
    return tuple(names)


def _folder_classes(train: Listing, listing: Listing, classes: tuple[str, ...]) -> tuple[int, ...]:
    if listing.direct:
        raise DataError(
            f"{train.folder}/ has a folder for each class, so {listing.folder}/ must; found the"
            f" files {name_some(listing.direct)}; lay all splits out alike"
        )
    unknown = [name for name, files in listing.grouped.items() if files and name not in classes]
    if unknown:
        raise DataError(
            f"the classes of {listing.folder}/ must be among those of {train.folder}/"
            f" ({name_some(classes)}); found {name_some(unknown)}; rename or remove them"
        )
    places = {name: place for place, name in enumerate(classes)}
    return tuple(places[group] for group, files in listing.grouped.items() for _ in files)
