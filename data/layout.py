"""Which files of a folder of images are in which split, and which class each has. No disk."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data.collection import SplitName
from data.errors import DataError, name_some
from data.labelling import (
    LabelledFiles,
    Listings,
    label_flat,
    label_grouped,
    lone_folder,
)
from data.listing import Listing

# Of the images of a class this share validates where there is no validation split.
_PARTS = 6
_LABELLED, _UNLABELLED = ("labeled", "labelled"), ("unlabeled", "unlabelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The files of all splits."""

    classes: tuple[str, ...]
    splits: Mapping[SplitName, LabelledFiles]
    notes: tuple[str, ...]
    """What was decided, a line each."""


def lay_out(listings: Listings) -> Layout:
    """Finds the classes and each file's label; see `label_flat` and `label_grouped`.

    Without a validation split, every sixth training image of each class, by name, validates;
    without a testing split nothing is tested. A testing split in which no file has a class, or all
    have the same of several, is unlabelled: nobody tests on one class, but copies of labelled sets
    keep unlabelled images in one folder.

    Args:
        listings: of train, and of validation and test if there are such.

    Raises:
        DataError: a split is empty or mixes layouts, training has fewer than two images, or too
            few to validate on some, or the files' classes are refused.
    """
    for listing in listings.values():
        _check(listing)
    train = listings["train"]
    names = [*train.direct, *(name for group in train.grouped.values() for name in group)]
    if len(names) < 2:
        raise DataError(f"training needs at least 2 images, found {names[0]} alone; add more")
    classes, splits = label_flat(listings) if train.direct else label_grouped(listings)
    notes = []
    if "validation" not in splits:
        splits["train"], splits["validation"] = _hold_out(splits["train"])
        notes.append(
            f"There is no validation split: of each class every {_PARTS}th image of"
            f" {train.folder}/, by name, validates and does not train"
        )
    if "test" not in splits:
        splits["test"] = LabelledFiles(names=(), labels=())
        notes.append("There is no testing split: test_accuracy stays empty")
    seen = len(set(splits["validation"].labels))
    if seen < len(classes):
        notes.append(f"Only {seen} of {len(classes)} classes have images to validate")
    test = splits["test"].labels
    if len(set(test)) == 1 and len(classes) > 1:
        notes.append(_unlabelled(listings["test"], test))
        splits["test"] = LabelledFiles(names=splits["test"].names, labels=(-1,) * len(test))
    return Layout(classes=classes, splits=splits, notes=(*notes, *_empty(listings)))


def labelled_part(listings: Listings) -> str | None:
    """The folder of the training split that has the classes, where others have none.

    Semi-supervised copies of food-11 have `labeled` and `unlabeled` there, in either spelling.
    """
    groups = listings["train"].grouped
    labelled = [name for name in groups if name.lower() in _LABELLED]
    others = {name.lower() for name in groups if name not in labelled}
    classes = listings["validation"].grouped if "validation" in listings else {}
    if len(labelled) == 1 and others <= {*_UNLABELLED} and labelled[0] not in classes:
        return labelled[0]
    return None


def _check(listing: Listing) -> None:
    """Refuses a split that holds no images, or both files and folders of them."""
    groups = [name for name, files in listing.grouped.items() if files]
    if not listing.direct and not groups:
        found = f" (found {name_some(listing.ignored)})" if listing.ignored else ""
        raise DataError(
            f"every split needs images, but {listing.folder}/ holds none{found};"
            " put .jpg, .png, .webp, .tif or .bmp files there"
        )
    if listing.direct and groups:
        raise DataError(
            f"{listing.folder}/ holds image files ({name_some(listing.direct)}) and"
            f" folders of images ({name_some(groups)}); keep one of the two"
        )


def _hold_out(train: LabelledFiles) -> tuple[LabelledFiles, LabelledFiles]:
    """The training files that stay, and every sixth of each class, in order."""
    count: Counter[int] = Counter()
    held = []
    for label in train.labels:
        count[label] += 1
        held.append(count[label] % _PARTS == 0)
    if not any(held):
        raise DataError(
            f"without a validation split, images of classes that have {_PARTS} or more validate;"
            f" found at most {max(count.values())} of a class; add validation/"
        )
    return _where(train, [not one for one in held]), _where(train, held)


def _where(files: LabelledFiles, chosen: Sequence[bool]) -> LabelledFiles:
    places = [place for place, one in enumerate(chosen) if one]
    return LabelledFiles(
        names=tuple(files.names[place] for place in places),
        labels=tuple(files.labels[place] for place in places),
    )


def _unlabelled(listing: Listing, labels: tuple[int, ...]) -> str:
    lone = lone_folder(listing)
    if lone is not None:
        why = f"has all images in one folder ({name_some((lone,))})"
    elif labels[0] < 0:
        why = "names no classes"
    else:
        why = f"names the same class for all images ({name_some(listing.direct[:1])})"
    return f"{listing.folder}/ {why}: it counts as unlabelled, and test_accuracy stays empty"


def _empty(listings: Listings) -> tuple[str, ...]:
    names = [f"{listing.folder}/{name}" for listing in listings.values() for name in listing.empty]
    return (f"Empty folders are no classes: {name_some(names)}",) if names else ()
