"""Which folders of a data set hold its splits."""

from dataclasses import dataclass
from pathlib import Path

from data.collection import SPLITS, SplitName
from data.errors import DataError, name_some
from data.listing import is_folder, visible

# Names that people give them, in any case; the first is food-11's.
_NAMES: dict[SplitName, tuple[str, ...]] = {
    "train": ("training", "train"),
    "validation": ("validation", "valid", "val"),
    "test": ("testing", "test", "evaluation", "eval"),
}
LAYOUTS = (
    "training/ (or train/), validation/ (valid/, val/, or none) and testing/ (test/, evaluation/,"
    " or none), each with files {class}_{index}.jpg, where the class is a number, or one folder a"
    " class"
)
"""What a folder of images may hold, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Where the splits of a data set lie."""

    root: Path
    """The folder that holds theirs."""
    folders: dict[SplitName, str]
    """Their names in it; there may be none for validation, or for test."""
    unread: tuple[str, ...]
    """Other folders beside them."""


def find_splits(root: Path) -> Splits:
    """Finds the folders of the splits in a folder, or in the only one that it holds.

    Raises:
        DataError: training is missing, or there are two folders for one split.
        OSError: a folder cannot be read.
    """
    inner, folders = root, _folders(root)
    while len(folders) == 1 and not any(_named(folders).values()):
        inner = inner / folders[0]
        folders = _folders(inner)
    named = _named(folders)
    found: dict[SplitName, str] = {}
    for split, names in named.items():
        if len({(inner / name).resolve() for name in names}) > 1:
            raise DataError(
                f"{inner} holds {name_some(names)}, which may each be the {split} split; rename or"
                " remove all but one"
            )
        if names:
            found[split] = names[0]
    if "train" not in found:
        raise DataError(
            f"{root} must hold {LAYOUTS}.\n"
            f"Found {name_some(folders) or 'no folder'}; missing: training; add it, with images"
        )
    known = {name for names in named.values() for name in names}
    unread = tuple(folder for folder in folders if folder not in known)
    return Splits(root=inner, folders=found, unread=unread)


def _folders(folder: Path) -> list[str]:
    return [entry.name for entry in visible(folder) if is_folder(entry)]


def _named(folders: list[str]) -> dict[SplitName, list[str]]:
    """For each split the folders that bear one of its names, the usual first."""
    return {
        split: sorted(
            (folder for folder in folders if folder.lower() in _NAMES[split]),
            key=lambda folder: _NAMES[split].index(folder.lower()),
        )
        for split in SPLITS
    }
