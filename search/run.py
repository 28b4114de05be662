"""The command: `python search/run.py`; see `--help`."""

import argparse
import errno
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from search.configuration import SearchConfig
from search.console import Console
from search.errors import BrokenOffError, LedgerError, RefusedError

# Imports inside the functions below spare --help and refusals the seconds that torch and Ray take.
_REFUSED, _INTERRUPTED = 2, 130
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
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        config = _parse(arguments)
        folder = config.folder
        from search.driver import run_search

        run_search(config, console)
    except RefusedError as error:
        console.close()
        print(error, file=sys.stderr)  # noqa: T201
        return _REFUSED
    except (BrokenOffError, LedgerError) as error:
        return _broken_off(str(error), folder, console)
    except OSError as error:
        if error.filename is None and error.errno not in _OUTSIDE:
            raise
        return _broken_off(f"{error.strerror}: {error.filename}.", folder, console)
    except (KeyboardInterrupt, SystemExit) as end:
        # Ray answers SIGTERM with SystemExit until the search watches for it itself.
        if isinstance(end, SystemExit) and end.code != signal.SIGTERM:
            raise
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # let the farewell be read in peace
        console.close()
        resume = _resume_line(folder)
        if resume is not None:
            console.line(f"Interrupted. {resume}")
        return _INTERRUPTED
    return 0


def _broken_off(reason: str, folder: Path | None, console: Console) -> int:
    console.close()
    lines = (reason, _resume_line(folder))
    print(*filter(None, lines), sep="\n", file=sys.stderr)  # noqa: T201
    return _REFUSED


def _resume_line(folder: Path | None) -> str | None:
    from search.results_folder import ResultsFolder

    try:
        if folder is None or not ResultsFolder(folder).is_search():
            return None
    except OSError:
        return None
    return f"Go on with: python search/run.py --resume {shlex.quote(str(folder))}"


def _parse(arguments: Sequence[str]) -> SearchConfig:
    """Read the command line; with --resume, the search's settings are its defaults."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--resume", type=Path)
    resumed: Path | None = first.parse_known_args(arguments)[0].resume
    if resumed is None:
        return tyro.cli(SearchConfig, args=arguments)
    from search.results_folder import ResultsFolder

    kept = SearchConfig.from_json(ResultsFolder(resumed).read()["config"])
    config = tyro.cli(SearchConfig, args=arguments, default=kept)
    config.resumes(kept)
    return config


if __name__ == "__main__":
    sys.exit(main())
