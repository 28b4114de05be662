"""The command: `python search/run.py`; see `--help`."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from search.configuration import SearchConfig
from search.console import Console
from search.errors import RefusedError

# Imports inside the functions below spare --help and refusals the seconds that torch and Ray take.
_REFUSED, _INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a search from the command line.

    Returns:
        The exit code: 0 done, 2 refused, 130 interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    console = Console()
    folder: Path | None = None
    try:
        config = _parse(arguments)
        folder = config.folder
        from search.driver import run_search

        run_search(config, console)
    except RefusedError as error:
        console.close()
        print(error, file=sys.stderr)  # noqa: T201
        return _REFUSED
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # let the farewell be read in peace
        console.close()
        from search.results_folder import ResultsFolder

        if folder is not None and ResultsFolder(folder).is_search():
            console.line(f"Interrupted. Go on with: python search/run.py --resume {folder}")
        return _INTERRUPTED
    return 0


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
