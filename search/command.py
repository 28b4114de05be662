"""The command: `python search/run.py`; see `--help`."""

import argparse
import errno
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from search.configuration import SearchConfig
from search.console import Console, reader_may_leave
from search.errors import BrokenOffError, LedgerError, RefusedError, SearchError, in_words
from search.interruption import heed
from search.kept import from_record, going_on
from search.paths import at_home

# Imports inside the functions below spare --help and refusals the seconds that torch and Ray take.
_REFUSED, _INTERRUPTED = 2, 130
_LEAST_COLUMNS = 40  # of a terminal; the help never ends on one of a column or two
_OUTSIDE = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # of a file that is already open


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a search from the command line.

    Returns:
        The exit code: 0 done, 2 refused or broken off for a reason outside the program, 130
        interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    console = Console()
    folder: Path | None = None
    try:
        _check_interpreter()
        _have_home()
        with reader_may_leave():
            config = _parse(arguments)
        console.quiet = config.quiet
        folder = config.folder
        from search.driver import run_search

        heed(signal.default_int_handler)  # until here, see run.py
        run_search(config, console, lambda why: os._exit(_farewell(why, folder, console)))
    except (SearchError, OSError, KeyboardInterrupt, SystemExit) as why:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # let the farewell be read in peace
        return _farewell(why, folder, console)
    return 0


def _farewell(why: BaseException, folder: Path | None, console: Console) -> int:
    """Say why a run ended before it was done, and how to go on.

    Returns:
        The exit code.

    Raises:
        BaseException: `why` itself, if it is a defect or an end that the parser has explained.
    """
    console.close()
    if isinstance(why, RefusedError):
        return _refused(str(why))
    if isinstance(why, (BrokenOffError, LedgerError)):
        return _refused(str(why), _resume_line(folder))
    if isinstance(why, OSError) and (why.filename is not None or why.errno in _OUTSIDE):
        return _refused(f"{in_words(why)}.", _resume_line(folder))
    # Ray answers SIGTERM with SystemExit until the search watches for it itself.
    by_ray = isinstance(why, SystemExit) and why.code == signal.SIGTERM
    if not by_ray and not isinstance(why, KeyboardInterrupt):
        raise why
    resume = _resume_line(folder)
    if resume is not None:
        console.line(f"Interrupted. {resume}")
    return _INTERRUPTED


def _refused(*lines: str | None) -> int:
    print(*filter(None, lines), sep="\n", file=sys.stderr)  # noqa: T201
    return _REFUSED


def _resume_line(folder: Path | None) -> str | None:
    from search.results.folder import ResultsFolder

    try:
        if folder is None or not ResultsFolder(folder).is_search():
            return None
    except OSError:
        return None
    return f"Go on with: python search/run.py --resume {shlex.quote(str(folder))}"


def _have_home() -> None:
    """Have a home, which Ray's modules ask for; a container's user may have no account."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"  # as container runtimes have it


def _check_interpreter() -> None:
    if sys.flags.optimize > 1:
        raise RefusedError(
            "Ray does not run where Python leaves out docstrings.\n"
            "Unset PYTHONOPTIMIZE, or start Python without -OO."
        )


def _parse(arguments: Sequence[str]) -> SearchConfig:
    """Read the command line; with --resume, the search's settings are its defaults."""
    _check_encoding(arguments)
    if os.environ.get("COLUMNS", "").isdecimal():
        os.environ["COLUMNS"] = str(max(_LEAST_COLUMNS, int(os.environ["COLUMNS"])))
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--resume", type=Path)
    resumed: Path | None = first.parse_known_args(arguments)[0].resume
    if resumed is None:
        return tyro.cli(SearchConfig, args=arguments).at_home()
    from search.results.folder import ResultsFolder

    kept = from_record(ResultsFolder(at_home(resumed)).read()["config"])
    config = tyro.cli(SearchConfig, args=arguments, default=kept).at_home()
    return going_on(config, kept)


def _check_encoding(arguments: Sequence[str]) -> None:
    """Refuse what Ray and SQLite, which keep command line and paths as text, would end on."""
    try:
        here = str(Path.cwd())
    except OSError:
        raise RefusedError("The current folder is gone; start from another one.") from None
    for text in (*arguments, here):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise RefusedError(
                f"{text!a} is no text in UTF-8, as Ray needs it.\n"
                "Rename the file or folder, or name a link to it, made by ln -s."
            ) from None
