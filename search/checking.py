"""The check-up: `python search/checkup.py DIR`; see `--help`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from search.console import Console, reader_may_leave
from search.errors import LedgerError, RefusedError
from search.paths import at_home

_WHOLE, _FINDINGS, _REFUSED = 0, 1, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckUp:
    """Look at a results folder and say what is whole, missing, damaged or superfluous.

    Nothing is changed without --mend. What is missing comes back with `run.py --resume`.

    Exit codes: 0, all is whole; 1, something is not; 2, refused; 130, interrupted.
    """

    folder: Annotated[
        Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR", help="A results folder.")
    ]
    mend: Annotated[
        bool,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.arg(
            help="Set damaged networks aside, clear away unfinished files, write the tables anew."
        ),
    ] = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a check-up from the command line; returns the exit code."""
    with reader_may_leave():
        asked = tyro.cli(CheckUp, args=arguments)
    from pruning import StoreError  # spares --help the seconds of torch
    from search.inspection import inspect, mend
    from search.results.folder import ResultsFolder

    console = Console()
    try:
        folder = ResultsFolder(at_home(asked.folder))
        if asked.mend:
            mend(folder)
        findings = inspect(folder, console)
    except (RefusedError, LedgerError, StoreError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return _REFUSED
    for finding in findings:
        console.line(finding)
    console.line(f"{len(findings)} finding(s)." if findings else "All is whole.")
    return _FINDINGS if findings else _WHOLE
