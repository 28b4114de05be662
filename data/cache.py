"""Where packs lie on this machine, and that each is built once."""

import errno
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from data.errors import DataError
from data.pack import Pack, flush_folder, read_pack


def cache_root() -> Path:
    """The user's cache folder for this project; it follows XDG_CACHE_HOME."""
    return platformdirs.user_cache_path("pruning-schedule-search", appauthor=False)


def make_writable(folder: Path) -> None:
    """Makes a folder if there is none, and raises OSError where nothing can be written in it.

    To be called before a lock in it is waited for: that would never be given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def pack_folder(state: str) -> Path:
    """Where the pack of a collection's state lies on this machine, if it is there."""
    return cache_root() / "packs" / state


def cached_pack(state: str, write: Callable[[Path], None]) -> Pack:
    """Maps a pack, after building it if there is none that is whole.

    Of several processes that ask for it at the same time one builds it and the others wait.
    Packs of earlier states of a source are kept: another machine may have them mapped.

    Args:
        state: of a collection; it names the pack.
        write: fills an empty folder with it.

    Raises:
        DataError: an image is refused, or the cache folder cannot be written.
    """
    final = pack_folder(state)
    root = final.parent
    pack = read_pack(final)
    if pack is not None:
        return pack
    try:
        make_writable(root)
        _clear_leftovers(root)
        with FileLock(final.with_suffix(".lock")):
            pack = read_pack(final)
            if pack is None:
                _build(final, write)
                pack = read_pack(final)
    except OSError as error:
        raise _refusal(root, error) from error
    if pack is None:
        raise DataError(
            f"the packed images in {final} cannot be read back;"
            " free memory and disk, or set XDG_CACHE_HOME to a folder on another disk"
        )
    return pack


def _build(final: Path, write: Callable[[Path], None]) -> None:
    """Writes the pack beside its place and renames it there. Its lock must be held.

    A build that was killed starts over, which cannot mix what two builds wrote: 10,000 photos of
    up to 512 pixels take 25 seconds on two busy cores (experiments/images/packing.py).
    """
    temporary = _building(final)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        write(temporary)
        # What bears the final name here was just found damaged.
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        flush_folder(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _building(final: Path) -> Path:
    return final.with_suffix(".building")


def _clear_leftovers(root: Path) -> None:
    """Removes what killed builds left; a living build holds its lock."""
    for leftover in root.glob("*.building"):
        lock = FileLock(leftover.with_suffix(".lock"))
        with suppress(Timeout), lock.acquire(timeout=0):
            shutil.rmtree(leftover, ignore_errors=True)


def _refusal(root: Path, error: OSError) -> DataError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DataError(
            f"no space left to pack the images in {root}; free some, set XDG_CACHE_HOME to a"
            " folder on a larger disk, or scale photos down by --resize"
        )
    return DataError(
        f"the cache folder must be writable, but {root} is not ({error.strerror or error});"
        " set XDG_CACHE_HOME to a folder that is"
    )
