"""A folder of files that is made whole or not at all."""

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pruning.durable import UNFINISHED, sync_folder, write_synced
from search.errors import RefusedError, in_words


def check_free(folder: Path) -> None:
    """Whether a folder can be made here without anything being lost.

    Raises:
        RefusedError: Something lies there, or nothing can be written there.
    """
    empty = folder.is_dir() and not any(folder.iterdir())
    if (folder.exists() or folder.is_symlink()) and not empty:
        raise RefusedError(
            f"{folder} exists already; nothing is overwritten.\nRemove it, or give another --out."
        )
    above = next(place for place in folder.absolute().parents if place.exists())
    try:
        with tempfile.TemporaryDirectory(dir=above, prefix=UNFINISHED):
            pass
    except OSError as error:
        raise RefusedError(
            f"{folder} cannot be written: {in_words(error)}.\nGive another --out."
        ) from error


def write_whole(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder beside it, which is then given its name.

    Raises:
        RefusedError: Something lies there, or nothing can be written there.
        OSError: It cannot be written, and then is not there.
    """
    check_free(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(UNFINISHED + folder.name)
    with suppress(FileNotFoundError):
        shutil.rmtree(unfinished)  # of one that was killed
    try:
        unfinished.mkdir()
        for name, content in files.items():
            write_synced(unfinished / name, content)
        sync_folder(unfinished)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    sync_folder(folder.parent)
