"""What can go wrong in a search."""

DIVERGED = "diverged"
"""Kind of a trial's failure that its round repeats whenever it is run."""


def in_words(error: OSError) -> str:
    """What the operating system says, and of which file, if it was said."""
    if error.strerror is None:
        return str(error)
    return ": ".join(str(part) for part in (error.strerror, error.filename) if part is not None)


class SearchError(Exception):
    """Base of every error this package raises on purpose."""


class RefusedError(SearchError):
    """The user asked for what cannot be done; the message says why and what to do instead.

    Nothing was changed. The command ends with exit code 2.
    """


def missing_package(flag: str, package: str, error: ImportError) -> RefusedError:
    """The refusal of a flag that needs a package which cannot be imported."""
    return RefusedError(
        f"{flag} needs the package {package}, which cannot be imported ({error}).\n"
        f"Install it by pip install {package}, or leave the flag out."
    )


def damaged(folder: object, error: Exception) -> RefusedError:
    """The refusal of a results folder that something in is damaged."""
    return RefusedError(
        f"{error}\npython search/checkup.py {folder} looks for all that is damaged."
    )


class ExhaustedError(SearchError):
    """No schedule is left to propose."""


class LedgerError(SearchError):
    """The ledger's file cannot be read or written."""


class MismatchError(SearchError):
    """A file that was made of a network does not do what the network does.

    Nothing was written. The command ends with exit code 1.
    """


class BrokenOffError(SearchError):
    """A run cannot go on; what was done is kept, and another run can.

    The command ends with exit code 2, if the reason is outside the program.
    """
