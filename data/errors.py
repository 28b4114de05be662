"""The one error of this package, and how it names many files in a line."""

from collections.abc import Sequence

_NAMED = 10


class DataError(ValueError):
    """A data set, or a request for one, that is refused.

    The message has one or two lines: the rule, what was found, the way out.
    """


def name_some(names: Sequence[str], *, most: int = _NAMED) -> str:
    """The first names, ten unless told otherwise, with commas, and how many more there are.

    Names that would break a line, or cannot be printed, are escaped.
    """
    shown = ", ".join(name if name.isprintable() else ascii(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown}, and {len(names) - most} more"
