"""The one error of this package, and how it names many files in a line."""

from collections.abc import Sequence

_NAMED = 10


class DataError(ValueError):
    """A data set, or a request for one, that is refused.

    The message has one or two lines: the rule, what was found, the way out.
    """


def name_some(names: Sequence[str]) -> str:
    """The first ten names, separated by commas, and how many more there are.

    Names that would break a line, or cannot be printed, are escaped.
    """
    shown = ", ".join(name if name.isprintable() else ascii(name) for name in names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown}, and {len(names) - _NAMED} more"
