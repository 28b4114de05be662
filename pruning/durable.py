"""Writing files that are whole or not there, whenever the machine stops."""

import os
from pathlib import Path

UNFINISHED = ".unfinished-"
"""Beginning of the names of files and folders that a writer has not completed."""


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until it has reached the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until a folder's entries, new and renamed ones, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in place of an earlier one; a reader sees the old or the new, never a part."""
    unfinished = path.with_name(UNFINISHED + path.name)
    try:
        write_synced(unfinished, content)
        unfinished.rename(path)
    except OSError:
        unfinished.unlink(missing_ok=True)  # it may be what fills the disk
        raise
    sync_folder(path.parent)
