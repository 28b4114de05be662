"""Paths as they are given on the command line, and as they are kept."""

from pathlib import Path
from typing import Any

from search.errors import RefusedError

_NAMED_SETS = ("digits", "fashion-mnist")


def data_place(data: str) -> str:
    """What --data names: a set by its name, or a folder by its absolute path.

    Raises:
        RefusedError: The path leads nowhere.
    """
    try:
        return data if data in _NAMED_SETS else str(Path(data).expanduser().resolve())
    except RuntimeError as error:  # a link to itself, or the home of nobody
        raise RefusedError(f"--data {data} leads nowhere ({error}); give another path.") from error


def at_home(path: Path) -> Path:
    """A path with `~` expanded.

    Raises:
        RefusedError: It names the home of nobody.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise RefusedError(f"{path}: there is no such user, or none with a home.") from None


def absolute(value: Any) -> Any:
    """A path as an absolute one; anything else as it is."""
    return value.absolute() if isinstance(value, Path) else value
