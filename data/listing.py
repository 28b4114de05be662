"""What lies in the folder of one split: its image files by name, and what is ignored there."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from data.errors import DataError, name_some

# Suffixes under which photos come. Some of the last few cannot be decoded here: better refused by
# name than missing in silence.
_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".mpo", ".png", ".apng"),
    *(".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
    *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".avif", ".heic", ".heif", ".jxl"),
)
# What systems leave behind, and nobody misses; so are all names that begin with a dot.
_LEFT_BEHIND = ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir")
_EXAMPLES = 3

_Place = tuple[int, int]
"""Device and inode."""


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


def list_split(root: Path, folder: str) -> Listing:
    """The files of one split, sorted by name as the notebook sorts them.

    Args:
        root: the data set's folder.
        folder: the split's, relative to it.

    Raises:
        DataError: a link leads back to a folder that it lies in.
        OSError: a folder cannot be read.
    """
    path = root / folder
    direct: list[str] = []
    below: dict[str, list[str]] = {}
    for entry in visible(path):
        if is_folder(entry):
            below[entry.name] = sorted(_names(path / entry.name, {_place(path)}))
        else:
            direct.append(entry.name)
    names = [*direct, *(f"{group}/{name}" for group in below for name in below[group])]
    return Listing(
        folder=folder,
        direct=tuple(filter(_is_image, direct)),
        grouped={
            group: tuple(filter(_is_image, names)) for group, names in below.items() if names
        },
        ignored=tuple(name for name in names if not _is_image(name)),
        empty=tuple(group for group, names in below.items() if not names),
    )


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name, without what systems leave behind."""
    with os.scandir(folder) as entries:
        return sorted(
            (
                entry
                for entry in entries
                if not entry.name.startswith(".") and entry.name.lower() not in _LEFT_BEHIND
            ),
            key=lambda entry: entry.name,
        )


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or leads to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: as a file it is named with those that lead nowhere
        return False


def ignored(listings: Iterable[Listing]) -> tuple[str, ...]:
    """A line on the files that were ignored, or none."""
    names = [f"{listing.folder}/{name}" for listing in listings for name in listing.ignored]
    if not names:
        return ()
    kinds = Counter(PurePosixPath(name).suffix.lower() or "without one" for name in names)
    ordered = sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
    counts = name_some([f"{count} {kind}" for kind, count in ordered])
    examples = name_some(names, most=_EXAMPLES)
    return (f"Ignored files, by suffix: {counts} (such as {examples})",)


def _names(folder: Path, above: Set[_Place]) -> Iterator[str]:
    """All files below a folder, as paths relative to it."""
    if _place(folder) in above:
        raise DataError(f"{folder} leads back to a folder that it lies in; remove it")
    for entry in visible(folder):
        if is_folder(entry):
            inside = _names(folder / entry.name, above | {_place(folder)})
            yield from (f"{entry.name}/{name}" for name in inside)
        else:
            yield entry.name


def _place(folder: Path) -> _Place:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_image(name: str) -> bool:
    return name.lower().endswith(_ENDINGS)
