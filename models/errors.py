"""What can go wrong with a network by name, and what others' code says when it fails."""


class NetworkError(Exception):
    """A name stands for no network; the message says why and what to give instead."""


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or else its name."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def in_a_line(error: BaseException) -> str:
    """The name of an error, and the first line of what it says, if it says anything."""
    said = str(error).strip().splitlines()[:1]
    return ": ".join((type(error).__name__, *said))
